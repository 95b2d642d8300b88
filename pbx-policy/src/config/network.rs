//! Who may send packets at all.

use pbx_core::Service;
use serde::{Deserialize, Serialize};

use super::{Penalty, Period};

/// Networks, static rules, automatic defence, countries and feeds (features B3 to B11).
///
/// Sources are written as an address (`203.0.113.7`), a network (`203.0.113.0/24`), a network with a mask
/// (`203.0.113.0/255.255.255.0`) or the first and last address (`203.0.113.5-203.0.113.9`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct NetworkConfig {
    /// Sources that are the machine itself or a management console: nothing ever stops their packets.
    pub management: Vec<String>,
    /// Addresses that administrators work from. Rules that would lock them out are refused.
    pub admin: Vec<String>,
    /// The local networks. Accepted after the static rules; everything else is remote.
    pub lan: Vec<String>,
    /// Virtual private networks of the operator. Accepted like the local ones.
    pub vpn: Vec<String>,
    /// Host names that lead through a tunnel: who asks for one of them is remote, whatever its address.
    pub tunnel_hosts: Vec<String>,
    /// Sources that nothing automatic blocks (B7).
    pub allowed: Vec<String>,
    /// What happens to packets that no rule speaks about (B10).
    pub default: DefaultAction,
    /// The port that each service listens on, for rules that name a service.
    pub ports: PortsConfig,
    /// Static rules; the first that matches decides (B5).
    #[serde(rename = "rule")]
    pub rules: Vec<StaticRuleConfig>,
    /// Automatic defence: sources that send too much are blocked (B6).
    pub auto_defence: Vec<AutoDefenceConfig>,
    /// How long sources are blocked that offend again.
    pub escalation: EscalationConfig,
    /// Protection by the country of the source (B4).
    pub country: SourceCountryConfig,
    /// Lists of known attackers (B3).
    #[serde(rename = "feed")]
    pub feeds: Vec<FeedConfig>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        let list = |nets: &[&str]| nets.iter().map(|&n| n.to_owned()).collect();
        Self {
            management: list(&["127.0.0.0/8", "::1"]),
            admin: Vec::new(),
            lan: list(&[
                "10.0.0.0/8",
                "172.16.0.0/12",
                "192.168.0.0/16",
                "169.254.0.0/16",
                "fc00::/7",
                "fe80::/10",
            ]),
            vpn: Vec::new(),
            tunnel_hosts: Vec::new(),
            allowed: Vec::new(),
            default: DefaultAction::Accept,
            ports: PortsConfig::default(),
            rules: Vec::new(),
            auto_defence: AutoDefenceConfig::defaults(),
            escalation: EscalationConfig::default(),
            country: SourceCountryConfig::default(),
            feeds: Vec::new(),
        }
    }
}

/// What happens to packets that no rule speaks about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum DefaultAction {
    /// They pass; what follows (authentication, lockout) has to hold.
    #[default]
    Accept,
    /// They are dropped: only what a rule accepts comes in.
    Drop,
}

/// The ports of services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PortsConfig {
    /// The web interface over TLS.
    pub https: u16,
    /// The web interface without TLS.
    pub http: u16,
    /// Secure shell.
    pub ssh: u16,
    /// SIP over UDP.
    pub sip_udp: u16,
    /// SIP over TCP.
    pub sip_tcp: u16,
    /// SIP over TLS.
    pub sip_tls: u16,
    /// Unified-communications clients.
    pub client: u16,
    /// The manager interface.
    pub ami: u16,
    /// Database access granted to others.
    pub database_grant: u16,
    /// The phone book.
    pub ldap: u16,
    /// File transfer.
    pub ftp: u16,
    /// Trivial file transfer.
    pub tftp: u16,
    /// The vendor tunnel; 0 where there is none.
    pub tunnel: u16,
    /// The first and last port for media.
    pub rtp: [u16; 2],
}

