//! Passwords that people type, kept as Argon2id hashes (RFC 9106).

use core::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, Version};
use pbx_core::{Random, Secret};
use subtle::ConstantTimeEq;

/// Longest password, in bytes. Longer ones are refused before anything is hashed.
const MAX_BYTES: usize = 1024;
/// Memory, passes and lanes of new hashes: 19 MiB, 2, 1 (OWASP password storage cheat sheet).
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// The most that a stored hash may ask for. More is a damaged or planted record, and a way to exhaust memory.
const MAX_COST: (u32, u32, u32) = (128 * 1024, 8, 4);
const SALT: usize = 16;
const TAG: usize = 32;

/// Why a password or hash cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// An empty password never opens anything.
    #[error("the password is empty")]
    Empty,
    /// More than 1024 bytes.
    #[error("the password has more than 1024 bytes")]
    TooLong,
    /// Not the text of an Argon2id hash, or one that asks for absurd amounts of memory or time.
    #[error("not the stored form of an Argon2id hash")]
    Stored,
    /// There is not enough memory for the hash.
    #[error("no memory for the hash")]
    Memory,
}

/// What somebody typed. It is no [`SipSecret`](crate::SipSecret) and cannot become one.
///
/// ```compile_fail
/// # use pbx_auth::{HashJob, SipSecret};
/// # use pbx_core::Random;
/// let mut random = Random::from_seed([1; 32]);
/// let job = HashJob::new(SipSecret::generate(&mut random), &mut random);
/// ```
pub struct Password(Secret<String>);

