//! Writing responses.

use std::net::SocketAddr;

use super::WriteError;
use super::out::Out;
use crate::header::{HeaderName, NameAddr, Via, lex, unfold};
use crate::message::{Fault, Message};
use crate::status::reason_phrase;

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    status: u16,
    reason: &'a str,
    to_tag: &'a str,
    source: Option<SocketAddr>,
}

impl<'a> Reply<'a> {
    /// A status of 100 to 699 with its usual reason phrase.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, reason: reason_phrase(status), to_tag: "", source: None }
    }

    /// With another reason phrase.
    #[must_use]
    pub const fn reason(mut self, reason: &'a str) -> Self {
        self.reason = reason;
        self
    }

    /// With the tag that To gets if it has none; 100 never gets one (RFC 3261 section 8.2.6.2).
    #[must_use]
    pub const fn to_tag(mut self, tag: &'a str) -> Self {
        self.to_tag = tag;
        self
    }

    /// With the address the request came from: it is written into the top Via as RFC 3261 section 18.2.1 and
    /// RFC 3581 section 4 ask.
    #[must_use]
    pub const fn source(mut self, source: SocketAddr) -> Self {
        self.source = Some(source);
        self
    }
}

/// Writes one response into a buffer.
#[derive(Debug)]
#[must_use = "nothing counts before `finish`"]
pub struct ResponseWriter<'b> {
    out: Out<'b>,
}

impl<'b> ResponseWriter<'b> {
    /// Begins the response to a request behind what `buffer` holds: Via in order, From, To, Call-ID, CSeq,
    /// for 100 the Timestamp, and for 101 to 299 the Record-Routes.
    pub fn reply(buffer: &'b mut Vec<u8>, request: &Message<'_>, reply: &Reply<'_>) -> Self {
        let mut out = Out::new(buffer);
        out.attempt(|out| {
            status_line(out, reply)?;
            vias(out, request, reply)?;
            out.echo(HeaderName::From, &unfold(request.from().as_str()))?;
            out.echo(HeaderName::To, &to(request.to(), reply)?)?;
            out.echo(HeaderName::CallId, request.call_id())?;
            out.echo(HeaderName::CSeq, &format!("{} {}", request.cseq().seq, request.method()))?;
            copies(reply.status).iter().try_for_each(|&name| copy_all(out, request, name))
        });
        Self { out }
    }

    /// Begins the response to a request that cannot be parsed: what can be made out of Via, From, To, Call-ID
    /// and CSeq is repeated as it was received.
    pub fn refuse(buffer: &'b mut Vec<u8>, fault: &Fault<'_>, reply: &Reply<'_>) -> Self {
        let mut out = Out::new(buffer);
        out.attempt(|out| {
            status_line(out, reply)?;
            let mut vias = fault.values(HeaderName::Via).enumerate();
            vias.try_for_each(|(n, via)| fault_via(out, via, n, reply))?;
            if let Some(value) = fault.values(HeaderName::To).next() {
                salvage(out, HeaderName::To, &fault_to(value, reply)?)?;
            }
            [HeaderName::From, HeaderName::CallId, HeaderName::CSeq].into_iter().try_for_each(|name| {
                fault.values(name).next().map_or(Ok(()), |value| salvage(out, name, &unfold(value)))
            })
        });
        Self { out }
    }

    /// Another header field, in the order given.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.out.attempt(|out| out.header(name, value));
        self
    }

    /// Content-Length and body, with a Content-Type unless that is empty.
    ///
    /// # Errors
    /// The first error of all that was given; the buffer is then as it was.
    pub fn finish(self, content_type: &str, body: &[u8]) -> Result<(), WriteError> {
        self.out.finish(content_type, body)
    }
}

fn status_line(out: &mut Out<'_>, reply: &Reply<'_>) -> Result<(), WriteError> {
    if !(100..700).contains(&reply.status) {
        return Err(WriteError::Status);
    }
    out.start_line(["SIP/2.0", &reply.status.to_string(), reply.reason])
}

fn vias(out: &mut Out<'_>, request: &Message<'_>, reply: &Reply<'_>) -> Result<(), WriteError> {
    request.vias().enumerate().try_for_each(|(n, via)| {
        let value = if n == 0 { top_via(&via, reply) } else { unfold(via.as_str()).into_owned() };
        out.echo(HeaderName::Via, &value)
    })
}

