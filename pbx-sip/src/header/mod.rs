//! Header fields: their names, and views of those that have a structure.

mod cseq;
pub(crate) mod lex;
mod name;
mod name_addr;
mod params;
mod via;

use std::borrow::Cow;

pub use cseq::CSeq;
pub use name::HeaderName;
pub use name_addr::NameAddr;
pub use params::Params;
pub use via::{MAGIC_COOKIE, Via};

use lex::Cursor;

/// What is wrong with a message or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} ({section})")]
pub struct Malformed {
    why: &'static str,
    section: &'static str,
    status: u16,
}

impl Malformed {
    pub(crate) const fn new(why: &'static str, section: &'static str) -> Self {
        Self { why, section, status: 400 }
    }

    /// The same with another status than 400.
    pub(crate) const fn status_is(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The status that a request with this fault is owed.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// What is wrong, in a clause. It never holds a byte of the message.
    #[must_use]
    pub const fn why(&self) -> &'static str {
        self.why
    }

    /// The section of the RFC that is broken.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        self.section
    }
}

/// The text of a quoted string, quotes and escapes taken off and line folds made one space; what is not
/// quoted comes back as it is.
///
/// ```
/// assert_eq!(pbx_sip::header::unquote(r#""a \"b\"""#), "a \"b\"");
/// assert_eq!(pbx_sip::header::unquote("a b"), "a b");
/// ```
#[must_use]
pub fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else { return unfold(text) };
    if !inner.contains('\\') {
        return unfold(inner);
    }
    let mut escaped = false;
    let plain: String = inner
        .chars()
        .filter(|&c| {
            escaped = c == '\\' && !escaped;
            !escaped
        })
        .collect();
    Cow::Owned(unfold(&plain).into_owned())
}

/// A header value with each line fold, and the white space around it, made one space (RFC 3261 section
/// 7.3.1).
///
/// ```
/// assert_eq!(pbx_sip::header::unfold("a \r\n\t b"), "a b");
/// ```
#[must_use]
pub fn unfold(value: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\n', value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    let blank = [' ', '\t', '\r'];
    let mut out = String::with_capacity(value.len());
    for (n, line) in value.split('\n').enumerate() {
        if n > 0 {
            out.truncate(out.trim_end_matches(blank).len());
            out.push(' ');
        }
        out.push_str(if n > 0 { line.trim_matches(blank) } else { line.trim_end_matches(blank) });
    }
    Cow::Owned(out)
}

/// The elements of a comma-separated value, read one after the other with `read`; ends at the first that
/// is malformed.
pub(crate) fn elements<'a, T>(
    value: &'a str,
    read: impl Fn(&mut Cursor<'a>) -> Result<T, Malformed>,
) -> impl Iterator<Item = Result<T, Malformed>> {
    let mut cursor = Cursor::new(value);
    let mut done = false;
    core::iter::from_fn(move || {
        if done {
            return None;
        }
        cursor.white();
        let element = read(&mut cursor);
        done = element.is_err() || !cursor.separator(b',');
        cursor.white();
        // An element that is followed by anything but a comma is not one.
        Some(if done && !cursor.is_end() { element.and(Err(LIST)) } else { element })
    })
}

const LIST: Malformed = Malformed::new("a list of values is not of its form", "RFC 3261 7.3.1");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_become_one_space() {
        assert_eq!(
            unfold("newfangled value\r\n continued newfangled value"),
            "newfangled value continued newfangled value"
        );
        assert_eq!(unfold("a\r\n \r\n b"), "a b");
        assert!(matches!(unfold("a  b"), Cow::Borrowed("a  b")));
    }

    #[test]
    fn escapes_come_off_once() {
        assert_eq!(unquote(r#""\\\"""#), "\\\"");
        assert_eq!(unquote(r#""\\""#), "\\");
        assert_eq!(unquote("\"a\r\n b\""), "a b");
        assert_eq!(unquote("\""), "\"");
    }

    #[test]
    fn lists() {
        let count = |text| elements(text, NameAddr::read).collect::<Result<Vec<_>, _>>().map(|v| v.len());
        assert_eq!(count("<sip:a@b>, \"x, y\" <sip:c,e@d>;p=\",\" ,sip:e@f"), Ok(3));
        assert!(count("").is_err());
        assert!(count("<sip:a@b>,").is_err());
        assert!(count(",<sip:a@b>").is_err());
        assert!(count("<sip:a@b> <sip:c@d>").is_err());
    }
}
