//! What was counted, blocked and taken before a restart is so after it, and ends when it would have ended.

use std::net::Ipv4Addr;
use std::time::Duration;

use pbx_core::table::*;
use pbx_core::{AddrKey, Label, Mono, Now, Wall};

const MINUTE: Duration = Duration::from_secs(60);
const LIMIT: Limit = Limit { at_most: 3, per: MINUTE };

/// `s` seconds after the start, in a run of the machine whose clock began `skew` seconds earlier.
fn at(s: u64, skew: u64) -> Now {
    Now::new(Mono::from_secs(s + skew), Wall::from_unix_secs(1_772_445_600 + s as i64))
}

/// Seconds on the clock of the first run when all began, and of the second.
const FIRST: u64 = 800_000;
const SECOND: u64 = 20;

struct Tables {
    failures: WindowsId,
    tries: TriesId,
    rates: RatesId,
    calls: LeasesId,
    bans: BansId,
    nonces: ReplayId,
    records: RecordsId,
}

fn layout() -> (Layout, Tables) {
    let mut layout = Layout::new(1);
    let tables = Tables {
        failures: layout.windows(100, Ring::R8),
        tries: layout.tries(100, Ring::R8),
        rates: layout.rates(100),
        calls: layout.leases(100, 4),
        bans: layout.bans(100, 25),
        nonces: layout.replay(100),
        records: layout.records(100, 2),
    };
    (layout, tables)
}

fn ban(block: &Block, until: Option<Mono>, now: Now) -> Ban {
    let addr = AddrKey::host(Ipv4Addr::new(192, 0, 2, 1).into());
    let key = block.key(if until.is_some() { b"for a time" } else { b"for good" });
    let account = Label::new("alice");
    Ban { key, addr, account, reason: 7, what: 1, since: now.mono, until, manual: false }
}

/// Fills every table to its limit; all but one block end after a minute.
fn fill(block: &Block, tables: &Tables, now: Now) {
    let key = block.key(b"192.0.2.1");
    for _ in 0..3 {
        let _ = block.windows(tables.failures).record(key, LIMIT, now);
        let _ = block.rates(tables.rates).hit(key, LIMIT, now);
        if let Begun::Go(tried) = block.tries(tables.tries).begin(key, LIMIT, MINUTE, now) {
            let _ = block.tries(tables.tries).fail(tried, LIMIT, now);
        }
    }
    assert_eq!(block.leases(tables.calls).take(key, 1, 1, now.mono + MINUTE, now), Leased::Taken);
    for until in [Some(now.mono + MINUTE), None] {
        assert_eq!(block.bans(tables.bans).insert(&ban(block, until, now), now), Inserted::New);
    }
    assert_eq!(block.replay(tables.nonces).accept(key, 5, MINUTE, now), Accepted::Fresh);
    let entered = block.records(tables.records).enter(key, &[8, 9], Some(now.mono + MINUTE), now);
    assert_eq!(entered, Entered::New);
}

/// What every table holds: all as it was filled, or all of it over.
fn check(block: &Block, tables: &Tables, now: Now, holds: bool) {
    let key = block.key(b"192.0.2.1");
    let is_full = |peeked: Peeked| peeked.retry_at.is_some();
    assert_eq!(is_full(block.windows(tables.failures).peek(key, LIMIT, now)), holds, "failures");
    assert_eq!(is_full(block.tries(tables.tries).peek(key, LIMIT, now)), holds, "tries");
    assert_eq!(block.leases(tables.calls).used(key, now), u32::from(holds), "calls");
    assert_eq!(block.records(tables.records).get(key, now).is_some(), holds, "records");
    let bans: Vec<Ban> = block.bans(tables.bans).iter(now).collect();
    assert_eq!(bans.len(), 1 + usize::from(holds), "blocks");
    for ban in bans {
        assert_eq!(block.bans(tables.bans).find(ban.key, now), Some(ban));
        assert_eq!((ban.account.as_str(), ban.reason, ban.what, ban.manual), ("alice", 7, 1, false));
    }
    let again = block.replay(tables.nonces).accept(key, 5, MINUTE, now);
    assert!(again == Accepted::Seen || !holds, "{again:?}");
    let rate = block.rates(tables.rates).peek(key, LIMIT, now);
    assert!(is_full(rate) || !holds, "{rate:?}");
}

#[test]
fn a_mapped_file_goes_on_in_the_next_run_of_the_machine() {
    let (layout, tables) = layout();
    let words = heap(layout.words());
    let block = Block::create(words.clone(), &layout, [4; 16], 1, at(0, FIRST)).unwrap();
    fill(&block, &tables, at(0, FIRST));
    assert_eq!(block.refresh(at(9, FIRST)), None);
    drop(block);
    let block = Block::attach(words, &layout, 2, at(30, SECOND)).unwrap();
    check(&block, &tables, at(59, SECOND), true);
    check(&block, &tables, at(60, SECOND), false);
}

#[test]
fn a_snapshot_goes_on_where_it_was_taken() {
    let (layout, tables) = layout();
    let block = Block::create(heap(layout.words()), &layout, [4; 16], 1, at(0, FIRST)).unwrap();
    fill(&block, &tables, at(0, FIRST));
    let snapshot = block.snapshot(at(10, FIRST));
    for (boot, clock) in [(1, FIRST), (2, SECOND)] {
        let block = Block::restore(heap(layout.words()), &layout, &snapshot, boot, at(30, clock)).unwrap();
        check(&block, &tables, at(59, clock), true);
        check(&block, &tables, at(60, clock), false);
    }
}

#[test]
fn a_civil_clock_that_comes_up_wrong_ends_nothing_early() {
    let (layout, tables) = layout();
    let block = Block::create(heap(layout.words()), &layout, [4; 16], 1, at(0, FIRST)).unwrap();
    fill(&block, &tables, at(0, FIRST));
    let snapshot = block.snapshot(at(0, FIRST));
    let wrong = Now::new(Mono::from_secs(SECOND), Wall::UNIX_EPOCH);
    let block = Block::restore(heap(layout.words()), &layout, &snapshot, 2, wrong).unwrap();
    check(&block, &tables, wrong.after(Duration::from_secs(59)), true);
    check(&block, &tables, wrong.after(MINUTE), false);
}
