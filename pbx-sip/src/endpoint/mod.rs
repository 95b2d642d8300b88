//! The endpoint: transactions and dialogs behind one door.

mod client;
pub(crate) mod compose;
mod error;
mod event;
mod inbound;
pub(crate) mod key;
mod machine;
mod server;
mod withdraw;

use std::collections::VecDeque;
use std::sync::Arc;

use pbx_core::{ConfigErrors, Mono, Now, Random, Source};

use crate::config::Config;
use crate::dialog::Dialog;
use crate::message::Message;
use crate::transaction::store::{Key, Store};

pub(crate) use client::{Failure, Start};
pub(crate) use server::Arrived;

pub use client::Outgoing;
pub use compose::{Parts, Peer};
pub use error::CommandError;
pub use event::{
    ClientTransactionId, DialogId, Dropped, End, Event, Handled, Received, Refused, ServerTransactionId,
};

use client::ClientTransaction;
use key::{Fingerprints, Index};
use server::ServerTransaction;

/// A SIP user agent and server without sockets and clocks (RFC 3261).
///
/// | what | method |
/// | --- | --- |
/// | a datagram, or a message of a stream, arrived | [`handle_datagram`](Self::handle_datagram) |
/// | the deadline has come | [`handle_timeout`](Self::handle_timeout) |
/// | a message could not be sent | [`handle_transport_failure`](Self::handle_transport_failure) |
/// | what to send | [`poll_transmit`](Self::poll_transmit) |
/// | what happened | [`poll_event`](Self::poll_event) |
/// | when to call again | [`poll_timeout`](Self::poll_timeout) |
///
/// After every input and every command the embedder drains the outputs: `poll_transmit` until `None`,
/// `poll_event` until `None` (answering as it goes, and then transmitting again), at last `poll_timeout`. An idle
/// endpoint returns `None` from all three.
///
/// The endpoint answers by itself what has one right answer: retransmissions, ACK, CANCEL, BYE, requests in
/// dialogs that do not exist, malformed requests, and everything beyond its bounds. The rest is an
/// [`Event`]. It authenticates nobody: a request is answered with a challenge
/// by [`respond`](Self::respond) like with anything else.
///
/// ```
/// use pbx_core::{Mono, Now, Source, Transport, Wall};
/// use pbx_sip::{Config, Endpoint, Event, Parts};
///
/// let now = Now::new(Mono::from_secs(1), Wall::UNIX_EPOCH);
/// let mut pbx = Endpoint::new(Config::advertising(Transport::Udp, "192.0.2.1:5060"), [7; 32]).unwrap();
/// let phone = Source::new("198.51.100.7:5060".parse().unwrap(), Transport::Udp);
/// let options = b"OPTIONS sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1\r\n\
///     From: <sip:1001@192.0.2.1>;tag=a\r\nTo: <sip:192.0.2.1>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n";
/// pbx.handle_datagram(phone, options, now);
/// let Some(Event::Request { transaction, .. }) = pbx.poll_event() else { panic!() };
/// pbx.respond(transaction, 200, &Parts::headers(&[("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS")]), now).unwrap();
///
/// let mut bytes = Vec::new();
/// let transmit = pbx.poll_transmit(&mut bytes).unwrap();
/// assert_eq!(transmit.to.addr, phone.socket_addr());
/// assert!(bytes.starts_with(b"SIP/2.0 200 OK\r\n"));
/// ```
pub struct Endpoint {
    pub(crate) config: Config,
    pub(crate) random: Random,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) servers: Store<ServerTransaction>,
    pub(crate) clients: Store<ClientTransaction>,
    pub(crate) dialogs: Store<Dialog>,
    pub(crate) dialog_index: Index<Key>,
    server_index: Index<Key>,
    merge_index: Index<Key>,
    client_index: Index<Key>,
    per_source: Index<u32>,
    /// Bytes of the requests that are kept.
    request_bytes: usize,
    transmits: VecDeque<Queued>,
    events: VecDeque<Event>,
    refusals: Budget,
}

/// What [`Endpoint::poll_transmit`] gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transmit {
    /// Where the bytes go.
    pub to: Peer,
    of: Owner,
}

