//! Requests as they arrive: which transaction they belong to, and which are refused at once.

use pbx_core::{Now, Source};

use super::compose::{self, Parts, Peer};
use super::event::{Dropped, End, Event, Handled, Received, Refused, ServerTransactionId};
use super::key::{Fingerprint, Purpose};
use super::server::{Arrived, reply_to, to_tag};
use super::{Endpoint, Owner, hex};
use crate::header::HeaderName;
use crate::message::write::{Reply, ResponseWriter};
use crate::message::{Action, Fault, Message, Method};
use crate::transaction::store::Key;

impl Endpoint {
    pub(super) fn handle_request(&mut self, source: Source, message: &Message<'_>, now: Now) -> Handled {
        match message.method() {
            Method::Ack => self.handle_ack(message, now),
            Method::Cancel => self.handle_cancel(source, message, now),
            method => {
                let print = self.server_print(message, method);
                match self.server_index.get(&print).copied() {
                    Some(key) => {
                        self.repeat_server(key);
                        Handled::Repeated
                    }
                    None => self.handle_new_request(source, message, print, now),
                }
            }
        }
    }

    fn handle_new_request(
        &mut self,
        source: Source,
        message: &Message<'_>,
        print: Fingerprint,
        now: Now,
    ) -> Handled {
        let source_print = self.fingerprints.of(Purpose::Source, &[&source.key().to_bytes()]);
        if self.per_source.get(&source_print).is_some_and(|n| *n >= self.config.max_transactions_per_source) {
            return Handled::Dropped(Dropped::SourceFull);
        }
        let bytes = self.request_bytes.saturating_add(message.as_bytes().len());
        if self.servers.is_full() || bytes > self.config.max_request_bytes {
            return self.refuse(source, message, Refused::Full, now);
        }
        let outside = to_tag(message).is_empty();
        let merge_print = outside.then(|| self.merge_print(message));
        if let Err(refused) = self.inspect(message, merge_print) {
            return self.refuse(source, message, refused, now);
        }
        let arrived = Arrived {
            method: message.method(),
            source,
            reply_to: reply_to(message.top_via(), source),
            request: Received::new(message.as_bytes().into()),
            print,
            merge_print,
            source_print,
        };
        if outside { self.deliver(arrived, None, now) } else { self.handle_in_dialog(arrived, message, now) }
    }

    /// The inspection of a user agent server (RFC 3261 section 8.2.2) as far as it needs no policy.
    fn inspect(&self, message: &Message<'_>, merge_print: Option<Fingerprint>) -> Result<(), Refused> {
        if merge_print.is_some_and(|print| self.merge_index.contains_key(&print)) {
            return Err(Refused::Merged);
        }
        if self.unsupported(message).next().is_some() {
            return Err(Refused::Extension);
        }
        if message.method() != Method::Invite {
            return Ok(());
        }
        // A call that is forwarded is a hop more, and a loop of forwards ends by this alone (RFC 7332).
        if merge_print.is_some() && message.max_forwards() == Some(0) {
            return Err(Refused::TooManyHops);
        }
        message.contacts().next().map(drop).ok_or(Refused::NoContact)
    }