impl Password {
    /// What was typed, byte by byte as it came.
    ///
    /// # Errors
    /// [`PasswordError::Empty`] and [`PasswordError::TooLong`].
    pub fn new(typed: &str) -> Result<Self, PasswordError> {
        match typed.len() {
            0 => Err(PasswordError::Empty),
            1..=MAX_BYTES => Ok(Self(Secret::new(typed.to_owned()))),
            _ => Err(PasswordError::TooLong),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A stored Argon2id hash with its salt and cost, as a PHC string.
#[derive(Clone)]
pub struct PasswordHash {
    text: Secret<String>,
    cost: (u32, u32, u32),
    salt: phc::Salt,
    tag: phc::Output,
}

impl PasswordHash {
    /// Reads what [`to_phc`](Self::to_phc) wrote.
    ///
    /// # Errors
    /// [`PasswordError::Stored`] for other algorithms and versions, damaged text, a tag under 16 bytes, and more
    /// than 128 MiB, 8 passes or 4 lanes.
    pub fn from_phc(stored: &str) -> Result<Self, PasswordError> {
        let hash = phc::PasswordHash::new(stored).map_err(|_| PasswordError::Stored)?;
        let params = Params::try_from(&hash).map_err(|_| PasswordError::Stored)?;
        let cost = (params.m_cost(), params.t_cost(), params.p_cost());
        let argon2id = hash.algorithm == Algorithm::Argon2id.ident() && hash.version == Some(0x13);
        let sane = cost.0 <= MAX_COST.0 && cost.1 <= MAX_COST.1 && cost.2 <= MAX_COST.2;
        // Neither is ever written here, and both change the result.
        let plain = params.keyid().is_empty() && params.data().is_empty();
        match (hash.salt, hash.hash) {
            (Some(salt), Some(tag)) if argon2id && sane && plain && tag.len() >= 16 => {
                Ok(Self { text: Secret::new(stored.to_owned()), cost, salt, tag })
            }
            _ => Err(PasswordError::Stored),
        }
    }

    /// The text for the store, `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<tag>`.
    #[must_use]
    pub fn to_phc(&self) -> &str {
        self.text.expose()
    }

    /// Whether it was made with another cost than new hashes are: hash the password again while it is at hand.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.cost != COST || self.tag.len() != TAG
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Hashing a new password: some 20 ms and 19 MiB, for a thread that may take its time. Limit how many run at
/// once.
#[must_use = "a job does nothing until it runs"]
#[derive(Debug)]
pub struct HashJob {
    password: Password,
    salt: [u8; SALT],
}

impl HashJob {
    /// Hashes `password` with a fresh salt.
    pub fn new(password: Password, random: &mut Random) -> Self {
        Self { password, salt: random.bytes() }
    }

    /// Does the work.
    ///
    /// # Errors
    /// [`PasswordError::Memory`].
    pub fn run(self) -> Result<PasswordHash, PasswordError> {
        let mut tag = [0; TAG];
        argon2(COST, self.password.0.expose(), &self.salt, &mut tag)?;
        let mut params = phc::ParamsString::new();
        let stored = |_| PasswordError::Stored;
        for (name, value) in [("m", COST.0), ("t", COST.1), ("p", COST.2)] {
            params.add_decimal(name, value).map_err(stored)?;
        }
        let salt = phc::Salt::new(&self.salt).map_err(stored)?;
        let tag = phc::Output::new(&tag).map_err(stored)?;
        let text = phc::PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params,
            salt: Some(salt),
            hash: Some(tag),
        };
        Ok(PasswordHash { text: Secret::new(text.to_string()), cost: COST, salt, tag })
    }
}

/// Verifying a password that was typed: as long and as large as [`HashJob`], and for an account that does not
/// exist, too.
#[must_use = "a job does nothing until it runs"]
#[derive(Debug)]
pub struct VerifyJob {
    password: Password,
    stored: Option<PasswordHash>,
}

/// What a password is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordOutcome {
    /// It is the one.
    Right {
        /// Whether the stored hash should be replaced by one of today's cost.
        outdated: bool,
    },
    /// It is not, or there is no such account.
    Wrong,
}

impl VerifyJob {
    /// Verifies `password` against the hash of the account, `None` when there is no account.
    pub fn new(password: Password, stored: Option<PasswordHash>) -> Self {
        Self { password, stored }
    }

    /// Does the work.
    ///
    /// # Errors
    /// [`PasswordError::Memory`]: nothing was verified.
    pub fn run(self) -> Result<PasswordOutcome, PasswordError> {
        let typed = self.password.0.expose();
        let mut tag = [0; phc::Output::MAX_LENGTH];
        let Some(stored) = self.stored else {
            argon2(COST, typed, &[0; SALT], tag.get_mut(..TAG).unwrap_or_default())?;
            return Ok(PasswordOutcome::Wrong);
        };
        let tag = tag.get_mut(..stored.tag.len()).unwrap_or_default();
        argon2(stored.cost, typed, stored.salt.as_ref(), tag)?;
        let right = bool::from(tag.ct_eq(stored.tag.as_bytes()));
        let outdated = stored.is_outdated();
        Ok(if right { PasswordOutcome::Right { outdated } } else { PasswordOutcome::Wrong })
    }
}

fn argon2(
    (memory, passes, lanes): (u32, u32, u32),
    password: &str,
    salt: &[u8],
    tag: &mut [u8],
) -> Result<(), PasswordError> {
    let params = Params::new(memory, passes, lanes, Some(tag.len())).map_err(|_| PasswordError::Stored)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, tag)
        .map_err(|_| PasswordError::Memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference program: `echo -n password | argon2 somesalt -id -t 2 -k 256 -p 1 -e`.
    const CHEAP: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    fn verify(typed: &str, stored: Option<&str>) -> PasswordOutcome {
        let stored = stored.map(|s| PasswordHash::from_phc(s).unwrap());
        VerifyJob::new(Password::new(typed).unwrap(), stored).run().unwrap()
    }

    #[test]
    fn a_new_hash_has_the_owasp_cost_and_verifies() {
        let password = Password::new("correct horse").unwrap();
        let hash = HashJob::new(password, &mut Random::from_seed([1; 32])).run().unwrap();
        assert!(hash.to_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.to_phc());
        let back = PasswordHash::from_phc(hash.to_phc()).unwrap();
        assert!(!back.is_outdated());
        assert_eq!(verify("correct horse", Some(back.to_phc())), PasswordOutcome::Right { outdated: false });
        assert_eq!(verify("correct horsf", Some(back.to_phc())), PasswordOutcome::Wrong);
    }

    #[test]
    fn a_hash_of_another_cost_verifies_and_is_outdated() {
        assert_eq!(verify("password", Some(CHEAP)), PasswordOutcome::Right { outdated: true });
        assert_eq!(verify("Password", Some(CHEAP)), PasswordOutcome::Wrong);
    }

    #[test]
    fn a_shorter_tag_is_outdated_too() {
        let of = |tag: &str| format!("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ${tag}");
        let outdated = |tag: &str| PasswordHash::from_phc(&of(tag)).unwrap().is_outdated();
        assert!(!outdated("nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"));
        assert!(outdated("nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu"));
    }

    #[test]
    fn nobody_has_no_password() {
        assert_eq!(verify("password", None), PasswordOutcome::Wrong);
    }

    #[test]
    fn length_is_checked_before_hashing() {
        assert_eq!(Password::new("").err(), Some(PasswordError::Empty));
        assert_eq!(Password::new(&"x".repeat(1 << 20)).err(), Some(PasswordError::TooLong));
        assert_eq!(Password::new(&"x".repeat(1025)).err(), Some(PasswordError::TooLong));
        assert!(Password::new(&"x".repeat(1024)).is_ok());
    }

    #[test]
    fn damaged_and_absurd_hashes_are_refused() {
        let absurd = [
            ("m=256", "m=4194304"),
            ("t=2", "t=9"),
            ("p=1", "p=5"),
            ("argon2id", "argon2i"),
            ("v=19", "v=16"),
            ("v=19$", ""),
            ("$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", ""),
            ("nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "nf65EOgLrQMR/uIP"),
            ("p=1", "p=1,data=AAAA"),
        ];
        for (from, to) in absurd {
            let text = CHEAP.replacen(from, to, 1);
            assert_ne!(text, CHEAP);
            assert_eq!(PasswordHash::from_phc(&text).err(), Some(PasswordError::Stored), "{text}");
        }
        assert_eq!(PasswordHash::from_phc(&"$".repeat(1 << 20)).err(), Some(PasswordError::Stored));
    }

    #[test]
    fn salts_differ() {
        let mut random = Random::from_seed([1; 32]);
        let [a, b] = [(); 2].map(|()| HashJob::new(Password::new("x").unwrap(), &mut random).salt);
        assert_ne!(a, b);
    }
}
