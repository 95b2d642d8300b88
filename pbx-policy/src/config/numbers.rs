//! Numbers and countries: where may be called, and who may call in.

use serde::{Deserialize, Serialize};

/// International calls (E7, E8).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct InternationalConfig {
    /// Whether only the countries of `allowed` may be called. Off, this section restricts nobody; the switch
    /// `international` of an extension holds all the same.
    pub enabled: bool,
    /// The prefixes that begin an international number, e.g. `00` or `011`; a `+` always does.
    pub prefixes: Vec<String>,
    /// The country the system stands in, as ISO 3166-1 code. Calls to it are not international.
    pub home: String,
    /// What stands before a national number with area code, e.g. `0` or `1`: with it national numbers are looked
    /// up as well, so that premium numbers and islands that share the country code are found.
    pub national_prefix: String,
    /// The countries that may be called, as ISO 3166-1 codes such as `DE`. `home` is always among them.
    pub allowed: Vec<String>,
    /// Lets premium-rate numbers of allowed countries pass.
    pub danger_allow_premium: bool,
    /// Lets satellite, international-network and shared-cost numbers (+800, +87x, +88x, +979) pass.
    pub danger_allow_special: bool,
    /// The PIN or list of PINs that every international call asks for (E3), by its name in the PIN store; empty for
    /// none.
    pub pin: String,
}

impl Default for InternationalConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            prefixes: vec!["00".to_owned()],
            home: String::new(),
            national_prefix: String::new(),
            allowed: Vec::new(),
            danger_allow_premium: false,
            danger_allow_special: false,
            pin: String::new(),
        }
    }
}

/// What a list of numbers does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum ListAction {
    /// Calls are refused.
    #[default]
    Block,
    /// Exceptions: calls pass the lists that block.
    Allow,
}

/// Which calls a list of numbers concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Direction {
    /// By the number that calls.
    #[default]
    Inbound,
    /// By the number that is called.
    Outbound,
    /// Both.
    Both,
}

/// A list of blocked or allowed numbers (E9, F2). Internal calls and emergency calls are not concerned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct NumberListConfig {
    /// Its name: 1 to 127 characters, unique.
    pub name: String,
    /// What it does. Allowed beats blocked.
    pub action: ListAction,
    /// Which calls it concerns.
    pub direction: Direction,
    /// Numbers and patterns of numbers.
    pub numbers: Vec<String>,
    /// The extensions it concerns; with `groups` and `departments` empty as well: all.
    pub extensions: Vec<String>,
    /// Groups whose extensions it concerns.
    pub groups: Vec<String>,
    /// Departments whose extensions it concerns.
    pub departments: Vec<String>,
}
