//! The order of spec 2.1 against a naive model that scans lists.

use std::net::IpAddr;
use std::sync::Arc;

use pbx_core::{Mono, Now, Service, Source, Transport, Wall};
use pbx_policy::geo::GeoTable;
use pbx_policy::{Config, Data, Guard, Packet, Rules, State};
use proptest::prelude::*;

/// A network of the 16 addresses 203.0.113.0 to 15.
#[derive(Clone, Copy, Debug)]
struct Net {
    addr: u8,
    len: u8,
}

impl Net {
    fn contains(self, addr: u8) -> bool {
        addr >> (32 - self.len) == self.addr >> (32 - self.len)
    }

    fn text(self) -> String {
        format!("203.0.113.{}/{}", self.addr, self.len)
    }
}

#[derive(Clone, Debug)]
struct Rule {
    net: Net,
    action: &'static str,
    service: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Policy {
    rules: Vec<Rule>,
    allowed: Vec<Net>,
    blocked: Vec<u8>,
    feed: Vec<Net>,
    /// Countries by network, narrowest first wins; and whether DE alone is allowed.
    countries: Vec<(Net, &'static str)>,
    protected: bool,
    unknown_passes: bool,
    drop_all: bool,
}

impl Policy {
    fn toml(&self) -> String {
        let list =
            |nets: &[Net]| nets.iter().map(|n| format!("'{}'", n.text())).collect::<Vec<_>>().join(", ");
        let mut out = format!(
            "[network]\ndefault = '{}'\nallowed = [{}]\nauto_defence = []\n",
            if self.drop_all { "drop" } else { "accept" },
            list(&self.allowed)
        );
        let unknown = if self.unknown_passes { "allow" } else { "deny" };
        out += &format!(
            "[network.country]\nenabled = {}\nallowed = ['DE']\nunknown = '{unknown}'\n",
            self.protected
        );
        for (i, rule) in self.rules.iter().enumerate() {
            out += &format!(
                "[[network.rule]]\nname = '{i}'\naction = '{}'\nsources = ['{}']\n",
                rule.action,
                rule.net.text()
            );
            out += &rule.service.map(|s| format!("service = '{s}'\n")).unwrap_or_default();
        }
        out += &format!("[[network.feed]]\nname = 'f'\nentries = [{}]\n", list(&self.feed));
        out + "[state]\nsources = 64\noffenders = 64\nbans = 256\nregistrations = 64\ncalls = 64\n"
    }

    fn guard(&self, now: Now) -> Guard {
        let config: Config = toml::from_str(&self.toml()).unwrap();
        let mut data = Data::default();
        let spans =
            self.countries.iter().map(|(net, code)| (net.text().parse().unwrap(), code.parse().unwrap()));
        data.countries = Some(Arc::new(GeoTable::from_spans(spans)));
        let rules = Rules::compile_with(&config, &data).unwrap();
        let guard = Guard::new(Arc::new(rules), State::new(&config.state, [9; 16], now).unwrap());
        for &addr in &self.blocked {
            assert!(guard.block(source(addr).key(), None, now));
        }
        guard
    }

    /// What spec 2.1 says, read aloud.
    fn naive(&self, addr: u8, service: &str) -> (&'static str, &'static str) {
        for rule in &self.rules {
            if rule.net.contains(addr) && rule.service.is_none_or(|s| s == service) {
                return match rule.action {
                    "accept" => ("allow", "static_accept"),
                    action => (action, "static_deny"),
                };
            }
        }
        if self.allowed.iter().any(|n| n.contains(addr)) {
            return ("allow", "allowed_address");
        }
        if self.blocked.contains(&addr) {
            return ("drop", "blocked");
        }
        if self.feed.iter().any(|n| n.contains(addr)) {
            return ("drop", "threat_feed");
        }
        if self.protected {
            let country = self.countries.iter().filter(|(n, _)| n.contains(addr)).max_by_key(|(n, _)| n.len);
            match country {
                Some((_, "DE")) => {}
                Some(_) => return ("drop", "source_country"),
                None if self.unknown_passes => {}
                None => return ("drop", "source_country_unknown"),
            }
        }
        if self.drop_all { ("drop", "drop_all") } else { ("allow", "allowed") }
    }
}

fn source(addr: u8) -> Source {
    let addr = IpAddr::from([203, 0, 113, addr]);
    Source::new((addr, 5060).into(), Transport::Tcp)
}

fn net() -> impl Strategy<Value = Net> {
    (0..16_u8, 28..=32_u8).prop_map(|(addr, len)| Net { addr: addr >> (32 - len) << (32 - len), len })
}

fn policy() -> impl Strategy<Value = Policy> {
    let action = prop::sample::select(vec!["accept", "drop", "reject"]);
    let service = prop::option::of(prop::sample::select(vec!["https", "ssh"]));
    let rule = (net(), action, service).prop_map(|(net, action, service)| Rule { net, action, service });
    // Distinct lengths, so that no two networks of the same size compete for one address.
    let countries = prop::collection::btree_map(28..=32_u8, (0..16_u8, prop::bool::ANY), 0..4);
    let countries = countries.prop_map(|map| {
        let net = |len: u8, addr: u8| Net { addr: addr >> (32 - len) << (32 - len), len };
        map.into_iter().map(|(len, (addr, de))| (net(len, addr), if de { "DE" } else { "AR" })).collect()
    });
    (
        prop::collection::vec(rule, 0..6),
        prop::collection::vec(net(), 0..3),
        prop::collection::vec(0..16_u8, 0..3),
        prop::collection::vec(net(), 0..3),
        countries,
        any::<(bool, bool, bool)>(),
    )
        .prop_map(|(rules, allowed, blocked, feed, countries, (protected, unknown_passes, drop_all))| {
            Policy { rules, allowed, blocked, feed, countries, protected, unknown_passes, drop_all }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn b10_every_answer_is_the_models(policy in policy()) {
        let now = Now::new(Mono::from_secs(1_000), Wall::from_unix_secs(1_772_445_600));
        let guard = policy.guard(now);
        for addr in 0..16 {
            for (service, name) in [(Service::Https, "https"), (Service::Ssh, "ssh"), (Service::Sip, "sip")] {
                let packet = Packet::new(source(addr)).service(service);
                let decision = guard.on_packet(&packet, now);
                let got = (decision.verdict.name(), decision.reason.name());
                prop_assert_eq!(got, policy.naive(addr, name), "203.0.113.{} {}", addr, name);
                prop_assert_eq!(guard.check_packet(&packet, now), decision, "a look says the same");
            }
        }
    }
}
