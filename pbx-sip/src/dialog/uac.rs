//! Calling (RFC 3261 sections 12.1.2 and 13.2).

use pbx_core::Now;

use super::{Dialog, Fingerprint, Phase, Purpose};
use crate::endpoint::compose::{self, Parts, Peer};
use crate::endpoint::{CommandError, DialogId, End, Endpoint, Event, Received, Start};
use crate::header::HeaderName;
use crate::message::write::Request;
use crate::message::{Message, Method};
use crate::transaction::store::Key;

/// Whom to call.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built by the embedder")]
pub struct Invite<'a> {
    /// The Request-URI: the number at a trunk, or the Contact a phone registered.
    pub uri: &'a str,
    /// The From value without a tag: [`write::name_addr`](crate::write::name_addr) makes one.
    pub from: &'a str,
    /// The To value without a tag.
    pub to: &'a str,
    /// Where the INVITE goes.
    pub peer: Peer,
    /// Whether requests in the dialog go to the address in the peer's Contact or route, as RFC 3261 has it. A
    /// trunk wants that; a phone behind NAT cannot be reached there, and its dialog stays where it began.
    pub follow_contact: bool,
}

impl Endpoint {
    /// Calls somebody. What comes of it is [`Event::Progress`], [`Event::Answered`], [`Event::Challenged`] and in
    /// the end [`Event::Ended`].
    ///
    /// # Errors
    /// When a text cannot be written, no address is advertised for the transport, or there are as many
    /// transactions or dialogs as there may be.
    pub fn invite(
        &mut self,
        invite: &Invite<'_>,
        parts: &Parts<'_>,
        now: Now,
    ) -> Result<DialogId, CommandError> {
        parts.check(&[])?;
        if self.dialogs.is_full() {
            return Err(CommandError::Full);
        }
        let Invite { peer, .. } = *invite;
        let from = format!("{};tag={}", invite.from, self.unguessable());
        let (branch, call_id) = (self.branch(), self.call_id());
        let contact = compose::contact(&self.config, peer.transport)?;
        let core = Request {
            method: Method::Invite,
            uri: invite.uri,
            via: &compose::via(&self.config, peer.transport, &branch)?,
            from: &from,
            to: invite.to,
            call_id: &call_id,
            seq: 1,
        };
        let bytes = compose::request(&core, [(HeaderName::Contact, contact.as_str())], parts)?;
        let request = Received::new(bytes.clone());
        let message = request.parse().map_err(|fault| fault.malformed())?;
        let start =
            Start { method: Method::Invite, branch: &branch, bytes, to: peer, dialog: None, quiet: true };
        let client = self.start(start, now)?;
        let key = self.add_dialog(Dialog::uac(&message, peer, invite.follow_contact, client))?;
        self.adopt(client, key);
        Ok(DialogId(key))
    }

    /// Sends the ACK of an INVITE without a body whose 2xx made an offer; `parts` holds the answer (RFC 3261
    /// section 13.2.2.4).
    ///
    /// # Errors
    /// When the dialog has ended, has no 2xx that waits for its ACK, or a text cannot be written.
    pub fn acknowledge(&mut self, dialog: DialogId, parts: &Parts<'_>) -> Result<(), CommandError> {
        let (client, seq) = self.take_unacknowledged(dialog.0)?;
        let ack = self.compose_ack(dialog.0, client, seq, parts);
        if ack.is_err()
            && let Some(dialog) = self.dialogs.get_mut(dialog.0)
        {
            dialog.unacknowledged = Some((client, seq));
        }
        ack
    }

    fn take_unacknowledged(&mut self, key: Key) -> Result<(Key, u32), CommandError> {
        let dialog = self.dialogs.get_mut(key).ok_or(CommandError::Gone)?;
        dialog.unacknowledged.take().ok_or(CommandError::State("no 2xx waits for its ACK"))
    }

    /// A response to an INVITE of ours in `key`, the first or a later one.
    pub(crate) fn invite_response(
        &mut self,
        client: Key,
        key: Key,
        message: &Message<'_>,
        status: u16,
        now: Now,
    ) {
        let phase = self.dialogs.get(key).map(|dialog| dialog.phase);
        if (200..300).contains(&status) {
            return self.invite_accepted(client, key, message, phase.is_some(), now);
        }
        match phase {
            Some(Phase::Calling { client: begun }) if begun == client => {
                self.call_response(client, key, message, status);
            }
            Some(_) => self.reinvite_response(client, key, message, status, now),
            // Hung up: whatever the called party says now, nobody listens.
            None => self.let_go(client),
        }
    }

