//! Extensions, trunks, routes and everything else a call meets.

use serde::{Deserialize, Serialize};

use super::access::ExtensionAccess;

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
    /// Whether it exists for the outside: a disabled one neither registers nor calls.
    pub enabled: bool,
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
            registration: ExtensionAccess::default(),
        }
    }
}

macro_rules! empty {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
            #[non_exhaustive]
            pub struct $name {}
        )+
    };
}

empty! {
    /// A trunk to a provider.
    TrunkConfig;
    /// An outbound route.
    RouteConfig;
    /// An emergency number.
    EmergencyConfig;
    /// International calls.
    InternationalConfig;
    /// A list of blocked or allowed numbers.
    NumberListConfig;
    /// A call frequency rule.
    FrequencyConfig;
    /// Time zone, business hours and holidays.
    TimeConfig;
    /// What dialled digits mean before any route is looked at.
    DiallingConfig;
}
