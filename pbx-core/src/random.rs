//! Randomness from a seed that the caller hands in.

use core::fmt;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// A cryptographically strong generator over a seed: the same seed gives the same output, which is what
/// tests and replays need; an unpredictable seed gives unpredictable output, which is what tags, nonces and
/// passwords need. Seed it with 32 bytes from the operating system.
///
/// ```
/// use pbx_core::Random;
/// let mut a = Random::from_seed([7; 32]);
/// let mut b = Random::from_seed([7; 32]);
/// assert_eq!(a.next_u64(), b.next_u64());
/// ```
pub struct Random(ChaCha12Rng);

impl Random {
    /// A generator over `seed`.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// `N` random bytes, e.g. a key.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A number below `n`, every one equally likely; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        // Refusing the incomplete last lap keeps the result unbiased.
        let limit = u64::MAX - u64::MAX % n;
        loop {
            let x = self.next_u64();
            if x < limit {
                return x % n;
            }
        }
    }

    /// A text of `len` characters drawn from `alphabet`, e.g. a generated SIP secret. Characters outside
    /// ASCII are not drawn.
    pub fn text(&mut self, len: usize, alphabet: &[u8]) -> String {
        (0..len).filter_map(|_| self.pick(alphabet)).map(char::from).collect()
    }

    fn pick(&mut self, alphabet: &[u8]) -> Option<u8> {
        let i = self.below(u64::try_from(alphabet.len()).ok()?);
        alphabet.get(usize::try_from(i).ok()?).copied().filter(u8::is_ascii)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_below_and_reaches_every_value() {
        let mut r = Random::from_seed([1; 32]);
        let mut seen = [false; 7];
        (0..1_000).for_each(|_| seen[usize::try_from(r.below(7)).unwrap()] = true);
        assert_eq!(seen, [true; 7]);
        assert_eq!(r.below(0), 0);
    }

    #[test]
    fn text_has_the_asked_length_and_alphabet() {
        let t = Random::from_seed([2; 32]).text(32, b"abc");
        assert_eq!(t.len(), 32);
        assert!(t.bytes().all(|c| b"abc".contains(&c)));
    }

    #[test]
    fn debug_shows_no_state() {
        assert_eq!(format!("{:?}", Random::from_seed([3; 32])), "Random(..)");
    }
}
