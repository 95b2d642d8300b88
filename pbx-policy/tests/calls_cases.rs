//! Every case of `testdata/calls.toml` comes out as it says.

mod calls_support;

use calls_support::{MONDAY, Office, wall};
use core::time::Duration;
use pbx_core::{CallId, Now};
use pbx_policy::{CallDecision, CallEvent, Decision, InboundCall, Origin, OutboundCall, PinProof, Rules};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    office: String,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    name: String,
    /// Replaces the office.
    config: Option<String>,
    /// Stands behind the office.
    #[serde(default)]
    more: String,
    steps: Vec<Step>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Step {
    /// Outbound: the caller and what is dialled.
    from: String,
    dial: String,
    pin: Option<bool>,
    origin: String,
    /// Inbound: the trunk, who calls, whom.
    trunk: Option<String>,
    caller: String,
    to: String,
    privacy: String,
    /// What happens to a call.
    event: String,
    status: u16,
    /// The call; the number of the step when there is none.
    call: Option<u64>,
    /// When, as a time or as seconds since the last step.
    at: Option<String>,
    after: f64,
    /// Whether it is only asked about.
    check: bool,
    unlock: String,
    /// `verdict reason`.
    is: String,
    rule: Option<String>,
    trunks: Option<Vec<String>>,
    sends: Option<Vec<String>>,
    shows: Option<String>,
    number: Option<String>,
    max: Option<u64>,
    warn: Option<u64>,
    sip: Option<u16>,
    tells: Option<Vec<String>>,
    retry: Option<u64>,
    locks: bool,
}

struct Runner {
    office: Office,
    label: String,
}

impl Runner {
    fn run(&mut self, number: u64, step: &Step) {
        if let Some(at) = &step.at {
            let wall = wall(at);
            let passed = wall.since(self.office.now.wall);
            self.office.now = Now::new(self.office.now.mono + passed, wall);
        }
        self.office.now = self.office.now.after(Duration::from_secs_f64(step.after));
        let call = step.call.unwrap_or(1_000 + number);
        if !step.unlock.is_empty() {
            let extension = step.unlock.parse().unwrap();
            assert!(self.office.guard.unlock(extension, self.office.now), "{}", self.label);
        } else if !step.event.is_empty() {
            let event = event(step);
            let decision = self.office.event(call, event);
            self.decision(step, &decision);
        } else {
            let decision = self.ask(call, step);
            self.call_decision(step, &decision);
        }
    }

    fn ask(&self, call: u64, step: &Step) -> CallDecision {
        let (guard, now) = (&self.office.guard, self.office.now);
        if step.from.is_empty() {
            let inbound = match step.trunk.as_deref() {
                Some(trunk) => InboundCall::new(CallId(call), trunk, &step.caller, &step.to),
                None => InboundCall::unknown(CallId(call), &step.caller, &step.to),
            };
            let inbound = inbound.privacy(&step.privacy);
            return if step.check { guard.check_call(inbound, now) } else { guard.on_call(inbound, now) };
        }
        let origin = Origin::ALL.into_iter().find(|o| o.name() == step.origin).unwrap_or_default();
        let pin = step.pin.map_or(PinProof::None, |proved| PinProof::Given { proved });
        let outbound = OutboundCall::new(CallId(call), step.from.parse().unwrap(), &step.dial);
        let outbound = outbound.origin(origin).pin(pin);
        if step.check { guard.check_call(outbound, now) } else { guard.on_call(outbound, now) }
    }

    fn call_decision(&self, step: &Step, call: &CallDecision) {
        self.decision(step, &call.decision);
        let label = &self.label;
        let is = |expected: Option<&Vec<String>>, found: Vec<String>, what: &str| {
            if let Some(expected) = expected {
                assert_eq!(&found, expected, "{label}: {what}");
            }
        };
        is(step.trunks.as_ref(), self.office.trunks(call), "trunks");
        is(step.sends.as_ref(), call.trunks.iter().map(|t| t.number.to_string()).collect(), "sends");
        if let Some(shows) = &step.shows {
            assert_eq!(call.trunks[0].caller_id.as_str(), shows, "{label}: caller ID");
        }
        if let Some(number) = &step.number {
            assert_eq!(call.number.map(|n| n.to_string()).as_ref(), Some(number), "{label}: number");
        }
        let seconds = |d: Option<Duration>| d.map_or(0, |d| d.as_secs());
        step.max.into_iter().for_each(|max| assert_eq!(seconds(call.max_duration), max, "{label}: max"));
        step.warn.into_iter().for_each(|warn| assert_eq!(seconds(call.warn_at), warn, "{label}: warn"));
        if !step.from.is_empty() || step.trunk.is_none() {
            return;
        }
        let reached = call.destination.map(|e| e.to_string());
        assert_eq!(reached.is_some(), call.decision.verdict.is_allowed(), "{label}");
    }

    fn decision(&self, step: &Step, decision: &Decision) {
        let rules = self.office.guard.rules();
        let label = &self.label;
        let is = format!("{} {}", decision.verdict, decision.reason);
        assert_eq!(is, step.is, "{label}: {:#?}", trace(&rules, decision));
        if let Some(rule) = &step.rule {
            let found = decision.rule.map(|r| rules.rule_name(r)).unwrap_or_default();
            assert_eq!(&found, rule, "{label}");
        }
        step.sip.into_iter().for_each(|sip| assert_eq!(decision.sip_status(), Some(sip), "{label}"));
        if let Some(tells) = &step.tells {
            let found: Vec<&str> = decision.events.iter().map(|e| e.kind.name()).collect();
            assert_eq!(&found, tells, "{label}");
        }
        if let Some(retry) = step.retry {
            assert_eq!(decision.retry_after.map(|d| d.as_secs()), Some(retry), "{label}");
        }
        assert_eq!(decision.block.is_some(), step.locks, "{label}: locks");
    }
}

fn trace(rules: &Rules, decision: &Decision) -> Vec<String> {
    let step = |s: &pbx_policy::Step| {
        let rule = s.rule.map(|r| rules.rule_name(r)).unwrap_or_default();
        format!("{} {rule} {}", s.kind.name(), s.result.name())
    };
    decision.trace.iter().map(step).collect()
}

fn event(step: &Step) -> CallEvent {
    match step.event.as_str() {
        "answered" => CallEvent::Answered,
        "alive" => CallEvent::Alive,
        "ended" => CallEvent::Ended,
        "failed" => CallEvent::Failed { sip_status: step.status },
        "transferred" => CallEvent::Transferred { extension: step.to.parse().unwrap() },
        other => panic!("{other}"),
    }
}

#[test]
fn every_case() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/calls.toml");
    let file: File = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(file.case.iter().map(|c| c.steps.len()).sum::<usize>() > 150);
    for case in &file.case {
        let config = format!("{}\n{}", case.config.as_ref().unwrap_or(&file.office), case.more);
        let mut runner = Runner { office: Office::new(&config), label: String::new() };
        assert_eq!(runner.office.now.wall, wall(MONDAY));
        for (i, step) in (1..).zip(&case.steps) {
            runner.label = format!("{} {}, step {i}", case.id, case.name);

            runner.run(i, step);
        }
    }
}

#[test]
fn every_feature_of_calls_has_a_case() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/calls.toml");
    let file: File = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for id in ["E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "E9", "E10", "E11", "E12", "E13", "F1", "F2"] {
        assert!(file.case.iter().any(|c| c.id == id), "{id}");
    }
}
