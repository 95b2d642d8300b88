//! One object, four moments.

mod auth;
mod call;
mod call_event;
mod outcome;
mod packet;
mod ticket;
mod timeout;

use core::time::Duration;
use std::sync::{Arc, PoisonError, RwLock};

use pbx_core::{AddrKey, Mono, Now, Source};

use crate::attempt::{Attempt, AuthOutcome};
use crate::decision::{Block, Decision};
use crate::packet::Packet;
use crate::rules::Rules;
use crate::state::State;

pub use auth::{Begun, evaluate as evaluate_auth};
pub use packet::evaluate as evaluate_packet;
pub use ticket::Ticket;
pub use timeout::Elapsed;

/// The paved road: rules and state together. All methods take `&self`; one guard serves all threads.
///
/// ```
/// use std::sync::Arc;
/// use pbx_core::{Mono, Now, Service, Source, Transport, Wall};
/// use pbx_policy::{Config, Guard, Packet, Rules, State};
///
/// let config = Config::default();
/// let now = Now::new(Mono::from_secs(1), Wall::from_unix_secs(1_772_445_600));
/// let rules = Rules::compile(&config).unwrap();
/// let guard = Guard::new(Arc::new(rules), State::new(&config.state, [7; 16], now).unwrap());
///
/// let source = Source::new("203.0.113.9:5060".parse().unwrap(), Transport::Udp);
/// let packet = Packet::new(source).service(Service::Sip);
/// for _ in 0..40 {
///     assert!(guard.on_packet(&packet, now).verdict.is_allowed());
/// }
/// assert!(!guard.on_packet(&packet, now).verdict.is_allowed());
/// ```
#[derive(Debug)]
pub struct Guard {
    rules: RwLock<Arc<Rules>>,
    state: State,
}

impl Guard {
    /// A guard over compiled rules and state.
    #[must_use]
    pub fn new(rules: Arc<Rules>, state: State) -> Self {
        Self { rules: RwLock::new(rules), state }
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Swaps the rules; counters, leases and blocks stay.
    pub fn reload(&self, rules: Arc<Rules>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// The state behind it.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Decides about a packet and counts it. To be asked before anything in the packet is parsed.
    #[must_use]
    pub fn on_packet(&self, packet: &Packet, now: Now) -> Decision {
        packet::decide(&self.rules(), &self.state, packet, packet::Counting::Commit, now)
    }

    /// Decides about a packet and changes nothing.
    #[must_use]
    pub fn check_packet(&self, packet: &Packet, now: Now) -> Decision {
        packet::evaluate(&self.rules(), &self.state, packet, now)
    }

    /// The first step of an attempt to authenticate, before the secret is looked at. Where there is a ticket, the
    /// secret is to be checked and the outcome to be told to [`Guard::end`]; without one the decision stands.
    #[must_use]
    pub fn begin(&self, attempt: &Attempt<'_>, now: Now) -> Begun {
        auth::begin(&self.rules(), &self.state, attempt, now)
    }

    /// The second step of an attempt to authenticate: counts a failure, or gives the reserved try back.
    #[must_use]
    pub fn end(&self, ticket: Ticket, outcome: AuthOutcome, now: Now) -> Decision {
        outcome::end(&self.rules(), &self.state, ticket, outcome, now)
    }

    /// Decides what [`Guard::begin`] would answer and changes nothing.
    #[must_use]
    pub fn check_auth(&self, attempt: &Attempt<'_>, now: Now) -> Decision {
        auth::evaluate(&self.rules(), &self.state, attempt, now)
    }

    /// A registration has ended before its time. `binding` is its instance, or its Contact where it has none.
    pub fn unregister(&self, account: &str, binding: &str, source: Option<&Source>) {
        self.state.unregister(account, binding, source);
    }

    /// A phone at this address fetched its provisioning with the device's own credential: nothing automatic
    /// blocks it until `until` (B8). False when there was no room to note it.
    pub fn provisioned(&self, source: &Source, until: Mono, now: Now) -> bool {
        self.state.provisioned(source, until, now)
    }

    /// The blocked list (B9).
    #[must_use]
    pub fn blocked(&self, now: Now) -> Vec<Block> {
        let mut all = self.state.blocked(now);
        all.extend(self.locked(now));
        all
    }

    /// Puts an address on the blocked list by hand, for a time or for good. False when the part of the list that
    /// is reserved for administrators is full.
    pub fn block(&self, addr: AddrKey, length: Option<Duration>, now: Now) -> bool {
        self.state.block_by_hand(addr, length.map(|d| now.mono + d), now)
    }

    /// Takes everything that blocks an address off the list, or only its lock on one account, and empties its
    /// counters. How many blocks there were.
    pub fn unblock(&self, addr: AddrKey, account: Option<&str>, now: Now) -> usize {
        self.state.unblock(&self.rules(), addr, account, now)
    }

    /// When [`Guard::handle_timeout`] is next to be called.
    #[must_use]
    pub fn poll_timeout(&self, now: Now) -> Mono {
        let time = timeout::next(&self.state, now);
        self.next_call_timeout(now).map_or(time, |call| call.min(time))
    }

    /// What time alone has caused since it was last asked. Where several processes share the state, one of them
    /// gets the answer.
    #[must_use]
    pub fn handle_timeout(&self, now: Now) -> Elapsed {
        let mut elapsed = timeout::elapsed(&self.state, now);
        elapsed.calls = self.due_calls(timeout::CALLS, now);
        elapsed
    }
}
