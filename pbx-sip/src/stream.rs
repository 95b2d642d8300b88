//! Cutting a stream into messages (RFC 3261 section 18.3, RFC 5626 section 3.5.1).

use core::fmt;

use crate::header::Malformed;
use crate::message::limits::MAX_MESSAGE;
use crate::message::{Fault, Head, head_end};

/// Cuts the bytes of one stream into messages. It holds at most one message of the longest length.
///
/// The same index that [`Message::parse`](crate::Message::parse) works with decides where a message ends,
/// so that the two never disagree.
///
/// ```
/// use pbx_sip::{Frame, Framer};
/// let mut framer = Framer::new();
/// let mut input = b"\r\nOPTIONS sip:a@b SIP/2.0\r\nl: 2\r\n\r\nhi\r\n".as_slice();
/// assert!(matches!(framer.poll_frame(&mut input), Some(Frame::Pong)));
/// let Some(Frame::Message(message)) = framer.poll_frame(&mut input) else { panic!() };
/// assert!(message.ends_with(b"hi"));
/// assert!(matches!(framer.poll_frame(&mut input), Some(Frame::Pong)));
/// assert!(framer.poll_frame(&mut input).is_none());
/// ```
#[derive(Default)]
pub struct Framer {
    buffer: Vec<u8>,
    start: usize,
    state: State,
}

/// What comes out of a stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// One whole message, for [`Message::parse`](crate::Message::parse).
    Message(&'a [u8]),
    /// The second of two line ends: a keep-alive that is answered with one line end.
    Ping,
    /// The first line end between messages: the answer to a keep-alive, or the first half of one.
    Pong,
    /// The stream has to be closed; nothing comes any more.
    Fault(Fault<'a>),
}

#[derive(Clone, Copy, Default)]
enum State {
    /// Before a start line.
    #[default]
    Between,
    /// A line end was met: another makes a ping.
    Half,
    /// In a head whose first bytes, as many as this, hold no end.
    Head(usize),
    /// In a message of this length.
    Body(usize),
    /// Closed for this reason.
    Closed(Malformed),
}

const NO_LENGTH: Malformed = Malformed::new("a stream needs a Content-Length", "RFC 3261 18.3");
const LONG: Malformed =
    Malformed::new("the message is longer than 65536 bytes", "RFC 3261 21.5.14").status_is(513);

impl Framer {
    /// A framer at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next frame, taking as much of `input` as that needs. Call it until it returns `None`; `input` is
    /// empty then. After a [`Frame::Fault`] it takes everything and returns `None`.
    pub fn poll_frame(&mut self, input: &mut &[u8]) -> Option<Frame<'_>> {
        if let State::Closed(_) = self.state {
            *input = &[];
            return None;
        }
        let step = loop {
            match self.step() {
                Ok(Step::More) if input.is_empty() => return None,
                Ok(Step::More) => self.fill(input),
                step => break step,
            }
        };
        Some(self.emit(step))
    }

    /// How many bytes of an unfinished message are held. A peer that leaves one unfinished for long holds
    /// memory: the caller times it.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn step(&mut self) -> Result<Step, Malformed> {
        loop {
            let held = self.buffer.get(self.start..).unwrap_or_default();
            match self.state {
                State::Between | State::Half => match held {
                    [b'\r', b'\n', ..] => return Ok(self.line_end()),
                    [] | [b'\r'] => return Ok(Step::More),
                    _ => self.state = State::Head(0),
                },
                State::Head(seen) => match head_end(held, seen)? {
                    Some(end) => self.state = State::Body(length(held, end)?),
                    None => {
                        self.state = State::Head(held.len());
                        return Ok(Step::More);
                    }
                },
                State::Body(length) if held.len() >= length => return Ok(Step::Message(length)),
                State::Body(_) => return Ok(Step::More),
                State::Closed(why) => return Err(why),
            }
        }
    }

    fn line_end(&mut self) -> Step {
        self.start += 2;
        match self.state {
            State::Half => {
                self.state = State::Between;
                Step::Ping
            }
            _ => {
                self.state = State::Half;
                Step::Pong
            }
        }
    }

    fn emit(&mut self, step: Result<Step, Malformed>) -> Frame<'_> {
        match step {
            Ok(Step::Message(length)) => {
                let from = self.start;
                self.start += length;
                self.state = State::Between;
                Frame::Message(self.buffer.get(from..self.start).unwrap_or_default())
            }
            Ok(Step::Ping) => Frame::Ping,
            Ok(Step::Pong | Step::More) => Frame::Pong,
            Err(why) => {
                self.state = State::Closed(why);
                let held = core::mem::replace(&mut self.start, self.buffer.len());
                Frame::Fault(Fault::close(self.buffer.get(held..).unwrap_or_default(), why))
            }
        }
    }

    /// Takes as much of `input` as there may be of one message; room is made once per call, not once per
    /// message.
    fn fill(&mut self, input: &mut &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        let room = MAX_MESSAGE.saturating_sub(self.buffer.len());
        let (taken, rest) = input.split_at(room.min(input.len()));
        self.buffer.extend_from_slice(taken);
        *input = rest;
    }
}

