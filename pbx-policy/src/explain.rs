//! A decision as text and JSON, made when somebody reads it.

/// A decision in the form of the command-line contract.
#[derive(Clone, Debug)]
pub struct Explained {}
