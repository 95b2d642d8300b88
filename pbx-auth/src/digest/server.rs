//! The side that challenges and verifies (RFC 7616 3.3, RFC 8760 2.3 and 2.4, RFC 3261 22).

use core::fmt;
use core::time::Duration;

use pbx_core::table::{Accepted as Counted, Block, ReplayId};
use pbx_core::{ConfigErrors, Now, Random, Source};
use subtle::ConstantTimeEq;

use super::Request;
use super::config::Config;
use super::credentials::Credentials;
use super::hash::{Algorithm, Parameters, Qop, response};
use super::nonce::{self, Issue, Keys, Nonce, Opened};
use super::outcome::{Accepted, Outcome};
use super::params::Malformed;
use crate::credential::Ha1;
use crate::hex;

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
    /// `seed` signs the nonces. Hand the same one to every process that shares the table, and draw it anew at
    /// each boot of the machine and whenever the table begins empty: a nonce that outlived the clock it was
    /// issued by, or the table that remembers its counts, could be used once more.
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

    /// Signs with a new key from now on, e.g. once a day; nonces signed with the last one stay good for their
    /// lifetime, so rotate no more often than that. Change a clone and swap it in.
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
    /// `source` is where they are sent. `stale` is what [`Outcome::is_stale`] said of the credentials, `false`
    /// when there were none.
    pub fn challenges<'s>(
        &'s self,
        source: Source,
        stale: bool,
        random: &'s mut Random,
        now: Now,
    ) -> impl Iterator<Item = Challenge<'s>> {
        let (realm, qop, lifetime, to) = (self.realm.as_str(), self.qop, self.lifetime, source.key());
        self.algorithms.iter().map(move |&algorithm| {
            let issue = Issue { realm, offered: (algorithm, qop), lifetime, to };
            Challenge { realm, nonce: self.keys.issue(&issue, random, now), algorithm, qop, stale }
        })
    }

    /// Whether the nonce of the credentials was sent to the address of `source` and still lives. Then whoever
    /// sent them receives there: the address is not forged, whatever the proof is worth. That the nonce is ours
    /// would not do, for an attacker can fetch one for himself and send it under somebody else's address.
    #[must_use]
    pub fn has_issued_to(&self, source: Source, credentials: &Credentials<'_>, now: Now) -> bool {
        match self.keys.open(credentials.nonce(), &self.realm) {
            Opened::Genuine(nonce) => {
                nonce.left(self.lifetime, now).is_some() && self.keys.sent_to(&nonce, source.key())
            }
            _ => false,
        }
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
    fn even_whoever_knew_the_decoy_would_not_get_in() {
        let server = server(&Config::new("r")).unwrap();
        let mut random = Random::from_seed([1; 32]);
        let source = Source::new("192.0.2.1:5060".parse().unwrap(), pbx_core::Transport::Udp);
        for challenge in server.challenges(source, false, &mut random, Now::default()) {
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
