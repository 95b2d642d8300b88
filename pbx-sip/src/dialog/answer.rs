//! 2xx to INVITE: repeated by the one who accepted until the ACK comes (RFC 3261 section 13.3.1.4).

use core::time::Duration;
use std::sync::Arc;

use pbx_core::{Mono, Now};

use crate::endpoint::compose::{Headers, Parts, Peer, borrowed};
use crate::endpoint::{DialogId, Dropped, End, Endpoint, Event, Handled, Owner, Received};
use crate::message::Message;
use crate::transaction::Timing;
use crate::transaction::store::Key;

/// A 2xx that was not acknowledged yet.
#[derive(Debug)]
pub(super) struct Answer {
    seq: u32,
    to: Peer,
    bytes: Arc<[u8]>,
    resend_at: Mono,
    interval: Duration,
    until: Mono,
    /// The header fields of the BYE that has to wait for the ACK (RFC 3261 section 15).
    pub(super) hang_up: Option<Headers>,
}

impl Answer {
    /// The 2xx to the INVITE of that number, sent at `now`. The interval starts with T1 whatever the
    /// transport: a proxy may lose it behind a stream.
    pub(super) fn new(seq: u32, to: Peer, bytes: Arc<[u8]>, timing: &Timing, now: Mono) -> Self {
        let until = now + timing.give_up();
        Self { seq, to, bytes, resend_at: now + timing.t1, interval: timing.t1, until, hang_up: None }
    }

    pub(super) fn next_timeout(&self) -> Mono {
        self.resend_at.min(self.until)
    }

    fn repeat(&mut self, timing: &Timing, now: Mono) -> (Peer, Arc<[u8]>) {
        self.interval = self.interval.saturating_mul(2).min(timing.t2);
        self.resend_at = now + self.interval;
        (self.to, self.bytes.clone())
    }
}

impl Endpoint {
    /// An ACK outside of the failures of its transaction: of a 2xx, or of nothing.
    pub(crate) fn acknowledged(&mut self, ack: &Message<'_>, now: Now) -> Handled {
        let Some(key) = self.find_dialog(ack) else { return Handled::Dropped(Dropped::NoDialog) };
        let Some(dialog) = self.dialogs.get_mut(key) else { return Handled::Dropped(Dropped::NoDialog) };
        let Some(answer) = dialog.answer.take_if(|answer| answer.seq == ack.cseq().seq) else {
            return Handled::Repeated;
        };
        self.arm_dialog(key);
        let message = Received::new(ack.as_bytes().into());
        self.report(Event::Acknowledged { dialog: DialogId(key), message });
        if let Some(headers) = answer.hang_up {
            self.say_bye(key, End::HungUp, &headers, now);
        }
        Handled::Accepted
    }

    pub(crate) fn dialog_timeout(&mut self, key: Key, now: Now) {
        let timing = self.config.timing;
        let Some(dialog) = self.dialogs.get_mut(key) else { return };
        let Some(answer) = dialog.answer.as_mut() else { return self.arm_dialog(key) };
        if answer.until <= now.mono {
            let hang_up = answer.hang_up.take();
            let end = if hang_up.is_some() { End::HungUp } else { End::NoAck };
            dialog.answer = None;
            self.say_bye(key, end, &hang_up.unwrap_or_default(), now);
        } else {
            let (to, bytes) = answer.repeat(&timing, now.mono);
            self.transmit(to, Owner::Nobody, bytes);
            self.arm_dialog(key);
        }
    }

    /// Ends a confirmed dialog with BYE; nobody waits for its answer.
    pub(super) fn say_bye(&mut self, key: Key, end: End, headers: &Headers, now: Now) {
        let Some(dialog) = self.end_dialog(key, end, None) else { return };
        self.send_bye(&dialog, &Parts::headers(&borrowed(headers)), now);
        self.abandon_invite(&dialog, now);
    }
}
