//! The registrar and its location store (RFC 3261 section 10.3).
//!
//! A REGISTER is looked at first and carried out afterwards: [`Registrar::plan`] changes nothing and says how
//! many devices there would be, the embedder asks its policy, and [`Registrar::commit`] binds.

use core::time::Duration;
use std::collections::VecDeque;

use pbx_core::{AddrKey, Mono, Now, Source};

use crate::endpoint::key::{Fingerprint, Fingerprints, Index, Purpose};
use crate::transaction::store::{Key, Store};

mod binding;
mod plan;

pub use binding::Binding;
pub use plan::{Contact, Contacts, Plan, Refusal, Request};

/// Settings of a [`Registrar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrarConfig {
    /// Most addresses of record with a binding. Default 16 384.
    pub max_aors: usize,
    /// Most bindings of one address of record. Default 20.
    pub max_bindings: usize,
    /// Shortest binding that is accepted; less is refused with 423. Default 60 s, RFC 3261 section 10.3
    /// allows at most 3 600 s.
    pub min_expires: Duration,
    /// Longest binding; more is cut to it. Default 3 600 s.
    pub max_expires: Duration,
    /// The duration of a binding that names none. Default 3 600 s (RFC 3261 section 10.2.1.1).
    pub default_expires: Duration,
}

impl Default for RegistrarConfig {
    fn default() -> Self {
        Self {
            max_aors: 16_384,
            max_bindings: 20,
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3_600),
            default_expires: Duration::from_secs(3_600),
        }
    }
}

/// Which contacts an address of record is reached at, and until when.
///
/// Outputs are drained after every input: [`Registrar::poll_event`] until `None`; then
/// [`Registrar::poll_timeout`] says when [`Registrar::handle_timeout`] is due.
///
/// ```
/// use pbx_core::{Mono, Now, Source, Transport, Wall};
/// use pbx_sip::registrar::{Contact, Contacts, Registrar, RegistrarConfig, Request};
///
/// let now = Now::new(Mono::from_secs(1), Wall::UNIX_EPOCH);
/// let phone = Source::new("198.51.100.7:5062".parse().unwrap(), Transport::Udp);
/// let contact = Contact { uri: "sip:1001@10.0.0.7".into(), instance: None, q: None, expires: Some(600) };
/// let request =
///     Request { call_id: "a84b4c76e66710".into(), seq: 1, contacts: Contacts::Update(vec![contact]) };
///
/// let mut registrar = Registrar::new(RegistrarConfig::default(), [7; 16]);
/// let plan = registrar.plan("sip:1001@example.com", &request, phone, now).unwrap();
/// assert_eq!((plan.devices(), plan.new_devices()), (1, 1));
/// registrar.commit(&plan, now).unwrap();
/// assert_eq!(registrar.bindings("sip:1001@example.com").len(), 1);
/// assert!(registrar.stands_behind(phone.key()));
/// ```
#[derive(Debug)]
pub struct Registrar {
    config: RegistrarConfig,
    fingerprints: Fingerprints,
    records: Store<Record>,
    index: Index<Key>,
    /// How many bindings stand behind an address.
    addresses: Index<u32>,
    events: VecDeque<RegistrarEvent>,
}

/// What the registrar reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistrarEvent {
    /// A binding ran out.
    Expired {
        /// The address of record.
        aor: Box<str>,
        /// What it was reached at.
        binding: Binding,
    },
}

/// One address of record; it is forgotten with its last binding.
#[derive(Debug)]
struct Record {
    aor: Box<str>,
    bindings: Vec<Binding>,
}

impl Record {
    fn next_expiry(&self) -> Option<Mono> {
        self.bindings.iter().map(|b| b.expires_at).min()
    }
}

impl Registrar {
    /// An empty store. `secret` keeps strangers from choosing texts that collide in the tables.
    #[must_use]
    pub fn new(config: RegistrarConfig, secret: [u8; 16]) -> Self {
        Self {
            config,
            fingerprints: Fingerprints::new(&secret),
            records: Store::new(config.max_aors),
            index: Index::default(),
            addresses: Index::default(),
            events: VecDeque::new(),
        }
    }

    /// What `request` of `source` would change for `aor`; nothing changes yet. The text of `aor` is compared
    /// byte by byte: the caller writes it in one form.
    ///
    /// # Errors
    /// When the registrar has to refuse it whatever the policy says.
    pub fn plan(&self, aor: &str, request: &Request, source: Source, now: Now) -> Result<Plan, Refusal> {
        let bound = self.bindings(aor);
        if bound.is_empty() && self.records.is_full() {
            return Err(Refusal::Full);
        }
        Plan::new(aor, bound, request, source, &self.config, now.mono)
    }

