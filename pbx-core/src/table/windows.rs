//! "At most N in T", exactly, from any number of threads and processes.
//!
//! A slot holds a sequence word `generation 16 | sequence 48` and a ring of entries `generation 16 | lap 8 |
//! time 40`. An event is one compare-and-swap of the entry at the sequence; the sequence follows and is helped
//! forward by whoever finds it behind. Every accepted event is at least T younger than the one N before it, so
//! no window of length T holds more than N.

use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::atomic::{load, raise, swap};
use super::block::{Area, TICKS};
use super::key::Key;
use super::slots::{Slot, Slots};
use crate::time::{Mono, Now};

/// The time of an entry that ends its slot's log: nothing is recorded after it.
const TOMBSTONE: u64 = TICKS;
const SEQUENCE: u64 = (1 << 48) - 1;

/// At most so many events in so much time.
///
/// Times count in milliseconds, rounded up; at most 34 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "it is a pair")]
pub struct Limit {
    /// How many pass; the next one is refused. 0 refuses all.
    pub at_most: u32,
    /// In any stretch of time of this length.
    pub per: Duration,
}

impl Limit {
    /// The length in ticks, at least 1.
    pub(super) fn ticks(self) -> u64 {
        let ms = self.per.as_micros().div_ceil(1_000);
        u64::try_from(ms).unwrap_or(TICKS).clamp(1, TICKS / 2)
    }
}

/// What recording an event gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recorded {
    /// It counts.
    Counted {
        /// How many the window holds with it: 1 to `at_most`.
        nth: u32,
    },
    /// The window is full; nothing was recorded.
    Full {
        /// When one would pass again.
        retry_at: Mono,
    },
    /// There is no room for the key; nothing was recorded.
    Pressure,
}

/// What a look at a window gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peeked {
    /// How many events the window holds, at most the length of the ring.
    pub used: u32,
    /// When the next event would pass; `None` when it would pass now.
    pub retry_at: Option<Mono>,
}

/// A table of exact windows. `at_most` of the limits it is asked with counts up to the length of its
/// [`Ring`](super::Ring); a larger one is taken for that length, on the strict side.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    area: Area<'a>,
    slots: Slots<'a>,
    ring: usize,
}

/// The end of a slot's log, read consistently.
struct View {
    sequence: u64,
    /// The sequence word itself.
    word: u64,
    /// The entry at the sequence, as it is.
    entry: u64,
    /// The time of the entry before it.
    previous: Option<u64>,
    /// The time of the entry N before it.
    nth_before: Option<u64>,
    /// Whether the entry is of this lap already: then the sequence is behind.
    written: bool,
}

/// Where a log stands.
pub(super) struct Tail {
    /// The number of its next entry.
    pub(super) next: u64,
    /// The time of its last event.
    pub(super) youngest: Option<u64>,
    /// Whether that next entry is a tombstone.
    pub(super) ended: bool,
}

impl<'a> Windows<'a> {
    pub(super) const fn new(area: Area<'a>) -> Self {
        Self::with_ring(area, area.shape.payload() - 1)
    }

    /// Logs of `ring` events that are only the first words of their slots.
    pub(super) const fn with_ring(area: Area<'a>, ring: usize) -> Self {
        Self { area, slots: Slots::new(area.slots, area.shape), ring }
    }

    /// Records an event of `key` now, unless the window is full.
    ///
    /// A key is forgotten to make room only when its youngest event is older than the longest window that this
    /// table was ever asked with, so the windows of one table should be of similar length.
    #[must_use]
    pub fn record(&self, key: Key, limit: Limit, now: Now) -> Recorded {
        self.record_stamped(key, limit, now).0
    }

    /// Records an event, and tells the time it counts from.
    pub(super) fn record_stamped(&self, key: Key, limit: Limit, now: Now) -> (Recorded, u64) {
        let (n, window, tick) = self.terms(limit, now);
        if n == 0 {
            return (Recorded::Full { retry_at: Mono::MAX }, tick);
        }
        let keep = self.area.longest(window);
        loop {
            let close = |slot| self.close(slot, tick, keep);
            let Some(slot) = self.slots.find_or_insert(key, close, |_| {}) else {
                self.area.note_pressure();
                return (Recorded::Pressure, tick);
            };
            if let Some(recorded) = self.append(slot, n, window, tick) {
                return recorded;
            }
        }
    }

    /// What [`Windows::record`] would find, without recording.
    #[must_use]
    pub fn peek(&self, key: Key, limit: Limit, now: Now) -> Peeked {
        let (n, window, tick) = self.terms(limit, now);
        if n == 0 {
            return Peeked { used: 0, retry_at: Some(Mono::MAX) };
        }
        loop {
            let Some(slot) = self.slots.find(key) else { return Peeked { used: 0, retry_at: None } };
            if let Some(peeked) = self.peek_in(slot, n, window, tick) {
                return peeked;
            }
        }
    }

