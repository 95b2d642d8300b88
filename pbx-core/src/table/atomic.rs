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
    use std::cell::{Cell, RefCell};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::Once;

    static SILENCE: Once = Once::new();

    thread_local! {
        static CHAOS: Cell<u64> = const { Cell::new(0) };
        static COUNTDOWN: Cell<u64> = const { Cell::new(0) };
        static AT_ZERO: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    }

    /// What a thread that dies unwinds with.
    struct Killed;

    /// From now on this thread yields before about every seventh step; 0 for no more.
    pub(crate) fn chaos(seed: u64) {
        CHAOS.set(seed);
    }

    /// Before this thread's `n`th atomic step from now, `other` runs: another worker's work, seen from this one.
    pub(crate) fn interrupt_before(n: u64, other: impl FnOnce() + 'static) {
        COUNTDOWN.set(n);
        AT_ZERO.set(Some(Box::new(other)));
    }

    /// No interruption any more; whether one was still to come.
    pub(crate) fn uninterrupted() -> bool {
        COUNTDOWN.set(0);
        AT_ZERO.take().is_some()
    }

    /// How many atomic steps `f` takes.
    pub(crate) fn steps(f: impl FnOnce()) -> u64 {
        interrupt_before(u64::MAX, || {});
        f();
        let left = COUNTDOWN.get();
        uninterrupted();
        u64::MAX - left
    }

    /// What `f` gives, unless its thread dies before its `n`th atomic step; with 0 it lives.
    pub(crate) fn dying_before<T>(n: u64, f: impl FnOnce() -> T) -> Option<T> {
        SILENCE.call_once(silence);
        interrupt_before(n, || std::panic::panic_any(Killed));
        let outcome = catch_unwind(AssertUnwindSafe(f));
        uninterrupted();
        match outcome {
            Ok(value) => Some(value),
            Err(death) if death.is::<Killed>() => None,
            Err(failure) => resume_unwind(failure),
        }
    }

    /// Deaths that were ordered are not reported.
    fn silence() {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Killed>() {
                report(info);
            }
        }));
    }

    pub(super) fn step() {
        let left = COUNTDOWN.get();
        COUNTDOWN.set(left.saturating_sub(1));
        if left == 1 {
            AT_ZERO.take().into_iter().for_each(|other| other());
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
