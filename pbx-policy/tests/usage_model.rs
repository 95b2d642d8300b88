//! Call frequency and calls at a time against a log that forgets nothing.

mod calls_support;

use calls_support::Office;
use pbx_core::Reason;
use pbx_policy::CallEvent;
use proptest::prelude::*;

/// At most so many calls in so many milliseconds.
type Limit = (u32, u64);

fn config(limits: &[Limit], lines: u32, deny: bool) -> String {
    let limits: Vec<String> =
        limits.iter().map(|(n, ms)| format!("{{ calls = {n}, within = \"{ms}ms\" }}")).collect();
    let on_exceed = if deny { "deny" } else { "lock" };
    format!(
        r#"
        extension = [{{ number = "1001", frequency = ["f"], max_calls = {lines} }}]
        frequency = [{{ name = "f", limit = [{}], on_exceed = "{on_exceed}", lock_for = "{}" }}]
        trunk = [{{ name = "A" }}]
        route = [{{ name = "all", everyone = true, trunks = ["A"] }}]
        dialling = {{ alive_for = "1min" }}
        "#,
        limits.join(", "),
        if deny { "0s" } else { "5s" },
    )
}

#[derive(Default)]
struct Log {
    accepted: Vec<u64>,
    locked_until: u64,
}

impl Log {
    fn exceeds(&self, limits: &[Limit], now: u64) -> bool {
        limits.iter().any(|&(n, ms)| {
            let inside = self.accepted.iter().filter(|&&at| at + ms > now).count();
            inside >= n as usize
        })
    }
}

fn limits() -> impl Strategy<Value = Vec<Limit>> {
    prop::collection::vec((0_u32..6, 1_000_u64..8_000), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn a_call_passes_when_every_window_has_room(
        limits in limits(),
        deny in any::<bool>(),
        waits in prop::collection::vec(prop_oneof![0_u64..10, 100_u64..2_000], 1..60),
    ) {
        let mut office = Office::new(&config(&limits, 0, deny));
        let mut log = Log::default();
        let mut now = 1_000_000_u64;
        for (call, wait) in (1..).zip(waits) {
            now += wait;
            office.wait(wait);
            let expected = if now < log.locked_until {
                Reason::FrequencyLocked
            } else if log.exceeds(&limits, now) {
                log.locked_until = if deny { 0 } else { now + 5_000 };
                Reason::FrequencyExceeded
            } else {
                log.accepted.push(now);
                Reason::Allowed
            };
            prop_assert_eq!(office.reason(call, "1001", "123"), expected, "at {}", now);
        }
    }

    #[test]
    fn lines_are_those_of_calls_that_live(
        lines in 1_u32..40,
        steps in prop::collection::vec((0_u8..4, 0_u64..50, 0_u64..9_000), 1..150),
    ) {
        let mut office = Office::new(&config(&[(60, 1_000)], lines, true));
        // Calls by their number, and when each was last heard of.
        let mut live: Vec<(u64, u64)> = Vec::new();
        let (mut now, mut number) = (0_u64, 0_u64);
        for (what, which, wait) in steps {
            now += wait;
            office.wait(wait);
            live.retain(|(_, heard)| heard + 60_000 > now);
            let chosen = live.get(usize::try_from(which).unwrap() % live.len().max(1)).map(|c| c.0);
            match (what, chosen) {
                (0 | 1, _) | (_, None) => {
                    number += 1;
                    let reason = office.reason(number, "1001", "123");
                    if reason == Reason::FrequencyExceeded {
                        continue;
                    }
                    let room = live.len() < lines as usize;
                    let expected = if room { Reason::Allowed } else { Reason::UserConcurrency };
                    prop_assert_eq!(reason, expected, "{} of {} lines", live.len(), lines);
                    live.extend(room.then_some((number, now)));
                }
                (2, Some(call)) => {
                    office.event(call, CallEvent::Ended);
                    live.retain(|c| c.0 != call);
                }
                (_, Some(call)) => {
                    office.event(call, CallEvent::Alive);
                    live.iter_mut().filter(|c| c.0 == call).for_each(|c| c.1 = now);
                }
            }
        }
    }
}

/// 3000 calls a minute, the vendor's second example, are more than a ring holds: never more pass than the rule
/// says, and an even stream of that rate does pass.
#[test]
fn large_limits_are_never_exceeded_and_an_even_stream_passes() {
    let mut office = Office::new(&config(&[(3_000, 60_000)], 0, true));
    let mut accepted = Vec::new();
    for ms in 0..90_000_u64 {
        if office.reason(ms + 1, "1001", "123") == Reason::Allowed {
            accepted.push(ms);
        }
        office.event(ms + 1, CallEvent::Ended);
        office.wait(1);
    }
    let worst = accepted
        .iter()
        .map(|&from| accepted.iter().filter(|&&at| (from..from + 60_000).contains(&at)).count());
    assert!(worst.max().unwrap() <= 3_000, "in any minute");
    assert!(accepted.len() > 2_000, "{} in 90 s", accepted.len());
}
