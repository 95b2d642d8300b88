//! The commented configuration that `pbx config init` writes.

/// A closed, working example: two extensions, one trunk, national calls, chosen countries, 112.
pub(crate) const TEMPLATE: &str = include_str!("template.toml");

#[cfg(test)]
mod tests {
    use pbx_policy::Rules;

    use super::*;
    use crate::config::parse;

    #[test]
    fn the_template_is_valid_and_without_findings() {
        let loaded = parse(TEMPLATE, Default::default()).unwrap();
        let rules = Rules::compile(&loaded.policy).unwrap();
        let findings: Vec<String> = rules.lint().iter().map(|f| format!("{f:?}")).collect();
        assert!(findings.is_empty(), "{findings:#?}");
        assert_eq!(loaded.policy.extensions.len(), 2);
    }
}
