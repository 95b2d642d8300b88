//! Which tables stand in a block, in which order and size.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::ban;
use super::leases;
use super::replay;
use super::slots::{SLOTS, Shape};
use super::tries;

/// Memory for a block: heap ([`heap`]), shared memory, a mapped file.
pub type Words = Arc<dyn AsRef<[AtomicU64]> + Send + Sync>;

/// `words` zeroed words on the heap.
#[must_use]
pub fn heap(words: usize) -> Words {
    let memory: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
    Arc::new(memory)
}

/// How many events the log of a key holds: the largest N of "at most N in T" that it can count exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "sizes of the memory layout")]
pub enum Ring {
    /// 8 events.
    R8,
    /// 16 events.
    R16,
    /// 64 events.
    R64,
}

impl Ring {
    /// The number of events.
    #[must_use]
    pub const fn events(self) -> usize {
        match self {
            Self::R8 => 8,
            Self::R16 => 16,
            Self::R64 => 64,
        }
    }
}

/// Words before the first table: the block's own header, on two cache lines.
pub(super) const HEADER: usize = 16;
/// Words of a cache line. Blocks and buckets begin on one.
pub(super) const LINE: usize = 8;
/// Words at the head of each table: how often it was full, and what a kind of table counts for itself.
pub(super) const TABLE_HEAD: usize = LINE;

/// Which tables stand in a block. The same calls in the same order give the same layout; memory written under
/// another one is refused.
#[derive(Clone, Debug)]
pub struct Layout {
    schema: u32,
    digest: u64,
    words: usize,
    tables: Vec<(Kind, Place)>,
}

/// What the words of a table mean. The numbers are part of the layout's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Records = 32,
    Windows = 1,
    Rates = 2,
    Replay = 3,
    Bans = 4,
    Leases = 5,
    Tries = 6,
}

/// Where a table stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// First word of the table's head, counted from the block's header.
    pub(super) at: usize,
    pub(super) shape: Shape,
}

/// A table of windows within a layout.
#[derive(Clone, Copy, Debug)]
pub struct WindowsId(pub(super) Place);

/// A table of packet rates within a layout.
#[derive(Clone, Copy, Debug)]
pub struct RatesId(pub(super) Place);

/// A table of numbers used once within a layout.
#[derive(Clone, Copy, Debug)]
pub struct ReplayId(pub(super) Place);

/// A table of records within a layout.
#[derive(Clone, Copy, Debug)]
pub struct RecordsId(pub(super) Place);

/// A table of blocks within a layout.
#[derive(Clone, Copy, Debug)]
pub struct BansId(pub(super) Place, pub(super) Keeps);

/// A table of tries within a layout.
#[derive(Clone, Copy, Debug)]
pub struct TriesId(pub(super) Place);

/// A table of leases within a layout.
#[derive(Clone, Copy, Debug)]
pub struct LeasesId(pub(super) Place);

/// How long a table of blocks keeps its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// Until they end. Automatic ones do not get the first `reserved` slots of a bucket.
    ToTheEnd { reserved: usize },
    /// Until they end, or until others need the room.
    ForRoom,
}

impl Keeps {
    pub(super) const fn reserved(self) -> usize {
        match self {
            Self::ToTheEnd { reserved } => reserved,
            Self::ForRoom => 0,
        }
    }
}

impl Layout {
    /// No tables yet. `schema` is the embedder's own version of what its tables mean.
    #[must_use]
    pub const fn new(schema: u32) -> Self {
        Self { schema, digest: 0xcbf2_9ce4_8422_2325, words: HEADER, tables: Vec::new() }
    }

    /// Adds a table of exact windows for about `slots` keys at a time; sizes are rounded up to whole buckets.
    pub fn windows(&mut self, slots: u32, ring: Ring) -> WindowsId {
        WindowsId(self.place(Kind::Windows, slots, 1 + ring.events()))
    }

    /// Adds a table of packet rates for about `slots` keys at a time.
    pub fn rates(&mut self, slots: u32) -> RatesId {
        RatesId(self.place(Kind::Rates, slots, 1))
    }

