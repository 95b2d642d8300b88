//! A call that comes in: who calls, and whom (F1, F2, spec 2.19).
//!
//! It reaches an extension or nothing; no inbound call ever gets to an outbound route from here.

use pbx_core::{Challenge, EventKind, Now, Number, Reason, RuleId, SecurityEvent, Verdict};

use crate::call::{CallDecision, InboundCall};
use crate::calls::{Calls, Extension, Trunk};
use crate::config::{AnonymousCallers, UnknownCallers};
use crate::decision::{Decision, StepKind, StepResult};
use crate::number_list::Listed;
use crate::outbound::{event_for, warning};
use crate::rules::PolicyVersion;
use crate::usage::Usage;

/// What is decided about a call, and the trunk whose line it takes.
#[derive(Debug)]
pub(crate) struct Evaluated<'a> {
    pub(crate) decision: CallDecision,
    /// The trunk and the extension of a call that is let in.
    pub(crate) plan: Option<(&'a Trunk, &'a Extension)>,
}

/// Decides about a call without changing anything.
pub(crate) fn evaluate<'a>(
    calls: &'a Calls,
    policy: PolicyVersion,
    usage: Usage<'a>,
    call: &InboundCall<'_>,
    now: Now,
) -> Evaluated<'a> {
    let decision = CallDecision::new(Decision::new(Verdict::Reject, Reason::NoDestination, policy));
    let mut questions = Questions { calls, usage, call, now, out: decision };
    let plan = questions.ask().ok();
    Evaluated { decision: questions.out, plan }
}

/// The decision is made; nothing further is asked.
struct Stop;

type Asked<T = ()> = Result<T, Stop>;

struct Questions<'a, 'c> {
    calls: &'a Calls,
    usage: Usage<'a>,
    call: &'c InboundCall<'c>,
    now: Now,
    out: CallDecision,
}

