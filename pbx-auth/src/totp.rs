//! Codes of an authenticator app (RFC 6238): 6 digits, a new one every 30 s, each accepted once.

use core::fmt;

use pbx_core::{Now, Random, Secret};

const STEP: u64 = 30;
/// How many steps the phone may be early or late (RFC 6238 5.2).
const SKEW: u64 = 1;

/// The hash of the codes. Some apps take every code for one of SHA-1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TotpAlgorithm {
    /// HMAC-SHA-1: what every app understands.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// Why a text is not the secret of a [`Totp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a TOTP secret is 20 to 64 bytes in base 32")]
pub struct TotpError;

/// A second factor: the secret that an app and the PBX share.
#[derive(Clone)]
pub struct Totp(totp_rs::Totp);

impl Totp {
    /// A new secret as long as the hash: 20, 32 or 64 bytes (RFC 4226 4 asks for at least 16 and likes 20).
    #[must_use]
    pub fn generate(algorithm: TotpAlgorithm, random: &mut Random) -> Self {
        let mut secret = zeroize::Zeroizing::new([0; 64]);
        random.fill(secret.as_mut());
        let len = match algorithm {
            TotpAlgorithm::Sha1 => 20,
            TotpAlgorithm::Sha256 => 32,
            TotpAlgorithm::Sha512 => 64,
        };
        Self::new(algorithm, secret.get(..len).unwrap_or_default().into())
    }

    /// Back from what [`to_base32`](Self::to_base32) wrote.
    ///
    /// # Errors
    /// [`TotpError`] when it is no base 32, or not 20 to 64 bytes.
    pub fn from_base32(algorithm: TotpAlgorithm, secret: &str) -> Result<Self, TotpError> {
        let secret = totp_rs::Secret::try_from_base32(secret).ok();
        let fits = |s: &totp_rs::Secret| (20..=64).contains(&s.as_bytes().len());
        secret.filter(fits).map(|s| Self::new(algorithm, s)).ok_or(TotpError)
    }

    fn new(algorithm: TotpAlgorithm, secret: totp_rs::Secret) -> Self {
        let algorithm = match algorithm {
            TotpAlgorithm::Sha1 => totp_rs::Algorithm::SHA1,
            TotpAlgorithm::Sha256 => totp_rs::Algorithm::SHA256,
            TotpAlgorithm::Sha512 => totp_rs::Algorithm::SHA512,
        };
        let builder = totp_rs::Builder::new().with_algorithm(algorithm).with_secret(secret);
        // The steps around now are tried here, one by one, because each is accepted once.
        Self(builder.with_digits(6).with_skew(0).with_step_duration(STEP).build_noncompliant())
    }

    /// The secret in base 32: for the store, sealed, and for typing it into an app.
    #[must_use]
    pub fn to_base32(&self) -> Secret<String> {
        Secret::new(self.0.secret().to_base32())
    }

    /// Judges a code. `last` is the step that was accepted last for this secret, `None` at first. Steps up to
    /// it are used up (RFC 6238 5.2), so a clock that is set back makes no code good a second time.
    #[must_use]
    pub fn verify(&self, code: &str, last: Option<u64>, now: Now) -> TotpOutcome {
        let Ok(seconds) = u64::try_from(now.wall.unix_secs()) else { return TotpOutcome::Wrong };
        let step = seconds / STEP;
        // All of them are compared, whichever matches.
        let matches = (step.saturating_sub(SKEW)..=step + SKEW)
            .filter(|s| self.0.check(code, s * STEP).is_some())
            .fold(None, |_, s| Some(s));
        match matches {
            Some(step) if last.is_none_or(|l| step > l) => TotpOutcome::Right(TotpCommit { last, step }),
            Some(_) => TotpOutcome::Used,
            None => TotpOutcome::Wrong,
        }
    }
}

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totp(..)")
    }
}

/// What a code is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TotpOutcome {
    /// It is right, once the commit has been stored.
    Right(TotpCommit),
    /// It is right and was used before, or one after it was.
    Used,
    /// It is wrong.
    Wrong,
}