    /// What the window of `slot` holds; `None` when it changed while being read.
    pub(super) fn peek_in(&self, slot: Slot, n: usize, window: u64, tick: u64) -> Option<Peeked> {
        let times = self.times(slot)?;
        let at = times.first().map_or(tick, |&t| tick.max(t));
        let used = times.iter().filter(|&&t| t + window > at).count();
        let full = times.get(n - 1).map(|&t| t + window).filter(|&end| end > at);
        Some(Peeked {
            used: u32::try_from(used).unwrap_or(u32::MAX),
            retry_at: full.map(|end| self.area.mono(end)),
        })
    }

    /// Forgets the events of `key`. An event that is recorded at the same time counts before or after, never
    /// half.
    pub fn forget(&self, key: Key, now: Now) {
        let tick = self.area.tick(now.mono);
        while let Some(slot) = self.slots.find(key) {
            // With no time to keep, any slot can be closed.
            if self.close(slot, tick, 0) {
                self.slots.free(slot);
                return;
            }
        }
    }

    /// How often there was no room for a key.
    #[must_use]
    pub fn pressure(&self) -> u64 {
        self.area.pressure()
    }

    pub(super) fn terms(&self, limit: Limit, now: Now) -> (usize, u64, u64) {
        let n = usize::try_from(limit.at_most).unwrap_or(usize::MAX).min(self.ring);
        (n, limit.ticks(), self.area.tick(now.mono))
    }

    /// One more entry in the log of `slot`; `None` when the slot is somebody else's by now.
    pub(super) fn append(&self, slot: Slot, n: usize, window: u64, tick: u64) -> Option<(Recorded, u64)> {
        loop {
            let view = self.view(slot, n)?;
            if view.written {
                self.pass_written(slot, &view)?;
                continue;
            }
            // Time never runs back inside a key: not behind the entry before, nor behind what was forgotten.
            let at = match view.previous {
                Some(previous) => tick.max(previous),
                None => tick.max(load(self.slots.floor(slot))),
            };
            let entry = self.entry_word(slot, view.sequence)?;
            match view.nth_before.map(|t| t + window).filter(|&end| end > at) {
                Some(_) if load(entry) != view.entry => {}
                Some(end) => return Some((Recorded::Full { retry_at: self.area.mono(end) }, at)),
                None => {
                    // Counted first: none of what is counted can change before the entry does.
                    let nth = self.nth(slot, &view, at, window, n);
                    if swap(entry, view.entry, self.stamp(slot, view.sequence, at)) {
                        self.advance(slot, &view);
                        return Some((Recorded::Counted { nth }, at));
                    }
                }
            }
        }
    }

    /// Meets an entry that stands already: a tombstone gives the slot up, any other is helped.
    fn pass_written(&self, slot: Slot, view: &View) -> Option<()> {
        if view.entry & TICKS == TOMBSTONE {
            self.slots.free(slot);
            return None;
        }
        self.advance(slot, view);
        Some(())
    }

    /// Ends the log of a slot whose youngest entry is older than `keep` ticks; of any when that is 0.
    fn close(&self, slot: Slot, tick: u64, keep: u64) -> bool {
        loop {
            let Some(tail) = self.tail(slot) else { return false };
            if tail.ended {
                return true;
            }
            if keep > 0 && tail.youngest.is_some_and(|t| t + keep > tick) {
                return false;
            }
            raise(self.slots.floor(slot), tick);
            if self.end_at(slot, tail.next) {
                return true;
            }
        }
    }

    /// Where the log of `slot` stands; `None` when the slot is somebody else's by now.
    pub(super) fn tail(&self, slot: Slot) -> Option<Tail> {
        loop {
            let view = self.view(slot, 0)?;
            let ended = view.written && view.entry & TICKS == TOMBSTONE;
            if ended || !view.written {
                return Some(Tail { next: view.sequence, youngest: view.previous, ended });
            }
            self.advance(slot, &view);
        }
    }

    /// Ends the log of `slot` if `next` is still the number of its next entry; whether it did. The tombstone is
    /// that entry, so an event that is recorded at the same time either comes first or is not recorded here.
    pub(super) fn end_at(&self, slot: Slot, next: u64) -> bool {
        let Some(view) = self.view(slot, 0) else { return false };
        let Some(entry) = self.entry_word(slot, next) else { return false };
        let is_next = view.sequence == next && !view.written;
        is_next && swap(entry, view.entry, self.stamp(slot, next, TOMBSTONE))
    }

