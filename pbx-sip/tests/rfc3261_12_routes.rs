//! Route sets and remote targets: where requests in a dialog go, and what they say on the way.

mod net;

use net::{FINE, Net, field, peer};
use pbx_core::{Source, Transport};
use pbx_sip::{DialogId, Event, Invite, Method, Parts};

const TRUNK: &str = "192.0.2.2:5060";

/// A call that a proxy with these Record-Routes has sent to us, accepted.
fn called(record_routes: &str) -> (Net, DialogId) {
    let mut net = Net::new(1, FINE, 1);
    let invite = format!(
        "INVITE sip:2000@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP proxy;branch=z9hG4bK1;rport\r\n\
         {record_routes}From: \"A\" <sip:a@example.com>;tag=f\r\nTo: <sip:2000@192.0.2.1>\r\nCall-ID: c\r\n\
         CSeq: 7 INVITE\r\nContact: <sip:a@10.0.0.7:5070;transport=udp>\r\nContent-Length: 0\r\n\r\n"
    );
    net.inject(0, TRUNK, &invite);
    let [Event::Request { transaction, .. }] = net.events(0)[..] else { panic!("an INVITE arrives") };
    let now = net.now;
    let dialog = net.host(0).accept(transaction, &Parts::default(), now).unwrap();
    (net, dialog)
}

fn sent_info(net: &mut Net, dialog: DialogId) -> (String, String) {
    let now = net.now;
    net.sent(0);
    net.host(0).send(dialog, Method::Info, &Parts::default(), now).unwrap();
    let mut bytes = Vec::new();
    let to = net.host(0).poll_transmit(&mut bytes).unwrap().to.addr;
    (String::from_utf8(bytes).unwrap(), to.to_string())
}

fn routes(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("Route: ")).collect()
}

#[test]
fn rfc3261_12_1_1_the_callee_takes_record_routes_in_order_and_repeats_them() {
    let (mut net, dialog) = called("Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nRecord-Route: <sip:p3;lr>\r\n");
    let ok = net.sent(0).pop().unwrap();
    let repeated: Vec<_> = ok.lines().filter_map(|line| line.strip_prefix("Record-Route: ")).collect();
    assert_eq!(repeated, ["<sip:p1;lr>, <sip:p2;lr>", "<sip:p3;lr>"]);
    let (info, to) = sent_info(&mut net, dialog);
    assert!(info.starts_with("INFO sip:a@10.0.0.7:5070;transport=udp SIP/2.0\r\n"), "{info}");
    assert_eq!(routes(&info), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]);
    assert_eq!(field(&info, "To"), Some("\"A\" <sip:a@example.com>;tag=f"));
    assert_eq!(to, TRUNK, "where the call came from");
}

#[test]
fn rfc3261_12_2_1_1_a_strict_router_gets_itself_in_the_request_uri() {
    let (mut net, dialog) = called("Record-Route: <sip:strict.example.com>, <sip:p2;lr>\r\n");
    let (info, _) = sent_info(&mut net, dialog);
    assert!(info.starts_with("INFO sip:strict.example.com SIP/2.0\r\n"), "{info}");
    assert_eq!(routes(&info), ["<sip:p2;lr>", "<sip:a@10.0.0.7:5070;transport=udp>"]);
}

/// A call to a trunk that answers with `headers`, and the ACK it gets with its address.
fn calling(follow_contact: bool, headers: &str) -> (String, String) {
    let mut net = Net::new(1, FINE, 1);
    let now = net.now;
    let invite = Invite {
        uri: "sip:2000@trunk.example.com",
        from: "<sip:1001@192.0.2.1>",
        to: "<sip:2000@trunk.example.com>",
        peer: peer(1),
        follow_contact,
    };
    net.host(0).invite(&invite, &Parts::body("application/sdp", b"v=0\r\n"), now).unwrap();
    let sent = net.sent(0).pop().unwrap();
    let get = |name| field(&sent, name).unwrap();
    let ok = format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=t\r\nCall-ID: {}\r\nCSeq: 1 INVITE\r\n\
         {headers}Content-Length: 0\r\n\r\n",
        get("Via"),
        get("From"),
        get("To"),
        get("Call-ID")
    );
    let source = Source::new(TRUNK.parse().unwrap(), Transport::Udp);
    net.host(0).handle_datagram(source, ok.as_bytes(), now);
    let mut bytes = Vec::new();
    let to = net.host(0).poll_transmit(&mut bytes).unwrap().to.addr;
    (String::from_utf8(bytes).unwrap(), to.to_string())
}

