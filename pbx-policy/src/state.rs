//! Everything that an attacker can grow, in a fixed block of words.

/// The state behind a guard.
#[derive(Debug)]
pub struct State {}
