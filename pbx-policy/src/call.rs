//! A call as the caller of the SDK describes it, and what is decided about it.

use core::time::Duration;

use arrayvec::ArrayVec;
use pbx_core::{CallId, ExtensionId, Label, Number, RuleId, Source};

use crate::decision::Decision;

/// Most trunks that a decision names.
pub(crate) const TRUNKS: usize = 8;

/// What made the call. All of them are judged by the rights of the responsible extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// Somebody dialled it.
    #[default]
    Call,
    /// The extension forwards a call that it was to get.
    Forward,
    /// The extension transfers a call that it has.
    Transfer,
    /// The PBX calls back.
    Callback,
    /// A conference dials out.
    Conference,
    /// Somebody outside called in to call out. Such a call always needs a PIN.
    Disa,
    /// A program asked for it.
    Api,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Self; 7] =
        [Self::Call, Self::Forward, Self::Transfer, Self::Callback, Self::Conference, Self::Disa, Self::Api];

    /// The name used in input and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Forward => "forward",
            Self::Transfer => "transfer",
            Self::Callback => "callback",
            Self::Conference => "conference",
            Self::Disa => "disa",
            Self::Api => "api",
        }
    }
}

/// What is known of the PIN. The digits themselves never come here: whoever collected them had them verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing else to know")]
pub enum PinProof {
    /// None was given.
    #[default]
    None,
    /// One was given.
    Given {
        /// Whether it was right.
        proved: bool,
    },
}

/// A call that leaves.
///
/// ```
/// use pbx_core::CallId;
/// use pbx_policy::{OutboundCall, PinProof};
/// let call = OutboundCall::new(CallId(1), "1001".parse().unwrap(), "00442079460000");
/// let with_pin = call.pin(PinProof::Given { proved: true });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboundCall<'a> {
    /// The call.
    pub call: CallId,
    /// The extension whose rights count: who dialled, or who forwards, transfers or was called back.
    pub extension: ExtensionId,
    /// What was dialled, as it was received.
    pub dialled: &'a str,
    /// What made the call.
    pub origin: Origin,
    /// What is known of the PIN.
    pub pin: PinProof,
    /// Where the request came from.
    pub source: Option<Source>,
}

impl<'a> OutboundCall<'a> {
    /// A call that somebody dialled.
    #[must_use]
    pub const fn new(call: CallId, extension: ExtensionId, dialled: &'a str) -> Self {
        Self { call, extension, dialled, origin: Origin::Call, pin: PinProof::None, source: None }
    }

    /// Made by something else.
    #[must_use]
    pub const fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// With what is known of the PIN.
    #[must_use]
    pub const fn pin(mut self, pin: PinProof) -> Self {
        self.pin = pin;
        self
    }

    /// From there.
    #[must_use]
    pub const fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }
}

/// A call that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboundCall<'a> {
    /// The call.
    pub call: CallId,
    /// The trunk it came over, by name; `None` for a source that is neither a trunk nor an authenticated extension.
    pub trunk: Option<&'a str>,
    /// The number that calls: the user part of From, as it was received; empty when there is none.
    pub from: &'a str,
    /// The number that is called.
    pub to: &'a str,
    /// The value of the Privacy header (RFC 3323); empty when there is none.
    pub privacy: &'a str,
    /// Where the request came from.
    pub source: Option<Source>,
}

impl<'a> InboundCall<'a> {
    /// A call over a trunk.
    #[must_use]
    pub const fn new(call: CallId, trunk: &'a str, from: &'a str, to: &'a str) -> Self {
        Self { call, trunk: Some(trunk), from, to, privacy: "", source: None }
    }

    /// A call from a source that nobody knows.
    #[must_use]
    pub const fn unknown(call: CallId, from: &'a str, to: &'a str) -> Self {
        Self { call, trunk: None, from, to, privacy: "", source: None }
    }

    /// With the value of the Privacy header.
    #[must_use]
    pub const fn privacy(mut self, privacy: &'a str) -> Self {
        self.privacy = privacy;
        self
    }

    /// From there.
    #[must_use]
    pub const fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }
}

/// A call to decide about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallRequest<'a> {
    /// It leaves.
    Outbound(OutboundCall<'a>),
    /// It comes in.
    Inbound(InboundCall<'a>),
}

impl<'a> From<OutboundCall<'a>> for CallRequest<'a> {
    fn from(call: OutboundCall<'a>) -> Self {
        Self::Outbound(call)
    }
}

impl<'a> From<InboundCall<'a>> for CallRequest<'a> {
    fn from(call: InboundCall<'a>) -> Self {
        Self::Inbound(call)
    }
}

/// What happened to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEvent {
    /// It was answered: its time runs.
    Answered,
    /// It is still there.
    Alive,
    /// Somebody else is responsible for it now.
    Transferred {
        /// Who.
        extension: ExtensionId,
    },
    /// The trunk did not take it.
    Failed {
        /// What the trunk answered; 408 when it did not.
        sip_status: u16,
    },
    /// It is over.
    Ended,
}

/// What is decided about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallDecision {
    /// Verdict, reason and trace.
    pub decision: Decision,
    /// The number that is called, in its international form where it has one.
    pub number: Option<Number>,
    /// The route.
    pub route: Option<RuleId>,
    /// The trunks to offer the call to, in order. The first one has a line kept for it.
    pub trunks: ArrayVec<TrunkChoice, TRUNKS>,
    /// The extension that a call that comes in is for.
    pub destination: Option<ExtensionId>,
    /// How long it may last from its answer; `None` for any time.
    pub max_duration: Option<Duration>,
    /// How long after its answer the warning tone is due.
    pub warn_at: Option<Duration>,
    /// Whether an emergency number is called: nothing may stop such a call.
    pub emergency: bool,
}

impl CallDecision {
    pub(crate) const fn new(decision: Decision) -> Self {
        Self {
            decision,
            number: None,
            route: None,
            trunks: ArrayVec::new_const(),
            destination: None,
            max_duration: None,
            warn_at: None,
            emergency: false,
        }
    }
}

/// A trunk with what it is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what an INVITE to a trunk needs")]
pub struct TrunkChoice {
    /// The trunk.
    pub trunk: RuleId,
    /// The number as the trunk gets it.
    pub number: Number,
    /// The caller ID to show; empty for none, `anonymous` to withhold it.
    pub caller_id: Label,
}
