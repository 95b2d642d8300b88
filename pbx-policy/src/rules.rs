//! Compiled rules: immutable, shared, swapped whole.

use core::fmt;
use core::hash::Hasher;

use pbx_core::{ConfigErrors, RuleId, RuleKind};
use siphasher::sip::SipHasher13;

use crate::calls::Calls;
use crate::config::Config;
use crate::defense::Defence;
use crate::firewall::{Data, Firewall};
use crate::lint::{self, Finding};
use crate::lockout::{self, Lockout};
use crate::registration::Access;

/// A digest of the configuration that rules were compiled from: the same text gives the same version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PolicyVersion(pub u64);

impl PolicyVersion {
    /// The digest of `config`.
    fn of(config: &Config) -> Self {
        let mut digest = Digest(SipHasher13::new());
        let _ = fmt::write(&mut digest, format_args!("{config:?}"));
        Self(digest.0.finish())
    }
}

/// Hashes text as it is written, so that the text of a large configuration is never held at once.
struct Digest(SipHasher13);

impl fmt::Write for Digest {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.write(s.as_bytes());
        Ok(())
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a [`Config`] was compiled to. After compilation nothing can fail.
#[derive(Debug)]
pub struct Rules {
    version: PolicyVersion,
    pub(crate) firewall: Firewall,
    pub(crate) defence: Defence,
    pub(crate) lockout: Lockout,
    pub(crate) access: Access,
    pub(crate) calls: Calls,
    findings: Vec<Finding>,
}

impl Rules {
    /// Checks and compiles a configuration.
    ///
    /// # Errors
    /// Everything that is wrong in it, each with the path of the key and what to write instead.
    pub fn compile(config: &Config) -> Result<Self, ConfigErrors> {
        Self::compile_with(config, &Data::default())
    }

    /// Checks and compiles a configuration together with the data that the embedder loaded for it: country
    /// database and threat feeds.
    ///
    /// # Errors
    /// Everything that is wrong in it, each with the path of the key and what to write instead.
    pub fn compile_with(config: &Config, data: &Data) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let calls = Calls::compile(config, &mut errors);
        let rules = Self {
            version: PolicyVersion::of(config),
            firewall: Firewall::compile(&config.network, data, &mut errors),
            defence: Defence::compile(&config.network, &mut errors),
            lockout: Lockout::compile(config, &mut errors),
            access: Access::compile(config, &mut errors),
            findings: lint::findings(config, &calls),
            calls,
        };
        errors.or(rules)
    }

    /// Which configuration these are.
    #[must_use]
    pub const fn version(&self) -> PolicyVersion {
        self.version
    }

    /// Whether this is an emergency number as it is dialled, behind an access prefix, too. It needs no state and
    /// cannot fail: for hosts that got no decision at all.
    #[must_use]
    pub fn is_emergency(&self, dialled: &str) -> bool {
        dialled.parse().is_ok_and(|number| self.calls.emergencies.find(&number).is_some())
    }

    /// Whether there is an extension of this name, and whether it is switched on.
    #[must_use]
    pub fn extension_enabled(&self, name: &str) -> Option<bool> {
        self.calls.extension(name.parse().ok()?).map(|extension| extension.enabled)
    }

    /// The name of a trunk that a decision names.
    #[must_use]
    pub fn trunk_name(&self, trunk: RuleId) -> Option<&str> {
        let found = self.calls.trunk(trunk.index).filter(|_| trunk.kind == RuleKind::Trunk);
        found.map(|trunk| trunk.name.as_str())
    }

    /// What is allowed in the configuration and yet hardly meant.
    #[must_use]
    pub fn lint(&self) -> &[Finding] {
        &self.findings
    }

    /// The name of a rule, e.g. `route:International`.
    #[must_use]
    pub fn rule_name(&self, rule: RuleId) -> String {
        let named = self
            .firewall
            .rule_name(rule)
            .or_else(|| self.defence.rule_name(rule))
            .or_else(|| lockout::rule_name(rule))
            .or_else(|| self.access.rule_name(rule))
            .or_else(|| self.calls.rule_name(rule));
        named.unwrap_or_else(|| format!("{:?}:{}", rule.kind, rule.index))
    }
}