    /// Adds a table of numbers used once for about `slots` keys at a time.
    pub fn replay(&mut self, slots: u32) -> ReplayId {
        ReplayId(self.place(Kind::Replay, slots, replay::PAYLOAD))
    }

    /// Adds a table of records of `width` values (at most [`RECORD`](super::RECORD)) for about `slots` keys at a
    /// time.
    pub fn records(&mut self, slots: u32, width: usize) -> RecordsId {
        RecordsId(self.place(Kind::Records, slots, 1 + width.min(super::RECORD)))
    }

    /// Adds a table of blocks for about `slots` entries that nothing automatic evicts. At least `manual_share`
    /// percent of the slots are for manual ones.
    pub fn bans(&mut self, slots: u32, manual_share: u8) -> BansId {
        let reserved = (usize::from(manual_share.min(100)) * SLOTS).div_ceil(100);
        BansId(self.place(Kind::Bans, slots, ban::PAYLOAD), Keeps::ToTheEnd { reserved })
    }

    /// Adds a table of blocks for about `slots` entries where those that end soonest make room for others: for
    /// sources that have not proved their address.
    pub fn holds(&mut self, slots: u32) -> BansId {
        BansId(self.place(Kind::Bans, slots, ban::PAYLOAD), Keeps::ForRoom)
    }

    /// Adds a table of leases for about `slots` keys at a time, of which each can have `width` at once: 1 to 64,
    /// others are taken for the nearest.
    pub fn leases(&mut self, slots: u32, width: u8) -> LeasesId {
        let width = usize::from(width.clamp(1, leases::WIDEST));
        LeasesId(self.place(Kind::Leases, slots, 1 + 2 * width))
    }

    /// Adds a table of tries for about `slots` keys at a time, which counts the failures in a log of `ring`.
    pub fn tries(&mut self, slots: u32, ring: Ring) -> TriesId {
        TriesId(self.place(Kind::Tries, slots, tries::payload(ring.events())))
    }

    /// Words of memory that a block of this layout needs, with room to begin on a cache line.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.words + LINE - 1
    }

    pub(super) const fn schema(&self) -> u32 {
        self.schema
    }

    /// Words from the header to the end of the last table.
    pub(super) const fn used(&self) -> usize {
        self.words
    }

    /// A number that differs for layouts that differ.
    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }

    /// Adds a table of a kind: `payload` words a slot beside the first one.
    pub(super) fn place(&mut self, kind: Kind, slots: u32, payload: usize) -> Place {
        let shape = Shape::new(slots, payload);
        let place = Place { at: self.words, shape };
        self.words += TABLE_HEAD + shape.words();
        for part in [kind as u64, u64::from(slots), payload as u64] {
            self.digest = (self.digest ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        }
        self.tables.push((kind, place));
        place
    }

    /// All tables, in order.
    pub(super) fn tables(&self) -> &[(Kind, Place)] {
        &self.tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_that_differ_have_different_digests() {
        let digest = |f: &dyn Fn(&mut Layout)| {
            let mut layout = Layout::new(1);
            f(&mut layout);
            layout.digest()
        };
        let a = digest(&|l| _ = l.windows(100, Ring::R8));
        assert_eq!(a, digest(&|l| _ = l.windows(100, Ring::R8)));
        assert_ne!(a, digest(&|l| _ = l.windows(101, Ring::R8)));
        assert_ne!(a, digest(&|l| _ = l.windows(100, Ring::R16)));
        assert_ne!(a, digest(&|_| {}));
    }

    #[test]
    fn an_exact_window_costs_24_bytes_and_8_an_event() {
        for ring in [Ring::R8, Ring::R16, Ring::R64] {
            let mut layout = Layout::new(1);
            layout.windows(8_000, ring);
            let bytes = 8 * (layout.used() - HEADER - TABLE_HEAD) / 8_000;
            assert!(bytes <= 24 + 8 * ring.events(), "{bytes} bytes a slot for {ring:?}");
        }
    }
}
