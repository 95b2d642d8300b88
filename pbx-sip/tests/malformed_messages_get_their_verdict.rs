//! Every case of testdata/malformed.toml gets the verdict it is owed, as a datagram and on a stream.

use pbx_sip::{Action, Frame, Framer, Message};
use serde::Deserialize;

#[derive(Deserialize)]
struct Corpus {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    rfc: String,
    start: Option<String>,
    #[serde(default)]
    with: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
    raw: Option<String>,
    datagram: String,
    stream: String,
    why: Option<String>,
}

const PLAIN: [&str; 8] = [
    "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK776asdhds;rport",
    "Max-Forwards: 70",
    "From: \"Alice\" <sip:1000@example.com>;tag=1928301774",
    "To: <sip:1001@example.com>",
    "Call-ID: a84b4c76e66710@192.0.2.7",
    "CSeq: 314159 INVITE",
    "Contact: <sip:1000@192.0.2.7>",
    "Content-Length: 0",
];

fn name_of(line: &str) -> &str {
    line.split([':', ' ', '\t']).next().unwrap()
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone().into_bytes();
        }
        let replaced = |line: &str| {
            let name = name_of(line);
            self.without.iter().any(|w| w == name) || self.with.iter().any(|w| name_of(w) == name)
        };
        let start = self.start.as_deref().unwrap_or("INVITE sip:1001@example.com SIP/2.0");
        let kept = PLAIN.iter().copied().filter(|line| !replaced(line));
        let lines = [start].into_iter().chain(kept).chain(self.with.iter().map(String::as_str));
        (lines.collect::<Vec<_>>().join("\r\n") + "\r\n\r\n").into_bytes()
    }
}

fn cases() -> Vec<Case> {
    toml::from_str::<Corpus>(include_str!("../testdata/malformed.toml")).unwrap().case
}

fn verdict(bytes: &[u8]) -> (String, String) {
    match Message::parse(bytes) {
        Ok(_) => ("accept".to_owned(), String::new()),
        Err(fault) => match fault.action() {
            Action::Respond(status) => (status.to_string(), fault.to_string()),
            Action::Drop => ("drop".to_owned(), fault.to_string()),
            action => panic!("{action:?} of a datagram"),
        },
    }
}

/// What comes first but line ends.
fn on_a_stream(bytes: &[u8]) -> (&'static str, String) {
    let mut framer = Framer::new();
    let mut input = bytes;
    loop {
        match framer.poll_frame(&mut input) {
            None => return ("wait", String::new()),
            Some(Frame::Ping | Frame::Pong) => {}
            Some(Frame::Message(message)) => return ("message", verdict(message).0),
            Some(Frame::Fault(fault)) => {
                assert_eq!(fault.action(), Action::CloseStream);
                return ("close", fault.to_string());
            }
            Some(frame) => panic!("{frame:?}"),
        }
    }
}

#[test]
fn the_plain_message_is_accepted() {
    let plain = Case {
        name: String::new(),
        rfc: String::new(),
        start: None,
        with: Vec::new(),
        without: Vec::new(),
        raw: None,
        datagram: String::new(),
        stream: String::new(),
        why: None,
    };
    assert_eq!(verdict(&plain.bytes()).0, "accept");
    assert_eq!(on_a_stream(&plain.bytes()), ("message", "accept".to_owned()));
}

#[test]
fn malformed_datagrams() {
    for case in cases() {
        let (verdict, why) = verdict(&case.bytes());
        assert_eq!(verdict, case.datagram, "{} ({}): {why}", case.name, case.rfc);
        if let Some(words) = case.why.filter(|_| verdict != "accept") {
            assert!(why.contains(&words), "{} ({}): {why}", case.name, case.rfc);
        }
    }
}

#[test]
fn malformed_streams() {
    for case in cases() {
        let (got, detail) = on_a_stream(&case.bytes());
        assert_eq!(got, case.stream, "{} ({}): {detail}", case.name, case.rfc);
        if got == "message" {
            assert_eq!(detail, case.datagram, "{} ({})", case.name, case.rfc);
        }
    }
}

#[test]
fn every_case_is_told_apart() {
    let cases = cases();
    let mut names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len());
}
