//! One object, four moments.

mod call;

use std::sync::{Arc, PoisonError, RwLock};

use crate::rules::Rules;
use crate::state::State;

/// The paved road: rules and state together.
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
}
