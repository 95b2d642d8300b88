//! What an `Authorization` or `Proxy-Authorization` header says (RFC 7616 3.4, RFC 3261 22.4).

use core::fmt;
use std::borrow::Cow;

use super::hash::{Algorithm, Protection, Qop};
use super::params::{Malformed, Once, read};
use crate::credential::is_username;
use crate::hex;

/// Digest credentials, as they were sent; the value stays borrowed.
///
/// Parsing is strict: what a phone never sends and a guessing tool does (no `qop` in answer to a challenge
/// that has one, a parameter twice, a text without end) is [`Malformed`] and counts as a failed attempt.
///
/// ```
/// use pbx_auth::digest::Credentials;
/// let value = br#"Digest username="1001", realm="pbx.example", nonce="00", uri="sip:pbx.example",
///   response="6629fae49393a05397450978507c4ef1", algorithm=MD5, qop=auth, nc=00000001, cnonce="0a4f113b""#;
/// assert_eq!(Credentials::parse(value).unwrap().username(), "1001");
/// ```
pub struct Credentials<'a> {
    username: Cow<'a, str>,
    realm: Cow<'a, str>,
    nonce: &'a [u8],
    uri: &'a [u8],
    response: &'a [u8],
    algorithm: Option<Algorithm>,
    qop: Option<Qop>,
    nc: &'a [u8],
    count: u32,
    cnonce: &'a [u8],
}

impl<'a> Credentials<'a> {
    /// Reads the value of the header.
    ///
    /// # Errors
    /// [`Malformed`]: longer than 4096 bytes, no list of parameters, a parameter missing or given twice, a
    /// user name that no account can have, a nonce count that is not 8 hexadecimal digits above zero.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let [mut username, mut realm, mut nonce, mut uri, mut response] =
            ["username", "realm", "nonce", "uri", "response"].map(Once::new);
        let [mut algorithm, mut qop, mut nc, mut cnonce, mut opaque, mut userhash] =
            ["algorithm", "qop", "nc", "cnonce", "opaque", "userhash"].map(Once::new);
        read(
            value,
            &mut [
                &mut username,
                &mut realm,
                &mut nonce,
                &mut uri,
                &mut response,
                &mut algorithm,
                &mut qop,
                &mut nc,
                &mut cnonce,
                &mut opaque,
                &mut userhash,
            ],
        )?;
        // A hashed name was not asked for (RFC 7616 3.4.4) and cannot be looked up.
        if userhash.get().is_some_and(|v| !v.raw.eq_ignore_ascii_case(b"false")) {
            return Err(Malformed::Value("userhash"));
        }
        let nc = nc.required()?.raw;
        Ok(Self {
            username: username_of(&username)?,
            realm: realm.required()?.text().ok_or(Malformed::Value("realm"))?,
            nonce: nonce.plain()?,
            uri: uri.plain()?,
            response: response.plain()?,
            algorithm: algorithm.get().map_or(Some(Algorithm::Md5), |v| Algorithm::from_name(v.raw)),
            qop: Qop::from_name(qop.required()?.raw),
            nc,
            count: count(nc)?,
            cnonce: Some(cnonce.plain()?).filter(|c| !c.is_empty()).ok_or(Malformed::Value("cnonce"))?,
        })
    }

    /// The name of the account.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The nonce, as it was sent. With [`nonce_count`](Self::nonce_count) and
    /// [`response`](Self::response) it tells a retransmission from another attempt.
    #[must_use]
    pub const fn nonce(&self) -> &'a [u8] {
        self.nonce
    }

    /// The URI that the sender vouches for.
    #[must_use]
    pub const fn uri(&self) -> &'a [u8] {
        self.uri
    }

    /// The response, as it was sent.
    #[must_use]
    pub const fn response(&self) -> &'a [u8] {
        self.response
    }

    /// The algorithm; MD5 when none is named (RFC 7616 3.4), `None` for one that is not known here.
    #[must_use]
    pub const fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The quality of protection; `None` for one that is not known here.
    #[must_use]
    pub const fn qop(&self) -> Option<Qop> {
        self.qop
    }

    /// How many requests the sender sent with this nonce, this one included; at least 1.
    #[must_use]
    pub const fn nonce_count(&self) -> u32 {
        self.count
    }

    /// The nonce count, as it was sent.
    #[must_use]
    pub const fn nc(&self) -> &'a [u8] {
        self.nc
    }

    /// The client's nonce, as it was sent.
    #[must_use]
    pub const fn cnonce(&self) -> &'a [u8] {
        self.cnonce
    }

    pub(crate) const fn protection(&self, qop: Qop) -> Protection<'a> {
        Protection { qop, nc: self.nc, cnonce: self.cnonce }
    }
}

