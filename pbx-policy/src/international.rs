//! International calls: how a number reads as an international one, and whether its country is allowed
//! (E7, E8, spec 2.13).
//!
//! A number is read in every form it can have: `+54…`, `0054…` for each international prefix, `4420…` on a
//! trunk that takes bare numbers, and `1242…` or `0900…` as a national number where the home country is
//! configured. What is dialled and what each trunk gets are judged alike; one reading that is not allowed
//! refuses the call, so that no rewriting and no ambiguous prefix hides a destination.

use std::collections::BTreeSet;

use arrayvec::ArrayVec;
use pbx_core::{ConfigError, ConfigErrors, Number, Reason, RuleId};

use crate::config::{Config, InternationalConfig};
use crate::country::{self, Class, Destination, classify};
use crate::geo::CountryCode;
use crate::member::unknown;

/// Most ways to read one number; prefixes beyond that are refused when compiled.
const READINGS: usize = 8;

/// Compiled rules of international calls.
#[derive(Debug, Default)]
pub(crate) struct International {
    enabled: bool,
    prefixes: Vec<String>,
    home: Option<Home>,
    allowed: BTreeSet<CountryCode>,
    premium: bool,
    special: bool,
    /// Whether every international call needs a PIN.
    pub(crate) pin: bool,
}

/// Where the system stands.
#[derive(Debug)]
struct Home {
    country: CountryCode,
    /// Its calling code, e.g. `49`.
    code: &'static str,
    /// What stands before a national number with area code; empty where that is not configured.
    prefix: String,
}

/// What a trunk makes of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Understanding<'a> {
    /// A bare number is an international one.
    pub(crate) bare: bool,
    /// International prefixes beside the system's.
    pub(crate) prefixes: &'a [String],
}

/// One way to read a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The number with country code, in `+` form; `None` when no digits are left for it.
    pub(crate) number: Option<Number>,
    to: &'static Destination,
    /// Read as a national number of the home country.
    national: bool,
}

/// All ways to read a number.
pub(crate) type Readings = ArrayVec<Reading, READINGS>;

/// A no: why, and the country that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) country: Option<CountryCode>,
}

impl Refusal {
    const fn new(reason: Reason) -> Self {
        Self { reason, country: None }
    }

    /// The rule that decisions name.
    pub(crate) fn rule(&self) -> Option<RuleId> {
        self.country.map(CountryCode::rule)
    }
}

impl International {
    pub(crate) fn compile(config: &Config, errors: &mut ConfigErrors) -> Self {
        let section = &config.international;
        let longest = config.trunks.iter().map(|t| t.international_prefixes.len()).max().unwrap_or_default();
        if section.prefixes.len() + longest >= READINGS {
            let problem = format!("more than {} prefixes with those of a trunk", READINGS - 1);
            errors.push(ConfigError::new("international.prefixes", problem));
        }
        check_prefixes(&section.prefixes, "international.prefixes", errors);
        let home = Home::compile(section, errors);
        let mut allowed = countries(&section.allowed, "international.allowed", errors);
        allowed.extend(home.as_ref().map(|h| h.country));
        Self {
            enabled: section.enabled,
            prefixes: section.prefixes.clone(),
            home,
            allowed,
            premium: section.danger_allow_premium,
            special: section.danger_allow_special,
            pin: !section.pin.is_empty(),
        }
    }

    /// The international prefixes of the system.
    pub(crate) fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// Every way to read a number; none for one that is not international.
    pub(crate) fn readings(&self, number: &Number, trunk: Understanding<'_>) -> Readings {
        let text = number.as_str();
        let mut out: Readings = ArrayVec::new();
        if let Some(digits) = text.strip_prefix('+') {
            let _ = out.try_push(Reading::international(digits));
            return out;
        }
        let prefixes = self.prefixes.iter().chain(trunk.prefixes);
        let rests = prefixes.filter_map(|p| text.strip_prefix(p.as_str()));
        out.extend(rests.map(Reading::international).take(READINGS));
        // `0011 44…` reads as +11 44… where both 00 and 0011 are prefixes: what leads nowhere is no reading.
        if out.iter().any(Reading::is_assigned) {
            out.retain(|r| r.is_assigned());
        }
        if out.is_empty() && trunk.bare {
            let _ = out.try_push(Reading::international(text));
        }
        if out.is_empty() {
            out.extend(self.home.as_ref().and_then(|home| home.national(text)));
        }
        out
    }

