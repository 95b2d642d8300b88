//! Decisions about calls as text and JSON.

use pbx_core::{Label, Now, Number, Reason, RuleId};

use super::Explained;
use crate::call::{CallDecision, InboundCall, OutboundCall};
use crate::country;
use crate::decision::Decision;
use crate::geo::CountryCode;
use crate::rules::Rules;

impl Explained {
    /// The decision about a call that leaves.
    #[must_use]
    pub fn outbound(rules: &Rules, call: &OutboundCall<'_>, decision: &CallDecision, now: Now) -> Self {
        let dialled = Label::new(call.dialled).to_string();
        let subject = Subject { extension: call.extension.to_string(), number: decision.number, dialled };
        let mut out = Self::of("outbound", rules, &decision.decision, &subject.dialled, now);
        out.why = why(rules, &decision.decision, &subject);
        out.extension = Some(subject.extension);
        out.dialled = Some(subject.dialled);
        out.route = decision.route.map(|rule| name(rules, rule));
        out.source = call.source.map(|s| s.socket_addr().to_string());
        out.with(rules, decision)
    }

    /// The decision about a call that comes in. `dialled` is the number that is called, `number` the one that calls.
    #[must_use]
    pub fn inbound(rules: &Rules, call: &InboundCall<'_>, decision: &CallDecision, now: Now) -> Self {
        let dialled = Label::new(call.to).to_string();
        let extension = decision.destination.map(|e| e.to_string());
        let subject =
            Subject { extension: extension.clone().unwrap_or_default(), number: decision.number, dialled };
        let mut out = Self::of("inbound", rules, &decision.decision, &subject.dialled, now);
        out.why = why(rules, &decision.decision, &subject);
        (out.extension, out.dialled) = (extension, Some(subject.dialled));
        out.source = call.source.map(|s| s.socket_addr().to_string());
        out.with(rules, decision)
    }

    /// The decision about something that happened to a call.
    #[must_use]
    pub fn call_event(rules: &Rules, decision: &Decision, now: Now) -> Self {
        Self::of("call_event", rules, decision, "the call", now)
    }

    fn with(mut self, rules: &Rules, decision: &CallDecision) -> Self {
        self.number = decision.number.map(|n| n.to_string());
        self.trunks = decision.trunks.iter().map(|t| name(rules, t.trunk)).collect();
        self.max_duration_s = decision.max_duration.map(|d| d.as_secs());
        self.warn_at_s = decision.warn_at.map(|d| d.as_secs());
        self
    }
}

/// What a sentence is about.
struct Subject {
    extension: String,
    number: Option<Number>,
    dialled: String,
}

/// The name of a rule without its kind.
fn name(rules: &Rules, rule: RuleId) -> String {
    let name = rules.rule_name(rule);
    name.split_once(':').map_or(name.as_str(), |(_, name)| name).to_owned()
}

/// The reason as a sentence that names what it is about.
fn why(rules: &Rules, decision: &Decision, subject: &Subject) -> String {
    let rule = decision.rule.map(|rule| name(rules, rule)).unwrap_or_default();
    let Subject { extension, dialled, .. } = subject;
    let number = subject.number.map_or_else(|| dialled.clone(), |n| n.to_string());
    match decision.reason {
        Reason::Emergency => format!("{number} is an emergency number; nothing may stop the call"),
        Reason::Internal => format!("{dialled} is an extension or a feature code, no outbound call"),
        Reason::InvalidNumber => invalid(dialled, &rule),
        Reason::NoExtension => format!("extension {extension} does not exist or is switched off"),
        Reason::OutboundDisabled => format!("outbound calls are switched off for extension {extension}"),
        Reason::FrequencyLocked => format!("extension {extension} is locked because it called too often"),
        Reason::OutsideBusinessHours => {
            format!("extension {extension} may not call outside the hours of the schedule {rule}")
        }
        Reason::Holiday => format!("extension {extension} may not call on holidays of the schedule {rule}"),
        Reason::NumberBlocked => format!("the list {rule} blocks {dialled}"),
        Reason::NoRoute => format!("no route matches {dialled}"),
        Reason::RouteNotPermitted => {
            format!("the route {rule} matches {dialled}, but extension {extension} may not use it")
        }
        Reason::RouteOutsideTime => format!("the route {rule} matches {dialled}, but not at this time"),
        Reason::InternationalDisallowed => {
            format!("international calls are switched off for extension {extension}")
        }
        Reason::CountryNotAllowed => country_not_allowed(decision.rule),
        Reason::UnknownPrefix => format!("{number} begins with digits that are assigned to nobody"),
        Reason::PremiumRate => format!("{number} is a premium-rate number"),
        Reason::SpecialNumber => format!("{number} is a satellite, network or other special number"),
        Reason::UserConcurrency => concurrency(rules, subject),
        Reason::PinRequired => format!("the route {rule} or the destination asks for a PIN"),
        Reason::FrequencyExceeded => format!("extension {extension} exceeds the call frequency rule {rule}"),
        Reason::TrunkBusy => format!("every line of {rule} is in use"),
        Reason::NoTrunk => format!("the route {rule} has no trunk that is switched on"),
        Reason::CallerBlocked => format!("the list {rule} blocks the caller {number}"),
        Reason::NoDestination => format!("nobody has the number {dialled}"),
        other => other.meaning().trim_end_matches('.').to_owned(),
    }
}

fn invalid(dialled: &str, route: &str) -> String {
    match dialled.parse::<Number>() {
        Err(e) => format!("{dialled:?} is no number: {e}"),
        Ok(_) => format!("the route {route} leaves no valid number of {dialled}"),
    }
}

fn country_not_allowed(rule: Option<RuleId>) -> String {
    let country = rule.and_then(|r| CountryCode::from_index(r.index));
    let code = country.and_then(country::calling_code).map(|c| format!("+{c} ")).unwrap_or_default();
    let name = country.and_then(country::name).unwrap_or("an unknown country");
    format!("{code}({name}) is not among the allowed countries")
}

fn concurrency(rules: &Rules, subject: &Subject) -> String {
    let id = subject.extension.parse().ok();
    let most = id.and_then(|id| rules.calls.extension(id)).map(|e| e.max_calls).unwrap_or_default();
    format!("extension {} has {most} calls at a time, as many as it may have", subject.extension)
}
