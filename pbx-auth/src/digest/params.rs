//! The parameter list that challenges and credentials share: `Digest name=value, name="value"`
//! (RFC 7616 3.3 and 3.4, RFC 3261 25.1).

use std::borrow::Cow;

/// Longest header value that is looked at, in bytes. Real ones have 200 to 600.
pub(crate) const MAX_VALUE: usize = 4096;
/// Most parameters in one value. RFC 7616 defines 12.
const MAX_PARAMS: usize = 24;

/// Why a challenge or credentials cannot be used.
///
/// Credentials that do not parse are an answered challenge that failed, never "no credentials": attack tools
/// send them, phones do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// More than 4096 bytes.
    #[error("longer than 4096 bytes")]
    TooLong,
    /// More than 24 parameters.
    #[error("more than 24 parameters")]
    TooManyParams,
    /// Not the scheme `Digest`, or nothing after it.
    #[error("the scheme is not Digest")]
    Scheme,
    /// Not a list of `name=value`.
    #[error("not a list of name=value")]
    Syntax,
    /// A quoted text that does not end.
    #[error("a quoted text does not end")]
    Unterminated,
    /// A control character inside a quoted text.
    #[error("a control character in a quoted text")]
    Control,
    /// A parameter that occurs twice.
    #[error("{0} occurs twice")]
    Duplicate(&'static str),
    /// A parameter that must be there and is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A parameter with a value that it cannot have.
    #[error("{0} has a value that it cannot have")]
    Value(&'static str),
}

/// The value of one parameter, as it was sent.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    /// The text between the quotes, escapes still in it, or the token.
    pub(crate) raw: &'a [u8],
    quoted: bool,
    escaped: bool,
}

impl<'a> Value<'a> {
    /// The text, when it was quoted and holds no escape. What is hashed as it was sent must be unambiguous.
    pub(crate) fn plain(self) -> Option<&'a [u8]> {
        (self.quoted && !self.escaped).then_some(self.raw)
    }

    /// The text, when it was quoted and is UTF-8, without its escapes. Allocates only when there are some.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let raw = core::str::from_utf8(self.raw).ok().filter(|_| self.quoted)?;
        if self.escaped { Some(Cow::Owned(unescape(raw))) } else { Some(Cow::Borrowed(raw)) }
    }
}

fn unescape(raw: &str) -> String {
    let mut chars = raw.chars();
    core::iter::from_fn(|| chars.next().and_then(|c| if c == '\\' { chars.next() } else { Some(c) }))
        .collect()
}

/// A parameter that may be given once.
pub(crate) struct Once<'a> {
    name: &'static str,
    value: Option<Value<'a>>,
}

impl<'a> Once<'a> {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, value: None }
    }

    fn set(&mut self, value: Value<'a>) -> Result<(), Malformed> {
        match self.value.replace(value) {
            Some(_) => Err(Malformed::Duplicate(self.name)),
            None => Ok(()),
        }
    }

    pub(crate) const fn get(&self) -> Option<Value<'a>> {
        self.value
    }

    pub(crate) fn required(&self) -> Result<Value<'a>, Malformed> {
        self.value.ok_or(Malformed::Missing(self.name))
    }

    /// The value of a parameter that must be there, be quoted and hold no escape.
    pub(crate) fn plain(&self) -> Result<&'a [u8], Malformed> {
        self.required()?.plain().ok_or(Malformed::Value(self.name))
    }
}

/// Reads the whole list into `slots`; parameters with other names are skipped.
pub(crate) fn read<'a>(value: &'a [u8], slots: &mut [&mut Once<'a>]) -> Result<(), Malformed> {
    if value.len() > MAX_VALUE {
        return Err(Malformed::TooLong);
    }
    let mut rest = scheme(value)?;
    for _ in 0..MAX_PARAMS {
        let (name, value, after) = param(rest)?;
        if let Some(slot) = slots.iter_mut().find(|s| s.name.as_bytes().eq_ignore_ascii_case(name)) {
            slot.set(value)?;
        }
        match after {
            [] => return Ok(()),
            [b',', after @ ..] => rest = after,
            _ => return Err(Malformed::Syntax),
        }
    }
    Err(Malformed::TooManyParams)
}

/// What follows the scheme and at least one blank.
fn scheme(value: &[u8]) -> Result<&[u8], Malformed> {
    let (scheme, rest) = value.split_at_checked(6).ok_or(Malformed::Scheme)?;
    let blank = rest.first().copied().is_some_and(is_blank);
    (scheme.eq_ignore_ascii_case(b"Digest") && blank).then_some(rest).ok_or(Malformed::Scheme)
}

type Param<'a> = (&'a [u8], Value<'a>, &'a [u8]);

