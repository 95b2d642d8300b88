//! A flood of new subjects neither grows memory nor drives out what is known and blocked.

use std::net::Ipv4Addr;
use std::time::Duration;

use pbx_core::table::{Ban, Block, Inserted, Layout, Leased, Limit, Recorded, Ring, Words, heap};
use pbx_core::{AddrKey, Label, Mono, Now, Wall};

const FLOOD: u32 = 500_000;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Limit = Limit { at_most: 5, per: Duration::from_secs(86_400) };

fn at(ms: u64) -> Now {
    Now::new(Mono::from_millis(ms), Wall::UNIX_EPOCH)
}

fn ban(block: &Block, n: u32, manual: bool) -> Ban {
    let addr = AddrKey::host(Ipv4Addr::from_bits(n).into());
    Ban {
        key: block.key(&n.to_be_bytes()),
        addr,
        account: Label::default(),
        reason: 1,
        what: 0,
        since: at(0).mono,
        until: Some(at(0).mono + HOUR),
        manual,
    }
}

fn is_counted(recorded: Recorded) -> bool {
    matches!(recorded, Recorded::Counted { .. })
}

/// Memory of this process in bytes, where the system says so.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split_whitespace().nth(1)?.parse::<usize>().ok().map(|pages| pages * 4_096)
}

#[test]
fn half_a_million_sources_evict_nothing_and_grow_nothing() {
    let mut layout = Layout::new(1);
    let (failures, rates) = (layout.windows(4_000, Ring::R8), layout.rates(4_000));
    let (bans, calls) = (layout.bans(800, 25), layout.leases(800, 4));
    let words: Words = heap(layout.words());
    let block = Block::create(words, &layout, [5; 16], 1, at(0)).unwrap();
    let (failures, rates, bans, calls) =
        (block.windows(failures), block.rates(rates), block.bans(bans), block.leases(calls));

    let known = block.key(b"known");
    (0..4).for_each(|nth| assert!(is_counted(failures.record(known, DAY, at(nth)))));
    assert_eq!(calls.take(known, 7, 1, at(0).mono + HOUR, at(0)), Leased::Taken);
    let blocked: Vec<Ban> = (0..100).map(|n| ban(&block, n, false)).collect();
    assert!(blocked.iter().all(|ban| bans.insert(ban, at(0)) == Inserted::New));

    let second = Limit { at_most: 10, per: Duration::from_secs(1) };
    let mut before = None;
    for n in 1_000..1_000 + FLOOD {
        let (key, now) = (block.key(&n.to_be_bytes()), at(u64::from(n) / 500));
        let _ = rates.hit(key, second, now);
        let _ = failures.record(key, DAY, now);
        let _ = bans.insert(&ban(&block, n, false), now);
        let _ = calls.take(key, 7, 1, at(0).mono + HOUR, now);
        if n == 10_000 {
            before = resident();
        }
    }
    if let (Some(before), Some(after)) = (before, resident()) {
        assert!(after < before + (1 << 20), "{before} bytes became {after}");
    }

    let now = at(2_000);
    assert!(is_counted(failures.record(known, DAY, now)));
    assert!(matches!(failures.record(known, DAY, now), Recorded::Full { .. }));
    assert!(matches!(calls.take(known, 8, 1, at(0).mono + HOUR, now), Leased::Full { .. }));
    assert!(blocked.iter().all(|ban| bans.find(ban.key, now) == Some(*ban)));
    for table in [failures.pressure(), bans.pressure(), calls.pressure()] {
        assert!(table > u64::from(FLOOD) * 9 / 10, "{table} found no room");
    }
    let manual = (0..20).map(|n| ban(&block, n + 5_000_000, true));
    assert!(manual.into_iter().all(|ban| bans.insert(&ban, now) == Inserted::New), "room for administrators");
}
