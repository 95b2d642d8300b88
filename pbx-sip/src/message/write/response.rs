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
            out.header(HeaderName::From.as_str(), &unfold(request.from().as_str()))?;
            out.header(HeaderName::To.as_str(), &to(request.to(), reply))?;
            out.header(HeaderName::CallId.as_str(), request.call_id())?;
            out.header(HeaderName::CSeq.as_str(), &format!("{} {}", request.cseq().seq, request.method()))?;
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
            fault
                .values(HeaderName::Via)
                .enumerate()
                .try_for_each(|(n, via)| fault_via(out, via, n, reply))?;
            let from = fault.values(HeaderName::From).next();
            from.map_or(Ok(()), |value| salvage(out, HeaderName::From, &unfold(value)))?;
            let to = fault.values(HeaderName::To).next();
            to.map_or(Ok(()), |value| salvage(out, HeaderName::To, &fault_to(value, reply)))?;
            [HeaderName::CallId, HeaderName::CSeq].into_iter().try_for_each(|name| {
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
        out.header(HeaderName::Via.as_str(), &value)
    })
}

/// The top Via with `received` and `rport` as they are, not as the sender wrote them: whoever believes a forged
/// `received` sends answers to a stranger.
fn top_via(via: &Via<'_>, reply: &Reply<'_>) -> String {
    let Some(source) = reply.source else { return unfold(via.as_str()).into_owned() };
    let mut value = format!("SIP/2.0/{} {}", via.transport(), via.host());
    if let Some(port) = via.port() {
        value += &format!(":{port}");
    }
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

fn to(to: &NameAddr<'_>, reply: &Reply<'_>) -> String {
    let value = unfold(to.as_str());
    match reply.to_tag {
        tag if !tag.is_empty() && to.tag().is_none() && reply.status > 100 => format!("{value};tag={tag}"),
        _ => value.into_owned(),
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
    request.headers_named(name).try_for_each(|value| out.header(name.as_str(), &unfold(value)))
}

/// The Vias of a fault as they are; the top one with the true source if it at least can be parsed.
fn fault_via(out: &mut Out<'_>, value: &str, n: usize, reply: &Reply<'_>) -> Result<(), WriteError> {
    match Via::parse(value) {
        Ok(via) if n == 0 => salvage(out, HeaderName::Via, &top_via(&via, reply)),
        _ => salvage(out, HeaderName::Via, &unfold(value)),
    }
}

fn fault_to(value: &str, reply: &Reply<'_>) -> String {
    match NameAddr::parse(value) {
        Ok(parsed) => to(&parsed, reply),
        Err(_) => unfold(value).into_owned(),
    }
}

/// Copies what is harmless; what holds a control character is left out.
fn salvage(out: &mut Out<'_>, name: HeaderName, value: &str) -> Result<(), WriteError> {
    match out.copy(name, lex::trim(value)) {
        Err(WriteError::Control) => Ok(()),
        result => result,
    }
}
