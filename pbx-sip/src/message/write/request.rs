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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use crate::limits::{MAX_HEAD, MAX_HEADERS, MAX_MESSAGE};

    const PLAIN: Request<'static> = Request {
        method: Method::Invite,
        uri: "sip:bob@biloxi.com",
        via: "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1;rport",
        from: "<sip:a@b>;tag=1",
        to: "<sip:bob@biloxi.com>",
        call_id: "x@y",
        seq: 7,
    };

    fn write(request: &Request<'_>, headers: &[(&str, &str)], body: &[u8]) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::new();
        let writer = RequestWriter::new(&mut out, request);
        let writer = headers.iter().fold(writer, |writer, (name, value)| writer.header(name, value));
        let result = writer.finish("", body);
        assert!(result.is_ok() || out.is_empty(), "all or nothing");
        result.map(|()| out)
    }

    #[test]
    fn rfc_3261_8_1_1_a_request() {
        let mut out = Vec::new();
        let writer = RequestWriter::new(&mut out, &PLAIN).header("Contact", "<sip:a@192.0.2.7>");
        writer.finish("application/sdp", b"v=0").unwrap();
        let got = Message::parse(&out).unwrap();
        assert_eq!((got.method(), got.cseq().seq, got.max_forwards()), (Method::Invite, 7, Some(70)));
        assert_eq!((got.content_type(), got.body()), (Some("application/sdp"), b"v=0".as_slice()));
        assert_eq!(got.as_bytes(), out);
    }

    #[test]
    fn no_part_takes_a_line_end() {
        for text in ["sip:a@b\r\nX: y", "sip:a@b\n", "\0", "sip:a@b\r"] {
            for bad in [
                Request { uri: text, ..PLAIN },
                Request { via: text, ..PLAIN },
                Request { from: text, ..PLAIN },
                Request { to: text, ..PLAIN },
                Request { call_id: text, ..PLAIN },
            ] {
                assert!(write(&bad, &[], b"").is_err(), "{bad:?}");
            }
        }
    }

    #[test]
    fn what_the_parser_refuses_is_not_written() {
        let with = |name, value| write(&PLAIN, &[(name, value)], b"").map(drop);
        assert_eq!(with("l", "5"), Err(WriteError::ContentLength));
        assert!(matches!(with("t", "<sip:a@b>"), Err(WriteError::Malformed(_))), "To comes once");
        assert!(matches!(with("Contact", "<sip:a@b"), Err(WriteError::Malformed(_))));
        assert!(matches!(with("Max-Forwards", "300"), Err(WriteError::Malformed(_))));
        assert_eq!(with("Max-Forwards", "5"), Ok(()));
        assert_eq!(with("X\u{fc}", "5"), Err(WriteError::Name));
        assert!(write(&Request { uri: "sip:a@b?x=y", ..PLAIN }, &[], b"").is_err());
        let star = [("Contact", "*"), ("Contact", "<sip:a@b>")];
        assert!(matches!(write(&PLAIN, &star, b""), Err(WriteError::Malformed(_))));
    }

    #[test]
    fn limits_are_those_of_the_parser() {
        let headers = |n: usize| write(&PLAIN, &vec![("X-A", "b"); n], b"");
        let most = headers(MAX_HEADERS - 7).unwrap();
        assert_eq!(
            Message::parse(&most).unwrap().headers().count(),
            MAX_HEADERS,
            "five, Max-Forwards and the length"
        );
        assert_eq!(headers(MAX_HEADERS - 6), Err(WriteError::TooLong));
        assert_eq!(write(&PLAIN, &[], &vec![b'x'; MAX_MESSAGE]), Err(WriteError::TooLong));
        assert_eq!(write(&PLAIN, &[("X-A", &"x".repeat(MAX_HEAD))], b""), Err(WriteError::TooLong));
    }
}
