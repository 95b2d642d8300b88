//! The 49 torture messages of RFC 4475 at an endpoint with a plain embedder behind it: what goes back on the wire
//! is what the RFC asks of a user agent server that knows INVITE, ACK, BYE, CANCEL, OPTIONS and REGISTER.

use std::io::Write as _;
use std::path::PathBuf;

use pbx_core::{Now, Source, Transport};
use pbx_sip::registrar::Request;
use pbx_sip::{Config, Endpoint, Event, HeaderName, Message, Method, Parts, Received, Scheme, Uri};
use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    message: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
    outcome: String,
}

fn vectors() -> Option<(PathBuf, Manifest)> {
    let root = std::env::var_os("PBX_VECTORS").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"));
    let folder = root.join("sip-rfc4475");
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.toml")) else {
        // Past the capture of the test runner: a skip is to be seen.
        let _ =
            writeln!(std::io::stderr(), "SKIP rfc4475: no messages in {}; set PBX_VECTORS", folder.display());
        return None;
    };
    Some((folder, toml::from_str(&manifest).unwrap()))
}

/// What is an embedder's to refuse.
fn status(message: &Message<'_>) -> u16 {
    let routable = |uri: &Uri<'_>| matches!(uri.scheme(), Scheme::Sip | Scheme::Sips | Scheme::Tel);
    let mut accept = message.headers_named(HeaderName::Accept).flat_map(|value| value.split(',')).peekable();
    let takes_sdp =
        accept.peek().is_none() || accept.any(|media| media.trim().starts_with("application/sdp"));
    match message.method() {
        _ if !message.uri().is_some_and(routable) => 416,
        Method::Register if !routable(message.to().uri()) || Request::of(message).is_err() => 400,
        Method::Invite if !takes_sdp => 406,
        Method::Invite if message.content_type().is_some_and(|t| t != "application/sdp") => 415,
        Method::Invite | Method::Bye | Method::Options | Method::Register => 200,
        _ => 501,
    }
}

/// `accept`, `drop` or `respond:` and the status, as the manifest has it.
fn outcome(bytes: &[u8]) -> String {
    let mut endpoint = Endpoint::new(Config::advertising(Transport::Udp, "192.0.2.1"), [1; 32]).unwrap();
    let source = Source::new("198.51.100.7:5060".parse().unwrap(), Transport::Udp);
    endpoint.handle_datagram(source, bytes, Now::default());
    while let Some(event) = endpoint.poll_event() {
        if let Event::Request { transaction, message, .. } = event {
            let status = Received::parse(&message).map(|message| status(&message)).unwrap();
            endpoint.respond(transaction, status, &Parts::default(), Now::default()).unwrap();
        }
    }
    let mut sent = Vec::new();
    match endpoint.poll_transmit(&mut sent) {
        None => "drop".into(),
        Some(_) => match Message::parse(&sent).map(|message| message.status().unwrap()) {
            Ok(200..=299) => "accept".into(),
            Ok(status) => format!("respond:{status}"),
            // What answers a broken request repeats what is broken in it.
            Err(_) => format!("respond:{}", String::from_utf8_lossy(&sent[8..11])),
        },
    }
}

fn allows(wanted: &str, got: &str) -> bool {
    wanted.split(" or ").any(|alternative| {
        let codes = alternative.strip_prefix("respond:").unwrap_or_default();
        alternative == got || codes.split('|').any(|code| got.strip_prefix("respond:") == Some(code))
    })
}

#[test]
fn rfc4475_every_message_gets_what_it_is_owed() {
    let Some((folder, manifest)) = vectors() else { return };
    assert_eq!(manifest.message.len(), 49);
    let mut wrong = Vec::new();
    for case in &manifest.message {
        let bytes = std::fs::read(folder.join(&case.file)).unwrap();
        let got = outcome(&bytes);
        // A response is accepted by the parser; with nothing asked it matches nothing and is dropped.
        let is_response = bytes.starts_with(b"SIP/2.0 ") && got == "drop";
        if !is_response && !allows(&case.outcome, &got) {
            wrong.push(format!("{}: {} but {got}", case.name, case.outcome));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
