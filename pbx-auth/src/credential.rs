//! Secrets of SIP accounts and the values that digest keeps of them.

use core::fmt;

use pbx_core::{Random, Secret};
use zeroize::Zeroizing;

use crate::digest::Algorithm;
use crate::hex;

const MAX_USERNAME: usize = 128;
const MAX_REALM: usize = 128;
const MAX_SECRET: usize = 128;

/// Letters and digits that cannot be taken for one another when a secret is read aloud or typed off a label.
const ALPHABET: &[u8] = b"23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";
/// 24 characters out of 56 are 139 bits.
const GENERATED: usize = 24;

/// Why a credential cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The colon separates name, realm and secret in HA1 (RFC 7616 3.4.2): with one in the name, two accounts
    /// could have one HA1.
    #[error("a user name has 1 to 128 bytes, no colon and no control characters")]
    Username,
    /// It stands in quotes in every challenge.
    #[error("a realm has 1 to 128 bytes, no quotes, backslashes and control characters")]
    Realm,
    /// Too long, empty, or with control characters.
    #[error("a secret has 1 to 128 bytes and no control characters")]
    Secret,
    /// Not what [`Ha1::to_hex`] writes.
    #[error("not the stored form of HA1 values")]
    Stored,
}

/// The secret of a SIP account, which phone and PBX both know. It is no [`Password`](crate::Password): nobody
/// types it daily, and what people type must not be stored as the equivalent of itself that digest needs.
///
/// ```compile_fail
/// # use pbx_auth::{Ha1, Password};
/// let typed = Password::new("what people type").unwrap();
/// let ha1 = Ha1::derive("1001", "pbx.example", &typed);
/// ```
#[derive(Clone)]
pub struct SipSecret(Secret<String>);

impl SipSecret {
    /// A new secret of 24 letters and digits: 139 bits, no two characters alike.
    ///
    /// ```
    /// # use pbx_auth::SipSecret;
    /// # use pbx_core::Random;
    /// let secret = SipSecret::generate(&mut Random::from_seed([7; 32]));
    /// assert_eq!(secret.expose().len(), 24);
    /// ```
    pub fn generate(random: &mut Random) -> Self {
        Self(Secret::new(random.text(GENERATED, ALPHABET)))
    }

    /// A secret that somebody else chose: the one a provider assigned to a trunk, or that of an old system.
    ///
    /// # Errors
    /// [`CredentialError::Secret`] when it is empty, over 128 bytes, or has control characters.
    pub fn import(secret: &str) -> Result<Self, CredentialError> {
        let fits = (1..=MAX_SECRET).contains(&secret.len()) && !secret.contains(char::is_control);
        fits.then(|| Self(Secret::new(secret.to_owned()))).ok_or(CredentialError::Secret)
    }

    /// The secret, to be shown once or written into a phone's provisioning.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for SipSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SipSecret(..)")
    }
}

/// H(user name ":" realm ":" secret) (RFC 7616 3.4.2) for some of the algorithms: all that verifying needs,
/// and as good as the secret to whoever steals it.
///
/// It keeps the user name, so that credentials under another name never verify with it, whatever the caller
/// looked it up by.
#[derive(Clone)]
pub struct Ha1 {
    username: String,
    md5: Option<Secret<[u8; 16]>>,
    sha256: Option<Secret<[u8; 32]>>,
    sha512_256: Option<Secret<[u8; 32]>>,
}

impl Ha1 {
    /// The values for every algorithm. They hold for this name in this realm only.
    ///
    /// # Errors
    /// [`CredentialError`] for a name or realm that cannot be one.
    pub fn derive(username: &str, realm: &str, secret: &SipSecret) -> Result<Self, CredentialError> {
        let mut ha1 = Self::empty(username)?;
        if !is_realm(realm) {
            return Err(CredentialError::Realm);
        }
        let parts = [username, ":", realm, ":", secret.expose()].map(str::as_bytes);
        for algorithm in Algorithm::ALL {
            ha1.put(algorithm, algorithm.hash(&parts).as_bytes());
        }
        Ok(ha1)
    }

    /// The same without the value for MD5: the account cannot be talked down to it any more.
    #[must_use]
    pub fn without_md5(self) -> Self {
        Self { md5: None, ..self }
    }

    /// The values as text for the store, `MD5:<hex>,SHA-256:<hex>,...`. Seal it: it is as good as the secret.
    #[must_use]
    pub fn to_hex(&self) -> Secret<String> {
        let values = Algorithm::ALL.into_iter().filter_map(|a| Some((a, self.value(a)?)));
        let mut text = String::with_capacity(256);
        for (algorithm, value) in values {
            let comma = if text.is_empty() { "" } else { "," };
            let mut digits = Zeroizing::new([0; 64]);
            text.extend([comma, algorithm.name(), ":"]);
            text.push_str(core::str::from_utf8(hex::encode(value, digits.as_mut())).unwrap_or_default());
        }
        Secret::new(text)
    }

