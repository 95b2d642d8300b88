//! What happens inside of a call, or while it is set up, beside its straight way: re-INVITEs, UPDATE, and BYE at
//! odd moments.

mod net;

use core::time::Duration;

use net::{FINE, Net, SDP, ended, field, peer, ringing, titles, up};
use pbx_sip::{CommandError, End, Event, Handled, Method, Parts, Refused};

/// A request of the caller (or of the callee) in the dialog that `response` of host 1 has begun.
fn inside(response: &str, method: &str, seq: u32, of_caller: bool) -> String {
    let get = |name| field(response, name).unwrap();
    let (from, to) = if of_caller { (get("From"), get("To")) } else { (get("To"), get("From")) };
    format!(
        "{method} sip:x@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK{method}{seq}\r\nFrom: {from}\r\n\
         To: {to}\r\nCall-ID: {}\r\nCSeq: {seq} {method}\r\nContact: <sip:a@b>\r\nContent-Length: 0\r\n\r\n",
        get("Call-ID")
    )
}

#[test]
fn rfc3261_14_a_reinvite_goes_either_way_and_is_acknowledged() {
    for who in 0..2 {
        let mut net = Net::new(2, FINE, 1);
        let (caller, callee) = up(&mut net);
        let (now, mine, theirs) = (net.now, [caller, callee][who], [callee, caller][who]);
        let sent = net.host(who).send(mine, Method::Invite, &SDP, now).unwrap();
        net.settle();
        let [Event::Request { transaction, dialog, method: Method::Invite, .. }] = net.events(1 - who)[..]
        else {
            panic!("a re-INVITE arrives")
        };
        assert_eq!(dialog, Some(theirs));
        assert_eq!(net.host(1 - who).accept(transaction, &SDP, now), Ok(theirs));
        net.settle();
        assert!(matches!(
            net.events(who)[..],
            [Event::Response { transaction, dialog: Some(dialog), status: 200, .. }]
                if transaction == sent && dialog == mine
        ));
        assert!(matches!(net.events(1 - who)[..], [Event::Acknowledged { dialog, .. }] if dialog == theirs));
        for side in 0..2 {
            let again = net.host(side).send([caller, callee][side], Method::Invite, &SDP, now);
            assert!(again.is_ok(), "nothing pends on either side");
            net.settle();
            let [Event::Request { transaction, .. }] = net.events(1 - side)[..] else { panic!("it arrives") };
            net.host(1 - side).respond(transaction, 200, &SDP, now).unwrap();
            net.settle();
            (0..2).for_each(|n| drop(net.events(n)));
        }
        net.host(who).hang_up(mine, &[], now).unwrap();
        net.settle();
        assert_eq!(ended(&mut net, 1 - who), Some(End::Bye));
    }
}

#[test]
fn rfc3261_14_1_a_refused_reinvite_leaves_the_call_as_it_was() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, _) = up(&mut net);
    let now = net.now;
    for status in [488, 500] {
        net.host(0).send(caller, Method::Invite, &SDP, now).unwrap();
        net.settle();
        let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("a re-INVITE arrives") };
        net.host(1).respond(transaction, status, &Parts::default(), now).unwrap();
        net.settle();
        assert!(matches!(net.events(0)[..], [Event::Response { status: s, .. }] if s == status));
        assert_eq!(net.host(0).load().dialogs + net.host(1).load().dialogs, 2);
    }
}

#[test]
fn rfc3261_14_2_invites_that_cross_are_refused_with_491() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, callee) = up(&mut net);
    let now = net.now;
    net.host(0).send(caller, Method::Invite, &SDP, now).unwrap();
    net.host(1).send(callee, Method::Invite, &SDP, now).unwrap();
    net.settle();
    for host in 0..2 {
        assert!(matches!(net.events(host)[..], [Event::Response { status: 491, .. }]));
    }
    assert!(net.host(0).send(caller, Method::Invite, &SDP, now).is_ok(), "later it may try again");
}

