//! What an endpoint answers by itself, without troubling its embedder and without keeping anything.

mod net;

use core::time::Duration;

use net::{FINE, Net, config, field};
use pbx_sip::{Config, Dropped, Event, Handled, Parts, Refused};

const PHONE: &str = "198.51.100.7:5062";

/// A request from a phone behind NAT; `n` makes it one of its own.
fn request(method: &str, n: u32, extra: &str) -> String {
    format!(
        "{method} sip:2000@192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.7:5060;branch=z9hG4bKphone{n};rport\r\n\
         From: <sip:1001@192.0.2.1>;tag=f{n}\r\n\
         To: <sip:2000@192.0.2.1>\r\n\
         Call-ID: call{n}\r\n\
         CSeq: 7 {method}\r\n\
         Contact: <sip:1001@10.0.0.7>\r\n\
         {extra}Content-Length: 0\r\n\r\n"
    )
}

fn one() -> Net {
    Net::new(1, FINE, 1)
}

fn refusal(net: &mut Net, text: &str) -> (Handled, String) {
    let handled = net.inject(0, PHONE, text);
    assert_eq!(net.events(0).len(), 0, "the embedder is not troubled");
    assert_eq!(net.host(0).load().server_transactions, 0, "nothing is kept");
    (handled, net.sent(0).pop().unwrap_or_default())
}

#[test]
fn rfc3581_4_answers_go_to_the_source_and_say_what_it_is() {
    let mut net = one();
    net.inject(0, PHONE, &request("OPTIONS", 1, ""));
    let [Event::Request { transaction, source, .. }] = net.events(0)[..] else {
        panic!("an OPTIONS arrives")
    };
    assert_eq!(source.to_string(), "198.51.100.7:5062/udp");
    let now = net.now;
    net.host(0).respond(transaction, 200, &Parts::default(), now).unwrap();
    let mut bytes = Vec::new();
    let transmit = net.host(0).poll_transmit(&mut bytes).unwrap();
    assert_eq!(transmit.to.addr, PHONE.parse().unwrap());
    let text = String::from_utf8(bytes).unwrap();
    let via = field(&text, "Via").unwrap();
    assert!(via.contains(";received=198.51.100.7") && via.contains(";rport=5062"), "{via}");
    assert!(field(&text, "To").unwrap().contains(";tag="));
}

#[test]
fn rfc3261_17_2_2_a_copy_is_answered_from_the_transaction() {
    let mut net = one();
    let options = request("OPTIONS", 1, "");
    assert_eq!(net.inject(0, PHONE, &options), Handled::Accepted);
    assert_eq!(net.inject(0, PHONE, &options), Handled::Repeated);
    let [Event::Request { transaction, .. }] = net.events(0)[..] else { panic!("one event for both") };
    let now = net.now;
    net.host(0).respond(transaction, 200, &Parts::default(), now).unwrap();
    let first = net.sent(0);
    assert_eq!(net.inject(0, PHONE, &options), Handled::Repeated);
    assert_eq!((net.sent(0), net.events(0).len()), (first, 0));
    assert!(
        net.host(0).respond(transaction, 200, &Parts::default(), now).is_err(),
        "there is one final response"
    );
}

#[test]
fn rfc3261_8_2_2_2_a_request_that_arrives_on_two_ways_is_merged() {
    let mut net = one();
    let invite = request("INVITE", 1, "");
    assert_eq!(net.inject(0, PHONE, &invite), Handled::Accepted);
    net.events(0);
    let other_way = invite.replace("z9hG4bKphone1", "z9hG4bKphone1b");
    assert_eq!(net.inject(0, PHONE, &other_way), Handled::Refused(Refused::Merged));
    assert!(net.sent(0).pop().unwrap().starts_with("SIP/2.0 482 "));
    assert_eq!(net.events(0).len(), 0);
}

/// RFC 3261 section 22.2 has a client count CSeq up with its credentials; some do not.
#[test]
fn rfc3261_8_2_2_2_a_challenged_request_may_come_again() {
    let mut net = one();
    let register = request("REGISTER", 1, "");
    net.inject(0, PHONE, &register);
    let [Event::Request { transaction, .. }] = net.events(0)[..] else { panic!("a REGISTER arrives") };
    let now = net.now;
    net.host(0).respond(transaction, 401, &Parts::default(), now).unwrap();
    let with_credentials = register.replace("z9hG4bKphone1", "z9hG4bKphone1b");
    assert_eq!(net.inject(0, PHONE, &with_credentials), Handled::Accepted);
}

#[test]
fn rfc3261_8_2_2_3_an_extension_that_is_required_and_unknown_is_named() {
    let (handled, answer) = refusal(&mut one(), &request("INVITE", 1, "Require: 100rel, timer\r\n"));
    assert_eq!(handled, Handled::Refused(Refused::Extension));
    assert!(answer.starts_with("SIP/2.0 420 "));
    assert_eq!(field(&answer, "Unsupported"), Some("100rel, timer"));

    let knows = Config { supported: vec!["Timer".into()], ..config(0) };
    let mut net = Net::with(vec![knows], FINE, 1);
    assert_eq!(net.inject(0, PHONE, &request("INVITE", 1, "Require: timer\r\n")), Handled::Accepted);
}

#[test]
fn rfc7332_a_call_with_no_hop_left_is_refused_and_options_is_not() {
    let (handled, answer) = refusal(&mut one(), &request("INVITE", 1, "Max-Forwards: 0\r\n"));
    assert_eq!(handled, Handled::Refused(Refused::TooManyHops));
    assert!(answer.starts_with("SIP/2.0 483 "));
    assert_eq!(one().inject(0, PHONE, &request("OPTIONS", 1, "Max-Forwards: 0\r\n")), Handled::Accepted);
}

