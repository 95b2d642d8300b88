//! A peer asks for credentials, and the request goes out again with them: a trunk is called and registered at.

mod net;

use core::time::Duration;

use net::{FINE, Net, field, titles};
use pbx_sip::{ClientTransactionId, End, Event, HeaderName, Parts};

const CHALLENGE: &str = "Digest realm=\"trunk\", nonce=\"n1\"";
const ANSWER: &str = "Digest username=\"u\", realm=\"trunk\", nonce=\"n1\", uri=\"sip:x\", response=\"r\"";

/// Host 1 answers what has arrived with `status` and a challenge; host 0 is told.
fn challenge(net: &mut Net, status: u16) -> Option<ClientTransactionId> {
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("a request arrives") };
    let name = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
    let now = net.now;
    net.host(1).respond(transaction, status, &Parts::headers(&[(name, CHALLENGE)]), now).unwrap();
    net.settle();
    net.events(0).into_iter().find_map(|event| match event {
        Event::Challenged { transaction, status: told, message, .. } => {
            assert_eq!(told, status);
            let name = HeaderName::from_text(name).unwrap();
            assert_eq!(net::header(&message, name).as_deref(), Some(CHALLENGE));
            Some(transaction)
        }
        _ => None,
    })
}

#[test]
fn rfc3261_22_2_a_register_is_repeated_with_credentials() {
    let mut net = Net::new(2, FINE, 1);
    net.register(0, 1);
    let first = challenge(&mut net, 401).unwrap();
    let register = net.sent(0).pop().unwrap();
    let now = net.now;
    let second = net.host(0).authorize(first, "Authorization", ANSWER, now).unwrap();
    let again = net.sent(0).pop().unwrap();
    assert_eq!(field(&again, "Authorization"), Some(ANSWER));
    assert_eq!(field(&again, "CSeq"), Some("2 REGISTER"));
    for name in ["From", "To", "Call-ID", "Contact", "Expires"] {
        assert_eq!(field(&again, name), field(&register, name), "{name}");
    }
    assert_ne!(field(&again, "Via"), field(&register, "Via"));
    assert!(net.host(0).authorize(first, "Authorization", ANSWER, now).is_err(), "once");
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("it arrives") };
    net.host(1).respond(transaction, 200, &Parts::default(), now).unwrap();
    net.settle();
    assert!(
        matches!(net.events(0)[..], [Event::Response { transaction, status: 200, .. }] if transaction == second)
    );
}

#[test]
fn rfc3261_22_3_a_call_to_a_trunk_is_repeated_with_credentials_and_keeps_its_dialog() {
    let mut net = Net::new(2, FINE, 1);
    let call = net.call(0, 1);
    let first = challenge(&mut net, 407).unwrap();
    assert_eq!(titles(&net.sent(0)), ["INVITE", "ACK"]);
    let now = net.now;
    net.host(0).authorize(first, "Proxy-Authorization", ANSWER, now).unwrap();
    net.settle();
    let again = net.sent(0).pop().unwrap();
    assert_eq!(field(&again, "CSeq"), Some("2 INVITE"));
    assert!(again.ends_with("v=0\r\n"), "the body goes along");
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("it arrives") };
    net.host(1).accept(transaction, &Parts::default(), now).unwrap();
    net.settle();
    assert!(matches!(net.events(0)[..], [Event::Answered { dialog, .. }] if dialog == call));
    let ack = net.sent(0).pop().unwrap();
    assert_eq!(field(&ack, "CSeq"), Some("2 ACK"));
    assert_eq!(field(&ack, "Proxy-Authorization"), Some(ANSWER), "RFC 3261 section 22.1");
    net.host(0).hang_up(call, &[], now).unwrap();
    assert_eq!(field(&net.sent(0)[0], "CSeq"), Some("3 BYE"));
}

#[test]
fn rfc3261_22_2_a_request_in_a_dialog_is_repeated_with_its_next_number() {
    let mut net = Net::new(2, FINE, 1);
    let call = net.call(0, 1);
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an INVITE arrives") };
    let now = net.now;
    net.host(1).accept(transaction, &Parts::default(), now).unwrap();
    net.settle();
    net.events(0);
    net.events(1);
    net.host(0).send(call, pbx_sip::Method::Invite, &Parts::default(), now).unwrap();
    let first = challenge(&mut net, 401).unwrap();
    net.host(0).authorize(first, "Authorization", ANSWER, now).unwrap();
    net.settle();
    let [Event::Request { transaction, dialog: Some(_), .. }] = net.events(1)[..] else {
        panic!("it arrives")
    };
    net.host(1).respond(transaction, 488, &Parts::default(), now).unwrap();
    net.settle();
    assert!(matches!(net.events(0)[..], [Event::Response { status: 488, .. }]));
    assert!(net.host(0).send(call, pbx_sip::Method::Invite, &Parts::default(), now).is_ok(), "nothing pends");
}

