//! A call takes all it uses or nothing.

mod calls_support;

use calls_support::Office;
use pbx_core::{CallId, Reason, Verdict};
use pbx_policy::{CallEvent, OutboundCall, PinProof};

const CONFIG: &str = r#"
    [[extension]]
    number = "1001"
    max_calls = 3
    frequency = ["five"]
    [[extension]]
    number = "1002"
    frequency = []
    [[frequency]]
    name = "five"
    limit = [{ calls = 5, within = "1min" }]
    on_exceed = "deny"
    [[trunk]]
    name = "A"
    max_calls = 2
    [[route]]
    name = "pin"
    everyone = true
    pattern = [{ pattern = "8." }]
    pin = "p"
    trunks = ["A"]
    [[route]]
    name = "all"
    everyone = true
    trunks = ["A"]
    [[number_list]]
    name = "premium"
    direction = "outbound"
    numbers = ["0900."]
"#;

/// How many calls of 1001 pass before the first that does not.
fn left(office: &Office, from: u64) -> u64 {
    (0..)
        .find(|i| {
            let answer = office.reason(from + i, "1001", "2000");
            office.event(from + i, CallEvent::Ended);
            answer != Reason::Allowed
        })
        .unwrap()
}

#[test]
fn refused_calls_burn_no_frequency() {
    let office = Office::new(CONFIG);
    for (call, dialled, reason) in [
        (1, "0900123", Reason::NumberBlocked),
        (2, "abc", Reason::InvalidNumber),
        (3, "8123", Reason::PinRequired),
    ] {
        for _ in 0..20 {
            assert_eq!(office.reason(call, "1001", dialled), reason);
        }
    }
    for call in 4..20 {
        let reason = office.call_with_pin(call, "1001", "8123", false).decision.reason;
        assert_eq!(reason, Reason::PinWrong);
    }
    assert_eq!(left(&office, 100), 5);
}

#[test]
fn a_full_trunk_gives_back_the_line_of_the_extension_and_burns_no_frequency() {
    let office = Office::new(CONFIG);
    assert_eq!(office.reason(1, "1002", "2000"), Reason::Allowed);
    assert_eq!(office.reason(2, "1002", "2000"), Reason::Allowed);
    for call in 3..30 {
        assert_eq!(office.reason(call, "1001", "2000"), Reason::TrunkBusy);
    }
    office.event(1, CallEvent::Ended);
    assert_eq!(left(&office, 100), 5);
}

#[test]
fn exceeding_the_frequency_gives_back_the_lines() {
    let mut office = Office::new(CONFIG);
    assert_eq!(left(&office, 1), 5);
    for call in 10..30 {
        assert_eq!(office.reason(call, "1001", "2000"), Reason::FrequencyExceeded);
    }
    for call in 30..32 {
        assert_eq!(office.reason(call, "1002", "2000"), Reason::Allowed, "both lines of the trunk are free");
    }
    assert_eq!(office.reason(33, "1002", "2000"), Reason::TrunkBusy);
    office.event(30, CallEvent::Ended);
    office.event(31, CallEvent::Ended);
    office.wait(60_000);
    assert_eq!(left(&office, 100), 5);
}

#[test]
fn asking_changes_nothing() {
    let office = Office::new(CONFIG);
    for _ in 0..100 {
        assert_eq!(office.check("1001", "2000").decision.reason, Reason::Allowed);
        assert_eq!(office.check("1001", "8123").decision.reason, Reason::PinRequired);
    }
    assert_eq!(left(&office, 1), 5);
}

#[test]
fn asking_again_about_a_call_counts_once() {
    let office = Office::new(CONFIG);
    for _ in 0..20 {
        assert_eq!(office.reason(1, "1001", "2000"), Reason::Allowed);
    }
    office.event(1, CallEvent::Ended);
    assert_eq!(left(&office, 100), 4);
}

#[test]
fn ends_that_come_twice_or_out_of_order_free_nothing_else() {
    let office = Office::new(CONFIG);
    assert_eq!(office.reason(1, "1002", "2000"), Reason::Allowed);
    assert_eq!(office.reason(2, "1002", "2000"), Reason::Allowed);
    for _ in 0..5 {
        office.event(1, CallEvent::Ended);
        office.event(7, CallEvent::Ended);
    }
    assert_eq!(office.reason(3, "1002", "2000"), Reason::Allowed);
    assert_eq!(office.reason(4, "1002", "2000"), Reason::TrunkBusy, "2 and 3 are still there");
}

#[test]
fn eight_threads_never_exceed_any_limit() {
    for round in 0..20 {
        let office = Office::new(CONFIG);
        let allowed: u32 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8_u64)
                .map(|thread| {
                    let office = &office;
                    scope.spawn(move || {
                        let mut allowed = 0;
                        for i in 0..20 {
                            let call = CallId(1 + round * 1_000 + thread * 100 + i);
                            let request = OutboundCall::new(call, "1001".parse().unwrap(), "8000")
                                .pin(PinProof::Given { proved: true });
                            let answer = office.guard.on_call(request, office.now);
                            if answer.decision.verdict == Verdict::Allow {
                                allowed += 1;
                                office.guard.on_call_event(call, CallEvent::Ended, office.now);
                            }
                        }
                        allowed
                    })
                })
                .collect();
            workers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        assert!((1..=5).contains(&allowed), "{allowed} of at most 5");
        let again = left(&office, 100_000);
        assert_eq!(u64::from(allowed) + again, 5, "what the races refused is left for later");
        let mut office = office;
        office.wait(60_000);
        assert_eq!(left(&office, 200_000), 5, "no line was lost");
    }
}
