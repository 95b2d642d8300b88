//! What is allowed in a configuration and yet hardly meant.

mod network;

use crate::calls::Calls;
use crate::config::{Config, HolidayConfig, RouteConfig, RouteFallthrough};
use crate::country;
use crate::pattern::Pattern;

/// Most patterns that are compared with each other: each pair is.
const COMPARED: usize = 2_000;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Something that surprises.
    Notice,
    /// A way in for fraud, or calls that fail.
    Warning,
}

impl Severity {
    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
        }
    }
}

/// Something in a configuration that is hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Where, as a path of keys.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

impl Finding {
    fn warning(path: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (path, problem, remedy) = (path.into(), problem.into(), remedy.into());
        Self { severity: Severity::Warning, path, problem, remedy }
    }

    fn notice(path: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Notice, ..Self::warning(path, problem, remedy) }
    }
}

/// Everything that is found: in who may send packets first, then in what concerns calls.
pub(crate) fn findings(config: &Config, calls: &Calls) -> Vec<Finding> {
    let mut out = network::findings(config);
    out.extend(no_emergency_number(config));
    out.extend(routes_for_nobody(config));
    if calls.routes.iter().map(|r| r.patterns().count()).sum::<usize>() <= COMPARED {
        out.extend(holes(config, calls));
        out.extend(unreachable(config, calls));
    } else {
        let problem = format!("more than {COMPARED} patterns are not compared with each other");
        out.push(Finding::notice("route", problem, "use fewer patterns, e.g. X. with country rules"));
    }
    out.extend(open_world(config, calls));
    out.extend(never_business(config));
    out.extend(american_prefix(config));
    out.extend(last_minutes(config));
    out
}

fn no_emergency_number(config: &Config) -> Option<Finding> {
    let missing = config.emergencies.is_empty() && !config.routes.is_empty();
    missing.then(|| {
        let remedy = "add [[emergency]] with the numbers of your country, e.g. 112";
        Finding::warning("emergency", "no emergency number is configured", remedy)
    })
}

fn routes_for_nobody(config: &Config) -> impl Iterator<Item = Finding> {
    let nobody = |r: &RouteConfig| {
        !r.everyone && r.extensions.is_empty() && r.groups.is_empty() && r.departments.is_empty()
    };
    let found = config.routes.iter().enumerate().filter(move |(_, r)| r.enabled && nobody(r));
    found.map(|(i, _)| {
        let remedy = "name extensions, groups or departments, or write everyone = true";
        Finding::notice(format!("route[{i}]"), "nobody may use it", remedy)
    })
}

/// Whether not every call that matches the route may use it.
fn restricts(route: &RouteConfig) -> bool {
    !route.everyone || !route.pin.is_empty() || route.time != "always"
}

/// International patterns of a restricted route that a lower one catches as well: who is refused by the first
/// gets through by the second.
fn holes(config: &Config, calls: &Calls) -> Vec<Finding> {
    if config.dialling.fallthrough == RouteFallthrough::FirstPatternMatchFinal {
        return Vec::new();
    }
    let mut out = Vec::new();
    for (j, lower) in calls.routes.iter().enumerate() {
        let above =
            calls.routes.iter().zip(&config.routes).take(j).filter(|(_, c)| c.enabled && restricts(c));
        let caught = above.flat_map(|(r, _)| r.patterns().map(move |p| (r, p)));
        let hole = caught.into_iter().find(|(_, p)| is_international(p, config) && lower.catches(p));
        out.extend(hole.map(|(upper, pattern)| {
            let problem = format!("it also catches {pattern}, which the route {} restricts", upper.name);
            let remedy = "make its patterns narrower, or write fallthrough = \"first_pattern_match_final\"";
            Finding::warning(format!("route[{j}].pattern"), problem, remedy)
        }));
    }
    out
}

fn is_international(pattern: &Pattern, config: &Config) -> bool {
    let head: String = pattern.literal_head().map(char::from).collect();
    head.starts_with('+') || config.international.prefixes.iter().any(|p| head.starts_with(p.as_str()))
}

/// Patterns that an earlier route, which everybody may always use, catches.
fn unreachable(config: &Config, calls: &Calls) -> Vec<Finding> {
    let mut out = Vec::new();
    for (j, route) in calls.routes.iter().enumerate() {
        let above = calls.routes.iter().zip(&config.routes).take(j);
        let open: Vec<_> = above.filter(|(_, c)| c.everyone && c.time == "always").map(|(r, _)| r).collect();
        for (i, pattern) in route.patterns().enumerate() {
            out.extend(open.iter().find(|upper| upper.catches(pattern)).map(|upper| {
                let problem =
                    format!("{pattern} is never reached: the route {} before it catches it", upper.name);
                Finding::notice(format!("route[{j}].pattern[{i}]"), problem, "move the route up")
            }));
        }
    }
    out
}

/// Routes that reach every country while the protection is off.
fn open_world(config: &Config, calls: &Calls) -> Option<Finding> {
    let reaches = |p: &str| p.parse().is_ok_and(|p: Pattern| calls.routes.iter().any(|r| r.catches(&p)));
    let open = config.international.prefixes.iter().map(|p| format!("{p}Z.")).any(|p| reaches(&p));
    (open && !config.international.enabled).then(|| {
        let remedy = "write enabled = true and the countries you call in allowed";
        Finding::warning("international.enabled", "every country of the world may be called", remedy)
    })
}

