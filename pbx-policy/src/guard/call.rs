//! Deciding about calls, and taking what they use.
//!
//! What a call uses is taken in one order: a line of the extension, a line of the trunk, a place among the live
//! calls, and last its place in the call frequency, the one thing that cannot be given back. Whatever is
//! refused on the way gives back what was taken before it.

use core::time::Duration;

use pbx_core::table::Entered;
use pbx_core::{CallId, EventKind, ExtensionId, Mono, Now, Reason, RuleId, SecurityEvent, Verdict};

use super::Guard;
use super::call_event::next_due;
use crate::call::{CallDecision, CallEvent, CallRequest, InboundCall, OutboundCall};
use crate::calls::{Calls, Extension, Trunk};
use crate::decision::{Block, Decision, StepKind, StepResult};
use crate::frequency::Exceeded as OnExceeded;
use crate::live::LiveCall;
use crate::outbound::{Plan, event_for};
use crate::route::Route;
use crate::rules::Rules;
use crate::usage::{Exceeded, Lines, Usage};
use crate::{inbound, outbound};

/// How long a call that has lasted too long is remembered, so that its end finds it.
pub(super) const GRACE: Duration = Duration::from_secs(60);

impl Guard {
    /// Decides about a call and takes what it uses: all of it, or nothing when the call is refused.
    ///
    /// Asking again about the same call (with a PIN, or after a lost answer) replaces what was decided before and
    /// counts once.
    pub fn on_call<'c>(&self, request: impl Into<CallRequest<'c>>, now: Now) -> CallDecision {
        let rules = self.rules();
        let desk = Desk { rules: &rules, usage: self.state.usage(now), now };
        match request.into() {
            CallRequest::Outbound(call) => desk.outbound(&call),
            CallRequest::Inbound(call) => desk.inbound(&call),
        }
    }

    /// What [`Guard::on_call`] would decide. Nothing is taken, counted or locked.
    pub fn check_call<'c>(&self, request: impl Into<CallRequest<'c>>, now: Now) -> CallDecision {
        let rules = self.rules();
        let usage = self.state.usage(now);
        let (calls, policy) = (&rules.calls, rules.version());
        match request.into() {
            CallRequest::Outbound(call) => {
                outbound::evaluate(calls, policy, usage, &call, false, now).decision
            }
            CallRequest::Inbound(call) => inbound::evaluate(calls, policy, usage, &call, now).decision,
        }
    }

    /// What is to become of a call that something happened to: it continues, is warned, or is cut.
    ///
    /// After [`CallEvent::Failed`] the rule of the decision is the trunk to try next, whose line is taken; without a
    /// rule the call is over. A call that is not known is left alone, because it may be an emergency call that there was no room to remember.
    pub fn on_call_event(&self, call: CallId, event: CallEvent, now: Now) -> Decision {
        let rules = self.rules();
        Desk { rules: &rules, usage: self.state.usage(now), now }.event(call, event)
    }

    /// Unlocks an extension: its outbound calls after it called too often, its PIN and second factor after wrong
    /// ones. Whether anything was locked.
    pub fn unlock(&self, extension: ExtensionId, now: Now) -> bool {
        let calls = self.state.usage(now).unlock(extension);
        let tries = self.state.unlock(&self.rules(), extension.as_str(), now) > 0;
        calls || tries
    }

    /// Every extension whose outbound calls are locked.
    #[must_use]
    pub fn locked(&self, now: Now) -> Vec<Block> {
        self.state.usage(now).locks().collect()
    }

    /// When the next call is to be warned or cut.
    pub(crate) fn next_call_timeout(&self, now: Now) -> Option<Mono> {
        self.state.usage(now).live().iter().filter_map(|call| next_due(&call)).min()
    }

    /// The calls that are to be warned or cut now, at most `most` of them. Each is told once, to one caller, even
    /// where several processes share the state.
    pub(crate) fn due_calls(&self, most: usize, now: Now) -> Vec<(CallId, Decision)> {
        let rules = self.rules();
        let desk = Desk { rules: &rules, usage: self.state.usage(now), now };
        let due = desk.usage.live().iter().filter(|call| next_due(call).is_some_and(|at| at <= now.mono));
        due.filter_map(|call| Some((call.call, desk.due(&call)?))).take(most).collect()
    }
}

/// Where calls are decided and followed, at one moment.
pub(super) struct Desk<'a> {
    pub(super) rules: &'a Rules,
    pub(super) usage: Usage<'a>,
    pub(super) now: Now,
}

