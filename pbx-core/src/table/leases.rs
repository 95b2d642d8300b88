//! At most M at once: a lease for each, which ends by itself.
//!
//! A slot holds an epoch word `generation 16 | confirmations 48` and two words a lease: its end
//! `generation 16 | turn 8 | time 40`, and its holder `generation 16 | turn 8 | holder 40`. There is no counter
//! that could leak: how many are taken is how many ends lie ahead.
//!
//! A lease is taken by one compare-and-swap of an end that has passed; the turn goes up, so the holder written
//! before it is nobody's. The taker writes its holder, confirms by raising the epoch, and then counts: of several
//! that take the last one at once, each counts after it has taken, so the last one of them sees all others, and
//! gives back. A slot is closed by sealing the epoch that was read before its leases were seen to have ended:
//! that fails when anybody has confirmed since, and whoever finds the seal has taken nothing.

use super::atomic::{load, swap};
use super::block::Area;
use super::key::Key;
use super::lease::{Lease, print};
use super::slots::{Slot, Slots};
use super::word::SEALED;
use crate::time::{Mono, Now};

/// The most leases a key can have.
pub(super) const WIDEST: u8 = 64;
/// What asking for a lease gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leased {
    /// The holder has one more lease.
    Taken,
    /// The holder had one already, which now ends at the new time.
    Held,
    /// All that may be taken are taken.
    Full {
        /// When the first of them ends.
        retry_at: Mono,
    },
    /// There is no room for the key.
    Pressure,
}

/// A table of leases. A limit counts up to the width of the table and a larger one is taken for that.
///
/// Holders are told apart by 40 bits: those below 2^40 always, larger ones by a hash of as many bits.
#[derive(Clone, Copy, Debug)]
pub struct Leases<'a> {
    area: Area<'a>,
    slots: Slots<'a>,
}

impl<'a> Leases<'a> {
    pub(super) const fn new(area: Area<'a>) -> Self {
        Self { area, slots: Slots::new(area.slots, area.shape) }
    }

    /// Takes a lease of `key` for `holder` until `until`, unless `limit` are taken. A race for the last one may
    /// refuse one too many; never are more than `limit` taken.
    #[must_use]
    pub fn take(&self, key: Key, holder: u64, limit: u32, until: Mono, now: Now) -> Leased {
        let (tick, until, holder) = (self.area.tick(now.mono), self.area.tick(until), print(holder));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(self.width());
        loop {
            let Some(slot) = self.slots.find_or_insert(key, |slot| self.close(slot, tick), |_| {}) else {
                self.area.note_pressure();
                return Leased::Pressure;
            };
            if let Some(leased) = self.take_in(slot, holder, limit, until, tick) {
                return leased;
            }
        }
    }

    /// Moves the end of the lease that `holder` has; whether it has one that has not ended.
    pub fn renew(&self, key: Key, holder: u64, until: Mono, now: Now) -> bool {
        let (tick, until, holder) = (self.area.tick(now.mono), self.area.tick(until), print(holder));
        loop {
            let Some(slot) = self.slots.find(key) else { return false };
            if let Some(renewed) = self.renew_in(slot, holder, until, tick) {
                return renewed;
            }
        }
    }

    /// Ends the lease that `holder` has; whether it had one. A second end finds nothing.
    pub fn release(&self, key: Key, holder: u64) -> bool {
        let holder = print(holder);
        loop {
            let Some(slot) = self.slots.find(key) else { return false };
            let release = |index| self.release_in(slot, index, holder);
            let released = (0..self.width()).map(release).fold(false, |any, one| any | one);
            // What was given back may have freed the slot at once.
            if released || self.slots.is_current(slot) {
                return released;
            }
        }
    }

    /// How many leases of `key` are taken.
    #[must_use]
    pub fn used(&self, key: Key, now: Now) -> u32 {
        let tick = self.area.tick(now.mono);
        loop {
            let Some(slot) = self.slots.find(key) else { return 0 };
            let taken = self.taken(slot, tick).count();
            if self.slots.is_current(slot) {
                return u32::try_from(taken).unwrap_or(u32::MAX);
            }
        }
    }

    /// How often there was no room for a key.
    #[must_use]
    pub fn pressure(&self) -> u64 {
        self.area.pressure()
    }

    fn take_in(&self, slot: Slot, holder: u64, limit: usize, until: u64, tick: u64) -> Option<Leased> {
        if self.renew_in(slot, holder, until, tick)? {
            return Some(Leased::Held);
        }
        loop {
            let (taken, first) = self.count(slot, tick);
            let free = self.leases(slot).find(|lease| lease.until <= tick);
            // What looks free may be a later owner's.
            if !self.slots.is_current(slot) {
                return None;
            }
            if taken >= limit {
                return Some(Leased::Full { retry_at: first });
            }
            let Some(free) = free else { continue };
            let Some(mine) = free.take(until) else { continue };
            mine.name(holder)?;
            self.confirm(slot)?;
            // Counted again: others may have taken meanwhile, and all that stand now see this one.
            let (taken, first) = self.count(slot, tick);
            if taken <= limit {
                return Some(Leased::Taken);
            }
            mine.set_end(0);
            return Some(Leased::Full { retry_at: first });
        }
    }

