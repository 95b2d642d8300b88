//! The one file an administrator writes: the policy at the top level, the PBX's own settings under `[pbx]`.

mod load;
mod schema;
mod template;

use std::net::SocketAddr;
use std::path::PathBuf;

use pbx_core::{ConfigError, ConfigErrors, Transport};
use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use load::parse;
pub(crate) use load::{Loaded, compile, load};
pub(crate) use schema::{explain, schema};
pub(crate) use template::TEMPLATE;

/// What only the PBX itself needs to know.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PbxConfig {
    /// Where to listen, as transport and address, e.g. `udp:127.0.0.1:5060`. Nothing but loopback until
    /// told otherwise.
    pub(crate) listen: Vec<String>,
    /// The realm that phones are asked to authenticate for. Secrets are made for one realm: changing it means
    /// new secrets.
    pub(crate) realm: String,
    /// The folder for secrets and state, relative to the configuration file.
    pub(crate) data_dir: PathBuf,
    /// The digest algorithms that phones are offered, strongest first whatever the order here (RFC 8760). Some
    /// phones, baresip 1.0 among them, give up when they are offered one they do not know instead of passing it
    /// over: with such phones write `["MD5"]`.
    pub(crate) digest: Vec<DigestAlgorithm>,
    /// What to log: error, warn, info, debug or trace.
    pub(crate) log: LogLevel,
    /// How long a registration lasts at most, in seconds: 60 to 86400.
    pub(crate) max_expires_s: u32,
    /// The shortest registration a phone may ask for, in seconds: 10 to 3600.
    pub(crate) min_expires_s: u32,
    /// Switches every protection off: guesses are answered for ever. For tests only.
    pub(crate) danger_protection_off: bool,
}

impl Default for PbxConfig {
    fn default() -> Self {
        Self {
            listen: vec!["udp:127.0.0.1:5060".to_owned()],
            realm: "pbx.local".to_owned(),
            data_dir: PathBuf::from("pbx-data"),
            digest: vec![DigestAlgorithm::Sha256, DigestAlgorithm::Md5],
            log: LogLevel::Info,
            max_expires_s: 3_600,
            min_expires_s: 30,
            danger_protection_off: false,
        }
    }
}

/// A digest algorithm, by its name in RFC 8760.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
pub(crate) enum DigestAlgorithm {
    /// What every phone knows.
    #[serde(rename = "MD5")]
    Md5,
    /// What every phone should know.
    #[serde(rename = "SHA-256")]
    Sha256,
    /// SHA-512 cut to 256 bits.
    #[serde(rename = "SHA-512-256")]
    Sha512_256,
}

impl From<DigestAlgorithm> for pbx_auth::digest::Algorithm {
    fn from(algorithm: DigestAlgorithm) -> Self {
        match algorithm {
            DigestAlgorithm::Md5 => Self::Md5,
            DigestAlgorithm::Sha256 => Self::Sha256,
            DigestAlgorithm::Sha512_256 => Self::Sha512_256,
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// Only what stops the PBX from working.
    Error,
    /// And what an administrator should look at.
    Warn,
    /// And registrations, calls and decisions.
    Info,
    /// And every message.
    Debug,
    /// And everything else.
    Trace,
}

impl LogLevel {
    pub(crate) const fn filter(self) -> tracing::Level {
        match self {
            Self::Error => tracing::Level::ERROR,
            Self::Warn => tracing::Level::WARN,
            Self::Info => tracing::Level::INFO,
            Self::Debug => tracing::Level::DEBUG,
            Self::Trace => tracing::Level::TRACE,
        }
    }
}

/// One socket to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) transport: Transport,
    pub(crate) addr: SocketAddr,
}

impl PbxConfig {
    /// The sockets to open, and everything else that serde cannot check.
    pub(crate) fn check(&self) -> Result<Vec<Listen>, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let listen: Vec<Listen> = self
            .listen
            .iter()
            .enumerate()
            .filter_map(|(i, text)| {
                errors.take(listen(text).map_err(|e| e.under(&format!("pbx.listen[{i}]"))))
            })
            .collect();
        if self.listen.is_empty() {
            errors.push(
                ConfigError::new("pbx.listen", "there is nothing to listen on")
                    .instead("write e.g. [\"udp:127.0.0.1:5060\"]"),
            );
        }
        if self.realm.is_empty() || self.realm.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
            errors.push(
                ConfigError::new(
                    "pbx.realm",
                    "the realm is empty or holds a quote, backslash or control character",
                )
                .instead("write a host name, e.g. \"pbx.example.org\""),
            );
        }
        if self.digest.is_empty() {
            errors.push(
                ConfigError::new("pbx.digest", "no algorithm is offered")
                    .instead("write [\"SHA-256\", \"MD5\"]"),
            );
        }
        self.check_expiry(&mut errors);
        errors.or(listen)
    }

    fn check_expiry(&self, errors: &mut ConfigErrors) {
        if !(60..=86_400).contains(&self.max_expires_s) {
            errors.push(
                ConfigError::new("pbx.max_expires_s", format!("{} is out of range", self.max_expires_s))
                    .instead("write a number of seconds from 60 to 86400"),
            );
        }
        if !(10..=3_600).contains(&self.min_expires_s) || self.min_expires_s > self.max_expires_s {
            errors.push(
                ConfigError::new("pbx.min_expires_s", format!("{} is out of range", self.min_expires_s))
                    .instead("write a number of seconds from 10 to 3600, at most max_expires_s"),
            );
        }
    }
}

fn listen(text: &str) -> Result<Listen, ConfigError> {
    let bad = |problem: String| {
        ConfigError::new("", problem).instead("write transport:address:port, e.g. \"udp:192.0.2.1:5060\"")
    };
    let (transport, addr) =
        text.split_once(':').ok_or_else(|| bad(format!("{text:?} names no transport")))?;
    if transport != "udp" {
        return Err(bad(format!("the transport {transport:?} is not available; udp is")));
    }
    let addr: SocketAddr = addr.parse().map_err(|_| bad(format!("{addr:?} is no address with a port")))?;
    if addr.port() == 0 {
        return Err(bad("port 0 is no port to listen on".to_owned()));
    }
    Ok(Listen { transport: Transport::Udp, addr })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_listen_on_loopback_alone() {
        let sockets = PbxConfig::default().check().unwrap();
        assert!(sockets.iter().all(|l| l.addr.ip().is_loopback()));
    }

    #[test]
    fn every_mistake_is_reported_with_its_path() {
        let config = PbxConfig {
            listen: vec!["5060".into(), "tls:1.2.3.4:5061".into(), "udp:[::1]:5060".into()],
            realm: "a\"b".into(),
            max_expires_s: 5,
            ..PbxConfig::default()
        };
        let errors = config.check().unwrap_err().to_string();
        for path in ["pbx.listen[0]", "pbx.listen[1]", "pbx.realm", "pbx.max_expires_s", "pbx.min_expires_s"]
        {
            assert!(errors.contains(path), "{path} in {errors}");
        }
        assert!(!errors.contains("pbx.listen[2]"));
    }
}
