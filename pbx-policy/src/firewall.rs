//! Who may send packets at all: the compiled rules of spec 2.1, without the state.
//!
//! Each step of the evaluation is a question this type answers from the configuration alone; the order of
//! the steps and what only the state knows stand in [`crate::guard`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use pbx_core::{ConfigError, ConfigErrors, Network, Reason, RuleId, RuleKind, Source};

use crate::config::{
    DefaultAction, NetworkConfig, PortsConfig, StaticAction, StaticRuleConfig, UnknownCountry,
};
use crate::geo::{CountryCode, GeoTable};
use crate::packet::{self, Packet, Scope};
use crate::span::{AddrMap, Span, parse_list};

/// Most places in the lists of rules that overlap; beyond it a rule set is refused instead of growing.
const OVERLAPS: usize = 1_000_000;
/// Longest name of a rule in characters (spec 2.1).
const NAME: usize = 127;
/// Longest description of a rule in characters (spec 2.1).
const DESCRIPTION: usize = 2_047;

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
    /// Checks and compiles the section `network`.
    pub(crate) fn compile(config: &NetworkConfig, data: &Data, errors: &mut ConfigErrors) -> Self {
        let mut set =
            |list: &[String], key: &str| AddrMap::set(&parse_list(list, &format!("network.{key}"), errors));
        let mut out = Self {
            management: set(&config.management, "management"),
            lan: set(&config.lan, "lan"),
            vpn: set(&config.vpn, "vpn"),
            allowed: set(&config.allowed, "allowed"),
            ports: config.ports.clone(),
            drop_all: config.default == DefaultAction::Drop,
            ..Self::default()
        };
        out.compile_rules(&config.rules, errors);
        out.compile_feeds(config, data, errors);
        out.countries = Countries::compile(config, data, errors);
        out.keep_the_administrator_in(config, errors);
        out
    }

    fn compile_rules(&mut self, rules: &[StaticRuleConfig], errors: &mut ConfigErrors) {
        let mut spans = Vec::new();
        let mut names = BTreeSet::new();
        for (i, (rule, number)) in rules.iter().zip(0_u32..).enumerate() {
            let path = format!("network.rule[{i}]");
            check_name(&rule.name, &path, &mut names, errors);
            spans.extend(
                parse_list(&rule.sources, &format!("{path}.sources"), errors)
                    .into_iter()
                    .map(|s| (s, number)),
            );
            let Some(compiled) = errors.take(StaticRule::compile(rule, &path)) else { continue };
            if rule.sources.is_empty() {
                self.by_mac.push(number);
            }
            self.rules.push(compiled);
        }
        self.index(&spans, errors);
    }

    fn index(&mut self, spans: &[(Span, u32)], errors: &mut ConfigErrors) {
        let mut known: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
        let mut places = 0;
        let lists = &mut self.lists;
        self.by_addr = AddrMap::overlaps(spans, |rules| {
            let list: Vec<u32> = rules.iter().copied().collect();
            if let Some(&i) = known.get(&list) {
                return Some(i);
            }
            places += list.len();
            let i = u32::try_from(lists.len()).ok().filter(|_| places <= OVERLAPS)?;
            lists.push(list.clone().into());
            known.insert(list, i);
            Some(i)
        });
        if places > OVERLAPS {
            errors.push(
                ConfigError::new("network.rule", "too many rules speak about the same addresses")
                    .instead("write fewer and wider rules"),
            );
        }
    }

    fn compile_feeds(&mut self, config: &NetworkConfig, data: &Data, errors: &mut ConfigErrors) {
        let mut spans = Vec::new();
        let mut names = BTreeSet::new();
        for (i, (feed, number)) in config.feeds.iter().zip(0_u32..).enumerate() {
            let path = format!("network.feed[{i}]");
            check_name(&feed.name, &path, &mut names, errors);
            let written = parse_list(&feed.entries, &format!("{path}.entries"), errors);
            let loaded = data.feeds.get(&feed.name).into_iter().flatten().copied();
            spans.extend(written.into_iter().chain(loaded).map(|s| (s, number)));
            self.feed_names.push(feed.name.clone());
        }
        for name in data.feeds.keys().filter(|name| !names.contains(name.as_str())) {
            let error = ConfigError::new(
                "network.feed",
                format!("entries were loaded for {name:?}, which is no feed"),
            );
            errors.push(error.nearest(name, names.iter().copied()));
        }
        self.feeds = AddrMap::narrowest(&spans);
    }

    /// Refuses rules that would lock out the administrator who makes them (spec 2.1, B4 and B10).
    fn keep_the_administrator_in(&self, config: &NetworkConfig, errors: &mut ConfigErrors) {
        for (i, span) in
            parse_list(&config.admin, "network.admin", &mut ConfigErrors::new()).iter().enumerate()
        {
            let path = format!("network.admin[{i}]");
            for addr in [span.first(), span.last()] {
                if let Some(why) = self.would_lock_out(addr) {
                    errors.push(
                        ConfigError::new(path.clone(), format!("{addr} would be locked out: {why}"))
                            .instead("add it to network.allowed, or a static rule that accepts it"),
                    );
                    break;
                }
            }
        }
        let closed = self.drop_all
            && [&self.management, &self.lan, &self.vpn, &self.allowed].iter().all(|s| s.is_empty());
        if closed && !self.rules.iter().any(|r| r.action == StaticAction::Accept) {
            errors.push(
                ConfigError::new(
                    "network.default",
                    "everything would be dropped, the administrator included",
                )
                .instead("write a static rule that accepts the administrator's address first"),
            );
        }
    }

    fn would_lock_out(&self, addr: IpAddr) -> Option<String> {
        use pbx_core::{Service, Transport};
        let source = Source::new((addr, 0).into(), Transport::Tcp);
        let blocked = |service| self.refuses(&Packet::new(source).service(service));
        blocked(Service::Https).and_then(|why| blocked(Service::Ssh).map(|_| why))
    }

    /// Why a packet would be refused by the configuration alone.
    fn refuses(&self, packet: &Packet) -> Option<String> {
        let addr = packet.source.addr();
        if self.management.contains(addr) {
            return None;
        }
        match self.static_rule(packet) {
            Some((_, StaticAction::Accept)) => return None,
            Some((rule, _)) => return Some(format!("{} refuses it", self.rule_name(rule)?)),
            None if self.allowed.contains(addr) => return None,
            None => {}
        }
        match self.country(packet) {
            CountrySays::Refused(Reason::SourceCountry, _) => Some("its country is not allowed".to_owned()),
            CountrySays::Refused(..) => Some("its country is not known".to_owned()),
            _ => self.drop_all.then(|| "the default is to drop".to_owned()),
        }
    }

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
            RuleKind::Default => Some("default".to_owned()),
            _ => None,
        }
    }
}

