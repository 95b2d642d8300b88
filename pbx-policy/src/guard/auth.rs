//! The second moment: an attempt to authenticate, in two steps (spec 2.2, 2.4, 2.5).
//!
//! [`begin`](super::Guard::begin) stands before the secret is looked at: it refuses what rules and blocks refuse
//! and reserves one try in every counter, so that N parallel guesses cost N tries. [`end`](super::Guard::end) is
//! told what the check found, counts or gives the try back, and creates the block when the last try is used.

use core::time::Duration;

use pbx_core::{Challenge, EventKind, Now, Reason, RuleId, SecurityEvent, Service, Verdict};

use super::packet::{self, Counting};
use super::ticket::{Subjects, Ticket};
use crate::attempt::{Attempt, AuthKind};
use crate::decision::{Block, Decision, StepKind, StepResult};
use crate::lockout::{Counter, Counts, Covers, Subject};
use crate::packet::Packet;
use crate::registration::Refusal;
use crate::rules::Rules;
use crate::state::{State, tag};

/// How often a refusal by the rules of one account is told.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The answer of the first step.
#[derive(Debug)]
#[non_exhaustive]
pub struct Begun {
    /// Whether the secret may be looked at; if not, what to answer.
    pub decision: Decision,
    /// To be handed to [`end`](super::Guard::end) with the outcome; `None` when there is nothing to check.
    pub ticket: Option<Ticket>,
}

/// Decides what the first step would answer, without reserving or counting anything.
#[must_use]
pub fn evaluate(rules: &Rules, state: &State, attempt: &Attempt<'_>, now: Now) -> Decision {
    Admission::new(rules, state, attempt, false, now).run().decision
}

/// The first step.
pub(crate) fn begin(rules: &Rules, state: &State, attempt: &Attempt<'_>, now: Now) -> Begun {
    Admission::new(rules, state, attempt, true, now).run()
}

/// An attempt on its way through the steps of spec 2.4. A step answers whether it decided.
struct Admission<'a> {
    rules: &'a Rules,
    state: &'a State,
    attempt: &'a Attempt<'a>,
    subjects: Subjects,
    /// Nothing automatic concerns it.
    trusted: bool,
    /// The account itself has a live registration at this address.
    bound: bool,
    commit: bool,
    now: Now,
    decision: Decision,
}

impl<'a> Admission<'a> {
    fn new(rules: &'a Rules, state: &'a State, attempt: &'a Attempt<'a>, commit: bool, now: Now) -> Self {
        let subjects = Subjects::new(state, attempt);
        let bound = state.is_bound(&subjects.sender, subjects.account, now);
        let decision = Decision::new(Verdict::Allow, Reason::Allowed, rules.version());
        Self { rules, state, attempt, subjects, trusted: false, bound, commit, now, decision }
    }

    fn run(mut self) -> Begun {
        let decided = self.network() || self.locked() || self.rules_of_the_account() || self.unanswered();
        let ticket = if decided { None } else { self.reserve() };
        Begun { decision: self.decision, ticket }
    }

    /// What the firewall says of the sender. The packet itself was counted when it arrived.
    fn network(&mut self) -> bool {
        let mut packet = Packet::new(self.attempt.source).service(service(self.attempt.kind));
        packet.via = self.attempt.via;
        let verdict = packet::decide(self.rules, self.state, &packet, Counting::Off, self.now);
        if !verdict.verdict.is_allowed() {
            self.decision = verdict;
            return true;
        }
        self.trusted = verdict.reason == Reason::AllowedAddress;
        self.decision.trace = verdict.trace;
        false
    }

    /// Blocks of the address, of its logins, of the pair, of the account. A device whose account is registered
    /// from this address may refresh in spite of a block of the address.
    fn locked(&mut self) -> bool {
        if self.trusted {
            self.decision.step(StepKind::LockedPair, None, StepResult::Skipped);
            return false;
        }
        let proved = self.attempt.address_is_proved();
        if let Some(block) =
            self.state.address_block(&self.subjects.sender, proved, self.now).filter(|_| !self.bound)
        {
            let reason = if block.reason == Reason::AddressLocked { block.reason } else { Reason::Blocked };
            return self.refuse_block(Verdict::Drop, reason, None, &block);
        }
        match self.lock() {
            Some((reason, rule, block)) => {
                if reason == Reason::LoginPaused && self.commit {
                    self.count_while_paused();
                }
                self.refuse_block(Verdict::Reject, reason, Some(rule), &block)
            }
            None => {
                self.decision.step(StepKind::LockedPair, None, StepResult::NoMatch);
                false
            }
        }
    }

    /// The block of one of the counters that concern this attempt.
    fn lock(&self) -> Option<(Reason, RuleId, Block)> {
        let counters = self.rules.lockout.counters(self.attempt.kind).iter();
        counters.filter(|c| c.covers != Covers::Address).find_map(|c| {
            let block = self.state.block_by_key(self.subjects.lock(c), self.now)?;
            Some((c.reason, c.rule(), block))
        })
    }

    fn refuse_block(
        &mut self,
        verdict: Verdict,
        reason: Reason,
        rule: Option<RuleId>,
        block: &Block,
    ) -> bool {
        self.decision.retry_after = block.until.map(|until| until.since(self.now.mono));
        self.refuse(StepKind::LockedPair, verdict, reason, rule)
    }

