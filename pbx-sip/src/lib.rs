//! sip
#![forbid(unsafe_code)]

pub mod transaction;
