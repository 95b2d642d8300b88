//! Time zone, business hours and holidays.

use serde::{Deserialize, Serialize};

/// Time zone, business hours and holidays (E4, E6, spec 2.12).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TimeConfig {
    /// The time zone, by its name in the IANA database, e.g. `Europe/Berlin`.
    pub zone: String,
    /// The business hours; a time is among them when one of the groups says so.
    pub hours: Vec<TimeGroup>,
    /// Holidays, which win over business hours.
    #[serde(rename = "holiday")]
    pub holidays: Vec<HolidayConfig>,
    /// Further schedules with hours of their own.
    #[serde(rename = "schedule")]
    pub schedules: Vec<ScheduleConfig>,
}

impl Default for TimeConfig {
    fn default() -> Self {
        Self { zone: "UTC".to_owned(), hours: Vec::new(), holidays: Vec::new(), schedules: Vec::new() }
    }
}

/// A schedule with hours of its own, for routes and extensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ScheduleConfig {
    /// Its name: 1 to 63 characters, unique; not `always` or `business`.
    pub name: String,
    /// Its time zone; empty for that of `[time]`.
    pub zone: String,
    /// Its hours.
    pub hours: Vec<TimeGroup>,
    /// Whether the holidays of `[time]` are its holidays, too.
    pub inherit_holidays: bool,
    /// Its own holidays.
    #[serde(rename = "holiday")]
    pub holidays: Vec<HolidayConfig>,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            zone: String::new(),
            hours: Vec::new(),
            inherit_holidays: true,
            holidays: Vec::new(),
        }
    }
}

/// Hours on certain days. Days, months and dates hold together; an empty list of them means all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TimeGroup {
    /// Ranges such as `09:00-17:30`, without the end. One whose end is not after its start goes over midnight and
    /// belongs to the day on which it starts.
    pub ranges: Vec<String>,
    /// Breaks within them.
    pub breaks: Vec<String>,
    /// Days of the week.
    pub days: Vec<Day>,
    /// Months: 1 to 12.
    pub months: Vec<u8>,
    /// Days of the month: 1 to 31.
    pub dates: Vec<u8>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(clippy::exhaustive_enums, reason = "a week has seven days")]
#[allow(missing_docs, reason = "the names of the days say it")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A holiday. Its end is after its start, and not part of it: a whole day ends at 24:00.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "by", rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum HolidayConfig {
    /// Once.
    Date {
        /// Its name: 1 to 127 characters, unique.
        name: String,
        /// `DD/MM/YYYY HH:MM`.
        start: String,
        /// `DD/MM/YYYY HH:MM`.
        end: String,
    },
    /// Every year on dates; it may go over New Year. 29/02 holds in leap years only.
    Month {
        /// Its name: 1 to 127 characters, unique.
        name: String,
        /// `DD/MM HH:MM`.
        start: String,
        /// `DD/MM HH:MM`.
        end: String,
    },
    /// Every year on a day of the week, e.g. the last Monday of May.
    Week {
        /// Its name: 1 to 127 characters, unique.
        name: String,
        /// The month: 1 to 12.
        month: u8,
        /// Which such day of the month.
        week: Ordinal,
        /// The day of the week.
        day: Day,
        /// `HH:MM`.
        start: String,
        /// `HH:MM`; `24:00` for the end of the day.
        end: String,
    },
}

/// Which of the days of a month that fall on one day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(clippy::exhaustive_enums, reason = "the vendor's five choices")]
pub enum Ordinal {
    /// The first.
    #[serde(rename = "1st")]
    First,
    /// The second.
    #[serde(rename = "2nd")]
    Second,
    /// The third.
    #[serde(rename = "3rd")]
    Third,
    /// The fourth.
    #[serde(rename = "4th")]
    Fourth,
    /// The last, be it the fourth or the fifth.
    #[serde(rename = "last")]
    Last,
}
