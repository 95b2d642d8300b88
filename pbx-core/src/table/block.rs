//! A block of memory with its header, and the tables in it.

use core::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::atomic::{count, load, raise};
use super::bans::Bans;
use super::clock::Clock;
use super::key::Key;
use super::layout::{
    BansId, HEADER, LINE, Layout, LeasesId, Place, RatesId, ReplayId, TABLE_HEAD, TriesId, WindowsId, Words,
};
use super::leases::Leases;
use super::rates::Rates;
use super::replay::Replay;
use super::tries::Tries;
use super::windows::Windows;
use crate::time::{Mono, Now};

/// "PBXTABLE" in ASCII: what memory of ours begins with.
pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"PBXTABLE");
/// Version of how tables are laid out and what their words mean.
const VERSION: u32 = 1;
/// Times are 40 bits of milliseconds; the largest is no time.
pub(super) const TICKS: u64 = (1 << 40) - 1;

/// Words of the header.
#[derive(Clone, Copy)]
pub(super) enum Head {
    Magic,
    Version,
    Layout,
    Secret0,
    Secret1,
    Boot,
    /// What is added to the milliseconds of `now.mono` to give ticks.
    Offset,
    /// The last tick seen.
    LastTick,
    /// How many milliseconds civil time was ahead of the ticks then.
    WallLead,
}

/// Why memory cannot be used as a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Fewer words than the layout needs.
    #[error("the memory has {given} words, the layout needs {needed}")]
    TooSmall {
        /// Words there are.
        given: usize,
        /// Words needed.
        needed: usize,
    },
    /// It does not begin as memory of ours does.
    #[error("this is no state memory, or its making was not finished")]
    Foreign,
    /// Written by a version whose words mean something else.
    #[error("the state was written by another version ({found:#x} instead of {expected:#x})")]
    Version {
        /// What was found.
        found: u64,
        /// What this version writes.
        expected: u64,
    },
    /// Written under another layout: other sizes or other tables.
    #[error("the state was written with other table sizes")]
    Layout,
    /// Cut off or changed.
    #[error("the snapshot is damaged")]
    Damaged,
}

/// Memory with the tables of a [`Layout`] in it. Cloning gives another handle on the same memory.
#[derive(Clone)]
pub struct Block {
    words: Words,
    /// First word of the header: blocks begin on a cache line.
    start: usize,
    used: usize,
    secret: [u64; 2],
}

impl Block {
    /// Lays the tables out in `words`, whose content is lost. `secret` keys the hash of this block: 16 bytes that
    /// nobody can guess. `boot` identifies the run of the machine that `now.mono` counts in (on Linux
    /// `/proc/sys/kernel/random/boot_id`).
    ///
    /// # Errors
    /// [`TableError::TooSmall`].
    pub fn create(
        words: Words,
        layout: &Layout,
        secret: [u8; 16],
        boot: u64,
        now: Now,
    ) -> Result<Self, TableError> {
        let (low, high) = halves(secret);
        let block = Self::over(words, layout, [low, high])?;
        block.mem().iter().for_each(|w| w.store(0, SeqCst));
        block.head(Head::Version).store(version(layout), SeqCst);
        block.head(Head::Layout).store(layout.digest(), SeqCst);
        block.head(Head::Secret0).store(low, SeqCst);
        block.head(Head::Secret1).store(high, SeqCst);
        block.start_clock(boot, now);
        // Last, so that memory whose making was cut short is not taken for a block.
        block.head(Head::Magic).store(MAGIC, SeqCst);
        Ok(block)
    }

    /// The key of a subject under this block's secret.
    #[must_use]
    pub fn key(&self, subject: &[u8]) -> Key {
        Key::new(self.secret, subject)
    }

