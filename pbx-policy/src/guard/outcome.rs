//! The second step of an attempt to authenticate: what the check of the secret found.

use pbx_core::table::{Key, Leased};
use pbx_core::{Challenge, EventKind, Mono, Now, Reason, SecurityEvent, Source, Verdict};

use super::ticket::{Binding, Ticket, number};
use crate::attempt::{AuthKind, AuthOutcome};
use crate::decision::{Decision, StepKind, StepResult};
use crate::registration::Account;
use crate::rules::Rules;
use crate::state::{REGISTRATIONS, Sender, State, tag};

/// Settles an attempt.
pub(crate) fn end(
    rules: &Rules,
    state: &State,
    mut ticket: Ticket,
    outcome: AuthOutcome,
    now: Now,
) -> Decision {
    let mut decision = Decision::new(Verdict::Allow, Reason::Authenticated, rules.version());
    match judge(rules, &ticket, outcome) {
        AuthOutcome::Success => succeed(rules, state, &mut ticket, &mut decision, now),
        AuthOutcome::Challenged | AuthOutcome::StaleNonce => {
            ticket.give_back(state, now);
            decision.step(StepKind::Credentials, None, StepResult::Refused(Reason::ProofRequired));
            decision.verdict = Verdict::Challenge(Challenge::Digest);
            decision.reason = Reason::ProofRequired;
        }
        failure => fail(rules, state, &mut ticket, failure, &mut decision, now),
    }
    decision
}

/// The outcome as the rules see it: right credentials do not help an extension that is unknown or switched off.
fn judge(rules: &Rules, ticket: &Ticket, outcome: AuthOutcome) -> AuthOutcome {
    let checked = outcome == AuthOutcome::Success && ticket.kind() == AuthKind::Registration;
    match account(rules, ticket) {
        _ if !checked => outcome,
        None => AuthOutcome::UnknownAccount,
        Some(account) if !account.enabled => AuthOutcome::Disabled,
        Some(_) => outcome,
    }
}

fn account<'a>(rules: &'a Rules, ticket: &Ticket) -> Option<&'a Account> {
    rules.access.account(ticket.name()).filter(|_| ticket.whole_name)
}

fn succeed(rules: &Rules, state: &State, ticket: &mut Ticket, decision: &mut Decision, now: Now) {
    // A retransmission of what just succeeded must not count as a replay.
    let _ = ticket.subjects.is_repeated(state, now);
    ticket.succeed(state, rules.lockout.counters(ticket.kind()), now);
    if ticket.subjects.proved {
        state.proved(&ticket.subjects.sender);
    }
    decision.step(StepKind::Credentials, None, StepResult::Passed);
    if let (Some(binding), Some(account)) = (ticket.binding, account(rules, ticket)) {
        bind(state, ticket, binding, account, decision, now);
    }
}

/// The device count (C4), and the live registration that the source and the account have from now on.
fn bind(
    state: &State,
    ticket: &Ticket,
    binding: Binding,
    account: &Account,
    decision: &mut Decision,
    now: Now,
) {
    let subjects = &ticket.subjects;
    if binding.expires.is_zero() {
        state.unbind(&subjects.sender, subjects.account, binding.holder);
        return;
    }
    let until = now.mono + binding.expires;
    let key = subjects.account.tagged(tag::DEVICES);
    let devices = state.block.leases(state.tables.devices);
    if let Leased::Full { .. } = devices.take(key, binding.holder, account.devices, until, now) {
        decision.step(StepKind::Devices, Some(account.rule()), StepResult::Refused(Reason::TooManyDevices));
        decision.verdict = Verdict::Reject;
        decision.reason = Reason::TooManyDevices;
        decision.rule = Some(account.rule());
        return;
    }
    decision.step(StepKind::Devices, Some(account.rule()), StepResult::Passed);
    state.bind(&subjects.sender, subjects.account, binding.holder, until, now);
}

fn fail(
    rules: &Rules,
    state: &State,
    ticket: &mut Ticket,
    outcome: AuthOutcome,
    decision: &mut Decision,
    now: Now,
) {
    decision.verdict = Verdict::Reject;
    decision.reason = reason(ticket.kind(), outcome);
    decision.step(StepKind::Credentials, None, StepResult::Refused(decision.reason));
    if ticket.trusted || ticket.subjects.is_repeated(state, now) {
        ticket.give_back(state, now);
        return;
    }
    let counters = rules.lockout.counters(ticket.kind());
    // A counter of the address stands behind that of the pair: the decision shows the block that reaches furthest.
    for counter in ticket.fail(state, counters, outcome, now) {
        ticket.subjects.punish(rules, state, counter, decision, now);
    }
    if outcome == AuthOutcome::Replay {
        let event = SecurityEvent::new(EventKind::CredentialReplay, now.wall);
        decision.event(event.reason(Reason::Replay).source(ticket.source()).account(ticket.name()));
    }
}

const fn reason(kind: AuthKind, outcome: AuthOutcome) -> Reason {
    match (kind, outcome) {
        (_, AuthOutcome::Malformed) => Reason::MalformedCredentials,
        (_, AuthOutcome::UnknownAccount) => Reason::UnknownAccount,
        (_, AuthOutcome::Disabled) => Reason::AccountDisabled,
        (_, AuthOutcome::Replay) => Reason::Replay,
        (AuthKind::Pin | AuthKind::Voicemail, _) => Reason::PinWrong,
        _ => Reason::BadCredentials,
    }
}

impl State {
    /// Notes a live registration of an account behind a sender.
    fn bind(&self, sender: &Sender, account: Key, holder: u64, until: Mono, now: Now) {
        let pair = sender.key.with(account).tagged(tag::BOUND);
        // Which of an account's registrations it is matters for neither: what is asked is whether there is one.
        let whole = number(pair) ^ holder;
        let most = u32::from(REGISTRATIONS);
        self.hold(self.tables.sources, sender.key.tagged(tag::REGISTERED), whole, most, until, now);
        self.hold(self.tables.sources, pair, holder, most, until, now);
    }

    /// Ends a registration; without its source the source stays known until it would have expired.
    pub(crate) fn unregister(&self, account: &str, binding: &str, source: Option<&Source>) {
        let (account, holder) = (self.account(account), number(self.block.key(binding.as_bytes())));
        match source {
            Some(source) => self.unbind(&self.sender(source), account, holder),
            None => _ = self.block.leases(self.tables.devices).release(account.tagged(tag::DEVICES), holder),
        }
    }

    /// Ends a live registration.
    fn unbind(&self, sender: &Sender, account: Key, holder: u64) {
        let pair = sender.key.with(account).tagged(tag::BOUND);
        let sources = self.block.leases(self.tables.sources);
        self.block.leases(self.tables.devices).release(account.tagged(tag::DEVICES), holder);
        sources.release(sender.key.tagged(tag::REGISTERED), number(pair) ^ holder);
        sources.release(pair, holder);
    }
}
