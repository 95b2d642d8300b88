//! Writing messages. Nothing that the application supplies can end a line: CR, LF, NUL and whatever else
//! would not be parsed again is refused.
//!
//! ```
//! use pbx_sip::Method;
//! use pbx_sip::write::{Request, RequestWriter};
//!
//! let mut out = Vec::new();
//! RequestWriter::new(&mut out, &Request {
//!     method: Method::Options,
//!     uri: "sip:pbx.example.com",
//!     via: "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1;rport",
//!     from: "<sip:1001@example.com>;tag=a1",
//!     to: "<sip:pbx.example.com>",
//!     call_id: "f81d4fae",
//!     seq: 1,
//! })
//! .header("User-Agent", "example")
//! .finish("", b"")
//! .unwrap();
//! assert!(pbx_sip::Message::parse(&out).is_ok());
//! ```

mod address;
mod out;
mod request;
mod response;

pub use address::{name_addr, quoted};
pub use out::WriteError;
pub use request::{Request, RequestWriter};
pub use response::{Reply, ResponseWriter};
