//! Schedules as an administrator writes them.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use chrono_tz::Tz;
use pbx_core::{ConfigError, ConfigErrors};

use super::{DayMask, Group, Holiday, Range, Schedule, YearTime, minutes_of};
use crate::config::{Day, HolidayConfig, Ordinal, TimeGroup};

/// The zone of this name.
pub(crate) fn zone(name: &str, path: &str, errors: &mut ConfigErrors) -> Option<Tz> {
    let unknown = |_| {
        ConfigError::new(path, format!("there is no time zone {name:?}"))
            .instead("write a name of the IANA database such as \"Europe/Berlin\"")
            .nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name()))
    };
    errors.take(name.parse().map_err(unknown))
}

/// The schedule of a zone, groups of hours, and holidays that were compiled before.
pub(crate) fn compile(
    zone: Tz,
    hours: &[TimeGroup],
    holidays: Holidays,
    path: &str,
    errors: &mut ConfigErrors,
) -> Schedule {
    let mut groups = Vec::new();
    for (i, group) in hours.iter().enumerate() {
        let path = format!("{path}.hours[{i}]");
        let ranges = ranges(&group.ranges, &format!("{path}.ranges"), errors);
        let breaks = self::ranges(&group.breaks, &format!("{path}.breaks"), errors);
        groups.push(Group { ranges, breaks, days: days(group, &path, errors) });
        if group.ranges.is_empty() {
            errors.push(ConfigError::new(path, "no hours").instead("write ranges = [\"09:00-17:00\"]"));
        }
    }
    Schedule { zone, groups, holidays: holidays.0 }
}

/// Compiled holidays, for one schedule or for several that inherit them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holidays(Vec<Holiday>);

impl Holidays {
    /// These and others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }
}

pub(crate) fn compile_holidays(list: &[HolidayConfig], path: &str, errors: &mut ConfigErrors) -> Holidays {
    let mut out = Vec::new();
    for (i, config) in list.iter().enumerate() {
        let path = format!("{path}.holiday[{i}]");
        let name = name(config);
        if name.is_empty() || name.chars().count() > 127 {
            errors.push(ConfigError::new(format!("{path}.name"), "a name has 1 to 127 characters"));
        }
        if list.iter().take(i).any(|earlier| self::name(earlier) == name) {
            errors.push(ConfigError::new(format!("{path}.name"), format!("{name:?} is there twice")));
        }
        out.extend(errors.take(holiday(config).map_err(|e| e.under(&path))));
    }
    Holidays(out)
}

fn name(config: &HolidayConfig) -> &str {
    match config {
        HolidayConfig::Date { name, .. }
        | HolidayConfig::Month { name, .. }
        | HolidayConfig::Week { name, .. } => name,
    }
}

fn holiday(config: &HolidayConfig) -> Result<Holiday, ConfigError> {
    match config {
        HolidayConfig::Date { start, end, .. } => {
            let (start, end) = (date_time(start, "start")?, date_time(end, "end")?);
            if end > start { Ok(Holiday::Dated { start, end }) } else { Err(not_after()) }
        }
        HolidayConfig::Month { start, end, .. } => {
            let (start, end) = (year_time(start, "start")?, year_time(end, "end")?);
            if end != start { Ok(Holiday::Yearly { start, end }) } else { Err(not_after()) }
        }
        HolidayConfig::Week { month, week, day, start, end, .. } => {
            let range = Range { start: clock(start, "start")?, end: clock(end, "end")? };
            let month = in_range(*month, 12, "month")?;
            let holiday = Holiday::Nth { month, nth: nth(*week), weekday: weekday(*day), range };
            if range.end > range.start { Ok(holiday) } else { Err(not_after()) }
        }
    }
}

fn not_after() -> ConfigError {
    ConfigError::new("end", "the end is not after the start").instead("write a later end, e.g. \"24:00\"")
}

fn in_range(value: u8, most: u8, key: &str) -> Result<u8, ConfigError> {
    let fits = (1..=most).contains(&value);
    fits.then_some(value).ok_or_else(|| {
        ConfigError::new(key, format!("there is no {value}")).instead(format!("write 1 to {most}"))
    })
}

/// `DD/MM/YYYY HH:MM`.
fn date_time(text: &str, key: &str) -> Result<NaiveDateTime, ConfigError> {
    let wrong = || form(key, text, "DD/MM/YYYY HH:MM, e.g. \"24/12/2026 12:00\"");
    let (date, time) = text.trim().split_once(' ').ok_or_else(wrong)?;
    let date = NaiveDate::parse_from_str(date, "%d/%m/%Y").map_err(|_| wrong())?;
    let midnight = date.and_time(NaiveTime::MIN);
    midnight.checked_add_signed(minutes_of(clock(time.trim(), key)?)).ok_or_else(wrong)
}

/// `DD/MM HH:MM`.
fn year_time(text: &str, key: &str) -> Result<YearTime, ConfigError> {
    let wrong = || form(key, text, "DD/MM HH:MM, e.g. \"30/12 00:00\"");
    let (date, time) = text.trim().split_once(' ').ok_or_else(wrong)?;
    let (day, month) = date.split_once('/').ok_or_else(wrong)?;
    let (day, month) = (two_digits(day).ok_or_else(wrong)?, two_digits(month).ok_or_else(wrong)?);
    // 2000 was a leap year, so that 29/02 is a date.
    NaiveDate::from_ymd_opt(2000, u32::from(month), u32::from(day)).ok_or_else(wrong)?;
    Ok(YearTime { month, day, minute: clock(time.trim(), key)? })
}

