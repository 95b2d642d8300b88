//! The first moment: a packet, before anything in it is parsed (spec 2.1).

use pbx_core::table::Hit;
use pbx_core::{EventKind, Now, Reason, RuleId, RuleKind, SecurityEvent, Verdict};

use crate::blocklist::Offence;
use crate::config::StaticAction;
use crate::decision::{BlockScope, Decision, StepKind, StepResult};
use crate::defense;
use crate::firewall::CountrySays;
use crate::lockout::Term;
use crate::packet::Packet;
use crate::rules::Rules;
use crate::state::{Sender, State};

/// Whether the counters of automatic defence are asked, and whether asking counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// The packet counts.
    Commit,
    /// What would be, without counting.
    Peek,
    /// The packet was counted before.
    Off,
}

/// Decides about a packet without changing anything: the packet is not counted.
#[must_use]
pub fn evaluate(rules: &Rules, state: &State, packet: &Packet, now: Now) -> Decision {
    decide(rules, state, packet, Counting::Peek, now)
}

/// The eight steps of spec 2.1; the first that decides ends it.
pub(crate) fn decide(
    rules: &Rules,
    state: &State,
    packet: &Packet,
    counting: Counting,
    now: Now,
) -> Decision {
    let decision = Decision::new(Verdict::Allow, Reason::Allowed, rules.version());
    let sender = state.sender(&packet.source);
    let mut walk = Walk { rules, state, packet, sender, now, decision };
    let steps =
        [Walk::management, Walk::static_rules, Walk::allowed, Walk::blocked, Walk::feed, Walk::country];
    if steps.iter().any(|step| step(&mut walk)) || walk.auto_defence(counting) {
        return walk.decision;
    }
    walk.default_policy();
    walk.decision
}

/// Whose packets were too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The sender's own, which earns it a block.
    Sender,
    /// Those of its network together, or nobody's yet.
    Network,
}

/// A decision on its way through the steps. A step answers whether it decided.
struct Walk<'a> {
    rules: &'a Rules,
    state: &'a State,
    packet: &'a Packet,
    sender: Sender,
    now: Now,
    decision: Decision,
}

