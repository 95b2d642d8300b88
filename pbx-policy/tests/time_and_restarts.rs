//! What survives: blocks end once and on time, and neither a reload nor a restart forgets an attacker.

use std::sync::Arc;
use std::time::Duration;

use pbx_core::{EventKind, Mono, Now, Reason, Service, Source, Transport, Wall};
use pbx_policy::{Attempt, AuthKind, AuthOutcome, Config, Decision, Guard, Packet, Rules, State};

const CONFIG: &str = "[[extension]]\nnumber = '1001'\nregistration.remote = true\n\
                      [state]\nsources = 256\noffenders = 256\nbans = 256\nregistrations = 64\ncalls = 64\n";

fn config() -> Config {
    toml::from_str(CONFIG).unwrap()
}

fn rules() -> Arc<Rules> {
    Arc::new(Rules::compile(&config()).unwrap())
}

fn guard() -> Guard {
    Guard::new(rules(), State::new(&config().state, [5; 16], now(0)).unwrap())
}

fn now(secs: u64) -> Now {
    let start = Now::new(Mono::from_secs(50_000), Wall::from_unix_secs(1_772_445_600));
    start.after(Duration::from_secs(secs))
}

fn source() -> Source {
    Source::new("203.0.113.9:5060".parse().unwrap(), Transport::Tcp)
}

fn attempt() -> Attempt<'static> {
    Attempt::new(AuthKind::Registration, "1001", source()).answered(true)
}

fn fail(guard: &Guard, at: Now) -> Decision {
    let begun = guard.begin(&attempt(), at);
    match begun.ticket {
        Some(ticket) => guard.end(ticket, AuthOutcome::BadCredentials, at),
        None => begun.decision,
    }
}

fn flood(guard: &Guard, at: Now) -> Decision {
    let packet = Packet::new(source()).service(Service::Sip);
    (0..40).for_each(|_| _ = guard.on_packet(&packet, at));
    guard.on_packet(&packet, at)
}

#[test]
fn b9_a_block_that_ends_is_told_once() {
    let guard = guard();
    let _ = guard.handle_timeout(now(0));
    assert!(flood(&guard, now(1)).block.is_some());
    assert!(guard.handle_timeout(now(600)).ended.is_empty());
    let elapsed = guard.handle_timeout(now(602));
    assert_eq!(elapsed.ended.len(), 1);
    assert_eq!(elapsed.ended[0].reason, Reason::PacketRate);
    assert_eq!(elapsed.events[0].kind, EventKind::BlockEnded);
    assert_eq!(elapsed.events[0].at, now(601).wall, "when it ended, not when it was noticed");
    assert!(guard.handle_timeout(now(604)).ended.is_empty());
}

#[test]
fn of_several_processes_one_keeps_the_time() {
    let words = pbx_core::table::heap(State::words(&config().state));
    let first = State::create(words.clone(), &config().state, [5; 16], 7, now(0)).unwrap();
    let second = State::attach(words, &config().state, 7, now(0)).unwrap();
    let guards = [Guard::new(rules(), first), Guard::new(rules(), second)];
    let _ = guards[0].handle_timeout(now(0));
    assert!(flood(&guards[0], now(1)).block.is_some());
    let told: usize = guards.iter().map(|g| g.handle_timeout(now(700)).ended.len()).sum();
    assert_eq!(told, 1);
    let packet = Packet::new(source()).service(Service::Sip);
    let _ = flood(&guards[1], now(800));
    assert_eq!(guards[0].on_packet(&packet, now(800)).reason, Reason::Blocked, "they share what is blocked");
}

#[test]
fn the_next_timeout_is_never_far() {
    let guard = guard();
    assert_eq!(guard.poll_timeout(now(0)), now(0).mono, "at once, to begin with");
    let _ = guard.handle_timeout(now(0));
    assert_eq!(guard.poll_timeout(now(0)), now(1).mono);
}