/// How much an endpoint holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Requests received whose transactions live.
    pub server_transactions: usize,
    /// Requests sent whose transactions live.
    pub client_transactions: usize,
    /// Dialogs.
    pub dialogs: usize,
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Server(Key),
    Client(Key),
    Nobody,
}

#[derive(Debug)]
struct Queued {
    to: Peer,
    of: Owner,
    bytes: Arc<[u8]>,
}

/// So many a second, whole seconds at a time.
#[derive(Debug)]
struct Budget {
    a_second: u32,
    left: u32,
    since: Mono,
}

impl Budget {
    fn take(&mut self, now: Mono) -> bool {
        if now.since(self.since).as_secs() > 0 {
            self.since = now;
            self.left = self.a_second;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

impl Endpoint {
    /// An endpoint without transactions. `seed` comes from the operating system: tags, branches and the
    /// secret of the tables are made from it.
    ///
    /// # Errors
    /// What is wrong with `config`.
    pub fn new(config: Config, seed: [u8; 32]) -> Result<Self, ConfigErrors> {
        config.check()?;
        let mut random = Random::from_seed(seed);
        let a_second = config.stateless_answers_per_second;
        Ok(Self {
            fingerprints: Fingerprints::new(&random.bytes()),
            servers: Store::new(config.max_transactions),
            clients: Store::new(config.max_transactions),
            dialogs: Store::new(config.max_dialogs),
            dialog_index: Index::default(),
            server_index: Index::default(),
            merge_index: Index::default(),
            client_index: Index::default(),
            per_source: Index::default(),
            request_bytes: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            refusals: Budget { a_second, left: a_second, since: Mono::ZERO },
            random,
            config,
        })
    }

    /// A datagram arrived, or one whole message of a stream ([`crate::Framer`]); the answer says what it was.
    pub fn handle_datagram(&mut self, source: Source, data: &[u8], now: Now) -> Handled {
        if data.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Handled::KeepAlive;
        }
        if !self.has_room() {
            return Handled::Dropped(Dropped::NotDrained);
        }
        match Message::parse(data) {
            Err(fault) => self.refuse_malformed(source, &fault, now),
            Ok(message) if message.is_request() => self.handle_request(source, &message, now),
            Ok(message) => self.handle_response(&message, now),
        }
    }

    /// Time has passed. At most as much is done as the outputs have room for; what is left is due at once, as
    /// [`Endpoint::poll_timeout`] then says.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(due) = self.due(now.mono).filter(|_| self.has_room()) {
            match due {
                Due::Server(key) => self.server_timeout(key, now),
                Due::Client(key) => self.client_timeout(key, now),
                Due::Dialog(key) => self.dialog_timeout(key, now),
            }
        }
    }

    /// `failed` could not be sent: the socket said so. What arrives from the network (ICMP) is no proof, anybody
    /// can forge it.
    pub fn handle_transport_failure(&mut self, failed: &Transmit, now: Now) {
        match failed.of {
            Owner::Server(key) => self.server_transport_failure(key),
            Owner::Client(key) => self.client_transport_failure(key, now),
            Owner::Nobody => {}
        }
    }

