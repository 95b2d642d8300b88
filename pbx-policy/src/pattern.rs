//! Number patterns of the Yeastar and Asterisk families (spec 2.10).
//!
//! | token | matches |
//! | --- | --- |
//! | `X` `Z` `N` | 0–9, 1–9, 2–9, in either case |
//! | `[136-8]` | one of 1, 3, 6, 7, 8 |
//! | `.` | one or more characters, at the end only |
//! | `!` | zero or more characters, at the end only |
//! | `0-9 + * #` | itself |
//!
//! Spaces, `(`, `)` and `-` outside brackets are decoration, a `_` in front is optional. A pattern is compiled
//! to one set of characters a position and matched in one pass over the number, without allocation.

use core::cmp::{Ordering, Reverse};
use core::fmt;
use core::str::FromStr;

use pbx_core::Number;
use serde::{Deserialize, Serialize};

/// Most significant characters of a pattern, as in the vendor's field.
const MAX: usize = 31;

/// A compiled number pattern.
///
/// The order is specificity: at the first position where two patterns differ the smaller set comes first, a
/// literal before a set before `.` before `!`; a pattern that ends there comes before all of them.
///
/// ```
/// use pbx_policy::pattern::Pattern;
/// let p: Pattern = "9011.".parse().unwrap();
/// assert!(p.matches(&"90115".parse().unwrap()));
/// assert!(!p.matches(&"9011".parse().unwrap()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pattern {
    len: u8,
    tail: Tail,
    sets: [Set; MAX],
}

/// What may follow the last position.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Tail {
    Nothing,
    OneOrMore,
    ZeroOrMore,
}

/// Which family's rules a pattern is read by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Dialect {
    /// The Yeastar family: no negated sets.
    #[default]
    Yeastar,
    /// Asterisk: `[^136]` is any character but those.
    Asterisk,
}

/// Why a text is not a [`Pattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Nothing to match.
    #[error("the pattern is empty")]
    Empty,
    /// More than 31 characters without separators.
    #[error("the pattern is longer than 31 characters")]
    TooLong,
    /// `[]`, or a negated set that leaves nothing.
    #[error("the set in brackets matches nothing")]
    EmptySet,
    /// A `[` without its `]`.
    #[error("a [ has no ]")]
    Unclosed,
    /// A `[` inside brackets, or a `]` outside.
    #[error("brackets cannot be nested, and a ] needs a [ before it")]
    Bracket,
    /// `[8-3]`.
    #[error("the range {0}-{1} is reversed")]
    ReversedRange(char, char),
    /// A `-` in brackets that does not stand between two digits.
    #[error("a range in brackets goes from one digit to another")]
    BadRange,
    /// `[^…]` outside the Asterisk dialect.
    #[error("[^ ] is known to the Asterisk dialect only")]
    Negated,
    /// Something after `.` or `!`.
    #[error("{0:?} stands after . or !, which end a pattern")]
    AfterTail(char),
    /// `W`, which the vendor lists without saying what it matches.
    #[error("W has no published meaning; write X, Z, N or a set in brackets")]
    Undefined,
    /// A character that no number has.
    #[error("{0:?} cannot be part of a pattern; digits, X, Z, N, [ ], . ! + * # can")]
    Character(char),
}

