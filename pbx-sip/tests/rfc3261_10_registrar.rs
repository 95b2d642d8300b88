//! The location store: what REGISTERs bind, refresh, remove, and what is refused.

use core::time::Duration;

use pbx_core::{Mono, Now, Source, Transport, Wall};
use pbx_sip::Message;
use pbx_sip::registrar::{Binding, Refusal, Registrar, RegistrarConfig, RegistrarEvent, Request};
use proptest::prelude::*;

const AOR: &str = "sip:1001@example.com";

fn now(secs: u64) -> Now {
    Now::new(Mono::from_secs(1_000 + secs), Wall::from_unix_secs(1_772_445_600))
}

fn source(port: u16) -> Source {
    Source::new(([198, 51, 100, 7], port).into(), Transport::Udp)
}

fn request(call_id: &str, seq: u32, headers: &str) -> Result<Request, Refusal> {
    let text = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <{AOR}>;tag=f\r\n\
         To: <{AOR}>\r\nCall-ID: {call_id}\r\nCSeq: {seq} REGISTER\r\n{headers}\r\n"
    );
    Request::of(&Message::parse(text.as_bytes()).unwrap())
}

/// One REGISTER, planned and carried out.
fn register(
    registrar: &mut Registrar,
    call_id: &str,
    seq: u32,
    headers: &str,
    at: Now,
) -> Result<Vec<Binding>, Refusal> {
    let plan = registrar.plan(AOR, &request(call_id, seq, headers)?, source(5060), at)?;
    registrar.commit(&plan, at).map(<[Binding]>::to_vec)
}

fn registrar() -> Registrar {
    Registrar::new(RegistrarConfig::default(), [7; 16])
}

fn contacts(bindings: &[Binding], at: Now) -> Vec<String> {
    bindings.iter().map(|b| b.to_contact_value(at.mono)).collect()
}

#[test]
fn rfc3261_10_3_bindings_are_added_refreshed_and_removed() {
    let mut r = registrar();
    let a =
        register(&mut r, "a", 1, "Contact: <sip:1001@10.0.0.7>;q=0.5\r\nExpires: 600\r\n", now(0)).unwrap();
    assert_eq!(contacts(&a, now(0)), ["<sip:1001@10.0.0.7>;q=0.500;expires=600"]);
    let b = register(&mut r, "b", 1, "Contact: <sip:1001@10.0.0.8>;expires=300\r\nExpires: 600\r\n", now(10));
    assert_eq!(
        contacts(&b.unwrap(), now(10)),
        ["<sip:1001@10.0.0.7>;q=0.500;expires=590", "<sip:1001@10.0.0.8>;expires=300"]
    );
    let refreshed = register(&mut r, "a", 2, "Contact: <sip:1001@10.0.0.7>\r\n", now(20)).unwrap();
    assert_eq!(contacts(&refreshed, now(20))[0], "<sip:1001@10.0.0.7>;expires=3600", "the default");
    let one = register(&mut r, "b", 2, "Contact: <sip:1001@10.0.0.8>;expires=0\r\n", now(30)).unwrap();
    assert_eq!(one.len(), 1);
    assert_eq!(register(&mut r, "x", 1, "", now(30)).unwrap(), one, "a query changes nothing");
}

#[test]
fn rfc3261_10_3_uris_are_compared_by_their_meaning() {
    let mut r = registrar();
    register(&mut r, "a", 1, "Contact: <sip:1001@Example.COM;transport=udp>\r\n", now(0)).unwrap();
    let same = register(&mut r, "a", 2, "Contact: <sip:1001@example.com;TRANSPORT=udp>\r\n", now(0)).unwrap();
    assert_eq!(same.len(), 1);
    let other = register(&mut r, "a", 3, "Contact: <sip:1001@example.com:5062>\r\n", now(0)).unwrap();
    assert_eq!(other.len(), 2);
}

#[test]
fn rfc5626_4_1_a_device_is_known_by_its_instance_wherever_it_registers_from() {
    let mut r = registrar();
    let phone = |port| format!("Contact: <sip:1001@10.0.0.7:{port}>;+sip.instance=\"<urn:uuid:1>\"\r\n");
    register(&mut r, "a", 1, &phone(5060), now(0)).unwrap();
    let again = request("b", 1, &phone(5099)).unwrap();
    let plan = r.plan(AOR, &again, source(5099), now(1)).unwrap();
    assert_eq!((plan.devices(), plan.new_devices()), (1, 0), "a refresh counts against no limit");
    let bindings = r.commit(&plan, now(1)).unwrap();
    assert_eq!(bindings[0].contact(), "sip:1001@10.0.0.7:5099");
    assert_eq!(bindings[0].device(), "<urn:uuid:1>");
    assert_eq!(bindings[0].source(), source(5099));
    assert_eq!(
        bindings[0].to_contact_value(now(1).mono),
        "<sip:1001@10.0.0.7:5099>;+sip.instance=\"<urn:uuid:1>\";expires=3600"
    );
}