#[test]
fn rfc3261_14_1_one_invite_at_a_time() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, callee, _) = ringing(&mut net);
    let now = net.now;
    assert!(net.host(0).send(caller, Method::Invite, &SDP, now).is_err(), "not while it rings");
    assert!(net.host(1).send(callee, Method::Invite, &SDP, now).is_err());
    let mut net = Net::new(2, FINE, 1);
    let (caller, _) = up(&mut net);
    assert!(net.host(0).send(caller, Method::Invite, &SDP, now).is_ok());
    assert!(net.host(0).send(caller, Method::Invite, &SDP, now).is_err());
}

#[test]
fn rfc3261_14_1_no_invite_before_the_last_one_is_acknowledged() {
    let mut net = Net::new(2, FINE, 1);
    let (_, callee, transaction) = ringing(&mut net);
    let now = net.now;
    net.host(1).accept(transaction, &SDP, now).unwrap();
    let ok = net.sent(1).pop().unwrap();
    assert!(net.host(1).send(callee, Method::Invite, &SDP, now).is_err());
    let invite = inside(&ok, "INVITE", 2, true);
    assert_eq!(net.inject(1, "192.0.2.1:5060", &invite), Handled::Refused(Refused::TooSoon));
    let answer = net.sent(1).pop().unwrap();
    assert!(answer.starts_with("SIP/2.0 500 "));
    assert!(field(&answer, "Retry-After").unwrap().parse::<u8>().unwrap() <= 10);
}

#[test]
fn rfc3261_13_3_1_4_only_the_ack_of_its_number_stops_the_2xx() {
    let mut net = Net::new(2, FINE, 1);
    let (_, _, transaction) = ringing(&mut net);
    let now = net.now;
    net.host(1).accept(transaction, &SDP, now).unwrap();
    let ok = net.sent(1).pop().unwrap();
    assert_eq!(net.inject(1, "192.0.2.1:5060", &inside(&ok, "ACK", 9, true)), Handled::Repeated);
    assert_eq!(net.events(1).len(), 0);
    assert_eq!(net.inject(1, "192.0.2.1:5060", &inside(&ok, "ACK", 1, true)), Handled::Accepted);
    assert!(matches!(net.events(1)[..], [Event::Acknowledged { .. }]));
}

#[test]
fn a_peer_that_moved_behind_its_nat_is_followed_by_its_reinvite() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, callee) = up(&mut net);
    let now = net.now;
    assert_eq!(net.host(1).peer_of(callee), Some(peer(0)));
    net.host(0).send(caller, Method::Invite, &SDP, now).unwrap();
    let invite = net.sent(0).pop().unwrap();
    net.inject(1, "203.0.113.4:40000", &invite);
    assert_eq!(net.host(1).peer_of(callee), Some(peer(0)), "not before it is accepted");
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("a re-INVITE arrives") };
    net.host(1).accept(transaction, &SDP, now).unwrap();
    assert_eq!(net.host(1).peer_of(callee).unwrap().addr, "203.0.113.4:40000".parse().unwrap());
}

#[test]
fn rfc3311_5_2_an_update_moves_the_target() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, callee) = up(&mut net);
    let now = net.now;
    let moved = Parts::headers(&[("Contact", "<sip:moved@192.0.2.1:5060>")]);
    for status in [488, 200] {
        net.host(0).send(caller, Method::Update, &moved, now).unwrap();
        net.settle();
        let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an UPDATE arrives") };
        net.host(1).respond(transaction, status, &moved, now).unwrap();
        net.settle();
        net.sent(1);
        net.host(1).send(callee, Method::Info, &Parts::default(), now).unwrap();
        let info = net.sent(1).pop().unwrap();
        assert_eq!(info.starts_with("INFO sip:moved@192.0.2.1:5060 SIP/2.0"), status == 200, "{info}");
    }
    net.sent(0);
    net.host(0).send(caller, Method::Info, &Parts::default(), now).unwrap();
    assert!(net.sent(0).pop().unwrap().starts_with("INFO sip:moved@"), "the answer moves the other side");
}

#[test]
fn rfc3261_12_2_other_answers_move_nothing() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, _) = up(&mut net);
    let now = net.now;
    net.host(0).send(caller, Method::Info, &Parts::default(), now).unwrap();
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an INFO arrives") };
    let moved = Parts::headers(&[("Contact", "<sip:moved@203.0.113.66>")]);
    net.host(1).respond(transaction, 200, &moved, now).unwrap();
    net.settle();
    net.sent(0);
    net.host(0).send(caller, Method::Info, &Parts::default(), now).unwrap();
    assert!(!net.sent(0).pop().unwrap().contains("moved"));
}