fn username_of<'a>(username: &Once<'a>) -> Result<Cow<'a, str>, Malformed> {
    username.required()?.text().filter(|u| is_username(u)).ok_or(Malformed::Value("username"))
}

/// 8LHEX of RFC 7616 3.4, upper case let pass; a count begins at 1.
fn count(nc: &[u8]) -> Result<u32, Malformed> {
    hex::decode(nc).map(u32::from_be_bytes).filter(|&n| n > 0).ok_or(Malformed::Value("nc"))
}

impl fmt::Debug for Credentials<'_> {
    /// Without nonce, cnonce and response: together they let a reader of the log guess the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .field("uri", &format_args!("{}", self.uri.escape_ascii()))
            .field("algorithm", &self.algorithm)
            .field("qop", &self.qop)
            .field("nonce_count", &self.count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = concat!(
        r#"Digest username="bob",realm="r",nonce="n",uri="sip:r",response="00ff","#,
        r#"algorithm=SHA-256,qop=auth,nc=0000000A,cnonce="c""#
    );

    fn error(value: &str) -> Option<Malformed> {
        Credentials::parse(value.as_bytes()).err()
    }

    #[test]
    fn good_credentials_are_read() {
        let c = Credentials::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((c.username(), c.realm(), c.nonce_count()), ("bob", "r", 10));
        assert_eq!((c.nonce(), c.uri(), c.response()), (&b"n"[..], &b"sip:r"[..], &b"00ff"[..]));
        assert_eq!((c.algorithm(), c.qop()), (Some(Algorithm::Sha256), Some(Qop::Auth)));
    }

    #[test]
    fn every_parameter_but_algorithm_is_needed_and_none_may_come_twice() {
        for part in GOOD.strip_prefix("Digest ").unwrap().split(',') {
            let name = part.split('=').next().unwrap();
            let without = GOOD.replacen(part, "x=y", 1);
            let twice = format!("{GOOD}, {part}");
            assert!(matches!(error(&twice), Some(Malformed::Duplicate(n)) if n == name), "{twice}");
            match name {
                "algorithm" => assert_eq!(
                    Credentials::parse(without.as_bytes()).unwrap().algorithm(),
                    Some(Algorithm::Md5)
                ),
                _ => {
                    assert!(matches!(error(&without), Some(Malformed::Missing(n)) if n == name), "{without}")
                }
            }
        }
    }

    #[test]
    fn nonce_counts_have_eight_digits_and_begin_at_one() {
        for bad in ["00000000", "0000001", "000000001", "0000000g", "\"\""] {
            assert_eq!(error(&GOOD.replace("0000000A", bad)), Some(Malformed::Value("nc")), "{bad}");
        }
        let last = GOOD.replace("0000000A", "ffffffff");
        assert_eq!(Credentials::parse(last.as_bytes()).unwrap().nonce_count(), u32::MAX);
    }

    #[test]
    fn an_empty_cnonce_is_none() {
        assert_eq!(error(&GOOD.replace("\"c\"", "\"\"")), Some(Malformed::Value("cnonce")));
    }

    #[test]
    fn user_names_that_no_account_has_are_refused() {
        let long = "x".repeat(200);
        for bad in ["", "a:b", "a\\:b", &long] {
            let value = GOOD.replace("\"bob\"", &format!("\"{bad}\""));
            assert_eq!(error(&value), Some(Malformed::Value("username")), "{bad}");
        }
        assert_eq!(error(&GOOD.replace("\"bob\"", "\"b\0b\"")), Some(Malformed::Control));
        let latin1 = [&b"Digest username=\"\xfc\","[..], &GOOD.as_bytes()[22..]].concat();
        assert_eq!(Credentials::parse(&latin1).err(), Some(Malformed::Value("username")));
        let escaped = GOOD.replace("\"bob\"", r#""b\"o\\b""#);
        assert_eq!(Credentials::parse(escaped.as_bytes()).unwrap().username(), r#"b"o\b"#);
    }

    #[test]
    fn a_hashed_user_name_is_refused() {
        assert_eq!(error(&format!("{GOOD}, userhash=true")), Some(Malformed::Value("userhash")));
        assert_eq!(error(&format!("{GOOD}, userhash=false")), None);
    }

    #[test]
    fn debug_shows_nothing_to_guess_with() {
        let value = GOOD.replace("00ff", "5ec2e7").replace("nonce=\"n\"", "nonce=\"5ec2e7\"");
        let shown = format!("{:?}", Credentials::parse(value.as_bytes()).unwrap());
        assert!(shown.contains("bob") && !shown.contains("5ec2e7"), "{shown}");
    }
}
