//! Requests that were received and are being answered.

use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use pbx_core::{Mono, Now, Source, Transport};

use super::compose::{self, Parts, Peer};
use super::error::CommandError;
use super::event::{DialogId, End, Event, Received, ServerTransactionId};
use super::key::Fingerprint;
use super::machine::ServerMachine;
use super::{Endpoint, Owner, hex};
use crate::header::Via;
use crate::message::write::Reply;
use crate::message::{Message, Method};
use crate::transaction::Action;
use crate::transaction::store::Key;

/// A request that was received.
#[derive(Debug)]
pub(crate) struct ServerTransaction {
    pub(crate) machine: ServerMachine,
    pub(crate) method: Method,
    pub(crate) source: Source,
    /// The tag that every response but 100 gives the To of a request that has none.
    pub(crate) to_tag: u64,
    /// What responses are made from; let go with the final one.
    pub(crate) request: Option<Received>,
    /// The dialog it belongs to, or has begun.
    pub(crate) dialog: Option<Key>,
    reply_to: Peer,
    /// What copies are answered with.
    response: Option<Arc<[u8]>>,
    answer_by: Mono,
    print: Fingerprint,
    merge_print: Option<Fingerprint>,
    source_print: Fingerprint,
}

/// A request that is new, with what it is found by.
pub(crate) struct Arrived {
    pub(crate) method: Method,
    pub(crate) source: Source,
    pub(super) reply_to: SocketAddr,
    pub(crate) request: Received,
    pub(crate) print: Fingerprint,
    pub(super) merge_print: Option<Fingerprint>,
    pub(super) source_print: Fingerprint,
}

impl Endpoint {
    /// Answers a request. A final response ends the embedder's part; an INVITE that is answered with 101 to
    /// 299 gets or has a dialog, see [`Endpoint::ring`] and [`Endpoint::accept`].
    ///
    /// # Errors
    /// When the transaction has ended or was answered, when the status is impossible (other requests than
    /// INVITE have no provisional responses but 100: RFC 4320 section 4.1), or when a text cannot be written.
    pub fn respond(
        &mut self,
        transaction: ServerTransactionId,
        status: u16,
        parts: &Parts<'_>,
        now: Now,
    ) -> Result<(), CommandError> {
        let tx = self.servers.get(transaction.0).ok_or(CommandError::Gone)?;
        match (tx.method, status) {
            (Method::Invite, 101..=299) => self.answer_invite(transaction.0, status, parts, now).map(drop),
            (_, 100 | 200..=699) => self.answer(transaction.0, status, parts, End::Refused(status), now),
            _ => Err(CommandError::Status(status)),
        }
    }

    /// Never answers a request: its sender learns nothing. A copy of it is a new request.
    pub fn drop_request(&mut self, transaction: ServerTransactionId) {
        if self.servers.get(transaction.0).is_some_and(|tx| tx.machine.is_pending()) {
            self.leave_dialog(transaction.0, End::HungUp);
            self.forget_server(transaction.0);
        }
    }

    /// The dialog that a request belongs to or has begun.
    #[must_use]
    pub fn dialog_of(&self, transaction: ServerTransactionId) -> Option<DialogId> {
        self.servers.get(transaction.0)?.dialog.map(DialogId)
    }

    /// Sends a response other than 101 to 299 to an INVITE. A dialog that an INVITE had begun ends as `end`
    /// says.
    pub(crate) fn answer(
        &mut self,
        key: Key,
        status: u16,
        parts: &Parts<'_>,
        end: End,
        now: Now,
    ) -> Result<(), CommandError> {
        let tx = self.servers.get(key).ok_or(CommandError::Gone)?;
        if !tx.machine.is_pending() {
            return Err(CommandError::State("the request was answered"));
        }
        let bytes = tx.compose(status, None, parts)?;
        if (200..300).contains(&status) {
            self.refresh_target(key);
        }
        self.send_response(key, status, bytes, now);
        if status >= 300 {
            self.leave_dialog(key, end);
        }
        Ok(())
    }

