//! A packet before any parsing, and which rules speak about it.

use pbx_core::{ConfigError, Network, Service, Source, Transport};

use crate::config::{PortsConfig, Protocol};

/// What is known of a packet before anything in it is parsed.
///
/// ```
/// use pbx_core::{Service, Source, Transport};
/// use pbx_policy::Packet;
/// let source = Source::new("203.0.113.9:5060".parse().unwrap(), Transport::Udp);
/// let packet = Packet::new(source).service(Service::Sip);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// Where it came from.
    pub source: Source,
    /// The service it is addressed to, where the listener knows it.
    pub service: Option<Service>,
    /// The local port it arrived at, where it is known.
    pub port: Option<u16>,
    /// The sender's hardware address, known on the local network only.
    pub mac: Option<[u8; 6]>,
    /// The network it came through, where the listener knows better than the address says.
    pub via: Option<Network>,
    /// Its length in bytes.
    pub len: usize,
}

impl Packet {
    /// A packet of which only the source is known.
    #[must_use]
    pub const fn new(source: Source) -> Self {
        Self { source, service: None, port: None, mac: None, via: None, len: 0 }
    }

    /// Addressed to a service.
    #[must_use]
    pub const fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Arrived at a local port.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sent by this hardware.
    #[must_use]
    pub const fn mac(mut self, mac: [u8; 6]) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Came through this network.
    #[must_use]
    pub const fn via(mut self, via: Network) -> Self {
        self.via = Some(via);
        self
    }

    /// Of this many bytes.
    #[must_use]
    pub const fn len(mut self, len: usize) -> Self {
        self.len = len;
        self
    }
}

/// What a rule of the firewall or of automatic defence speaks about: a target and a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    target: Target,
    protocol: Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Any,
    Service(Service),
    Ports(u16, u16),
}

impl Scope {
    /// From the keys `service`, `ports` and `protocol` of the rule at `path`.
    pub(crate) fn compile(
        service: Option<Service>,
        ports: &str,
        protocol: Protocol,
        path: &str,
    ) -> Result<Self, ConfigError> {
        let target = match (service, ports.trim()) {
            (Some(_), ports) if !ports.is_empty() => {
                return Err(
                    ConfigError::new(path, "both service and ports are given").instead("write one of them")
                );
            }
            (Some(service), _) => Target::Service(service),
            (None, "") => Target::Any,
            (None, ports) => port_range(ports).map(|(a, z)| Target::Ports(a, z)).ok_or_else(|| {
                ConfigError::new(format!("{path}.ports"), format!("{ports:?} are no ports"))
                    .instead("write one port from 1 to 65535, or the first and the last as \"5060-5070\"")
            })?,
        };
        Ok(Self { target, protocol })
    }

    /// Whether it speaks about `packet`, the services listening on `ports`.
    pub(crate) fn covers(&self, packet: &Packet, ports: &PortsConfig) -> bool {
        let transport = packet.source.transport();
        let protocol = match self.protocol {
            Protocol::Both => true,
            Protocol::Udp => transport == Transport::Udp,
            Protocol::Tcp => transport != Transport::Udp,
        };
        protocol && self.target.covers(packet, ports)
    }
}

impl Target {
    fn covers(self, packet: &Packet, ports: &PortsConfig) -> bool {
        let transport = packet.source.transport();
        match (self, packet.service, packet.port) {
            (Self::Any, _, _) => true,
            (Self::Service(wanted), Some(service), _) => serves(wanted, service, transport),
            (Self::Service(wanted), None, Some(port)) => {
                let (first, last) = listens(wanted, transport, ports);
                (first..=last).contains(&port)
            }
            (Self::Ports(first, last), _, Some(port)) => (first..=last).contains(&port),
            (Self::Ports(first, last), Some(service), None) => {
                let (a, z) = listens(service, transport, ports);
                first <= a && z <= last
            }
            (_, None, None) => false,
        }
    }
}

/// Whether a rule for `wanted` speaks about a packet to `service`; plain SIP means all its transports.
fn serves(wanted: Service, service: Service, transport: Transport) -> bool {
    match (concrete(wanted, None), concrete(service, Some(transport))) {
        (Service::Sip, got) => matches!(got, Service::SipUdp | Service::SipTcp | Service::SipTls),
        (wanted, got) => wanted == got,
    }
}

/// SIP by the transport it travels on.
const fn concrete(service: Service, transport: Option<Transport>) -> Service {
    match (service, transport) {
        (Service::Sip, Some(Transport::Udp)) => Service::SipUdp,
        (Service::Sip, Some(Transport::Tls | Transport::Wss)) => Service::SipTls,
        (Service::Sip, Some(_)) => Service::SipTcp,
        (service, _) => service,
    }
}

