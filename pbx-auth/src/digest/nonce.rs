//! Nonces that prove themselves: nothing is stored until a proof over one has verified.
//!
//! 28 bytes, sent as 56 hexadecimal digits:
//!
//! | bytes | content |
//! | --- | --- |
//! | 0-1 | id of the key, derived from the key |
//! | 2 | algorithm and quality of protection that were offered with it |
//! | 3-6 | second in which it expires |
//! | 7-11 | random, so that no two clients share a nonce and its counts |
//! | 12-15 | first 32 bits of HMAC-SHA256 over bytes 7-11 and the address it was sent to |
//! | 16-27 | first 96 bits of HMAC-SHA256 over bytes 0-15 and the realm |
//!
//! The address is no condition of a proof, because phones change theirs. It tells whether credentials come from
//! where their nonce went: over UDP, a sender that can show that receives at the address it claims, and
//! failures under a forged address are not held against its owner for good.
//!
//! What was offered is read from the nonce, not from what the client claims, so neither the algorithm nor
//! the protection can be talked down.
//!
//! Times are those of the monotonic clock. A civil clock that is set back would revive nonces whose counts
//! the table has forgotten already; the monotonic one cannot. It costs that nonces do not outlive a reboot
//! and mean nothing to another machine, and neither should: the table of counts is not there either, so every
//! count could be used once more. Such a nonce carries the id of a key that is not held; its sender, if the
//! proof is right, is told `stale` and comes back one round trip later. The time in a nonce is its end, not
//! its beginning: a longer lifetime in a new configuration cannot revive what has expired.

use hmac::{Hmac, KeyInit, Mac};
use pbx_core::{AddrKey, Now, Random};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::hash::{Algorithm, Qop};
use crate::hex;

const LEN: usize = 28;
/// Length of its text, in characters.
pub(crate) const TEXT: usize = 2 * LEN;
const HEADER: usize = 16;
const TAG: usize = LEN - HEADER;

/// How much earlier than the thread that issued a nonce another one may have read the clock, in seconds.
pub(crate) const SLACK: u32 = 2;

/// A nonce that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce {
    pub(crate) bytes: [u8; LEN],
    pub(crate) algorithm: Algorithm,
    pub(crate) qop: Qop,
    expires: u32,
}

/// What a nonce is issued for.
pub(crate) struct Issue<'a> {
    pub(crate) realm: &'a str,
    pub(crate) offered: (Algorithm, Qop),
    /// Seconds.
    pub(crate) lifetime: u32,
    /// Where it is sent.
    pub(crate) to: AddrKey,
}

impl Nonce {
    /// Seconds that are left, if it lives: it has not expired and could have been issued with `lifetime`.
    pub(crate) fn left(&self, lifetime: u32, now: Now) -> Option<u32> {
        let left = self.expires.wrapping_sub(seconds(now));
        (1..=lifetime + SLACK).contains(&left).then_some(left)
    }
}

/// Where a nonce comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// From here.
    Genuine(Nonce),
    /// Signed with a key that is not held: retired, of a former run, or invented. Nothing in it is certain.
    UnknownKey(Nonce),
    /// Not from here.
    Forged,
}

/// The keys that sign nonces: one that signs, and the one before it, which still verifies.
#[derive(Clone)]
pub(crate) struct Keys {
    current: Key,
    previous: Option<Key>,
}

