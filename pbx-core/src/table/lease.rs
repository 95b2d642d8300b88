//! One lease: the words of its end and of its holder.

use std::sync::atomic::AtomicU64;

use super::atomic::{load, swap};
use super::slots::Slot;

/// Holders and ends have so many bits, the turn is above them.
const BITS: u32 = 40;
const TURN: u64 = 0xff << BITS;
const HOLDER: u64 = (1 << BITS) - 1;

/// The words of a lease, and what its end said.
#[derive(Clone, Copy)]
pub(super) struct Lease<'a> {
    slot: Slot,
    end: &'a AtomicU64,
    holder: &'a AtomicU64,
    /// The end word as it was read.
    word: u64,
    /// The turn, where it stands in the word, and the time; 0 when the word is a former owner's.
    turn: u64,
    pub(super) until: u64,
}

impl<'a> Lease<'a> {
    /// The lease in these words of `slot`.
    pub(super) fn read(slot: Slot, end: &'a AtomicU64, holder: &'a AtomicU64) -> Self {
        let word = load(end);
        let data = slot.reads(word).unwrap_or(0);
        Self { slot, end, holder, word, turn: data & TURN, until: data & !TURN }
    }

    /// The same with a new turn and end; `None` when somebody was quicker.
    pub(super) fn take(self, until: u64) -> Option<Self> {
        let turn = self.turn.wrapping_add(1 << BITS) & TURN;
        let word = self.slot.says(turn | until);
        swap(self.end, self.word, word).then_some(Self { word, turn, until, ..self })
    }

    /// Writes who has taken it; `None` when it was lost meanwhile.
    pub(super) fn name(self, holder: u64) -> Option<()> {
        loop {
            let old = load(self.holder);
            if load(self.end) != self.word {
                return None;
            }
            if swap(self.holder, old, self.slot.says(self.turn | holder)) {
                return Some(());
            }
        }
    }

    /// Moves its end; whether it still was as read.
    pub(super) fn set_end(self, until: u64) -> bool {
        swap(self.end, self.word, self.slot.says(self.turn | until))
    }

    /// Whether `holder` has it, if its end has not changed meanwhile.
    pub(super) fn is_of(self, holder: u64) -> bool {
        self.slot.reads(load(self.holder)) == Some(self.turn | holder)
    }
}

/// What is kept of a holder's number.
pub(super) const fn print(holder: u64) -> u64 {
    if holder <= HOLDER { holder } else { holder.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - BITS) }
}