/// The first and last port that a service listens on; 0 where it listens on none.
fn listens(service: Service, transport: Transport, ports: &PortsConfig) -> (u16, u16) {
    let one = match concrete(service, Some(transport)) {
        Service::Https => ports.https,
        Service::Http => ports.http,
        Service::Ssh => ports.ssh,
        Service::SipUdp => ports.sip_udp,
        Service::SipTcp => ports.sip_tcp,
        Service::SipTls => ports.sip_tls,
        Service::Client => ports.client,
        Service::Ami => ports.ami,
        Service::DatabaseGrant => ports.database_grant,
        Service::Ldap => ports.ldap,
        Service::Ftp => ports.ftp,
        Service::Tftp => ports.tftp,
        Service::Tunnel => ports.tunnel,
        Service::Rtp => return ports.rtp.into(),
        _ => 0,
    };
    (one, one)
}

/// `5060` or `5060-5070`.
fn port_range(s: &str) -> Option<(u16, u16)> {
    let port = |t: &str| t.trim().parse::<u16>().ok().filter(|&p| p > 0);
    let (first, last) = match s.split_once('-') {
        Some((a, z)) => (port(a)?, port(z)?),
        None => (port(s)?, port(s)?),
    };
    (first <= last).then_some((first, last))
}

/// `00:15:65:01:02:03`, also with `-` between the pairs.
pub(crate) fn mac(s: &str) -> Option<[u8; 6]> {
    let pairs: Vec<u8> = s
        .split([':', '-'])
        .map(|p| {
            Some(p)
                .filter(|p| p.len() == 2 && !p.starts_with('+'))
                .and_then(|p| u8::from_str_radix(p, 16).ok())
        })
        .collect::<Option<_>>()?;
    pairs.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(transport: Transport) -> Packet {
        Packet::new(Source::new("203.0.113.9:5060".parse().unwrap(), transport))
    }

    fn scope(service: Option<Service>, ports: &str, protocol: Protocol) -> Scope {
        Scope::compile(service, ports, protocol, "rule").unwrap()
    }

    #[test]
    fn b5_a_service_is_known_by_name_or_by_its_port() {
        let ports = PortsConfig { https: 443, ..PortsConfig::default() };
        let https = scope(Some(Service::Https), "", Protocol::Both);
        assert!(https.covers(&packet(Transport::Tcp).service(Service::Https), &ports));
        assert!(https.covers(&packet(Transport::Tcp).port(443), &ports));
        assert!(!https.covers(&packet(Transport::Tcp).port(8088), &ports), "the port follows the setting");
        assert!(!https.covers(&packet(Transport::Tcp), &ports), "neither service nor port is known");
    }

    #[test]
    fn b5_sip_is_all_its_transports_and_each_of_them() {
        let ports = PortsConfig::default();
        let sip = scope(Some(Service::Sip), "", Protocol::Both);
        let udp = scope(Some(Service::SipUdp), "", Protocol::Both);
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss] {
            let packet = packet(transport).service(Service::Sip);
            assert!(sip.covers(&packet, &ports), "{transport}");
            assert_eq!(udp.covers(&packet, &ports), transport == Transport::Udp, "{transport}");
        }
        assert!(sip.covers(&packet(Transport::Tls).port(5061), &ports));
        assert!(!sip.covers(&packet(Transport::Tls).service(Service::Https), &ports));
    }

    #[test]
    fn b5_port_ranges_and_protocols() {
        let ports = PortsConfig::default();
        let range = scope(None, "5000-5070", Protocol::Udp);
        assert!(range.covers(&packet(Transport::Udp).port(5000), &ports));
        assert!(!range.covers(&packet(Transport::Udp).port(5071), &ports));
        assert!(!range.covers(&packet(Transport::Tcp).port(5000), &ports));
        assert!(range.covers(&packet(Transport::Udp).service(Service::Sip), &ports), "SIP listens on 5060");
        assert!(!range.covers(&packet(Transport::Udp).service(Service::Rtp), &ports));
        assert!(scope(None, "", Protocol::Both).covers(&packet(Transport::Tcp), &ports));
    }

    #[test]
    fn targets_that_mean_nothing_are_refused() {
        for bad in ["0", "70000", "5070-5060", "5060-", "x", "1-2-3"] {
            let error = Scope::compile(None, bad, Protocol::Both, "network.rule[0]").unwrap_err();
            assert_eq!(error.path(), "network.rule[0].ports", "{bad}");
        }
        assert!(Scope::compile(Some(Service::Ssh), "22", Protocol::Both, "r").is_err());
    }

    #[test]
    fn hardware_addresses() {
        assert_eq!(mac("00:15:65:aa:Bb:03"), Some([0, 0x15, 0x65, 0xaa, 0xbb, 3]));
        assert_eq!(mac("00-15-65-01-02-03"), Some([0, 0x15, 0x65, 1, 2, 3]));
        for bad in [
            "",
            "00:15:65:01:02",
            "00:15:65:01:02:3",
            "00:15:65:01:02:03:04",
            "0g:15:65:01:02:03",
            "+1:15:65:01:02:03",
        ] {
            assert_eq!(mac(bad), None, "{bad}");
        }
    }
}