    /// Whether a reading leaves the home country.
    pub(crate) fn leaves(&self, reading: &Reading) -> bool {
        let home = self.home.as_ref().is_some_and(|home| reading.to.countries.contains(&home.country));
        // A national number nobody has been assigned is wrong rather than far away.
        !home && (reading.is_assigned() || !reading.national)
    }

    /// Whether an extension that may, or may not, call abroad may call what is read like this.
    pub(crate) fn check(&self, readings: &[Reading], abroad: bool) -> Result<(), Refusal> {
        for reading in readings {
            if !abroad && self.leaves(reading) {
                return Err(Refusal::new(Reason::InternationalDisallowed));
            }
            if self.enabled {
                self.permits(reading.to)?;
            }
        }
        Ok(())
    }

    fn permits(&self, to: &Destination) -> Result<(), Refusal> {
        let not_allowed = to.countries.iter().find(|c| !self.allowed.contains(c));
        let every = not_allowed.map_or(Ok(()), |&country| {
            Err(Refusal { reason: Reason::CountryNotAllowed, country: Some(country) })
        });
        match to.class {
            Class::Unassigned => Err(Refusal::new(Reason::UnknownPrefix)),
            Class::Special if self.special => Ok(()),
            Class::Special => Err(Refusal::new(Reason::SpecialNumber)),
            Class::Premium if !self.premium => Err(Refusal::new(Reason::PremiumRate)),
            // Free in each of its countries, so one of them is enough; everything else may lie in any.
            Class::TollFree | Class::Premium if to.countries.iter().any(|c| self.allowed.contains(c)) => {
                Ok(())
            }
            Class::TollFree | Class::Premium | Class::Geographic | Class::SharedZone => every,
        }
    }
}

impl Reading {
    fn international(digits: &str) -> Self {
        let number = digits.parse::<Number>().ok().and_then(|n| n.prepend("+").ok());
        Self { number, to: classify(digits.as_bytes()), national: false }
    }

    fn is_assigned(&self) -> bool {
        self.to.class != Class::Unassigned
    }
}

impl Home {
    fn compile(section: &InternationalConfig, errors: &mut ConfigErrors) -> Option<Self> {
        if section.home.is_empty() {
            if !section.national_prefix.is_empty() {
                let problem = "a national prefix means nothing without the country";
                let error = ConfigError::new("international.national_prefix", problem);
                errors.push(error.instead("write home = \"DE\" or whichever it is"));
            }
            return None;
        }
        let country = errors.take(country(&section.home, "international.home"))?;
        let own = classify_home(country);
        let code = errors.take(own.ok_or_else(|| {
            ConfigError::new("international.home", format!("{country} has no calling code of its own"))
        }))?;
        let prefix = section.national_prefix.clone();
        if !prefix.bytes().all(|c| c.is_ascii_digit()) || prefix.len() > 4 {
            errors.push(ConfigError::new(
                "international.national_prefix",
                "write at most 4 digits, e.g. \"0\"",
            ));
        }
        Some(Self { country, code, prefix })
    }

    /// A number that is dialled with area code and without country code.
    fn national(&self, text: &str) -> Option<Reading> {
        let rest = match text.strip_prefix(self.prefix.as_str()) {
            Some(rest) if !self.prefix.is_empty() => rest,
            _ if self.code == "1" && is_nanp(text) => text,
            _ => return None,
        };
        let digits = Number::prepend(&rest.parse().ok()?, self.code).ok()?;
        let number = digits.prepend("+").ok();
        Some(Reading { number, to: classify(digits.as_bytes()), national: true })
    }
}

/// The country code of a home country; for one of the North American plan that is 1, not an area code.
fn classify_home(country: CountryCode) -> Option<&'static str> {
    let code = country::calling_code(country)?;
    Some(if code.starts_with('1') { "1" } else { code })
}

/// Ten digits as the North American plan has them: NXX NXX XXXX.
fn is_nanp(text: &str) -> bool {
    let n = |c: Option<&u8>| c.is_some_and(|c| (b'2'..=b'9').contains(c));
    let bytes = text.as_bytes();
    bytes.len() == 10 && bytes.iter().all(u8::is_ascii_digit) && n(bytes.first()) && n(bytes.get(3))
}

