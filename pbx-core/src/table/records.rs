//! Records: a few words about a key until a given time, e.g. a live call.
//!
//! A slot holds a word with the end of the record and one word for each of its values, all of them
//! `generation 16 | data 48`. A record is written before anybody can see it; afterwards its values change one
//! by one. Nothing evicts a record before its end: when a bucket is full of live ones, the new one is refused.

use core::cell::Cell;
use std::sync::atomic::AtomicU64;

use arrayvec::ArrayVec;

use super::atomic::{load, raise, swap};
use super::block::{Area, TICKS};
use super::key::Key;
use super::slots::{Slot, Slots};
use super::word::{DATA, SEALED};
use crate::time::{Mono, Now};

/// Most values of a record.
pub const RECORD: usize = 32;

/// The end of a record that does not end by itself.
const NEVER: u64 = TICKS - 1;

/// What became of a new record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entered {
    /// It stands.
    New,
    /// The key has a record already, which stays as it is.
    Exists,
    /// There is no room for the key.
    Pressure,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// When it ends; `None` when it does not end by itself.
    pub until: Option<Mono>,
    /// Its values: each was read at once, all of them not necessarily.
    pub values: ArrayVec<u64, RECORD>,
}

/// A table of records. Values have 48 bits; higher ones are cut off.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    area: Area<'a>,
    slots: Slots<'a>,
}

impl<'a> Records<'a> {
    pub(super) const fn new(area: Area<'a>) -> Self {
        Self { area, slots: Slots::new(area.slots, area.shape) }
    }

    /// Writes a record of `key` until `until` (`None`: until it is removed), unless there is one. Values that are
    /// missing are 0, those beyond the width of the table are lost.
    #[must_use]
    pub fn enter(&self, key: Key, values: &[u64], until: Option<Mono>, now: Now) -> Entered {
        let tick = self.area.tick(now.mono);
        let mine = Cell::new(None);
        let fill = |slot: Slot| {
            mine.set(Some(slot));
            self.fill(slot, values, until);
        };
        loop {
            let Some(slot) = self.slots.find_or_insert(key, |slot| self.close(slot, tick), fill) else {
                self.area.note_pressure();
                return Entered::Pressure;
            };
            if mine.get() == Some(slot) {
                return Entered::New;
            }
            if self.end(slot).is_some_and(|end| end > tick) {
                return Entered::Exists;
            }
            if self.close(slot, tick) {
                self.slots.free(slot);
            }
        }
    }

    /// The record of `key`.
    #[must_use]
    pub fn get(&self, key: Key, now: Now) -> Option<Record> {
        let tick = self.area.tick(now.mono);
        loop {
            let slot = self.slots.find(key)?;
            match self.read(slot) {
                Some((end, record)) => return (end > tick).then_some(record),
                None if self.slots.is_current(slot) => return None,
                None => {}
            }
        }
    }

    /// Changes one value; whether there was a record to change.
    pub fn set(&self, key: Key, at: usize, value: u64, now: Now) -> bool {
        let slot = self.live(key, now);
        slot.is_some_and(|slot| self.value(slot, at).is_some_and(|word| slot.writes(word, value & DATA)))
    }

    /// Changes one value from `old` to `new`; whether it did. Of several callers with the same `old` one does.
    pub fn replace(&self, key: Key, at: usize, old: u64, new: u64, now: Now) -> bool {
        let Some(slot) = self.live(key, now) else { return false };
        let word = self.value(slot, at);
        word.is_some_and(|word| swap(word, slot.says(old), slot.says(new)))
    }

    /// Moves the end of a record; whether there was one.
    pub fn renew(&self, key: Key, until: Option<Mono>, now: Now) -> bool {
        let Some(slot) = self.live(key, now) else { return false };
        let Some(word) = self.slots.payload(slot).first() else { return false };
        let new = slot.says(self.ticks(until));
        loop {
            let old = load(word);
            match slot.reads(old) {
                None | Some(SEALED) => return false,
                Some(_) if swap(word, old, new) => return true,
                Some(_) => {}
            }
        }
    }

    /// Removes a record; whether there was one. Of several callers one does.
    pub fn remove(&self, key: Key, now: Now) -> bool {
        let Some(slot) = self.live(key, now) else { return false };
        let Some(word) = self.slots.payload(slot).first() else { return false };
        raise(self.slots.floor(slot), self.area.tick(now.mono));
        loop {
            let old = load(word);
            match slot.reads(old) {
                None | Some(SEALED) => return false,
                Some(_) if swap(word, old, slot.says(SEALED)) => break,
                Some(_) => {}
            }
        }
        self.slots.free(slot);
        true
    }

