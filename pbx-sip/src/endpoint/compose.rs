//! The messages an endpoint writes: what the embedder supplies, and what the endpoint adds.

use core::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use pbx_core::{Source, Transport};

use super::error::CommandError;
use crate::config::Config;
use crate::header::{HeaderName, unfold};
use crate::message::write::{Reply, Request, RequestWriter, ResponseWriter, WriteError};
use crate::message::{Message, Method};

/// Where messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "built by the embedder; an address and how to get there")]
pub struct Peer {
    /// Address and port.
    pub addr: SocketAddr,
    /// How.
    pub transport: Transport,
}

impl From<Source> for Peer {
    fn from(source: Source) -> Self {
        Self { addr: source.socket_addr(), transport: source.transport() }
    }
}

/// What the embedder adds to a message: header fields and a body, nothing by default.
///
/// The endpoint writes Via, From, To, Call-ID, CSeq, Content-Length and Record-Route, inside of dialogs Route,
/// and Contact and Max-Forwards where they are missing.
#[derive(Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs, reason = "built by the embedder; a message has no third part")]
pub struct Parts<'a> {
    /// Names and values, in this order.
    pub headers: &'a [(&'a str, &'a str)],
    /// The type of the body; empty for none.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl core::fmt::Debug for Parts<'_> {
    /// Names without values, and the length of the body: both may hold secrets.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Parts")
            .field("headers", &names)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Parts<'a> {
    /// Header fields without a body.
    #[must_use]
    pub const fn headers(headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, content_type: "", body: b"" }
    }

    /// A body without further header fields.
    #[must_use]
    pub const fn body(content_type: &'a str, body: &'a [u8]) -> Self {
        Self { headers: &[], content_type, body }
    }

    /// Whether a header field of that name is given.
    pub(crate) fn has(&self, name: HeaderName) -> bool {
        self.headers.iter().any(|(n, _)| HeaderName::from_text(n) == Some(name))
    }

    /// Refuses what the endpoint writes itself and the writer cannot know of.
    pub(crate) fn check(&self, also: &[HeaderName]) -> Result<(), CommandError> {
        const OURS: [HeaderName; 3] = [HeaderName::Via, HeaderName::RecordRoute, HeaderName::ContentType];
        let reserved = OURS.iter().chain(also).any(|&name| self.has(name));
        if reserved { Err(CommandError::Reserved) } else { Ok(()) }
    }
}

/// Header fields that have to wait until they are sent.
pub(crate) type Headers = Vec<(String, String)>;

pub(crate) fn owned(headers: &[(&str, &str)]) -> Headers {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn borrowed(headers: &Headers) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The response to `request`, which came from `source`.
pub(crate) fn response(
    request: &Message<'_>,
    source: Source,
    reply: &Reply<'_>,
    contact: Option<&str>,
    parts: &Parts<'_>,
) -> Result<Arc<[u8]>, CommandError> {
    parts.check(&[])?;
    let mut out = Vec::with_capacity(512 + parts.body.len());
    let mut writer = ResponseWriter::reply(&mut out, request, &reply.source(source.socket_addr()));
    if let Some(contact) = contact.filter(|_| !parts.has(HeaderName::Contact)) {
        writer = writer.header(HeaderName::Contact.as_str(), contact);
    }
    for (name, value) in parts.headers {
        writer = writer.header(name, value);
    }
    writer.finish(parts.content_type, parts.body)?;
    Ok(out.into())
}

/// A request, with `fields` before those of `parts`.
pub(crate) fn request<'f>(
    core: &Request<'_>,
    fields: impl IntoIterator<Item = (HeaderName, &'f str)>,
    parts: &Parts<'_>,
) -> Result<Arc<[u8]>, CommandError> {
    let mut out = Vec::with_capacity(512 + parts.body.len());
    let mut writer = RequestWriter::new(&mut out, core);
    for (name, value) in
        fields.into_iter().filter(|(name, _)| !parts.has(*name) || *name == HeaderName::Route)
    {
        writer = writer.header(name.as_str(), value);
    }
    for (name, value) in parts.headers {
        writer = writer.header(name, value);
    }
    writer.finish(parts.content_type, parts.body)?;
    Ok(out.into())
}

/// The ACK of a failure (RFC 3261 section 17.1.1.3), or with the To of `request` itself its CANCEL (section
/// 9.1): of the same hop, the same branch and the same number, on the same route.
pub(crate) fn hop_request(
    request: &Message<'_>,
    method: Method,
    to: &str,
    parts: &Parts<'_>,
) -> Result<Arc<[u8]>, CommandError> {
    let (Some(uri), to) = (request.uri(), unfold(to)) else { return Err(CommandError::State("no request")) };
    let core = Request {
        method,
        uri: uri.as_str(),
        via: request.top_via().as_str(),
        from: request.from().as_str(),
        to: &to,
        call_id: request.call_id(),
        seq: request.cseq().seq,
    };
    let routes = request.headers_named(HeaderName::Route).map(|route| (HeaderName::Route, route));
    self::request(&core, routes, parts)
}

/// `request` once more with credentials: another branch, the next number, the rest as it was (RFC 3261 section
/// 22.2).
pub(crate) fn authorized(
    request: &Message<'_>,
    via: &str,
    seq: u32,
    name: &str,
    value: &str,
) -> Result<Arc<[u8]>, CommandError> {
    let Some(uri) = request.uri() else { return Err(CommandError::State("no request")) };
    let core = Request {
        method: request.method(),
        uri: uri.as_str(),
        via,
        from: request.from().as_str(),
        to: request.to().as_str(),
        call_id: request.call_id(),
        seq,
    };
    let mut out = Vec::with_capacity(request.as_bytes().len() + value.len() + 32);
    let mut writer = RequestWriter::new(&mut out, &core);
    for (n, v) in request.headers().filter(|(n, _)| !is_written_anew(n) && !n.eq_ignore_ascii_case(name)) {
        writer = writer.header(n, v);
    }
    let content_type = request.header(HeaderName::ContentType).unwrap_or_default();
    writer.header(name, value).finish(content_type, request.body())?;
    Ok(out.into())
}

fn is_written_anew(name: &str) -> bool {
    use HeaderName as N;
    let ours = [N::Via, N::From, N::To, N::CallId, N::CSeq, N::ContentLength, N::ContentType];
    HeaderName::from_text(name).is_some_and(|name| ours.contains(&name))
}

/// The Via of this hop (RFC 3261 section 18.1.1), asking for `rport` (RFC 3581 section 3).
pub(crate) fn via(config: &Config, transport: Transport, branch: &str) -> Result<String, CommandError> {
    let host_port = config.advertised(transport).ok_or(CommandError::NoAddress(transport))?;
    Ok(format!("SIP/2.0/{} {host_port};branch={branch};rport", transport.name().to_ascii_uppercase()))
}

/// Our Contact.
pub(crate) fn contact(config: &Config, transport: Transport) -> Result<String, CommandError> {
    let host_port = config.advertised(transport).ok_or(CommandError::NoAddress(transport))?;
    let mut out = format!("<sip:{host_port}");
    if transport != Transport::Udp {
        // Writing to a String does not fail.
        let _ = write!(out, ";transport={transport}");
    }
    out.push('>');
    Ok(out)
}

impl From<crate::header::Malformed> for CommandError {
    fn from(malformed: crate::header::Malformed) -> Self {
        Self::Text(WriteError::Malformed(malformed))
    }
}
