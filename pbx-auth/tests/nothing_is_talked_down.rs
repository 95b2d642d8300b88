//! What the server asked for is what it gets: no weaker algorithm, no weaker protection.

mod common;

use common::{Fixture, Proof, REALM, REGISTER};
use pbx_auth::digest::{Algorithm, Config, Malformed, Outcome, Qop, Request};

#[test]
fn challenges_come_strongest_first_whatever_the_order_of_the_list() {
    let mut config = Config::new(REALM);
    config.algorithms = vec![Algorithm::Md5, Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5];
    let mut f = Fixture::with(&config, [9; 32]);
    let order: Vec<_> =
        f.server.challenges(common::source(), false, &mut f.random, f.now).map(|c| c.algorithm()).collect();
    assert_eq!(order, [Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5]);
}

#[test]
fn the_algorithm_belongs_to_the_nonce() {
    let mut f = Fixture::new();
    for (offered, used) in [("SHA-256", "MD5"), ("MD5", "SHA-256"), ("MD5", "SHA-512-256")] {
        let offered = Algorithm::from_name(offered.as_bytes()).unwrap();
        let swapped = Proof { algorithm: used.into(), ..f.proof(offered) };
        assert_eq!(f.judge(&swapped.value()), Outcome::AlgorithmNotOffered, "{used}");
    }
    for unknown in ["MD5-sess", "SHA-256-sess", "SHA-1", "x"] {
        let swapped = Proof { algorithm: unknown.into(), ..f.proof(Algorithm::Md5) };
        assert_eq!(f.judge(&swapped.value()), Outcome::AlgorithmNotOffered, "{unknown}");
    }
}

#[test]
fn no_algorithm_means_md5_and_only_that() {
    let mut f = Fixture::new();
    let md5 = Proof { algorithm: String::new(), ..f.proof(Algorithm::Md5) };
    assert!(f.judge(&md5.value()).is_right());
    let sha256 = Proof { algorithm: String::new(), ..f.proof(Algorithm::Sha256) };
    assert_eq!(f.judge(&sha256.value()), Outcome::AlgorithmNotOffered);
}

#[test]
fn an_algorithm_that_is_no_longer_offered_is_not_taken() {
    let mut old = Fixture::new();
    let mut config = Config::new(REALM);
    config.algorithms = vec![Algorithm::Sha256];
    let new = Fixture::with(&config, [9; 32]);
    assert_eq!(new.judge(&old.proof(Algorithm::Md5).value()), Outcome::AlgorithmNotOffered);
    assert!(new.judge(&old.proof(Algorithm::Sha256).value()).is_right());
}

#[test]
fn an_account_without_md5_is_not_opened_by_it() {
    let mut f = Fixture::new();
    f.ha1 = f.ha1.without_md5();
    let [md5, sha256] = [Algorithm::Md5, Algorithm::Sha256].map(|a| f.proof(a).value());
    assert_eq!(f.judge(&md5), Outcome::Wrong);
    assert!(f.judge(&sha256).is_right());
}

#[test]
fn stripped_qop_is_a_failed_attempt() {
    let mut f = Fixture::new();
    let stripped = Proof { qop: String::new(), ..f.proof(Algorithm::Md5) };
    assert_eq!(f.judge(&stripped.value()), Outcome::Malformed(Malformed::Missing("nc")));
    let kept = f.proof(Algorithm::Md5).value();
    // As a guessing tool sends it: qop, but neither nc nor cnonce.
    let bare = kept.split(", nc=").next().unwrap();
    assert!(bare.ends_with("qop=auth"), "{bare}");
    assert_eq!(f.judge(bare), Outcome::Malformed(Malformed::Missing("nc")));
    assert!(f.judge(bare).is_failure());
}

#[test]
fn integrity_is_not_talked_down_and_covers_the_body() {
    let mut config = Config::new(REALM);
    config.qop = Qop::AuthInt;
    let mut f = Fixture::with(&config, [9; 32]);
    let request = Request { body: b"v=0\r\n", ..REGISTER };
    let plain = f.proof(Algorithm::Sha256);
    assert_eq!(f.judge_request(&plain.value(), &request), Outcome::QopNotOffered);
    let whole = Proof { qop: "auth-int".into(), body: "v=0\r\n".into(), ..plain };
    let changed = Request { body: b"v=1\r\n", ..REGISTER };
    assert_eq!(f.judge_request(&whole.value(), &changed), Outcome::Wrong);
    assert!(f.judge_request(&whole.value(), &request).is_right());
}

#[test]
fn a_protection_that_was_not_asked_for_is_not_taken() {
    let mut f = Fixture::new();
    for qop in ["auth-int", "auth-conf", "AUTH"] {
        let other = Proof { qop: qop.into(), ..f.proof(Algorithm::Md5) };
        assert_eq!(f.judge(&other.value()), Outcome::QopNotOffered, "{qop}");
    }
}