    /// A consistent look at the end of the log; `None` when the slot is somebody else's by now.
    fn view(&self, slot: Slot, n: usize) -> Option<View> {
        loop {
            let (sequence, word) = self.sequence(slot)?;
            let entry = load(self.entry_word(slot, sequence)?);
            let previous = self.time_before(slot, sequence, 1)?;
            let nth_before = if n == 0 { None } else { self.time_before(slot, sequence, n)? };
            // Looked at after all of the above: an owner since then would have changed it.
            if !self.slots.is_current(slot) {
                return None;
            }
            if load(self.sequence_word(slot)?) == word {
                let written = self.is_written(slot, entry, sequence, previous);
                return Some(View { sequence, word, entry, previous, nth_before, written });
            }
        }
    }

    /// Whether `entry` was written for this sequence number and not a lap, or an owner, ago.
    fn is_written(&self, slot: Slot, entry: u64, sequence: u64, previous: Option<u64>) -> bool {
        entry >> 48 == slot.generation
            && entry >> 40 & 0xff == self.lap(sequence)
            && previous.is_none_or(|t| entry & TICKS >= t)
    }

    /// Puts the log of `slot` in order when its words were copied at different moments. The times that are there
    /// are those of its youngest events: any that is missing was replaced by a younger one.
    pub(super) fn repair(&self, slot: Slot) {
        let Some((sequence, rest)) = self.slots.payload(slot).split_first() else { return };
        let entries = rest.get(..self.ring).unwrap_or_default();
        let mut times: arrayvec::ArrayVec<u64, 64> = entries
            .iter()
            .map(load)
            .filter(|&e| e >> 48 == slot.generation)
            .map(|e| e & TICKS)
            .take(64)
            .collect();
        if times.contains(&TOMBSTONE) {
            return self.slots.free(slot);
        }
        times.sort_unstable();
        sequence.store(slot.generation << 48 | times.len() as u64, SeqCst);
        let stamps = (0..).zip(&times).map(|(number, &time)| self.stamp(slot, number, time));
        entries
            .iter()
            .zip(stamps.chain(core::iter::repeat(0)))
            .for_each(|(entry, new)| entry.store(new, SeqCst));
    }

    /// The times of the events of a slot, youngest first; `None` when they changed while being read.
    fn times(&self, slot: Slot) -> Option<arrayvec::ArrayVec<u64, 65>> {
        let view = self.view(slot, 0)?;
        let mut times = arrayvec::ArrayVec::new();
        if view.written {
            if view.entry & TICKS == TOMBSTONE {
                self.slots.free(slot);
                return None;
            }
            times.push(view.entry & TICKS);
        }
        let older = self.ring - usize::from(view.written);
        for back in 1..=older {
            match self.time_before(slot, view.sequence, back)? {
                Some(time) => times.push(time),
                None => break,
            }
        }
        let unmoved = load(self.entry_word(slot, view.sequence)?) == view.entry
            && load(self.sequence_word(slot)?) == view.word
            && self.slots.is_current(slot);
        unmoved.then_some(times)
    }

    /// How many the window holds with an event recorded at `at`.
    fn nth(&self, slot: Slot, view: &View, at: u64, window: u64, n: usize) -> u32 {
        let before = (1..n).map_while(|back| self.time_before(slot, view.sequence, back).flatten());
        let inside = before.take_while(|&t| t + window > at).count();
        u32::try_from(inside + 1).unwrap_or(u32::MAX)
    }

    /// The time of the entry `back` before `sequence`: `Some(None)` when there is none.
    fn time_before(&self, slot: Slot, sequence: u64, back: usize) -> Option<Option<u64>> {
        let Some(number) = sequence.checked_sub(back as u64) else { return Some(None) };
        Some(Some(load(self.entry_word(slot, number)?) & TICKS))
    }

    fn advance(&self, slot: Slot, view: &View) {
        if let Some(word) = self.sequence_word(slot) {
            swap(word, view.word, slot.generation << 48 | ((view.sequence + 1) & SEQUENCE));
        }
    }

    /// The sequence of a slot as its owner sees it, and the word that was read.
    fn sequence(&self, slot: Slot) -> Option<(u64, u64)> {
        let word = load(self.sequence_word(slot)?);
        Some((if word >> 48 == slot.generation { word & SEQUENCE } else { 0 }, word))
    }

    fn sequence_word(&self, slot: Slot) -> Option<&'a AtomicU64> {
        self.slots.payload(slot).first()
    }

    fn entry_word(&self, slot: Slot, sequence: u64) -> Option<&'a AtomicU64> {
        let place = usize::try_from(sequence % self.ring as u64).ok()?;
        self.slots.payload(slot).get(1 + place)
    }

    const fn lap(&self, sequence: u64) -> u64 {
        (sequence / self.ring as u64) & 0xff
    }

    const fn stamp(&self, slot: Slot, sequence: u64, tick: u64) -> u64 {
        slot.generation << 48 | self.lap(sequence) << 40 | tick
    }
}
