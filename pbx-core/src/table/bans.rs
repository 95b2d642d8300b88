//! Blocks of sources and accounts, each until its own time.
//!
//! An entry is written before anybody can see it: `until`, `since`, address, account, what it is about, and its
//! key, as words of `generation 16 | data 48`. Afterwards only two of them change: `until`, whose seal ends the
//! entry, so that prolonging it and removing it compete for one word; and the word that says why and by whom,
//! when an administrator makes an automatic entry his own.

use core::cell::Cell;
use std::sync::atomic::AtomicU64;

use arrayvec::ArrayVec;

use super::atomic::{load, swap};
use super::ban::{Ban, PAYLOAD, WHY};
use super::block::Area;
use super::key::Key;
use super::layout::Keeps;
use super::slots::{Slot, Slots};
use super::word::SEALED;
use crate::time::Now;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inserted {
    /// It stands.
    New,
    /// There is one already, which now lasts until the later of both ends. It keeps what it says, but a manual
    /// one makes an automatic one manual and gives it its reason.
    Extended,
    /// There is no room for it.
    Full,
}

/// A table of blocks.
///
/// In one made by [`Layout::bans`](super::Layout::bans) nothing but its end, or [`Bans::remove`], removes an entry,
/// and automatic ones leave a share of the slots to manual ones. In one made by
/// [`Layout::holds`](super::Layout::holds) an entry may go before its end: when its bucket is full, the one that
/// ends soonest makes room.
#[derive(Clone, Copy, Debug)]
pub struct Bans<'a> {
    area: Area<'a>,
    slots: Slots<'a>,
    keeps: Keeps,
}

/// What a slot holds.
enum Read {
    Entry {
        until: u64,
        ban: Ban,
    },
    /// Nothing any more.
    Gone,
    /// Words that do not belong together: only memory that was damaged has any.
    Damaged,
}

impl<'a> Bans<'a> {
    pub(super) const fn new(area: Area<'a>, keeps: Keeps) -> Self {
        Self { area, slots: Slots::new(area.slots, area.shape), keeps }
    }

    /// Makes an entry, or prolongs the one that the key has.
    #[must_use]
    pub fn insert(&self, ban: &Ban, now: Now) -> Inserted {
        let (tick, words) = (self.area.tick(now.mono), ban.to_words(&self.area));
        let mine = Cell::new(None);
        let fill = |slot: Slot| {
            mine.set(Some(slot));
            self.slots.payload(slot).iter().zip(words).for_each(|(word, data)| _ = slot.writes(word, data));
        };
        let slots = if ban.manual { self.slots } else { self.slots.leaving(self.keeps.reserved()) };
        loop {
            let Some(slot) = slots.find_or_insert(ban.key, |slot| self.close(slot, tick), fill) else {
                self.area.note_pressure();
                return Inserted::Full;
            };
            if mine.get() == Some(slot) {
                return Inserted::New;
            }
            if self.extend(slot, ban, tick).is_some() {
                return Inserted::Extended;
            }
        }
    }

    /// The entry of `key`, if it has not ended.
    #[must_use]
    pub fn find(&self, key: Key, now: Now) -> Option<Ban> {
        let tick = self.area.tick(now.mono);
        loop {
            let slot = self.slots.find(key)?;
            match self.read(slot) {
                Read::Entry { until, ban } => return (until > tick).then_some(ban),
                Read::Gone | Read::Damaged => self.slots.free(slot),
            }
        }
    }

    /// Removes the entry of `key`; whether there was one. Of several that do so at once, one did.
    pub fn remove(&self, key: Key) -> bool {
        while let Some(slot) = self.slots.find(key) {
            let sealed = self.seal(slot, |_| true);
            self.slots.free(slot);
            if sealed {
                return true;
            }
        }
        false
    }