/// The top Via with `received` and `rport` as they are, not as the sender wrote them: whoever believes a
/// forged `received` sends answers to a stranger.
fn top_via(via: &Via<'_>, reply: &Reply<'_>) -> String {
    let Some(source) = reply.source else { return unfold(via.as_str()).into_owned() };
    let hop = via.as_str().strip_suffix(via.params().as_str()).unwrap_or_default();
    let mut value = unfold(hop).into_owned();
    for (name, text) in via.params().iter().filter(|(name, _)| !is_about_source(name)) {
        value += ";";
        value += name;
        value += &text.map(|t| format!("={}", unfold(t))).unwrap_or_default();
    }
    let address = source.ip().to_canonical();
    if via.rport().is_some() {
        value += &format!(";received={address};rport={}", source.port());
    } else if via.host().ip() != Some(address) {
        value += &format!(";received={address}");
    }
    value
}

fn is_about_source(param: &str) -> bool {
    param.eq_ignore_ascii_case("received") || param.eq_ignore_ascii_case("rport")
}

fn to(to: &NameAddr<'_>, reply: &Reply<'_>) -> Result<String, WriteError> {
    let value = unfold(to.as_str()).into_owned();
    match reply.to_tag {
        tag if tag.is_empty() || to.tag().is_some() || reply.status == 100 => Ok(value),
        tag if lex::all(tag, lex::TOKEN) => Ok(format!("{value};tag={tag}")),
        _ => Err(WriteError::Name),
    }
}

/// What a response repeats besides the core (RFC 3261 section 8.2.6.1 and 12.1.1).
const fn copies(status: u16) -> &'static [HeaderName] {
    match status {
        100 => &[HeaderName::Timestamp],
        101..=299 => &[HeaderName::RecordRoute],
        _ => &[],
    }
}

fn copy_all(out: &mut Out<'_>, request: &Message<'_>, name: HeaderName) -> Result<(), WriteError> {
    request.headers_named(name).try_for_each(|value| out.echo(name, &unfold(value)))
}

/// The Vias of a fault as they are; the top one with the true source if it at least can be parsed.
fn fault_via(out: &mut Out<'_>, value: &str, n: usize, reply: &Reply<'_>) -> Result<(), WriteError> {
    match Via::parse(value) {
        Ok(via) if n == 0 => salvage(out, HeaderName::Via, &top_via(&via, reply)),
        _ => salvage(out, HeaderName::Via, &unfold(value)),
    }
}

fn fault_to(value: &str, reply: &Reply<'_>) -> Result<String, WriteError> {
    match NameAddr::parse(value) {
        Ok(parsed) => to(&parsed, reply),
        Err(_) => Ok(unfold(value).into_owned()),
    }
}

