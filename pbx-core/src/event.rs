//! What administrators are told.

use core::fmt;

use crate::id::{CallId, ExtensionId, Label, RuleId};
use crate::number::Number;
use crate::reason::Reason;
use crate::source::Source;
use crate::time::Wall;

/// How urgent an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Worth recording.
    Info,
    /// Worth a look.
    Warning,
    /// Worth waking somebody.
    Alert,
}

impl Level {
    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Alert => "alert",
        }
    }
}

/// The vendor's five categories of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Category {
    /// Logins and administration.
    Operations,
    /// Calls and trunks.
    Telephony,
    /// The machine.
    System,
    /// Attacks and blocks.
    Security,
    /// What should be done some day.
    Reminder,
}

impl Category {
    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Telephony => "telephony",
            Self::System => "system",
            Self::Security => "security",
            Self::Reminder => "reminder",
        }
    }
}

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal $category:ident $level:ident;)+) => {
        /// The kinds of events. Names are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim(),)+ }
            }

            /// Its category.
            #[must_use]
            pub const fn category(self) -> Category {
                match self { $(Self::$variant => Category::$category,)+ }
            }

            /// The level it has unless the administrator changes it.
            #[must_use]
            pub const fn default_level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)+ }
            }
        }
    };
}

events! {
    /// An address was locked out of an extension after failed registrations.
    RegistrationBlocked "extension_registration_blocked_out" Security Alert;
    /// An address was blocked after failed registrations under several or unknown names.
    AddressBlocked "address_blocked_out" Security Alert;
    /// An address was blocked because it sent too many packets.
    AutoDefenceBlocked "auto_defence_blocked" Security Alert;
    /// A network was blocked as a whole because many of its addresses are.
    NetworkBlocked "network_blocked" Security Alert;
    /// An address was locked out of a web login.
    WebUserBlocked "web_user_blocked_out" Security Alert;
    /// An address was locked out of a client login.
    ClientUserBlocked "client_user_blocked_out" Security Alert;
    /// An extension was locked out after wrong PINs.
    PinBlocked "pin_blocked_out" Security Alert;
    /// An address was locked out of the API.
    ApiBlocked "api_authentication_blocked_out" Security Alert;
    /// A table is full; strangers are held down by tighter limits.
    TablePressure "table_pressure" Security Alert;
    /// A threat feed is older than it may be; it stays in use.
    FeedStale "threat_feed_stale" Security Warning;
    /// A block ended.
    BlockEnded "block_ended" Security Info;
    /// A scanner was recognised.
    ScannerSeen "scanner_seen" Security Warning;
    /// A registration was refused by the address or User-Agent rules of the extension.
    RegistrationRefused "registration_refused" Security Warning;
    /// Credentials were presented a second time.
    CredentialReplay "credential_replay" Security Warning;
    /// An extension called more often than its rule allows.
    FrequencyExceeded "outbound_call_frequency_exceeded" Security Alert;
    /// A call to a country that is not allowed was refused.
    CallToBlockedCountry "call_to_blocked_country" Security Warning;
    /// A call was refused by a rule.
    CallRefused "call_refused" Telephony Info;
    /// An emergency number was called.
    EmergencyCall "emergency_call_dialed_out" Telephony Alert;
    /// A trunk or route had no free line.
    TrunkBusy "trunk_busy" Telephony Warning;
    /// A call reached its longest duration.
    DurationReached "call_duration_reached" Telephony Info;
    /// The civil clock jumped; penalties run on.
    ClockJumped "clock_jumped" System Warning;
    /// The rules were replaced.
    RulesReloaded "rules_reloaded" Operations Info;
}

/// One event: bounded, without secrets, with everything a notification needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityEvent {
    /// What happened.
    pub kind: EventKind,
    /// How urgent it is.
    pub level: Level,
    /// When.
    pub at: Wall,
    /// Why.
    pub reason: Option<Reason>,
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// Who sent it.
    pub source: Option<Source>,
    /// The name that was used, whether or not an account has it.
    pub account: Label,
    /// The extension that is responsible.
    pub extension: Option<ExtensionId>,
    /// The number that was called or that called.
    pub number: Option<Number>,
    /// The call.
    pub call: Option<CallId>,
    /// When what was caused ends; `None` when it does not end by itself or nothing was caused.
    pub until: Option<Wall>,
}

impl SecurityEvent {
    /// An event of its default level with nothing but a time.
    #[must_use]
    pub const fn new(kind: EventKind, at: Wall) -> Self {
        Self {
            kind,
            level: kind.default_level(),
            at,
            reason: None,
            rule: None,
            source: None,
            account: Label::EMPTY,
            extension: None,
            number: None,
            call: None,
            until: None,
        }
    }

    /// With the reason.
    #[must_use]
    pub const fn reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// With the rule that decided.
    #[must_use]
    pub const fn rule(mut self, rule: Option<RuleId>) -> Self {
        self.rule = rule;
        self
    }

    /// With the sender.
    #[must_use]
    pub const fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// With the name that was used.
    #[must_use]
    pub fn account(mut self, account: &str) -> Self {
        self.account = Label::new(account);
        self
    }

    /// With the responsible extension.
    #[must_use]
    pub const fn extension(mut self, extension: ExtensionId) -> Self {
        self.extension = Some(extension);
        self
    }

    /// With the number.
    #[must_use]
    pub const fn number(mut self, number: Number) -> Self {
        self.number = Some(number);
        self
    }

    /// With the call.
    #[must_use]
    pub const fn call(mut self, call: CallId) -> Self {
        self.call = Some(call);
        self
    }

    /// With the end of what was caused.
    #[must_use]
    pub const fn until(mut self, until: Option<Wall>) -> Self {
        self.until = until;
        self
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = EventKind::ALL.iter().map(|k| k.name()).collect();
        assert_eq!(names.len(), EventKind::ALL.len());
    }

    #[test]
    fn an_event_is_small_enough_to_hold_inline() {
        assert!(size_of::<SecurityEvent>() <= 256, "{}", size_of::<SecurityEvent>());
    }
}