    /// All entries that have not ended.
    pub fn iter(&self, now: Now) -> impl Iterator<Item = Ban> + use<'a> {
        let (this, tick) = (*self, self.area.tick(now.mono));
        this.slots.live().filter_map(move |slot| match this.read(slot) {
            Read::Entry { until, ban } if until > tick => Some(ban),
            _ => None,
        })
    }

    /// How often there was no room for an entry.
    #[must_use]
    pub fn pressure(&self) -> u64 {
        self.area.pressure()
    }

    /// Makes the entry of `slot` last as long as `ban` and manual if that is; `None` when there is none any more.
    fn extend(&self, slot: Slot, ban: &Ban, tick: u64) -> Option<()> {
        let word = self.word(slot, 0)?;
        loop {
            let old = load(word);
            let until = slot.reads(old).filter(|&until| until != SEALED);
            let new = until
                .map_or(SEALED, |until| if until > tick { until.max(ban.end(&self.area)) } else { SEALED });
            if until.is_some() && !swap(word, old, slot.says(new)) {
                continue;
            }
            if new == SEALED {
                self.slots.free(slot);
                return None;
            }
            break;
        }
        if ban.manual {
            self.make_manual(slot, ban);
        }
        Some(())
    }

    fn make_manual(&self, slot: Slot, ban: &Ban) {
        let Some(word) = self.word(slot, WHY) else { return };
        loop {
            let old = load(word);
            match slot.reads(old) {
                Some(data) if data & 1 == 0 && !swap(word, old, slot.says(ban.why())) => {}
                _ => return,
            }
        }
    }

    /// Ends the use of a slot whose entry has ended, or has to go.
    fn close(&self, slot: Slot, tick: u64) -> bool {
        match self.read(slot) {
            Read::Entry { until, .. } if until <= tick => self.seal(slot, |until| until <= tick),
            Read::Entry { until, .. } => {
                self.keeps == Keeps::ForRoom
                    && self.ends_first(slot, until)
                    && self.seal(slot, |u| u == until)
            }
            Read::Gone => self.slots.is_current(slot),
            Read::Damaged => true,
        }
    }

    /// Whether no other entry of the bucket ends before `until`.
    fn ends_first(&self, slot: Slot, until: u64) -> bool {
        self.slots.neighbours(slot).filter_map(|other| self.until(other)).all(|end| end >= until)
    }

    /// Ends an entry whose end is as wanted; whether it did.
    fn seal(&self, slot: Slot, wanted: impl Fn(u64) -> bool) -> bool {
        let Some(word) = self.word(slot, 0) else { return false };
        loop {
            let old = load(word);
            match slot.reads(old) {
                None | Some(SEALED) => return false,
                Some(until) if !wanted(until) => return false,
                Some(_) if swap(word, old, slot.says(SEALED)) => return true,
                Some(_) => {}
            }
        }
    }

    fn read(&self, slot: Slot) -> Read {
        loop {
            let words = self.slots.payload(slot).iter().map(|word| slot.reads(load(word)));
            let words: Option<ArrayVec<u64, PAYLOAD>> = words.collect();
            let Some(words) = words else {
                return if self.slots.is_current(slot) { Read::Damaged } else { Read::Gone };
            };
            let until = words.first().copied().unwrap_or(SEALED);
            if until == SEALED {
                return Read::Gone;
            }
            // Else it was prolonged, and perhaps made manual, while it was read.
            if self.until(slot) == Some(until) {
                return Ban::from_words(&words, &self.area)
                    .map_or(Read::Damaged, |ban| Read::Entry { until, ban });
            }
        }
    }

    /// What the end of the entry of `slot` is.
    fn until(&self, slot: Slot) -> Option<u64> {
        slot.reads(load(self.word(slot, 0)?)).filter(|&until| until != SEALED)
    }

    fn word(&self, slot: Slot, index: usize) -> Option<&'a AtomicU64> {
        self.slots.payload(slot).get(index)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::id::Label;
    use crate::source::AddrKey;
    use crate::table::atomic::injected::{interrupt_before, uninterrupted};
    use crate::table::fixture::{at, block, together};
    use crate::table::{BansId, Block, Layout};
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;
    use std::sync::{Arc, OnceLock};

    pub(in crate::table) fn pinned(slots: u32, share: u8) -> (Block, BansId) {
        let mut layout = Layout::new(1);
        let id = layout.bans(slots, share);
        (block(&layout), id)
    }

    fn holds(slots: u32) -> (Block, BansId) {
        let mut layout = Layout::new(1);
        let id = layout.holds(slots);
        (block(&layout), id)
    }

    /// An automatic ban of the `n`th address from `since` to `until`, in milliseconds.
    pub(in crate::table) fn ban(block: &Block, n: u32, since: u64, until: u64) -> Ban {
        let addr = AddrKey::host(Ipv4Addr::from_bits(n).into());
        Ban {
            key: block.key(&addr.to_bytes()),
            addr,
            account: Label::EMPTY,
            reason: 2_106,
            what: 3,
            since: at(since).mono,
            until: Some(at(until).mono),
            manual: false,
        }
    }

    #[test]
    fn an_entry_ends_by_time_or_when_it_is_removed() {
        let (block, id) = pinned(64, 0);
        let bans = block.bans(id);
        let one = ban(&block, 1, 0, 1_000);
        assert_eq!(bans.insert(&one, at(0)), Inserted::New);
        assert!(bans.find(one.key, at(999)).is_some() && bans.find(one.key, at(1_000)).is_none());
        let again = ban(&block, 1, 2_000, 3_000);
        assert_eq!(bans.insert(&again, at(2_000)), Inserted::New, "the old one has ended");
        assert_eq!(bans.find(one.key, at(2_000)), Some(again));
        assert!(bans.remove(one.key) && !bans.remove(one.key));
        assert_eq!((bans.find(one.key, at(2_000)), bans.iter(at(2_000)).count()), (None, 0));
    }

    #[test]
    fn an_entry_is_prolonged_never_shortened_and_may_become_manual() {
        let (block, id) = pinned(64, 0);
        let bans = block.bans(id);
        let first = ban(&block, 1, 0, 1_000);
        let extend = |until, manual| {
            let more = Ban { until, manual, reason: 2_102, ..ban(&block, 1, 500, 0) };
            assert_eq!(bans.insert(&more, at(500)), Inserted::Extended);
            bans.find(first.key, at(500)).unwrap()
        };
        assert_eq!(bans.insert(&first, at(0)), Inserted::New);
        assert_eq!(extend(Some(at(700).mono), false), first);
        assert_eq!(extend(Some(at(2_000).mono), false), Ban { until: Some(at(2_000).mono), ..first });
        let manual = Ban { until: None, manual: true, reason: 2_102, ..first };
        assert_eq!(extend(None, true), manual);
        assert_eq!(extend(Some(at(9_000).mono), false), manual);
    }

    #[test]
    fn ten_times_the_room_evicts_no_entry_and_takes_no_manual_share() {
        let (block, id) = pinned(800, 25);
        let bans = block.bans(id);
        let stays: Vec<Ban> = (0..8_000_u32)
            .map(|n| ban(&block, n, 0, 60_000 + u64::from(n)))
            .filter(|ban| bans.insert(ban, at(0)) == Inserted::New)
            .collect();
        assert!(stays.len() > 590 && stays.len() <= 600, "{} of 800", stays.len());
        assert!(stays.iter().all(|ban| bans.find(ban.key, at(59_999)) == Some(*ban)));
        assert!(bans.pressure() >= 7_400);
        let manual = (8_000..16_000).map(|n| Ban { manual: true, ..ban(&block, n, 0, 60_000) });
        let room = manual.filter(|ban| bans.insert(ban, at(0)) == Inserted::New).count();
        assert!(stays.len() + room > 790, "{room} manual ones");
        assert_eq!(bans.iter(at(0)).count(), stays.len() + room);
    }

    #[test]
    fn holds_that_end_soonest_make_room() {
        let (block, id) = holds(8);
        let bans = block.bans(id);
        for n in [5, 3, 7, 1, 8, 2, 6, 4, 9, 10, 11] {
            assert_eq!(bans.insert(&ban(&block, n, 0, 1_000 * u64::from(n)), at(0)), Inserted::New);
        }
        let left: BTreeSet<AddrKey> = bans.iter(at(0)).map(|b| b.addr).collect();
        let expected = (4..=11).map(|n| AddrKey::host(Ipv4Addr::from_bits(n).into())).collect();
        assert_eq!(left, expected);
    }

    #[test]
    fn eight_threads_make_one_entry_of_one_key_and_one_removes_it() {
        for seed in 0..40 {
            let (block, id) = pinned(8, 0);
            let made = together(seed, |thread| {
                block.bans(id).insert(&ban(&block, 1, 0, 1_000 + thread), at(0)) == Inserted::New
            });
            assert_eq!(made.iter().filter(|&&new| new).count(), 1, "seed {seed}");
            let all: Vec<Ban> = block.bans(id).iter(at(0)).collect();
            assert_eq!(
                all.iter().map(|b| b.until).collect::<Vec<_>>(),
                [Some(at(1_007).mono)],
                "seed {seed}"
            );
            let removed = together(seed, |_| block.bans(id).remove(block.key(&all[0].addr.to_bytes())));
            assert_eq!(removed.iter().filter(|&&r| r).count(), 1, "seed {seed}");
        }
    }

    #[test]
    fn an_entry_made_or_removed_at_any_step_of_another_ones_takeover_is_that() {
        // One of eight entries has ended, and a ninth takes its place, while the same source is blocked again.
        let mut made = 0;
        for n in 1.. {
            let (block, id) = pinned(8, 0);
            (0..8).for_each(|i| {
                _ = block.bans(id).insert(&ban(&block, i, 0, if i == 3 { 1_000 } else { 9_000 }), at(0));
            });
            let (again, other) = (ban(&block, 3, 2_000, 60_000), ban(&block, 9, 2_000, 60_000));
            let (same, during) = (block.clone(), Arc::new(OnceLock::new()));
            let outcome = Arc::clone(&during);
            interrupt_before(n, move || _ = outcome.set(same.bans(id).insert(&again, at(2_000))));
            let inserted = block.bans(id).insert(&other, at(2_000));
            if uninterrupted() {
                break;
            }
            for (outcome, ban) in [(inserted, other), (*during.get().unwrap(), again)] {
                let stands = outcome == Inserted::New;
                made += u32::from(stands);
                assert_eq!(block.bans(id).find(ban.key, at(2_000)), stands.then_some(ban), "step {n}");
                assert_eq!(block.bans(id).remove(ban.key), stands, "step {n}");
            }
            assert_eq!(block.bans(id).iter(at(2_000)).count(), 7, "step {n}");
        }
        assert!(made > 50, "{made}");
    }

    #[test]
    fn readers_never_see_a_mixture() {
        // Nine keys in one bucket: `since`, `until` and the account of an entry all tell its address, and a manual
        // one lasts longer.
        for seed in 0..8 {
            let (block, id) = holds(8);
            let bans = block.bans(id);
            let short = |n: u32| Ban {
                account: Label::new(&format!("account number {n:08}")),
                ..ban(&block, n, u64::from(n), 100_000 + u64::from(n))
            };
            let long = |n| Ban { until: Some(at(200_000).mono), ..short(n) };
            let whole = |found: Ban| {
                let n = found.account.as_str().split_at(15).1.parse().unwrap();
                [short(n), long(n), Ban { manual: true, ..long(n) }].contains(&found)
            };
            let read = |n| {
                let found: Vec<Ban> =
                    bans.find(short(n).key, at(0)).into_iter().chain(bans.iter(at(0))).collect();
                found.iter().for_each(|&found| assert!(whole(found), "seed {seed}: {found:?}"));
                found.len()
            };
            let seen = together(seed, |thread| {
                let round = |i: u32| match (u64::from(i) + thread) % 4 {
                    0 => usize::from(bans.insert(&short(i % 9), at(0)) == Inserted::Full),
                    1 => usize::from(!bans.remove(short(i % 9).key)),
                    2 => usize::from(
                        bans.insert(&Ban { manual: true, ..long(i % 9) }, at(0)) == Inserted::Full,
                    ),
                    _ => read(i % 9),
                };
                (0..400).map(round).sum::<usize>()
            });
            assert!(seen.iter().sum::<usize>() > 1_000);
        }
    }
}
