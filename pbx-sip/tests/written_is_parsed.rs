//! What the writers write the parser reads back as it was meant; anything else they refuse.

use pbx_sip::write::{Reply, Request, RequestWriter, ResponseWriter, WriteError, name_addr, quoted};
use pbx_sip::{HeaderName, Message, Method};
use proptest::collection::vec;
use proptest::prelude::*;

const PLAIN: Request<'static> = Request {
    method: Method::Invite,
    uri: "sip:bob@biloxi.com",
    via: "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1;rport",
    from: "<sip:a@b>;tag=1",
    to: "<sip:bob@biloxi.com>",
    call_id: "x@y",
    seq: 7,
};

/// Names and values that an application, or an attacker through it, may supply.
fn header() -> impl Strategy<Value = (String, String)> {
    let known = prop::sample::select(HeaderName::ALL.to_vec()).prop_map(|n| n.to_string());
    let name = prop_oneof![4 => "X-[A-Za-z]{1,8}", 2 => known, 1 => "[ -~\r\n]{0,6}"];
    let value = prop_oneof![
        4 => "[ -~]{0,30}",
        2 => Just("<sip:a@b>;x=y".to_owned()),
        1 => Just("*".to_owned()),
        1 => "[0-9]{1,4}",
        2 => "[ -~\r\n\t\u{0}\u{7f}ü]{0,20}",
    ];
    (name, value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn headers_come_back_or_are_refused(headers in vec(header(), 0..5), body in vec(any::<u8>(), 0..50)) {
        let mut out = Vec::new();
        let writer = RequestWriter::new(&mut out, &PLAIN);
        let writer = headers.iter().fold(writer, |writer, (name, value)| writer.header(name, value));
        match writer.finish("", &body) {
            Err(_) => prop_assert!(out.is_empty()),
            Ok(()) => {
                let got = Message::parse(&out).unwrap();
                prop_assert_eq!(got.as_bytes(), out.as_slice());
                prop_assert_eq!(got.body(), body.as_slice());
                let blank = [' ', '\t'];
                let given = headers.iter().map(|(name, value)| (name.as_str(), value.trim_matches(blank)));
                let between: Vec<_> = got.headers().skip(5).take(headers.len()).collect();
                prop_assert_eq!(between, given.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_value_with_a_line_end_is_always_refused(
        before in "[ -~]{0,9}",
        end in "[\r\n\u{0}]",
        after in "[ -~]{0,9}",
    ) {
        let value = format!("{before}{end}{after}");
        let mut out = Vec::new();
        let result = RequestWriter::new(&mut out, &PLAIN).header("X-A", &value).finish("", b"");
        prop_assert_eq!(result, Err(WriteError::Control));
        prop_assert_eq!(quoted(&value), Err(WriteError::Control));
        prop_assert!(name_addr(&value, "sip:a@b", "").is_err());
        let uri = format!("sip:{value}@b");
        prop_assert!(name_addr("", &uri, "").is_err());
        prop_assert!(name_addr("", "sip:a@b", &value).is_err());
    }

    #[test]
    fn addresses_come_back(
        display in "\\PC{0,20}",
        user in "[a-z0-9;/?&=+$,._!~*'()-]{1,12}",
        tag in "[a-z0-9]{0,8}",
    ) {
        let uri = format!("sip:{user}@example.com");
        let from = name_addr(&display, &uri, &tag).unwrap();
        let mut out = Vec::new();
        RequestWriter::new(&mut out, &Request { from: &from, ..PLAIN }).finish("", b"").unwrap();
        let got = Message::parse(&out).unwrap();
        prop_assert_eq!(got.from().display_name().unwrap_or_default(), display);
        prop_assert_eq!(got.from().uri().as_str(), uri.as_str());
        prop_assert_eq!(got.from().uri().user(), Some(user.as_str()));
        prop_assert_eq!(got.from().tag().unwrap_or_default(), tag);
    }

    #[test]
    fn responses_come_back(status in 0..1000_u16, tag in "[a-z0-9]{1,8}", body in vec(any::<u8>(), 0..50)) {
        let mut request = Vec::new();
        RequestWriter::new(&mut request, &PLAIN).finish("", b"").unwrap();
        let request = Message::parse(&request).unwrap();
        let mut out = Vec::new();
        let reply = Reply::new(status).to_tag(&tag);
        let written = ResponseWriter::reply(&mut out, &request, &reply).finish("text/plain", &body);
        prop_assert_eq!(written.is_ok(), (100..700).contains(&status));
        if written.is_ok() {
            let got = Message::parse(&out).unwrap();
            prop_assert_eq!(got.status(), Some(status));
            prop_assert_eq!(got.method(), Method::Invite);
            prop_assert_eq!(got.to().tag(), (status > 100).then_some(tag.as_str()));
            prop_assert_eq!(got.body(), body.as_slice());
        }
    }
}
