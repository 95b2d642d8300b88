//! Checking and compiling the section `network`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pbx_core::{ConfigError, ConfigErrors, Reason, Service, Source, Transport};

use super::{Countries, CountrySays, Data, Firewall, StaticRule};
use crate::config::{DefaultAction, NetworkConfig, StaticAction, StaticRuleConfig};
use crate::geo::CountryCodeError;
use crate::packet::{self, Packet, Scope};
use crate::span::{AddrMap, Span, parse_list};

/// Most places in the lists of rules that overlap; beyond it a rule set is refused instead of growing.
const OVERLAPS: usize = 1_000_000;
/// Longest name of a rule in characters (spec 2.1).
const NAME: usize = 127;
/// Longest description of a rule in characters (spec 2.1).
const DESCRIPTION: usize = 2_047;

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
            text.parse().map_err(|e: CountryCodeError| {
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