#[test]
fn a_wall_clock_that_jumps_is_told_and_changes_no_penalty() {
    let guard = guard();
    let _ = guard.handle_timeout(now(0));
    assert!(flood(&guard, now(1)).block.is_some());
    let jumped = |secs: u64| Now::new(now(secs).mono, Wall::from_unix_secs(1));
    let kinds: Vec<_> = guard.handle_timeout(jumped(10)).events.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EventKind::ClockJumped]);
    let packet = Packet::new(source()).service(Service::Sip);
    assert_eq!(guard.on_packet(&packet, jumped(600)).reason, Reason::Blocked);
    assert_eq!(guard.on_packet(&packet, jumped(602)).reason, Reason::Allowed);
}

#[test]
fn c1_a_reload_keeps_failures_and_blocks() {
    let guard = guard();
    (0..9).for_each(|_| _ = fail(&guard, now(0)));
    let other = CONFIG.replace(
        "[state]",
        "[[network.auto_defence]]\nname = 'x'\nservice = 'ssh'\npackets = 9\ninterval = '9s'\n[state]",
    );
    guard.reload(Arc::new(Rules::compile(&toml::from_str(&other).unwrap()).unwrap()));
    assert!(fail(&guard, now(1)).block.is_some(), "the tenth");
    guard.reload(rules());
    assert_eq!(fail(&guard, now(2)).reason, Reason::PairLocked);
}

#[test]
fn c1_a_restart_keeps_failures_and_blocks() {
    let before = guard();
    (0..9).for_each(|_| _ = fail(&before, now(0)));
    let _ = flood(&before, now(0));
    let snapshot = before.state().snapshot(now(10));

    // Another run of the machine: its monotonic clock begins anew, and ten seconds were lost.
    let later = |secs: u64| Now::new(Mono::from_secs(5 + secs), now(20 + secs).wall);
    let state = State::restore(&config().state, &snapshot, 99, later(0)).unwrap();
    let after = Guard::new(rules(), state);
    let packet = Packet::new(source()).service(Service::Sip);
    assert_eq!(after.on_packet(&packet, later(0)).reason, Reason::Blocked);
    assert_eq!(after.on_packet(&packet, later(579)).reason, Reason::Blocked);
    assert_eq!(after.on_packet(&packet, later(581)).reason, Reason::Allowed);
    let untouched = Guard::new(rules(), State::restore(&config().state, &snapshot, 99, later(0)).unwrap());
    assert_eq!(untouched.unblock(source().key(), None, later(0)), 1);
    assert!(fail(&untouched, later(1)).block.is_some(), "the tenth, with the nine before the restart");
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let guard = guard();
    let mut snapshot = guard.state().snapshot(now(1));
    let mut other = config().state;
    other.bans *= 2;
    assert!(State::restore(&other, &snapshot, 0, now(2)).is_err(), "of another size");
    assert!(State::restore(&config().state, &snapshot[..snapshot.len() - 8], 0, now(2)).is_err(), "cut off");
    let middle = snapshot.len() / 2;
    snapshot[middle] ^= 1;
    assert!(State::restore(&config().state, &snapshot, 0, now(2)).is_err(), "changed");
}

#[test]
fn c1_a_ticket_that_is_dropped_gives_its_try_back() {
    let guard = guard();
    // Five, because the name might be unknown, and that many unknown names block the address.
    for _ in 0..5 {
        drop(guard.begin(&attempt(), now(0)).ticket.expect("a try is left"));
    }
    let busy = guard.begin(&attempt(), now(1));
    assert_eq!(busy.decision.reason, Reason::TriesInFlight);
    assert!(busy.decision.retry_after.is_some_and(|d| d <= Duration::from_secs(30)), "{:?}", busy.decision);
    assert!(guard.begin(&attempt(), now(31)).ticket.is_some());
}

#[test]
fn clocks_that_run_back_change_no_penalty() {
    let guard = guard();
    (0..10).for_each(|_| _ = fail(&guard, now(1_000)));
    for earlier in [999, 500, 0] {
        assert_eq!(fail(&guard, now(earlier)).reason, Reason::PairLocked, "{earlier}");
    }
    assert_eq!(fail(&guard, now(1_000 + 86_399)).reason, Reason::PairLocked);
    assert_eq!(fail(&guard, now(1_000 + 86_401)).reason, Reason::BadCredentials);
}
