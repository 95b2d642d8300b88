//! The framer and the parser never disagree about the end of a message, however a stream is cut into
//! chunks: who can make two elements disagree about it smuggles requests.

use pbx_sip::{Frame, Framer, Message};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, PartialEq)]
enum Seen {
    Message(Vec<u8>),
    Ping,
    Pong,
    Close(&'static str),
}

fn frames<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
    let mut framer = Framer::new();
    let mut seen = Vec::new();
    for mut input in chunks {
        while let Some(frame) = framer.poll_frame(&mut input) {
            seen.push(match frame {
                Frame::Message(bytes) => Seen::Message(bytes.to_vec()),
                Frame::Ping => Seen::Ping,
                Frame::Pong => Seen::Pong,
                Frame::Fault(fault) => Seen::Close(fault.malformed().why()),
                frame => panic!("{frame:?}"),
            });
        }
        assert!(input.is_empty());
    }
    seen
}

/// Cuts at the given places, in any order and with repetitions.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|p| p.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

const HEAD: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nFrom: sip:a@b;tag=1\r\n\
    To: sip:c@d\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n";

/// A piece of a stream: whole messages, messages in bodies, keep-alives, damaged ends of heads.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        vec(any::<u8>(), 0..40),
        Just(b"\r\n\r\n".to_vec()),
        Just(format!("{HEAD}l: 0\r\n\r\n").into_bytes()),
    ];
    let length = prop::sample::select(vec!["Content-Length: ", "l:", "L \t:\r\n ", "CONTENT-LENGTH:0"]);
    let message = (body, length).prop_map(|(body, name)| {
        let mut bytes = format!("{HEAD}{name}{}\r\n\r\n", body.len()).into_bytes();
        bytes.extend(body);
        bytes
    });
    let odd = prop::sample::select(vec![
        "l: 3, 3\r\n",
        "l: 4\r\nl: 5\r\n",
        "l: -1\r\n",
        "l: 99999999999999999999\r\n",
        "l: 1\n\r\n",
        " fold\r\n",
        "a: b\rl: 3\r\n",
        "a: b\r\n \r\n",
        "",
        "\0: x\r\n",
    ]);
    let damaged = odd.prop_map(|lines| format!("{HEAD}{lines}\r\n").into_bytes());
    prop_oneof![8 => message, 2 => Just(b"\r\n".to_vec()), 1 => damaged, 1 => vec(any::<u8>(), 0..30)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn chunks_do_not_matter(pieces in vec(piece(), 0..6), places in vec(any::<prop::sample::Index>(), 0..20)) {
        let bytes = pieces.concat();
        let whole = frames([bytes.as_slice()]);
        prop_assert_eq!(&frames(cut(&bytes, &places)), &whole);
        prop_assert_eq!(&frames(bytes.chunks(1)), &whole);
    }

    #[test]
    fn the_parser_ends_where_the_framer_does(pieces in vec(piece(), 0..6)) {
        let bytes = pieces.concat();
        for seen in frames([bytes.as_slice()]) {
            let Seen::Message(framed) = seen else { continue };
            if let Ok(message) = Message::parse(&framed) {
                prop_assert_eq!(message.as_bytes(), framed.as_slice());
            }
            // What follows on the stream does not change what the parser takes.
            let longer = [framed.as_slice(), b"GARBAGE\r\n\r\n"].concat();
            if let Ok(message) = Message::parse(&longer) {
                prop_assert_eq!(message.as_bytes(), framed.as_slice());
            }
        }
    }

    #[test]
    fn nothing_is_lost_and_nothing_invented(pieces in vec(piece(), 0..6)) {
        let bytes = pieces.concat();
        let seen = frames([bytes.as_slice()]);
        let length = |s: &Seen| match s { Seen::Message(m) => m.len(), Seen::Close(_) => 0, _ => 2 };
        let framed: Vec<u8> = seen.iter().flat_map(|s| match s {
            Seen::Message(m) => m.clone(),
            Seen::Close(_) => Vec::new(),
            _ => b"\r\n".to_vec(),
        }).collect();
        prop_assert_eq!(framed.len(), seen.iter().map(length).sum::<usize>());
        prop_assert!(bytes.starts_with(&framed), "frames are the stream from its beginning");
    }
}
