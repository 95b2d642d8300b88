//! Where an international number leads: country, class, and how much of it says so.
//!
//! The table is `data/numbers.txt`, written from public assignments (the file names them and its date). A
//! number is looked up by its longest prefix, so that `+1 242` is the Bahamas whatever `+1` is.

use std::sync::LazyLock;

use crate::geo::CountryCode;
use crate::interval::IntervalMap;
use arrayvec::ArrayVec;

const SOURCE: &str = include_str!("../data/numbers.txt");

/// Keys of the table are the first 15 digits: the longest E.164 number (ITU-T E.164 section 6.1).
const DIGITS: u32 = 15;

/// The English name of a country; `None` for a code that no country has.
#[must_use]
pub fn name(country: CountryCode) -> Option<&'static str> {
    let at = TABLE.names.binary_search_by_key(&country, |&(c, _)| c).ok()?;
    TABLE.names.get(at).map(|&(_, name)| name)
}

/// The shortest digits that lead to a country and to nowhere else, e.g. `54` for Argentina.
#[must_use]
pub fn calling_code(country: CountryCode) -> Option<&'static str> {
    let own = |d: &&Destination| d.class == Class::Geographic && d.countries.as_slice() == [country];
    TABLE.destinations.iter().filter(own).map(|d| d.prefix).min_by_key(|prefix| prefix.len())
}

/// Every country that the table knows.
pub fn countries() -> impl Iterator<Item = CountryCode> {
    TABLE.names.iter().map(|&(country, _)| country)
}

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// An ordinary number of one country.
    Geographic,
    /// An ordinary number of one of several countries; its digits do not say of which.
    SharedZone,
    /// A number that pays the called party (e.g. +1 900, exchange 976 of the North American plan).
    Premium,
    /// A number that is free for callers of its countries.
    TollFree,
    /// A satellite, an international network, a global service: no country, and expensive.
    Special,
    /// Assigned to nobody.
    Unassigned,
}

impl Class {
    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Geographic => "geographic",
            Self::SharedZone => "shared_zone",
            Self::Premium => "premium",
            Self::TollFree => "toll_free",
            Self::Special => "special",
            Self::Unassigned => "unassigned",
        }
    }
}

/// Where the digits of an international number lead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Destination {
    /// The kind of number.
    pub class: Class,
    /// The countries it may lie in; none for [`Class::Special`] and [`Class::Unassigned`].
    pub countries: ArrayVec<CountryCode, 4>,
    /// The digits that said so.
    pub prefix: &'static str,
}

static UNASSIGNED: Destination =
    Destination { class: Class::Unassigned, countries: ArrayVec::new_const(), prefix: "" };

/// Where a number leads, given its digits with country code and without `+`. What follows a character that
/// is no digit is not looked at.
///
/// ```
/// use pbx_policy::country::{Class, classify};
/// let to = classify(b"12425551234");
/// assert_eq!(to.class, Class::Geographic);
/// assert_eq!(to.countries[0].to_string(), "BS");
/// assert_eq!(classify(b"19005551234").class, Class::Premium);
/// ```
#[must_use]
pub fn classify(digits: &[u8]) -> &'static Destination {
    let len = digits.iter().take_while(|c| c.is_ascii_digit()).count();
    let found = digits.get(..len).and_then(|d| TABLE.find(d)).unwrap_or(&UNASSIGNED);
    if exchange_976(found, digits) { &PREMIUM_976 } else { found }
}

/// In the North American plan the exchange 976 of every area is premium: 1 NPA 976 XXXX.
fn exchange_976(found: &Destination, digits: &[u8]) -> bool {
    let nanp = found.class == Class::Geographic && found.prefix.starts_with('1') && found.prefix.len() == 4;
    nanp && digits.get(4..7) == Some(b"976")
}

static PREMIUM_976: LazyLock<Destination> = LazyLock::new(|| Destination {
    class: Class::Premium,
    countries: ["US", "CA"].iter().filter_map(|c| c.parse().ok()).collect(),
    prefix: "1",
});

