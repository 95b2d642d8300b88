//! When failures lock an address out: the counters of spec 2.2 and 2.5, without the state.
//!
//! Every kind of attempt is counted by a few counters. A counter has a subject (the source, the pair of source
//! and account, or the account), a limit, and what a full window blocks. Success and failure of one attempt are
//! told to all of them at once, so that N parallel guesses cost N tries in each.

use core::time::Duration;

use pbx_core::table::Limit;
use pbx_core::{ConfigError, ConfigErrors, EventKind, Reason, RuleId, RuleKind};

use crate::attempt::{AuthKind, AuthOutcome};
use crate::config::{Config, LoginConfig, Penalty, RegistrationConfig, Threshold};
use crate::decision::BlockScope;

/// Most failures a window can count exactly.
const FAILURES: u32 = 64;
/// Most different names a source may fail with before it is blocked.
pub(crate) const NAMES: u32 = 16;

/// Windows up to this length share a table: a table may forget a key that has been quiet for as long as the
/// window it is asked with.
const SHORT: Duration = Duration::from_secs(20 * 60);

/// Whose failures a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Address,
    Pair,
    Account,
}

/// What a block of a counter covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Covers {
    /// Everything from the address.
    Address,
    /// All logins from the address.
    Logins,
    /// The account from the address, for the kinds of attempts that share the counter.
    Pair,
    /// The account from everywhere, for these kinds of attempts.
    Account,
}

/// How long a block lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    For(Duration),
    Permanent,
    /// By the ladder of repeated offences.
    Escalate,
}

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Every failure.
    Failures,
    /// Every failure, and refusals by rules as well.
    FailuresAndRefusals,
    /// Names that do not exist.
    UnknownNames,
    /// Different names that failed.
    DistinctNames,
}

/// One counter. Its place in [`COUNTERS`] is stable: tables are keyed by it across reloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    /// Its stable number.
    pub(crate) id: u16,
    pub(crate) subject: Subject,
    pub(crate) counts: Counts,
    pub(crate) limit: Limit,
    /// How many failures an offender begins with who was blocked before.
    pub(crate) restart_at: u32,
    /// For how long that is remembered.
    pub(crate) memory: Duration,
    pub(crate) term: Term,
    pub(crate) covers: Covers,
    /// The reason while the block holds.
    pub(crate) reason: Reason,
    /// Whether success empties it.
    pub(crate) cleared: bool,
}

/// The counters by their stable number, as they are called in output.
const COUNTERS: [&str; 9] = [
    "registration.pair",
    "registration.address",
    "registration.unknown_user",
    "registration.distinct_users",
    "login.address",
    "login.account",
    "login.second_factor",
    "login.pin",
    "login.voicemail",
];

/// The compiled counters.
#[derive(Debug)]
pub(crate) struct Lockout {
    registration: [Counter; 4],
    login: [Counter; 2],
    second_factor: [Counter; 3],
    pin: [Counter; 1],
    voicemail: [Counter; 1],
}

impl Lockout {
    /// Checks and compiles the thresholds of the sections `registration` and `login`.
    pub(crate) fn compile(config: &Config, errors: &mut ConfigErrors) -> Self {
        check_all(config, errors);
        let (r, l) = (&config.registration, &config.login);
        let memory = config.network.escalation.within.get();
        let login = login(l, memory);
        let [address, account] = login;
        Self {
            registration: registration(r, memory),
            login,
            second_factor: [address, account, second_factor(&l.second_factor, memory)],
            pin: [pin(&l.pin, memory)],
            voicemail: [voicemail(&l.voicemail, memory)],
        }
    }

    /// The counters that an attempt of this kind is counted by.
    pub(crate) const fn counters(&self, kind: AuthKind) -> &[Counter] {
        match kind {
            AuthKind::Registration => &self.registration,
            AuthKind::Web
            | AuthKind::Client
            | AuthKind::Ldap
            | AuthKind::Api
            | AuthKind::Provisioning
            | AuthKind::Link => &self.login,
            AuthKind::Totp => &self.second_factor,
            AuthKind::Pin => &self.pin,
            AuthKind::Voicemail => &self.voicemail,
        }
    }

    /// Every counter once.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Counter> {
        let [_, _, code] = &self.second_factor;
        self.registration.iter().chain(&self.login).chain([code]).chain(&self.pin).chain(&self.voicemail)
    }
}

impl Counter {
    /// The rule that stands for it in decisions.
    pub(crate) fn rule(&self) -> RuleId {
        RuleId::new(RuleKind::Lockout, self.id.into())
    }

