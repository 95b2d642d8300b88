//! Which extensions a rule concerns, given by number, group or department.

use std::collections::BTreeSet;

use pbx_core::{ConfigError, ConfigErrors};

use crate::config::{Config, ExtensionConfig};

/// Extensions by their place in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members(BTreeSet<u32>);

/// The three lists that rules name extensions by.
#[derive(Clone, Copy)]
pub(crate) struct Lists<'a> {
    pub(crate) extensions: &'a [String],
    pub(crate) groups: &'a [String],
    pub(crate) departments: &'a [String],
}

impl Lists<'_> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.extensions.is_empty() && self.groups.is_empty() && self.departments.is_empty()
    }

    fn name(&self, extension: &ExtensionConfig) -> bool {
        self.extensions.contains(&extension.number)
            || extension.groups.iter().any(|g| self.groups.contains(g))
            || self.departments.contains(&extension.department)
    }
}

impl Members {
    /// The extensions that the lists name; every name that does not exist is an error under `path`.
    pub(crate) fn compile(lists: Lists<'_>, config: &Config, path: &str, errors: &mut ConfigErrors) -> Self {
        let all = &config.extensions;
        let numbers = all.iter().map(|e| e.number.as_str());
        let groups = all.iter().flat_map(|e| e.groups.iter().map(String::as_str));
        let departments = all.iter().map(|e| e.department.as_str()).filter(|d| !d.is_empty());
        each_exists(lists.extensions, &format!("{path}.extensions"), "extension", numbers, errors);
        each_exists(lists.groups, &format!("{path}.groups"), "group", groups, errors);
        each_exists(lists.departments, &format!("{path}.departments"), "department", departments, errors);
        Self((0..).zip(all).filter(|(_, e)| lists.name(e)).map(|(i, _)| i).collect())
    }

    pub(crate) fn contains(&self, extension: u32) -> bool {
        self.0.contains(&extension)
    }
}

fn each_exists<'a>(
    names: &[String],
    path: &str,
    what: &str,
    known: impl Iterator<Item = &'a str>,
    errors: &mut ConfigErrors,
) {
    let known: BTreeSet<&str> = if names.is_empty() { BTreeSet::new() } else { known.collect() };
    for (i, name) in names.iter().enumerate() {
        errors.take(find(name, &known, &format!("{path}[{i}]"), what));
    }
}

fn find(name: &str, known: &BTreeSet<&str>, path: &str, what: &str) -> Result<(), ConfigError> {
    if known.contains(name) { Ok(()) } else { Err(unknown(name, path, what, known.iter().copied())) }
}

/// The error for a name that nothing has.
pub(crate) fn unknown<'a>(
    name: &str,
    path: &str,
    what: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> ConfigError {
    ConfigError::new(path, format!("there is no {what} {name:?}")).nearest(name, known)
}

/// The place of `name` in `names`, or an error.
pub(crate) fn index<'a>(
    name: &str,
    names: impl Iterator<Item = &'a str> + Clone,
    path: &str,
    what: &str,
    errors: &mut ConfigErrors,
) -> Option<u32> {
    let found = (0..).zip(names.clone()).find(|&(_, n)| n == name).map(|(i, _)| i);
    errors.take(found.ok_or_else(|| unknown(name, path, what, names)))
}

/// Reports names that are empty, too long, or there twice; with `plain` also those with blanks.
pub(crate) fn check_names<'a>(
    names: impl Iterator<Item = &'a str>,
    section: &str,
    most: usize,
    plain: bool,
    errors: &mut ConfigErrors,
) {
    let mut seen = BTreeSet::new();
    for (i, name) in names.enumerate() {
        let path = format!("{section}[{i}].name");
        let length = name.chars().count();
        if length == 0 || length > most {
            errors.push(ConfigError::new(&path, format!("a name has 1 to {most} characters")));
        }
        if plain && name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            errors.push(ConfigError::new(&path, "the name has a blank in it").instead("write - or _"));
        }
        if !seen.insert(name) {
            errors.push(ConfigError::new(path, format!("{name:?} is there twice")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        extension = [
          { number = "1001", groups = ["sales"] },
          { number = "1002", department = "Lab" },
          { number = "1003", groups = ["sales", "night"] },
        ]
    "#;

    fn members(extensions: &[&str], groups: &[&str], departments: &[&str]) -> (Vec<u32>, String) {
        let config: Config = toml::from_str(CONFIG).unwrap();
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (e, g, d) = (owned(extensions), owned(groups), owned(departments));
        let lists = Lists { extensions: &e, groups: &g, departments: &d };
        let mut errors = ConfigErrors::new();
        let members = Members::compile(lists, &config, "route[0]", &mut errors);
        ((0..9).filter(|&i| members.contains(i)).collect(), errors.to_string())
    }

    #[test]
    fn members_by_each_kind_of_name() {
        assert_eq!(members(&["1002"], &[], &[]).0, [1]);
        assert_eq!(members(&[], &["sales"], &[]).0, [0, 2]);
        assert_eq!(members(&["1001"], &["night"], &["Lab"]).0, [0, 1, 2]);
        assert_eq!(members(&[], &[], &[]).0, [0; 0]);
    }

    #[test]
    fn names_that_do_not_exist_are_errors() {
        let (found, errors) = members(&["1001", "101"], &["sale"], &["Lap"]);
        assert_eq!(found, [0]);
        assert_eq!(
            errors,
            "route[0].extensions[1]: there is no extension \"101\" (did you mean \"1001\"?)\n\
             route[0].groups[0]: there is no group \"sale\" (did you mean \"sales\"?)\n\
             route[0].departments[0]: there is no department \"Lap\" (did you mean \"Lab\"?)"
        );
    }
}
