//! Header parameters: `;name=value` (RFC 3261 section 25.1, `generic-param`).

use super::lex::{Cursor, VALUE};
use super::{Malformed, unquote};
use std::borrow::Cow;

/// The parameters behind a value, checked when the header was parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(&'a str);

/// One parameter: its name and, where it has one, its value with any quotes still on.
pub(crate) type Param<'a> = (&'a str, Option<&'a str>);

impl<'a> Params<'a> {
    /// Reads parameters up to what is none, and keeps the values of those named in `wanted`, which may come
    /// once each; a value is empty when the parameter has none.
    pub(crate) fn read<const N: usize>(
        cursor: &mut Cursor<'a>,
        wanted: [&str; N],
    ) -> Result<(Self, [Option<&'a str>; N]), Malformed> {
        let mark = cursor.mark();
        let mut found = [None; N];
        while let Some((name, value)) = next(cursor)? {
            let place = wanted.iter().position(|w| w.eq_ignore_ascii_case(name));
            if let Some(kept) = place.and_then(|n| found.get_mut(n))
                && kept.replace(value.unwrap_or_default()).is_some()
            {
                return Err(TWICE);
            }
        }
        Ok((Self(cursor.since(mark)), found))
    }

    /// The parameters in order, names as they were written, values with any quotes still on.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        let mut cursor = Cursor::new(self.0);
        core::iter::from_fn(move || next(&mut cursor).ok().flatten())
    }

    /// The value of the first parameter of that name (case ignored), quotes still on; empty when the
    /// parameter has no value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.unwrap_or_default())
    }

    /// Like [`Params::get`], with quotes and escapes taken off.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).map(unquote)
    }

    /// Whether there is a parameter of that name (case ignored).
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The parameters as they were received, first `;` included.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

const TWICE: Malformed = Malformed::new("a parameter comes twice", "RFC 3261 7.3.1");
const NO_NAME: Malformed = Malformed::new("a parameter has no name", "RFC 3261 25.1");
const NO_VALUE: Malformed = Malformed::new("a parameter has no value after the =", "RFC 3261 25.1");

fn next<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Param<'a>>, Malformed> {
    if !cursor.separator(b';') {
        return Ok(None);
    }
    let name = cursor.token(NO_NAME)?;
    if !cursor.separator(b'=') {
        return Ok(Some((name, None)));
    }
    let value = if cursor.peek() == Some(b'"') { cursor.quoted()? } else { cursor.run(VALUE) };
    if value.is_empty() { Err(NO_VALUE) } else { Ok(Some((name, Some(value)))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Result<Params<'_>, Malformed> {
        Params::read(&mut Cursor::new(text), ["tag"]).map(|(params, _)| params)
    }

    #[test]
    fn values_flags_and_quotes() {
        let p = params("; a ; B = \"x \\\" ;y\" ;c=[::1] ; d\r\n =\r\n e").unwrap();
        assert!(p.contains("A"));
        assert_eq!(p.get("a"), Some(""));
        assert_eq!(p.get("b"), Some("\"x \\\" ;y\""));
        assert_eq!(p.text("b").unwrap(), "x \" ;y");
        assert_eq!(p.get("C"), Some("[::1]"));
        assert_eq!(p.get("d"), Some("e"));
        assert_eq!(p.get("e"), None);
        assert_eq!(p.iter().count(), 4);
    }

    #[test]
    fn empty_names_and_values_are_malformed() {
        for bad in [";", ";;a", ";a=", ";a=;b", ";=b", "; ,", ";a=\"x"] {
            assert!(params(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_second_tag_is_malformed() {
        assert_eq!(params(";tag=1;TAG=2"), Err(TWICE));
        assert!(params(";x=1;x=2").is_ok());
    }

    #[test]
    fn reading_stops_at_a_comma() {
        let mut cursor = Cursor::new(";a=b , c");
        assert_eq!(Params::read(&mut cursor, ["a"]).unwrap(), (Params(";a=b"), [Some("b")]));
        assert!(cursor.separator(b','));
    }
}
