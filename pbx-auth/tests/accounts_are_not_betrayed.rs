//! Nobody learns which accounts exist.

mod common;

use common::{Fixture, Proof, REALM, REGISTER, SECRET};
use pbx_auth::digest::{Algorithm, Credentials, Outcome, Server};
use pbx_auth::{Ha1, SipSecret};
use pbx_core::Random;

fn judge(f: &Fixture, value: &str, ha1: Option<&Ha1>) -> Outcome {
    f.server.verify(&Credentials::parse(value.as_bytes()).unwrap(), &REGISTER, ha1, f.now)
}

/// What goes out after credentials: with the same random bits, byte for byte.
fn reply(server: &Server, outcome: Outcome, f: &Fixture) -> Vec<String> {
    let mut random = Random::from_seed([6; 32]);
    server
        .challenges(common::source(), outcome.is_stale(), &mut random, f.now)
        .map(|c| c.to_string())
        .collect()
}

#[test]
fn an_unknown_user_gets_the_bytes_that_a_wrong_secret_gets() {
    let mut f = Fixture::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
        let wrong = Proof { secret: "guess".into(), ..f.proof(algorithm) };
        let known = judge(&f, &wrong.value(), Some(&f.ha1));
        let unknown = judge(&f, &Proof { username: "nobody".into(), ..wrong }.value(), None);
        assert_eq!(known, unknown);
        assert_eq!(reply(&f.server, known, &f), reply(&f.server, unknown, &f));
    }
}

#[test]
fn outcomes_before_the_proof_are_the_same_for_everybody() {
    let mut f = Fixture::new();
    let wrong = Proof { secret: "guess".into(), ..f.proof(Algorithm::Md5) };
    let forged = Proof { nonce: "0".repeat(56), ..wrong.clone() };
    let swapped = Proof { algorithm: "SHA-256".into(), ..wrong.clone() };
    let elsewhere = Proof { realm: "x".into(), ..wrong.clone() };
    let other_uri = Proof { uri: "sip:x".into(), ..wrong };
    for value in [forged, swapped, elsewhere, other_uri].map(|p| p.value()) {
        assert_eq!(judge(&f, &value, Some(&f.ha1)), judge(&f, &value, None), "{value}");
    }
    f.later(301);
    let expired = Proof { secret: "guess".into(), ..Fixture::new().proof(Algorithm::Md5) }.value();
    assert_eq!(judge(&f, &expired, Some(&f.ha1)), judge(&f, &expired, None));
}

#[test]
fn no_secret_opens_an_account_that_does_not_exist() {
    let mut f = Fixture::new();
    for secret in ["", SECRET, "decoy", "00000000000000000000000000000000"] {
        let proof = Proof { username: "nobody".into(), secret: secret.into(), ..f.proof(Algorithm::Md5) };
        assert_eq!(judge(&f, &proof.value(), None), Outcome::Wrong);
    }
}

#[test]
fn challenges_name_no_account() {
    let mut f = Fixture::new();
    let challenges = f.challenges();
    assert_eq!(challenges.len(), 2);
    for c in challenges {
        let names: Vec<_> = c.split(", ").map(|p| p.split('=').next().unwrap()).collect();
        assert_eq!(names, ["Digest realm", "nonce", "algorithm", "qop"]);
    }
}

#[test]
fn a_colon_makes_no_two_accounts_one() {
    // H("a:b" ":" "c") would be H("a" ":" "b:c").
    let secret = SipSecret::import("s").unwrap();
    assert!(Ha1::derive("a:b", "c", &secret).is_err());
    assert!(Ha1::derive("a", "b:c", &secret).is_ok());
    let value = Proof { username: "a:b".into(), realm: REALM.into(), ..Proof::default() }.value();
    assert!(Credentials::parse(value.as_bytes()).is_err());
}
