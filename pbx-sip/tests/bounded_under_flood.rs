//! No flood makes an endpoint hold more than its configuration says, or shout at strangers.

mod net;

use core::time::Duration;

use net::{FINE, Net, config, start};
use pbx_core::{Source, Transport};
use pbx_sip::{Config, Dropped, Endpoint, Event, Handled, Load, Parts, Refused};

fn small() -> Config {
    Config {
        max_transactions: 100,
        max_transactions_per_source: 20,
        max_dialogs: 10,
        max_queue: 200,
        stateless_answers_per_second: 30,
        ..config(0)
    }
}

fn invite(n: u32) -> String {
    format!(
        "INVITE sip:2000@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK{n};rport\r\n\
         From: <sip:1001@192.0.2.1>;tag=f{n}\r\nTo: <sip:2000@192.0.2.1>\r\nCall-ID: same\r\n\
         CSeq: 7 INVITE\r\nContact: <sip:1001@10.0.0.7>\r\nContent-Length: 0\r\n\r\n"
    )
}

fn source(n: u32) -> Source {
    let octets = n.to_be_bytes();
    Source::new((std::net::Ipv4Addr::new(198, 18, octets[2], octets[3]), 5060).into(), Transport::Udp)
}

fn drain(endpoint: &mut Endpoint) -> (usize, usize) {
    let (mut transmits, mut events, mut bytes) = (0, 0, Vec::new());
    while endpoint.poll_transmit(&mut bytes).is_some() {
        transmits += 1;
    }
    while endpoint.poll_event().is_some() {
        events += 1;
    }
    (transmits, events)
}

#[test]
fn one_source_gets_its_share_and_no_more() {
    let mut endpoint = Endpoint::new(small(), [1; 32]).unwrap();
    let handled: Vec<_> =
        (0..50).map(|n| endpoint.handle_datagram(source(1), invite(n).as_bytes(), start())).collect();
    assert_eq!(handled.iter().filter(|h| **h == Handled::Accepted).count(), 20);
    assert_eq!(handled.last(), Some(&Handled::Dropped(Dropped::SourceFull)));
    assert_eq!(endpoint.handle_datagram(source(2), invite(1_000).as_bytes(), start()), Handled::Accepted);
}

#[test]
fn rfc3261_21_5_4_a_full_endpoint_says_503_and_when_to_come_again_but_not_to_everybody() {
    let mut endpoint = Endpoint::new(small(), [1; 32]).unwrap();
    let now = start();
    let handled: Vec<_> = (0..1_000)
        .map(|n| {
            let handled = endpoint.handle_datagram(source(n), invite(n).as_bytes(), now);
            (handled, drain(&mut endpoint))
        })
        .collect();
    let count = |what| handled.iter().filter(|(h, _)| *h == what).count();
    assert_eq!(count(Handled::Accepted), 100);
    assert_eq!(count(Handled::Refused(Refused::Full)), 30, "a second's worth");
    assert_eq!(count(Handled::Dropped(Dropped::Quiet)), 870);
    assert_eq!(handled.iter().map(|(_, (transmits, _))| transmits).sum::<usize>(), 30);
    assert_eq!(endpoint.load().server_transactions, 100);
    let later = now.after(Duration::from_secs(1));
    assert_eq!(
        endpoint.handle_datagram(source(9_999), invite(9_999).as_bytes(), later),
        Handled::Refused(Refused::Full)
    );
    let mut bytes = Vec::new();
    endpoint.poll_transmit(&mut bytes).unwrap();
    assert!(String::from_utf8(bytes).unwrap().contains("\r\nRetry-After: 10\r\n"));
}

#[test]
fn a_flood_of_strangers_keeps_no_caller_from_hanging_up() {
    let mut endpoint = Endpoint::new(small(), [1; 32]).unwrap();
    let now = start();
    endpoint.handle_datagram(source(1), invite(1).as_bytes(), now);
    for n in 0..100 {
        endpoint.handle_datagram(
            source(2),
            format!("{}x", invite(n)).replace("CSeq: 7", "CSeq: x").as_bytes(),
            now,
        );
    }
    assert_eq!(drain(&mut endpoint), (30, 1), "the refusals of this second are used up");
    let cancel = invite(1).replace("INVITE", "CANCEL");
    assert_eq!(endpoint.handle_datagram(source(1), cancel.as_bytes(), now), Handled::Accepted);
    assert_eq!(drain(&mut endpoint), (2, 1), "200 and 487");
}

