//! Lists of blocked and allowed numbers (E9, F2, spec 2.14).
//!
//! Entries are found by the literal digits they begin with: one binary search for each length that occurs,
//! however long the lists are.

use core::ops::Range;

use pbx_core::{ConfigError, ConfigErrors, Number, RuleId, RuleKind};

use crate::config::{Config, Direction, ListAction, NumberListConfig};
use crate::member::{Lists, Members, check_names};
use crate::pattern::{Dialect, Pattern};

/// Most numbers that all lists may have together.
const ENTRIES: usize = 1 << 20;

/// All lists, compiled.
#[derive(Debug, Default)]
pub(crate) struct NumberLists {
    names: Vec<String>,
    outbound: Sides,
    inbound: Sides,
}

/// What concerns one direction.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    allowed: Index,
    blocked: Index,
}

/// What the lists say about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// An allowed list has it.
    Allowed(RuleId),
    /// A blocked list has it, and no allowed one.
    Blocked(RuleId),
    /// No list has it.
    No,
}

impl NumberLists {
    /// `prefixes` are the international ones: an entry that begins with one of them is found in its `+` form, too.
    pub(crate) fn compile(
        config: &Config,
        dialect: Dialect,
        prefixes: &[String],
        errors: &mut ConfigErrors,
    ) -> Self {
        check_names(config.number_lists.iter().map(|l| l.name.as_str()), "number_list", 127, false, errors);
        let count = config.number_lists.iter().map(|l| l.numbers.len()).sum::<usize>();
        if count > ENTRIES {
            let problem = format!("{count} numbers are more than the {ENTRIES} there is room for");
            errors.push(ConfigError::new("number_list", problem));
            return Self::default();
        }
        let mut out =
            Self { names: config.number_lists.iter().map(|l| l.name.clone()).collect(), ..Self::default() };
        for (i, list) in (0..).zip(&config.number_lists) {
            let path = format!("number_list[{i}]");
            let lists =
                Lists { extensions: &list.extensions, groups: &list.groups, departments: &list.departments };
            let compiled = Members::compile(lists, config, &path, errors);
            let scope = (!lists.is_empty()).then_some(compiled);
            let entries = entries(list, i, dialect, prefixes, &path, errors);
            out.add(list, &entries, scope.as_ref());
        }
        out.outbound.sort();
        out.inbound.sort();
        out
    }

    fn add(&mut self, list: &NumberListConfig, entries: &[Entry], scope: Option<&Members>) {
        let concerns = |side| list.direction == side || list.direction == Direction::Both;
        for (sides, concerned) in [
            (&mut self.outbound, concerns(Direction::Outbound)),
            (&mut self.inbound, concerns(Direction::Inbound)),
        ] {
            let index =
                if list.action == ListAction::Allow { &mut sides.allowed } else { &mut sides.blocked };
            if concerned {
                index.add(entries, scope);
            }
        }
    }

    /// What is said about a number that is called.
    pub(crate) const fn outbound(&self) -> &Sides {
        &self.outbound
    }

    /// What is said about a number that calls.
    pub(crate) const fn inbound(&self) -> &Sides {
        &self.inbound
    }

    /// The name of a list.
    pub(crate) fn name(&self, index: u32) -> Option<&str> {
        self.names.get(usize::try_from(index).ok()?).map(String::as_str)
    }
}

/// The entries of a list, each in the forms it is found by.
fn entries(
    list: &NumberListConfig,
    index: u32,
    dialect: Dialect,
    prefixes: &[String],
    path: &str,
    errors: &mut ConfigErrors,
) -> Vec<Entry> {
    let mut out = Vec::new();
    for (i, text) in list.numbers.iter().enumerate() {
        let wrong =
            |e: crate::pattern::PatternError| ConfigError::new(format!("{path}.numbers[{i}]"), e.to_string());
        let Some(pattern) = errors.take(Pattern::parse(text, dialect).map_err(wrong)) else { continue };
        out.push(Entry { pattern, list: index });
        let head: Vec<u8> = pattern.literal_head().collect();
        let international = prefixes.iter().filter(|p| head.starts_with(p.as_bytes()));
        out.extend(
            international.filter_map(|p| Some(Entry { pattern: pattern.with_plus(p.len())?, list: index })),
        );
    }
    out
}