impl Walk<'_> {
    fn management(&mut self) -> bool {
        let found = self.rules.firewall.is_management(self.packet.source.addr());
        found && self.accept(StepKind::Management, Reason::Loopback, None) || self.pass(StepKind::Management)
    }

    fn static_rules(&mut self) -> bool {
        let kind = StepKind::StaticRules;
        match self.rules.firewall.static_rule(self.packet) {
            Some((rule, StaticAction::Accept)) => self.accept(kind, Reason::StaticAccept, Some(rule)),
            Some((rule, StaticAction::Reject)) => {
                self.refuse(kind, Verdict::Reject, Reason::StaticDeny, Some(rule))
            }
            Some((rule, StaticAction::Drop)) => {
                self.refuse(kind, Verdict::Drop, Reason::StaticDeny, Some(rule))
            }
            None => self.pass(kind),
        }
    }

    /// Allowed addresses, provisioned phones, live registrations: no counter, ban or feed stops them.
    fn allowed(&mut self) -> bool {
        let rule = Some(RuleId::new(RuleKind::Allowed, 0));
        if self.rules.firewall.is_allowed(self.packet.source.addr())
            || self.state.is_provisioned(&self.sender, self.now)
        {
            return self.accept(StepKind::Allowed, Reason::AllowedAddress, rule);
        }
        if self.state.is_registered(&self.sender, self.now) {
            return self.accept(StepKind::Allowed, Reason::RegisteredSource, None);
        }
        self.pass(StepKind::Allowed)
    }

    fn blocked(&mut self) -> bool {
        let proved = self.packet.source.transport().proves_address();
        let Some(block) = self.state.address_block(&self.sender, proved, self.now) else {
            return self.pass(StepKind::BlockedList);
        };
        self.decision.retry_after = block.until.map(|until| until.since(self.now.mono));
        let rule = Some(RuleId::new(RuleKind::Blocked, u32::from(block.reason.code())));
        self.refuse(StepKind::BlockedList, Verdict::Drop, Reason::Blocked, rule)
    }

    fn feed(&mut self) -> bool {
        match self.rules.firewall.feed(self.packet.source.addr()) {
            Some(rule) => self.refuse(StepKind::ThreatFeed, Verdict::Drop, Reason::ThreatFeed, Some(rule)),
            None => self.pass(StepKind::ThreatFeed),
        }
    }

    fn country(&mut self) -> bool {
        let kind = StepKind::SourceCountry;
        match self.rules.firewall.country(self.packet) {
            CountrySays::Nothing => self.pass(kind),
            CountrySays::Passed(rule) => {
                self.decision.step(kind, rule, StepResult::Passed);
                false
            }
            CountrySays::Refused(reason, rule) => self.refuse(kind, Verdict::Drop, reason, rule),
        }
    }

    fn auto_defence(&mut self, counting: Counting) -> bool {
        let kind = StepKind::AutoDefence;
        if counting == Counting::Off {
            self.decision.step(kind, None, StepResult::Skipped);
            return false;
        }
        let (rules, packet) = (self.rules, self.packet);
        for (id, rule) in rules.defence.counting(packet, rules.firewall.ports()) {
            let over = match counting {
                Counting::Commit => self.count(rule),
                _ => self
                    .state
                    .would_exceed(&self.sender, rule.tag, rule.limit, self.now)
                    .then_some(Over::Network),
            };
            let Some(over) = over else {
                self.decision.step(kind, Some(id), StepResult::Passed);
                continue;
            };
            self.refuse(kind, Verdict::Drop, Reason::PacketRate, Some(id));
            if over == Over::Sender {
                self.punish(id);
            }
            return true;
        }
        false
    }

    /// Counts the packet by one rule. `Some` when it is over the limit.
    fn count(&mut self, rule: &defense::Rule) -> Option<Over> {
        match self.state.count_packet(&self.sender, rule.tag, rule.limit, self.now) {
            Hit::Over { .. } => Some(Over::Sender),
            // No room for the address: its network is counted as if it were one sender, which tightens the
            // limit for strangers and neither opens nor closes the door.
            Hit::Pressure => {
                self.tell_pressure();
                let hit = self.state.count_network(&self.sender, rule.tag, rule.limit, self.now);
                matches!(hit, Hit::Over { .. }).then_some(Over::Network)
            }
            _ => None,
        }
    }

    fn tell_pressure(&mut self) {
        if self.state.tells_pressure(self.now) {
            let event = SecurityEvent::new(EventKind::TablePressure, self.now.wall);
            self.decision.event(event.reason(Reason::Pressure).source(self.packet.source));
        }
    }

    fn punish(&mut self, rule: RuleId) {
        let offence = Offence {
            key: self.sender.lock(),
            scope: BlockScope::Address(self.sender.addr),
            reason: Reason::PacketRate,
            account: pbx_core::Label::EMPTY,
            proved: self.packet.source.transport().proves_address(),
            term: Term::Escalate,
        };
        let punished = self.state.punish(&self.sender, &offence, self.rules.defence.ladder(), self.now);
        self.decision.retry_after = punished.block.until.map(|until| until.since(self.now.mono));
        if !punished.holds {
            // Without room for a block the full counter refuses the rest; telling it each time helps nobody.
            self.tell_pressure();
            return;
        }
        let event = SecurityEvent::new(EventKind::AutoDefenceBlocked, self.now.wall)
            .reason(Reason::PacketRate)
            .rule(Some(rule))
            .source(self.packet.source)
            .until(punished.block.until.map(|until| self.now.wall_at(until)));
        self.decision.event(event);
        punished.note(&mut self.decision, self.packet.source, self.now);
    }

    fn default_policy(&mut self) {
        let rule = Some(RuleId::new(RuleKind::Default, 0));
        if self.rules.firewall.drops_all() {
            self.refuse(StepKind::DefaultPolicy, Verdict::Drop, Reason::DropAll, rule);
        } else {
            self.accept(StepKind::DefaultPolicy, Reason::Allowed, rule);
        }
    }

    fn pass(&mut self, kind: StepKind) -> bool {
        self.decision.step(kind, None, StepResult::NoMatch);
        false
    }

    fn accept(&mut self, kind: StepKind, reason: Reason, rule: Option<RuleId>) -> bool {
        self.decision.step(kind, rule, StepResult::Matched);
        self.decision.reason = reason;
        self.decision.rule = rule;
        true
    }

    fn refuse(&mut self, kind: StepKind, verdict: Verdict, reason: Reason, rule: Option<RuleId>) -> bool {
        self.decision.step(kind, rule, StepResult::Refused(reason));
        self.decision.verdict = verdict;
        self.decision.reason = reason;
        self.decision.rule = rule;
        true
    }
}
