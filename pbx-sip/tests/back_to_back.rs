//! A PBX between two phones, on one endpoint: the caller's leg is a dialog of a server, the callee's leg one of a
//! client, and a hundred lines join them. Calls through it come to the same end at both phones, whatever the
//! network loses.

mod net;

use core::time::Duration;
use std::collections::HashMap;

use net::{Net, STORM, peer};
use pbx_core::Now;
use pbx_sip::{
    ClientTransactionId, DialogId, End, Endpoint, Event, Invite, Method, Parts, Received, ServerTransactionId,
};

const PBX: usize = 1;
const CALLEE: usize = 2;

/// The joined legs.
#[derive(Default)]
struct Bridge {
    other: HashMap<DialogId, DialogId>,
    /// The caller's INVITE behind a callee's leg that has not answered.
    waiting: HashMap<DialogId, ServerTransactionId>,
    passed_on: HashMap<ClientTransactionId, ServerTransactionId>,
}

impl Bridge {
    fn act(&mut self, sip: &mut Endpoint, event: Event, now: Now) {
        match event {
            Event::Request { transaction, dialog: None, method: Method::Invite, message, .. } => {
                self.call_out(sip, transaction, &message, now);
            }
            Event::Request { transaction, dialog: Some(dialog), method, message, .. } => {
                let passed = with_body(&message, |body| sip.send(self.other[&dialog], method, &body, now));
                match passed {
                    Ok(client) => drop(self.passed_on.insert(client, transaction)),
                    Err(_) => drop(sip.respond(transaction, 491, &Parts::default(), now)),
                }
            }
            Event::Request { transaction, .. } => {
                sip.respond(transaction, 200, &Parts::default(), now).unwrap();
            }
            Event::Response { transaction, status, message, .. } if status >= 200 => {
                if let Some(server) = self.passed_on.remove(&transaction) {
                    let _ = with_body(&message, |body| sip.respond(server, status, &body, now));
                }
            }
            Event::Progress { dialog: out, status, message } => {
                if let Some(&server) = self.waiting.get(&out)
                    && let Ok(caller) = with_body(&message, |body| sip.ring(server, status, &body, now))
                {
                    self.join(caller, out);
                }
            }
            Event::Answered { dialog: out, message } => {
                let server = self.waiting.remove(&out).unwrap();
                match with_body(&message, |body| sip.accept(server, &body, now)) {
                    Ok(caller) => self.join(caller, out),
                    Err(_) => sip.hang_up(out, &[], now).unwrap(),
                }
            }
            Event::Cancelled { transaction, .. } => {
                let out =
                    self.waiting.iter().find(|(_, server)| **server == transaction).map(|(out, _)| *out);
                let out = out.unwrap();
                self.waiting.remove(&out);
                self.other.remove(&out);
                sip.hang_up(out, &[], now).unwrap();
            }
            Event::Ended { dialog, end, .. } => self.ended(sip, dialog, end, now),
            _ => {}
        }
    }

    fn call_out(&mut self, sip: &mut Endpoint, server: ServerTransactionId, message: &Received, now: Now) {
        let uri = format!("sip:callee@{}", net::addr(CALLEE));
        let to = format!("<{uri}>");
        let invite = Invite {
            uri: &uri,
            from: "<sip:caller@pbx>",
            to: &to,
            peer: peer(CALLEE),
            follow_contact: false,
        };
        let out = with_body(message, |body| sip.invite(&invite, &body, now)).unwrap();
        self.waiting.insert(out, server);
    }

    fn ended(&mut self, sip: &mut Endpoint, dialog: DialogId, end: End, now: Now) {
        if let Some(server) = self.waiting.remove(&dialog) {
            let status = if let End::Refused(status) = end { status } else { 480 };
            sip.respond(server, status, &Parts::default(), now).unwrap();
        } else if let Some(other) = self.other.get(&dialog) {
            // It may have ended at the same time.
            let _ = sip.hang_up(*other, &[("Reason", "Q.850;cause=16")], now);
        }
        if let Some(other) = self.other.remove(&dialog) {
            self.other.remove(&other);
        }
    }

    fn join(&mut self, a: DialogId, b: DialogId) {
        self.other.insert(a, b);
        self.other.insert(b, a);
    }
}

fn with_body<T>(message: &Received, then: impl FnOnce(Parts<'_>) -> T) -> T {
    let message = message.parse().unwrap();
    then(Parts::body(message.content_type().unwrap_or_default(), message.body()))
}

/// A phone that is called.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Accepts,
    Refuses,
    Rings,
}

#[derive(Default)]
struct Seen {
    dialog: Option<DialogId>,
    ends: Vec<End>,
    answered: bool,
    infos: u32,
    responses: Vec<u16>,
}

