//! A worker that dies before any atomic step of an update leaves nothing behind that others trip over.
//!
//! Each update here takes over the one idle slot of a full bucket, the longest way there is.

use core::time::Duration;
use std::net::Ipv4Addr;

use super::atomic::injected::dying_before;
use super::fixture::{at, block};
use super::*;
use crate::{AddrKey, Label};

const SPAN: Duration = Duration::from_secs(20);
/// When the slot of key 0 is idle, which was used at time 0, and the other seven have just been used.
const NOW: u64 = 50_000;

/// For each step that `update` of the key 9 may die before: fills a bucket with the keys 0 to 7, dies, and checks.
/// At last the update lives.
fn die<T: Copy>(
    make: impl Fn(&mut Layout) -> T,
    fill: impl Fn(&Block, T, u8, u64),
    update: impl Fn(&Block, T),
    check: impl Fn(&Block, T, u64),
) {
    for n in 1.. {
        let mut layout = Layout::new(1);
        let id = make(&mut layout);
        let block = block(&layout);
        (0..8).for_each(|key| fill(&block, id, key, if key == 0 { 0 } else { NOW }));
        let lived = dying_before(n, || update(&block, id)).is_some();
        check(&block, id, n);
        if lived {
            assert!(n > 15, "{n} steps");
            break;
        }
    }
}

#[test]
fn in_a_rate() {
    let limit = Limit { at_most: 3, per: SPAN };
    let hit = |block: &Block, id, n: u8, ms| block.rates(id).hit(block.key(&[n]), limit, at(ms)) == Hit::Pass;
    die(
        |layout| layout.rates(8),
        |block, id, key, ms| assert!(hit(block, id, key, ms)),
        |block, id| assert!(hit(block, id, 9, NOW)),
        |block, id, n| {
            assert_eq!(block.rates(id).peek(block.key(&[0]), limit, at(NOW)).used, 0);
            let passed = (0..5).filter(|_| hit(block, id, 9, NOW)).count();
            assert!(passed == 2 || passed == 3, "{passed} after step {n}");
        },
    );
}

#[test]
fn in_a_replay() {
    let accept = |block: &Block, id, key: u8, ms| block.replay(id).accept(block.key(&[key]), 7, SPAN, at(ms));
    die(
        |layout| layout.replay(8),
        |block, id, key, ms| assert_eq!(accept(block, id, key, ms), Accepted::Fresh),
        |block, id| assert_eq!(accept(block, id, 9, NOW), Accepted::Fresh),
        |block, id, n| {
            let first = accept(block, id, 9, NOW);
            assert!(matches!(first, Accepted::Fresh | Accepted::Seen), "{first:?} after step {n}");
            assert_eq!(accept(block, id, 9, NOW), Accepted::Seen, "step {n}");
        },
    );
}

#[test]
fn in_a_ban() {
    let ban = |block: &Block, n: u8, ms| Ban {
        key: block.key(&[n]),
        addr: AddrKey::host(Ipv4Addr::new(192, 0, 2, n).into()),
        account: Label::new("whoever it was that called himself this"),
        reason: 2_106,
        what: n,
        since: at(ms).mono,
        until: Some(at(ms + 20_000).mono),
        manual: false,
    };
    die(
        |layout| layout.bans(8, 0),
        |block, id, key, ms| assert_eq!(block.bans(id).insert(&ban(block, key, ms), at(ms)), Inserted::New),
        |block, id| assert_eq!(block.bans(id).insert(&ban(block, 9, NOW), at(NOW)), Inserted::New),
        |block, id, n| {
            assert_eq!(block.bans(id).find(block.key(&[0]), at(NOW)), None);
            let (bans, ban) = (block.bans(id), ban(block, 9, NOW));
            assert_ne!(bans.insert(&ban, at(NOW)), Inserted::Full, "step {n}");
            assert_eq!(bans.find(ban.key, at(NOW)), Some(ban), "step {n}");
            assert_eq!(bans.iter(at(NOW)).count(), 8, "step {n}");
            assert!(bans.remove(ban.key) && bans.find(ban.key, at(NOW)).is_none(), "step {n}");
        },
    );
}

#[test]
fn in_a_lease() {
    let take = |block: &Block, id, key: u8, holder, ms| {
        let until = at(ms + 20_000).mono;
        block.leases(id).take(block.key(&[key]), holder, 2, until, at(ms)) == Leased::Taken
    };
    die(
        |layout| layout.leases(8, 2),
        |block, id, key, ms| assert!(take(block, id, key, 1, ms)),
        |block, id| {
            assert!(take(block, id, 9, 1, NOW));
            assert!(block.leases(id).renew(block.key(&[9]), 1, at(NOW + 10_000).mono, at(NOW)));
        },
        |block, id, n| {
            assert_eq!(block.leases(id).used(block.key(&[0]), at(NOW)), 0);
            let taken = (2..6).filter(|&holder| take(block, id, 9, holder, NOW)).count();
            let used = block.leases(id).used(block.key(&[9]), at(NOW));
            assert!(taken >= 1 && used == 2, "{taken} of {used} after step {n}");
            let later = (6..9).filter(|&holder| take(block, id, 9, holder, NOW + 20_000)).count();
            assert_eq!(later, 2, "step {n}");
        },
    );
}

#[test]
fn in_a_try() {
    // As many as there are words for tries: each that is lost would be missed.
    let limit = Limit { at_most: 8, per: SPAN };
    let begin = |block: &Block, id, key: u8, ms| {
        block.tries(id).begin(block.key(&[key]), limit, Duration::from_secs(5), at(ms))
    };
    let guess = |block: &Block, id, key, ms| match begin(block, id, key, ms) {
        Begun::Go(tried) => block.tries(id).fail(tried, limit, at(ms)).nth > 0,
        _ => false,
    };
    die(
        |layout| layout.tries(8, Ring::R8),
        |block, id, key, ms| assert!(guess(block, id, key, ms)),
        |block, id| assert!(guess(block, id, 9, NOW)),
        |block, id, n| {
            let used = |key| block.tries(id).peek(block.key(&[key]), limit, at(NOW)).used;
            assert_eq!(used(0), 0);
            let failed = used(9) as usize;
            let go = |ms| matches!(begin(block, id, 9, ms), Begun::Go(_));
            let begun = (0..9).filter(|_| go(NOW)).count();
            // One that died between its failure and its end counts as both, until its time is over.
            assert!((7..=8).contains(&(begun + failed)), "{begun} after step {n}");
            let later = (0..9).filter(|_| go(NOW + 5_000)).count();
            assert_eq!(later + failed, 8, "step {n}");
            let guesses = (0..9).filter(|_| guess(block, id, 9, NOW + 10_000)).count();
            assert_eq!((guesses + failed, used(9)), (8, 8), "step {n}");
        },
    );
}
