//! Blocks that outlive what made them: attached again, written down, restored.
//!
//! A snapshot is the words of the block, little-endian, and a checksum. It is taken while others write, so its
//! words are not of one moment; see [`Block::repair`] for what makes them a block again.

use core::hash::Hasher;
use std::sync::atomic::Ordering::SeqCst;

use siphasher::sip::SipHasher13;

use super::block::{Block, Head, MAGIC, TableError, version};
use super::layout::{HEADER, Kind, Layout, Place, Words};
use super::slots::Slots;
use super::windows::Windows;
use crate::time::Now;

impl Block {
    /// Another handle on a block that is in `words` already: made by another process of this run of the machine,
    /// or left in a mapped file by an earlier run. Times go on where that run stopped, plus the civil time since.
    ///
    /// `boot` identifies the run as in [`Block::create`]. In a new run, the first to attach must have returned
    /// before others use the memory, because what was written back in part is repaired then.
    ///
    /// # Errors
    /// All of [`TableError`] except [`TableError::Damaged`].
    pub fn attach(words: Words, layout: &Layout, boot: u64, now: Now) -> Result<Self, TableError> {
        let block = Self::over(words, layout, [0, 0])?;
        let header: Vec<u64> = block.mem().iter().take(HEADER).map(|w| w.load(SeqCst)).collect();
        check_header(&header, layout)?;
        let block = block.with_own_secret();
        if !block.is_same_run(boot, now) {
            block.repair(layout);
            block.resume_clock(boot, now);
        }
        Ok(block)
    }

    /// The block as bytes, to be written to a file or sent to a stand-by. Events that are recorded meanwhile may
    /// be missing, all earlier ones are in it.
    ///
    /// It contains the secret of the block: whoever reads it can choose keys that collide. The checksum finds
    /// accidents, not forgeries.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((self.mem().len() + 1) * size_of::<u64>());
        self.note_time(now);
        self.mem().iter().for_each(|w| bytes.extend(w.load(SeqCst).to_le_bytes()));
        let sum = checksum(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }

    /// Lays a snapshot out in `words`, whose content is lost. Times go on as in [`Block::attach`].
    ///
    /// # Errors
    /// All of [`TableError`]; `words` are untouched then.
    pub fn restore(
        words: Words,
        layout: &Layout,
        snapshot: &[u8],
        boot: u64,
        now: Now,
    ) -> Result<Self, TableError> {
        let block = Self::over(words, layout, [0, 0])?;
        let image = image(snapshot, layout)?;
        // Made invalid first and valid last: memory that is filled in part is no block.
        block.head(Head::Magic).store(0, SeqCst);
        block.mem().iter().zip(&image).skip(1).for_each(|(word, &value)| word.store(value, SeqCst));
        block.repair(layout);
        if !block.is_same_run(boot, now) {
            block.resume_clock(boot, now);
        }
        block.head(Head::Magic).store(MAGIC, SeqCst);
        Ok(block.with_own_secret())
    }

    /// Makes every table consistent whose words were copied, or written back to a file, at different moments.
    /// Each was right at one: what carries the generation of its slot belongs to it, the rest is cleared. Nobody
    /// else may use the block meanwhile.
    fn repair(&self, layout: &Layout) {
        layout.tables().iter().for_each(|&(kind, place)| self.repair_table(kind, place));
    }

    fn repair_table(&self, kind: Kind, place: Place) {
        let area = self.area(place);
        let slots = Slots::new(area.slots, area.shape);
        slots.repair();
        match kind {
            Kind::Rates => {}
            Kind::Windows => slots.live().for_each(|slot| Windows::new(area).repair(slot)),
        }
    }
}

/// The words of a snapshot that is whole and of this layout.
fn image(snapshot: &[u8], layout: &Layout) -> Result<Vec<u64>, TableError> {
    let (words, rest) = snapshot.as_chunks();
    let mut image: Vec<u64> = words.iter().map(|&w| u64::from_le_bytes(w)).collect();
    check_header(&image, layout)?;
    let sum = image.pop();
    let content = snapshot.get(..image.len() * size_of::<u64>()).unwrap_or_default();
    let whole = rest.is_empty() && image.len() == layout.used() && sum == Some(checksum(content));
    if whole { Ok(image) } else { Err(TableError::Damaged) }
}

fn check_header(words: &[u64], layout: &Layout) -> Result<(), TableError> {
    let found = |word: Head| words.get(word as usize).copied();
    if found(Head::Magic) != Some(MAGIC) {
        return Err(TableError::Foreign);
    }
    let expected = version(layout);
    match (found(Head::Version), found(Head::Layout)) {
        (Some(version), _) if version != expected => Err(TableError::Version { found: version, expected }),
        (Some(_), Some(digest)) if digest == layout.digest() => Ok(()),
        (Some(_), Some(_)) => Err(TableError::Layout),
        _ => Err(TableError::Damaged),
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}
