//! Requests inside of a dialog, both ways (RFC 3261 sections 12.2, 14 and 15).

use pbx_core::Now;

use super::{Dialog, Phase};
use crate::endpoint::compose::{Parts, owned};
use crate::endpoint::{
    Arrived, ClientTransactionId, CommandError, DialogId, Dropped, End, Endpoint, Failure, Handled, Refused,
    Start,
};
use crate::message::{Message, Method};
use crate::transaction::store::Key;

impl Endpoint {
    /// Sends a request in a dialog: a re-INVITE, INFO, UPDATE, REFER and their like. Its responses are
    /// [`Event::Response`](crate::Event::Response), or [`Event::Challenged`](crate::Event::Challenged).
    ///
    /// # Errors
    /// When the dialog has ended, the peer has not answered yet, the method has a command of its own, an
    /// INVITE of either side is unanswered, or a text cannot be written.
    pub fn send(
        &mut self,
        dialog: DialogId,
        method: Method,
        parts: &Parts<'_>,
        now: Now,
    ) -> Result<ClientTransactionId, CommandError> {
        if matches!(method, Method::Ack | Method::Bye | Method::Cancel) {
            return Err(CommandError::State("the method has a command of its own"));
        }
        let d = self.dialogs.get(dialog.0).ok_or(CommandError::Gone)?;
        if d.remote_tag.is_none() || (method == Method::Invite && !d.may_invite()) {
            return Err(CommandError::State("not before the last INVITE is answered"));
        }
        let key = self.send_inside(dialog.0, method, parts, now)?;
        if let Some(d) = self.dialogs.get_mut(dialog.0).filter(|_| method == Method::Invite) {
            d.invite_out = Some(key);
        }
        Ok(ClientTransactionId(key))
    }

    /// Ends a call, whatever its state: BYE when it is accepted, CANCEL when the called party has not answered,
    /// 480 when the embedder has not. `headers` go along, e.g. a Reason (RFC 3326).
    ///
    /// A BYE has to wait for the ACK of our 2xx (RFC 3261 section 15); [`Event::Ended`](crate::Event::Ended) comes
    /// once it is sent.
    ///
    /// # Errors
    /// When the dialog has ended, or a text cannot be written.
    pub fn hang_up(
        &mut self,
        dialog: DialogId,
        headers: &[(&str, &str)],
        now: Now,
    ) -> Result<(), CommandError> {
        let parts = Parts::headers(headers);
        let d = self.dialogs.get_mut(dialog.0).ok_or(CommandError::Gone)?;
        // Composed once to see whether it can be, before anything has changed.
        d.compose(&self.config, Method::Bye, d.local_seq, "z9hG4bK0", &parts)?;
        match (d.phase, &mut d.answer) {
            (Phase::Ringing { server }, _) => return self.answer(server, 480, &parts, End::HungUp, now),
            (Phase::Calling { client }, _) => {
                self.withdraw(client, &parts, now);
                self.let_go(client);
                self.end_dialog(dialog.0, End::HungUp, None);
            }
            (Phase::Confirmed, Some(answer)) => answer.hang_up = Some(owned(headers)),
            (Phase::Confirmed, None) => self.say_bye(dialog.0, End::HungUp, &owned(headers), now),
        }
        Ok(())
    }

    /// A request with our tag in To.
    pub(crate) fn handle_in_dialog(&mut self, arrived: Arrived, message: &Message<'_>, now: Now) -> Handled {
        let source = arrived.source;
        let Some(key) = self.find_dialog(message) else {
            return self.refuse(source, message, Refused::NoDialog, now);
        };
        if let Err(refused) = self.inspect_inside(key, message) {
            return self.refuse(source, message, refused, now);
        }
        if let Some(dialog) = self.dialogs.get_mut(key) {
            dialog.remote_seq = Some(message.cseq().seq);
        }
        match message.method() {
            Method::Bye => self.handle_bye(key, arrived, now),
            Method::Invite => self.handle_reinvite(key, arrived, now),
            _ => self.deliver(arrived, Some(key), now),
        }
    }

