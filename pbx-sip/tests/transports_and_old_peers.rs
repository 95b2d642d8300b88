//! Streams need no retransmission, sockets may fail, and peers of RFC 2543 are still about.

mod net;

use net::{FINE, Net, field, peer, start};
use pbx_core::{Source, Transport};
use pbx_sip::{
    CommandError, Config, Dropped, End, Endpoint, Event, Handled, Invite, Load, Method, Outgoing, Parts,
    Peer, Transmit,
};

fn endpoint() -> Endpoint {
    let mut config = Config::advertising(Transport::Udp, "192.0.2.1");
    config.advertised.push((Transport::Tcp, "192.0.2.1:5062".into()));
    Endpoint::new(config, [1; 32]).unwrap()
}

fn options(branch: &str, transport: &str) -> String {
    format!(
        "OPTIONS sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 198.51.100.7{branch}\r\nFrom: <sip:a@b>;tag=f\r\n\
         To: <sip:192.0.2.1>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

fn transmit(endpoint: &mut Endpoint) -> (Transmit, String) {
    let mut bytes = Vec::new();
    let transmit = endpoint.poll_transmit(&mut bytes).unwrap();
    (transmit, String::from_utf8(bytes).unwrap())
}

fn register() -> Outgoing<'static> {
    Outgoing {
        method: Method::Register,
        uri: "sip:b",
        from: "<sip:a@b>",
        to: "<sip:a@b>",
        call_id: "c1",
        seq: 5,
    }
}

#[test]
fn rfc3261_17_2_2_over_a_stream_nothing_is_kept_and_the_answer_goes_back_on_it() {
    let mut e = endpoint();
    let source = Source::new("198.51.100.7:40000".parse().unwrap(), Transport::Tcp);
    e.handle_datagram(source, options(";branch=z9hG4bK1", "TCP").as_bytes(), start());
    let Some(Event::Request { transaction, .. }) = e.poll_event() else { panic!("a request arrives") };
    e.respond(transaction, 200, &Parts::default(), start()).unwrap();
    let (transmit, _) = transmit(&mut e);
    assert_eq!(transmit.to, Peer::from(source));
    assert_eq!(e.load(), Load::default());
}

#[test]
fn rfc3261_18_1_1_each_transport_has_its_own_via_and_contact() {
    let mut e = endpoint();
    let peer = Peer { addr: "192.0.2.9:5060".parse().unwrap(), transport: Transport::Tcp };
    e.request(&register(), peer, &Parts::default(), start()).unwrap();
    let (sent, text) = transmit(&mut e);
    assert_eq!(sent.to, peer);
    assert!(field(&text, "Via").unwrap().starts_with("SIP/2.0/TCP 192.0.2.1:5062;branch=z9hG4bK"));
    assert_eq!((field(&text, "Call-ID"), field(&text, "CSeq")), (Some("c1"), Some("5 REGISTER")));
    assert_eq!(field(&text, "Max-Forwards"), Some("70"));
    let invite = Invite { uri: "sip:b", from: "<sip:a@b>", to: "<sip:b>", peer, follow_contact: false };
    e.invite(&invite, &Parts::default(), start()).unwrap();
    assert_eq!(field(&transmit(&mut e).1, "Contact"), Some("<sip:192.0.2.1:5062;transport=tcp>"));
    let tls = Peer { transport: Transport::Tls, ..peer };
    assert_eq!(
        e.request(&register(), tls, &Parts::default(), start()),
        Err(CommandError::NoAddress(Transport::Tls))
    );
}

#[test]
fn rfc3261_17_1_4_what_cannot_be_sent_is_told() {
    let mut e = endpoint();
    let to = peer(8);
    let register = e.request(&register(), to, &Parts::default(), start()).unwrap();
    let (failed, _) = transmit(&mut e);
    e.handle_transport_failure(&failed, start());
    assert!(
        matches!(e.poll_event(), Some(Event::TransportFailed { transaction, .. }) if transaction == register)
    );
    let invite = Invite { uri: "sip:b", from: "<sip:a@b>", to: "<sip:b>", peer: to, follow_contact: false };
    e.invite(&invite, &Parts::default(), start()).unwrap();
    let (failed, _) = transmit(&mut e);
    e.handle_transport_failure(&failed, start());
    assert!(matches!(e.poll_event(), Some(Event::Ended { end: End::TransportFailed, .. })));
    e.handle_transport_failure(&failed, start());
    assert!(e.poll_event().is_none(), "once");
    assert_eq!((e.load(), e.poll_timeout()), (Load::default(), None));
}

#[test]
fn rfc3261_17_2_3_a_peer_of_rfc2543_is_recognised_without_a_branch() {
    for branch in ["", ";branch=1"] {
        let mut net = Net::new(1, FINE, 1);
        let text = options(branch, "UDP");
        assert_eq!(net.inject(0, "198.51.100.7:5060", &text), Handled::Accepted);
        assert_eq!(net.inject(0, "198.51.100.7:5060", &text), Handled::Repeated);
        let next = text.replace("CSeq: 1", "CSeq: 2");
        assert_eq!(net.inject(0, "198.51.100.7:5060", &next), Handled::Accepted);
        assert_eq!(net.events(0).len(), 2);
    }
}

#[test]
fn rfc3261_8_1_3_3_a_response_with_a_second_via_is_somebody_elses() {
    let mut net = Net::new(1, FINE, 1);
    net.register(0, 1);
    let sent = net.sent(0).pop().unwrap();
    let via = field(&sent, "Via").unwrap();
    let ok = format!("SIP/2.0 200 OK\r\n{}", sent.split_once("\r\n").unwrap().1);
    let strange = ok.replacen(via, &format!("{via}\r\nVia: SIP/2.0/UDP other;branch=z9hG4bKo"), 1);
    let dropped = Handled::Dropped(Dropped::NoTransaction);
    assert_eq!(net.inject(0, "192.0.2.2:5060", &strange), dropped);
    assert_eq!(
        net.inject(0, "192.0.2.2:5060", &ok.replace("z9hG4bK", "z9hG4bKx")),
        dropped,
        "another branch"
    );
    assert_eq!(
        net.inject(0, "192.0.2.2:5060", &ok.replace("1 REGISTER", "1 OPTIONS")),
        dropped,
        "another method"
    );
    assert_eq!(net.inject(0, "192.0.2.2:5060", &ok), Handled::Accepted);
    assert!(matches!(net.events(0)[..], [Event::Response { status: 200, .. }]));
}