#[test]
fn requests_that_wait_are_bounded_in_bytes() {
    let mut endpoint = Endpoint::new(Config { max_request_bytes: 1_000, ..small() }, [1; 32]).unwrap();
    let now = start();
    let mut waiting = Vec::new();
    let mut refused = 0;
    for n in 0..10 {
        match endpoint.handle_datagram(source(n), invite(n).as_bytes(), now) {
            Handled::Accepted => waiting.push(n),
            other => refused += u32::from(other == Handled::Refused(Refused::Full)),
        }
    }
    assert_eq!((waiting.len(), refused), (1_000 / invite(0).len(), 10 - (1_000 / invite(0).len()) as u32));
    while let Some(event) = endpoint.poll_event() {
        let Event::Request { transaction, .. } = event else { continue };
        endpoint.respond(transaction, 486, &Parts::default(), now).unwrap();
    }
    let handled = endpoint.handle_datagram(source(99), invite(99).as_bytes(), now);
    assert_eq!(handled, Handled::Accepted, "answered requests are not kept");
}

#[test]
fn an_embedder_that_does_not_drain_loses_datagrams_and_not_memory() {
    let mut endpoint = Endpoint::new(Config { max_queue: 5, ..small() }, [1; 32]).unwrap();
    let handled: Vec<_> =
        (0..20).map(|n| endpoint.handle_datagram(source(n), invite(n).as_bytes(), start())).collect();
    assert_eq!(handled[5..], vec![Handled::Dropped(Dropped::NotDrained); 15]);
    assert_eq!(drain(&mut endpoint).1, 5);
}

#[test]
fn dialogs_are_as_many_as_may_be_and_the_rest_is_told() {
    let mut net = Net::with(vec![Config { max_transactions_per_source: 100, ..small() }], FINE, 1);
    let mut full = 0;
    for n in 0..20 {
        net.inject(0, "198.51.100.7:5060", &invite(n));
        let [Event::Request { transaction, .. }] = net.events(0)[..] else { panic!("an INVITE arrives") };
        let now = net.now;
        full += u32::from(net.host(0).ring(transaction, 180, &Parts::default(), now).is_err());
    }
    assert_eq!((full, net.host(0).load().dialogs), (10, 10));
}

#[test]
fn everything_of_a_flood_is_gone_after_its_timers() {
    let mut net = Net::with(vec![small()], FINE, 1);
    for n in 0..1_000 {
        let now = net.now;
        net.host(0).handle_datagram(source(n), invite(n).as_bytes(), now);
        for event in net.events(0) {
            if let Event::Request { transaction, .. } = event {
                let _ = net.host(0).respond(transaction, 401, &Parts::default(), now);
            }
        }
    }
    assert_eq!(net.host(0).load(), load(100));
    net.run(Duration::from_secs(65));
    assert_eq!(net.host(0).load(), load(0));
    assert!(net.is_idle());
    let reported = net.events(0).iter().filter(|e| matches!(e, Event::Unacknowledged { .. })).count();
    assert_eq!(reported, 100, "nobody of them was at the address it wrote from");
}

fn load(server_transactions: usize) -> Load {
    let mut load = Load::default();
    load.server_transactions = server_transactions;
    load
}

/// Handling of time is in portions that the queues have room for; nothing is forgotten.
#[test]
fn a_thousand_timers_at_once_come_in_portions() {
    let config =
        Config { max_transactions: 5_000, max_transactions_per_source: 5_000, max_queue: 600, ..small() };
    let mut endpoint = Endpoint::new(config, [1; 32]).unwrap();
    let now = start();
    for n in 0..1_500 {
        endpoint.handle_datagram(source(n), invite(n).as_bytes(), now);
        assert_eq!(drain(&mut endpoint), (0, 1));
    }
    let later = now.after(Duration::from_millis(200));
    for portion in [600, 600, 300] {
        assert!(endpoint.poll_timeout() <= Some(later.mono), "what is left is due at once");
        endpoint.handle_timeout(later);
        assert_eq!(drain(&mut endpoint).0, portion, "100 Trying");
    }
    assert!(endpoint.poll_timeout() > Some(later.mono));
}