    fn inspect_inside(&self, key: Key, message: &Message<'_>) -> Result<(), Refused> {
        let Some(dialog) = self.dialogs.get(key) else { return Err(Refused::NoDialog) };
        if dialog.remote_seq.is_some_and(|last| message.cseq().seq <= last) {
            return Err(Refused::OutOfOrder);
        }
        match message.method() {
            Method::Invite if dialog.invite_out.is_some() => Err(Refused::Pending),
            Method::Invite if !dialog.may_invite() => Err(Refused::TooSoon),
            _ => Ok(()),
        }
    }

    fn handle_reinvite(&mut self, key: Key, arrived: Arrived, now: Now) -> Handled {
        let print = arrived.print;
        let handled = self.deliver(arrived, Some(key), now);
        let server = self.server_by(print);
        if let Some(dialog) = self.dialogs.get_mut(key) {
            dialog.invite_in = server;
        }
        handled
    }

    /// RFC 3261 section 15.1.2: 200, and 487 for what is unanswered.
    fn handle_bye(&mut self, key: Key, arrived: Arrived, now: Now) -> Handled {
        let message = arrived.request.clone();
        let Some(server) = self.add_server(arrived, None, now) else {
            return Handled::Dropped(Dropped::NotDrained);
        };
        // The composition of a status line and copied headers does not fail.
        let _ = self.answer(server, 200, &Parts::default(), End::Bye, now);
        if let Some(dialog) = self.end_dialog(key, End::Bye, Some(message)) {
            self.abandon_invite(&dialog, now);
            match dialog.phase {
                Phase::Calling { client } => self.withdraw(client, &Parts::default(), now),
                Phase::Ringing { server } => drop(self.answer(server, 487, &Parts::default(), End::Bye, now)),
                Phase::Confirmed => {}
            }
        }
        Handled::Accepted
    }

    /// A response to a request of ours in a dialog other than INVITE.
    pub(crate) fn dialog_response(
        &mut self,
        client: Key,
        key: Key,
        message: &Message<'_>,
        status: u16,
        now: Now,
    ) {
        let Some(dialog) = self.dialogs.get_mut(key) else { return self.let_go(client) };
        if message.method() == Method::Update && (200..300).contains(&status) {
            dialog.refresh(message);
        }
        self.report_response(client, Some(key), message, status);
        self.end_if_gone(key, message, status, now);
    }

    /// A response other than 2xx to a re-INVITE of ours.
    pub(super) fn reinvite_response(
        &mut self,
        client: Key,
        key: Key,
        message: &Message<'_>,
        status: u16,
        now: Now,
    ) {
        if let Some(dialog) = self.dialogs.get_mut(key).filter(|_| status >= 300) {
            dialog.invite_out.take_if(|invite| *invite == client);
        }
        self.report_response(client, Some(key), message, status);
        self.end_if_gone(key, message, status, now);
    }

    /// RFC 3261 section 12.2.1.2: the peer has lost the dialog.
    fn end_if_gone(&mut self, key: Key, message: &Message<'_>, status: u16, now: Now) {
        let confirmed = self.dialogs.get(key).is_some_and(Dialog::is_confirmed);
        if confirmed && matches!(status, 408 | 481) {
            let message = crate::endpoint::Received::new(message.as_bytes().into());
            self.give_up_dialog(key, End::Gone, Some(message), now);
        }
    }

    /// A request of ours in a dialog got no response at all.
    pub(crate) fn dialog_request_failed(&mut self, client: Key, key: Key, failure: Failure, now: Now) {
        let Some(dialog) = self.dialogs.get(key) else { return };
        let end = match failure {
            Failure::TimedOut => End::TimedOut,
            Failure::Transport => End::TransportFailed,
        };
        if dialog.is_begun_by(client) {
            self.end_dialog(key, end, None);
            return;
        }
        let confirmed = dialog.is_confirmed();
        self.report_failure(client, Some(key), failure);
        if confirmed {
            self.give_up_dialog(key, end, None, now);
        }
    }

    /// A challenge was never answered.
    pub(crate) fn challenge_lapsed(&mut self, client: Key, status: u16) {
        let Some(key) = self.clients.get(client).and_then(|tx| tx.dialog) else { return };
        if self.dialogs.get(key).is_some_and(|dialog| dialog.is_begun_by(client)) {
            self.end_dialog(key, End::Refused(status), None);
        }
    }