impl Keys {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self { current: Key::new(seed), previous: None }
    }

    /// Signs with a new key from now on. Nonces of the key before the last become strangers.
    pub(crate) fn rotate(&mut self, seed: &[u8; 32]) {
        self.previous = Some(core::mem::replace(&mut self.current, Key::new(seed)));
    }

    /// The text of a new nonce.
    pub(crate) fn issue(&self, issue: &Issue<'_>, random: &mut Random, now: Now) -> [u8; TEXT] {
        let salt @ [r0, r1, r2, r3, r4] = random.bytes();
        let [t0, t1, t2, t3] = seconds(now).wrapping_add(issue.lifetime).to_be_bytes();
        let [k0, k1] = self.current.id;
        let [a0, a1, a2, a3] = self.current.address(&salt, issue.to);
        let offered = pack(issue.offered);
        let header = [k0, k1, offered, t0, t1, t2, t3, r0, r1, r2, r3, r4, a0, a1, a2, a3];
        let mut text = [0; TEXT];
        let (head, tag) = text.split_at_mut(2 * HEADER);
        hex::encode(&header, head);
        hex::encode(&self.current.tag(&header, issue.realm), tag);
        text
    }

    /// What the text of a nonce says. Only the one spelling that was issued is taken.
    pub(crate) fn open(&self, text: &[u8], realm: &str) -> Opened {
        let lower = !text.iter().any(u8::is_ascii_uppercase);
        let Some(bytes) = hex::decode::<LEN>(text).filter(|_| lower) else { return Opened::Forged };
        let Some(nonce) = unpack(bytes) else { return Opened::Forged };
        match self.candidates(&bytes).next() {
            None => Opened::UnknownKey(nonce),
            Some(_) if self.candidates(&bytes).any(|k| k.signed(&bytes, realm)) => Opened::Genuine(nonce),
            Some(_) => Opened::Forged,
        }
    }

    /// Whether a genuine nonce was sent to `address`.
    pub(crate) fn sent_to(&self, nonce: &Nonce, address: AddrKey) -> bool {
        let [_, _, _, _, _, _, _, r0, r1, r2, r3, r4, a0, a1, a2, a3, ..] = nonce.bytes;
        let (salt, sent) = ([r0, r1, r2, r3, r4], [a0, a1, a2, a3]);
        self.candidates(&nonce.bytes).any(|k| bool::from(k.address(&salt, address).ct_eq(&sent)))
    }

    /// The keys with the id that a nonce names: one, but for one pair of keys in 65 536.
    fn candidates(&self, bytes: &[u8; LEN]) -> impl Iterator<Item = &Key> {
        let keys = [Some(&self.current), self.previous.as_ref()].into_iter().flatten();
        keys.filter(|k| bytes.starts_with(&k.id))
    }
}

/// A key with its inner and outer HMAC state computed already.
#[derive(Clone)]
struct Key {
    id: [u8; 2],
    mac: Hmac<Sha256>,
}

impl Key {
    fn new(seed: &[u8; 32]) -> Self {
        let mac = mac(seed);
        let [k0, k1, ..] = derive(seed, b"nonce key id");
        Self { id: [k0, k1], mac }
    }

    fn tag(&self, header: &[u8], realm: &str) -> [u8; TAG] {
        self.mac(header, realm.as_bytes())
    }

    /// Salted, so that nobody sees which nonces went to one address. 15 bytes are hashed, and for a tag at
    /// least 17: neither can be taken for the other.
    fn address(&self, salt: &[u8; 5], address: AddrKey) -> [u8; 4] {
        self.mac(salt, &address.to_bytes())
    }

    fn mac<const N: usize>(&self, first: &[u8], second: &[u8]) -> [u8; N] {
        let mut mac = self.mac.clone();
        mac.update(first);
        mac.update(second);
        let mut out = [0; N];
        out.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(o, b)| *o = b);
        out
    }

    fn signed(&self, bytes: &[u8; LEN], realm: &str) -> bool {
        let (header, tag) = bytes.split_at(HEADER);
        bool::from(self.tag(header, realm).ct_eq(tag))
    }
}

/// 32 bytes that depend on `seed` and what they are for.
pub(crate) fn derive(seed: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    let mut mac = mac(seed);
    mac.update(purpose);
    mac.finalize().into_bytes().into()
}

fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key of at most the block length (64 bytes) is padded with zeros (RFC 2104 2).
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(b, k)| *b = *k);
    Hmac::new(&block.into())
}

/// Wraps after 136 years; differences stay right.
fn seconds(now: Now) -> u32 {
    let seconds = now.mono.as_micros() / 1_000_000;
    u32::try_from(seconds & u64::from(u32::MAX)).unwrap_or_default()
}

const fn pack((algorithm, qop): (Algorithm, Qop)) -> u8 {
    let algorithm = match algorithm {
        Algorithm::Md5 => 1,
        Algorithm::Sha256 => 2,
        Algorithm::Sha512_256 => 3,
    };
    match qop {
        Qop::Auth => algorithm,
        Qop::AuthInt => algorithm | 0x10,
    }
}

