//! Whatever stands in the header, parsing ends, soon, without a panic, and opens nothing.

mod common;

use common::{Fixture, Proof, client, parameter};
use pbx_auth::digest::{Algorithm, Credentials, Malformed, Outcome};
use pbx_auth::{Ha1, PasswordHash, Pin, PinHash, Totp, TotpAlgorithm};
use proptest::prelude::*;

#[test]
fn a_parameter_given_twice_is_malformed_even_with_one_value() {
    let mut f = Fixture::new();
    let value = f.proof(Algorithm::Md5).value();
    for name in ["username", "realm", "nonce", "uri", "response", "cnonce"] {
        let twice = format!("{value}, {name}=\"{}\"", parameter(&value, name));
        assert!(
            matches!(f.judge(&twice), Outcome::Malformed(Malformed::Duplicate(n)) if n == name),
            "{name}"
        );
    }
}

#[test]
fn values_of_64_kib_are_refused_unread() {
    for name in ["username", "realm", "nonce", "uri", "response", "cnonce", "opaque", "unheard-of"] {
        let value = format!("Digest {name}=\"{}\"", "x".repeat(65_536));
        assert_eq!(Credentials::parse(value.as_bytes()).err(), Some(Malformed::TooLong), "{name}");
    }
}

#[test]
fn responses_that_are_no_hash_of_the_algorithm_are_malformed() {
    let mut f = Fixture::new();
    let proof = f.proof(Algorithm::Sha256);
    let response = proof.response();
    for bad in
        ["", "x", &response[..62], &response[..32], &format!("{response}00"), &response.replace('0', "g")]
    {
        let outcome = f.judge(&proof.value_with(bad));
        assert_eq!(outcome, Outcome::Malformed(Malformed::Value("response")), "{bad}");
    }
    assert!(f.judge(&proof.value_with(&response.to_uppercase())).is_right());
}

#[test]
fn quotes_in_the_user_name_do_not_break_out() {
    let mut f = Fixture::new();
    let name = r#"1001", realm="x"#;
    let value = Proof { username: name.into(), ..f.proof(Algorithm::Md5) }.value();
    assert_eq!(Credentials::parse(value.as_bytes()).unwrap().username(), name);
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "Digest ",
        "username=",
        "realm=",
        "nonce=",
        "uri=",
        "response=",
        "qop=",
        "nc=",
        "cnonce=",
        "algorithm=",
        "\"",
        "\\\\",
        ",",
        " ",
        "=",
        "00000001",
        "auth",
        "MD5",
        "[a-z0-9\"]{0,8}",
        "\\PC{0,4}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|p| p.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        _ = Credentials::parse(&bytes);
        _ = Credentials::parse(&[b"Digest ", &bytes[..]].concat());
        _ = client().answer([&bytes[..]], None);
    }

    #[test]
    fn parsing_pieces_never_panics(value in pieces()) {
        let value = format!("Digest {value}");
        _ = Credentials::parse(value.as_bytes());
        _ = client().answer([value.as_bytes()], None);
    }

    #[test]
    fn changed_credentials_never_get_in(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut f = Fixture::new();
        let value = f.proof(Algorithm::Sha256).value();
        let mut bytes = value.clone().into_bytes();
        let at = at.index(bytes.len());
        let same = bytes[at].eq_ignore_ascii_case(&to);
        bytes[at] = to;
        let outcome = match Credentials::parse(&bytes) {
            Ok(c) => f.server.verify(&c, &common::REGISTER, Some(&f.ha1), f.now),
            Err(why) => why.into(),
        };
        // The case of names and digits, and blanks between parameters, change nothing.
        let harmless = same || (value.as_bytes()[at] == b' ' && matches!(to, b'\t' | b'\r' | b'\n'));
        prop_assert!(harmless || !outcome.is_right(), "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn stored_forms_never_panic(text in "\\PC{0,100}", phc in "\\$argon2id(\\$[a-zA-Z0-9=,+/]{0,30}){0,5}") {
        _ = Ha1::from_hex("1001", &text);
        _ = PasswordHash::from_phc(&text);
        _ = PasswordHash::from_phc(&phc);
        _ = PinHash::from_hex(&text);
        _ = text.parse::<Pin>();
        _ = Totp::from_base32(TotpAlgorithm::Sha1, &text);
    }
}