fn ranges(list: &[String], path: &str, errors: &mut ConfigErrors) -> Vec<Range> {
    let each = list.iter().enumerate();
    each.filter_map(|(i, text)| errors.take(range(text).map_err(|e| e.under(&format!("{path}[{i}]")))))
        .collect()
}

/// `HH:MM-HH:MM`.
fn range(text: &str) -> Result<Range, ConfigError> {
    let wrong = || form("", text, "HH:MM-HH:MM, e.g. \"09:00-17:30\"");
    let (start, end) = text.split_once('-').ok_or_else(wrong)?;
    let range = Range { start: clock(start.trim(), "")?, end: clock(end.trim(), "")? };
    if range.start < Range::DAY { Ok(range) } else { Err(wrong()) }
}

/// `HH:MM` from `00:00` to `24:00`, in minutes.
fn clock(text: &str, key: &str) -> Result<u16, ConfigError> {
    let minutes = || {
        let (hours, minutes) = text.split_once(':')?;
        let (hours, minutes) = (u16::from(two_digits(hours)?), u16::from(two_digits(minutes)?));
        let total = hours * 60 + minutes;
        (minutes < 60 && total <= Range::DAY).then_some(total)
    };
    minutes().ok_or_else(|| form(key, text, "HH:MM from 00:00 to 24:00"))
}

fn two_digits(text: &str) -> Option<u8> {
    let plain = (1..=2).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn form(key: &str, text: &str, form: &str) -> ConfigError {
    ConfigError::new(key, format!("{text:?} is no time")).instead(format!("write {form}"))
}

/// What a group says about days; nothing said is everything.
fn days(group: &TimeGroup, path: &str, errors: &mut ConfigErrors) -> DayMask {
    let weekdays = group.days.iter().fold(0, |mask, &day| mask | 1 << weekday(day).num_days_from_monday());
    let months = mask(&group.months, 12, &format!("{path}.months"), errors);
    let dates = mask(&group.dates, 31, &format!("{path}.dates"), errors);
    DayMask {
        weekdays: if weekdays == 0 { u8::MAX } else { weekdays },
        months: u16::try_from(months & 0xffff).unwrap_or(u16::MAX),
        dates,
    }
}

/// Bit 0 is 1.
fn mask(list: &[u8], most: u8, path: &str, errors: &mut ConfigErrors) -> u32 {
    let bit = |(i, &n): (usize, &u8)| {
        errors.take(in_range(n, most, &format!("{path}[{i}]"))).map_or(0, |n| 1 << (n - 1))
    };
    if list.is_empty() { u32::MAX } else { list.iter().enumerate().map(bit).fold(0, |mask, b| mask | b) }
}

fn weekday(day: Day) -> Weekday {
    match day {
        Day::Mon => Weekday::Mon,
        Day::Tue => Weekday::Tue,
        Day::Wed => Weekday::Wed,
        Day::Thu => Weekday::Thu,
        Day::Fri => Weekday::Fri,
        Day::Sat => Weekday::Sat,
        Day::Sun => Weekday::Sun,
    }
}

fn nth(week: Ordinal) -> u8 {
    match week {
        Ordinal::First => 0,
        Ordinal::Second => 1,
        Ordinal::Third => 2,
        Ordinal::Fourth => 3,
        Ordinal::Last => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day() {
        assert_eq!(clock("00:00", ""), Ok(0));
        assert_eq!(clock("9:05", ""), Ok(545));
        assert_eq!(clock("24:00", ""), Ok(1440));
        for bad in
            ["", "24:01", "12:60", "12", "12:", ":30", "-1:00", "+1:00", "99:99", "12:30:00", "１２:00"]
        {
            assert!(clock(bad, "").is_err(), "{bad}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_path() {
        let config: crate::Config = toml::from_str(
            r#"
            [time]
            zone = "Europe/Berln"
            hours = [{ ranges = ["9-17", "24:00-02:00"], months = [13] }, {}]
            [[time.holiday]]
            by = "date"
            name = "a"
            start = "30/02/2026 00:00"
            end = "01/03/2026 00:00"
            [[time.holiday]]
            by = "date"
            name = "a"
            start = "02/03/2026 00:00"
            end = "02/03/2026 00:00"
            [[time.holiday]]
            by = "month"
            name = ""
            start = "29/02 00:00"
            end = "31/04 00:00"
            [[time.holiday]]
            by = "week"
            name = "w"
            month = 0
            week = "last"
            day = "mon"
            start = "00:00"
            end = "24:00"
            "#,
        )
        .unwrap();
        let mut errors = ConfigErrors::new();
        assert_eq!(zone(&config.time.zone, "time.zone", &mut errors), None);
        let holidays = compile_holidays(&config.time.holidays, "time", &mut errors);
        compile(Tz::UTC, &config.time.hours, holidays, "time", &mut errors);
        let paths: Vec<&str> = errors.iter().map(ConfigError::path).collect();
        let expected = [
            "time.zone",
            "time.holiday[0].start",
            "time.holiday[1].name",
            "time.holiday[1].end",
            "time.holiday[2].name",
            "time.holiday[2].end",
            "time.holiday[3].month",
            "time.hours[0].ranges[0]",
            "time.hours[0].ranges[1]",
            "time.hours[0].months[0]",
            "time.hours[1]",
        ];
        assert_eq!(paths, expected, "{errors}");
        assert!(errors.iter().next().unwrap().to_string().contains("did you mean \"Europe/Berlin\"?"));
    }
}
