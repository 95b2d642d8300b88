//! Everything that concerns calls, compiled.

use core::hash::Hasher;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use arrayvec::ArrayVec;
use chrono_tz::Tz;
use pbx_core::{ConfigError, ConfigErrors, ExtensionId, Number, RuleId, RuleKind};
use siphasher::sip::SipHasher13;

use crate::caller_id::CallerId;
use crate::config::{
    AnonymousCallers, CallRestriction, Config, DiallingConfig, ExtensionConfig, InboundConfig, TrunkConfig,
};
use crate::emergency::Emergencies;
use crate::frequency::Frequency;
use crate::international::{International, Understanding, check_prefixes};
use crate::member::{check_names, index};
use crate::number_list::NumberLists;
use crate::pattern::{Dialect, Pattern};
use crate::route::Route;
use crate::schedule::{self, Schedule};

/// Most calls a trunk's limit can count.
const TRUNK_CALLS: u32 = 2000;
/// Most ways in which the trunks of one route may read numbers.
pub(crate) const UNDERSTANDINGS: usize = 4;
/// Most calls an extension's limit can count.
const EXTENSION_CALLS: u32 = 255;

/// Everything that concerns calls.
#[derive(Debug)]
pub(crate) struct Calls {
    extensions: Vec<Extension>,
    by_id: BTreeMap<ExtensionId, u32>,
    /// Extensions by the numbers they are reached under from outside.
    by_number: BTreeMap<String, u32>,
    trunks: Vec<Trunk>,
    pub(crate) routes: Vec<Route>,
    pub(crate) emergencies: Emergencies,
    pub(crate) international: International,
    pub(crate) lists: NumberLists,
    frequencies: Vec<Frequency>,
    /// The first one is that of `[time]`.
    pub(crate) schedules: Vec<Schedule>,
    schedule_names: Vec<String>,
    pub(crate) dialling: DiallingConfig,
    feature_codes: Vec<Pattern>,
    pub(crate) inbound: InboundConfig,
}

/// An extension.
#[derive(Debug)]
pub(crate) struct Extension {
    pub(crate) id: ExtensionId,
    pub(crate) index: u32,
    pub(crate) enabled: bool,
    pub(crate) outbound: bool,
    pub(crate) outside_hours: bool,
    pub(crate) international: bool,
    pub(crate) max_calls: u32,
    max_duration: Duration,
    pub(crate) frequencies: Vec<u32>,
    schedule: usize,
    pub(crate) caller_id: Option<CallerId>,
    pub(crate) emergency_caller_id: Option<CallerId>,
    pub(crate) anonymous: Option<AnonymousCallers>,
}

impl Extension {
    /// The rule that speaks for its own settings.
    pub(crate) const fn rule(&self) -> RuleId {
        RuleId::new(RuleKind::Extension, self.index)
    }
}

/// A trunk.
#[derive(Debug)]
pub(crate) struct Trunk {
    pub(crate) name: String,
    pub(crate) index: u32,
    /// What memory knows it by, whatever place it has: 48 bits, never 0.
    pub(crate) tag: u64,
    pub(crate) enabled: bool,
    pub(crate) max_calls: u32,
    restriction: CallRestriction,
    pub(crate) caller_id: Option<CallerId>,
    bare: bool,
    prefixes: Vec<String>,
    pub(crate) anonymous: Option<AnonymousCallers>,
    pub(crate) destination: Option<u32>,
}

impl Trunk {
    /// The rule that decisions name.
    pub(crate) const fn rule(&self) -> RuleId {
        RuleId::new(RuleKind::Trunk, self.index)
    }

    /// How many calls it may carry when those that leave, or come in, are counted; `None` for any number.
    pub(crate) fn limit(&self, outbound: bool) -> Option<u32> {
        let counted = match self.restriction {
            CallRestriction::None => false,
            CallRestriction::Outbound => outbound,
            CallRestriction::Inbound => !outbound,
            CallRestriction::Both => true,
        };
        (counted && self.max_calls > 0).then_some(self.max_calls)
    }

    /// How it reads numbers.
    pub(crate) fn understanding(&self) -> Understanding<'_> {
        Understanding { bare: self.bare, prefixes: &self.prefixes }
    }
}