    /// The next message to send; `buf` then holds its bytes and nothing else.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        let Queued { to, of, bytes } = self.transmits.pop_front()?;
        buf.clear();
        buf.extend_from_slice(&bytes);
        Some(Transmit { to, of })
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Endpoint::handle_timeout`] is due. The cost does not depend on how much is going on.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        let next = [self.servers.next_timeout(), self.clients.next_timeout(), self.dialogs.next_timeout()];
        next.into_iter().flatten().min()
    }

    /// How much it holds.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            server_transactions: self.servers.len(),
            client_transactions: self.clients.len(),
            dialogs: self.dialogs.len(),
        }
    }

    fn due(&self, now: Mono) -> Option<Due> {
        let server = self.servers.due(now).map(Due::Server);
        let client = || self.clients.due(now).map(Due::Client);
        server.or_else(client).or_else(|| self.dialogs.due(now).map(Due::Dialog))
    }

    fn has_room(&self) -> bool {
        self.events.len() < self.config.max_queue && self.transmits.len() < self.config.max_queue
    }

    pub(crate) fn transmit(&mut self, to: Peer, of: Owner, bytes: Arc<[u8]>) {
        self.transmits.push_back(Queued { to, of, bytes });
    }

    pub(crate) fn report(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// 16 characters that nobody can guess (RFC 3261 section 19.3).
    pub(crate) fn unguessable(&mut self) -> String {
        hex(self.random.next_u64())
    }

    /// A branch (RFC 3261 section 8.1.1.7).
    pub(crate) fn branch(&mut self) -> String {
        format!("{}{}", crate::header::MAGIC_COOKIE, self.unguessable())
    }
}

impl core::fmt::Debug for Endpoint {
    /// Without messages, which may hold credentials.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Endpoint").field("load", &self.load()).finish_non_exhaustive()
    }
}

enum Due {
    Server(Key),
    Client(Key),
    Dialog(Key),
}

/// 16 hexadecimal digits.
pub(crate) fn hex(word: u64) -> String {
    format!("{word:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbx_core::Transport;

    #[test]
    fn a_budget_is_for_a_second() {
        let mut budget = Budget { a_second: 2, left: 2, since: Mono::ZERO };
        let takes: Vec<_> = (0..4).map(|_| budget.take(Mono::from_millis(500))).collect();
        assert_eq!(takes, [true, true, false, false]);
        assert!(budget.take(Mono::from_millis(1_500)));
    }

    /// Two endpoints that pass messages until neither has any; what is asked is answered with `status`.
    fn talk(ends: &mut [Endpoint; 2], status: u16, now: Now) {
        let from = |n: usize| Source::new(([192, 0, 2, n as u8], 5060).into(), Transport::Udp);
        let mut bytes = Vec::new();
        for n in [0, 1, 0, 1, 0, 1, 0, 1] {
            while ends[n].poll_transmit(&mut bytes).is_some() {
                ends[1 - n].handle_datagram(from(n), &bytes, now);
            }
            while let Some(event) = ends[n].poll_event() {
                if let Event::Request { transaction, .. } = event {
                    ends[n].respond(transaction, status, &Parts::default(), now).unwrap();
                }
            }
        }
    }

    #[test]
    fn no_table_keeps_what_has_ended() {
        let end = |n: u8| {
            Endpoint::new(Config::advertising(Transport::Udp, format!("192.0.2.{n}")), [n; 32]).unwrap()
        };
        let mut ends = [end(0), end(1)];
        let mut now = Now::new(Mono::from_secs(1), pbx_core::Wall::UNIX_EPOCH);
        let peer = Peer { addr: ([192, 0, 2, 1], 5060).into(), transport: Transport::Udp };
        for status in [200, 486, 401, 180] {
            let (uri, to) = ("sip:b@192.0.2.1", "<sip:b@192.0.2.1>");
            let invite = crate::dialog::Invite { uri, from: "<sip:a@b>", to, peer, follow_contact: false };
            let call = ends[0].invite(&invite, &Parts::body("a/b", b"c"), now).unwrap();
            talk(&mut ends, status, now);
            assert_ne!(ends[1].load(), Load::default());
            let _ = ends[0].hang_up(call, &[], now);
            for _ in 0..70 {
                talk(&mut ends, status, now);
                now = now.after(core::time::Duration::from_secs(1));
                ends.iter_mut().for_each(|end| end.handle_timeout(now));
            }
        }
        for end in &ends {
            let indexes = [&end.server_index, &end.merge_index, &end.client_index, &end.dialog_index];
            assert_eq!(indexes.map(|index| index.len()), [0; 4]);
            assert_eq!((end.per_source.len(), end.request_bytes), (0, 0));
            assert_eq!(end.load(), Load::default());
        }
    }

    #[test]
    fn an_idle_endpoint_has_nothing_to_say() {
        let mut endpoint = Endpoint::new(Config::default(), [0; 32]).unwrap();
        assert!(endpoint.poll_event().is_none());
        assert!(endpoint.poll_transmit(&mut Vec::new()).is_none());
        assert!(endpoint.poll_timeout().is_none());
    }
}
