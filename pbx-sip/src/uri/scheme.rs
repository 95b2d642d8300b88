//! Schemes of URIs (RFC 3986 section 3.1).

use crate::header::Malformed;

/// What kind of URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme<'a> {
    /// `sip:`
    Sip,
    /// `sips:`, TLS on every hop.
    Sips,
    /// `tel:` (RFC 3966); the number is the user part.
    Tel,
    /// Any other; nothing behind the colon is looked at.
    Other(&'a str),
}

const FORM: Malformed = Malformed::new("a URI has no scheme", "RFC 3986 3.1");

impl<'a> Scheme<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Malformed> {
        let known = [("sip", Self::Sip), ("sips", Self::Sips), ("tel", Self::Tel)];
        if let Some(&(_, kind)) = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(kind);
        }
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let fits = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(letters);
        if fits { Ok(Self::Other(text)) } else { Err(FORM) }
    }

    /// The scheme without its colon.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3986_3_1_schemes() {
        assert_eq!(Scheme::parse("SIPS"), Ok(Scheme::Sips));
        assert_eq!(Scheme::parse("soap.beep"), Ok(Scheme::Other("soap.beep")));
        for bad in ["", "1sip", "s ip", "sip\0", "sïp", "<sip"] {
            assert_eq!(Scheme::parse(bad), Err(FORM), "{bad:?}");
        }
    }
}
