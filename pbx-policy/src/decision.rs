//! What a moment answers: bounded, inline, no text.

use arrayvec::ArrayVec;
use core::time::Duration;

use pbx_core::{AddrKey, Challenge, ExtensionId, Label, Layer, Mono, Reason, RuleId, SecurityEvent, Verdict};

use crate::rules::PolicyVersion;

/// Most steps a decision remembers; the fixed pipelines are shorter.
pub(crate) const STEPS: usize = 24;

/// The answer of a moment, for the caller and for the audit log. What the sender of the request may be told
/// is the status in [`Decision::sip_status`] and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// What to do.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// After how long asking again can have another answer.
    pub retry_after: Option<Duration>,
    /// What administrators are to be told.
    pub events: ArrayVec<SecurityEvent, 2>,
    /// The block that this decision created.
    pub block: Option<Block>,
    /// The steps that led here, in order.
    pub trace: ArrayVec<Step, STEPS>,
    /// Which rules decided.
    pub policy: PolicyVersion,
}

impl Decision {
    /// A decision without steps, events or blocks.
    #[must_use]
    pub fn new(verdict: Verdict, reason: Reason, policy: PolicyVersion) -> Self {
        Self {
            verdict,
            reason,
            rule: None,
            retry_after: None,
            events: ArrayVec::new(),
            block: None,
            trace: ArrayVec::new(),
            policy,
        }
    }

    /// The SIP status to answer with; `None` when nothing is to be refused.
    ///
    /// It says no more than the sender may know: whatever was wrong with an answered challenge, the status is
    /// the one that a wrong password gets (spec 2.4).
    #[must_use]
    pub const fn sip_status(&self) -> Option<u16> {
        match (self.verdict, self.reason.sip_status()) {
            (Verdict::Reject, Some(401)) => Some(403),
            (Verdict::Reject | Verdict::Challenge(_), status) => status,
            _ => None,
        }
    }

    /// What the sender is answered, and nothing else.
    #[must_use]
    pub fn wire(&self) -> Wire {
        match self.verdict {
            Verdict::Allow | Verdict::Continue | Verdict::Warn => Wire::Proceed,
            Verdict::Challenge(challenge) => Wire::Challenge(challenge),
            Verdict::Reject => self.refusal(),
            // A verdict that is not known here must not let anything through.
            _ => Wire::Silence,
        }
    }

    fn refusal(&self) -> Wire {
        match self.sip_status().unwrap_or(403) {
            503 => Wire::Busy { retry_after: self.retry_after.unwrap_or(Duration::from_secs(1)) },
            status => Wire::Refuse(status),
        }
    }

    /// The layer that decided (A10).
    #[must_use]
    pub const fn layer(&self) -> Layer {
        self.reason.layer()
    }

    /// Notes a step; steps beyond the bound are dropped.
    pub fn step(&mut self, kind: StepKind, rule: Option<RuleId>, result: StepResult) {
        let _ = self.trace.try_push(Step { kind, rule, result });
    }

    /// Notes an event; events beyond the bound are dropped.
    pub fn event(&mut self, event: SecurityEvent) {
        let _ = self.events.try_push(event);
    }
}

/// What goes on the wire. It is made from a [`Decision`] and carries no reason, so that the reason cannot
/// reach an attacker by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// Go on; there is nothing to refuse.
    Proceed,
    /// Ask for proof.
    Challenge(Challenge),
    /// Refuse with this SIP status.
    Refuse(u16),
    /// Ask to come back later: 503 with Retry-After.
    Busy {
        /// After how long.
        retry_after: Duration,
    },
    /// No answer.
    Silence,
}

/// One step on the way to a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was looked at.
    pub kind: StepKind,
    /// The rule that spoke there.
    pub rule: Option<RuleId>,
    /// What it said.
    pub result: StepResult,
}

/// What a step said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepResult {
    /// Nothing applied; on to the next step.
    NoMatch,
    /// A rule matched and let it pass to the next step.
    Passed,
    /// A rule matched and ended the decision with a yes.
    Matched,
    /// A rule ended the decision with a no, or (for a near miss) would have.
    Refused(Reason),
    /// The step was left out because an earlier one said so.
    Skipped,
}

