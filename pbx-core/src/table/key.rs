//! Subjects as keys: one keyed hash a call, used by every table.

use core::hash::Hasher;
use siphasher::sip128::{Hasher128, SipHasher13};

/// The hash of a subject under the secret of a [`Block`](super::Block): 128 bits that nobody without the secret
/// can steer, so that nobody can choose keys that fall into one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    place: u64,
    print: u64,
}

/// Bits of the fingerprint that a slot keeps.
pub(super) const PRINT_BITS: u32 = 47;

impl Key {
    pub(super) fn new(secret: [u64; 2], subject: &[u8]) -> Self {
        let [a, b] = secret;
        let mut hasher = SipHasher13::new_with_keys(a, b);
        hasher.write(subject);
        let hash = hasher.finish128();
        Self { place: hash.h1, print: hash.h2 }
    }

    /// The key of another thing about the same subject ("failures of", "names tried by") without hashing the
    /// subject again. Different tags give different keys.
    #[must_use]
    pub fn tagged(self, tag: u16) -> Self {
        // Odd factors keep different tags different; the hash is secret, so nothing here can be steered.
        let t = u64::from(tag);
        let place = (self.place ^ t.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Self { place: place ^ (place >> 32), print: self.print ^ t.wrapping_mul(0x2545_F491_4F6C_DD1D) }
    }

    /// The key of a pair of subjects, e.g. a source and an account.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let place = self.place.rotate_left(23) ^ other.place;
        let print = self.print.rotate_left(17).wrapping_add(other.print);
        Self { place, print }.tagged(u16::MAX)
    }

    /// In words of 48 bits.
    pub(super) const fn to_words(self) -> [u64; 3] {
        [self.place >> 16, (self.place & 0xffff) << 32 | self.print >> 32, self.print & 0xffff_ffff]
    }

    /// Back from [`Key::to_words`].
    pub(super) const fn from_words([high, middle, low]: [u64; 3]) -> Self {
        Self { place: high << 16 | middle >> 32, print: middle << 32 | low }
    }

    /// Which of `n` buckets.
    pub(super) fn bucket(self, n: usize) -> usize {
        let wide = u128::from(self.place) * (n as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// The fingerprint, never 0.
    pub(super) fn print(self) -> u64 {
        (self.print >> (64 - PRINT_BITS)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn tags_and_subjects_give_different_keys() {
        let a = Key::new([1, 2], b"a");
        let b = Key::new([1, 2], b"b");
        let mut all = HashSet::new();
        for tag in 0..=u16::MAX {
            assert!(all.insert(a.tagged(tag)), "tag {tag}");
        }
        assert!(all.insert(b) && all.insert(a.with(b)) && all.insert(b.with(a)));
    }

    #[test]
    fn another_secret_gives_other_places() {
        let same = (0..1_000_u32)
            .filter(|i| {
                let subject = i.to_be_bytes();
                Key::new([1, 2], &subject).bucket(1_024) == Key::new([3, 4], &subject).bucket(1_024)
            })
            .count();
        assert!(same < 20, "{same} of 1000 fall into the same of 1024 buckets");
    }

    #[test]
    fn buckets_are_used_evenly() {
        let mut used = [0_u32; 64];
        (0..64_000_u32).for_each(|i| used[Key::new([1, 2], &i.to_be_bytes()).tagged(3).bucket(64)] += 1);
        assert!(used.iter().all(|n| (800..1_200).contains(n)), "{used:?}");
    }
}
