//! Packet rates: one word a key, never more than N in T, and at times fewer.
//!
//! The word is `generation 16 | unit 7 | index 17 | three counts of 8`. Time is cut into units of about T/2;
//! the counts are those of the unit `index` and of the two before it. A packet passes while their sum is below
//! N. Three units always cover the last T, so no window of length T holds more than N; and they cover at most
//! 15/8 of T (12 ms where T is shorter than 8 ms), so nobody is refused who has not sent N packets within
//! that time. N at once pass and the next one does not, as in an exact window.

use std::sync::atomic::AtomicU64;

use super::atomic::{load, raise, swap};
use super::block::Area;
use super::key::Key;
use super::slots::{Slot, Slots};
use super::windows::{Limit, Peeked};
use super::word::SEALED;
use crate::time::{Mono, Now};

/// The largest count.
const MOST: u32 = 0xff;
/// The largest unit: 174 days.
const LONGEST: u64 = 127;
/// The index of a unit counts modulo this.
const TURN: u64 = 1 << 17;
/// How many units a worker's clock may lag behind another's; what looks farther ahead is a turn old.
const LAG: u64 = 1 << 8;

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
/// 347 days.
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
        loop {
            let Some(slot) = self.slots.find_or_insert(key, |slot| self.close(slot, tick), |_| {}) else {
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
        let old = load(self.word(slot)?);
        let counts = match slot.reads(old) {
            Some(SEALED) => {
                self.slots.free(slot);
                return None;
            }
            Some(data) => Counts::from_data(data, tick).at(tick).in_units(unit, tick),
            // Not before what was forgotten with a slot that was taken over.
            None => Counts::none(unit, tick.max(load(self.slots.floor(slot)))),
        };
        self.slots.is_current(slot).then_some((old, counts))
    }

    /// Ends the use of a slot whose counts are all over. The seal takes the place of the counts, so a packet
    /// that is counted at the same time either comes first or is not counted here.
    fn close(&self, slot: Slot, tick: u64) -> bool {
        let Some(word) = self.word(slot) else { return false };
        let old = load(word);
        match slot.reads(old) {
            Some(SEALED) => return true,
            Some(data) if Counts::from_data(data, tick).at(tick).total() > 0 => return false,
            _ => raise(self.slots.floor(slot), tick),
        }
        self.slots.is_current(slot) && swap(word, old, slot.says(SEALED))
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

/// How many came in the unit `index` and in the two before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    /// The code of the unit's length.
    unit: u64,
    /// Which unit since tick 0.
    index: u64,
    counts: [u32; 3],
}

impl Counts {
    const fn none(unit: u64, tick: u64) -> Self {
        Self { unit, index: tick / length(unit), counts: [0; 3] }
    }

    /// What `data` says, read at `tick`.
    fn from_data(data: u64, tick: u64) -> Self {
        let unit = data >> 41;
        let here = tick / length(unit);
        let back = here.wrapping_sub(data >> 24) % TURN;
        // The clock that wrote it may be ahead of ours.
        let index = if back >= TURN - LAG { here + (TURN - back) } else { here.saturating_sub(back) };
        let [_, _, _, _, _, a, b, c] = data.to_be_bytes();
        Self { unit, index, counts: [a, b, c].map(u32::from) }
    }

    fn to_data(self) -> u64 {
        let counts = self.counts.iter().fold(0, |bits, &n| bits << 8 | u64::from(n.min(MOST)));
        self.unit << 41 | (self.index % TURN) << 24 | counts
    }

    /// The same at `tick`; time does not run back.
    fn at(self, tick: u64) -> Self {
        self.at_index(tick / length(self.unit))
    }

    fn at_index(self, index: u64) -> Self {
        let [a, b, _] = self.counts;
        let counts = match index.saturating_sub(self.index) {
            0 => self.counts,
            1 => [0, a, b],
            2 => [0, 0, a],
            _ => [0; 3],
        };
        Self { index: index.max(self.index), counts, ..self }
    }

    /// The same in units of another length: as if all had come just now.
    fn in_units(self, unit: u64, tick: u64) -> Self {
        if unit == self.unit {
            return self;
        }
        let now = tick.max(self.start());
        Self { counts: [self.total().min(MOST), 0, 0], ..Self::none(unit, now) }
    }

    fn and_one(self) -> Self {
        let [a, b, c] = self.counts;
        Self { counts: [a + 1, b, c], ..self }
    }

    fn total(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// When the unit begins.
    const fn start(&self) -> u64 {
        self.index * length(self.unit)
    }
}

/// The length of a unit in ticks: 4, 5, 6 or 7 times a power of two.
const fn length(unit: u64) -> u64 {
    (4 + (unit & 3)) << (unit >> 2 & 31)
}

/// The shortest unit of which two are as long as `window`.
fn unit_for(window: u64) -> u64 {
    let half = window.div_ceil(2).max(4);
    let octave = u64::from(half.ilog2() - 2);
    (4 * octave + half.div_ceil(1 << octave) - 4).min(LONGEST)
}
