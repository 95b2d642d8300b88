//! "At most N in T" lets exactly N pass, whatever the order and the number of threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use pbx_core::table::{Block, Key, Layout, Limit, Peeked, Recorded, Ring, WindowsId, heap};
use pbx_core::{Mono, Now, Wall};
use proptest::prelude::*;

fn at(ms: u64) -> Now {
    Now::new(Mono::from_millis(50_000 + ms), Wall::UNIX_EPOCH)
}

fn table(slots: u32, ring: Ring) -> (Block, WindowsId) {
    let mut layout = Layout::new(1);
    let id = layout.windows(slots, ring);
    (Block::create(heap(layout.words()), &layout, [3; 16], 1, at(0)).unwrap(), id)
}

fn limit(at_most: u32, ms: u64) -> Limit {
    Limit { at_most, per: Duration::from_millis(ms) }
}

#[test]
fn the_n_plus_first_is_refused_until_the_first_has_left_the_window() {
    for (ring, n) in [(Ring::R8, 5), (Ring::R8, 8), (Ring::R16, 16), (Ring::R64, 40), (Ring::R64, 64)] {
        let (block, id) = table(8, ring);
        let (windows, key, limit) = (block.windows(id), block.key(b"192.0.2.1"), limit(n, 10_000));
        for nth in 1..=n {
            assert_eq!(windows.record(key, limit, at(u64::from(nth))), Recorded::Counted { nth });
        }
        let retry_at = at(10_001).mono;
        assert_eq!(windows.record(key, limit, at(10_000)), Recorded::Full { retry_at });
        assert_eq!(peek(windows.peek(key, limit, at(10_000))), (n, Some(retry_at)));
        assert_eq!(windows.record(key, limit, at(10_001)), Recorded::Counted { nth: n });
        assert!(matches!(windows.record(key, limit, at(10_001)), Recorded::Full { .. }));
    }
}

#[test]
fn more_than_the_ring_holds_is_taken_for_what_it_holds_and_none_for_none() {
    let (block, id) = table(8, Ring::R8);
    let key = block.key(b"192.0.2.1");
    assert_eq!(block.windows(id).record(key, limit(0, 1_000), at(0)), Recorded::Full { retry_at: Mono::MAX });
    let passed = (0..100).filter(|_| is_counted(block.windows(id).record(key, limit(50, 1_000), at(0))));
    assert_eq!(passed.count(), 8);
}

#[test]
fn eight_threads_that_meet_a_new_key_pass_n_times_together() {
    let (block, id) = table(64, Ring::R64);
    let (start, passed) = (Barrier::new(8), AtomicU32::new(0));
    for round in 0..300_u32 {
        passed.store(0, SeqCst);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let key = block.key(&round.to_be_bytes());
                    for _ in 0..8 {
                        let recorded =
                            block.windows(id).record(key, limit(40, 500), at(u64::from(round) * 1_000));
                        passed.fetch_add(u32::from(is_counted(recorded)), SeqCst);
                    }
                });
            }
        });
        assert_eq!(passed.load(SeqCst), 40, "key {round}");
    }
}

#[test]
fn a_key_with_a_long_window_is_not_forgotten_for_keys_with_short_ones() {
    let (block, id) = table(8, Ring::R8);
    let (key, day) = (block.key(b"slow"), limit(3, 86_400_000));
    (0..3).for_each(|_| assert!(is_counted(block.windows(id).record(key, day, at(0)))));
    for n in 0..200_u64 {
        let _ = block.windows(id).record(block.key(&n.to_be_bytes()), limit(3, 10), at(1_000 * n));
    }
    assert!(matches!(block.windows(id).record(key, day, at(3_600_000)), Recorded::Full { .. }));
}

fn is_counted(recorded: Recorded) -> bool {
    matches!(recorded, Recorded::Counted { .. })
}

/// The log that the table stands for: all events of a key, and from when they count.
#[derive(Clone, Default)]
struct Log {
    times: Vec<u64>,
}

