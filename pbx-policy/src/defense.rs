//! Automatic defence: sources that send too much are blocked (B6), and longer each time.

use std::collections::BTreeSet;

use core::time::Duration;
use pbx_core::table::Limit;
use pbx_core::{ConfigError, ConfigErrors, RuleId, RuleKind};

use crate::config::{AutoDefenceConfig, EscalationConfig, NetworkConfig, Penalty, PortsConfig};
use crate::firewall::check_name;
use crate::packet::{Packet, Scope};

/// Longest interval in seconds (spec 2.1: five digits).
const INTERVAL: u64 = 99_999;

/// The compiled rules of automatic defence.
#[derive(Debug, Default)]
pub(crate) struct Defence {
    rules: Vec<Rule>,
    ladder: Ladder,
}

/// A rule that counts packets.
#[derive(Debug)]
pub(crate) struct Rule {
    name: String,
    scope: Scope,
    /// How many packets pass in which time.
    pub(crate) limit: Limit,
    /// What its counters are keyed by: from the name, so that a reload that moves rules keeps them.
    pub(crate) tag: u16,
}

/// How long blocks last for repeated offences.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    steps: Vec<Option<Duration>>,
    within: Duration,
}

impl Defence {
    /// Checks and compiles the keys `auto_defence` and `escalation`.
    pub(crate) fn compile(config: &NetworkConfig, errors: &mut ConfigErrors) -> Self {
        let mut names = BTreeSet::new();
        let mut tags = BTreeSet::new();
        let mut rules = Vec::new();
        for (i, rule) in config.auto_defence.iter().enumerate() {
            let path = format!("network.auto_defence[{i}]");
            check_name(&rule.name, &path, &mut names, errors);
            if let Some(rule) = errors.take(Rule::compile(rule, &path, &mut tags)) {
                rules.push(rule);
            }
        }
        Self { rules, ladder: Ladder::compile(&config.escalation, errors) }
    }

    /// The rules that count `packet`.
    pub(crate) fn counting<'a>(
        &'a self,
        packet: &'a Packet,
        ports: &'a PortsConfig,
    ) -> impl Iterator<Item = (RuleId, &'a Rule)> {
        let numbered =
            self.rules.iter().zip(0..).map(|(rule, i)| (RuleId::new(RuleKind::AutoDefence, i), rule));
        numbered.filter(|(_, rule)| rule.scope.covers(packet, ports))
    }

    /// How long blocks last.
    pub(crate) const fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// The name of a rule of this part; `None` for rules of other kinds.
    pub(crate) fn rule_name(&self, rule: RuleId) -> Option<String> {
        let i = usize::try_from(rule.index).ok().filter(|_| rule.kind == RuleKind::AutoDefence)?;
        self.rules.get(i).map(|rule| format!("auto_defence:{}", rule.name))
    }
}

impl Rule {
    fn compile(rule: &AutoDefenceConfig, path: &str, tags: &mut BTreeSet<u16>) -> Result<Self, ConfigError> {
        if !(1..=255).contains(&rule.packets) {
            return Err(ConfigError::new(format!("{path}.packets"), "a rule lets 1 to 255 packets pass"));
        }
        let secs = rule.interval.get().as_secs();
        if !(1..=INTERVAL).contains(&secs) {
            return Err(ConfigError::new(format!("{path}.interval"), "an interval lasts 1s to 99999s"));
        }
        Ok(Self {
            name: rule.name.clone(),
            scope: Scope::compile(rule.service, &rule.ports, rule.protocol, path)?,
            limit: Limit { at_most: rule.packets, per: rule.interval.get() },
            tag: tag(&rule.name, tags),
        })
    }
}

/// A number for the counters of the rule `name`, not among those taken. Tags below 1024 are others'.
fn tag(name: &str, taken: &mut BTreeSet<u16>) -> u16 {
    let start = name.bytes().fold(0x811c_u16, |h, b| (h ^ u16::from(b)).wrapping_mul(0x0193).rotate_left(3));
    let free = (0..=u16::MAX).map(|i| start.wrapping_add(i)).find(|t| *t >= 1_024 && taken.insert(*t));
    free.unwrap_or(start)
}

