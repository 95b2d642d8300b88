//! Where something came from.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

/// How a packet or message travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Transport {
    /// Datagrams: the source address may be forged until an answer carries our nonce.
    Udp,
    /// A stream: the handshake has proved the address.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    /// Whether receiving anything at all over it proves that the sender can receive at its address.
    #[must_use]
    pub const fn proves_address(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether bytes arrive as a stream rather than as datagrams.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// The name used in configuration and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kind of network a source stands in. "Remote" means neither [`Network::Lan`] nor [`Network::Vpn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Network {
    /// The local network.
    Lan,
    /// A virtual private network of the operator.
    Vpn,
    /// A vendor tunnel or public host name that forwards to the PBX.
    Tunnel,
    /// The internet.
    Public,
}

impl Network {
    /// Whether a source in it counts as remote (feature C7, D8, B2).
    #[must_use]
    pub const fn is_remote(self) -> bool {
        matches!(self, Self::Tunnel | Self::Public)
    }

    /// The name used in configuration and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Vpn => "vpn",
            Self::Tunnel => "tunnel",
            Self::Public => "public",
        }
    }
}

/// A service of the PBX that packets are addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Service {
    /// The web interface over TLS.
    Https,
    /// The web interface without TLS.
    Http,
    /// Secure shell.
    Ssh,
    /// SIP, whatever the transport.
    Sip,
    /// SIP over UDP.
    SipUdp,
    /// SIP over TCP.
    SipTcp,
    /// SIP over TLS.
    SipTls,
    /// Answers to SIP that the PBX sent to a provider.
    OutboundSip,
    /// RTP and RTCP.
    Rtp,
    /// Unified-communications clients.
    Client,
    /// The manager interface.
    Ami,
    /// Database access granted to others.
    DatabaseGrant,
    /// The phone book.
    Ldap,
    /// File transfer.
    Ftp,
    /// Trivial file transfer.
    Tftp,
    /// The vendor tunnel.
    Tunnel,
}

/// The address, port and transport something was received from.
///
/// An IPv4 address that arrives mapped into IPv6 (`::ffff:192.0.2.1`) is the IPv4 address: one sender has
/// one identity, whatever socket it reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    addr: IpAddr,
    port: u16,
    transport: Transport,
}

impl Source {
    /// What the socket said. Never build it from Via, Contact or X-Forwarded-For of an untrusted sender.
    #[must_use]
    pub fn new(from: SocketAddr, transport: Transport) -> Self {
        Self { addr: from.ip().to_canonical(), port: from.port(), transport }
    }

    /// The address, IPv4-mapped IPv6 already folded.
    #[must_use]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The port, 0 where it is unknown.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How it travelled.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Address and port.
    #[must_use]
    pub const fn socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.addr, self.port)
    }

    /// What counters and blocks are keyed by: the IPv4 address, or the /64 of the IPv6 address, because
    /// one customer of an internet provider has at least 2^64 of them.
    #[must_use]
    pub fn key(&self) -> AddrKey {
        AddrKey::host(self.addr)
    }

    /// The networks that [`Source::key`] lies in, narrow to wide: /24 for IPv4, /56 and /48 for IPv6.
    #[must_use]
    pub fn aggregates(&self) -> ArrayVec<AddrKey, 2> {
        let lens: &[u8] = if self.addr.is_ipv4() { &[24] } else { &[56, 48] };
        lens.iter().map(|&len| AddrKey::covering(self.addr, len)).collect()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.socket_addr(), self.transport)
    }
}

/// An address or network as a key of counters and blocks: a prefix of at most 64 significant bits for
/// IPv6 and 32 for IPv4, in two words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddrKey {
    bits: u64,
    v6: bool,
    len: u8,
}

impl AddrKey {
    /// The key of one sender: /32 for IPv4, /64 for IPv6.
    #[must_use]
    pub fn host(addr: IpAddr) -> Self {
        Self::covering(addr, if addr.to_canonical().is_ipv4() { 32 } else { 64 })
    }

    /// The network of `len` bits around `addr`; lengths over 32 (IPv4) or 64 (IPv6) are cut to that.
    #[must_use]
    pub fn covering(addr: IpAddr, len: u8) -> Self {
        match addr.to_canonical() {
            IpAddr::V4(a) => {
                let len = len.min(32);
                let bits = u64::from(a.to_bits()) << 32;
                Self { bits: bits & mask(len), v6: false, len }
            }
            IpAddr::V6(a) => {
                let len = len.min(64);
                let high = u64::try_from(a.to_bits() >> 64).unwrap_or_default();
                Self { bits: high & mask(len), v6: true, len }
            }
        }
    }

