//! Requests that were sent and wait for answers.

use std::sync::Arc;

use pbx_core::{Mono, Now, Transport};

use super::compose::{self, Parts, Peer};
use super::error::CommandError;
use super::event::{ClientTransactionId, DialogId, Dropped, Event, Handled, Received};
use super::key::{Fingerprint, Purpose};
use super::machine::ClientMachine;
use super::withdraw::Cancel;
use super::{Endpoint, Owner};
use crate::header::HeaderName;
use crate::message::write::Request;
use crate::message::{Message, Method};
use crate::transaction::Action;
use crate::transaction::store::Key;

/// A request that was sent.
#[derive(Debug)]
pub(crate) struct ClientTransaction {
    pub(super) machine: ClientMachine,
    pub(crate) method: Method,
    pub(crate) request: Received,
    pub(crate) to: Peer,
    /// The dialog it belongs to, which may have ended.
    pub(crate) dialog: Option<Key>,
    /// Those who accepted an INVITE, each with the ACK it got (RFC 3261 section 13.2.2.4).
    pub(crate) accepted: Vec<Accepted>,
    pub(super) cancel: Cancel,
    /// Timer C, and after a CANCEL the end of all patience.
    pub(super) deadline: Option<Mono>,
    /// Until when the request is kept for credentials, and the status that asked for them.
    challenged: Option<(Mono, u16)>,
    tries: u8,
    quiet: bool,
    print: Fingerprint,
}

/// One who accepted an INVITE.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) tag: Fingerprint,
    pub(crate) ack: Option<(Peer, Arc<[u8]>)>,
}

/// Most who accept one INVITE and are answered. Ours: every one costs a BYE.
const MAX_ACCEPTED: usize = 8;
/// Most times that one request is repeated with credentials. Ours: a peer that challenges for ever would
/// otherwise be asked for ever.
const MAX_TRIES: u8 = 3;

/// A request outside of dialogs: REGISTER, OPTIONS, MESSAGE and their like.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built by the embedder; the RFC has no seventh part")]
pub struct Outgoing<'a> {
    /// The method, any but INVITE, ACK, BYE and CANCEL.
    pub method: Method,
    /// The Request-URI.
    pub uri: &'a str,
    /// The From value without a tag: [`write::name_addr`](crate::write::name_addr) makes one.
    pub from: &'a str,
    /// The To value without a tag.
    pub to: &'a str,
    /// The Call-ID; a new one when empty. The REGISTERs of one account share it (RFC 3261 section 10.2).
    pub call_id: &'a str,
    /// The number of CSeq; with a Call-ID that was used before, one more than it had.
    pub seq: u32,
}

impl Endpoint {
    /// Sends a request outside of dialogs to `to`. Its responses are [`Event::Response`], or
    /// [`Event::Challenged`].
    ///
    /// # Errors
    /// When the method has a command of its own, a text cannot be written, no address is advertised for the
    /// transport, or there are as many transactions as there may be.
    pub fn request(
        &mut self,
        request: &Outgoing<'_>,
        to: Peer,
        parts: &Parts<'_>,
        now: Now,
    ) -> Result<ClientTransactionId, CommandError> {
        if matches!(request.method, Method::Invite | Method::Ack | Method::Bye | Method::Cancel) {
            return Err(CommandError::State("the method has a command of its own"));
        }
        parts.check(&[])?;
        let from = format!("{};tag={}", request.from, self.unguessable());
        let made = if request.call_id.is_empty() { self.call_id() } else { String::new() };
        let branch = self.branch();
        let core = Request {
            method: request.method,
            uri: request.uri,
            via: &compose::via(&self.config, to.transport, &branch)?,
            from: &from,
            to: request.to,
            call_id: if made.is_empty() { request.call_id } else { &made },
            seq: request.seq,
        };
        let bytes = compose::request(&core, [], parts)?;
        self.start(
            Start { method: request.method, branch: &branch, bytes, to, dialog: None, quiet: false },
            now,
        )
        .map(ClientTransactionId)
    }

    /// Repeats a request that was challenged with credentials: `name` is `Authorization` after 401 and
    /// `Proxy-Authorization` after 407. The answer is the new transaction; a dialog stays the same.
    ///
    /// # Errors
    /// When the request was not challenged or 64·T1 have passed, was repeated three times already, or a text
    /// cannot be written.
    pub fn authorize(
        &mut self,
        transaction: ClientTransactionId,
        name: &str,
        value: &str,
        now: Now,
    ) -> Result<ClientTransactionId, CommandError> {
        let tx = self.clients.get(transaction.0).ok_or(CommandError::Gone)?;
        let (to, dialog, tries, method) = (tx.to, tx.dialog, tx.tries, tx.method);
        if tx.challenged.is_none() || !matches!(name, "Authorization" | "Proxy-Authorization") {
            return Err(CommandError::State("the request was not challenged"));
        }
        let request = tx.request.clone();
        let message = request.parse().map_err(|fault| fault.malformed())?;
        let seq = self.next_seq(dialog, message.cseq().seq)?;
        let branch = self.branch();
        let via = compose::via(&self.config, to.transport, &branch)?;
        let bytes = compose::authorized(&message, &via, seq, name, value)?;
        let key = self.start(Start { method, branch: &branch, bytes, to, dialog, quiet: false }, now)?;
        if let Some(tx) = self.clients.get_mut(key) {
            tx.tries = tries.saturating_add(1);
        }
        if let Some(dialog) = dialog {
            self.retried(dialog, transaction.0, key, seq);
        }
        self.let_go(transaction.0);
        Ok(ClientTransactionId(key))
    }

