//! What is allowed in the section `network` and yet hardly meant.

use std::net::IpAddr;

use pbx_core::{ConfigErrors, Service};

use super::Finding;
use crate::config::{Config, DefaultAction, NetworkConfig, Protocol, StaticAction, StaticRuleConfig};
use crate::span::{Span, parse_list};

/// Everything that is found in who may send packets.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let network = &config.network;
    let mut out = Vec::new();
    out.extend(administrators_unknown(network));
    out.extend(too_wide("network.allowed", &network.allowed, "nothing is counted or blocked for them"));
    out.extend(public_management(network));
    out.extend(no_defence(network));
    out.extend(shadowed(network));
    out.extend(local_phones_refused(network));
    out.extend(open_door(network));
    out
}

fn spans(list: &[String]) -> Vec<Span> {
    // Mistakes were reported when the rules were compiled.
    parse_list(list, "", &mut ConfigErrors::new())
}

fn administrators_unknown(network: &NetworkConfig) -> Option<Finding> {
    let closed = network.default == DefaultAction::Drop || network.country.enabled;
    (closed && network.admin.is_empty()).then(|| {
        let remedy = "list the addresses that administrators work from, so that no rule can lock them out";
        Finding::warning("network.admin", "nobody says where administrators work", remedy)
    })
}

/// Spans of more addresses than any organisation has: a /8 or a /32 of IPv6.
const fn is_wide(span: &Span) -> bool {
    match span {
        Span::V4(first, last) => last.saturating_sub(*first) >= (1 << 24) - 1,
        Span::V6(first, last) => last.saturating_sub(*first) >= (1 << 96) - 1,
    }
}

fn too_wide(path: &str, list: &[String], effect: &str) -> Vec<Finding> {
    let wide = list.iter().enumerate().filter(|(_, text)| text.parse().is_ok_and(|span| is_wide(&span)));
    let finding = |(i, text): (usize, &String)| {
        let problem = format!("{text} is a large part of the internet, and {effect}");
        Finding::warning(format!("{path}[{i}]"), problem, "list the networks you know")
    };
    wide.map(finding).collect()
}

fn public_management(network: &NetworkConfig) -> Vec<Finding> {
    let private = |addr: IpAddr| match addr {
        IpAddr::V4(a) => a.is_loopback() || a.is_private() || a.is_link_local(),
        IpAddr::V6(a) => a.is_loopback() || a.is_unique_local() || a.is_unicast_link_local(),
    };
    let public = |text: &str| text.parse::<Span>().is_ok_and(|s| !private(s.first()) || !private(s.last()));
    let found = network.management.iter().enumerate().filter(|(_, text)| public(text));
    let finding = |(i, text): (usize, &String)| {
        let problem = format!("nothing at all stops packets from {text}");
        let remedy = "write it to network.admin, which only keeps rules from locking it out";
        Finding::warning(format!("network.management[{i}]"), problem, remedy)
    };
    found.map(finding).collect()
}

fn no_defence(network: &NetworkConfig) -> Option<Finding> {
    network.auto_defence.is_empty().then(|| {
        let remedy = "leave the key out for the default rules";
        Finding::warning("network.auto_defence", "no rule stops sources that send too much", remedy)
    })
}

/// Rules behind one that speaks about all they speak about.
fn shadowed(network: &NetworkConfig) -> Vec<Finding> {
    let mut out = Vec::new();
    for (i, rule) in network.rules.iter().enumerate() {
        let before = network.rules.iter().take(i).find(|earlier| covers(earlier, rule));
        out.extend(before.map(|earlier| {
            let problem = format!("it never decides: {:?} stands before it", earlier.name);
            Finding::warning(format!("network.rule[{i}]"), problem, "move it up or remove it")
        }));
    }
    out
}

fn covers(earlier: &StaticRuleConfig, rule: &StaticRuleConfig) -> bool {
    let target = |r: &StaticRuleConfig| (r.service, r.ports.trim().to_owned());
    let any = earlier.service.is_none() && earlier.ports.trim().is_empty();
    let protocol = earlier.protocol == Protocol::Both || earlier.protocol == rule.protocol;
    let sources = spans(&earlier.sources);
    let inner = spans(&rule.sources);
    protocol
        && (any || target(earlier) == target(rule))
        && (earlier.mac.is_empty() || (earlier.mac == rule.mac && earlier.sources.is_empty()))
        && (sources.is_empty()
            || (!inner.is_empty() && inner.iter().all(|s| sources.iter().any(|o| o.covers(s)))))
}

