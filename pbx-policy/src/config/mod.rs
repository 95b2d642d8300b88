//! What an administrator writes.

use serde::Deserialize;

/// The whole policy. Every key has a default, so that an empty file is a valid, closed configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {}