enum Step {
    Message(usize),
    Ping,
    Pong,
    More,
}

/// The length of a message whose head ends at `end`.
fn length(held: &[u8], end: usize) -> Result<usize, Malformed> {
    let head = Head::index(held.get(..end).unwrap_or_default())?;
    let body = head.content_length()?.ok_or(NO_LENGTH)?;
    end.checked_add(body).filter(|&length| length <= MAX_MESSAGE).ok_or(LONG)
}

impl fmt::Debug for Framer {
    /// Without what it holds, which may be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framer").field("pending", &self.pending()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_HEAD;

    /// Everything that comes out of chunks of a size, in words.
    fn frames(bytes: &[u8], chunk: usize) -> Vec<String> {
        let mut framer = Framer::new();
        let mut out = Vec::new();
        for mut input in bytes.chunks(chunk) {
            while let Some(frame) = framer.poll_frame(&mut input) {
                out.push(match frame {
                    Frame::Message(m) => format!("message {}", m.len()),
                    Frame::Ping => "ping".to_owned(),
                    Frame::Pong => "pong".to_owned(),
                    Frame::Fault(fault) => format!("close: {}", fault.malformed().why()),
                });
            }
            assert!(input.is_empty());
            assert!(framer.pending() <= MAX_MESSAGE);
        }
        out
    }

    fn message(body: usize) -> Vec<u8> {
        let mut out = format!("OPTIONS sip:a@b SIP/2.0\r\nl: {body}\r\n\r\n").into_bytes();
        out.resize(out.len() + body, b'x');
        out
    }

    #[test]
    fn rfc_5626_3_5_1_keep_alives() {
        assert_eq!(frames(b"\r\n", 1), ["pong"]);
        assert_eq!(frames(b"\r\n\r\n", 3), ["pong", "ping"]);
        assert_eq!(frames(b"\r\n\r\n\r\n\r\n", 8), ["pong", "ping", "pong", "ping"]);
        let between = [message(0).as_slice(), b"\r\n", &message(3)].concat();
        assert_eq!(frames(&between, 7), ["message 33", "pong", "message 36"]);
        assert_eq!(frames(&b"\r\n".repeat(100_000), 65_536).len(), 100_000);
    }

    #[test]
    fn any_chunking_gives_the_same_frames() {
        let damaged = b"x\ny\r\n\r\n".to_vec();
        let bytes = [message(5), message(0), b"\r\n\r\n".to_vec(), message(700), damaged].concat();
        let whole = frames(&bytes, bytes.len());
        let last = "close: a line does not end with CR LF";
        assert_eq!(whole, ["message 38", "message 33", "pong", "ping", "message 735", last]);
        for chunk in 1..50 {
            assert_eq!(frames(&bytes, chunk), whole, "{chunk}");
        }
    }

    #[test]
    fn what_cannot_be_framed_closes_at_once() {
        let close = |text: &str| frames(text.as_bytes(), 1000).pop().unwrap();
        assert_eq!(close(&"x".repeat(MAX_HEAD)), "close: the header is longer than 16384 bytes");
        assert_eq!(close("X\r\nl: 65536\r\n\r\n"), "close: the message is longer than 65536 bytes");
        let most = format!("X\r\nl: {}\r\n\r\n", usize::MAX);
        assert_eq!(close(&most), "close: the message is longer than 65536 bytes");
        assert_eq!(close("X\r\n\r\n"), "close: a stream needs a Content-Length");
        let behind = [b"X\r\n\r\n".as_slice(), &message(0)].concat();
        assert_eq!(frames(&behind, 1).len(), 1, "nothing comes after a close");
    }

    #[test]
    fn the_longest_message_fits() {
        let body = MAX_MESSAGE - message(0).len() - 4;
        let longest = message(body);
        assert_eq!(longest.len(), MAX_MESSAGE);
        let twice = [longest.clone(), longest].concat();
        assert_eq!(frames(&twice, 1_000_000), ["message 65536", "message 65536"]);
    }

    #[test]
    fn held_bytes_are_not_shown() {
        let mut framer = Framer::new();
        assert!(framer.poll_frame(&mut b"REGISTER secret".as_slice()).is_none());
        assert_eq!(framer.pending(), 15);
        assert!(!format!("{framer:?}").contains("secret"));
    }
}
