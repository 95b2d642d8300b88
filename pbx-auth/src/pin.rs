//! PINs that are dialled: outbound routes, voicemail.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use pbx_core::Secret;
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::hex;

/// A PIN: 3 to 15 digits.
///
/// ```
/// use pbx_auth::{Pin, Trivial};
/// assert!("12".parse::<Pin>().is_err());
/// assert_eq!("4711".parse::<Pin>().unwrap().trivial("1001"), None);
/// assert_eq!("7890".parse::<Pin>().unwrap().trivial("1001"), Some(Trivial::Sequence));
/// ```
#[derive(Clone)]
pub struct Pin(Secret<String>);

/// Why a text is not a [`Pin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PIN has 3 to 15 digits")]
pub struct PinError;

/// Why a PIN is among the first that anybody tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trivial {
    /// It consists of one digit or of one group over and over: `0000`, `1212`, `123123`.
    Repeated,
    /// Neighbouring keys in order, up or down: `1234`, `7890`, `3210`.
    Sequence,
    /// A year that somebody was born or married in: `1900` to `2099`.
    Year,
    /// It contains the extension, or the extension contains it, forwards or backwards.
    Extension,
}

impl core::str::FromStr for Pin {
    type Err = PinError;

    fn from_str(s: &str) -> Result<Self, PinError> {
        let fits = (3..=15).contains(&s.len()) && s.bytes().all(|c| c.is_ascii_digit());
        fits.then(|| Self(Secret::new(s.to_owned()))).ok_or(PinError)
    }
}

impl Pin {
    /// Why it should not be chosen, if so. `extension` is that of its owner, empty when it has none.
    #[must_use]
    pub fn trivial(&self, extension: &str) -> Option<Trivial> {
        let digits = self.digits();
        if is_repeated(digits) {
            Some(Trivial::Repeated)
        } else if is_sequence(digits) {
            Some(Trivial::Sequence)
        } else if digits.len() == 4 && (digits.starts_with(b"19") || digits.starts_with(b"20")) {
            Some(Trivial::Year)
        } else {
            self.resembles(extension).then_some(Trivial::Extension)
        }
    }

    fn resembles(&self, extension: &str) -> bool {
        let pin = self.0.expose();
        let backwards: String = pin.chars().rev().collect();
        // Two digits occur in any PIN by chance.
        extension.len() >= 3
            && [pin, &backwards].iter().any(|p| p.contains(extension) || extension.contains(p.as_str()))
    }

    fn digits(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// Whether a group of at most half the length makes up the whole.
fn is_repeated(digits: &[u8]) -> bool {
    (1..=digits.len() / 2)
        .any(|n| digits.len().is_multiple_of(n) && digits.windows(n + 1).all(|w| w.first() == w.last()))
}

/// Whether every digit is the next, or every one the previous, of that before it; 0 follows 9.
fn is_sequence(digits: &[u8]) -> bool {
    let steps = |by: u8| digits.array_windows().all(|&[a, b]| (a - b'0' + by) % 10 == b - b'0');
    steps(1) || steps(9)
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

/// The key that PINs are hashed with. All PINs there are can be tried in seconds by whoever has both hashes and
/// key, so keep it apart from them; against those who can only dial, the limit of tries is what protects.
#[derive(Clone)]
pub struct PinKey(Hmac<Sha256>);

/// A PIN as it is stored: HMAC-SHA256 under a [`PinKey`].
#[derive(Clone, Copy)]
pub struct PinHash([u8; 32]);

impl PinKey {
    /// A key of 32 random bytes.
    #[must_use]
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        let mut block = zeroize::Zeroizing::new([0; 64]);
        block.iter_mut().zip(key.expose()).for_each(|(b, k)| *b = *k);
        Self(Hmac::new(&(*block).into()))
    }

    /// Hashes `pin` for its `owner`: the account, or the list of PINs that a route takes. Equal PINs of
    /// different owners have different hashes.
    #[must_use]
    pub fn hash(&self, owner: &str, pin: &Pin) -> PinHash {
        let mut mac = self.0.clone();
        // A PIN has digits only, so the separator makes every pair of owner and PIN a text of its own.
        [owner.as_bytes(), b"\0", pin.digits()].iter().for_each(|part| mac.update(part));
        PinHash(mac.finalize().into_bytes().into())
    }

    /// Whether `pin` is the one of `owner`.
    #[must_use]
    pub fn verify(&self, owner: &str, pin: &Pin, stored: &PinHash) -> bool {
        self.find(owner, pin, core::slice::from_ref(stored)).is_some()
    }

    /// Which PIN of the list `owner` it is. One hash is computed, and every entry compared, whichever matches.
    #[must_use]
    pub fn find(&self, owner: &str, pin: &Pin, stored: &[PinHash]) -> Option<usize> {
        let PinHash(hash) = self.hash(owner, pin);
        let (mut found, mut place) = (Choice::from(0), 0_u64);
        for (i, PinHash(entry)) in (0_u64..).zip(stored) {
            let equal = entry.ct_eq(&hash);
            place.conditional_assign(&i, equal);
            found |= equal;
        }
        bool::from(found).then(|| usize::try_from(place).ok()).flatten()
    }
}

impl PinHash {
    /// 64 hexadecimal digits for the store.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::text(&self.0)
    }

    /// Back from what [`to_hex`](Self::to_hex) wrote; `None` for anything else.
    #[must_use]
    pub fn from_hex(stored: &str) -> Option<Self> {
        hex::decode(stored.as_bytes()).map(Self)
    }
}

impl fmt::Debug for PinKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinKey(..)")
    }
}

