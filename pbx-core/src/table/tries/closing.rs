//! How the slot of a key is closed that has both a log and tries.
//!
//! Two things keep it, so it is closed in two steps. The epoch that was read before looking at the tries says
//! "closing at entry n", which fails when a try has begun since; then entry n becomes the tombstone of the log, or
//! an event, and then the slot lives on. Whoever meets a closing slot takes the second step.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::Tries;
use crate::table::atomic::{load, raise, swap};
use crate::table::key::Key;
use crate::table::slots::Slot;
use crate::time::Now;

/// The epoch: `closing 1 | turn 23 | number 24`.
const CLOSING: u64 = 1 << 47;
const NUMBER: u64 = (1 << 24) - 1;
const ONE_TURN: u64 = 1 << 24;

/// What keeps a slot from being closed.
#[derive(Clone, Copy)]
pub(super) enum Until {
    /// Tries under way, and failures younger than so many ticks.
    Idle(u64),
    /// Tries under way.
    NoTries,
    /// Nothing.
    Now,
}

impl<'a> Tries<'a> {
    /// Changes the epoch, so that nobody closes the slot who saw its tries before; `None` when it has gone.
    pub(super) fn confirm(&self, slot: Slot) -> Option<()> {
        let epoch = self.epoch(slot)?;
        loop {
            let word = load(epoch);
            if !self.slots.is_current(slot) {
                return None;
            }
            let data = slot.reads(word).unwrap_or(0);
            if data & CLOSING != 0 {
                if self.settle(slot, word) {
                    self.slots.free(slot);
                    return None;
                }
            } else if swap(epoch, word, slot.says(next_turn(data))) {
                return Some(());
            }
        }
    }

    /// The second step of closing: whether the slot is closed, or lives on.
    fn settle(&self, slot: Slot, word: u64) -> bool {
        loop {
            let (Some(data), Some(tail)) = (slot.reads(word), self.log.tail(slot)) else { return false };
            if tail.ended {
                return true;
            }
            if (tail.next ^ data) & NUMBER != 0 {
                let open = slot.says(next_turn(data));
                self.epoch(slot).into_iter().for_each(|epoch| _ = swap(epoch, word, open));
                return false;
            }
            if self.log.end_at(slot, tail.next) {
                return true;
            }
        }
    }

    /// Ends the use of a slot that nothing keeps any more.
    pub(super) fn close(&self, slot: Slot, tick: u64, until: Until) -> bool {
        loop {
            let (Some(tail), Some(epoch)) = (self.log.tail(slot), self.epoch(slot)) else { return false };
            if tail.ended {
                return true;
            }
            // Read before the tries: one that begins after they were looked at changes it.
            let word = load(epoch);
            let data = slot.reads(word).unwrap_or(0);
            let kept = data & CLOSING == 0 && self.keeps(slot, tail.youngest, tick, until);
            if kept || !self.slots.is_current(slot) {
                return false;
            }
            if data & CLOSING != 0 {
                if self.settle(slot, word) {
                    return true;
                }
                continue;
            }
            raise(self.slots.floor(slot), tick);
            swap(epoch, word, slot.says(CLOSING | data & !NUMBER | tail.next & NUMBER));
        }
    }

    fn keeps(&self, slot: Slot, youngest: Option<u64>, tick: u64, until: Until) -> bool {
        let under_way = || self.words(slot).any(|held| held.end > tick);
        match until {
            Until::Idle(keep) => youngest.is_some_and(|t| t + keep > tick) || under_way(),
            Until::NoTries => under_way(),
            Until::Now => false,
        }
    }

    pub(super) fn close_key(&self, key: Key, now: Now, until: Until) {
        let tick = self.area.tick(now.mono);
        while let Some(slot) = self.slots.find(key) {
            if self.close(slot, tick, until) {
                self.slots.free(slot);
                return;
            }
            if self.slots.is_current(slot) {
                return;
            }
        }
    }

    fn epoch(&self, slot: Slot) -> Option<&'a AtomicU64> {
        self.slots.payload(slot).get(1 + self.ring)
    }

    /// Puts a slot in order whose words were copied at different moments.
    pub(in crate::table) fn repair(&self, slot: Slot) {
        self.log.repair(slot);
        self.epoch(slot).into_iter().for_each(|epoch| epoch.store(slot.says(0), SeqCst));
    }
}

const fn next_turn(epoch: u64) -> u64 {
    (epoch & !NUMBER).wrapping_add(ONE_TURN) & !CLOSING & !NUMBER
}

#[cfg(test)]
mod tests {
    use super::super::tests::{THREE, TTL, go, tries};
    use crate::table::atomic::injected::{interrupt_before, uninterrupted};
    use crate::table::fixture::{at, together};
    use crate::table::{Begun, Block, Failed, Limit, Ring, TriesId, Try};
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::sync::mpsc::{Receiver, channel};

    const ONE: Limit = Limit { at_most: 1, ..THREE };

