//! Durations and penalties as an administrator writes them: `90s`, `10min`, `24h`, `permanent`.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, written as numbers with units that add up: `500ms`, `90s`, `10min`, `1h30min`, `7d`.
///
/// ```
/// use pbx_policy::config::Period;
/// let p: Period = "1h30min".parse().unwrap();
/// assert_eq!(p.get().as_secs(), 5400);
/// assert_eq!(p.to_string(), "1h30min");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct Period(Duration);

/// Why a text is not a [`Period`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a length of time as numbers with units, e.g. \"90s\", \"10min\", \"24h\"; units: ms, s, min, h, d"
)]
pub struct PeriodError;

/// The units, longest first; this is also the order they are written in.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// Longest period, 100 years: what is meant to last longer is permanent.
const MAX_MILLIS: u64 = 100 * 366 * 86_400_000;

impl Period {
    /// From seconds.
    #[must_use]
    pub const fn secs(s: u64) -> Self {
        Self(Duration::from_secs(s))
    }

    /// From minutes.
    #[must_use]
    pub const fn minutes(m: u64) -> Self {
        Self::secs(m.saturating_mul(60))
    }

    /// From hours.
    #[must_use]
    pub const fn hours(h: u64) -> Self {
        Self::minutes(h.saturating_mul(60))
    }

    /// From days.
    #[must_use]
    pub const fn days(d: u64) -> Self {
        Self::hours(d.saturating_mul(24))
    }

    /// The length.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whether it is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(s: &str) -> Result<Self, PeriodError> {
        let mut rest = s.trim();
        let mut millis = 0_u64;
        if rest.is_empty() {
            return Err(PeriodError);
        }
        while !rest.is_empty() {
            let (term, after) = term(rest).ok_or(PeriodError)?;
            millis = millis.checked_add(term).filter(|&ms| ms <= MAX_MILLIS).ok_or(PeriodError)?;
            rest = after.trim_start();
        }
        Ok(Self(Duration::from_millis(millis)))
    }
}

/// The first `number unit` of `s` in milliseconds, and what follows it.
fn term(s: &str) -> Option<(u64, &str)> {
    let (digits, rest) = s.split_at(s.find(|c: char| !c.is_ascii_digit())?);
    let rest = rest.trim_start();
    let (name, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len()));
    let (_, unit) = UNITS.iter().find(|(u, _)| *u == name)?;
    Some((digits.parse::<u64>().ok()?.checked_mul(*unit)?, after))
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(MAX_MILLIS);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (name, unit) in UNITS {
            if millis >= unit {
                write!(f, "{}{name}", millis / unit)?;
                millis %= unit;
            }
        }
        Ok(())
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// How long a block lasts: a [`Period`], `permanent`, or `escalate` for the ladder of repeated offences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
#[allow(clippy::exhaustive_enums, reason = "these are all the ends a block can have")]
pub enum Penalty {
    /// For a time.
    For(Period),
    /// Until an administrator lifts it.
    Permanent,
    /// As the ladder says for the how-manieth offence this is.
    Escalate,
}

/// Why a text is not a [`Penalty`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write how long a block lasts: a length of time such as \"24h\", or \"permanent\", or \"escalate\"")]
pub struct PenaltyError;

impl FromStr for Penalty {
    type Err = PenaltyError;

    fn from_str(s: &str) -> Result<Self, PenaltyError> {
        match s.trim() {
            "permanent" => Ok(Self::Permanent),
            "escalate" => Ok(Self::Escalate),
            other => other.parse().map(Self::For).map_err(|PeriodError| PenaltyError),
        }
    }
}

impl fmt::Display for Penalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(period) => period.fmt(f),
            Self::Permanent => f.write_str("permanent"),
            Self::Escalate => f.write_str("escalate"),
        }
    }
}

impl Serialize for Penalty {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Penalty {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn periods_as_people_write_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("10min", 600_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("1h30min", 5_400_000),
            (" 2 s ", 2_000),
            ("0s", 0),
        ] {
            assert_eq!(text.parse::<Period>().unwrap().get(), Duration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for bad in [
            "",
            " ",
            "10",
            "s",
            "10 minutes",
            "-1s",
            "1.5h",
            "10m",
            "1d2",
            "99999999999999999999s",
            "40000d",
            "1é",
        ] {
            assert_eq!(bad.parse::<Period>(), Err(PeriodError), "{bad:?}");
        }
    }

    #[test]
    fn penalties() {
        assert_eq!("24h".parse(), Ok(Penalty::For(Period::hours(24))));
        assert_eq!("permanent".parse(), Ok(Penalty::Permanent));
        assert_eq!("escalate".parse(), Ok(Penalty::Escalate));
        assert_eq!("for ever".parse::<Penalty>(), Err(PenaltyError));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ms in 0..MAX_MILLIS) {
            let p = Period(Duration::from_millis(ms));
            prop_assert_eq!(p.to_string().parse::<Period>(), Ok(p));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            let _ = text.parse::<Period>();
            let _ = text.parse::<Penalty>();
        }
    }
}
