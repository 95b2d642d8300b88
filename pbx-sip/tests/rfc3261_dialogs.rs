//! Dialogs between two endpoints on a quiet network, and what each side says and is told.

mod net;

use core::time::Duration;

use net::{FINE, Net, SDP, addr, ended, field, header, peer, ringing, titles, up};
use pbx_sip::{CommandError, End, Event, Handled, HeaderName, Invite, Method, Parts, Refused};

#[test]
fn rfc3261_13_2_2_4_the_ack_follows_the_2xx_at_once_when_the_invite_made_the_offer() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, _, transaction) = ringing(&mut net);
    net.sent(0);
    let now = net.now;
    net.host(1).accept(transaction, &SDP, now).unwrap();
    net.settle();
    let sent = net.sent(0);
    assert_eq!(titles(&sent), ["ACK"]);
    assert_eq!(field(&sent[0], "CSeq"), Some("1 ACK"));
    assert!(net.host(0).acknowledge(caller, &SDP).is_err(), "it was acknowledged");
}

#[test]
fn rfc3261_13_2_2_4_an_offer_in_the_2xx_is_answered_in_the_ack() {
    let mut net = Net::new(2, FINE, 1);
    let now = net.now;
    let uri = format!("sip:callee@{}", addr(1));
    let invite = Invite {
        uri: &uri,
        from: "<sip:caller@192.0.2.1>",
        to: &format!("<{uri}>"),
        peer: peer(1),
        follow_contact: true,
    };
    let caller = net.host(0).invite(&invite, &Parts::default(), now).unwrap();
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an INVITE arrives") };
    let callee = net.host(1).accept(transaction, &SDP, now).unwrap();
    net.run(Duration::from_millis(600));
    assert_eq!(titles(&net.sent(1)), ["200 INVITE", "200 INVITE"], "the 2xx is repeated");
    net.events(0);
    net.sent(0);
    net.host(0).acknowledge(caller, &SDP).unwrap();
    net.settle();
    let [Event::Acknowledged { dialog, ref message }] = net.events(1)[..] else { panic!("an ACK arrives") };
    assert_eq!(dialog, callee);
    assert_eq!(message.parse().unwrap().body(), b"v=0\r\n");
}

#[test]
fn rfc3261_13_3_1_4_the_2xx_is_repeated_until_64_t1_and_then_the_call_ends_with_bye() {
    let mut net = Net::new(2, FINE, 1);
    let (_, _, transaction) = ringing(&mut net);
    net.weather.loss = 100;
    let now = net.now;
    net.sent(1);
    net.host(1).accept(transaction, &SDP, now).unwrap();
    net.run(Duration::from_millis(31_900));
    let sent = net.sent(1);
    assert_eq!(titles(&sent), vec!["200 INVITE"; 11], "T1 doubling up to T2");
    assert_eq!(net.events(1).len(), 0);
    net.run(Duration::from_millis(200));
    assert_eq!(titles(&net.sent(1)), ["BYE"]);
    assert_eq!(ended(&mut net, 1), Some(End::NoAck));
}

#[test]
fn rfc3261_13_2_2_4_every_copy_of_the_2xx_gets_its_ack_again() {
    let mut net = Net::new(2, FINE, 1);
    let (_, _, transaction) = ringing(&mut net);
    let now = net.now;
    net.sent(0);
    net.host(1).accept(transaction, &SDP, now).unwrap();
    let ok = net.sent(1).pop().unwrap();
    net.settle();
    let first = net.sent(0);
    net.inject(0, "192.0.2.2:5060", &ok);
    assert_eq!(net.sent(0), first, "the same ACK");
    assert_eq!(net.events(0).len(), 1, "told once");
}

#[test]
fn rfc3261_13_2_2_4_a_second_one_who_accepts_is_acknowledged_and_hung_up_on() {
    let mut net = Net::new(2, FINE, 1);
    let (_, _, transaction) = ringing(&mut net);
    let now = net.now;
    net.host(1).accept(transaction, &SDP, now).unwrap();
    let ok = net.sent(1).pop().unwrap();
    net.settle();
    net.sent(0);
    net.events(0);
    let tag = field(&ok, "To").unwrap().split_once(";tag=").unwrap().1;
    let fork = ok.replace(tag, "forked");
    net.inject(0, "192.0.2.2:5060", &fork);
    let sent = net.sent(0);
    assert_eq!(titles(&sent), ["ACK", "BYE"]);
    assert!(sent.iter().all(|text| field(text, "To").unwrap().ends_with(";tag=forked")));
    assert_eq!(net.events(0).len(), 0, "the embedder keeps the first");
    net.inject(0, "192.0.2.2:5060", &fork);
    assert_eq!(titles(&net.sent(0)), ["ACK"], "one BYE is enough");
}

