//! The side that challenges and verifies (RFC 7616 3.3, RFC 8760 2.3 and 2.4, RFC 3261 22).

use core::fmt;
use core::time::Duration;

use pbx_core::table::{Accepted as Counted, Block, ReplayId};
use pbx_core::{ConfigError, ConfigErrors, Now, Random};
use subtle::ConstantTimeEq;

use super::Request;
use super::credentials::Credentials;
use super::hash::{Algorithm, Parameters, Qop, response};
use super::nonce::{self, Keys, Nonce, Opened};
use super::params::Malformed;
use crate::credential::{Ha1, is_realm};
use crate::hex;

/// What a [`Server`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The realm: 1 to 128 bytes without quotes, backslashes and control characters. HA1 values hold for one
    /// realm only.
    pub realm: String,
    /// The algorithms to offer. They are offered strongest first whatever their order here.
    pub algorithms: Vec<Algorithm>,
    /// The protection to ask for.
    pub qop: Qop,
    /// How long a nonce can be used, 10 s to 1 h, whole seconds.
    ///
    /// The default of 5 min covers the refreshes of phones behind NAT (every 60 to 180 s) without a second
    /// round trip, and is all that the table of nonce counts has to remember. A longer one buys little:
    /// whoever comes later is told `stale` and repeats the request without asking the user.
    pub nonce_lifetime: Duration,
}

impl Config {
    /// SHA-256 and MD5 (RFC 8760), `auth`, nonces of 5 minutes.
    #[must_use]
    pub fn new(realm: impl Into<String>) -> Self {
        Self {
            realm: realm.into(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            qop: Qop::Auth,
            nonce_lifetime: Duration::from_secs(300),
        }
    }

    fn lifetime(&self) -> Result<u32, ConfigError> {
        u32::try_from(self.nonce_lifetime.as_secs()).ok().filter(|s| (10..=3600).contains(s)).ok_or_else(
            || {
                ConfigError::new("nonce_lifetime", format!("{:?} is out of range", self.nonce_lifetime))
                    .instead("write 10 s to 1 h")
            },
        )
    }

    fn offered(&self) -> Result<Vec<Algorithm>, ConfigError> {
        let offered: Vec<_> = Algorithm::ALL.into_iter().filter(|a| self.algorithms.contains(a)).collect();
        let none =
            || ConfigError::new("algorithms", "nothing is offered").instead("name SHA-256, MD5 or both");
        if offered.is_empty() { Err(none()) } else { Ok(offered) }
    }

    fn realm(&self) -> Result<String, ConfigError> {
        is_realm(&self.realm).then(|| self.realm.clone()).ok_or_else(|| {
            ConfigError::new("realm", format!("{:?} cannot be a realm", self.realm))
                .instead("write 1 to 128 bytes without quotes, backslashes and control characters")
        })
    }
}

/// Challenges, and verifies the answers.
///
/// Everything an answer is judged by comes from the nonce and the account; [`verify`](Self::verify) neither
/// allocates nor stores anything before the proof is right. ACK and CANCEL cannot be challenged
/// (RFC 3261 22.1).
#[derive(Clone)]
pub struct Server {
    realm: String,
    algorithms: Vec<Algorithm>,
    qop: Qop,
    lifetime: u32,
    keys: Keys,
    decoy: [u8; 32],
    block: Block,
    counts: ReplayId,
}

impl Server {
    /// A server that remembers nonce counts in the table `counts` of `block`.
    ///
    /// `seed` signs the nonces. Draw it anew whenever the table begins empty, or what was used before could be
    /// used once more; hand the same one to every process that shares the table.
    ///
    /// # Errors
    /// Everything that is wrong in `config`.
    pub fn new(
        config: &Config,
        seed: &[u8; 32],
        block: Block,
        counts: ReplayId,
    ) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let realm = errors.take(config.realm());
        let algorithms = errors.take(config.offered());
        let lifetime = errors.take(config.lifetime());
        errors.or(())?;
        Ok(Self {
            realm: realm.unwrap_or_default(),
            algorithms: algorithms.unwrap_or_default(),
            qop: config.qop,
            lifetime: lifetime.unwrap_or_default(),
            keys: Keys::new(seed),
            decoy: nonce::derive(seed, b"decoy ha1"),
            block,
            counts,
        })
    }

