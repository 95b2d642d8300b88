//! Only a nonce that was issued here, for this realm, and lately, is taken.

mod common;

use common::{Fixture, Proof, REALM, parameter, source};
use pbx_auth::digest::{Algorithm, Config, Credentials, Outcome};
use pbx_core::{Source, Transport, Wall};

/// Judges a right proof over another nonce.
fn judge(f: &Fixture, proof: &Proof, nonce: &str) -> Outcome {
    f.judge(&Proof { nonce: nonce.into(), ..proof.clone() }.value())
}

#[test]
fn every_flipped_bit_is_noticed() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Sha256);
    for i in 0..proof.nonce.len() {
        for bit in 0..8 {
            let mut bytes = proof.nonce.clone().into_bytes();
            bytes[i] ^= 1 << bit;
            let Ok(nonce) = String::from_utf8(bytes) else { continue };
            let right = judge(&f, &proof, &nonce);
            // The first four digits name the key: others belong to a key that is not held, and the right proof
            // over such a nonce is a phone that comes back after a restart.
            let foreign = i < 4 && nonce.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
            match right {
                Outcome::Stale => assert!(foreign, "{i}.{bit}"),
                Outcome::Forged | Outcome::AlgorithmNotOffered | Outcome::Malformed(_) => {}
                other => panic!("{i}.{bit}: {other:?}"),
            }
            let guess = Proof { nonce, secret: "guess".into(), ..proof.clone() };
            assert!(f.judge(&guess.value()).is_failure(), "{i}.{bit}");
        }
    }
    assert!(f.judge(&proof.value()).is_right(), "nothing was used up");
}

#[test]
fn truncated_extended_and_foreign_nonces_are_forged() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Md5);
    let nonce = proof.nonce.clone();
    for n in 0..nonce.len() {
        assert_eq!(judge(&f, &proof, &nonce[..n]), Outcome::Forged, "{n}");
    }
    for other in [format!("{nonce}00"), format!(" {nonce}"), nonce.to_uppercase(), "0".repeat(56)] {
        assert!(judge(&f, &proof, &other).is_failure(), "{other}");
    }
    let asterisk = "1772445600/2b00042f7481c7b056c4b410d28f33cf";
    assert_eq!(judge(&f, &proof, asterisk), Outcome::Forged);
}

#[test]
fn a_nonce_of_another_realm_is_forged() {
    let mut a = Fixture::with(&Config::new("a.example"), [9; 32]);
    let b = Fixture::with(&Config::new("b.example"), [9; 32]);
    let proof = Proof { realm: "a.example".into(), ..a.proof(Algorithm::Sha256) };
    assert_eq!(b.judge(&proof.value()), Outcome::RealmMismatch);
    let moved = Proof { realm: "b.example".into(), ..proof.clone() };
    assert_eq!(b.judge(&moved.value()), Outcome::Forged);
    assert!(a.judge(&proof.value()).is_right());
}

#[test]
fn a_nonce_signed_with_another_key_opens_nothing() {
    let mut stranger = Fixture::with(&Config::new(REALM), [8; 32]);
    let f = Fixture::new();
    let proof = stranger.proof(Algorithm::Sha256);
    assert_eq!(f.judge(&proof.value()), Outcome::Stale, "the right secret: a phone after a restart");
    let guess = Proof { secret: "guess".into(), ..proof };
    assert_eq!(f.judge(&guess.value()), Outcome::Forged, "anything else counts");
}

#[test]
fn a_nonce_from_the_future_is_not_taken() {
    let mut f = Fixture::new();
    f.later(3);
    let value = f.proof(Algorithm::Sha256).value();
    f.now = Fixture::new().now;
    assert_eq!(f.judge(&value), Outcome::Stale);
}

#[test]
fn an_expired_nonce_is_stale_for_the_right_secret_only() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Sha256);
    f.later(301);
    assert_eq!(f.judge(&proof.value()), Outcome::Stale);
    assert!(!Outcome::Stale.is_failure());
    assert_eq!(f.judge(&Proof { secret: "guess".into(), ..proof }.value()), Outcome::Wrong);
}

#[test]
fn a_civil_clock_that_jumps_changes_nothing() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Sha256);
    for (n, wall) in (1..).zip([0, 1_772_445_000, 4_000_000_000]) {
        f.now.wall = Wall::from_unix_secs(wall);
        assert!(f.judge(&proof.count(n).value()).is_right());
    }
    f.later(301);
    f.now.wall = Wall::from_unix_secs(1_772_445_600);
    assert_eq!(f.judge(&proof.count(50).value()), Outcome::Stale);
}

#[test]
fn the_last_key_still_counts_and_the_one_before_does_not() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Sha256);
    f.server.rotate(&[1; 32]);
    assert!(f.judge(&proof.count(1).value()).is_right());
    assert_eq!(f.judge(&proof.count(1).value()), Outcome::Replay, "counts outlive the rotation");
    f.server.rotate(&[2; 32]);
    assert_eq!(f.judge(&proof.count(2).value()), Outcome::Stale);
}

#[test]
fn an_address_is_proved_by_the_nonce_that_went_there_and_by_no_other() {
    let mut f = Fixture::new();
    let victim = |text: &str| Source::new(text.parse().unwrap(), Transport::Udp);
    // The proof does not matter: it is a guess that is held against its sender.
    let value = Proof { secret: "guess".into(), ..f.proof(Algorithm::Sha256) }.value();
    let credentials = Credentials::parse(value.as_bytes()).unwrap();
    assert!(f.server.has_issued_to(source(), &credentials, f.now));
    assert!(f.server.has_issued_to(victim("192.0.2.7:1"), &credentials, f.now), "another port");
    for other in ["192.0.2.8:5060", "[2001:db8::7]:5060"] {
        assert!(!f.server.has_issued_to(victim(other), &credentials, f.now), "{other}");
    }
    f.later(301);
    assert!(!f.server.has_issued_to(source(), &credentials, f.now), "somebody else may have the address now");
    let value = Proof { nonce: "0".repeat(56), ..Proof::default() }.value();
    assert!(!f.server.has_issued_to(source(), &Credentials::parse(value.as_bytes()).unwrap(), f.now));
}

#[test]
fn no_two_challenges_share_a_nonce() {
    let mut f = Fixture::new();
    let nonces: Vec<_> = (0..1_000).flat_map(|_| f.challenges()).map(|c| parameter(&c, "nonce")).collect();
    let distinct: std::collections::BTreeSet<_> = nonces.iter().collect();
    assert_eq!(distinct.len(), 2_000);
}
