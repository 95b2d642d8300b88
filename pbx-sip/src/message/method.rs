//! Methods of requests.

use core::fmt;

use crate::header::Malformed;
use crate::header::lex::{TOKEN, all};

/// The method of a request; names are case-sensitive (RFC 3261 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// INVITE (RFC 3261 section 13).
    Invite,
    /// ACK (RFC 3261 section 13.2.2.4).
    Ack,
    /// BYE (RFC 3261 section 15).
    Bye,
    /// CANCEL (RFC 3261 section 9).
    Cancel,
    /// REGISTER (RFC 3261 section 10).
    Register,
    /// OPTIONS (RFC 3261 section 11).
    Options,
    /// INFO (RFC 6086).
    Info,
    /// UPDATE (RFC 3311).
    Update,
    /// PRACK (RFC 3262).
    Prack,
    /// REFER (RFC 3515).
    Refer,
    /// SUBSCRIBE (RFC 6665).
    Subscribe,
    /// NOTIFY (RFC 6665).
    Notify,
    /// PUBLISH (RFC 3903).
    Publish,
    /// MESSAGE (RFC 3428).
    Message,
    /// Any other.
    Other(MethodName),
}

/// The name of a method that this crate does not know: a token of at most 47 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MethodName {
    len: u8,
    text: [u8; MAX],
}

const MAX: usize = 47;

const KNOWN: [(Method, &str); 14] = [
    (Method::Invite, "INVITE"),
    (Method::Ack, "ACK"),
    (Method::Bye, "BYE"),
    (Method::Cancel, "CANCEL"),
    (Method::Register, "REGISTER"),
    (Method::Options, "OPTIONS"),
    (Method::Info, "INFO"),
    (Method::Update, "UPDATE"),
    (Method::Prack, "PRACK"),
    (Method::Refer, "REFER"),
    (Method::Subscribe, "SUBSCRIBE"),
    (Method::Notify, "NOTIFY"),
    (Method::Publish, "PUBLISH"),
    (Method::Message, "MESSAGE"),
];

impl Method {
    /// The method behind a name.
    ///
    /// # Errors
    /// When it is no token, or longer than 47 characters: no such method is registered.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if let Some((method, _)) = KNOWN.iter().find(|(_, name)| *name == text) {
            return Ok(*method);
        }
        if !all(text, TOKEN) {
            return Err(FORM);
        }
        let mut name = MethodName { len: 0, text: [0; MAX] };
        name.text.get_mut(..text.len()).ok_or(TOO_LONG)?.copy_from_slice(text.as_bytes());
        name.len = u8::try_from(text.len()).map_err(|_| TOO_LONG)?;
        Ok(Self::Other(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name.as_str(),
            known => KNOWN.iter().find(|(method, _)| method == known).map_or("", |(_, name)| name),
        }
    }
}

const FORM: Malformed = Malformed::new("a method is no token", "RFC 3261 25.1");
const TOO_LONG: Malformed =
    Malformed::new("a method is longer than 47 characters", "RFC 3261 8.2.1").status_is(501);

impl MethodName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get(..usize::from(self.len)).and_then(|t| core::str::from_utf8(t).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for (method, name) in KNOWN {
            assert_eq!(Method::parse(name), Ok(method));
            assert_eq!(method.as_str(), name);
        }
        assert_eq!(Method::parse("NEWMETHOD").unwrap().as_str(), "NEWMETHOD");
        assert_ne!(Method::parse("invite").unwrap(), Method::Invite);
    }

    #[test]
    fn what_is_no_method() {
        for bad in ["", "IN VITE", "INVITE\r", "A;B", "\u{0}", "Ü"] {
            assert_eq!(Method::parse(bad), Err(FORM), "{bad:?}");
        }
        assert!(Method::parse(&"A".repeat(47)).is_ok());
        assert_eq!(Method::parse(&"A".repeat(48)), Err(TOO_LONG));
    }
}
