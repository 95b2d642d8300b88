//! The pipeline of outbound calls against the specification's own words, over random configurations.

mod calls_support;

use calls_support::{Office, rules, wall};
use pbx_core::{CallId, Mono, Now};
use pbx_policy::{OutboundCall, PinProof};
use proptest::prelude::*;

/// Everything that the model knows.
#[derive(Clone, Debug)]
struct World {
    enabled: bool,
    outbound: bool,
    outside_hours: bool,
    international: bool,
    one_call: bool,
    rare: bool,
    /// 0 business hours, 1 night, 2 holiday.
    moment: usize,
    block: Option<usize>,
    allow: Option<usize>,
    routes: Vec<Route>,
    protection: bool,
    britain: bool,
    pin_abroad: bool,
    proof: usize,
    trunk_on: bool,
    trunk_one: bool,
    /// Whether the extension, and the other one, have a call already.
    busy: bool,
    trunk_busy: bool,
    dialled: usize,
}

#[derive(Clone, Debug)]
struct Route {
    pattern: usize,
    strip: u8,
    mine: bool,
    open: bool,
    pin: bool,
}

const MOMENTS: [&str; 3] = ["2026-03-03T10:00:00Z", "2026-03-03T22:00:00Z", "2026-03-04T10:00:00Z"];
const LISTS: [&str; 4] = ["0044.", "91.", "5X", "X!"];
const PATTERNS: [&str; 4] = ["X.", "00.", "9.", "5!"];
const DIALLED: [&str; 14] = [
    "112",
    "9112",
    "1002",
    "*98",
    "1a2",
    "",
    "50",
    "5",
    "912",
    "0044123456",
    "9 00 44 123456",
    "0054111222",
    "00 999 1",
    "+44123456",
];

/// A list or pattern of the small alphabet above, spelt out.
fn fits(pattern: &str, number: &str) -> bool {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    match pattern {
        "0044." => number.len() > 4 && number.starts_with("0044"),
        "91." => number.len() > 2 && number.starts_with("91"),
        "5X" => number.len() == 2 && number.starts_with('5') && digit(number.chars().nth(1)),
        "X!" => digit(number.chars().next()),
        "X." => number.len() > 1 && digit(number.chars().next()),
        "00." => number.len() > 2 && number.starts_with("00"),
        "9." => number.len() > 1 && number.starts_with('9'),
        "5!" => number.starts_with('5'),
        other => panic!("{other}"),
    }
}

/// What a number is found as in lists: itself, and in its international forms.
fn listed(list: &str, number: &str) -> bool {
    let plus = number.strip_prefix("00").map(|rest| format!("+{rest}"));
    let zeros = number.strip_prefix('+').map(|rest| format!("00{rest}"));
    fits(list, number)
        || plus.is_some_and(|p| fits(list, &p))
        || zeros.is_some_and(|z| list == "0044." && fits(list, &z))
}

/// The digits of an international number.
fn abroad(number: &str) -> Option<&str> {
    number.strip_prefix('+').or_else(|| number.strip_prefix("00"))
}

