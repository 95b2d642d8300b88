//! What a REGISTER asks for, and what it would change.

use core::time::Duration;

use pbx_core::{Mono, Source};

use super::{Binding, RegistrarConfig};
use crate::header::NameAddr;
use crate::message::Message;

/// The part of a REGISTER that a registrar acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The Call-ID: refreshes of one device share it.
    pub call_id: String,
    /// The number of CSeq: orders the requests of one Call-ID.
    pub seq: u32,
    /// What it asks for.
    pub contacts: Contacts,
}

/// What a REGISTER asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contacts {
    /// Nothing: which bindings are there?
    Query,
    /// `*`: removal of every binding.
    RemoveAll,
    /// These, added, refreshed or (with `expires` 0) removed.
    Update(Vec<Contact>),
}

/// One Contact of a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The URI.
    pub uri: String,
    /// `+sip.instance` without its quotes (RFC 5626 section 4.1).
    pub instance: Option<String>,
    /// Preference in thousandths.
    pub q: Option<u16>,
    /// Seconds asked for, in the parameter or else the Expires header.
    pub expires: Option<u32>,
}

/// Longest Contact URI or instance id that is kept, in bytes. Ours: a thousand of them stay below a megabyte.
const MAX_TEXT: usize = 512;

impl Request {
    /// What `register` asks for.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for `*` beside other contacts or without `Expires: 0`, for contacts that are no
    /// addresses, and for URIs and instance ids over 512 bytes (RFC 3261 section 10.2.2).
    pub fn of(register: &Message<'_>) -> Result<Self, Refusal> {
        let call_id = register.call_id().to_owned();
        let contacts = contacts(register)?;
        Ok(Self { call_id, seq: register.cseq().seq, contacts })
    }
}

fn contacts(register: &Message<'_>) -> Result<Contacts, Refusal> {
    if register.contact_is_star() {
        // RFC 3261 section 10.3 step 6: a `*` that does not say 0 is a mistake.
        return if register.expires() == Some(0) { Ok(Contacts::RemoveAll) } else { Err(Refusal::Malformed) };
    }
    let contacts: Result<Vec<_>, _> =
        register.contacts().map(|contact| Contact::of(&contact, register.expires())).collect();
    contacts.map(|contacts| if contacts.is_empty() { Contacts::Query } else { Contacts::Update(contacts) })
}

impl Contact {
    fn of(contact: &NameAddr<'_>, expires: Option<u32>) -> Result<Self, Refusal> {
        let uri = contact.uri().as_str().to_owned();
        let instance = contact.params().text(INSTANCE).map(|text| text.into_owned());
        // What is written into quotes again must not end them.
        let plain = |text: &String| text.len() <= MAX_TEXT && !text.contains(['"', '\\']);
        if uri.len() > MAX_TEXT || instance.as_ref().is_some_and(|text| !plain(text)) {
            return Err(Refusal::Malformed);
        }
        Ok(Self { uri, instance, q: contact.q(), expires: contact.expires().or(expires) })
    }
}

/// RFC 5626 section 4.1.
const INSTANCE: &str = "+sip.instance";

/// Why a REGISTER is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A Contact that cannot be understood.
    #[error("a Contact of the REGISTER is not of its form (RFC 3261 10.2.2)")]
    Malformed,
    /// A binding that is asked for is shorter than this registrar accepts.
    #[error("the binding is shorter than {} s (RFC 3261 10.3)", .min_expires.as_secs())]
    TooBrief {
        /// The value of Min-Expires.
        min_expires: Duration,
    },
    /// An older request of the same Call-ID came after a newer one.
    #[error("the CSeq is not above that of the binding (RFC 3261 10.3)")]
    OutOfOrder,
    /// More contacts than an address of record may have.
    #[error("the address of record has as many bindings as it may")]
    TooManyBindings,
    /// The store is full.
    #[error("the location store is full")]
    Full,
}

