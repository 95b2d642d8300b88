//! The longest-prefix map, for addresses and for digits.
//!
//! A prefix is a range of keys: `203.0.113.0/24` is 256 addresses, the digits `1242` are all numbers that
//! begin with them once numbers are padded to one length. Overlapping ranges are compiled to disjoint ones,
//! so that a look-up is one binary search whatever the number of ranges that overlap.

use core::ops::RangeInclusive;
use std::collections::{BTreeMap, BTreeSet};

/// A number that ranges are made of.
pub trait Bound: Copy + Ord {
    /// The number after it; `None` at the end of the type's range.
    fn next(self) -> Option<Self>;
    /// How many numbers lie between the two, for telling narrow ranges from wide ones.
    fn width(self, last: Self) -> u128;
}

macro_rules! bounds {
    ($($t:ty)+) => { $(
        impl Bound for $t {
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn width(self, last: Self) -> u128 {
                u128::from(last.saturating_sub(self))
            }
        }
    )+ };
}

bounds! { u32 u64 u128 }

/// Disjoint ranges, each with a value.
///
/// ```
/// use pbx_policy::interval::IntervalMap;
/// let map = IntervalMap::narrowest([(0_u64..=999, 1), (100..=199, 2)]);
/// assert_eq!(map.get(150), Some(2));
/// assert_eq!(map.get(200), Some(1));
/// assert_eq!(map.get(1000), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntervalMap<K> {
    /// Where each piece begins; it ends where the next one begins. Strictly rising.
    starts: Vec<K>,
    /// The value of each piece; `None` for a gap.
    values: Vec<Option<u32>>,
}

impl<K: Bound> IntervalMap<K> {
    /// Of the ranges around a key the narrowest decides, which for prefixes is the longest; of equally
    /// narrow ones the first in the list. Ranges that end before they begin hold nothing.
    pub fn narrowest(ranges: impl IntoIterator<Item = (RangeInclusive<K>, u32)>) -> Self {
        let mut order = 0_u64;
        let with_rank = ranges.into_iter().map(|(range, value)| {
            order += 1;
            let width = range.start().width(*range.end());
            (range, (width, order, value))
        });
        Self::sweep(with_rank, |active| active.first().map(|&(_, _, value)| value))
    }

    /// One value for each set of ranges that overlap somewhere: `name` gets their values, lowest first, and
    /// answers the value of the piece.
    pub fn overlaps(
        ranges: impl IntoIterator<Item = (RangeInclusive<K>, u32)>,
        mut name: impl FnMut(&BTreeSet<u32>) -> Option<u32>,
    ) -> Self {
        Self::sweep(ranges, |active| if active.is_empty() { None } else { name(active) })
    }

    /// Walks the keys upwards with the set of ranges around the current one.
    fn sweep<R: Ord + Copy>(
        ranges: impl IntoIterator<Item = (RangeInclusive<K>, R)>,
        mut value: impl FnMut(&BTreeSet<R>) -> Option<u32>,
    ) -> Self {
        let mut out = Self { starts: Vec::new(), values: Vec::new() };
        let mut active = Active::default();
        for (at, edges) in edges(ranges) {
            edges.into_iter().for_each(|edge| active.apply(edge));
            out.push(at, value(&active.set));
        }
        out
    }

    fn push(&mut self, at: K, value: Option<u32>) {
        if self.values.last().copied().flatten() != value {
            self.starts.push(at);
            self.values.push(value);
        }
    }

    /// The value of the piece that `key` lies in.
    #[must_use]
    pub fn get(&self, key: K) -> Option<u32> {
        let after = self.starts.partition_point(|start| *start <= key);
        self.values.get(after.checked_sub(1)?).copied().flatten()
    }

    /// The number of pieces, gaps included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether no key has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }
}

/// A range begins or has ended.
#[derive(Clone, Copy)]
enum Edge<R> {
    Begin(R),
    End(R),
}

/// The ranges around the current key, counted because the same one may be listed twice.
struct Active<R> {
    set: BTreeSet<R>,
    times: BTreeMap<R, usize>,
}

impl<R> Default for Active<R> {
    fn default() -> Self {
        Self { set: BTreeSet::new(), times: BTreeMap::new() }
    }
}

