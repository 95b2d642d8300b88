//! The 49 torture messages of RFC 4475 get the verdict they are owed, as far as the parser gives it.

use std::io::Write as _;
use std::path::PathBuf;

use pbx_sip::{Action, Frame, Framer, HeaderName, Message, Method};
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
    outcome_stream: Option<String>,
    bytes: usize,
}

/// What the parser refuses, and how; every other message it accepts. What a well-formed message is refused
/// for later (an unknown method or scheme, an extension, a body, a broadcast) is no business of a parser.
const REFUSED: [(&str, Option<u16>); 22] = [
    ("badaspec", Some(400)),
    ("badbranch", Some(400)),
    ("baddn", Some(400)),
    ("badinv01", Some(400)),
    ("badvers", Some(505)),
    ("bigcode", None),
    ("clerr", Some(400)),
    ("escruri", Some(400)),
    ("insuf", Some(400)),
    ("ltgtruri", Some(400)),
    ("lwsruri", Some(400)),
    ("lwsstart", Some(400)),
    ("mcl01", Some(400)),
    ("mismatch01", Some(400)),
    ("mismatch02", Some(501)),
    ("multi01", Some(400)),
    ("ncl", Some(400)),
    ("quotbal", Some(400)),
    ("regbadct", Some(400)),
    ("scalar02", Some(400)),
    ("scalarlg", None),
    ("trws", Some(400)),
];

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

fn cases() -> Vec<(Case, Vec<u8>)> {
    let Some((folder, manifest)) = vectors() else { return Vec::new() };
    assert_eq!(manifest.message.len(), 49);
    let read = |case: Case| {
        let bytes = std::fs::read(folder.join(&case.file)).unwrap();
        assert_eq!(bytes.len(), case.bytes, "{}", case.name);
        (case, bytes)
    };
    manifest.message.into_iter().map(read).collect()
}

/// The status a refused message is answered with, `Some(None)` when it is dropped, `None` when it is
/// accepted.
fn verdict(bytes: &[u8]) -> Option<Option<u16>> {
    match Message::parse(bytes).err()?.action() {
        Action::Respond(status) => Some(Some(status)),
        Action::Drop => Some(None),
        action => panic!("{action:?} of a datagram"),
    }
}

#[test]
fn rfc_4475_datagrams() {
    for (case, bytes) in cases() {
        let owed = REFUSED.iter().find(|(name, _)| *name == case.name).map(|(_, status)| *status);
        assert_eq!(verdict(&bytes), owed, "{}", case.name);
    }
}

/// The table above says what the manifest says, and refuses everything that has to be refused.
#[test]
fn rfc_4475_the_table_agrees_with_the_manifest() {
    for (case, _) in cases() {
        let allows = |outcome: String| case.outcome.split(" or ").any(|o| o.contains(&outcome));
        match REFUSED.iter().find(|(name, _)| *name == case.name) {
            Some((_, Some(status))) => assert!(allows(status.to_string()), "{}", case.name),
            Some((_, None)) => assert!(allows("drop".to_owned()), "{}", case.name),
            None if ["bcast", "unksm2"].contains(&case.name.as_str()) => {}
            None => assert!(!["respond:400", "drop"].contains(&case.outcome.as_str()), "{}", case.name),
        }
    }
}

fn bytes_of(name: &str) -> Option<Vec<u8>> {
    cases().into_iter().find(|(case, _)| case.name == name).map(|(_, bytes)| bytes)
}

#[test]
fn rfc_4475_3_1_1_1_white_space_anywhere() {
    let Some(bytes) = bytes_of("wsinv") else { return };
    let message = Message::parse(&bytes).unwrap();
    let hosts: Vec<_> = message.vias().map(|via| (via.transport(), via.host().to_string())).collect();
    let want = [("UDP", "192.0.2.2"), ("TCP", "spindle.example.com"), ("UDP", "192.168.255.111")];
    assert!(hosts.iter().map(|(t, h)| (*t, h.as_str())).eq(want), "{hosts:?}");
    assert_eq!(message.from().display_name().unwrap(), "J Rosenberg \\\"");
    assert_eq!((message.from().tag(), message.to().tag()), (Some("98asjd8"), Some("1918181833n")));
    assert_eq!((message.max_forwards(), message.cseq().seq), (Some(68), 9));
    let contact = message.contacts().next().unwrap();
    assert_eq!((contact.q(), contact.params().get("newparam")), (Some(330), Some("newvalue")));
    assert_eq!(message.extension_headers("unknownheaderwithunusualvalue").next(), Some(";;,,;;,;"));
    assert_eq!(message.header(HeaderName::Subject), Some(""));
    assert_eq!(message.body().len(), 150);
}

#[test]
fn rfc_4475_3_1_1_4_an_escaped_nul_ends_nothing() {
    let Some(bytes) = bytes_of("escnull") else { return };
    let message = Message::parse(&bytes).unwrap();
    let bindings: Vec<_> = message.contacts().map(|c| c.uri().address_of_record().unwrap()).collect();
    assert_eq!(bindings.len(), 2);
    assert_ne!(bindings[0], bindings[1]);
}

#[test]
fn rfc_4475_3_1_1_5_escapes_mean_nothing_in_names() {
    let Some(bytes) = bytes_of("esc02") else { return };
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.contacts().count(), 2);
    assert_ne!(message.method(), Method::Register);
}

#[test]
fn rfc_4475_3_1_1_7_long_messages() {
    let Some(bytes) = bytes_of("longreq") else { return };
    assert_eq!(Message::parse(&bytes).unwrap().vias().count(), 34);
}

#[test]
fn rfc_4475_3_1_2_15_the_display_name_alone() {
    let Some(mut bytes) = bytes_of("baddn") else { return };
    bytes.extend_from_slice(b"\r\n");
    assert_eq!(verdict(&bytes), Some(Some(400)));
}

#[test]
fn rfc_4475_3_3_12_and_13_whose_parameter_it_is() {
    let parameters = |name| {
        let bytes = bytes_of(name)?;
        let message = Message::parse(&bytes).unwrap();
        let contact = message.contacts().next().unwrap();
        Some((contact.params().contains("unknownparam"), contact.uri().param("unknownparam").is_some()))
    };
    assert!(parameters("cparam01").is_none_or(|got| got == (true, false)));
    assert!(parameters("cparam02").is_none_or(|got| got == (false, true)));
}

#[test]
fn rfc_4475_streams() {
    for (case, bytes) in cases() {
        let mut framer = Framer::new();
        let mut input = bytes.as_slice();
        let got = match framer.poll_frame(&mut input) {
            None => "wait",
            Some(Frame::Message(_)) => "message",
            Some(Frame::Fault(fault)) if fault.action() == Action::CloseStream => "close",
            Some(frame) => panic!("{}: {frame:?}", case.name),
        };
        match case.outcome_stream.as_deref() {
            Some(owed) => assert_eq!(got, owed, "{}", case.name),
            None => assert_eq!(got, "message", "{}", case.name),
        }
    }
}

#[test]
fn rfc_4475_3_1_1_8_a_stream_has_two_requests() {
    let Some(bytes) = bytes_of("dblreq") else { return };
    let mut framer = Framer::new();
    let mut input = bytes.as_slice();
    let mut methods = Vec::new();
    while let Some(frame) = framer.poll_frame(&mut input) {
        if let Frame::Message(message) = frame {
            methods.push(Message::parse(message).unwrap().method().to_string());
        }
    }
    assert_eq!(methods, ["REGISTER", "INVITE"]);
}
