//! No bytes make the parser, its views, the framer or the answer to a fault panic, and what the parser
//! accepts its own writer can answer.

use pbx_sip::header::{CSeq, unfold, unquote};
use pbx_sip::write::{Reply, ResponseWriter};
use pbx_sip::{Fault, Frame, Framer, HeaderName, Host, Message, Method, NameAddr, Uri, Via};
use proptest::collection::vec;
use proptest::prelude::*;

/// Messages that between them have every header field with a structure.
const SEEDS: [&str; 3] = [
    "INVITE sip:bob:pw@[2001:db8::1]:5061;transport=tls;lr SIP/2.0\r\n\
     Via: SIP/2.0/TLS 192.0.2.7:5060;branch=z9hG4bK1;rport;received=192.0.2.8,\r\n SIP / 2.0 / UDP b\r\n\
     Route: <sip:p1;lr>, \"P, 2\" <sip:p2;lr>\r\nMax-Forwards: 70\r\n\
     f: \"A \\\"\\\\ B\" <sip:a%40b@c>;tag=1;x=\"y;z\"\r\nTo: <tel:+1-201-555-0123;phone-context=x>\r\n\
     Call-ID: a@b\r\nCSeq: 1 INVITE\r\nContact: <sip:a@b?h=v>;q=0.5;expires=60, sip:c@d\r\n\
     Supported: timer, 100rel\r\nUser-Agent: x\r\n y\r\nContent-Type: application/sdp;x=y\r\n\
     Content-Length: 3\r\n\r\nv=0",
    "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nRecord-Route: <sip:p;lr>\r\nf: sip:a@b;tag=1\r\n\
     t: sip:c@d;tag=2\r\ni: x\r\nCSeq: 4 REGISTER\r\nm: *\r\nExpires: 0\r\nl: 0\r\n\r\n",
    "X-NEW other:thing SIP/2.0\r\nVia: SIP/2.0/WSS x.invalid;branch=z9hG4bK9\r\nFrom: <sip:a@b>\r\nTo: <x:y>\r\n\
     Call-ID: 1\r\nCSeq: 0 X-NEW\r\nTimestamp: 5\r\n\r\n",
];

#[derive(Clone, Debug)]
enum Edit {
    Set(u8),
    Insert(Vec<u8>),
    Remove(usize),
    Repeat(usize),
    Cut,
}

fn edit() -> impl Strategy<Value = (prop::sample::Index, Edit)> {
    let odd = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r",
        "\r\n ",
        "\0",
        "\"",
        "\\",
        "<",
        ">",
        ",",
        ";",
        ";;",
        "=",
        ":",
        "@",
        "%",
        "%4",
        "[",
        "]",
        "*",
        "é",
        "\u{1b}",
        "Via: x\r\n",
        "l: 9\r\n",
        "\r\n\r\n",
        "99999999999999999999",
        "-1",
    ]);
    let edit = prop_oneof![
        any::<u8>().prop_map(Edit::Set),
        odd.prop_map(|text| Edit::Insert(text.as_bytes().to_vec())),
        (1..40_usize).prop_map(Edit::Remove),
        (1..60_usize).prop_map(Edit::Repeat),
        Just(Edit::Cut),
    ];
    (any::<prop::sample::Index>(), edit)
}

fn apply(bytes: &mut Vec<u8>, (index, edit): (prop::sample::Index, Edit)) {
    if bytes.is_empty() {
        return;
    }
    let at = index.index(bytes.len());
    let end = |len: usize, bytes: &[u8]| (at + len).min(bytes.len());
    match edit {
        Edit::Set(byte) => bytes[at] = byte,
        Edit::Insert(text) => drop(bytes.splice(at..at, text)),
        Edit::Remove(len) => drop(bytes.drain(at..end(len, bytes))),
        Edit::Repeat(len) => {
            let again = bytes[at..end(len, bytes)].to_vec();
            bytes.splice(at..at, again);
        }
        Edit::Cut => bytes.truncate(at),
    }
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (0..SEEDS.len(), vec(edit(), 0..6)).prop_map(|(seed, edits)| {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        edits.into_iter().for_each(|edit| apply(&mut bytes, edit));
        bytes
    })
}