    /// Whether its failures count for minutes only.
    pub(crate) fn is_short(&self) -> bool {
        self.limit.per <= SHORT
    }

    /// The limit for an offender who was blocked before.
    pub(crate) const fn stricter(&self) -> Limit {
        let at_most = self.limit.at_most.saturating_sub(self.restart_at);
        Limit { at_most: if at_most == 0 { 1 } else { at_most }, per: self.limit.per }
    }

    /// Whether `outcome` is counted here.
    pub(crate) const fn counts(&self, outcome: AuthOutcome) -> bool {
        match self.counts {
            Counts::UnknownNames => matches!(outcome, AuthOutcome::UnknownAccount),
            _ => outcome.is_failure(),
        }
    }

    /// The scope of its blocks.
    pub(crate) const fn scope(&self, addr: pbx_core::AddrKey) -> BlockScope {
        match self.covers {
            Covers::Address => BlockScope::Address(addr),
            Covers::Logins => BlockScope::Logins(addr),
            Covers::Pair => BlockScope::Pair(addr),
            Covers::Account => BlockScope::Account,
        }
    }

    /// What administrators are told when its block begins.
    pub(crate) const fn event(&self, kind: AuthKind) -> EventKind {
        match (self.covers, kind) {
            (Covers::Pair, AuthKind::Registration) => EventKind::RegistrationBlocked,
            (_, AuthKind::Registration) => EventKind::AddressBlocked,
            (_, AuthKind::Client) => EventKind::ClientUserBlocked,
            (_, AuthKind::Api) => EventKind::ApiBlocked,
            (_, AuthKind::Pin | AuthKind::Voicemail) => EventKind::PinBlocked,
            _ => EventKind::WebUserBlocked,
        }
    }
}

/// The name of a lockout rule; `None` for rules of other kinds.
pub(crate) fn rule_name(rule: RuleId) -> Option<String> {
    let i = usize::try_from(rule.index).ok().filter(|_| rule.kind == RuleKind::Lockout)?;
    COUNTERS.get(i).map(|name| format!("lockout:{name}"))
}

const fn counter(
    id: u16,
    t: &Threshold,
    memory: Duration,
    subject: Subject,
    covers: Covers,
    reason: Reason,
) -> Counter {
    let limit = Limit { at_most: t.failures, per: t.within.get() };
    let term = match t.block {
        Penalty::For(period) => Term::For(period.get()),
        Penalty::Permanent => Term::Permanent,
        Penalty::Escalate => Term::Escalate,
    };
    Counter {
        id,
        subject,
        counts: Counts::Failures,
        limit,
        restart_at: t.restart_at,
        memory,
        term,
        covers,
        reason,
        cleared: false,
    }
}

fn registration(c: &RegistrationConfig, memory: Duration) -> [Counter; 4] {
    let address = |id, t, counts| {
        let counter = counter(id, t, memory, Subject::Address, Covers::Address, Reason::AddressLocked);
        Counter { counts, ..counter }
    };
    let pair = counter(0, &c.pair, memory, Subject::Pair, Covers::Pair, Reason::PairLocked);
    [
        Counter { cleared: true, ..pair },
        address(1, &c.address, Counts::FailuresAndRefusals),
        address(2, &c.unknown_user, Counts::UnknownNames),
        address(3, &c.distinct_users, Counts::DistinctNames),
    ]
}

fn login(c: &LoginConfig, memory: Duration) -> [Counter; 2] {
    let address = counter(4, &c.address, memory, Subject::Address, Covers::Logins, Reason::LoginPaused);
    let account = counter(5, &c.account, memory, Subject::Pair, Covers::Pair, Reason::LoginLocked);
    [Counter { cleared: true, ..address }, account]
}

const fn second_factor(t: &Threshold, memory: Duration) -> Counter {
    counter(6, t, memory, Subject::Account, Covers::Account, Reason::LoginPaused)
}

fn pin(t: &Threshold, memory: Duration) -> Counter {
    counter(7, t, memory, Subject::Account, Covers::Account, Reason::PinLocked)
}

fn voicemail(t: &Threshold, memory: Duration) -> Counter {
    let counter = counter(8, t, memory, Subject::Pair, Covers::Pair, Reason::PinLocked);
    Counter { cleared: true, ..counter }
}

