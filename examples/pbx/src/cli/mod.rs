//! The commands and what they take.

mod check;
mod config;
mod event;
mod reasons;
mod run;
mod simulate;
mod sip;
mod user;
mod when;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit status for an answer that is a refusal, with `--exit-code`.
pub(crate) const EXIT_REFUSED: u8 = 1;
/// Exit status for a usage or configuration error.
pub(crate) const EXIT_USAGE: u8 = 2;

/// A complete PBX built on the PBX security SDK.
#[derive(Debug, Parser)]
#[command(name = "pbx", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the PBX until SIGINT or SIGTERM.
    Run {
        /// The configuration; without it one is made under ./pbx-data.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Ask one what-if question and see the decision with its trace.
    Check(Box<check::Args>),
    /// Put a timeline of events through the guard: standard input to standard output, one JSON object a line.
    Simulate(simulate::Args),
    /// Make, check and explain configurations.
    #[command(subcommand)]
    Config(config::Args),
    /// Judge raw SIP messages.
    #[command(subcommand)]
    Sip(sip::Args),
    /// List every reason a decision can have.
    Reasons {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Administer the accounts of the local store.
    #[command(subcommand)]
    User(user::Args),
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Run { config } => run::run(config),
        Command::Check(args) => check::run(*args),
        Command::Simulate(args) => simulate::run(args),
        Command::Config(args) => config::run(args),
        Command::Sip(args) => sip::run(args),
        Command::Reasons { json } => reasons::run(json),
        Command::User(args) => user::run(args),
    }
}