    /// Hands a response to the machine and, when that lets it, to the transport.
    pub(crate) fn send_response(&mut self, key: Key, status: u16, bytes: Arc<[u8]>, now: Now) {
        let Some(tx) = self.servers.get_mut(key) else { return };
        if tx.machine.respond(status, now.mono) == Action::Send {
            tx.response = Some(bytes);
            // Some clients do not count CSeq up when they add credentials; they are no second way.
            let again = tx.merge_print.filter(|_| matches!(status, 401 | 407));
            let done = (status >= 200).then(|| tx.request.take()).flatten();
            self.request_bytes =
                self.request_bytes.saturating_sub(done.map_or(0, |request| request.as_bytes().len()));
            again.into_iter().for_each(|print| self.unmerge(print, key));
            self.resend_response(key);
        }
        self.settle_server(key);
    }

    /// Keeps a new request; `None` when there is no room for it.
    pub(crate) fn add_server(&mut self, arrived: Arrived, dialog: Option<Key>, now: Now) -> Option<Key> {
        let Arrived { method, source, reply_to, request, print, merge_print, source_print } = arrived;
        let reliable = source.transport() != Transport::Udp;
        let bytes = request.as_bytes().len();
        let key = self.servers.insert(ServerTransaction {
            machine: ServerMachine::new(method, &self.config, reliable, now.mono),
            method,
            source,
            to_tag: self.random.next_u64(),
            request: Some(request),
            dialog,
            reply_to: Peer { addr: reply_to, transport: source.transport() },
            response: None,
            answer_by: now.mono + self.patience(method),
            print,
            merge_print,
            source_print,
        })?;
        self.request_bytes += bytes;
        self.server_index.insert(print, key);
        if let Some(print) = merge_print {
            self.merge_index.insert(print, key);
        }
        *self.per_source.entry(source_print).or_default() += 1;
        self.settle_server(key);
        Some(key)
    }

    /// How long the embedder has for an answer. Other requests than INVITE are given up by their senders after
    /// 64·T1, and an answer after that would do harm (RFC 4320 section 4.2).
    fn patience(&self, method: Method) -> Duration {
        if method == Method::Invite { self.config.answer_within } else { self.config.timing.give_up() }
    }

    /// The transaction of that fingerprint.
    pub(crate) fn server_by(&self, print: Fingerprint) -> Option<Key> {
        self.server_index.get(&print).copied()
    }

    /// A request arrived again.
    pub(super) fn repeat_server(&mut self, key: Key) {
        let action = self.servers.get_mut(key).map(|tx| tx.machine.handle_request());
        if action == Some(Action::Send) {
            self.resend_response(key);
        }
    }

    pub(super) fn server_timeout(&mut self, key: Key, now: Now) {
        let Some(tx) = self.servers.get_mut(key) else { return };
        if tx.machine.is_pending() && tx.answer_by <= now.mono {
            return self.give_up_server(key, now);
        }
        let source = tx.source;
        match tx.machine.handle_timeout(now.mono) {
            Action::Send => self.resend_response(key),
            Action::SendTrying => self.send_trying(key, now),
            Action::TimedOut => {
                self.report(Event::Unacknowledged { transaction: ServerTransactionId(key), source });
            }
            _ => {}
        }
        self.settle_server(key);
    }

    pub(super) fn server_transport_failure(&mut self, key: Key) {
        if let Some(tx) = self.servers.get_mut(key) {
            tx.machine.handle_transport_failure();
            self.settle_server(key);
        }
    }

    fn give_up_server(&mut self, key: Key, now: Now) {
        let invite = self.servers.get(key).is_some_and(|tx| tx.method == Method::Invite);
        let answered = invite && self.answer(key, 408, &Parts::default(), End::TimedOut, now).is_ok();
        if !answered {
            self.forget_server(key);
        }
    }

    fn send_trying(&mut self, key: Key, now: Now) {
        let bytes = self.servers.get(key).map(|tx| tx.compose(100, None, &Parts::default()));
        if let Some(Ok(bytes)) = bytes {
            self.send_response(key, 100, bytes, now);
        }
    }