/// The compiled table.
struct Table {
    ranges: IntervalMap<u64>,
    destinations: Vec<Destination>,
    names: Vec<(CountryCode, &'static str)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(SOURCE));

impl Table {
    fn read(source: &'static str) -> Self {
        let lines = || source.lines().filter_map(Line::parse);
        let mut names: Vec<_> = lines().filter_map(Line::name).collect();
        names.sort_unstable();
        let destinations: Vec<_> = lines().flat_map(Line::destinations).collect();
        let ranges = (0_u32..).zip(&destinations).filter_map(|(i, d)| Some((span(d.prefix.as_bytes())?, i)));
        Self { ranges: IntervalMap::narrowest(ranges), destinations, names }
    }

    fn find(&self, digits: &[u8]) -> Option<&Destination> {
        let at = self.ranges.get(*span(digits)?.start())?;
        let found = self.destinations.get(usize::try_from(at).ok()?)?;
        // The digits that are missing were filled up with zeros, which must not decide.
        if found.prefix.len() <= digits.len() { Some(found) } else { self.scan(digits) }
    }

    fn scan(&self, digits: &[u8]) -> Option<&Destination> {
        let fits = |d: &&Destination| digits.starts_with(d.prefix.as_bytes());
        self.destinations.iter().filter(fits).max_by_key(|d| d.prefix.len())
    }
}

/// All keys that begin with these digits.
fn span(digits: &[u8]) -> Option<core::ops::RangeInclusive<u64>> {
    let digits = digits.get(..15).unwrap_or(digits);
    let first = digits.iter().try_fold(0, |n: u64, &c| Some(n * 10 + u64::from(c.checked_sub(b'0')?)))?;
    let unit = 10_u64.pow(DIGITS.checked_sub(u32::try_from(digits.len()).ok()?)?);
    (!digits.is_empty()).then(|| first * unit..=first * unit + (unit - 1))
}

/// A line of the file.
#[derive(Clone, Copy)]
struct Line {
    kind: &'static str,
    code: &'static str,
    rest: &'static str,
}

impl Line {
    fn parse(line: &'static str) -> Option<Self> {
        let (kind, rest) = line.split_once(' ').filter(|(kind, _)| *kind != "#")?;
        let (code, rest) = rest.split_once(' ')?;
        Some(Self { kind, code, rest })
    }

    fn name(self) -> Option<(CountryCode, &'static str)> {
        (self.kind == "name").then(|| Some((self.code.parse().ok()?, self.rest)))?
    }

    fn class(self) -> Option<Class> {
        match self.kind {
            "geo" if self.code.len() > 2 => Some(Class::SharedZone),
            "geo" => Some(Class::Geographic),
            "premium" => Some(Class::Premium),
            "tollfree" => Some(Class::TollFree),
            "special" => Some(Class::Special),
            _ => None,
        }
    }

    fn destinations(self) -> impl Iterator<Item = Destination> {
        let countries: ArrayVec<CountryCode, 4> =
            self.code.split(',').filter_map(|c| c.parse().ok()).take(4).collect();
        let prefixes = self.rest.split(' ');
        let class = self.class();
        prefixes.filter_map(move |prefix| {
            class.map(|class| Destination { class, countries: countries.clone(), prefix })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(digits: &str) -> String {
        let d = classify(digits.as_bytes());
        let countries: Vec<_> = d.countries.iter().map(ToString::to_string).collect();
        format!("{} {} {}", d.class.name(), countries.join(","), d.prefix)
    }

    #[test]
    fn every_line_of_the_file_is_understood() {
        let lines: Vec<&str> = SOURCE.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
        for line in &lines {
            let parsed = Line::parse(line).unwrap_or_else(|| panic!("{line}"));
            assert!(parsed.name().is_some() || parsed.class().is_some(), "{line}");
            for d in parsed.destinations() {
                assert!(span(d.prefix.as_bytes()).is_some(), "{line}");
                assert_eq!(d.countries.is_empty(), d.class == Class::Special, "{line}");
                assert!(d.countries.iter().all(|c| name(*c).is_some()), "{line}");
            }
        }
        let mut prefixes: Vec<_> = TABLE.destinations.iter().map(|d| d.prefix).collect();
        prefixes.sort_unstable();
        assert!(prefixes.is_sorted_by(|a, b| a < b), "no digits twice");
        assert!(prefixes.len() > 800, "{}", prefixes.len());
        assert!(
            TABLE
                .names
                .iter()
                .all(|(c, _)| calling_code(*c).is_some()
                    || ["BL", "GP", "MF", "AQ"].contains(&&*c.to_string()))
        );
    }

    #[test]
    fn look_up_is_what_a_scan_finds() {
        let naive = |digits: &str| {
            let fits = |d: &&Destination| digits.starts_with(d.prefix);
            TABLE.destinations.iter().filter(fits).max_by_key(|d| d.prefix.len())
        };
        for n in (0..100_000).step_by(7) {
            for digits in [n.to_string(), format!("{n}5550123")] {
                assert_eq!(TABLE.find(digits.as_bytes()), naive(&digits), "{digits}");
            }
        }
    }

    #[test]
    fn shared_codes_are_told_apart() {
        for (digits, expected) in [
            ("14165551234", "geographic CA 1416"),
            ("12125551234", "geographic US 1212"),
            ("12425551234", "geographic BS 1242"),
            ("17875551234", "geographic PR 1787"),
            ("19005551234", "premium US,CA 1900"),
            ("12129761234", "premium US,CA 1"),
            ("18665551234", "toll_free US,CA 1866"),
            ("15005551234", "special  1500"),
            ("12005551234", "unassigned  "),
            ("77011234567", "geographic KZ 77"),
            ("79161234567", "geographic RU 79"),
            ("442079460000", "geographic GB 44"),
            ("441534123456", "geographic JE 441534"),
            ("447624123456", "geographic IM 447624"),
            ("3906698123", "geographic VA 3906698"),
            ("390612345", "geographic IT 39"),
            ("4779123456", "geographic SJ 4779"),
            ("61891641234", "geographic CX 6189164"),
            ("212528812345", "geographic EH 2125288"),
            ("262639123456", "geographic YT 262639"),
            ("3581812345", "geographic AX 35818"),
            ("590590123456", "shared_zone GP,BL,MF 590"),
            ("59994612345", "geographic CW 5999"),
            ("59931234567", "geographic BQ 5993"),
            ("2908123", "geographic TA 2908"),
            ("881612345678", "special  881"),
            ("882131234567", "special  882"),
            ("97912345678", "special  979"),
            ("80012345678", "special  800"),
            ("21012345678", "unassigned  "),
            ("999", "unassigned  "),
            ("", "unassigned  "),
            ("0", "unassigned  "),
        ] {
            assert_eq!(to(digits), expected, "{digits}");
        }
    }

    #[test]
    fn missing_digits_do_not_decide() {
        assert_eq!(to("1"), "unassigned  ", "not 1000, not the United States");
        assert_eq!(to("124"), "unassigned  ", "not 1240, which is Maryland");
        assert_eq!(to("44"), "geographic GB 44");
        assert_eq!(to("54*123"), "geographic AR 54");
        assert_eq!(to("*54"), "unassigned  ");
        assert_eq!(to(&"5".repeat(31)), "geographic BR 55");
    }

    #[test]
    fn countries_have_names_and_codes() {
        let argentina: CountryCode = "AR".parse().unwrap();
        assert_eq!(name(argentina), Some("Argentina"));
        assert_eq!(calling_code(argentina), Some("54"));
        assert_eq!(name("ZZ".parse().unwrap()), None);
        assert!(countries().is_sorted() && countries().count() > 240);
    }
}
