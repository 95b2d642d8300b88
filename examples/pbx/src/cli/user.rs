//! `pbx user`: the accounts of the local store.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use pbx_core::Secret;

use crate::config;
use crate::output;
use crate::store::{Store, show_once};

#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    /// Set the SIP secret of an extension: read from standard input, or a new random one that is shown once.
    /// A running PBX uses it after its next start.
    Passwd {
        /// The configuration that names the extension.
        #[arg(long)]
        config: PathBuf,
        /// The extension.
        extension: String,
        /// Make a random secret and print it instead of reading one.
        #[arg(long)]
        generate: bool,
    },
}

/// Longest secret that is taken (spec 2.3: registration password of 8 to 63 characters).
const LONGEST: usize = 63;
const SHORTEST: usize = 8;

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args::Passwd { config, extension, generate } = args;
    let loaded = config::load(&config)?;
    if !loaded.policy.extensions.iter().any(|e| e.number == extension) {
        bail!("{} has no extension {extension:?}", config.display());
    }
    let mut store = Store::open(&loaded.data_dir(), &loaded.pbx.realm)?;
    if generate {
        let made = store.generate(&[&extension])?;
        show_once(&loaded.pbx.realm, &made);
        return Ok(ExitCode::SUCCESS);
    }
    let secret = read_secret()?;
    store.set(&extension, secret.expose())?;
    output::line(format_args!("the secret of {extension} is set"));
    Ok(ExitCode::SUCCESS)
}

fn read_secret() -> anyhow::Result<Secret<String>> {
    let mut text = String::new();
    // One more than is allowed shows that it is too long, and no more is read.
    std::io::stdin().take(4 * LONGEST as u64).read_to_string(&mut text).context("cannot read the secret")?;
    let secret = Secret::new(text.trim_end_matches(['\r', '\n']).to_owned());
    zeroize::Zeroize::zeroize(&mut text);
    let length = secret.expose().chars().count();
    if !(SHORTEST..=LONGEST).contains(&length) {
        bail!("a SIP secret has {SHORTEST} to {LONGEST} characters, this one has {length}");
    }
    Ok(secret)
}
