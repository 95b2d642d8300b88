//! `pbx sip check` names the outcome that each of the torture messages of RFC 4475 is owed.

use std::path::PathBuf;
use std::process::Command;

#[derive(serde::Deserialize)]
struct Manifest {
    message: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    file: String,
    outcome: String,
}

fn folder() -> PathBuf {
    let root = std::env::var_os("PBX_VECTORS").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"));
    root.join("sip-rfc4475")
}

/// Whether `outcome` is one of the alternatives of the manifest: `accept or respond:400|404`.
fn is_owed(outcome: &str, owed: &str) -> bool {
    owed.split(" or ").any(|alternative| match alternative.strip_prefix("respond:") {
        Some(codes) => codes.split('|').any(|code| outcome == format!("respond:{code}")),
        None => outcome == alternative,
    })
}

#[test]
fn all_49_get_what_they_are_owed() {
    let folder = folder();
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.toml")) else {
        eprintln!("SKIP rfc4475: no messages in {}; set PBX_VECTORS", folder.display());
        return;
    };
    let manifest: Manifest = toml::from_str(&manifest).unwrap();
    assert_eq!(manifest.message.len(), 49);
    let mut wrong = Vec::new();
    for case in &manifest.message {
        let out = Command::new(env!("CARGO_BIN_EXE_pbx"))
            .args(["sip", "check", "--json"])
            .arg(folder.join(&case.file))
            .output()
            .unwrap();
        let judged: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let outcome = judged["outcome"].as_str().unwrap();
        if !is_owed(outcome, &case.outcome) {
            wrong.push(format!("{}: {outcome} instead of {}", case.name, case.outcome));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
