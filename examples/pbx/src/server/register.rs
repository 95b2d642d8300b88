//! REGISTER (RFC 3261 section 10.3): who, whether, and where.

use std::time::Duration;

use pbx_core::{Now, Source};
use pbx_sip::registrar::{Binding, Contacts, Refusal, RegistrarEvent, Request};
use pbx_sip::{Message, Parts, ServerTransactionId};
use tracing::info;

use super::auth::{Device, Identity};
use super::pbx::Pbx;

impl Pbx {
    pub(super) fn register(
        &mut self,
        transaction: ServerTransactionId,
        source: Source,
        message: &Message<'_>,
        now: Now,
    ) {
        let request = match Request::of(message) {
            Ok(request) => request,
            Err(refusal) => return self.refuse_registration(transaction, &refusal, now),
        };
        let account = match self.identify(source, message, device(&request), now) {
            Identity::Account(account) => account,
            Identity::Answer(wire, stale) => return self.answer(transaction, source, wire, stale, now),
        };
        let before = self.registrar.bindings(&account).to_vec();
        match self.bind(&account, &request, source, now) {
            Ok(bindings) => {
                self.forget_removed(&account, &before, &bindings);
                self.registered(transaction, &account, &bindings, now);
            }
            Err(refusal) => self.refuse_registration(transaction, &refusal, now),
        }
    }

    /// Changes the bindings of an account. One REGISTER adds one device at most: the guard has counted one.
    fn bind(
        &mut self,
        account: &str,
        request: &Request,
        source: Source,
        now: Now,
    ) -> Result<Vec<Binding>, Refusal> {
        let plan = self.registrar.plan(account, request, source, now)?;
        if plan.new_devices() > 1 {
            return Err(Refusal::TooManyBindings);
        }
        self.registrar.commit(&plan, now).map(<[Binding]>::to_vec)
    }

    /// Devices that a REGISTER removed count no longer; it may have removed all of them (`Contact: *`).
    fn forget_removed(&self, account: &str, before: &[Binding], after: &[Binding]) {
        let removed = before.iter().filter(|b| !after.iter().any(|a| a.device() == b.device()));
        removed.for_each(|b| self.guard.unregister(account, b.device(), Some(&b.source())));
    }

    fn registered(
        &mut self,
        transaction: ServerTransactionId,
        account: &str,
        bindings: &[Binding],
        now: Now,
    ) {
        info!(extension = account, devices = bindings.len(), "registered");
        let contacts: Vec<String> = bindings.iter().map(|b| b.to_contact_value(now.mono)).collect();
        let date = http_date(now);
        let mut headers: Vec<(&str, &str)> = contacts.iter().map(|c| ("Contact", c.as_str())).collect();
        headers.push(("Date", &date));
        self.respond(transaction, 200, &Parts::headers(&headers), now);
    }

    fn refuse_registration(&mut self, transaction: ServerTransactionId, refusal: &Refusal, now: Now) {
        info!(%refusal, "not registered");
        match refusal {
            Refusal::TooBrief { min_expires } => {
                let seconds = min_expires.as_secs().to_string();
                let headers = [("Min-Expires", seconds.as_str())];
                self.respond(transaction, refusal.status(), &Parts::headers(&headers), now);
            }
            _ => self.refuse(transaction, refusal.status(), now),
        }
    }

    /// What ran out by itself is forgotten by the guard, too.
    pub(super) fn registrar_event(&mut self, event: &RegistrarEvent) {
        if let RegistrarEvent::Expired { aor, binding } = event {
            info!(extension = aor, device = binding.device(), "registration ran out");
            self.guard.unregister(aor, binding.device(), Some(&binding.source()));
        }
    }
}

/// The first device a REGISTER is about: phones register one at a time.
fn device(request: &Request) -> Device<'_> {
    match &request.contacts {
        Contacts::Update(contacts) => contacts.first().map_or_else(Device::default, |c| Device {
            contact: Some(&c.uri),
            instance: c.instance.as_deref(),
            expires: c.expires.map(|s| Duration::from_secs(s.into())),
        }),
        Contacts::RemoveAll => Device { expires: Some(Duration::ZERO), ..Device::default() },
        _ => Device::default(),
    }
}

/// The Date of an answer (RFC 3261 section 20.17): phones without a clock set theirs by it.
fn http_date(now: Now) -> String {
    chrono::DateTime::from_timestamp(now.wall.unix_secs(), 0)
        .map(|t| t.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}