fn check_all(config: &Config, errors: &mut ConfigErrors) {
    let (r, l) = (&config.registration, &config.login);
    for (key, threshold, most) in [
        ("registration.pair", &r.pair, FAILURES),
        ("registration.address", &r.address, FAILURES),
        ("registration.unknown_user", &r.unknown_user, FAILURES),
        ("registration.distinct_users", &r.distinct_users, NAMES),
        ("login.address", &l.address, FAILURES),
        ("login.account", &l.account, FAILURES),
        ("login.second_factor", &l.second_factor, FAILURES),
        ("login.pin", &l.pin, FAILURES),
        ("login.voicemail", &l.voicemail, FAILURES),
    ] {
        check(key, threshold, most, errors);
    }
}

fn check(key: &str, threshold: &Threshold, most: u32, errors: &mut ConfigErrors) {
    if !(1..=most).contains(&threshold.failures) {
        errors.push(ConfigError::new(format!("{key}.failures"), format!("write 1 to {most} failures")));
    }
    if threshold.restart_at > 0 && threshold.restart_at >= threshold.failures {
        errors.push(ConfigError::new(format!("{key}.restart_at"), "it has to be below `failures`"));
    }
    if threshold.restart_at > 0 && key.ends_with("distinct_users") {
        errors.push(ConfigError::new(
            format!("{key}.restart_at"),
            "names are forgotten one by one; leave it out",
        ));
    }
    if threshold.within.is_zero() {
        errors.push(ConfigError::new(format!("{key}.within"), "failures have to count for some time"));
    }
    if matches!(threshold.block, Penalty::For(period) if period.is_zero()) {
        errors.push(ConfigError::new(format!("{key}.block"), "a block has to last some time"));
    }
    if threshold.block == Penalty::Escalate && !key.ends_with("address") {
        errors.push(
            ConfigError::new(format!("{key}.block"), "only blocks of addresses escalate")
                .instead("write a length of time or \"permanent\""),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(toml: &str) -> (Lockout, ConfigErrors) {
        let mut errors = ConfigErrors::new();
        let lockout = Lockout::compile(&toml::from_str(toml).unwrap(), &mut errors);
        (lockout, errors)
    }

    #[test]
    fn c1_and_d1_the_default_thresholds() {
        let (lockout, errors) = compile("");
        assert!(errors.is_empty(), "{errors}");
        let hours = |h: u64| Term::For(Duration::from_secs(h * 3_600));
        let minutes = |m: u64| Term::For(Duration::from_secs(m * 60));
        let all: Vec<_> =
            lockout.all().map(|c| (c.limit.at_most, c.limit.per.as_secs() / 60, c.term)).collect();
        let expected = [
            (10, 5, hours(24)),
            (30, 60, Term::Escalate),
            (5, 10, hours(24)),
            (5, 10, hours(24)),
            (5, 5, minutes(10)),
            (20, 24 * 60, Term::Permanent),
            (5, 10, minutes(10)),
            (10, 60, hours(1)),
            (5, 10, minutes(10)),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn rules_have_the_names_of_their_keys() {
        let (lockout, _) = compile("");
        let names: Vec<_> = lockout.all().map(|c| rule_name(c.rule()).unwrap()).collect();
        assert_eq!(names.first().map(String::as_str), Some("lockout:registration.pair"));
        assert_eq!(names.len(), COUNTERS.len());
        assert!(lockout.all().zip(0..).all(|(c, i)| c.id == i), "the places are stable");
    }

    #[test]
    fn challenge_rounds_and_stale_nonces_never_count() {
        let (lockout, _) = compile("");
        for counter in lockout.all() {
            for outcome in [AuthOutcome::Challenged, AuthOutcome::StaleNonce, AuthOutcome::Success] {
                assert!(!counter.counts(outcome), "{counter:?} {outcome:?}");
            }
            assert!(counter.counts(AuthOutcome::UnknownAccount));
        }
    }

    #[test]
    fn thresholds_that_cannot_be_kept_are_refused() {
        let (_, errors) = compile(
            "[registration]\npair = {failures = 65, within = '5min', block = '24h'}\n\
             distinct_users = {failures = 17, within = '5min', block = 'escalate'}\n\
             unknown_user = {failures = 5, within = '5min', block = '1h', restart_at = 5}\n\
             [login]\naddress = {failures = 0, within = '0s', block = '0s'}",
        );
        let paths: Vec<_> = errors.iter().map(ConfigError::path).collect();
        let expected = [
            "registration.pair.failures",
            "registration.unknown_user.restart_at",
            "registration.distinct_users.failures",
            "registration.distinct_users.block",
            "login.address.failures",
            "login.address.within",
            "login.address.block",
        ];
        assert_eq!(paths, expected);
    }
}