impl Default for PortsConfig {
    fn default() -> Self {
        Self {
            https: 8088,
            http: 80,
            ssh: 8022,
            sip_udp: 5060,
            sip_tcp: 5060,
            sip_tls: 5061,
            client: 8111,
            ami: 5038,
            database_grant: 3306,
            ldap: 389,
            ftp: 21,
            tftp: 69,
            tunnel: 0,
            rtp: [10_000, 20_000],
        }
    }
}

/// Which transport protocol a rule speaks about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
    /// Both.
    #[default]
    Both,
}

/// What a static rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum StaticAction {
    /// The packet passes; blocks, feeds, countries and counters are not looked at.
    #[default]
    Accept,
    /// The packet vanishes.
    Drop,
    /// The sender is told.
    Reject,
}

/// A static rule (B5). Without `service` and `ports` it speaks about every port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StaticRuleConfig {
    /// Its name: 1 to 127 characters, unique.
    pub name: String,
    /// What it is for, at most 2047 characters.
    pub description: String,
    /// What it does.
    pub action: StaticAction,
    /// The sources it speaks about; a rule needs sources or a MAC address.
    pub sources: Vec<String>,
    /// The hardware address it speaks about, e.g. `00:15:65:01:02:03`; known on the local network only.
    pub mac: String,
    /// The service it speaks about.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub service: Option<Service>,
    /// The ports it speaks about: one (`5060`) or the first and the last (`5060-5070`).
    pub ports: String,
    /// The protocol it speaks about.
    pub protocol: Protocol,
}

/// A rule of automatic defence (B6): more than `packets` in `interval` from one source block that source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AutoDefenceConfig {
    /// Its name: 1 to 127 characters, unique.
    pub name: String,
    /// The service it counts for.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub service: Option<Service>,
    /// The ports it counts for: one (`5060`) or the first and the last (`5060-5070`).
    pub ports: String,
    /// The protocol it counts for.
    pub protocol: Protocol,
    /// How many packets pass: 1 to 255.
    pub packets: u32,
    /// In which time: 1 s to 99999 s.
    pub interval: Period,
}

impl AutoDefenceConfig {
    /// The default rules of spec 2.1.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        let rule = |name: &str, service, protocol, packets, secs| Self {
            name: name.to_owned(),
            service: Some(service),
            ports: String::new(),
            protocol,
            packets,
            interval: Period::secs(secs),
        };
        vec![
            rule("SSH", Service::Ssh, Protocol::Tcp, 10, 60),
            rule("SIP UDP", Service::SipUdp, Protocol::Udp, 40, 2),
            rule("SIP TCP", Service::SipTcp, Protocol::Tcp, 40, 2),
            rule("HTTP", Service::Http, Protocol::Both, 120, 60),
            rule("HTTPS", Service::Https, Protocol::Both, 120, 60),
        ]
    }
}

/// How long a source is blocked that offends again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EscalationConfig {
    /// The block for the first offence, the second, and so on; the last one stays. 1 to 8 steps.
    pub steps: Vec<Penalty>,
    /// For how long an offence is remembered.
    pub within: Period,
}

impl Default for EscalationConfig {
    fn default() -> Self {
        let step = |period| Penalty::For(period);
        Self {
            steps: vec![
                step(Period::minutes(10)),
                step(Period::hours(1)),
                step(Period::hours(24)),
                Penalty::Permanent,
            ],
            within: Period::days(7),
        }
    }
}

/// Protection by the country of the source (B4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SourceCountryConfig {
    /// Whether it is on. Off, packets from all countries pass.
    pub enabled: bool,
    /// The file of the country database (MaxMind DB format); the embedder loads it.
    pub database: String,
    /// The countries packets may come from, as ISO 3166-1 codes such as `DE`.
    pub allowed: Vec<String>,
    /// What happens to public sources whose country is not known.
    pub unknown: UnknownCountry,
}

/// What happens to public sources whose country is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum UnknownCountry {
    /// They are dropped.
    #[default]
    Deny,
    /// They pass this step.
    Allow,
}

/// A list of known attackers (B3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct FeedConfig {
    /// Its name, unique.
    pub name: String,
    /// The sources it lists.
    pub entries: Vec<String>,
}
