//! Who may send packets at all: the compiled rules of spec 2.1, without the state.
//!
//! Each step of the evaluation is a question this type answers from the configuration alone; the order of
//! the steps and what only the state knows stand in [`crate::guard`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use pbx_core::{Network, Reason, RuleId, RuleKind};

use crate::config::{PortsConfig, StaticAction, UnknownCountry};
use crate::geo::{CountryCode, GeoTable};
use crate::packet::{Packet, Scope};
use crate::span::{AddrMap, Span};

mod compile;

pub(crate) use compile::check_name;

/// The rule that accepts the local networks.
pub(crate) const LAN: RuleId = RuleId::new(RuleKind::Static, u32::MAX);
/// The rule that accepts the operator's virtual private networks.
pub(crate) const VPN: RuleId = RuleId::new(RuleKind::Static, u32::MAX - 1);

/// What the embedder has loaded for the rules: compilation itself reads no files.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Data {
    /// The country database, needed when `network.country` is on.
    pub countries: Option<Arc<GeoTable>>,
    /// Entries of feeds, by the name the configuration gives the feed; they join the ones written there.
    pub feeds: BTreeMap<String, Vec<Span>>,
}

/// The compiled firewall.
#[derive(Debug, Default)]
pub(crate) struct Firewall {
    management: AddrMap,
    lan: AddrMap,
    vpn: AddrMap,
    allowed: AddrMap,
    rules: Vec<StaticRule>,
    /// Which of `lists` holds the rules that speak about an address.
    by_addr: AddrMap,
    lists: Vec<Box<[u32]>>,
    /// The rules that name hardware and no addresses.
    by_mac: Vec<u32>,
    feeds: AddrMap,
    feed_names: Vec<String>,
    countries: Option<Countries>,
    ports: PortsConfig,
    drop_all: bool,
}

#[derive(Debug)]
struct StaticRule {
    name: String,
    action: StaticAction,
    scope: Scope,
    mac: Option<[u8; 6]>,
}

#[derive(Debug)]
struct Countries {
    table: Arc<GeoTable>,
    allowed: BTreeSet<CountryCode>,
    unknown: UnknownCountry,
}

/// What protection by country says about a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountrySays {
    /// It is off, or the source is not in a public network.
    Nothing,
    /// The country is allowed.
    Passed(Option<RuleId>),
    /// It is not.
    Refused(Reason, Option<RuleId>),
}

impl Firewall {
    /// Step 1: the machine itself and management consoles.
    pub(crate) fn is_management(&self, addr: IpAddr) -> bool {
        self.management.contains(addr)
    }

    /// Step 2: the first static rule that speaks about the packet, the local networks after the others.
    pub(crate) fn static_rule(&self, packet: &Packet) -> Option<(RuleId, StaticAction)> {
        let of_addr = self.by_addr.get(packet.source.addr()).and_then(|i| self.list(i)).unwrap_or_default();
        let first = |list: &[u32]| list.iter().copied().find(|&i| self.speaks(i, packet));
        let number = match (first(of_addr), packet.mac.and_then(|_| first(&self.by_mac))) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match number {
            Some(i) => Some((RuleId::new(RuleKind::Static, i), self.rule(i)?.action)),
            None => self.accepted_network(packet).map(|rule| (rule, StaticAction::Accept)),
        }
    }

    fn accepted_network(&self, packet: &Packet) -> Option<RuleId> {
        match self.network(packet.source.addr(), packet.via) {
            Network::Lan => Some(LAN),
            Network::Vpn => Some(VPN),
            _ => None,
        }
    }

    fn list(&self, i: u32) -> Option<&[u32]> {
        self.lists.get(usize::try_from(i).ok()?).map(|list| &**list)
    }

    fn rule(&self, i: u32) -> Option<&StaticRule> {
        self.rules.get(usize::try_from(i).ok()?)
    }

    fn speaks(&self, i: u32, packet: &Packet) -> bool {
        self.rule(i).is_some_and(|rule| {
            rule.scope.covers(packet, &self.ports) && rule.mac.is_none_or(|mac| packet.mac == Some(mac))
        })
    }

    /// The kind of network a source stands in; `via` is what the listener knows better.
    pub(crate) fn network(&self, addr: IpAddr, via: Option<Network>) -> Network {
        match via {
            Some(network) => network,
            None if self.vpn.contains(addr) => Network::Vpn,
            None if self.lan.contains(addr) || self.management.contains(addr) => Network::Lan,
            None => Network::Public,
        }
    }

    /// Step 3, the part that the configuration knows: allowed addresses.
    pub(crate) fn is_allowed(&self, addr: IpAddr) -> bool {
        self.allowed.contains(addr)
    }

    /// Step 5: the feed that lists the source.
    pub(crate) fn feed(&self, addr: IpAddr) -> Option<RuleId> {
        self.feeds.get(addr).map(|i| RuleId::new(RuleKind::Feed, i))
    }