#[test]
fn a_plan_changes_nothing() {
    let r = registrar();
    let first = request("a", 1, "Contact: <sip:a@b>, <sip:c@d>\r\n").unwrap();
    let plan = r.plan(AOR, &first, source(1), now(0)).unwrap();
    assert_eq!((plan.devices(), plan.new_devices()), (2, 2));
    assert!(r.bindings(AOR).is_empty() && r.is_empty() && r.poll_timeout().is_none());
    assert!(!r.stands_behind(source(1).key()));
}

#[test]
fn a_plan_that_was_overtaken_is_worked_out_anew() {
    let mut r = Registrar::new(RegistrarConfig { max_bindings: 1, ..RegistrarConfig::default() }, [7; 16]);
    let plan = |r: &Registrar, id, contact| {
        r.plan(AOR, &request(id, 1, contact).unwrap(), source(1), now(0)).unwrap()
    };
    let (a, b) = (plan(&r, "a", "Contact: <sip:a@b>\r\n"), plan(&r, "b", "Contact: <sip:c@d>\r\n"));
    assert!(r.commit(&a, now(0)).is_ok());
    assert_eq!(r.commit(&b, now(0)), Err(Refusal::TooManyBindings));
    assert_eq!(r.bindings(AOR).len(), 1);
}

#[test]
fn rfc3261_10_3_step_7_older_requests_of_a_call_id_change_nothing() {
    let mut r = registrar();
    register(&mut r, "a", 5, "Contact: <sip:1001@10.0.0.7>\r\n", now(0)).unwrap();
    for seq in [4, 5] {
        let removed = register(&mut r, "a", seq, "Contact: <sip:1001@10.0.0.7>;expires=0\r\n", now(1));
        assert_eq!(removed, Err(Refusal::OutOfOrder));
        let all = register(&mut r, "a", seq, "Contact: *\r\nExpires: 0\r\n", now(1));
        assert_eq!(all, Err(Refusal::OutOfOrder));
        let both = "Contact: <sip:new@10.0.0.9>\r\nContact: <sip:1001@10.0.0.7>\r\n";
        assert_eq!(register(&mut r, "a", seq, both, now(1)), Err(Refusal::OutOfOrder));
    }
    assert_eq!(r.bindings(AOR).len(), 1, "all or nothing");
    assert!(register(&mut r, "b", 1, "Contact: *\r\nExpires: 0\r\n", now(1)).unwrap().is_empty());
    assert!(r.is_empty());
}

#[test]
fn rfc3261_10_2_2_star_removes_everything_and_needs_expires_0() {
    let mut r = registrar();
    register(&mut r, "a", 1, "Contact: <sip:a@b>, <sip:c@d>\r\n", now(0)).unwrap();
    for headers in ["Contact: *\r\n", "Contact: *\r\nExpires: 1\r\n"] {
        assert_eq!(register(&mut r, "a", 2, headers, now(0)), Err(Refusal::Malformed));
    }
    assert_eq!(register(&mut r, "a", 2, "Contact: *\r\nExpires: 0\r\n", now(0)), Ok(vec![]));
}

#[test]
fn rfc3261_21_4_17_too_brief_is_told_what_would_do() {
    let mut r = registrar();
    let refused = register(&mut r, "a", 1, "Contact: <sip:a@b>;expires=59\r\n", now(0)).unwrap_err();
    assert_eq!(refused, Refusal::TooBrief { min_expires: Duration::from_secs(60) });
    assert_eq!(refused.status(), 423);
    assert!(register(&mut r, "a", 1, "Contact: <sip:a@b>;expires=60\r\n", now(0)).is_ok());
    let long = register(&mut r, "a", 2, "Contact: <sip:a@b>;expires=4294967295\r\n", now(0)).unwrap();
    assert_eq!(long[0].expires_at(), now(3_600).mono, "cut to the longest");
}

#[test]
fn bindings_run_out_in_their_time_and_are_reported() {
    let mut r = registrar();
    register(&mut r, "a", 1, "Contact: <sip:a@b>;expires=60, <sip:c@d>;expires=90\r\n", now(0)).unwrap();
    assert_eq!(r.poll_timeout(), Some(now(60).mono));
    r.handle_timeout(now(59));
    assert!(r.poll_event().is_none());
    r.handle_timeout(now(60));
    let Some(RegistrarEvent::Expired { aor, binding }) = r.poll_event() else { panic!("one ran out") };
    assert_eq!((&*aor, binding.contact()), (AOR, "sip:a@b"));
    assert_eq!(r.poll_timeout(), Some(now(90).mono));
    assert!(r.stands_behind(source(1).key()));
    r.handle_timeout(now(90));
    assert!(r.poll_event().is_some() && r.poll_event().is_none());
    assert!(r.is_empty() && r.poll_timeout().is_none() && !r.stands_behind(source(1).key()));
}

