//! A decision as text and JSON, made when somebody reads it.

mod calls;

use core::fmt;

use chrono::{DateTime, SecondsFormat};
use pbx_core::{Mono, Now, Reason, RuleId, SecurityEvent, Verdict, Wall};
use serde::Serialize;

use crate::attempt::Attempt;
use crate::decision::{Block, BlockScope, Decision, Step};
use crate::geo::CountryCode;
use crate::packet::Packet;
use crate::rules::Rules;

/// A decision in the form of the command-line contract: [`Serialize`] gives the JSON object, [`Display`] the
/// text. What does not apply is `None`, never invented.
///
/// [`Display`]: fmt::Display
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explained {
    /// When it was decided, RFC 3339.
    pub at: String,
    /// What was asked: `packet`, `auth`, `outbound`, `inbound`, `call_event`.
    pub ask: &'static str,
    /// What to do.
    pub verdict: &'static str,
    /// The stable name of the reason.
    pub reason: &'static str,
    /// The stable number of the reason.
    pub code: u16,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The reason in a sentence that names what it is about.
    pub why: String,
    /// The sender.
    pub source: Option<String>,
    /// The kind of attempt, for `auth`.
    pub kind: Option<&'static str>,
    /// The account that was named, for `auth`.
    pub account: Option<String>,
    /// The responsible extension.
    pub extension: Option<String>,
    /// The number as it was dialled.
    pub dialled: Option<String>,
    /// The number as the trunk gets it.
    pub number: Option<String>,
    /// The route.
    pub route: Option<String>,
    /// The trunks to try, in order.
    pub trunks: Vec<String>,
    /// How long the call may last.
    pub max_duration_s: Option<u64>,
    /// When the warning tone is due.
    pub warn_at_s: Option<u64>,
    /// The proof that is asked for.
    pub challenge: Option<&'static str>,
    /// After how long asking again can have another answer.
    pub retry_after_s: Option<u64>,
    /// The SIP status to answer with.
    pub sip_status: Option<u16>,
    /// The ISDN cause to answer with.
    pub q850_cause: Option<u8>,
    /// What administrators are told.
    pub events: Vec<ExplainedEvent>,
    /// The block that the decision created.
    pub blocks: Vec<ExplainedBlock>,
    /// The version of the rules.
    pub policy: String,
    /// The steps that led there.
    pub trace: Vec<ExplainedStep>,
}

/// An event of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedEvent {
    /// Its stable name.
    pub name: &'static str,
    /// `info`, `warning` or `alert`.
    pub level: &'static str,
    /// When what it caused ends, RFC 3339.
    pub until: Option<String>,
}

/// An entry of the blocked list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedBlock {
    /// What is blocked: `address`, `pair`, `logins`, `account` or `outbound`.
    pub scope: &'static str,
    /// The address or network.
    pub source: Option<String>,
    /// The account or extension.
    pub account: Option<String>,
    /// Why.
    pub reason: &'static str,
    /// When it began, RFC 3339.
    pub since: String,
    /// When it ends, RFC 3339; `None` is permanent.
    pub until: Option<String>,
}

/// A step of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedStep {
    /// What was looked at.
    pub step: &'static str,
    /// The rule that spoke there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What it said.
    pub result: &'static str,
}

impl Explained {
    /// The decision about a packet.
    #[must_use]
    pub fn packet(rules: &Rules, packet: &Packet, decision: &Decision, now: Now) -> Self {
        let source = packet.source.addr().to_string();
        let mut out = Self::of("packet", rules, decision, &source, now);
        out.source = Some(packet.source.socket_addr().to_string());
        out
    }

    /// The decision about an attempt to authenticate.
    #[must_use]
    pub fn auth(rules: &Rules, attempt: &Attempt<'_>, decision: &Decision, now: Now) -> Self {
        let source = attempt.source.addr().to_string();
        let mut out = Self::of("auth", rules, decision, &source, now);
        out.source = Some(attempt.source.socket_addr().to_string());
        out.kind = Some(attempt.kind.name());
        out.account = Some(pbx_core::Label::new(attempt.account).to_string());
        out.extension = rules.access.account(attempt.account).map(|_| attempt.account.to_owned());
        out
    }

    /// What every decision has; `subject` is what the sentence is about.
    pub(crate) fn of(ask: &'static str, rules: &Rules, decision: &Decision, subject: &str, now: Now) -> Self {
        Self {
            at: rfc3339(now.wall),
            ask,
            verdict: decision.verdict.name(),
            reason: decision.reason.name(),
            code: decision.reason.code(),
            rule: decision.rule.map(|rule| rules.rule_name(rule)),
            why: why(rules, decision, subject),
            challenge: match decision.verdict {
                Verdict::Challenge(challenge) => Some(challenge.name()),
                _ => None,
            },
            retry_after_s: decision.retry_after.map(|d| d.as_secs() + u64::from(d.subsec_nanos() > 0)),
            sip_status: decision.sip_status(),
            q850_cause: decision.reason.q850_cause().filter(|_| !decision.verdict.is_allowed()),
            events: decision.events.iter().map(ExplainedEvent::of).collect(),
            blocks: decision.block.iter().map(|block| ExplainedBlock::of(block, now)).collect(),
            policy: decision.policy.to_string(),
            trace: decision.trace.iter().map(|step| ExplainedStep::of(rules, step)).collect(),
            ..Self::default()
        }
    }
}

