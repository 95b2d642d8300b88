//! What an administrator decides about digest.

use core::time::Duration;

use pbx_core::ConfigError;

use super::hash::{Algorithm, Qop};
use crate::credential::is_realm;

/// What a [`Server`](super::Server) asks for.
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

    pub(super) fn lifetime(&self) -> Result<u32, ConfigError> {
        u32::try_from(self.nonce_lifetime.as_secs()).ok().filter(|s| (10..=3600).contains(s)).ok_or_else(
            || {
                ConfigError::new("nonce_lifetime", format!("{:?} is out of range", self.nonce_lifetime))
                    .instead("write 10 s to 1 h")
            },
        )
    }

    pub(super) fn offered(&self) -> Result<Vec<Algorithm>, ConfigError> {
        let offered: Vec<_> = Algorithm::ALL.into_iter().filter(|a| self.algorithms.contains(a)).collect();
        let none =
            || ConfigError::new("algorithms", "nothing is offered").instead("name SHA-256, MD5 or both");
        if offered.is_empty() { Err(none()) } else { Ok(offered) }
    }

    pub(super) fn realm(&self) -> Result<String, ConfigError> {
        is_realm(&self.realm).then(|| self.realm.clone()).ok_or_else(|| {
            ConfigError::new("realm", format!("{:?} cannot be a realm", self.realm))
                .instead("write 1 to 128 bytes without quotes, backslashes and control characters")
        })
    }
}

#[cfg(test)]
mod tests {
    use pbx_core::table::{Block, Layout, heap};
    use pbx_core::{ConfigErrors, Now};

    use super::*;
    use crate::digest::Server;

    fn compile(config: &Config) -> Result<Server, ConfigErrors> {
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
        let errors = compile(&config).unwrap_err();
        let paths: Vec<_> = errors.iter().map(ConfigError::path).collect();
        assert_eq!(paths, ["realm", "algorithms", "nonce_lifetime"]);
        for (seconds, fits) in [(10, true), (3600, true), (3601, false), (u64::MAX, false)] {
            let nonce_lifetime = Duration::from_secs(seconds);
            assert_eq!(compile(&Config { nonce_lifetime, ..Config::new("r") }).is_ok(), fits, "{seconds}");
        }
    }
}
