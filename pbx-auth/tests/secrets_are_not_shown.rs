//! No secret, and nothing that a secret can be guessed from, stands in what goes to logs.

mod common;

use common::{Fixture, SECRET, client, parameter};
use pbx_auth::digest::{Algorithm, Credentials, Request};
use pbx_auth::{HashJob, Password, PasswordHash, Pin, PinKey, Totp, TotpAlgorithm, VerifyJob};
use pbx_core::{Random, Secret};

const CANARY: &str = "7359118264";

/// Everything that has a `Debug` and holds or held the canary, and texts that must not occur in it.
fn shown() -> (Vec<String>, Vec<String>) {
    let mut random = Random::from_seed([1; 32]);
    let mut hidden = vec![CANARY.to_owned(), SECRET.to_owned()];
    let mut shown = Vec::new();

    let typed = || Password::new(CANARY).unwrap();
    let hash = HashJob::new(typed(), &mut random).run().unwrap();
    hidden.push(hash.to_phc().rsplit('$').next().unwrap().to_owned());
    shown.push(format!("{:?} {:?} {hash:?}", typed(), HashJob::new(typed(), &mut random)));
    let wrong = VerifyJob::new(typed(), Some(hash));
    shown.push(format!("{wrong:?} {:?}", PasswordHash::from_phc(CANARY)));

    let pin: Pin = CANARY.parse().unwrap();
    let key = PinKey::new(&Secret::new([0xC7; 32]));
    let hash = key.hash("x", &pin);
    hidden.extend([hash.to_hex(), "199, 199".into(), "c7c7".into()]);
    shown.push(format!("{pin:?} {key:?} {hash:?} {:?}", pin.trivial("1001")));

    let totp = Totp::generate(TotpAlgorithm::Sha1, &mut random);
    hidden.push(totp.to_base32().expose().clone());
    shown.push(format!("{totp:?} {:?}", totp.to_base32()));

    let mut f = Fixture::new();
    let challenges = f.challenges();
    let mut answer = client().answer(challenges.iter().map(String::as_bytes), None).unwrap();
    let value = answer.authorization(&common::REGISTER, &mut f.random).unwrap();
    let credentials = Credentials::parse(value.as_bytes()).unwrap();
    hidden.extend(["response", "cnonce"].map(|p| parameter(&value, p)));
    let stored = f.ha1.to_hex();
    hidden.extend(stored.expose().split(',').map(|v| v.split(':').nth(1).unwrap().to_owned()));
    shown.push(format!("{:?} {:?} {:?} {:?}", f.ha1, stored, f.server, common::secret()));
    shown.push(format!("{:?} {answer:?} {credentials:?} {:?}", client(), f.judge(&value)));
    shown.push(format!("{:?}", Request { body: CANARY.as_bytes(), ..common::REGISTER }));
    shown.push(format!("{:?}", f.proof(Algorithm::Md5).algorithm));
    (shown, hidden)
}

#[test]
fn debug_hides_them() {
    let (shown, hidden) = shown();
    for s in &shown {
        for h in &hidden {
            assert!(!s.contains(h.as_str()), "{h} in {s}");
        }
    }
    assert!(shown.iter().any(|s| s.contains("1001")), "and shows what is no secret");
}