/// One `name=value` at the start of `input`, and what follows it and its blanks.
fn param(input: &[u8]) -> Result<Param<'_>, Malformed> {
    let (name, rest) = token(trim(input))?;
    let [b'=', rest @ ..] = trim(rest) else { return Err(Malformed::Syntax) };
    let (value, rest) = match trim(rest) {
        [b'"', rest @ ..] => quoted(rest)?,
        rest => {
            let (raw, rest) = token(rest)?;
            (Value { raw, quoted: false, escaped: false }, rest)
        }
    };
    Ok((name, value, trim(rest)))
}

/// A token of RFC 3261 25.1; at least one character.
fn token(input: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = input.iter().position(|&c| !is_token(c)).unwrap_or(input.len());
    match input.split_at_checked(end) {
        Some((token, rest)) if !token.is_empty() => Ok((token, rest)),
        _ => Err(Malformed::Syntax),
    }
}

/// What stands up to the closing quote, the opening one being consumed already.
fn quoted(input: &[u8]) -> Result<(Value<'_>, &[u8]), Malformed> {
    let mut escaped = false;
    let mut bytes = input.iter().enumerate();
    while let Some((i, &c)) = bytes.next() {
        match c {
            b'"' => return Ok((Value { raw: head(input, i), quoted: true, escaped }, tail(input, i + 1))),
            b'\\' => {
                escaped = true;
                let (_, &next) = bytes.next().ok_or(Malformed::Unterminated)?;
                allowed(next)?;
            }
            c => allowed(c)?,
        }
    }
    Err(Malformed::Unterminated)
}

fn allowed(c: u8) -> Result<(), Malformed> {
    if c.is_ascii_control() && c != b'\t' { Err(Malformed::Control) } else { Ok(()) }
}

fn head(input: &[u8], end: usize) -> &[u8] {
    input.get(..end).unwrap_or_default()
}

fn tail(input: &[u8], start: usize) -> &[u8] {
    input.get(start..).unwrap_or_default()
}

fn trim(input: &[u8]) -> &[u8] {
    tail(input, input.iter().position(|&c| !is_blank(c)).unwrap_or(input.len()))
}

/// Blanks, and the line ends of a folded header (RFC 3261 7.3.1).
const fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\r' | b'\n')
}

const fn is_token(c: u8) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<(Option<String>, Option<String>), Malformed> {
        let (mut a, mut b) = (Once::new("a"), Once::new("b"));
        read(value.as_bytes(), &mut [&mut a, &mut b])?;
        let text = |o: &Once<'_>| o.get().map(|v| String::from_utf8_lossy(v.raw).into_owned());
        Ok((text(&a), text(&b)))
    }

    #[test]
    fn names_ignore_case_and_blanks_may_stand_everywhere() {
        let both = Ok((Some("1".to_owned()), Some("x, y=\\\"".to_owned())));
        assert_eq!(parse(r#"Digest a=1,b="x, y=\"""#), both);
        assert_eq!(parse("dIGEST \t A = 1 ,\r\n B = \"x, y=\\\"\" "), both);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (bad, why) in [
            ("", Malformed::Scheme),
            ("Digest", Malformed::Scheme),
            ("Digesta=1", Malformed::Scheme),
            ("Basic a=1", Malformed::Scheme),
            ("Digest ", Malformed::Syntax),
            ("Digest a", Malformed::Syntax),
            ("Digest a=", Malformed::Syntax),
            ("Digest =1", Malformed::Syntax),
            ("Digest a=1 b=2", Malformed::Syntax),
            ("Digest a=1,", Malformed::Syntax),
            ("Digest a=1,,b=2", Malformed::Syntax),
            ("Digest a=\"1\"2", Malformed::Syntax),
            ("Digest a=1;b=2", Malformed::Syntax),
            ("Digest a=\"1", Malformed::Unterminated),
            ("Digest a=\"1\\", Malformed::Unterminated),
            ("Digest a=\"1\\\"", Malformed::Unterminated),
            ("Digest a=\"1\r\n2\"", Malformed::Control),
            ("Digest a=\"\\\0\"", Malformed::Control),
            ("Digest a=1,A=1", Malformed::Duplicate("a")),
        ] {
            assert_eq!(parse(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn escapes_are_taken_off_in_text_and_refused_where_bytes_are_hashed() {
        let mut a = Once::new("a");
        read(br#"Digest a="x\\y\"z""#, &mut [&mut a]).unwrap();
        assert_eq!(a.required().unwrap().text().as_deref(), Some(r#"x\y"z"#));
        assert_eq!(a.plain(), Err(Malformed::Value("a")));
    }

    #[test]
    fn length_and_count_are_bounded() {
        let many = |n| format!("Digest {}", vec!["x=1"; n].join(","));
        assert!(parse(&many(MAX_PARAMS)).is_ok());
        assert_eq!(parse(&many(MAX_PARAMS + 1)), Err(Malformed::TooManyParams));
        let long = |n: usize| format!("Digest a=\"{}\"", "x".repeat(n - 11));
        assert!(parse(&long(MAX_VALUE)).is_ok());
        assert_eq!(parse(&long(MAX_VALUE + 1)), Err(Malformed::TooLong));
    }
}