impl<'a> Desk<'a> {
    pub(super) const fn calls(&self) -> &'a Calls {
        &self.rules.calls
    }

    fn outbound(&self, call: &OutboundCall<'_>) -> CallDecision {
        let counted = self.forget(call.call);
        let policy = self.rules.version();
        let mut asked = outbound::evaluate(self.calls(), policy, self.usage, call, counted, self.now);
        if asked.decision.emergency {
            self.remember_emergency(call, &asked.decision);
        } else if let Some(exceeded) = asked.exceeded {
            self.exceeded(&mut asked.decision.decision, call.extension, exceeded);
        } else if let Some(plan) = asked.plan {
            self.take(&mut asked.decision, plan, call, counted);
        }
        self.limit_events(&mut asked.decision.decision);
        asked.decision
    }

    fn inbound(&self, call: &InboundCall<'_>) -> CallDecision {
        self.forget(call.call);
        let policy = self.rules.version();
        let mut asked = inbound::evaluate(self.calls(), policy, self.usage, call, self.now);
        if let Some((trunk, extension)) = asked.plan {
            let mut live = LiveCall::new(call.call);
            live.state.inbound = true;
            live.extension = Some(extension.id);
            (live.max, live.warn) = (asked.decision.max_duration, asked.decision.warn_at);
            let _ = live.trunks.try_push(trunk.tag);
            match self.trunk_line(trunk, &live) {
                Ok(line) => {
                    live.state.trunk_line = line;
                    self.enter(&mut asked.decision, &live);
                }
                Err(Full) => self.refuse(
                    &mut asked.decision,
                    &live,
                    StepKind::Trunk,
                    Some(trunk.rule()),
                    Reason::TrunkBusy,
                ),
            }
        }
        self.limit_events(&mut asked.decision.decision);
        asked.decision
    }

    /// Takes all that a call uses, or refuses it.
    fn take(&self, out: &mut CallDecision, plan: Plan<'_>, call: &OutboundCall<'_>, counted: bool) {
        let mut live = LiveCall::new(call.call);
        live.extension = Some(plan.extension.id);
        (live.max, live.warn) = (out.max_duration, out.warn_at);
        let Ok(line) = self.extension_line(plan.extension, &live) else {
            let rule = Some(plan.extension.rule());
            return self.refuse(out, &live, StepKind::UserConcurrency, rule, Reason::UserConcurrency);
        };
        live.state.extension_line = line;
        let Some(trunk) = self.first_trunk(out, &mut live) else {
            self.give_back(&live);
            let rule = out.route;
            return self.refuse(out, &live, StepKind::Trunk, rule, Reason::TrunkBusy);
        };
        if !self.enter(out, &live) {
            return;
        }
        if !counted && let Err(exceeded) = self.usage.count(self.calls(), plan.extension) {
            self.forget(call.call);
            // Without room to count, the call is refused; nobody is locked for that.
            if exceeded.retry_at.is_none() {
                return self.no_room(out, &live, StepKind::Frequency);
            }
            self.refuse(out, &live, StepKind::Frequency, Some(exceeded.rule()), Reason::FrequencyExceeded);
            return self.exceeded(&mut out.decision, call.extension, exceeded);
        }
        self.remember(plan.route, trunk);
    }

    fn remember(&self, route: &Route, trunk: &Trunk) {
        if route.memory {
            self.usage.remember(route, trunk);
        }
    }

    /// The first trunk of the decision that has a line left, which is taken; those before it are removed.
    fn first_trunk(&self, out: &mut CallDecision, live: &mut LiveCall) -> Option<&'a Trunk> {
        while let Some(choice) = out.trunks.first() {
            let trunk = self.calls().trunk(choice.trunk.index)?;
            if let Ok(line) = self.trunk_line(trunk, live) {
                live.state.trunk_line = line;
                let tags = out.trunks.iter().filter_map(|c| self.calls().trunk(c.trunk.index)).map(|t| t.tag);
                live.trunks = tags.collect();
                return Some(trunk);
            }
            out.trunks.remove(0);
        }
        None
    }

    /// Remembers a call that was let through, or refuses it and gives its lines back.
    fn enter(&self, out: &mut CallDecision, live: &LiveCall) -> bool {
        let entered = self.usage.live().enter(live, self.now.mono + self.alive_for());
        if entered == Entered::New {
            return true;
        }
        self.give_back(live);
        self.no_room(out, live, StepKind::Trunk);
        false
    }

    /// Refuses a call because a table is full.
    fn no_room(&self, out: &mut CallDecision, live: &LiveCall, kind: StepKind) {
        self.refuse(out, live, kind, None, Reason::Pressure);
        out.decision.event(SecurityEvent::new(EventKind::TablePressure, self.now.wall).call(live.call));
    }

    /// An emergency call is remembered if there is room, and takes nothing.
    fn remember_emergency(&self, call: &OutboundCall<'_>, out: &CallDecision) {
        let mut live = LiveCall::new(call.call);
        live.state.emergency = true;
        live.extension = Some(call.extension);
        let tags = out.trunks.iter().filter_map(|c| self.calls().trunk(c.trunk.index)).map(|t| t.tag);
        live.trunks = tags.collect();
        let _ = self.usage.live().enter(&live, self.now.mono + self.alive_for());
        self.usage.expect_call_back(call.extension);
    }

    /// What exceeding a call frequency rule leads to, told once a lock.
    fn exceeded(&self, decision: &mut Decision, extension: ExtensionId, exceeded: Exceeded) {
        let on_exceeded = self.calls().frequency(exceeded.rule).map(|f| f.exceeded);
        decision.retry_after = exceeded.retry_at.map(|at| at.since(self.now.mono));
        let Some(OnExceeded::Lock(length)) = on_exceeded else { return };
        decision.retry_after = length;
        decision.block = self.usage.lock(extension, length);
        let until = decision.block.and_then(|b| b.until).map(|at| self.now.wall_at(at));
        let told = decision.block.is_some();
        let concerned = |kind| kind == EventKind::FrequencyExceeded;
        decision.events.iter_mut().filter(|e| concerned(e.kind)).for_each(|e| e.until = until);
        if !told && self.usage.lock_of(extension).is_some() {
            decision.events.retain(|e| !concerned(e.kind));
        }
    }

    fn refuse(
        &self,
        out: &mut CallDecision,
        live: &LiveCall,
        kind: StepKind,
        rule: Option<RuleId>,
        reason: Reason,
    ) {
        out.trunks.clear();
        (out.max_duration, out.warn_at, out.destination) = (None, None, None);
        out.decision.step(kind, rule, StepResult::Refused(reason));
        out.decision.verdict = Verdict::Reject;
        (out.decision.reason, out.decision.rule) = (reason, rule);
        let event =
            SecurityEvent::new(event_for(reason), self.now.wall).reason(reason).rule(rule).call(live.call);
        out.decision.event(live.extension.map_or(event, |e| event.extension(e)));
    }

    /// A full trunk is told once a minute, not for every call.
    fn limit_events(&self, decision: &mut Decision) {
        let busy = decision.reason == Reason::TrunkBusy || decision.reason == Reason::NoTrunk;
        let name = decision.rule.map(|rule| self.rules.rule_name(rule)).filter(|_| busy);
        if name.is_some_and(|name| !self.usage.tells_busy(&name)) {
            decision.events.retain(|e| e.kind != EventKind::TrunkBusy);
        }
    }

    pub(super) fn extension_line(&self, extension: &Extension, live: &LiveCall) -> Result<Option<u16>, Full> {
        let limit = Some(extension.max_calls).filter(|&n| n > 0);
        self.line(Lines::of(extension), limit, live)
    }

    pub(super) fn trunk_line(&self, trunk: &Trunk, live: &LiveCall) -> Result<Option<u16>, Full> {
        self.line(Lines::trunk(trunk), trunk.limit(!live.state.inbound), live)
    }

    /// Takes a line where lines are counted.
    fn line(&self, lines: Lines<'_>, limit: Option<u32>, live: &LiveCall) -> Result<Option<u16>, Full> {
        let Some(limit) = limit else { return Ok(None) };
        let until = self.now.mono + self.alive_for();
        self.usage.take(lines, limit, live.call, until).map(Some).ok_or(Full)
    }

    pub(super) fn alive_for(&self) -> Duration {
        self.calls().dialling.alive_for.get()
    }

    /// Forgets a call and gives back what it holds; whether it was known.
    pub(super) fn forget(&self, call: CallId) -> bool {
        let Some(live) = self.usage.live().get(call) else { return false };
        self.give_back(&live);
        self.usage.live().forget(call)
    }

    fn give_back(&self, live: &LiveCall) {
        self.give_back_trunk(live);
        if let (Some(extension), Some(tag)) = (live.extension, live.state.extension_line) {
            self.usage.give_back(extension.as_str(), tag, live.call);
        }
    }

    pub(super) fn give_back_trunk(&self, live: &LiveCall) {
        let trunk = live.trunk().and_then(|tag| self.calls().trunk_tagged(tag));
        if let (Some(trunk), Some(tag)) = (trunk, live.state.trunk_line) {
            self.usage.give_back(&trunk.name, tag, live.call);
        }
    }
}

