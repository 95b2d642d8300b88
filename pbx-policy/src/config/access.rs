//! Registration, logins, remote access, and the size of the state.

use serde::{Deserialize, Serialize};

use super::{Penalty, Period};

/// How many failures in which time cause which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Threshold {
    /// The failure with this number creates the block: 1 to 64.
    pub failures: u32,
    /// The time within which they count.
    pub within: Period,
    /// How long the block lasts.
    pub block: Penalty,
    /// Where the counter begins when the block has ended, below `failures`: an offender who was blocked within
    /// `network.escalation.within` gets fewer tries than others. 0 for a fresh start.
    #[serde(default)]
    pub restart_at: u32,
}

impl Threshold {
    /// `failures` within `within` are answered with `block`.
    #[must_use]
    pub const fn new(failures: u32, within: Period, block: Penalty) -> Self {
        Self { failures, within, block, restart_at: 0 }
    }
}

const DAY: Penalty = Penalty::For(Period::hours(24));

/// Lockout after failed registrations (C1, spec 2.2) and what all extensions share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RegistrationConfig {
    /// Wrong credentials for one extension from one source: locks that source out of that extension.
    pub pair: Threshold,
    /// Different names that failed from one source, at most 16: blocks the source.
    pub distinct_users: Threshold,
    /// Failures of any kind from one source: blocks the source.
    pub address: Threshold,
    /// Names that do not exist, tried from one source: blocks the source.
    pub unknown_user: Threshold,
    /// What happens to sources that the address list of the extension does not permit (C6).
    pub address_refusal: AddressRefusal,
}

impl Default for RegistrationConfig {
    fn default() -> Self {
        Self {
            pair: Threshold::new(10, Period::minutes(5), DAY),
            distinct_users: Threshold::new(5, Period::minutes(10), DAY),
            address: Threshold::new(30, Period::hours(1), Penalty::Escalate),
            unknown_user: Threshold::new(5, Period::minutes(10), DAY),
            address_refusal: AddressRefusal::Drop,
        }
    }
}

/// What happens to sources that an address list does not permit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum AddressRefusal {
    /// They get no answer.
    #[default]
    Drop,
    /// They get the answer that a wrong password gets.
    Reject,
}

/// Lockout after failed logins (D1, spec 2.5), and the same for PINs and codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LoginConfig {
    /// Failed logins from one source: pauses the source.
    pub address: Threshold,
    /// Failed or refused logins to one account from one source: locks that source out of that account.
    pub account: Threshold,
    /// Wrong second factors for one account, wherever they come from.
    pub second_factor: Threshold,
    /// Wrong outbound PINs of one extension.
    pub pin: Threshold,
    /// Wrong voicemail PINs for one mailbox from one source.
    pub voicemail: Threshold,
}

impl Default for LoginConfig {
    fn default() -> Self {
        let ten_minutes = Penalty::For(Period::minutes(10));
        Self {
            address: Threshold::new(5, Period::minutes(5), ten_minutes),
            account: Threshold::new(20, Period::hours(24), Penalty::Permanent),
            second_factor: Threshold::new(5, Period::minutes(10), ten_minutes),
            pin: Threshold::new(10, Period::hours(1), Penalty::For(Period::hours(1))),
            voicemail: Threshold::new(5, Period::minutes(10), ten_minutes),
        }
    }
}

/// The services that can be opened to remote networks (B2, C7, D8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ServicesConfig {
    /// SIP registration. The switch `registration.remote` of the extension counts as well: both must allow it.
    pub sip: AccessScope,
    /// The web interface.
    pub web: AccessScope,
    /// Unified-communications clients.
    pub client: AccessScope,
    /// The phone book.
    pub ldap: AccessScope,
    /// The programming interface.
    pub api: AccessScope,
}

/// Who may use a service from a remote network. Local networks are not concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AccessScope {
    /// Whether the accounts named here are the only ones that may, or the only ones that may not.
    pub access: AccessType,
    /// Accounts and extensions by name.
    pub extensions: Vec<String>,
    /// Extensions by group.
    pub groups: Vec<String>,
    /// Extensions by department.
    pub departments: Vec<String>,
    /// The remote sources it may be used from; empty for all of them.
    pub networks: Vec<String>,
}

/// How the accounts of an [`AccessScope`] are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum AccessType {
    /// Only those named; an empty list means nobody.
    Allowed,
    /// All but those named; an empty list means everybody.
    #[default]
    Restricted,
}

/// From where and with what an extension may register (C4 to C7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ExtensionAccess {
    /// How many devices may be registered at a time (C4): 1 to 20.
    pub devices: u32,
    /// What the User-Agent has to begin with (C5), letter case aside, or between slashes a regular expression that
    /// it has to match, e.g. `/^Yealink SIP-T4[0-9]/`; empty for any.
    pub user_agents: Vec<String>,
    /// The sources it may be used from (C6); empty for any.
    pub addresses: Vec<String>,
    /// Sources it may not be used from; they win over `addresses`.
    pub deny_addresses: Vec<String>,
    /// Whether it may be used from remote networks (C7).
    pub remote: bool,
}

impl Default for ExtensionAccess {
    fn default() -> Self {
        Self {
            devices: 1,
            user_agents: Vec::new(),
            addresses: Vec::new(),
            deny_addresses: Vec::new(),
            remote: false,
        }
    }
}

/// How many of each the fixed memory has room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StateConfig {
    /// Sources whose packets are counted at a time.
    pub sources: u32,
    /// Sources and pairs of source and account whose failures are counted at a time.
    pub offenders: u32,
    /// Entries of the blocked list.
    pub bans: u32,
    /// Live registrations.
    pub registrations: u32,
    /// Live calls.
    pub calls: u32,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self { sources: 131_072, offenders: 16_384, bans: 65_536, registrations: 8_192, calls: 4_096 }
    }
}
