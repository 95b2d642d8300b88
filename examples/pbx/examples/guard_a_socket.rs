//! The ten lines of the README, in a program that runs: a guard in front of a UDP socket.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pbx_core::{Mono, Now, Service, Source, Transport, Verdict, Wall};
use pbx_policy::{Config, Guard, Packet, Rules, State};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(policy), Some(listen)) = (arguments.next(), arguments.next()) else {
        return Err("usage: guard_a_socket POLICY.toml ADDRESS:PORT".into());
    };
    let anchor = Instant::now();
    let clock = || now(anchor);
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    let mut buf = [0; 65_535];

    let config: Config = toml::from_str(&std::fs::read_to_string(policy)?)?;
    let state = State::new(&config.state, secret, clock())?;
    let guard = Guard::new(Arc::new(Rules::compile(&config)?), state);
    let socket = UdpSocket::bind(listen)?;
    loop {
        let (len, from) = socket.recv_from(&mut buf)?;
        let packet = Packet::new(Source::new(from, Transport::Udp)).service(Service::Sip).len(len);
        if guard.on_packet(&packet, clock()).verdict == Verdict::Allow {
            handle_sip(&buf[..len], from);
        }
    }
}

/// Where your service goes on as before.
fn handle_sip(bytes: &[u8], from: std::net::SocketAddr) {
    println!("{} bytes from {from} may be parsed", bytes.len());
}

fn now(anchor: Instant) -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = Wall::from_unix_micros(i64::try_from(wall.as_micros()).unwrap_or(i64::MAX));
    Now::new(Mono::from_secs(86_400) + anchor.elapsed(), wall)
}
