//! `name-addr` and `addr-spec` with parameters: From, To, Contact, Route and their like (RFC 3261 section
//! 20.10).

use std::borrow::Cow;

use super::lex::{Cursor, TOKEN, VISIBLE, decimal, is, seconds, trim};
use super::{Malformed, Params, unquote};
use crate::uri::Uri;

/// An address with a display name and header parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    text: &'a str,
    display: &'a str,
    uri: Uri<'a>,
    params: Params<'a>,
    tag: Option<&'a str>,
}

impl<'a> NameAddr<'a> {
    /// One address, without commas outside of quotes and `<>`.
    ///
    /// # Errors
    /// When it is not of the form of RFC 3261 section 25.1, `name-addr` or `addr-spec`.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(text);
        cursor.white();
        let addr = Self::read(&mut cursor)?;
        cursor.white();
        if cursor.is_end() { Ok(addr) } else { Err(FORM) }
    }

    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let mark = cursor.mark();
        let display = display(cursor)?;
        let uri = if cursor.eat(b'<') {
            let uri = cursor.until(b'>').ok_or(ANGLE)?;
            cursor.eat(b'>');
            uri
        } else {
            bare_uri(cursor)?
        };
        let uri = Uri::parse(uri)?;
        let (params, [tag]) = Params::read(cursor, ["tag"])?;
        if tag == Some("") {
            return Err(TAG);
        }
        Ok(Self { text: cursor.since(mark), display, uri, params, tag })
    }

    /// The address as it was received, parameters included.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// The display name with quotes and escapes taken off; `None` when there is none or an empty one.
    #[must_use]
    pub fn display_name(&self) -> Option<Cow<'a, str>> {
        Some(unquote(self.display)).filter(|name| !name.is_empty())
    }

    /// The URI.
    #[must_use]
    pub const fn uri(&self) -> &Uri<'a> {
        &self.uri
    }

    /// The header parameters; those inside `<>` belong to the URI.
    #[must_use]
    pub const fn params(&self) -> Params<'a> {
        self.params
    }

    /// The tag (RFC 3261 section 19.3).
    #[must_use]
    pub const fn tag(&self) -> Option<&'a str> {
        self.tag
    }

    /// The `expires` parameter of a Contact in seconds, cut to the largest 32-bit number; `None` when it is
    /// absent or no number.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        self.params.get("expires").and_then(seconds)
    }

    /// The `q` parameter of a Contact in thousandths, 0 to 1000; `None` when it is absent or no `qvalue`.
    #[must_use]
    pub fn q(&self) -> Option<u16> {
        self.params.get("q").and_then(thousandths)
    }
}

const FORM: Malformed = Malformed::new("an address is not of its form", "RFC 3261 20.10");
const TAG: Malformed = Malformed::new("a tag has no value", "RFC 3261 19.3");
const ANGLE: Malformed = Malformed::new("a < is never closed", "RFC 3261 25.1");
const BARE: Malformed = Malformed::new("a URI with ? stands outside of <>", "RFC 3261 20.10");

/// Reads a display name; the cursor then stands on `<`, or where it stood when there is none.
fn display<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let mark = cursor.mark();
    if cursor.peek() == Some(b'"') {
        cursor.quoted()?;
    } else {
        while cursor.white() || !cursor.run(TOKEN).is_empty() || other_script(cursor) {}
    }
    let name = trim(cursor.since(mark));
    cursor.white();
    match (cursor.peek(), name.starts_with('"')) {
        (Some(b'<'), _) => return Ok(name),
        (_, true) => return Err(FORM),
        _ => cursor.reset(mark),
    }
    Ok("")
}

/// Unquoted display names are ASCII tokens by the grammar, but many clients write names in their own script
/// so.
fn other_script(cursor: &mut Cursor<'_>) -> bool {
    cursor.peek().is_some_and(|b| !b.is_ascii()) && !cursor.run(VISIBLE & !TOKEN).is_empty()
}

/// A URI without `<>` ends at the first `;`, which begins header parameters, or `,`.
fn bare_uri<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let mark = cursor.mark();
    while cursor.peek().is_some_and(|b| is(b, VISIBLE) && !matches!(b, b';' | b',' | b'?' | b'<' | b'"')) {
        let byte = cursor.peek().unwrap_or_default();
        cursor.eat(byte);
    }
    if cursor.peek() == Some(b'?') { Err(BARE) } else { Ok(cursor.since(mark)) }
}

/// `qvalue`: `0`, `1`, or with up to three decimals, nothing over 1.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let padded = match decimals.len() {
        0 => 0,
        len @ 1..=3 => decimal::<u16>(decimals)? * [100, 10, 1].get(len - 1)?,
        _ => return None,
    };
    match whole {
        "0" => Some(padded),
        "1" if padded == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3261_20_10_examples() {
        let a =
            NameAddr::parse("\"Mr. Watson\" <sip:watson@worcester.bell-telephone.com>;q=0.7; expires=3600")
                .unwrap();
        assert_eq!(a.display_name().unwrap(), "Mr. Watson");
        assert_eq!((a.q(), a.expires(), a.uri().user()), (Some(700), Some(3600), Some("watson")));
        let a = NameAddr::parse("<sips:bob@192.0.2.4>;expires=60").unwrap();
        assert_eq!((a.display_name(), a.expires()), (None, Some(60)));
        let a = NameAddr::parse("sip:+12125551212@server.phone2net.com;tag=887s").unwrap();
        assert_eq!((a.tag(), a.uri().params().next()), (Some("887s"), None), "a header parameter");
        let a = NameAddr::parse("Anonymous <sip:c8oqz84zk7z@privacy.org;lr>;tag=hyh8").unwrap();
        assert_eq!(a.display_name().unwrap(), "Anonymous");
        assert_eq!(a.uri().param("lr"), Some(""));
    }

    #[test]
    fn display_names() {
        for (text, name) in [
            ("caller<sip:a@b>", Some("caller")),
            ("token1~` token2'+_ <sip:a@b>", Some("token1~` token2'+_")),
            ("\"a \\\"b\\\\\"<sip:a@b>", Some("a \"b\\")),
            ("\"\" <sip:a@b>", None),
            ("Jürgen Groß <sip:a@b>", Some("Jürgen Groß")),
            ("\"<sip:joe@big.org>\" <sip:a@b>", Some("<sip:joe@big.org>")),
        ] {
            assert_eq!(NameAddr::parse(text).unwrap().display_name().as_deref(), name, "{text}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for bad in [
            "",
            "/",
            "<>",
            "<sip:a@b",
            "\"x <sip:a@b>",
            "\"x\" sip:a@b",
            "< sip:a@b >",
            "Bell, Alexander <sip:a@b>",
            "sip:a@b?Route=%3Csip:c%3E",
            "<sip:a@b>;;",
            "<sip:a@b>;tag=",
            "<sip:a@b>;tag",
            "<sip:a@b>;tag=1;tag=2",
            "<sip:a@b> x",
            "sip:a b@c",
            "*",
        ] {
            assert!(NameAddr::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn q_values() {
        for (text, q) in
            [("0", 0), ("1", 1000), ("1.0", 1000), ("0.33", 330), ("0.5", 500), ("0.001", 1), ("0.", 0)]
        {
            assert_eq!(thousandths(text), Some(q), "{text}");
        }
        for bad in ["1.001", "NaN", "0.0001", "2", "", "-0.5", ".5", "0.+1"] {
            assert_eq!(thousandths(bad), None, "{bad}");
        }
    }
}