    fn renew_in(&self, slot: Slot, holder: u64, until: u64, tick: u64) -> Option<bool> {
        loop {
            let held = self.leases(slot).find(|lease| lease.until > tick && lease.is_of(holder));
            let Some(lease) = held else { return self.slots.is_current(slot).then_some(false) };
            if lease.set_end(until) {
                return self.confirm(slot).map(|()| true);
            }
        }
    }

    fn release_in(&self, slot: Slot, index: usize, holder: u64) -> bool {
        loop {
            match self.lease(slot, index) {
                Some(lease) if lease.until > 0 && lease.is_of(holder) => {
                    if lease.set_end(0) {
                        return true;
                    }
                }
                _ => return false,
            }
        }
    }

    /// How many leases are taken, and when the first of them ends.
    fn count(&self, slot: Slot, tick: u64) -> (usize, Mono) {
        let ends = self.taken(slot, tick).map(|lease| self.area.mono(lease.until));
        ends.fold((0, Mono::MAX), |(count, first), end| (count + 1, first.min(end)))
    }

    fn taken(&self, slot: Slot, tick: u64) -> impl Iterator<Item = Lease<'a>> {
        self.leases(slot).filter(move |lease| lease.until > tick)
    }

    /// Raises the epoch, so that nobody closes the slot who saw its leases before; `None` when it has gone.
    fn confirm(&self, slot: Slot) -> Option<()> {
        let epoch = self.slots.payload(slot).first()?;
        loop {
            let old = load(epoch);
            if !self.slots.is_current(slot) {
                return None;
            }
            let count = slot.reads(old).unwrap_or(0);
            if count == SEALED {
                self.slots.free(slot);
                return None;
            }
            if swap(epoch, old, slot.says((count + 1) % SEALED)) {
                return Some(());
            }
        }
    }

    /// Ends the use of a slot whose leases have all ended.
    fn close(&self, slot: Slot, tick: u64) -> bool {
        let Some(epoch) = self.slots.payload(slot).first() else { return false };
        let old = load(epoch);
        if slot.reads(old) == Some(SEALED) {
            return true;
        }
        self.taken(slot, tick).next().is_none()
            && self.slots.is_current(slot)
            && swap(epoch, old, slot.says(SEALED))
    }

    fn leases(&self, slot: Slot) -> impl Iterator<Item = Lease<'a>> {
        let this = *self;
        (0..this.width()).map_while(move |index| this.lease(slot, index))
    }

    fn lease(&self, slot: Slot, index: usize) -> Option<Lease<'a>> {
        match self.slots.payload(slot).get(1 + 2 * index..) {
            Some([end, holder, ..]) => Some(Lease::read(slot, end, holder)),
            _ => None,
        }
    }

    fn width(&self) -> usize {
        self.area.shape.payload() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::fixture::{at, block, together};
    use crate::table::{Block, Layout, LeasesId};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    fn leases(slots: u32, width: u8) -> (Block, LeasesId) {
        let mut layout = Layout::new(1);
        let id = layout.leases(slots, width);
        (block(&layout), id)
    }

    fn until(ms: u64) -> Mono {
        at(ms).mono
    }

    #[test]
    fn a_lease_is_taken_moved_given_back_or_ends() {
        let (block, id) = leases(8, 4);
        let (leases, key) = (block.leases(id), block.key(b"trunk"));
        assert_eq!(leases.take(key, 1, 2, until(100), at(0)), Leased::Taken);
        assert_eq!(leases.take(key, u64::MAX, 2, until(200), at(0)), Leased::Taken);
        assert_eq!(leases.take(key, 3, 2, until(300), at(0)), Leased::Full { retry_at: until(100) });
        assert_eq!(leases.take(key, 1, 2, until(150), at(0)), Leased::Held);
        assert_eq!(leases.take(key, 3, 2, until(300), at(149)), Leased::Full { retry_at: until(150) });
        assert!(
            leases.renew(key, u64::MAX, until(400), at(149)) && !leases.renew(key, 3, until(400), at(149))
        );
        assert_eq!(leases.take(key, 3, 2, until(300), at(150)), Leased::Taken);
        assert!(!leases.renew(key, 1, until(400), at(150)) && !leases.release(key, 1), "its place is taken");
        assert!(leases.release(key, u64::MAX) && !leases.release(key, u64::MAX));
        assert_eq!((leases.used(key, at(299)), leases.used(key, at(300))), (1, 0));
    }

    #[test]
    fn a_limit_above_the_width_is_the_width_and_one_of_zero_refuses() {
        let (block, id) = leases(8, 2);
        let (leases, key) = (block.leases(id), block.key(b"trunk"));
        let take = |holder, limit| leases.take(key, holder, limit, until(100), at(0));
        assert_eq!(take(1, 0), Leased::Full { retry_at: Mono::MAX });
        assert_eq!((take(1, u32::MAX), take(2, u32::MAX)), (Leased::Taken, Leased::Taken));
        assert_eq!(take(3, u32::MAX), Leased::Full { retry_at: until(100) });
    }

    #[test]
    fn leases_that_stand_keep_their_slot() {
        let (block, id) = leases(8, 1);
        let leases = block.leases(id);
        let take = |n: u32, ms| leases.take(block.key(&n.to_be_bytes()), 1, 1, until(ms + 100), at(ms));
        assert!((0..8).all(|n| take(n, 0) == Leased::Taken));
        assert_eq!((take(8, 99), leases.pressure()), (Leased::Pressure, 1));
        assert_eq!(take(8, 100), Leased::Taken);
    }

    /// Eight threads take and give back leases of `keys` keys in one bucket, and each that has one looks how many
    /// others have one, too.
    fn contend(seed: u64, keys: u32, limit: u32) -> u32 {
        let (block, id) = leases(8, 8);
        let holding: Vec<AtomicU32> = (0..keys).map(|_| AtomicU32::new(0)).collect();
        let round = |thread: u64, n: u32| {
            let key = block.key(&(n % keys).to_be_bytes());
            if block.leases(id).take(key, thread, limit, until(1_000), at(0)) != Leased::Taken {
                return 0;
            }
            let here = &holding[(n % keys) as usize];
            let others = here.fetch_add(1, SeqCst);
            assert!(others < limit, "seed {seed}: {others} others with limit {limit}");
            assert!(
                block.leases(id).used(key, at(0)) >= 1
                    && block.leases(id).renew(key, thread, until(900), at(0))
            );
            here.fetch_sub(1, SeqCst);
            assert!(block.leases(id).release(key, thread), "seed {seed}");
            1
        };
        let taken = together(seed, |thread| (0..200).map(|n| round(thread, n)).sum::<u32>());
        assert!(
            (0..keys).all(|n| block.leases(id).used(block.key(&n.to_be_bytes()), at(0)) == 0),
            "seed {seed}"
        );
        taken.iter().sum()
    }

    #[test]
    fn eight_threads_never_hold_more_than_the_limit() {
        for seed in 0..12 {
            let taken = contend(seed, 1, 1 + u32::try_from(seed % 3).unwrap());
            assert!(taken > 50, "seed {seed}: {taken}");
        }
    }

    #[test]
    fn takeovers_lose_no_lease() {
        for seed in 0..60 {
            let taken = contend(seed, 12, 1 + u32::try_from(seed % 3).unwrap());
            assert!(taken > 50, "seed {seed}: {taken}");
        }
    }

    #[test]
    fn of_eight_that_want_the_last_one_at_once_at_most_one_gets_it() {
        for seed in 0..100 {
            let (block, id) = leases(8, 8);
            let key = block.key(b"trunk");
            assert_eq!(block.leases(id).take(key, 100, 2, until(100), at(0)), Leased::Taken);
            let taken = together(seed, |thread| {
                block.leases(id).take(key, thread, 2, until(100), at(0)) == Leased::Taken
            });
            let won = taken.iter().filter(|&&taken| taken).count();
            assert!(won <= 1, "seed {seed}: {won}");
            assert_eq!(block.leases(id).used(key, at(0)), 1 + u32::try_from(won).unwrap(), "seed {seed}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn one_thread_sees_a_map_of_holders(
            steps in prop::collection::vec((0..4_u8, 0..6_u64, 0..20_u64, 0..60_u64, 0..5_u32), 1..80)
        ) {
            let (block, id) = leases(8, 4);
            let (leases, key) = (block.leases(id), block.key(b"trunk"));
            let mut model: BTreeMap<u64, u64> = BTreeMap::new();
            let mut ms = 0;
            for (what, holder, passes, lasts, limit) in steps {
                ms += passes;
                let live = |model: &BTreeMap<u64, u64>| model.values().filter(|&&end| end > ms).count();
                let held = model.get(&holder).is_some_and(|&end| end > ms);
                let end = ms + lasts;
                match what {
                    0 | 1 => {
                        let expected = if held { Leased::Held } else if live(&model) < limit.min(4) as usize {
                            Leased::Taken
                        } else {
                            let first = model.values().filter(|&&end| end > ms).min();
                            Leased::Full { retry_at: first.map_or(Mono::MAX, |&end| until(end)) }
                        };
                        prop_assert_eq!(leases.take(key, holder, limit, until(end), at(ms)), expected);
                        if !matches!(expected, Leased::Full { .. }) {
                            model.insert(holder, end);
                        }
                    }
                    2 => {
                        prop_assert_eq!(leases.renew(key, holder, until(end), at(ms)), held);
                        if held {
                            model.insert(holder, end);
                        }
                    }
                    _ => {
                        // Whether one that has ended is still there to be released is not promised.
                        prop_assert!(leases.release(key, holder) || !held);
                        model.remove(&holder);
                    }
                }
                prop_assert_eq!(leases.used(key, at(ms)) as usize, live(&model));
            }
        }
    }
}
