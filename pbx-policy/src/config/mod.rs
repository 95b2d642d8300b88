//! What an administrator writes.
//!
//! The types carry the file's keys one to one, with the defaults of every key. References between them are
//! names; [`Rules::compile`](crate::Rules::compile) checks them all and reports every mistake with its path.

mod access;
mod calls;
mod duration;
mod network;
mod numbers;
mod time;

use serde::{Deserialize, Serialize};

pub use access::*;
pub use calls::*;
pub use duration::{Penalty, PenaltyError, Period, PeriodError};
pub use network::*;
pub use numbers::*;
pub use time::*;

/// The whole policy. Every key has a default, so that an empty file is a valid, closed configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Config {
    /// Who may send packets at all: networks, static rules, automatic defence, countries, feeds.
    pub network: NetworkConfig,
    /// Registration of endpoints: when failures lock an address out.
    pub registration: RegistrationConfig,
    /// Logins, PINs and codes: when failures lock an address out.
    pub login: LoginConfig,
    /// Which accounts may use which service from remote networks.
    pub services: ServicesConfig,
    /// How much state is kept. Sizes are fixed once the state exists.
    pub state: StateConfig,
    /// The extensions.
    #[serde(rename = "extension")]
    pub extensions: Vec<ExtensionConfig>,
    /// The trunks to providers.
    #[serde(rename = "trunk")]
    pub trunks: Vec<TrunkConfig>,
    /// The outbound routes, in the order they are tried.
    #[serde(rename = "route")]
    pub routes: Vec<RouteConfig>,
    /// The emergency numbers.
    #[serde(rename = "emergency")]
    pub emergencies: Vec<EmergencyConfig>,
    /// International calls.
    pub international: InternationalConfig,
    /// Calls that come in.
    pub inbound: InboundConfig,
    /// Lists of blocked and allowed numbers.
    #[serde(rename = "number_list")]
    pub number_lists: Vec<NumberListConfig>,
    /// Call frequency rules, attached to extensions by name.
    #[serde(rename = "frequency")]
    pub frequencies: Vec<FrequencyConfig>,
    /// Time zone, business hours and holidays.
    pub time: TimeConfig,
    /// What dialled digits mean before any route is looked at.
    pub dialling: DiallingConfig,
}
