//! One more rule that refuses never lets more calls through.

mod calls_support;

use calls_support::Office;
use proptest::prelude::*;

const OFFICE: &str = r#"
    [[trunk]]
    name = "A"
    [[trunk]]
    name = "B"
    treat_bare_e164 = true
    [time]
    hours = [{ ranges = ["09:00-09:30"] }]
"#;

/// A configuration of random routes and lists. `tighter` adds the same rule that refuses to both extensions.
fn config(routes: &[(String, u8, bool)], lists: &[(String, bool)], tighter: Option<u8>) -> String {
    let tight = |n| tighter == Some(n);
    let mut out = String::new();
    let switch = |name: &str, n| if tight(n) { format!("{name} = false\n") } else { String::new() };
    for number in ["1001", "1002"] {
        out += &format!("[[extension]]\nnumber = \"{number}\"\nfrequency = []\n");
        out += &switch("outbound", 0);
        out += &switch("outbound_outside_hours", 1);
        out += &switch("international", 2);
        out += &switch("enabled", 3);
    }
    out += OFFICE;
    for (i, (pattern, strip, open)) in routes.iter().enumerate() {
        let who = if *open { "everyone = true" } else { "extensions = [\"1002\"]" };
        let trunk = if i % 2 == 0 { "A" } else { "B" };
        out += &format!("[[route]]\nname = \"r{i}\"\n{who}\ntrunks = [\"{trunk}\"]\n");
        out += &format!("pattern = [{{ pattern = \"{pattern}\", strip = {strip} }}]\n");
    }
    for (i, (pattern, allow)) in lists.iter().enumerate() {
        let action = if *allow { "allow" } else { "block" };
        out += &format!("[[number_list]]\nname = \"l{i}\"\ndirection = \"both\"\naction = \"{action}\"\n");
        out += &format!("numbers = [\"{pattern}\"]\n");
    }
    if tight(4) {
        out += "[[number_list]]\nname = \"new\"\ndirection = \"both\"\nnumbers = [\"0X.\", \"1!\"]\n";
    }
    let allowed = if tight(5) { "[]" } else { "[\"GB\", \"US\", \"AR\", \"DE\"]" };
    out += &format!("[international]\nenabled = {}\nallowed = {allowed}\n", !tight(7));
    if tight(6) {
        out += "pin = \"p\"\n";
    }
    out
}

fn allowed(office: &Office, dialled: &[String]) -> Vec<bool> {
    let both = dialled.iter().flat_map(|d| ["1001", "1002"].map(|e| (e, d)));
    both.map(|(e, d)| office.check(e, d).decision.verdict.is_allowed()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_rule_that_refuses_lets_nothing_more_through(
        routes in prop::collection::vec(("[01X]{1,3}[.!]?|00[.]|[+][.]", 0_u8..3, any::<bool>()), 1..5),
        lists in prop::collection::vec(("[01X]{1,3}[.!]?|00[.]", any::<bool>()), 0..4),
        dialled in prop::collection::vec("[01]{1,6}|00(44|54|1212|1242|999)[0-9]{3,6}|[+](44|54|49)[0-9]{4}", 30),
        rule in 0_u8..7,
    ) {
        let before = Office::new(&config(&routes, &lists, None));
        let after = Office::new(&config(&routes, &lists, Some(rule)));
        let (before, after) = (allowed(&before, &dialled), allowed(&after, &dialled));
        for (i, (was, is)) in before.iter().zip(&after).enumerate() {
            prop_assert!(*was || !is, "{} passes since rule {rule}", dialled[i / 2]);
        }
    }

    /// Taking the protection away is no such rule: the test above is able to fail.
    #[test]
    fn the_other_way_round_more_passes(dialled in "00999[0-9]{3,6}") {
        let routes = [("X.".to_owned(), 0, true)];
        let [with, without] = [None, Some(7)].map(|t| Office::new(&config(&routes, &[], t)));
        let dialled = [dialled];
        prop_assert_eq!(allowed(&with, &dialled), [false, false]);
        prop_assert_eq!(allowed(&without, &dialled), [true, true]);
    }
}