    /// A response other than 2xx to the INVITE that would begin the dialog.
    fn call_response(&mut self, client: Key, key: Key, message: &Message<'_>, status: u16) {
        let received = || Received::new(message.as_bytes().into());
        match status {
            100 => {}
            101..=199 => {
                if let Some(dialog) = self.dialogs.get_mut(key).filter(|_| message.to().tag().is_some()) {
                    dialog.learn(message);
                }
                self.report(Event::Progress { dialog: DialogId(key), status, message: received() });
            }
            _ if self.is_challenged(client) => self.report_response(client, Some(key), message, status),
            _ => drop(self.end_dialog(key, End::Refused(status), Some(received()))),
        }
    }

    /// Every 2xx gets its ACK. The first makes the dialog; who accepts after that, or after the call was given
    /// up, is told BYE at once (RFC 3261 section 13.2.2.4).
    fn invite_accepted(&mut self, client: Key, key: Key, message: &Message<'_>, alive: bool, now: Now) {
        let tag =
            self.fingerprints.of(Purpose::Accepted, &[message.to().tag().unwrap_or_default().as_bytes()]);
        let first = self.clients.get(client).is_some_and(|tx| tx.accepted.is_empty());
        if !self.note_accepted(client, tag) {
            return;
        }
        if !alive || !first {
            return self.decline_fork(client, tag, message, now);
        }
        let Some(dialog) = self.dialogs.get_mut(key) else { return };
        let begun = matches!(dialog.phase, Phase::Calling { .. });
        if begun {
            dialog.learn(message)
        } else {
            dialog.refresh(message)
        }
        dialog.phase = Phase::Confirmed;
        dialog.invite_out = None;
        dialog.unacknowledged = Some((client, message.cseq().seq));
        if self.made_offer(client) {
            // The composition of a request that was composed before does not fail.
            let _ = self.acknowledge(DialogId(key), &Parts::default());
        }
        if begun {
            let message = Received::new(message.as_bytes().into());
            self.report(Event::Answered { dialog: DialogId(key), message });
        } else {
            self.report_response(client, Some(key), message, message.status().unwrap_or_default());
        }
    }

    fn made_offer(&self, client: Key) -> bool {
        let request = self.clients.get(client).map(|tx| tx.request.clone());
        request.is_some_and(|request| request.parse().is_ok_and(|message| !message.body().is_empty()))
    }

    /// ACK and BYE to somebody whose 2xx came too late.
    fn decline_fork(&mut self, client: Key, tag: Fingerprint, message: &Message<'_>, now: Now) {
        let Some((request, to)) = self.clients.get(client).map(|tx| (tx.request.clone(), tx.to)) else {
            return;
        };
        let Ok(invite) = request.parse() else { return };
        let mut fork = Dialog::uac(&invite, to, false, client);
        fork.learn(message);
        let branch = self.branch();
        let seq = message.cseq().seq;
        if let Ok(ack) = fork.compose(&self.config, Method::Ack, seq, &branch, &Parts::default()) {
            self.send_ack(client, tag, fork.next_hop(), ack);
            self.send_bye(&fork, &Parts::default(), now);
        }
    }

    fn compose_ack(
        &mut self,
        key: Key,
        client: Key,
        seq: u32,
        parts: &Parts<'_>,
    ) -> Result<(), CommandError> {
        let branch = self.branch();
        let request = self.clients.get(client).map(|tx| tx.request.clone());
        let dialog = self.dialogs.get(key).ok_or(CommandError::Gone)?;
        // The ACK has the credentials of its INVITE (RFC 3261 section 22.1).
        let invite = request.as_ref().and_then(|request| request.parse().ok());
        let credentials = invite.iter().flat_map(Message::headers).filter(|(name, _)| is_credential(name));
        let headers: Vec<_> = credentials.chain(parts.headers.iter().copied()).collect();
        let parts = Parts { headers: &headers, ..*parts };
        let ack = dialog.compose(&self.config, Method::Ack, seq, &branch, &parts)?;
        let tag = dialog.remote_tag.as_deref().unwrap_or_default();
        let tag = self.fingerprints.of(Purpose::Accepted, &[tag.as_bytes()]);
        let to = dialog.next_hop();
        self.send_ack(client, tag, to, ack);
        Ok(())
    }
}

fn is_credential(name: &str) -> bool {
    let known = HeaderName::from_text(name);
    matches!(known, Some(HeaderName::Authorization | HeaderName::ProxyAuthorization))
}