impl Sides {
    /// What the lists that concern `extension` say about a number in its several forms. Allowed beats blocked.
    pub(crate) fn look_up<'a>(
        &self,
        forms: impl Iterator<Item = &'a Number> + Clone,
        extension: Option<u32>,
    ) -> Listed {
        let found = |index: &Index| forms.clone().filter_map(|form| index.find(form, extension)).min();
        match (found(&self.allowed), found(&self.blocked)) {
            (Some(list), _) => Listed::Allowed(RuleId::new(RuleKind::NumberList, list)),
            (None, Some(list)) => Listed::Blocked(RuleId::new(RuleKind::NumberList, list)),
            (None, None) => Listed::No,
        }
    }

    fn sort(&mut self) {
        self.allowed.sort();
        self.blocked.sort();
    }
}

/// An entry of the list with that number.
#[derive(Clone, Copy, Debug)]
struct Entry {
    pattern: Pattern,
    list: u32,
}

/// Entries by the literal digits they begin with.
#[derive(Debug, Default)]
struct Index {
    entries: Vec<(Vec<u8>, Entry)>,
    /// Bit `n`: there are entries with `n` literal digits in front.
    lengths: u32,
    /// Whom a list concerns, for those that do not concern everybody.
    scopes: Vec<(u32, Members)>,
}

impl Index {
    fn add(&mut self, entries: &[Entry], scope: Option<&Members>) {
        self.entries.extend(entries.iter().map(|&e| (e.pattern.literal_head().collect(), e)));
        let list = entries.first().map(|e| e.list);
        self.scopes.extend(list.zip(scope.cloned()));
    }

    fn sort(&mut self) {
        self.entries.sort_by(|(a, x), (b, y)| a.cmp(b).then(x.list.cmp(&y.list)));
        self.lengths = self.entries.iter().fold(0, |mask, (head, _)| mask | 1 << head.len().min(31));
    }

    /// The first list that has the number and concerns the extension.
    fn find(&self, number: &Number, extension: Option<u32>) -> Option<u32> {
        let number_bytes = number.as_bytes();
        let heads = (0..=number_bytes.len()).filter(|&n| self.lengths >> n & 1 == 1);
        let candidates = heads.filter_map(|n| number_bytes.get(..n)).flat_map(|head| self.with_head(head));
        let fits = |e: &&Entry| e.pattern.matches(number) && self.concerns(e.list, extension);
        candidates.filter(fits).map(|e| e.list).min()
    }

    fn with_head(&self, head: &[u8]) -> impl Iterator<Item = &Entry> {
        let range: Range<usize> = self.entries.partition_point(|(h, _)| h.as_slice() < head)
            ..self.entries.partition_point(|(h, _)| h.as_slice() <= head);
        self.entries.get(range).unwrap_or_default().iter().map(|(_, entry)| entry)
    }

