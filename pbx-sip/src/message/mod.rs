//! One SIP message: parsed in place, and written.

mod core;
mod fault;
mod head;
mod method;
mod start_line;
pub mod write;

use std::borrow::Cow;
use std::fmt;

pub use fault::{Action, Fault};
pub use method::{Method, MethodName};
pub use start_line::StartLine;

pub(crate) use head::{Head, empty_lines, head_end};

use self::core::{Core, NO_CALL_ID, NO_CSEQ, NO_FROM, NO_TO, NO_VIA};
use crate::header::{CSeq, HeaderName, Malformed, NameAddr, Via, elements, lex, unfold};
use crate::uri::Uri;

/// How much of a message we take. Real requests stay far below; a sender who goes beyond is answered 513,
/// or loses the stream.
pub mod limits {
    /// Longest message in bytes, body included: what fits a datagram.
    pub const MAX_MESSAGE: usize = 65_536;
    /// Longest head in bytes: start line, header fields and the empty line.
    pub const MAX_HEAD: usize = 16_384;
    /// Most header fields.
    pub const MAX_HEADERS: usize = 128;
}

/// A message as a view of the bytes it was received in.
///
/// What every element relies on is checked when it is parsed: start line, every Via, From, To, Call-ID,
/// CSeq, Max-Forwards, Contact, Route and Record-Route, the length of the body, and that nothing comes twice
/// that may come once. Everything else is read, and checked, when it is asked for.
#[derive(Clone)]
pub struct Message<'a> {
    bytes: &'a [u8],
    head: Head<'a>,
    start: StartLine<'a>,
    via: Via<'a>,
    from: NameAddr<'a>,
    to: NameAddr<'a>,
    call_id: &'a str,
    cseq: CSeq,
    max_forwards: Option<u8>,
    body: &'a [u8],
}

const EMPTY: Malformed = Malformed::new("there is nothing but line ends", "RFC 5626 3.5.1");
const LONG: Malformed =
    Malformed::new("the message is longer than 65536 bytes", "RFC 3261 21.5.14").status_is(513);
const BODY: Malformed =
    Malformed::new("the Content-Length is beyond the end of the datagram", "RFC 3261 18.3");

