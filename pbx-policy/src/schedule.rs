//! Business hours, breaks and holidays in a time zone (spec 2.12).
//!
//! Every question is answered from the civil time at an instant, which always exists and is never ambiguous: in the
//! hour that summer time skips nothing is asked, so a range that would start there starts when it ends; the hour
//! that comes twice is inside a range both times. Ranges are half-open. One whose end is not after its start goes
//! over midnight and belongs to the day of its start.

mod parse;

use core::time::Duration;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike, Weekday};
use chrono_tz::Tz;
use pbx_core::Wall;

pub(crate) use parse::{compile, compile_holidays, zone};

/// The version of the zone database that is compiled in, e.g. `2025b`.
pub const ZONE_DATABASE: &str = chrono_tz::IANA_TZDB_VERSION;

/// How many days [`Schedule::next_transition`] looks ahead.
const HORIZON_DAYS: u64 = 366;

/// What kind of time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeState {
    /// A holiday; it wins over business hours.
    Holiday,
    /// Business hours.
    Business,
    /// A break within business hours.
    Break,
    /// None of them.
    Outside,
}

impl TimeState {
    /// Whether it counts as business hours for outbound calls; breaks do.
    #[must_use]
    pub const fn is_business(self) -> bool {
        matches!(self, Self::Business | Self::Break)
    }

    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holiday => "holiday",
            Self::Business => "business",
            Self::Break => "break",
            Self::Outside => "outside",
        }
    }
}

/// Compiled hours and holidays of one time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    zone: Tz,
    groups: Vec<Group>,
    holidays: Vec<Holiday>,
}

/// Hours on certain days.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    ranges: Vec<Range>,
    breaks: Vec<Range>,
    days: DayMask,
}

/// Minutes of a day, without the end; an end that is not after the start lies on the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u16,
    end: u16,
}

/// Days of the week, months and days of the month, which hold together. Bit 0 is Monday, January, the 1st.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DayMask {
    weekdays: u8,
    months: u16,
    dates: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holiday {
    /// From one civil time to another, once.
    Dated { start: NaiveDateTime, end: NaiveDateTime },
    /// Every year; an end before the start lies in the next year.
    Yearly { start: YearTime, end: YearTime },
    /// Every year on the `nth` such weekday of a month (0 is the first), 4 and more the last.
    Nth { month: u8, nth: u8, weekday: Weekday, range: Range },
}

/// A time of a year: month, day, minute of the day (1440 is the end of the day), in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct YearTime {
    month: u8,
    day: u8,
    minute: u16,
}

impl Schedule {
    /// What kind of time it is at `at`. A time outside the calendar (years beyond 262 000) is outside.
    #[must_use]
    pub fn state(&self, at: Wall) -> TimeState {
        self.local(at).map_or(TimeState::Outside, |local| self.state_at(local))
    }

    /// When the state changes next after `now`; `None` when it does not within a year.
    #[must_use]
    pub fn next_transition(&self, now: Wall) -> Option<Wall> {
        let state = self.state(now);
        let today = self.local(now)?.date();
        for ahead in 0..HORIZON_DAYS {
            let day = today.checked_add_days(Days::new(ahead))?;
            let mut candidates = self.boundaries(day);
            candidates.sort_unstable();
            let turn = |&at: &Wall| at > now && self.state(at) != state;
            if let Some(at) = candidates.into_iter().find(turn) {
                return Some(at);
            }
        }
        None
    }

