//! At most N failures in T, where N tries at once cost N: passwords, PINs, codes.
//!
//! A slot holds a log of failures (see [`Windows`]), an epoch word `generation 16 | closing 1 | turn 23 |
//! number 24` and a word for each try under way, `generation 16 | turn 8 | end 40`.
//!
//! A try takes one of these words first; then the words taken are counted, and after them the failures of the
//! window: more than N together, and it gives its word back. A try that failed writes its failure before it gives
//! its word back, so whoever counts finds it in one place or in both. An end that is lost heals by time.

mod closing;

use core::time::Duration;
use std::sync::atomic::AtomicU64;

use self::closing::Until;
use super::atomic::{load, swap};
use super::block::{Area, TICKS};
use super::key::Key;
use super::slots::{Slot, Slots};
use super::windows::{Limit, Peeked, Recorded, Windows};
use crate::time::{Mono, Now};

/// The most tries a key can have under way.
const MOST: usize = 16;
/// A word of a try: above the end, how often it was taken.
const TURN: u64 = 0xff << 40;
const TURN_BIT: u64 = 1 << 40;

/// Words a slot with a log of `ring` failures has.
pub(super) const fn payload(ring: usize) -> usize {
    let tries = if ring < MOST { ring } else { MOST };
    1 + ring + 1 + tries
}

/// Back from [`payload`].
const fn ring(payload: usize) -> usize {
    let half = (payload - 2) / 2;
    if half < MOST { half } else { payload - 2 - MOST }
}

/// A try under way. To be handed to [`Tries::fail`] or [`Tries::succeed`]; else it counts until its time is over.
#[derive(Debug)]
#[must_use = "a try that is not ended counts until its time is over"]
pub struct Try {
    key: Key,
    slot: Slot,
    /// Which of the slot's words, and what was written there.
    index: usize,
    word: u64,
}

/// What asking for a try gave.
#[derive(Debug)]
#[non_exhaustive]
pub enum Begun {
    /// The secret may be looked at.
    Go(Try),
    /// There were as many failures as may be.
    Refused {
        /// When one would be allowed again.
        retry_at: Mono,
    },
    /// As many tries as are left are under way.
    Busy {
        /// When the first of them is over at the latest.
        retry_at: Mono,
    },
    /// There is no room for the key.
    Pressure,
}

/// What a failure made of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// How many failures the window holds with this one: 1 to `at_most`.
    pub nth: u32,
    /// Whether these are all that may be.
    pub full: bool,
}

/// A table of tries. `at_most` of the limits counts up to the length of the log and up to 16 tries at once; a
/// larger one is taken for that.
#[derive(Clone, Copy, Debug)]
pub struct Tries<'a> {
    area: Area<'a>,
    slots: Slots<'a>,
    log: Windows<'a>,
    ring: usize,
}

/// A word of a try, as it was read.
#[derive(Clone, Copy)]
struct Held<'a> {
    index: usize,
    place: &'a AtomicU64,
    word: u64,
    turn: u64,
    end: u64,
}

impl<'a> Tries<'a> {
    pub(super) const fn new(area: Area<'a>) -> Self {
        let ring = ring(area.shape.payload());
        let log = Windows::with_ring(area, ring);
        Self { area, slots: Slots::new(area.slots, area.shape), log, ring }
    }

    /// Asks for a try of `key`. It counts as a failure until it is ended, or for `ttl`: longer than looking at a
    /// secret can take.
    #[must_use]
    pub fn begin(&self, key: Key, limit: Limit, ttl: Duration, now: Now) -> Begun {
        let (n, window, tick) = self.log.terms(limit, now);
        if n == 0 {
            return Begun::Refused { retry_at: Mono::MAX };
        }
        let end = (tick + Limit { at_most: 1, per: ttl }.ticks()).min(TICKS - 1);
        let keep = self.area.longest(window);
        loop {
            let close = |slot| self.close(slot, tick, Until::Idle(keep));
            let Some(slot) = self.slots.find_or_insert(key, close, |_| {}) else {
                self.area.note_pressure();
                return Begun::Pressure;
            };
            if let Some(begun) = self.begin_in(key, slot, n, window, tick, end) {
                return begun;
            }
        }
    }

