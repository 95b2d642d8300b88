//! What an endpoint is told once.

use core::time::Duration;

use pbx_core::{ConfigError, ConfigErrors, Transport};

use crate::transaction::Timing;

/// Settings of an [`Endpoint`](crate::Endpoint). The defaults suit a PBX of a few thousand extensions.
///
/// ```
/// use pbx_core::Transport;
/// use pbx_sip::Config;
/// let config = Config::advertising(Transport::Udp, "192.0.2.1:5060");
/// assert!(config.check().is_ok());
/// let wrong = Config::advertising(Transport::Udp, "192.0.2.1 5060");
/// assert!(wrong.check().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// By transport, the host and port that peers reach this endpoint at, e.g. `pbx.example.com:5060` or
    /// `[2001:db8::1]:5060`: it goes into Via and Contact. A transport that is missing cannot be used for
    /// requests.
    pub advertised: Vec<(Transport, String)>,
    /// Option tags of extensions the embedder implements; an INVITE, OPTIONS or other request that requires
    /// one more is refused with 420 (RFC 3261 section 8.2.2.3). Default none.
    pub supported: Vec<String>,
    /// T1, T2 and T4.
    pub timing: Timing,
    /// Most server transactions at once, and most client transactions. Default 65 536 each.
    pub max_transactions: usize,
    /// Most bytes of requests that are not answered yet; a request beyond them is refused with 503. Default
    /// 128 MiB.
    pub max_request_bytes: usize,
    /// Most server transactions that one address ([`pbx_core::AddrKey`]) may hold. Default 8 192:
    /// a trunk of 50 calls a second holds half of them.
    pub max_transactions_per_source: u32,
    /// Most dialogs at once. Default 16 384.
    pub max_dialogs: usize,
    /// Most undrained events, and most undrained messages. Default 4 096 each.
    pub max_queue: usize,
    /// How long the embedder may leave an INVITE without a final response; then 408 goes out. Default 300 s.
    pub answer_within: Duration,
    /// Timer C: how long a called party may ring after its last provisional response; then CANCEL goes out.
    /// More than 180 s (RFC 3261 section 16.6). Default 185 s.
    pub ring_at_most: Duration,
    /// Refusals per second that are sent without keeping state (400, 481, 503 and the like); what exceeds
    /// them is dropped in silence, so that forged sources cannot make this endpoint shout. Default 100.
    pub stateless_answers_per_second: u32,
    /// What `Retry-After` of a 503 says, whole seconds. Default 10 s.
    pub retry_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            advertised: Vec::new(),
            supported: Vec::new(),
            timing: Timing::default(),
            max_transactions: 65_536,
            max_request_bytes: 128 << 20,
            max_transactions_per_source: 8_192,
            max_dialogs: 16_384,
            max_queue: 4_096,
            answer_within: Duration::from_secs(300),
            ring_at_most: Duration::from_secs(185),
            stateless_answers_per_second: 100,
            retry_after: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// The defaults with one advertised address.
    pub fn advertising(transport: Transport, host_port: impl Into<String>) -> Self {
        Self { advertised: vec![(transport, host_port.into())], ..Self::default() }
    }

    /// Finds what is wrong.
    ///
    /// # Errors
    /// Every mistake with the path of its key.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::new();
        self.check_advertised(&mut errors);
        self.check_supported(&mut errors);
        self.check_durations(&mut errors);
        self.check_limits(&mut errors);
        errors.or(())
    }

    /// Host and port for `transport`.
    pub(crate) fn advertised(&self, transport: Transport) -> Option<&str> {
        self.advertised.iter().find(|(t, _)| *t == transport).map(|(_, host_port)| host_port.as_str())
    }

    fn check_advertised(&self, errors: &mut ConfigErrors) {
        for (i, (_, host_port)) in self.advertised.iter().enumerate().filter(|(_, (_, h))| !is_host_port(h)) {
            let e = ConfigError::new(
                format!("advertised[{i}]"),
                format!("{host_port:?} is no host with an optional port"),
            );
            errors.push(e.instead("write e.g. pbx.example.com:5060, 192.0.2.1:5060 or [2001:db8::1]:5060"));
        }
    }

    fn check_supported(&self, errors: &mut ConfigErrors) {
        for (i, tag) in self.supported.iter().enumerate().filter(|(_, tag)| !is_token(tag)) {
            errors.push(ConfigError::new(format!("supported[{i}]"), format!("{tag:?} is no option tag")));
        }
    }

    fn check_durations(&self, errors: &mut ConfigErrors) {
        let Timing { t1, t2, t4 } = self.timing;
        for (key, value) in [("timing.t1", t1), ("timing.t2", t2), ("timing.t4", t4)] {
            if value < Duration::from_millis(1) || value > Duration::from_secs(60) {
                errors.push(ConfigError::new(key, "out of range").instead("write 1 ms to 60 s"));
            }
        }
        if self.ring_at_most <= Duration::from_secs(180) {
            let e = ConfigError::new("ring_at_most", "timer C is too short (RFC 3261 section 16.6)");
            errors.push(e.instead("write more than 180 s"));
        }
    }

    fn check_limits(&self, errors: &mut ConfigErrors) {
        for (key, value) in [
            ("max_transactions", self.max_transactions),
            ("max_dialogs", self.max_dialogs),
            ("max_queue", self.max_queue),
        ] {
            if value == 0 || u32::try_from(value).is_err() {
                errors.push(ConfigError::new(key, "out of range").instead("write 1 to 4294967295"));
            }
        }
    }
}

/// `host [":" port]` of RFC 3261 section 25.1, as far as characters go: nothing that could end the field.
fn is_host_port(text: &str) -> bool {
    let (host, port) = match text.rfind(']') {
        Some(end) => text.split_at(end + 1),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_fits = match address {
        Some(v6) => v6.parse::<core::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'.'),
    };
    let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    host_fits && port_fits
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `token` of RFC 3261 section 25.1.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for good in ["a", "pbx.example.com", "192.0.2.1:5060", "[2001:db8::1]", "[2001:db8::1]:5061"] {
            assert!(is_host_port(good), "{good}");
        }
        for bad in
            ["", ":5060", "a b", "a\r\nb", "a:", "a:0", "a:65536", "a:+5", "[::1", "::1", "[zz]:1", "a;b"]
        {
            assert!(!is_host_port(bad), "{bad:?}");
        }
    }

    #[test]
    fn every_mistake_is_told() {
        let config = Config {
            advertised: vec![(Transport::Udp, "a b".into())],
            supported: vec!["100 rel".into()],
            timing: Timing { t1: Duration::ZERO, ..Timing::default() },
            max_dialogs: 0,
            ring_at_most: Duration::from_secs(180),
            ..Config::default()
        };
        let errors = config.check().unwrap_err();
        let paths: Vec<_> = errors.iter().map(ConfigError::path).collect();
        assert_eq!(paths, ["advertised[0]", "supported[0]", "timing.t1", "ring_at_most", "max_dialogs"]);
    }

    #[test]
    fn the_defaults_are_right() {
        assert!(Config::default().check().is_ok());
    }
}