impl ExplainedEvent {
    fn of(event: &SecurityEvent) -> Self {
        Self { name: event.kind.name(), level: event.level.name(), until: event.until.map(rfc3339) }
    }
}

impl ExplainedBlock {
    /// An entry of the blocked list, seen at `now`.
    #[must_use]
    pub fn of(block: &Block, now: Now) -> Self {
        let label = Some(block.account.to_string()).filter(|a| !a.is_empty());
        let (scope, source, account) = match block.scope {
            BlockScope::Address(addr) => ("address", Some(addr.to_string()), None),
            BlockScope::Logins(addr) => ("logins", Some(addr.to_string()), None),
            BlockScope::Pair(addr) => ("pair", Some(addr.to_string()), label),
            BlockScope::Account => ("account", None, label),
            BlockScope::Outbound(extension) => ("outbound", None, Some(extension.to_string())),
        };
        let time = |at: Mono| rfc3339(now.wall_at(at));
        let reason = block.reason.name();
        Self { scope, source, account, reason, since: time(block.since), until: block.until.map(time) }
    }
}

impl ExplainedStep {
    fn of(rules: &Rules, step: &Step) -> Self {
        let rule = step.rule.map(|rule| rules.rule_name(rule));
        Self { step: step.kind.name(), rule, result: step.result.name() }
    }
}

/// A point in time as RFC 3339 writes it, in UTC, with a fraction only where there is one.
#[must_use]
pub fn rfc3339(at: Wall) -> String {
    let format = if at.unix_micros() % 1_000_000 == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    DateTime::from_timestamp_micros(at.unix_micros())
        .map(|t| t.to_rfc3339_opts(format, true))
        .unwrap_or_default()
}

/// The reason as a sentence that names what it is about.
fn why(rules: &Rules, decision: &Decision, subject: &str) -> String {
    let rule = |fallback: &str| named(rules, decision.rule).unwrap_or_else(|| fallback.to_owned());
    match decision.reason {
        Reason::StaticAccept => format!("the static rule {} accepts {subject}", rule("")),
        Reason::StaticDeny => format!("the static rule {} refuses {subject}", rule("")),
        Reason::AllowedAddress => format!("{subject} is on the list of allowed addresses"),
        Reason::RegisteredSource => format!("a live registration stands behind {subject}"),
        Reason::Loopback => format!("{subject} is the machine itself or a management console"),
        Reason::Blocked => format!("{subject} is on the blocked list"),
        Reason::ThreatFeed => format!("the threat feed {} lists {subject}", rule("")),
        Reason::SourceCountry => {
            let country = decision.rule.and_then(|r| CountryCode::from_index(r.index));
            let country = country.map(|c| c.to_string()).unwrap_or_default();
            format!("{subject} is in {country}, which is not among the allowed countries")
        }
        Reason::SourceCountryUnknown => format!("the country of {subject} is not known"),
        Reason::PacketRate => format!("{subject} sent more packets than the rule {} lets pass", rule("")),
        Reason::DropAll => format!("no rule accepts {subject}, and the default is to drop"),
        Reason::PairLocked => format!("{subject} is locked out of this account"),
        Reason::AddressLocked => format!("{subject} is locked out after too many failures"),
        Reason::LoginPaused => format!("logins from {subject} are paused after too many failures"),
        Reason::LoginLocked => format!("{subject} is locked out of this login for good"),
        Reason::RemoteNotAllowed => {
            format!("the account is not open to remote networks such as that of {subject}")
        }
        Reason::AddressNotPermitted => {
            format!("{subject} is not among the addresses of {}", rule("the account"))
        }
        other => sentence(other),
    }
}

/// The name of a rule without its kind.
fn named(rules: &Rules, rule: Option<RuleId>) -> Option<String> {
    let name = rules.rule_name(rule?);
    Some(name.split_once(':').map_or(name.as_str(), |(_, name)| name).to_owned())
}

/// What a reason means, as part of a line: no full stop.
fn sentence(reason: Reason) -> String {
    reason.meaning().trim_end_matches('.').to_owned()
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} {})", self.verdict, self.code, self.reason)?;
        writeln!(f, "  because {}", self.why)?;
        self.details(f)?;
        for event in &self.events {
            writeln!(f, "  event   {} ({})", event.name, event.level)?;
        }
        for block in &self.blocks {
            writeln!(f, "  block   {block}")?;
        }
        let width = self.trace.iter().map(|s| s.step.len()).max().unwrap_or(0);
        for step in &self.trace {
            write!(f, "  {:width$}  {}", step.step, step.result)?;
            writeln!(f, "{}", step.rule.as_ref().map(|r| format!("  [{r}]")).unwrap_or_default())?;
        }
        Ok(())
    }
}