#[test]
fn credentials_for_an_info_leave_the_reinvite_alone() {
    let mut net = Net::new(2, FINE, 1);
    let call = net.call(0, 1);
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an INVITE arrives") };
    let now = net.now;
    net.host(1).accept(transaction, &Parts::default(), now).unwrap();
    net.settle();
    (0..2).for_each(|host| drop(net.events(host)));
    net.host(0).send(call, pbx_sip::Method::Info, &Parts::default(), now).unwrap();
    let info = challenge(&mut net, 401).unwrap();
    net.host(0).send(call, pbx_sip::Method::Invite, &Parts::default(), now).unwrap();
    net.host(0).authorize(info, "Authorization", ANSWER, now).unwrap();
    let again = net.host(0).send(call, pbx_sip::Method::Invite, &Parts::default(), now);
    assert!(again.is_err(), "the re-INVITE is still unanswered");
}

#[test]
fn a_challenge_that_is_never_met_ends_the_call() {
    let mut net = Net::new(2, FINE, 1);
    net.call(0, 1);
    challenge(&mut net, 401).unwrap();
    net.run(Duration::from_secs(33));
    assert!(matches!(net.events(0)[..], [Event::Ended { end: End::Refused(401), .. }]));
    net.run(Duration::from_secs(33));
    assert!(net.is_idle());
}

#[test]
fn a_peer_that_challenges_for_ever_is_asked_four_times() {
    let mut net = Net::new(2, FINE, 1);
    net.call(0, 1);
    for _ in 0..3 {
        let challenged = challenge(&mut net, 401).unwrap();
        let now = net.now;
        net.host(0).authorize(challenged, "Authorization", ANSWER, now).unwrap();
    }
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("a request arrives") };
    let now = net.now;
    net.host(1).respond(transaction, 401, &Parts::headers(&[("WWW-Authenticate", CHALLENGE)]), now).unwrap();
    net.settle();
    assert!(matches!(net.events(0)[..], [Event::Ended { end: End::Refused(401), .. }]));
}

#[test]
fn a_401_that_asks_for_nothing_is_a_refusal() {
    let mut net = Net::new(2, FINE, 1);
    net.call(0, 1);
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an INVITE arrives") };
    let now = net.now;
    net.host(1).respond(transaction, 401, &Parts::default(), now).unwrap();
    net.settle();
    assert!(matches!(net.events(0)[..], [Event::Ended { end: End::Refused(401), .. }]));
}

#[test]
fn a_call_that_is_hung_up_on_is_not_kept_for_credentials() {
    let mut net = Net::new(2, FINE, 1);
    let call = net.call(0, 1);
    let challenged = challenge(&mut net, 401).unwrap();
    let now = net.now;
    net.host(0).hang_up(call, &[], now).unwrap();
    assert!(matches!(net.events(0)[..], [Event::Ended { end: End::HungUp, .. }]));
    assert!(net.host(0).authorize(challenged, "Authorization", ANSWER, now).is_err());
}

#[test]
fn credentials_cannot_end_a_line() {
    let mut net = Net::new(2, FINE, 1);
    net.register(0, 1);
    let first = challenge(&mut net, 401).unwrap();
    let now = net.now;
    assert!(net.host(0).authorize(first, "Authorization", "Digest a\r\nX: y", now).is_err());
    assert!(net.host(0).authorize(first, "Route", "<sip:a>", now).is_err());
    assert!(net.host(0).authorize(first, "Authorization", ANSWER, now).is_ok(), "nothing was lost");
}

/// A 401 to our BYE or re-INVITE asks the caller for the credentials of a called phone (digest leak): the
/// endpoint never answers one by itself.
#[test]
fn a_challenge_to_a_bye_is_ignored() {
    let mut net = Net::new(2, FINE, 1);
    let call = net.call(0, 1);
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an INVITE arrives") };
    let now = net.now;
    net.host(1).accept(transaction, &Parts::default(), now).unwrap();
    net.settle();
    net.events(0);
    net.sent(0);
    net.host(0).hang_up(call, &[], now).unwrap();
    let bye = net.sent(0).pop().unwrap();
    let headers = bye
        .split_once("\r\n")
        .unwrap()
        .1
        .replace("Content-Length", "WWW-Authenticate: Digest\r\nContent-Length");
    net.inject(0, "192.0.2.2:5060", &format!("SIP/2.0 401 Unauthorized\r\n{headers}"));
    assert!(matches!(net.events(0)[..], [Event::Ended { end: End::HungUp, .. }]));
    assert_eq!(net.sent(0).len(), 0);
}