/// What to store before the login goes on: replace the last step by `step` if, and only if, it still is
/// `last`. When it is not, another login used the code in between, and this one is refused.
#[must_use = "a code that is not stored as used can be used again"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpCommit {
    /// The step that was stored when the code was judged.
    pub last: Option<u64>,
    /// The step to store.
    pub step: u64,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use pbx_core::{Mono, Wall};

    use super::*;

    /// RFC 6238 appendix B prints 8 digits; 6 digits are their last six (RFC 4226 5.3).
    const VECTORS: [(i64, [&str; 3]); 6] = [
        (59, ["94287082", "46119246", "90693936"]),
        (1_111_111_109, ["07081804", "68084774", "25091201"]),
        (1_111_111_111, ["14050471", "67062674", "99943326"]),
        (1_234_567_890, ["89005924", "91819424", "93441116"]),
        (2_000_000_000, ["69279037", "90698825", "38618901"]),
        (20_000_000_000, ["65353130", "77737706", "47863826"]),
    ];
    const ALGORITHMS: [(TotpAlgorithm, usize); 3] =
        [(TotpAlgorithm::Sha1, 20), (TotpAlgorithm::Sha256, 32), (TotpAlgorithm::Sha512, 64)];

    fn at(seconds: i64) -> Now {
        Now::new(Mono::ZERO, Wall::from_unix_secs(seconds))
    }

    fn rfc_6238(algorithm: TotpAlgorithm, len: usize) -> Totp {
        let secret: Vec<u8> = b"1234567890".iter().copied().cycle().take(len).collect();
        Totp::from_base32(algorithm, &totp_rs::Secret::from(secret).to_base32()).unwrap()
    }

    fn sha1() -> Totp {
        rfc_6238(TotpAlgorithm::Sha1, 20)
    }

    #[test]
    fn rfc_6238_appendix_b() {
        for (i, (algorithm, len)) in ALGORITHMS.into_iter().enumerate() {
            let totp = rfc_6238(algorithm, len);
            for (time, codes) in VECTORS {
                let step = time.unsigned_abs() / 30;
                let expected = TotpOutcome::Right(TotpCommit { last: None, step });
                assert_eq!(totp.verify(&codes[i][2..], None, at(time)), expected, "{algorithm:?} {time}");
            }
        }
    }

    #[test]
    fn the_window_is_one_step_either_way() {
        let judge = |now: i64| sha1().verify("287082", None, at(now));
        for inside in [0, 29, 30, 59, 60, 89] {
            assert!(matches!(judge(inside), TotpOutcome::Right(TotpCommit { step: 1, .. })), "{inside}");
        }
        for outside in [90, 1_000, i64::MAX / 1_000_000] {
            assert_eq!(judge(outside), TotpOutcome::Wrong, "{outside}");
        }
    }

    #[test]
    fn each_step_is_accepted_once_and_none_before_it_after_it() {
        let judge = |last, now| sha1().verify("287082", last, at(now));
        assert!(matches!(judge(Some(0), 59), TotpOutcome::Right(TotpCommit { last: Some(0), step: 1 })));
        assert_eq!(judge(Some(1), 59), TotpOutcome::Used);
        assert_eq!(judge(Some(2), 59), TotpOutcome::Used, "an older step after a newer one");
        assert_eq!(judge(Some(100), 59), TotpOutcome::Used, "the clock was set back");
    }

    #[test]
    fn a_code_that_two_steps_share_is_good_for_the_second_of_them() {
        let judge = |last| sha1().verify("911617", last, at(910_737 * 30));
        assert!(matches!(judge(None), TotpOutcome::Right(TotpCommit { step: 910_738, .. })));
        assert!(matches!(judge(Some(910_737)), TotpOutcome::Right(TotpCommit { step: 910_738, .. })));
        assert_eq!(judge(Some(910_738)), TotpOutcome::Used);
    }

    #[test]
    fn only_six_digits_are_a_code() {
        for bad in ["", "28708", "0287082", "+87082", " 287082", "28708a", "２87082"] {
            assert_eq!(sha1().verify(bad, None, at(59)), TotpOutcome::Wrong, "{bad:?}");
        }
        assert_eq!(sha1().verify("287082", None, at(-1_000)), TotpOutcome::Wrong, "before 1970");
    }

    #[test]
    fn generated_secrets_come_back_and_short_ones_are_refused() {
        for (algorithm, len) in ALGORITHMS {
            let totp = Totp::generate(algorithm, &mut Random::from_seed([3; 32]));
            let text = totp.to_base32();
            let back = Totp::from_base32(algorithm, text.expose()).unwrap();
            assert_eq!(back.0.secret().as_bytes().len(), len);
            assert_eq!(back.to_base32().expose(), text.expose());
        }
        let of = |n| totp_rs::Secret::from(vec![7_u8; n]).to_base32();
        for bad in ["", "!", &of(19), &of(65), &"A".repeat(1 << 20)] {
            assert_eq!(Totp::from_base32(TotpAlgorithm::Sha1, bad).err(), Some(TotpError));
        }
        assert!(Totp::from_base32(TotpAlgorithm::Sha1, &of(20)).is_ok());
    }

    #[test]
    fn of_eight_logins_with_one_code_one_wins() {
        let (totp, stored) = (sha1(), AtomicU64::new(0));
        let login = || match totp.verify("287082", Some(stored.load(SeqCst)), at(59)) {
            TotpOutcome::Right(TotpCommit { last: Some(last), step }) => {
                stored.compare_exchange(last, step, SeqCst, SeqCst).is_ok()
            }
            _ => false,
        };
        let won = std::thread::scope(|s| {
            let logins: Vec<_> = (0..8).map(|_| s.spawn(login)).collect();
            logins.into_iter().map(|l| usize::from(l.join().unwrap())).sum::<usize>()
        });
        assert_eq!(won, 1);
    }
}
