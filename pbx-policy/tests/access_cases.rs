//! The timelines of `testdata/access_*.toml`: packets and attempts to authenticate, each with the answer it is
//! owed, by feature id.

use std::sync::Arc;
use std::time::Duration;

use pbx_core::{Mono, Network, Now, Service, Source, Transport, Wall};
use pbx_policy::geo::GeoTable;
use pbx_policy::{
    Attempt, AuthKind, AuthOutcome, Config, Data, Decision, Guard, Packet, Proof, Rules, State,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    name: String,
    #[serde(default)]
    config: String,
    step: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Seconds since the start; without it the time of the step before.
    at: Option<f64>,
    ask: String,
    #[serde(default)]
    source: String,
    transport: Option<Transport>,
    via: Option<Network>,
    service: Option<Service>,
    port: Option<u16>,
    mac: Option<[u8; 6]>,
    kind: Option<String>,
    #[serde(default)]
    account: String,
    outcome: Option<String>,
    proved: Option<bool>,
    user_agent: Option<String>,
    contact: Option<String>,
    instance: Option<String>,
    expires: Option<u64>,
    #[serde(default)]
    response: String,
    until: Option<f64>,
    /// How often it is repeated, each time with this answer.
    #[serde(default = "once")]
    times: u32,
    /// `verdict reason`, e.g. `reject bad_credentials`.
    answer: Option<String>,
    /// The SIP status.
    status: Option<u16>,
    /// The rule that decided.
    rule: Option<String>,
    /// The events of the answer.
    events: Option<Vec<String>>,
    /// The blocked list afterwards, as `scope reason`.
    blocked: Option<Vec<String>>,
    /// Seconds after which another answer is possible.
    retry: Option<u64>,
}

const fn once() -> u32 {
    1
}

fn now(secs: f64) -> Now {
    let after = Duration::from_secs_f64(secs);
    Now::new(Mono::from_secs(1_000_000), Wall::from_unix_secs(1_772_445_600)).after(after)
}

struct Run {
    guard: Guard,
    now: Now,
}

impl Run {
    fn new(case: &Case) -> Self {
        let mut config: Config =
            toml::from_str(&case.config).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        config.state.sources = 1_024;
        config.state.offenders = 1_024;
        config.state.bans = 1_024;
        config.state.registrations = 256;
        let mut data = Data::default();
        let span = |net: &str, code: &str| (net.parse().unwrap(), code.parse().unwrap());
        let table = [span("198.51.100.0/24", "AR"), span("203.0.113.0/24", "DE")];
        data.countries = Some(Arc::new(GeoTable::from_spans(table)));
        let rules = Rules::compile_with(&config, &data).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let now = now(0.0);
        Self { guard: Guard::new(Arc::new(rules), State::new(&config.state, [3; 16], now).unwrap()), now }
    }

    fn ask(&mut self, step: &Step) -> Option<Decision> {
        if let Some(at) = step.at {
            self.now = now(at);
        }
        match step.ask.as_str() {
            "packet" => Some(self.guard.on_packet(&packet(step), self.now)),
            "check packet" => Some(self.guard.check_packet(&packet(step), self.now)),
            "auth" => Some(self.auth(step)),
            "check auth" => Some(self.guard.check_auth(&attempt(step), self.now)),
            "unregister" => {
                let binding = step.instance.as_deref().or(step.contact.as_deref()).unwrap();
                self.guard.unregister(&step.account, binding, Some(&source(step)));
                None
            }
            "provisioned" => {
                assert!(self.guard.provisioned(&source(step), now(step.until.unwrap()).mono, self.now));
                None
            }
            "block" => {
                let length = step
                    .until
                    .map(|until| Duration::from_secs_f64(until) - self.now.mono.since(now(0.0).mono));
                assert!(self.guard.block(source(step).key(), length, self.now));
                None
            }
            "unblock" => {
                let account = Some(step.account.as_str()).filter(|a| !a.is_empty());
                assert_ne!(self.guard.unblock(source(step).key(), account, self.now), 0);
                None
            }
            "unlock" => {
                assert!(self.guard.unlock(step.account.parse().unwrap(), self.now));
                None
            }
            other => panic!("no such question: {other}"),
        }
    }

