//! Everything that an attacker can grow, in a fixed block of words.

use core::fmt;

use pbx_core::Now;
use pbx_core::table::{self, Layout, TableError};

use crate::config::StateConfig;
use crate::usage::{CallTables, Usage};

/// Version of what the tables mean.
const SCHEMA: u32 = 1;

/// The state behind a guard.
pub struct State {
    block: table::Block,
    calls: CallTables,
}

impl State {
    /// Fresh state on the heap. `secret` keys the hashes of the tables: 16 bytes that nobody can guess.
    ///
    /// # Errors
    /// None that memory of the right size can cause.
    pub fn new(config: &StateConfig, secret: [u8; 16], now: Now) -> Result<Self, TableError> {
        let mut layout = Layout::new(SCHEMA);
        let calls = CallTables::lay_out(&mut layout, config);
        let block = table::Block::create(table::heap(layout.words()), &layout, secret, 0, now)?;
        Ok(Self { block, calls })
    }

    /// What calls use up, at `now`.
    pub(crate) const fn usage(&self, now: Now) -> Usage<'_> {
        Usage::new(&self.block, &self.calls, now)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("block", &self.block).finish_non_exhaustive()
    }
}
