//! `pbx`: a complete PBX built on the PBX security SDK, and the tools of its administrator.

mod cli;
mod clock;
mod config;
mod output;
mod server;
mod store;
mod uas;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    match cli::run(args) {
        Ok(code) => code,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(cli::EXIT_USAGE)
        }
    }
}