/// Copies what is harmless; what holds a control character is left out.
fn salvage(out: &mut Out<'_>, name: HeaderName, value: &str) -> Result<(), WriteError> {
    match out.copy(name, lex::trim(value)) {
        Err(WriteError::Control) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StartLine;

    const INVITE: &str = "INVITE sip:bob@biloxi.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP 10.0.0.9:5080;branch=z9hG4bK1;rport;received=192.0.2.66\r\n\
        Via: SIP/2.0/UDP b;branch=z9hG4bK2,\r\n SIP / 2.0 / TCP c;branch=z9hG4bK3\r\n\
        Record-Route: <sip:p2;lr>, <sip:p1;lr>\r\n\
        From: \"A\\\u{0}\" <sip:a@b>\r\n ;tag=1\r\nTo: <sip:bob@biloxi.com>\r\n\
        Call-ID: x@y\r\nCSeq: 7 INVITE\r\nTimestamp: 54\r\nContent-Length: 0\r\n\r\n";

    fn reply(reply: &Reply<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let request = Message::parse(INVITE.as_bytes()).unwrap();
        ResponseWriter::reply(&mut out, &request, reply).finish("", b"").unwrap();
        out
    }

    #[test]
    fn rfc_3261_8_2_6_2_what_a_response_repeats() {
        let out = reply(&Reply::new(180).to_tag("t1"));
        let got = Message::parse(&out).unwrap();
        assert_eq!(got.start_line(), StartLine::Response { status: 180, reason: "Ringing" });
        let branches: Vec<_> = got.vias().filter_map(|via| via.branch()).collect();
        assert_eq!(branches, ["z9hG4bK1", "z9hG4bK2", "z9hG4bK3"]);
        assert_eq!((got.from().tag(), got.to().tag()), (Some("1"), Some("t1")));
        assert_eq!(got.from().display_name().unwrap(), "A\0");
        assert_eq!((got.call_id(), got.cseq().seq), ("x@y", 7));
        assert_eq!(got.record_routes().count(), 2);
        assert_eq!(got.header(HeaderName::Timestamp), None);
    }

    #[test]
    fn rfc_3261_8_2_6_1_trying_has_no_tag_but_a_timestamp() {
        let out = reply(&Reply::new(100).to_tag("t1"));
        let got = Message::parse(&out).unwrap();
        assert_eq!((got.to().tag(), got.header(HeaderName::Timestamp)), (None, Some("54")));
        assert_eq!(got.record_routes().count(), 0);
    }

    #[test]
    fn rfc_3581_4_the_top_via_tells_the_true_source() {
        let out = reply(&Reply::new(200).source("[::ffff:198.51.100.7]:4711".parse().unwrap()));
        let got = Message::parse(&out).unwrap();
        assert_eq!(got.top_via().received(), "198.51.100.7".parse().ok(), "the forged one is gone");
        assert_eq!((got.top_via().rport(), got.top_via().port()), (Some("4711"), Some(5080)));
        assert_eq!(got.top_via().branch(), Some("z9hG4bK1"));
    }

    #[test]
    fn rfc_3261_18_2_1_received_only_where_it_differs() {
        let via = Via::parse("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1").unwrap();
        let value = |source: &str| top_via(&via, &Reply::new(200).source(source.parse().unwrap()));
        assert_eq!(value("192.0.2.1:9"), "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1");
        assert_eq!(value("192.0.2.2:9"), "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;received=192.0.2.2");
        assert!(value("[2001:db8::1]:9").ends_with(";received=2001:db8::1"));
    }

    #[test]
    fn nothing_of_the_application_ends_a_line() {
        let request = Message::parse(INVITE.as_bytes()).unwrap();
        for text in ["a\r\nX: y", "a\nb", "a\rb", "a\0b"] {
            let mut out = b"before".to_vec();
            let header = ResponseWriter::reply(&mut out, &request, &Reply::new(200)).header("X-A", text);
            assert_eq!(header.finish("", b""), Err(WriteError::Control), "{text:?}");
            let name = ResponseWriter::reply(&mut out, &request, &Reply::new(200)).header(text, "a");
            assert_eq!(name.finish("", b""), Err(WriteError::Name), "{text:?}");
            let kind = ResponseWriter::reply(&mut out, &request, &Reply::new(200));
            assert_eq!(kind.finish(text, b""), Err(WriteError::Control), "{text:?}");
            for reply in [Reply::new(200).reason(text), Reply::new(200).to_tag(text)] {
                let result = ResponseWriter::reply(&mut out, &request, &reply).finish("", b"");
                assert!(matches!(result, Err(WriteError::Control | WriteError::Name)), "{text:?}");
            }
            assert_eq!(out, b"before", "all or nothing");
        }
    }

    #[test]
    fn a_fault_is_answered_with_what_can_be_made_out() {
        let damaged = INVITE.replace("CSeq: 7", "Subject: a\0b\r\nCSeq: 99999999999");
        let fault = Message::parse(damaged.as_bytes()).unwrap_err();
        let mut out = Vec::new();
        let reply = Reply::new(400).to_tag("t2").source("192.0.2.9:9".parse().unwrap());
        ResponseWriter::refuse(&mut out, &fault, &reply).finish("", b"").unwrap();
        let text = String::from_utf8(out).unwrap();
        let top = "Via: SIP/2.0/UDP 10.0.0.9:5080;branch=z9hG4bK1;received=192.0.2.9;rport=9\r\n";
        assert!(text.starts_with(&format!("SIP/2.0 400 Bad Request\r\n{top}")), "{text}");
        assert!(text.contains("\r\nTo: <sip:bob@biloxi.com>;tag=t2\r\n"), "{text}");
        assert!(text.contains("\r\nCSeq: 99999999999 INVITE\r\n"), "{text}");
        assert!(!text.contains("From"), "it holds a control character that nobody checked: {text}");
        assert!(!text.contains("Subject"), "{text}");
    }

    #[test]
    fn statuses_have_three_digits() {
        let request = Message::parse(INVITE.as_bytes()).unwrap();
        for status in [0, 99, 700, u16::MAX] {
            let mut out = Vec::new();
            let result = ResponseWriter::reply(&mut out, &request, &Reply::new(status)).finish("", b"");
            assert_eq!(result, Err(WriteError::Status));
        }
    }
}