    fn unsupported<'m>(&'m self, message: &'m Message<'_>) -> impl Iterator<Item = &'m str> {
        let known = |tag: &str| self.config.supported.iter().any(|s| s.eq_ignore_ascii_case(tag));
        message.tokens(HeaderName::Require).filter(move |tag| !known(tag))
    }

    /// Keeps a request and reports it.
    pub(crate) fn deliver(&mut self, arrived: Arrived, dialog: Option<Key>, now: Now) -> Handled {
        let Arrived { method, source, .. } = arrived;
        let message = arrived.request.clone();
        let Some(key) = self.add_server(arrived, dialog, now) else {
            return Handled::Dropped(Dropped::NotDrained);
        };
        let transaction = ServerTransactionId(key);
        let dialog = dialog.map(super::DialogId);
        self.report(Event::Request { transaction, dialog, method, source, message });
        Handled::Accepted
    }

    /// RFC 3261 section 17.1.1.3 and 13.2.2.4: an ACK ends the failure of its own transaction, or belongs to a
    /// dialog.
    fn handle_ack(&mut self, message: &Message<'_>, now: Now) -> Handled {
        let print = self.server_print(message, Method::Invite);
        let Some(key) = self.server_index.get(&print).copied() else {
            return self.acknowledged(message, now);
        };
        let action = self.servers.get_mut(key).map(|tx| tx.machine.handle_ack(now.mono));
        self.settle_server(key);
        match action {
            // A peer that gives the ACK of a 2xx the branch of its INVITE.
            Some(crate::transaction::Action::Deliver) => self.acknowledged(message, now),
            _ => Handled::Accepted,
        }
    }

    /// RFC 3261 section 9.2. It cannot be challenged, so that it counts only from the address of its INVITE.
    fn handle_cancel(&mut self, source: Source, message: &Message<'_>, now: Now) -> Handled {
        let print = self.server_print(message, Method::Invite);
        let own = |tx: &super::ServerTransaction| tx.source.addr() == source.addr();
        let found = self.server_index.get(&print).copied();
        let invite = found.and_then(|key| self.servers.get(key).filter(|tx| own(tx)).map(|tx| (key, tx)));
        let Some((key, tx)) = invite else { return self.refuse(source, message, Refused::NoDialog, now) };
        let (dialog, tag, pending) = (tx.dialog, tx.to_tag, tx.machine.is_pending());
        // Not of the budget of refusals: a flood of strangers must not keep a caller from hanging up.
        self.reply_statelessly(source, message, &Reply::new(200).to_tag(&hex(tag)), &[]);
        if pending {
            let transaction = ServerTransactionId(key);
            let (dialog, message) = (dialog.map(super::DialogId), Received::new(message.as_bytes().into()));
            self.report(Event::Cancelled { transaction, dialog, message });
            // The composition of a status line and copied headers does not fail.
            let _ = self.answer(key, 487, &Parts::default(), End::Cancelled, now);
        }
        Handled::Accepted
    }

    /// Answers a request without keeping anything about it.
    pub(crate) fn refuse(
        &mut self,
        source: Source,
        message: &Message<'_>,
        refused: Refused,
        now: Now,
    ) -> Handled {
        let (name, value) = match refused {
            Refused::Full => ("Retry-After", self.config.retry_after.as_secs().to_string()),
            // RFC 3261 section 14.2: between 0 and 10 seconds.
            Refused::TooSoon => ("Retry-After", self.random.below(11).to_string()),
            Refused::Extension => ("Unsupported", self.unsupported(message).collect::<Vec<_>>().join(", ")),
            _ => ("", String::new()),
        };
        let headers = [(name, value.as_str())];
        let headers = if name.is_empty() { &[][..] } else { &headers[..] };
        // The same request gets the same tag, with no memory of it (RFC 3261 section 8.2.7).
        let tag = hex(self.server_print(message, message.method()).low());
        let reply = Reply::new(refused.status()).to_tag(&tag);
        if !refused.is_of_a_dialog() && !self.refusals.take(now.mono) {
            return Handled::Dropped(Dropped::Quiet);
        }
        self.reply_statelessly(source, message, &reply, headers);
        Handled::Refused(refused)
    }

    fn reply_statelessly(
        &mut self,
        source: Source,
        message: &Message<'_>,
        reply: &Reply<'_>,
        headers: &[(&str, &str)],
    ) {
        // What cannot be composed, because the request leaves no room for an answer, is not answered.
        if let Ok(bytes) = compose::response(message, source, reply, None, &Parts::headers(headers)) {
            let to = Peer { addr: reply_to(message.top_via(), source), transport: source.transport() };
            self.transmit(to, Owner::Nobody, bytes);
        }
    }

    /// Answers what cannot be parsed, as the fault says.
    pub(super) fn refuse_malformed(&mut self, source: Source, fault: &Fault<'_>, now: Now) -> Handled {
        if let Action::Respond(status) = fault.action()
            && self.refusals.take(now.mono)
        {
            let tag = self.unguessable();
            let reply = Reply::new(status).to_tag(&tag).source(source.socket_addr());
            let mut out = Vec::new();
            // What cannot even be copied is not answered.
            if ResponseWriter::refuse(&mut out, fault, &reply).finish("", b"").is_ok() {
                self.transmit(source.into(), Owner::Nobody, out.into());
            }
        }
        Handled::Malformed(fault.malformed())
    }

    /// What copies of a request share (RFC 3261 section 17.2.3); `method` is INVITE for its ACK and CANCEL.
    fn server_print(&self, message: &Message<'_>, method: Method) -> Fingerprint {
        let via = message.top_via();
        let (host, port) = (via.host().to_string(), via.port().unwrap_or_default().to_be_bytes());
        let name = method.as_str().as_bytes();
        let branch = via.branch().unwrap_or_default().as_bytes();
        if via.has_magic_cookie() {
            return self.fingerprints.of(Purpose::Server, &[branch, host.as_bytes(), &port, name]);
        }
        let seq = message.cseq().seq.to_be_bytes();
        let from = message.from().tag().unwrap_or_default().as_bytes();
        let call_id = message.call_id().as_bytes();
        let parts = [branch, host.as_bytes(), &port, name, &seq, from, call_id];
        self.fingerprints.of(Purpose::OldServer, &parts)
    }

    /// What a request shares with itself on another way (RFC 3261 section 8.2.2.2).
    fn merge_print(&self, message: &Message<'_>) -> Fingerprint {
        let seq = message.cseq().seq.to_be_bytes();
        let from = message.from().tag().unwrap_or_default().as_bytes();
        let (call_id, method) = (message.call_id().as_bytes(), message.method());
        self.fingerprints.of(Purpose::Merge, &[call_id, from, &seq, method.as_str().as_bytes()])
    }
}
