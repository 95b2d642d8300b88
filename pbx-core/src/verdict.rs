//! What a decision says.

use core::fmt;

/// What to do with what was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Let it through.
    Allow,
    /// Ask for proof first, then ask again with the proof.
    Challenge(Challenge),
    /// Refuse and tell the sender.
    Reject,
    /// Refuse in silence.
    Drop,
    /// A live call may go on.
    Continue,
    /// A live call may go on; play the warning tone now.
    Warn,
    /// End the live call.
    Cut,
}

/// Which proof is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Challenge {
    /// SIP digest (RFC 8760).
    Digest,
    /// A PIN, collected as digits.
    Pin,
    /// A second factor.
    SecondFactor,
}

impl Verdict {
    /// Whether what was asked about goes on.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allow | Self::Continue | Self::Warn)
    }

    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Challenge(_) => "challenge",
            Self::Reject => "reject",
            Self::Drop => "drop",
            Self::Continue => "continue",
            Self::Warn => "warn",
            Self::Cut => "cut",
        }
    }
}

impl Challenge {
    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Pin => "pin",
            Self::SecondFactor => "second_factor",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of the layers of defence decided (A10), outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// The PBX itself.
    System,
    /// Addresses and packets.
    Network,
    /// Registration of endpoints.
    Registration,
    /// Logins, PINs and codes.
    Login,
    /// Calls that leave.
    Outbound,
    /// Calls that come in.
    Inbound,
    /// What is done once something went wrong.
    Contingency,
}

impl Layer {
    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Network => "network",
            Self::Registration => "registration",
            Self::Login => "login",
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::Contingency => "contingency",
        }
    }
}
