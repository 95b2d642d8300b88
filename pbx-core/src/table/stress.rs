//! Slots and windows under threads that yield between their atomic steps, and under workers that die there.

use core::time::Duration;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use super::atomic::injected::{chaos, dying_before};
use super::block::Area;
use super::fixture::{at, block, together};
use super::slots::Slots;
use super::*;
use crate::time::Now;

const DAY: Duration = Duration::from_secs(86_400);

fn table(slots: u32, ring: Ring) -> (Layout, WindowsId, Block) {
    let mut layout = Layout::new(1);
    let id = layout.windows(slots, ring);
    let block = block(&layout);
    (layout, id, block)
}

const fn limit(at_most: u32, ms: u64) -> Limit {
    Limit { at_most, per: Duration::from_millis(ms) }
}

fn key(block: &Block, n: u64) -> Key {
    block.key(&n.to_be_bytes())
}

fn counted(block: &Block, id: WindowsId, key: Key, limit: Limit, now: Now) -> bool {
    matches!(block.windows(id).record(key, limit, now), Recorded::Counted { .. })
}

/// How many of `tries` pass.
fn passes(block: &Block, id: WindowsId, key: Key, limit: Limit, tries: u32, now: Now) -> u32 {
    (0..tries).map(|_| u32::from(counted(block, id, key, limit, now))).sum()
}

/// How many live slots `key` has.
fn slots_of(block: &Block, WindowsId(place): WindowsId, key: Key) -> usize {
    let Area { slots, shape, .. } = block.area(place);
    Slots::new(slots, shape).live().filter(|slot| Slots::new(slots, shape).is_of(*slot, key)).count()
}

fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn a_key_that_eight_threads_hit_first_at_once_passes_exactly_n_times() {
    let (_, id, block) = table(16, Ring::R8);
    let (rounds, limit, passed) = (3_000, limit(8, 500), AtomicU64::new(0));
    let round = Barrier::new(8);
    let wrong = together(1, |thread| {
        let mut wrong = Vec::new();
        for n in 0..rounds {
            round.wait();
            let mine = passes(&block, id, key(&block, n), limit, 3, at(n * 1_000));
            passed.fetch_add(mine.into(), SeqCst);
            round.wait();
            if thread == 0 {
                let (passed, slots) = (passed.swap(0, SeqCst), slots_of(&block, id, key(&block, n)));
                wrong.extend(((passed, slots) != (8, 1)).then_some((n, passed, slots)));
            }
        }
        wrong
    });
    assert_eq!(wrong.concat(), [], "(key, passed instead of 8, slots instead of 1)");
}

/// The most that any window of `limit.per` holds of these times.
fn most(times: &mut [u64], limit: Limit) -> usize {
    times.sort_unstable();
    let per = limit.ticks();
    (0..times.len())
        .map(|first| times[first..].iter().take_while(|&&t| t < times[first] + per).count())
        .max()
        .unwrap_or(0)
}

/// Ten keys on the eight slots of one bucket, so that slots are taken over while others record in them, by
/// workers whose clocks lag by up to `lag` ms.
fn churn(seed: u64, lag: u64) {
    let (_, id, block) = table(8, Ring::R8);
    let (limit, clock) = (limit(3, 40), AtomicU64::new(1_000));
    let logs = together(seed, |thread| {
        let (mut seed, mut log) = (thread + seed * 100 + 1, Vec::new());
        for _ in 0..6_000 {
            let step = if random(&mut seed).is_multiple_of(5) { random(&mut seed) % 12 } else { 0 };
            let ms = clock.fetch_add(step, SeqCst) - random(&mut seed) % (lag + 1);
            let n = (ms / 60 + random(&mut seed) % 8) % 10;
            let (recorded, tick) = block.windows(id).record_stamped(key(&block, n), limit, at(ms));
            if let Recorded::Counted { .. } = recorded {
                log.push((n, tick));
            }
        }
        log
    });
    let mut total = 0;
    for n in 0..10 {
        let of_key = logs.iter().flatten().filter(|event| event.0 == n);
        let mut times: Vec<u64> = of_key.map(|event| event.1).collect();
        assert!(most(&mut times, limit) <= 3, "key {n}: {} in a window of 3", most(&mut times, limit));
        assert!(slots_of(&block, id, key(&block, n)) <= 1, "key {n}");
        total += times.len();
    }
    let elapsed = clock.load(SeqCst) - 1_000;
    assert!(total as u64 > elapsed / 40 * 3, "only {total} events in {elapsed} ms");
}

