//! Slots found by key: one slot a key, whoever inserts it.
//!
//! A bucket is eight first words on one cache line, a change word, a floor time, and the payload of its slots.
//! A first word is `fingerprint 47 | live 1 | generation 16`. A slot that is not live belongs to nobody.
//!
//! Two workers that insert the same key at once must not end up with two slots. So an insertion writes its key
//! into a slot that is not live yet, and becomes visible by one compare-and-swap of the bucket's change word
//! from the value that was read *before* the search: whoever loses it has missed an insertion, gives the slot
//! back and searches again. The change word names the pending slot; whoever meets it finishes the insertion, so
//! a worker that dies in between holds nobody up.

mod repair;

use std::sync::atomic::AtomicU64;

use super::atomic::{load, swap};
use super::key::{Key, PRINT_BITS};
use super::layout::LINE;

/// Slots a bucket: as many first words as a cache line holds.
pub(super) const SLOTS: usize = LINE;
/// Where the change word, the floor time and the payload of the first slot stand.
const CHANGE: usize = SLOTS;
const FLOOR: usize = SLOTS + 1;
const PAYLOAD: usize = SLOTS + 2;

const LIVE: u64 = 1 << 16;
const GENERATION: u64 = 0xffff;
/// Change word: `version 44 | generation 16 | slot + 1 in 4 bits`, the latter two 0 when nothing is pending.
const PENDING: u64 = 0xf_ffff;
const ONE_VERSION: u64 = 1 << 20;

/// The size of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    buckets: usize,
    payload: usize,
}

/// A slot as its owner knows it: valid while the generation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    bucket: usize,
    index: usize,
    pub(super) generation: u64,
}

impl Shape {
    pub(super) fn new(slots: u32, payload: usize) -> Self {
        let slots = usize::try_from(slots).unwrap_or(usize::MAX >> 8);
        Self { buckets: slots.div_ceil(SLOTS).max(1), payload }
    }

    /// Words a slot has beside its first one.
    pub(super) const fn payload(self) -> usize {
        self.payload
    }

    /// Words of all buckets.
    pub(super) const fn words(&self) -> usize {
        self.buckets * self.stride()
    }

    /// Words of a bucket, in whole cache lines.
    const fn stride(&self) -> usize {
        (PAYLOAD + SLOTS * self.payload).next_multiple_of(LINE)
    }
}

/// The slots of one table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots<'a> {
    words: &'a [AtomicU64],
    shape: Shape,
    /// The first slot of a bucket that may be taken.
    from: usize,
}

impl<'a> Slots<'a> {
    pub(super) const fn new(words: &'a [AtomicU64], shape: Shape) -> Self {
        Self { words, shape, from: 0 }
    }

    /// The same, but insertions leave the first `n` slots of each bucket to others.
    pub(super) const fn leaving(self, n: usize) -> Self {
        Self { from: n, ..self }
    }

    /// The live slot of `key`.
    pub(super) fn find(&self, key: Key) -> Option<Slot> {
        self.find_in(key.bucket(self.shape.buckets), key.print())
    }

    /// The slot of `key`, made if there is none; `None` when its bucket is full. `close` is asked to end the use
    /// of a live slot that nobody needs any more, and says whether it did; `fill` writes the payload of a slot
    /// before anybody can see it.
    ///
    /// When another worker finishes the insertion and one more ends the use of the slot, all before this one goes
    /// on, it is made again: as if it had come last.
    pub(super) fn find_or_insert(
        &self,
        key: Key,
        close: impl Fn(Slot) -> bool,
        fill: impl Fn(Slot),
    ) -> Option<Slot> {
        let (bucket, print) = (key.bucket(self.shape.buckets), key.print());
        loop {
            if let Some(slot) = self.find_in(bucket, print) {
                return Some(slot);
            }
            let change = load(self.change(bucket));
            if change & PENDING != 0 {
                self.finish(bucket, change);
                continue;
            }
            // Searched again after the change word was read: what came later makes the swap below fail.
            if let Some(slot) = self.find_in(bucket, print) {
                return Some(slot);
            }
            match self.take(bucket, print, &close) {
                Taken::Slot(slot) => {
                    fill(slot);
                    if self.publish(slot, print, change) {
                        return Some(slot);
                    }
                }
                Taken::Lost => {}
                // Only a bucket that did not change meanwhile is really full.
                Taken::Full if load(self.change(bucket)) == change => return None,
                Taken::Full => {}
            }
        }
    }

