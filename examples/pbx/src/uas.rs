//! What a well-formed request is refused for whatever it is about (RFC 3261 section 8.2).

use pbx_sip::{HeaderName, Message, Method, Scheme, Uri};

/// The methods there are.
pub(crate) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER";
/// The types of body there are.
pub(crate) const ACCEPT: &str = "application/sdp";

/// Why a well-formed request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Objection {
    /// What to answer; 0 for nothing.
    pub(crate) status: u16,
    pub(crate) why: &'static str,
    pub(crate) section: &'static str,
}

/// What stands against a request, in the order of RFC 3261 section 8.2; `None` when it can be dealt with.
pub(crate) fn objection(request: &Message<'_>) -> Option<Objection> {
    let object = |status, why, section| Some(Objection { status, why, section });
    match request.method() {
        Method::Invite | Method::Ack | Method::Bye | Method::Cancel | Method::Options | Method::Register => {}
        Method::Other(_) => return object(501, "the method is not known", "RFC 3261 21.5.2"),
        _ => return object(405, "the method is not allowed", "RFC 3261 8.2.1"),
    }
    if request.uri().is_some_and(|u| !matches!(u.scheme(), Scheme::Sip | Scheme::Sips | Scheme::Tel)) {
        return object(416, "the scheme of the Request-URI is not supported", "RFC 3261 8.2.2.1");
    }
    if request.tokens(HeaderName::Require).next().is_some() {
        return object(420, "it requires extensions that are not supported", "RFC 3261 8.2.2.3");
    }
    if request.method() == Method::Register && !is_sip(request.to().uri()) {
        return object(400, "nobody is registered under an address of that scheme", "RFC 3261 10.3");
    }
    if request.method() == Method::Invite && !accepts_sdp(request) {
        return object(406, "it takes no session description in answer", "RFC 3261 8.2.5");
    }
    if !request.body().is_empty() && !is_sdp(request) && !is_optional(request) {
        return object(415, "the type of its body is not supported", "RFC 3261 8.2.3");
    }
    None
}

/// Why a response is thrown away: with a second Via it is meant for somebody else.
pub(crate) fn misdirected(response: &Message<'_>) -> Option<Objection> {
    let why = "more than one Via: it is meant for somebody else";
    (response.vias().nth(1).is_some()).then_some(Objection { status: 0, why, section: "RFC 3261 8.1.3.3" })
}

fn is_sip(uri: &Uri<'_>) -> bool {
    matches!(uri.scheme(), Scheme::Sip | Scheme::Sips)
}

/// Without the header everything is taken (RFC 3261 section 20.1).
fn accepts_sdp(request: &Message<'_>) -> bool {
    let mut types = request.headers_named(HeaderName::Accept).flat_map(|value| value.split(','));
    let names = |t: &str| {
        let name = t.split(';').next().unwrap_or_default().trim();
        ["application/sdp", "application/*", "*/*"].iter().any(|n| name.eq_ignore_ascii_case(n))
    };
    request.header(HeaderName::Accept).is_none() || types.any(names)
}

fn is_sdp(request: &Message<'_>) -> bool {
    request.content_type().is_none_or(|t| t.eq_ignore_ascii_case(ACCEPT))
}

/// A body that need not be understood (RFC 3261 section 20.11).
fn is_optional(request: &Message<'_>) -> bool {
    let disposition = request.header(HeaderName::ContentDisposition).unwrap_or_default();
    disposition.to_ascii_lowercase().contains("handling=optional")
}
