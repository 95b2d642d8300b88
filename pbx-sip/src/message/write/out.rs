//! What both writers share: lines into a buffer, checked one by one, all or nothing.

use std::io::Write as _;

use super::super::core::{Core, Seen};
use super::super::limits::{MAX_HEAD, MAX_HEADERS, MAX_MESSAGE};
use crate::header::lex::{TOKEN, all};
use crate::header::{HeaderName, Malformed};

/// Why a message is not written. The buffer is then as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The name of a header field is no token.
    #[error("the name of a header field is no token")]
    Name,
    /// A text holds CR, LF, NUL or another control character, which could end a line and begin another.
    #[error("a text holds a control character")]
    Control,
    /// The Content-Length was given: the writer makes it itself.
    #[error("the Content-Length is not given, it is counted")]
    ContentLength,
    /// A value would not be parsed again, or a header field that may come once was given again.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The status is not 100 to 699.
    #[error("the status is not 100 to 699")]
    Status,
    /// The message is longer than [`limits`](crate::limits) allow.
    #[error("the message is too long")]
    TooLong,
}

/// A message in the making.
#[derive(Debug)]
pub(super) struct Out<'b> {
    bytes: &'b mut Vec<u8>,
    start: usize,
    headers: usize,
    seen: Seen,
    error: Option<WriteError>,
}

impl<'b> Out<'b> {
    pub(super) fn new(bytes: &'b mut Vec<u8>) -> Self {
        let start = bytes.len();
        Self { bytes, start, headers: 0, seen: Seen::default(), error: None }
    }

    /// Keeps the first error; nothing is written after it.
    pub(super) fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<(), WriteError>) {
        if self.error.is_none() {
            self.error = step(self).err();
        }
    }

    /// The start line, whose parts were checked.
    pub(super) fn start_line(&mut self, parts: [&str; 3]) -> Result<(), WriteError> {
        let [a, b, c] = parts;
        check_text(a).and(check_text(b)).and(check_text(c))?;
        self.push(&[a, " ", b, " ", c, "\r\n"])
    }

    /// A header field of the application: checked as the parser will check it.
    pub(super) fn header(&mut self, name: &str, value: &str) -> Result<(), WriteError> {
        if !all(name, TOKEN) {
            return Err(WriteError::Name);
        }
        check_text(value)?;
        if let Some(known) = HeaderName::from_text(name) {
            self.check_known(known, value)?;
        }
        self.line(name, value)
    }

    /// A value of a parsed message, unfolded: it was checked, and has control characters only where RFC
    /// 3261 lets it (behind a backslash in quotes).
    pub(super) fn echo(&mut self, name: HeaderName, value: &str) -> Result<(), WriteError> {
        if memchr::memchr2(b'\r', b'\n', value.as_bytes()).is_some() {
            return Err(WriteError::Control);
        }
        self.seen.admit(name, value)?;
        self.line(name.as_str(), value)
    }

    /// A header field that was received and cannot be checked, copied into the answer to a fault.
    pub(super) fn copy(&mut self, name: HeaderName, value: &str) -> Result<(), WriteError> {
        check_text(value)?;
        self.line(name.as_str(), value)
    }

    fn check_known(&mut self, name: HeaderName, value: &str) -> Result<(), WriteError> {
        if name == HeaderName::ContentLength {
            return Err(WriteError::ContentLength);
        }
        self.seen.admit(name, value)?;
        Ok(Core::default().take(name, value)?)
    }

    /// RFC 3261 section 8.1.1.6: 70 unless the caller counts.
    pub(super) fn default_max_forwards(&mut self) -> Result<(), WriteError> {
        match self.seen.has(HeaderName::MaxForwards) {
            true => Ok(()),
            false => self.header(HeaderName::MaxForwards.as_str(), "70"),
        }
    }

    /// Content-Type and body; empty texts leave them out.
    pub(super) fn finish(mut self, content_type: &str, body: &[u8]) -> Result<(), WriteError> {
        if !content_type.is_empty() {
            self.attempt(|out| out.header(HeaderName::ContentType.as_str(), content_type));
        }
        self.attempt(|out| out.body(body));
        match self.error {
            None => Ok(()),
            Some(error) => {
                self.bytes.truncate(self.start);
                Err(error)
            }
        }
    }

    fn body(&mut self, body: &[u8]) -> Result<(), WriteError> {
        // Writing to a Vec cannot fail.
        write!(self.bytes, "Content-Length: {}\r\n\r\n", body.len()).map_err(|_| WriteError::TooLong)?;
        let head = self.bytes.len() - self.start;
        // Content-Length is one header field more.
        if head > MAX_HEAD || head + body.len() > MAX_MESSAGE || self.headers >= MAX_HEADERS {
            return Err(WriteError::TooLong);
        }
        self.bytes.extend_from_slice(body);
        Ok(())
    }

    fn line(&mut self, name: &str, value: &str) -> Result<(), WriteError> {
        self.headers += 1;
        self.push(&[name, ": ", value, "\r\n"])
    }

    fn push(&mut self, parts: &[&str]) -> Result<(), WriteError> {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
        if self.bytes.len() - self.start > MAX_HEAD { Err(WriteError::TooLong) } else { Ok(()) }
    }
}

/// Nothing that ends a line or that the parser refuses.
pub(super) fn check_text(text: &str) -> Result<(), WriteError> {
    let control = |b: u8| (b < b' ' && b != b'\t') || b == 0x7f;
    if text.bytes().any(control) { Err(WriteError::Control) } else { Ok(()) }
}
