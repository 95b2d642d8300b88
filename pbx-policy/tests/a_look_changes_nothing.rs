//! The what-if questions answer what would be decided, and change nothing.

use std::sync::Arc;
use std::time::Duration;

use pbx_core::{Mono, Now, Service, Source, Transport, Wall};
use pbx_policy::{Attempt, AuthKind, AuthOutcome, Config, Guard, Packet, Rules, State};
use proptest::prelude::*;

const CONFIG: &str = "
[registration]
pair = { failures = 3, within = '20s', block = '60s' }
[[network.auto_defence]]
name = 'few'
service = 'sip'
packets = 3
interval = '10s'
[[extension]]
number = '0'
registration.remote = true
[[extension]]
number = '1'
registration.user_agents = ['x']
[state]
sources = 64
offenders = 256
bans = 256
registrations = 64
calls = 64
";

#[derive(Clone, Copy, Debug)]
enum Event {
    Packet { source: u8 },
    Auth { source: u8, account: u8, kind: AuthKind, answered: bool, outcome: AuthOutcome },
}

fn guard(now: Now) -> Guard {
    let config: Config = toml::from_str(CONFIG).unwrap();
    let state = State::new(&config.state, [9; 16], now).unwrap();
    Guard::new(Arc::new(Rules::compile(&config).unwrap()), state)
}

fn source(last: u8) -> Source {
    Source::new(([203, 0, 113, last], 5060).into(), Transport::Udp)
}

/// Plays an event; with `look`, asks the what-if question first and compares.
fn play(guard: &Guard, event: Event, now: Now, look: bool) -> Result<String, TestCaseError> {
    match event {
        Event::Packet { source: last } => {
            let packet = Packet::new(source(last)).service(Service::Sip);
            let seen = look.then(|| [guard.check_packet(&packet, now), guard.check_packet(&packet, now)]);
            let decision = guard.on_packet(&packet, now);
            for seen in seen.into_iter().flatten() {
                prop_assert_eq!((seen.verdict, seen.reason), (decision.verdict, decision.reason));
            }
            Ok(format!("{decision:?}"))
        }
        Event::Auth { source: last, account, kind, answered, outcome } => {
            let account = account.to_string();
            let attempt = Attempt::new(kind, &account, source(last)).answered(answered).proved(answered);
            let seen = look.then(|| [guard.check_auth(&attempt, now), guard.check_auth(&attempt, now)]);
            let begun = guard.begin(&attempt, now);
            for seen in seen.into_iter().flatten() {
                let ours = (begun.decision.verdict, begun.decision.reason, begun.decision.trace.clone());
                prop_assert_eq!((seen.verdict, seen.reason, seen.trace), ours);
            }
            let end = begun.ticket.map(|ticket| guard.end(ticket, outcome, now));
            Ok(format!("{:?} {end:?}", begun.decision))
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let kind =
        prop::sample::select(vec![AuthKind::Registration, AuthKind::Web, AuthKind::Totp, AuthKind::Pin]);
    let outcome = prop::sample::select(AuthOutcome::ALL.to_vec());
    prop_oneof![
        (0..3_u8).prop_map(|source| Event::Packet { source }),
        (0..3_u8, 0..3_u8, kind, any::<bool>(), outcome).prop_map(
            |(source, account, kind, answered, outcome)| {
                Event::Auth { source, account, kind, answered, outcome }
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn looking_between_events_changes_no_answer(events in prop::collection::vec((0..8_u64, event()), 1..60)) {
        let start = Now::new(Mono::from_secs(1_000), Wall::from_unix_secs(1_772_445_600));
        let (looked_at, alone) = (guard(start), guard(start));
        let mut now = start;
        for (after, event) in events {
            now = now.after(Duration::from_secs(after));
            let with = play(&looked_at, event, now, true)?;
            prop_assert_eq!(with, play(&alone, event, now, false)?, "{:?}", event);
        }
    }
}
