//! The two clocks of the machine, read together.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pbx_core::{Mono, Now, Wall};

/// Reads the clocks. The monotonic one counts from an anchor taken at start, moved a day away from zero so
/// that "a day ago" exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    anchor: Instant,
}

const HEAD_START_S: u64 = 86_400;

impl Clock {
    pub(crate) fn start() -> Self {
        Self { anchor: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        Now::new(Mono::from_secs(HEAD_START_S) + self.anchor.elapsed(), wall())
    }
}

/// The civil time of the machine.
pub(crate) fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