    /// The zone that everything is judged in.
    #[must_use]
    pub fn zone_name(&self) -> &'static str {
        self.zone.name()
    }

    fn local(&self, at: Wall) -> Option<NaiveDateTime> {
        let utc = DateTime::from_timestamp_micros(at.unix_micros())?;
        Some(utc.with_timezone(&self.zone).naive_local())
    }

    fn state_at(&self, local: NaiveDateTime) -> TimeState {
        if self.holidays.iter().any(|h| h.contains(local)) {
            return TimeState::Holiday;
        }
        let inside =
            |ranges: &[Range], days| ranges.iter().any(|r| r.contains(local, |day| days_hold(days, day)));
        let mut state = TimeState::Outside;
        for group in self.groups.iter().filter(|g| inside(&g.ranges, g.days)) {
            if !inside(&group.breaks, group.days) {
                return TimeState::Business;
            }
            state = TimeState::Break;
        }
        state
    }

    /// All instants of a day, and a few beyond, at which the state may change.
    fn boundaries(&self, day: NaiveDate) -> Vec<Wall> {
        let ranges = self.groups.iter().flat_map(|g| g.ranges.iter().chain(&g.breaks));
        let minutes =
            ranges.flat_map(|r| [r.start, r.end]).chain(self.holidays.iter().flat_map(Holiday::minutes));
        let mut out: Vec<Wall> = minutes
            .chain([0])
            .filter_map(|minute| day.and_time(NaiveTime::MIN).checked_add_signed(minutes_of(minute)))
            .flat_map(|local| self.instants(local))
            .collect();
        let on_day = |at: Wall| self.local(at).is_some_and(|local| local.date() == day);
        out.extend(self.clock_change(day).filter(|&at| on_day(at) || on_day(at - Duration::from_secs(1))));
        out
    }

    /// The instants that have this civil time: one, two when clocks go back, and the end of the gap when they go
    /// forward over it.
    fn instants(&self, local: NaiveDateTime) -> impl Iterator<Item = Wall> {
        use chrono::LocalResult::{Ambiguous, None as Gap, Single};
        let found = match self.zone.from_local_datetime(&local) {
            Single(at) => [Some(wall(&at)), None],
            Ambiguous(first, second) => [Some(wall(&first)), Some(wall(&second))],
            Gap => [self.clock_change(local.date()), None],
        };
        found.into_iter().flatten()
    }

    /// When the clocks change on a day, to the second.
    fn clock_change(&self, day: NaiveDate) -> Option<Wall> {
        // Zones lie within 14 hours of UTC, so these 52 hours hold the whole civil day.
        let noon = day.and_hms_opt(12, 0, 0)?.and_utc().timestamp();
        let (mut before, mut after) = (noon - 26 * 3600, noon + 26 * 3600);
        let old = self.offset(before)?;
        if self.offset(after)? == old {
            return None;
        }
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if self.offset(middle)? == old {
                before = middle;
            } else {
                after = middle;
            }
        }
        Some(Wall::from_unix_secs(after))
    }

    /// Seconds east of UTC at an instant.
    fn offset(&self, unix: i64) -> Option<i64> {
        let utc = DateTime::from_timestamp(unix, 0)?;
        Some((utc.with_timezone(&self.zone).naive_local() - utc.naive_utc()).num_seconds())
    }
}

fn wall(at: &DateTime<Tz>) -> Wall {
    Wall::from_unix_micros(at.timestamp_micros())
}

fn minutes_of(minutes: u16) -> chrono::TimeDelta {
    chrono::TimeDelta::minutes(i64::from(minutes))
}

fn days_hold(mask: DayMask, day: NaiveDate) -> bool {
    mask.weekdays & 1 << day.weekday().num_days_from_monday() != 0
        && mask.months & 1 << day.month0() != 0
        && mask.dates & 1 << day.day0() != 0
}

/// Minutes since midnight.
fn minute_of(local: NaiveDateTime) -> u16 {
    u16::try_from(local.num_seconds_from_midnight() / 60).unwrap_or(u16::MAX)
}

impl Range {
    const DAY: u16 = 24 * 60;

    /// Whether `local` lies in the range of its own day or in what the day before left over.
    fn contains(self, local: NaiveDateTime, holds: impl Fn(NaiveDate) -> bool) -> bool {
        let (day, minute) = (local.date(), minute_of(local));
        let over_midnight = self.end <= self.start;
        let today = minute >= self.start && (over_midnight || minute < self.end);
        let yesterday = over_midnight && minute < self.end;
        (today && holds(day)) || (yesterday && day.pred_opt().is_some_and(holds))
    }
}

impl Holiday {
    fn contains(&self, local: NaiveDateTime) -> bool {
        match *self {
            Self::Dated { start, end } => (start..end).contains(&local),
            Self::Yearly { start, end } => {
                let at = YearTime::of(local);
                if start < end { (start..end).contains(&at) } else { at >= start || at < end }
            }
            Self::Nth { month, nth, weekday, range } => {
                range.contains(local, |day| is_nth(day, month, nth, weekday))
            }
        }
    }

    /// The minutes of a day at which it may begin or end.
    fn minutes(&self) -> [u16; 2] {
        match self {
            Self::Dated { start, end } => [minute_of(*start), minute_of(*end)],
            Self::Yearly { start, end } => [start.minute, end.minute],
            Self::Nth { range, .. } => [range.start, range.end],
        }
    }
}

fn is_nth(day: NaiveDate, month: u8, nth: u8, weekday: Weekday) -> bool {
    let last = || day.checked_add_days(Days::new(7)).is_none_or(|d| d.month() != day.month());
    let ordinal = day.day0() / 7;
    day.month() == u32::from(month)
        && day.weekday() == weekday
        && if nth < 4 { ordinal == u32::from(nth) } else { last() }
}