#[test]
fn rfc3261_12_1_2_the_caller_takes_record_routes_backwards() {
    let headers = "Record-Route: <sip:p3;lr>,<sip:p2;lr>\r\nRecord-Route: <sip:p1;lr>\r\nContact: <sip:gw@203.0.113.5>\r\n";
    let (ack, _) = calling(false, headers);
    assert!(ack.starts_with("ACK sip:gw@203.0.113.5 SIP/2.0\r\n"), "{ack}");
    assert_eq!(routes(&ack), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]);
}

#[test]
fn rfc3261_12_2_1_1_a_trunk_is_followed_to_its_contact_or_first_route() {
    let contact = "Contact: <sip:gw@203.0.113.5:5080>\r\n";
    assert_eq!(calling(true, contact).1, "203.0.113.5:5080");
    let routed = format!("Record-Route: <sip:203.0.113.9;lr>\r\n{contact}");
    assert_eq!(calling(true, &routed).1, "203.0.113.9:5060");
    assert_eq!(calling(true, "Contact: <sip:gw.example.com>\r\n").1, TRUNK, "names are for the embedder");
}

#[test]
fn a_phone_behind_nat_is_reached_where_it_was_met() {
    assert_eq!(calling(false, "Contact: <sip:1001@10.0.0.7:5060>\r\n").1, TRUNK);
}

#[test]
fn an_incoming_call_stays_where_it_came_from_until_the_embedder_says_otherwise() {
    let (mut net, dialog) = called("");
    assert_eq!(sent_info(&mut net, dialog).1, TRUNK);
    net.host(0).follow_contact(dialog).unwrap();
    assert_eq!(sent_info(&mut net, dialog).1, "10.0.0.7:5070");
    let (mut net, dialog) = called("Record-Route: <sip:203.0.113.9:5070;lr>\r\n");
    net.host(0).follow_contact(dialog).unwrap();
    assert_eq!(sent_info(&mut net, dialog).1, "203.0.113.9:5070");
}

#[test]
fn rfc3261_12_1_1_there_is_one_contact_the_embedders_or_ours() {
    let contacts = |text: &str| text.lines().filter(|line| line.starts_with("Contact: ")).count();
    let (mut net, dialog) = called("");
    let ok = net.sent(0).pop().unwrap();
    assert_eq!((contacts(&ok), field(&ok, "Contact")), (1, Some("<sip:192.0.2.1:5060>")));
    let now = net.now;
    let own = [("m", "<sip:2000@192.0.2.1:5060>")];
    net.host(0).send(dialog, Method::Update, &Parts::headers(&own), now).unwrap();
    let update = net.sent(0).pop().unwrap();
    assert_eq!((contacts(&update), field(&update, "m")), (0, Some("<sip:2000@192.0.2.1:5060>")));

    let mut net = Net::new(2, FINE, 1);
    let (_, _, transaction) = net::ringing(&mut net);
    let now = net.now;
    net.sent(1);
    net.host(1).accept(transaction, &Parts::headers(&[("Contact", "<sip:own@192.0.2.2>")]), now).unwrap();
    let ok = net.sent(1).pop().unwrap();
    assert_eq!((contacts(&ok), field(&ok, "Contact")), (1, Some("<sip:own@192.0.2.2>")));
}
