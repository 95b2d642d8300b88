//! Who may come in and who may call whom: the decisions of a PBX, explained, bounded and replayable.
//!
//! [`Config`] is what an administrator writes, [`Rules::compile`] turns it into immutable [`Rules`] and
//! reports every error, and [`Guard`] decides at four moments: a packet, an attempt to authenticate, a call,
//! and what happens during a call. Nothing here does I/O or reads a clock.
#![forbid(unsafe_code)]

pub mod config;
mod decision;
mod explain;
pub mod geo;
pub mod guard;
pub mod interval;
pub mod pattern;
mod rules;
pub mod span;
pub mod state;

pub use config::Config;
pub use decision::{Block, BlockScope, Decision, Step, StepKind, StepResult};
pub use explain::Explained;
pub use guard::Guard;
pub use rules::{PolicyVersion, Rules};
pub use state::State;