impl Seen {
    fn act(&mut self, sip: &mut Endpoint, event: Event, manner: Manner, now: Now) {
        match event {
            Event::Request { transaction, dialog: None, .. } => {
                let dialog = sip.ring(transaction, 180, &Parts::default(), now).unwrap();
                self.dialog = Some(dialog);
                match manner {
                    Manner::Accepts => drop(sip.accept(transaction, &net::SDP, now).unwrap()),
                    Manner::Refuses => sip.respond(transaction, 486, &Parts::default(), now).unwrap(),
                    Manner::Rings => {}
                }
            }
            Event::Request { transaction, method, .. } => {
                self.infos += u32::from(method == Method::Info);
                sip.respond(transaction, 200, &net::SDP, now).unwrap();
            }
            Event::Answered { .. } => self.answered = true,
            Event::Response { status, .. } if status >= 200 => self.responses.push(status),
            Event::Ended { end, .. } => self.ends.push(end),
            _ => {}
        }
    }
}

struct World {
    net: Net,
    bridge: Bridge,
    phones: [Seen; 2],
    manner: Manner,
}

impl World {
    fn new(seed: u64, manner: Manner) -> Self {
        Self { net: Net::new(3, STORM, seed), bridge: Bridge::default(), phones: Default::default(), manner }
    }

    fn run(&mut self, seconds: u64) {
        let until = self.net.now.mono + Duration::from_secs(seconds);
        while self.net.step(until) {
            let now = self.net.now;
            for host in 0..3 {
                for event in self.net.events(host) {
                    let sip = self.net.host(host);
                    match host {
                        PBX => self.bridge.act(sip, event, now),
                        _ => self.phones[host / 2].act(sip, event, self.manner, now),
                    }
                }
            }
        }
    }

    /// The ends at both phones, when nothing is left anywhere.
    fn close(&mut self) -> [Vec<End>; 2] {
        self.run(400);
        assert!(self.net.is_idle(), "something is left");
        assert!(self.bridge.waiting.is_empty() && self.bridge.other.is_empty());
        self.phones.each_ref().map(|phone| phone.ends.clone())
    }
}

const SEEDS: u64 = 40;

#[test]
fn a_call_through_the_pbx_is_hung_up_by_either_phone() {
    for who in [0, 1] {
        let mut well = 0;
        for seed in 0..SEEDS {
            let mut world = World::new(seed, Manner::Accepts);
            let mut dialog = Some(world.net.call(0, PBX));
            world.run(60);
            let now = world.net.now;
            if who == 1 {
                dialog = world.phones[1].dialog;
            }
            let Some(dialog) = dialog.filter(|_| world.phones[0].answered) else { continue };
            if world.net.host(who * 2).hang_up(dialog, &[], now).is_ok() {
                world.run(60);
                let ends = world.close();
                well += usize::from(ends[who] == [End::HungUp] && ends[1 - who] == [End::Bye]);
            }
        }
        assert!(well >= 38, "{well} of {SEEDS}");
    }
}

#[test]
fn a_refusal_and_a_withdrawal_pass_through() {
    let (mut refused, mut withdrawn) = (0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed, Manner::Refuses);
        world.net.call(0, PBX);
        world.run(60);
        refused += usize::from(world.close() == [[End::Refused(486)], [End::Refused(486)]]);

        let mut world = World::new(seed, Manner::Rings);
        let call = world.net.call(0, PBX);
        world.run(30);
        let now = world.net.now;
        world.net.host(0).hang_up(call, &[], now).unwrap();
        world.run(60);
        withdrawn += usize::from(world.close() == [[End::HungUp], [End::Cancelled]]);
    }
    assert!(refused >= 38 && withdrawn >= 38, "{refused}, {withdrawn} of {SEEDS}");
}

#[test]
fn requests_within_a_call_pass_through_both_ways() {
    let mut well = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed, Manner::Accepts);
        let call = world.net.call(0, PBX);
        world.run(60);
        let Some(callee) = world.phones[1].dialog.filter(|_| world.phones[0].answered) else { continue };
        for (host, dialog) in [(0, call), (CALLEE, callee)] {
            for method in [Method::Info, Method::Invite] {
                let now = world.net.now;
                let _ = world.net.host(host).send(dialog, method, &net::SDP, now);
                world.run(90);
            }
        }
        let passed = world.phones.each_ref().map(|phone| phone.infos == 1 && phone.responses == [200, 200]);
        well += usize::from(passed == [true, true]);
        let now = world.net.now;
        let _ = world.net.host(0).hang_up(call, &[], now);
        world.run(60);
        world.close();
    }
    assert!(well >= 36, "{well} of {SEEDS}");
}
