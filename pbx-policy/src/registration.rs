//! From where and with what an account may be used: C4 to C7, B2 and D8, without the state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pbx_core::{ConfigError, ConfigErrors, Network, Reason, RuleId, RuleKind};

use crate::attempt::{Attempt, AuthKind};
use crate::config::{AccessScope, AccessType, AddressRefusal, Config, ExtensionConfig};
use crate::span::{AddrMap, parse_list};
use crate::user_agent::UserAgent;

/// Most devices an extension may be registered on (C4).
pub(crate) const DEVICES: u32 = 20;

/// What the extensions and services allow, compiled.
#[derive(Debug, Default)]
pub(crate) struct Access {
    accounts: BTreeMap<String, Account>,
    names: Vec<String>,
    services: Services,
    drops_addresses: bool,
}

/// What an extension allows.
#[derive(Debug)]
pub(crate) struct Account {
    number: u32,
    /// Whether it exists for the outside.
    pub(crate) enabled: bool,
    /// How many devices may be registered at a time.
    pub(crate) devices: u32,
    remote: bool,
    user_agents: Vec<UserAgent>,
    addresses: Option<AddrMap>,
    denied: AddrMap,
}

#[derive(Debug, Default)]
struct Services {
    sip: Scope,
    web: Scope,
    client: Scope,
    ldap: Scope,
    api: Scope,
}

/// A compiled [`AccessScope`].
#[derive(Debug, Default)]
struct Scope {
    only_named: bool,
    named: BTreeSet<String>,
    networks: Option<AddrMap>,
}

/// A rule's no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) rule: RuleId,
    /// Whether the sender gets no answer at all.
    pub(crate) silent: bool,
}

impl Access {
    /// Checks and compiles what concerns accounts.
    pub(crate) fn compile(config: &Config, errors: &mut ConfigErrors) -> Self {
        let mut out = Self {
            drops_addresses: config.registration.address_refusal == AddressRefusal::Drop,
            services: Services::compile(config, errors),
            ..Self::default()
        };
        for ((i, extension), number) in config.extensions.iter().enumerate().zip(0..) {
            let path = format!("extension[{i}].registration");
            let account = Account::compile(extension, number, &path, errors);
            out.accounts.insert(extension.number.clone(), account);
            out.names.push(extension.number.clone());
        }
        out
    }

    /// The extension of that name.
    pub(crate) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(name)
    }

    /// The remote-access step: may this account be used from there (B2, C7, D8).
    pub(crate) fn remote(&self, attempt: &Attempt<'_>, network: Network) -> Result<(), Refusal> {
        if !network.is_remote() {
            return Ok(());
        }
        let account = self.account(attempt.account);
        let forbidden = attempt.kind == AuthKind::Registration && account.is_some_and(|a| !a.remote);
        if let Some(account) = account.filter(|_| forbidden) {
            return Err(Refusal { reason: Reason::RemoteNotAllowed, rule: account.rule(), silent: false });
        }
        match self.services.of(attempt.kind) {
            Some((i, scope)) if !scope.permits(attempt.account, attempt.source.addr()) => {
                let rule = RuleId::new(RuleKind::AccessScope, i);
                let reason = match attempt.kind {
                    AuthKind::Registration => Reason::RemoteNotAllowed,
                    _ => Reason::ServiceNotPermitted,
                };
                Err(Refusal { reason, rule, silent: false })
            }
            _ => Ok(()),
        }
    }

    /// The address step (C6); the deny list wins.
    pub(crate) fn address(&self, attempt: &Attempt<'_>) -> Result<(), Refusal> {
        let Some(account) = self.restricting(attempt) else { return Ok(()) };
        let addr = attempt.source.addr();
        let permitted = account.addresses.as_ref().is_none_or(|list| list.contains(addr));
        if permitted && !account.denied.contains(addr) {
            return Ok(());
        }
        let silent = self.drops_addresses;
        Err(Refusal { reason: Reason::AddressNotPermitted, rule: account.rule(), silent })
    }

    /// The User-Agent step (C5): one of the values has to fit, letter case aside.
    pub(crate) fn user_agent(&self, attempt: &Attempt<'_>) -> Result<(), Refusal> {
        let Some(account) = self.restricting(attempt).filter(|a| !a.user_agents.is_empty()) else {
            return Ok(());
        };
        let claimed = attempt.user_agent.unwrap_or_default();
        if account.user_agents.iter().any(|rule| rule.allows(claimed)) {
            return Ok(());
        }
        Err(Refusal { reason: Reason::UserAgentNotPermitted, rule: account.rule(), silent: false })
    }

    fn restricting(&self, attempt: &Attempt<'_>) -> Option<&Account> {
        self.account(attempt.account).filter(|_| attempt.kind == AuthKind::Registration)
    }

    /// The name of a rule of this part; `None` for rules of other kinds.
    pub(crate) fn rule_name(&self, rule: RuleId) -> Option<String> {
        let i = usize::try_from(rule.index).ok()?;
        match rule.kind {
            RuleKind::Extension => self.names.get(i).map(|name| format!("extension:{name}")),
            RuleKind::AccessScope => SERVICES.get(i).map(|name| format!("services:{name}")),
            _ => None,
        }
    }
}

