//! Packet rates: one word a key, never more than N in T, and at times fewer.
//!
//! The word is `generation 16 | unit 7 | index 17 | three counts of 8`. Time is cut into units of about T/2;
//! the counts are those of the unit `index` and of the two before it. A packet passes while their sum is below
//! N. Three units always cover the last T, so no window of length T holds more than N; and they cover at most
//! 15/8 of T (12 ms where T is shorter than 8 ms), so nobody is refused who has not sent N packets within
//! that time. N at once pass and the next one does not, as in an exact window.
//!
//! An index of 17 bits means the one nearest to the floor time of the bucket. That works because slots whose
//! counts are over are closed before the floor is raised, and no packet is counted more than [`SWEEP`] after it.

use core::cell::Cell;
use std::sync::atomic::AtomicU64;

use super::atomic::{load, raise, swap};
use super::block::{Area, TICKS};
use super::counts::{Counts, MOST, SEAL, unit_for};
use super::key::Key;
use super::slots::{Slot, Slots};
use super::windows::{Limit, Peeked};
use crate::time::{Mono, Now};

/// Ticks after which the slots of a bucket are looked through. Far less than half a turn of the shortest unit.
const SWEEP: u64 = 60_000;

/// What counting a packet gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hit {
    /// It counts and may pass.
    Pass,
    /// There were as many as may pass; it does not count.
    Over {
        /// When one would pass again.
        retry_at: Mono,
    },
    /// There is no room for the key; nothing was counted.
    Pressure,
}

/// A table of packet rates. `at_most` counts up to 255 and a larger one is taken for that; `per` counts up to
/// 298 days.
///
/// A limit holds for the key it is used with; a key that is counted under another `per` than before keeps its
/// count as if all of it had come just now.
#[derive(Clone, Copy, Debug)]
pub struct Rates<'a> {
    area: Area<'a>,
    slots: Slots<'a>,
}

impl<'a> Rates<'a> {
    pub(super) const fn new(area: Area<'a>) -> Self {
        Self { area, slots: Slots::new(area.slots, area.shape) }
    }

    /// Counts a packet of `key` now, unless there were as many as may pass.
    #[must_use]
    pub fn hit(&self, key: Key, limit: Limit, now: Now) -> Hit {
        let (n, unit, tick) = self.terms(limit, now);
        if n == 0 {
            return Hit::Over { retry_at: Mono::MAX };
        }
        let swept = Cell::new(false);
        let close = |slot| {
            if !swept.replace(true) {
                self.sweep(slot, tick);
            }
            false
        };
        loop {
            swept.set(false);
            let Some(slot) = self.slots.find_or_insert(key, close, |_| {}) else {
                self.area.note_pressure();
                return Hit::Pressure;
            };
            if let Some(hit) = self.count(slot, n, unit, tick) {
                return hit;
            }
        }
    }

    /// What [`Rates::hit`] would find, without counting.
    #[must_use]
    pub fn peek(&self, key: Key, limit: Limit, now: Now) -> Peeked {
        let (n, unit, tick) = self.terms(limit, now);
        loop {
            let Some(slot) = self.slots.find(key) else {
                return Peeked { used: 0, retry_at: (n == 0).then_some(Mono::MAX) };
            };
            if let Some((_, counts)) = self.read(slot, unit, tick) {
                return Peeked { used: counts.total(), retry_at: self.retry_at(&counts, n) };
            }
        }
    }

    /// How often there was no room for a key.
    #[must_use]
    pub fn pressure(&self) -> u64 {
        self.area.pressure()
    }

    fn terms(&self, limit: Limit, now: Now) -> (u32, u64, u64) {
        (limit.at_most.min(MOST), unit_for(limit.ticks()), self.area.tick(now.mono))
    }