/// Whether a rule speaks about SIP.
fn concerns_sip(rule: &StaticRuleConfig) -> bool {
    let sip = [Service::Sip, Service::SipUdp, Service::SipTcp, Service::SipTls];
    rule.service.map_or(rule.ports.trim().is_empty(), |service| sip.contains(&service))
}

/// Static rules stand before live registrations: one that refuses SIP from a local network stops the phones there,
/// their emergency calls included.
fn local_phones_refused(network: &NetworkConfig) -> Vec<Finding> {
    let local: Vec<Span> = spans(&network.lan).into_iter().chain(spans(&network.vpn)).collect();
    let refuses = |rule: &StaticRuleConfig| {
        let overlaps = |s: &Span| local.iter().any(|l| s.covers(l) || l.covers(s));
        rule.action != StaticAction::Accept && concerns_sip(rule) && spans(&rule.sources).iter().any(overlaps)
    };
    let found = network.rules.iter().enumerate().filter(|(_, rule)| refuses(rule));
    let finding = |(i, rule): (usize, &StaticRuleConfig)| {
        let problem =
            format!("{:?} refuses phones in local networks, their emergency calls included", rule.name);
        let remedy = "name the addresses or the service that is meant";
        Finding::warning(format!("network.rule[{i}].sources"), problem, remedy)
    };
    found.map(finding).collect()
}

/// Rules that accept every port from everywhere.
fn open_door(network: &NetworkConfig) -> Vec<Finding> {
    let mut out = Vec::new();
    for (i, rule) in network.rules.iter().enumerate() {
        if rule.action == StaticAction::Accept && rule.service.is_none() && rule.ports.trim().is_empty() {
            let path = format!("network.rule[{i}].sources");
            out.extend(too_wide(
                &path,
                &rule.sources,
                "the blocked list, countries and counters are skipped for it",
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(toml: &str) -> Vec<String> {
        findings(&toml::from_str(toml).unwrap()).into_iter().map(|f| f.path).collect()
    }

    #[test]
    fn the_defaults_are_clean() {
        assert_eq!(paths(""), Vec::<String>::new());
    }

    #[test]
    fn each_finding_has_its_path() {
        let rule = |text: &str| format!("[[network.rule]]\nname = 'r'\n{text}\n");
        for (toml, path) in [
            ("network.country.enabled = true".to_owned(), "network.admin"),
            ("network.default = 'drop'".to_owned(), "network.admin"),
            ("network.allowed = ['192.0.2.1', '0.0.0.0/0']".to_owned(), "network.allowed[1]"),
            ("network.allowed = ['2000::/3']".to_owned(), "network.allowed[0]"),
            ("network.management = ['203.0.113.1']".to_owned(), "network.management[0]"),
            ("network.auto_defence = []".to_owned(), "network.auto_defence"),
            (rule("sources = ['0.0.0.0/1']"), "network.rule[0].sources[0]"),
            (rule("action = 'drop'\nsources = ['10.0.0.0/9']"), "network.rule[0].sources"),
            (
                rule("sources = ['192.0.2.0/24']") + &rule("action = 'drop'\nsources = ['192.0.2.7']"),
                "network.rule[1]",
            ),
        ] {
            assert_eq!(paths(&toml), [path], "{toml}");
        }
    }

    #[test]
    fn a_narrower_rule_shadows_nothing() {
        let rule = |text: &str| format!("[[network.rule]]\nname = 'r'\nsources = ['192.0.2.0/24']\n{text}\n");
        for first in ["service = 'ssh'", "ports = '80'", "protocol = 'udp'", "mac = '00:15:65:01:02:03'"] {
            let toml = rule(first) + &rule("action = 'drop'");
            assert_eq!(paths(&toml), Vec::<String>::new(), "{first}");
        }
        let drop_web = "action = 'drop'\nservice = 'https'";
        assert_eq!(paths(&(rule(drop_web) + &rule("service = 'https'"))), ["network.rule[1]"]);
    }
}