impl<R: Ord + Copy> Active<R> {
    fn apply(&mut self, edge: Edge<R>) {
        match edge {
            Edge::Begin(r) => {
                *self.times.entry(r).or_default() += 1;
                self.set.insert(r);
            }
            Edge::End(r) => self.end(r),
        }
    }

    fn end(&mut self, r: R) {
        let left = self.times.get(&r).map_or(0, |n| n.saturating_sub(1));
        if left == 0 {
            self.times.remove(&r);
            self.set.remove(&r);
        } else {
            self.times.insert(r, left);
        }
    }
}

fn edges<K: Bound, R: Copy>(
    ranges: impl IntoIterator<Item = (RangeInclusive<K>, R)>,
) -> BTreeMap<K, Vec<Edge<R>>> {
    let mut out: BTreeMap<K, Vec<Edge<R>>> = BTreeMap::new();
    for (range, r) in ranges.into_iter().filter(|(range, _)| !range.is_empty()) {
        out.entry(*range.start()).or_default().push(Edge::Begin(r));
        if let Some(after) = range.end().next() {
            out.entry(after).or_default().push(Edge::End(r));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(ranges: &[(RangeInclusive<u32>, u32)], key: u32) -> Option<u32> {
        ranges
            .iter()
            .filter(|(r, _)| r.contains(&key))
            .min_by_key(|(r, _)| r.end() - r.start())
            .map(|(_, v)| *v)
    }

    #[test]
    fn the_ends_of_the_type_are_keys_like_others() {
        let map = IntervalMap::narrowest([(0..=u32::MAX, 1), (u32::MAX..=u32::MAX, 2), (0..=0, 3)]);
        assert_eq!([map.get(0), map.get(1), map.get(u32::MAX)], [Some(3), Some(1), Some(2)]);
        let whole = IntervalMap::narrowest([(0..=u128::MAX, 1)]);
        assert_eq!(whole.get(u128::MAX), Some(1));
    }

    #[test]
    fn nothing_is_empty_and_reversed_ranges_hold_nothing() {
        let none = IntervalMap::<u64>::narrowest([]);
        assert!(none.is_empty());
        assert_eq!(none.get(5), None);
        #[allow(clippy::reversed_empty_ranges, reason = "the case under test")]
        let reversed = IntervalMap::narrowest([(9_u64..=3, 1)]);
        assert_eq!(reversed.get(5), None);
    }

    #[test]
    fn the_same_range_twice_ends_once() {
        let map = IntervalMap::overlaps([(1_u32..=4, 7), (3..=9, 7)], |set| set.first().copied());
        assert_eq!([map.get(2), map.get(5), map.get(9), map.get(10)], [Some(7), Some(7), Some(7), None]);
    }

    #[test]
    fn neighbours_of_one_value_are_one_piece() {
        let map = IntervalMap::narrowest((0_u32..1000).map(|i| (i..=i, 4)));
        assert_eq!(map.len(), 2, "the piece and the gap behind it");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn narrowest_is_what_a_scan_finds(raw in prop::collection::vec((0_u32..64, 0_u32..32), 0..24)) {
            let ranges: Vec<_> = (0..).zip(&raw).map(|(i, &(a, n))| (a..=a + n, i)).collect();
            let map = IntervalMap::narrowest(ranges.clone());
            for key in 0..100 {
                prop_assert_eq!(map.get(key), naive(&ranges, key), "{}", key);
            }
        }

        #[test]
        fn overlaps_are_what_a_scan_finds(raw in prop::collection::vec((0_u32..64, 0_u32..32), 0..12)) {
            let ranges: Vec<_> = (0_u32..).zip(&raw).map(|(i, &(a, n))| (a..=a + n, i)).collect();
            let mask = |set: &BTreeSet<u32>| Some(set.iter().map(|v| 1_u32 << v).sum());
            let map = IntervalMap::overlaps(ranges.clone(), mask);
            for key in 0..100 {
                let want: u32 = ranges.iter().filter(|(r, _)| r.contains(&key)).map(|(_, v)| 1 << v).sum();
                prop_assert_eq!(map.get(key).unwrap_or(0), want, "{}", key);
            }
        }
    }
}
