//! The time base of a block: ticks that go on across restarts.
//!
//! A tick is a millisecond. Within one run of the machine, ticks are `now.mono` plus the offset word of the
//! header. The header also keeps the last tick and how far civil time was ahead of it: after a restart the
//! difference of the civil times says how much time has passed, and the offset is chosen anew. Only then does
//! civil time count; a clock that is set while we run changes no penalty.

use std::sync::atomic::Ordering::SeqCst;

use super::atomic::{load, raise, swap};
use super::block::{Block, Head, TICKS};
use crate::time::{Mono, Now, Wall};

/// The tick at which a block is made, so that a worker whose clock is behind its maker's has ticks, too.
const ORIGIN: u64 = 24 * 3_600 * 1_000;
/// The longest time that a restart may have taken, in ticks: a civil clock that comes up wrong ends no penalty
/// that is longer.
const LONGEST_PAUSE: i64 = 31 * 24 * 3_600 * 1_000;
/// A run whose clock is so many ticks behind the last one seen is another run, whatever its boot id says.
const LAG: u64 = 3_600_000;
/// Civil time that moves by more than so many milliseconds against the other clock was set, not slewed.
const JUMP: u64 = 2_000;

/// The civil clock was set, or the machine slept: what [`Block::refresh`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WallJump {
    /// What it should have shown.
    pub expected: Wall,
    /// What it shows.
    pub found: Wall,
}

/// The offset between `now.mono` and the ticks of the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    offset: i64,
}

impl Clock {
    /// `mono` as ticks, below [`TICKS`].
    pub(super) fn tick(self, mono: Mono) -> u64 {
        mono.as_millis().saturating_add_signed(self.offset).min(TICKS - 1)
    }

    /// Back from ticks.
    pub(super) fn mono(self, tick: u64) -> Mono {
        Mono::from_millis(tick.saturating_add_signed(self.offset.saturating_neg()))
    }
}

impl Block {
    /// Keeps the clocks in the header up to date, so that a restart can tell how much time has passed. To be
    /// called at least once a second. Says when the civil clock jumped, to one of all that share the memory.
    #[must_use = "a civil clock that jumps is an event to report"]
    pub fn refresh(&self, now: Now) -> Option<WallJump> {
        let tick = self.clock().tick(now.mono);
        raise(self.head(Head::LastTick), tick);
        let (lead, word) = (lead(now.wall, tick), self.head(Head::WallLead));
        let before = load(word);
        let mine = swap(word, before, lead.cast_unsigned());
        let before = before.cast_signed();
        (mine && lead.abs_diff(before) > JUMP)
            .then(|| WallJump { expected: wall(before, tick), found: now.wall })
    }

    pub(super) fn clock(&self) -> Clock {
        Clock { offset: self.head(Head::Offset).load(SeqCst).cast_signed() }
    }

    /// The clock of a new block.
    pub(super) fn start_clock(&self, boot: u64, now: Now) {
        self.set_offset(ORIGIN, now.mono);
        self.head(Head::Boot).store(boot, SeqCst);
        self.times(now).into_iter().for_each(|(word, value)| self.head(word).store(value, SeqCst));
    }

    /// What a restart goes by, and the words it stands in.
    pub(super) fn times(&self, now: Now) -> [(Head, u64); 2] {
        let tick = self.clock().tick(now.mono);
        [(Head::LastTick, tick), (Head::WallLead, lead(now.wall, tick).cast_unsigned())]
    }

    /// Whether the block was last used in this run of the machine.
    pub(super) fn is_same_run(&self, boot: u64, now: Now) -> bool {
        let last = self.head(Head::LastTick).load(SeqCst);
        self.head(Head::Boot).load(SeqCst) == boot && self.clock().tick(now.mono) + LAG >= last
    }

    /// Goes on where another run of the machine stopped. Nothing that it reads is written before the boot id,
    /// which is last, so dying in between and starting over comes to the same.
    pub(super) fn resume_clock(&self, boot: u64, now: Now) {
        let last = self.head(Head::LastTick).load(SeqCst).min(TICKS - 1);
        let stopped = wall(self.head(Head::WallLead).load(SeqCst).cast_signed(), last);
        let passed = now.wall.unix_millis().saturating_sub(stopped.unix_millis()).clamp(0, LONGEST_PAUSE);
        self.set_offset(last.saturating_add_signed(passed), now.mono);
        self.head(Head::Boot).store(boot, SeqCst);
    }

    /// Makes `mono` the time `tick`.
    fn set_offset(&self, tick: u64, mono: Mono) {
        let offset = tick.wrapping_sub(mono.as_millis());
        self.head(Head::Offset).store(offset, SeqCst);
    }
}

/// How many milliseconds civil time is ahead of ticks.
fn lead(wall: Wall, tick: u64) -> i64 {
    wall.unix_millis().saturating_sub_unsigned(tick)
}

