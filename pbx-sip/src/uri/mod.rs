//! SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966).

mod compare;
mod host;
mod scheme;

use core::fmt;
use std::borrow::Cow;

pub use host::Host;
pub(crate) use host::port;
pub use scheme::Scheme;

use crate::header::Malformed;
use crate::header::lex::{URI_HEADER, URI_PARAM, USER, VISIBLE, all, escapes_are_whole, find, is, split};
use host::host_port;

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

/// Most parameters, and most headers, of one URI: two URIs are compared each with each.
const MAX_PARTS: usize = 32;

/// Longest URI in bytes. Ours: requests of real clients stay far below.
pub(crate) const MAX_URI: usize = 4096;

const FORM: Malformed = Malformed::new("a URI is not of its form", "RFC 3261 19.1.1");
const LONG: Malformed = Malformed::new("a URI is longer than 4096 bytes", "RFC 3261 19.1.1");
const USER_PART: Malformed = Malformed::new("the user part of a URI is not of its form", "RFC 3261 19.1.1");
const MANY: Malformed = Malformed::new("a URI has more than 32 parameters or headers", "RFC 3261 19.1.1");
const ESCAPE: Malformed = Malformed::new("a % in a URI is not followed by two digits", "RFC 3261 25.1");
const PARAM: Malformed = Malformed::new("a parameter of a URI is not of its form", "RFC 3261 19.1.1");
const HEADER: Malformed = Malformed::new("a header of a URI is not of its form", "RFC 3261 19.1.1");
const NUMBER: Malformed = Malformed::new("a tel URI has no number", "RFC 3966 3");