#[test]
fn no_window_holds_more_than_n_while_slots_are_taken_over() {
    churn(2, 0);
}

#[test]
fn no_window_holds_more_than_n_while_clocks_lag() {
    (3..6).for_each(|seed| churn(seed, 30));
}

#[test]
fn what_is_recorded_after_forgetting_stays_and_what_came_before_goes() {
    let (_, id, block) = table(8, Ring::R64);
    let limit = Limit { at_most: 64, per: DAY };
    let (round, forgetting, forgot) = (Barrier::new(8), AtomicBool::new(false), AtomicBool::new(false));
    for n in 0..400 {
        let (key, now) = (key(&block, n), at(n));
        forgetting.store(false, SeqCst);
        forgot.store(false, SeqCst);
        let counts = together(n, |thread| {
            round.wait();
            if thread == 0 {
                (0..n % 7).for_each(|_| std::thread::yield_now());
                forgetting.store(true, SeqCst);
                block.windows(id).forget(key, now);
                forgot.store(true, SeqCst);
            }
            let (mut before, mut after, mut all) = (0, 0, 0);
            for _ in 0..7 {
                let is_after = forgot.load(SeqCst);
                if counted(&block, id, key, limit, now) {
                    all += 1;
                    after += u32::from(is_after);
                    before += u32::from(!forgetting.load(SeqCst));
                }
            }
            [before, after, all]
        });
        let [before, after, all] = [0, 1, 2].map(|i| counts.iter().map(|c| c[i]).sum::<u32>());
        let used = block.windows(id).peek(key, limit, now).used;
        assert_eq!(all, 56, "all pass");
        assert!((after..=all - before).contains(&used), "{before} before, {after} after, {used} used");
        block.windows(id).forget(key, now);
    }
}

#[test]
fn a_snapshot_that_is_taken_while_others_write_is_a_block() {
    let (layout, id, block) = table(16, Ring::R64);
    let (limit, now) = (Limit { at_most: 64, per: DAY }, at(0));
    let used = |block: &Block| [0, 1, 2, 3].map(|n| block.windows(id).peek(key(block, n), limit, now).used);
    for round in 0..60 {
        (0..4).for_each(|n| block.windows(id).forget(key(&block, n), now));
        together(round, |thread| {
            if thread > 0 {
                let mut seed = round * 8 + thread;
                let random_key = |_| key(&block, random(&mut seed) % 4);
                (0..40).map(random_key).for_each(|key| _ = counted(&block, id, key, limit, now));
                return;
            }
            for _ in 0..6 {
                let before = used(&block);
                let snapshot = block.snapshot(now);
                let after = used(&block);
                let words = heap(layout.words());
                let restored = Block::restore(words, &layout, &snapshot, 1, now).unwrap();
                for (n, used) in (0..).zip(used(&restored)) {
                    let range = before[n as usize]..=after[n as usize];
                    assert!(range.contains(&used), "{used} events instead of {range:?}");
                    let room = passes(&restored, id, key(&restored, n), limit, 70, now);
                    assert_eq!(room, 64 - used);
                    assert_eq!(slots_of(&restored, id, key(&restored, n)), 1);
                }
            }
        });
    }
}

/// A table of one bucket in one of the states that an update can meet. Key 1 is the one to be updated.
fn state(scenario: usize) -> (WindowsId, Block, u32) {
    let (_, id, block) = table(8, Ring::R8);
    let fill = |n: u64, times: u32, ms: u64| {
        assert_eq!(passes(&block, id, key(&block, n), LIMIT, times, at(ms)), times)
    };
    let before = match scenario {
        // Nothing yet; events of its own in the window, out of it, all around the ring.
        0 => 0,
        1 => {
            fill(1, 2, 960);
            2
        }
        2 => {
            fill(1, 3, 100);
            0
        }
        3 => {
            (0..6).for_each(|i| fill(1, 3, i * 100));
            fill(1, 1, 970);
            1
        }
        // A bucket full of keys of which one, or all, can be forgotten.
        4 => {
            (2..9).for_each(|n| fill(n, 1, 990));
            fill(9, 3, 100);
            0
        }
        5 => {
            (2..10).for_each(|n| fill(n, 3, 100));
            0
        }
        // Full.
        _ => {
            fill(1, 3, 970);
            3
        }
    };
    (id, block, before)
}

