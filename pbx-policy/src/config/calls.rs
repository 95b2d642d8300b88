//! Extensions, trunks, routes and emergency numbers: who may call, and over what.

use serde::{Deserialize, Serialize};

use super::Period;
use super::access::ExtensionAccess;
use crate::pattern::Dialect;

/// An extension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ExtensionConfig {
    /// Its number, which is also the name of its account: 1 to 31 of `A-Z a-z 0-9 _ . + * # -`.
    pub number: String,
    /// The name shown for it.
    pub name: String,
    /// The groups it belongs to.
    pub groups: Vec<String>,
    /// The department it belongs to; empty for none.
    pub department: String,
    /// Whether it exists for the outside: a disabled one neither registers nor calls. Emergency calls always pass.
    pub enabled: bool,
    /// Whether it may make outbound calls (E5).
    pub outbound: bool,
    /// Whether it may make outbound calls outside business hours and on holidays (E6).
    pub outbound_outside_hours: bool,
    /// Whether it may make international calls (E7), whether or not the protection by country is on.
    pub international: bool,
    /// How many outbound calls it may have at a time (E13), at most 255; 0 for any number.
    pub max_calls: u32,
    /// How long an outbound call may last (E12); `0s` for what `dialling.max_duration` says.
    pub max_duration: Period,
    /// The call frequency rules that apply to it (E10), by name; all of them hold. Without this key it is the rule
    /// `default`: 5 calls in 1 s unless a rule of that name says otherwise.
    pub frequency: Option<Vec<String>>,
    /// The schedule whose hours are its business hours, by name; empty for the hours of `[time]`.
    pub schedule: String,
    /// The caller ID of its outbound calls; empty for that of the trunk.
    pub caller_id: String,
    /// The caller ID of its emergency calls.
    pub emergency_caller_id: String,
    /// The numbers under which it is reached from outside, as trunks deliver them.
    pub direct_numbers: Vec<String>,
    /// What happens to callers who withhold their number (F1); without this key what the trunk says.
    pub anonymous: Option<AnonymousCallers>,
    /// From where and with what it may register.
    pub registration: ExtensionAccess,
}

impl Default for ExtensionConfig {
    fn default() -> Self {
        Self {
            number: String::new(),
            name: String::new(),
            groups: Vec::new(),
            department: String::new(),
            enabled: true,
            outbound: true,
            outbound_outside_hours: true,
            international: true,
            max_calls: 0,
            max_duration: Period::default(),
            frequency: None,
            schedule: String::new(),
            caller_id: String::new(),
            emergency_caller_id: String::new(),
            direct_numbers: Vec::new(),
            anonymous: None,
            registration: ExtensionAccess::default(),
        }
    }
}

/// Which calls of a trunk its limit counts (E11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum CallRestriction {
    /// None: there is no limit.
    None,
    /// Those that leave.
    #[default]
    Outbound,
    /// Those that come in.
    Inbound,
    /// Both together.
    Both,
}

/// A trunk to a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TrunkConfig {
    /// Its name: 1 to 63 characters without blanks, unique.
    pub name: String,
    /// Host and port of the provider, e.g. `sip.example.net:5061`.
    pub address: String,
    /// Whether calls may use it.
    pub enabled: bool,
    /// How many calls it may carry at a time (E11), at most 2000; 0 for any number. Emergency calls are not counted
    /// against it.
    pub max_calls: u32,
    /// Which calls count.
    pub restriction: CallRestriction,
    /// The caller ID of calls that bring none.
    pub caller_id: String,
    /// Whether the provider takes a bare number such as `4420…` for an international one: then every number sent
    /// to it is checked as such.
    pub treat_bare_e164: bool,
    /// International prefixes that this provider understands beside those of `[international]`.
    pub international_prefixes: Vec<String>,
    /// What happens to callers who withhold their number (F1); without this key what `[inbound]` says.
    pub anonymous: Option<AnonymousCallers>,
    /// The extension that gets calls to numbers nobody has; empty to refuse them.
    pub destination: String,
}

impl Default for TrunkConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            address: String::new(),
            enabled: true,
            max_calls: 0,
            restriction: CallRestriction::Outbound,
            caller_id: String::new(),
            treat_bare_e164: false,
            international_prefixes: Vec::new(),
            anonymous: None,
            destination: String::new(),
        }
    }
}

/// An outbound route (E1 to E4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RouteConfig {
    /// Its name: 1 to 63 characters without blanks, unique.
    pub name: String,
    /// Whether calls may use it.
    pub enabled: bool,
    /// What is dialled for it, and how the number is rewritten.
    #[serde(rename = "pattern")]
    pub patterns: Vec<DialPattern>,
    /// Whether the most specific of its patterns decides how the number is rewritten, not the first in the list.
    pub most_specific: bool,
    /// The trunks, in the order they are tried.
    pub trunks: Vec<String>,
    /// Whether each call begins with the trunk after the one used last (`rrmemory`).
    pub memory_hunt: bool,
    /// Whether every extension may use it. If not, those of the three lists below may and nobody else.
    pub everyone: bool,
    /// Extensions that may use it.
    pub extensions: Vec<String>,
    /// Groups whose extensions may use it.
    pub groups: Vec<String>,
    /// Departments whose extensions may use it.
    pub departments: Vec<String>,
    /// The PIN or list of PINs a caller must know (E2, E3), by its name in the PIN store; empty for none.
    pub pin: String,
    /// When it may be used (E4): `always`, `business`, or the name of a schedule, in whose hours.
    pub time: String,
    /// The caller ID of its calls, which wins over that of the extension.
    pub caller_id: String,
    /// How long its calls may last at most; `0s` for no limit of its own.
    pub max_duration: Period,
}

