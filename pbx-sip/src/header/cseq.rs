//! CSeq (RFC 3261 section 20.16).

use super::Malformed;
use super::lex::{Cursor, TOKEN, VISIBLE, decimal};
use crate::message::Method;

/// Which request of its dialog, or of its Call-ID, a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// The sequence number.
    pub seq: u32,
    /// The method of the request.
    pub method: Method,
}

impl CSeq {
    /// A CSeq value.
    ///
    /// # Errors
    /// When it is not a 32-bit number and a method, or the method is longer than any we keep.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(text);
        cursor.white();
        let seq = decimal(cursor.run(TOKEN)).ok_or(NUMBER)?;
        if !cursor.white() {
            return Err(FORM);
        }
        let method = Method::parse(cursor.run(VISIBLE))?;
        cursor.white();
        if cursor.is_end() { Ok(Self { seq, method }) } else { Err(FORM) }
    }
}

const NUMBER: Malformed = Malformed::new("the CSeq has no 32-bit number", "RFC 3261 8.1.1.5");
const FORM: Malformed = Malformed::new("the CSeq is not a number and a method", "RFC 3261 20.16");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_methods() {
        assert_eq!(CSeq::parse("4711 INVITE"), Ok(CSeq { seq: 4711, method: Method::Invite }));
        assert_eq!(CSeq::parse("0009\r\n  INVITE").unwrap().seq, 9);
        assert_eq!(CSeq::parse("4294967295 ACK").unwrap().seq, u32::MAX);
        assert_ne!(CSeq::parse("1 invite").unwrap().method, Method::Invite, "methods are case-sensitive");
        for bad in
            ["", "1", "INVITE", "1INVITE", "-1 INVITE", "+1 INVITE", "4294967296 INVITE", "1 INVITE x", "1 ;"]
        {
            assert!(CSeq::parse(bad).is_err(), "{bad:?}");
        }
    }
}