impl<'a> Uri<'a> {
    /// A URI without `<>` and white space around it.
    ///
    /// # Errors
    /// When a sip, sips or tel URI is not of its form, or any other has no scheme or is not visible text.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        if text.len() > MAX_URI {
            return Err(LONG);
        }
        let (scheme, rest) = split(text, b':');
        let (kind, rest) = (Scheme::parse(scheme)?, rest.ok_or(FORM)?);
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
        let rest = match split(rest, b'@') {
            (user, Some(rest)) => {
                (self.user, self.password) = userinfo(user)?;
                rest
            }
            (rest, None) => rest,
        };
        let (rest, headers) = split(rest, b'?');
        let (address, params) = rest.split_at(find(rest, b';').unwrap_or(rest.len()));
        (self.host, self.port) = host_port(address)?;
        self.params = checked(params, params.split(';').skip(1), URI_PARAM, PARAM)?;
        self.headers = headers.map(|h| checked(h, h.split('&'), URI_HEADER, HEADER)).transpose()?;
        Ok(self)
    }

    fn tel(mut self, rest: &'a str) -> Result<Self, Malformed> {
        let (number, params) = rest.split_at(find(rest, b';').unwrap_or(rest.len()));
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

    /// The user part with its escapes replaced by what they mean, once; `None` when there is none or it is
    /// not UTF-8. It may hold any character, NUL and line ends included: fit for comparing and for parsing
    /// into a stricter type, never for a line of text.
    ///
    /// ```
    /// let uri = pbx_sip::Uri::parse("sip:*98%23@pbx.example.com").unwrap();
    /// assert_eq!(uri.decoded_user().unwrap(), "*98#");
    /// ```
    #[must_use]
    pub fn decoded_user(&self) -> Option<Cow<'a, str>> {
        self.user.and_then(compare::unescape)
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

    /// Whether both name the same resource in the same way (RFC 3261 section 19.1.4): other order, case and
    /// escapes count for nothing, a default port differs from none, and some parameters count wherever they
    /// stand.
    ///
    /// ```
    /// use pbx_sip::Uri;
    /// let parse = |text| Uri::parse(text).unwrap();
    /// assert!(parse("sip:%61lice@AtLanTa.CoM;lr").is_equivalent(&parse("sip:alice@atlanta.com")));
    /// assert!(!parse("sip:alice@atlanta.com").is_equivalent(&parse("sip:ALICE@atlanta.com")));
    /// ```
    #[must_use]
    pub fn is_equivalent(&self, other: &Uri<'_>) -> bool {
        compare::are_equivalent(self, other)
    }

    /// What a registrar keeps bindings under (RFC 3261 section 10.3): scheme, user and host in one spelling,
    /// without port, password, parameters and headers; `None` for a URI that is neither sip nor sips.
    ///
    /// Equal texts mean equal addresses of record, and unequal ones unequal addresses. It is printable
    /// ASCII: what has to stay escaped does.
    ///
    /// ```
    /// use pbx_sip::Uri;
    /// let aor = |text| Uri::parse(text).unwrap().address_of_record().unwrap();
    /// assert_eq!(aor("SIP:%61lice:pw@AtLanTa.CoM:5060;transport=udp"), "sip:alice@atlanta.com");
    /// assert_eq!(aor("sip:a%00b@c"), "sip:a%00b@c");
    /// ```
    #[must_use]
    pub fn address_of_record(&self) -> Option<String> {
        compare::address_of_record(self)
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

fn name_value(text: &str) -> (&str, &str) {
    let (name, value) = split(text, b'=');
    (name, value.unwrap_or_default())
}

fn userinfo(text: &str) -> Result<(Option<&str>, Option<&str>), Malformed> {
    let (user, password) = split(text, b':');
    let secret = password.is_none_or(|p| p.bytes().all(|b| is(b, USER) && !matches!(b, b';' | b'?' | b'/')));
    if all(user, USER) && secret { Ok((Some(user), password)) } else { Err(USER_PART) }
}

/// `whole`, when each of its parts is `name` or `name=value` of the class.
fn checked<'a>(
    whole: &'a str,
    parts: impl Iterator<Item = &'a str>,
    class: u8,
    otherwise: Malformed,
) -> Result<&'a str, Malformed> {
    let fits = |part: &str| {
        let (name, value) = split(part, b'=');
        // A header may be empty behind its =, a parameter may not; `=` itself is in neither class.
        let value_fits = value.is_none_or(|v| (v.is_empty() && class == URI_HEADER) || all(v, class));
        all(name, class) && value_fits
    };
    let mut count = 0;
    parts.map(|part| fits(part).then(|| count += 1)).collect::<Option<()>>().ok_or(otherwise)?;
    if count > MAX_PARTS { Err(MANY) } else { Ok(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3261_19_1_3_examples() {
        for text in [
            "sip:alice@atlanta.com",
            "sip:alice:secretword@atlanta.com;transport=tcp",
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            "sips:1212@gateway.com",
            "sip:alice@192.0.2.4",
            "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
            "sip:alice;day=tuesday@atlanta.com",
        ] {
            assert_eq!(Uri::parse(text).map(|u| u.as_str()), Ok(text));
        }
        let uri = Uri::parse("sip:alice;day=tuesday@atlanta.com").unwrap();
        assert_eq!((uri.user(), uri.params().next()), (Some("alice;day=tuesday"), None));
        let uri = Uri::parse("sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com").unwrap();
        assert_eq!((uri.user(), uri.param("METHOD")), (None, Some("REGISTER")));
        assert_eq!(uri.headers().next(), Some(("to", "alice%40atlanta.com")));
    }

    #[test]
    fn rfc_3966_tel() {
        let uri = Uri::parse("tel:+1-201-555-0123;phone-context=example.com").unwrap();
        assert_eq!((uri.scheme(), uri.user()), (Scheme::Tel, Some("+1-201-555-0123")));
        assert_eq!(uri.param("phone-context"), Some("example.com"));
        for bad in ["tel:", "tel:;", "tel:+", "tel:--", "tel:12&34", "tel:12;=", "tel:1;a=%4"] {
            assert!(Uri::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_uri() {
        for bad in [
            "",
            "sip",
            "sip:",
            "sip:@",
            "sip:@host",
            "sip:a@",
            "sip:a@b@c",
            "sip::5060",
            "sip:host:",
            "sip:host:0",
            "sip:host:65536",
            "sip:host:99999",
            "sip:host:+5",
            "sip:host:5060x",
            "sip:[::1]x",
            "sip:host;",
            "sip:host;;a",
            "sip:host;=x",
            "sip:host;a=",
            "sip:host;a=b=c",
            "sip:host?",
            "sip:host?a&&b=c",
            "sip:%@host",
            "sip:%4@host",
            "sip:%zz@host",
            "sip:a b@host",
            "sip:ü@host",
            "sip:a@host\r\nX: y",
            "sip:a\0@host",
            "sip:sip:sip:",
            "<sip:a@b>",
            "1x:y",
            "urn:",
            "urn:a b",
            "urn:<>",
            ":a@b",
        ] {
            assert!(Uri::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Uri::parse("sip:a:b:c@host").is_err(), "a password has no colon");
        assert_eq!(Uri::parse(&format!("sip:{}", "a".repeat(MAX_URI))), Err(LONG));
        assert!(Uri::parse(&format!("sip:a{}", ";b".repeat(MAX_PARTS))).is_ok());
        assert_eq!(Uri::parse(&format!("sip:a{}", ";b".repeat(MAX_PARTS + 1))), Err(MANY));
    }

    #[test]
    fn rfc_4475_3_1_1_3_escapes_are_replaced_once() {
        let decoded = |text| Uri::parse(text).unwrap().decoded_user().map(Cow::into_owned);
        assert_eq!(decoded("sip:sips%3Auser%40example.com@a").as_deref(), Some("sips:user@example.com"));
        assert_eq!(decoded("sip:value%2541@a").as_deref(), Some("value%41"));
        assert_eq!(decoded("sip:%C3%BC@a").as_deref(), Some("ü"));
        assert_eq!(decoded("sip:%ff@a"), None);
        assert_eq!(decoded("sip:a"), None);
    }

    #[test]
    fn passwords_and_headers_are_not_shown() {
        let uri = Uri::parse("sip:alice:hunter2@atlanta.com?Authorization=hunter3").unwrap();
        assert_eq!(uri.password(), Some("hunter2"));
        assert!(!format!("{uri:?}").contains("hunter"));
    }
}
