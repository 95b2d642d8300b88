//! A decision about a call says why, in the form of the command-line contract.

mod calls_support;

use calls_support::Office;
use pbx_core::CallId;
use pbx_policy::{CallEvent, Explained, InboundCall, OutboundCall};
use serde_json::{Value, json};

const OFFICE: &str = r#"
    extension = [{ number = "1001" }, { number = "1002", outbound = false, max_calls = 1 }]
    trunk = [{ name = "provider" }, { name = "backup" }]
    emergency = [{ name = "EU", number = "112", trunk = [{ trunk = "provider" }] }]
    international = { enabled = true, allowed = ["GB"] }
    number_list = [{ name = "nuisance", numbers = ["666"] }]
    [[route]]
    name = "International"
    everyone = true
    trunks = ["provider", "backup"]
    pattern = [{ pattern = "00." }]
"#;

fn outbound(office: &Office, extension: &str, dialled: &str) -> Explained {
    let call = OutboundCall::new(CallId(1), extension.parse().unwrap(), dialled);
    let decision = office.guard.check_call(call, office.now);
    Explained::outbound(&office.guard.rules(), &call, &decision, office.now)
}

#[test]
fn the_example_of_the_contract() {
    let office = Office::new(OFFICE);
    let json = serde_json::to_value(outbound(&office, "1001", "00541144445555")).unwrap();
    for (key, expected) in [
        ("at", json!("2026-03-02T10:00:00Z")),
        ("ask", json!("outbound")),
        ("verdict", json!("reject")),
        ("reason", json!("country_not_allowed")),
        ("code", json!(2309)),
        ("rule", json!("country:AR")),
        ("why", json!("+54 (Argentina) is not among the allowed countries")),
        ("extension", json!("1001")),
        ("dialled", json!("00541144445555")),
        ("number", json!("+541144445555")),
        ("route", json!("International")),
        ("trunks", json!([])),
        ("max_duration_s", Value::Null),
        ("warn_at_s", Value::Null),
        ("challenge", Value::Null),
        ("retry_after_s", Value::Null),
        ("sip_status", json!(403)),
        ("q850_cause", json!(21)),
        ("blocks", json!([])),
    ] {
        assert_eq!(json[key], expected, "{key}");
    }
    assert_eq!(json["events"][0]["name"], "call_to_blocked_country");
    assert_eq!(json["trace"][0], json!({ "step": "emergency", "result": "no match" }));
    let route = json!({ "step": "route", "rule": "route:International", "result": "passed" });
    assert!(json["trace"].as_array().unwrap().contains(&route), "{}", json["trace"]);
}

#[test]
fn a_call_that_is_let_through() {
    let office = Office::new(OFFICE);
    let json = serde_json::to_value(outbound(&office, "1001", "00442079460000")).unwrap();
    assert_eq!(json["trunks"], json!(["provider", "backup"]));
    assert_eq!((&json["max_duration_s"], &json["warn_at_s"]), (&json!(10_800), &json!(10_740)));
    assert_eq!((&json["sip_status"], &json["q850_cause"]), (&Value::Null, &Value::Null));
}

#[test]
fn sentences_name_what_they_are_about() {
    let office = Office::new(OFFICE);
    for (extension, dialled, why) in [
        ("1001", "112", "112 is an emergency number; nothing may stop the call"),
        ("1001", "1002", "1002 is an extension or a feature code, no outbound call"),
        ("1002", "0044", "outbound calls are switched off for extension 1002"),
        ("4711", "0044", "extension 4711 does not exist or is switched off"),
        ("1001", "123", "no route matches 123"),
        ("1001", "0021012345", "+21012345 begins with digits that are assigned to nobody"),
        ("1001", "0012425551234", "+1242 (Bahamas) is not among the allowed countries"),
        ("1001", "0019005551234", "+19005551234 is a premium-rate number"),
        (
            "1001",
            "1\n2",
            "\"1?2\" is no number: '?' cannot be part of a number; digits, *, # and one leading + can",
        ),
    ] {
        assert_eq!(outbound(&office, extension, dialled).why, why);
    }
    let text = outbound(&office, "1001", "00541144445555").to_string();
    assert!(text.starts_with("reject (2309 country_not_allowed)\n  because +54 (Argentina)"), "{text}");
}

#[test]
fn inbound_calls_and_what_happens_to_calls() {
    let office = Office::new(OFFICE);
    let rules = office.guard.rules();
    let call = InboundCall::new(CallId(1), "provider", "666", "1001");
    let decision = office.guard.on_call(call, office.now);
    let json = serde_json::to_value(Explained::inbound(&rules, &call, &decision, office.now)).unwrap();
    assert_eq!(json["why"], "the list nuisance blocks the caller 666");
    assert_eq!(
        (&json["ask"], &json["dialled"], &json["number"]),
        (&json!("inbound"), &json!("1001"), &json!("666"))
    );

    let decision = office.event(1, CallEvent::Ended);
    let json = serde_json::to_value(Explained::call_event(&rules, &decision, office.now)).unwrap();
    assert_eq!((&json["ask"], &json["verdict"]), (&json!("call_event"), &json!("continue")));
    assert_eq!(json["reason"], "unknown_call");
}
