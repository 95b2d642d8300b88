//! Calls that last too long are warned and cut by time alone, once, and a restart forgets none of it.

mod calls_support;

use std::collections::BTreeSet;
use std::sync::Barrier;

use calls_support::Office;
use pbx_core::{CallId, EventKind, Now, Reason, Verdict};
use pbx_policy::config::StateConfig;
use pbx_policy::{CallEvent, Decision, Guard, State};

const CONFIG: &str = r#"
    extension = [{ number = "1001", max_duration = "2min", max_calls = 1 }, { number = "1002" }]
    trunk = [{ name = "A" }]
    route = [{ name = "all", everyone = true, trunks = ["A"] }]
    emergency = [{ name = "EU", number = "112", trunk = [{ trunk = "A" }] }]
"#;

fn told(office: &Office) -> Vec<(u64, Verdict)> {
    let calls = office.guard.handle_timeout(office.now).calls;
    calls.iter().map(|(call, decision): &(CallId, Decision)| (call.0, decision.verdict)).collect()
}

#[test]
fn time_alone_warns_and_cuts() {
    let mut office = Office::new(CONFIG);
    assert_eq!(office.reason(1, "1001", "123"), Reason::Allowed);
    assert_eq!(office.reason(2, "1002", "112"), Reason::Emergency);
    office.wait(30_000);
    office.event(1, CallEvent::Answered);
    office.event(2, CallEvent::Answered);
    assert_eq!(told(&office), []);
    office.wait(59_999);
    assert_eq!(told(&office), []);
    let next = office.guard.poll_timeout(office.now);
    assert!(next <= office.now.after(core::time::Duration::from_millis(1)).mono, "no later than the warning");
    office.wait(1);
    assert_eq!(told(&office), [(1, Verdict::Warn)]);
    assert_eq!(told(&office), [], "once");
    office.wait(60_000);
    let elapsed = office.guard.handle_timeout(office.now);
    let (call, decision) = &elapsed.calls[0];
    assert_eq!((*call, decision.verdict, decision.reason), (CallId(1), Verdict::Cut, Reason::DurationLimit));
    assert_eq!(decision.events[0].kind, EventKind::DurationReached);
    assert_eq!(told(&office), [], "once");
    assert_eq!(office.event(1, CallEvent::Alive).verdict, Verdict::Cut, "for who did not listen");
    office.wait(24 * 3_600_000);
    assert_eq!(told(&office), [], "the emergency call is never cut");
}

#[test]
fn a_call_of_which_nothing_is_heard_is_cut_all_the_same() {
    let mut office = Office::new(&CONFIG.replace("2min", "3h"));
    assert_eq!(office.reason(1, "1001", "123"), Reason::Allowed);
    office.event(1, CallEvent::Answered);
    office.wait(3 * 3_600_000);
    assert_eq!(told(&office), [(1, Verdict::Cut)]);
}

#[test]
fn eight_workers_tell_a_cut_once() {
    for round in 0..50 {
        let mut office = Office::new(CONFIG);
        for call in 1..33 {
            office.reason(call, "1002", "123");
            office.event(call, CallEvent::Answered);
            office.wait(1_000);
        }
        office.wait(3 * 3_600_000);
        let together = Barrier::new(8);
        let told: Vec<u64> = std::thread::scope(|scope| {
            let ask = || {
                together.wait();
                let calls = (1..33).filter(|&c| {
                    let told = office.event(c, CallEvent::Alive).events;
                    told.iter().any(|e| e.kind == EventKind::DurationReached)
                });
                calls.collect::<Vec<_>>()
            };
            let workers: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
        });
        let once: BTreeSet<_> = told.iter().collect();
        assert_eq!((told.len(), once.len()), (32, 32), "round {round}");
    }
}

#[test]
fn a_restart_forgets_neither_calls_nor_locks() {
    let office = Office::new(CONFIG);
    assert_eq!(office.reason(1, "1001", "123"), Reason::Allowed);
    office.event(1, CallEvent::Answered);
    for call in 10..16 {
        office.reason(call, "1002", "123");
    }
    assert_eq!(office.reason(20, "1002", "123"), Reason::FrequencyLocked);
    let mut config = StateConfig::default();
    (config.sources, config.offenders, config.bans) = (64, 64, 64);
    (config.registrations, config.calls) = (64, 64);
    let snapshot = office.guard.state().snapshot(office.now);
    let state = State::restore(&config, &snapshot, 0, office.now).unwrap();
    let guard = Guard::new(office.guard.rules(), state);
    let mut again = Office { guard, now: Now::new(office.now.mono, office.now.wall) };
    assert_eq!(again.reason(21, "1002", "123"), Reason::FrequencyLocked);
    assert_eq!(
        again.reason(22, "1001", "123"),
        Reason::UserConcurrency,
        "the call before the restart holds the line"
    );
    assert_eq!(again.guard.locked(again.now).len(), 1);
    again.wait(120_000);
    assert_eq!(told(&again)[0], (1, Verdict::Cut));
    assert!(again.guard.unlock("1002".parse().unwrap(), again.now));
    assert_eq!(again.reason(23, "1002", "123"), Reason::Allowed);
}
