//! Outbound routes: who may use them, when, and how they rewrite numbers (E1 to E4, spec 2.11).

use core::time::Duration;

use pbx_core::{ConfigError, ConfigErrors, Number, Reason, RuleId, RuleKind, Wall};

use crate::caller_id::CallerId;
use crate::config::{Config, DialPattern, RouteConfig, RouteFallthrough};
use crate::member::{Lists, Members, check_names, index};
use crate::pattern::{Dialect, Pattern};
use crate::schedule::{Schedule, TimeState};

/// Most routes, and most patterns of one: a call looks at all of them.
const MOST: usize = 1000;
/// Most patterns of all routes together.
const PATTERNS: usize = 20_000;
/// Most trunks of a route (the vendor's own limit).
const TRUNKS: usize = 500;

/// An outbound route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: String,
    enabled: bool,
    patterns: Vec<Rewrite>,
    most_specific: bool,
    /// The trunks by their place in the configuration.
    pub(crate) trunks: Vec<u32>,
    pub(crate) memory: bool,
    /// Who may use it; `None` for everybody.
    members: Option<Members>,
    /// The name of the PIN or list of PINs; empty for none.
    pub(crate) pin: String,
    /// The schedule in whose hours it may be used.
    schedule: Option<usize>,
    pub(crate) caller_id: Option<CallerId>,
    pub(crate) max_duration: Duration,
}

/// What is dialled, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Rewrite {
    pattern: Pattern,
    strip: usize,
    prepend: String,
}

impl Rewrite {
    fn compile(
        config: &DialPattern,
        dialect: Dialect,
        path: &str,
        errors: &mut ConfigErrors,
    ) -> Option<Self> {
        let wrong =
            |e: crate::pattern::PatternError| ConfigError::new(format!("{path}.pattern"), e.to_string());
        let pattern = errors.take(Pattern::parse(&config.pattern, dialect).map_err(wrong));
        let (strip, prepend) = rewriting(config.strip, &config.prepend, path, errors);
        Some(Self { pattern: pattern?, strip, prepend })
    }

    /// The number as it is sent; `None` when nothing is left of it or it gets too long.
    pub(crate) fn apply(&self, dialled: &Number) -> Option<Number> {
        rewrite(dialled, self.strip, &self.prepend)
    }
}

/// Strips first, then prepends.
pub(crate) fn rewrite(number: &Number, strip: usize, prepend: &str) -> Option<Number> {
    number.strip(strip)?.prepend(prepend).ok()
}

/// Checks `strip` and `prepend` and drops the decoration of the latter.
pub(crate) fn rewriting(strip: u8, prepend: &str, path: &str, errors: &mut ConfigErrors) -> (usize, String) {
    if strip > 16 {
        errors.push(ConfigError::new(format!("{path}.strip"), "at most 16 characters can be removed"));
    }
    let plain: String = prepend.chars().filter(|c| !matches!(c, ' ' | '(' | ')' | '-' | '.')).collect();
    if !plain.is_empty() && plain != "+" && plain.parse::<Number>().is_err() {
        let error = ConfigError::new(format!("{path}.prepend"), format!("{prepend:?} cannot be dialled"));
        errors.push(error.instead("write digits, * or #, with at most one + in front"));
    }
    (usize::from(strip), plain)
}

impl Route {
    /// All routes; `schedules` are the names of the schedules in their order.
    pub(crate) fn compile_all(
        config: &Config,
        dialect: Dialect,
        schedules: &[String],
        errors: &mut ConfigErrors,
    ) -> Vec<Self> {
        check_names(config.routes.iter().map(|r| r.name.as_str()), "route", 63, true, errors);
        let patterns = config.routes.iter().map(|r| r.patterns.len()).sum::<usize>();
        if config.routes.len() > MOST || patterns > PATTERNS {
            let problem = format!("a call looks at no more than {MOST} routes and {PATTERNS} patterns");
            errors.push(ConfigError::new("route", problem));
            return Vec::new();
        }
        let each = config.routes.iter().enumerate();
        each.map(|(i, r)| Self::compile(r, config, dialect, schedules, &format!("route[{i}]"), errors))
            .collect()
    }

    fn compile(
        route: &RouteConfig,
        config: &Config,
        dialect: Dialect,
        schedules: &[String],
        path: &str,
        errors: &mut ConfigErrors,
    ) -> Self {
        let lists =
            Lists { extensions: &route.extensions, groups: &route.groups, departments: &route.departments };
        let members = Members::compile(lists, config, path, errors);
        if route.everyone && !lists.is_empty() {
            let error =
                ConfigError::new(format!("{path}.everyone"), "everyone may use it, so the lists say nothing");
            errors.push(error.instead("remove everyone, or the lists"));
        }
        Self {
            name: route.name.clone(),
            enabled: route.enabled,
            patterns: patterns(&route.patterns, dialect, path, errors),
            most_specific: route.most_specific,
            trunks: trunks(&route.trunks, config, path, errors),
            memory: route.memory_hunt,
            members: (!route.everyone).then_some(members),
            pin: route.pin.clone(),
            schedule: schedule(&route.time, schedules, &format!("{path}.time"), errors),
            caller_id: CallerId::compile(&route.caller_id, &format!("{path}.caller_id"), errors),
            max_duration: route.max_duration.get(),
        }
    }