#[test]
fn rfc3261_15_bye_ends_both_sides_and_carries_the_reason() {
    for who in 0..2 {
        let mut net = Net::new(2, FINE, 1);
        let (caller, callee) = up(&mut net);
        let (now, dialog) = (net.now, [caller, callee][who]);
        net.host(who).hang_up(dialog, &[("Reason", "Q.850;cause=31")], now).unwrap();
        net.settle();
        assert_eq!(ended(&mut net, who), Some(End::HungUp));
        let [Event::Ended { end: End::Bye, message: Some(ref bye), .. }] = net.events(1 - who)[..] else {
            panic!("a BYE arrives")
        };
        assert_eq!(header(bye, HeaderName::Reason).as_deref(), Some("Q.850;cause=31"));
        assert_eq!(net.host(who).hang_up(dialog, &[], now), Err(CommandError::Gone));
        net.run(Duration::from_secs(33));
        assert!(net.is_idle());
    }
}

#[test]
fn rfc3261_15_the_callee_may_not_hang_up_before_the_ack() {
    let mut net = Net::new(2, FINE, 1);
    let (_, callee, transaction) = ringing(&mut net);
    let now = net.now;
    net.host(1).accept(transaction, &SDP, now).unwrap();
    net.host(1).hang_up(callee, &[("Reason", "SIP;cause=480")], now).unwrap();
    assert_eq!(titles(&net.sent(1)), ["180 INVITE", "200 INVITE"]);
    net.settle();
    assert_eq!(titles(&net.sent(1)), ["BYE"], "once the ACK is there");
    assert!(matches!(net.events(1)[..], [Event::Acknowledged { .. }, Event::Ended { end: End::HungUp, .. }]));
}

#[test]
fn rfc3261_9_hanging_up_on_a_ringing_call_cancels_it() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, callee, transaction) = ringing(&mut net);
    net.sent(0);
    net.sent(1);
    let now = net.now;
    net.host(0).hang_up(caller, &[("Reason", "SIP;cause=200;text=\"elsewhere\"")], now).unwrap();
    net.settle();
    assert_eq!(titles(&net.sent(0)), ["CANCEL", "ACK"]);
    assert_eq!(titles(&net.sent(1)), ["200 CANCEL", "487 INVITE"]);
    let events = net.events(1);
    let [
        Event::Cancelled { transaction: cancelled, dialog: Some(dialog), ref message },
        Event::Ended { end: End::Cancelled, .. },
    ] = events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((cancelled, dialog), (transaction, callee));
    assert!(header(message, HeaderName::Reason).unwrap().contains("elsewhere"));
    assert_eq!(ended(&mut net, 0), Some(End::HungUp));
    assert!(net.host(1).respond(transaction, 200, &SDP, now).is_err());
}

#[test]
fn rfc3261_9_1_a_cancel_waits_for_a_provisional_response() {
    let mut net = Net::new(2, FINE, 1);
    let caller = net.call(0, 1);
    let now = net.now;
    net.host(0).hang_up(caller, &[("Reason", "SIP;cause=200")], now).unwrap();
    assert_eq!(titles(&net.sent(0)), ["INVITE"], "nothing yet");
    net.run(Duration::from_millis(250));
    let sent = net.sent(0);
    assert_eq!(titles(&sent), ["CANCEL", "ACK"], "100 went out after 200 ms");
    assert_eq!(field(&sent[0], "Reason"), Some("SIP;cause=200"));
    assert!(matches!(net.events(1)[..], [Event::Request { .. }, Event::Cancelled { dialog: None, .. }]));
}

#[test]
fn rfc3261_9_1_who_accepts_while_the_cancel_is_on_its_way_is_hung_up_on() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, _, transaction) = ringing(&mut net);
    net.sent(0);
    let now = net.now;
    net.host(1).accept(transaction, &SDP, now).unwrap();
    net.host(0).hang_up(caller, &[], now).unwrap();
    net.settle();
    assert_eq!(titles(&net.sent(0)), ["CANCEL", "ACK", "BYE"]);
    assert_eq!(ended(&mut net, 0), Some(End::HungUp));
    assert!(net.events(1).iter().any(|event| matches!(event, Event::Ended { end: End::Bye, .. })));
    net.run(Duration::from_secs(70));
    assert!(net.is_idle());
}