/// Checks international prefixes: 1 to 8 digits.
pub(crate) fn check_prefixes(prefixes: &[String], path: &str, errors: &mut ConfigErrors) {
    for (i, prefix) in prefixes.iter().enumerate() {
        let fits = (1..=8).contains(&prefix.len()) && prefix.bytes().all(|c| c.is_ascii_digit());
        if !fits {
            let error = ConfigError::new(format!("{path}[{i}]"), format!("{prefix:?} is no prefix"));
            errors.push(error.instead("write 1 to 8 digits such as \"00\"; a + is always understood"));
        }
    }
}

fn countries(list: &[String], path: &str, errors: &mut ConfigErrors) -> BTreeSet<CountryCode> {
    let each = list.iter().enumerate();
    each.filter_map(|(i, text)| errors.take(country(text, &format!("{path}[{i}]")))).collect()
}

fn country(text: &str, path: &str) -> Result<CountryCode, ConfigError> {
    let known = text.parse().ok().filter(|&c: &CountryCode| country::name(c).is_some());
    known.ok_or_else(|| {
        let codes: Vec<String> = country::countries().map(|c| c.to_string()).collect();
        let by_name =
            country::countries().find(|&c| country::name(c).is_some_and(|n| n.eq_ignore_ascii_case(text)));
        let error = unknown(text, path, "country", codes.iter().map(String::as_str));
        let example = by_name.map_or_else(|| "DE".to_owned(), |c| c.to_string());
        error.instead(format!("write an ISO 3166-1 code such as \"{example}\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(toml: &str) -> International {
        let config: Config = toml::from_str(&format!("[international]\n{toml}")).unwrap();
        let mut errors = ConfigErrors::new();
        let rules = International::compile(&config, &mut errors);
        assert!(errors.is_empty(), "{errors}");
        rules
    }

    fn check(rules: &International, number: &str, trunk: Understanding<'_>) -> String {
        let readings = rules.readings(&number.parse().unwrap(), trunk);
        match rules.check(&readings, true) {
            Ok(()) if readings.is_empty() => "national".to_owned(),
            Ok(()) => "allowed".to_owned(),
            Err(no) => no.country.map_or_else(|| no.reason.to_string(), |c| format!("{} {c}", no.reason)),
        }
    }

    fn plain(rules: &International, number: &str) -> String {
        check(rules, number, Understanding::default())
    }

    #[test]
    fn spec_5_3_longest_prefix_and_premium() {
        let rules = compile("enabled = true\nprefixes = [\"00\", \"011\"]\nallowed = [\"US\", \"CA\"]");
        for (number, expected) in [
            ("+14165551234", "allowed"),
            ("+12425551234", "country_not_allowed BS"),
            ("+19005551234", "premium_rate"),
            ("+12129765551", "premium_rate"),
            ("+18665551234", "allowed"),
            ("01114165551234", "allowed"),
            ("0112125551234", "country_not_allowed MA"),
            ("011442079460000", "country_not_allowed GB"),
            ("0012425551234", "country_not_allowed BS"),
            ("+88161234567", "special_number"),
            ("+80012345678", "special_number"),
            ("+21012345", "unknown_prefix"),
            ("+1", "unknown_prefix"),
            ("00", "unknown_prefix"),
            ("00*54", "unknown_prefix"),
            ("12425551234", "national"),
            ("2125551234", "national"),
        ] {
            assert_eq!(plain(&rules, number), expected, "{number}");
        }
    }

    #[test]
    fn spec_5_4_a_plus_is_the_prefix() {
        let rules = compile("enabled = true\nallowed = [\"DE\"]");
        assert_eq!(plain(&rules, "+541144445555"), "country_not_allowed AR");
        assert_eq!(plain(&rules, "00541144445555"), "country_not_allowed AR");
        assert_eq!(plain(&rules, "+49301234567"), "allowed");
    }

    #[test]
    fn several_prefixes_hide_nothing() {
        let rules =
            compile("enabled = true\nprefixes = [\"00\", \"0011\", \"007\"]\nallowed = [\"GB\", \"AR\"]");
        assert_eq!(plain(&rules, "0011442079460000"), "allowed", "+1144… leads nowhere");
        // Read with 00 this is Russia, read with 007 Argentina: one of the two is not allowed.
        assert_eq!(plain(&rules, "007911123"), "country_not_allowed RU");
        assert_eq!(plain(&rules, "00754111"), "allowed", "+754 is nobody's");
    }

    #[test]
    fn a_trunk_that_takes_bare_numbers() {
        let rules = compile("enabled = true\nallowed = [\"DE\"]");
        let bare = Understanding { bare: true, prefixes: &[] };
        assert_eq!(check(&rules, "442079460000", bare), "country_not_allowed GB");
        assert_eq!(check(&rules, "49301234567", bare), "allowed");
        assert_eq!(check(&rules, "00442079460000", bare), "country_not_allowed GB");
        let own = ["990".to_owned()];
        let own = Understanding { bare: false, prefixes: &own };
        assert_eq!(check(&rules, "990442079460000", own), "country_not_allowed GB");
        assert_eq!(plain(&rules, "990442079460000"), "national");
    }

    #[test]
    fn national_numbers_of_the_home_country() {
        let us = compile("enabled = true\nprefixes = [\"011\"]\nhome = \"US\"\nnational_prefix = \"1\"");
        for (number, expected) in [
            ("12125551234", "allowed"),
            ("2125551234", "allowed"),
            ("12425551234", "country_not_allowed BS"),
            ("2425551234", "country_not_allowed BS"),
            ("19005551234", "premium_rate"),
            ("14165551234", "country_not_allowed CA"),
            ("5551234", "national"),
        ] {
            assert_eq!(plain(&us, number), expected, "{number}");
        }
        let de = compile("enabled = true\nhome = \"DE\"\nnational_prefix = \"0\"");
        assert_eq!(plain(&de, "0301234567"), "allowed");
        assert_eq!(plain(&de, "0900123456"), "premium_rate");
        assert_eq!(plain(&de, "0031201234567"), "country_not_allowed NL", "00 is no area code");
    }

    #[test]
    fn the_switch_of_an_extension_needs_no_protection() {
        let rules = compile("home = \"DE\"\nnational_prefix = \"0\"");
        let abroad = |number: &str| {
            let readings = rules.readings(&number.parse().unwrap(), Understanding::default());
            assert_eq!(rules.check(&readings, true), Ok(()), "{number}: the protection is off");
            rules.check(&readings, false).is_err()
        };
        for international in ["+541144445555", "0012425551234", "+88161234567", "00", "+999"] {
            assert!(abroad(international), "{international}");
        }
        for national in ["+49301234567", "0049301234567", "0301234567", "110", "0900123456"] {
            assert!(!abroad(national), "{national}");
        }
    }

    #[test]
    fn weaknesses_are_opened_one_by_one() {
        let rules = compile("enabled = true\nallowed = [\"US\"]\ndanger_allow_premium = true");
        assert_eq!(plain(&rules, "+19005551234"), "allowed");
        assert_eq!(plain(&rules, "+449012345678"), "country_not_allowed GB");
        assert_eq!(plain(&rules, "+88161234567"), "special_number");
        let rules = compile("enabled = true\ndanger_allow_special = true");
        assert_eq!(plain(&rules, "+88161234567"), "allowed");
        assert_eq!(plain(&rules, "+999"), "unknown_prefix");
    }

    #[test]
    fn zones_that_digits_do_not_divide_need_all_countries() {
        let rules = compile("enabled = true\nallowed = [\"GP\", \"BL\"]");
        assert_eq!(plain(&rules, "+590590123456"), "country_not_allowed MF");
        let rules = compile("enabled = true\nallowed = [\"GP\", \"BL\", \"MF\"]");
        assert_eq!(plain(&rules, "+590590123456"), "allowed");
    }

    #[test]
    fn mistakes_are_all_reported() {
        let config: Config = toml::from_str(
            r#"
            [international]
            prefixes = ["00", "+", ""]
            home = "Germany"
            national_prefix = "0"
            allowed = ["DE", "de", "UK", "1-242"]
            "#,
        )
        .unwrap();
        let mut errors = ConfigErrors::new();
        International::compile(&config, &mut errors);
        let all = errors.to_string();
        let paths: Vec<&str> = errors.iter().map(ConfigError::path).collect();
        let expected = [
            "international.prefixes[1]",
            "international.prefixes[2]",
            "international.home",
            "international.allowed[1]",
            "international.allowed[2]",
            "international.allowed[3]",
        ];
        assert_eq!(paths, expected, "{all}");
        assert!(all.contains("such as \"DE\""), "the name of the country is known: {all}");
    }
}
