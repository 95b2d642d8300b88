//! What a `WWW-Authenticate` or `Proxy-Authenticate` header asks for (RFC 7616 3.3, RFC 3261 22).

use super::hash::{Algorithm, Qop};
use super::params::{Malformed, Once, read};

/// A challenge of somebody else's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) realm: String,
    pub(crate) nonce: String,
    pub(crate) opaque: Option<String>,
    /// `None`: one that is not known here.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) qop: Protection,
    pub(crate) stale: bool,
}

/// The protection that a challenge asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// None: the form of RFC 2069, which old providers still send.
    Legacy,
    /// The one to answer with: `auth` where it is offered, because proxies may change bodies.
    Use(Qop),
    /// Only such as are not known here.
    Unknown,
}

impl Offer {
    pub(crate) fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let [mut realm, mut nonce, mut opaque] = ["realm", "nonce", "opaque"].map(Once::new);
        let [mut algorithm, mut qop, mut stale] = ["algorithm", "qop", "stale"].map(Once::new);
        read(value, &mut [&mut realm, &mut nonce, &mut opaque, &mut algorithm, &mut qop, &mut stale])?;
        let text = |o: &Once<'_>, name| o.plain().and_then(|v| utf8(v, name));
        Ok(Self {
            realm: realm.required()?.text().ok_or(Malformed::Value("realm"))?.into_owned(),
            nonce: text(&nonce, "nonce")?,
            opaque: opaque.get().map(|_| text(&opaque, "opaque")).transpose()?,
            algorithm: algorithm.get().map_or(Some(Algorithm::Md5), |v| Algorithm::from_name(v.raw)),
            qop: qop.get().map_or(Protection::Legacy, |v| protection(v.raw)),
            stale: stale.get().is_some_and(|v| v.raw.eq_ignore_ascii_case(b"true")),
        })
    }
}

fn utf8(bytes: &[u8], name: &'static str) -> Result<String, Malformed> {
    core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed::Value(name))
}

fn protection(list: &[u8]) -> Protection {
    let offered =
        |q: Qop| list.split(|&c| c == b',').any(|o| o.trim_ascii().eq_ignore_ascii_case(q.name().as_bytes()));
    match [Qop::Auth, Qop::AuthInt].into_iter().find(|&q| offered(q)) {
        Some(qop) => Protection::Use(qop),
        None => Protection::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_of_rfc_7616_3_9_1_is_read() {
        let value = br#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256,
            nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
        let offer = Offer::parse(value).unwrap();
        assert_eq!(offer.realm, "http-auth@example.org");
        assert_eq!(offer.algorithm, Some(Algorithm::Sha256));
        assert_eq!(offer.qop, Protection::Use(Qop::Auth));
        assert_eq!(offer.opaque.as_deref(), Some("FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"));
        assert!(!offer.stale);
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let offer = Offer::parse(br#"Digest realm="r", nonce="n""#).unwrap();
        assert_eq!((offer.algorithm, offer.qop), (Some(Algorithm::Md5), Protection::Legacy));
        assert_eq!((offer.opaque, offer.stale), (None, false));
    }

    #[test]
    fn stale_is_true_in_any_case_or_not_at_all() {
        for (text, stale) in
            [("true", true), ("TRUE", true), ("\"true\"", true), ("false", false), ("x", false)]
        {
            let value = format!("Digest realm=\"r\", nonce=\"n\", stale={text}");
            assert_eq!(Offer::parse(value.as_bytes()).unwrap().stale, stale, "{text}");
        }
    }

    #[test]
    fn protections_are_chosen() {
        for (list, expected) in [
            ("auth-int", Protection::Use(Qop::AuthInt)),
            ("auth-int,auth", Protection::Use(Qop::Auth)),
            ("AUTH", Protection::Use(Qop::Auth)),
            ("auth-conf", Protection::Unknown),
            ("", Protection::Unknown),
        ] {
            assert_eq!(protection(list.as_bytes()), expected, "{list:?}");
        }
    }

    #[test]
    fn nonces_that_could_break_a_header_are_refused() {
        assert_eq!(Offer::parse(b"Digest realm=\"r\", nonce=\"a\r\nX: y\""), Err(Malformed::Control));
        assert_eq!(Offer::parse(br#"Digest realm="r", nonce="a\"b""#), Err(Malformed::Value("nonce")));
        assert_eq!(Offer::parse(br#"Digest realm="r""#), Err(Malformed::Missing("nonce")));
    }
}
