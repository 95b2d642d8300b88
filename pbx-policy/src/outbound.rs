//! A call that leaves: one fixed order of questions, one answer with its reason (spec 3.1).

use core::time::Duration;

use arrayvec::ArrayVec;
use pbx_core::{
    Challenge, EventKind, Label, Now, Number, NumberError, Reason, RuleId, RuleKind, SecurityEvent, Verdict,
};

use crate::call::{CallDecision, Origin, OutboundCall, PinProof, TRUNKS, TrunkChoice};
use crate::calls::{Calls, Extension, Trunk, UNDERSTANDINGS};
use crate::decision::{Decision, StepKind, StepResult};
use crate::emergency::{Found, Shown};
use crate::international::{Readings, Understanding};
use crate::number_list::Listed;
use crate::route::{self, Caller, Route, Selected};
use crate::rules::PolicyVersion;
use crate::usage::{Exceeded, Usage};

/// What is decided about a call, and what is to be taken for it.
#[derive(Debug)]
pub(crate) struct Evaluated<'a> {
    pub(crate) decision: CallDecision,
    /// The lines and limits that the call uses; `None` for calls that are not let out, and for emergency calls.
    pub(crate) plan: Option<Plan<'a>>,
    /// The limit that refused the call.
    pub(crate) exceeded: Option<Exceeded>,
}

/// What a call uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) extension: &'a Extension,
    pub(crate) route: &'a Route,
}

/// How the trunks of a route read a number.
type Finals = ArrayVec<Readings, UNDERSTANDINGS>;

/// The decision is made; nothing further is asked.
struct Stop;

type Asked<T = ()> = Result<T, Stop>;

/// Decides about a call without changing anything. `counted` says that the call was counted in the call
/// frequency before, as it is when it is asked about a second time.
pub(crate) fn evaluate<'a>(
    calls: &'a Calls,
    policy: PolicyVersion,
    usage: Usage<'a>,
    call: &OutboundCall<'_>,
    counted: bool,
    now: Now,
) -> Evaluated<'a> {
    let decision = CallDecision::new(Decision::new(Verdict::Reject, Reason::NoRoute, policy));
    let mut questions = Questions { calls, usage, call, counted, now, out: decision, exceeded: None };
    let plan = questions.ask().unwrap_or(None);
    Evaluated { decision: questions.out, plan, exceeded: questions.exceeded }
}

struct Questions<'a, 'c> {
    calls: &'a Calls,
    usage: Usage<'a>,
    call: &'c OutboundCall<'c>,
    counted: bool,
    now: Now,
    out: CallDecision,
    exceeded: Option<Exceeded>,
}