impl YearTime {
    fn of(local: NaiveDateTime) -> Self {
        let small = |n: u32| u8::try_from(n).unwrap_or(u8::MAX);
        Self { month: small(local.month()), day: small(local.day()), minute: minute_of(local) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, TimeConfig};
    use pbx_core::ConfigErrors;

    fn schedule(toml: &str) -> Schedule {
        let config: Config = toml::from_str(toml).unwrap();
        compiled(&config.time)
    }

    fn compiled(time: &TimeConfig) -> Schedule {
        let mut errors = ConfigErrors::new();
        let zone = zone(&time.zone, "time.zone", &mut errors).unwrap_or(Tz::UTC);
        let holidays = compile_holidays(&time.holidays, "time", &mut errors);
        let schedule = compile(zone, &time.hours, holidays, "time", &mut errors);
        assert!(errors.is_empty(), "{errors}");
        schedule
    }

    fn utc(text: &str) -> Wall {
        let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        Wall::from_unix_secs(at.and_utc().timestamp())
    }

    fn state(schedule: &Schedule, text: &str) -> &'static str {
        schedule.state(utc(&format!("{text}:00"))).name()
    }

    /// The model of a week: each minute is named by its day (0 is Monday) and minute, nothing is compiled.
    fn naive(day: usize, minute: u16) -> TimeState {
        let at = |d: usize, from: u16, to: u16| d == day && (from..to).contains(&minute);
        let friday_night = at(4, 22 * 60, 1440) || at(5, 0, 6 * 60);
        let office = (0..5).any(|d| at(d, 9 * 60, 17 * 60 + 30));
        let lunch = (0..5).any(|d| at(d, 12 * 60, 13 * 60));
        let sunday_into_monday = at(6, 23 * 60, 1440) || at(0, 0, 30);
        match (office && !lunch || friday_night || sunday_into_monday, lunch) {
            (true, _) => TimeState::Business,
            (false, true) => TimeState::Break,
            (false, false) => TimeState::Outside,
        }
    }

    const WEEK: &str = r#"
        hours = [
          { days = ["mon", "tue", "wed", "thu", "fri"], ranges = ["09:00-17:30"], breaks = ["12:00-13:00"] },
          { days = ["fri"], ranges = ["22:00-06:00"] },
          { days = ["sun"], ranges = ["23:00-00:30"] },
        ]
    "#;

    #[test]
    fn every_minute_of_a_week_in_several_zones() {
        // Weeks with and without a change of clocks; Lord Howe changes by half an hour.
        for (zone, monday) in [
            ("UTC", "2026-03-02"),
            ("Europe/Berlin", "2026-03-23"),
            ("Europe/Berlin", "2026-10-19"),
            ("America/New_York", "2026-03-02"),
            ("America/New_York", "2026-10-26"),
            ("Australia/Lord_Howe", "2026-03-30"),
            ("Australia/Lord_Howe", "2026-09-28"),
            ("Asia/Kathmandu", "2026-03-02"),
            ("Africa/Cairo", "2026-04-20"),
        ] {
            let schedule = schedule(&format!("[time]\nzone = \"{zone}\"\n{WEEK}"));
            let start = utc(&format!("{monday} 00:00:00"));
            let mut changes = 0;
            let mut last = schedule.offset(start.unix_secs()).unwrap();
            for minute in 0..10_080 {
                let at = start + Duration::from_secs(60 * minute);
                let offset = schedule.offset(at.unix_secs()).unwrap();
                changes += u32::from(offset != last);
                last = offset;
                // The civil time by plain arithmetic, not by the code under test.
                let civil = (at.unix_secs() + offset) / 60;
                let day = usize::try_from((civil / 1440 + 3) % 7).unwrap();
                let expected = naive(day, u16::try_from(civil % 1440).unwrap());
                assert_eq!(schedule.state(at), expected, "{zone} {monday} minute {minute}");
            }
            let changing = monday != "2026-03-02" || zone == "America/New_York";
            assert_eq!(changes, u32::from(changing), "{zone} {monday}");
        }
    }

