//! Taking an INVITE back (RFC 3261 section 9.1), and timer C, which does so by itself.

use pbx_core::Now;

use super::Endpoint;
use super::client::{Failure, Start};
use super::compose::{self, Headers, Parts, borrowed, owned};
use super::error::CommandError;
use super::event::ClientTransactionId;
use crate::message::Method;
use crate::transaction::store::Key;

/// Whether an INVITE is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    No,
    /// Nothing has come back yet: a CANCEL could overtake its INVITE (RFC 3261 section 9.1). It
    /// will have these header fields.
    Wanted(Headers),
    Sent,
}

impl Endpoint {
    /// Withdraws a request that is not answered yet; only an INVITE can be (RFC 3261 section 9.1). The INVITE
    /// of a dialog is withdrawn by [`Endpoint::hang_up`], a re-INVITE by this.
    ///
    /// # Errors
    /// When it has ended or been answered, or is no INVITE.
    pub fn cancel(&mut self, transaction: ClientTransactionId, now: Now) -> Result<(), CommandError> {
        let tx = self.clients.get(transaction.0).ok_or(CommandError::Gone)?;
        if tx.method != Method::Invite || !tx.machine.is_pending() {
            return Err(CommandError::State("only an unanswered INVITE can be withdrawn"));
        }
        self.withdraw(transaction.0, &Parts::default(), now);
        Ok(())
    }

    /// Sends the CANCEL of an INVITE as soon as that may be.
    pub(crate) fn withdraw(&mut self, key: Key, parts: &Parts<'_>, now: Now) {
        let Some(tx) = self.clients.get_mut(key) else { return };
        if tx.cancel != Cancel::No || !tx.machine.is_pending() {
            return;
        }
        if tx.machine.is_proceeding() {
            self.send_cancel(key, parts, now);
        } else {
            tx.cancel = Cancel::Wanted(owned(parts.headers));
        }
    }

    fn send_cancel(&mut self, key: Key, parts: &Parts<'_>, now: Now) {
        let give_up = now.mono + self.config.timing.give_up();
        let Some(tx) = self.clients.get_mut(key) else { return };
        tx.cancel = Cancel::Sent;
        tx.deadline = Some(give_up);
        let (request, to) = (tx.request.clone(), tx.to);
        if let Ok(message) = request.parse()
            && let Ok(bytes) = compose::hop_request(&message, Method::Cancel, message.to().as_str(), parts)
        {
            let branch = message.top_via().branch().unwrap_or_default();
            // Without room for its transaction the CANCEL is not sent, and the deadline ends the INVITE.
            let _ = self
                .start(Start { method: Method::Cancel, branch, bytes, to, dialog: None, quiet: true }, now);
        }
        self.settle_client(key);
    }

    /// Restarts timer C (RFC 3261 section 16.7 step 2), and sends the CANCEL that had to wait.
    pub(super) fn note_provisional(&mut self, key: Key, now: Now) {
        let ring_until = now.mono + self.config.ring_at_most;
        let Some(tx) = self.clients.get_mut(key) else { return };
        match &tx.cancel {
            Cancel::No => tx.deadline = Some(ring_until),
            Cancel::Wanted(headers) => {
                let headers = headers.clone();
                self.send_cancel(key, &Parts::headers(&borrowed(&headers)), now);
            }
            Cancel::Sent => {}
        }
    }

    /// Timer C: ringing for too long is withdrawn; a peer that ignores the CANCEL is given up.
    pub(super) fn client_deadline(&mut self, key: Key, now: Now) {
        let Some(tx) = self.clients.get_mut(key) else { return };
        tx.deadline = None;
        if !tx.machine.is_pending() {
            return;
        }
        if tx.cancel == Cancel::Sent {
            self.client_failed(key, Failure::TimedOut, now);
            self.forget_client(key);
        } else {
            let dialog = tx.dialog;
            self.send_cancel(key, &Parts::default(), now);
            dialog.into_iter().for_each(|dialog| self.call_unanswered(key, dialog));
        }
    }
}
