//! Call frequency rules, compiled (E10, spec 2.15).

use core::time::Duration;

use pbx_core::{ConfigError, ConfigErrors};

use crate::config::{CallLimit, Config, FrequencyConfig, OnExceed, Period};
use crate::member::{check_names, index};

/// The rule of extensions that name none.
pub(crate) const DEFAULT: &str = "default";
/// Most restrictions of one extension: a call is counted in each.
const MOST: usize = 8;

/// A call frequency rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frequency {
    pub(crate) name: String,
    pub(crate) limits: Vec<CallLimit>,
    pub(crate) exceeded: Exceeded,
}

/// What happens to the extension that exceeds a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// The one call is refused.
    Deny,
    /// Outbound calls are locked, for a time or until an administrator unlocks them.
    Lock(Option<Duration>),
}

impl Frequency {
    /// All rules, the default one among them.
    pub(crate) fn compile_all(config: &Config, errors: &mut ConfigErrors) -> Vec<Self> {
        check_names(config.frequencies.iter().map(|f| f.name.as_str()), "frequency", 127, false, errors);
        let each = config.frequencies.iter().enumerate();
        let mut out: Vec<Self> =
            each.map(|(i, f)| Self::compile(f, &format!("frequency[{i}]"), errors)).collect();
        if !out.iter().any(|f| f.name == DEFAULT) {
            out.push(Self::vendor_default());
        }
        out
    }

    /// 5 calls in 1 s, then locked until an administrator looks at it.
    fn vendor_default() -> Self {
        let limits = vec![CallLimit { calls: 5, within: Period::secs(1) }];
        Self { name: DEFAULT.to_owned(), limits, exceeded: Exceeded::Lock(None) }
    }

    fn compile(config: &FrequencyConfig, path: &str, errors: &mut ConfigErrors) -> Self {
        if config.limits.is_empty() || config.limits.len() > MOST {
            let error = ConfigError::new(format!("{path}.limit"), format!("a rule has 1 to {MOST} limits"));
            errors.push(error.instead("write limit = [{ calls = 5, within = \"1s\" }]"));
        }
        for (i, limit) in config.limits.iter().enumerate() {
            check(*limit, &format!("{path}.limit[{i}]"), errors);
        }
        if config.on_exceed == OnExceed::Deny && !config.lock_for.is_zero() {
            let error =
                ConfigError::new(format!("{path}.lock_for"), "nothing is locked with on_exceed = \"deny\"");
            errors.push(error.instead("remove it, or write on_exceed = \"lock\""));
        }
        let lock_for = Some(config.lock_for.get()).filter(|d| !d.is_zero());
        let exceeded = match config.on_exceed {
            OnExceed::Deny => Exceeded::Deny,
            OnExceed::Lock => Exceeded::Lock(lock_for),
        };
        Self { name: config.name.clone(), limits: config.limits.clone(), exceeded }
    }

    /// The rules of an extension, by their place among `rules`.
    pub(crate) fn of(
        named: Option<&[String]>,
        rules: &[Self],
        path: &str,
        errors: &mut ConfigErrors,
    ) -> Vec<u32> {
        let names = rules.iter().map(|f| f.name.as_str());
        let default = [DEFAULT.to_owned()];
        let named = named.unwrap_or(&default);
        let each = named.iter().enumerate();
        let found: Vec<u32> = each
            .filter_map(|(i, n)| {
                index(n, names.clone(), &format!("{path}[{i}]"), "call frequency rule", errors)
            })
            .collect();
        let limits = found.iter().filter_map(|&i| rules.get(usize::try_from(i).ok()?));
        if limits.map(|f| f.limits.len()).sum::<usize>() > MOST {
            errors.push(ConfigError::new(path, format!("more than {MOST} limits together")));
        }
        found
    }
}

fn check(limit: CallLimit, path: &str, errors: &mut ConfigErrors) {
    if limit.calls > 99_999 {
        errors.push(ConfigError::new(format!("{path}.calls"), "at most 99999 calls can be counted"));
    }
    let within = limit.within.get();
    if within < Duration::from_secs(1) || within > Duration::from_secs(99_999 * 60) {
        let error = ConfigError::new(format!("{path}.within"), "the time is 1s to 99999min");
        errors.push(error.instead("write e.g. within = \"1s\""));
    }
}
