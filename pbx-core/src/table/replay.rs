//! Numbers that may be used once a key: nonce counts (RFC 7616 section 3.4), in any order within a window.
//!
//! A slot holds a word `generation 16 | end 48`, the tick until which the key is remembered, and four window
//! words `generation 16 | block 24 | bitmap 24`. A number stands in the block number / 24, a block in the word
//! block % 4 (the idea of RFC 6479). The block of a word only grows, so a number that was accepted is marked or
//! too old for as long as the slot lasts, and one compare-and-swap decides who was first.

use core::time::Duration;
use std::sync::atomic::AtomicU64;

use super::atomic::{load, raise, swap};
use super::block::{Area, TICKS};
use super::key::Key;
use super::slots::{Slot, Slots};
use super::windows::Limit;
use super::word::SEALED;
use crate::time::Now;

/// Numbers a block.
const BITS: u32 = 24;
const BITMAP: u64 = (1 << BITS) - 1;
/// The largest block.
const LAST: u64 = (1 << 24) - 1;
/// Window words a slot.
const WORDS: u32 = 4;
/// Words a slot.
pub(super) const PAYLOAD: usize = 1 + WORDS as usize;

/// Whether a number is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accepted {
    /// For the first time, and never again.
    Fresh,
    /// It was used before.
    Seen,
    /// So far behind the largest one that nobody knows, or beyond the largest one there is.
    TooOld,
    /// There is no room for the key; nothing was noted.
    Pressure,
}

/// A table of numbers used once. A number up to 72 behind the largest one of its key is told from those used
/// before; the largest that a key can have is 402 653 183.
#[derive(Clone, Copy, Debug)]
pub struct Replay<'a> {
    area: Area<'a>,
    slots: Slots<'a>,
}

impl<'a> Replay<'a> {
    pub(super) const fn new(area: Area<'a>) -> Self {
        Self { area, slots: Slots::new(area.slots, area.shape) }
    }

    /// Accepts the number `nc` of `key`, once. The key is remembered for `keep` from now, or longer: as long as
    /// anything that carries it would be believed.
    #[must_use]
    pub fn accept(&self, key: Key, nc: u32, keep: Duration, now: Now) -> Accepted {
        let block = u64::from(nc / BITS);
        if block > LAST {
            return Accepted::TooOld;
        }
        let tick = self.area.tick(now.mono);
        let end = (tick + Limit { at_most: 1, per: keep }.ticks()).min(TICKS - 1);
        loop {
            let Some(slot) = self.slots.find_or_insert(key, |slot| self.close(slot, tick), |_| {}) else {
                self.area.note_pressure();
                return Accepted::Pressure;
            };
            if let Some(accepted) = self.mark(slot, block, 1 << (nc % BITS), end) {
                return accepted;
            }
        }
    }

    /// How often there was no room for a key.
    #[must_use]
    pub fn pressure(&self) -> u64 {
        self.area.pressure()
    }

    /// Marks a number in the words of `slot`; `None` when the slot has gone.
    fn mark(&self, slot: Slot, block: u64, bit: u64, end: u64) -> Option<Accepted> {
        // A worker that read its clock so long ago that by another's the key is over: it may have been forgotten.
        if end <= load(self.slots.floor(slot)) {
            return Some(Accepted::TooOld);
        }
        self.keep(slot, end)?;
        let word = self.window(slot, block)?;
        loop {
            let old = load(word);
            let (at, bitmap) = slot.reads(old).map_or((block, 0), |data| (data >> BITS, data & BITMAP));
            if !self.slots.is_current(slot) {
                return None;
            }
            if at > block {
                return Some(Accepted::TooOld);
            }
            let bitmap = if at == block { bitmap } else { 0 };
            if bitmap & bit != 0 {
                return Some(Accepted::Seen);
            }
            if swap(word, old, slot.says(block << BITS | bitmap | bit)) {
                return Some(Accepted::Fresh);
            }
        }
    }

    /// Keeps `slot` until `end` at least; `None` when it has gone.
    fn keep(&self, slot: Slot, end: u64) -> Option<()> {
        let word = self.end(slot)?;
        loop {
            let old = load(word);
            if !self.slots.is_current(slot) {
                return None;
            }
            match slot.reads(old) {
                Some(SEALED) => {
                    self.slots.free(slot);
                    return None;
                }
                Some(until) if until >= end => return Some(()),
                _ if swap(word, old, slot.says(end)) => return Some(()),
                _ => {}
            }
        }
    }

    /// Ends the use of a slot that need not be remembered. The seal takes the place of the end, so whoever
    /// wants to keep the slot at the same time either comes first or does not get it.
    fn close(&self, slot: Slot, tick: u64) -> bool {
        let Some(word) = self.end(slot) else { return false };
        let old = load(word);
        match slot.reads(old) {
            Some(SEALED) => true,
            Some(end) if end > tick => false,
            _ => {
                raise(self.slots.floor(slot), tick);
                self.slots.is_current(slot) && swap(word, old, slot.says(SEALED))
            }
        }
    }

