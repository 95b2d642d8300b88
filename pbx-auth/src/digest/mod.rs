//! SIP digest authentication, both sides (RFC 7616, RFC 8760, RFC 3261 22).
//!
//! A [`Server`] writes challenges and verifies [`Credentials`]; a [`Client`] answers the challenges of a
//! trunk. Neither keeps anything per challenge: nonces prove themselves, and only a proof that verified
//! leaves a trace, in the bounded table that remembers nonce counts.
//!
//! ```
//! # use pbx_auth::{Ha1, SipSecret, digest::{Client, Config, Credentials, Outcome, Request, Server}};
//! # use pbx_core::{Mono, Now, Random, Source, Transport, Wall, table::{Block, Layout, heap}};
//! # let now = Now::new(Mono::from_secs(9), Wall::from_unix_secs(1_772_445_600));
//! # let mut random = Random::from_seed([1; 32]);
//! let mut layout = Layout::new(1);
//! let counts = layout.replay(1024);
//! let block = Block::create(heap(layout.words()), &layout, random.bytes(), 0, now)?;
//! let server = Server::new(&Config::new("pbx.example"), &random.bytes(), block, counts)?;
//!
//! let secret = SipSecret::generate(&mut random);
//! let ha1 = Ha1::derive("1001", "pbx.example", &secret)?;
//! let request = Request { method: "REGISTER", uri: b"sip:pbx.example", body: b"" };
//!
//! let source = Source::new("192.0.2.7:5060".parse()?, Transport::Udp);
//! let challenges = server.challenges(source, false, &mut random, now);
//! let challenges: Vec<String> = challenges.map(|c| c.to_string()).collect();
//! let mut answer = Client::new("1001", secret)?.answer(challenges.iter().map(String::as_bytes), None)?;
//! let value = answer.authorization(&request, &mut random)?;
//!
//! let credentials = Credentials::parse(value.as_bytes())?;
//! assert!(server.has_issued_to(source, &credentials, now));
//! assert!(matches!(server.verify(&credentials, &request, Some(&ha1), now), Outcome::Right(_)));
//! assert_eq!(server.verify(&credentials, &request, Some(&ha1), now), Outcome::Replay);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod config;
mod credentials;
mod hash;
mod nonce;
mod offer;
mod outcome;
mod params;
mod server;

use core::fmt;

pub use client::{Answer, AnswerError, Client};
pub use config::Config;
pub use credentials::Credentials;
pub use hash::{Algorithm, Qop};
pub use outcome::{Accepted, Outcome};
pub use params::Malformed;
pub use server::{Challenge, Server};

/// The parts of a request that a digest covers.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, as in the request line.
    pub method: &'a str,
    /// The Request-URI, as in the request line.
    pub uri: &'a [u8],
    /// The body; empty when there is none. Only [`Qop::AuthInt`] covers it.
    pub body: &'a [u8],
}

impl fmt::Debug for Request<'_> {
    /// The body is left out: SDP may hold SRTP keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {}, {} bytes)", self.method, self.uri.escape_ascii(), self.body.len())
    }
}
