//! Keyed fingerprints: what tables are looked up by.
//!
//! Everything a peer writes into a key (branch, tags, Call-ID) is its own choice, and a table hashed without a
//! secret can be made to collide. A 128-bit keyed hash cannot, and replaces the text in the table besides.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashMap;

use siphasher::sip128::{Hasher128, SipHasher13};

/// A keyed hash of some texts, which stands for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u128);

/// What a fingerprint is made for: equal texts for different purposes have different ones.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// A server transaction (RFC 3261 section 17.2.3).
    Server,
    /// One of a sender that knows RFC 2543 only.
    OldServer,
    /// A request whatever its way (RFC 3261 section 8.2.2.2).
    Merge,
    /// The address of a sender.
    Source,
    /// A client transaction (RFC 3261 section 17.1.3).
    Client,
    /// A dialog (RFC 3261 section 12).
    Dialog,
    /// One who accepted an INVITE.
    Accepted,
    /// An address of record.
    Aor,
}

/// Makes [`Fingerprint`]s with one secret.
pub(crate) struct Fingerprints(SipHasher13);

/// A table by fingerprint.
pub(crate) type Index<V> = HashMap<Fingerprint, V, BuildHasherDefault<Identity>>;

impl Fingerprints {
    pub(crate) fn new(secret: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(secret))
    }

    /// The fingerprint of `parts` in this order.
    pub(crate) fn of(&self, purpose: Purpose, parts: &[&[u8]]) -> Fingerprint {
        let mut hasher = self.0;
        hasher.write_u8(purpose as u8);
        for part in parts {
            // The length in front: two texts never run into each other.
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        Fingerprint(hasher.finish128().as_u128())
    }
}

impl core::fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Fingerprints(..)")
    }
}

impl Fingerprint {
    /// 64 of its bits: a text made from them is the same for the same input.
    pub(crate) fn low(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0.to_le_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// A fingerprint is evenly distributed already: it is its own hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, &from)| *to = from);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, word: u128) {
        self.0 = Fingerprint(word).low();
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_do_not_run_into_each_other() {
        let prints = Fingerprints::new(&[1; 16]);
        assert_ne!(prints.of(Purpose::Server, &[b"ab", b"c"]), prints.of(Purpose::Server, &[b"a", b"bc"]));
        assert_ne!(prints.of(Purpose::Server, &[b"a", b""]), prints.of(Purpose::Server, &[b"a"]));
        assert_ne!(
            prints.of(Purpose::Server, &[b"a"]),
            prints.of(Purpose::Client, &[b"a"]),
            "purposes are apart"
        );
        assert_eq!(prints.of(Purpose::Server, &[b"a"]), prints.of(Purpose::Server, &[b"a"]));
    }

    #[test]
    fn secrets_make_them_differ_and_stay_hidden() {
        let (a, b) = (Fingerprints::new(&[1; 16]), Fingerprints::new(&[2; 16]));
        assert_ne!(a.of(Purpose::Server, &[b"x"]), b.of(Purpose::Server, &[b"x"]));
        assert_eq!(format!("{a:?}"), "Fingerprints(..)");
    }

    #[test]
    fn a_table_finds_what_was_put_in() {
        let prints = Fingerprints::new(&[1; 16]);
        let mut index = Index::default();
        for n in 0u32..1_000 {
            index.insert(prints.of(Purpose::Server, &[&n.to_be_bytes()]), n);
        }
        assert!(
            (0u32..1_000).all(|n| index.get(&prints.of(Purpose::Server, &[&n.to_be_bytes()])) == Some(&n))
        );
    }
}