    /// Step 6: the country of the source.
    pub(crate) fn country(&self, packet: &Packet) -> CountrySays {
        let Some(countries) = &self.countries else { return CountrySays::Nothing };
        let country = countries.table.get(packet.source.addr());
        match (country, countries.unknown) {
            (Some(c), _) if countries.allowed.contains(&c) => CountrySays::Passed(Some(c.rule())),
            (Some(c), _) => CountrySays::Refused(Reason::SourceCountry, Some(c.rule())),
            (None, UnknownCountry::Allow) => CountrySays::Passed(None),
            (None, UnknownCountry::Deny) => CountrySays::Refused(Reason::SourceCountryUnknown, None),
        }
    }

    /// Step 8: whether what no rule speaks about is dropped.
    pub(crate) const fn drops_all(&self) -> bool {
        self.drop_all
    }

    /// The ports of services.
    pub(crate) const fn ports(&self) -> &PortsConfig {
        &self.ports
    }

    /// The name of a rule of this section; `None` for rules of other kinds.
    pub(crate) fn rule_name(&self, rule: RuleId) -> Option<String> {
        let i = usize::try_from(rule.index).ok()?;
        match rule.kind {
            _ if rule == LAN => Some("static:lan".to_owned()),
            _ if rule == VPN => Some("static:vpn".to_owned()),
            RuleKind::Static => self.rules.get(i).map(|r| format!("static:{}", r.name)),
            RuleKind::Feed => self.feed_names.get(i).map(|name| format!("feed:{name}")),
            RuleKind::Country => CountryCode::from_index(rule.index).map(|c| format!("country:{c}")),
            RuleKind::Allowed => Some("allowed".to_owned()),
            RuleKind::Blocked => {
                let reason = Reason::ALL.iter().find(|reason| u32::from(reason.code()) == rule.index);
                reason.map(|reason| format!("blocked:{}", reason.name()))
            }
            RuleKind::Default => Some("default".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NetworkConfig, StaticRuleConfig};
    use pbx_core::{ConfigErrors, Service, Source, Transport};

    fn data() -> Data {
        let span = |s: &str, c: &str| (s.parse().unwrap(), c.parse().unwrap());
        let table = GeoTable::from_spans([span("203.0.113.0/24", "DE"), span("198.51.100.0/24", "AR")]);
        Data { countries: Some(Arc::new(table)), feeds: BTreeMap::new() }
    }

    fn compile(toml: &str) -> Result<Firewall, String> {
        let config: crate::Config = toml::from_str(toml).unwrap();
        let mut errors = ConfigErrors::new();
        let firewall = Firewall::compile(&config.network, &data(), &mut errors);
        errors.or(firewall).map_err(|e| e.to_string())
    }

    fn packet(addr: &str) -> Packet {
        Packet::new(Source::new(format!("{addr}:5060").parse().unwrap(), Transport::Tcp))
            .service(Service::Https)
    }

    #[test]
    fn b5_the_first_rule_that_speaks_decides() {
        let f = compile(
            "[[network.rule]]\nname = 'one'\nsources = ['203.0.113.7']\nservice = 'ssh'\n\
             [[network.rule]]\nname = 'net'\naction = 'drop'\nsources = ['203.0.113.0/24']\nservice = 'https'\n\
             [[network.rule]]\nname = 'late'\nsources = ['203.0.113.7']\nservice = 'https'",
        )
        .unwrap();
        let (rule, action) = f.static_rule(&packet("203.0.113.7")).unwrap();
        assert_eq!((f.rule_name(rule).as_deref(), action), (Some("static:net"), StaticAction::Drop));
        let (rule, action) = f.static_rule(&packet("203.0.113.7").service(Service::Ssh)).unwrap();
        assert_eq!((f.rule_name(rule).as_deref(), action), (Some("static:one"), StaticAction::Accept));
        assert_eq!(f.static_rule(&packet("203.0.114.7")), None);
    }

    #[test]
    fn b5_hardware_is_known_on_the_local_network_only() {
        let f = compile(
            "[[network.rule]]\nname = 'phone'\naction = 'reject'\nmac = '00:15:65:01:02:03'\n\
             [[network.rule]]\nname = 'both'\naction = 'drop'\nmac = '00:15:65:01:02:04'\nsources = ['10.0.0.0/8']",
        )
        .unwrap();
        let (rule, action) = f.static_rule(&packet("10.0.0.1").mac([0, 0x15, 0x65, 1, 2, 3])).unwrap();
        assert_eq!((rule.index, action), (0, StaticAction::Reject));
        assert_eq!(
            f.static_rule(&packet("10.0.0.1")),
            Some((LAN, StaticAction::Accept)),
            "no hardware known"
        );
        let other = packet("192.0.2.1").mac([0, 0x15, 0x65, 1, 2, 4]);
        assert_eq!(f.static_rule(&other), None, "address and hardware both have to match");
    }

    #[test]
    fn local_networks_come_after_the_rules_and_never_through_the_tunnel() {
        let f = compile("[[network.rule]]\nname = 'x'\naction = 'drop'\nsources = ['10.6.6.6']").unwrap();
        assert_eq!(f.static_rule(&packet("10.6.6.6")).unwrap().1, StaticAction::Drop);
        assert_eq!(f.static_rule(&packet("10.6.6.7")), Some((LAN, StaticAction::Accept)));
        assert_eq!(f.static_rule(&packet("10.6.6.7").via(Network::Tunnel)), None);
        assert_eq!(
            f.static_rule(&packet("203.0.113.1").via(Network::Vpn)),
            Some((VPN, StaticAction::Accept))
        );
    }

    #[test]
    fn b4_countries() {
        let f = compile("[network.country]\nenabled = true\nallowed = ['DE']").unwrap();
        assert!(matches!(f.country(&packet("203.0.113.1")), CountrySays::Passed(Some(_))));
        assert!(matches!(f.country(&packet("198.51.100.1")), CountrySays::Refused(Reason::SourceCountry, _)));
        assert!(matches!(
            f.country(&packet("8.8.8.8")),
            CountrySays::Refused(Reason::SourceCountryUnknown, None)
        ));
        let f = compile("[network.country]\nenabled = true\nunknown = 'allow'").unwrap();
        assert_eq!(f.country(&packet("8.8.8.8")), CountrySays::Passed(None));
        assert_eq!(compile("").unwrap().country(&packet("198.51.100.1")), CountrySays::Nothing);
    }

    #[test]
    fn b4_vector_12_the_administrator_is_not_locked_out_by_country() {
        let on = "[network.country]\nenabled = true\nallowed = ['DE']\n";
        let refused = compile(&format!("network.admin = ['198.51.100.7']\n{on}")).unwrap_err();
        assert!(
            refused.contains("network.admin[0]: 198.51.100.7 would be locked out: its country"),
            "{refused}"
        );
        assert!(compile(&format!("network.admin = ['203.0.113.7']\n{on}")).is_ok(), "an allowed country");
        let unknown = compile(&format!("network.admin = ['8.8.8.8']\n{on}")).unwrap_err();
        assert!(unknown.contains("its country is not known"), "{unknown}");
        let rule = "[[network.rule]]\nname = 'me'\nsources = ['198.51.100.7']\n";
        assert!(compile(&format!("network.admin = ['198.51.100.7']\n{on}{rule}")).is_ok(), "a static accept");
        let listed = "network.allowed = ['198.51.100.7']\n";
        assert!(
            compile(&format!("network.admin = ['198.51.100.7']\n{listed}{on}")).is_ok(),
            "an allowed address"
        );
    }

    #[test]
    fn b10_dropping_all_needs_a_way_in_for_the_administrator() {
        let drop = "network.default = 'drop'\nnetwork.admin = ['203.0.113.7']\n";
        assert!(compile(drop).unwrap_err().contains("the default is to drop"));
        let ssh = "[[network.rule]]\nname = 'me'\nsources = ['203.0.113.7']\nservice = 'ssh'";
        assert!(compile(&format!("{drop}{ssh}")).is_ok(), "SSH is a way in");
        let sip = "[[network.rule]]\nname = 'me'\nsources = ['203.0.113.7']\nservice = 'sip'";
        assert!(compile(&format!("{drop}{sip}")).is_err(), "SIP is none");
        let nobody = "network.default = 'drop'\nnetwork.lan = []\nnetwork.management = []";
        assert!(compile(nobody).unwrap_err().contains("everything would be dropped"));
    }

    #[test]
    fn a_database_is_needed_when_the_protection_is_on() {
        let config: crate::Config = toml::from_str("network.country.enabled = true").unwrap();
        let mut errors = ConfigErrors::new();
        let _ = Firewall::compile(&config.network, &Data::default(), &mut errors);
        assert_eq!(errors.iter().next().unwrap().path(), "network.country.database");
    }

    #[test]
    fn every_mistake_is_reported() {
        let text = compile(
            "network.lan = ['x']\nnetwork.country.allowed = ['Germany']\n\
             [[network.rule]]\nname = 'a'\nsources = ['1.2.3.4']\n[[network.rule]]\nname = 'a'\nsources = ['y']\n\
             [[network.rule]]\nname = 'b'\n[[network.rule]]\nname = 'c'\nmac = 'z'\n[[network.feed]]",
        )
        .unwrap_err();
        for part in [
            "network.lan[0]",
            "network.country.allowed[0]: \"Germany\" is no country",
            "network.rule[1].name: the name \"a\" is taken already",
            "network.rule[1].sources[0]",
            "network.rule[2]: the rule names no source",
            "network.rule[3].mac",
            "network.feed[0].name",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn rules_that_all_overlap_are_bounded() {
        let rule = |i: usize| StaticRuleConfig {
            name: i.to_string(),
            sources: vec![format!("10.{}.{}.0-10.255.255.255", i / 256, i % 256)],
            ..StaticRuleConfig::default()
        };
        let config = NetworkConfig { rules: (0..3_000).map(rule).collect(), ..NetworkConfig::default() };
        let mut errors = ConfigErrors::new();
        let _ = Firewall::compile(&config, &Data::default(), &mut errors);
        assert!(errors.to_string().contains("too many rules speak about the same addresses"), "{errors}");
    }
}
