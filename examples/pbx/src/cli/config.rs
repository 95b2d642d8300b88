//! `pbx config`: make, check and explain configurations.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Subcommand;
use pbx_policy::{Config, Finding};

use crate::{config, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    /// Write a commented configuration.
    Init {
        /// Where to; an existing file is left alone.
        #[arg(default_value = "pbx.toml")]
        file: PathBuf,
    },
    /// Report every error and finding of a configuration.
    Check {
        /// The configuration.
        file: PathBuf,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Say what a key means, e.g. `extension.registration.devices`.
    Explain {
        /// The key; nothing for the whole file.
        #[arg(default_value = "")]
        key: String,
    },
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args {
        Args::Init { file } => init(&file),
        Args::Check { file, json } => check(&file, json),
        Args::Schema => {
            output::line(serde_json::to_string_pretty(&config::schema())?);
            Ok(ExitCode::SUCCESS)
        }
        Args::Explain { key } => {
            output::line(config::explain(&key).map_err(|e| anyhow!(e))?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Writes the commented configuration to `file`, which must not exist yet; secrets and state go to `data_dir`.
pub(super) fn write_template(file: &Path, data_dir: &str) -> anyhow::Result<()> {
    let text = config::TEMPLATE.replace("data_dir = \"pbx-data\"", &format!("data_dir = {data_dir:?}"));
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .with_context(|| format!("cannot make {}; an existing file is left alone", file.display()))?;
    out.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

fn init(file: &Path) -> anyhow::Result<ExitCode> {
    write_template(file, "pbx-data")?;
    output::line(format_args!("wrote {}; start with: pbx run --config {}", file.display(), file.display()));
    Ok(ExitCode::SUCCESS)
}

fn check(file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = config::load(file)?;
    let rules = config::compile(&loaded).with_context(|| format!("{} cannot be used", file.display()))?;
    let findings = rules.lint();
    for finding in findings {
        output::line(if json { as_json(finding).to_string() } else { as_text(finding) });
    }
    if !json {
        output::line(summary(file, &loaded.policy, findings.len()));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(finding: &Finding) -> serde_json::Value {
    serde_json::json!({
        "severity": finding.severity.name(),
        "path": finding.path,
        "problem": finding.problem,
        "remedy": finding.remedy,
    })
}

fn as_text(finding: &Finding) -> String {
    format!("{}: {}: {}; {}", finding.severity.name(), finding.path, finding.problem, finding.remedy)
}

fn summary(file: &Path, policy: &Config, findings: usize) -> String {
    format!(
        "{}: valid; {} extensions, {} trunks, {} routes, {} emergency numbers; {findings} findings",
        file.display(),
        policy.extensions.len(),
        policy.trunks.len(),
        policy.routes.len(),
        policy.emergencies.len(),
    )
}