    /// Sends a request in a transaction of its own.
    pub(crate) fn start(&mut self, start: Start<'_>, now: Now) -> Result<Key, CommandError> {
        let Start { method, branch, bytes, to, dialog, quiet } = start;
        let print = self.client_print(branch, method);
        let reliable = to.transport != Transport::Udp;
        let tx = ClientTransaction {
            machine: ClientMachine::new(method, &self.config, reliable, now.mono),
            method,
            request: Received::new(bytes.clone()),
            to,
            dialog,
            accepted: Vec::new(),
            cancel: Cancel::No,
            deadline: None,
            challenged: None,
            tries: 0,
            quiet,
            print,
        };
        let key = self.clients.insert(tx).ok_or(CommandError::Full)?;
        self.client_index.insert(print, key);
        self.transmit(to, Owner::Client(key), bytes);
        self.settle_client(key);
        Ok(key)
    }

    /// The INVITE of `key` begins `dialog`.
    pub(crate) fn adopt(&mut self, key: Key, dialog: Key) {
        if let Some(tx) = self.clients.get_mut(key) {
            tx.dialog = Some(dialog);
            tx.quiet = false;
        }
    }

    pub(super) fn handle_response(&mut self, message: &Message<'_>, now: Now) -> Handled {
        let branch = message.top_via().branch().unwrap_or_default();
        let print = self.client_print(branch, message.method());
        // RFC 3261 section 8.1.3.3: with a second Via it is not for us.
        let ours = message.vias().nth(1).is_none();
        let found = self.client_index.get(&print).copied().filter(|_| ours);
        let (Some(key), Some(status)) = (found, message.status()) else {
            return Handled::Dropped(Dropped::NoTransaction);
        };
        let action = self.clients.get_mut(key).map(|tx| tx.machine.handle_response(status, now.mono));
        if matches!(action, Some(Action::Ack | Action::DeliverAndAck)) {
            self.acknowledge_failure(key, message);
        }
        let news = matches!(action, Some(Action::Deliver | Action::DeliverAndAck));
        if news {
            self.deliver_response(key, message, status, now);
        }
        self.settle_client(key);
        if news { Handled::Accepted } else { Handled::Repeated }
    }

    fn deliver_response(&mut self, key: Key, message: &Message<'_>, status: u16, now: Now) {
        let Some(tx) = self.clients.get_mut(key) else { return };
        let invite = tx.method == Method::Invite;
        let (dialog, quiet) = (tx.dialog, tx.quiet);
        match status {
            100..=199 if invite => self.note_provisional(key, now),
            401 | 407 if !quiet && tx.tries < MAX_TRIES && has_challenge(message) => {
                tx.challenged = Some((now.mono + self.config.timing.give_up(), status));
            }
            _ => {}
        }
        match (dialog, invite) {
            (Some(dialog), true) => self.invite_response(key, dialog, message, status, now),
            (Some(dialog), false) => self.dialog_response(key, dialog, message, status, now),
            (None, _) if !quiet => self.report_response(key, None, message, status),
            _ => {}
        }
    }

    /// Reports a response, or the challenge it is.
    pub(crate) fn report_response(
        &mut self,
        key: Key,
        dialog: Option<Key>,
        message: &Message<'_>,
        status: u16,
    ) {
        let (transaction, dialog) = (ClientTransactionId(key), dialog.map(DialogId));
        let message = Received::new(message.as_bytes().into());
        self.report(if self.is_challenged(key) {
            Event::Challenged { transaction, dialog, status, message }
        } else {
            Event::Response { transaction, dialog, status, message }
        });
    }

    /// Whether the request waits for credentials.
    pub(crate) fn is_challenged(&self, key: Key) -> bool {
        self.clients.get(key).is_some_and(|tx| tx.challenged.is_some())
    }

    fn acknowledge_failure(&mut self, key: Key, response: &Message<'_>) {
        let Some(tx) = self.clients.get(key) else { return };
        let (request, to) = (tx.request.clone(), tx.to);
        if let Ok(message) = request.parse()
            && let Ok(bytes) =
                compose::hop_request(&message, Method::Ack, response.to().as_str(), &Parts::default())
        {
            self.transmit(to, Owner::Client(key), bytes);
        }
    }