    /// One more packet in the word of `slot`; `None` when the slot is somebody else's by now.
    fn count(&self, slot: Slot, n: u32, unit: u64, tick: u64) -> Option<Hit> {
        if tick >= self.floor(slot) + SWEEP {
            self.sweep(slot, tick);
        }
        loop {
            let (old, counts) = self.read(slot, unit, tick)?;
            if let Some(retry_at) = self.retry_at(&counts, n) {
                return Some(Hit::Over { retry_at });
            }
            if swap(self.word(slot)?, old, slot.says(counts.and_one().to_data())) {
                return Some(Hit::Pass);
            }
        }
    }

    /// The word of `slot` as it is, and the counts as they are at `tick`; `None` when the slot has gone.
    fn read(&self, slot: Slot, unit: u64, tick: u64) -> Option<(u64, Counts)> {
        let (old, floor) = self.word_and_floor(slot)?;
        if !self.slots.is_current(slot) {
            return None;
        }
        match slot.reads(old) {
            Some(data) if data & SEAL == SEAL => {
                self.sweep(slot, tick);
                None
            }
            Some(data) => Some((old, Counts::from_data(data, floor).at(tick).in_units(unit, tick))),
            // Not before what was forgotten with a slot that was taken over.
            None => Some((old, Counts::none(unit, tick.max(floor)))),
        }
    }

    /// The word of `slot` and the floor at one moment.
    fn word_and_floor(&self, slot: Slot) -> Option<(u64, u64)> {
        let word = self.word(slot)?;
        loop {
            let (old, floor) = (load(word), self.floor(slot));
            if load(word) == old {
                return Some((old, floor));
            }
        }
    }

    /// Closes all slots in the bucket of `slot` whose counts are over at `tick`, or at the latest tick at which
    /// somebody has begun to. A seal takes the place of the counts, so a packet that is counted at the same time
    /// either comes first or is not counted there. Then the floor is raised, and only then are the slots given up:
    /// a key that comes back begins at the floor.
    fn sweep(&self, slot: Slot, tick: u64) {
        let seals = self.slots.neighbours(slot).filter_map(|slot| self.sealed_at(slot));
        let tick = seals.fold(tick, u64::max);
        self.slots.neighbours(slot).for_each(|slot| self.seal(slot, tick));
        raise(self.slots.floor(slot), tick);
        let over =
            self.slots.neighbours(slot).filter(|&slot| self.sealed_at(slot).is_some_and(|at| at <= tick));
        over.for_each(|slot| self.slots.free(slot));
    }

    fn seal(&self, slot: Slot, tick: u64) {
        let (Some((old, floor)), Some(word)) = (self.word_and_floor(slot), self.word(slot)) else { return };
        let over = slot
            .reads(old)
            .is_none_or(|data| data & SEAL != SEAL && Counts::from_data(data, floor).at(tick).total() == 0);
        if over && self.slots.is_current(slot) {
            swap(word, old, slot.says(SEAL | tick));
        }
    }

    /// When `slot` was sealed, if it was.
    fn sealed_at(&self, slot: Slot) -> Option<u64> {
        let data = slot.reads(load(self.word(slot)?))?;
        (data & SEAL == SEAL).then_some(data & !SEAL)
    }

    fn floor(&self, slot: Slot) -> u64 {
        load(self.slots.floor(slot)).min(TICKS)
    }

    /// When one would pass; `None` for now.
    fn retry_at(&self, counts: &Counts, n: u32) -> Option<Mono> {
        if n == 0 {
            return Some(Mono::MAX);
        }
        let aged = |units| counts.at_index(counts.index + units);
        let wait = (0..=3).find(|&units| aged(units).total() < n).unwrap_or(3);
        (wait > 0).then(|| self.area.mono(aged(wait).start()))
    }

    fn word(&self, slot: Slot) -> Option<&'a AtomicU64> {
        self.slots.payload(slot).first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::atomic::injected::{interrupt_before, uninterrupted};
    use crate::table::fixture::{at, block, together};
    use crate::table::{Block, Layout, RatesId};
    use core::time::Duration;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    /// The default rule of automatic defence for SIP.
    const RULE: Limit = Limit { at_most: 40, per: Duration::from_secs(2) };

