//! Who may come in and who may call whom: the decisions of a PBX, explained, bounded and replayable.
//!
//! [`Config`] is what an administrator writes, [`Rules::compile`] turns it into immutable [`Rules`] and
//! reports every error, and [`Guard`] decides at four moments: a packet, an attempt to authenticate, a call,
//! and what happens during a call. Nothing here does I/O or reads a clock.
#![forbid(unsafe_code)]

mod attempt;
mod blocklist;
mod call;
mod caller_id;
mod calls;
pub mod config;
pub mod country;
mod decision;
mod defense;
mod emergency;
mod explain;
mod firewall;
mod frequency;
pub mod geo;
pub mod guard;
mod inbound;
mod international;
pub mod interval;
mod limiter;
mod lint;
mod live;
mod lockout;
mod member;
mod number_list;
mod outbound;
mod packet;
pub mod pattern;
mod registration;
mod route;
mod rules;
pub mod schedule;
pub mod span;
pub mod state;
mod usage;
mod user_agent;

pub use attempt::{Attempt, AuthKind, AuthOutcome, Proof};
pub use call::{
    CallDecision, CallEvent, CallRequest, InboundCall, Origin, OutboundCall, PinProof, TrunkChoice,
};
pub use config::Config;
pub use decision::{Block, BlockScope, Decision, Step, StepKind, StepResult, Wire};
pub use explain::{Explained, ExplainedBlock, ExplainedEvent, ExplainedStep, rfc3339};
pub use firewall::Data;
pub use guard::Guard;
pub use lint::{Finding, Severity};
pub use packet::Packet;
pub use rules::{PolicyVersion, Rules};
pub use state::State;

/// The example of the README holds.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
