//! All the ways in which another worker's updates can fall between the atomic steps of one: the outcome must
//! always be that of some order of whole updates.

use core::fmt::Debug;
use core::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

use super::atomic::injected::{dying_before, interrupt_before, steps, uninterrupted};
use super::fixture::{at, block};
use super::*;
use crate::time::{Mono, Now};

/// What may be done to a table, and how.
struct Play<U> {
    layout: Layout,
    /// Does an update at a time and tells what it gave.
    run: fn(&Block, U, Now) -> String,
    /// What is done in the end to see what the table holds.
    see: Vec<U>,
}

/// The updates that make a state of the table, each with its time in ms.
type State<U> = Vec<(U, u64)>;

impl<U: Copy + Debug + 'static> Play<U> {
    fn start(&self, state: &State<U>) -> Block {
        let block = block(&self.layout);
        state.iter().for_each(|&(update, ms)| _ = (self.run)(&block, update, at(ms)));
        block
    }

    fn all(&self, block: &Block, updates: &[U]) -> Vec<String> {
        updates.iter().map(|&update| (self.run)(block, update, at(1_000))).collect()
    }

    /// What `update` gives, and then all others, when it comes after so many of the others.
    fn in_order(&self, state: &State<U>, update: U, others: &[U], place: usize) -> Vec<String> {
        let block = self.start(state);
        let (before, after) = others.split_at(place);
        let before = self.all(&block, before);
        let mut outcomes = self.all(&block, &[update]);
        outcomes.extend(before);
        outcomes.extend(self.all(&block, after));
        outcomes.extend(self.all(&block, &self.see));
        outcomes
    }

    /// What they give with the first of `others` before the step `first` of `update` and the rest `second`
    /// steps later; `None` when it has not so many steps.
    fn interleaved(
        &self,
        state: &State<U>,
        update: U,
        others: [&[U]; 2],
        [first, second]: [u64; 2],
    ) -> Option<Vec<String>> {
        let block = self.start(state);
        let (outcomes, is_later) = (Rc::new(RefCell::new(Vec::new())), !others[1].is_empty());
        let [now, later] = others.map(|others| {
            let (block, outcomes, others, run) =
                (block.clone(), Rc::clone(&outcomes), others.to_vec(), self.run);
            move || {
                others.into_iter().for_each(|other| outcomes.borrow_mut().push(run(&block, other, at(1_000))))
            }
        });
        interrupt_before(first, move || {
            now();
            if is_later {
                interrupt_before(second, later);
            }
        });
        let mut all = self.all(&block, &[update]);
        if uninterrupted() {
            return None;
        }
        all.extend(outcomes.take());
        all.extend(self.all(&block, &self.see));
        Some(all)
    }

    /// Every way to put `others` between the steps of `update` gives what some order of them gives. Of the
    /// second steps every seventh is tried, in turn: pairs of steps are many. How many ways there were.
    fn check(&self, state: &State<U>, update: U, others: &[U]) -> usize {
        let orders: Vec<_> =
            (0..=others.len()).map(|place| self.in_order(state, update, others, place)).collect();
        let mut cases = 0;
        for split in 1..=others.len() {
            let (now, later) = others.split_at(split);
            let seconds = if later.is_empty() { 1 } else { usize::MAX };
            for first in 1.. {
                let cases_before = cases;
                for second in (1 + first % 7..).step_by(7).take(seconds) {
                    let Some(seen) = self.interleaved(state, update, [now, later], [first, second]) else {
                        break;
                    };
                    cases += 1;
                    assert!(
                        orders.contains(&seen),
                        "{state:?}: {update:?} with {now:?} before step {first} and {later:?} {second} later: \
                         {seen:?}, in order {orders:?}"
                    );
                }
                if cases == cases_before {
                    break;
                }
            }
        }
        cases
    }

    /// Every pair of updates, of which one of `outer` is the one that is interrupted.
    fn check_pairs(&self, states: &[State<U>], outer: &[U], updates: &[U]) -> usize {
        let pairs = |state| outer.iter().map(move |&update| (state, update));
        let check =
            |(state, update)| updates.iter().map(|&other| self.check(state, update, &[other])).sum::<usize>();
        states.iter().flat_map(pairs).map(check).sum()
    }

    /// Every three updates likewise.
    fn check_triples(&self, states: &[State<U>], outer: &[U], updates: &[U]) -> usize {
        let pairs: Vec<[U; 2]> =
            updates.iter().flat_map(|&one| updates.iter().map(move |&two| [one, two])).collect();
        let triples = |state| outer.iter().map(move |&update| (state, update));
        let check =
            |(state, update)| pairs.iter().map(|others| self.check(state, update, others)).sum::<usize>();
        states.iter().flat_map(triples).map(check).sum()
    }
}

