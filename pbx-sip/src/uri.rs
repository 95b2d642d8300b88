//! SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::header::Malformed;
use crate::header::lex::{HOST, URI_HEADER, URI_PARAM, USER, VISIBLE, all, decimal, escapes_are_whole, is};

/// What kind of URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme<'a> {
    /// `sip:`
    Sip,
    /// `sips:`, TLS on every hop.
    Sips,
    /// `tel:` (RFC 3966); the number is the user part.
    Tel,
    /// Any other; nothing behind the colon is looked at.
    Other(&'a str),
}

/// The host of a URI or a Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Host<'a> {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, which stands in brackets.
    V6(Ipv6Addr),
    /// A name, in the sender's spelling.
    Name(&'a str),
}

/// A URI as a view of the text it was parsed from.
///
/// ```
/// use pbx_sip::{Host, Uri};
/// let uri = Uri::parse("sip:1001@example.com:5080;transport=tcp").unwrap();
/// assert_eq!((uri.user(), uri.port()), (Some("1001"), Some(5080)));
/// assert_eq!(uri.host(), Host::Name("example.com"));
/// assert_eq!(uri.param("transport"), Some("tcp"));
/// ```
///
/// Equality of two views is that of their parts as written; [`Uri::is_equivalent`] is that of RFC 3261.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    text: &'a str,
    scheme: Scheme<'a>,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: Host<'a>,
    port: Option<u16>,
    params: &'a str,
    headers: Option<&'a str>,
}

/// Longest URI in bytes. Ours: requests of real clients stay far below.
pub(crate) const MAX_URI: usize = 4096;

const FORM: Malformed = Malformed::new("a URI is not of its form", "RFC 3261 19.1.1");
const LONG: Malformed = Malformed::new("a URI is longer than 4096 bytes", "RFC 3261 21.4.12").status_is(414);
const USER_PART: Malformed = Malformed::new("the user part of a URI is not of its form", "RFC 3261 19.1.1");
const HOST_PART: Malformed = Malformed::new("a host is neither name nor address", "RFC 3261 25.1");
const ESCAPE: Malformed = Malformed::new("a % in a URI is not followed by two digits", "RFC 3261 25.1");
const PARAM: Malformed = Malformed::new("a parameter of a URI is not of its form", "RFC 3261 19.1.1");
const HEADER: Malformed = Malformed::new("a header of a URI is not of its form", "RFC 3261 19.1.1");
const NUMBER: Malformed = Malformed::new("a tel URI has no number", "RFC 3966 3");
pub(crate) const PORT: Malformed = Malformed::new("a port is not 1 to 65535", "RFC 3261 25.1");

impl<'a> Uri<'a> {
    /// A URI without `<>` and white space around it.
    ///
    /// # Errors
    /// When a sip, sips or tel URI is not of its form, or any other has no scheme or is not visible text.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        if text.len() > MAX_URI {
            return Err(LONG);
        }
        let (scheme, rest) = text.split_once(':').ok_or(FORM)?;
        let kind = Scheme::parse(scheme)?;
        let empty = Self {
            text,
            scheme: kind,
            user: None,
            password: None,
            host: Host::Name(""),
            port: None,
            params: "",
            headers: None,
        };
        match kind {
            Scheme::Sip | Scheme::Sips => empty.sip(rest),
            Scheme::Tel => empty.tel(rest),
            Scheme::Other(_) => empty.opaque(rest),
        }
    }

    fn sip(mut self, rest: &'a str) -> Result<Self, Malformed> {
        if !escapes_are_whole(rest) {
            return Err(ESCAPE);
        }
        // No part but the user has an `@`, so the first one ends it.
        let rest = match rest.split_once('@') {
            Some((user, rest)) => {
                (self.user, self.password) = userinfo(user)?;
                rest
            }
            None => rest,
        };
        let (rest, headers) = split(rest, '?');
        let (address, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        (self.host, self.port) = host_port(address)?;
        self.params = checked(params, params.split(';').skip(1), URI_PARAM, PARAM)?;
        self.headers = headers.map(|h| checked(h, h.split('&'), URI_HEADER, HEADER)).transpose()?;
        Ok(self)
    }

    fn tel(mut self, rest: &'a str) -> Result<Self, Malformed> {
        let (number, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        let digit = |b: u8| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#');
        let local = number.strip_prefix('+').unwrap_or(number);
        let fits = local.bytes().all(|b| digit(b) || matches!(b, b'-' | b'.' | b'(' | b')'));
        if !fits || !local.bytes().any(digit) {
            return Err(NUMBER);
        }
        self.user = Some(number);
        self.params = checked(params, params.split(';').skip(1), URI_PARAM, PARAM)?;
        if escapes_are_whole(params) { Ok(self) } else { Err(ESCAPE) }
    }

    fn opaque(self, rest: &str) -> Result<Self, Malformed> {
        let fits = |b: u8| b.is_ascii() && is(b, VISIBLE) && !matches!(b, b'<' | b'>' | b'"');
        if !rest.is_empty() && rest.bytes().all(fits) { Ok(self) } else { Err(FORM) }
    }

    /// The URI as it was written.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// The scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme<'a> {
        self.scheme
    }

    /// The user part with its escapes; for `tel:` the number.
    #[must_use]
    pub const fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The password, which nobody should send (RFC 3261 section 19.1.1).
    #[must_use]
    pub const fn password(&self) -> Option<&'a str> {
        self.password
    }

    /// The host; an empty name for URIs other than sip and sips.
    #[must_use]
    pub const fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port, where one is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The parameters in order: names and values as written, an empty value where there is none.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.params.split(';').skip(1).map(name_value)
    }

    /// The value of the parameter of that name (case ignored); empty when it has none.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The headers behind `?` in order: names and values as written.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.headers.into_iter().flat_map(|h| h.split('&')).map(name_value)
    }

    /// Whether there are headers behind `?`; a Request-URI has none (RFC 3261 section 19.1.1).
    #[must_use]
    pub const fn has_headers(&self) -> bool {
        self.headers.is_some()
    }
}

