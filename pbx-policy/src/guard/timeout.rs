//! What time alone causes: blocks that end, the clock that is kept in the state.

use core::time::Duration;

use pbx_core::table::{Limit, Recorded};
use pbx_core::{CallId, EventKind, Mono, Now, SecurityEvent};

use crate::decision::{Block, Decision};
use crate::state::{State, tag};

/// How often time is kept: a restart loses at most as much.
const EVERY: Duration = Duration::from_secs(1);
/// How long a gap is still made up for.
const GAP: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Most blocks that one answer reports as ended.
const ENDED: usize = 1_024;

/// Most calls that one answer concerns; the others follow at once.
pub(crate) const CALLS: usize = 256;

/// What time alone has caused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Elapsed {
    /// The blocks that ended by themselves.
    pub ended: Vec<Block>,
    /// What administrators are told.
    pub events: Vec<SecurityEvent>,
    /// The calls that are to be warned or cut.
    pub calls: Vec<(CallId, Decision)>,
}

/// When time is next to be kept.
pub(crate) fn next(state: &State, now: Now) -> Mono {
    last(state, now).map_or(now.mono, |last| last + EVERY)
}

/// When time was last kept, by whichever process.
fn last(state: &State, now: Now) -> Option<Mono> {
    let once = Limit { at_most: 1, per: GAP };
    let next = state.block.windows(state.tables.once).peek(key(state), once, now).retry_at?;
    Some(next - GAP)
}

/// Reports what happened since time was last kept; nothing when another process did so a moment ago.
pub(crate) fn elapsed(state: &State, now: Now) -> Elapsed {
    let mut out = Elapsed::default();
    let last = last(state, now);
    let once = Limit { at_most: 1, per: EVERY };
    if matches!(state.block.windows(state.tables.once).record(key(state), once, now), Recorded::Full { .. }) {
        return out;
    }
    if state.block.refresh(now).is_some() {
        out.events.push(SecurityEvent::new(EventKind::ClockJumped, now.wall));
    }
    let Some(last) = last else { return out };
    out.ended = state.ended_since(last, now).take(ENDED).collect();
    let event = |block: &Block| {
        let event = SecurityEvent::new(EventKind::BlockEnded, now.wall_at(block.until.unwrap_or(now.mono)));
        event.reason(block.reason).account(block.account.as_str())
    };
    out.events.extend(out.ended.iter().map(event));
    out
}

fn key(state: &State) -> pbx_core::table::Key {
    state.block.key(b"time").tagged(tag::TIMEKEEPER)
}