const LIMIT: Limit = Limit { at_most: 8, per: Duration::from_millis(100) };

fn key(block: &Block, n: u64) -> Key {
    block.key(&n.to_be_bytes())
}

/// States of a bucket of eight slots in which `touch` leaves something about a key for 100 ms: key 1 unknown,
/// known, over; all slots taken and one, or two, or none to be had, and that of key 1 or another.
fn states<U: Clone>(touch: impl Fn(u64) -> U) -> Vec<State<U>> {
    let full = |ages: [u64; 8]| (1..9).zip(ages).map(|(n, ms)| (touch(n), ms)).collect();
    vec![
        vec![],
        vec![(touch(1), 950)],
        vec![(touch(1), 100)],
        full([100, 950, 950, 950, 950, 950, 950, 950]),
        full([950, 100, 100, 950, 950, 950, 950, 950]),
        full([950; 8]),
        (2..9).map(|n| (touch(n), if n == 8 { 100 } else { 950 })).collect(),
    ]
}

mod windows {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Update {
        Record(u64),
        /// Recorded by a worker that stops before its last step: its entry stands and the sequence is behind.
        Leave(u64),
        Forget(u64),
        Peek(u64),
    }
    use Update::{Forget, Leave, Peek, Record};

    fn layout() -> (Layout, WindowsId) {
        let mut layout = Layout::new(1);
        let id = layout.windows(8, Ring::R8);
        (layout, id)
    }

    /// The same in other memory.
    fn copy(of: &Block) -> Block {
        let copy = block(&layout().0);
        copy.mem().iter().zip(of.mem()).for_each(|(to, from)| to.store(from.load(SeqCst), SeqCst));
        copy
    }

    fn run(block: &Block, update: Update, now: Now) -> String {
        let table = block.windows(layout().1);
        match update {
            Record(n) => format!("{:?}", table.record(key(block, n), LIMIT, now)),
            Peek(n) => format!("{:?}", table.peek(key(block, n), LIMIT, now)),
            Forget(n) => format!("{:?}", table.forget(key(block, n), now)),
            Leave(n) => {
                let copy = copy(block);
                let record = |table: Windows<'_>| _ = table.record(key(block, n), LIMIT, now);
                let last = steps(|| record(copy.windows(layout().1)));
                format!("{:?}", dying_before(last, || record(table)).is_some())
            }
        }
    }

    #[test]
    fn updates_within_an_update_of_windows_are_as_good_as_in_some_order() {
        let play = Play { layout: layout().0, run, see: vec![Peek(1), Peek(2), Peek(50), Peek(51)] };
        let times = |n, times: usize, ms| vec![(Record(n), ms); times];
        let mut states = states(Record);
        states.extend([
            times(1, 7, 950),
            times(1, 8, 950),
            times(1, 8, 100),
            [times(1, 8, 100), times(1, 5, 950)].concat(),
        ]);
        let updates = [Record(1), Leave(1), Record(50), Record(51), Forget(1), Forget(2), Peek(1)];
        let outer = [Record(1), Record(50), Forget(1), Peek(1)];
        let cases = play.check_pairs(&states, &outer, &updates);
        assert!(cases > 5_000, "{cases}");
        let cases = play.check_triples(&states, &outer, &updates);
        assert!(cases > 40_000, "{cases}");
    }
}

mod others {
    use super::*;
    use crate::id::Label;
    use crate::source::AddrKey;

    #[derive(Clone, Copy, Debug)]
    enum Update {
        Hit(u64),
        Rate(u64),
        Accept(u64, u32),
        Enter(u64),
        Replace(u64),
        Renew(u64),
        Remove(u64),
        Get(u64),
        Insert(u64, u64),
        Lift(u64),
        Find(u64),
        Take(u64, u64),
        Extend(u64, u64),
        Release(u64, u64),
        Used(u64),
    }
    use Update::*;

    struct Ids {
        rates: RatesId,
        nonces: ReplayId,
        records: RecordsId,
        bans: BansId,
        calls: LeasesId,
    }

    fn layout() -> (Layout, Ids) {
        let mut layout = Layout::new(1);
        let ids = Ids {
            rates: layout.rates(8),
            nonces: layout.replay(8),
            records: layout.records(8, 1),
            bans: layout.bans(8, 0),
            calls: layout.leases(8, 4),
        };
        (layout, ids)
    }

    fn ban(block: &Block, n: u64, until: Mono) -> Ban {
        let addr = AddrKey::host(core::net::Ipv4Addr::LOCALHOST.into());
        let (key, account) = (key(block, n), Label::new("alice"));
        Ban { key, addr, account, reason: 1, what: 2, since: at(0).mono, until: Some(until), manual: false }
    }

