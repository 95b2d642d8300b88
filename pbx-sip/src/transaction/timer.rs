//! The timer values of RFC 3261 table 4, and the one structure that all running timers are in.

use core::time::Duration;

use pbx_core::Mono;

/// The base values that all timers derive from (RFC 3261 section 17.1.1.1 and table 4).
///
/// | timer | value | of |
/// | --- | --- | --- |
/// | A | T1, doubling | INVITE request retransmission over UDP |
/// | B, F, H, L, M | 64·T1 | giving up; L and M absorb retransmissions of 2xx (RFC 6026) |
/// | D | 32 s, at least 64·T1; 0 over streams | answering retransmitted INVITE failures |
/// | E | T1, doubling up to T2 | other requests' retransmission over UDP |
/// | G | T1, doubling up to T2 | INVITE failure retransmission over UDP |
/// | I, K | T4; 0 over streams | absorbing late copies |
/// | J | 64·T1; 0 over streams | answering retransmitted requests |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Estimate of the round-trip time. Default 500 ms.
    pub t1: Duration,
    /// Longest interval between retransmissions, INVITE requests aside. Default 4 s.
    pub t2: Duration,
    /// Longest life of a message in the network. Default 5 s.
    pub t4: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timing {
    /// 64·T1: how long a transaction tries; 32 s by default.
    #[must_use]
    pub fn give_up(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// The interval after `interval`, for timers E and G.
    pub(super) fn back_off(&self, interval: Duration) -> Duration {
        interval.saturating_mul(2).min(self.t2)
    }

    /// Timer D (section 17.1.1.2): "at least 32 seconds" over UDP.
    pub(super) fn d(&self) -> Duration {
        self.give_up().max(Duration::from_secs(32))
    }
}

/// A retransmission that repeats: when next, and the interval that led there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) at: Mono,
    pub(super) interval: Duration,
}

impl Repeat {
    /// The first one after `interval`; `None` over a transport that delivers by itself.
    pub(super) fn start(interval: Duration, reliable: bool, now: Mono) -> Option<Self> {
        (!reliable).then(|| Self { at: now + interval, interval })
    }

    /// The next one, `interval` from now: counted from now and not from when it was due, so that a host
    /// that slept does not send a burst.
    pub(super) fn next(&mut self, interval: Duration, now: Mono) {
        *self = Self { at: now + interval, interval };
    }
}

/// The earlier of a repetition and an end.
pub(super) fn earlier(repeat: Option<Repeat>, end: Mono) -> Option<Mono> {
    Some(repeat.map_or(end, |r| r.at.min(end)))
}

const ARITY: usize = 4;
const ABSENT: u32 = u32::MAX;

/// Deadlines of numbered owners, at most one each, in a 4-ary heap that knows where each owner stands.
///
/// Finding the next deadline costs one look whatever their number; setting, moving and clearing one costs
/// at most `log4(n)` steps: 10 for a million. No deadline is ever stale in the heap, so that its size is the
/// number of owners that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines {
    heap: Vec<(Mono, u32)>,
    /// Where in `heap` an owner stands.
    places: Vec<u32>,
}

impl Deadlines {
    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// The owner of the earliest deadline if that has come. It stays in the heap: the caller re-arms it.
    pub(crate) fn due(&self, now: Mono) -> Option<u32> {
        self.heap.first().filter(|&&(at, _)| at <= now).map(|&(_, owner)| owner)
    }