    fn concerns(&self, list: u32, extension: Option<u32>) -> bool {
        let scope =
            self.scopes.binary_search_by_key(&list, |(l, _)| *l).ok().and_then(|i| self.scopes.get(i));
        scope.is_none_or(|(_, members)| extension.is_some_and(|e| members.contains(e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lists(toml: &str) -> NumberLists {
        let config: Config = toml::from_str(toml).unwrap();
        let mut errors = ConfigErrors::new();
        let lists = NumberLists::compile(&config, Dialect::Yeastar, &["00".to_owned()], &mut errors);
        assert!(errors.is_empty(), "{errors}");
        lists
    }

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    fn outbound(lists: &NumberLists, text: &str, extension: u32) -> Listed {
        lists.outbound().look_up([number(text)].iter(), Some(extension))
    }

    const fn rule(list: u32) -> RuleId {
        RuleId::new(RuleKind::NumberList, list)
    }

    #[test]
    fn allowed_beats_blocked_whatever_is_more_specific() {
        let l = lists(
            r#"
            extension = [{ number = "1001" }, { number = "1002" }]
            number_list = [
              { name = "premium", direction = "outbound", numbers = ["0900.", "0137X!", "2126420000"] },
              { name = "mine", direction = "both", numbers = ["09001."], extensions = ["1002"] },
              { name = "ok", action = "allow", direction = "outbound", numbers = ["090."], extensions = ["1001"] },
              { name = "callers", numbers = ["+49666."] },
            ]
            "#,
        );
        assert_eq!(outbound(&l, "0900123", 0), Listed::Allowed(rule(2)));
        assert_eq!(outbound(&l, "0900123", 1), Listed::Blocked(rule(0)));
        assert_eq!(outbound(&l, "01379", 0), Listed::Blocked(rule(0)));
        assert_eq!(outbound(&l, "0137", 0), Listed::No);
        assert_eq!(outbound(&l, "+49666123", 0), Listed::No, "that list is about callers");
        let caller = |text: &str, to| l.inbound().look_up([number(text)].iter(), to);
        assert_eq!(caller("+49666123", None), Listed::Blocked(rule(3)));
        assert_eq!(caller("0900155", Some(1)), Listed::Blocked(rule(1)));
        assert_eq!(caller("0900155", Some(0)), Listed::No);
        assert_eq!(l.name(2), Some("ok"));
    }

    #[test]
    fn an_international_prefix_and_a_plus_are_one() {
        let l = lists(
            r#"number_list = [{ name = "a", direction = "outbound", numbers = ["0049900.", "00X[12].", "+44!"] }]"#,
        );
        for blocked in ["0049900555", "+49900555", "00311", "+44"] {
            assert_eq!(outbound(&l, blocked, 0), Listed::Blocked(rule(0)), "{blocked}");
        }
        assert_eq!(outbound(&l, "+4990", 0), Listed::No);
        assert_eq!(outbound(&l, "+311", 0), Listed::Blocked(rule(0)), "00X[12]. as +X[12].");
    }

    #[test]
    fn mistakes_are_all_reported() {
        let config: Config = toml::from_str(
            r#"number_list = [{ name = "", numbers = ["1", "[9-1]", "abc"] }, { name = "", groups = ["x"] }]"#,
        )
        .unwrap();
        let mut errors = ConfigErrors::new();
        NumberLists::compile(&config, Dialect::Yeastar, &[], &mut errors);
        let paths: Vec<&str> = errors.iter().map(ConfigError::path).collect();
        assert_eq!(
            paths,
            [
                "number_list[0].name",
                "number_list[1].name",
                "number_list[1].name",
                "number_list[0].numbers[1]",
                "number_list[0].numbers[2]",
                "number_list[1].groups[0]"
            ]
        );
    }

    #[test]
    fn a_hundred_thousand_entries_are_found() {
        let numbers: Vec<String> = (0..100_000).map(|n| format!("{:08}", n * 997)).collect();
        let list = NumberListConfig {
            name: "long".to_owned(),
            direction: Direction::Outbound,
            numbers: numbers.clone(),
            ..NumberListConfig::default()
        };
        let config = Config { number_lists: vec![list], ..Config::default() };
        let l = NumberLists::compile(&config, Dialect::Yeastar, &[], &mut ConfigErrors::new());
        for n in numbers.iter().step_by(101) {
            assert_eq!(outbound(&l, n, 0), Listed::Blocked(rule(0)));
            assert_eq!(outbound(&l, &format!("{n}0"), 0), Listed::No);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn look_up_is_what_a_scan_finds(
            raw in prop::collection::vec(
                ("[0-2]{0,3}[X2]?[.!]?", 0_u32..4, any::<bool>(), prop::option::of(0_u32..2)), 1..12),
            dialled in prop::collection::vec("[0-2]{1,5}", 1..20),
        ) {
            let extension = |n: &str| crate::config::ExtensionConfig {
                number: n.to_owned(),
                ..Default::default()
            };
            let extensions = vec![extension("1001"), extension("1002")];
            let mut config = Config { extensions, ..Config::default() };
            for (i, (pattern, _, allow, scope)) in raw.iter().enumerate() {
                config.number_lists.push(NumberListConfig {
                    name: i.to_string(),
                    action: if *allow { ListAction::Allow } else { ListAction::Block },
                    direction: Direction::Outbound,
                    numbers: vec![if pattern.is_empty() { "X".to_owned() } else { pattern.clone() }],
                    extensions: scope.iter().map(|s| format!("100{}", s + 1)).collect(),
                    ..NumberListConfig::default()
                });
            }
            let l = NumberLists::compile(&config, Dialect::Yeastar, &[], &mut ConfigErrors::new());
            for text in &dialled {
                for extension in 0..2 {
                    let scan = |action| (0..).zip(&config.number_lists).find(|(_, list)| {
                        let pattern: Pattern = list.numbers[0].parse().unwrap();
                        let mine = list.extensions.is_empty()
                            || list.extensions.contains(&format!("100{}", extension + 1));
                        list.action == action && mine && pattern.matches(&number(text))
                    }).map(|(i, _)| rule(i));
                    let naive = match (scan(ListAction::Allow), scan(ListAction::Block)) {
                        (Some(r), _) => Listed::Allowed(r),
                        (None, Some(r)) => Listed::Blocked(r),
                        (None, None) => Listed::No,
                    };
                    prop_assert_eq!(outbound(&l, text, extension), naive, "{}", text);
                }
            }
        }
    }
}