    fn run(block: &Block, update: Update, now: Now) -> String {
        let (key, ids) = (|n| key(block, n), layout().1);
        let (rates, nonces, records) =
            (block.rates(ids.rates), block.replay(ids.nonces), block.records(ids.records));
        let (bans, calls, until) = (block.bans(ids.bans), block.leases(ids.calls), now.mono + LIMIT.per);
        let three = Limit { at_most: 3, ..LIMIT };
        match update {
            Hit(n) => format!("{:?}", rates.hit(key(n), three, now)),
            Rate(n) => format!("{:?}", rates.peek(key(n), three, now)),
            Accept(n, nc) => format!("{:?}", nonces.accept(key(n), nc, LIMIT.per, now)),
            Enter(n) => format!("{:?}", records.enter(key(n), &[n], Some(until), now)),
            Replace(n) => format!("{:?}", records.replace(key(n), 0, n, n + 1, now)),
            Renew(n) => format!("{:?}", records.renew(key(n), Some(until + LIMIT.per), now)),
            Remove(n) => format!("{:?}", records.remove(key(n), now)),
            Get(n) => format!("{:?}", records.get(key(n), now)),
            Insert(n, more) => {
                format!("{:?}", bans.insert(&ban(block, n, until + LIMIT.per * more as u32), now))
            }
            Lift(n) => format!("{:?}", bans.remove(key(n))),
            Find(n) => format!("{:?}", bans.find(key(n), now)),
            Take(n, holder) => format!("{:?}", calls.take(key(n), holder, 4, until, now)),
            Extend(n, holder) => format!("{:?}", calls.renew(key(n), holder, until + LIMIT.per, now)),
            Release(n, holder) => format!("{:?}", calls.release(key(n), holder)),
            Used(n) => format!("{:?}", calls.used(key(n), now)),
        }
    }

    fn play(see: &[Update]) -> Play<Update> {
        Play { layout: layout().0, run, see: see.to_vec() }
    }

    #[test]
    fn updates_within_an_update_of_rates_are_as_good_as_in_some_order() {
        let (play, updates) =
            (play(&[Rate(1), Rate(50), Hit(1), Hit(1), Hit(51)]), [Hit(1), Hit(50), Rate(1)]);
        assert!(play.check_pairs(&states(Hit), &updates, &updates) > 1_000);
        assert!(play.check_triples(&states(Hit), &updates, &updates) > 5_000);
    }

    /// States in which nothing is over. What is may be gone or not: whoever wants its slot decides.
    fn present(touch: fn(u64) -> Update) -> Vec<State<Update>> {
        states(touch).into_iter().filter(|state| state.iter().all(|&(_, ms)| ms > 900)).collect()
    }

    #[test]
    fn an_update_within_an_update_of_replay_is_as_good_as_before_or_after_it() {
        let updates = [Accept(1, 5), Accept(1, 6), Accept(1, 100), Accept(50, 5)];
        let cases = play(&updates).check_pairs(&present(|n| Accept(n, 5)), &updates, &updates);
        assert!(cases > 500, "{cases}");
    }

    #[test]
    fn an_update_within_an_update_of_records_is_as_good_as_before_or_after_it() {
        let updates = [Enter(1), Enter(50), Remove(1), Replace(1), Renew(1), Get(1)];
        let play = play(&[Get(1), Get(2), Get(50), Enter(51)]);
        let cases = play.check_pairs(&states(Enter), &updates, &updates);
        assert!(cases > 2_000, "{cases}");
    }

    #[test]
    fn an_update_within_an_update_of_blocks_is_as_good_as_before_or_after_it() {
        let play = play(&[Find(1), Find(2), Find(50), Insert(51, 0)]);
        let updates = [Insert(1, 0), Insert(1, 1), Insert(50, 0), Find(1), Lift(1)];
        let cases = play.check_pairs(&present(|n| Insert(n, 0)), &updates, &updates);
        assert!(cases > 500, "{cases}");
        let updates = &updates[..4];
        let cases = play.check_pairs(&states(|n| Insert(n, 0)), updates, updates);
        assert!(cases > 2_000, "{cases}");
    }

    /// Except that a holder who asks twice at once may get two leases, which count and go together.
    #[test]
    fn updates_within_an_update_of_leases_are_as_good_as_in_some_order() {
        let outer = [Take(1, 7), Extend(1, 6), Release(1, 6)];
        let updates = [Take(1, 8), Take(50, 7), Extend(1, 6), Release(1, 6), Used(1)];
        let (play, states) = (play(&[Used(1), Used(50), Take(1, 9), Take(51, 7)]), states(|n| Take(n, 6)));
        assert!(play.check_pairs(&states, &outer, &updates) > 1_000);
        assert!(play.check_triples(&states, &outer, &updates) > 10_000);
    }
}
