//! The header fields that every element needs (RFC 3261 section 8.1.1), checked before anybody sees a
//! message.

use super::{Method, StartLine, head::Head};
use crate::header::lex::{Cursor, WORD, all, decimal};
use crate::header::{CSeq, HeaderName, Malformed, NameAddr, Via, elements};

/// The values of the core header fields as far as they were met.
#[derive(Clone, Default)]
pub(crate) struct Core<'a> {
    pub(crate) via: Option<Via<'a>>,
    pub(crate) from: Option<NameAddr<'a>>,
    pub(crate) to: Option<NameAddr<'a>>,
    pub(crate) call_id: Option<&'a str>,
    pub(crate) cseq: Option<CSeq>,
    pub(crate) max_forwards: Option<u8>,
    seen: Seen,
}

/// Which header fields a message has so far, to find what comes twice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    bits: u64,
    star: bool,
}

const _: () = assert!(HeaderName::COUNT <= 64, "`Seen` has a bit for each name");

const TWICE: Malformed = Malformed::new("a header field that may come once comes twice", "RFC 3261 7.3.1");
const CALL_ID: Malformed = Malformed::new("the Call-ID is not of its form", "RFC 3261 20.8");
const MAX_FORWARDS: Malformed = Malformed::new("the Max-Forwards is not 0 to 255", "RFC 3261 20.22");
const STAR: Malformed = Malformed::new("a Contact of * is not alone", "RFC 3261 10.2.2");
const METHOD: Malformed = Malformed::new("the method differs from that of the CSeq", "RFC 3261 8.1.1.5");
pub(crate) const NO_VIA: Malformed = Malformed::new("there is no Via", "RFC 3261 8.1.1");
pub(crate) const NO_FROM: Malformed = Malformed::new("there is no From", "RFC 3261 8.1.1");
pub(crate) const NO_TO: Malformed = Malformed::new("there is no To", "RFC 3261 8.1.1");
pub(crate) const NO_CALL_ID: Malformed = Malformed::new("there is no Call-ID", "RFC 3261 8.1.1");
pub(crate) const NO_CSEQ: Malformed = Malformed::new("there is no CSeq", "RFC 3261 8.1.1");

impl<'a> Core<'a> {
    pub(crate) fn read(head: &Head<'a>) -> Result<Self, Malformed> {
        let mut core = Self::default();
        head.known().try_for_each(|(name, value)| core.take(name, value))?;
        Ok(core)
    }

    /// Checks one header field, and keeps it if it is of the core.
    pub(crate) fn take(&mut self, name: HeaderName, value: &'a str) -> Result<(), Malformed> {
        self.seen.admit(name, value)?;
        match name {
            HeaderName::Via => self.take_vias(value)?,
            HeaderName::From => self.from = Some(NameAddr::parse(value)?),
            HeaderName::To => self.to = Some(NameAddr::parse(value)?),
            HeaderName::CallId => self.call_id = Some(check_call_id(value)?),
            HeaderName::CSeq => self.cseq = Some(CSeq::parse(value)?),
            HeaderName::MaxForwards => self.max_forwards = Some(decimal(value).ok_or(MAX_FORWARDS)?),
            HeaderName::Contact if value == "*" => {}
            HeaderName::Contact
            | HeaderName::Route
            | HeaderName::RecordRoute
            | HeaderName::Path
            | HeaderName::ServiceRoute => check_addresses(value)?,
            _ => {}
        }
        Ok(())
    }

    fn take_vias(&mut self, value: &'a str) -> Result<(), Malformed> {
        for via in elements(value, Via::read) {
            self.via = self.via.or(Some(via?));
        }
        Ok(())
    }

    /// The method of a request must be that of its CSeq. An unknown method is refused as such: proxies
    /// learn more from it (RFC 4475 section 3.1.2.18).
    pub(crate) fn check_method(&self, start: &StartLine<'_>) -> Result<(), Malformed> {
        match (start, self.cseq.map(|c| c.method)) {
            (StartLine::Request { method, .. }, Some(of_cseq)) if *method != of_cseq => {
                Err(if matches!(method, Method::Other(_)) { METHOD.status_is(501) } else { METHOD })
            }
            _ => Ok(()),
        }
    }
}

impl Seen {
    /// Takes note of a header field, unless it may not stand beside those before it.
    pub(crate) fn admit(&mut self, name: HeaderName, value: &str) -> Result<(), Malformed> {
        let again = self.has(name);
        if again && name.is_unique() {
            return Err(TWICE);
        }
        let star = name == HeaderName::Contact && value == "*";
        if name == HeaderName::Contact && again && (star || self.star) {
            return Err(STAR);
        }
        self.bits |= 1 << (name as u8);
        self.star |= star;
        Ok(())
    }

    pub(crate) const fn has(&self, name: HeaderName) -> bool {
        self.bits & (1 << (name as u8)) != 0
    }
}

fn check_call_id(value: &str) -> Result<&str, Malformed> {
    if all(value, WORD) { Ok(value) } else { Err(CALL_ID) }
}

fn check_addresses(value: &str) -> Result<(), Malformed> {
    elements(value, |cursor: &mut Cursor<'_>| NameAddr::read(cursor).map(drop)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use HeaderName as N;

    fn take(fields: &[(HeaderName, &'static str)]) -> Result<Core<'static>, Malformed> {
        let mut core = Core::default();
        fields.iter().try_for_each(|&(name, value)| core.take(name, value))?;
        Ok(core)
    }

    #[test]
    fn what_may_come_once_may_not_come_twice() {
        assert_eq!(take(&[(N::To, "sip:a@b"), (N::To, "sip:a@b")]).err(), Some(TWICE));
        assert_eq!(take(&[(N::Expires, "1"), (N::Expires, "1")]).err(), Some(TWICE));
        assert!(take(&[(N::Contact, "sip:a@b"), (N::Contact, "sip:a@b")]).is_ok());
        assert!(take(&[(N::Subject, "a"), (N::Subject, "b")]).is_ok());
    }

    #[test]
    fn rfc_3261_10_2_2_star_is_alone() {
        assert!(take(&[(N::Contact, "*")]).is_ok());
        for fields in [["*", "*"], ["*", "sip:a@b"], ["sip:a@b", "*"]] {
            assert_eq!(take(&fields.map(|f| (N::Contact, f))).err(), Some(STAR), "{fields:?}");
        }
        assert!(take(&[(N::Contact, "*, sip:a@b")]).is_err());
    }

    #[test]
    fn the_top_via_is_the_first() {
        let via = "SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b;branch=z9hG4bK2";
        let core = take(&[(N::Via, via), (N::Via, "SIP/2.0/UDP c")]).unwrap();
        assert_eq!(core.via.unwrap().branch(), Some("z9hG4bK1"));
        assert!(take(&[(N::Via, "SIP/2.0/UDP a"), (N::Via, "junk")]).is_err(), "every Via is checked");
    }

    #[test]
    fn rfc_3261_20_22_max_forwards() {
        assert_eq!(take(&[(N::MaxForwards, "0068")]).unwrap().max_forwards, Some(68));
        for bad in ["-1", "256", "", "70;x"] {
            assert_eq!(take(&[(N::MaxForwards, bad)]).err(), Some(MAX_FORWARDS), "{bad:?}");
        }
    }
}