    fn rates(slots: u32) -> (Block, RatesId) {
        let mut layout = Layout::new(1);
        let id = layout.rates(slots);
        (block(&layout), id)
    }

    fn limit(at_most: u32, ms: u64) -> Limit {
        Limit { at_most, per: Duration::from_millis(ms) }
    }

    #[test]
    fn forty_pass_at_once_and_the_next_does_not() {
        let (block, id) = rates(8);
        let (rates, key) = (block.rates(id), block.key(b"a"));
        assert!((0..40).all(|_| rates.hit(key, RULE, at(5)) == Hit::Pass));
        let Hit::Over { retry_at } = rates.hit(key, RULE, at(5)) else { panic!() };
        assert!(at(2_005).mono <= retry_at && retry_at <= at(3_755).mono, "{retry_at}");
        assert_eq!(rates.peek(key, RULE, at(5)), Peeked { used: 40, retry_at: Some(retry_at) });
        let before = Now { mono: retry_at - Duration::from_millis(1), ..at(0) };
        assert_eq!(rates.hit(key, RULE, before), Hit::Over { retry_at });
        assert_eq!(rates.hit(key, RULE, Now { mono: retry_at, ..at(0) }), Hit::Pass);
    }

    #[test]
    fn none_pass_a_limit_of_none_and_255_a_larger_one() {
        let (block, id) = rates(8);
        let (rates, key) = (block.rates(id), block.key(b"a"));
        assert_eq!(rates.hit(key, limit(0, 1_000), at(0)), Hit::Over { retry_at: Mono::MAX });
        let passed =
            (0..1_000).filter(|_| rates.hit(key, limit(u32::MAX, 1_000), at(0)) == Hit::Pass).count();
        assert_eq!(passed, 255);
    }

    #[test]
    fn a_bucket_of_busy_keys_has_no_room_and_one_of_idle_keys_has() {
        let (block, id) = rates(8);
        let hit = |n: u32, ms| block.rates(id).hit(block.key(&n.to_be_bytes()), RULE, at(ms));
        assert!((0..8).all(|n| hit(n, 0) == Hit::Pass));
        assert_eq!((hit(8, 1_999), block.rates(id).pressure()), (Hit::Pressure, 1));
        assert!((8..16).all(|n| hit(n, 4_000) == Hit::Pass));
    }

    #[test]
    fn a_longer_window_counts_what_came_in_a_shorter_one() {
        let (block, id) = rates(8);
        let (rates, key) = (block.rates(id), block.key(b"a"));
        (0..9).for_each(|_| assert_eq!(rates.hit(key, limit(9, 1_000), at(0)), Hit::Pass));
        assert!(matches!(rates.hit(key, limit(9, 60_000), at(0)), Hit::Over { .. }));
        assert_eq!(rates.hit(key, limit(10, 60_000), at(0)), Hit::Pass);
        assert!(matches!(rates.hit(key, limit(10, 60_000), at(59_999)), Hit::Over { .. }));
    }

    #[test]
    fn a_key_that_comes_back_after_any_time_begins_anew() {
        // 131 072 units of 4 ms are a turn of the index: 524 288 ms.
        let once = limit(1, 8);
        for pause in
            (524_000..524_600).chain([60_000, 262_144, 262_160, 1_048_580, 86_400_000, 31_536_000_000])
        {
            let (block, id) = rates(8);
            let (rates, key) = (block.rates(id), block.key(b"a"));
            assert_eq!(rates.hit(key, once, at(0)), Hit::Pass);
            assert_eq!(rates.hit(key, once, at(pause)), Hit::Pass, "{pause}");
        }
    }

    #[test]
    fn a_clock_that_lags_lets_no_more_pass() {
        let (block, id) = rates(8);
        let (rates, key) = (block.rates(id), block.key(b"a"));
        assert!((0..40).all(|_| rates.hit(key, RULE, at(50_000)) == Hit::Pass));
        for ms in [0, 10_000, 47_000, 49_999] {
            assert!(matches!(rates.hit(key, RULE, at(ms)), Hit::Over { .. }), "{ms}");
        }
    }

