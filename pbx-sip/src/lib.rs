//! SIP without I/O: bytes, clocks and random seeds go in; bytes, decisions and events come out.
//!
//! [`Message`] reads one message in place, [`Framer`] cuts a stream into messages, [`write`](mod@write)
//! makes new ones. What cannot be parsed is a [`Fault`] that says whether to answer, to stay silent or to
//! close. [`Endpoint`] runs transactions and dialogs, [`registrar`] keeps the location store, and
//! [`transaction`] has the bare machines.
//!
//! ```
//! use pbx_sip::{Message, Method};
//!
//! let bytes = b"OPTIONS sip:pbx.example.com SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK776\r\n\
//!     From: <sip:1001@example.com>;tag=a1\r\n\
//!     To: <sip:pbx.example.com>\r\n\
//!     Call-ID: f81d4fae@192.0.2.7\r\n\
//!     CSeq: 1 OPTIONS\r\n\r\n";
//! let message = Message::parse(bytes).unwrap();
//! assert_eq!(message.method(), Method::Options);
//! assert_eq!(message.from().uri().user(), Some("1001"));
//! ```
#![forbid(unsafe_code)]

mod config;
mod dialog;
mod endpoint;
pub mod header;
mod message;
pub mod registrar;
pub mod status;
mod stream;
pub mod transaction;
mod uri;

pub use config::Config;
pub use dialog::Invite;
pub use endpoint::{
    ClientTransactionId, CommandError, DialogId, Dropped, End, Endpoint, Event, Handled, Load, Outgoing,
    Parts, Peer, Received, Refused, ServerTransactionId, Transmit,
};
pub use header::{CSeq, HeaderName, Malformed, NameAddr, Params, Via};
pub use message::{Action, Fault, Message, Method, MethodName, StartLine, limits, write};
pub use stream::{Frame, Framer};
pub use uri::{Host, Scheme, Uri};
