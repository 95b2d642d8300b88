//! What credentials are worth.

use super::hash::{Algorithm, Qop};
use super::params::Malformed;

/// What was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The algorithm of the proof.
    pub algorithm: Algorithm,
    /// What it covers.
    pub qop: Qop,
}

/// What credentials are worth. It is for the record and the counters; the sender is told no more than a new
/// challenge and [`is_stale`](Self::is_stale).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The sender knows the secret and says so for the first time.
    Right(Accepted),
    /// The proof is right, but the nonce is too old, not known any more, or the table of counts is full: the
    /// sender is to try again with a new one. No failure.
    Stale,
    /// The proof is wrong, or there is no such account.
    Wrong,
    /// The nonce is none of ours.
    Forged,
    /// The proof is right and was used before, or its count is so far behind those that were used, or so large
    /// (over 400 million), that nobody knows.
    Replay,
    /// The proof is right, but for another URI.
    UriMismatch,
    /// The credentials are for another realm.
    RealmMismatch,
    /// Another algorithm than was offered with the nonce.
    AlgorithmNotOffered,
    /// Another protection than was offered with the nonce.
    QopNotOffered,
    /// The credentials cannot be read.
    Malformed(Malformed),
}

impl Outcome {
    /// Whether the sender proved to know the secret, now.
    #[must_use]
    pub const fn is_right(&self) -> bool {
        matches!(self, Self::Right(_))
    }

    /// Whether the next challenge says `stale=true` (RFC 7616 3.3).
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Stale)
    }

    /// Whether it counts as a failed attempt.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        !self.is_right() && !self.is_stale()
    }
}

impl From<Malformed> for Outcome {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}
