//! `pbx run`: the PBX until it is told to stop.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::clock::Clock;
use crate::config::{self, Loaded};
use crate::output;
use crate::server;
use crate::store::{Store, show_once};

/// Where the embedded defaults are written when no configuration is named.
const DEFAULT_FOLDER: &str = "pbx-data";
const DEFAULT_FILE: &str = "pbx.toml";

pub(super) fn run(file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let file = match file {
        Some(file) => file,
        None => default_file()?,
    };
    let loaded = config::load(&file)?;
    tracing_subscriber::fmt()
        .with_max_level(loaded.pbx.log.filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let store = open_store(&loaded)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(server::serve(&loaded, store, Clock::start()))?;
    Ok(ExitCode::SUCCESS)
}

/// `./pbx-data/pbx.toml`, made on first start.
fn default_file() -> anyhow::Result<PathBuf> {
    let folder = Path::new(DEFAULT_FOLDER);
    let file = folder.join(DEFAULT_FILE);
    if !file.exists() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        super::config::write_template(&file, ".")?;
        output::line(format_args!("made {}: a configuration to start from", file.display()));
    }
    Ok(file)
}

/// Opens the secrets, and makes those that are missing: shown here, this once, and never again.
fn open_store(loaded: &Loaded) -> anyhow::Result<Store> {
    let mut store = Store::open(&loaded.data_dir(), &loaded.pbx.realm)?;
    let missing: Vec<&str> = loaded
        .policy
        .extensions
        .iter()
        .map(|e| e.number.as_str())
        .filter(|number| store.ha1(number).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(store);
    }
    let made = store.generate(&missing)?;
    show_once(&loaded.pbx.realm, &made);
    Ok(store)
}