    /// Ends a try that failed: the failure counts from now.
    ///
    /// A try whose time was over long ago may have lost its room; when there is none any more, it is as if it
    /// had been the last one.
    pub fn fail(&self, tried: Try, limit: Limit, now: Now) -> Failed {
        let (n, window, tick) = self.log.terms(limit, now);
        let all = u32::try_from(n).unwrap_or(u32::MAX);
        let nth = match self.log_failure(tried.key, n, window, tick) {
            Some(Recorded::Counted { nth }) => nth,
            _ => all,
        };
        self.give_back(&tried);
        Failed { nth, full: nth >= all }
    }

    /// Ends a try that did not fail. With `forget`, the failures before it do not count any more, unless other
    /// tries are under way: then they stay, or each of those would be one more than may be.
    pub fn succeed(&self, tried: Try, forget: bool, now: Now) {
        self.give_back(&tried);
        if forget {
            self.close_key(tried.key, now, Until::NoTries);
        }
    }

    /// The failures of `key`, without the tries under way.
    #[must_use]
    pub fn peek(&self, key: Key, limit: Limit, now: Now) -> Peeked {
        self.log.peek(key, limit, now)
    }

    /// Forgets the failures of `key`, and the tries under way: those that fail afterwards count then.
    pub fn forget(&self, key: Key, now: Now) {
        self.close_key(key, now, Until::Now);
    }

    /// How often there was no room for a key.
    #[must_use]
    pub fn pressure(&self) -> u64 {
        self.area.pressure()
    }

    fn begin_in(&self, key: Key, slot: Slot, n: usize, window: u64, tick: u64, end: u64) -> Option<Begun> {
        loop {
            let free = self.words(slot).find(|held| held.end <= tick);
            let (count, refusal) = self.count(slot, n, window, tick)?;
            let Some(free) = free.filter(|_| count < n) else { return Some(refusal) };
            let word = slot.says((free.turn + TURN_BIT) & TURN | end);
            if !swap(free.place, free.word, word) {
                continue;
            }
            let mine = Try { key, slot, index: free.index, word };
            self.confirm(slot)?;
            // Counted again: others may have begun meanwhile, and all that are under way now see this one.
            let (count, refusal) = self.count_surely(slot, n, window, tick)?;
            if count <= n {
                return Some(Begun::Go(mine));
            }
            self.give_back(&mine);
            return Some(refusal);
        }
    }

    /// How many tries and failures there are, and what to answer when they are too many; `None` when that
    /// changed while being read.
    fn count(&self, slot: Slot, n: usize, window: u64, tick: u64) -> Option<(usize, Begun)> {
        // In this order: what fails meanwhile is seen twice rather than not at all.
        let ends = self.words(slot).filter(|held| held.end > tick).map(|held| self.area.mono(held.end));
        let (tries, first) = ends.fold((0, Mono::MAX), |(tries, first), end| (tries + 1, first.min(end)));
        let failures = self.log.peek_in(slot, n, window, tick)?;
        let refusal = match failures.retry_at {
            Some(retry_at) => Begun::Refused { retry_at },
            None => Begun::Busy { retry_at: first },
        };
        Some((tries + usize::try_from(failures.used).unwrap_or(usize::MAX), refusal))
    }

    /// The same; `None` only when the slot has gone.
    fn count_surely(&self, slot: Slot, n: usize, window: u64, tick: u64) -> Option<(usize, Begun)> {
        loop {
            let count = self.count(slot, n, window, tick);
            if count.is_some() || !self.slots.is_current(slot) {
                return count;
            }
        }
    }