    /// All records.
    pub fn iter(&self, now: Now) -> impl Iterator<Item = Record> + use<'a> {
        let (this, tick) = (*self, self.area.tick(now.mono));
        let read = move |slot| this.read(slot).filter(|&(end, _)| end > tick).map(|(_, record)| record);
        this.slots.live().filter_map(read)
    }

    /// How often there was no room for a key.
    #[must_use]
    pub fn pressure(&self) -> u64 {
        self.area.pressure()
    }

    /// Removes a slot whose words are not all of one owner, as a copy that was taken while others wrote may be.
    pub(super) fn repair(&self, slot: Slot) {
        if self.read(slot).is_none() {
            self.slots.free(slot);
        }
    }

    fn live(&self, key: Key, now: Now) -> Option<Slot> {
        let tick = self.area.tick(now.mono);
        self.slots.find(key).filter(|&slot| self.end(slot).is_some_and(|end| end > tick))
    }

    /// Writes all words of a slot that nobody sees yet.
    fn fill(&self, slot: Slot, values: &[u64], until: Option<Mono>) {
        let values = values.iter().copied().chain(core::iter::repeat(0));
        let data = core::iter::once(self.ticks(until)).chain(values);
        for (word, data) in self.slots.payload(slot).iter().zip(data) {
            slot.writes(word, data & DATA);
        }
    }

    fn ticks(&self, until: Option<Mono>) -> u64 {
        until.map_or(NEVER, |until| self.area.tick(until))
    }

    /// The end of a slot's record; `None` when the slot is sealed or somebody else's.
    fn end(&self, slot: Slot) -> Option<u64> {
        let word = load(self.slots.payload(slot).first()?);
        slot.reads(word).filter(|&end| end != SEALED)
    }

    fn read(&self, slot: Slot) -> Option<(u64, Record)> {
        let mut words = self.slots.payload(slot).iter().map(|word| slot.reads(load(word)));
        let end = words.next()??;
        let values = words.take(RECORD).collect::<Option<_>>()?;
        if end == SEALED || !self.slots.is_current(slot) {
            return None;
        }
        let until = (end < NEVER).then(|| self.area.mono(end));
        Some((end, Record { until, values }))
    }

    fn value(&self, slot: Slot, at: usize) -> Option<&'a AtomicU64> {
        self.slots.payload(slot).get(at + 1)
    }

    /// Ends the use of a slot whose record is over.
    fn close(&self, slot: Slot, tick: u64) -> bool {
        let Some(word) = self.slots.payload(slot).first() else { return false };
        let old = load(word);
        match slot.reads(old) {
            Some(SEALED) => true,
            Some(end) if end > tick => false,
            Some(_) => self.slots.is_current(slot) && swap(word, old, slot.says(SEALED)),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Block, Layout, RecordsId, heap};
    use crate::time::Wall;
    use core::time::Duration;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    fn at(ms: u64) -> Now {
        Now::new(Mono::from_millis(1_000 + ms), Wall::UNIX_EPOCH)
    }

    fn table(slots: u32, width: usize) -> (Block, RecordsId, Layout) {
        let mut layout = Layout::new(1);
        let id = layout.records(slots, width);
        (Block::create(heap(layout.words()), &layout, [7; 16], 0, at(0)).unwrap(), id, layout)
    }

    fn values(block: &Block, id: RecordsId, key: &[u8], now: Now) -> Option<Vec<u64>> {
        block.records(id).get(block.key(key), now).map(|r| r.values.to_vec())
    }

    #[test]
    fn a_record_lasts_until_its_end() {
        let (block, id, _) = table(8, 2);
        let (records, key) = (block.records(id), block.key(b"a"));
        let until = Some(at(100).mono);
        assert_eq!(records.enter(key, &[5], until, at(0)), Entered::New);
        assert_eq!(records.enter(key, &[6], until, at(99)), Entered::Exists);
        assert_eq!(values(&block, id, b"a", at(99)), Some(vec![5, 0]));
        assert_eq!(records.get(key, at(99)).unwrap().until, until);
        assert_eq!(values(&block, id, b"a", at(100)), None);
        assert!(!records.set(key, 0, 9, at(100)) && !records.renew(key, None, at(100)));
        assert_eq!(records.enter(key, &[6, 7, 8], None, at(100)), Entered::New);
        assert_eq!(values(&block, id, b"a", at(1_000_000_000)), Some(vec![6, 7]));
        assert!(records.remove(key, at(200)) && !records.remove(key, at(200)));
        assert_eq!(records.iter(at(200)).count(), 0);
    }

    #[test]
    fn values_change_one_by_one() {
        let (block, id, _) = table(8, 3);
        let (records, key) = (block.records(id), block.key(b"a"));
        assert_eq!(records.enter(key, &[1, 2, 3], Some(at(10).mono), at(0)), Entered::New);
        assert!(records.set(key, 1, 20, at(1)) && !records.set(key, 3, 1, at(1)));
        assert!(records.replace(key, 2, 3, 30, at(1)) && !records.replace(key, 2, 3, 31, at(1)));
        assert!(records.renew(key, Some(at(50).mono), at(1)));
        assert_eq!(values(&block, id, b"a", at(49)), Some(vec![1, 20, 30]));
        assert_eq!(records.iter(at(1)).collect::<Vec<_>>(), [records.get(key, at(1)).unwrap()]);
    }

    #[test]
    fn live_records_are_not_evicted() {
        let (block, id, _) = table(16, 1);
        let records = block.records(id);
        let mut kept = Vec::new();
        for i in 0..1_000_u32 {
            let key = block.key(&i.to_be_bytes());
            if records.enter(key, &[u64::from(i)], Some(at(100).mono), at(0)) == Entered::New {
                kept.push(i);
            }
        }
        assert_eq!(kept.len(), 16, "every slot of both buckets");
        assert_eq!(records.pressure(), 984);
        assert!(
            kept.iter().all(|i| values(&block, id, &i.to_be_bytes(), at(99)) == Some(vec![u64::from(*i)]))
        );
        let entered =
            (1_000..2_000_u32).map(|i| records.enter(block.key(&i.to_be_bytes()), &[], None, at(100)));
        assert_eq!(entered.filter(|e| *e == Entered::New).count(), 16, "what is over makes room");
    }

    #[test]
    fn of_eight_threads_one_enters_one_replaces_one_removes() {
        for round in 0..200_u64 {
            let (block, id, _) = table(8, 1);
            let [entered, replaced, removed] = [const { AtomicU32::new(0) }; 3];
            let barrier = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for thread in 0..8_u64 {
                    let (block, barrier) = (&block, &barrier);
                    let (entered, replaced, removed) = (&entered, &replaced, &removed);
                    scope.spawn(move || {
                        crate::table::atomic::injected::chaos(round * 8 + thread + 1);
                        let (records, key) = (block.records(id), block.key(b"call"));
                        let count = |n: &AtomicU32, yes| n.fetch_add(u32::from(yes), SeqCst);
                        count(entered, records.enter(key, &[7], None, at(0)) == Entered::New);
                        barrier.wait();
                        count(replaced, records.replace(key, 0, 7, 8, at(0)));
                        barrier.wait();
                        count(removed, records.remove(key, at(0)));
                    });
                }
            });
            assert_eq!([entered, replaced, removed].map(AtomicU32::into_inner), [1, 1, 1]);
        }
    }

    #[test]
    fn records_outlive_a_snapshot() {
        let (block, id, layout) = table(64, 2);
        for i in 0..40_u64 {
            let until = Some(at(i).mono + Duration::from_secs(1));
            let _ = block.records(id).enter(block.key(&i.to_be_bytes()), &[i, 1], until, at(0));
        }
        let before = block.records(id).iter(at(500)).count();
        let restored =
            Block::restore(heap(layout.words()), &layout, &block.snapshot(at(500)), 0, at(500)).unwrap();
        assert_eq!(restored.records(id).iter(at(500)).count(), before);
        assert!(before > 30);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_table_is_a_map_with_ends(
            steps in prop::collection::vec((0_u8..6, 0_u64..4, 0_u64..50, 0_u64..30), 1..60),
        ) {
            let (block, id, _) = table(32, 1);
            let records = block.records(id);
            let mut naive: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
            let mut ms = 0;
            for (what, k, value, wait) in steps {
                ms += wait;
                let (now, key) = (at(ms), block.key(&k.to_be_bytes()));
                let until = ms + 1 + value;
                naive.retain(|_, (_, end)| *end > ms);
                match what {
                    0 | 1 => {
                        let new = records.enter(key, &[value], Some(at(until).mono), now) == Entered::New;
                        prop_assert_eq!(new, !naive.contains_key(&k));
                        naive.entry(k).or_insert((value, until));
                    }
                    2 => prop_assert_eq!(records.remove(key, now), naive.remove(&k).is_some()),
                    3 => {
                        let there = naive.get_mut(&k).map(|(_, end)| *end = until).is_some();
                        prop_assert_eq!(records.renew(key, Some(at(until).mono), now), there);
                    }
                    4 => {
                        let there = naive.get_mut(&k).map(|(v, _)| *v = value).is_some();
                        prop_assert_eq!(records.set(key, 0, value, now), there);
                    }
                    _ => {
                        let found = records.get(key, now).map(|r| r.values[0]);
                        prop_assert_eq!(found, naive.get(&k).map(|(v, _)| *v));
                    }
                }
                prop_assert_eq!(records.iter(now).count(), naive.len());
            }
        }
    }
}