    /// Signs with a new key from now on; nonces signed with the last one stay good for their lifetime, so
    /// rotate no more often than that. Change a clone and swap it in.
    pub fn rotate(&mut self, seed: &[u8; 32]) {
        self.keys.rotate(seed);
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The challenges of one answer, strongest first: one `WWW-Authenticate` (401) or `Proxy-Authenticate`
    /// (407) header each. They depend on the realm only, so they tell nothing about any account.
    ///
    /// `stale` is what [`Outcome::is_stale`] said of the credentials, `false` when there were none.
    pub fn challenges<'s>(
        &'s self,
        stale: bool,
        random: &'s mut Random,
        now: Now,
    ) -> impl Iterator<Item = Challenge<'s>> {
        self.algorithms.iter().map(move |&algorithm| Challenge {
            realm: &self.realm,
            nonce: self.keys.issue(&self.realm, (algorithm, self.qop), self.lifetime, random, now),
            algorithm,
            qop: self.qop,
            stale,
        })
    }

    /// Whether the nonce of the credentials is one of ours, whatever its age: its sender receives at the address
    /// it sends from, because that is where the nonce went. It says nothing about the proof.
    #[must_use]
    pub fn has_issued(&self, credentials: &Credentials<'_>) -> bool {
        matches!(self.keys.open(credentials.nonce(), &self.realm), Opened::Genuine(_))
    }

    /// Judges credentials. `ha1` is that of the account they name, `None` when there is none: then a decoy is
    /// verified with the same work, and the outcome is that of a wrong secret. So it is for the HA1 of another
    /// user name. Whether the user may act as the address of record is the caller's to ask.
    ///
    /// The URI of the credentials must be the Request-URI byte by byte: credentials taken from one request are
    /// of no use for another.
    #[must_use]
    pub fn verify(
        &self,
        credentials: &Credentials<'_>,
        request: &Request<'_>,
        ha1: Option<&Ha1>,
        now: Now,
    ) -> Outcome {
        self.judge(credentials, request, ha1, now).unwrap_or_else(|refused| refused)
    }

    fn judge(
        &self,
        credentials: &Credentials<'_>,
        request: &Request<'_>,
        ha1: Option<&Ha1>,
        now: Now,
    ) -> Result<Outcome, Outcome> {
        if credentials.realm() != self.realm {
            return Err(Outcome::RealmMismatch);
        }
        let (nonce, genuine) = match self.keys.open(credentials.nonce(), &self.realm) {
            Opened::Genuine(nonce) => (nonce, true),
            Opened::UnknownKey(nonce) => (nonce, false),
            Opened::Forged => return Err(Outcome::Forged),
        };
        self.offered(credentials, &nonce)?;
        match (self.prove(credentials, &nonce, request, ha1)?, genuine) {
            (true, _) => {}
            (false, true) => return Err(Outcome::Wrong),
            (false, false) => return Err(Outcome::Forged),
        }
        if credentials.uri() != request.uri {
            return Err(Outcome::UriMismatch);
        }
        let left = nonce.left(self.lifetime, now).filter(|_| genuine).ok_or(Outcome::Stale)?;
        self.count(credentials, &nonce, left, now)?;
        Ok(Outcome::Right(Accepted { algorithm: nonce.algorithm, qop: nonce.qop }))
    }

    /// What the client used must be what stood beside this nonce, and still be on offer.
    fn offered(&self, credentials: &Credentials<'_>, nonce: &Nonce) -> Result<(), Outcome> {
        let Nonce { algorithm, qop, .. } = *nonce;
        if credentials.algorithm() != Some(algorithm) || !self.algorithms.contains(&algorithm) {
            return Err(Outcome::AlgorithmNotOffered);
        }
        if credentials.qop() != Some(qop) || self.qop != qop {
            return Err(Outcome::QopNotOffered);
        }
        Ok(())
    }

    /// Whether the response is that of `ha1`. A decoy is derived once, not from the name: no answer ever
    /// shows anything computed from it.
    fn prove(
        &self,
        credentials: &Credentials<'_>,
        nonce: &Nonce,
        request: &Request<'_>,
        ha1: Option<&Ha1>,
    ) -> Result<bool, Outcome> {
        let algorithm = nonce.algorithm;
        let mut claimed = [0; 32];
        let claimed = claimed.get_mut(..algorithm.hash_len()).unwrap_or_default();
        if !hex::decode_into(credentials.response(), claimed) {
            return Err(Outcome::Malformed(Malformed::Value("response")));
        }
        let known = ha1.filter(|h| h.username() == credentials.username()).and_then(|h| h.value(algorithm));
        let decoy = self.decoy.get(..algorithm.hash_len()).unwrap_or_default();
        let parameters = Parameters {
            algorithm,
            uri: credentials.uri(),
            nonce: credentials.nonce(),
            protection: Some(credentials.protection(nonce.qop)),
        };
        let expected = response(known.unwrap_or(decoy), &parameters, request);
        Ok(bool::from(expected.as_bytes().ct_eq(claimed)) & known.is_some())
    }

    /// Takes the nonce count, once. Keyed by user name too: the holder of one account must not be able to use
    /// up the counts of a nonce that was issued to another.
    fn count(
        &self,
        credentials: &Credentials<'_>,
        nonce: &Nonce,
        left: u32,
        now: Now,
    ) -> Result<(), Outcome> {
        let key = self.block.key(&nonce.bytes).with(self.block.key(credentials.username().as_bytes()));
        let keep = Duration::from_secs(u64::from(left + nonce::SLACK));
        match self.block.replay(self.counts).accept(key, credentials.nonce_count(), keep, now) {
            Counted::Fresh => Ok(()),
            Counted::Seen | Counted::TooOld => Err(Outcome::Replay),
            // A full table must not become a way in, and telling the client to try again harms nobody.
            _ => Err(Outcome::Stale),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("realm", &self.realm)
            .field("algorithms", &self.algorithms)
            .field("qop", &self.qop)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// One challenge; its [`Display`](fmt::Display) is the value of the header.
#[derive(Clone, Debug)]
pub struct Challenge<'s> {
    realm: &'s str,
    nonce: [u8; nonce::TEXT],
    algorithm: Algorithm,
    qop: Qop,
    stale: bool,
}

impl Challenge<'_> {
    /// The algorithm it asks for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Display for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nonce = core::str::from_utf8(&self.nonce).unwrap_or_default();
        let (realm, algorithm, qop) = (self.realm, self.algorithm.name(), self.qop.name());
        write!(f, r#"Digest realm="{realm}", nonce="{nonce}", algorithm={algorithm}, qop="{qop}""#)?;
        if self.stale { f.write_str(", stale=true") } else { Ok(()) }
    }
}