impl Calls {
    /// Checks and compiles what concerns calls.
    pub(crate) fn compile(config: &Config, errors: &mut ConfigErrors) -> Self {
        let dialect = config.dialling.dialect;
        check_dialling(&config.dialling, errors);
        check_understandings(config, errors);
        let (schedules, schedule_names) = schedules(config, errors);
        let frequencies = Frequency::compile_all(config, errors);
        let international = International::compile(config, errors);
        let extensions = extensions(config, &frequencies, &schedule_names, errors);
        let emergencies = Emergencies::compile(config, errors);
        let feature_codes = feature_codes(config, dialect, errors);
        check_shadows(config, &emergencies, &feature_codes, errors);
        Self {
            by_id: extensions.iter().map(|e| (e.id, e.index)).collect(),
            by_number: direct_numbers(config, errors),
            trunks: trunks(config, errors),
            routes: Route::compile_all(config, dialect, &schedule_names, errors),
            emergencies,
            lists: NumberLists::compile(config, dialect, international.prefixes(), errors),
            feature_codes,
            dialling: config.dialling.clone(),
            inbound: config.inbound.clone(),
            international,
            extensions,
            frequencies,
            schedules,
            schedule_names,
        }
    }

    /// The extension of that name.
    pub(crate) fn extension(&self, id: ExtensionId) -> Option<&Extension> {
        self.at(*self.by_id.get(&id)?)
    }

    /// The extension at a place of the configuration.
    pub(crate) fn at(&self, index: u32) -> Option<&Extension> {
        // An extension whose number is an error is not compiled, but then nothing is.
        self.extensions.get(usize::try_from(index).ok()?)
    }

    /// The extension that a number from outside reaches.
    pub(crate) fn reached_by(&self, number: &str) -> Option<&Extension> {
        let direct = self.by_number.get(number).and_then(|&i| self.at(i));
        direct.or_else(|| self.extension(number.parse().ok()?))
    }

    /// The trunk of a rule or a place of the configuration.
    pub(crate) fn trunk(&self, index: u32) -> Option<&Trunk> {
        self.trunks.get(usize::try_from(index).ok()?)
    }

    /// The trunk of that name.
    pub(crate) fn trunk_named(&self, name: &str) -> Option<&Trunk> {
        self.trunks.iter().find(|t| t.name == name)
    }

    /// The trunk that memory knows by `tag`.
    pub(crate) fn trunk_tagged(&self, tag: u64) -> Option<&Trunk> {
        self.trunks.iter().find(|t| t.tag == tag)
    }

    /// The ways in which the trunks of a route that may be used read numbers, each once.
    pub(crate) fn understandings(&self, route: &Route) -> impl Iterator<Item = Understanding<'_>> {
        let mut seen: ArrayVec<Understanding<'_>, UNDERSTANDINGS> = ArrayVec::new();
        let trunks = route.trunks.iter().filter_map(|&i| self.trunk(i)).filter(|t| t.enabled);
        // More ways than there is room for are refused when the rules are compiled.
        trunks.for_each(|t| {
            if !seen.contains(&t.understanding()) {
                let _ = seen.try_push(t.understanding());
            }
        });
        seen.into_iter()
    }

    /// A call frequency rule.
    pub(crate) fn frequency(&self, index: u32) -> Option<&Frequency> {
        self.frequencies.get(usize::try_from(index).ok()?)
    }

    /// Whether a number is an extension or a feature code: no outbound call.
    pub(crate) fn is_internal(&self, number: &Number) -> bool {
        let extension = number.as_str().parse().is_ok_and(|id| self.by_id.contains_key(&id));
        extension || self.feature_codes.iter().any(|p| p.matches(number))
    }

    /// The schedule of an extension's business hours, with the rule that decisions name.
    pub(crate) fn schedule_of(&self, extension: &Extension) -> Option<(RuleId, &Schedule)> {
        let rule = RuleId::new(RuleKind::Schedule, u32::try_from(extension.schedule).ok()?);
        Some((rule, self.schedules.get(extension.schedule)?))
    }

    /// How long a call of `extension` may last (E12); `None` for any time.
    pub(crate) fn max_duration(
        &self,
        extension: Option<&Extension>,
        route: Option<&Route>,
    ) -> Option<Duration> {
        let limited = |d: Duration| Some(d).filter(|d| !d.is_zero());
        let global = limited(self.dialling.max_duration.get());
        let own = extension.and_then(|e| limited(e.max_duration));
        let capped =
            own.map(|own| global.filter(|_| self.dialling.cap_by_global).map_or(own, |g| g.min(own)));
        let route = route.and_then(|r| limited(r.max_duration));
        [capped.or(global), route].into_iter().flatten().min()
    }

    /// The name of a rule of this part; `None` for rules of other kinds.
    pub(crate) fn rule_name(&self, rule: RuleId) -> Option<String> {
        let i = usize::try_from(rule.index).ok()?;
        let (kind, name) = match rule.kind {
            RuleKind::Emergency => ("emergency", self.emergencies.name(rule.index)?),
            RuleKind::NumberList => ("number_list", self.lists.name(rule.index)?),
            RuleKind::Route => ("route", self.routes.get(i)?.name.as_str()),
            RuleKind::Frequency => ("frequency", self.frequencies.get(i)?.name.as_str()),
            RuleKind::Trunk => ("trunk", self.trunks.get(i)?.name.as_str()),
            RuleKind::Schedule => ("schedule", self.schedule_names.get(i)?.as_str()),
            _ => return None,
        };
        Some(format!("{kind}:{name}"))
    }
}