    /// Gives `owner` the deadline `at`, or none.
    pub(crate) fn set(&mut self, owner: u32, at: Option<Mono>) {
        match (self.place(owner), at) {
            (Some(place), Some(at)) => self.replace(place, (at, owner)),
            (None, Some(at)) => self.push((at, owner)),
            (Some(place), None) => self.remove(place),
            (None, None) => {}
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.heap.len()
    }

    fn place(&self, owner: u32) -> Option<usize> {
        let &place = self.places.get(owner as usize)?;
        (place != ABSENT).then_some(place as usize)
    }

    fn push(&mut self, entry: (Mono, u32)) {
        let owner = entry.1 as usize;
        if self.places.len() <= owner {
            self.places.resize(owner + 1, ABSENT);
        }
        self.heap.push(entry);
        self.sift_up(self.heap.len() - 1, entry);
    }

    fn replace(&mut self, place: usize, entry: (Mono, u32)) {
        if self.heap.get(place).is_some_and(|&old| entry < old) {
            self.sift_up(place, entry);
        } else {
            self.sift_down(place, entry);
        }
    }

    fn remove(&mut self, place: usize) {
        let gone = self.heap.get(place).copied();
        let last = self.heap.pop();
        if let (Some(gone), Some(last)) = (gone, last) {
            self.note(gone.1, ABSENT);
            if place < self.heap.len() {
                // The hole takes the last entry, which may belong above or below it.
                self.put(place, last);
                self.sift_down(place, last);
                self.settle(last);
            }
        }
    }

    fn settle(&mut self, entry: (Mono, u32)) {
        if let Some(place) = self.place(entry.1) {
            self.sift_up(place, entry);
        }
    }

    /// Moves parents that are later than `entry` down, and puts it where they stood.
    fn sift_up(&mut self, mut place: usize, entry: (Mono, u32)) {
        while place > 0 {
            let above = (place - 1) / ARITY;
            match self.heap.get(above).copied() {
                Some(parent) if entry < parent => self.put(place, parent),
                _ => break,
            }
            place = above;
        }
        self.put(place, entry);
    }

    /// Moves children that are earlier than `entry` up, and puts it where they stood.
    fn sift_down(&mut self, mut place: usize, entry: (Mono, u32)) {
        while let Some((below, child)) = self.earliest_child(place).filter(|&(_, child)| child < entry) {
            self.put(place, child);
            place = below;
        }
        self.put(place, entry);
    }

    fn earliest_child(&self, place: usize) -> Option<(usize, (Mono, u32))> {
        let first = place * ARITY + 1;
        let children = self.heap.iter().copied().enumerate().skip(first).take(ARITY);
        children.min_by_key(|&(_, entry)| entry)
    }

    fn put(&mut self, place: usize, entry: (Mono, u32)) {
        if let Some(slot) = self.heap.get_mut(place) {
            *slot = entry;
            self.note(entry.1, u32::try_from(place).unwrap_or(ABSENT));
        }
    }

    fn note(&mut self, owner: u32, place: u32) {
        if let Some(slot) = self.places.get_mut(owner as usize) {
            *slot = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn rfc3261_table_4_values() {
        let t = Timing::default();
        assert_eq!(t.give_up(), Duration::from_secs(32));
        assert_eq!(t.d(), Duration::from_secs(32));
        assert_eq!(t.back_off(t.t1), Duration::from_secs(1));
        assert_eq!(t.back_off(t.t2), t.t2);
    }

    #[test]
    fn rfc3261_timer_d_is_never_below_32_s() {
        let t = Timing { t1: Duration::from_millis(10), ..Timing::default() };
        assert_eq!(t.d(), Duration::from_secs(32));
    }

    proptest! {
        /// Against a sorted map: the same next deadline after every change, and every entry where the
        /// structure believes it to be.
        #[test]
        fn deadlines_equal_a_sorted_map(steps in prop::collection::vec((0u32..40, prop::option::of(0u64..50)), 1..300)) {
            let mut fast = Deadlines::default();
            let mut slow = BTreeMap::new();
            for (owner, at) in steps {
                let at = at.map(Mono::from_micros);
                fast.set(owner, at);
                match at {
                    Some(at) => drop(slow.insert(owner, at)),
                    None => drop(slow.remove(&owner)),
                }
                prop_assert_eq!(fast.next(), slow.values().min().copied());
                prop_assert_eq!(fast.len(), slow.len());
                for (&owner, &at) in &slow {
                    prop_assert_eq!(fast.place(owner).map(|p| fast.heap[p]), Some((at, owner)));
                }
            }
        }

        #[test]
        fn deadlines_come_out_in_order(ats in prop::collection::vec(0u64..1_000, 1..200)) {
            let mut heap = Deadlines::default();
            for (owner, &at) in (0u32..).zip(&ats) {
                heap.set(owner, Some(Mono::from_micros(at)));
            }
            let mut out = Vec::new();
            while let Some(owner) = heap.due(Mono::MAX) {
                out.push(ats[owner as usize]);
                heap.set(owner, None);
            }
            prop_assert!(out.is_sorted());
            prop_assert_eq!(out.len(), ats.len());
        }
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut heap = Deadlines::default();
        heap.set(3, Some(Mono::from_secs(5)));
        assert_eq!(heap.due(Mono::from_micros(4_999_999)), None);
        assert_eq!(heap.due(Mono::from_secs(5)), Some(3));
    }
}