    fn auth(&self, step: &Step) -> Decision {
        let begun = self.guard.begin(&attempt(step), self.now);
        match begun.ticket {
            Some(ticket) => self.guard.end(ticket, outcome(step), self.now),
            None => begun.decision,
        }
    }
}

fn source(step: &Step) -> Source {
    let text = if step.source.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        step.source.clone()
    } else {
        format!("{}:5060", step.source)
    };
    Source::new(text.parse().unwrap(), step.transport.unwrap_or(Transport::Udp))
}

fn packet(step: &Step) -> Packet {
    let mut packet = Packet::new(source(step));
    packet.service = step.service.or_else(|| step.port.is_none().then_some(Service::Sip));
    packet.port = step.port;
    packet.mac = step.mac;
    packet.via = step.via;
    packet
}

fn outcome(step: &Step) -> AuthOutcome {
    let name = step.outcome.as_deref().unwrap();
    *AuthOutcome::ALL.iter().find(|o| o.name() == name).unwrap_or_else(|| panic!("{name}"))
}

fn attempt(step: &Step) -> Attempt<'_> {
    let kind = step.kind.as_deref().unwrap_or("registration");
    let kind = *AuthKind::ALL.iter().find(|k| k.name() == kind).unwrap();
    let challenged = step.outcome.as_deref() == Some("challenged");
    let mut attempt = Attempt::new(kind, &step.account, source(step));
    attempt.answered = !challenged;
    attempt.proved = step.proved.unwrap_or(!challenged);
    attempt.via = step.via;
    attempt.user_agent = step.user_agent.as_deref();
    attempt.contact = step.contact.as_deref();
    attempt.instance = step.instance.as_deref();
    attempt.expires = step.expires.map(Duration::from_secs);
    attempt.proof = Proof { nonce: "n", nc: "1", cnonce: "c", response: &step.response };
    attempt
}

fn check(run: &mut Run, step: &Step, at: &str) {
    let Some(decision) = run.ask(step) else { return };
    let rules = run.guard.rules();
    let answer = format!("{} {}", decision.verdict.name(), decision.reason.name());
    if let Some(expected) = &step.answer {
        assert_eq!(&answer, expected, "{at}: {:#?}", decision.trace);
    }
    if let Some(status) = step.status {
        assert_eq!(decision.sip_status(), Some(status), "{at}");
    }
    if let Some(rule) = &step.rule {
        assert_eq!(decision.rule.map(|r| rules.rule_name(r)).as_ref(), Some(rule), "{at}");
    }
    if let Some(events) = &step.events {
        let got: Vec<_> = decision.events.iter().map(|e| e.kind.name().to_owned()).collect();
        assert_eq!(&got, events, "{at}");
    }
    if let Some(retry) = step.retry {
        assert_eq!(decision.retry_after.map(|d| d.as_secs()), Some(retry), "{at}");
    }
}

fn play(case: &Case) {
    let mut run = Run::new(case);
    for (i, step) in case.step.iter().enumerate() {
        for time in 0..step.times {
            check(&mut run, step, &format!("{} {:?} step {} time {}", case.id, case.name, i + 1, time + 1));
        }
        if let Some(expected) = &step.blocked {
            let mut got: Vec<_> = run.guard.blocked(run.now).iter().map(shown).collect();
            got.sort();
            assert_eq!(&got, expected, "{} {:?} step {}", case.id, case.name, i + 1);
        }
    }
}

fn shown(block: &pbx_policy::Block) -> String {
    let scope = format!("{:?}", block.scope).to_lowercase();
    format!("{scope} {}", block.reason.name())
}

fn play_file(text: &str, least: usize) {
    let file: File = toml::from_str(text).unwrap();
    assert!(file.case.len() >= least, "only {} cases", file.case.len());
    for case in &file.case {
        let expects = |s: &Step| s.answer.is_some() || s.blocked.is_some() || s.events.is_some();
        assert!(case.step.iter().any(expects), "{} expects nothing", case.name);
        play(case);
    }
}

#[test]
fn packets() {
    play_file(include_str!("../testdata/access_packets.toml"), 15);
}

#[test]
fn registrations() {
    play_file(include_str!("../testdata/access_registrations.toml"), 15);
}

#[test]
fn logins() {
    play_file(include_str!("../testdata/access_logins.toml"), 8);
}