    fn end(&self, slot: Slot) -> Option<&'a AtomicU64> {
        self.slots.payload(slot).first()
    }

    fn window(&self, slot: Slot, block: u64) -> Option<&'a AtomicU64> {
        let index = usize::try_from(block % u64::from(WORDS)).ok()?;
        self.slots.payload(slot).get(1 + index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::atomic::injected::{interrupt_before, uninterrupted};
    use crate::table::fixture::{at, block, together};
    use crate::table::{Block, Layout, ReplayId};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::{Arc, OnceLock};

    const KEEP: Duration = Duration::from_secs(60);

    fn replay(slots: u32) -> (Block, ReplayId) {
        let mut layout = Layout::new(1);
        let id = layout.replay(slots);
        (block(&layout), id)
    }

    #[test]
    fn one_of_eight_threads_wins_each_number() {
        for seed in 0..40 {
            let (block, id) = replay(8);
            let key = block.key(b"nonce");
            let won = together(seed, |_| {
                let accept = |nc| block.replay(id).accept(key, nc, KEEP, at(0)) == Accepted::Fresh;
                (0..60).filter(|&nc| accept(nc)).collect::<Vec<u32>>()
            });
            let mut all = won.concat();
            all.sort_unstable();
            assert_eq!(all, Vec::from_iter(0..60), "seed {seed}");
        }
    }

    #[test]
    fn numbers_may_come_72_behind_and_no_number_twice() {
        let (block, id) = replay(8);
        let accept = |nc| block.replay(id).accept(block.key(b"nonce"), nc, KEEP, at(0));
        for nc in [1_000, 928, 999, 950, 1_001] {
            assert_eq!((accept(nc), accept(nc)), (Accepted::Fresh, Accepted::Seen), "{nc}");
        }
        assert_eq!(accept(900), Accepted::TooOld);
    }

    #[test]
    fn the_largest_number_is_a_number() {
        let (block, id) = replay(8);
        let accept = |nc| block.replay(id).accept(block.key(b"nonce"), nc, KEEP, at(0));
        assert_eq!(accept(402_653_183), Accepted::Fresh);
        assert_eq!(accept(402_653_183), Accepted::Seen);
        assert_eq!(accept(402_653_184), Accepted::TooOld);
        assert_eq!(accept(u32::MAX), Accepted::TooOld);
    }

    #[test]
    fn a_key_stays_for_its_time_and_makes_room_after_it() {
        let (block, id) = replay(8);
        let accept = |name: u32, ms| block.replay(id).accept(block.key(&name.to_be_bytes()), 1, KEEP, at(ms));
        for name in 0..8 {
            assert_eq!(accept(name, 0), Accepted::Fresh);
        }
        assert_eq!(accept(8, 59_999), Accepted::Pressure);
        assert_eq!(accept(0, 59_999), Accepted::Seen);
        assert_eq!(block.replay(id).pressure(), 1);
        // 0 was seen again, and is kept from then.
        assert_eq!((1..8).map(|n| accept(n + 7, 60_000)).filter(|&a| a == Accepted::Fresh).count(), 7);
        assert_eq!(accept(0, 60_000), Accepted::Seen);
    }

    #[test]
    fn takeovers_let_no_number_pass_twice() {
        // Sixteen keys in one bucket of eight slots; each round begins when the keys of the one before are over,
        // and some threads are rounds behind.
        let rounds = (0..60_u32).flat_map(|round| (0..16).map(move |i| (round, (round * 5 + i) % 16)));
        let rounds = Vec::from_iter(rounds);
        for seed in 0..20 {
            let (block, id) = replay(8);
            let fresh = |&&(round, name): &&(u32, u32)| {
                let now = at(u64::from(round) * 60_000);
                block.replay(id).accept(block.key(&name.to_be_bytes()), round, KEEP, now) == Accepted::Fresh
            };
            let all = together(seed, |_| rounds.iter().filter(fresh).collect::<Vec<_>>()).concat();
            let once: BTreeSet<_> = all.iter().collect();
            assert_eq!(all.len(), once.len(), "seed {seed}");
            assert!(all.len() > 60, "seed {seed}: {}", all.len());
        }
    }

    #[test]
    fn a_number_accepted_at_any_step_of_a_takeover_stays_used() {
        let mut fresh = 0;
        for n in 1.. {
            let (block, id) = replay(8);
            let accept = move |block: &Block, key: &[u8], ms, keep| {
                let nc = u32::try_from(ms / 60_000).unwrap();
                block.replay(id).accept(block.key(key), nc, Duration::from_millis(keep), at(ms))
            };
            // All keys of the bucket are kept until 90 s, but `a`.
            (0..7_u8).for_each(|other| _ = accept(&block, &[other], 0, 90_000));
            _ = accept(&block, b"a", 0, 10);
            let (same, during) = (block.clone(), Arc::new(OnceLock::new()));
            let result = Arc::clone(&during);
            interrupt_before(n, move || _ = result.set(accept(&same, b"a", 60_000, 40_000)));
            _ = accept(&block, b"z", 60_000, 40_000);
            if uninterrupted() {
                break;
            }
            if during.get() == Some(&Accepted::Fresh) {
                fresh += 1;
                assert_ne!(accept(&block, b"a", 91_000, 40_000), Accepted::Fresh, "step {n}");
            }
        }
        assert!(fresh > 20, "{fresh}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_number_passes_twice_and_none_near_the_largest_is_refused(
            numbers in prop::collection::vec(0..300_u32, 1..200)
        ) {
            let (block, id) = replay(8);
            let key = block.key(b"nonce");
            let mut seen = BTreeSet::new();
            for nc in numbers {
                let accepted = block.replay(id).accept(key, nc, KEEP, at(0));
                let near = seen.last().is_none_or(|&last| nc + 72 >= last);
                match accepted {
                    Accepted::Fresh => prop_assert!(seen.insert(nc)),
                    Accepted::Seen => prop_assert!(seen.contains(&nc)),
                    _ => prop_assert!(!near),
                }
            }
        }
    }
}
