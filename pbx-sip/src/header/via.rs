//! Via (RFC 3261 section 20.42, RFC 3581).

use core::net::IpAddr;

use super::lex::{Cursor, HOST};
use super::{Malformed, Params};
use crate::uri::{Host, port};

/// One hop of a Via header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    text: &'a str,
    transport: &'a str,
    host: Host<'a>,
    port: Option<u16>,
    params: Params<'a>,
    branch: Option<&'a str>,
    received: Option<IpAddr>,
    rport: Option<&'a str>,
}

/// What every branch of RFC 3261 begins with (section 8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

impl<'a> Via<'a> {
    /// One Via value, without commas.
    ///
    /// # Errors
    /// When it is not of the form of RFC 3261 section 20.42.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(text);
        cursor.white();
        let via = Self::read(&mut cursor)?;
        cursor.white();
        if cursor.is_end() { Ok(via) } else { Err(FORM) }
    }

    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let mark = cursor.mark();
        cursor.token(FORM)?;
        slash(cursor)?;
        cursor.token(FORM)?;
        slash(cursor)?;
        let transport = cursor.token(FORM)?;
        if !cursor.white() {
            return Err(FORM);
        }
        let host = sent_by(cursor)?;
        let port = if cursor.separator(b':') { Some(port(cursor.run(HOST))?) } else { None };
        let (params, [branch, received, rport]) = Params::read(cursor, ["branch", "received", "rport"])?;
        branch.map_or(Ok(()), check_branch)?;
        rport.filter(|digits| !digits.is_empty()).map_or(Ok(0), self::port)?;
        let received = received.map(|text| address(text).ok_or(RECEIVED)).transpose()?;
        Ok(Self { text: cursor.since(mark), transport, host, port, params, branch, received, rport })
    }

    /// The value as it was received.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// The transport, in the sender's spelling: `UDP`, `TCP`, `TLS`, `WS`, `WSS` or any other.
    #[must_use]
    pub const fn transport(&self) -> &'a str {
        self.transport
    }

    /// The host where answers are expected, as the sender claims.
    #[must_use]
    pub const fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port where answers are expected, where the sender named one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// What names the transaction (RFC 3261 section 8.1.1.7).
    #[must_use]
    pub const fn branch(&self) -> Option<&'a str> {
        self.branch
    }

    /// Whether the branch is unique by RFC 3261; otherwise transactions are matched as RFC 2543 had it.
    #[must_use]
    pub fn has_magic_cookie(&self) -> bool {
        self.branch().and_then(|b| b.get(..MAGIC_COOKIE.len())).is_some_and(is_cookie)
    }

    /// Where the message really came from, added by who received it (RFC 3261 section 18.2.1).
    #[must_use]
    pub const fn received(&self) -> Option<IpAddr> {
        self.received
    }

    /// The source port (RFC 3581): empty while it is only asked for.
    #[must_use]
    pub const fn rport(&self) -> Option<&'a str> {
        self.rport
    }

    /// All parameters.
    #[must_use]
    pub const fn params(&self) -> Params<'a> {
        self.params
    }
}

const FORM: Malformed = Malformed::new("a Via is not of its form", "RFC 3261 20.42");
const RECEIVED: Malformed = Malformed::new("a received parameter is no address", "RFC 3261 20.42");
const BRANCH: Malformed =
    Malformed::new("a branch is empty or nothing but the magic cookie", "RFC 3261 8.1.1.7");

fn slash(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    if cursor.separator(b'/') { Ok(()) } else { Err(FORM) }
}

fn sent_by<'a>(cursor: &mut Cursor<'a>) -> Result<Host<'a>, Malformed> {
    let mark = cursor.mark();
    if cursor.eat(b'[') {
        cursor.until(b']').ok_or(FORM)?;
        cursor.eat(b']');
    } else {
        cursor.run(HOST);
    }
    Host::parse(cursor.since(mark))
}

fn is_cookie(text: &str) -> bool {
    text.eq_ignore_ascii_case(MAGIC_COOKIE)
}

/// RFC 4475 section 3.2.1: a branch that is the cookie alone names every transaction of its sender.
fn check_branch(branch: &str) -> Result<(), Malformed> {
    if branch.is_empty() || is_cookie(branch) { Err(BRANCH) } else { Ok(()) }
}

/// An address; IPv6 with or without brackets (RFC 5118 section 4.5).
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3261_20_42_examples() {
        let via = Via::parse("SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7").unwrap();
        assert_eq!((via.transport(), via.port()), ("UDP", Some(5060)));
        assert_eq!(via.host(), Host::Name("erlang.bell-telephone.com"));
        assert_eq!(via.branch(), Some("z9hG4bK87asdks7"));
        assert!(via.has_magic_cookie());
        let via = Via::parse(
            "SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1",
        );
        assert_eq!(via.unwrap().port(), Some(4000));
    }

    #[test]
    fn rfc_3581_rport() {
        let asked = Via::parse("SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff").unwrap();
        assert_eq!(asked.rport(), Some(""));
        let told = Via::parse("SIP/2.0/UDP 10.1.1.1;received=192.0.2.1;rport=9988;branch=z9hG4bKk").unwrap();
        assert_eq!((told.rport(), told.received()), (Some("9988"), "192.0.2.1".parse().ok()));
    }

    #[test]
    fn rfc_5118_ipv6_references() {
        let via = Via::parse("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111");
        assert_eq!(via.unwrap().received(), "2001:db8::9:255".parse().ok());
        let via = Via::parse("SIP/2.0/UDP [2001:db8::9:1]:5070;received=2001:db8::9:255;branch=z9hG4bKas3")
            .unwrap();
        assert_eq!(via.received(), "2001:db8::9:255".parse().ok());
        assert_eq!((via.host().ip(), via.port()), ("2001:db8::9:1".parse().ok(), Some(5070)));
    }

    #[test]
    fn what_is_no_via() {
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0/ host",
            "SIP/2.0 host",
            "SIP/2.0/UDP host:0",
            "SIP/2.0/UDP host:65536",
            "SIP/2.0/UDP host:",
            "SIP/2.0/UDP host;;",
            "SIP/2.0/UDP host;branch=",
            "SIP/2.0/UDP host;branch",
            "SIP/2.0/UDP host;branch=z9hG4bK",
            "SIP/2.0/UDP host;branch=a;branch=b",
            "SIP/2.0/UDP host;received=junk",
            "SIP/2.0/UDP host;rport=99999",
            "SIP/2.0/UDP [::1;branch=x",
            "SIP/2.0/UDP host x",
        ] {
            assert!(Via::parse(bad).is_err(), "{bad:?}");
        }
    }
}
