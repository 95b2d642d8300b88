//! Names of things: extensions, calls, rules.

use core::fmt;
use core::str::FromStr;

/// An extension, by the name it has in the configuration: 1 to 31 of `A-Z a-z 0-9 _ . + * # -`.
///
/// ```
/// use pbx_core::ExtensionId;
/// let e: ExtensionId = "1001".parse().unwrap();
/// assert_eq!(e.as_str(), "1001");
/// assert!("1001;x".parse::<ExtensionId>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtensionId(Label);

/// Why a text is not an [`ExtensionId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an extension is named by 1 to 31 of A-Z a-z 0-9 _ . + * # -")]
pub struct IdError;

impl ExtensionId {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name for showing.
    #[must_use]
    pub const fn label(&self) -> Label {
        self.0
    }
}

impl FromStr for ExtensionId {
    type Err = IdError;

    fn from_str(s: &str) -> Result<Self, IdError> {
        let fits = |c: u8| c.is_ascii_alphanumeric() || b"_.+*#-".contains(&c);
        ((1..=MAX).contains(&s.len()) && s.bytes().all(fits)).then(|| Self(Label::new(s))).ok_or(IdError)
    }
}

impl fmt::Display for ExtensionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ExtensionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtensionId({})", self.as_str())
    }
}

const MAX: usize = 31;

/// Text for showing, made from anything a sender wrote: at most 31 bytes, cut at a character, control
/// characters replaced by `?`, so that no log line or terminal can be broken by it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    len: u8,
    text: [u8; MAX],
}

impl Label {
    /// No text.
    pub const EMPTY: Self = Self { len: 0, text: [0; MAX] };

    /// As much of `s` as fits.
    #[must_use]
    pub fn new(s: &str) -> Self {
        let mut out = Self::default();
        for c in s.chars() {
            if !out.push(if c.is_control() { '?' } else { c }) {
                break;
            }
        }
        out
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get(..usize::from(self.len)).and_then(|t| core::str::from_utf8(t).ok()).unwrap_or_default()
    }

    /// Whether there is no text.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn push(&mut self, c: char) -> bool {
        let start = usize::from(self.len);
        let Some(room) = self.text.get_mut(start..start + c.len_utf8()) else { return false };
        c.encode_utf8(room);
        self.len = u8::try_from(start + c.len_utf8()).unwrap_or(self.len);
        true
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// A call, by a number that the embedder chooses and that no two live calls share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Which rule of the compiled rules decided. Its text is made by whoever holds the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId {
    /// What kind of rule.
    pub kind: RuleKind,
    /// Its place among the rules of that kind; for a country the two letters of its ISO code.
    pub index: u32,
}

impl RuleId {
    /// A rule by kind and place.
    #[must_use]
    pub const fn new(kind: RuleKind, index: u32) -> Self {
        Self { kind, index }
    }
}

/// The kinds of rules there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RuleKind {
    /// Static defence (B5).
    Static,
    /// Automatic defence (B6).
    AutoDefence,
    /// Allowed addresses (B7).
    Allowed,
    /// The blocked list (B9).
    Blocked,
    /// A threat feed (B3).
    Feed,
    /// A country of addresses (B4) or of numbers (E8).
    Country,
    /// The default policy (B10).
    Default,
    /// A lockout rule (C1, D1).
    Lockout,
    /// An extension's own settings (C4-C7, E5-E7).
    Extension,
    /// Who may use a service remotely (B2).
    AccessScope,
    /// An emergency number.
    Emergency,
    /// A list of blocked or allowed numbers (E9, F2).
    NumberList,
    /// An outbound route (E1).
    Route,
    /// A call frequency rule (E10).
    Frequency,
    /// A trunk (E11).
    Trunk,
    /// A time condition (E4).
    Schedule,
    /// A quota.
    Quota,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_names_are_plain() {
        assert!("1001".parse::<ExtensionId>().is_ok());
        assert!("front-desk.2".parse::<ExtensionId>().is_ok());
        for bad in ["", "a b", "a\nb", "ü", "a:b", "a@b", &"1".repeat(32)] {
            assert_eq!(bad.parse::<ExtensionId>(), Err(IdError), "{bad:?}");
        }
    }

    #[test]
    fn labels_hold_anything_safely() {
        assert_eq!(Label::new("a\r\nb\u{1b}[2J").as_str(), "a??b?[2J");
        let long = Label::new(&"ü".repeat(40));
        assert_eq!(long.as_str().chars().count(), 15, "cut at a character");
        assert!(Label::new("").is_empty());
    }
}
