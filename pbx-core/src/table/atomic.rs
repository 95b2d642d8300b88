//! The atomic steps that every update of a table is made of.
//!
//! They are functions so that tests can stop a worker before any of them: a thread that yields there, or dies
//! there, shows what a descheduled or killed process would leave behind.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

#[inline]
pub(super) fn load(word: &AtomicU64) -> u64 {
    step();
    word.load(SeqCst)
}

/// Puts `new` where `old` still stands; whether it did.
#[inline]
pub(super) fn swap(word: &AtomicU64, old: u64, new: u64) -> bool {
    step();
    word.compare_exchange(old, new, SeqCst, SeqCst).is_ok()
}

#[inline]
pub(super) fn raise(word: &AtomicU64, to: u64) {
    step();
    word.fetch_max(to, SeqCst);
}

#[inline]
pub(super) fn count(word: &AtomicU64) {
    step();
    word.fetch_add(1, SeqCst);
}

#[cfg(not(test))]
#[inline(always)]
fn step() {}

#[cfg(test)]
use injected::step;

/// What tests do between the steps.
#[cfg(test)]
pub(super) mod injected {
    use std::cell::Cell;

    thread_local! {
        static CHAOS: Cell<u64> = const { Cell::new(0) };
        static DIES_IN: Cell<u64> = const { Cell::new(0) };
    }

    /// What a thread that dies unwinds with.
    pub(crate) struct Killed;

    /// From now on this thread yields before about every seventh step.
    pub(crate) fn chaos(seed: u64) {
        CHAOS.set(seed | 1);
    }

    /// This thread dies before its `n`th step from now, by a panic with [`Killed`]; 0 for never.
    pub(crate) fn die_before(n: u64) {
        DIES_IN.set(n);
    }

    pub(super) fn step() {
        match DIES_IN.get() {
            0 => {}
            1 => {
                DIES_IN.set(0);
                std::panic::panic_any(Killed);
            }
            n => DIES_IN.set(n - 1),
        }
        let mut x = CHAOS.get();
        if x != 0 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            CHAOS.set(x);
            if x.is_multiple_of(7) {
                std::thread::yield_now();
            }
        }
    }
}