fn unpack(bytes: [u8; LEN]) -> Option<Nonce> {
    let [_, _, offered, t0, t1, t2, t3, ..] = bytes;
    let all = Algorithm::ALL.into_iter().flat_map(|a| [(a, Qop::Auth), (a, Qop::AuthInt)]);
    let (algorithm, qop) = all.into_iter().find(|&o| pack(o) == offered)?;
    Some(Nonce { bytes, algorithm, qop, expires: u32::from_be_bytes([t0, t1, t2, t3]) })
}

#[cfg(test)]
mod tests {
    use pbx_core::{Mono, Wall};

    use super::*;

    const OFFERED: (Algorithm, Qop) = (Algorithm::Sha256, Qop::Auth);

    fn at(seconds: u64) -> Now {
        Now::new(Mono::from_secs(seconds), Wall::UNIX_EPOCH)
    }

    fn addr(text: &str) -> AddrKey {
        AddrKey::host(text.parse().unwrap())
    }

    fn issue(keys: &Keys, now: Now) -> [u8; TEXT] {
        let issue = Issue { realm: "r", offered: OFFERED, lifetime: 300, to: addr("192.0.2.1") };
        keys.issue(&issue, &mut Random::from_seed([1; 32]), now)
    }

    fn genuine(keys: &Keys, text: &[u8]) -> Nonce {
        match keys.open(text, "r") {
            Opened::Genuine(nonce) => nonce,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_offered_comes_back() {
        let keys = Keys::new(&[7; 32]);
        for algorithm in Algorithm::ALL {
            for qop in [Qop::Auth, Qop::AuthInt] {
                let issue =
                    Issue { realm: "r", offered: (algorithm, qop), lifetime: 60, to: addr("192.0.2.1") };
                let nonce = genuine(&keys, &keys.issue(&issue, &mut Random::from_seed([2; 32]), at(5)));
                assert_eq!((nonce.algorithm, nonce.qop), (algorithm, qop));
            }
        }
    }

    #[test]
    fn it_lives_its_lifetime_and_not_before() {
        let keys = Keys::new(&[7; 32]);
        let nonce = genuine(&keys, &issue(&keys, at(1_000)));
        assert_eq!(nonce.left(300, at(1_000)), Some(300));
        assert_eq!(nonce.left(300, at(1_299)), Some(1));
        assert_eq!(nonce.left(300, at(1_300)), None, "expired");
        assert_eq!(nonce.left(300, at(998)), Some(302), "another thread read the clock earlier");
        assert_eq!(nonce.left(300, at(997)), None, "issued in the future");
        assert_eq!(nonce.left(600, at(1_300)), None, "a longer lifetime revives nothing");
    }

    #[test]
    fn it_survives_the_wrap_of_the_seconds() {
        let keys = Keys::new(&[7; 32]);
        let nonce = genuine(&keys, &issue(&keys, at((1 << 32) - 10)));
        assert_eq!(nonce.left(300, at((1 << 32) + 200)), Some(90));
        assert_eq!(nonce.left(300, at((1 << 32) + 290)), None);
    }

    #[test]
    fn it_knows_where_it_was_sent_even_after_a_rotation() {
        let mut keys = Keys::new(&[7; 32]);
        let nonce = genuine(&keys, &issue(&keys, at(9)));
        keys.rotate(&[8; 32]);
        assert!(keys.sent_to(&nonce, addr("192.0.2.1")));
        for other in ["192.0.2.2", "192.0.3.1", "2001:db8::1", "0.0.0.0"] {
            assert!(!keys.sent_to(&nonce, addr(other)), "{other}");
        }
        keys.rotate(&[9; 32]);
        assert!(!keys.sent_to(&nonce, addr("192.0.2.1")), "nothing is known of a key that is not held");
    }

    #[test]
    fn the_previous_key_verifies_and_the_one_before_is_a_stranger() {
        let mut keys = Keys::new(&[1; 32]);
        let text = issue(&keys, at(9));
        keys.rotate(&[2; 32]);
        assert!(matches!(keys.open(&text, "r"), Opened::Genuine(_)));
        keys.rotate(&[3; 32]);
        assert!(matches!(keys.open(&text, "r"), Opened::UnknownKey(_)));
    }

    #[test]
    fn the_key_is_hmac_sha256_of_rfc_4231() {
        // RFC 4231 4.2 pads its 20-byte key with zeros to the block, and so does a 32-byte key that ends in them.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let tag = derive(&key, b"Hi There");
        assert_eq!(hex::text(&tag), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }
}
