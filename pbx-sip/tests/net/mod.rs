//! Endpoints on a simulated network with a simulated clock: what is lost, doubled, delayed and reordered is
//! decided by a seed.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part of a module of its own")]

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use pbx_core::{Mono, Now, Random, Source, Transport, Wall};
use pbx_sip::{
    Config, DialogId, End, Endpoint, Event, Handled, Invite, Message, Method, Outgoing, Parts, Peer,
    Received, ServerTransactionId, StartLine,
};

/// How a network treats datagrams.
#[derive(Clone, Copy)]
pub struct Weather {
    /// In percent.
    pub loss: u64,
    /// In percent.
    pub twice: u64,
    /// A datagram takes up to so many milliseconds, each its own number: they overtake one another.
    pub delay_ms: u64,
}

pub const FINE: Weather = Weather { loss: 0, twice: 0, delay_ms: 0 };
pub const STORM: Weather = Weather { loss: 30, twice: 10, delay_ms: 120 };

pub struct Host {
    pub sip: Endpoint,
    pub addr: SocketAddr,
    /// What happened and nobody has looked at.
    pub events: Vec<Event>,
    /// What it has sent, with the time.
    pub sent: Vec<(Mono, Vec<u8>)>,
}

pub struct Net {
    pub now: Now,
    pub hosts: Vec<Host>,
    pub weather: Weather,
    random: Random,
    flying: BTreeMap<(Mono, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    count: u64,
    /// Whether sent messages are kept for tests to look at.
    pub keeps: bool,
}

pub fn addr(n: usize) -> SocketAddr {
    format!("192.0.2.{}:5060", n + 1).parse().unwrap()
}

pub fn peer(n: usize) -> Peer {
    Peer { addr: addr(n), transport: Transport::Udp }
}

pub fn source(n: usize) -> Source {
    Source::new(addr(n), Transport::Udp)
}

pub fn config(n: usize) -> Config {
    Config::advertising(Transport::Udp, addr(n).to_string())
}

pub fn start() -> Now {
    Now::new(Mono::from_secs(1_000), Wall::from_unix_secs(1_772_445_600))
}

impl Net {
    /// `hosts` endpoints.
    pub fn new(hosts: usize, weather: Weather, seed: u64) -> Self {
        Self::with((0..hosts).map(config).collect(), weather, seed)
    }

    pub fn with(configs: Vec<Config>, weather: Weather, seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut random = Random::from_seed(bytes);
        let hosts = configs.into_iter().enumerate().map(|(n, config)| Host {
            sip: Endpoint::new(config, random.bytes()).unwrap(),
            addr: addr(n),
            events: Vec::new(),
            sent: Vec::new(),
        });
        let hosts = hosts.collect();
        Self { now: start(), hosts, weather, random, flying: BTreeMap::new(), count: 0, keeps: true }
    }

    pub fn host(&mut self, n: usize) -> &mut Endpoint {
        &mut self.hosts[n].sip
    }

    /// Events of host `n` that nobody has looked at, after sending what is to be sent.
    pub fn events(&mut self, n: usize) -> Vec<Event> {
        self.drain();
        std::mem::take(&mut self.hosts[n].events)
    }

    /// Messages that host `n` has sent, and forgets them.
    pub fn sent(&mut self, n: usize) -> Vec<String> {
        self.drain();
        let sent = std::mem::take(&mut self.hosts[n].sent);
        sent.into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect()
    }

    /// Puts everything that is to be sent on the wire.
    pub fn drain(&mut self) {
        for n in 0..self.hosts.len() {
            let mut bytes = Vec::new();
            while let Some(transmit) = self.hosts[n].sip.poll_transmit(&mut bytes) {
                if self.keeps {
                    self.hosts[n].sent.push((self.now.mono, bytes.clone()));
                }
                self.fly(self.hosts[n].addr, transmit.to.addr, &bytes);
            }
            while let Some(event) = self.hosts[n].sip.poll_event() {
                self.hosts[n].events.push(event);
            }
        }
    }

    fn fly(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let copies = 1 + u64::from(self.random.below(100) < self.weather.twice);
        for _ in 0..copies {
            let delay = self.random.below(self.weather.delay_ms + 1);
            if self.random.below(100) >= self.weather.loss {
                self.count += 1;
                let at = self.now.mono + Duration::from_millis(delay);
                self.flying.insert((at, self.count), (from, to, bytes.to_vec()));
            }
        }
    }