/// Asks for everything a message can tell.
fn read_all(message: &Message<'_>) -> usize {
    let addresses = message.contacts().chain(message.routes()).chain(message.record_routes());
    let read = |a: NameAddr<'_>| {
        let uri = a.uri();
        let _ =
            (a.display_name(), a.tag(), a.q(), a.expires(), uri.address_of_record(), uri.is_equivalent(uri));
        a.params().iter().count() + uri.params().count() + uri.headers().count()
    };
    let of_vias = message.vias().map(|via| {
        let _ = (via.branch(), via.received(), via.rport(), via.host().to_string());
        via.params().iter().count()
    });
    let _ = (message.user_agent(), message.content_type(), message.expires(), message.contact_is_star());
    let _ = (format!("{message:?}"), message.tokens(HeaderName::Supported).count());
    let headers = message.headers().map(|(n, v)| n.len() + unfold(v).len() + unquote(v).len());
    addresses.map(read).sum::<usize>() + of_vias.sum::<usize>() + headers.sum::<usize>()
}

/// What the parser accepts can be answered, and the answer is accepted and has the same Vias.
fn answer(message: &Message<'_>) {
    let mut out = Vec::new();
    let reply = Reply::new(180).to_tag("t").source("192.0.2.1:5060".parse().unwrap());
    ResponseWriter::reply(&mut out, message, &reply).finish("", b"").unwrap();
    let answer = Message::parse(&out).unwrap();
    assert_eq!(answer.vias().count(), message.vias().count());
    assert_eq!((answer.call_id(), answer.cseq()), (message.call_id(), message.cseq()));
    assert_eq!(answer.from().tag(), message.from().tag());
    assert_eq!(answer.from().display_name(), message.from().display_name());
}

/// The answer to a fault has no line that the writer did not make.
fn refuse(fault: &Fault<'_>) {
    let mut out = Vec::new();
    let reply = Reply::new(400).to_tag("t").source("192.0.2.1:5060".parse().unwrap());
    ResponseWriter::refuse(&mut out, fault, &reply).finish("", b"").unwrap();
    let text = String::from_utf8(out).unwrap();
    let ours = ["SIP/2.0 400 ", "Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: ", "Content-Length: 0"];
    let lines = text.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
    for line in lines {
        assert!(ours.iter().any(|start| line.starts_with(start)), "{line:?}");
        assert!(!line.bytes().any(|b| b.is_ascii_control() && b != b'\t'), "{line:?}");
    }
}

fn exercise(bytes: &[u8]) {
    match Message::parse(bytes) {
        Ok(message) => {
            read_all(&message);
            answer(&message);
        }
        Err(fault) => refuse(&fault),
    }
    let mut framer = Framer::new();
    let mut input = bytes;
    while let Some(frame) = framer.poll_frame(&mut input) {
        match frame {
            Frame::Message(message) => drop(Message::parse(message).map(|m| read_all(&m))),
            Frame::Fault(fault) => refuse(&fault),
            _ => {}
        }
    }
}

#[test]
fn the_seeds_are_accepted() {
    for seed in SEEDS {
        assert!(read_all(&Message::parse(seed.as_bytes()).unwrap()) > 0, "{seed}");
        exercise(seed.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes(bytes in vec(any::<u8>(), 0..600)) {
        exercise(&bytes);
    }

    #[test]
    fn mutated_messages(bytes in mutated()) {
        exercise(&bytes);
    }

    #[test]
    fn arbitrary_values(text in "[ -~\r\n\t\u{0}ü]{0,40}") {
        let _ = (Uri::parse(&text), NameAddr::parse(&text), Via::parse(&text), Host::parse(&text));
        let _ = (CSeq::parse(&text), Method::parse(&text), unfold(&text), unquote(&text));
        let _ = HeaderName::from_text(&text);
    }

    #[test]
    fn values_near_to_right(
        text in r#"("|<|)(sips?|tel):([a-z%;?@:\[\]0-9=,&]){0,20}(>|"|)(;[a-z=",]{0,8}){0,3}"#,
    ) {
        let _ = (Uri::parse(&text), NameAddr::parse(&text), Via::parse(&format!("SIP/2.0/UDP {text}")));
    }
}