    /// The pattern that decides, if one matches.
    fn matching(&self, dialled: &Number) -> Option<&Rewrite> {
        let mut fitting = self.patterns.iter().filter(|r| r.pattern.matches(dialled));
        if self.most_specific { fitting.min_by_key(|r| r.pattern) } else { fitting.next() }
    }

    /// Whether an extension may use it now.
    fn permits(&self, caller: Caller<'_>) -> Result<(), Reason> {
        if self.members.as_ref().is_some_and(|m| !m.contains(caller.extension)) {
            return Err(Reason::RouteNotPermitted);
        }
        let schedule = self.schedule.map(|i| caller.schedules.get(i));
        // A schedule that cannot be found is a fault inside a restricting rule: it denies.
        let open = schedule.is_none_or(|s| s.is_some_and(|s| s.state(caller.at).is_business()));
        if open { Ok(()) } else { Err(Reason::RouteOutsideTime) }
    }

    /// Whether any of its patterns matches every number that `pattern` matches.
    pub(crate) fn catches(&self, pattern: &Pattern) -> bool {
        self.enabled && self.patterns.iter().any(|r| r.pattern.covers(pattern))
    }

    /// Its patterns.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter().filter(|_| self.enabled).map(|r| &r.pattern)
    }
}

fn patterns(list: &[DialPattern], dialect: Dialect, path: &str, errors: &mut ConfigErrors) -> Vec<Rewrite> {
    if list.is_empty() || list.len() > MOST {
        let error = ConfigError::new(format!("{path}.pattern"), format!("a route has 1 to {MOST} patterns"));
        errors.push(error.instead("leave the key out for X."));
        return Vec::new();
    }
    let each = list.iter().enumerate();
    each.filter_map(|(i, p)| Rewrite::compile(p, dialect, &format!("{path}.pattern[{i}]"), errors)).collect()
}

fn trunks(list: &[String], config: &Config, path: &str, errors: &mut ConfigErrors) -> Vec<u32> {
    if list.is_empty() || list.len() > TRUNKS {
        errors.push(ConfigError::new(format!("{path}.trunks"), format!("a route has 1 to {TRUNKS} trunks")));
        return Vec::new();
    }
    let names = config.trunks.iter().map(|t| t.name.as_str());
    let each = list.iter().enumerate();
    each.filter_map(|(i, t)| index(t, names.clone(), &format!("{path}.trunks[{i}]"), "trunk", errors))
        .collect()
}

/// The schedule a time condition names; `None` for always. The first schedule is that of `business`.
fn schedule(time: &str, schedules: &[String], path: &str, errors: &mut ConfigErrors) -> Option<usize> {
    if time == "always" {
        return None;
    }
    let names = schedules.iter().map(String::as_str);
    index(time, names, path, "schedule", errors).and_then(|i| usize::try_from(i).ok()).or(Some(usize::MAX))
}

/// Who calls, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) extension: u32,
    pub(crate) schedules: &'a [Schedule],
    pub(crate) at: Wall,
}

/// The route of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selected<'a> {
    pub(crate) rule: RuleId,
    pub(crate) route: &'a Route,
    pub(crate) rewrite: &'a Rewrite,
}

/// A route that matches but may not be used, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NearMiss {
    pub(crate) rule: RuleId,
    pub(crate) reason: Reason,
}

/// The first route that matches and may be used; beside it, or instead, the best one that may not.
pub(crate) fn select<'a>(
    routes: &'a [Route],
    fallthrough: RouteFallthrough,
    dialled: &Number,
    caller: Caller<'_>,
) -> (Option<Selected<'a>>, Option<NearMiss>) {
    let mut miss: Option<NearMiss> = None;
    for (i, route) in (0..).zip(routes).filter(|(_, r)| r.enabled) {
        let Some(rewrite) = route.matching(dialled) else { continue };
        let rule = RuleId::new(RuleKind::Route, i);
        match route.permits(caller) {
            Ok(()) => return (Some(Selected { rule, route, rewrite }), miss),
            Err(reason) => miss = Some(better(miss, NearMiss { rule, reason })),
        }
        if fallthrough == RouteFallthrough::FirstPatternMatchFinal {
            break;
        }
    }
    (None, miss)
}

/// One that is only closed now is nearer than one that is forbidden; of equals the first.
fn better(one: Option<NearMiss>, other: NearMiss) -> NearMiss {
    let closed = |miss: &NearMiss| miss.reason == Reason::RouteOutsideTime;
    one.filter(|one| closed(one) || !closed(&other)).unwrap_or(other)
}

/// Whether another trunk may be tried after this answer: only when the trunk, not the called party, failed.
#[must_use]
pub(crate) const fn fails_over(sip_status: u16) -> bool {
    matches!(sip_status, 408 | 500 | 502 | 503 | 504)
}

