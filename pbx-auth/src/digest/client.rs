//! The side that answers challenges: a trunk that registers or calls with credentials (RFC 3261 22.2, RFC 8760 2.4).

use core::fmt;

use pbx_core::{Random, Secret};

use super::Request;
use super::hash::{self, Algorithm, Hash, Parameters, Qop, response};
use super::offer::{Offer, Protection};
use crate::credential::{CredentialError, SipSecret, is_username};
use crate::hex;

/// How often one request is answered before its credentials are taken for wrong. Twice would do, were there no
/// servers whose nonces expire on the way.
const MAX_ANSWERS: u8 = 3;

/// A user name and a secret at somebody else's server.
#[derive(Clone, Debug)]
pub struct Client {
    username: String,
    secret: SipSecret,
    weakest: Algorithm,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No challenge can be read.
    #[error("no challenge can be read")]
    Unreadable,
    /// Nothing that is known here, and not refused, is asked for.
    #[error("the server asks for nothing that may be answered")]
    NothingAcceptable,
    /// The server refused the answer before: the user name or the secret is wrong.
    #[error("the server refused the credentials")]
    Refused,
    /// The URI cannot stand in a header.
    #[error("the URI has control characters or is not UTF-8")]
    Uri,
}

impl Client {
    /// Answers with any algorithm.
    ///
    /// # Errors
    /// [`CredentialError::Username`] for a name with a colon or control characters.
    pub fn new(username: &str, secret: SipSecret) -> Result<Self, CredentialError> {
        let username = is_username(username).then(|| username.to_owned()).ok_or(CredentialError::Username)?;
        Ok(Self { username, secret, weakest: Algorithm::Md5 })
    }

    /// The same, but a challenge that only offers MD5 is not answered: whoever listens could guess the
    /// secret faster, and an attacker on the way may have taken the better challenges out.
    #[must_use]
    pub fn refuse_md5(self) -> Self {
        Self { weakest: Algorithm::Sha256, ..self }
    }

    /// Takes the strongest of the challenges of one 401 or 407. Such as cannot be read or understood are passed
    /// over (RFC 8760 2.4).
    ///
    /// `previous` is the answer that this request carried already, if any; without it nothing would end the
    /// dialogue with a server that knows another secret.
    ///
    /// # Errors
    /// [`AnswerError`]: `Refused` when the previous answer was not refused as stale, or for the third time.
    pub fn answer<'v>(
        &self,
        challenges: impl IntoIterator<Item = &'v [u8]>,
        previous: Option<&Answer>,
    ) -> Result<Answer, AnswerError> {
        let mut offers: Vec<Offer> = challenges.into_iter().filter_map(|c| Offer::parse(c).ok()).collect();
        if offers.is_empty() {
            return Err(AnswerError::Unreadable);
        }
        offers.retain(|o| o.algorithm >= Some(self.weakest) && o.qop != Protection::Unknown);
        // The first of equals: the server's order is its preference.
        offers.sort_by_key(|o| core::cmp::Reverse(o.algorithm));
        let offer = offers.into_iter().next().ok_or(AnswerError::NothingAcceptable)?;
        let answers = previous.map_or(0, |p| p.answers);
        if answers >= MAX_ANSWERS || (answers > 0 && !offer.stale) {
            return Err(AnswerError::Refused);
        }
        self.take(offer, answers + 1)
    }

    fn take(&self, offer: Offer, answers: u8) -> Result<Answer, AnswerError> {
        let algorithm = offer.algorithm.ok_or(AnswerError::NothingAcceptable)?;
        let parts = [&self.username, ":", &offer.realm, ":", self.secret.expose()].map(str::as_bytes);
        let ha1 = Secret::new(algorithm.hash(&parts));
        Ok(Answer { username: self.username.clone(), algorithm, ha1, offer, nc: 0, answers })
    }
}

/// An answer to one challenge, good for as many requests as the server takes its nonce for.
pub struct Answer {
    username: String,
    algorithm: Algorithm,
    ha1: Secret<Hash>,
    offer: Offer,
    nc: u32,
    answers: u8,
}

impl Answer {
    /// The algorithm it uses.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The value of the `Authorization` header (after a 401) or `Proxy-Authorization` header (after a 407) of
    /// `request`. Every call counts the nonce count up, so make one value for each request that is sent.
    ///
    /// # Errors
    /// [`AnswerError::Uri`] when the URI has control characters or is not UTF-8.
    pub fn authorization(
        &mut self,
        request: &Request<'_>,
        random: &mut Random,
    ) -> Result<String, AnswerError> {
        let uri = core::str::from_utf8(request.uri).ok().filter(|u| !u.contains(char::is_control));
        let uri = uri.ok_or(AnswerError::Uri)?;
        self.nc = self.nc.saturating_add(1);
        let nc = format!("{:08x}", self.nc);
        let cnonce = hex::text(&random.bytes::<16>());
        let protection = match self.offer.qop {
            Protection::Use(qop) => {
                Some(hash::Protection { qop, nc: nc.as_bytes(), cnonce: cnonce.as_bytes() })
            }
            Protection::Legacy | Protection::Unknown => None,
        };
        let parameters = Parameters {
            algorithm: self.algorithm,
            uri: request.uri,
            nonce: self.offer.nonce.as_bytes(),
            protection,
        };
        let response = response(self.ha1.expose().as_bytes(), &parameters, request);
        Ok(self.write(uri, &hex::text(response.as_bytes()), protection.map(|p| (p.qop, &*nc, &*cnonce))))
    }