    /// Whether a 2xx with that tag is the first of its sender, which is noted; its ACK goes out again if
    /// not.
    pub(crate) fn note_accepted(&mut self, key: Key, tag: Fingerprint) -> bool {
        let Some(tx) = self.clients.get_mut(key) else { return false };
        if let Some(known) = tx.accepted.iter().find(|a| a.tag == tag) {
            if let Some((to, ack)) = known.ack.clone() {
                self.transmit(to, Owner::Nobody, ack);
            }
            return false;
        }
        let room = tx.accepted.len() < MAX_ACCEPTED;
        if room {
            tx.accepted.push(Accepted { tag, ack: None });
        }
        room
    }

    /// Keeps the ACK of one who accepted, for every copy of its 2xx, and sends it.
    pub(crate) fn send_ack(&mut self, key: Key, tag: Fingerprint, to: Peer, ack: Arc<[u8]>) {
        let known = self.clients.get_mut(key).and_then(|tx| tx.accepted.iter_mut().find(|a| a.tag == tag));
        if let Some(known) = known {
            known.ack = Some((to, ack.clone()));
        }
        self.transmit(to, Owner::Nobody, ack);
    }

    pub(super) fn client_timeout(&mut self, key: Key, now: Now) {
        let Some(tx) = self.clients.get_mut(key) else { return };
        if let Some((_, status)) = tx.challenged.filter(|&(until, _)| until <= now.mono) {
            tx.challenged = None;
            self.challenge_lapsed(key, status);
        } else if tx.deadline.is_some_and(|at| at <= now.mono) {
            self.client_deadline(key, now);
        } else {
            match tx.machine.handle_timeout(now.mono) {
                Action::Send => self.resend_request(key),
                Action::TimedOut => self.client_failed(key, Failure::TimedOut, now),
                _ => {}
            }
        }
        self.settle_client(key);
    }

    pub(super) fn client_transport_failure(&mut self, key: Key, now: Now) {
        let Some(tx) = self.clients.get_mut(key) else { return };
        if tx.machine.handle_transport_failure() == Action::TransportFailed {
            self.client_failed(key, Failure::Transport, now);
        }
        self.settle_client(key);
    }

    pub(super) fn client_failed(&mut self, key: Key, failure: Failure, now: Now) {
        let Some(tx) = self.clients.get(key) else { return };
        match tx.dialog {
            Some(dialog) => self.dialog_request_failed(key, dialog, failure, now),
            None if !tx.quiet => self.report_failure(key, None, failure),
            None => {}
        }
    }

    pub(crate) fn report_failure(&mut self, key: Key, dialog: Option<Key>, failure: Failure) {
        let (transaction, dialog) = (ClientTransactionId(key), dialog.map(DialogId));
        self.report(match failure {
            Failure::TimedOut => Event::TimedOut { transaction, dialog },
            Failure::Transport => Event::TransportFailed { transaction, dialog },
        });
    }

    fn resend_request(&mut self, key: Key) {
        let Some(tx) = self.clients.get(key) else { return };
        let (to, bytes) = (tx.to, tx.request.bytes());
        self.transmit(to, Owner::Client(key), bytes);
    }

    /// The request is not kept for credentials any more.
    pub(crate) fn let_go(&mut self, key: Key) {
        if let Some(tx) = self.clients.get_mut(key) {
            tx.challenged = None;
            self.settle_client(key);
        }
    }

    /// Arms the timer of a transaction, or forgets it.
    pub(super) fn settle_client(&mut self, key: Key) {
        let Some(tx) = self.clients.get(key) else { return };
        if tx.machine.is_terminated() && tx.challenged.is_none() {
            return self.forget_client(key);
        }
        let kept_until = tx.challenged.map(|(until, _)| until);
        let deadline = tx.deadline.filter(|_| tx.machine.is_pending());
        let next = tx.machine.next_timeout().into_iter().chain(kept_until).chain(deadline).min();
        self.clients.arm(key, next);
    }

    pub(super) fn forget_client(&mut self, key: Key) {
        if let Some(tx) = self.clients.remove(key) {
            self.client_index.remove(&tx.print);
        }
    }

    fn client_print(&self, branch: &str, method: Method) -> Fingerprint {
        self.fingerprints.of(Purpose::Client, &[branch.as_bytes(), method.as_str().as_bytes()])
    }

    /// 32 characters that nobody can guess, and that say nothing about the host (RFC 3261 section 8.1.1.4).
    pub(crate) fn call_id(&mut self) -> String {
        self.unguessable() + &self.unguessable()
    }
}

/// A request to be sent.
pub(crate) struct Start<'a> {
    pub(crate) method: Method,
    pub(crate) branch: &'a str,
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) to: Peer,
    pub(crate) dialog: Option<Key>,
    /// Whether its responses interest nobody.
    pub(crate) quiet: bool,
}

/// Why a request has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    TimedOut,
    Transport,
}

fn has_challenge(message: &Message<'_>) -> bool {
    let challenges = [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate];
    challenges.iter().any(|&name| message.header(name).is_some())
}