impl Log {
    fn record(&mut self, limit: Limit, ms: u64, floor: u64) -> Recorded {
        let at_ms = ms.max(self.times.last().copied().unwrap_or(floor));
        let inside = self.inside(limit, at_ms);
        match inside.len().checked_sub(limit.at_most as usize) {
            Some(extra) => Recorded::Full { retry_at: at(inside[extra] + per(limit)).mono },
            None => {
                let nth = inside.len() as u32 + 1;
                self.times.push(at_ms);
                Recorded::Counted { nth }
            }
        }
    }

    fn peek(&self, limit: Limit, ms: u64) -> (u32, Option<Mono>) {
        let inside = self.inside(limit, ms.max(self.times.last().copied().unwrap_or(0)));
        let extra = inside.len().checked_sub(limit.at_most as usize);
        (inside.len().min(8) as u32, extra.map(|extra| at(inside[extra] + per(limit)).mono))
    }

    fn inside(&self, limit: Limit, ms: u64) -> Vec<u64> {
        self.times.iter().copied().filter(|t| t + per(limit) > ms).collect()
    }
}

fn peek(peeked: Peeked) -> (u32, Option<Mono>) {
    (peeked.used, peeked.retry_at)
}

fn per(limit: Limit) -> u64 {
    limit.per.as_millis() as u64
}

#[derive(Clone, Debug)]
enum Step {
    Record(Limit),
    Peek(Limit),
    Forget,
}

prop_compose! {
    /// A key of `keys`, what happens to it, the time that passed, and how far the worker's clock is behind.
    fn step(keys: u64, lag: u64, forgets: bool)(
        key in 0..keys,
        kind in 0..12,
        at_most in 1..=8_u32,
        per in prop_oneof![1..50_u64, 200..210_u64],
        pause in prop_oneof![6 => 0..20_u64, 1 => 100..300_u64],
        lag in 0..=lag,
    ) -> (u64, Step, u64, u64) {
        let limit = limit(at_most, per);
        let step = match kind {
            0 if forgets => Step::Forget,
            0..=2 => Step::Peek(limit),
            _ => Step::Record(limit),
        };
        (key, step, pause, lag)
    }
}

/// Plays `steps` on a table of eight slots and on logs, and compares what they say.
fn compare(steps: Vec<(u64, Step, u64, u64)>) -> Result<(), TestCaseError> {
    let (block, id) = table(8, Ring::R8);
    let (windows, mut logs) = (block.windows(id), vec![Log::default(); 10]);
    let (mut clock, mut floor, mut longest) = (100, 0, 0);
    for (n, step, pause, lag) in steps {
        clock += pause;
        let (ms, log, key): (u64, _, Key) = (clock - lag, &mut logs[n as usize], block.key(&n.to_be_bytes()));
        match step {
            Step::Peek(limit) => prop_assert_eq!(peek(windows.peek(key, limit, at(ms))), log.peek(limit, ms)),
            Step::Forget => {
                windows.forget(key, at(ms));
                // The others' first events, too, count from now at the earliest.
                floor = if log.times.is_empty() { floor } else { floor.max(ms) };
                log.times.clear();
            }
            Step::Record(limit) => {
                longest = longest.max(per(limit));
                match windows.record(key, limit, at(ms)) {
                    Recorded::Pressure => {
                        let known = |log: &&Log| log.times.last().is_some_and(|t| t + longest > ms);
                        prop_assert!(log.times.last().is_none_or(|t| t + longest <= ms));
                        prop_assert_eq!(logs.iter().filter(known).count(), 8);
                    }
                    recorded => prop_assert_eq!(recorded, log.record(limit, ms, floor)),
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Limits change from call to call, as a reload would change them; clocks lag; keys are forgotten.
    #[test]
    fn a_table_says_what_a_log_of_all_events_says(steps in prop::collection::vec(step(8, 40, true), 0..150)) {
        compare(steps)?;
    }

    /// Ten keys on eight slots: those that are idle make room for others.
    #[test]
    fn a_table_that_forgets_idle_keys_says_what_a_log_of_all_events_says(
        steps in prop::collection::vec(step(10, 0, false), 0..150),
    ) {
        compare(steps)?;
    }
}
