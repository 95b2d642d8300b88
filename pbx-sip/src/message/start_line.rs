//! The first line of a message (RFC 3261 section 7.1 and 7.2).

use super::Method;
use crate::header::Malformed;
use crate::header::lex::decimal;
use crate::uri::{MAX_URI, Uri};

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartLine<'a> {
    /// A request.
    Request {
        /// What is asked for.
        method: Method,
        /// Of whom.
        uri: Uri<'a>,
    },
    /// A response.
    Response {
        /// 100 to 699.
        status: u16,
        /// Text for people, in any script.
        reason: &'a str,
    },
}

const FORM: Malformed = Malformed::new("the first line is not of its form", "RFC 3261 7.1");
const STATUS: Malformed = Malformed::new("the status is not 100 to 699", "RFC 3261 7.2");
const VERSION: Malformed = Malformed::new("the version is not SIP/2.0", "RFC 3261 7.1").status_is(505);
const LONG: Malformed =
    Malformed::new("the Request-URI is longer than 4096 bytes", "RFC 3261 21.4.12").status_is(414);
const HEADERS: Malformed = Malformed::new("the Request-URI has headers", "RFC 3261 19.1.1");

impl<'a> StartLine<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, Malformed> {
        let (first, rest) = line.split_once(' ').ok_or(FORM)?;
        if is_version(first) {
            check_version(first)?;
            return Self::response(rest);
        }
        let (uri, version) = rest.split_once(' ').ok_or(FORM)?;
        check_version(version)?;
        if uri.len() > MAX_URI {
            return Err(LONG);
        }
        let (method, uri) = (Method::parse(first)?, Uri::parse(uri)?);
        if uri.has_headers() { Err(HEADERS) } else { Ok(Self::Request { method, uri }) }
    }

    fn response(rest: &'a str) -> Result<Self, Malformed> {
        // Some peers leave out the space before an empty reason.
        let (digits, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let status = decimal(digits).filter(|status| digits.len() == 3 && (100..700).contains(status));
        Ok(Self::Response { status: status.ok_or(STATUS)?, reason })
    }
}

/// Whether it is `SIP/` and a version number, ours or another.
fn is_version(text: &str) -> bool {
    let numbers = |v: &str| v.split_once('.').is_some_and(|(a, b)| digits(a) && digits(b));
    let (name, version) = text.split_once('/').unwrap_or((text, ""));
    name.eq_ignore_ascii_case("SIP") && numbers(version)
}

fn check_version(text: &str) -> Result<(), Malformed> {
    match is_version(text) {
        true if text.eq_ignore_ascii_case("SIP/2.0") => Ok(()),
        true => Err(VERSION),
        false => Err(FORM),
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3261_7_1_request_lines() {
        let line = StartLine::parse("INVITE sip:bob@biloxi.com SIP/2.0").unwrap();
        let uri = Uri::parse("sip:bob@biloxi.com").unwrap();
        assert_eq!(line, StartLine::Request { method: Method::Invite, uri });
        assert!(
            StartLine::parse("X-NEW sip:bob@biloxi.com sip/2.0").is_ok(),
            "the version's case is ignored"
        );
    }

    #[test]
    fn rfc_3261_7_2_status_lines() {
        let status = |text: &str| StartLine::parse(text).map(|l| matches!(l, StartLine::Response { .. }));
        assert_eq!(StartLine::parse("SIP/2.0 200 OK"), Ok(StartLine::Response { status: 200, reason: "OK" }));
        assert_eq!(StartLine::parse("SIP/2.0 100 "), Ok(StartLine::Response { status: 100, reason: "" }));
        for bad in ["0", "099", "700", "20", "2000", "4294967301", "+20", "", "2 0"] {
            assert_eq!(status(&format!("SIP/2.0 {bad} x")), Err(STATUS), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_first_line() {
        for bad in [
            "",
            "INVITE",
            "INVITE sip:a@b",
            "INVITE sip:a@b ",
            " INVITE sip:a@b SIP/2.0",
            "INVITE  sip:a@b SIP/2.0",
            "INVITE sip:a@b  SIP/2.0",
            "INVITE sip:a@b SIP/2.0 ",
            "INVITE\tsip:a@b SIP/2.0",
            "INVITE <sip:a@b> SIP/2.0",
            "INVITE sip:a@b SIP/x",
            "INVITE sip:a@b HTTP/1.1",
            "IN;VITE sip:a@b SIP/2.0",
        ] {
            assert_eq!(StartLine::parse(bad).unwrap_err().status(), 400, "{bad:?}");
        }
        assert_eq!(StartLine::parse("INVITE sip:a@b SIP/7.0"), Err(VERSION));
        assert_eq!(StartLine::parse("SIP/3.0 200 OK"), Err(VERSION));
        assert_eq!(StartLine::parse("INVITE sip:a@b?x=y SIP/2.0"), Err(HEADERS));
        let long = format!("INVITE sip:{} SIP/2.0", "a".repeat(MAX_URI));
        assert_eq!(StartLine::parse(&long), Err(LONG));
    }
}