/// Extensions that may only call in business hours of which there are none.
fn never_business(config: &Config) -> impl Iterator<Item = Finding> {
    let empty = |name: &str| match config.time.schedules.iter().find(|s| s.name == name) {
        Some(schedule) => schedule.hours.is_empty(),
        None => config.time.hours.is_empty(),
    };
    let restricted = config.extensions.iter().enumerate().filter(|(_, e)| !e.outbound_outside_hours);
    restricted.filter(move |(_, e)| empty(&e.schedule)).map(|(i, _)| {
        let path = format!("extension[{i}].outbound_outside_hours");
        Finding::warning(path, "its schedule has no business hours, so it can never call", "add time.hours")
    })
}

/// A home in the North American plan dials 011, not 00.
fn american_prefix(config: &Config) -> Option<Finding> {
    let section = &config.international;
    let code = section.home.parse().ok().and_then(country::calling_code)?;
    let missing = code.starts_with('1') && !section.prefixes.iter().any(|p| p == "011");
    missing.then(|| {
        let problem = format!("international numbers begin with 011 in {}", section.home);
        Finding::warning("international.prefixes", problem, "write prefixes = [\"011\"]")
    })
}

/// Holidays that leave the last minute of the day out.
fn last_minutes(config: &Config) -> impl Iterator<Item = Finding> {
    let end = |holiday: &HolidayConfig| match holiday {
        HolidayConfig::Date { end, .. }
        | HolidayConfig::Month { end, .. }
        | HolidayConfig::Week { end, .. } => end.ends_with("23:59"),
    };
    let found = config.time.holidays.iter().enumerate().filter(move |(_, h)| end(h));
    found.map(|(i, _)| {
        let path = format!("time.holiday[{i}].end");
        Finding::notice(path, "the minute from 23:59 on is no holiday", "write 24:00 for the end of the day")
    })
}

#[cfg(test)]
mod tests {
    use crate::rules::Rules;

    fn lint(toml: &str) -> Vec<String> {
        let rules = Rules::compile(&toml::from_str(toml).unwrap()).unwrap_or_else(|e| panic!("{e}"));
        rules.lint().iter().map(|f| format!("{} {}: {}", f.severity.name(), f.path, f.problem)).collect()
    }

    const GOOD: &str = r#"
        extension = [{ number = "1001", groups = ["boss"] }]
        trunk = [{ name = "A" }]
        emergency = [{ name = "EU", number = "112", trunk = [{ trunk = "A" }] }]
        [international]
        enabled = true
        [[route]]
        name = "International"
        groups = ["boss"]
        trunks = ["A"]
        pattern = [{ pattern = "00." }]
        [[route]]
        name = "National"
        everyone = true
        trunks = ["A"]
        pattern = [{ pattern = "0Z." }]
    "#;

    #[test]
    fn a_sound_configuration_has_no_findings() {
        assert_eq!(lint(GOOD), [""; 0]);
    }

    #[test]
    fn each_finding_once() {
        for (change, to, finding) in [
            (
                "\"0Z.\"",
                "\"X.\"",
                "warning route[1].pattern: it also catches 00., which the route International restricts",
            ),
            (
                "enabled = true",
                "enabled = false",
                "warning international.enabled: every country of the world may be called",
            ),
            ("groups = [\"boss\"]\n        trunks", "trunks", "notice route[0]: nobody may use it"),
            (
                "enabled = true",
                "enabled = true\nhome = \"CA\"",
                "warning international.prefixes: international numbers begin with 011 in CA",
            ),
            ("emergency =", "#", "warning emergency: no emergency number is configured"),
            (
                "groups = [\"boss\"] }",
                "outbound_outside_hours = false, groups = [\"boss\"] }",
                "warning extension[0].outbound_outside_hours: its schedule has no business hours, so it can never call",
            ),
            (
                "[international]",
                "[[time.holiday]]\nby = \"month\"\nname = \"x\"\nstart = \"01/05 00:00\"\nend = \"01/05 23:59\"\n[international]",
                "notice time.holiday[0].end: the minute from 23:59 on is no holiday",
            ),
        ] {
            assert!(GOOD.contains(change), "{change}");
            assert_eq!(lint(&GOOD.replace(change, to)), [finding]);
        }
    }

    #[test]
    fn a_route_that_is_never_reached() {
        let everybody =
            GOOD.replace("groups = [\"boss\"]\n        trunks", "everyone = true\n        trunks");
        let found = lint(&everybody.replace("\"0Z.\"", "\"0044.\""));
        assert_eq!(
            found,
            [
                "notice route[1].pattern[0]: 0044. is never reached: the route International before it catches it"
            ]
        );
    }

    #[test]
    fn only_international_patterns_make_a_hole() {
        let national = GOOD.replace("\"00.\"", "\"5.\"").replace("\"0Z.\"", "\"X.\"");
        assert_eq!(lint(&national), [""; 0]);
    }

    #[test]
    fn a_final_first_match_has_no_hole() {
        let wide = GOOD.replace("\"0Z.\"", "\"X.\"");
        let config = format!("dialling = {{ fallthrough = \"first_pattern_match_final\" }}\n{wide}");
        assert_eq!(lint(&config), [""; 0]);
    }
}