#[test]
fn a_binding_that_ran_out_is_reported_even_when_a_register_comes_first() {
    let mut r = registrar();
    register(&mut r, "a", 1, "Contact: <sip:a@b>;expires=60\r\n", now(0)).unwrap();
    let next = request("b", 1, "Contact: <sip:c@d>\r\n").unwrap();
    assert_eq!(r.plan(AOR, &next, source(1), now(61)).unwrap().devices(), 1, "nor does it count");
    let bound = register(&mut r, "b", 1, "Contact: <sip:c@d>\r\n", now(61)).unwrap();
    assert_eq!(bound.len(), 1);
    let Some(RegistrarEvent::Expired { binding, .. }) = r.poll_event() else { panic!("one ran out") };
    assert_eq!(binding.contact(), "sip:a@b");
}

#[test]
fn the_store_is_bounded() {
    let config = RegistrarConfig { max_aors: 2, max_bindings: 3, ..RegistrarConfig::default() };
    let mut r = Registrar::new(config, [7; 16]);
    for n in 0..4 {
        let plan = r.plan(
            &format!("sip:{n}"),
            &request("a", 1, "Contact: <sip:a@b>\r\n").unwrap(),
            source(1),
            now(0),
        );
        assert_eq!(plan.as_ref().err(), (n >= 2).then_some(&Refusal::Full));
        let _ = plan.map(|plan| r.commit(&plan, now(0)).unwrap().len());
    }
    let many = request("b", 1, "Contact: <sip:1@b>, <sip:2@b>, <sip:3@b>\r\n").unwrap();
    assert_eq!(r.plan("sip:0", &many, source(1), now(0)), Err(Refusal::TooManyBindings));
    let long = format!("Contact: <sip:{}@b>\r\n", "x".repeat(600));
    assert_eq!(request("a", 1, &long), Err(Refusal::Malformed));
}

#[test]
fn devices_can_be_taken_away() {
    let mut r = registrar();
    register(&mut r, "a", 1, "Contact: <sip:a@b>, <sip:c@d>\r\n", now(0)).unwrap();
    assert!(r.unbind(AOR, "sip:a@b"));
    assert!(!r.unbind(AOR, "sip:a@b"));
    assert_eq!(r.bindings(AOR).len(), 1);
    r.unbind_all(AOR);
    assert!(r.is_empty() && r.poll_timeout().is_none());
}

/// One step of a random history.
#[derive(Clone, Debug)]
struct Step {
    aor: u8,
    device: u8,
    call_id: u8,
    seq: u32,
    expires: u32,
    wait: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let expires = prop_oneof![Just(0u32), 60u32..200];
    (0u8..3, 0u8..4, 0u8..2, 1u32..12, expires, 0u64..50).prop_map(
        |(aor, device, call_id, seq, expires, wait)| Step { aor, device, call_id, seq, expires, wait },
    )
}

proptest! {
    /// Against a plain list of (aor, device, call-id, seq, expiry).
    #[test]
    fn rfc3261_10_3_equals_a_plain_list(steps in prop::collection::vec(step(), 1..60)) {
        let mut r = registrar();
        let mut list: Vec<(u8, u8, u8, u32, u64)> = Vec::new();
        let mut at = 0;
        for s in steps {
            at += s.wait;
            r.handle_timeout(now(at));
            while r.poll_event().is_some() {}
            list.retain(|b| b.4 > at);

            let headers = format!("Contact: <sip:{}@phone>;expires={}\r\n", s.device, s.expires);
            let request = request(&format!("call{}", s.call_id), s.seq, &headers).unwrap();
            let aor = format!("sip:{}@example.com", s.aor);
            let done = r.plan(&aor, &request, source(1), now(at)).and_then(|p| r.commit(&p, now(at)).map(drop));

            let old = list.iter().position(|b| (b.0, b.1) == (s.aor, s.device));
            let late = old.is_some_and(|at| list[at].2 == s.call_id && s.seq <= list[at].3);
            prop_assert_eq!(done, if late { Err(Refusal::OutOfOrder) } else { Ok(()) });
            if !late {
                let bound = (s.aor, s.device, s.call_id, s.seq, at + u64::from(s.expires));
                match (old, s.expires) {
                    (Some(place), 0) => drop(list.remove(place)),
                    (Some(place), _) => list[place] = bound,
                    (None, 0) => {}
                    (None, _) => list.push(bound),
                }
            }
            for aor in 0..3 {
                let want: Vec<_> = list.iter().filter(|b| b.0 == aor).map(|b| format!("sip:{}@phone", b.1)).collect();
                let got: Vec<_> =
                    r.bindings(&format!("sip:{aor}@example.com")).iter().map(|b| b.contact().to_owned()).collect();
                prop_assert_eq!(got, want);
            }
            prop_assert_eq!(r.poll_timeout(), list.iter().map(|b| now(b.4).mono).min());
            prop_assert_eq!(r.stands_behind(source(9).key()), !list.is_empty());
        }
    }
}
