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
        // The clocks go into the copy only: a jump is for `refresh` to report.
        let times = self.times(now).map(|(word, value)| (word as usize, value));
        for (place, word) in self.mem().iter().enumerate() {
            let time = times.iter().find(|(at, _)| *at == place);
            bytes.extend(time.map_or_else(|| word.load(SeqCst), |&(_, time)| time).to_le_bytes());
        }
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
            Kind::Rates | Kind::Replay | Kind::Bans | Kind::Leases => {}
            Kind::Records => slots.live().for_each(|slot| super::Records::new(area).repair(slot)),
            Kind::Tries => slots.live().for_each(|slot| super::Tries::new(area).repair(slot)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::atomic::injected::dying_before;
    use crate::table::layout::TABLE_HEAD;
    use crate::table::{Limit, Peeked, Recorded, Ring, WindowsId, heap};
    use crate::time::{Mono, Wall};
    use core::time::Duration;
    use proptest::prelude::*;

    const LIMIT: Limit = Limit { at_most: 6, per: Duration::from_secs(60) };

    fn layout() -> (Layout, WindowsId) {
        let mut layout = Layout::new(1);
        let id = layout.windows(8, Ring::R8);
        (layout, id)
    }

    fn at(ms: u64) -> Now {
        Now::new(Mono::from_millis(1_000_000 + ms), Wall::from_unix_millis(1_700_000_000_000 + ms as i64))
    }

    /// The same civil time in another run of the machine.
    fn rebooted(now: Now) -> Now {
        Now::new(Mono::from_millis(now.mono.as_millis() - 993_000), now.wall)
    }

    fn block() -> (Layout, WindowsId, Block, Words) {
        let (layout, id) = layout();
        let words = heap(layout.words());
        let block = Block::create(words.clone(), &layout, [9; 16], 1, at(0)).unwrap();
        (layout, id, block, words)
    }

    /// How many of `tries` pass now.
    fn pass(block: &Block, id: WindowsId, subject: &[u8], tries: u32, now: Now) -> u32 {
        let counted = |_: &u32| {
            matches!(block.windows(id).record(block.key(subject), LIMIT, now), Recorded::Counted { .. })
        };
        (0..tries).filter(counted).count() as u32
    }

    fn content(words: &Words) -> Vec<u64> {
        (**words).as_ref().iter().map(|w| w.load(SeqCst)).collect()
    }

    #[test]
    fn another_handle_on_the_same_memory_counts_on() {
        let (layout, id, block, words) = block();
        assert_eq!(pass(&block, id, b"a", 4, at(0)), 4);
        let before = content(&words);
        let other = Block::attach(words.clone(), &layout, 1, at(1_000)).unwrap();
        assert_eq!(content(&words), before, "others may be at work");
        assert_eq!(pass(&other, id, b"a", 9, at(1_000)), 2);
        assert_eq!(pass(&block, id, b"a", 1, at(1_000)), 0);
    }

    #[test]
    fn memory_of_an_earlier_run_counts_on_where_that_stopped() {
        let (layout, id, block, words) = block();
        assert_eq!(pass(&block, id, b"a", 6, at(0)), 6);
        assert_eq!(block.refresh(at(500)), None);
        drop(block);
        let block = Block::attach(words, &layout, 2, rebooted(at(59_998))).unwrap();
        assert_eq!(pass(&block, id, b"a", 1, rebooted(at(59_998))), 0);
        let key = block.key(b"a");
        let full = Peeked { used: 6, retry_at: Some(rebooted(at(60_000)).mono) };
        assert_eq!(block.windows(id).peek(key, LIMIT, rebooted(at(59_999))), full);
        assert_eq!(pass(&block, id, b"a", 1, rebooted(at(60_000))), 1);
    }

    #[test]
    fn memory_that_is_not_ours_is_refused() {
        let (layout, _, block, words) = block();
        let attach = |words: Words, layout: &Layout| Block::attach(words, layout, 1, at(0)).map(|_| ());
        assert_eq!(attach(words.clone(), &layout), Ok(()));
        assert_eq!(attach(heap(layout.words()), &layout), Err(TableError::Foreign));
        assert!(matches!(attach(heap(9), &layout), Err(TableError::TooSmall { given: 9, .. })));
        assert!(matches!(attach(words.clone(), &Layout::new(2)), Err(TableError::Version { .. })));
        assert_eq!(attach(words.clone(), &Layout::new(1)), Err(TableError::Layout));
        block.head(Head::Magic).store(0, SeqCst);
        assert_eq!(attach(words, &layout), Err(TableError::Foreign));
    }

    #[test]
    fn a_restored_block_counts_on() {
        let (layout, id, block, _) = block();
        assert_eq!(pass(&block, id, b"a", 4, at(0)), 4);
        let snapshot = block.snapshot(at(10_000));
        assert_eq!(pass(&block, id, b"a", 1, at(10_000)), 1);
        for now in [at(20_000), rebooted(at(20_000))] {
            let boot = u64::from(now.mono < at(0).mono) + 1;
            let restored = Block::restore(heap(layout.words()), &layout, &snapshot, boot, now).unwrap();
            assert_eq!(restored.key(b"a"), block.key(b"a"));
            assert_eq!(pass(&restored, id, b"a", 9, now), 2);
            assert_eq!(pass(&restored, id, b"a", 9, now.after(Duration::from_millis(39_999))), 0);
            assert_eq!(pass(&restored, id, b"a", 9, now.after(Duration::from_secs(40))), 4);
        }
    }

    #[test]
    fn a_civil_clock_that_was_set_before_a_snapshot_is_no_time_that_passed() {
        let (layout, id, block, _) = block();
        assert_eq!(pass(&block, id, b"a", 6, at(0)), 6);
        let set = Now::new(at(1_000).mono, at(3_600_000).wall);
        let snapshot = block.snapshot(set);
        let now = rebooted(set).after(Duration::from_secs(58));
        let restored = Block::restore(heap(layout.words()), &layout, &snapshot, 2, now).unwrap();
        assert_eq!(pass(&restored, id, b"a", 1, now), 0);
        assert_eq!(pass(&restored, id, b"a", 1, now.after(Duration::from_secs(1))), 1);
        assert!(block.refresh(set).is_some(), "a snapshot reports no jump and hides none");
    }

    #[test]
    fn a_snapshot_of_a_restored_block_is_the_same() {
        let (layout, id, block, _) = block();
        assert_eq!(pass(&block, id, b"a", 4, at(0)), 4);
        let first = block.snapshot(at(1));
        let restored = Block::restore(heap(layout.words()), &layout, &first, 1, at(1)).unwrap();
        assert_eq!(restored.snapshot(at(1)), first);
    }

    #[test]
    fn a_snapshot_with_any_byte_changed_or_missing_is_refused_and_the_memory_left_alone() {
        let (layout, id, block, _) = block();
        assert_eq!(pass(&block, id, b"a", 4, at(0)), 4);
        let good = block.snapshot(at(0));
        let words = heap(layout.words());
        let refused = |bytes: &[u8]| Block::restore(words.clone(), &layout, bytes, 1, at(0)).is_err();
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0x10;
            assert!(refused(&bad), "byte {i} changed");
            assert!(refused(&good[..i]), "cut after {i}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(refused(&longer));
        assert!(content(&words).iter().all(|&w| w == 0));
        assert!(!refused(&good));
    }

    #[test]
    fn a_snapshot_of_another_layout_or_version_is_told_apart() {
        let (_, _, block, _) = block();
        let snapshot = block.snapshot(at(0));
        let refused = |layout: &Layout, bytes: &[u8]| {
            Block::restore(heap(layout.words()), layout, bytes, 1, at(0)).map(|_| ()).unwrap_err()
        };
        let mut other = Layout::new(1);
        other.windows(8, Ring::R16);
        assert_eq!(refused(&other, &snapshot), TableError::Layout);
        assert!(matches!(refused(&Layout::new(2), &snapshot), TableError::Version { .. }));
        assert_eq!(refused(&layout().0, &snapshot[8..]), TableError::Foreign);
        assert_eq!(refused(&layout().0, &snapshot[..20]), TableError::Damaged);
    }

    /// What happens to a key: recorded at a time, or forgotten, by a worker that may die of it.
    #[derive(Clone, Debug)]
    struct Step {
        key: u8,
        forget: bool,
        pause: u64,
        dies: u64,
    }

    fn steps(n: usize) -> impl Strategy<Value = Vec<Step>> {
        let pause = prop_oneof![4 => 0..4_000_u64, 1 => 50_000..70_000_u64];
        let dies = prop_oneof![3 => Just(0), 1 => 1..80_u64];
        let step = (0..10_u8, prop::bool::weighted(0.05), pause, dies);
        let step = step.prop_map(|(key, forget, pause, dies)| Step { key, forget, pause, dies });
        prop::collection::vec(step, 0..n)
    }

    /// Places in the memory, half of them among the first words.
    fn places() -> impl Strategy<Value = usize> {
        prop_oneof![24..33_usize, 0..112_usize]
    }

    /// Does `step` and notes in `logs` when its event was recorded.
    fn run(block: &Block, id: WindowsId, step: &Step, ms: &mut u64, logs: &mut [Vec<u64>; 10]) {
        *ms += step.pause;
        let (log, key, table) = (&mut logs[usize::from(step.key)], block.key(&[step.key]), block.windows(id));
        if step.forget {
            dying_before(step.dies, || table.forget(key, at(*ms)));
            log.clear();
        } else if let Some(Recorded::Counted { .. }) =
            dying_before(step.dies, || table.record(key, LIMIT, at(*ms)))
        {
            log.push(*ms);
        }
    }

    /// Whether the live first words of the only bucket all have different fingerprints.
    fn no_key_twice(block: &Block) -> bool {
        let first = block.mem()[HEADER + TABLE_HEAD..].iter().take(8).map(|w| w.load(SeqCst));
        let mut prints: Vec<u64> = first.filter(|w| w & 1 << 16 != 0).map(|w| w >> 17).collect();
        prints.sort_unstable();
        prints.windows(2).all(|w| w[0] != w[1])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Ten keys on one bucket of eight slots, so that keys move while the words are copied. None may pass
        /// more often after the restoration than its events before the copying leave room for.
        #[test]
        fn what_was_recorded_before_the_copying_is_in_the_copy(
            before in steps(40),
            during in prop::collection::vec((places(), steps(6)), 0..20),
        ) {
            let (layout, id, block, _) = block();
            let (mut ms, mut logs) = (0, Default::default());
            before.iter().for_each(|step| run(&block, id, step, &mut ms, &mut logs));
            let old = logs.clone();
            let times = block.times(at(ms)).map(|(word, value)| (block.head(word), value));
            times.into_iter().for_each(|(word, value)| word.store(value, SeqCst));
            let mut bytes = Vec::new();
            for (i, word) in block.mem().iter().enumerate() {
                for (_, steps) in during.iter().filter(|(place, _)| *place == i) {
                    steps.iter().for_each(|step| run(&block, id, step, &mut ms, &mut logs));
                }
                bytes.extend(word.load(SeqCst).to_le_bytes());
            }
            bytes.extend(checksum(&bytes).to_le_bytes());

            let restored = Block::restore(heap(layout.words()), &layout, &bytes, 1, at(ms)).unwrap();
            prop_assert!(no_key_twice(&restored));
            for (key, log) in old.iter().enumerate() {
                let forgotten = during.iter().flat_map(|(_, s)| s).any(|s| s.forget && usize::from(s.key) == key);
                let inside = log.iter().filter(|&&t| t + 60_000 > ms).count() as u32;
                let passed = pass(&restored, id, &[key as u8], 9, at(ms));
                prop_assert!(forgotten || passed <= 6 - inside, "key {key}: {passed} besides {inside}");
            }
        }
    }
}