    /// The prefix bits, left-aligned.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// Whether it is a prefix of IPv6 addresses.
    #[must_use]
    pub const fn is_v6(self) -> bool {
        self.v6
    }

    /// Number of significant bits: at most 32 for IPv4, at most 64 for IPv6.
    #[must_use]
    pub const fn prefix_len(self) -> u8 {
        self.len
    }

    /// Back from the parts that a table stores; `None` for parts that no key has.
    #[must_use]
    pub fn from_parts(bits: u64, v6: bool, len: u8) -> Option<Self> {
        let fits = len <= if v6 { 64 } else { 32 };
        (fits && bits & !mask(len) == 0).then_some(Self { bits, v6, len })
    }

    /// The first address of the prefix.
    #[must_use]
    pub fn addr(self) -> IpAddr {
        if self.v6 {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(self.bits) << 64))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(self.bits >> 32).unwrap_or_default()))
        }
    }

    /// Whether `addr` lies in it.
    #[must_use]
    pub fn contains(self, addr: IpAddr) -> bool {
        Self::covering(addr, self.len) == self
    }

    /// 10 bytes that differ for any two keys: what tables hash.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 10] {
        let mut out = [0; 10];
        let (bits, rest) = out.split_at_mut(8);
        bits.copy_from_slice(&self.bits.to_be_bytes());
        rest.copy_from_slice(&[u8::from(self.v6), self.len]);
        out
    }
}

impl fmt::Display for AddrKey {
    /// A single IPv4 address is written without a prefix length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.v6, self.len) {
            (false, 32) => write!(f, "{}", self.addr()),
            _ => write!(f, "{}/{}", self.addr(), self.len),
        }
    }
}

impl fmt::Debug for AddrKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn mask(len: u8) -> u64 {
    u64::MAX.checked_shl(64 - u32::from(len.min(64))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(text.parse().unwrap(), Transport::Udp)
    }

    #[test]
    fn mapped_ipv4_is_the_ipv4_address() {
        assert_eq!(source("[::ffff:192.0.2.1]:5060"), source("192.0.2.1:5060"));
        assert_eq!(source("[::ffff:192.0.2.1]:5060").key(), source("192.0.2.1:9").key());
    }

    #[test]
    fn ipv6_is_keyed_by_its_64() {
        let a = source("[2001:db8:1:2:aaaa::1]:1");
        let b = source("[2001:db8:1:2:bbbb::9]:2");
        assert_eq!(a.key(), b.key());
        assert_eq!(a.key().to_string(), "2001:db8:1:2::/64");
        let wide: Vec<_> = a.aggregates().iter().map(ToString::to_string).collect();
        assert_eq!(wide, ["2001:db8:1::/56", "2001:db8:1::/48"]);
        assert_ne!(a.key(), source("[2001:db8:1:3::1]:1").key());
    }

    #[test]
    fn ipv4_aggregates_to_its_24() {
        let a = source("198.51.100.77:5060");
        assert_eq!(a.key().to_string(), "198.51.100.77");
        assert_eq!(a.aggregates()[0].to_string(), "198.51.100.0/24");
        assert!(a.aggregates()[0].contains("198.51.100.1".parse().unwrap()));
        assert!(!a.aggregates()[0].contains("198.51.101.1".parse().unwrap()));
    }

    #[test]
    fn families_never_share_a_key() {
        let v4 = AddrKey::covering("32.1.13.184".parse().unwrap(), 32);
        let v6 = AddrKey::covering("2001:db8::".parse().unwrap(), 32);
        assert_eq!(v4.bits(), v6.bits());
        assert_ne!(v4, v6);
        assert_ne!(v4.to_bytes(), v6.to_bytes());
    }

    #[test]
    fn parts_come_back() {
        for key in [source("192.0.2.1:1").key(), source("[2001:db8::1]:1").aggregates()[1]] {
            assert_eq!(AddrKey::from_parts(key.bits(), key.is_v6(), key.prefix_len()), Some(key));
        }
        assert_eq!(AddrKey::from_parts(1, false, 8), None, "bits beyond the prefix");
        assert_eq!(AddrKey::from_parts(0, false, 33), None, "longer than IPv4");
    }
}
