//! Where a message and its header fields begin and end: the one index that datagrams and streams share, so
//! that the two can never disagree about the end of a message (request smuggling).
//!
//! The work grows with the bytes alone: each byte is looked at a fixed number of times, a line is
//! classified by at most seven comparisons, a fold moves one offset, and whatever a view reads again later
//! lies within one value.

use arrayvec::ArrayVec;
use memchr::{memchr, memchr_iter, memmem};

use super::limits::{MAX_HEAD, MAX_HEADERS};
use crate::header::lex::{TOKEN, all, decimal};
use crate::header::{HeaderName, Malformed};

/// The start line and an index of the header fields.
#[derive(Clone)]
pub(crate) struct Head<'a> {
    text: &'a str,
    slots: ArrayVec<Slot, MAX_HEADERS>,
    first: [u8; HeaderName::COUNT],
}

/// One header field as offsets into the head. The name ends at the colon before the value.
#[derive(Clone, Copy)]
struct Slot {
    start: u16,
    value: u16,
    end: u16,
    name: Option<HeaderName>,
}

const ABSENT: u8 = u8::MAX;

const NO_END: Malformed = Malformed::new("the header does not end with an empty line", "RFC 3261 7");
const LONG: Malformed =
    Malformed::new("the header is longer than 16384 bytes", "RFC 3261 21.5.14").status_is(513);
const MANY: Malformed =
    Malformed::new("there are more than 128 header fields", "RFC 3261 21.5.14").status_is(513);
const LINE_END: Malformed = Malformed::new("a line does not end with CR LF", "RFC 3261 7");
const TEXT: Malformed = Malformed::new("the header is not UTF-8", "RFC 3261 7");
const NAME: Malformed = Malformed::new("a header field has no name", "RFC 3261 7.3.1");
const FOLD: Malformed = Malformed::new("a folded line continues nothing", "RFC 3261 7.3.1");
const BLANK: Malformed = Malformed::new("a line of blanks stands in the header", "RFC 3261 7.3.1");
const CONTROL: Malformed = Malformed::new("a control character stands outside of quotes", "RFC 3261 25.1");
const LENGTH: Malformed = Malformed::new("the Content-Length is no number", "RFC 3261 20.14");
const LENGTHS: Malformed = Malformed::new("the Content-Length comes twice", "RFC 3261 7.3.1");

/// How many bytes of empty lines stand before the start line (RFC 3261 section 7.5).
pub(crate) fn empty_lines(bytes: &[u8]) -> usize {
    bytes.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2
}

/// Where the head ends, its empty line included, when it does so within the limit. The first `seen` bytes
/// are known not to hold the end.
pub(crate) fn head_end(bytes: &[u8], seen: usize) -> Result<Option<usize>, Malformed> {
    let limited = bytes.get(..MAX_HEAD).unwrap_or(bytes);
    let from = seen.saturating_sub(3).min(limited.len());
    match memmem::find(limited.get(from..).unwrap_or_default(), b"\r\n\r\n") {
        Some(at) => Ok(Some(from + at + 4)),
        None if bytes.len() >= MAX_HEAD => Err(LONG),
        None => Ok(None),
    }
}

