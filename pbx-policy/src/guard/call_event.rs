//! What happens to calls after they were decided about.

use pbx_core::{CallId, EventKind, ExtensionId, Mono, Reason, RuleId, SecurityEvent, Verdict};

use super::call::{Desk, GRACE};
use crate::call::CallEvent;
use crate::calls::{Extension, Trunk};
use crate::decision::{Decision, StepKind, StepResult};
use crate::live::{CallState, LiveCall};
use crate::outbound::warning;
use crate::route::fails_over;

/// When a call is to be warned or cut, if it was not told yet.
pub(super) fn next_due(call: &LiveCall) -> Option<Mono> {
    let cut = call.ends_at().filter(|_| !call.state.cut);
    let warn = call.warns_at().filter(|_| !call.state.warned && !call.state.cut);
    [cut, warn].into_iter().flatten().min()
}

impl<'a> Desk<'a> {
    pub(super) fn event(&self, call: CallId, event: CallEvent) -> Decision {
        let Some(live) = self.usage.live().get(call) else {
            return self.decision(Verdict::Continue, Reason::UnknownCall);
        };
        match event {
            CallEvent::Answered => self.answered(call),
            CallEvent::Alive => self.alive(&live),
            CallEvent::Transferred { extension } => self.transferred(live, extension),
            CallEvent::Failed { sip_status } => self.failed(live, sip_status),
            CallEvent::Ended => {
                self.forget(call);
                self.decision(Verdict::Continue, Reason::Allowed)
            }
        }
    }

    fn answered(&self, call: CallId) -> Decision {
        self.usage.live().answer(call);
        let live = self.usage.live().get(call);
        live.map_or_else(|| self.decision(Verdict::Continue, Reason::UnknownCall), |live| self.alive(&live))
    }

    /// Keeps the call and its lines, and says whether its time has come.
    fn alive(&self, live: &LiveCall) -> Decision {
        self.keep(live);
        let over = live.ends_at().is_some_and(|at| at <= self.now.mono);
        self.due(live).unwrap_or_else(|| match over {
            true => self.decision(Verdict::Cut, Reason::DurationLimit),
            false => self.decision(Verdict::Continue, self.reason_of(live)),
        })
    }

    fn keep(&self, live: &LiveCall) {
        let until = self.now.mono + self.alive_for();
        let trunk = live.trunk().and_then(|tag| self.calls().trunk_tagged(tag));
        if let (Some(trunk), Some(tag)) = (trunk, live.state.trunk_line) {
            self.usage.keep(&trunk.name, tag, live.call, until);
        }
        if let (Some(extension), Some(tag)) = (live.extension, live.state.extension_line) {
            self.usage.keep(extension.as_str(), tag, live.call, until);
        }
        // A call that has to be cut is remembered until then, alive or not.
        let end = live.ends_at().map_or(until, |at| until.max(at + GRACE));
        self.usage.live().keep(live.call, end);
    }

    /// The warning or the cut that is due and was not told yet.
    pub(super) fn due(&self, live: &LiveCall) -> Option<Decision> {
        let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= self.now.mono);
        let old = live.state;
        let (verdict, new) = if is_due(live.ends_at()) && !old.cut {
            (Verdict::Cut, CallState { cut: true, ..old })
        } else if is_due(live.warns_at()) && !old.warned && !old.cut {
            (Verdict::Warn, CallState { warned: true, ..old })
        } else {
            return None;
        };
        if !self.usage.live().change(live.call, old, new) {
            return None;
        }
        let mut decision = self.decision(verdict, Reason::DurationLimit);
        decision.step(StepKind::Duration, self.responsible(live), StepResult::Refused(Reason::DurationLimit));
        decision.rule = self.responsible(live);
        if verdict == Verdict::Cut {
            let event = SecurityEvent::new(EventKind::DurationReached, self.now.wall);
            let event = event.reason(Reason::DurationLimit).call(live.call).rule(decision.rule);
            decision.event(live.extension.map_or(event, |e| event.extension(e)));
        }
        Some(decision)
    }

    fn responsible(&self, live: &LiveCall) -> Option<RuleId> {
        live.extension.and_then(|e| self.calls().extension(e)).map(Extension::rule)
    }

    /// Somebody else is responsible: the limits of that extension hold from now on, over the time since the answer.
    fn transferred(&self, mut live: LiveCall, to: ExtensionId) -> Decision {
        if live.state.emergency {
            return self.decision(Verdict::Continue, Reason::Emergency);
        }
        let Some(extension) = self.calls().extension(to).filter(|e| e.enabled) else {
            return self.cut(&live, Reason::NoExtension, None);
        };
        let old = live.clone();
        let line = if live.state.inbound { Ok(None) } else { self.extension_line(extension, &live) };
        let Ok(line) = line else {
            return self.cut(&live, Reason::UserConcurrency, Some(extension.rule()));
        };
        let owner = (!live.state.inbound).then_some(extension);
        live.max = self.calls().max_duration(owner, None);
        live.warn = warning(live.max, self.calls().dialling.warn_before.get());
        live.extension = Some(to);
        live.state = CallState { extension_line: line, warned: false, ..old.state };
        self.usage.live().hand_over(&live);
        self.usage.live().change(live.call, old.state, live.state);
        if let (Some(before), Some(tag)) = (old.extension.filter(|&e| e != to), old.state.extension_line) {
            self.usage.give_back(before.as_str(), tag, live.call);
        }
        self.alive(&live)
    }

    /// The trunk did not take the call: the next one, when the answer was about the trunk.
    fn failed(&self, live: LiveCall, sip_status: u16) -> Decision {
        let failed_over = fails_over(sip_status) && !live.state.inbound && live.answered_at.is_none();
        let next = if failed_over { self.next_trunk(&live) } else { None };
        let Some(trunk) = next else {
            self.forget(live.call);
            return match failed_over {
                true => self.decision(Verdict::Cut, Reason::NoTrunk),
                false => self.decision(Verdict::Continue, self.reason_of(&live)),
            };
        };
        let mut decision = self.decision(Verdict::Continue, self.reason_of(&live));
        decision.rule = Some(trunk.rule());
        decision.step(StepKind::Trunk, Some(trunk.rule()), StepResult::Matched);
        decision
    }

    /// Moves a call to its next trunk that has a line left.
    fn next_trunk(&self, live: &LiveCall) -> Option<&'a Trunk> {
        let rest =
            (live.state.attempt + 1..).zip(live.trunks.iter().skip(usize::from(live.state.attempt) + 1));
        for (attempt, &tag) in rest {
            let Some(trunk) = self.calls().trunk_tagged(tag) else { continue };
            let line = if live.state.emergency { Ok(None) } else { self.trunk_line(trunk, live) };
            let Ok(line) = line else { continue };
            let new = CallState { attempt, trunk_line: line, ..live.state };
            if self.usage.live().change(live.call, live.state, new) {
                self.give_back_trunk(live);
                return Some(trunk);
            }
        }
        None
    }

    fn cut(&self, live: &LiveCall, reason: Reason, rule: Option<RuleId>) -> Decision {
        let mut decision = self.decision(Verdict::Cut, reason);
        decision.rule = rule;
        let event = SecurityEvent::new(EventKind::CallRefused, self.now.wall).reason(reason).call(live.call);
        decision.event(event.rule(rule));
        decision
    }

    const fn reason_of(&self, live: &LiveCall) -> Reason {
        if live.state.emergency { Reason::Emergency } else { Reason::Allowed }
    }

    fn decision(&self, verdict: Verdict, reason: Reason) -> Decision {
        Decision::new(verdict, reason, self.rules.version())
    }
}