    /// A bucket of which one slot is idle at 9 s, that of the key `a`, which has a try whose time is over. The others
    /// are busy until 13 s.
    fn nearly_full() -> (Block, TriesId, Try) {
        let (block, id) = tries(8, Ring::R8);
        let over = go(block.tries(id).begin(block.key(b"a"), THREE, TTL, at(0))).unwrap();
        for n in 0..7_u32 {
            drop(go(block.tries(id).begin(block.key(&n.to_be_bytes()), THREE, TTL, at(8_000))).unwrap());
        }
        (block, id, over)
    }

    /// What `other` gives when it is done before the `n`th step of a takeover of the idle slot; `None` when the
    /// takeover has no more steps.
    fn during_takeover<T: 'static>(
        n: u64,
        block: &Block,
        id: TriesId,
        other: impl FnOnce(&Block) -> T + 'static,
    ) -> Option<T> {
        let (sender, receiver): (_, Receiver<T>) = channel();
        let same = block.clone();
        interrupt_before(n, move || sender.send(other(&same)).unwrap());
        drop(block.tries(id).begin(block.key(b"z"), THREE, TTL, at(9_000)));
        uninterrupted();
        receiver.try_recv().ok()
    }

    #[test]
    fn a_try_that_begins_at_any_step_of_a_takeover_counts() {
        let mut went = 0;
        for n in 1.. {
            let (block, id, _) = nearly_full();
            let begin = move |block: &Block, ms| block.tries(id).begin(block.key(b"a"), ONE, TTL, at(ms));
            let Some(begun) = during_takeover(n, &block, id, move |block| begin(block, 9_000)) else { break };
            if go(begun).is_some() {
                went += 1;
                assert!(go(begin(&block, 13_500)).is_none(), "step {n}");
            }
        }
        assert!(went > 20, "{went}");
    }

    #[test]
    fn a_failure_that_is_late_counts_at_any_step_of_a_takeover() {
        let mut counted = 0;
        for n in 1.. {
            let (block, id, over) = nearly_full();
            let fail = move |block: &Block| block.tries(id).fail(over, THREE, at(9_000));
            let Some(failed) = during_takeover(n, &block, id, fail) else { break };
            if failed == (Failed { nth: 1, full: false }) {
                counted += 1;
                assert_eq!(block.tries(id).peek(block.key(b"a"), THREE, at(9_000)).used, 1, "step {n}");
            }
        }
        assert!(counted > 20, "{counted}");
    }

    #[test]
    fn a_takeover_at_any_step_of_a_try_lets_no_second_one_begin() {
        let mut went = 0;
        for n in 1..200 {
            let (block, id, _) = nearly_full();
            let same = block.clone();
            interrupt_before(n, move || {
                drop(same.tries(id).begin(same.key(b"z"), THREE, TTL, at(9_000)));
            });
            let begin = |ms| block.tries(id).begin(block.key(b"a"), ONE, TTL, at(ms));
            let begun = begin(9_000);
            if uninterrupted() {
                break;
            }
            if let Begun::Go(tried) = begun {
                went += 1;
                assert!(go(begin(13_500)).is_none(), "step {n}");
                assert_eq!(block.tries(id).fail(tried, ONE, at(13_500)), Failed { nth: 1, full: true });
                assert!(matches!(begin(13_500), Begun::Refused { .. }), "step {n}");
            }
        }
        assert!(went > 10, "{went}");
    }

    #[test]
    fn takeovers_lose_neither_tries_nor_failures() {
        // Twelve keys in one bucket. Tries that are good leave nothing, so their slots are taken over at once; each
        // key has two guesses and no more, ever.
        let limit = Limit { at_most: 2, ..THREE };
        for seed in 0..40 {
            let (block, id) = tries(8, Ring::R8);
            let tries = block.tries(id);
            let failures: Vec<AtomicU32> = (0..12).map(|_| AtomicU32::new(0)).collect();
            let under_way: Vec<AtomicU32> = (0..12).map(|_| AtomicU32::new(0)).collect();
            let took = together(seed, |thread| {
                let mut took = 0;
                for i in 0..150_u64 {
                    let n = (i * 5 + thread) % 12;
                    let key = block.key(&n.to_be_bytes());
                    let (failed, here) = (&failures[n as usize], &under_way[n as usize]);
                    let Begun::Go(tried) = tries.begin(key, limit, TTL, at(0)) else { continue };
                    took += 1;
                    assert!(here.fetch_add(1, SeqCst) < 2, "seed {seed}");
                    here.fetch_sub(1, SeqCst);
                    if i > 100 && i % 5 == thread % 5 {
                        failed.fetch_add(1, SeqCst);
                        tries.fail(tried, limit, at(0));
                    } else {
                        tries.succeed(tried, false, at(0));
                    }
                }
                took
            });
            assert!(failures.iter().all(|failed| failed.load(SeqCst) <= 2), "seed {seed}: {failures:?}");
            assert!(took.iter().sum::<u32>() > 50, "seed {seed}: {took:?}");
        }
    }
}
