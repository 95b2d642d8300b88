//! A block as a value, and as the words of a slot.

use arrayvec::ArrayVec;

use super::block::{Area, TICKS};
use super::key::Key;
use crate::id::Label;
use crate::source::AddrKey;
use crate::time::Mono;

/// Words a slot: until, since, address 2, label 6, why, key 3.
pub(super) const PAYLOAD: usize = 14;
/// Which word says why, what is blocked, and whether an administrator made it.
pub(super) const WHY: usize = 10;
/// Bytes of a label in one word.
const BYTES: usize = 6;
/// The end of an entry that does not end by itself. Later than every other.
const NEVER: u64 = TICKS;

/// A block of a source, an account, or a source for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "it is a record")]
pub struct Ban {
    /// What it is found by.
    pub key: Key,
    /// Whom it keeps out.
    pub addr: AddrKey,
    /// The account it is about, or none.
    pub account: Label,
    /// The code of the [`Reason`](crate::Reason).
    pub reason: u16,
    /// What is blocked, by a number that the embedder gives a meaning.
    pub what: u8,
    /// When it was made.
    pub since: Mono,
    /// When it ends; `None` when somebody has to end it. Times count in milliseconds, rounded down.
    pub until: Option<Mono>,
    /// Whether an administrator made it.
    pub manual: bool,
}

impl Ban {
    /// The data of the words of a slot in `area`.
    pub(super) fn to_words(self, area: &Area<'_>) -> [u64; PAYLOAD] {
        let bits = self.addr.bits();
        let rest =
            (bits & 0xffff) << 8 | u64::from(self.addr.is_v6()) << 7 | u64::from(self.addr.prefix_len());
        let [a, b, c, d, e, f] = label_words(self.account);
        let [k, l, m] = self.key.to_words();
        let since = area.tick(self.since);
        [self.end(area), since, bits >> 16, rest, a, b, c, d, e, f, self.why(), k, l, m]
    }

    /// Back from [`Ban::to_words`].
    pub(super) fn from_words(words: &[u64], area: &Area<'_>) -> Option<Self> {
        let &[until, since, high, rest, a, b, c, d, e, f, why, k, l, m] = words else { return None };
        let [_, _, _, _, reason_high, reason_low, what, manual] = why.to_be_bytes();
        let len = u8::try_from(rest & 0x7f).ok()?;
        Some(Self {
            key: Key::from_words([k, l, m]),
            addr: AddrKey::from_parts(high << 16 | rest >> 8, rest >> 7 & 1 == 1, len)?,
            account: label([a, b, c, d, e, f]),
            reason: u16::from_be_bytes([reason_high, reason_low]),
            what,
            since: area.mono(since),
            until: (until != NEVER).then(|| area.mono(until)),
            manual: manual == 1,
        })
    }

    /// When it ends, in ticks.
    pub(super) fn end(&self, area: &Area<'_>) -> u64 {
        self.until.map_or(NEVER, |until| area.tick(until))
    }

    /// The data of the word that says why. Its lowest bit is set for manual ones.
    pub(super) fn why(&self) -> u64 {
        u64::from(self.reason) << 16 | u64::from(self.what) << 8 | u64::from(self.manual)
    }
}

/// The text in words of 6 bytes, filled up with zeros: a label holds none.
fn label_words(label: Label) -> [u64; 6] {
    let mut words = [0; 6];
    for (word, part) in words.iter_mut().zip(label.as_str().as_bytes().chunks(BYTES)) {
        let filled = part.iter().copied().chain(core::iter::repeat(0)).take(BYTES);
        *word = filled.fold(0, |word, byte| word << 8 | u64::from(byte));
    }
    words
}

fn label(words: [u64; 6]) -> Label {
    let text: ArrayVec<u8, 48> = words.iter().flat_map(|w| w.to_be_bytes()).filter(|&b| b != 0).collect();
    core::str::from_utf8(&text).map(Label::new).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Inserted;
    use crate::table::bans::tests::{ban, pinned};
    use crate::table::fixture::at;

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let (block, id) = pinned(64, 25);
        let long = Label::new("ü-ü-ü-ü-ü-ü-ü-ü-ü-ü-");
        for (n, text, account, until) in [
            (1, "192.0.2.1", Label::new("1001"), Some(at(60_000).mono)),
            (2, "2001:db8:ffff:ffff::1", long, None),
            (3, "0.0.0.0", Label::EMPTY, Some(at(1).mono)),
        ] {
            let ban = Ban {
                addr: AddrKey::host(text.parse().unwrap()),
                account,
                reason: u16::MAX,
                what: u8::MAX,
                until,
                manual: n == 2,
                ..ban(&block, n, 0, 0)
            };
            assert_eq!(block.bans(id).insert(&ban, at(0)), Inserted::New);
            assert_eq!(block.bans(id).find(ban.key, at(0)), Some(ban));
            assert!(block.bans(id).iter(at(0)).any(|b| b == ban));
        }
        assert_eq!(block.bans(id).iter(at(1)).count(), 2);
    }
}