impl<'a> Message<'a> {
    /// Parses one whole datagram or one message of a [`Framer`](crate::Framer). Bytes of a datagram beyond
    /// its Content-Length are ignored (RFC 3261 section 18.3).
    ///
    /// # Errors
    /// A [`Fault`] that says what is wrong and what to do: respond or drop.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Fault<'a>> {
        let bytes = bytes.get(empty_lines(bytes)..).unwrap_or_default();
        Self::parse_strictly(bytes).map_err(|malformed| Fault::judge(bytes, malformed))
    }

    fn parse_strictly(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match bytes.len() {
            0 => return Err(EMPTY),
            1..=limits::MAX_MESSAGE => {}
            _ => return Err(LONG),
        }
        let (head, head_end) = Head::parse(bytes)?;
        let start = StartLine::parse(head.start_line())?;
        let rest = bytes.get(head_end..).unwrap_or_default();
        let body = rest.get(..head.content_length()?.unwrap_or(rest.len())).ok_or(BODY)?;
        let core = Core::read(&head)?;
        core.check_method(&start)?;
        Ok(Self {
            bytes: bytes.get(..head_end + body.len()).unwrap_or(bytes),
            head,
            start,
            via: core.via.ok_or(NO_VIA)?,
            from: core.from.ok_or(NO_FROM)?,
            to: core.to.ok_or(NO_TO)?,
            call_id: core.call_id.ok_or(NO_CALL_ID)?,
            cseq: core.cseq.ok_or(NO_CSEQ)?,
            max_forwards: core.max_forwards,
            body,
        })
    }

    /// The bytes of the message itself, from the start line to the end of the body: what to keep for parsing
    /// it again.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The start line.
    #[must_use]
    pub const fn start_line(&self) -> StartLine<'a> {
        self.start
    }

    /// The method of the request, or of the request that a response belongs to.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.cseq.method
    }

    /// The Request-URI; `None` of a response.
    #[must_use]
    pub const fn uri(&self) -> Option<&Uri<'a>> {
        match &self.start {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The status, 100 to 699; `None` of a request.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// Whether it is a request.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        matches!(self.start, StartLine::Request { .. })
    }

    /// The Call-ID.
    #[must_use]
    pub const fn call_id(&self) -> &'a str {
        self.call_id
    }

    /// The CSeq.
    #[must_use]
    pub const fn cseq(&self) -> CSeq {
        self.cseq
    }

    /// The From: who asks.
    #[must_use]
    pub const fn from(&self) -> &NameAddr<'a> {
        &self.from
    }

    /// The To: who is asked.
    #[must_use]
    pub const fn to(&self) -> &NameAddr<'a> {
        &self.to
    }

    /// The Via of the last hop.
    #[must_use]
    pub const fn top_via(&self) -> &Via<'a> {
        &self.via
    }

    /// All Vias, the last hop first.
    pub fn vias(&self) -> impl Iterator<Item = Via<'a>> + '_ {
        self.head.all(HeaderName::Via).flat_map(|value| elements(value, Via::read)).filter_map(Result::ok)
    }

    /// How many more hops a request may take.
    #[must_use]
    pub const fn max_forwards(&self) -> Option<u8> {
        self.max_forwards
    }

    /// The Contacts; none when the Contact is `*`.
    pub fn contacts(&self) -> impl Iterator<Item = NameAddr<'a>> + '_ {
        self.addresses(HeaderName::Contact)
    }

    /// Whether the Contact is `*`: every binding is meant (RFC 3261 section 10.2.2).
    #[must_use]
    pub fn contact_is_star(&self) -> bool {
        self.header(HeaderName::Contact) == Some("*")
    }

    /// The Expires header in seconds, cut to the largest 32-bit number; `None` when it is absent or no
    /// number.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        self.header(HeaderName::Expires).and_then(lex::seconds)
    }

    /// The Routes that a request still has to take, next first.
    pub fn routes(&self) -> impl Iterator<Item = NameAddr<'a>> + '_ {
        self.addresses(HeaderName::Route)
    }

    /// The Record-Routes, in the order of the header (RFC 3261 section 12.1).
    pub fn record_routes(&self) -> impl Iterator<Item = NameAddr<'a>> + '_ {
        self.addresses(HeaderName::RecordRoute)
    }

    /// The addresses of all header fields of a name, up to the first that is malformed.
    pub fn addresses(&self, name: HeaderName) -> impl Iterator<Item = NameAddr<'a>> + '_ {
        self.head.all(name).flat_map(|value| elements(value, NameAddr::read)).map_while(Result::ok)
    }

    /// The tokens of all header fields of a name: Require, Supported, Allow and their like. What is no
    /// token is left out.
    pub fn tokens(&self, name: HeaderName) -> impl Iterator<Item = &'a str> + '_ {
        let tokens = self.head.all(name).flat_map(|value| value.split(',')).map(lex::trim);
        tokens.filter(|t| lex::all(t, lex::TOKEN))
    }

    /// The value of the first header field of a name as received, folds and all: see [`unfold`].
    #[must_use]
    pub fn header(&self, name: HeaderName) -> Option<&'a str> {
        self.head.first(name)
    }

    /// The values of all header fields of a name as received: one line, one value.
    pub fn headers_named(&self, name: HeaderName) -> impl Iterator<Item = &'a str> + '_ {
        self.head.all(name)
    }

    /// The values of all header fields that this crate has no name for, by their text, case ignored.
    pub fn extension_headers<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'a str> + 'm {
        self.headers().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Names and values of all header fields as received, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.head.headers()
    }

    /// The credentials for us, one set each, as received (RFC 3261 section 20.7).
    pub fn authorizations(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.head.all(HeaderName::Authorization)
    }

    /// The credentials for proxies, one set each, as received (RFC 3261 section 20.28).
    pub fn proxy_authorizations(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.head.all(HeaderName::ProxyAuthorization)
    }

    /// What the sender says it is, on one line: User-Agent of a request, Server of a response.
    #[must_use]
    pub fn user_agent(&self) -> Option<Cow<'a, str>> {
        let name = if self.is_request() { HeaderName::UserAgent } else { HeaderName::Server };
        self.header(name).map(unfold)
    }

    /// The type of the body without parameters, as written, case and all.
    #[must_use]
    pub fn content_type(&self) -> Option<&'a str> {
        self.header(HeaderName::ContentType)?.split(';').next().map(lex::trim)
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }
}

impl fmt::Debug for Message<'_> {
    /// Without header fields and body: they may hold credentials and keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("start", &self.start)
            .field("call_id", &self.call_id)
            .field("cseq", &self.cseq)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