impl<'a> Head<'a> {
    /// Indexes the head at the start of `bytes`, which begin with the start line; says where the head ends.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<(Self, usize), Malformed> {
        let end = head_end(bytes, 0)?.ok_or(NO_END)?;
        Ok((Self::index(bytes.get(..end).unwrap_or_default())?, end))
    }

    /// Indexes a whole head, its empty line included.
    pub(crate) fn index(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let text = core::str::from_utf8(bytes).map_err(|_| TEXT)?;
        let mut head = Self { text, slots: ArrayVec::new(), first: [ABSENT; HeaderName::COUNT] };
        let mut at = 0;
        // Each line has one CR, at its end: another would be one too many.
        let returns = memchr_iter(b'\r', bytes).count();
        if returns != memchr_iter(b'\n', bytes).count() {
            return Err(LINE_END);
        }
        for (n, line_feed) in memchr_iter(b'\n', bytes).enumerate() {
            let line = bytes.get(at..line_feed).and_then(|l| l.strip_suffix(b"\r")).ok_or(LINE_END)?;
            match line {
                [] => break,
                [b' ' | b'\t', ..] => head.fold(at, line)?,
                _ if n > 0 => head.push(at, line)?,
                _ => {}
            }
            at = line_feed + 1;
        }
        head.check_characters()?;
        Ok(head)
    }

    fn push(&mut self, at: usize, line: &[u8]) -> Result<(), Malformed> {
        let colon = memchr(b':', line).ok_or(NAME)?;
        let name = self.slice(at, at + colon).trim_end_matches([' ', '\t']);
        if !all(name, TOKEN) {
            return Err(NAME);
        }
        let name = HeaderName::from_text(name);
        let (value, end) = trimmed(line, colon + 1);
        let slot = Slot { start: offset(at), value: offset(at + value), end: offset(at + end), name };
        let index = u8::try_from(self.slots.len()).map_err(|_| MANY)?;
        self.slots.try_push(slot).map_err(|_| MANY)?;
        if let Some(first) = name.and_then(|n| self.first.get_mut(n as usize)) {
            *first = (*first).min(index);
        }
        Ok(())
    }

    /// Lengthens the last value by a continuation line.
    fn fold(&mut self, at: usize, line: &[u8]) -> Result<(), Malformed> {
        let slot = self.slots.last_mut().ok_or(FOLD)?;
        let (value, end) = trimmed(line, 0);
        if value == end {
            // Some parsers end the header here: refused, so that nobody can be fooled.
            return Err(BLANK);
        }
        if slot.value == slot.end {
            slot.value = offset(at + value);
        }
        slot.end = offset(at + end);
        Ok(())
    }

    /// Control characters may stand only behind a backslash in quotes. Few messages have any, so that the
    /// search for the header field is off the common path.
    fn check_characters(&self) -> Result<(), Malformed> {
        let bytes = self.text.as_bytes();
        // Without branches, so that many bytes are looked at at once.
        if !bytes.iter().fold(false, |found, &b| found | is_control(b)) {
            return Ok(());
        }
        let controls = bytes.iter().filter(|&&b| is_control(b)).count();
        let quoted = self.headers().map(|(_, value)| quoted_controls(value)).sum::<usize>();
        if controls == quoted { Ok(()) } else { Err(CONTROL) }
    }

    /// The start line without its line end.
    pub(crate) fn start_line(&self) -> &'a str {
        let end = memchr(b'\r', self.text.as_bytes()).unwrap_or_default();
        self.slice(0, end)
    }

    /// Names and values in order, as received.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.slots.iter().map(|slot| (self.name(slot), self.value(slot)))
    }

    /// Names known by number, with values, in order.
    pub(crate) fn known(&self) -> impl Iterator<Item = (HeaderName, &'a str)> + '_ {
        self.slots.iter().filter_map(|slot| Some((slot.name?, self.value(slot))))
    }

    /// The values of all header fields of a name.
    pub(crate) fn all(&self, name: HeaderName) -> impl Iterator<Item = &'a str> + '_ {
        let first = self.first_slot(name).unwrap_or(self.slots.len());
        self.slots.iter().skip(first).filter(move |s| s.name == Some(name)).map(|s| self.value(s))
    }

    /// The value of the first header field of a name.
    pub(crate) fn first(&self, name: HeaderName) -> Option<&'a str> {
        self.slots.get(self.first_slot(name)?).map(|slot| self.value(slot))
    }

    /// What Content-Length says. Anything doubtful is an error, never a guess.
    pub(crate) fn content_length(&self) -> Result<Option<usize>, Malformed> {
        let mut values = self.all(HeaderName::ContentLength);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => decimal(value).map(Some).ok_or(LENGTH),
            (Some(_), Some(_)) => Err(LENGTHS),
        }
    }

    fn first_slot(&self, name: HeaderName) -> Option<usize> {
        self.first.get(name as usize).filter(|&&index| index != ABSENT).map(|&index| usize::from(index))
    }

    fn name(&self, slot: &Slot) -> &'a str {
        let line = self.slice(usize::from(slot.start), usize::from(slot.value));
        line.split_once(':').map_or(line, |(name, _)| name).trim_end_matches([' ', '\t'])
    }

    fn value(&self, slot: &Slot) -> &'a str {
        self.slice(usize::from(slot.value), usize::from(slot.end))
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }
}

/// Where what is not blank begins and ends behind `from`; both at the end of the line when there is nothing.
fn trimmed(line: &[u8], from: usize) -> (usize, usize) {
    let rest = line.get(from..).unwrap_or_default();
    let value = rest.trim_ascii_start();
    (line.len() - value.len(), from + (rest.len() - value.len()) + value.trim_ascii_end().len())
}

