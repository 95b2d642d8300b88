//! A server with one account, and credentials made by a naive second implementation of RFC 7616 3.4.1.
#![allow(dead_code, unreachable_pub, reason = "every promise uses another part")]

use core::time::Duration;

use md5::{Digest as _, Md5};
use pbx_auth::digest::{Algorithm, Client, Config, Credentials, Outcome, Qop, Request, Server};
use pbx_auth::{Ha1, SipSecret};
use pbx_core::table::{Block, Layout, heap};
use pbx_core::{Mono, Now, Random, Source, Transport, Wall};
use sha2::{Sha256, Sha512_256};

pub const REALM: &str = "pbx.example";
pub const USER: &str = "1001";
pub const SECRET: &str = "a-secret-of-1001";
pub const REGISTER: Request<'static> = Request { method: "REGISTER", uri: b"sip:pbx.example", body: b"" };

pub struct Fixture {
    pub server: Server,
    pub ha1: Ha1,
    pub random: Random,
    pub now: Now,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(&Config::new(REALM), [9; 32])
    }

    pub fn with(config: &Config, seed: [u8; 32]) -> Self {
        Self::sized(config, seed, 1_000)
    }

    pub fn sized(config: &Config, seed: [u8; 32], slots: u32) -> Self {
        let now = Now::new(Mono::from_secs(1_000), Wall::from_unix_secs(1_772_445_600));
        let mut layout = Layout::new(1);
        let counts = layout.replay(slots);
        let block = Block::create(heap(layout.words()), &layout, [3; 16], 0, now).unwrap();
        Self {
            server: Server::new(config, &seed, block, counts).unwrap(),
            ha1: Ha1::derive(USER, &config.realm, &secret()).unwrap(),
            random: Random::from_seed([4; 32]),
            now,
        }
    }

    pub fn challenges(&mut self) -> Vec<String> {
        self.server.challenges(source(), false, &mut self.random, self.now).map(|c| c.to_string()).collect()
    }

    /// Credentials for a fresh challenge, right in everything.
    pub fn proof(&mut self, algorithm: Algorithm) -> Proof {
        let name = format!("algorithm={},", algorithm.name());
        let challenge = self.challenges().into_iter().find(|c| c.contains(&name)).unwrap();
        Proof {
            nonce: parameter(&challenge, "nonce"),
            algorithm: algorithm.name().into(),
            ..Proof::default()
        }
    }

    pub fn judge(&self, value: &str) -> Outcome {
        self.judge_request(value, &REGISTER)
    }

    pub fn judge_request(&self, value: &str, request: &Request<'_>) -> Outcome {
        match Credentials::parse(value.as_bytes()) {
            Ok(credentials) => self.server.verify(&credentials, request, Some(&self.ha1), self.now),
            Err(why) => why.into(),
        }
    }

    pub fn later(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }
}

pub fn source() -> Source {
    Source::new("192.0.2.7:5060".parse().unwrap(), Transport::Udp)
}

pub fn secret() -> SipSecret {
    SipSecret::import(SECRET).unwrap()
}

pub fn client() -> Client {
    Client::new(USER, secret()).unwrap()
}

/// The value of a quoted parameter.
pub fn parameter(value: &str, name: &str) -> String {
    let from = value.split(&format!("{name}=\"")).nth(1).unwrap();
    from.split('"').next().unwrap().to_owned()
}

/// What goes into credentials; the response is computed from it by the naive way.
#[derive(Clone)]
pub struct Proof {
    pub username: String,
    pub realm: String,
    pub secret: String,
    pub method: String,
    pub uri: String,
    pub body: String,
    pub nonce: String,
    pub algorithm: String,
    pub qop: String,
    pub nc: String,
    pub cnonce: String,
}

impl Default for Proof {
    fn default() -> Self {
        Self {
            username: USER.into(),
            realm: REALM.into(),
            secret: SECRET.into(),
            method: "REGISTER".into(),
            uri: "sip:pbx.example".into(),
            body: String::new(),
            nonce: String::new(),
            algorithm: "MD5".into(),
            qop: Qop::Auth.name().into(),
            nc: "00000001".into(),
            cnonce: "0a4f113b".into(),
        }
    }
}

impl Proof {
    pub fn count(&self, n: u32) -> Self {
        Self { nc: format!("{n:08x}"), ..self.clone() }
    }

    pub fn response(&self) -> String {
        let Self { username, realm, secret, method, uri, nonce, qop, nc, cnonce, .. } = self;
        let h = |text: String| self.hash(&text);
        let a1 = h(format!("{username}:{realm}:{secret}"));
        let a2 = match qop.as_str() {
            "auth-int" => h(format!("{method}:{uri}:{}", h(self.body.clone()))),
            _ => h(format!("{method}:{uri}")),
        };
        match qop.as_str() {
            "" => h(format!("{a1}:{nonce}:{a2}")),
            _ => h(format!("{a1}:{nonce}:{nc}:{cnonce}:{qop}:{a2}")),
        }
    }

    pub fn value(&self) -> String {
        self.value_with(&self.response())
    }

    pub fn value_with(&self, response: &str) -> String {
        let Self { username, realm, uri, nonce, algorithm, qop, nc, cnonce, .. } = self;
        let name = username.replace('\\', "\\\\").replace('"', "\\\"");
        let mut value = format!(
            r#"Digest username="{name}", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{response}""#
        );
        if !algorithm.is_empty() {
            value.push_str(&format!(", algorithm={algorithm}"));
        }
        if !qop.is_empty() {
            value.push_str(&format!(r#", qop={qop}, nc={nc}, cnonce="{cnonce}""#));
        }
        value
    }

    fn hash(&self, text: &str) -> String {
        let bytes = match self.algorithm.as_str() {
            "SHA-256" => Sha256::digest(text).to_vec(),
            "SHA-512-256" => Sha512_256::digest(text).to_vec(),
            _ => Md5::digest(text).to_vec(),
        };
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}
