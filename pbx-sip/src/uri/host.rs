//! Hosts and ports of URIs and Vias (RFC 3261 section 25.1).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::header::Malformed;
use crate::header::lex::{HOST, decimal, find, is};

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

const HOST_PART: Malformed = Malformed::new("a host is neither name nor address", "RFC 3261 25.1");
const PORT: Malformed = Malformed::new("a port is not 1 to 65535", "RFC 3261 25.1");

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
        // Figures and dots alone are an address or nothing: a name that looks like one would fool somebody.
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return text.parse().map(Self::V4).map_err(|_| HOST_PART);
        }
        let mut before = b'.';
        let labels = text.bytes().all(|b| {
            let fits = is(b, HOST) && !(b == b'.' && before == b'.');
            before = b;
            fits
        });
        if labels { Ok(Self::Name(text)) } else { Err(HOST_PART) }
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

/// `hostport`: a host and, behind a colon, a port.
pub(super) fn host_port(text: &str) -> Result<(Host<'_>, Option<u16>), Malformed> {
    let end = if text.starts_with('[') { find(text, b']').map(|at| at + 1) } else { find(text, b':') };
    let (host, rest) = text.split_at_checked(end.unwrap_or(text.len())).ok_or(HOST_PART)?;
    let host = Host::parse(host)?;
    match rest.strip_prefix(':') {
        Some(digits) => Ok((host, Some(port(digits)?))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(HOST_PART),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Uri;

    #[test]
    fn hosts() {
        assert_eq!(Uri::parse("sip:[2001:db8::10]:5070").unwrap().port(), Some(5070));
        assert_eq!(Uri::parse("sip:[2001:db8::10:5070]").unwrap().port(), None, "RFC 5118 4.4");
        assert_eq!(Host::parse("192.0.2.4").unwrap().ip(), "192.0.2.4".parse().ok());
        assert!(Host::parse("3f2a9c01").is_ok(), "containers are called so");
        for bad in [
            "",
            "1.2.3.256",
            "1.2.3",
            "12345",
            "::1",
            "[::1",
            "[2001:db8:::1]",
            "[fe80::1%eth0]",
            ".a",
            "a..b",
            "ü",
        ] {
            assert_eq!(Host::parse(bad), Err(HOST_PART), "{bad:?}");
        }
    }
}
