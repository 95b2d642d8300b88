//! What a sender is answered does not tell it which accounts exist, nor which rule refused it.

use std::sync::Arc;

use pbx_core::{Challenge, Mono, Now, Source, Transport, Wall};
use pbx_policy::{Attempt, AuthKind, AuthOutcome, Config, Guard, Rules, State, Wire};

const CONFIG: &str = "
registration.address_refusal = 'reject'
[[extension]]
number = 'plain'
registration.remote = true
[[extension]]
number = 'local'
[[extension]]
number = 'agent'
registration.remote = true
registration.user_agents = ['Yealink']
[[extension]]
number = 'list'
registration.remote = true
registration.addresses = ['198.51.100.0/24']
[[extension]]
number = 'off'
enabled = false
registration.remote = true
";

const ACCOUNTS: [(&str, AuthOutcome); 6] = [
    ("plain", AuthOutcome::BadCredentials),
    ("local", AuthOutcome::Success),
    ("agent", AuthOutcome::Success),
    ("list", AuthOutcome::Success),
    ("off", AuthOutcome::Success),
    ("nobody", AuthOutcome::UnknownAccount),
];

/// The answers to a request without credentials and four with them.
fn answers(account: &str, outcome: AuthOutcome) -> Vec<(Wire, Option<u16>)> {
    let config: Config = toml::from_str(CONFIG).unwrap();
    let now = Now::new(Mono::from_secs(1_000), Wall::from_unix_secs(1_772_445_600));
    let state = State::new(&config.state, [9; 16], now).unwrap();
    let guard = Guard::new(Arc::new(Rules::compile(&config).unwrap()), state);
    let source = Source::new("203.0.113.9:5060".parse().unwrap(), Transport::Udp);
    let ask = |answered| {
        let attempt =
            Attempt::new(AuthKind::Registration, account, source).answered(answered).proved(answered);
        let begun = guard.begin(&attempt, now);
        let decision = match begun.ticket {
            Some(ticket) => guard.end(ticket, outcome, now),
            None => begun.decision,
        };
        (decision.wire(), decision.sip_status())
    };
    [false, true, true, true, true].map(ask).to_vec()
}

#[test]
fn c1_unknown_refused_and_wrong_are_answered_alike() {
    let refused = (Wire::Refuse(403), Some(403));
    let expected = [&[(Wire::Challenge(Challenge::Digest), Some(401))][..], &[refused; 4]].concat();
    for (account, outcome) in ACCOUNTS {
        assert_eq!(answers(account, outcome), expected, "{account}");
    }
}

#[test]
fn the_answer_holds_no_reason() {
    let shown = format!("{:?}", answers("list", AuthOutcome::Success));
    for word in ["permitted", "unknown", "list", "Reason"] {
        assert!(!shown.to_lowercase().contains(&word.to_lowercase()), "{shown}");
    }
}
