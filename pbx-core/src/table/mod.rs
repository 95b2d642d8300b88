//! Bounded tables over atomic words: everything that an attacker can grow.
//!
//! A [`Layout`] says which tables there are, a [`Block`] lays them into memory that the caller provides
//! ([`Words`]: heap, shared memory of forked workers, a mapped file). There is no lock that a killed worker
//! could leave held, no allocation after construction, and no pointer in the memory: a snapshot is a copy of
//! its words. Methods take `&self` and are exact across threads and processes.
//!
//! | table | for |
//! | --- | --- |
//! | [`Windows`] | "at most N in T", exactly |
//! | [`Tries`] | the same for guesses, of which those under way count, too |
//! | [`Rates`] | packets: one word a key, never more than N in T, and at times fewer |
//! | [`Leases`] | "at most M at once" |
//! | [`Bans`] | blocks until their time is over |
//! | [`Replay`] | numbers that may be used once |
//! | [`Records`] | a few words about a key until a given time |
//!
//! ```
//! use core::time::Duration;
//! use pbx_core::table::{Block, Layout, Limit, Recorded, Ring, heap};
//! use pbx_core::{Mono, Now, Wall};
//!
//! let mut layout = Layout::new(1);
//! let failures = layout.windows(1_000, Ring::R8);
//! let now = Now::new(Mono::from_secs(1), Wall::UNIX_EPOCH);
//! let block = Block::create(heap(layout.words()), &layout, [7; 16], 0, now).unwrap();
//!
//! let three_a_minute = Limit { at_most: 3, per: Duration::from_secs(60) };
//! let key = block.key(b"192.0.2.1");
//! for _ in 0..3 {
//!     assert!(matches!(block.windows(failures).record(key, three_a_minute, now), Recorded::Counted { .. }));
//! }
//! assert!(matches!(block.windows(failures).record(key, three_a_minute, now), Recorded::Full { .. }));
//! ```

mod atomic;
mod ban;
mod bans;
mod block;
mod clock;
mod counts;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod interleaved;
mod key;
#[cfg(test)]
mod killed;
mod layout;
mod lease;
mod leases;
mod rates;
mod records;
mod replay;
mod slots;
mod snapshot;
#[cfg(test)]
mod stress;
mod tries;
mod windows;
mod word;

pub use ban::Ban;
pub use bans::{Bans, Inserted};
pub use block::{Block, TableError};
pub use clock::WallJump;
pub use key::Key;
pub use layout::{
    BansId, Layout, LeasesId, RatesId, RecordsId, ReplayId, Ring, TriesId, WindowsId, Words, heap,
};
pub use leases::{Leased, Leases};
pub use rates::{Hit, Rates};
pub use records::{Entered, RECORD, Record, Records};
pub use replay::{Accepted, Replay};
pub use tries::{Begun, Failed, Tries, Try};
pub use windows::{Limit, Peeked, Recorded, Windows};