impl Default for RouteConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            enabled: true,
            patterns: vec![DialPattern::default()],
            most_specific: false,
            trunks: Vec::new(),
            memory_hunt: false,
            everyone: false,
            extensions: Vec::new(),
            groups: Vec::new(),
            departments: Vec::new(),
            pin: String::new(),
            time: "always".to_owned(),
            caller_id: String::new(),
            max_duration: Period::default(),
        }
    }
}

/// What is dialled, and how it is rewritten: `strip` first, then `prepend`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DialPattern {
    /// The pattern of the dialled number.
    pub pattern: String,
    /// How many characters are removed in front: 0 to 16.
    pub strip: u8,
    /// What is put in front.
    pub prepend: String,
}

impl Default for DialPattern {
    fn default() -> Self {
        Self { pattern: "X.".to_owned(), strip: 0, prepend: String::new() }
    }
}

/// An emergency number: calls to it pass whatever else is configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EmergencyConfig {
    /// Its name: 1 to 63 characters, unique.
    pub name: String,
    /// The number, e.g. `112`. It is found behind an access prefix of `[dialling]` as well.
    pub number: String,
    /// The trunks, in the order they are tried.
    #[serde(rename = "trunk")]
    pub trunks: Vec<EmergencyTrunk>,
    /// Whose emergency caller ID comes first.
    pub caller_id: EmergencyCallerId,
}

/// A trunk for emergency calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EmergencyTrunk {
    /// The trunk, by name.
    pub trunk: String,
    /// The caller ID that tells the emergency centre where the caller is.
    pub caller_id: String,
    /// How many characters are removed in front: 0 to 16.
    pub strip: u8,
    /// What is put in front.
    pub prepend: String,
}

/// Whose emergency caller ID comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum EmergencyCallerId {
    /// That of the trunk.
    #[default]
    EmergencyFirst,
    /// That of the extension.
    ExtensionFirst,
}

/// What happens to callers who withhold their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum AnonymousCallers {
    /// They come through.
    #[default]
    Allow,
    /// They are told to show their number (433, RFC 5079).
    Reject,
}

/// What happens to calls from sources that are neither a trunk nor an authenticated extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum UnknownCallers {
    /// They are asked for credentials like anybody, and learn nothing.
    #[default]
    Challenge,
    /// They are refused.
    Reject,
    /// They get no answer.
    Drop,
}

/// Calls that come in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct InboundConfig {
    /// What happens to calls from unknown sources.
    pub unknown: UnknownCallers,
    /// What happens to callers who withhold their number (F1), where neither extension nor trunk says.
    pub anonymous: AnonymousCallers,
}

/// What happens when a route matches a number but may not be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum RouteFallthrough {
    /// The next route is looked at.
    #[default]
    SkipIneligible,
    /// The call is refused.
    FirstPatternMatchFinal,
}

/// What dialled digits mean before any route is looked at, and how long calls last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DiallingConfig {
    /// Which family's rules patterns are read by.
    pub dialect: Dialect,
    /// Prefixes that people dial for an outside line: emergency numbers are found behind them, too.
    pub access_prefixes: Vec<String>,
    /// Patterns of feature codes, which are no outbound calls.
    pub feature_codes: Vec<String>,
    /// What happens when a route matches but may not be used.
    pub fallthrough: RouteFallthrough,
    /// How long a call may last (E12); `0s` for any time.
    pub max_duration: Period,
    /// Whether an extension's own limit may only be shorter than `max_duration`, not longer.
    pub cap_by_global: bool,
    /// How long before the end the warning tone is played; `0s` for none.
    pub warn_before: Period,
    /// How long a call counts as alive after the last sign of life: 1min to 24h.
    pub alive_for: Period,
}

impl Default for DiallingConfig {
    fn default() -> Self {
        Self {
            dialect: Dialect::Yeastar,
            access_prefixes: Vec::new(),
            feature_codes: Vec::new(),
            fallthrough: RouteFallthrough::SkipIneligible,
            max_duration: Period::secs(10_800),
            cap_by_global: false,
            warn_before: Period::minutes(1),
            alive_for: Period::minutes(10),
        }
    }
}

/// A call frequency rule (E10).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct FrequencyConfig {
    /// Its name: 1 to 127 characters, unique.
    pub name: String,
    /// Its restrictions; all of them hold.
    #[serde(rename = "limit")]
    pub limits: Vec<CallLimit>,
    /// What happens to the extension that exceeds one.
    pub on_exceed: OnExceed,
    /// How long the extension is locked with `on_exceed = "lock"`; `0s` until an administrator unlocks it.
    pub lock_for: Period,
}

/// So many calls in so much time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CallLimit {
    /// How many calls pass: 0 to 99999. The next one exceeds. Up to 64 are counted exactly; of more as many pass at
    /// once, and after them never more than the rule says, but possibly fewer.
    pub calls: u32,
    /// In which time: 1s to 99999min.
    pub within: Period,
}

/// What happens to an extension that calls too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum OnExceed {
    /// Its outbound calls are locked.
    #[default]
    Lock,
    /// The one call is refused.
    Deny,
}