    /// Whether `slot` still belongs to whom it belonged.
    pub(super) fn is_current(&self, slot: Slot) -> bool {
        let first = load(self.first(slot.bucket, slot.index));
        first & LIVE != 0 && first & GENERATION == slot.generation
    }

    /// Whether `slot` holds `key`.
    #[cfg(test)]
    pub(super) fn is_of(&self, slot: Slot, key: Key) -> bool {
        load(self.first(slot.bucket, slot.index)) >> 17 == key.print()
    }

    /// Ends the use of `slot`. Harmless when somebody else has done so.
    pub(super) fn free(&self, slot: Slot) {
        let word = self.first(slot.bucket, slot.index);
        let first = load(word);
        if first & LIVE != 0 && first & GENERATION == slot.generation {
            swap(word, first, next(slot.generation));
        }
    }

    /// The payload words of a slot.
    pub(super) fn payload(&self, slot: Slot) -> &'a [AtomicU64] {
        let at = slot.bucket * self.shape.stride() + PAYLOAD + slot.index * self.shape.payload;
        self.words.get(at..at + self.shape.payload).unwrap_or_default()
    }

    /// Before this time nothing may be recorded in a fresh slot of the bucket: older events of the key may have
    /// gone with a slot that was taken over.
    pub(super) fn floor(&self, slot: Slot) -> &'a AtomicU64 {
        self.word(slot.bucket, FLOOR)
    }

    /// All live slots, for listing.
    pub(super) fn live(&self) -> impl Iterator<Item = Slot> + use<'a> {
        let this = *self;
        (0..this.shape.buckets).flat_map(move |bucket| this.live_in(bucket))
    }

    /// All live slots of the bucket of `slot`.
    pub(super) fn neighbours(&self, slot: Slot) -> impl Iterator<Item = Slot> + use<'a> {
        self.live_in(slot.bucket)
    }

    fn live_in(&self, bucket: usize) -> impl Iterator<Item = Slot> + use<'a> {
        let this = *self;
        (0..SLOTS).filter_map(move |index| {
            let first = load(this.first(bucket, index));
            (first & LIVE != 0).then_some(Slot { bucket, index, generation: first & GENERATION })
        })
    }

    fn find_in(&self, bucket: usize, print: u64) -> Option<Slot> {
        (0..SLOTS).find_map(|index| {
            let first = load(self.first(bucket, index));
            (first >> 17 == print && first & LIVE != 0).then_some(Slot {
                bucket,
                index,
                generation: first & GENERATION,
            })
        })
    }

    /// A slot that is not live, with the key in it: one that nobody uses, else one that could be closed.
    fn take(&self, bucket: usize, print: u64, close: &impl Fn(Slot) -> bool) -> Taken {
        let firsts: [u64; SLOTS] = core::array::from_fn(|index| load(self.first(bucket, index)));
        let mut found = firsts.iter().enumerate().skip(self.from).map(|(index, &first)| {
            let slot = Slot { bucket, index, generation: first & GENERATION };
            (slot, first)
        });
        let unused = found.clone().filter(|(_, first)| first & LIVE == 0);
        let closed = found.clone().filter(|&(slot, first)| first & LIVE != 0 && close(slot));
        if let Some(slot) = unused.chain(closed).find_map(|(slot, first)| self.claim(slot, first, print)) {
            return Taken::Slot(slot);
        }
        // Full at one moment, not each slot at another: otherwise one may have been free all the time.
        let unmoved = found.all(|(slot, first)| load(self.first(bucket, slot.index)) == first);
        if unmoved { Taken::Full } else { Taken::Lost }
    }

    /// Makes a slot whose first word is `first` ours, with the key in it.
    fn claim(&self, slot: Slot, first: u64, print: u64) -> Option<Slot> {
        let generation = next(slot.generation);
        if !swap(self.first(slot.bucket, slot.index), first, print << 17 | generation) {
            return None;
        }
        let slot = Slot { generation, ..slot };
        self.clear_namesakes(slot);
        Some(slot)
    }

    /// Clears what an owner wrote who had the same generation, 65 535 owners ago.
    fn clear_namesakes(&self, slot: Slot) {
        for word in self.payload(slot) {
            let old = load(word);
            if old >> 48 == slot.generation {
                swap(word, old, 0);
            }
        }
    }

    /// Makes a taken slot visible, or gives it back when an insertion was missed; whether it became visible.
    fn publish(&self, slot: Slot, print: u64, change: u64) -> bool {
        let pending = slot.generation << 4 | (slot.index as u64 + 1);
        let next_change = (change & !PENDING).wrapping_add(ONE_VERSION) | pending;
        if swap(self.change(slot.bucket), change, next_change) {
            return self.finish(slot.bucket, next_change) || self.is_current(slot);
        }
        let word = self.first(slot.bucket, slot.index);
        swap(word, print << 17 | slot.generation, slot.generation);
        false
    }

    /// Finishes the insertion that `change` announces; whether nobody else did.
    fn finish(&self, bucket: usize, change: u64) -> bool {
        let index = usize::try_from((change & 0xf).wrapping_sub(1)).unwrap_or(0).min(SLOTS - 1);
        let generation = change >> 4 & GENERATION;
        let word = self.first(bucket, index);
        let first = load(word);
        // Somebody else has finished it: what `first` shows may belong to a later owner.
        if load(self.change(bucket)) != change {
            return false;
        }
        let is_hidden = first & GENERATION == generation && first & LIVE == 0 && first >> 17 != 0;
        let is_mine = is_hidden && swap(word, first, first | LIVE);
        swap(self.change(bucket), change, change & !PENDING);
        is_mine
    }

    fn change(&self, bucket: usize) -> &'a AtomicU64 {
        self.word(bucket, CHANGE)
    }

    fn first(&self, bucket: usize, index: usize) -> &'a AtomicU64 {
        self.word(bucket, index)
    }

    #[allow(clippy::indexing_slicing, reason = "buckets are below `buckets`, words below the stride")]
    fn word(&self, bucket: usize, word: usize) -> &'a AtomicU64 {
        &self.words[bucket * self.shape.stride() + word]
    }
}

