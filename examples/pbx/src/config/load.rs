//! Reading the file: syntax, unknown keys, wrong types, each with the path and what to write instead.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use pbx_core::{ConfigError, ConfigErrors};
use pbx_policy::geo::GeoTable;
use pbx_policy::{Config, Data, Rules};
use serde::de::DeserializeOwned;

use super::{Listen, PbxConfig};

/// A configuration that could be read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) policy: Config,
    pub(crate) pbx: PbxConfig,
    pub(crate) listen: Vec<Listen>,
    /// The folder that relative paths in it start from.
    pub(crate) base: PathBuf,
}

impl Loaded {
    /// The folder for secrets and state.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.base.join(&self.pbx.data_dir)
    }
}

/// Reads the file at `path`.
pub(crate) fn load(path: &Path) -> anyhow::Result<Loaded> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    parse(&text, base).with_context(|| format!("{} cannot be used", path.display()))
}

/// Reads the text of a configuration.
pub(crate) fn parse(text: &str, base: PathBuf) -> Result<Loaded, ConfigErrors> {
    let mut table: toml::Table = toml::from_str(text)
        .map_err(|e| ConfigErrors::from(ConfigError::new("", e.to_string().trim_end())))?;
    let mut errors = ConfigErrors::new();
    let pbx = table.remove("pbx").unwrap_or_else(|| toml::Table::new().into());
    let pbx: Option<PbxConfig> = errors.take(typed(pbx).map_err(|e| e.under("pbx")));
    let policy: Option<Config> = errors.take(typed(table.into()).map_err(with_pbx));
    let listen = pbx.as_ref().map_or(Ok(Vec::new()), PbxConfig::check);
    match (pbx, policy, listen) {
        (Some(pbx), Some(policy), Ok(listen)) => Ok(Loaded { policy, pbx, listen, base }),
        (_, _, Err(more)) => {
            more.iter().for_each(|e| errors.push(e.clone()));
            Err(errors)
        }
        _ => Err(errors),
    }
}

/// Compiles the policy, with the database that it names.
pub(crate) fn compile(loaded: &Loaded) -> anyhow::Result<Rules> {
    let mut data = Data::default();
    data.countries = countries(loaded)?;
    Ok(Rules::compile_with(&loaded.policy, &data)?)
}

fn countries(loaded: &Loaded) -> anyhow::Result<Option<Arc<GeoTable>>> {
    let country = &loaded.policy.network.country;
    if !country.enabled || country.database.is_empty() {
        return Ok(None);
    }
    let file = loaded.base.join(&country.database);
    let problem = || {
        format!(
            "network.country.database: {} cannot be used; name a country database in MaxMind DB format, or write \
             network.country.enabled = false",
            file.display()
        )
    };
    let bytes = std::fs::read(&file).with_context(problem)?;
    Ok(Some(Arc::new(GeoTable::from_mmdb(&bytes).with_context(problem)?)))
}

/// `[pbx]` was taken out before the policy was read, so an unknown top-level key may be meant for it.
fn with_pbx(e: ConfigError) -> ConfigError {
    let top_level = !e.path().contains(['.', '[']);
    if top_level && e.meant().is_none() { e.clone().nearest(e.path(), ["pbx"]) } else { e }
}

fn typed<T: DeserializeOwned>(value: toml::Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|e| readable(&e.path().to_string(), e.inner().message()))
}

/// Serde's message for an unknown name lists the names there are, in backticks: they become the remedy and
/// the candidates for the nearest one.
fn readable(path: &str, message: &str) -> ConfigError {
    let path = if path == "." { "" } else { path };
    let message = message.lines().next().unwrap_or_default();
    let mut names = message.split('`').skip(1).step_by(2);
    let kind = ["field", "variant"].into_iter().find(|k| message.starts_with(&format!("unknown {k}")));
    let (Some(kind), Some(written)) = (kind, names.next()) else {
        return ConfigError::new(path, message);
    };
    let names: Vec<&str> = names.collect();
    let remedy = format!("write one of: {}", names.join(", "));
    let e = match kind {
        "field" => ConfigError::new(join(path, written), "there is no such key"),
        _ => ConfigError::new(path, format!("{written:?} is not a value it can have")),
    };
    e.instead(remedy).nearest(written, names)
}

/// The path of an unknown key; serde may or may not have added the key itself already.
fn join(path: &str, key: &str) -> String {
    if path == key || path.ends_with(&format!(".{key}")) {
        path.to_owned()
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, PathBuf::new()).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_is_a_configuration() {
        assert!(parse("", PathBuf::new()).is_ok());
    }

    #[test]
    fn a_wrong_key_names_its_path_and_the_nearest_one() {
        let e = error("[[extension]]\nnumber = \"1001\"\nregistraton = { devices = 2 }\n");
        assert!(e.starts_with("extension[0].registraton: there is no such key"), "{e}");
        assert!(e.contains("did you mean \"registration\"?"), "{e}");
        let e = error("[pbx]\nrelm = \"x\"\n");
        assert!(e.starts_with("pbx.relm:") && e.contains("did you mean \"realm\"?"), "{e}");
        let e = error("[pbxx]\n");
        assert!(e.contains("did you mean \"pbx\"?"), "{e}");
    }

    #[test]
    fn a_wrong_value_names_the_values_there_are() {
        let e = error("[network]\ndefault = \"acept\"\n");
        assert!(e.starts_with("network.default:"), "{e}");
        assert!(e.contains("accept, drop") && e.contains("did you mean \"accept\"?"), "{e}");
    }

    #[test]
    fn a_wrong_type_names_its_path() {
        let e = error("[[extension]]\nnumber = 1001\n");
        assert!(e.starts_with("extension[0].number:"), "{e}");
    }

    #[test]
    fn broken_syntax_names_the_line() {
        let e = error("[pbx]\nrealm = \n");
        assert!(e.contains("line 2"), "{e}");
    }

    #[test]
    fn mistakes_of_both_halves_are_reported_together() {
        let e = error("[pbx]\nrelm = \"x\"\n[network]\ndefalt = \"drop\"\n");
        assert!(e.contains("pbx.relm") && e.contains("network.defalt"), "{e}");
    }
}
