//! Being called (RFC 3261 sections 12.1.1 and 13.3).

use std::sync::Arc;

use pbx_core::Now;

use super::{Answer, Dialog, Phase};
use crate::endpoint::compose::{self, Parts};
use crate::endpoint::{CommandError, DialogId, End, Endpoint, ServerTransactionId, hex};
use crate::message::Method;
use crate::transaction::store::Key;

impl Endpoint {
    /// Answers an INVITE with a provisional response of 101 to 199, 180 most often: the caller hears it ring.
    /// The dialog that begins with it stays when the INVITE is accepted.
    ///
    /// # Errors
    /// When the transaction is no INVITE, has ended or was answered, the status is another, a text cannot be
    /// written, or there are as many dialogs as there may be.
    pub fn ring(
        &mut self,
        invite: ServerTransactionId,
        status: u16,
        parts: &Parts<'_>,
        now: Now,
    ) -> Result<DialogId, CommandError> {
        match status {
            101..=199 => self.answer_invite(invite.0, status, parts, now).map(DialogId),
            _ => Err(CommandError::Status(status)),
        }
    }

    /// Answers an INVITE with 200, repeated until its ACK comes ([`Event::Acknowledged`](crate::Event)); without an
    /// ACK the dialog ends after 64·T1. To refuse one is [`Endpoint::respond`].
    ///
    /// # Errors
    /// When the transaction is no INVITE, has ended or was answered, a text cannot be written, or there are as
    /// many dialogs as there may be.
    pub fn accept(
        &mut self,
        invite: ServerTransactionId,
        parts: &Parts<'_>,
        now: Now,
    ) -> Result<DialogId, CommandError> {
        self.answer_invite(invite.0, 200, parts, now).map(DialogId)
    }

    /// Sends 101 to 299 to an INVITE, with the dialog that is due.
    pub(crate) fn answer_invite(
        &mut self,
        key: Key,
        status: u16,
        parts: &Parts<'_>,
        now: Now,
    ) -> Result<Key, CommandError> {
        let tx = self.servers.get(key).ok_or(CommandError::Gone)?;
        if tx.method != Method::Invite || !tx.machine.is_pending() {
            return Err(CommandError::State("this is no unanswered INVITE"));
        }
        let contact = compose::contact(&self.config, tx.source.transport())?;
        let bytes = tx.compose(status, Some(&contact), parts)?;
        let dialog = match tx.dialog {
            Some(dialog) => dialog,
            None => self.begin_dialog(key)?,
        };
        if status >= 200 {
            self.confirm(dialog, key, bytes.clone(), now);
        }
        self.send_response(key, status, bytes, now);
        Ok(dialog)
    }

    fn begin_dialog(&mut self, server: Key) -> Result<Key, CommandError> {
        let tx = self.servers.get(server).ok_or(CommandError::Gone)?;
        let request = tx.request.clone().ok_or(CommandError::Gone)?;
        let message = request.parse().map_err(|fault| fault.malformed())?;
        let dialog = Dialog::uas(&message, &hex(tx.to_tag), tx.source.into(), server);
        let key = self.add_dialog(dialog)?;
        if let Some(tx) = self.servers.get_mut(server) {
            tx.dialog = Some(key);
        }
        Ok(key)
    }

    /// The INVITE of `server`, the first or a later one, is accepted with `bytes`.
    fn confirm(&mut self, key: Key, server: Key, bytes: Arc<[u8]>, now: Now) {
        let Some(tx) = self.servers.get(server) else { return };
        let (to, request, source) = (tx.reply_to(), tx.request.clone(), tx.source);
        let Some(dialog) = self.dialogs.get_mut(key) else { return };
        if let Some(Ok(message)) = request.as_ref().map(|request| request.parse()) {
            dialog.answer = Some(Answer::new(message.cseq().seq, to, bytes, &self.config.timing, now.mono));
            dialog.refresh(&message);
        }
        // A peer that moved behind its NAT says so by an INVITE that only it can write: it holds both tags.
        dialog.peer = source.into();
        dialog.phase = Phase::Confirmed;
        dialog.invite_in = None;
        self.arm_dialog(key);
    }

    /// An INVITE has a final failure, or none any more: a dialog that it had begun ends.
    pub(crate) fn leave_dialog(&mut self, server: Key, end: End) {
        let Some(key) = self.servers.get(server).and_then(|tx| tx.dialog) else { return };
        let Some(dialog) = self.dialogs.get_mut(key) else { return };
        match dialog.phase {
            Phase::Ringing { server: begun } if begun == server => drop(self.end_dialog(key, end, None)),
            _ => drop(dialog.invite_in.take_if(|invite| *invite == server)),
        }
    }
}
