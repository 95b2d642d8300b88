//! Right credentials open the door once; credentials that are wrong leave no trace.

mod common;

use std::sync::Barrier;

use common::{Fixture, Proof, REALM, REGISTER};
use pbx_auth::digest::{Algorithm, Config, Credentials, Outcome, Request};

#[test]
fn the_same_credentials_are_right_once() {
    let mut f = Fixture::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
        let value = f.proof(algorithm).value();
        assert!(f.judge(&value).is_right());
        for _ in 0..3 {
            assert_eq!(f.judge(&value), Outcome::Replay, "{algorithm:?}");
        }
    }
}

#[test]
fn a_used_count_is_used_for_every_cnonce() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Md5);
    assert!(f.judge(&proof.value()).is_right());
    let other = Proof { cnonce: "another".into(), ..proof };
    assert_eq!(f.judge(&other.value()), Outcome::Replay);
}

#[test]
fn used_credentials_stay_used_as_long_as_the_nonce_lives() {
    let mut f = Fixture::new();
    let value = f.proof(Algorithm::Sha256).value();
    assert!(f.judge(&value).is_right());
    for _ in 0..299 {
        f.later(1);
        assert_eq!(f.judge(&value), Outcome::Replay);
    }
    for _ in 0..1_000 {
        f.later(1);
        assert_eq!(f.judge(&value), Outcome::Stale, "expired, and no way back");
    }
}

#[test]
fn a_bad_response_burns_no_count() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Sha256);
    let forged = Proof { secret: "guess".into(), ..proof.clone() };
    for n in 1..=200 {
        assert_eq!(f.judge(&forged.count(n).value()), Outcome::Wrong);
    }
    assert_eq!(f.judge(&forged.count(u32::MAX).value()), Outcome::Wrong);
    for n in 1..=200 {
        assert!(f.judge(&proof.count(n).value()).is_right(), "{n}");
    }
}

#[test]
fn another_account_burns_no_count() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Sha256);
    let insider = Proof { username: "1002".into(), secret: "insider".into(), ..proof.clone() };
    let ha1 = pbx_auth::SipSecret::import("insider").unwrap();
    let ha1 = pbx_auth::Ha1::derive("1002", REALM, &ha1).unwrap();
    let value = insider.value();
    let credentials = Credentials::parse(value.as_bytes()).unwrap();
    assert!(f.server.verify(&credentials, &REGISTER, Some(&ha1), f.now).is_right());
    assert!(f.judge(&proof.value()).is_right());
}

#[test]
fn another_name_over_used_credentials_is_wrong_even_with_the_same_account_looked_up() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Sha256);
    assert!(f.judge(&proof.value()).is_right());
    // The response does not cover the name by itself: HA1 does. A caller that looks accounts up by the address
    // of record hands over the HA1 of 1001 all the same.
    let renamed = Proof { username: "1002".into(), ..proof.clone() }.value_with(&proof.response());
    assert_eq!(f.judge(&renamed), Outcome::Wrong);
}

#[test]
fn counts_may_overtake_each_other_and_leave_gaps() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Md5);
    for n in [2, 1, 5, 3, 4, 60, 30, 100, 1_000, 999] {
        assert!(f.judge(&proof.count(n).value()).is_right(), "{n}");
    }
    for n in [1, 2, 3, 4, 5, 30, 60, 100, 999, 1_000] {
        assert_eq!(f.judge(&proof.count(n).value()), Outcome::Replay, "{n}");
    }
}

#[test]
fn huge_counts_are_no_way_round() {
    for huge in [1 << 28, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX] {
        let mut f = Fixture::new();
        let proof = f.proof(Algorithm::Md5);
        let first = f.judge(&proof.count(huge).value());
        assert!(first.is_right() || first == Outcome::Replay, "{huge}: {first:?}");
        assert_eq!(f.judge(&proof.count(huge).value()), Outcome::Replay, "{huge}");
    }
}

#[test]
fn of_eight_threads_with_one_count_exactly_one_gets_in() {
    let mut f = Fixture::new();
    for _ in 0..50 {
        let value = f.proof(Algorithm::Sha256).value();
        let (f, value, start) = (&f, &value, Barrier::new(8));
        let right: usize = std::thread::scope(|s| {
            let one = || {
                start.wait();
                usize::from(f.judge(value).is_right())
            };
            let threads: Vec<_> = (0..8).map(|_| s.spawn(one)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(right, 1);
    }
}

#[test]
fn a_crowd_does_not_make_the_table_forget() {
    let mut f = Fixture::sized(&Config::new(REALM), [9; 32], 1);
    let first = f.proof(Algorithm::Md5).value();
    assert!(f.judge(&first).is_right());
    for _ in 0..299 {
        f.later(1);
        let crowd: Vec<_> = (0..20).map(|_| f.proof(Algorithm::Md5).value()).collect();
        crowd.iter().for_each(|v| _ = f.judge(v));
        assert_eq!(f.judge(&first), Outcome::Replay);
    }
}

#[test]
fn a_full_table_lets_nobody_in_and_counts_nobody_out() {
    let mut f = Fixture::sized(&Config::new(REALM), [9; 32], 1);
    let values: Vec<_> = (0..500).map(|_| f.proof(Algorithm::Md5).value()).collect();
    let outcomes: Vec<_> = values.into_iter().map(|v| (f.judge(&v), v)).collect();
    assert!(outcomes.iter().any(|(o, _)| *o == Outcome::Stale), "the table never filled");
    for (first, value) in outcomes {
        match first {
            Outcome::Right(_) => assert_eq!(f.judge(&value), Outcome::Replay, "forgotten before its time"),
            other => assert_eq!(other, Outcome::Stale),
        }
    }
}

#[test]
fn credentials_are_good_for_their_method_and_uri_only() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Sha256);
    let invite = Request { method: "INVITE", ..REGISTER };
    assert_eq!(f.judge_request(&proof.value(), &invite), Outcome::Wrong);
    let premium = Request { uri: b"sip:+882@pbx.example", ..REGISTER };
    assert_eq!(f.judge_request(&proof.value(), &premium), Outcome::UriMismatch);
    assert!(f.judge(&proof.value()).is_right(), "nothing was used up");
}
