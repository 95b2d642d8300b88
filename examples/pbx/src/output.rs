//! What the commands print: text for people, JSON lines for scripts, complaints on standard error.

use std::io::{self, Write};

/// Prints a line to standard output. A reader that has gone away (`pbx reasons | head -1`) is no error.
pub(crate) fn line(text: impl std::fmt::Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints why a command could not be carried out.
pub(crate) fn complain(failure: &anyhow::Error) {
    let _ = writeln!(io::stderr().lock(), "pbx: {failure:#}");
}