    #[test]
    fn eight_threads_pass_forty_together() {
        for seed in 0..40 {
            let (block, id) = rates(8);
            let key = block.key(b"a");
            let hit = |ms| block.rates(id).hit(key, RULE, at(ms)) == Hit::Pass;
            let passed = together(seed, |thread| (0..10).filter(|_| hit(thread)).count());
            assert_eq!(passed.iter().sum::<usize>(), 40, "seed {seed}");
        }
    }

    #[test]
    fn packets_that_come_at_any_step_of_a_takeover_count() {
        // All keys of the bucket are busy but `a`. While `z` takes its place, packets of `a` come by the same clock or
        // by one that lags, or packets of `y`, which wants the same place.
        for (key, ms) in [(b"a", 9_000), (b"a", 2_000), (b"y", 9_000)] {
            let mut passed = 0;
            for n in 1.. {
                let (block, id) = rates(8);
                let pass = move |block: &Block, key: &[u8], ms, times: u32| {
                    let hit = |_: &u32| block.rates(id).hit(block.key(key), RULE, at(ms)) == Hit::Pass;
                    u32::try_from((0..times).filter(hit).count()).unwrap()
                };
                pass(&block, b"a", 0, 40);
                (0..7_u8).for_each(|other| _ = pass(&block, &[other], 9_000, 1));
                let (same, during) = (block.clone(), Arc::new(AtomicU32::new(0)));
                let count = Arc::clone(&during);
                interrupt_before(n, move || count.store(pass(&same, key, ms, 40), SeqCst));
                pass(&block, b"z", 9_000, 1);
                if uninterrupted() {
                    break;
                }
                let all = during.load(SeqCst) + pass(&block, key, 9_000, 40);
                assert!(all <= 40, "{all} before step {n}");
                passed += all;
            }
            assert!(passed >= 400, "{passed}");
        }
    }

    #[test]
    fn takeovers_let_no_more_pass() {
        // Some threads send the packets of one key, others fill its bucket with keys of a time when it is idle. By
        // whose clock it counts, it is forgotten at most once, and its time begins there again.
        let mut sum = 0;
        for seed in 0..60 {
            let (block, id) = rates(8);
            let passed = AtomicU32::new(0);
            together(seed, |thread| {
                for n in 0..60_u64 {
                    if thread < 5 {
                        let pass = block.rates(id).hit(block.key(b"a"), RULE, at(thread)) == Hit::Pass;
                        passed.fetch_add(u32::from(pass), SeqCst);
                    } else {
                        let key = block.key(&(n << 8 | thread).to_be_bytes());
                        _ = block.rates(id).hit(key, RULE, at(40_000));
                    }
                }
            });
            assert!(passed.load(SeqCst) <= 80, "seed {seed}: {passed:?}");
            sum += passed.load(SeqCst);
        }
        assert!(sum > 1_000, "{sum}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_window_holds_more_and_nobody_is_refused_who_did_not_send_as_many(
            at_most in 1..12_u32,
            per in 1..3_000_u64,
            pauses in prop::collection::vec(prop_oneof![0..20_u64, 0..600_u64, 0..100_000_u64], 1..300)
        ) {
            let (block, id) = rates(8);
            let (rates, key, limit) = (block.rates(id), block.key(b"a"), limit(at_most, per));
            let mut passed: Vec<u64> = Vec::new();
            let mut ms = 0;
            for pause in pauses {
                ms += pause;
                let since = |span: u64| passed.iter().filter(|&&t| t + span > ms).count();
                match rates.hit(key, limit, at(ms)) {
                    Hit::Pass => {
                        prop_assert!(since(per) < at_most as usize);
                        passed.push(ms);
                    }
                    Hit::Over { retry_at } => {
                        prop_assert!(since((per * 15).div_ceil(8).max(12) + 3) >= at_most as usize);
                        prop_assert!(retry_at > at(ms).mono);
                    }
                    Hit::Pressure => prop_assert!(false),
                }
            }
        }
    }
}
