//! Puts slots in order whose words were copied, or written back to a file, at different moments.

use std::sync::atomic::Ordering::SeqCst;

use super::{GENERATION, PENDING, SLOTS, Slot, Slots};
use crate::table::atomic::load;

impl Slots<'_> {
    /// Leaves one live slot a key and nothing that another owner wrote. Only while nobody else uses the table.
    pub(in crate::table) fn repair(&self) {
        (0..self.shape.buckets).for_each(|bucket| self.repair_bucket(bucket));
    }

    fn repair_bucket(&self, bucket: usize) {
        let change = self.change(bucket);
        change.store(load(change) & !PENDING, SeqCst);
        let own: [usize; SLOTS] = core::array::from_fn(|index| self.own_words(self.slot(bucket, index)));
        for (index, &words) in own.iter().enumerate() {
            let slot = self.slot(bucket, index);
            // The key may have moved during the copying: then the slot with more of it is the later one.
            let same = |other| load(self.first(bucket, other)) >> 17 == load(self.first(bucket, index)) >> 17;
            let moved = |(other, &more): (usize, &usize)| {
                (more > words || more == words && other < index) && same(other)
            };
            if words == 0 || own.iter().enumerate().any(moved) {
                self.free(slot);
            }
            self.clear_others(self.slot(bucket, index));
        }
    }

    fn clear_others(&self, slot: Slot) {
        let live = self.is_current(slot);
        let others = self.payload(slot).iter().filter(|w| !live || load(w) >> 48 != slot.generation);
        others.for_each(|w| w.store(0, SeqCst));
    }

    /// How many words of a slot its live owner wrote.
    fn own_words(&self, slot: Slot) -> usize {
        let own = self.payload(slot).iter().filter(|w| load(w) >> 48 == slot.generation);
        if self.is_current(slot) { own.count() } else { 0 }
    }

    fn slot(&self, bucket: usize, index: usize) -> Slot {
        Slot { bucket, index, generation: load(self.first(bucket, index)) & GENERATION }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CHANGE, LIVE, PAYLOAD, Shape};
    use super::*;
    use std::sync::atomic::AtomicU64;

    const PRINT: u64 = 7 << 17;

    /// A repaired bucket with two payload words a slot.
    fn repaired(words: &[(usize, u64)]) -> Vec<u64> {
        let shape = Shape::new(8, 2);
        let memory: Vec<AtomicU64> = (0..shape.words()).map(|_| AtomicU64::new(0)).collect();
        words.iter().for_each(|&(at, word)| memory[at].store(word, SeqCst));
        Slots::new(&memory, shape).repair();
        memory.iter().map(load).collect()
    }

    fn payload(slot: usize, word: usize) -> usize {
        PAYLOAD + 2 * slot + word
    }

    #[test]
    fn words_of_another_generation_are_cleared_and_own_ones_kept() {
        let slot = [(2, PRINT | LIVE | 5), (payload(2, 0), 5 << 48 | 1), (payload(2, 1), 6 << 48 | 1)];
        let memory = repaired(&slot);
        assert_eq!(memory[2], PRINT | LIVE | 5);
        assert_eq!((memory[payload(2, 0)], memory[payload(2, 1)]), (5 << 48 | 1, 0));
    }

    #[test]
    fn a_slot_without_a_word_of_its_own_is_free_and_empty() {
        let memory = repaired(&[(2, PRINT | LIVE | 5), (payload(2, 0), 6 << 48), (payload(2, 1), 6 << 48)]);
        assert_eq!(memory[2], 6);
        assert_eq!((memory[payload(2, 0)], memory[payload(2, 1)]), (0, 0));
    }

    #[test]
    fn what_is_left_in_a_free_slot_is_cleared() {
        let memory = repaired(&[(2, PRINT | 5), (payload(2, 0), 5 << 48 | 1)]);
        assert_eq!((memory[2] & LIVE, memory[payload(2, 0)]), (0, 0));
    }

    #[test]
    fn of_two_slots_of_a_key_the_one_with_more_of_it_stays() {
        for (less, more) in [(1, 6), (6, 1)] {
            let memory = repaired(&[
                (less, PRINT | LIVE | 5),
                (payload(less, 1), 5 << 48 | 1),
                (more, PRINT | LIVE | 9),
                (payload(more, 0), 9 << 48 | 1),
                (payload(more, 1), 9 << 48 | 1),
            ]);
            assert_eq!((memory[less] & LIVE, memory[more]), (0, PRINT | LIVE | 9));
        }
    }

    #[test]
    fn of_two_slots_of_a_key_with_as_much_of_it_one_stays() {
        let slot =
            |i, generation: u64| [(i, PRINT | LIVE | generation), (payload(i, 0), generation << 48 | 1)];
        let memory = repaired(&[slot(3, 5), slot(4, 9)].concat());
        assert_eq!((3..5).filter(|&i| memory[i] & LIVE != 0).count(), 1);
    }

    #[test]
    fn a_pending_insertion_is_given_up() {
        let memory = repaired(&[(CHANGE, 3 << 20 | 5 << 4 | 3), (2, PRINT | 5)]);
        assert_eq!(memory[CHANGE], 3 << 20);
    }
}