#[test]
fn rfc3261_8_1_1_8_an_invite_without_contact_is_refused() {
    let invite = request("INVITE", 1, "").replace("Contact: <sip:1001@10.0.0.7>\r\n", "");
    let (handled, answer) = refusal(&mut one(), &invite);
    assert_eq!(handled, Handled::Refused(Refused::NoContact));
    assert!(answer.starts_with("SIP/2.0 400 "));
}

#[test]
fn rfc3261_8_2_7_a_refusal_without_state_says_the_same_again() {
    let mut net = one();
    let invite = request("INVITE", 1, "Max-Forwards: 0\r\n");
    let first = refusal(&mut net, &invite);
    assert_eq!(refusal(&mut net, &invite), first, "the tag of To, too");
}

#[test]
fn rfc3261_21_4_1_what_cannot_be_parsed_is_answered_400_and_told() {
    let mut net = one();
    let text = request("INVITE", 1, "").replace("CSeq: 7 INVITE", "CSeq: x INVITE");
    let (handled, answer) = refusal(&mut net, &text);
    assert!(matches!(handled, Handled::Malformed(why) if why.section().contains("8.1.1.5")), "{handled:?}");
    assert!(answer.starts_with("SIP/2.0 400 "));
}

#[test]
fn rfc3261_17_1_1_3_neither_acks_nor_responses_are_answered() {
    let mut net = one();
    let ack = request("ACK", 1, "");
    assert_eq!(refusal(&mut net, &ack), (Handled::Dropped(Dropped::NoDialog), String::new()));
    let broken = ack.replace("CSeq: 7 ACK", "CSeq: x ACK");
    assert!(matches!(refusal(&mut net, &broken), (Handled::Malformed(_), answer) if answer.is_empty()));
    let response =
        request("INVITE", 1, "").replacen("INVITE sip:2000@192.0.2.1 SIP/2.0", "SIP/2.0 200 OK", 1);
    let dropped = (Handled::Dropped(Dropped::NoTransaction), String::new());
    assert_eq!(refusal(&mut net, &response), dropped);
}

#[test]
fn rfc3261_9_2_a_cancel_of_nothing_is_answered_481() {
    let (handled, answer) = refusal(&mut one(), &request("CANCEL", 1, ""));
    assert_eq!(handled, Handled::Refused(Refused::NoDialog));
    assert!(answer.starts_with("SIP/2.0 481 "));
}

#[test]
fn rfc5626_4_4_1_line_ends_are_keep_alives() {
    let mut net = one();
    for text in ["", "\r\n", "\r\n\r\n"] {
        assert_eq!(net.inject(0, PHONE, text), Handled::KeepAlive);
    }
    assert_eq!(net.sent(0).len(), 0);
}

#[test]
fn rfc4320_4_1_other_requests_have_no_provisional_response_but_100() {
    let mut net = one();
    net.inject(0, PHONE, &request("REGISTER", 1, ""));
    let [Event::Request { transaction, .. }] = net.events(0)[..] else { panic!("a REGISTER arrives") };
    let now = net.now;
    for status in [99, 180, 183, 700] {
        assert!(net.host(0).respond(transaction, status, &Parts::default(), now).is_err(), "{status}");
    }
    assert!(net.host(0).respond(transaction, 100, &Parts::default(), now).is_ok());
    assert!(!field(&net.sent(0)[0], "To").unwrap().contains("tag="), "100 has no tag");
}

#[test]
fn rfc4320_4_2_an_answer_that_comes_too_late_is_not_sent() {
    let mut net = one();
    net.inject(0, PHONE, &request("REGISTER", 1, ""));
    let [Event::Request { transaction, .. }] = net.events(0)[..] else { panic!("a REGISTER arrives") };
    net.run(Duration::from_secs(33));
    let now = net.now;
    assert!(net.host(0).respond(transaction, 200, &Parts::default(), now).is_err());
    assert_eq!(net.sent(0).len(), 0);
    assert!(net.is_idle());
}

#[test]
fn nothing_shows_credentials() {
    let mut net = one();
    net.inject(0, PHONE, &request("REGISTER", 1, "Authorization: Digest response=\"hunter2\"\r\n"));
    let events = net.events(0);
    let parts = [("Authorization", "hunter2")];
    let shown = format!("{events:?} {:?} {:?}", net.host(0), Parts::headers(&parts));
    assert!(shown.contains("Register") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_the_embedder_writes_cannot_end_a_line() {
    let mut net = one();
    net.inject(0, PHONE, &request("OPTIONS", 1, ""));
    let [Event::Request { transaction, .. }] = net.events(0)[..] else { panic!("an OPTIONS arrives") };
    let now = net.now;
    for (name, value) in [
        ("X-A", "a\r\nX-B: b"),
        ("X-A", "a\nb"),
        ("X-A", "a\0"),
        ("X\r\nA", "a"),
        ("Via", "SIP/2.0/UDP a;branch=z9hG4bKb"),
        ("v", "SIP/2.0/UDP a;branch=z9hG4bKb"),
        ("Content-Type", "a/b"),
        ("Content-Length", "5"),
        ("To", "<sip:a@b>"),
        ("CSeq", "1 OPTIONS"),
    ] {
        let parts = [(name, value)];
        assert!(
            net.host(0).respond(transaction, 200, &Parts::headers(&parts), now).is_err(),
            "{name:?} {value:?}"
        );
    }
    assert_eq!(net.sent(0).len(), 0, "nothing was sent");
    assert!(net.host(0).respond(transaction, 200, &Parts::default(), now).is_ok(), "and nothing has changed");
}
