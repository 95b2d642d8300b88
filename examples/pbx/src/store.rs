//! The accounts' secrets on disk, apart from the configuration: `secrets.toml` in the data folder.
//!
//! What is kept is what digest needs to verify (HA1 values, RFC 7616 section 3.4.2), never the secret itself;
//! an HA1 is still a password equivalent, so the file is readable by its owner alone. What trunks ask us for
//! has to be kept as it is.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use pbx_auth::{Ha1, SipSecret};
use pbx_core::Random;
use serde::{Deserialize, Serialize};

use crate::output;

const FILE: &str = "secrets.toml";

/// The secrets of one PBX.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    realm: String,
    accounts: BTreeMap<String, Ha1>,
    trunks: BTreeMap<String, TrunkCredential>,
}

/// What a trunk's provider knows us by.
#[derive(Clone, Debug)]
pub(crate) struct TrunkCredential {
    pub(crate) username: String,
    pub(crate) secret: SipSecret,
}

/// The file as it is written.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    /// The realm that the values of `account` were made for.
    realm: String,
    /// HA1 values by account.
    account: BTreeMap<String, String>,
    /// User name and secret by trunk.
    trunk: BTreeMap<String, TrunkText>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TrunkText {
    username: String,
    secret: String,
}

impl Store {
    /// Opens the secrets under `folder`; there may be none yet.
    pub(crate) fn open(folder: &Path, realm: &str) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let file = match fs::read_to_string(&path) {
            Ok(text) => read(&text).with_context(|| format!("{} is damaged", path.display()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        if !file.account.is_empty() && file.realm != realm {
            bail!(
                "{} holds secrets for the realm {:?}, but pbx.realm is {realm:?}: write the old realm back, or \
                 move the file away to have new secrets made",
                path.display(),
                file.realm
            );
        }
        let damaged = |name: &str| format!("{}: the entry of {name:?} is damaged", path.display());
        let accounts = file
            .account
            .iter()
            .map(|(name, text)| Ok((name.clone(), Ha1::from_hex(name, text).with_context(|| damaged(name))?)))
            .collect::<anyhow::Result<_>>()?;
        let trunks = file
            .trunk
            .into_iter()
            .map(|(name, t)| {
                let secret = SipSecret::import(&t.secret).with_context(|| damaged(&name))?;
                Ok((name, TrunkCredential { username: t.username, secret }))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { path, realm: realm.to_owned(), accounts, trunks })
    }

    /// The values of an account.
    pub(crate) fn ha1(&self, account: &str) -> Option<&Ha1> {
        self.accounts.get(account)
    }

    /// What we are known by at a trunk.
    pub(crate) fn trunk(&self, trunk: &str) -> Option<&TrunkCredential> {
        self.trunks.get(trunk)
    }

    /// Makes new random secrets and keeps their values. The secrets themselves are returned and forgotten.
    pub(crate) fn generate(&mut self, accounts: &[&str]) -> anyhow::Result<Vec<(String, SipSecret)>> {
        let mut random = seeded()?;
        let made: Vec<(String, SipSecret)> =
            accounts.iter().map(|&a| (a.to_owned(), SipSecret::generate(&mut random))).collect();
        for (account, secret) in &made {
            self.put(account, secret)?;
        }
        self.save()?;
        Ok(made)
    }

    /// Sets a secret that somebody chose.
    pub(crate) fn set(&mut self, account: &str, secret: &str) -> anyhow::Result<()> {
        self.put(account, &SipSecret::import(secret)?)?;
        self.save()
    }

    fn put(&mut self, account: &str, secret: &SipSecret) -> anyhow::Result<()> {
        let ha1 = Ha1::derive(account, &self.realm, secret)?;
        self.accounts.insert(account.to_owned(), ha1);
        Ok(())
    }

    /// Writes a new file beside the old one and renames it, so that no crash leaves half a file.
    fn save(&self) -> anyhow::Result<()> {
        let folder = self.path.parent().ok_or_else(|| anyhow!("{} has no folder", self.path.display()))?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let text = zeroize::Zeroizing::new(toml::to_string(&self.file())?);
        let new = self.path.with_extension("toml.new");
        write_private(&new, text.as_bytes()).with_context(|| format!("cannot write {}", new.display()))?;
        fs::rename(&new, &self.path).with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn file(&self) -> File {
        let trunk = |t: &TrunkCredential| TrunkText {
            username: t.username.clone(),
            secret: t.secret.expose().to_owned(),
        };
        File {
            realm: self.realm.clone(),
            account: self.accounts.iter().map(|(n, h)| (n.clone(), h.to_hex().expose().clone())).collect(),
            trunk: self.trunks.iter().map(|(n, t)| (n.clone(), trunk(t))).collect(),
        }
    }
}

/// The file's text as values. What toml complains about may quote a line of the file, and with it a secret:
/// only the place of the mistake is told.
fn read(text: &str) -> anyhow::Result<File> {
    toml::from_str(text).map_err(|e| match e.span() {
        Some(span) => {
            let line = text.get(..span.start).unwrap_or_default().lines().count().max(1);
            anyhow!("line {line} is not what this program writes")
        }
        None => anyhow!("it is not what this program writes"),
    })
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    out.write_all(bytes)?;
    out.sync_all()
}

/// A generator seeded by the operating system.
pub(crate) fn seeded() -> anyhow::Result<Random> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| anyhow!("the system gives no randomness: {e}"))?;
    Ok(Random::from_seed(seed))
}

/// Shows new secrets, this once.
pub(crate) fn show_once(realm: &str, made: &[(String, SipSecret)]) {
    output::line(format_args!("new secrets for the realm {realm:?}, shown this once:"));
    for (number, secret) in made {
        output::line(format_args!("  extension {number}  secret {}", secret.expose()));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("pbx-store-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn secrets_are_kept_as_values_readable_by_the_owner_alone() {
        let folder = folder("kept");
        let mut store = Store::open(&folder, "r").unwrap();
        assert!(store.ha1("1001").is_none());
        let made = store.generate(&["1001"]).unwrap();
        let text = fs::read_to_string(folder.join(FILE)).unwrap();
        assert!(!text.contains(made[0].1.expose()), "the secret itself is not in the file");
        let mode = fs::metadata(folder.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Store::open(&folder, "r").unwrap().ha1("1001").is_some());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_realm_is_refused_with_what_to_do() {
        let folder = folder("realm");
        Store::open(&folder, "old").unwrap().generate(&["1001"]).unwrap();
        let e = Store::open(&folder, "new").unwrap_err().to_string();
        assert!(e.contains("old") && e.contains("new") && e.contains("write the old realm back"), "{e}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_damaged_file_is_reported_without_its_content() {
        let folder = folder("damaged");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(FILE), "[account]\n\"1001\" = canary-secret\n").unwrap();
        let e = format!("{:#}", Store::open(&folder, "r").unwrap_err());
        assert!(e.contains("line 2") && !e.contains("canary"), "{e}");
        fs::remove_dir_all(folder).unwrap();
    }
}