    /// Carries `plan` out, worked out anew on what is bound now, and returns all bindings for the 200.
    ///
    /// # Errors
    /// When what happened since it was made is against it; nothing is changed then.
    pub fn commit(&mut self, plan: &Plan, now: Now) -> Result<&[Binding], Refusal> {
        // What has run out is reported before the plan would pass it over.
        if let Some(key) = self.index.get(&self.name(&plan.aor)).copied() {
            self.expire(key, now.mono);
        }
        let plan = self.plan(&plan.aor, &plan.request, plan.source, now)?;
        self.replace(&plan.aor, plan.after);
        Ok(self.bindings(&plan.aor))
    }

    /// The bindings of `aor`, oldest first. What ran out is gone once [`Registrar::handle_timeout`] was called.
    #[must_use]
    pub fn bindings(&self, aor: &str) -> &[Binding] {
        let key = self.index.get(&self.name(aor));
        key.and_then(|&key| self.records.get(key)).map_or(&[], |record| &record.bindings)
    }

    /// How many addresses of record have a binding.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no address of record has a binding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a binding was made from that address: a block of such an address would cut off a user.
    #[must_use]
    pub fn stands_behind(&self, address: AddrKey) -> bool {
        self.addresses.contains_key(&self.address(address))
    }

    /// Removes one device of `aor` (as [`Binding::device`] names it) and says whether it was there.
    pub fn unbind(&mut self, aor: &str, device: &str) -> bool {
        let before = self.bindings(aor);
        let after: Vec<_> = before.iter().filter(|b| b.device() != device).cloned().collect();
        let found = after.len() < before.len();
        self.replace(aor, after);
        found
    }

    /// Removes every binding of `aor`, e.g. because the account was disabled.
    pub fn unbind_all(&mut self, aor: &str) {
        self.replace(aor, Vec::new());
    }

    /// Removes what has run out, at most as much as [`Registrar::poll_event`] has room for.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(key) = self.records.due(now.mono).filter(|_| self.events.len() < MAX_EVENTS) {
            self.expire(key, now.mono);
        }
    }

    /// The next thing to report.
    pub fn poll_event(&mut self) -> Option<RegistrarEvent> {
        self.events.pop_front()
    }

    /// When [`Registrar::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.records.next_timeout()
    }

    fn expire(&mut self, key: Key, now: Mono) {
        let Some(record) = self.records.get(key) else { return };
        let aor = record.aor.clone();
        let (alive, gone): (Vec<_>, Vec<_>) =
            record.bindings.iter().cloned().partition(|b| b.expires_at > now);
        if gone.is_empty() {
            return;
        }
        self.replace(&aor, alive);
        let expired = |binding| RegistrarEvent::Expired { aor: aor.clone(), binding };
        self.events.extend(gone.into_iter().map(expired));
    }

    /// The one place that changes a record: index, deadlines and addresses follow.
    fn replace(&mut self, aor: &str, after: Vec<Binding>) {
        let name = self.name(aor);
        let Some(key) = self.index.get(&name).copied().or_else(|| self.add(name, aor, &after)) else {
            return;
        };
        after.iter().for_each(|b| self.count(b.source.key(), true));
        let Some(record) = self.records.get_mut(key) else { return };
        let before = core::mem::replace(&mut record.bindings, after);
        let next = record.next_expiry();
        before.iter().for_each(|b| self.count(b.source.key(), false));
        self.records.arm(key, next);
        if next.is_none() {
            self.records.remove(key);
            self.index.remove(&name);
        }
    }

    fn add(&mut self, name: Fingerprint, aor: &str, after: &[Binding]) -> Option<Key> {
        if after.is_empty() {
            return None;
        }
        let key = self.records.insert(Record { aor: aor.into(), bindings: Vec::new() })?;
        self.index.insert(name, key);
        Some(key)
    }

    fn count(&mut self, address: AddrKey, more: bool) {
        let name = self.address(address);
        let count = self.addresses.entry(name).or_default();
        *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        if *count == 0 {
            self.addresses.remove(&name);
        }
    }

    fn name(&self, aor: &str) -> Fingerprint {
        self.fingerprints.of(Purpose::Aor, &[aor.as_bytes()])
    }

    fn address(&self, address: AddrKey) -> Fingerprint {
        self.fingerprints.of(Purpose::Source, &[&address.to_bytes()])
    }
}

/// Most events that wait to be polled; what expires beyond them stays until there is room.
const MAX_EVENTS: usize = 1_024;
