//! What the client answers, the server takes; and the naive reference computes the same.

mod common;

use common::{Fixture, Proof, REALM, parameter};
use pbx_auth::digest::{Algorithm, Client, Config, Credentials, Outcome, Qop, Request};
use pbx_auth::{Ha1, SipSecret};
use proptest::prelude::*;

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(&Algorithm::ALL[..])
}

fn qop() -> impl Strategy<Value = Qop> {
    prop_oneof![Just(Qop::Auth), Just(Qop::AuthInt)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn client_to_server(
        algorithm in algorithm(),
        qop in qop(),
        username in "[^:\\pC]{1,20}",
        secret in "[^\\pC]{1,40}",
        realm in "[^\"\\\\\\pC]{1,20}",
        uri in "sips?:[a-z0-9]{1,9}@[a-z.]{1,9}",
        body in prop::collection::vec(any::<u8>(), 0..200),
        method in "[A-Z]{3,9}",
    ) {
        let mut config = Config::new(realm.clone());
        (config.algorithms, config.qop) = (vec![algorithm], qop);
        let mut f = Fixture::with(&config, [9; 32]);
        let secret_of = |text: &str| SipSecret::import(text).unwrap();
        let ha1 = Ha1::derive(&username, &realm, &secret_of(&secret)).unwrap();
        let request = Request { method: &method, uri: uri.as_bytes(), body: &body };

        let challenges = f.challenges();
        let client = Client::new(&username, secret_of(&secret)).unwrap();
        let mut answer = client.answer(challenges.iter().map(String::as_bytes), None).unwrap();
        for _ in 0..3 {
            let value = answer.authorization(&request, &mut f.random).unwrap();
            let credentials = Credentials::parse(value.as_bytes()).unwrap();
            prop_assert_eq!(credentials.username(), &username);
            let outcome = f.server.verify(&credentials, &request, Some(&ha1), f.now);
            prop_assert!(outcome.is_right(), "{outcome:?}: {value}");
            prop_assert_eq!(f.server.verify(&credentials, &request, Some(&ha1), f.now), Outcome::Replay);
        }
        let other = Ha1::derive(&username, &realm, &secret_of(&format!("{secret}x"))).unwrap();
        let value = answer.authorization(&request, &mut f.random).unwrap();
        let credentials = Credentials::parse(value.as_bytes()).unwrap();
        prop_assert_eq!(f.server.verify(&credentials, &request, Some(&other), f.now), Outcome::Wrong);
    }

    #[test]
    fn the_client_computes_what_the_reference_computes(
        algorithm in algorithm(),
        nonce in "[a-zA-Z0-9/+=]{1,60}",
        legacy in any::<bool>(),
        secret in "[^\\pC]{1,40}",
    ) {
        let qop = if legacy { "" } else { ", qop=\"auth-int,auth\"" };
        let challenge = format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm={}{qop}", algorithm.name());
        let client = Client::new(common::USER, SipSecret::import(&secret).unwrap()).unwrap();
        let mut answer = client.answer([challenge.as_bytes()], None).unwrap();
        let value = answer.authorization(&common::REGISTER, &mut pbx_core::Random::from_seed([1; 32])).unwrap();
        let reference = Proof {
            nonce,
            secret,
            algorithm: algorithm.name().into(),
            qop: if legacy { String::new() } else { "auth".into() },
            cnonce: if legacy { String::new() } else { parameter(&value, "cnonce") },
            ..Proof::default()
        };
        prop_assert_eq!(parameter(&value, "response"), reference.response());
    }
}

#[test]
fn a_stale_challenge_is_answered_and_opens() {
    let mut f = Fixture::new();
    let challenges = f.challenges();
    let mut first = common::client().answer(challenges.iter().map(String::as_bytes), None).unwrap();
    let value = first.authorization(&common::REGISTER, &mut f.random).unwrap();
    f.later(400);
    let outcome = f.judge(&value);
    assert_eq!(outcome, Outcome::Stale);
    let again: Vec<_> = f
        .server
        .challenges(common::source(), outcome.is_stale(), &mut f.random, f.now)
        .map(|c| c.to_string())
        .collect();
    let mut second = common::client().answer(again.iter().map(String::as_bytes), Some(&first)).unwrap();
    let value = second.authorization(&common::REGISTER, &mut f.random).unwrap();
    assert!(f.judge(&value).is_right());
}