/// An offset in a head, which is at most 16384 bytes long.
fn offset(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

const fn is_control(b: u8) -> bool {
    ((b < b' ') & (b != b'\t') & (b != b'\r') & (b != b'\n')) | (b == 0x7f)
}

/// How many control characters stand behind a backslash in quotes.
fn quoted_controls(value: &str) -> usize {
    let (mut quoted, mut escaped, mut found) = (false, false, 0);
    for b in value.bytes() {
        found += usize::from(quoted && escaped && is_control(b));
        quoted ^= b == b'"' && !escaped;
        escaped = b == b'\\' && quoted && !escaped;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(bytes: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
        let (head, _) = Head::parse(bytes)?;
        Ok(head.headers().map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
    }

    #[test]
    fn names_and_values_are_trimmed() {
        let got = values(b"X\r\nA \t: b c \r\nd:\r\nE:\r\n f\r\n \tg \r\n\r\nbody").unwrap();
        let want = [("A", "b c"), ("d", ""), ("E", "f\r\n \tg")];
        assert!(got.iter().map(|(n, v)| (n.as_str(), v.as_str())).eq(want), "{got:?}");
    }

    #[test]
    fn what_is_no_header() {
        for (bytes, why) in [
            (b"X\r\nA: b\r\n".as_slice(), NO_END),
            (b"X\nA: b\r\n\r\n", LINE_END),
            (b"X\r\nA: b\nB: c\r\n\r\n", LINE_END),
            (b"X\r\nA: b\rB: c\r\n\r\n", LINE_END),
            (b"X\r\nA: b\r\r\n\r\n", LINE_END),
            (b"X\r\n: b\r\n\r\n", NAME),
            (b"X\r\nA b\r\n\r\n", NAME),
            (b"X\r\nA b: c\r\n\r\n", NAME),
            (b"X\r\n\xc3\xbc: c\r\n\r\n", NAME),
            (b"X\r\n A: b\r\n\r\n", FOLD),
            (b"X\r\nA: b\r\n \t\r\n\r\n", BLANK),
            (b"X\r\nA: \xff\r\n\r\n", TEXT),
            (b"X\r\nA: \0\r\n\r\n", CONTROL),
            (b"X\r\nA: \x7f\r\n\r\n", CONTROL),
            (b"X\r\nA: \"\0\"\r\n\r\n", CONTROL),
            (b"X\r\nA: \\\0\r\n\r\n", CONTROL),
            (b"X\0\r\nA: b\r\n\r\n", CONTROL),
        ] {
            assert_eq!(values(bytes), Err(why), "{}", bytes.escape_ascii());
        }
        assert!(values(b"X\r\nA: \"\\\0 \\\x7f\"\r\n\r\n").is_ok(), "RFC 4475 3.1.1.2");
    }

    #[test]
    fn limits_are_exact() {
        let many = |n: usize| format!("X\r\n{}\r\n", "A: b\r\n".repeat(n));
        assert_eq!(values(many(MAX_HEADERS).as_bytes()).unwrap().len(), MAX_HEADERS);
        assert_eq!(values(many(MAX_HEADERS + 1).as_bytes()), Err(MANY));
        let long = |n: usize| format!("X\r\nA: {}\r\n\r\n", "b".repeat(n - 10));
        assert!(values(long(MAX_HEAD).as_bytes()).is_ok());
        assert_eq!(values(long(MAX_HEAD + 1).as_bytes()), Err(LONG));
    }

    #[test]
    fn rfc_3261_20_14_content_length() {
        let length = |lines: &str| {
            let bytes = format!("X\r\n{lines}\r\n");
            Head::parse(bytes.as_bytes()).unwrap().0.content_length()
        };
        assert_eq!(length("l: 5\r\n"), Ok(Some(5)));
        assert_eq!(length("Content-Length:\r\n 0005\r\n"), Ok(Some(5)));
        assert_eq!(length(""), Ok(None));
        for bad in ["-1", "+5", "5 5", "5;x", "", "0x5", "99999999999999999999", "5,5", "5\r\n 5"] {
            assert_eq!(length(&format!("l: {bad}\r\n")), Err(LENGTH), "{bad:?}");
        }
        assert_eq!(length("l: 5\r\nContent-Length: 5\r\n"), Err(LENGTHS));
    }

    #[test]
    fn the_first_of_a_name_is_found_at_once() {
        let (head, _) = Head::parse(b"X\r\nv: 1\r\nX-A: 2\r\nVia: 3\r\n\r\n").unwrap();
        assert_eq!(head.first(HeaderName::Via), Some("1"));
        assert_eq!(head.all(HeaderName::Via).collect::<Vec<_>>(), ["1", "3"]);
        assert_eq!(head.first(HeaderName::To), None);
        assert_eq!(head.known().count(), 2);
    }
}