    /// Remote access, addresses, User-Agent: cheap, without secrets, and so before the digest.
    fn rules_of_the_account(&mut self) -> bool {
        let access = &self.rules.access;
        let network = self.rules.firewall.network(self.attempt.source.addr(), self.attempt.via);
        let answers = [
            (StepKind::RemoteAccess, access.remote(self.attempt, network)),
            (StepKind::AddressList, access.address(self.attempt)),
            (StepKind::UserAgent, access.user_agent(self.attempt)),
        ];
        for (kind, answer) in answers {
            match answer {
                Ok(()) => self.decision.step(kind, None, StepResult::Passed),
                Err(refusal) => return self.refused(kind, refusal),
            }
        }
        false
    }

    /// Where the sender is told, a rule of the account is answered as a wrong password is: a challenge first.
    fn refused(&mut self, kind: StepKind, refusal: Refusal) -> bool {
        if !refusal.silent && !self.attempt.answered {
            self.decision.step(kind, Some(refusal.rule), StepResult::Refused(refusal.reason));
            self.challenge();
            return true;
        }
        let verdict = if refusal.silent { Verdict::Drop } else { Verdict::Reject };
        self.refuse(kind, verdict, refusal.reason, Some(refusal.rule));
        if self.commit && !self.trusted {
            self.count_refusal();
        }
        if self.commit && self.tells_refusal() {
            let event = SecurityEvent::new(EventKind::RegistrationRefused, self.now.wall)
                .reason(refusal.reason)
                .rule(Some(refusal.rule))
                .source(self.attempt.source)
                .account(self.attempt.account);
            self.decision.event(event);
        }
        true
    }

    fn tells_refusal(&self) -> bool {
        self.state.once(self.subjects.pair().tagged(tag::REFUSED), TELL_EVERY, self.now)
    }

    /// A refusal by a rule counts for the address only (spec 2.2), and a retransmission of it not at all.
    fn count_refusal(&mut self) {
        if self.subjects.is_repeated(self.state, self.now) {
            return;
        }
        self.count(|c| c.counts == Counts::FailuresAndRefusals);
    }

    /// A login while logins are paused checks no password but counts for the second tier (spec 2.5).
    fn count_while_paused(&mut self) {
        self.count(|c| c.covers == Covers::Pair);
    }

    fn count(&mut self, which: impl Fn(&Counter) -> bool) {
        for counter in self.rules.lockout.counters(self.attempt.kind).iter().filter(|c| which(c)) {
            if self.subjects.count_at_once(self.state, counter, self.now) {
                self.subjects.punish(self.rules, self.state, counter, &mut self.decision, self.now);
            }
        }
    }

    /// A request without credentials is asked for them and never counted.
    fn unanswered(&mut self) -> bool {
        if self.attempt.answered {
            return false;
        }
        self.decision.step(StepKind::Credentials, None, StepResult::Refused(Reason::ProofRequired));
        self.challenge();
        true
    }

    fn challenge(&mut self) {
        self.decision.verdict = Verdict::Challenge(Challenge::Digest);
        self.decision.reason = Reason::ProofRequired;
    }

    /// Reserves one try in every counter, or in none.
    fn reserve(&mut self) -> Option<Ticket> {
        let mut ticket = Ticket::new(self.state, self.attempt, self.subjects, self.trusted);
        let counters = self.rules.lockout.counters(self.attempt.kind);
        for counter in counters.iter().filter(|_| !self.trusted) {
            let reserved = if self.commit {
                ticket.reserve(self.state, counter, self.now)
            } else {
                self.subjects.has_tries(self.state, counter, self.now)
            };
            match reserved {
                // A registered device is refused neither for what others at its address did nor for want of room.
                Err(no)
                    if self.bound
                        && (counter.subject == Subject::Address || no.reason == Reason::Pressure) => {}
                Err(no) => {
                    ticket.give_back(self.state, self.now);
                    self.decision.retry_after = no.retry_at.map(|at| at.since(self.now.mono));
                    self.refuse(StepKind::Tries, Verdict::Reject, no.reason, Some(counter.rule()));
                    return None;
                }
                Ok(()) => {}
            }
        }
        // A block that was created since the look at the blocks emptied its counter afterwards, so it has to be
        // looked for again now that the try is reserved.
        if self.commit && !self.trusted && self.locked_meanwhile() {
            ticket.give_back(self.state, self.now);
            return None;
        }
        self.decision.step(StepKind::Tries, None, StepResult::Passed);
        self.commit.then_some(ticket)
    }

    fn locked_meanwhile(&mut self) -> bool {
        let steps = self.decision.trace.len();
        let locked = self.locked();
        if !locked {
            self.decision.trace.truncate(steps);
        }
        locked
    }

    fn refuse(&mut self, kind: StepKind, verdict: Verdict, reason: Reason, rule: Option<RuleId>) -> bool {
        self.decision.step(kind, rule, StepResult::Refused(reason));
        self.decision.verdict = verdict;
        self.decision.reason = reason;
        self.decision.rule = rule;
        true
    }
}

/// The service whose static rules concern an attempt.
const fn service(kind: AuthKind) -> Service {
    match kind {
        AuthKind::Registration | AuthKind::Pin | AuthKind::Voicemail => Service::Sip,
        AuthKind::Client => Service::Client,
        AuthKind::Ldap => Service::Ldap,
        AuthKind::Web | AuthKind::Api | AuthKind::Provisioning | AuthKind::Totp | AuthKind::Link => {
            Service::Https
        }
    }
}