impl Pattern {
    /// Reads a pattern by the rules of `dialect`.
    ///
    /// # Errors
    /// Everything that is not a pattern; nothing is guessed or skipped.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, PatternError> {
        let text = text.strip_prefix('_').unwrap_or(text);
        let significant = text.chars().filter(|&c| !is_separator(c)).count();
        if significant > MAX {
            return Err(PatternError::TooLong);
        }
        let mut out = Self { len: 0, tail: Tail::Nothing, sets: [Set(0); MAX] };
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            out.token(c, &mut rest, dialect)?;
        }
        if out.len == 0 && out.tail == Tail::Nothing { Err(PatternError::Empty) } else { Ok(out) }
    }

    /// Whether it matches the whole of `number`.
    #[must_use]
    pub fn matches(&self, number: &Number) -> bool {
        let number = number.as_bytes();
        let head = self.sets();
        let enough = match self.tail {
            Tail::Nothing => number.len() == head.len(),
            Tail::OneOrMore => number.len() > head.len(),
            Tail::ZeroOrMore => number.len() >= head.len(),
        };
        enough && head.iter().zip(number).all(|(set, &c)| set.has(c))
    }

    /// The characters in front that are literals.
    pub(crate) fn literal_head(&self) -> impl Iterator<Item = u8> + '_ {
        self.sets().iter().map_while(|s| s.literal())
    }

    /// The same pattern with its first `n` positions replaced by a `+`, e.g. `00[45]9.` as `+[45]9.`.
    pub(crate) fn with_plus(&self, n: usize) -> Option<Self> {
        let rest = self.sets().get(n..)?;
        let mut out = Self { len: 0, tail: self.tail, sets: [Set(0); MAX] };
        out.push(Set::of('+').ok()?)?;
        rest.iter().try_for_each(|&set| out.push(set))?;
        Some(out)
    }

    /// Whether every number that `other` matches is matched, too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.sets(), other.sets());
        let heads = mine.iter().zip(theirs).all(|(a, b)| b.0 & !a.0 == 0);
        let lengths = match (self.tail, other.tail) {
            (Tail::Nothing, tail) => tail == Tail::Nothing && mine.len() == theirs.len(),
            (Tail::OneOrMore, Tail::OneOrMore) | (Tail::ZeroOrMore, _) => mine.len() <= theirs.len(),
            (Tail::OneOrMore, _) => mine.len() < theirs.len(),
        };
        heads && lengths
    }

    fn sets(&self) -> &[Set] {
        self.sets.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn push(&mut self, set: Set) -> Option<()> {
        *self.sets.get_mut(usize::from(self.len))? = set;
        self.len += 1;
        Some(())
    }

    fn token(
        &mut self,
        c: char,
        rest: &mut core::str::Chars<'_>,
        dialect: Dialect,
    ) -> Result<(), PatternError> {
        if is_separator(c) {
            return Ok(());
        }
        if self.tail != Tail::Nothing {
            return Err(PatternError::AfterTail(c));
        }
        let set = match c {
            '.' | '!' => {
                self.tail = if c == '.' { Tail::OneOrMore } else { Tail::ZeroOrMore };
                return Ok(());
            }
            'X' | 'x' => Set::digits(0..=9),
            'Z' | 'z' => Set::digits(1..=9),
            'N' | 'n' => Set::digits(2..=9),
            'W' | 'w' => return Err(PatternError::Undefined),
            '[' => bracket(rest, dialect)?,
            ']' => return Err(PatternError::Bracket),
            c => Set::of(c)?,
        };
        self.push(set).ok_or(PatternError::TooLong)
    }

    /// What specificity compares, position by position; past the end is 0.
    fn rank(&self, i: usize) -> (u8, u32, Reverse<u16>) {
        let none = Reverse(0);
        match self.sets().get(i) {
            Some(set) => (1, set.0.count_ones(), Reverse(set.0.reverse_bits())),
            None if i > usize::from(self.len) => (0, 0, none),
            None => match self.tail {
                Tail::Nothing => (0, 0, none),
                Tail::OneOrMore => (2, 0, none),
                Tail::ZeroOrMore => (3, 0, none),
            },
        }
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '(' | ')' | '-')
}

/// Reads the inside of a set up to its `]`.
fn bracket(rest: &mut core::str::Chars<'_>, dialect: Dialect) -> Result<Set, PatternError> {
    let (inside, after) = rest.as_str().split_once(']').ok_or(PatternError::Unclosed)?;
    *rest = after.chars();
    let (negated, inside) = match inside.strip_prefix('^') {
        Some(_) if dialect != Dialect::Asterisk => return Err(PatternError::Negated),
        Some(inside) => (true, inside),
        None => (false, inside),
    };
    let named = members(inside)?;
    let set = if negated { Set(Set::ALL.0 & !named.0) } else { named };
    if named.0 == 0 || set.0 == 0 { Err(PatternError::EmptySet) } else { Ok(set) }
}