impl Account {
    fn compile(extension: &ExtensionConfig, number: u32, path: &str, errors: &mut ConfigErrors) -> Self {
        let config = &extension.registration;
        if !(1..=DEVICES).contains(&config.devices) {
            errors.push(ConfigError::new(format!("{path}.devices"), "an extension has 1 to 20 devices"));
        }
        let user_agents = config.user_agents.iter().enumerate().filter_map(|(i, text)| {
            errors.take(UserAgent::compile(text, &format!("{path}.user_agents[{i}]")))
        });
        let user_agents = user_agents.collect();
        let addresses = parse_list(&config.addresses, &format!("{path}.addresses"), errors);
        let denied = parse_list(&config.deny_addresses, &format!("{path}.deny_addresses"), errors);
        Self {
            number,
            enabled: extension.enabled,
            devices: config.devices,
            remote: config.remote,
            user_agents,
            addresses: (!config.addresses.is_empty()).then(|| AddrMap::set(&addresses)),
            denied: AddrMap::set(&denied),
        }
    }

    /// The rule that speaks for the extension's own settings.
    pub(crate) const fn rule(&self) -> RuleId {
        RuleId::new(RuleKind::Extension, self.number)
    }
}

/// The services in the order of their rule ids.
const SERVICES: [&str; 5] = ["sip", "web", "client", "ldap", "api"];

impl Services {
    fn compile(config: &Config, errors: &mut ConfigErrors) -> Self {
        let services = &config.services;
        let mut scope = |scope: &AccessScope, key| Scope::compile(scope, key, config, errors);
        Self {
            sip: scope(&services.sip, "sip"),
            web: scope(&services.web, "web"),
            client: scope(&services.client, "client"),
            ldap: scope(&services.ldap, "ldap"),
            api: scope(&services.api, "api"),
        }
    }

    /// The scope that a kind of attempt falls under, with its place in [`SERVICES`].
    const fn of(&self, kind: AuthKind) -> Option<(u32, &Scope)> {
        match kind {
            AuthKind::Registration => Some((0, &self.sip)),
            AuthKind::Web | AuthKind::Totp | AuthKind::Link => Some((1, &self.web)),
            AuthKind::Client => Some((2, &self.client)),
            AuthKind::Ldap => Some((3, &self.ldap)),
            AuthKind::Api => Some((4, &self.api)),
            AuthKind::Provisioning | AuthKind::Pin | AuthKind::Voicemail => None,
        }
    }
}