    #[test]
    fn the_next_transition_is_the_first_minute_that_differs() {
        let holidays = r#"
            [[time.holiday]]
            by = "date"
            name = "moving"
            start = "25/03/2026 10:15"
            end = "26/03/2026 08:00"
        "#;
        let dst = r#"hours = [{ ranges = ["01:00-02:30", "02:45-02:50"], breaks = ["02:10-02:20"] }]"#;
        for (zone, monday, hours) in [
            ("Europe/Berlin", "2026-03-23", WEEK),
            ("Europe/Berlin", "2026-03-23", dst),
            ("Europe/Berlin", "2026-10-19", dst),
            ("America/New_York", "2026-10-26", dst),
            ("Australia/Lord_Howe", "2026-03-30", dst),
            ("Australia/Lord_Howe", "2026-09-28", dst),
            ("Africa/Cairo", "2026-04-20", "hours = [{ ranges = [\"23:00-00:30\"] }]"),
            ("Africa/Cairo", "2026-10-26", "hours = [{ ranges = [\"23:00-00:30\"] }]"),
        ] {
            let schedule = schedule(&format!("[time]\nzone = \"{zone}\"\n{hours}\n{holidays}"));
            let start = utc(&format!("{monday} 00:00:00"));
            let minutes: Vec<Wall> = (0..8 * 1440).map(|m| start + Duration::from_secs(60 * m)).collect();
            let states: Vec<TimeState> = minutes.iter().map(|&at| schedule.state(at)).collect();
            for i in (0..7 * 1440).step_by(13) {
                let first = (i + 1..minutes.len()).find(|&j| states[j] != states[i]).map(|j| minutes[j]);
                let found = schedule.next_transition(minutes[i]);
                assert_eq!(found, first, "{zone} {monday} from minute {i}");
            }
        }
    }

    #[test]
    fn spec_5_8_overnight_ranges_belong_to_the_day_of_their_start() {
        let s = schedule("[time]\nhours = [{ days = [\"fri\"], ranges = [\"22:00-06:00\"] }]");
        // 2026-03-06 is a Friday.
        assert_eq!(state(&s, "2026-03-06 05:59"), "outside");
        assert_eq!(state(&s, "2026-03-06 22:00"), "business");
        assert_eq!(state(&s, "2026-03-07 05:59"), "business");
        assert_eq!(state(&s, "2026-03-07 06:00"), "outside");
    }

    #[test]
    fn spec_5_8_holidays_by_week_and_by_month() {
        let s = schedule(
            r#"
            [time]
            hours = [{ ranges = ["00:00-24:00"] }]
            [[time.holiday]]
            by = "week"
            name = "Memorial Day"
            month = 5
            week = "last"
            day = "mon"
            start = "00:00"
            end = "24:00"
            [[time.holiday]]
            by = "month"
            name = "Turn of the year"
            start = "30/12 00:00"
            end = "02/01 24:00"
            [[time.holiday]]
            by = "month"
            name = "Leap day"
            start = "29/02 00:00"
            end = "29/02 24:00"
        "#,
        );
        for (at, expected) in [
            ("2026-05-24 23:59", "business"),
            ("2026-05-25 00:00", "holiday"),
            ("2026-05-25 23:59", "holiday"),
            ("2026-05-26 00:00", "business"),
            ("2026-05-18 12:00", "business"),
            ("2027-05-31 12:00", "holiday"),
            ("2027-05-24 12:00", "business"),
            ("2026-12-29 23:59", "business"),
            ("2026-12-30 00:00", "holiday"),
            ("2027-01-01 12:00", "holiday"),
            ("2027-01-02 23:59", "holiday"),
            ("2027-01-03 00:00", "business"),
            ("2028-02-29 12:00", "holiday"),
            ("2027-02-28 23:59", "business"),
            ("2027-03-01 00:00", "business"),
        ] {
            assert_eq!(state(&s, at), expected, "{at}");
        }
    }

    #[test]
    fn spec_5_8_gap_and_fold() {
        let berlin = schedule(
            "[time]\nzone = \"Europe/Berlin\"\nhours = [{ days = [\"sun\"], ranges = [\"02:30-04:00\"] }]",
        );
        // 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC; the range starts with the first time that exists.
        assert_eq!(state(&berlin, "2026-03-29 00:59"), "outside");
        assert_eq!(state(&berlin, "2026-03-29 01:00"), "business");
        assert_eq!(state(&berlin, "2026-03-29 02:00"), "outside");
        assert_eq!(berlin.next_transition(utc("2026-03-29 00:10:00")), Some(utc("2026-03-29 01:00:00")));
        // 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC; 02:30 comes at 00:30 and at 01:30 UTC.
        for (at, expected) in
            [("00:29", "outside"), ("00:30", "business"), ("00:59", "business"), ("01:00", "outside")]
        {
            assert_eq!(state(&berlin, &format!("2026-10-25 {at}")), expected, "{at}");
        }
        assert_eq!(state(&berlin, "2026-10-25 01:30"), "business");
        assert_eq!(state(&berlin, "2026-10-25 03:00"), "outside");
    }

    #[test]
    fn the_end_of_time_is_outside() {
        let s = schedule("[time]\nhours = [{ ranges = [\"00:00-24:00\"] }]");
        for edge in [i64::MIN, i64::MAX] {
            assert_eq!(s.state(Wall::from_unix_micros(edge)), TimeState::Outside);
            assert_eq!(s.next_transition(Wall::from_unix_micros(edge)), None);
        }
        assert_eq!(s.next_transition(utc("2026-01-01 00:00:00")), None, "never anything else");
    }
}