    /// Whom we call has rung for too long; a re-INVITE that takes as long is withdrawn and no more.
    pub(crate) fn call_unanswered(&mut self, client: Key, key: Key) {
        if self.dialogs.get(key).is_some_and(|dialog| dialog.is_begun_by(client)) {
            self.end_dialog(key, End::TimedOut, None);
        }
    }

    /// The number of the next request after the one of number `last`: of the dialog, if it is in one.
    pub(crate) fn next_seq(&self, dialog: Option<Key>, last: u32) -> Result<u32, CommandError> {
        let last = match dialog {
            Some(key) => self.dialogs.get(key).ok_or(CommandError::Gone)?.local_seq,
            None => last,
        };
        last.checked_add(1).ok_or(CommandError::State("the numbers of CSeq are used up"))
    }

    /// `new` has taken the place of `old`.
    pub(crate) fn retried(&mut self, key: Key, old: Key, new: Key, seq: u32) {
        let Some(dialog) = self.dialogs.get_mut(key) else { return };
        dialog.local_seq = seq;
        match &mut dialog.phase {
            Phase::Calling { client } if *client == old => *client = new,
            _ if self.clients.get(new).is_some_and(|tx| tx.method == Method::Invite) => {
                dialog.invite_out = Some(new);
            }
            _ => {}
        }
    }

    /// Says BYE although the peer is probably gone, and forgets the dialog.
    fn give_up_dialog(&mut self, key: Key, end: End, message: Option<crate::endpoint::Received>, now: Now) {
        if let Some(dialog) = self.end_dialog(key, end, message) {
            self.send_bye(&dialog, &Parts::default(), now);
            self.abandon_invite(&dialog, now);
        }
    }

    /// Sends a BYE of a dialog that is not kept any more.
    pub(super) fn send_bye(&mut self, dialog: &Dialog, parts: &Parts<'_>, now: Now) {
        let (branch, seq) = (self.branch(), dialog.local_seq.saturating_add(1));
        if let Ok(bytes) = dialog.compose(&self.config, Method::Bye, seq, &branch, parts) {
            let to = dialog.next_hop();
            // Without room for its transaction the BYE is not sent; the peer finds out by its own means.
            let start = Start { method: Method::Bye, branch: &branch, bytes, to, dialog: None, quiet: true };
            let _ = self.start(start, now);
        }
    }

    /// Answers the INVITE that a dialog leaves behind.
    pub(super) fn abandon_invite(&mut self, dialog: &Dialog, now: Now) {
        if let Some(server) = dialog.invite_in {
            let _ = self.answer(server, 487, &Parts::default(), End::HungUp, now);
        }
    }

    fn send_inside(
        &mut self,
        key: Key,
        method: Method,
        parts: &Parts<'_>,
        now: Now,
    ) -> Result<Key, CommandError> {
        let branch = self.branch();
        let dialog = self.dialogs.get(key).ok_or(CommandError::Gone)?;
        let seq = self.next_seq(Some(key), 0)?;
        let bytes = dialog.compose(&self.config, method, seq, &branch, parts)?;
        let to = dialog.next_hop();
        let client =
            self.start(Start { method, branch: &branch, bytes, to, dialog: Some(key), quiet: false }, now)?;
        if let Some(dialog) = self.dialogs.get_mut(key) {
            dialog.local_seq = seq;
        }
        Ok(client)
    }
}

impl Dialog {
    /// Whether nobody has accepted the INVITE of `client`, which would begin it.
    fn is_begun_by(&self, client: Key) -> bool {
        matches!(self.phase, Phase::Calling { client: begun } if begun == client)
    }

    /// Whether neither side has an INVITE that is unanswered or unacknowledged (RFC 3261 section 14.1).
    fn may_invite(&self) -> bool {
        let busy = self.invite_in.is_some() || self.invite_out.is_some();
        self.is_confirmed() && !busy && self.answer.is_none() && self.unacknowledged.is_none()
    }
}