/// Refuses routes whose trunks read numbers in more ways than a decision looks at.
fn check_understandings(config: &Config, errors: &mut ConfigErrors) {
    for (i, route) in config.routes.iter().enumerate() {
        let trunks = config.trunks.iter().filter(|t| route.trunks.contains(&t.name));
        let ways: BTreeSet<_> = trunks.map(|t| (t.treat_bare_e164, &t.international_prefixes)).collect();
        if ways.len() > UNDERSTANDINGS {
            let problem = format!("its trunks read numbers in more than {UNDERSTANDINGS} ways");
            let error = ConfigError::new(format!("route[{i}].trunks"), problem);
            errors.push(error.instead("give them the same treat_bare_e164 and international_prefixes"));
        }
    }
}

/// Refuses extensions and feature codes that are dialled like an emergency number.
fn check_shadows(
    config: &Config,
    emergencies: &Emergencies,
    feature_codes: &[Pattern],
    errors: &mut ConfigErrors,
) {
    let remedy = "emergency calls always come first, so nothing else could be reached there";
    for (i, extension) in config.extensions.iter().enumerate() {
        if extension.number.parse().is_ok_and(|n: Number| emergencies.find(&n).is_some()) {
            let problem = format!("{:?} is dialled like an emergency number", extension.number);
            errors.push(ConfigError::new(format!("extension[{i}].number"), problem).instead(remedy));
        }
    }
    for (i, code) in feature_codes.iter().enumerate() {
        if let Some(number) = emergencies.numbers().find(|n| code.matches(n)) {
            let problem = format!("{code} also means the emergency number {number}");
            errors.push(ConfigError::new(format!("dialling.feature_codes[{i}]"), problem).instead(remedy));
        }
    }
}

fn check_dialling(dialling: &DiallingConfig, errors: &mut ConfigErrors) {
    let alive_for = dialling.alive_for.get();
    if alive_for < Duration::from_secs(60) || alive_for > Duration::from_secs(86_400) {
        errors.push(ConfigError::new("dialling.alive_for", "a call counts as alive for 1min to 24h"));
    }
}

fn feature_codes(config: &Config, dialect: Dialect, errors: &mut ConfigErrors) -> Vec<Pattern> {
    let each = config.dialling.feature_codes.iter().enumerate();
    let pattern = |(i, text): (usize, &String)| {
        let wrong = |e: crate::pattern::PatternError| {
            ConfigError::new(format!("dialling.feature_codes[{i}]"), e.to_string())
        };
        errors.take(Pattern::parse(text, dialect).map_err(wrong))
    };
    each.filter_map(pattern).collect()
}

/// The names that time conditions know without configuration.
const BUSINESS: &str = "business";
const ALWAYS: &str = "always";

fn schedules(config: &Config, errors: &mut ConfigErrors) -> (Vec<Schedule>, Vec<String>) {
    let time = &config.time;
    let zone = schedule::zone(&time.zone, "time.zone", errors).unwrap_or(Tz::UTC);
    let holidays = schedule::compile_holidays(&time.holidays, "time", errors);
    let mut compiled = vec![schedule::compile(zone, &time.hours, holidays.clone(), "time", errors)];
    let mut names = vec![BUSINESS.to_owned()];
    check_names(time.schedules.iter().map(|s| s.name.as_str()), "time.schedule", 63, false, errors);
    for (i, s) in time.schedules.iter().enumerate() {
        let path = format!("time.schedule[{i}]");
        if [BUSINESS, ALWAYS].contains(&s.name.as_str()) {
            errors.push(ConfigError::new(
                format!("{path}.name"),
                format!("{:?} has a meaning already", s.name),
            ));
        }
        let own_zone = if s.zone.is_empty() {
            zone
        } else {
            schedule::zone(&s.zone, &format!("{path}.zone"), errors).unwrap_or(zone)
        };
        let own = schedule::compile_holidays(&s.holidays, &path, errors);
        let all = if s.inherit_holidays { own.and(holidays.clone()) } else { own };
        compiled.push(schedule::compile(own_zone, &s.hours, all, &path, errors));
        names.push(s.name.clone());
    }
    (compiled, names)
}