/// All lines are taken.
pub(super) struct Full;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallEvent;
    use crate::config::StateConfig;
    use crate::state::State;
    use pbx_core::Wall;
    use std::sync::Arc;

    const CONFIG: &str = r#"
        extension = [
          { number = "1", max_calls = 1, max_duration = "1min", frequency = ["two"] },
          { number = "2", frequency = [] },
        ]
        frequency = [{ name = "two", limit = [{ calls = 2, within = "1min" }], lock_for = "1min" }]
        trunk = [{ name = "A", max_calls = 1 }]
        route = [{ name = "all", everyone = true, trunks = ["A"] }]
    "#;

    fn guard() -> (Guard, Now) {
        let now = Now::new(Mono::from_secs(100), Wall::UNIX_EPOCH);
        let rules = Rules::compile(&toml::from_str(CONFIG).unwrap()).unwrap();
        let mut config = StateConfig::default();
        (config.sources, config.offenders, config.bans) = (64, 64, 64);
        (config.registrations, config.calls) = (64, 64);
        (Guard::new(Arc::new(rules), State::new(&config, [7; 16], now).unwrap()), now)
    }

    fn call(number: u64, extension: &str) -> OutboundCall<'static> {
        OutboundCall::new(CallId(number), extension.parse().unwrap(), "123")
    }

    /// Decides about a call of extension 1, lets `meanwhile` happen, and only then takes what the call uses.
    fn raced(guard: &Guard, now: Now, meanwhile: impl FnOnce()) -> CallDecision {
        let rules = guard.rules();
        let desk = Desk { rules: &rules, usage: guard.state.usage(now), now };
        let asked = call(1, "1");
        let mut found = outbound::evaluate(&rules.calls, rules.version(), desk.usage, &asked, false, now);
        assert_eq!(found.decision.decision.reason, Reason::Allowed);
        meanwhile();
        desk.take(&mut found.decision, found.plan.unwrap(), &asked, false);
        found.decision
    }

    #[test]
    fn who_loses_the_last_line_of_the_trunk_keeps_no_line() {
        let (guard, now) = guard();
        let lost = raced(&guard, now, || _ = guard.on_call(call(2, "2"), now));
        assert_eq!((lost.decision.reason, lost.trunks.len()), (Reason::TrunkBusy, 0));
        guard.on_call_event(CallId(2), CallEvent::Ended, now);
        for number in 3..5 {
            assert_eq!(
                guard.on_call(call(number, "1"), now).decision.reason,
                Reason::Allowed,
                "and burnt nothing"
            );
            guard.on_call_event(CallId(number), CallEvent::Ended, now);
        }
    }

    #[test]
    fn who_loses_the_last_call_of_a_window_keeps_no_line() {
        let (guard, now) = guard();
        let two = || {
            for number in 2..4 {
                assert_eq!(guard.on_call(call(number, "1"), now).decision.reason, Reason::Allowed);
                guard.on_call_event(CallId(number), CallEvent::Ended, now);
            }
        };
        let lost = raced(&guard, now, two);
        assert_eq!(lost.decision.reason, Reason::FrequencyExceeded);
        assert!(lost.decision.block.is_some(), "exceeded is exceeded");
        assert_eq!(guard.on_call(call(9, "2"), now).decision.reason, Reason::Allowed, "the trunk is free");
        guard.on_call_event(CallId(9), CallEvent::Ended, now);
        let later = now.after(Duration::from_secs(60));
        assert_eq!(
            guard.on_call(call(5, "1"), later).decision.reason,
            Reason::Allowed,
            "so is the extension"
        );
    }

    #[test]
    fn a_cut_is_told_by_one_of_those_who_see_it() {
        let (guard, now) = guard();
        guard.on_call(call(1, "1"), now);
        guard.on_call_event(CallId(1), CallEvent::Answered, now);
        let later = now.after(Duration::from_secs(60));
        let rules = guard.rules();
        let desk = Desk { rules: &rules, usage: guard.state.usage(later), now: later };
        let seen = desk.usage.live().get(CallId(1)).unwrap();
        assert_eq!(desk.due(&seen).map(|d| d.verdict), Some(Verdict::Cut));
        assert_eq!(desk.due(&seen), None, "who looked at the same moment");
    }
}