impl StepResult {
    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoMatch => "no match",
            Self::Passed => "passed",
            Self::Matched => "matched",
            Self::Refused(reason) => reason.name(),
            Self::Skipped => "skipped",
        }
    }
}

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal;)+) => {
        /// What a step looks at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum StepKind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl StepKind {
            /// The name used in output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

steps! {
    /// Loopback and the administrator's own session.
    Management "management";
    /// Static rules (B5).
    StaticRules "static_rules";
    /// Allowed addresses, provisioned phones, live registrations.
    Allowed "allowed";
    /// The blocked list (B9).
    BlockedList "blocked_list";
    /// Threat feeds (B3).
    ThreatFeed "threat_feed";
    /// The country of the address (B4).
    SourceCountry "source_country";
    /// Automatic defence (B6).
    AutoDefence "auto_defence";
    /// The default policy (B10).
    DefaultPolicy "default_policy";
    /// Whether this pair of address and account is locked.
    LockedPair "locked_pair";
    /// Whether the account may be used from a remote network.
    RemoteAccess "remote_access";
    /// The addresses the account may be used from (C6).
    AddressList "address_list";
    /// The User-Agent the account may be used with (C5).
    UserAgent "user_agent";
    /// Tries that are left.
    Tries "tries";
    /// The outcome of the check of the credentials.
    Credentials "credentials";
    /// How many devices are registered (C4).
    Devices "devices";
    /// Emergency numbers.
    Emergency "emergency";
    /// The form of the number.
    Normalise "normalise";
    /// Internal extensions and feature codes.
    Internal "internal";
    /// The extension and its switches (E5).
    Extension "extension";
    /// Business hours (E6).
    BusinessHours "business_hours";
    /// Lists of allowed numbers.
    AllowedNumbers "allowed_numbers";
    /// Lists of blocked numbers (E9).
    BlockedNumbers "blocked_numbers";
    /// Outbound routes (E1, E4).
    Route "route";
    /// The number as a trunk gets it.
    Transform "transform";
    /// International class and country (E7, E8).
    International "international";
    /// Calls of one extension at a time (E13).
    UserConcurrency "user_concurrency";
    /// Quotas.
    Quota "quota";
    /// The PIN (E2, E3).
    Pin "pin";
    /// Call frequency (E10).
    Frequency "frequency";
    /// The choice of a trunk (E11).
    Trunk "trunk";
    /// The caller's identity (F1).
    CallerId "caller_id";
    /// Where an inbound call goes.
    Destination "destination";
    /// How long the call may last (E12).
    Duration "duration";
}

/// An entry of the blocked list (B9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// What is blocked.
    pub scope: BlockScope,
    /// Why.
    pub reason: Reason,
    /// When it began.
    pub since: Mono,
    /// When it ends; `None` is permanent.
    pub until: Option<Mono>,
    /// The name that was attacked, where it is an account.
    pub account: Label,
}

/// What a block covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockScope {
    /// Everything from an address or network.
    Address(AddrKey),
    /// One account from one address; the account stays usable from elsewhere.
    Pair(AddrKey),
    /// Outbound calls of an extension.
    Outbound(ExtensionId),
    /// Every login from an address; its packets pass.
    Logins(AddrKey),
    /// One account from everywhere: somebody holds its password and guesses the rest.
    Account,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_answered_challenges_are_alike_on_the_wire() {
        let wire = |reason| Decision::new(Verdict::Reject, reason, PolicyVersion::default()).wire();
        for reason in [
            Reason::BadCredentials,
            Reason::MalformedCredentials,
            Reason::UnknownAccount,
            Reason::AccountDisabled,
            Reason::Replay,
            Reason::PairLocked,
            Reason::RemoteNotAllowed,
            Reason::AddressNotPermitted,
            Reason::UserAgentNotPermitted,
            Reason::TooManyDevices,
        ] {
            assert_eq!(wire(reason), Wire::Refuse(403), "{reason}");
        }
    }

    #[test]
    fn what_is_dropped_says_nothing_and_what_is_busy_says_when() {
        let mut decision = Decision::new(Verdict::Drop, Reason::Blocked, PolicyVersion::default());
        assert_eq!((decision.wire(), decision.sip_status()), (Wire::Silence, None));
        decision.verdict = Verdict::Reject;
        decision.reason = Reason::TriesInFlight;
        decision.retry_after = Some(Duration::from_secs(7));
        assert_eq!(decision.wire(), Wire::Busy { retry_after: Duration::from_secs(7) });
        let ask = Decision::new(
            Verdict::Challenge(Challenge::Digest),
            Reason::ProofRequired,
            PolicyVersion::default(),
        );
        assert_eq!((ask.wire(), ask.sip_status()), (Wire::Challenge(Challenge::Digest), Some(401)));
    }

    #[test]
    fn the_bounds_hold() {
        let mut decision = Decision::new(Verdict::Allow, Reason::Allowed, PolicyVersion::default());
        (0..100).for_each(|_| decision.step(StepKind::Pin, None, StepResult::NoMatch));
        assert_eq!(decision.trace.len(), STEPS);
    }
}