enum Taken {
    Slot(Slot),
    /// Somebody was quicker: the bucket has changed.
    Lost,
    Full,
}

/// The generation after `generation`; 0 is that of memory nobody has used.
const fn next(generation: u64) -> u64 {
    let next = (generation + 1) & GENERATION;
    if next == 0 { 1 } else { next }
}

const _: () = assert!(PRINT_BITS + 17 == 64 && SLOTS < 15);

#[cfg(test)]
mod tests {
    use crate::table::block::TICKS;
    use crate::table::fixture::{at, block};
    use crate::table::{Layout, Limit, Recorded, Ring};
    use core::time::Duration;
    use std::sync::atomic::Ordering::SeqCst;

    /// The generation of a slot comes again after 65 535 owners; the ones between may have left words alone.
    #[test]
    fn what_an_owner_of_the_same_generation_wrote_is_not_taken_for_the_present_ones() {
        let mut layout = Layout::new(1);
        let id = layout.windows(8, Ring::R8);
        let block = block(&layout);
        let limit = Limit { at_most: 8, per: Duration::from_secs(60) };
        let record =
            |key, ms| matches!(block.windows(id).record(key, limit, at(ms)), Recorded::Counted { .. });
        let (old, new) = (block.key(b"old"), block.key(b"new"));
        assert!((0..5).all(|_| record(old, 0)));
        block.windows(id).forget(old, at(0));
        // The next owner's generation will be 1 again, and only the end of the log of the first one is left.
        for word in block.mem() {
            match word.load(SeqCst) {
                2 => word.store(0, SeqCst),
                left if left >> 48 == 1 && left & TICKS != TICKS => word.store(0xffff << 48, SeqCst),
                _ => {}
            }
        }
        assert_eq!((0..20).filter(|_| record(new, 100_000)).count(), 8);
        assert_eq!(block.windows(id).peek(new, limit, at(100_000)).used, 8);
    }
}
