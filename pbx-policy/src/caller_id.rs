//! The number or name a call shows.

use arrayvec::ArrayString;
use pbx_core::{ConfigError, ConfigErrors, ExtensionId, Label};

/// Most characters that are shown.
const MAX: usize = 31;
/// What stands for the number of the calling extension.
const EXTENSION: &str = "{{.Ext}}";

/// A caller ID, which may hold the number of the calling extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallerId {
    Fixed(Label),
    AroundExtension { before: String, after: String },
}

impl CallerId {
    /// `None` for an empty text and for one that is an error.
    pub(crate) fn compile(text: &str, path: &str, errors: &mut ConfigErrors) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let (before, after) = text.split_once(EXTENSION).unwrap_or((text, ""));
        let allowed = |c: char| c.is_ascii_alphanumeric() || "[]().-+*# ".contains(c);
        if !before.chars().chain(after.chars()).all(allowed) || before.len() + after.len() > MAX {
            let error = ConfigError::new(path, format!("{text:?} is no caller ID"));
            errors.push(
                error.instead("write at most 31 digits, letters and []().-+*#, and {{.Ext}} at most once"),
            );
            return None;
        }
        Some(if text.contains(EXTENSION) {
            Self::AroundExtension { before: before.to_owned(), after: after.to_owned() }
        } else {
            Self::Fixed(Label::new(text))
        })
    }

    /// What is shown for a call of `extension`.
    pub(crate) fn shown(&self, extension: ExtensionId) -> Label {
        match self {
            Self::Fixed(label) => *label,
            Self::AroundExtension { before, after } => {
                let mut out = ArrayString::<{ 2 * MAX }>::new();
                // Both parts are at most 31 long together, and so is the extension.
                for part in [before.as_str(), extension.as_str(), after.as_str()] {
                    let _ = out.try_push_str(part);
                }
                Label::new(&out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let mut errors = ConfigErrors::new();
        let id = CallerId::compile(text, "route[0].caller_id", &mut errors);
        let shown = id.map(|id| id.shown("1001".parse().unwrap()).to_string());
        shown.ok_or_else(|| errors.to_string())
    }

    #[test]
    fn the_extension_is_filled_in() {
        assert_eq!(shown("+49 30 1234-{{.Ext}}"), Ok("+49 30 1234-1001".to_owned()));
        assert_eq!(shown("{{.Ext}}"), Ok("1001".to_owned()));
        assert_eq!(shown("anonymous"), Ok("anonymous".to_owned()));
        assert_eq!(shown(""), Err(String::new()), "none is no error");
    }

    #[test]
    fn nothing_gets_into_a_header_that_could_end_it() {
        for bad in ["a\r\nX: y", "\"x\" <sip:y>", "a@b", "{{.Ext}}{{.Ext}}", "{{.Name}}", &"1".repeat(32)] {
            assert!(shown(bad).is_err_and(|e| !e.is_empty()), "{bad:?}");
        }
    }
}