#[test]
fn the_route_of_a_dialog_is_not_the_embedders_to_write() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, _) = up(&mut net);
    let now = net.now;
    for header in ["Route", "Record-Route", "Via"] {
        let value = if header == "Via" { "SIP/2.0/UDP a" } else { "<sip:a;lr>" };
        let headers = [(header, value)];
        let sent = net.host(0).send(caller, Method::Info, &Parts::headers(&headers), now);
        assert_eq!(sent, Err(CommandError::Reserved));
        assert_eq!(net.host(0).hang_up(caller, &headers, now), Err(CommandError::Reserved));
    }
    assert_eq!(net.sent(0).len(), 0);
}

#[test]
fn nothing_is_sent_in_a_dialog_that_nobody_has_begun() {
    let mut net = Net::new(2, FINE, 1);
    let caller = net.call(0, 1);
    let now = net.now;
    assert!(net.host(0).send(caller, Method::Info, &Parts::default(), now).is_err());
    net.settle();
    let [Event::Request { transaction, .. }] = net.events(1)[..] else { panic!("an INVITE arrives") };
    net.host(1).ring(transaction, 183, &SDP, now).unwrap();
    net.settle();
    assert!(net.host(0).send(caller, Method::Info, &Parts::default(), now).is_ok(), "183 has begun it");
}

#[test]
fn rfc3261_9_1_a_reinvite_is_withdrawn_once() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, callee) = up(&mut net);
    let now = net.now;
    let sent = net.host(0).send(caller, Method::Invite, &SDP, now).unwrap();
    net.run(Duration::from_millis(300));
    net.sent(0);
    let now = net.now;
    net.host(0).cancel(sent, now).unwrap();
    net.host(0).cancel(sent, now).unwrap();
    assert_eq!(titles(&net.sent(0)), ["CANCEL"]);
    net.settle();
    assert!(matches!(
        net.events(1)[..],
        [Event::Request { .. }, Event::Cancelled { dialog: Some(dialog), .. }] if dialog == callee
    ));
    assert!(net.events(0).iter().any(|event| matches!(event, Event::Response { status: 487, .. })));
    assert_eq!(net.host(0).load().dialogs + net.host(1).load().dialogs, 2, "the call goes on");
    assert!(net.host(0).send(caller, Method::Invite, &SDP, now).is_ok());
}

#[test]
fn rfc3261_15_1_2_bye_answers_the_invite_that_is_left_with_487() {
    let mut net = Net::new(2, FINE, 1);
    let (caller, _) = up(&mut net);
    let now = net.now;
    net.host(0).send(caller, Method::Invite, &SDP, now).unwrap();
    net.settle();
    net.host(0).hang_up(caller, &[], now).unwrap();
    net.settle();
    assert_eq!(titles(&net.sent(1)), ["200 BYE", "487 INVITE"]);
    net.run(Duration::from_secs(40));
    assert!(net.is_idle());
}

#[test]
fn rfc3261_15_bye_of_the_called_party_while_it_rings_withdraws_the_invite() {
    let mut net = Net::new(2, FINE, 1);
    ringing(&mut net);
    let bye = inside(&net.sent(1).pop().unwrap(), "BYE", 1, false);
    net.sent(0);
    assert_eq!(net.inject(0, "192.0.2.2:5060", &bye), Handled::Accepted);
    assert_eq!(ended(&mut net, 0), Some(End::Bye));
    assert_eq!(titles(&net.sent(0)), ["200 BYE", "CANCEL"]);
}

#[test]
fn rfc3261_15_bye_of_the_caller_while_it_rings_ends_the_invite() {
    let mut net = Net::new(2, FINE, 1);
    ringing(&mut net);
    let bye = inside(&net.sent(1).pop().unwrap(), "BYE", 2, true);
    assert_eq!(net.inject(1, "192.0.2.1:5060", &bye), Handled::Accepted);
    assert_eq!(ended(&mut net, 1), Some(End::Bye));
    assert_eq!(titles(&net.sent(1)), ["200 BYE", "487 INVITE"]);
}
