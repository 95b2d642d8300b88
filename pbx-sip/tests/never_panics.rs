//! No datagram, however malformed, and no order of datagrams and commands makes an endpoint panic or leak.

mod net;

use core::time::Duration;

use net::{FINE, Net};
use pbx_sip::{ClientTransactionId, DialogId, Event, Method, Parts, ServerTransactionId};
use proptest::prelude::*;

/// What an embedder without a plan does next.
#[derive(Clone, Debug)]
enum Step {
    Call,
    Register,
    Respond(u16),
    Ring,
    Accept,
    Drop,
    Send(u8),
    HangUp(bool),
    Cancel,
    Authorize,
    Acknowledge,
    /// Something that was sent before arrives again, changed at a place.
    Replay {
        which: usize,
        at: usize,
        byte: u8,
        host: bool,
    },
    Arbitrary(Vec<u8>),
    Wait(u16),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Call),
        1 => Just(Step::Register),
        3 => prop_oneof![Just(100u16), Just(200), Just(401), Just(407), Just(486), Just(183), any::<u16>()]
            .prop_map(Step::Respond),
        2 => Just(Step::Ring),
        4 => Just(Step::Accept),
        1 => Just(Step::Drop),
        3 => any::<u8>().prop_map(Step::Send),
        1 => any::<bool>().prop_map(Step::HangUp),
        1 => Just(Step::Cancel),
        3 => Just(Step::Authorize),
        1 => Just(Step::Acknowledge),
        4 => (any::<usize>(), any::<usize>(), any::<u8>(), any::<bool>())
            .prop_map(|(which, at, byte, host)| Step::Replay { which, at, byte, host }),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Step::Arbitrary),
        2 => any::<u16>().prop_map(|ms| Step::Wait(ms / 8)),
        14 => Just(Step::Settle),
    ]
}

#[derive(Default)]
struct Seen {
    servers: Vec<ServerTransactionId>,
    clients: Vec<ClientTransactionId>,
    dialogs: [Vec<DialogId>; 2],
}

impl Seen {
    fn look(&mut self, net: &mut Net) {
        for host in 0..2 {
            for event in net.events(host) {
                match event {
                    Event::Request { transaction, .. } if host == 1 => self.servers.push(transaction),
                    Event::Challenged { transaction, .. } if host == 0 => self.clients.push(transaction),
                    Event::Request { dialog: Some(dialog), .. } | Event::Answered { dialog, .. } => {
                        self.dialogs[host].push(dialog);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Errors are answers, too: most commands come at the wrong time.
    fn act(&mut self, net: &mut Net, step: Step, sent: &[Vec<u8>]) {
        let now = net.now;
        let server = self.servers.last().copied();
        let methods = [Method::Info, Method::Invite, Method::Update, Method::Bye, Method::Ack];
        match step {
            Step::Call => self.dialogs[0].push(net.call(0, 1)),
            Step::Register => self.clients.push(net.register(0, 1)),
            Step::Respond(status) => {
                let headers = [("WWW-Authenticate", "Digest realm=\"a\", nonce=\"b\"")];
                let _ = server.map(|s| net.host(1).respond(s, status, &Parts::headers(&headers), now));
            }
            Step::Ring => {
                let dialog = server.map(|s| net.host(1).ring(s, 180, &Parts::default(), now));
                self.dialogs[1].extend(dialog.and_then(Result::ok));
            }
            Step::Accept => {
                let dialog = server.map(|s| net.host(1).accept(s, &Parts::default(), now));
                self.dialogs[1].extend(dialog.and_then(Result::ok));
            }
            Step::Drop => server.into_iter().for_each(|s| net.host(1).drop_request(s)),
            Step::Send(n) => {
                let (host, method) = (usize::from(n % 2), methods[usize::from(n / 2) % methods.len()]);
                let dialog = self.dialogs[host].last().copied();
                let _ = dialog.map(|d| net.host(host).send(d, method, &Parts::default(), now));
            }
            Step::HangUp(callee) => {
                let host = usize::from(callee);
                let dialog = self.dialogs[host].pop();
                let _ = dialog.map(|d| net.host(host).hang_up(d, &[], now));
            }
            Step::Cancel => {
                let _ = self.clients.last().map(|c| net.host(0).cancel(*c, now));
            }
            Step::Authorize => {
                let client = self.clients.pop();
                let _ =
                    client.map(|c| net.host(0).authorize(c, "Authorization", "Digest username=\"a\"", now));
            }
            Step::Acknowledge => {
                let _ = self.dialogs[0].last().map(|d| net.host(0).acknowledge(*d, &Parts::default()));
            }
            Step::Replay { which, at, byte, host } => {
                let Some(bytes) = sent.get(which % sent.len().max(1)) else { return };
                let mut bytes = bytes.clone();
                let at = at % bytes.len();
                bytes[at] = byte;
                net.host(usize::from(host)).handle_datagram(net::source(0), &bytes, now);
            }
            Step::Arbitrary(bytes) => {
                net.host(1).handle_datagram(net::source(0), &bytes, now);
            }
            Step::Wait(ms) => net.run(Duration::from_millis(ms.into())),
            Step::Settle => net.settle(),
        }
        net.drain();
        self.look(net);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_panics_and_none_leaves_more_than_its_calls(steps in prop::collection::vec(step(), 1..120)) {
        let mut net = Net::new(2, FINE, 1);
        let mut seen = Seen::default();
        for step in steps {
            let sent: Vec<_> = net.hosts.iter().flat_map(|h| h.sent.iter().map(|(_, b)| b.clone())).collect();
            seen.act(&mut net, step, &sent);
        }
        // Everybody hangs up on what they know; what one side does not know ends with the other's BYE or timers.
        for host in 0..2 {
            for dialog in std::mem::take(&mut seen.dialogs[host]) {
                let now = net.now;
                let _ = net.host(host).hang_up(dialog, &[], now);
            }
        }
        net.run(Duration::from_secs(700));
        for host in &net.hosts {
            let load = host.sip.load();
            prop_assert_eq!((load.server_transactions, load.client_transactions), (0, 0));
        }
        prop_assert!(net.hosts.iter().all(|host| host.sip.poll_timeout().is_none()));
    }
}
