//! Packet counters of automatic defence, over the table of rates (B6).

use pbx_core::Now;
use pbx_core::table::{Hit, Limit};

use crate::state::{Sender, State};

impl State {
    /// Counts a packet of a sender by the rule with this tag.
    pub(crate) fn count_packet(&self, sender: &Sender, tag: u16, limit: Limit, now: Now) -> Hit {
        self.block.rates(self.tables.packets).hit(sender.key.tagged(tag), limit, now)
    }

    /// Counts a packet of the network around a sender, as if it were one sender.
    pub(crate) fn count_network(&self, sender: &Sender, tag: u16, limit: Limit, now: Now) -> Hit {
        self.block.rates(self.tables.packets).hit(sender.net_key.tagged(tag), limit, now)
    }

    /// Whether a packet of a sender would be over the limit.
    pub(crate) fn would_exceed(&self, sender: &Sender, tag: u16, limit: Limit, now: Now) -> bool {
        self.block.rates(self.tables.packets).peek(sender.key.tagged(tag), limit, now).retry_at.is_some()
    }
}