/// Civil time at `tick`.
fn wall(lead: i64, tick: u64) -> Wall {
    Wall::from_unix_millis(lead.saturating_add_unsigned(tick))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::fixture::together;
    use crate::table::{Layout, heap};
    use core::time::Duration;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn block(now: Now) -> Block {
        let layout = Layout::new(1);
        Block::create(heap(layout.words()), &layout, [1; 16], 1, now).unwrap()
    }

    fn start() -> Now {
        Now::new(Mono::from_secs(5_000), Wall::from_unix_secs(1_700_000_000))
    }

    /// The same civil time plus `passed`, in another run whose clock shows 7 s.
    fn rebooted(now: Now, passed: Duration) -> Now {
        Now::new(Mono::from_secs(7), now.wall + passed)
    }

    #[test]
    fn ticks_and_times_are_inverse_wherever_the_clock_begins() {
        for mono in
            [Mono::ZERO, Mono::from_secs(5), Mono::from_secs(1_700_000_000), Mono::from_millis(1 << 50)]
        {
            let clock = block(Now::new(mono, Wall::UNIX_EPOCH)).clock();
            assert_eq!(clock.tick(mono), ORIGIN);
            for later in [mono, mono + HOUR, mono + HOUR * 100_000] {
                assert_eq!(clock.mono(clock.tick(later)), later);
            }
        }
    }

    #[test]
    fn no_time_is_out_of_range() {
        let clock = block(start()).clock();
        assert_eq!(clock.tick(Mono::MAX), TICKS - 1);
        assert_eq!(clock.tick(Mono::ZERO), ORIGIN - 5_000_000);
        let late = block(Now::new(Mono::MAX, Wall::UNIX_EPOCH)).clock();
        assert_eq!(late.tick(Mono::ZERO), 0);
        assert_eq!(late.mono(u64::MAX), Mono::MAX);
    }

    #[test]
    fn a_restart_takes_as_long_as_civil_time_says_but_never_less_than_nothing_or_more_than_a_month() {
        let day = HOUR * 24;
        for (passed, counted) in [(HOUR, HOUR), (day * 400, day * 31), (Duration::ZERO, Duration::ZERO)] {
            let block = block(start());
            let last = block.clock().tick(start().mono);
            let now = rebooted(start(), passed);
            block.resume_clock(2, now);
            assert_eq!(u128::from(block.clock().tick(now.mono) - last), counted.as_millis());
        }
        let block = block(start());
        let last = block.clock().tick(start().mono);
        block.resume_clock(2, Now::new(Mono::from_secs(7), start().wall - HOUR));
        assert_eq!(block.clock().tick(Mono::from_secs(7)), last);
    }

    #[test]
    fn a_restart_that_is_cut_short_and_done_again_counts_the_time_once() {
        let block = block(start());
        let last = block.clock().tick(start().mono);
        let now = rebooted(start(), HOUR);
        block.resume_clock(2, now);
        block.head(Head::Boot).store(1, SeqCst);
        assert!(!block.is_same_run(2, now));
        block.resume_clock(2, now);
        assert!(block.is_same_run(2, now));
        assert_eq!(u128::from(block.clock().tick(now.mono) - last), HOUR.as_millis());
    }

    #[test]
    fn the_last_refresh_is_what_a_restart_goes_by() {
        let block = block(start());
        let later = start().after(HOUR);
        assert_eq!(block.refresh(later), None);
        let now = rebooted(later, Duration::from_secs(9));
        block.resume_clock(2, now);
        assert_eq!(block.clock().tick(now.mono), ORIGIN + 3_600_000 + 9_000);
    }

    #[test]
    fn a_clock_far_behind_is_another_run_though_the_boot_id_is_the_same() {
        let block = block(start());
        assert!(block.is_same_run(1, start()));
        assert!(block.is_same_run(1, Now::new(Mono::from_secs(1_500), start().wall)));
        assert!(!block.is_same_run(1, rebooted(start(), HOUR)));
        assert!(!block.is_same_run(2, start()));
    }

    #[test]
    fn a_jump_of_the_civil_clock_is_reported_once_and_a_slewed_one_is_not() {
        let block = block(start());
        let mut now = start();
        for _ in 0..10 {
            now = now.after(Duration::from_secs(1));
            now.wall = now.wall + Duration::from_millis(500);
            assert_eq!(block.refresh(now), None);
        }
        let before = block.clock().tick(now.mono);
        now.wall = now.wall - HOUR;
        let expected = WallJump { expected: now.wall + HOUR, found: now.wall };
        assert_eq!(block.refresh(now), Some(expected));
        assert_eq!(block.refresh(now), None);
        assert_eq!(block.clock().tick(now.mono), before);
    }

    #[test]
    fn a_worker_that_is_behind_takes_no_time_back() {
        let block = block(start());
        let later = start().after(HOUR);
        assert_eq!(block.refresh(later), None);
        assert_eq!(block.refresh(start()), None);
        assert_eq!(load(block.head(Head::LastTick)), ORIGIN + 3_600_000);
    }

    #[test]
    fn of_eight_workers_that_see_a_jump_one_reports_it() {
        for seed in 0..50 {
            let block = block(start());
            let jumped = Now::new(start().mono, start().wall + HOUR);
            let reports = together(seed, |_| block.refresh(jumped).is_some());
            assert_eq!(reports.iter().filter(|&&reported| reported).count(), 1);
        }
    }
}
