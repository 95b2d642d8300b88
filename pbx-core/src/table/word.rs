//! Payload words: `generation 16 | data 48`.
//!
//! A word whose generation is an older one belongs to a former owner of its slot and counts as empty; a newer
//! one means that the reader's own slot has gone.

use std::sync::atomic::AtomicU64;

use super::atomic::{load, swap};
use super::slots::Slot;

/// The bits of the data.
pub(super) const DATA: u64 = (1 << 48) - 1;
/// Data that ends the use of a slot: whoever finds it frees the slot and searches again.
pub(super) const SEALED: u64 = DATA;

impl Slot {
    /// The word that says `data` for this owner of the slot.
    pub(super) const fn says(self, data: u64) -> u64 {
        self.generation << 48 | (data & DATA)
    }

    /// What `word` says, when it is this owner's.
    pub(super) fn reads(self, word: u64) -> Option<u64> {
        (word >> 48 == self.generation).then_some(word & DATA)
    }

    /// Whether `word` is a later owner's: then this slot has gone.
    pub(super) const fn is_before(self, word: u64) -> bool {
        let ahead = (word >> 48).wrapping_sub(self.generation) & 0xffff;
        ahead != 0 && ahead < 0x8000
    }

    /// Writes `data`, unless a later owner has written already; whether it did.
    pub(super) fn writes(self, word: &AtomicU64, data: u64) -> bool {
        loop {
            let old = load(word);
            if self.is_before(old) {
                return false;
            }
            if swap(word, old, self.says(data)) {
                return true;
            }
        }
    }
}