impl fmt::Debug for PinHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(text: &str) -> Pin {
        text.parse().unwrap()
    }

    fn key(n: u8) -> PinKey {
        PinKey::new(&Secret::new([n; 32]))
    }

    #[test]
    fn spec_2_11_pins_have_3_to_15_digits() {
        for bad in ["", "12", "1234567890123456", "12a", "+123", " 123", "１２３"] {
            assert_eq!(bad.parse::<Pin>().err(), Some(PinError), "{bad:?}");
        }
        assert!("123".parse::<Pin>().is_ok() && "123456789012345".parse::<Pin>().is_ok());
    }

    #[test]
    fn trivial_pins_are_told() {
        for (text, why) in [
            ("0000", Trivial::Repeated),
            ("1212", Trivial::Repeated),
            ("123123", Trivial::Repeated),
            ("1234", Trivial::Sequence),
            ("7890", Trivial::Sequence),
            ("8901", Trivial::Sequence),
            ("3210", Trivial::Sequence),
            ("1984", Trivial::Year),
            ("2031", Trivial::Year),
            ("6042", Trivial::Extension),
            ("2406", Trivial::Extension),
            ("960421", Trivial::Extension),
            ("604", Trivial::Extension),
        ] {
            assert_eq!(pin(text).trivial("6042"), Some(why), "{text}");
        }
        for fine in ["4711", "1213", "19840", "1357", "000001"] {
            assert_eq!(pin(fine).trivial("6042"), None, "{fine}");
        }
        assert_eq!(pin("4711").trivial(""), None);
        assert_eq!(pin("4711").trivial("11"), None);
    }

    #[test]
    fn only_the_same_key_owner_and_pin_verify() {
        let stored = PinHash::from_hex(&key(1).hash("intl", &pin("4711")).to_hex()).unwrap();
        assert!(key(1).verify("intl", &pin("4711"), &stored));
        assert!(!key(1).verify("intl", &pin("4712"), &stored));
        assert!(!key(1).verify("intl4", &pin("711"), &stored));
        assert!(!key(1).verify("other", &pin("4711"), &stored));
        assert!(!key(2).verify("intl", &pin("4711"), &stored));
    }

    #[test]
    fn the_place_in_a_list_is_found() {
        let list: Vec<_> = ["111", "222", "333"].map(|p| key(1).hash("l", &pin(p))).into();
        assert_eq!(key(1).find("l", &pin("333"), &list), Some(2));
        assert_eq!(key(1).find("l", &pin("111"), &list), Some(0));
        assert_eq!(key(1).find("l", &pin("444"), &list), None);
        assert_eq!(key(1).find("l", &pin("111"), &[]), None);
    }
}