impl Ladder {
    fn compile(config: &EscalationConfig, errors: &mut ConfigErrors) -> Self {
        let path = "network.escalation";
        if !(1..=8).contains(&config.steps.len()) {
            errors.push(ConfigError::new(format!("{path}.steps"), "there are 1 to 8 steps"));
        }
        if config.within.is_zero() {
            errors.push(ConfigError::new(
                format!("{path}.within"),
                "offences have to be remembered for some time",
            ));
        }
        let mut step = |(i, penalty): (usize, &Penalty)| match penalty {
            Penalty::For(period) if period.is_zero() => {
                errors.push(ConfigError::new(format!("{path}.steps[{i}]"), "a block has to last some time"));
                None
            }
            Penalty::For(period) => Some(period.get()),
            Penalty::Permanent => None,
            Penalty::Escalate => {
                errors.push(
                    ConfigError::new(format!("{path}.steps[{i}]"), "a step cannot escalate by itself")
                        .instead("write a length of time or \"permanent\""),
                );
                None
            }
        };
        let steps = config.steps.iter().enumerate().map(&mut step).collect();
        Self { steps, within: config.within.get() }
    }

    /// How long the `nth` offence is blocked, counted from 1; `None` is until an administrator lifts it.
    pub(crate) fn step(&self, nth: u32) -> Option<Duration> {
        let i = usize::try_from(nth.saturating_sub(1)).unwrap_or(usize::MAX);
        self.steps.get(i).or(self.steps.last()).copied().flatten()
    }

    /// How offences are counted: the last step stays, so more than there are steps need not be told apart.
    pub(crate) fn memory(&self) -> Limit {
        Limit { at_most: u32::try_from(self.steps.len()).unwrap_or(1).max(1), per: self.within }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Period};
    use pbx_core::{Service, Source, Transport};

    fn compile(toml: &str) -> (Defence, ConfigErrors) {
        let config: Config = toml::from_str(toml).unwrap();
        let mut errors = ConfigErrors::new();
        (Defence::compile(&config.network, &mut errors), errors)
    }

    fn counting(defence: &Defence, transport: Transport, service: Service) -> Vec<String> {
        let packet =
            Packet::new(Source::new("203.0.113.9:5060".parse().unwrap(), transport)).service(service);
        let ports = PortsConfig::default();
        defence.counting(&packet, &ports).map(|(id, _)| defence.rule_name(id).unwrap()).collect()
    }

    #[test]
    fn b6_the_default_rules() {
        let (defence, errors) = compile("");
        assert!(errors.is_empty(), "{errors}");
        let of = |t, s| counting(&defence, t, s);
        assert_eq!(of(Transport::Udp, Service::Sip), ["auto_defence:SIP UDP"]);
        assert_eq!(of(Transport::Tcp, Service::Sip), ["auto_defence:SIP TCP"]);
        assert_eq!(of(Transport::Tcp, Service::Ssh), ["auto_defence:SSH"]);
        assert_eq!(of(Transport::Tcp, Service::Https), ["auto_defence:HTTPS"]);
        assert!(of(Transport::Udp, Service::Rtp).is_empty());
    }

    #[test]
    fn b6_several_rules_may_count_one_port() {
        let (defence, _) = compile(
            "[[network.auto_defence]]\nname = 'slow'\nports = '5060'\nprotocol = 'udp'\npackets = 120\ninterval = '60s'\n\
             [[network.auto_defence]]\nname = 'fast'\nservice = 'sip'\npackets = 40\ninterval = '2s'",
        );
        let names = counting(&defence, Transport::Udp, Service::Sip);
        assert_eq!(names, ["auto_defence:slow", "auto_defence:fast"]);
        let [a, b] = [defence.rules[0].tag, defence.rules[1].tag];
        assert!(a != b && a >= 1_024 && b >= 1_024);
    }

    #[test]
    fn b6_bounds_are_checked() {
        for (bad, path) in [
            ("packets = 0\ninterval = '2s'", "network.auto_defence[0].packets"),
            ("packets = 256\ninterval = '2s'", "network.auto_defence[0].packets"),
            ("packets = 1\ninterval = '0s'", "network.auto_defence[0].interval"),
            ("packets = 1\ninterval = '28h'", "network.auto_defence[0].interval"),
        ] {
            let (_, errors) =
                compile(&format!("[[network.auto_defence]]\nname = 'x'\nservice = 'sip'\n{bad}"));
            assert_eq!(errors.iter().next().unwrap().path(), path, "{bad}");
        }
        let (_, errors) = compile("network.escalation.steps = ['10min', 'escalate', '0s']");
        assert_eq!(errors.len(), 2, "{errors}");
    }

    #[test]
    fn the_ladder_stays_on_its_last_step() {
        let (defence, _) = compile("");
        let steps: Vec<_> = (1..=6).map(|n| defence.ladder().step(n).map(|d| d.as_secs())).collect();
        assert_eq!(steps, [Some(600), Some(3_600), Some(86_400), None, None, None]);
        assert_eq!(defence.ladder().memory(), Limit { at_most: 4, per: Period::days(7).get() });
    }
}