    /// Back from what [`to_hex`](Self::to_hex) wrote for that user name, or from the single `MD5:<hex>` of an
    /// old system.
    ///
    /// # Errors
    /// [`CredentialError::Stored`] for another text, [`CredentialError::Username`] for a name that cannot be one.
    pub fn from_hex(username: &str, stored: &str) -> Result<Self, CredentialError> {
        let mut ha1 = Self::empty(username)?;
        for part in stored.split(',') {
            let (name, digits) = part.split_once(':').ok_or(CredentialError::Stored)?;
            let algorithm = Algorithm::from_name(name.as_bytes()).ok_or(CredentialError::Stored)?;
            let mut value = Zeroizing::new([0; 32]);
            let room = value.get_mut(..algorithm.hash_len()).unwrap_or_default();
            if ha1.value(algorithm).is_some() || !hex::decode_into(digits.as_bytes(), room) {
                return Err(CredentialError::Stored);
            }
            ha1.put(algorithm, room);
        }
        Ok(ha1)
    }

    /// The user name that it holds for.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    fn empty(username: &str) -> Result<Self, CredentialError> {
        let username = is_username(username).then(|| username.to_owned()).ok_or(CredentialError::Username)?;
        Ok(Self { username, md5: None, sha256: None, sha512_256: None })
    }

    pub(crate) fn value(&self, algorithm: Algorithm) -> Option<&[u8]> {
        match algorithm {
            Algorithm::Md5 => self.md5.as_ref().map(|v| &v.expose()[..]),
            Algorithm::Sha256 => self.sha256.as_ref().map(|v| &v.expose()[..]),
            Algorithm::Sha512_256 => self.sha512_256.as_ref().map(|v| &v.expose()[..]),
        }
    }

    fn put(&mut self, algorithm: Algorithm, value: &[u8]) {
        match algorithm {
            Algorithm::Md5 => self.md5 = value.try_into().ok().map(Secret::new),
            Algorithm::Sha256 => self.sha256 = value.try_into().ok().map(Secret::new),
            Algorithm::Sha512_256 => self.sha512_256 = value.try_into().ok().map(Secret::new),
        }
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ha1({:?}, ..)", self.username)
    }
}

pub(crate) fn is_username(name: &str) -> bool {
    (1..=MAX_USERNAME).contains(&name.len()) && !name.contains(|c: char| c == ':' || c.is_control())
}

pub(crate) fn is_realm(realm: &str) -> bool {
    let stands_in_quotes = |c: char| c != '"' && c != '\\' && !c.is_control();
    (1..=MAX_REALM).contains(&realm.len()) && realm.chars().all(stands_in_quotes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bob() -> Ha1 {
        Ha1::derive("bob", "biloxi.com", &SipSecret::import("zanzibar").unwrap()).unwrap()
    }

    #[test]
    fn values_come_back_from_the_store() {
        let stored = bob().to_hex();
        assert!(stored.expose().contains("MD5:12af60467a33e8518da5c68bbff12b11"));
        let back = Ha1::from_hex("bob", stored.expose()).unwrap();
        for a in Algorithm::ALL {
            assert!(bob().value(a).is_some());
            assert_eq!(back.value(a), bob().value(a));
        }
    }

    #[test]
    fn md5_can_be_dropped_and_can_stand_alone() {
        let without = Ha1::from_hex("bob", bob().without_md5().to_hex().expose()).unwrap();
        assert!(without.value(Algorithm::Md5).is_none());
        assert!(without.value(Algorithm::Sha256).is_some());
        let alone = Ha1::from_hex("bob", "MD5:12af60467a33e8518da5c68bbff12b11").unwrap();
        assert_eq!(alone.value(Algorithm::Md5), bob().value(Algorithm::Md5));
        assert!(alone.value(Algorithm::Sha256).is_none());
    }

    #[test]
    fn only_the_stored_form_is_read() {
        let md5 = "MD5:12af60467a33e8518da5c68bbff12b11";
        for bad in ["", "MD5", "MD5:", "MD5:12", "SHA-1:00", &format!("{md5},"), &format!("{md5},{md5}")] {
            assert_eq!(Ha1::from_hex("bob", bad).err(), Some(CredentialError::Stored), "{bad}");
        }
    }

    #[test]
    fn names_with_a_colon_have_no_ha1() {
        let secret = SipSecret::import("x").unwrap();
        for bad in ["", "a:b", "a\nb", &"x".repeat(129)] {
            assert_eq!(Ha1::derive(bad, "r", &secret).err(), Some(CredentialError::Username), "{bad:?}");
            assert_eq!(Ha1::from_hex(bad, "").err(), Some(CredentialError::Username), "{bad:?}");
        }
        for bad in ["", "a\"b", "a\\b", "a\nb"] {
            assert_eq!(Ha1::derive("a", bad, &secret).err(), Some(CredentialError::Realm), "{bad:?}");
        }
        for bad in ["", "a\rb", &"x".repeat(129)] {
            assert_eq!(SipSecret::import(bad).err(), Some(CredentialError::Secret), "{bad:?}");
        }
    }

    #[test]
    fn generated_secrets_are_strong_and_readable() {
        let mut random = Random::from_seed([1; 32]);
        let a = SipSecret::generate(&mut random);
        assert_ne!(a.expose(), SipSecret::generate(&mut random).expose());
        assert!(a.expose().bytes().all(|c| ALPHABET.contains(&c)));
        assert!(!ALPHABET.iter().any(|c| b"01lIoO".contains(c)), "characters that look alike");
        let distinct: std::collections::BTreeSet<_> = ALPHABET.iter().collect();
        assert_eq!(distinct.len(), ALPHABET.len());
        assert!(f64::from(56_u32).log2() * 24.0 >= 128.0 && ALPHABET.len() == 56);
    }
}