impl<'a> Questions<'a, '_> {
    fn ask(&mut self) -> Asked<(&'a Trunk, &'a Extension)> {
        let trunk = self.trunk()?;
        let called = self.called(trunk);
        // The emergency centre calls back and may withhold its number.
        let exempt = called.is_some_and(|e| self.usage.expects_call_back(e.id));
        if exempt {
            self.step(StepKind::CallerId, None, StepResult::Skipped);
        } else {
            self.caller_id(trunk, called)?;
            self.lists(trunk, called)?;
        }
        let extension = self.destination(called)?;
        self.line(trunk)?;
        self.let_in(trunk, extension);
        Ok((trunk, extension))
    }

    /// A source that is no trunk is asked for credentials, refused or ignored.
    fn trunk(&mut self) -> Asked<&'a Trunk> {
        let named = self.call.trunk.and_then(|name| self.calls.trunk_named(name));
        if let Some(trunk) = named.filter(|t| t.enabled) {
            self.step(StepKind::Credentials, Some(trunk.rule()), StepResult::Passed);
            return Ok(trunk);
        }
        let reason = Reason::UnauthenticatedSource;
        let verdict = match self.calls.inbound.unknown {
            UnknownCallers::Challenge => Verdict::Challenge(Challenge::Digest),
            UnknownCallers::Reject => Verdict::Reject,
            UnknownCallers::Drop => Verdict::Drop,
        };
        self.step(StepKind::Credentials, None, StepResult::Refused(reason));
        let event = self.event(EventKind::ScannerSeen, reason, None);
        self.out.decision.event(event);
        self.stop(verdict, reason, None)
    }

    /// The extension that the number is meant for; that of the trunk when nobody has it.
    fn called(&self, trunk: &Trunk) -> Option<&'a Extension> {
        let number = self.call.to.parse::<Number>();
        let text = number.as_ref().map_or(self.call.to, Number::as_str);
        let fallback = || self.calls.at(trunk.destination?);
        self.calls.reached_by(text).or_else(fallback)
    }

    /// Callers who withhold their number (F1).
    fn caller_id(&mut self, trunk: &Trunk, called: Option<&Extension>) -> Asked {
        if !is_anonymous(self.call.from, self.call.privacy) {
            self.step(StepKind::CallerId, None, StepResult::NoMatch);
            return Ok(());
        }
        let own = called.and_then(|e| e.anonymous.map(|policy| (policy, Some(e.rule()))));
        let of_trunk = trunk.anonymous.map(|policy| (policy, Some(trunk.rule())));
        let (policy, rule) = own.or(of_trunk).unwrap_or((self.calls.inbound.anonymous, None));
        match policy {
            AnonymousCallers::Allow => {
                self.step(StepKind::CallerId, rule, StepResult::Passed);
                Ok(())
            }
            AnonymousCallers::Reject => self.refuse(StepKind::CallerId, rule, Reason::AnonymousCaller),
        }
    }

    /// Blocked and allowed callers (F2).
    fn lists(&mut self, trunk: &Trunk, called: Option<&Extension>) -> Asked {
        let Ok(from) = self.call.from.parse::<Number>() else {
            self.step(StepKind::BlockedNumbers, None, StepResult::NoMatch);
            return Ok(());
        };
        self.out.number = Some(from);
        let readings = self.calls.international.readings(&from, trunk.understanding());
        let international = readings.iter().filter_map(|r| r.number.as_ref());
        let forms = core::iter::once(&from).chain(international);
        match self.calls.lists.inbound().look_up(forms, called.map(|e| e.index)) {
            Listed::Blocked(rule) => {
                return self.refuse(StepKind::BlockedNumbers, Some(rule), Reason::CallerBlocked);
            }
            Listed::Allowed(rule) => self.step(StepKind::AllowedNumbers, Some(rule), StepResult::Passed),
            Listed::No => self.step(StepKind::BlockedNumbers, None, StepResult::NoMatch),
        }
        Ok(())
    }

    fn destination(&mut self, called: Option<&'a Extension>) -> Asked<&'a Extension> {
        let Some(extension) = called.filter(|e| e.enabled) else {
            return self.refuse(StepKind::Destination, called.map(Extension::rule), Reason::NoDestination);
        };
        self.step(StepKind::Destination, Some(extension.rule()), StepResult::Passed);
        Ok(extension)
    }

    fn line(&mut self, trunk: &Trunk) -> Asked {
        if !self.usage.trunk_has_line(trunk, false) {
            return self.refuse(StepKind::Trunk, Some(trunk.rule()), Reason::TrunkBusy);
        }
        self.step(StepKind::Trunk, Some(trunk.rule()), StepResult::Matched);
        Ok(())
    }

    fn let_in(&mut self, trunk: &Trunk, extension: &Extension) {
        self.out.destination = Some(extension.id);
        self.out.max_duration = self.calls.max_duration(None, None);
        self.out.warn_at = warning(self.out.max_duration, self.calls.dialling.warn_before.get());
        self.out.decision.verdict = Verdict::Allow;
        self.out.decision.reason = Reason::Allowed;
        self.out.decision.rule = Some(trunk.rule());
    }

    fn step(&mut self, kind: StepKind, rule: Option<RuleId>, result: StepResult) {
        self.out.decision.step(kind, rule, result);
    }

    fn refuse<T>(&mut self, kind: StepKind, rule: Option<RuleId>, reason: Reason) -> Asked<T> {
        self.step(kind, rule, StepResult::Refused(reason));
        let event = self.event(event_for(reason), reason, rule);
        self.out.decision.event(event);
        self.stop(Verdict::Reject, reason, rule)
    }

    fn stop<T>(&mut self, verdict: Verdict, reason: Reason, rule: Option<RuleId>) -> Asked<T> {
        self.out.decision.verdict = verdict;
        self.out.decision.reason = reason;
        self.out.decision.rule = rule;
        Err(Stop)
    }

    fn event(&self, kind: EventKind, reason: Reason, rule: Option<RuleId>) -> SecurityEvent {
        let event = SecurityEvent::new(kind, self.now.wall).reason(reason).rule(rule).call(self.call.call);
        let event = self.call.source.map_or(event, |source| event.source(source));
        self.call.from.parse().map_or(event, |number| event.number(number))
    }
}

/// Whether a caller withholds the number: no number in From, or a Privacy header that asks for it (RFC 3323
/// section 4.2, RFC 3325 section 9.3).
fn is_anonymous(from: &str, privacy: &str) -> bool {
    let withheld = ["", "anonymous", "unknown", "restricted", "unavailable", "private"];
    let from = from.trim();
    let asks = |value: &str| ["id", "header", "user"].iter().any(|p| value.trim().eq_ignore_ascii_case(p));
    withheld.iter().any(|w| from.eq_ignore_ascii_case(w)) || privacy.split([';', ',']).any(asks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_withholds_the_number() {
        for from in ["", " ", "anonymous", "Anonymous", "unknown", "RESTRICTED"] {
            assert!(is_anonymous(from, ""), "{from:?}");
        }
        for privacy in ["id", "header;id", "user", " ID ; critical", "none,id"] {
            assert!(is_anonymous("+49301234", privacy), "{privacy:?}");
        }
        for privacy in ["", "none", "critical", "session", "idx"] {
            assert!(!is_anonymous("+49301234", privacy), "{privacy:?}");
        }
    }
}