/// What outbound calls outside business hours are refused with.
pub(crate) const fn closed(state: TimeState) -> Option<Reason> {
    match state {
        TimeState::Holiday => Some(Reason::Holiday),
        TimeState::Outside => Some(Reason::OutsideBusinessHours),
        TimeState::Business | TimeState::Break => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;
    use proptest::prelude::*;

    /// A route as the model sees it: pattern text, whether it is switched on, for whom, and whether it is open.
    type Naive = (String, bool, Option<bool>, bool);

    fn rules(routes: &[Naive], last: bool) -> Rules {
        let mut toml =
            "extension = [{ number = \"1\", groups = [\"in\"] }, { number = \"2\", groups = [\"out\"] }]\n\
                        trunk = [{ name = \"A\" }]\n"
                .to_owned();
        let fallthrough = if last { "first_pattern_match_final" } else { "skip_ineligible" };
        toml += &format!("dialling = {{ fallthrough = \"{fallthrough}\" }}\n");
        toml += "time = { hours = [{ ranges = [\"00:00-24:00\"] }], schedule = [{ name = \"shut\" }] }\n";
        for (i, (pattern, enabled, mine, open)) in routes.iter().enumerate() {
            let who = match mine {
                None => "everyone = true",
                Some(true) => "groups = [\"in\"]",
                Some(false) => "groups = [\"out\"]",
            };
            let time = if *open { "business" } else { "shut" };
            toml += &format!("[[route]]\nname = \"r{i}\"\nenabled = {enabled}\n{who}\ntime = \"{time}\"\n");
            toml += &format!("trunks = [\"A\"]\npattern = [{{ pattern = \"{pattern}\" }}]\n");
        }
        Rules::compile(&toml::from_str(&toml).unwrap()).unwrap()
    }

    /// Spec 2.11 and step 7 of 3.1, as they are written.
    fn naive(routes: &[Naive], last: bool, dialled: &Number) -> Result<u32, Option<(u32, Reason)>> {
        let mut shut = None;
        let mut forbidden = None;
        for (i, (pattern, enabled, mine, open)) in (0_u32..).zip(routes) {
            if !enabled || !pattern.parse::<Pattern>().unwrap().matches(dialled) {
                continue;
            }
            match (*mine == Some(false), open) {
                (false, true) => return Ok(i),
                (false, false) => shut = shut.or(Some((i, Reason::RouteOutsideTime))),
                (true, _) => forbidden = forbidden.or(Some((i, Reason::RouteNotPermitted))),
            }
            if last {
                break;
            }
        }
        Err(shut.or(forbidden))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn selection_is_what_the_model_says(
            routes in prop::collection::vec(
                ("[0-2X]{1,3}[.!]?", prop::bool::weighted(0.9), any::<Option<bool>>(), prop::bool::weighted(0.7)), 1..6),
            last in any::<bool>(),
            dialled in prop::collection::vec("[0-2]{1,5}", 12),
        ) {
            let rules = rules(&routes, last);
            let calls = &rules.calls;
            let caller = Caller { extension: 0, schedules: &calls.schedules, at: Wall::UNIX_EPOCH };
            for dialled in dialled {
                let number: Number = dialled.parse().unwrap();
                let (selected, miss) = select(&calls.routes, calls.dialling.fallthrough, &number, caller);
                let found = match selected {
                    Some(selected) => Ok(selected.rule.index),
                    None => Err(miss.map(|m| (m.rule.index, m.reason))),
                };
                prop_assert_eq!(found, naive(&routes, last, &number), "{}", dialled);
            }
        }
    }

    #[test]
    fn only_failures_of_the_trunk_fail_over() {
        for status in 100..700 {
            assert_eq!(fails_over(status), [408, 500, 502, 503, 504].contains(&status), "{status}");
        }
    }

    #[test]
    fn mistakes_are_all_reported() {
        let config: Config = toml::from_str(
            r#"
            extension = [{ number = "1001" }]
            trunk = [{ name = "sip-provider" }]
            [[route]]
            name = "two words"
            everyone = true
            extensions = ["1001"]
            trunks = ["sip-prov"]
            time = "bussiness"
            caller_id = "a\nb"
            pattern = [{ pattern = "9.X" }, { pattern = "X.", strip = 17, prepend = "1&2" }]
            [[route]]
            name = "two words"
            pattern = []
            "#,
        )
        .unwrap();
        let errors = Rules::compile(&config).unwrap_err();
        let paths: Vec<&str> = errors.iter().map(ConfigError::path).collect();
        let expected = [
            "route[0].name",
            "route[1].name",
            "route[1].name",
            "route[0].everyone",
            "route[0].pattern[0].pattern",
            "route[0].pattern[1].strip",
            "route[0].pattern[1].prepend",
            "route[0].trunks[0]",
            "route[0].time",
            "route[0].caller_id",
            "route[1].pattern",
            "route[1].trunks",
        ];
        assert_eq!(paths, expected, "{errors}");
        let text = errors.to_string();
        assert!(
            text.contains("did you mean \"sip-provider\"?") && text.contains("did you mean \"business\"?")
        );
    }
}