impl Refusal {
    /// The status to answer with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::TooBrief { .. } => 423,
            Self::OutOfOrder => 500,
            Self::TooManyBindings => 403,
            Self::Full => 503,
        }
    }
}

/// What a REGISTER would change; made by [`Registrar::plan`](super::Registrar::plan).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(super) aor: Box<str>,
    pub(super) request: Request,
    pub(super) source: Source,
    /// All bindings of the address of record once this is carried out.
    pub(super) after: Vec<Binding>,
    new_devices: usize,
}

impl Plan {
    /// How many devices the address of record will have.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.after.len()
    }

    /// How many of them it does not have yet: 0 for a refresh, which never counts against a limit.
    #[must_use]
    pub const fn new_devices(&self) -> usize {
        self.new_devices
    }

    /// Works out `request` on a copy of `bound`.
    pub(super) fn new(
        aor: &str,
        bound: &[Binding],
        request: &Request,
        source: Source,
        config: &RegistrarConfig,
        now: Mono,
    ) -> Result<Self, Refusal> {
        let after = bound.iter().filter(|b| b.expires_at > now).cloned().collect();
        let mut plan = Self { aor: aor.into(), request: request.clone(), source, after, new_devices: 0 };
        match &request.contacts {
            Contacts::Query => {}
            Contacts::RemoveAll => plan.remove_all()?,
            Contacts::Update(contacts) => {
                contacts.iter().try_for_each(|contact| plan.update(contact, config, now))?;
            }
        }
        if plan.after.len() <= config.max_bindings { Ok(plan) } else { Err(Refusal::TooManyBindings) }
    }

    fn remove_all(&mut self) -> Result<(), Refusal> {
        let late = self.after.iter().any(|b| self.is_late(b));
        self.after.clear();
        if late { Err(Refusal::OutOfOrder) } else { Ok(()) }
    }

    fn update(&mut self, contact: &Contact, config: &RegistrarConfig, now: Mono) -> Result<(), Refusal> {
        let lasts = lasts(contact.expires, config)?;
        let old = self.after.iter().position(|b| b.is_of(&contact.uri, contact.instance.as_deref()));
        if old.and_then(|at| self.after.get(at)).is_some_and(|b| self.is_late(b)) {
            // A device that is named twice in one request looks like this, too; neither is worth guessing.
            return Err(Refusal::OutOfOrder);
        }
        let binding = (!lasts.is_zero()).then(|| self.binding(contact, now + lasts));
        match (old, binding) {
            (Some(at), Some(binding)) => {
                self.after.iter_mut().skip(at).take(1).for_each(|b| *b = binding.clone())
            }
            (Some(at), None) => drop(self.after.remove(at)),
            (None, Some(binding)) => self.bind(binding),
            (None, None) => {}
        }
        Ok(())
    }

    fn bind(&mut self, binding: Binding) {
        self.new_devices += 1;
        self.after.push(binding);
    }

    fn binding(&self, contact: &Contact, expires_at: Mono) -> Binding {
        Binding {
            contact: contact.uri.as_str().into(),
            instance: contact.instance.as_deref().map(Into::into),
            q: contact.q,
            call_id: self.request.call_id.as_str().into(),
            seq: self.request.seq,
            expires_at,
            source: self.source,
        }
    }

    /// RFC 3261 section 10.3 step 7: within one Call-ID only a higher CSeq changes a binding.
    fn is_late(&self, b: &Binding) -> bool {
        *b.call_id == *self.request.call_id && self.request.seq <= b.seq
    }
}

/// How long a binding lasts; zero removes it.
fn lasts(asked: Option<u32>, config: &RegistrarConfig) -> Result<Duration, Refusal> {
    let asked = asked.map_or(config.default_expires, |s| Duration::from_secs(s.into()));
    if asked.is_zero() || asked >= config.min_expires {
        Ok(asked.min(config.max_expires))
    } else {
        Err(Refusal::TooBrief { min_expires: config.min_expires })
    }
}