    /// A table of records.
    #[must_use]
    pub fn records(&self, id: super::RecordsId) -> super::Records<'_> {
        super::Records::new(self.area(id.0))
    }

    /// A table of exact windows.
    #[must_use]
    pub fn windows(&self, id: WindowsId) -> Windows<'_> {
        Windows::new(self.area(id.0))
    }

    /// A table of packet rates.
    #[must_use]
    pub fn rates(&self, id: RatesId) -> Rates<'_> {
        Rates::new(self.area(id.0))
    }

    /// A table of numbers used once.
    #[must_use]
    pub fn replay(&self, id: ReplayId) -> Replay<'_> {
        Replay::new(self.area(id.0))
    }

    /// A table of blocks.
    #[must_use]
    pub fn bans(&self, id: BansId) -> Bans<'_> {
        Bans::new(self.area(id.0), id.1)
    }

    /// A table of leases.
    #[must_use]
    pub fn leases(&self, id: LeasesId) -> Leases<'_> {
        Leases::new(self.area(id.0))
    }

    /// A table of tries.
    #[must_use]
    pub fn tries(&self, id: TriesId) -> Tries<'_> {
        Tries::new(self.area(id.0))
    }

    /// A handle on memory of the right size, whatever is in it.
    pub(super) fn over(words: Words, layout: &Layout, secret: [u64; 2]) -> Result<Self, TableError> {
        let memory: &[AtomicU64] = (*words).as_ref();
        let given = memory.len();
        let start = memory.as_ptr().align_offset(LINE * size_of::<u64>());
        let used = layout.used();
        if start > given || given - start < used {
            return Err(TableError::TooSmall { given, needed: used + start.min(LINE) });
        }
        Ok(Self { words: Arc::clone(&words), start, used, secret })
    }

    /// The same block with the secret that its memory holds.
    pub(super) fn with_own_secret(self) -> Self {
        let secret = [Head::Secret0, Head::Secret1].map(|word| self.head(word).load(SeqCst));
        Self { secret, ..self }
    }

    /// The words of the header and the tables.
    pub(super) fn mem(&self) -> &[AtomicU64] {
        let memory: &[AtomicU64] = (*self.words).as_ref();
        memory.get(self.start..self.start + self.used).unwrap_or_default()
    }

    #[allow(clippy::indexing_slicing, reason = "`over` made sure of the length, which is at least HEADER")]
    pub(super) fn head(&self, word: Head) -> &AtomicU64 {
        const { assert!((Head::WallLead as usize) < HEADER) };
        &self.mem()[word as usize]
    }

    pub(super) fn area(&self, place: Place) -> Area<'_> {
        let end = place.at + TABLE_HEAD + place.shape.words();
        let words = self.mem().get(place.at..end).unwrap_or_default();
        let (head, slots) = words.split_at_checked(TABLE_HEAD).unwrap_or_default();
        Area { head, slots, shape: place.shape, clock: self.clock() }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("words", &self.used).finish_non_exhaustive()
    }
}

/// The memory of one table, and the time base of its block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area<'a> {
    pub(super) head: &'a [AtomicU64],
    pub(super) slots: &'a [AtomicU64],
    pub(super) shape: super::slots::Shape,
    clock: Clock,
}

impl Area<'_> {
    /// `mono` as ticks of the tables, below [`TICKS`].
    pub(super) fn tick(&self, mono: Mono) -> u64 {
        self.clock.tick(mono)
    }

    /// Back from ticks.
    pub(super) fn mono(&self, tick: u64) -> Mono {
        self.clock.mono(tick)
    }

    /// The longest window that the table was ever asked with, `window` included: in ticks.
    pub(super) fn longest(&self, window: u64) -> u64 {
        let Some(word) = self.head.get(1) else { return window };
        let longest = load(word);
        if longest < window {
            raise(word, window);
        }
        longest.max(window)
    }

    /// Notes that a bucket was full.
    pub(super) fn note_pressure(&self) {
        self.head.first().into_iter().for_each(count);
    }

    /// How often a bucket was full.
    pub(super) fn pressure(&self) -> u64 {
        self.head.first().map_or(0, |w| w.load(SeqCst))
    }
}

pub(super) fn version(layout: &Layout) -> u64 {
    u64::from(VERSION) << 32 | u64::from(layout.schema())
}

fn halves(secret: [u8; 16]) -> (u64, u64) {
    let whole = u128::from_le_bytes(secret);
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
    (half(whole), half(whole >> 64))
}