    fn write(&self, uri: &str, response: &str, protection: Option<(Qop, &str, &str)>) -> String {
        let mut out = String::with_capacity(512);
        out.push_str("Digest username=");
        let texts = [
            ("", self.username.as_str()),
            (", realm=", &self.offer.realm),
            (", nonce=", &self.offer.nonce),
            (", uri=", uri),
            (", response=", response),
        ];
        for (name, text) in texts {
            out.push_str(name);
            push_quoted(&mut out, text);
        }
        out.extend([", algorithm=", self.algorithm.name()]);
        if let Some(opaque) = &self.offer.opaque {
            out.push_str(", opaque=");
            push_quoted(&mut out, opaque);
        }
        if let Some((qop, nc, cnonce)) = protection {
            out.extend([", qop=", qop.name(), ", nc=", nc, ", cnonce="]);
            push_quoted(&mut out, cnonce);
        }
        out
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("username", &self.username)
            .field("realm", &self.offer.realm)
            .field("algorithm", &self.algorithm)
            .field("nc", &self.nc)
            .finish_non_exhaustive()
    }
}

/// A quoted-string (RFC 3261 25.1).
fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &[u8] = br#"Digest realm="r", nonce="n2", algorithm=SHA-256, qop="auth""#;
    const MD5: &[u8] = br#"Digest realm="r", nonce="n1", algorithm=MD5, qop="auth""#;
    const STALE: &[u8] = br#"Digest realm="r", nonce="n3", algorithm=MD5, qop="auth", stale=TRUE"#;
    const REQUEST: Request<'_> = Request { method: "INVITE", uri: b"sip:x", body: b"" };

    fn client() -> Client {
        Client::new("1001", SipSecret::import("secret").unwrap()).unwrap()
    }

    fn random() -> Random {
        Random::from_seed([5; 32])
    }

    #[test]
    fn the_strongest_challenge_is_answered_whatever_the_order() {
        for challenges in [[MD5, SHA256], [SHA256, MD5]] {
            assert_eq!(client().answer(challenges, None).unwrap().algorithm(), Algorithm::Sha256);
        }
        let unknown: &[u8] = br#"Digest realm="r", nonce="n", algorithm=SHA-999, qop="auth""#;
        assert_eq!(client().answer([unknown, b"junk", MD5], None).unwrap().algorithm(), Algorithm::Md5);
    }

    #[test]
    fn md5_is_refused_when_told_so() {
        let strict = client().refuse_md5();
        assert_eq!(strict.answer([MD5], None).err(), Some(AnswerError::NothingAcceptable));
        let plain: &[u8] = br#"Digest realm="r", nonce="n""#;
        assert_eq!(
            strict.answer([plain], None).err(),
            Some(AnswerError::NothingAcceptable),
            "MD5 by default"
        );
        assert!(strict.answer([MD5, SHA256], None).is_ok());
    }

    #[test]
    fn a_refused_answer_is_not_repeated_but_a_stale_one_is_twice() {
        let first = client().answer([MD5], None).unwrap();
        assert_eq!(client().answer([MD5], Some(&first)).err(), Some(AnswerError::Refused));
        let second = client().answer([STALE], Some(&first)).unwrap();
        let third = client().answer([STALE], Some(&second)).unwrap();
        assert_eq!(client().answer([STALE], Some(&third)).err(), Some(AnswerError::Refused));
    }

    #[test]
    fn a_protection_that_is_not_known_is_passed_over() {
        let unknown: &[u8] = br#"Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth-conf""#;
        assert_eq!(client().answer([unknown], None).err(), Some(AnswerError::NothingAcceptable));
        assert_eq!(client().answer([unknown, MD5], None).unwrap().algorithm(), Algorithm::Md5);
    }

    #[test]
    fn nothing_readable_is_told_apart_from_nothing_acceptable() {
        let none: [&[u8]; 0] = [];
        assert_eq!(client().answer(none, None).err(), Some(AnswerError::Unreadable));
        assert_eq!(client().answer([&b"Basic realm=x"[..]], None).err(), Some(AnswerError::Unreadable));
    }

    #[test]
    fn every_request_has_its_own_count_and_cnonce() {
        let mut answer = client().answer([SHA256], None).unwrap();
        let mut random = random();
        let a = answer.authorization(&REQUEST, &mut random).unwrap();
        let b = answer.authorization(&REQUEST, &mut random).unwrap();
        assert!(a.contains("nc=00000001") && b.contains("nc=00000002"), "{a}\n{b}");
        let cnonce = |v: &str| v.split("cnonce=").nth(1).unwrap().to_owned();
        assert_ne!(cnonce(&a), cnonce(&b));
    }

    #[test]
    fn opaque_comes_back_and_quotes_are_escaped() {
        let challenge: &[u8] = br#"Digest realm="a\"b", nonce="n", opaque="o", qop="auth""#;
        let client = Client::new(r#"x"y\z"#, SipSecret::import("s").unwrap()).unwrap();
        let value = client.answer([challenge], None).unwrap().authorization(&REQUEST, &mut random()).unwrap();
        assert!(value.contains(r#"username="x\"y\\z", realm="a\"b""#), "{value}");
        assert!(value.contains(r#", opaque="o""#), "{value}");
    }

    #[test]
    fn a_uri_cannot_break_the_header() {
        let request = Request { uri: b"sip:x\r\nX: y", ..REQUEST };
        let mut answer = client().answer([MD5], None).unwrap();
        assert_eq!(answer.authorization(&request, &mut random()), Err(AnswerError::Uri));
    }
}
