//! When two URIs are the same (RFC 3261 section 19.1.4, RFC 3966 section 4).

use core::fmt::Write as _;
use std::borrow::Cow;

use super::{Host, Scheme, Uri};
use crate::header::lex::USER;

/// Parameters that count even where only one of the URIs has them.
const COUNT_ALWAYS: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

pub(super) fn are_equivalent(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    match (a.scheme(), b.scheme()) {
        (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => are_equivalent_sip(a, b),
        (Scheme::Tel, Scheme::Tel) => are_equivalent_tel(a, b),
        (Scheme::Other(_), Scheme::Other(_)) => a.as_str() == b.as_str(),
        _ => false,
    }
}

fn are_equivalent_sip(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    same(a.user(), b.user(), same_text)
        && same(a.password(), b.password(), same_text)
        && same_host(&a.host(), &b.host())
        && a.port() == b.port()
        && params_agree(a, b)
        && params_agree(b, a)
        && headers_agree(a, b)
        && headers_agree(b, a)
}

fn are_equivalent_tel(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let digits = |uri: &Uri<'_>| -> String {
        let visual = |c: &char| !matches!(c, '-' | '.' | '(' | ')');
        uri.user().unwrap_or_default().chars().filter(visual).map(|c| c.to_ascii_lowercase()).collect()
    };
    let all_in = |a: &Uri<'_>, b: &Uri<'_>| {
        a.params().all(|(name, value)| b.param(name).is_some_and(|other| same_text_any_case(value, other)))
    };
    digits(a) == digits(b) && all_in(a, b) && all_in(b, a)
}

/// Each parameter of `a` has the value that `b` gives it; where `b` has none, it must be one that may be
/// missing.
fn params_agree(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    a.params().all(|(name, value)| match b.param(name) {
        Some(other) => same_text_any_case(value, other),
        None => !COUNT_ALWAYS.iter().any(|always| name.eq_ignore_ascii_case(always)),
    })
}

fn headers_agree(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    a.headers()
        .all(|(name, value)| b.headers().any(|(n, v)| same_text_any_case(name, n) && same_text(value, v)))
}

fn same<T>(a: Option<T>, b: Option<T>, equal: impl Fn(T, T) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => equal(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn same_host(a: &Host<'_>, b: &Host<'_>) -> bool {
    match (a, b) {
        (Host::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
        _ => a == b,
    }
}

fn same_text(a: &str, b: &str) -> bool {
    units(a).eq(units(b))
}

fn same_text_any_case(a: &str, b: &str) -> bool {
    let fold = |(byte, escaped): (u8, bool)| (byte.to_ascii_lowercase(), escaped);
    units(a).map(fold).eq(units(b).map(fold))
}

/// The characters of a text, and whether each has to stay escaped: an escape of an unreserved character is
/// that character, an escaped reserved one is not the reserved one.
fn units(text: &str) -> impl Iterator<Item = (u8, bool)> {
    let mut bytes = text.bytes();
    core::iter::from_fn(move || {
        let byte = bytes.next()?;
        if byte != b'%' {
            return Some((byte, false));
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        let value = u8::try_from(high * 16 + low).ok()?;
        Some((value, !is_unreserved(value)))
    })
}

/// `#` is in no set of the RFC, but users have it.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'#')
}

/// A text without its escapes; `None` when that is not UTF-8.
pub(super) fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let bytes = units(text).map(|(byte, _)| byte).collect();
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

pub(super) fn address_of_record(uri: &Uri<'_>) -> Option<String> {
    let scheme = match uri.scheme() {
        Scheme::Sip | Scheme::Sips => uri.scheme().as_str(),
        _ => return None,
    };
    let mut out = format!("{scheme}:");
    for (byte, escaped) in uri.user().into_iter().flat_map(units) {
        push_unit(&mut out, byte, escaped);
    }
    if uri.user().is_some() {
        out.push('@');
    }
    match uri.host() {
        Host::Name(name) => out.push_str(&name.to_ascii_lowercase()),
        address => out.push_str(&address.to_string()),
    }
    Some(out)
}

fn push_unit(out: &mut String, byte: u8, escaped: bool) {
    debug_assert!(escaped || crate::header::lex::is(byte, USER), "a parsed user part holds nothing else");
    if escaped {
        // Writing to a String cannot fail.
        let _ = write!(out, "%{byte:02X}");
    } else {
        out.push(char::from(byte));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(a: &str, b: &str) -> bool {
        let (a, b) = (Uri::parse(a).unwrap(), Uri::parse(b).unwrap());
        assert_eq!(a.is_equivalent(&b), b.is_equivalent(&a), "symmetric");
        assert!(a.is_equivalent(&a) && b.is_equivalent(&b), "reflexive");
        a.is_equivalent(&b)
    }

    #[test]
    fn rfc_3261_19_1_4_equivalent() {
        for (a, b) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ] {
            assert!(equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn rfc_3261_19_1_4_not_equivalent() {
        for (a, b) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@b", "sips:a@b"),
            ("sip:a%3Bb@c", "sip:a;b@c"),
        ] {
            assert!(!equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn rfc_3966_4_tel() {
        assert!(equal("tel:+1-201-555-0123", "tel:+12015550123"));
        assert!(!equal("tel:+12015550123", "tel:12015550123"));
        assert!(equal("tel:7042;phone-context=Example.com", "tel:7042;phone-context=example.com"));
        assert!(!equal("tel:7042;phone-context=example.com", "tel:7042"));
    }

    #[test]
    fn addresses_of_record_are_injective() {
        let aor = |text: &str| Uri::parse(text).unwrap().address_of_record();
        assert_eq!(aor("sip:a%40b@c"), Some("sip:a%40b@c".to_owned()));
        assert_ne!(aor("sip:a%3Bb@c"), aor("sip:a;b@c"));
        assert_eq!(aor("sip:%3b@c"), aor("sip:%3B@c"));
        assert_eq!(aor("sip:[2001:DB8:0::1]"), Some("sip:[2001:db8::1]".to_owned()));
        assert_eq!(aor("sip:*98#@c"), aor("sip:*98%23@c"));
        assert_ne!(aor("sip:a@b"), aor("sips:a@b"));
        assert_ne!(aor("sip:c"), aor("sip:a@c"));
        assert_eq!(aor("tel:+1"), None);
    }
}
