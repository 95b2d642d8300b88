//! The events of a timeline, as `pbx simulate` reads them.

use std::net::SocketAddr;
use std::path::PathBuf;

use pbx_core::{Network, Service, Transport};
use pbx_policy::{AuthKind, AuthOutcome};
use serde::Deserialize;

/// One line of a timeline.
#[derive(Debug, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Ask {
    /// A packet arrived.
    Packet(PacketAsk),
    /// Somebody tried to authenticate; both steps at once.
    Auth(Box<AuthAsk>),
    /// A device unregistered.
    Unregister { account: String, contact: String },
    /// An extension dialled.
    Outbound(Box<OutboundAsk>),
    /// A trunk delivered a call.
    Inbound(InboundAsk),
    /// Something happened to a call.
    CallEvent(CallEventAsk),
    /// An administrator acted.
    Admin(AdminAsk),
    /// Time passed.
    Tick {},
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PacketAsk {
    pub(super) source: SocketAddr,
    pub(super) transport: Option<Transport>,
    pub(super) service: Option<Service>,
    pub(super) port: Option<u16>,
    pub(super) mac: Option<String>,
    pub(super) via: Option<Network>,
    #[serde(default)]
    pub(super) len: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthAsk {
    pub(super) kind: Kind,
    pub(super) account: String,
    pub(super) source: SocketAddr,
    pub(super) outcome: Outcome,
    pub(super) transport: Option<Transport>,
    pub(super) user_agent: Option<String>,
    pub(super) contact: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) expires: Option<u32>,
    pub(super) nonce: Option<String>,
    pub(super) response: Option<String>,
    pub(super) via: Option<Network>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutboundAsk {
    pub(super) call: String,
    pub(super) extension: String,
    pub(super) dialled: String,
    pub(super) source: Option<SocketAddr>,
    pub(super) origin: Option<String>,
    pub(super) pin: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboundAsk {
    pub(super) call: String,
    pub(super) trunk: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) privacy: Option<String>,
    pub(super) source: Option<SocketAddr>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallEventAsk {
    pub(super) call: String,
    pub(super) event: CallEventName,
    pub(super) extension: Option<String>,
    pub(super) sip_status: Option<u16>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CallEventName {
    Answered,
    Alive,
    Transferred,
    Failed,
    Ended,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum AdminAsk {
    Unblock { source: std::net::IpAddr, account: Option<String> },
    Unlock { extension: String },
    Block { source: std::net::IpAddr, until: Option<String> },
    Reload { config: PathBuf },
}

macro_rules! named {
    ($name:ident, $of:ty, $what:literal) => {
        /// By the name of the contract.
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name(pub(super) $of);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                let names = || <$of>::ALL.iter().map(|v| v.name());
                let found = <$of>::ALL.into_iter().find(|v| v.name() == text);
                found.map(Self).ok_or_else(|| {
                    let all: Vec<&str> = names().collect();
                    serde::de::Error::custom(format!(
                        "there is no {} {text:?}; there are: {}",
                        $what,
                        all.join(", ")
                    ))
                })
            }
        }
    };
}

named!(Kind, AuthKind, "kind");
named!(Outcome, AuthOutcome, "outcome");

/// A line with its time.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: pbx_core::Wall,
    pub(super) ask: Ask,
}

/// Reads one line. The time is taken out first: every other unknown field is an error.
pub(super) fn parse(line: &str) -> Result<Event, String> {
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(line).map_err(|e| e.to_string())?;
    let at = object.remove("at").ok_or("there is no \"at\"")?;
    let at = at.as_str().ok_or("\"at\" is no text")?;
    let at = super::when::parse(at)?;
    let ask = serde_json::from_value(object.into()).map_err(|e| e.to_string())?;
    Ok(Event { at, ask })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that the contract shows.
    const CONTRACT: &str = r#"
{"at":"2026-03-02T10:00:00Z","ask":"packet","source":"203.0.113.9:5060","transport":"udp","service":"sip"}
{"at":"2026-03-02T10:00:01Z","ask":"auth","kind":"registration","account":"1001","source":"203.0.113.9:5060","user_agent":"x","contact":"sip:1001@203.0.113.9","outcome":"bad_credentials"}
{"at":"2026-03-02T10:00:02Z","ask":"outbound","call":"c1","extension":"1001","dialled":"0015551234","source":"192.0.2.4:5060"}
{"at":"2026-03-02T10:00:03Z","ask":"call_event","call":"c1","event":"answered"}
{"at":"2026-03-02T10:05:00Z","ask":"call_event","call":"c1","event":"ended"}
{"at":"2026-03-02T11:00:00Z","ask":"tick"}"#;

    #[test]
    fn the_lines_of_the_contract_are_read() {
        CONTRACT.trim().lines().for_each(|line| drop(parse(line).unwrap()));
    }

    #[test]
    fn mistakes_are_named() {
        let e =
            parse(r#"{"at":"2026-03-02T10:00:00Z","ask":"packet","source":"203.0.113.9:5060","colour":1}"#);
        assert!(e.unwrap_err().contains("colour"));
        let e = parse(
            r#"{"at":"2026-03-02T10:00:00Z","ask":"auth","kind":"regis","account":"1","source":"1.2.3.4:5","outcome":"success"}"#,
        );
        assert!(e.unwrap_err().contains("there is no kind \"regis\"; there are: registration"));
        assert!(parse(r#"{"ask":"tick"}"#).unwrap_err().contains("at"));
        assert!(parse(r#"{"at":"yesterday","ask":"tick"}"#).unwrap_err().contains("RFC 3339"));
    }
}
