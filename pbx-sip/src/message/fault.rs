//! What to do about a message that cannot be parsed.

use core::fmt;

use crate::header::lex::{TOKEN, all, trim};
use crate::header::{HeaderName, Malformed};

use super::limits::{MAX_HEAD, MAX_HEADERS};

/// A message that cannot be parsed: what is wrong, what to do, and what an answer has to repeat.
#[derive(Clone, Copy)]
pub struct Fault<'a> {
    action: Action,
    malformed: Malformed,
    bytes: &'a [u8],
}

/// What to do about a message that cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Answer with this status, statelessly:
    /// [`ResponseWriter::refuse`](crate::write::ResponseWriter::refuse).
    Respond(u16),
    /// Send nothing: a response, an ACK, nothing that is SIP, or nobody to answer to.
    Drop,
    /// Close the stream: where the next message begins can no longer be known (RFC 3261 section 18.3).
    CloseStream,
}

impl<'a> Fault<'a> {
    /// The fault of a datagram or framed message.
    pub(super) fn judge(bytes: &'a [u8], malformed: Malformed) -> Self {
        let answerable = is_request(bytes) && lines(bytes).any(|(name, _)| name == Some(HeaderName::Via));
        let action = if answerable { Action::Respond(malformed.status()) } else { Action::Drop };
        Self { action, malformed, bytes }
    }

    pub(crate) const fn close(bytes: &'a [u8], malformed: Malformed) -> Self {
        Self { action: Action::CloseStream, malformed, bytes }
    }

    /// What to do.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// What is wrong, and which section of which RFC says so.
    #[must_use]
    pub const fn malformed(&self) -> Malformed {
        self.malformed
    }

    /// The values of a header field as far as they can be made out, folds and all. Nothing of them was
    /// checked.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
        lines(self.bytes).filter(move |(n, _)| *n == Some(name)).map(|(_, value)| value)
    }
}

impl fmt::Debug for Fault<'_> {
    /// Without the message, which may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("action", &self.action)
            .field("malformed", &self.malformed)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.malformed.fmt(f)
    }
}

/// Whether the first line is near enough to a request that its sender understands an answer: `METHOD ...
/// SIP/`. An ACK is never answered (RFC 3261 section 17.1.1.3).
fn is_request(bytes: &[u8]) -> bool {
    let line = bytes.split(|&b| b == b'\n').next().and_then(|l| core::str::from_utf8(l).ok()).unwrap_or("");
    let (method, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let version = rest.split_ascii_whitespace().next_back().and_then(|v| v.get(..4)).unwrap_or("");
    all(method, TOKEN) && method != "ACK" && version.eq_ignore_ascii_case("SIP/")
}

/// Header fields, read without any strictness, folded lines joined to what they continue.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (Option<HeaderName>, &str)> {
    let head = bytes.get(..MAX_HEAD).unwrap_or(bytes);
    let mut rest = after_line(head);
    let fields = core::iter::from_fn(move || {
        let len = field_len(rest)?;
        let (field, next) = rest.split_at_checked(len)?;
        rest = next;
        Some(field)
    });
    fields.take(MAX_HEADERS).map(|field| {
        let text = core::str::from_utf8(field).unwrap_or("");
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        (HeaderName::from_text(trim(name)), trim(value))
    })
}

/// The bytes of the field at the start, its folded lines included; `None` at the end of the header.
fn field_len(bytes: &[u8]) -> Option<usize> {
    if matches!(bytes, [] | [b'\n', ..] | [b'\r', b'\n', ..]) {
        return None;
    }
    let end = memchr::memchr_iter(b'\n', bytes).find(|at| !matches!(bytes.get(at + 1), Some(b' ' | b'\t')));
    Some(end.map_or(bytes.len(), |at| at + 1))
}

fn after_line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).and_then(|at| bytes.get(at + 1..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: Malformed = Malformed::new("test", "none");

    fn action(text: &str) -> Action {
        Fault::judge(text.as_bytes(), WHY).action()
    }

    #[test]
    fn only_requests_with_a_via_are_answered() {
        assert_eq!(action("INVITE sip:a@b SIP/2.0\r\nv: x\r\n"), Action::Respond(400));
        assert_eq!(action("INVITE  sip:a@b  SIP/7.0  \nVia: x\n"), Action::Respond(400));
        assert_eq!(action("INVITE sip:a@b SIP/2.0\r\nTo: x\r\n"), Action::Drop);
        assert_eq!(action("INVITE sip:a@b SIP/2.0\r\n\r\nVia: x\r\n"), Action::Drop, "a Via in the body");
        assert_eq!(action("ACK sip:a@b SIP/2.0\r\nv: x\r\n"), Action::Drop);
        assert_eq!(action("SIP/2.0 200 OK\r\nv: x\r\n"), Action::Drop);
        assert_eq!(action("GET / HTTP/1.1\r\nVia: x\r\n"), Action::Drop);
        assert_eq!(action(""), Action::Drop);
    }

    #[test]
    fn values_are_salvaged() {
        let text = b"INVITE x SIP/2.0\r\nv: a\r\n  b\r\njunk\r\nVia : c\nTo:\xff\r\nt: d\r\n";
        let fault = Fault::judge(text, WHY);
        assert_eq!(fault.values(HeaderName::Via).collect::<Vec<_>>(), ["a\r\n  b", "c"]);
        assert_eq!(fault.values(HeaderName::To).collect::<Vec<_>>(), ["d"]);
    }

    #[test]
    fn nothing_of_the_message_is_shown() {
        let fault = Fault::judge(b"INVITE x SIP/2.0\r\nAuthorization: secret\r\n", WHY);
        assert!(!format!("{fault:?}{fault}").contains("secret"));
    }
}
