//! N parallel guesses cost N tries: with eight threads exactly as many secrets are looked at as the limit says.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};

use pbx_core::{Mono, Now, Reason, Source, Transport, Wall};
use pbx_policy::{Attempt, AuthKind, AuthOutcome, Config, Guard, Rules, State};

const THREADS: u32 = 8;
const ROUNDS: u32 = 60;

fn guard() -> Guard {
    let text = "[[extension]]\nnumber = '1001'\nregistration.remote = true\n\
                [state]\nsources = 256\noffenders = 1024\nbans = 256\nregistrations = 64\ncalls = 64";
    let config: Config = toml::from_str(text).unwrap();
    let state = State::new(&config.state, [5; 16], now(0)).unwrap();
    Guard::new(Arc::new(Rules::compile(&config).unwrap()), state)
}

fn now(ms: u64) -> Now {
    Now::new(Mono::from_millis(50_000 + ms), Wall::from_unix_secs(1_772_445_600))
}

/// Guesses until a block answers; how many secrets were looked at.
fn guess(guard: &Guard, attempt: &Attempt<'_>, outcome: AuthOutcome, at: Now) -> u32 {
    let mut evaluated = 0;
    loop {
        let begun = guard.begin(attempt, at);
        let Some(ticket) = begun.ticket else {
            match begun.decision.reason {
                Reason::TriesInFlight => std::thread::yield_now(),
                _ => return evaluated,
            }
            continue;
        };
        evaluated += 1;
        std::thread::yield_now();
        assert!(!guard.end(ticket, outcome, at).verdict.is_allowed());
    }
}

/// How many secrets eight threads get looked at that start together.
fn attack(round: u32, kind: AuthKind, outcome: AuthOutcome, account: impl Fn(u32) -> String + Sync) -> u32 {
    let (guard, start, evaluated) = (guard(), Barrier::new(THREADS as usize), AtomicU32::new(0));
    let source = Source::new(format!("203.0.113.{}:5060", round % 250).parse().unwrap(), Transport::Udp);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (guard, start, evaluated, account) = (&guard, &start, &evaluated, account(thread));
            scope.spawn(move || {
                let attempt = Attempt::new(kind, &account, source).answered(true).proved(true);
                start.wait();
                let n = guess(guard, &attempt, outcome, now(u64::from(thread)));
                evaluated.fetch_add(n, Ordering::SeqCst);
            });
        }
    });
    evaluated.into_inner()
}

#[test]
fn c1_ten_guesses_at_one_account() {
    for round in 0..ROUNDS {
        let n = attack(round, AuthKind::Registration, AuthOutcome::BadCredentials, |_| "1001".to_owned());
        assert_eq!(n, 10, "round {round}");
    }
}

#[test]
fn c1_five_unknown_names() {
    for round in 0..ROUNDS {
        let n = attack(round, AuthKind::Registration, AuthOutcome::UnknownAccount, |_| "ghost".to_owned());
        assert_eq!(n, 5, "round {round}");
    }
}

#[test]
fn d1_five_logins_whatever_the_names() {
    for round in 0..ROUNDS {
        let n = attack(round, AuthKind::Web, AuthOutcome::BadCredentials, |thread| format!("user{thread}"));
        assert_eq!(n, 5, "round {round}");
    }
}

#[test]
fn e2_ten_pins_of_one_extension() {
    for round in 0..ROUNDS {
        let n = attack(round, AuthKind::Pin, AuthOutcome::BadCredentials, |_| "1001".to_owned());
        assert_eq!(n, 10, "round {round}");
    }
}