/// Spec 3.1, line by line.
fn expected(w: &World) -> &'static str {
    let dialled: String = DIALLED[w.dialled].chars().filter(|c| *c != ' ').collect();
    if dialled == "112" || dialled == "9112" {
        return "emergency";
    }
    if dialled.is_empty() || dialled.contains('a') {
        return "invalid_number";
    }
    if dialled == "1002" || dialled.starts_with('*') {
        return "internal";
    }
    if !w.enabled {
        return "no_extension";
    }
    if !w.outbound {
        return "outbound_disabled";
    }
    if !w.outside_hours && w.moment > 0 {
        return ["", "outside_business_hours", "holiday"][w.moment];
    }
    let on = |list: Option<usize>, number: &str| list.is_some_and(|l| listed(LISTS[l], number));
    let exempt = on(w.allow, &dialled);
    if !exempt && on(w.block, &dialled) {
        return "number_blocked";
    }
    let matching = || w.routes.iter().filter(|r| fits(PATTERNS[r.pattern], &dialled));
    let Some(route) = matching().find(|r| r.mine && r.open) else {
        return match (matching().any(|r| r.mine), matching().next()) {
            (true, _) => "route_outside_time",
            (false, Some(_)) => "route_not_permitted",
            (false, None) => "no_route",
        };
    };
    let sent = dialled.get(usize::from(route.strip)..).filter(|rest| !rest.is_empty());
    let Some(sent) = sent else { return "invalid_number" };
    // Allowed beats blocked (2.14) for what is sent as well.
    if !exempt && on(w.block, sent) && !on(w.allow, sent) {
        return "number_blocked";
    }
    let readings = || [dialled.as_str(), sent].into_iter().filter_map(abroad);
    for digits in readings() {
        if !w.international {
            return "international_disallowed";
        }
        if !w.protection {
            continue;
        }
        match digits {
            d if d.starts_with("44") && w.britain => {}
            d if d.starts_with("44") || d.starts_with("54") => return "country_not_allowed",
            _ => return "unknown_prefix",
        }
    }
    if w.one_call && w.busy {
        return "user_concurrency";
    }
    if route.pin || (w.pin_abroad && readings().next().is_some()) {
        match w.proof {
            0 => return "pin_required",
            1 => return "pin_wrong",
            _ => {}
        }
    }
    if w.rare && w.busy {
        return "frequency_exceeded";
    }
    if !w.trunk_on {
        return "no_trunk";
    }
    let used = u32::from(w.busy) + u32::from(w.trunk_busy);
    if w.trunk_one && used > 0 { "trunk_busy" } else { "allowed" }
}

fn toml(w: &World) -> String {
    let list = |name: &str, action: &str, list: Option<usize>| {
        list.map_or(String::new(), |l| {
            let pattern = LISTS[l];
            format!(
                "[[number_list]]\nname = \"{name}\"\naction = \"{action}\"\ndirection = \"outbound\"\nnumbers = [\"{pattern}\"]\n"
            )
        })
    };
    let mut out = format!(
        r#"
        [[extension]]
        number = "1001"
        enabled = {}
        outbound = {}
        outbound_outside_hours = {}
        international = {}
        max_calls = {}
        frequency = ["{}"]
        [[extension]]
        number = "1002"
        frequency = []
        [[frequency]]
        name = "rare"
        limit = [{{ calls = 1, within = "1min" }}]
        on_exceed = "deny"
        [[frequency]]
        name = "often"
        limit = [{{ calls = 60, within = "1min" }}]
        [[trunk]]
        name = "A"
        enabled = {}
        max_calls = {}
        [[emergency]]
        name = "EU"
        number = "112"
        trunk = [{{ trunk = "A" }}]
        [dialling]
        access_prefixes = ["9"]
        feature_codes = ["*X."]
        [time]
        hours = [{{ days = ["mon", "tue", "wed"], ranges = ["08:00-18:00"] }}]
        holiday = [{{ by = "date", name = "h", start = "04/03/2026 00:00", end = "05/03/2026 00:00" }}]
        schedule = [{{ name = "never" }}]
        [international]
        enabled = {}
        allowed = [{}]
        pin = "{}"
        "#,
        w.enabled,
        w.outbound,
        w.outside_hours,
        w.international,
        u8::from(w.one_call),
        if w.rare { "rare" } else { "often" },
        w.trunk_on,
        u8::from(w.trunk_one),
        w.protection,
        if w.britain { "\"GB\"" } else { "" },
        if w.pin_abroad { "p" } else { "" },
    );
    out += &list("block", "block", w.block);
    out += &list("allow", "allow", w.allow);
    for (i, r) in w.routes.iter().enumerate() {
        let who = if r.mine { "1001" } else { "1002" };
        let time = if r.open { "always" } else { "never" };
        let pin = if r.pin { "p" } else { "" };
        let (pattern, strip) = (PATTERNS[r.pattern], r.strip);
        out += &format!(
            "[[route]]\nname = \"r{i}\"\nextensions = [\"{who}\"]\ntime = \"{time}\"\npin = \"{pin}\"\ntrunks = [\"A\"]\n\
             pattern = [{{ pattern = \"{pattern}\", strip = {strip} }}]\n"
        );
    }
    out
}