const LIMIT: Limit = limit(3, 100);

/// What must hold whatever a dead worker left behind: key 1 has room for one of `room`, and the bucket for
/// eight keys.
fn check(id: WindowsId, block: &Block, room: &[u32], what: &str) {
    let passed = passes(block, id, key(block, 1), LIMIT, 9, at(1_001));
    assert!(room.contains(&passed), "{what}: {passed} instead of {room:?}");
    assert_eq!(slots_of(block, id, key(block, 1)), 1, "{what}");
    let fresh = (100..108).filter(|&n| counted(block, id, key(block, n), LIMIT, at(5_000))).count();
    assert_eq!(fresh, 8, "{what}: room for {fresh} keys instead of 8");
    let others = (100..108).map(|n| passes(block, id, key(block, n), LIMIT, 9, at(5_000)));
    assert!(others.into_iter().all(|passed| passed == 2), "{what}");
}

#[test]
fn a_worker_that_dies_before_any_step_of_recording_leaves_all_in_order() {
    let mut deaths = 0;
    for scenario in 0..7 {
        for step in 1.. {
            let (id, block, before) = state(scenario);
            let survived = dying_before(step, || counted(&block, id, key(&block, 1), LIMIT, at(1_000)));
            let room = 3 - before;
            match survived {
                // Whether its event was recorded, nobody knows.
                None => check(
                    id,
                    &block,
                    &[room, room.saturating_sub(1)],
                    &format!("{scenario} died before {step}"),
                ),
                Some(passed) => {
                    assert_eq!(passed, room > 0);
                    check(id, &block, &[room.saturating_sub(1)], &format!("{scenario} lived"));
                    break;
                }
            }
            deaths += 1;
        }
    }
    assert!(deaths > 150, "{deaths}");
}

#[test]
fn a_worker_that_dies_before_any_step_of_forgetting_leaves_all_in_order() {
    for scenario in [1, 3, 6] {
        for step in 1.. {
            let (id, block, before) = state(scenario);
            let survived = dying_before(step, || block.windows(id).forget(key(&block, 1), at(1_000)));
            let room: &[u32] = if survived.is_some() { &[3] } else { &[3, 3 - before] };
            check(id, &block, room, &format!("{scenario}: died before step {step}"));
            if survived.is_some() {
                break;
            }
        }
    }
}

#[test]
fn two_workers_that_die_one_after_the_other_leave_all_in_order() {
    for scenario in 0..7 {
        for first in 1..60 {
            for second in (1..60).step_by(3) {
                let (id, block, before) = state(scenario);
                let record = |n| counted(&block, id, key(&block, n), LIMIT, at(1_000));
                let lived = dying_before(first, || record(1)).is_some();
                dying_before(second, || record(if lived { 50 } else { 1 }));
                let room = 3 - before;
                let left: Vec<u32> = (0..=2).map(|recorded| room.saturating_sub(recorded)).collect();
                check(id, &block, &left, &format!("{scenario} died before {first} and {second}"));
            }
        }
    }
}

#[test]
fn eight_threads_that_die_again_and_again_let_no_window_overflow() {
    let (_, id, block) = table(8, Ring::R8);
    let (limit, clock) = (limit(3, 40), AtomicU64::new(1_000));
    let logs = together(9, |thread| {
        let (mut seed, mut log) = (thread + 77, Vec::new());
        for _ in 0..3_000 {
            let ms = clock.fetch_add(random(&mut seed) % 4, SeqCst);
            let (n, dies) = ((ms / 60 + random(&mut seed) % 8) % 10, random(&mut seed) % 60);
            let record = || block.windows(id).record_stamped(key(&block, n), limit, at(ms));
            if let Some((Recorded::Counted { .. }, tick)) = dying_before(dies, record) {
                log.push((n, tick));
            }
        }
        chaos(0);
        log
    });
    for n in 0..10 {
        let of_key = logs.iter().flatten().filter(|event| event.0 == n);
        let mut times: Vec<u64> = of_key.map(|event| event.1).collect();
        assert!(most(&mut times, limit) <= 3, "key {n}");
        assert!(slots_of(&block, id, key(&block, n)) <= 1, "key {n}");
    }
    let end = clock.load(SeqCst) + 1_000;
    let passed: Vec<u32> = (0..8).map(|n| passes(&block, id, key(&block, n), limit, 9, at(end))).collect();
    assert_eq!(passed, [3; 8]);
}
