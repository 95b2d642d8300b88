//! What the tests of the tables share.

use std::sync::Barrier;

use super::atomic::injected::chaos;
use super::{Block, Layout, heap};
use crate::time::{Mono, Now, Wall};

/// The time `ms` milliseconds after the hour at which [`block`] makes its block.
pub(super) fn at(ms: u64) -> Now {
    Now::new(Mono::from_millis(3_600_000 + ms), Wall::from_unix_millis(1_772_445_600_000))
}

pub(super) fn block(layout: &Layout) -> Block {
    Block::create(heap(layout.words()), layout, [7; 16], 1, at(0)).unwrap()
}

/// What `work` gives in each of 8 threads that start together and yield between their atomic steps.
pub(super) fn together<T: Send>(seed: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(8);
    let run = |thread: u64| {
        chaos((seed << 3 | thread).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        start.wait();
        work(thread)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                scope.spawn({
                    let run = &run;
                    move || run(thread)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