/// A system in which calls were made under other rules, so that there is something in use.
fn office(w: &World) -> Office {
    let mut office = Office::new(
        r#"
        extension = [{ number = "1001", frequency = ["rare"], max_calls = 9 }, { number = "1002", frequency = [] }]
        frequency = [{ name = "rare", limit = [{ calls = 1, within = "1min" }] }]
        trunk = [{ name = "A", max_calls = 9 }]
        route = [{ name = "all", everyone = true, trunks = ["A"] }]
        "#,
    );
    office.now = Now::new(Mono::from_secs(5_000), wall(MOMENTS[w.moment]));
    for (call, extension) in [(1, "1001"), (2, "1002")] {
        let wanted = if call == 1 { w.busy } else { w.trunk_busy };
        if wanted {
            assert!(office.call(call, extension, "777").decision.verdict.is_allowed());
        }
    }
    office.guard.reload(rules(&toml(w)));
    office
}

fn world() -> impl Strategy<Value = World> {
    let mostly = || prop::bool::weighted(0.93);
    let rarely = || prop::bool::weighted(0.3);
    let route = (0..PATTERNS.len(), 0_u8..3, prop::bool::weighted(0.8), mostly(), rarely())
        .prop_map(|(pattern, strip, mine, open, pin)| Route { pattern, strip, mine, open, pin });
    let switches =
        (mostly(), mostly(), prop::bool::weighted(0.7), prop::bool::weighted(0.8), rarely(), rarely());
    let lists = (prop::option::weighted(0.3, 0..LISTS.len()), prop::option::weighted(0.3, 0..LISTS.len()));
    let abroad = (any::<bool>(), any::<bool>(), rarely(), 0_usize..3);
    let trunk = (mostly(), rarely(), rarely(), rarely());
    let routes = prop::collection::vec(route, 1..4);
    (switches, 0_usize..3, lists, routes, abroad, trunk, 0..DIALLED.len()).prop_map(
        |(switches, moment, (block, allow), routes, abroad, trunk, dialled)| {
            let (enabled, outbound, outside_hours, international, one_call, rare) = switches;
            let (protection, britain, pin_abroad, proof) = abroad;
            let (trunk_on, trunk_one, busy, trunk_busy) = trunk;
            World {
                enabled,
                outbound,
                outside_hours,
                international,
                one_call,
                rare,
                moment,
                block,
                allow,
                routes,
                protection,
                britain,
                pin_abroad,
                proof,
                trunk_on,
                trunk_one,
                busy,
                trunk_busy,
                dialled,
            }
        },
    )
}

/// Asks without and with taking; the reasons are the same.
fn found(w: &World) -> (String, String) {
    let office = office(w);
    let proof = [PinProof::None, PinProof::Given { proved: false }, PinProof::Given { proved: true }];
    let call = OutboundCall::new(CallId(9), "1001".parse().unwrap(), DIALLED[w.dialled]).pin(proof[w.proof]);
    let checked = office.guard.check_call(call, office.now).decision.reason;
    let taken = office.guard.on_call(call, office.now).decision.reason;
    (checked.to_string(), taken.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn decisions_are_what_the_specification_says(w in world()) {
        let (checked, taken) = found(&w);
        prop_assert_eq!(&checked, expected(&w), "{}", DIALLED[w.dialled]);
        prop_assert_eq!(checked, taken);
    }
}

/// The worlds above are not all alike: each reason occurs.
#[test]
fn the_model_reaches_every_reason() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..20_000 {
        let w = world().new_tree(&mut runner).unwrap().current();
        *seen.entry(expected(&w)).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 21, "{seen:?}");
}