/// What was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The algorithm of the proof.
    pub algorithm: Algorithm,
    /// What it covers.
    pub qop: Qop,
}

/// What credentials are worth. It is for the record and the counters; the sender is told no more than a new
/// challenge and [`is_stale`](Self::is_stale).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The sender knows the secret and says so for the first time.
    Right(Accepted),
    /// The proof is right, but the nonce is too old, not known any more, or the table of counts is full: the
    /// sender is to try again with a new one. No failure.
    Stale,
    /// The proof is wrong, or there is no such account.
    Wrong,
    /// The nonce is none of ours.
    Forged,
    /// The proof is right and was used before, or its count is so far behind those that were used, or so large
    /// (over 400 million), that nobody knows.
    Replay,
    /// The proof is right, but for another URI.
    UriMismatch,
    /// The credentials are for another realm.
    RealmMismatch,
    /// Another algorithm than was offered with the nonce.
    AlgorithmNotOffered,
    /// Another protection than was offered with the nonce.
    QopNotOffered,
    /// The credentials cannot be read.
    Malformed(Malformed),
}

impl Outcome {
    /// Whether the sender proved to know the secret, now.
    #[must_use]
    pub const fn is_right(&self) -> bool {
        matches!(self, Self::Right(_))
    }

    /// Whether the next challenge says `stale=true` (RFC 7616 3.3).
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Stale)
    }

    /// Whether it counts as a failed attempt.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        !self.is_right() && !self.is_stale()
    }
}

impl From<Malformed> for Outcome {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

#[cfg(test)]
mod tests {
    use pbx_core::table::{Layout, heap};

    use super::*;
    use crate::hex;

    fn server(config: &Config) -> Result<Server, ConfigErrors> {
        let mut layout = Layout::new(1);
        let counts = layout.replay(8);
        let block = Block::create(heap(layout.words()), &layout, [3; 16], 0, Now::default()).unwrap();
        Server::new(config, &[9; 32], block, counts)
    }

    #[test]
    fn all_that_is_wrong_in_a_configuration_is_said() {
        let config = Config {
            realm: "a\"b".into(),
            algorithms: Vec::new(),
            nonce_lifetime: Duration::from_secs(9),
            ..Config::new("")
        };
        let errors = server(&config).unwrap_err();
        let paths: Vec<_> = errors.iter().map(ConfigError::path).collect();
        assert_eq!(paths, ["realm", "algorithms", "nonce_lifetime"]);
        for (seconds, fits) in [(10, true), (3600, true), (3601, false), (u64::MAX, false)] {
            let nonce_lifetime = Duration::from_secs(seconds);
            assert_eq!(server(&Config { nonce_lifetime, ..Config::new("r") }).is_ok(), fits, "{seconds}");
        }
    }

    #[test]
    fn even_whoever_knew_the_decoy_would_not_get_in() {
        let server = server(&Config::new("r")).unwrap();
        let mut random = Random::from_seed([1; 32]);
        for challenge in server.challenges(false, &mut random, Now::default()) {
            let decoy = server.decoy.get(..challenge.algorithm.hash_len()).unwrap();
            let request = Request { method: "INVITE", uri: b"sip:r", body: b"" };
            let protection = super::super::hash::Protection { qop: Qop::Auth, nc: b"00000001", cnonce: b"c" };
            let parameters = Parameters {
                algorithm: challenge.algorithm,
                uri: request.uri,
                nonce: &challenge.nonce,
                protection: Some(protection),
            };
            let response = hex::text(response(decoy, &parameters, &request).as_bytes());
            let (nonce, name) = (core::str::from_utf8(&challenge.nonce).unwrap(), challenge.algorithm.name());
            let value = format!(
                "Digest username=\"nobody\", realm=\"r\", nonce=\"{nonce}\", uri=\"sip:r\", \
                 response=\"{response}\", algorithm={name}, qop=auth, nc=00000001, cnonce=\"c\""
            );
            let credentials = Credentials::parse(value.as_bytes()).unwrap();
            assert_eq!(server.verify(&credentials, &request, None, Now::default()), Outcome::Wrong);
        }
    }
}