impl StaticRule {
    fn compile(rule: &StaticRuleConfig, path: &str) -> Result<Self, ConfigError> {
        let mac = match rule.mac.as_str() {
            "" if rule.sources.is_empty() => {
                return Err(ConfigError::new(path, "the rule names no source")
                    .instead("write sources, or a mac; every address is [\"0.0.0.0/0\", \"::/0\"]"));
            }
            "" => None,
            text => Some(packet::mac(text).ok_or_else(|| {
                ConfigError::new(format!("{path}.mac"), format!("{text:?} is no hardware address"))
                    .instead("write six pairs, e.g. \"00:15:65:01:02:03\"")
            })?),
        };
        if rule.description.chars().count() > DESCRIPTION {
            return Err(ConfigError::new(format!("{path}.description"), "it is longer than 2047 characters"));
        }
        let scope = Scope::compile(rule.service, &rule.ports, rule.protocol, path)?;
        Ok(Self { name: rule.name.clone(), action: rule.action, scope, mac })
    }
}

impl Countries {
    fn compile(config: &NetworkConfig, data: &Data, errors: &mut ConfigErrors) -> Option<Self> {
        let country = &config.country;
        let code = |(i, text): (usize, &String)| {
            text.parse().map_err(|e: crate::geo::CountryCodeError| {
                let path = format!("network.country.allowed[{i}]");
                ConfigError::new(path, format!("{text:?} is no country")).instead(e.to_string())
            })
        };
        let allowed = country.allowed.iter().enumerate().map(code).filter_map(|r| errors.take(r)).collect();
        let table = data.countries.clone();
        if country.enabled && table.is_none() {
            errors.push(
                ConfigError::new(
                    "network.country.database",
                    "protection by country is on without a database",
                )
                .instead("name the file of a country database in MaxMind DB format"),
            );
        }
        Some(Self { table: table.filter(|_| country.enabled)?, allowed, unknown: country.unknown })
    }
}

/// Names of rules: 1 to 127 characters, each once.
pub(crate) fn check_name<'a>(
    name: &'a str,
    path: &str,
    names: &mut BTreeSet<&'a str>,
    errors: &mut ConfigErrors,
) {
    if name.is_empty() || name.chars().count() > NAME {
        errors.push(ConfigError::new(format!("{path}.name"), "a name has 1 to 127 characters"));
    } else if !names.insert(name) {
        errors.push(ConfigError::new(format!("{path}.name"), format!("the name {name:?} is taken already")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbx_core::{Service, Transport};

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
