//! The digest computation (RFC 7616 3.4.1, RFC 8760 2), fed piece by piece: no text is built.

use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};
use zeroize::Zeroize;

use super::Request;
use crate::hex;

/// A digest algorithm, weakest first (RFC 7616 6.1, RFC 8760 2.1). The `-sess` variants are not offered and
/// not understood: they let a server keep a password equivalent a shorter time, which an HA1 store does not need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// `MD5`: what every phone speaks. Its weakness is cheap guessing against captured traffic.
    Md5,
    /// `SHA-256`.
    Sha256,
    /// `SHA-512-256`: SHA-512/256 of FIPS 180-4, not a truncated SHA-512 (RFC 7616 erratum 4897).
    Sha512_256,
}

impl Algorithm {
    /// Every algorithm, strongest first.
    pub const ALL: [Self; 3] = [Self::Sha512_256, Self::Sha256, Self::Md5];

    /// The name in the `algorithm` parameter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// The algorithm of that name, letter case ignored.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Length of its hash values, in bytes: 16 or 32.
    #[must_use]
    pub const fn hash_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha256 | Self::Sha512_256 => 32,
        }
    }

    /// The hash of the concatenated `parts`.
    pub(crate) fn hash(self, parts: &[&[u8]]) -> Hash {
        match self {
            Self::Md5 => run::<Md5>(parts),
            Self::Sha256 => run::<Sha256>(parts),
            Self::Sha512_256 => run::<Sha512_256>(parts),
        }
    }
}

fn run<D: Digest>(parts: &[&[u8]]) -> Hash {
    let mut hasher = D::new();
    parts.iter().for_each(|p| hasher.update(p));
    Hash::new(&hasher.finalize())
}

/// What `qop` protects (RFC 7616 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Qop {
    /// `auth`: method and URI.
    Auth,
    /// `auth-int`: method, URI and body. Few phones answer it.
    AuthInt,
}

impl Qop {
    /// The name in the `qop` parameter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }

    /// Exactly that name: the text is hashed as it was sent, so there is one spelling.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Auth, Self::AuthInt].into_iter().find(|q| q.name().as_bytes() == name)
    }
}

/// A hash value of 16 or 32 bytes.
pub(crate) struct Hash {
    bytes: [u8; 32],
    len: usize,
}

impl Hash {
    fn new(value: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(value).for_each(|(b, v)| *b = *v);
        Self { bytes, len: value.len().min(32) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Zeroize for Hash {
    fn zeroize(&mut self) {
        self.bytes.zeroize();
    }
}

/// What a response is computed from besides HA1 and the request.
pub(crate) struct Parameters<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) uri: &'a [u8],
    pub(crate) nonce: &'a [u8],
    /// `None`: the form of RFC 2069, which only a client may be driven to.
    pub(crate) protection: Option<Protection<'a>>,
}

/// The parameters that come with `qop`.
#[derive(Clone, Copy)]
pub(crate) struct Protection<'a> {
    pub(crate) qop: Qop,
    pub(crate) nc: &'a [u8],
    pub(crate) cnonce: &'a [u8],
}

/// The response (RFC 7616 3.4.1) of whoever knows `ha1`. The URI is the one of the credentials.
pub(crate) fn response(ha1: &[u8], parameters: &Parameters<'_>, request: &Request<'_>) -> Hash {
    let Parameters { algorithm, uri, nonce, protection } = *parameters;
    let (mut a1, mut a2) = ([0; 64], [0; 64]);
    let h2 = a2_hash(algorithm, uri, protection, request);
    let a2 = hex::encode(h2.as_bytes(), &mut a2);
    let a1_text = hex::encode(ha1, &mut a1);
    let response = match protection {
        Some(Protection { qop, nc, cnonce }) => {
            let qop = qop.name().as_bytes();
            algorithm.hash(&[a1_text, b":", nonce, b":", nc, b":", cnonce, b":", qop, b":", a2])
        }
        None => algorithm.hash(&[a1_text, b":", nonce, b":", a2]),
    };
    a1.zeroize();
    response
}

/// H(A2) of RFC 7616 3.4.3.
fn a2_hash(
    algorithm: Algorithm,
    uri: &[u8],
    protection: Option<Protection<'_>>,
    request: &Request<'_>,
) -> Hash {
    let method = request.method.as_bytes();
    if protection.is_none_or(|p| p.qop == Qop::Auth) {
        return algorithm.hash(&[method, b":", uri]);
    }
    let mut text = [0; 64];
    let body = algorithm.hash(&[request.body]);
    algorithm.hash(&[method, b":", uri, b":", hex::encode(body.as_bytes(), &mut text)])
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Corpus {
        vector: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        algorithm: String,
        username: String,
        realm: String,
        password: String,
        method: String,
        uri: String,
        #[serde(default)]
        body: String,
        nonce: String,
        qop: Option<String>,
        #[serde(default)]
        nc: String,
        #[serde(default)]
        cnonce: String,
        ha1: String,
        response: String,
        expect: Option<String>,
    }

    impl Vector {
        fn computed(&self) -> (String, String) {
            let algorithm = Algorithm::from_name(self.algorithm.as_bytes()).unwrap();
            let parts = [&self.username, ":", &self.realm, ":", &self.password].map(str::as_bytes);
            let ha1 = algorithm.hash(&parts);
            let protection = self.qop.as_ref().map(|q| Protection {
                qop: Qop::from_name(q.as_bytes()).unwrap(),
                nc: self.nc.as_bytes(),
                cnonce: self.cnonce.as_bytes(),
            });
            let (uri, nonce) = (self.uri.as_bytes(), self.nonce.as_bytes());
            let request = Request { method: &self.method, uri, body: self.body.as_bytes() };
            let parameters = Parameters { algorithm, uri, nonce, protection };
            let response = response(ha1.as_bytes(), &parameters, &request);
            (hex::text(ha1.as_bytes()), hex::text(response.as_bytes()))
        }
    }

    #[test]
    fn published_responses_are_computed_and_the_wrong_one_is_not() {
        let corpus: Corpus = toml::from_str(include_str!("../../testdata/digest.toml")).unwrap();
        assert_eq!(corpus.vector.len(), 12);
        for v in &corpus.vector {
            let computed = v.computed();
            let published = (v.ha1.clone(), v.response.clone());
            match v.expect.as_deref() {
                None => assert_eq!(computed, published, "{}", v.name),
                Some("reject") => assert_ne!(computed, published, "{}", v.name),
                Some(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn names_come_back() {
        for a in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(a.name().to_lowercase().as_bytes()), Some(a));
        }
        assert_eq!(Algorithm::from_name(b"MD5-sess"), None);
        assert_eq!(Qop::from_name(b"auth-int"), Some(Qop::AuthInt));
        assert_eq!(Qop::from_name(b"Auth"), None);
    }

    #[test]
    fn strongest_comes_first() {
        assert!(Algorithm::ALL.is_sorted_by(|a, b| a > b));
        assert!(Algorithm::ALL.iter().all(|a| a.hash(&[b"x"]).as_bytes().len() == a.hash_len()));
    }
}
