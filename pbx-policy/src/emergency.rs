//! Emergency numbers: found first, and stopped by nothing (spec 2.18).

use arrayvec::ArrayVec;
use pbx_core::{ConfigError, ConfigErrors, ExtensionId, Label, Number, RuleId, RuleKind};

use crate::call::{TRUNKS, TrunkChoice};
use crate::caller_id::CallerId;
use crate::config::{Config, EmergencyCallerId, EmergencyConfig};
use crate::member::{check_names, index};
use crate::route::{rewrite, rewriting};

/// Every emergency number.
#[derive(Debug, Default)]
pub(crate) struct Emergencies {
    numbers: Vec<Emergency>,
    access_prefixes: Vec<String>,
}

#[derive(Debug)]
struct Emergency {
    name: String,
    number: Number,
    trunks: Vec<Line>,
    extension_first: bool,
}

/// A trunk with what it is sent.
#[derive(Debug)]
struct Line {
    trunk: u32,
    strip: usize,
    prepend: String,
    caller_id: Option<CallerId>,
}

/// Whose caller ID an emergency call may show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) extension: ExtensionId,
    /// The extension's own emergency caller ID.
    pub(crate) own: Option<&'a CallerId>,
}

impl Emergencies {
    pub(crate) fn compile(config: &Config, errors: &mut ConfigErrors) -> Self {
        check_names(config.emergencies.iter().map(|e| e.name.as_str()), "emergency", 63, false, errors);
        let access_prefixes = &config.dialling.access_prefixes;
        for (i, prefix) in access_prefixes.iter().enumerate().filter(|(_, p)| p.parse::<Number>().is_err()) {
            let path = format!("dialling.access_prefixes[{i}]");
            errors.push(ConfigError::new(path, format!("{prefix:?} cannot be dialled")));
        }
        let mut out = Self { numbers: Vec::new(), access_prefixes: access_prefixes.clone() };
        for (i, emergency) in config.emergencies.iter().enumerate() {
            let compiled = Emergency::compile(emergency, config, &format!("emergency[{i}]"), errors);
            let twice = compiled.as_ref().is_some_and(|c| out.numbers.iter().any(|e| e.number == c.number));
            if twice {
                let path = format!("emergency[{i}].number");
                errors.push(ConfigError::new(path, format!("{:?} is there twice", emergency.number)));
            }
            out.numbers.extend(compiled);
        }
        out
    }

    /// The emergency number that was dialled, plain or behind an access prefix.
    pub(crate) fn find(&self, dialled: &Number) -> Option<Found<'_>> {
        let dialled = dialled.as_str();
        let is = |e: &Emergency| {
            let prefix = dialled.strip_suffix(e.number.as_str());
            prefix.is_some_and(|p| p.is_empty() || self.access_prefixes.iter().any(|a| a == p))
        };
        let (i, emergency) = (0..).zip(&self.numbers).find(|(_, e)| is(e))?;
        Some(Found { rule: RuleId::new(RuleKind::Emergency, i), emergency })
    }

    /// The numbers, without access prefixes.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = &Number> {
        self.numbers.iter().map(|e| &e.number)
    }

    /// The name of an emergency number.
    pub(crate) fn name(&self, index: u32) -> Option<&str> {
        self.numbers.get(usize::try_from(index).ok()?).map(|e| e.name.as_str())
    }
}

impl Emergency {
    fn compile(
        config: &EmergencyConfig,
        all: &Config,
        path: &str,
        errors: &mut ConfigErrors,
    ) -> Option<Self> {
        let wrong = |e: pbx_core::NumberError| ConfigError::new(format!("{path}.number"), e.to_string());
        let number = errors.take(config.number.parse().map_err(wrong));
        if config.trunks.is_empty() {
            let error = ConfigError::new(format!("{path}.trunk"), "no trunk for emergency calls");
            errors.push(error.instead("name at least one trunk: trunk = [{ trunk = \"...\" }]"));
        }
        let names = all.trunks.iter().map(|t| t.name.as_str());
        let mut trunks = Vec::new();
        for (i, line) in config.trunks.iter().enumerate() {
            let path = format!("{path}.trunk[{i}]");
            let trunk = index(&line.trunk, names.clone(), &format!("{path}.trunk"), "trunk", errors);
            let (strip, prepend) = rewriting(line.strip, &line.prepend, &path, errors);
            let caller_id = CallerId::compile(&line.caller_id, &format!("{path}.caller_id"), errors);
            if number.is_some_and(|n| rewrite(&n, strip, &prepend).is_none()) {
                errors.push(ConfigError::new(path, "nothing is left of the number"));
            }
            trunks.extend(trunk.map(|trunk| Line { trunk, strip, prepend, caller_id }));
        }
        let extension_first = config.caller_id == EmergencyCallerId::ExtensionFirst;
        Some(Self { name: config.name.clone(), number: number?, trunks, extension_first })
    }

    fn choice(&self, line: &Line, shown: Shown<'_>, fallback: Option<&CallerId>) -> Option<TrunkChoice> {
        let trunk = line.caller_id.as_ref();
        let first = if self.extension_first { shown.own.or(trunk) } else { trunk.or(shown.own) };
        let caller_id = first.or(fallback).map_or(Label::EMPTY, |id| id.shown(shown.extension));
        let number = rewrite(&self.number, line.strip, &line.prepend)?;
        Some(TrunkChoice { trunk: RuleId::new(RuleKind::Trunk, line.trunk), number, caller_id })
    }
}

/// An emergency number that was dialled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) rule: RuleId,
    emergency: &'a Emergency,
}

impl Found<'_> {
    /// The number itself, without an access prefix.
    pub(crate) const fn number(&self) -> Number {
        self.emergency.number
    }

    /// Its trunks in order, those that `enabled` names first. `fallback` is the caller ID of a trunk.
    pub(crate) fn trunks<'c>(
        &self,
        shown: Shown<'_>,
        enabled: impl Fn(u32) -> bool,
        fallback: impl Fn(u32) -> Option<&'c CallerId>,
    ) -> ArrayVec<TrunkChoice, TRUNKS> {
        let enabled = &enabled;
        let lines = |on: bool| self.emergency.trunks.iter().filter(move |l| enabled(l.trunk) == on);
        // A trunk that is switched off is better than none.
        let choices = lines(true).chain(lines(false));
        choices.filter_map(|l| self.emergency.choice(l, shown, fallback(l.trunk))).take(TRUNKS).collect()
    }
}
