//! What the log says of decisions: one line each, reasons included, secrets never.

use std::fmt::Display;

use pbx_core::{Level, SecurityEvent, Source};
use pbx_policy::{AuthOutcome, Decision, Rules};
use tracing::{debug, error, info, warn};

/// A packet that was refused before it was parsed.
pub(super) fn packet(source: Source, decision: &Decision, rules: &Rules) {
    debug!(%source, verdict = %decision.verdict, reason = %decision.reason, rule = rule(decision, rules), "packet");
    events(decision);
}

/// An attempt to authenticate that has been settled.
pub(super) fn auth(
    account: &str,
    source: Source,
    outcome: Option<AuthOutcome>,
    decision: &Decision,
    rules: &Rules,
) {
    let outcome = outcome.map_or("refused", AuthOutcome::name);
    let account = pbx_core::Label::new(account);
    info!(%account, %source, outcome, verdict = %decision.verdict, reason = %decision.reason,
        rule = rule(decision, rules), "auth");
    events(decision);
}

/// A call, or what became of one.
pub(super) fn call(what: &str, from: impl Display, to: impl Display, decision: &Decision, rules: &Rules) {
    info!(%from, %to, verdict = %decision.verdict, reason = %decision.reason, rule = rule(decision, rules), "{what}");
    events(decision);
}

/// What administrators are told.
pub(super) fn events(decision: &Decision) {
    decision.events.iter().for_each(event);
}

pub(super) fn event(e: &SecurityEvent) {
    let source = e.source.map(|s| s.to_string()).unwrap_or_default();
    let number = e.number.map(|n| n.to_string()).unwrap_or_default();
    let extension = e.extension.map(|x| x.to_string()).unwrap_or_default();
    let reason = e.reason.map_or("", |r| r.name());
    let (kind, account) = (e.kind.name(), e.account);
    match e.level {
        Level::Info => info!(event = kind, reason, source, %account, extension, number, "event"),
        Level::Warning => warn!(event = kind, reason, source, %account, extension, number, "event"),
        _ => error!(event = kind, reason, source, %account, extension, number, "event"),
    }
}

fn rule(decision: &Decision, rules: &Rules) -> String {
    decision.rule.map(|r| rules.rule_name(r)).unwrap_or_default()
}
