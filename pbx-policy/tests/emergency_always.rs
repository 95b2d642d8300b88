//! Nothing stops a call to an emergency number.

mod calls_support;

use calls_support::Office;
use pbx_core::{EventKind, Reason, Verdict};
use pbx_policy::CallEvent;

const EVERYTHING_FORBIDDEN: &str = r#"
    [[extension]]
    number = "1001"
    enabled = false
    outbound = false
    outbound_outside_hours = false
    international = false
    max_calls = 1
    max_duration = "1s"
    frequency = ["none"]
    emergency_caller_id = "+49301001"

    [[extension]]
    number = "1002"
    max_calls = 1
    frequency = ["one"]

    [[frequency]]
    name = "none"
    limit = [{ calls = 0, within = "1min" }]
    [[frequency]]
    name = "one"
    limit = [{ calls = 1, within = "1min" }]

    [[trunk]]
    name = "provider"
    max_calls = 1
    [[trunk]]
    name = "mobile"
    enabled = false

    [[route]]
    name = "all"
    everyone = true
    pin = "secret"
    trunks = ["provider"]
    [[route.pattern]]
    pattern = "X!"

    [[emergency]]
    name = "EU"
    number = "112"
    trunk = [{ trunk = "mobile" }, { trunk = "provider", caller_id = "+4930110", prepend = "0" }]
    [[emergency]]
    name = "US"
    number = "911"
    caller_id = "extension_first"
    trunk = [{ trunk = "provider", caller_id = "+4930110" }]

    [[number_list]]
    name = "all"
    direction = "both"
    numbers = ["X!"]

    [international]
    enabled = true
    pin = "secret"

    [dialling]
    access_prefixes = ["9", "0"]
    feature_codes = ["*X."]

    [time]
    hours = [{ days = ["sun"], ranges = ["03:00-03:01"] }]
"#;

#[test]
fn spec_5_11_with_everything_forbidden() {
    let office = Office::new(EVERYTHING_FORBIDDEN);
    for (i, dialled) in ["112", "9112", "0112", "911", "9911", "1-1-2", "(112)"].into_iter().enumerate() {
        for extension in ["1001", "1002", "4711"] {
            let answer = office.call(100 + i as u64, extension, dialled);
            assert_eq!(answer.decision.verdict, Verdict::Allow, "{extension} {dialled}");
            assert_eq!(answer.decision.reason, Reason::Emergency, "{extension} {dialled}");
            assert!(answer.emergency && !answer.trunks.is_empty());
            assert_eq!((answer.max_duration, answer.warn_at), (None, None), "never cut");
            let told = answer.decision.events.iter().any(|e| e.kind == EventKind::EmergencyCall);
            assert!(told, "{extension} {dialled}");
            assert_eq!(office.check(extension, dialled).decision.reason, Reason::Emergency);
        }
    }
}

#[test]
fn what_is_no_emergency_number_gets_nothing_from_it() {
    let office = Office::new(EVERYTHING_FORBIDDEN);
    for dialled in ["1121", "8112", "99112", "11", "12", "0000112", "+112"] {
        let answer = office.check("1001", dialled);
        assert!(!answer.emergency, "{dialled}: {}", answer.decision.reason);
    }
}

#[test]
fn a_full_trunk_a_locked_extension_and_full_tables_do_not_matter() {
    let mut office = Office::new(EVERYTHING_FORBIDDEN);
    assert_eq!(office.call_with_pin(1, "1002", "2000", true).decision.reason, Reason::NumberBlocked);
    let open = EVERYTHING_FORBIDDEN.replace("[\"X!\"]", "[\"0900.\"]");
    office.guard.reload(calls_support::rules(&open));
    assert_eq!(office.call_with_pin(1, "1002", "2000", true).decision.reason, Reason::Allowed);
    assert_eq!(office.call_with_pin(2, "1002", "2000", true).decision.reason, Reason::UserConcurrency);
    office.event(1, CallEvent::Ended);
    assert_eq!(office.call_with_pin(3, "1002", "2000", true).decision.reason, Reason::FrequencyExceeded);
    assert_eq!(office.call_with_pin(4, "1002", "2000", true).decision.reason, Reason::FrequencyLocked);
    assert_eq!(office.reason(5, "1002", "112"), Reason::Emergency);
    // More emergency calls than the table of live calls has room for.
    for call in 1_000..2_000 {
        assert_eq!(office.reason(call, "1002", "911"), Reason::Emergency);
    }
    for call in 1_000..2_000 {
        assert_eq!(office.event(call, CallEvent::Answered).verdict, Verdict::Continue);
    }
    office.wait(24 * 3_600_000);
    for call in 1_000..2_000 {
        assert_eq!(office.event(call, CallEvent::Alive).verdict, Verdict::Continue);
    }
}

#[test]
fn the_trunk_that_works_comes_first_and_caller_ids_have_their_order() {
    let office = Office::new(EVERYTHING_FORBIDDEN);
    let answer = office.check("1001", "9112");
    assert_eq!(office.trunks(&answer), ["provider", "mobile"], "what is switched off is the last resort");
    let sent: Vec<String> = answer.trunks.iter().map(|t| format!("{} {}", t.number, t.caller_id)).collect();
    assert_eq!(sent, ["0112 +4930110", "112 +49301001"]);
    let answer = office.check("1001", "911");
    assert_eq!(answer.trunks[0].caller_id.as_str(), "+49301001", "extension_first");
    assert_eq!(answer.number.unwrap().as_str(), "911", "without the access prefix");
}

#[test]
fn nothing_else_may_be_dialled_like_an_emergency_number() {
    let config = r#"
        extension = [{ number = "1001" }, { number = "112" }, { number = "9112" }]
        trunk = [{ name = "A" }]
        emergency = [{ name = "EU", number = "112", trunk = [{ trunk = "A" }] }, { name = "US", number = "911" }]
        dialling = { access_prefixes = ["9"], feature_codes = ["*9X", "1X2", "0."] }
    "#;
    let errors = pbx_policy::Rules::compile(&toml::from_str(config).unwrap()).unwrap_err();
    let paths: Vec<&str> = errors.iter().map(pbx_core::ConfigError::path).collect();
    let expected =
        ["emergency[1].trunk", "extension[1].number", "extension[2].number", "dialling.feature_codes[1]"];
    assert_eq!(paths, expected, "{errors}");
}