/// The characters and ranges between brackets.
fn members(inside: &str) -> Result<Set, PatternError> {
    let mut set = Set(0);
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        match c {
            '[' => return Err(PatternError::Bracket),
            '-' => return Err(PatternError::BadRange),
            _ => {}
        }
        let mut ahead = rest.clone();
        if ahead.next() == Some('-') {
            let last = ahead.next().ok_or(PatternError::BadRange)?;
            rest = ahead;
            set.0 |= range(c, last)?.0;
        } else {
            set.0 |= Set::of(c)?.0;
        }
    }
    Ok(set)
}

fn range(first: char, last: char) -> Result<Set, PatternError> {
    match (first.to_digit(10), last.to_digit(10)) {
        (Some(a), Some(b)) if a <= b => Ok(Set::digits(a..=b)),
        (Some(_), Some(_)) => Err(PatternError::ReversedRange(first, last)),
        _ => Err(PatternError::BadRange),
    }
}

/// A set of characters that can be dialled: bit 0–9 the digits, then `*`, `#`, `+`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Set(u16);

impl Set {
    const CHARACTERS: [u8; 13] = *b"0123456789*#+";
    const ALL: Self = Self((1 << 13) - 1);

    fn digits(range: core::ops::RangeInclusive<u32>) -> Self {
        Self(range.fold(0, |set, d| set | 1 << d))
    }

    fn of(c: char) -> Result<Self, PatternError> {
        match c {
            '0'..='9' | '*' | '#' | '+' => Ok(Self(bit(u32::from(c)))),
            c => Err(PatternError::Character(c)),
        }
    }

    fn has(self, c: u8) -> bool {
        self.0 & bit(u32::from(c)) != 0
    }

    fn literal(self) -> Option<u8> {
        (self.0.count_ones() == 1).then(|| self.iter().next())?
    }

    fn iter(self) -> impl Iterator<Item = u8> {
        Self::CHARACTERS.into_iter().filter(move |&c| self.has(c))
    }
}

