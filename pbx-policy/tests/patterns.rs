//! The published table of number patterns holds.

use std::fs::read_to_string;

use pbx_core::Number;
use pbx_policy::pattern::{Dialect, Pattern};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    r#match: Vec<Match>,
    invalid: Vec<Invalid>,
    precedence: Vec<Precedence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Match {
    id: String,
    #[serde(default)]
    dialect: String,
    pattern: String,
    yes: Vec<String>,
    no: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalid {
    id: String,
    #[serde(default)]
    dialect: String,
    pattern: String,
    error: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Precedence {
    id: String,
    number: String,
    patterns: Vec<String>,
    first: String,
}

fn table() -> Table {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/patterns.toml");
    toml::from_str(&read_to_string(path).unwrap()).unwrap()
}

fn dialect(name: &str) -> Dialect {
    if name == "asterisk" { Dialect::Asterisk } else { Dialect::Yeastar }
}

fn number(text: &str) -> Number {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn what_matches_and_what_does_not() {
    for case in table().r#match {
        let pattern = Pattern::parse(&case.pattern, dialect(&case.dialect))
            .unwrap_or_else(|e| panic!("{} {}: {e}", case.id, case.pattern));
        for yes in &case.yes {
            assert!(pattern.matches(&number(yes)), "{} {} must match {yes}", case.id, case.pattern);
        }
        for no in &case.no {
            assert!(!pattern.matches(&number(no)), "{} {} must not match {no}", case.id, case.pattern);
        }
    }
}

#[test]
fn what_is_no_pattern() {
    for case in table().invalid {
        let error = Pattern::parse(&case.pattern, dialect(&case.dialect)).expect_err(&case.pattern);
        assert_eq!(format!("{error:?}"), case.error, "{} {:?}", case.id, case.pattern);
    }
}

#[test]
fn the_most_specific_comes_first_whatever_the_order() {
    for case in table().precedence {
        let mut patterns: Vec<Pattern> = case.patterns.iter().map(|p| p.parse().unwrap()).collect();
        assert!(patterns.iter().all(|p| p.matches(&number(&case.number))), "{} {}", case.id, case.number);
        for _ in 0..patterns.len() {
            patterns.rotate_left(1);
            assert_eq!(patterns.iter().min().unwrap().to_string(), case.first, "{}", case.number);
        }
    }
}
