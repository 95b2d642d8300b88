//! Writing requests.

use super::WriteError;
use super::out::Out;
use crate::header::{HeaderName, Malformed};
use crate::message::Method;
use crate::uri::Uri;

/// What every request has (RFC 3261 section 8.1.1). Max-Forwards is a header of its own, 70 unless given.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built by the caller; the RFC has no seventh part")]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The Request-URI.
    pub uri: &'a str,
    /// The Via value of this hop, branch included.
    pub via: &'a str,
    /// The From value, tag included: see [`name_addr`](super::name_addr).
    pub from: &'a str,
    /// The To value; with the tag of the peer inside of a dialog.
    pub to: &'a str,
    /// The Call-ID.
    pub call_id: &'a str,
    /// The sequence number of the CSeq; the method is that of the request.
    pub seq: u32,
}

/// Writes one request into a buffer.
#[derive(Debug)]
#[must_use = "nothing counts before `finish`"]
pub struct RequestWriter<'b> {
    out: Out<'b>,
}

const HEADERS: Malformed = Malformed::new("the Request-URI has headers", "RFC 3261 19.1.1");

impl<'b> RequestWriter<'b> {
    /// Begins a request behind what `buffer` holds.
    pub fn new(buffer: &'b mut Vec<u8>, request: &Request<'_>) -> Self {
        let mut out = Out::new(buffer);
        out.attempt(|out| {
            if Uri::parse(request.uri)?.has_headers() {
                return Err(HEADERS.into());
            }
            out.start_line([request.method.as_str(), request.uri, "SIP/2.0"])?;
            out.header(HeaderName::Via.as_str(), request.via)?;
            out.header(HeaderName::From.as_str(), request.from)?;
            out.header(HeaderName::To.as_str(), request.to)?;
            out.header(HeaderName::CallId.as_str(), request.call_id)?;
            out.header(HeaderName::CSeq.as_str(), &format!("{} {}", request.seq, request.method))
        });
        Self { out }
    }

    /// Another header field, in the order given.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.out.attempt(|out| out.header(name, value));
        self
    }

    /// Max-Forwards if none was given, Content-Length and body, with a Content-Type unless that is empty.
    ///
    /// # Errors
    /// The first error of all that was given; the buffer is then as it was.
    pub fn finish(mut self, content_type: &str, body: &[u8]) -> Result<(), WriteError> {
        self.out.attempt(Out::default_max_forwards);
        self.out.finish(content_type, body)
    }
}