    /// Writes a failure in the log of `key`; `None` when there is no room for the key.
    fn log_failure(&self, key: Key, n: usize, window: u64, tick: u64) -> Option<Recorded> {
        let keep = self.area.longest(window);
        loop {
            let close = |slot| self.close(slot, tick, Until::Idle(keep));
            let Some(slot) = self.slots.find_or_insert(key, close, |_| {}) else {
                self.area.note_pressure();
                return None;
            };
            if let Some((recorded, _)) = self.log.append(slot, n, window, tick) {
                return Some(recorded);
            }
        }
    }

    fn give_back(&self, tried: &Try) {
        let held = self.words(tried.slot).nth(tried.index);
        let over = tried.slot.says(tried.word & TURN);
        held.into_iter().for_each(|held| _ = swap(held.place, tried.word, over));
    }

    /// The words of the tries of a slot.
    fn words(&self, slot: Slot) -> impl Iterator<Item = Held<'a>> {
        let places = self.slots.payload(slot).get(2 + self.ring..).unwrap_or_default();
        places.iter().enumerate().map(move |(index, place)| {
            let word = load(place);
            let data = slot.reads(word).unwrap_or(0);
            Held { index, place, word, turn: data & TURN, end: data & !TURN }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::fixture::{at, block, together};
    use crate::table::{Block, Layout, Ring, TriesId};
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    pub(super) const THREE: Limit = Limit { at_most: 3, per: Duration::from_secs(60) };
    pub(super) const TTL: Duration = Duration::from_secs(5);

    pub(super) fn tries(slots: u32, ring: Ring) -> (Block, TriesId) {
        let mut layout = Layout::new(1);
        let id = layout.tries(slots, ring);
        (block(&layout), id)
    }

    pub(super) fn go(begun: Begun) -> Option<Try> {
        match begun {
            Begun::Go(tried) => Some(tried),
            _ => None,
        }
    }

    #[test]
    fn payloads_tell_the_length_of_their_log() {
        for (kind, words) in [(Ring::R8, 8), (Ring::R16, 16), (Ring::R64, 16)] {
            assert_eq!(payload(kind.events()), 2 + kind.events() + words);
            assert_eq!(ring(payload(kind.events())), kind.events());
        }
    }

    #[test]
    fn the_nth_failure_is_the_last_try_of_its_window() {
        let (block, id) = tries(8, Ring::R8);
        let (tries, key) = (block.tries(id), block.key(b"a"));
        for nth in 1..=3 {
            let tried = go(tries.begin(key, THREE, TTL, at(1_000 * u64::from(nth)))).unwrap();
            let failed = tries.fail(tried, THREE, at(1_000 * u64::from(nth)));
            assert_eq!(failed, Failed { nth, full: nth == 3 });
        }
        for ms in [3_001, 60_999] {
            let begun = tries.begin(key, THREE, TTL, at(ms));
            assert!(matches!(begun, Begun::Refused { retry_at } if retry_at == at(61_000).mono), "{begun:?}");
        }
        assert!(go(tries.begin(key, THREE, TTL, at(61_000))).is_some());
    }

    #[test]
    fn tries_under_way_count_until_they_end_or_are_over() {
        let (block, id) = tries(8, Ring::R8);
        let (tries, key) = (block.tries(id), block.key(b"a"));
        let begin = |ms| tries.begin(key, THREE, TTL, at(ms));
        let (first, second, _third) = (go(begin(0)).unwrap(), go(begin(10)).unwrap(), go(begin(20)).unwrap());
        let busy = begin(30);
        assert!(matches!(busy, Begun::Busy { retry_at } if retry_at == at(5_000).mono), "{busy:?}");
        tries.succeed(first, false, at(30));
        assert_eq!(tries.peek(key, THREE, at(30)).used, 0);
        assert!(go(begin(40)).is_some() && go(begin(50)).is_none());
        assert_eq!(tries.fail(second, THREE, at(60)), Failed { nth: 1, full: false });
        assert!(go(begin(70)).is_none(), "one failure and two under way");
        assert!(go(begin(5_020)).is_some(), "the third was never ended");
    }

    #[test]
    fn a_success_forgets_failures_when_nothing_else_is_under_way() {
        let (block, id) = tries(8, Ring::R8);
        let (tries, key) = (block.tries(id), block.key(b"a"));
        let begin = |ms| go(tries.begin(key, THREE, TTL, at(ms))).unwrap();
        tries.fail(begin(0), THREE, at(0));
        let (good, other) = (begin(1), begin(1));
        tries.succeed(good, true, at(2));
        assert_eq!(tries.peek(key, THREE, at(2)).used, 1);
        tries.succeed(other, true, at(3));
        assert_eq!(tries.peek(key, THREE, at(3)).used, 0);
        let left = begin(4);
        tries.forget(key, at(5));
        assert_eq!(tries.fail(left, THREE, at(6)), Failed { nth: 1, full: false });
        tries.forget(key, at(7));
        assert_eq!(tries.peek(key, THREE, at(7)).used, 0);
    }

    #[test]
    fn a_limit_of_none_refuses_and_one_above_the_room_is_the_room() {
        let (block, id) = tries(8, Ring::R8);
        let (tries, key) = (block.tries(id), block.key(b"a"));
        let begin = |at_most| tries.begin(key, Limit { at_most, ..THREE }, TTL, at(0));
        assert!(matches!(begin(0), Begun::Refused { retry_at: Mono::MAX }));
        let all: Vec<_> = (0..10).map_while(|_| go(begin(u32::MAX))).collect();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn a_key_keeps_its_slot_while_a_try_or_a_failure_counts() {
        let (block, id) = tries(8, Ring::R8);
        let tries = block.tries(id);
        let begin = |n: u32, ms| tries.begin(block.key(&n.to_be_bytes()), THREE, TTL, at(ms));
        let all: Vec<_> = (0..8).map(|n| go(begin(n, 0)).unwrap()).collect();
        assert!(matches!(begin(8, 4_999), Begun::Pressure));
        all.into_iter().for_each(|tried| _ = tries.fail(tried, THREE, at(4_999)));
        assert!(matches!(begin(8, 64_998), Begun::Pressure));
        assert!(go(begin(8, 64_999)).is_some());
        assert_eq!(tries.pressure(), 2);
    }

    #[test]
    fn eight_threads_have_n_guesses_together() {
        // Nothing is under way at the end, so whoever was told Busy can go on.
        for seed in 0..40 {
            let (block, id) = tries(8, Ring::R8);
            let (tries, key) = (block.tries(id), block.key(b"a"));
            let limit = Limit { at_most: 1 + u32::try_from(seed % 8).unwrap(), ..THREE };
            let guesses = together(seed, |_| {
                let mut guesses = Vec::new();
                loop {
                    match tries.begin(key, limit, TTL, at(0)) {
                        Begun::Go(tried) => guesses.push(tries.fail(tried, limit, at(0)).nth),
                        Begun::Busy { .. } => std::thread::yield_now(),
                        _ => return guesses,
                    }
                }
            });
            let mut guesses = guesses.concat();
            guesses.sort_unstable();
            assert_eq!(guesses, Vec::from_iter(1..=limit.at_most), "seed {seed}");
        }
    }

    #[test]
    fn good_tries_among_bad_ones_cost_nothing_and_give_nothing() {
        for seed in 0..40 {
            let (block, id) = tries(8, Ring::R8);
            let (tries, key) = (block.tries(id), block.key(b"a"));
            let good = AtomicU32::new(0);
            let failures = together(seed, |thread| {
                let mut failures = 0;
                for i in 0..40 {
                    let Begun::Go(tried) = tries.begin(key, THREE, TTL, at(0)) else { continue };
                    if (i + thread) % 3 == 0 {
                        failures += 1;
                        tries.fail(tried, THREE, at(0));
                    } else {
                        good.fetch_add(1, SeqCst);
                        tries.succeed(tried, false, at(0));
                    }
                }
                failures
            });
            assert_eq!(failures.iter().sum::<u32>(), 3, "seed {seed}, {} good ones", good.load(SeqCst));
        }
    }
}