    /// The next thing happens; `false` when nothing would before `until`.
    pub fn step(&mut self, until: Mono) -> bool {
        self.drain();
        let arrival = self.flying.keys().next().map(|key| key.0);
        let timeouts = self.hosts.iter().filter_map(|host| host.sip.poll_timeout());
        let Some(at) = timeouts.chain(arrival).min().filter(|&at| at <= until) else { return false };
        self.advance_to(at);
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= at) {
            let (from, to, bytes) = entry.remove();
            let (now, host) = (self.now, self.hosts.iter_mut().find(|host| host.addr == to));
            if let Some(host) = host {
                host.sip.handle_datagram(Source::new(from, Transport::Udp), &bytes, now);
            }
        }
        let now = self.now;
        self.hosts.iter_mut().for_each(|host| host.sip.handle_timeout(now));
        self.drain();
        true
    }

    fn advance_to(&mut self, at: Mono) {
        self.now = self.now.after(at.since(self.now.mono));
    }

    /// Lets that much time pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.now.mono + time;
        while self.step(until) {}
        self.advance_to(until);
    }

    /// Lets messages arrive, no time passing.
    pub fn settle(&mut self) {
        self.run(Duration::ZERO);
    }

    /// A datagram of `from`, which is no host, reaches host `n`.
    pub fn inject(&mut self, n: usize, from: &str, text: &str) -> Handled {
        let source = Source::new(from.parse().unwrap(), Transport::Udp);
        let now = self.now;
        let handled = self.hosts[n].sip.handle_datagram(source, text.as_bytes(), now);
        self.drain();
        handled
    }

    /// Nothing lives anywhere any more.
    pub fn is_idle(&self) -> bool {
        self.hosts.iter().all(|host| {
            let load = host.sip.load();
            load.server_transactions + load.client_transactions + load.dialogs == 0
                && host.sip.poll_timeout().is_none()
        })
    }

    /// Host `from` calls host `to`.
    pub fn call(&mut self, from: usize, to: usize) -> pbx_sip::DialogId {
        let uri = format!("sip:callee@{}", addr(to));
        let now = self.now;
        let (from_value, to_value) = (format!("<sip:caller@{}>", addr(from)), format!("<{uri}>"));
        let invite =
            Invite { uri: &uri, from: &from_value, to: &to_value, peer: peer(to), follow_contact: false };
        self.host(from).invite(&invite, &Parts::body("application/sdp", b"v=0\r\n"), now).unwrap()
    }

    pub fn register(&mut self, from: usize, to: usize) -> pbx_sip::ClientTransactionId {
        let now = self.now;
        let request = Outgoing {
            method: Method::Register,
            uri: "sip:example.com",
            from: "<sip:1001@example.com>",
            to: "<sip:1001@example.com>",
            call_id: "",
            seq: 1,
        };
        let contact = format!("<sip:1001@{}>", addr(from));
        let headers = [("Contact", contact.as_str()), ("Expires", "600")];
        self.host(from).request(&request, peer(to), &Parts::headers(&headers), now).unwrap()
    }
}

pub const SDP: Parts<'static> = Parts::body("application/sdp", b"v=0\r\n");

/// A call from host 0 that rings at host 1.
pub fn ringing(net: &mut Net) -> (DialogId, DialogId, ServerTransactionId) {
    let caller = net.call(0, 1);
    net.settle();
    let [Event::Request { transaction, dialog: None, method: Method::Invite, .. }] = net.events(1)[..] else {
        panic!("an INVITE arrives")
    };
    let now = net.now;
    let callee = net.host(1).ring(transaction, 180, &Parts::default(), now).unwrap();
    net.settle();
    assert!(matches!(net.events(0)[..], [Event::Progress { status: 180, dialog, .. }] if dialog == caller));
    (caller, callee, transaction)
}

/// A call that is up.
pub fn up(net: &mut Net) -> (DialogId, DialogId) {
    let (caller, callee, transaction) = ringing(net);
    let now = net.now;
    assert_eq!(net.host(1).accept(transaction, &SDP, now), Ok(callee));
    net.settle();
    assert!(matches!(net.events(0)[..], [Event::Answered { dialog, .. }] if dialog == caller));
    assert!(matches!(net.events(1)[..], [Event::Acknowledged { dialog, .. }] if dialog == callee));
    (0..2).for_each(|n| drop(net.sent(n)));
    (caller, callee)
}

pub fn ended(net: &mut Net, host: usize) -> Option<End> {
    match net.events(host)[..] {
        [Event::Ended { end, .. }] => Some(end),
        _ => None,
    }
}

/// What a message says of itself: method or status.
pub fn title(bytes: &[u8]) -> String {
    let message = Message::parse(bytes).unwrap();
    match message.start_line() {
        StartLine::Request { method, .. } => method.to_string(),
        StartLine::Response { status, .. } => format!("{status} {}", message.method()),
        _ => unreachable!(),
    }
}

pub fn titles(sent: &[String]) -> Vec<String> {
    sent.iter().map(|text| title(text.as_bytes())).collect()
}

pub fn header(message: &Received, name: pbx_sip::HeaderName) -> Option<String> {
    message.parse().unwrap().header(name).map(str::to_owned)
}

/// A header field of a message as text.
pub fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")))
}
