//! Errors of configurations: where, what, and what to write instead.

use core::fmt;

/// One thing that is wrong in a configuration.
///
/// ```
/// use pbx_core::ConfigError;
/// let e = ConfigError::new("routes[2].trunks[0]", "there is no trunk \"sip-prov\"")
///     .instead("write one of: sip-provider, backup")
///     .nearest("sip-prov", ["sip-provider", "backup"]);
/// assert_eq!(
///     e.to_string(),
///     "routes[2].trunks[0]: there is no trunk \"sip-prov\"; write one of: sip-provider, backup \
///      (did you mean \"sip-provider\"?)"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: String,
    problem: String,
    remedy: Option<String>,
    meant: Option<String>,
}

impl ConfigError {
    /// What is wrong at `path`, e.g. `extensions[3].secret`.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into(), remedy: None, meant: None }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn instead(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds the candidate closest to what was written, if one is close.
    #[must_use]
    pub fn nearest<'a>(mut self, written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        self.meant = nearest(written, candidates).map(str::to_owned);
        self
    }

    /// Where the mistake is, as a path of keys.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong there.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What to write instead.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// The valid name nearest to what was written.
    #[must_use]
    pub fn meant(&self) -> Option<&str> {
        self.meant.as_deref()
    }

    /// The same mistake seen from a level further out: `prefix` goes in front of the path.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{prefix}{dot}{}", self.path);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        if let Some(meant) = &self.meant {
            write!(f, " (did you mean {meant:?}?)")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// All that is wrong in a configuration, never only the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Nothing found yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Notes one more.
    pub fn push(&mut self, e: ConfigError) {
        self.0.push(e);
    }

    /// Notes the error of `r` and gives its value on.
    pub fn take<T>(&mut self, r: Result<T, ConfigError>) -> Option<T> {
        r.map_err(|e| self.push(e)).ok()
    }

    /// The errors in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// Whether nothing was found.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// `value` when nothing was found.
    ///
    /// # Errors
    /// All that was found.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(e: ConfigError) -> Self {
        Self(vec![e])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, e) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{e}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The candidate closest to `written` (letter case aside), when it is close enough to be a slip.
///
/// ```
/// assert_eq!(pbx_core::nearest("extention", ["extension", "trunk"]), Some("extension"));
/// assert_eq!(pbx_core::nearest("colour", ["extension", "trunk"]), None);
/// ```
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What nobody types by slip is not worth comparing, and the cost is the product of the lengths.
    if written.len() > 64 {
        return None;
    }
    let slip = |c: &str| (c.len().max(written.len()) / 3).max(1);
    candidates
        .into_iter()
        .filter(|c| c.len() <= 64)
        .map(|c| (distance(written, c), c))
        .filter(|&(d, c)| d <= slip(c))
        .min_by_key(|&(d, _)| d)
        .map(|(_, c)| c)
}

/// Levenshtein distance, ASCII case ignored.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, &cb) in row.iter_mut().skip(1).zip(&b) {
            let here = (diagonal + usize::from(ca != cb)).min(left + 1).min(*cell + 1);
            diagonal = core::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, d) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("AB", "ab", 0)]
        {
            assert_eq!(distance(a, b), d, "{a} {b}");
            assert_eq!(distance(b, a), d, "{b} {a}");
        }
    }

    #[test]
    fn paths_grow_outwards() {
        let e = ConfigError::new("trunks[0]", "x").under("routes[2]").under("pbx");
        assert_eq!(e.path(), "pbx.routes[2].trunks[0]");
        assert_eq!(ConfigError::new("[1]", "x").under("list").path(), "list[1]");
        assert_eq!(ConfigError::new("", "x").under("a").path(), "a");
    }

    #[test]
    fn all_errors_are_kept() {
        let mut errors = ConfigErrors::new();
        assert_eq!(errors.take(Ok::<_, ConfigError>(3)), Some(3));
        assert_eq!(errors.take::<u8>(Err(ConfigError::new("a", "bad"))), None);
        errors.push(ConfigError::new("b", "worse"));
        assert_eq!(errors.or(()).unwrap_err().to_string(), "a: bad\nb: worse");
    }
}