#[test]
fn rfc3261_9_2_a_cancel_from_another_address_counts_for_nothing() {
    let mut net = Net::new(2, FINE, 1);
    net.call(0, 1);
    let invite = net.sent(0).pop().unwrap();
    net.settle();
    net.events(1);
    let head = invite.split_once("Contact").unwrap().0;
    let cancel = format!("{}\r\n", head.replace("INVITE", "CANCEL"));
    assert_eq!(net.inject(1, "203.0.113.66:5060", &cancel), Handled::Refused(Refused::NoDialog));
    assert_eq!(net.events(1).len(), 0);
    assert_eq!(net.inject(1, "192.0.2.1:5060", &cancel), Handled::Accepted);
    assert!(matches!(net.events(1)[..], [Event::Cancelled { .. }]));
}

#[test]
fn rfc3261_13_3_1_3_a_refusal_reaches_the_caller_with_its_headers() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, callee, transaction) = ringing(&mut net);
    let now = net.now;
    net.host(1).respond(transaction, 486, &Parts::headers(&[("Retry-After", "60")]), now).unwrap();
    net.settle();
    assert!(matches!(
        net.events(1)[..],
        [Event::Ended { dialog, end: End::Refused(486), .. }] if dialog == callee
    ));
    let [Event::Ended { dialog, end: End::Refused(486), message: Some(ref message) }] = net.events(0)[..]
    else {
        panic!("refused")
    };
    assert_eq!(dialog, caller);
    assert_eq!(header(message, HeaderName::RetryAfter).as_deref(), Some("60"));
    net.run(Duration::from_secs(40));
    assert!(net.is_idle());
}

#[test]
fn rfc3261_12_2_other_requests_pass_both_ways() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, callee) = up(&mut net);
    let now = net.now;
    let dtmf = Parts::body("application/dtmf-relay", b"Signal=5\r\n");
    for (who, dialog, other) in [(0, caller, callee), (1, callee, caller), (0, caller, callee)] {
        net.host(who).send(dialog, Method::Info, &dtmf, now).unwrap();
        net.settle();
        let [Event::Request { transaction, dialog, method: Method::Info, ref message, .. }] =
            net.events(1 - who)[..]
        else {
            panic!("an INFO arrives")
        };
        assert_eq!(dialog, Some(other));
        assert_eq!(message.parse().unwrap().body(), b"Signal=5\r\n");
        net.host(1 - who).respond(transaction, 200, &Parts::default(), now).unwrap();
        net.settle();
        assert!(matches!(net.events(who)[..], [Event::Response { status: 200, .. }]));
    }
    let numbers: Vec<_> = net.sent(0).iter().filter_map(|t| field(t, "CSeq").map(str::to_owned)).collect();
    assert_eq!(numbers, ["2 INFO", "1 INFO", "3 INFO"], "each side counts for itself");
}

#[test]
fn rfc3261_12_2_2_a_number_that_goes_back_is_refused_with_500() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, _) = up(&mut net);
    let now = net.now;
    net.host(0).send(caller, Method::Info, &Parts::default(), now).unwrap();
    let info = net.sent(0).pop().unwrap();
    net.settle();
    let again = info.replace("branch=z9hG4bK", "branch=z9hG4bKother");
    assert_eq!(net.inject(1, "192.0.2.1:5060", &again), Handled::Refused(Refused::OutOfOrder));
    assert!(net.sent(1).pop().unwrap().starts_with("SIP/2.0 500 "));
}

#[test]
fn rfc3261_12_2_2_a_request_in_no_dialog_is_refused_with_481() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, _) = up(&mut net);
    let now = net.now;
    net.host(0).hang_up(caller, &[], now).unwrap();
    let bye = net.sent(0).pop().unwrap();
    let (to, from) = ("To: <sip:callee@192.0.2.2:5060>;tag=", "From: <sip:caller@192.0.2.1:5060>;tag=");
    for (what, text) in [
        ("our tag", bye.replace(to, &format!("{to}x"))),
        ("the peer's tag", bye.replace(from, &format!("{from}x"))),
        ("Call-ID", bye.replace("Call-ID: ", "Call-ID: x")),
    ] {
        assert_ne!(text, bye, "{what}");
        let text = text.replace("branch=z9hG4bK", "branch=z9hG4bKother");
        assert_eq!(net.inject(1, "192.0.2.1:5060", &text), Handled::Refused(Refused::NoDialog), "{what}");
    }
    assert!(net.sent(1).iter().all(|text| text.starts_with("SIP/2.0 481 ")));
    assert_eq!(net.events(1).len(), 0);
}