impl<'a> Questions<'a, '_> {
    /// The steps of spec 3.1.
    fn ask(&mut self) -> Asked<Option<Plan<'a>>> {
        let dialled = self.call.dialled.parse::<Number>();
        self.emergency(dialled.as_ref().ok())?;
        let dialled = self.normalise(dialled)?;
        self.internal(&dialled)?;
        let extension = self.extension()?;
        self.business_hours(extension)?;
        let readings = self.calls.international.readings(&dialled, Understanding::default());
        let exempt = self.lists(extension, &dialled, &readings)?;
        self.out.number = readings.first().and_then(|r| r.number).or(Some(dialled));
        let selected = self.route(extension, &dialled)?;
        let sent = self.transform(&selected, &dialled)?;
        let finals = self.finals(&selected, &sent);
        if !exempt {
            self.blocked_after_transform(extension, &sent, &finals)?;
        }
        let abroad = self.international(extension, &readings, &finals)?;
        self.concurrency(extension)?;
        self.pin(&selected, abroad)?;
        self.frequency(extension)?;
        self.trunks(extension, &selected, sent)?;
        self.durations(extension, selected.route);
        Ok(Some(Plan { extension, route: selected.route }))
    }

    /// Step 0: nothing stops an emergency call.
    fn emergency(&mut self, dialled: Option<&Number>) -> Asked {
        let Some(found) = dialled.and_then(|d| self.calls.emergencies.find(d)) else {
            self.step(StepKind::Emergency, None, StepResult::NoMatch);
            return Ok(());
        };
        self.step(StepKind::Emergency, Some(found.rule), StepResult::Matched);
        self.out.trunks = self.emergency_trunks(&found);
        self.out.number = Some(found.number());
        self.out.emergency = true;
        let event = self.event(EventKind::EmergencyCall, Reason::Emergency, Some(found.rule));
        self.out.decision.event(event);
        self.allow(Reason::Emergency, Some(found.rule))
    }

    fn emergency_trunks(&self, found: &Found<'_>) -> ArrayVec<TrunkChoice, TRUNKS> {
        let extension = self.calls.extension(self.call.extension);
        let own = extension.and_then(|e| e.emergency_caller_id.as_ref());
        let shown = Shown { extension: self.call.extension, own };
        let trunk = |i| self.calls.trunk(i);
        let ordinary = extension.and_then(|e| e.caller_id.as_ref());
        let fallback = |i| ordinary.or_else(|| trunk(i).and_then(|t| t.caller_id.as_ref()));
        found.trunks(shown, |i| trunk(i).is_some_and(|t| t.enabled), fallback)
    }

    /// Step 1.
    fn normalise(&mut self, dialled: Result<Number, NumberError>) -> Asked<Number> {
        match dialled {
            Ok(number) => {
                self.step(StepKind::Normalise, None, StepResult::Passed);
                Ok(number)
            }
            Err(_) => self.refuse(StepKind::Normalise, None, Reason::InvalidNumber),
        }
    }

    /// Step 2: what is no outbound call is not judged here.
    fn internal(&mut self, dialled: &Number) -> Asked {
        if !self.calls.is_internal(dialled) {
            self.step(StepKind::Internal, None, StepResult::NoMatch);
            return Ok(());
        }
        let rule = self.calls.reached_by(dialled.as_str()).map(Extension::rule);
        self.step(StepKind::Internal, rule, StepResult::Matched);
        self.out.destination = self.calls.reached_by(dialled.as_str()).map(|e| e.id);
        self.out.number = Some(*dialled);
        self.allow(Reason::Internal, rule)
    }

    /// Step 3.
    fn extension(&mut self) -> Asked<&'a Extension> {
        let found = self.calls.extension(self.call.extension);
        let rule = found.map(Extension::rule);
        let Some(extension) = found.filter(|e| e.enabled) else {
            return self.refuse(StepKind::Extension, rule, Reason::NoExtension);
        };
        if !extension.outbound {
            return self.refuse(StepKind::Extension, rule, Reason::OutboundDisabled);
        }
        if let Some(lock) = self.usage.lock_of(extension.id) {
            self.out.decision.retry_after = lock.until.map(|at| at.since(self.now.mono));
            return self.refuse(StepKind::Extension, rule, Reason::FrequencyLocked);
        }
        self.step(StepKind::Extension, rule, StepResult::Passed);
        Ok(extension)
    }

    /// Step 4.
    fn business_hours(&mut self, extension: &Extension) -> Asked {
        if extension.outside_hours {
            self.step(StepKind::BusinessHours, None, StepResult::NoMatch);
            return Ok(());
        }
        let schedule = self.calls.schedule_of(extension);
        let rule = schedule.map(|(rule, _)| rule);
        // A schedule that cannot be found is a fault inside a restricting rule: it denies.
        let closed = schedule
            .map_or(Some(Reason::OutsideBusinessHours), |(_, s)| route::closed(s.state(self.now.wall)));
        let Some(reason) = closed else {
            self.step(StepKind::BusinessHours, rule, StepResult::Passed);
            return Ok(());
        };
        let next = schedule.and_then(|(_, s)| s.next_transition(self.now.wall));
        self.out.decision.retry_after = next.map(|at| at.since(self.now.wall));
        self.refuse(StepKind::BusinessHours, rule, reason)
    }

    /// Steps 5 and 6 on what was dialled; whether an allowed list has it.
    fn lists(&mut self, extension: &Extension, dialled: &Number, readings: &Readings) -> Asked<bool> {
        match self.listed(extension, dialled, readings) {
            Listed::Allowed(rule) => {
                self.step(StepKind::AllowedNumbers, Some(rule), StepResult::Passed);
                self.step(StepKind::BlockedNumbers, None, StepResult::Skipped);
                Ok(true)
            }
            Listed::Blocked(rule) => {
                self.step(StepKind::AllowedNumbers, None, StepResult::NoMatch);
                self.refuse(StepKind::BlockedNumbers, Some(rule), Reason::NumberBlocked)
            }
            Listed::No => {
                self.step(StepKind::AllowedNumbers, None, StepResult::NoMatch);
                self.step(StepKind::BlockedNumbers, None, StepResult::NoMatch);
                Ok(false)
            }
        }
    }

    fn listed(&self, extension: &Extension, number: &Number, readings: &Readings) -> Listed {
        let international = readings.iter().filter_map(|r| r.number.as_ref());
        let forms = core::iter::once(number).chain(international);
        self.calls.lists.outbound().look_up(forms, Some(extension.index))
    }

    /// Step 7.
    fn route(&mut self, extension: &Extension, dialled: &Number) -> Asked<Selected<'a>> {
        let caller =
            Caller { extension: extension.index, schedules: &self.calls.schedules, at: self.now.wall };
        let fallthrough = self.calls.dialling.fallthrough;
        let (selected, miss) = route::select(&self.calls.routes, fallthrough, dialled, caller);
        match (selected, miss) {
            (Some(selected), miss) => {
                miss.into_iter()
                    .for_each(|m| self.step(StepKind::Route, Some(m.rule), StepResult::Refused(m.reason)));
                self.step(StepKind::Route, Some(selected.rule), StepResult::Passed);
                self.out.route = Some(selected.rule);
                Ok(selected)
            }
            (None, Some(miss)) => self.refuse(StepKind::Route, Some(miss.rule), miss.reason),
            (None, None) => self.refuse(StepKind::Route, None, Reason::NoRoute),
        }
    }

    /// Step 8: the number as it is sent.
    fn transform(&mut self, selected: &Selected<'_>, dialled: &Number) -> Asked<Number> {
        let Some(sent) = selected.rewrite.apply(dialled) else {
            return self.refuse(StepKind::Transform, Some(selected.rule), Reason::InvalidNumber);
        };
        self.step(StepKind::Transform, Some(selected.rule), StepResult::Passed);
        Ok(sent)
    }

    /// How each trunk of the route that may be used reads the number it is sent; the system's own way where none
    /// may.
    fn finals(&self, selected: &Selected<'_>, sent: &Number) -> Finals {
        let rules = &self.calls.international;
        let mut finals: Finals =
            self.calls.understandings(selected.route).map(|u| rules.readings(sent, u)).collect();
        if finals.is_empty() {
            finals.push(rules.readings(sent, Understanding::default()));
        }
        finals
    }

    /// Step 8: the lists again, on what is sent; there, too, allowed beats blocked (spec 2.14).
    fn blocked_after_transform(
        &mut self,
        extension: &Extension,
        sent: &Number,
        finals: &[Readings],
    ) -> Asked {
        let plain = Readings::new();
        let all = core::iter::once(&plain).chain(finals);
        let blocked =
            all.map(|readings| self.listed(extension, sent, readings)).find_map(|listed| match listed {
                Listed::Blocked(rule) => Some(rule),
                _ => None,
            });
        match blocked {
            Some(rule) => self.refuse(StepKind::BlockedNumbers, Some(rule), Reason::NumberBlocked),
            None => Ok(()),
        }
    }

    /// Step 9, on what was dialled and on all that is sent; whether the call leaves the country.
    fn international(
        &mut self,
        extension: &Extension,
        dialled: &Readings,
        finals: &[Readings],
    ) -> Asked<bool> {
        let rules = &self.calls.international;
        let all = || core::iter::once(dialled).chain(finals);
        if let Some(no) = all().find_map(|readings| rules.check(readings, extension.international).err()) {
            let own = (no.reason == Reason::InternationalDisallowed).then(|| extension.rule());
            return self.refuse(StepKind::International, no.rule().or(own), no.reason);
        }
        let international = all().any(|readings| !readings.is_empty());
        let result = if international { StepResult::Passed } else { StepResult::NoMatch };
        self.step(StepKind::International, None, result);
        Ok(all().flatten().any(|reading| rules.leaves(reading)))
    }

    /// Step 10.
    fn concurrency(&mut self, extension: &Extension) -> Asked {
        if extension.max_calls == 0 {
            self.step(StepKind::UserConcurrency, None, StepResult::NoMatch);
            return Ok(());
        }
        if !self.usage.extension_has_line(extension) {
            return self.refuse(StepKind::UserConcurrency, Some(extension.rule()), Reason::UserConcurrency);
        }
        self.step(StepKind::UserConcurrency, Some(extension.rule()), StepResult::Passed);
        Ok(())
    }

    /// Step 11.
    fn pin(&mut self, selected: &Selected<'_>, abroad: bool) -> Asked {
        let needed = !selected.route.pin.is_empty()
            || (abroad && self.calls.international.pin)
            || self.call.origin == Origin::Disa;
        let rule = Some(selected.rule);
        match self.call.pin {
            _ if !needed => self.step(StepKind::Pin, None, StepResult::NoMatch),
            PinProof::Given { proved: true } => self.step(StepKind::Pin, rule, StepResult::Passed),
            PinProof::Given { proved: false } => return self.refuse(StepKind::Pin, rule, Reason::PinWrong),
            PinProof::None => {
                self.step(StepKind::Pin, rule, StepResult::Refused(Reason::PinRequired));
                return self.stop(Verdict::Challenge(Challenge::Pin), Reason::PinRequired, rule);
            }
        }
        Ok(())
    }

    /// Step 12.
    fn frequency(&mut self, extension: &Extension) -> Asked {
        let rule = extension.frequencies.first().map(|&i| RuleId::new(RuleKind::Frequency, i));
        let Some(rule) = rule.filter(|_| !self.counted) else {
            self.step(StepKind::Frequency, None, StepResult::NoMatch);
            return Ok(());
        };
        if let Some(exceeded) = self.usage.exceeded(self.calls, extension) {
            self.exceeded = Some(exceeded);
            self.out.decision.retry_after = exceeded.retry_at.map(|at| at.since(self.now.mono));
            return self.refuse(StepKind::Frequency, Some(exceeded.rule()), Reason::FrequencyExceeded);
        }
        self.step(StepKind::Frequency, Some(rule), StepResult::Passed);
        Ok(())
    }

    /// Step 13.
    fn trunks(&mut self, extension: &Extension, selected: &Selected<'_>, number: Number) -> Asked {
        let order = self.usage.order(selected.route, self.calls);
        let mut busy = 0;
        for trunk in order.filter_map(|i| self.calls.trunk(i)).filter(|t| t.enabled) {
            if self.usage.trunk_has_line(trunk, true) {
                let caller_id = self.caller_id(extension, selected.route, trunk);
                let _ = self.out.trunks.try_push(TrunkChoice { trunk: trunk.rule(), number, caller_id });
            } else {
                busy += 1;
                self.busy(busy, trunk);
            }
            if self.out.trunks.is_full() {
                break;
            }
        }
        let Some(first) = self.out.trunks.first().map(|t| t.trunk) else {
            let reason = if busy > 0 { Reason::TrunkBusy } else { Reason::NoTrunk };
            return self.refuse(StepKind::Trunk, Some(selected.rule), reason);
        };
        self.step(StepKind::Trunk, Some(first), StepResult::Matched);
        self.out.decision.rule = Some(selected.rule);
        self.out.decision.verdict = Verdict::Allow;
        self.out.decision.reason = Reason::Allowed;
        Ok(())
    }

    /// Notes the first few trunks that are full; the trace has room for no more.
    fn busy(&mut self, nth: u32, trunk: &Trunk) {
        if nth <= 4 {
            self.step(StepKind::Trunk, Some(trunk.rule()), StepResult::Refused(Reason::TrunkBusy));
        }
    }

    /// That of the route before that of the extension before that of the trunk.
    fn caller_id(&self, extension: &Extension, route: &Route, trunk: &Trunk) -> Label {
        let id = route.caller_id.as_ref().or(extension.caller_id.as_ref()).or(trunk.caller_id.as_ref());
        id.map_or(Label::EMPTY, |id| id.shown(extension.id))
    }

    fn durations(&mut self, extension: &Extension, route: &Route) {
        let max = self.calls.max_duration(Some(extension), Some(route));
        self.out.max_duration = max;
        self.out.warn_at = warning(max, self.calls.dialling.warn_before.get());
    }

    fn step(&mut self, kind: StepKind, rule: Option<RuleId>, result: StepResult) {
        self.out.decision.step(kind, rule, result);
    }

    fn refuse<T>(&mut self, kind: StepKind, rule: Option<RuleId>, reason: Reason) -> Asked<T> {
        self.step(kind, rule, StepResult::Refused(reason));
        let event = self.event(event_for(reason), reason, rule);
        self.out.decision.event(event);
        self.out.trunks.clear();
        self.stop(Verdict::Reject, reason, rule)
    }

    fn allow<T>(&mut self, reason: Reason, rule: Option<RuleId>) -> Asked<T> {
        self.stop(Verdict::Allow, reason, rule)
    }

    fn stop<T>(&mut self, verdict: Verdict, reason: Reason, rule: Option<RuleId>) -> Asked<T> {
        self.out.decision.verdict = verdict;
        self.out.decision.reason = reason;
        self.out.decision.rule = rule;
        Err(Stop)
    }

    fn event(&self, kind: EventKind, reason: Reason, rule: Option<RuleId>) -> SecurityEvent {
        let event = SecurityEvent::new(kind, self.now.wall).reason(reason).rule(rule);
        let event = event.extension(self.call.extension).call(self.call.call);
        let event = self.call.source.map_or(event, |source| event.source(source));
        let number = self.out.number.or_else(|| self.call.dialled.parse().ok());
        number.map_or(event, |number| event.number(number))
    }
}

/// When the warning is due before the end of a call; none for calls that are shorter than that.
pub(crate) fn warning(max: Option<Duration>, before: Duration) -> Option<Duration> {
    max?.checked_sub(before).filter(|at| !before.is_zero() && !at.is_zero())
}

/// What administrators are told of a refusal.
pub(crate) const fn event_for(reason: Reason) -> EventKind {
    match reason {
        Reason::CountryNotAllowed | Reason::UnknownPrefix | Reason::PremiumRate | Reason::SpecialNumber => {
            EventKind::CallToBlockedCountry
        }
        Reason::FrequencyExceeded => EventKind::FrequencyExceeded,
        Reason::TrunkBusy | Reason::NoTrunk => EventKind::TrunkBusy,
        _ => EventKind::CallRefused,
    }
}