fn extensions(
    config: &Config,
    frequencies: &[Frequency],
    schedules: &[String],
    errors: &mut ConfigErrors,
) -> Vec<Extension> {
    let mut seen = BTreeSet::new();
    for (i, twice) in config.extensions.iter().enumerate().filter(|(_, e)| !seen.insert(&e.number)) {
        let problem = format!("{:?} is there twice", twice.number);
        errors.push(ConfigError::new(format!("extension[{i}].number"), problem));
    }
    let each = (0..).zip(&config.extensions);
    each.filter_map(|(i, e)| extension(i, e, frequencies, schedules, errors)).collect()
}

fn extension(
    index: u32,
    config: &ExtensionConfig,
    frequencies: &[Frequency],
    schedules: &[String],
    errors: &mut ConfigErrors,
) -> Option<Extension> {
    let path = format!("extension[{index}]");
    let wrong = |e: pbx_core::IdError| ConfigError::new(format!("{path}.number"), e.to_string());
    let id = errors.take(config.number.parse().map_err(wrong));
    if config.max_calls > EXTENSION_CALLS {
        let problem = format!("at most {EXTENSION_CALLS} calls can be counted");
        errors.push(ConfigError::new(format!("{path}.max_calls"), problem).instead("write 0 for any number"));
    }
    let frequencies =
        Frequency::of(config.frequency.as_deref(), frequencies, &format!("{path}.frequency"), errors);
    let schedule = schedule_index(&config.schedule, schedules, &format!("{path}.schedule"), errors);
    Some(Extension {
        id: id?,
        index,
        enabled: config.enabled,
        outbound: config.outbound,
        outside_hours: config.outbound_outside_hours,
        international: config.international,
        max_calls: config.max_calls,
        max_duration: config.max_duration.get(),
        frequencies,
        schedule,
        caller_id: CallerId::compile(&config.caller_id, &format!("{path}.caller_id"), errors),
        emergency_caller_id: CallerId::compile(
            &config.emergency_caller_id,
            &format!("{path}.emergency_caller_id"),
            errors,
        ),
        anonymous: config.anonymous,
    })
}

/// The place of a schedule; the first one when none is named.
fn schedule_index(name: &str, schedules: &[String], path: &str, errors: &mut ConfigErrors) -> usize {
    if name.is_empty() {
        return 0;
    }
    let found = index(name, schedules.iter().map(String::as_str), path, "schedule", errors);
    found.and_then(|i| usize::try_from(i).ok()).unwrap_or_default()
}

fn direct_numbers(config: &Config, errors: &mut ConfigErrors) -> BTreeMap<String, u32> {
    let mut out = BTreeMap::new();
    for (i, extension) in (0..).zip(&config.extensions) {
        for (j, text) in extension.direct_numbers.iter().enumerate() {
            let path = format!("extension[{i}].direct_numbers[{j}]");
            let wrong = |e: pbx_core::NumberError| ConfigError::new(&path, e.to_string());
            let Some(number) = errors.take(text.parse::<Number>().map_err(wrong)) else { continue };
            if out.insert(number.as_str().to_owned(), i).is_some() {
                errors.push(ConfigError::new(path, format!("{text:?} leads to two extensions")));
            }
        }
    }
    out
}

fn trunks(config: &Config, errors: &mut ConfigErrors) -> Vec<Trunk> {
    check_names(config.trunks.iter().map(|t| t.name.as_str()), "trunk", 63, true, errors);
    (0..).zip(&config.trunks).map(|(i, t)| trunk(i, t, config, errors)).collect()
}

/// A digest of a name. It need not be secret: names are the administrator's.
fn tag_of(name: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_bytes());
    (hasher.finish() >> 16).max(1)
}

fn trunk(number: u32, config: &TrunkConfig, all: &Config, errors: &mut ConfigErrors) -> Trunk {
    let path = format!("trunk[{number}]");
    if config.max_calls > TRUNK_CALLS {
        let problem = format!("at most {TRUNK_CALLS} calls can be counted");
        errors.push(ConfigError::new(format!("{path}.max_calls"), problem).instead("write 0 for any number"));
    }
    check_prefixes(&config.international_prefixes, &format!("{path}.international_prefixes"), errors);
    let extensions = all.extensions.iter().map(|e| e.number.as_str());
    let destination = (!config.destination.is_empty())
        .then(|| index(&config.destination, extensions, &format!("{path}.destination"), "extension", errors));
    Trunk {
        name: config.name.clone(),
        index: number,
        tag: tag_of(&config.name),
        enabled: config.enabled,
        max_calls: config.max_calls,
        restriction: config.restriction,
        caller_id: CallerId::compile(&config.caller_id, &format!("{path}.caller_id"), errors),
        bare: config.treat_bare_e164,
        prefixes: config.international_prefixes.clone(),
        anonymous: config.anonymous,
        destination: destination.flatten(),
    }
}
