//! The counters of spec 2.2 against a naive model that keeps every event in a list.

use std::collections::BTreeMap;
use std::sync::Arc;

use pbx_core::{Mono, Now, Source, Transport, Wall};
use pbx_policy::{Attempt, AuthKind, AuthOutcome, Config, Guard, Rules, State};
use proptest::prelude::*;

const CONFIG: &str = "
[network.escalation]
steps = ['30s', '120s', 'permanent']
within = '600s'
[registration]
pair = { failures = 3, within = '20s', block = '60s' }
address = { failures = 6, within = '60s', block = 'escalate' }
unknown_user = { failures = 4, within = '30s', block = '60s' }
distinct_users = { failures = 3, within = '30s', block = '60s' }
[[extension]]
number = '0'
registration.remote = true
[[extension]]
number = '1'
registration.remote = true
[state]
sources = 64
offenders = 256
bans = 256
registrations = 64
calls = 64
";

#[derive(Clone, Copy, Debug)]
struct Event {
    /// Seconds since the event before.
    after: u64,
    source: u8,
    account: u8,
    outcome: AuthOutcome,
}

type Seconds = u64;

/// Blocks by what they cover; `None` is for good.
type Blocks<K> = BTreeMap<K, Option<Seconds>>;

#[derive(Default)]
struct Model {
    pair: BTreeMap<(u8, u8), Vec<Seconds>>,
    address: BTreeMap<u8, Vec<Seconds>>,
    unknown: BTreeMap<u8, Vec<Seconds>>,
    names: BTreeMap<u8, BTreeMap<u8, Seconds>>,
    offences: BTreeMap<u8, Vec<Seconds>>,
    pairs_blocked: Blocks<(u8, u8)>,
    sources_blocked: Blocks<u8>,
}

fn holds<K: Ord>(blocks: &Blocks<K>, key: &K, now: Seconds) -> bool {
    blocks.get(key).is_some_and(|until| until.is_none_or(|until| until > now))
}

/// Adds an event; whether the window is full with it, which empties it.
fn fills(log: &mut Vec<Seconds>, limit: usize, window: Seconds, now: Seconds) -> bool {
    log.push(now);
    let full = log.iter().filter(|&&t| t + window > now).count() >= limit;
    if full {
        log.clear();
    }
    full
}

fn prolong<K: Ord>(blocks: &mut Blocks<K>, key: K, until: Option<Seconds>, now: Seconds) {
    let old = if holds(blocks, &key, now) { blocks.get(&key).copied() } else { None };
    let later = match (old, until) {
        (Some(None), _) | (_, None) => None,
        (Some(Some(a)), Some(b)) => Some(a.max(b)),
        (None, until) => until,
    };
    blocks.insert(key, later);
}

impl Model {
    fn ask(&mut self, event: &Event, now: Seconds) -> &'static str {
        let (source, account) = (event.source, event.account);
        if holds(&self.sources_blocked, &source, now) {
            return "blocked";
        }
        if holds(&self.pairs_blocked, &(source, account), now) {
            return "pair_locked";
        }
        match event.outcome {
            AuthOutcome::Success => {
                self.pair.remove(&(source, account));
                "authenticated"
            }
            AuthOutcome::StaleNonce => "proof_required",
            failure => {
                self.fail(event, failure, now);
                if failure == AuthOutcome::UnknownAccount { "unknown_account" } else { "bad_credentials" }
            }
        }
    }

    fn fail(&mut self, event: &Event, outcome: AuthOutcome, now: Seconds) {
        let (source, account) = (event.source, event.account);
        if fills(self.pair.entry((source, account)).or_default(), 3, 20, now) {
            prolong(&mut self.pairs_blocked, (source, account), Some(now + 60), now);
        }
        if fills(self.address.entry(source).or_default(), 6, 60, now) {
            let until = self.escalate(source, now);
            prolong(&mut self.sources_blocked, source, until, now);
        }
        let unknown = outcome == AuthOutcome::UnknownAccount;
        if unknown && fills(self.unknown.entry(source).or_default(), 4, 30, now) {
            prolong(&mut self.sources_blocked, source, Some(now + 60), now);
        }
        let names = self.names.entry(source).or_default();
        names.insert(account, now);
        if names.values().filter(|&&t| t + 30 > now).count() >= 3 {
            prolong(&mut self.sources_blocked, source, Some(now + 60), now);
        }
    }

    fn escalate(&mut self, source: u8, now: Seconds) -> Option<Seconds> {
        let offences = self.offences.entry(source).or_default();
        offences.push(now);
        match offences.iter().filter(|&&t| t + 600 > now).count() {
            1 => Some(now + 30),
            2 => Some(now + 120),
            _ => None,
        }
    }
}

fn ask(guard: &Guard, event: &Event, now: Now) -> &'static str {
    let account = event.account.to_string();
    let source = Source::new(([203, 0, 113, event.source], 5060).into(), Transport::Udp);
    let attempt = Attempt::new(AuthKind::Registration, &account, source).answered(true).proved(true);
    let begun = guard.begin(&attempt, now);
    let decision = match begun.ticket {
        Some(ticket) => guard.end(ticket, event.outcome, now),
        None => begun.decision,
    };
    decision.reason.name()
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let outcome = |account: u8| {
        let failure = if account < 2 { AuthOutcome::BadCredentials } else { AuthOutcome::UnknownAccount };
        prop_oneof![
            6 => Just(failure),
            1 => Just(if account < 2 { AuthOutcome::Success } else { failure }),
            1 => Just(AuthOutcome::StaleNonce),
        ]
    };
    let after = prop_oneof![4 => 0..4_u64, 2 => 4..40_u64, 1 => 40..200_u64];
    let event = (after, 0..2_u8, 0..4_u8).prop_flat_map(move |(after, source, account)| {
        outcome(account).prop_map(move |outcome| Event { after, source, account, outcome })
    });
    prop::collection::vec(event, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn c1_every_answer_is_the_models(events in events()) {
        let config: Config = toml::from_str(CONFIG).unwrap();
        let start = Now::new(Mono::from_secs(1_000), Wall::from_unix_secs(1_772_445_600));
        let state = State::new(&config.state, [9; 16], start).unwrap();
        let guard = Guard::new(Arc::new(Rules::compile(&config).unwrap()), state);
        let mut model = Model::default();
        let mut now = 0;
        for (i, event) in events.iter().enumerate() {
            now += event.after;
            let at = start.after(std::time::Duration::from_secs(now));
            prop_assert_eq!(ask(&guard, event, at), model.ask(event, now), "event {} at {} s: {:?}", i, now, event);
        }
    }
}
