//! Values that the crates of the PBX security SDK exchange, and the bounded tables their state lives in.
//!
//! Nothing here does I/O: [`Now`] is handed in, [`Random`] is seeded by the caller, and the tables of
//! [`table`] work on memory that the caller provides.
//!
//! ```
//! use pbx_core::{Number, Source, Transport};
//!
//! let source = Source::new("[::ffff:192.0.2.7]:5060".parse().unwrap(), Transport::Udp);
//! assert_eq!(source.to_string(), "192.0.2.7:5060/udp");
//!
//! let number: Number = "0044 (20) 7946-0000".parse().unwrap();
//! assert_eq!(number.as_str(), "00442079460000");
//! ```
#![forbid(unsafe_code)]

mod error;
mod event;
mod id;
mod number;
mod random;
mod reason;
mod secret;
mod source;
pub mod table;
mod time;
mod verdict;

pub use error::{ConfigError, ConfigErrors, nearest};
pub use event::{Category, EventKind, Level, SecurityEvent};
pub use id::{CallId, ExtensionId, IdError, Label, RuleId, RuleKind};
pub use number::{Number, NumberError};
pub use random::Random;
pub use reason::Reason;
pub use secret::Secret;
pub use source::{AddrKey, Network, Service, Source, Transport};
pub use time::{Mono, Now, Wall};
pub use verdict::{Challenge, Layer, Verdict};