#[test]
fn rfc3261_12_2_1_2_a_peer_that_lost_the_dialog_ends_it() {
    for status in [408, 481] {
        let mut net = Net::new(2, FINE, 1);
        let (caller, _) = up(&mut net);
        let now = net.now;
        net.host(0).send(caller, Method::Info, &Parts::default(), now).unwrap();
        net.settle();
        let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an INFO arrives") };
        net.host(1).respond(transaction, status, &Parts::default(), now).unwrap();
        net.settle();
        assert!(matches!(net.events(0)[..], [Event::Response { .. }, Event::Ended { end: End::Gone, .. }]));
    }
}

#[test]
fn rfc3261_12_2_1_2_silence_ends_the_dialog() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, _) = up(&mut net);
    net.weather.loss = 100;
    let now = net.now;
    net.host(0).send(caller, Method::Update, &SDP, now).unwrap();
    net.run(Duration::from_secs(33));
    assert!(matches!(net.events(0)[..], [Event::TimedOut { .. }, Event::Ended { end: End::TimedOut, .. }]));
}

#[test]
fn rfc3261_16_8_timer_c_withdraws_a_call_that_rings_for_ever() {
    let mut net = Net::new(2, FINE, 1);
    let (_, _, transaction) = ringing(&mut net);
    net.sent(0);
    net.run(Duration::from_secs(100));
    let now = net.now;
    net.host(1).ring(transaction, 180, &Parts::default(), now).unwrap();
    net.run(Duration::from_secs(184));
    assert_eq!(net.sent(0).len(), 0, "a provisional response starts it anew");
    net.run(Duration::from_secs(2));
    assert_eq!(titles(&net.sent(0)), ["CANCEL", "ACK"]);
    assert!(matches!(net.events(0)[..], [Event::Progress { .. }, Event::Ended { end: End::TimedOut, .. }]));
}

#[test]
fn rfc3261_9_1_a_peer_that_ignores_the_cancel_is_given_up() {
    let mut net = Net::new(2, FINE, 1);
    let caller = net.call(0, 1);
    let invite = net.sent(0).pop().unwrap();
    let trying = invite.split_once("Contact").unwrap().0.split_once("\r\n").unwrap().1.to_owned();
    net.weather.loss = 100;
    net.inject(
        0,
        "192.0.2.2:5060",
        &format!("SIP/2.0 100 Trying\r\n{trying}\r\n").replace("Max-Forwards: 70\r\n", ""),
    );
    let now = net.now;
    net.host(0).hang_up(caller, &[], now).unwrap();
    net.run(Duration::from_secs(33));
    assert_eq!(net.host(0).load().client_transactions, 0);
}

#[test]
fn an_invite_that_the_embedder_forgets_ends_with_408() {
    let mut net = Net::new(2, FINE, 1);
    net.call(0, 1);
    net.settle();
    net.sent(1);
    // Timer C of the caller would be earlier.
    net.weather.loss = 100;
    net.run(Duration::from_secs(299));
    assert_eq!(titles(&net.sent(1)), ["100 INVITE"]);
    net.run(Duration::from_secs(2));
    assert_eq!(titles(&net.sent(1))[0], "408 INVITE");
}

#[test]
fn rfc3261_17_2_1_a_failure_that_nobody_acknowledges_is_reported() {
    let mut net = Net::new(2, FINE, 1);
    net.call(0, 1);
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an INVITE arrives") };
    net.weather.loss = 100;
    let now = net.now;
    net.host(1).respond(transaction, 401, &Parts::default(), now).unwrap();
    net.run(Duration::from_secs(33));
    let [Event::Unacknowledged { transaction: reported, source }] = net.events(1)[..] else { panic!() };
    assert_eq!((reported, source), (transaction, net::source(0)));
}

#[test]
fn a_request_that_is_dropped_gets_no_answer_and_leaves_nothing() {
    let mut net = Net::new(2, FINE, 1);
    net.call(0, 1);
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an INVITE arrives") };
    net.host(1).drop_request(transaction);
    net.run(Duration::from_millis(499));
    assert_eq!(net.sent(1).len(), 0);
    assert_eq!(net.host(1).load().server_transactions, 0);
    net.run(Duration::from_millis(2));
    assert!(matches!(net.events(1)[..], [Event::Request { .. }]), "its copy is asked about again");
}
