//! All the ways in which another worker's updates can fall between the atomic steps of one: the outcome must
//! always be that of some order of whole updates.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

use super::atomic::injected::{dying_before, interrupt_before, steps, uninterrupted};
use super::fixture::{at, block};
use super::*;

const LIMIT: Limit = Limit { at_most: 8, per: core::time::Duration::from_millis(100) };

#[derive(Clone, Copy, Debug, PartialEq)]
enum Update {
    Record(u64),
    /// Recorded by a worker that stops before its last step: its entry stands and the sequence is behind.
    Leave(u64),
    Forget(u64),
    Peek(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Recorded(Recorded),
    Peeked(Peeked),
    Done,
}

/// What the updates gave, and what their keys hold afterwards.
type Seen = (Outcome, Vec<Outcome>, Vec<Peeked>);

#[derive(Clone)]
struct World {
    block: Block,
    layout: Layout,
    id: WindowsId,
}

impl World {
    /// A bucket of eight slots with `events` of (key, how many, when).
    fn new(events: &[(u64, u32, u64)]) -> Self {
        let mut layout = Layout::new(1);
        let id = layout.windows(8, Ring::R8);
        let world = Self { block: block(&layout), layout, id };
        for &(key, times, ms) in events {
            (0..times).for_each(|_| _ = world.table().record(world.key(key), LIMIT, at(ms)));
        }
        world
    }

    /// The same in other memory.
    fn copy(&self) -> Self {
        let copy = Self { block: block(&self.layout), ..self.clone() };
        copy.block
            .mem()
            .iter()
            .zip(self.block.mem())
            .for_each(|(to, from)| to.store(from.load(SeqCst), SeqCst));
        copy
    }

    fn table(&self) -> Windows<'_> {
        self.block.windows(self.id)
    }

    fn key(&self, n: u64) -> Key {
        self.block.key(&n.to_be_bytes())
    }

    fn run(&self, update: Update) -> Outcome {
        match update {
            Update::Record(n) => Outcome::Recorded(self.table().record(self.key(n), LIMIT, at(1_000))),
            Update::Leave(n) => {
                let record = |world: &Self| _ = world.run(Update::Record(n));
                let copy = self.copy();
                let last = steps(|| record(&copy));
                dying_before(last, || record(self));
                Outcome::Done
            }
            Update::Peek(n) => Outcome::Peeked(self.table().peek(self.key(n), LIMIT, at(1_000))),
            Update::Forget(n) => {
                self.table().forget(self.key(n), at(1_000));
                Outcome::Done
            }
        }
    }

    fn keys(&self) -> Vec<Peeked> {
        [1, 2, 50, 51].map(|n| self.table().peek(self.key(n), LIMIT, at(1_000))).to_vec()
    }
}

/// `update`, with `others` before and after it as whole updates.
fn in_order(events: &[(u64, u32, u64)], update: Update, before: &[Update], after: &[Update]) -> Seen {
    let world = World::new(events);
    let mut outcomes: Vec<_> = before.iter().map(|&other| world.run(other)).collect();
    let outcome = world.run(update);
    outcomes.extend(after.iter().map(|&other| world.run(other)));
    (outcome, outcomes, world.keys())
}

/// `update`, with the first of `others` before its step `first` and the rest `second` steps later; and whether
/// it has so many steps.
fn interleaved(
    events: &[(u64, u32, u64)],
    update: Update,
    others: [&[Update]; 2],
    steps: [u64; 2],
) -> (Seen, bool) {
    let world = World::new(events);
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let [now, later] = others.map(|others| {
        let (world, outcomes, others) = (world.clone(), Rc::clone(&outcomes), others.to_vec());
        move || others.into_iter().for_each(|other| outcomes.borrow_mut().push(world.run(other)))
    });
    interrupt_before(steps[0], move || {
        now();
        interrupt_before(steps[1], later);
    });
    let outcome = world.run(update);
    let complete = !uninterrupted();
    let outcomes = outcomes.take();
    ((outcome, outcomes, world.keys()), complete)
}

/// Every way to put `others` between the steps of `update` gives what some order of them gives.
fn check(events: &[(u64, u32, u64)], update: Update, others: &[Update]) -> u64 {
    let orders: Vec<Seen> = (0..=others.len())
        .map(|place| others.split_at(place))
        .map(|(before, after)| in_order(events, update, before, after))
        .collect();
    let mut cases = 0;
    for split in 1..=others.len() {
        let (now, later) = others.split_at(split);
        for first in 1.. {
            let mut reached = false;
            // Every seventh one, in turn: pairs of steps are many.
            for second in (1 + first % 7..).step_by(7) {
                let (seen, complete) = interleaved(events, update, [now, later], [first, second]);
                if !complete {
                    break;
                }
                reached = true;
                cases += 1;
                assert!(
                    orders.contains(&seen),
                    "{events:?}: {update:?} with {now:?} before step {first} and {later:?} {second} later: \
                     {seen:?}, in order {orders:?}"
                );
                if later.is_empty() {
                    break;
                }
            }
            if !reached {
                break;
            }
        }
    }
    cases
}

/// States of the bucket: key 1 unknown, known, full, with a full window that has passed; all slots taken and
/// one, or two, or none to be had.
fn states() -> Vec<Vec<(u64, u32, u64)>> {
    let others = |ages: [u64; 7]| (2..9).zip(ages).map(|(n, ms)| (n, 2, ms));
    vec![
        vec![],
        vec![(1, 7, 950)],
        vec![(1, 8, 950)],
        vec![(1, 8, 100)],
        vec![(1, 8, 100), (1, 5, 950)],
        others([950; 7]).chain([(1, 3, 100)]).collect(),
        others([100, 100, 950, 950, 950, 950, 950]).chain([(1, 3, 950)]).collect(),
        others([950; 7]).chain([(1, 3, 950)]).collect(),
        others([950, 950, 950, 950, 950, 950, 100]).collect(),
    ]
}

const UPDATES: [Update; 7] = [
    Update::Record(1),
    Update::Leave(1),
    Update::Record(50),
    Update::Record(51),
    Update::Forget(1),
    Update::Forget(2),
    Update::Peek(1),
];

#[test]
fn an_update_within_another_is_as_good_as_before_or_after_it() {
    let mut cases = 0;
    for events in states() {
        for update in UPDATES.into_iter().filter(|&update| update != Update::Leave(1)) {
            cases += UPDATES.iter().map(|&other| check(&events, update, &[other])).sum::<u64>();
        }
    }
    assert!(cases > 5_000, "{cases}");
}

#[test]
fn two_updates_within_another_are_as_good_as_in_some_order() {
    let mut cases = 0;
    for events in states() {
        for update in [Update::Record(1), Update::Record(50), Update::Forget(1)] {
            for first in UPDATES {
                cases += UPDATES.iter().map(|&other| check(&events, update, &[first, other])).sum::<u64>();
            }
        }
    }
    assert!(cases > 50_000, "{cases}");
}