impl Scope {
    fn compile(scope: &AccessScope, key: &str, config: &Config, errors: &mut ConfigErrors) -> Self {
        let path = format!("services.{key}");
        let extensions = || config.extensions.iter();
        // The other services have accounts that are no extensions; their names cannot be checked here.
        if key == "sip" {
            check(
                &scope.extensions,
                &format!("{path}.extensions"),
                "extension",
                extensions().map(|e| &*e.number),
                errors,
            );
        }
        let groups = || extensions().flat_map(|e| e.groups.iter().map(String::as_str));
        check(&scope.groups, &format!("{path}.groups"), "group", groups(), errors);
        let departments = || extensions().map(|e| &*e.department).filter(|d| !d.is_empty());
        check(&scope.departments, &format!("{path}.departments"), "department", departments(), errors);
        let member = |e: &&ExtensionConfig| {
            e.groups.iter().any(|g| scope.groups.contains(g)) || scope.departments.contains(&e.department)
        };
        let members = extensions().filter(member).map(|e| e.number.clone());
        let networks = parse_list(&scope.networks, &format!("{path}.networks"), errors);
        Self {
            only_named: scope.access == AccessType::Allowed,
            named: scope.extensions.iter().cloned().chain(members).collect(),
            networks: (!scope.networks.is_empty()).then(|| AddrMap::set(&networks)),
        }
    }

    fn permits(&self, account: &str, addr: IpAddr) -> bool {
        let network = self.networks.as_ref().is_none_or(|list| list.contains(addr));
        network && self.named.contains(account) == self.only_named
    }
}

