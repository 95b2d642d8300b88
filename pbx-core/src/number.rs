//! Dialled and rewritten numbers.

use core::fmt;
use core::str::FromStr;

/// Longest number in characters (spec 3.1 step 1; E.164 itself ends at 15 digits).
const MAX: usize = 31;

/// A number as it is dialled or sent to a trunk: 1 to 31 of `0-9 * #`, with at most one `+`, in front.
///
/// Spaces, `(`, `)`, `-` and `.` that people write between digits are dropped while parsing; anything else
/// is refused, so that no dial-string metacharacter (`&`, `,`, `@`, `${`, NUL, other scripts' digits) gets
/// past this type.
///
/// ```
/// use pbx_core::Number;
/// let n: Number = "+1 (212) 642-0000".parse().unwrap();
/// assert_eq!(n.as_str(), "+12126420000");
/// assert!("100&SIP/trunk/900".parse::<Number>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    len: u8,
    text: [u8; MAX],
}

/// Why a text is not a [`Number`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// Nothing was left after separators were dropped.
    #[error("the number is empty")]
    Empty,
    /// More than 31 characters.
    #[error("the number is longer than 31 characters")]
    TooLong,
    /// A character that cannot be dialled.
    #[error("{0:?} cannot be part of a number; digits, *, # and one leading + can")]
    Character(char),
}

impl Number {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The characters as bytes; all are ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Without the first `n` characters; `None` when nothing would be left.
    #[must_use]
    pub fn strip(&self, n: usize) -> Option<Self> {
        let rest = self.as_bytes().get(n..)?;
        (!rest.is_empty()).then(|| Self::from_checked(rest))?
    }

    /// With `prefix` in front.
    ///
    /// # Errors
    /// When the whole is over 31 characters, the prefix has a character no number has, or a `+` would not
    /// be in front.
    pub fn prepend(&self, prefix: &str) -> Result<Self, NumberError> {
        let mut whole = Builder::default();
        prefix.bytes().try_for_each(|c| whole.push(c))?;
        self.as_bytes().iter().try_for_each(|&c| whole.push(c))?;
        whole.finish()
    }

    fn from_checked(bytes: &[u8]) -> Option<Self> {
        let mut text = [0; MAX];
        text.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { len: u8::try_from(bytes.len()).ok()?, text })
    }
}

#[derive(Default)]
struct Builder {
    len: usize,
    text: [u8; MAX],
}

impl Builder {
    fn push(&mut self, c: u8) -> Result<(), NumberError> {
        let fits = matches!(c, b'0'..=b'9' | b'*' | b'#') || (c == b'+' && self.len == 0);
        if !fits {
            return Err(NumberError::Character(char::from(c)));
        }
        *self.text.get_mut(self.len).ok_or(NumberError::TooLong)? = c;
        self.len += 1;
        Ok(())
    }

    fn finish(self) -> Result<Number, NumberError> {
        match self.len {
            0 => Err(NumberError::Empty),
            n => Ok(Number { len: u8::try_from(n).map_err(|_| NumberError::TooLong)?, text: self.text }),
        }
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(s: &str) -> Result<Self, NumberError> {
        let mut out = Builder::default();
        for c in s.chars() {
            match c {
                ' ' | '(' | ')' | '-' | '.' => {}
                c if c.is_ascii() => out.push(u8::try_from(c).map_err(|_| NumberError::Character(c))?)?,
                c => return Err(NumberError::Character(c)),
            }
        }
        out.finish()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(s: &str) -> Result<String, NumberError> {
        s.parse::<Number>().map(|n| n.to_string())
    }

    #[test]
    fn separators_are_dropped() {
        assert_eq!(parse("(0)30 12-34.5"), Ok("030".to_owned() + "12345"));
        assert_eq!(parse("*99#"), Ok("*99#".to_owned()));
    }

    #[test]
    fn what_cannot_be_dialled_is_refused() {
        for bad in ["", " - ", "1\r\n2", "1\0", "1&2", "1,2", "1@x", "1/2", "${X}", "٣", "abc", "1+2", "++1"]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse(&"1".repeat(32)), Err(NumberError::TooLong));
        assert!(parse(&"1".repeat(31)).is_ok());
        assert!(parse(&"1".repeat(1_000_000)).is_err());
    }

    #[test]
    fn strip_and_prepend() {
        let n: Number = "900541".parse().unwrap();
        assert_eq!(n.strip(1).unwrap().as_str(), "00541");
        assert_eq!(n.strip(6), None);
        assert_eq!(n.strip(600), None);
        assert_eq!(n.prepend("+").unwrap().as_str(), "+900541");
        assert!(n.prepend("+").unwrap().prepend("0").is_err(), "a + may only stand in front");
        assert!(n.prepend(&"1".repeat(26)).is_err());
    }
}
