//! A guard with a clock, for tests about calls.

#![allow(dead_code, reason = "each test uses a part of it")]

use core::time::Duration;
use std::sync::Arc;

use chrono::DateTime;
use pbx_core::{CallId, Mono, Now, Reason, Wall};
use pbx_policy::{CallDecision, CallEvent, Config, Decision, Guard, OutboundCall, PinProof, Rules, State};

/// A Monday, 10:00 UTC.
pub const MONDAY: &str = "2026-03-02T10:00:00Z";

pub fn wall(rfc3339: &str) -> Wall {
    Wall::from_unix_micros(DateTime::parse_from_rfc3339(rfc3339).unwrap().timestamp_micros())
}

pub fn rules(toml: &str) -> Arc<Rules> {
    let config: Config = toml::from_str(toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
    Arc::new(Rules::compile(&config).unwrap_or_else(|e| panic!("{e}")))
}

pub struct Office {
    pub guard: Guard,
    pub now: Now,
}

impl Office {
    pub fn new(toml: &str) -> Self {
        let now = Now::new(Mono::from_secs(1_000), wall(MONDAY));
        let mut config = pbx_policy::config::StateConfig::default();
        // Small tables: the tests have few extensions.
        (config.sources, config.offenders, config.bans) = (64, 64, 64);
        (config.registrations, config.calls) = (64, 64);
        let state = State::new(&config, [7; 16], now).unwrap();
        Self { guard: Guard::new(rules(toml), state), now }
    }

    pub fn wait(&mut self, ms: u64) -> &mut Self {
        self.now = self.now.after(Duration::from_millis(ms));
        self
    }

    pub fn call(&self, call: u64, extension: &str, dialled: &str) -> CallDecision {
        self.guard.on_call(OutboundCall::new(CallId(call), extension.parse().unwrap(), dialled), self.now)
    }

    pub fn check(&self, extension: &str, dialled: &str) -> CallDecision {
        let call = OutboundCall::new(CallId(u64::MAX), extension.parse().unwrap(), dialled);
        self.guard.check_call(call, self.now)
    }

    pub fn call_with_pin(&self, call: u64, extension: &str, dialled: &str, proved: bool) -> CallDecision {
        let call = OutboundCall::new(CallId(call), extension.parse().unwrap(), dialled);
        self.guard.on_call(call.pin(PinProof::Given { proved }), self.now)
    }

    pub fn reason(&self, call: u64, extension: &str, dialled: &str) -> Reason {
        self.call(call, extension, dialled).decision.reason
    }

    pub fn event(&self, call: u64, event: CallEvent) -> Decision {
        self.guard.on_call_event(CallId(call), event, self.now)
    }

    /// The names of the trunks of a decision.
    pub fn trunks(&self, decision: &CallDecision) -> Vec<String> {
        let rules = self.guard.rules();
        decision.trunks.iter().map(|t| rules.rule_name(t.trunk).replace("trunk:", "")).collect()
    }
}
