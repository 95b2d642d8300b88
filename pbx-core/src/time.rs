//! Time as an argument. Windows, penalties and timers run on [`Mono`], calendars on [`Wall`].

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point on a clock that never runs backwards, in microseconds since an arbitrary origin.
///
/// On Linux `CLOCK_MONOTONIC` (or `CLOCK_BOOTTIME`) is one clock for all processes since boot, which is
/// what processes that share tables need. The range is 584 000 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(u64);

impl Mono {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);
    /// Later than every time that occurs; "never".
    pub const MAX: Self = Self(u64::MAX);

    /// From microseconds since the origin.
    #[must_use]
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// From milliseconds since the origin.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// From seconds since the origin.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the origin, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// How long ago `earlier` was; zero when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    /// Saturates at [`Mono::MAX`].
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(micros(d)))
    }
}

impl Sub<Duration> for Mono {
    type Output = Self;
    /// Saturates at [`Mono::ZERO`].
    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(micros(d)))
    }
}

/// A point in civil time, in microseconds since 1970-01-01T00:00:00Z without leap seconds.
///
/// It may jump; nothing that protects against attackers is measured with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(i64);

impl Wall {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// From microseconds since 1970.
    #[must_use]
    pub const fn from_unix_micros(us: i64) -> Self {
        Self(us)
    }

    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_unix_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// From seconds since 1970.
    #[must_use]
    pub const fn from_unix_secs(s: i64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since 1970, rounded towards the past.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Seconds since 1970, rounded towards the past.
    #[must_use]
    pub const fn unix_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How long ago `earlier` was; zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Wall {
    type Output = Self;
    /// Saturates at the end of the range.
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(micros(d)).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Wall {
    type Output = Self;
    /// Saturates at the start of the range.
    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(micros(d)).unwrap_or(i64::MAX)))
    }
}

/// The time of a call into the SDK: both clocks, read together by the caller.
///
/// ```
/// use core::time::Duration;
/// use pbx_core::{Mono, Now, Wall};
/// let now = Now::new(Mono::from_secs(100), Wall::from_unix_secs(1_772_445_600));
/// assert_eq!(now.after(Duration::from_secs(5)).mono, Mono::from_secs(105));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The clock that windows, penalties and leases run on.
    pub mono: Mono,
    /// The clock that calendars run on.
    pub wall: Wall,
}

impl Now {
    /// Both clocks at one moment.
    #[must_use]
    pub const fn new(mono: Mono, wall: Wall) -> Self {
        Self { mono, wall }
    }

    /// The same moment moved forward on both clocks.
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        Self { mono: self.mono + d, wall: self.wall + d }
    }

    /// The civil time that `mono` will be or was at, judged from this moment.
    #[must_use]
    pub fn wall_at(self, mono: Mono) -> Wall {
        if mono >= self.mono { self.wall + mono.since(self.mono) } else { self.wall - self.mono.since(mono) }
    }
}

impl fmt::Display for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_never_go_below_zero() {
        assert_eq!(Mono::from_secs(1).since(Mono::from_secs(2)), Duration::ZERO);
        assert_eq!(Wall::from_unix_secs(1).since(Wall::from_unix_secs(2)), Duration::ZERO);
        assert_eq!(Mono::from_secs(1) - Duration::from_secs(2), Mono::ZERO);
    }

    #[test]
    fn sums_saturate() {
        assert_eq!(Mono::MAX + Duration::MAX, Mono::MAX);
        assert_eq!(Wall::from_unix_micros(i64::MAX) + Duration::MAX, Wall::from_unix_micros(i64::MAX));
    }

    #[test]
    fn wall_before_1970_rounds_towards_the_past() {
        assert_eq!(Wall::from_unix_micros(-1).unix_secs(), -1);
        assert_eq!(Wall::from_unix_micros(-1).unix_millis(), -1);
    }

    #[test]
    fn wall_at_looks_both_ways() {
        let now = Now::new(Mono::from_secs(50), Wall::from_unix_secs(1_000));
        assert_eq!(now.wall_at(Mono::from_secs(60)), Wall::from_unix_secs(1_010));
        assert_eq!(now.wall_at(Mono::from_secs(40)), Wall::from_unix_secs(990));
    }
}