impl fmt::Debug for Uri<'_> {
    /// Without password and headers: either may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uri")
            .field("scheme", &self.scheme)
            .field("user", &self.user)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

impl<'a> Scheme<'a> {
    fn parse(text: &'a str) -> Result<Self, Malformed> {
        let known = [("sip", Self::Sip), ("sips", Self::Sips), ("tel", Self::Tel)];
        if let Some(&(_, kind)) = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(kind);
        }
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let fits = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(letters);
        if fits { Ok(Self::Other(text)) } else { Err(FORM) }
    }

    /// The scheme without its colon.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other(text) => text,
        }
    }
}

impl<'a> Host<'a> {
    /// A host name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// # Errors
    /// When it is none of these; figures and dots alone must be an address.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|t| t.parse().ok());
            return address.map(Self::V6).ok_or(HOST_PART);
        }
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return text.parse().map(Self::V4).map_err(|_| HOST_PART);
        }
        let labels = !text.starts_with('.') && !text.contains("..");
        if all(text, HOST) && labels { Ok(Self::Name(text)) } else { Err(HOST_PART) }
    }

    /// The address, when it is one.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match *self {
            Self::V4(a) => Some(IpAddr::V4(a)),
            Self::V6(a) => Some(IpAddr::V6(a)),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for Host<'_> {
    /// As it stands in a URI: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(a) => write!(f, "{a}"),
            Self::V6(a) => write!(f, "[{a}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A port as it is written behind a colon.
pub(crate) fn port(text: &str) -> Result<u16, Malformed> {
    decimal(text).filter(|&port| port > 0).ok_or(PORT)
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(a, b)| (a, Some(b)))
}

fn name_value(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or((text, ""))
}

fn userinfo(text: &str) -> Result<(Option<&str>, Option<&str>), Malformed> {
    let (user, password) = split(text, ':');
    let secret = password.is_none_or(|p| p.bytes().all(|b| is(b, USER) && !matches!(b, b';' | b'?' | b'/')));
    if all(user, USER) && secret { Ok((Some(user), password)) } else { Err(USER_PART) }
}

fn host_port(text: &str) -> Result<(Host<'_>, Option<u16>), Malformed> {
    let end = if text.starts_with('[') { text.find(']').map(|at| at + 1) } else { text.find(':') };
    let (host, rest) = text.split_at_checked(end.unwrap_or(text.len())).ok_or(HOST_PART)?;
    let host = Host::parse(host)?;
    match rest.strip_prefix(':') {
        Some(digits) => Ok((host, Some(port(digits)?))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(HOST_PART),
    }
}

/// `whole`, when each of its parts is `name` or `name=value` of the class.
fn checked<'a>(
    whole: &'a str,
    mut parts: impl Iterator<Item = &'a str>,
    class: u8,
    otherwise: Malformed,
) -> Result<&'a str, Malformed> {
    let fits = |part: &str| {
        let (name, value) = split(part, '=');
        // A header may be empty behind its =, a parameter may not; `=` itself is in neither class.
        let value_fits = value.is_none_or(|v| (v.is_empty() && class == URI_HEADER) || all(v, class));
        all(name, class) && value_fits
    };
    if parts.all(fits) { Ok(whole) } else { Err(otherwise) }
}