    fn resend_response(&mut self, key: Key) {
        let Some(tx) = self.servers.get(key) else { return };
        if let Some(bytes) = tx.response.clone() {
            self.transmit(tx.reply_to, Owner::Server(key), bytes);
        }
    }

    /// Arms the timer of a transaction, or forgets it.
    pub(super) fn settle_server(&mut self, key: Key) {
        let Some(tx) = self.servers.get(key) else { return };
        if tx.machine.is_terminated() {
            return self.forget_server(key);
        }
        let answer_by = tx.machine.is_pending().then_some(tx.answer_by);
        let next = tx.machine.next_timeout().into_iter().chain(answer_by).min();
        self.servers.arm(key, next);
    }

    /// The request of `key` may come on another way from now on.
    fn unmerge(&mut self, print: Fingerprint, key: Key) {
        if self.merge_index.get(&print) == Some(&key) {
            self.merge_index.remove(&print);
        }
    }

    fn forget_server(&mut self, key: Key) {
        let Some(tx) = self.servers.remove(key) else { return };
        self.server_index.remove(&tx.print);
        tx.merge_print.into_iter().for_each(|print| self.unmerge(print, key));
        self.request_bytes =
            self.request_bytes.saturating_sub(tx.request.map_or(0, |request| request.as_bytes().len()));
        let left = self.per_source.get_mut(&tx.source_print).map_or(0, |count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == 0 {
            self.per_source.remove(&tx.source_print);
        }
    }
}

impl ServerTransaction {
    /// A response to it.
    pub(crate) fn compose(
        &self,
        status: u16,
        contact: Option<&str>,
        parts: &Parts<'_>,
    ) -> Result<Arc<[u8]>, CommandError> {
        let request = self.request.as_ref().ok_or(CommandError::State("the request was answered"))?;
        let message = request.parse().map_err(|fault| fault.malformed())?;
        let tag = hex(self.to_tag);
        compose::response(&message, self.source, &Reply::new(status).to_tag(&tag), contact, parts)
    }

    /// Where responses go.
    pub(crate) const fn reply_to(&self) -> Peer {
        self.reply_to
    }
}

/// Where a response to a request goes (RFC 3261 section 18.2.2, RFC 3581 section 4): back over the stream, and
/// over UDP to the address it came from. `maddr` and the host of Via are the sender's claim, and following
/// them would send our answers to a third party.
pub(super) fn reply_to(top: &Via<'_>, source: Source) -> SocketAddr {
    let mut to = source.socket_addr();
    if source.transport() == Transport::Udp && top.rport().is_none() {
        to.set_port(top.port().unwrap_or(DEFAULT_PORT));
    }
    to
}

/// RFC 3261 section 19.1.2.
const DEFAULT_PORT: u16 = 5060;

/// The tag of a To, empty where there is none.
pub(crate) fn to_tag<'a>(message: &Message<'a>) -> &'a str {
    message.to().tag().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(via: &str, from: &str, transport: Transport) -> String {
        reply_to(&Via::parse(via).unwrap(), Source::new(from.parse().unwrap(), transport)).to_string()
    }

    #[test]
    fn rfc3581_4_rport_is_answered_to_the_source_port() {
        let via = "SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff";
        assert_eq!(to(via, "192.0.2.1:9988", Transport::Udp), "192.0.2.1:9988");
    }

    #[test]
    fn rfc3261_18_2_2_without_rport_the_port_is_that_of_sent_by() {
        let via = "SIP/2.0/UDP a:5070;branch=z9hG4bKa;maddr=203.0.113.9;received=203.0.113.9";
        assert_eq!(to(via, "192.0.2.1:9988", Transport::Udp), "192.0.2.1:5070", "and never another address");
        assert_eq!(to("SIP/2.0/UDP a;branch=z9hG4bKa", "192.0.2.1:9988", Transport::Udp), "192.0.2.1:5060");
    }

    #[test]
    fn rfc3261_18_2_2_a_stream_is_answered_where_it_comes_from() {
        assert_eq!(to("SIP/2.0/TCP a:5060", "192.0.2.1:4444", Transport::Tcp), "192.0.2.1:4444");
    }
}