impl Explained {
    /// The lines of what applies.
    fn details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone();
        let number = |value: Option<u64>| value.map(|v| format!("{v} s"));
        let status = self.sip_status.map(|s| s.to_string());
        let trunks = Some(self.trunks.join(", ")).filter(|t| !t.is_empty());
        let lines = [
            ("rule", text(&self.rule)),
            ("number", text(&self.number)),
            ("route", text(&self.route)),
            ("trunks", trunks),
            ("lasts", number(self.max_duration_s)),
            ("retry", number(self.retry_after_s)),
            ("proof", self.challenge.map(str::to_owned)),
            ("status", status),
        ];
        lines
            .iter()
            .filter_map(|(key, v)| Some((key, v.as_ref()?)))
            .try_for_each(|(k, v)| writeln!(f, "  {k:7} {v}"))
    }
}

impl fmt::Display for ExplainedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = [self.source.as_deref(), self.account.as_deref()];
        let what: Vec<&str> = what.into_iter().flatten().collect();
        let until = self.until.as_ref().map_or("an administrator lifts it", |until| until);
        write!(f, "{} {} until {until} ({})", self.scope, what.join(" for "), self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{StepKind, StepResult};
    use pbx_core::{AddrKey, EventKind, Label, RuleKind, Source, Transport};

    fn rules() -> Rules {
        let toml = "[[network.rule]]\nname = 'web'\naction = 'reject'\nsources = ['203.0.113.0/24']";
        Rules::compile(&toml::from_str(toml).unwrap()).unwrap()
    }

    fn explained() -> Explained {
        let rules = rules();
        let now = Now::new(Mono::from_secs(100), Wall::from_unix_secs(1_772_445_600));
        let packet = Packet::new(Source::new("203.0.113.9:5060".parse().unwrap(), Transport::Udp));
        let mut decision = Decision::new(Verdict::Reject, Reason::StaticDeny, rules.version());
        decision.rule = Some(RuleId::new(RuleKind::Static, 0));
        decision.retry_after = Some(core::time::Duration::from_millis(1_500));
        decision.step(StepKind::Management, None, StepResult::NoMatch);
        decision.step(StepKind::StaticRules, decision.rule, StepResult::Refused(Reason::StaticDeny));
        decision.event(SecurityEvent::new(EventKind::AutoDefenceBlocked, now.wall));
        decision.block = Some(Block {
            scope: BlockScope::Pair(AddrKey::host(packet.source.addr())),
            reason: Reason::PairLocked,
            since: now.mono,
            until: Some(Mono::from_secs(160)),
            account: Label::new("1001"),
        });
        Explained::packet(&rules, &packet, &decision, now)
    }

    #[test]
    fn json_has_the_names_of_the_contract() {
        let json = serde_json::to_value(explained()).unwrap();
        assert_eq!(json["at"], "2026-03-02T10:00:00Z");
        assert_eq!(json["ask"], "packet");
        assert_eq!(json["verdict"], "reject");
        assert_eq!((&json["reason"], &json["code"]), (&"static_deny".into(), &2101.into()));
        assert_eq!(json["rule"], "static:web");
        assert_eq!(json["why"], "the static rule web refuses 203.0.113.9");
        assert_eq!(json["retry_after_s"], 2, "rounded up: earlier would be refused again");
        assert_eq!((&json["sip_status"], &json["q850_cause"]), (&403.into(), &21.into()));
        assert_eq!(json["blocks"][0]["until"], "2026-03-02T10:01:00Z");
        assert_eq!(json["events"][0]["level"], "alert");
        assert_eq!(json["trace"][0], serde_json::json!({"step": "management", "result": "no match"}));
        assert_eq!(json["trace"][1]["rule"], "static:web");
        for key in ["extension", "dialled", "number", "route", "max_duration_s", "warn_at_s", "challenge"] {
            assert!(json[key].is_null(), "{key}");
        }
        assert_eq!(json["policy"].as_str().unwrap().len(), 16);
    }

    #[test]
    fn text_begins_with_the_verdict_and_ends_with_the_trace() {
        let text = explained().to_string();
        assert!(text.starts_with("reject (2101 static_deny)\n  because the static rule web"), "{text}");
        assert!(
            text.ends_with("  management    no match\n  static_rules  static_deny  [static:web]\n"),
            "{text}"
        );
        assert!(
            text.contains("pair 203.0.113.9 for 1001 until 2026-03-02T10:01:00Z (pair_locked)"),
            "{text}"
        );
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(Wall::from_unix_millis(1_772_445_600_250)), "2026-03-02T10:00:00.250Z");
        assert_eq!(rfc3339(Wall::from_unix_micros(i64::MAX)), "", "beyond the calendar");
    }
}