/// The bit of a character; 0 for what cannot be dialled.
fn bit(c: u32) -> u16 {
    match c {
        0x30..=0x39 => 1 << (c - 0x30),
        0x2a => 1 << 10,
        0x23 => 1 << 11,
        0x2b => 1 << 12,
        _ => 0,
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    /// By the rules of [`Dialect::Yeastar`].
    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text, Dialect::Yeastar)
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        // Both patterns are over one position past the longer one, where each has rank 0.
        let end = usize::from(self.len.max(other.len)) + 1;
        (0..end).map(|i| self.rank(i).cmp(&other.rank(i))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sets().iter().try_for_each(|set| set.fmt(f))?;
        f.write_str(match self.tail {
            Tail::Nothing => "",
            Tail::OneOrMore => ".",
            Tail::ZeroOrMore => "!",
        })
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            [('X', 0), ('Z', 1), ('N', 2)].into_iter().find(|&(_, low)| *self == Self::digits(low..=9));
        match (name, self.literal()) {
            (Some((name, _)), _) => write!(f, "{name}"),
            (None, Some(c)) => write!(f, "{}", char::from(c)),
            (None, None) => write!(f, "[{}]", self.iter().map(char::from).collect::<String>()),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The language of 2.10 once more, straight over the text: what the compiled form is compared with.
    fn naive(pattern: &[u8], number: &[u8]) -> bool {
        let (Some(&token), digit) = (pattern.first(), number.first()) else { return number.is_empty() };
        let step = |hit: bool, width: usize| hit && naive(&pattern[width..], &number[1..]);
        match (token, digit) {
            (b'.', _) => !number.is_empty(),
            (b'!', _) => true,
            (_, None) => false,
            (b'X', Some(d)) => step(d.is_ascii_digit(), 1),
            (b'Z', Some(d)) => step((b'1'..=b'9').contains(d), 1),
            (b'N', Some(d)) => step((b'2'..=b'9').contains(d), 1),
            (b'[', Some(d)) => {
                let width = pattern.iter().position(|&c| c == b']').unwrap() + 1;
                step(naive_set(&pattern[1..width - 1]).contains(d), width)
            }
            (c, Some(&d)) => step(c == d, 1),
        }
    }

    fn naive_set(inside: &[u8]) -> Vec<u8> {
        match inside {
            [a, b'-', b, rest @ ..] => (*a..=*b).chain(naive_set(rest)).collect(),
            [a, rest @ ..] => core::iter::once(*a).chain(naive_set(rest)).collect(),
            [] => Vec::new(),
        }
    }

    /// Every text of 1 to `max` of the tokens.
    fn texts(tokens: &[&str], max: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..max {
            last = last.iter().flat_map(|t| tokens.iter().map(move |k| format!("{t}{k}"))).collect();
            all.extend(last.iter().cloned());
        }
        all.split_off(1)
    }

    #[test]
    fn all_short_patterns_against_all_short_numbers() {
        let heads = texts(&["X", "Z", "N", "[1-3]", "[05]", "1", "5", "*"], 3);
        let mut patterns = heads.clone();
        for tail in [".", "!"] {
            patterns.push(tail.to_owned());
            patterns.extend(heads.iter().filter(|h| h.len() < 11).map(|h| format!("{h}{tail}")));
        }
        let numbers = texts(&["0", "1", "2", "5", "9", "*"], 4);
        let numbers: Vec<Number> = numbers.iter().map(|n| n.parse().unwrap()).collect();
        let mut hits = 0_u32;
        for text in &patterns {
            let compiled: Pattern = text.parse().unwrap();
            for number in &numbers {
                let expected = naive(text.as_bytes(), number.as_bytes());
                assert_eq!(compiled.matches(number), expected, "{text} {number}");
                hits += u32::from(expected);
            }
        }
        assert!(hits > 10_000 && patterns.len() > 1_000, "{hits} hits over {} patterns", patterns.len());
    }

    #[test]
    fn covering_is_what_matching_says() {
        let tokens = ["X", "N", "[15]", "1"];
        let mut patterns = texts(&tokens, 2);
        for tail in [".", "!"] {
            patterns.extend(texts(&tokens, 2).iter().map(|h| format!("{h}{tail}")));
            patterns.push(tail.to_owned());
        }
        let patterns: Vec<Pattern> = patterns.iter().map(|p| p.parse().unwrap()).collect();
        let numbers: Vec<Number> =
            texts(&["0", "1", "2", "5", "*"], 4).iter().map(|n| n.parse().unwrap()).collect();
        for a in &patterns {
            for b in &patterns {
                let all = numbers.iter().all(|n| !b.matches(n) || a.matches(n));
                assert!(!a.covers(b) || all, "{a} does not cover {b}");
                // `!` may cover more than positions can show (the empty number cannot be dialled).
                let degenerate = a.len <= 1 && a.tail != Tail::Nothing;
                assert!(a.covers(b) || !all || degenerate, "{a} covers {b}");
            }
        }
    }

    #[test]
    fn what_is_displayed_means_the_same() {
        for text in ["X.", "9011!", "[136-8]ZN", "+49.", "*#", "(0) 30-X", "_NXX"] {
            let p: Pattern = text.parse().unwrap();
            assert_eq!(p.to_string().parse::<Pattern>().unwrap(), p, "{text}");
        }
        assert_eq!("_[136-8](5)z!".parse::<Pattern>().unwrap().to_string(), "[13678]5Z!");
    }

    #[test]
    fn specificity_is_an_order() {
        let mut list: Vec<Pattern> =
            ["!", ".", "9!", "9.", "9X", "9N", "9[12]", "91", "9", "X11", "1XX", "[12]X", "[15]X"]
                .iter()
                .map(|p| p.parse().unwrap())
                .collect();
        list.sort();
        let sorted: Vec<String> = list.iter().map(ToString::to_string).collect();
        let expected = ["1XX", "9", "91", "9[12]", "9N", "9X", "9.", "9!", "[12]X", "[15]X", "X11", ".", "!"];
        assert_eq!(sorted, expected);
    }
}