/// Reports every name of `list` that is not among `known`.
fn check<'a>(
    list: &[String],
    path: &str,
    what: &str,
    known: impl Iterator<Item = &'a str>,
    errors: &mut ConfigErrors,
) {
    let known: BTreeSet<&str> = known.collect();
    for (i, name) in list.iter().enumerate().filter(|(_, name)| !known.contains(name.as_str())) {
        errors.push(
            ConfigError::new(format!("{path}[{i}]"), format!("there is no {what} {name:?}"))
                .nearest(name, known.iter().copied()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbx_core::{Source, Transport};

    fn access(toml: &str) -> Access {
        let mut errors = ConfigErrors::new();
        let access = Access::compile(&toml::from_str(toml).unwrap(), &mut errors);
        assert!(errors.is_empty(), "{errors}");
        access
    }

    fn errors(toml: &str) -> String {
        let mut errors = ConfigErrors::new();
        let _ = Access::compile(&toml::from_str(toml).unwrap(), &mut errors);
        errors.to_string()
    }

    fn attempt<'a>(account: &'a str, addr: &str) -> Attempt<'a> {
        let source = Source::new(format!("{addr}:5060").parse().unwrap(), Transport::Udp);
        Attempt::new(AuthKind::Registration, account, source)
    }

    #[test]
    fn c5_a_user_agent_has_to_begin_with_one_of_the_values() {
        let a =
            access("[[extension]]\nnumber = '1001'\nregistration.user_agents = ['Yealink SIP-T4', 'Zoiper']");
        for (claimed, good) in [
            ("Yealink SIP-T46U 108.86", true),
            ("  yealink sip-t42", true),
            ("Zoiper", true),
            ("Zoipe", false),
            ("my Zoiper", false),
            ("", false),
            ("Zoipeｒ", false),
        ] {
            let result = a.user_agent(&attempt("1001", "192.0.2.1").user_agent(claimed));
            assert_eq!(result.is_ok(), good, "{claimed:?}");
        }
        let missing = a.user_agent(&attempt("1001", "192.0.2.1")).unwrap_err();
        assert_eq!(missing.reason, Reason::UserAgentNotPermitted);
        assert!(a.user_agent(&attempt("other", "192.0.2.1")).is_ok(), "unknown accounts have no rule");
    }

    #[test]
    fn c6_the_deny_list_wins_and_the_default_is_silence() {
        let a = access(
            "[[extension]]\nnumber = '1001'\n[extension.registration]\naddresses = ['192.0.2.0/24']\n\
             deny_addresses = ['192.0.2.66']",
        );
        assert!(a.address(&attempt("1001", "192.0.2.1")).is_ok());
        assert!(a.address(&attempt("1001", "[::ffff:192.0.2.1]")).is_ok());
        for addr in ["192.0.2.66", "198.51.100.1", "[2001:db8::1]"] {
            let refusal = a.address(&attempt("1001", addr)).unwrap_err();
            assert_eq!((refusal.reason, refusal.silent), (Reason::AddressNotPermitted, true), "{addr}");
        }
        let told = access(
            "registration.address_refusal = 'reject'\n[[extension]]\nnumber = '1001'\n\
             registration.addresses = ['192.0.2.1']",
        );
        assert!(!told.address(&attempt("1001", "198.51.100.1")).unwrap_err().silent);
    }

    #[test]
    fn c7_remote_use_is_off_by_default_and_needs_both_switches() {
        let a = access(
            "[services.sip]\naccess = 'restricted'\nextensions = ['1003']\nnetworks = ['203.0.113.0/24']\n\
             [[extension]]\nnumber = '1001'\n\
             [[extension]]\nnumber = '1002'\nregistration.remote = true\n\
             [[extension]]\nnumber = '1003'\nregistration.remote = true",
        );
        let ok = |account, addr, network| a.remote(&attempt(account, addr), network).is_ok();
        assert!(ok("1001", "203.0.113.1", Network::Lan));
        assert!(ok("1001", "203.0.113.1", Network::Vpn));
        assert!(!ok("1001", "203.0.113.1", Network::Public));
        assert!(!ok("1001", "203.0.113.1", Network::Tunnel));
        assert!(ok("1002", "203.0.113.1", Network::Public));
        assert!(!ok("1002", "198.51.100.1", Network::Public), "the list of networks holds as well");
        assert!(!ok("1003", "203.0.113.1", Network::Public), "named by the scope");
    }

    #[test]
    fn c7_allowed_with_an_empty_list_is_nobody_and_restricted_everybody() {
        let web = |access_type: &str| access(&format!("services.web.access = '{access_type}'"));
        let login = Attempt { kind: AuthKind::Web, ..attempt("admin", "203.0.113.1") };
        let refused = web("allowed").remote(&login, Network::Public).unwrap_err();
        assert_eq!(refused.reason, Reason::ServiceNotPermitted);
        assert!(web("restricted").remote(&login, Network::Public).is_ok());
    }

    #[test]
    fn b2_groups_and_departments_count_as_their_extensions() {
        let a = access(
            "[services.client]\naccess = 'allowed'\ngroups = ['sales']\ndepartments = ['it']\n\
             [[extension]]\nnumber = '1001'\ngroups = ['sales']\n\
             [[extension]]\nnumber = '1002'\ndepartment = 'it'\n[[extension]]\nnumber = '1003'",
        );
        let permitted = |account| {
            let login = Attempt { kind: AuthKind::Client, ..attempt(account, "203.0.113.1") };
            a.remote(&login, Network::Public).is_ok()
        };
        assert_eq!(["1001", "1002", "1003"].map(permitted), [true, true, false]);
    }

    #[test]
    fn every_mistake_is_reported_with_its_path() {
        let text = errors(
            "services.sip.extensions = ['1011']\nservices.web.groups = ['sale']\n\
             [[extension]]\nnumber = '1001'\ngroups = ['sales']\n\
             [extension.registration]\ndevices = 21\nuser_agents = [' ']\naddresses = ['x']",
        );
        for part in [
            "services.sip.extensions[0]: there is no extension \"1011\" (did you mean \"1001\"?)",
            "services.web.groups[0]: there is no group \"sale\" (did you mean \"sales\"?)",
            "extension[0].registration.devices",
            "extension[0].registration.user_agents[0]",
            "extension[0].registration.addresses[0]",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
