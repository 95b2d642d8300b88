//! What happens to calls: what one side does, the other side gets.

use pbx_auth::digest;
use pbx_core::{CallId, Now};
use pbx_policy::{CallEvent, Decision};
use pbx_sip::{
    ClientTransactionId, DialogId, End, Event, HeaderName, Message, Method, Parts, Received,
    ServerTransactionId,
};
use tracing::{debug, info, warn};

use super::audit;
use super::calls::Relay;
use super::invite::body;
use super::pbx::Pbx;

impl Pbx {
    /// Something happened to a call.
    pub(super) fn call_event(&mut self, event: Event, now: Now) {
        match event {
            Event::Request { transaction, dialog: Some(dialog), method, message, .. } => {
                self.relay_request(transaction, dialog, method, &message, now);
            }
            Event::Response { transaction, status, message, .. } => {
                self.relay_response(transaction, status, Some(&message), now);
            }
            Event::TimedOut { transaction, .. } => self.relay_response(transaction, 408, None, now),
            Event::TransportFailed { transaction, .. } => self.relay_response(transaction, 503, None, now),
            Event::Progress { dialog, status, message } => self.progress(dialog, status, &message, now),
            Event::Answered { dialog, message } => self.answered(dialog, &message, now),
            Event::Challenged { transaction, dialog, status, message } => {
                self.challenged(transaction, dialog, status, &message, now);
            }
            Event::Acknowledged { dialog, message } => self.acknowledged(dialog, &message),
            Event::Cancelled { transaction, .. } => self.cancelled(transaction, now),
            Event::Ended { dialog, end, .. } => self.ended(dialog, end, now),
            event => debug!(?event, "not dealt with"),
        }
    }

    /// A called party rings: so does it for the caller.
    fn progress(&mut self, dialog: DialogId, status: u16, received: &Received, now: Now) {
        let Some(id) = self.calls.by_dialog(dialog) else { return };
        let Some(invite) = self.calls.get(id).and_then(|call| call.caller.invite) else { return };
        let Ok(message) = received.parse() else { return };
        let body = body(&message);
        match self.endpoint.ring(invite, status, &Parts::body(&body.content_type, &body.bytes), now) {
            Ok(caller) => self.calls.caller_dialog(id, caller),
            Err(e) => warn!(error = %e, "the caller does not hear it ring"),
        }
    }

    /// A called party has accepted: the others stop ringing, and the caller is through.
    fn answered(&mut self, dialog: DialogId, received: &Received, now: Now) {
        let Some(id) = self.calls.by_dialog(dialog) else { return };
        let Ok(message) = received.parse() else { return };
        let Some(invite) = self.calls.invite_answered(id) else {
            // Two devices were lifted at once, or the caller has gone: this one came too late.
            return self.hang_up(dialog, now);
        };
        let body = body(&message);
        match self.endpoint.accept(invite, &Parts::body(&body.content_type, &body.bytes), now) {
            Ok(caller) => self.calls.caller_dialog(id, caller),
            Err(e) => {
                warn!(error = %e, "the caller could not be told");
                return self.end_call(id, now);
            }
        }
        let Some(call) = self.calls.get_mut(id) else { return };
        call.answered = true;
        let others: Vec<DialogId> = call.legs.iter().map(|l| l.dialog).filter(|&d| d != dialog).collect();
        others.into_iter().for_each(|other| self.hang_up(other, now));
        info!(call = id.0, "answered");
        self.tell_guard(id, CallEvent::Answered, now);
    }

    /// A dialog is over.
    fn ended(&mut self, dialog: DialogId, end: End, now: Now) {
        let Some(id) = self.calls.by_dialog(dialog) else { return };
        let Some(call) = self.calls.get(id) else { return };
        if call.is_caller(dialog) {
            info!(call = id.0, ?end, "the caller is gone");
            return self.end_call(id, now);
        }
        let answered = call.answered;
        let Some(leg) = self.calls.remove_leg(id, dialog) else { return };
        match (answered, self.calls.get(id).is_some_and(|call| call.legs.is_empty())) {
            (true, true) => {
                info!(call = id.0, ?end, "the called party is gone");
                self.end_call(id, now);
            }
            (false, _) => self.leg_failed(id, leg.trunk.is_some(), status_of(end), now),
            // One of several that rang.
            (true, false) => {}
        }
    }

    /// A called party did not take the call.
    fn leg_failed(&mut self, id: CallId, trunk: bool, status: u16, now: Now) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.failure = Some(call.failure.map_or(status, |before| worse(before, status)));
        if !trunk {
            return self.fail_if_over(id, status, now);
        }
        // The guard knows which failures another trunk can mend, and whether that one has a free line.
        let next = self.tell_guard(id, CallEvent::Failed { sip_status: status }, now).rule;
        self.try_trunk(id, next, status, now);
    }

    /// Refuses the caller's INVITE when nobody is being called any more.
    pub(super) fn fail_if_over(&mut self, id: CallId, status: u16, now: Now) {
        let Some(call) = self.calls.get(id).filter(|call| call.legs.is_empty() && !call.answered) else {
            return;
        };
        let status = call.failure.unwrap_or(status);
        info!(call = id.0, status, "failed");
        if let Some(invite) = self.calls.invite_answered(id) {
            self.refuse(invite, status, now);
        }
        self.end_call(id, now);
    }

    /// The caller has withdrawn the call before it was answered.
    fn cancelled(&mut self, invite: ServerTransactionId, now: Now) {
        if let Some(id) = self.calls.by_invite(invite) {
            info!(call = id.0, "cancelled");
            self.end_call(id, now);
        }
    }

    /// Ends a call on both sides, whatever its state.
    pub(super) fn end_call(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.remove(id) else { return };
        if let Some(invite) = call.caller.invite {
            // Answered already when it was cancelled: then there is nothing to refuse.
            let _ = self.endpoint.respond(invite, 480, &Parts::default(), now);
        }
        for dialog in call.legs.iter().map(|leg| leg.dialog).chain(call.caller.dialog) {
            self.hang_up(dialog, now);
        }
        self.tell_guard(id, CallEvent::Ended, now);
    }

    pub(super) fn hang_up_all(&mut self, now: Now) {
        for id in self.calls.ids() {
            self.end_call(id, now);
        }
        self.work(now);
    }

    fn hang_up(&mut self, dialog: DialogId, now: Now) {
        // A dialog that has ended by itself has nothing to hang up.
        let _ = self.endpoint.hang_up(dialog, &[], now);
    }

    pub(super) fn tell_guard(&mut self, id: CallId, event: CallEvent, now: Now) -> Decision {
        let decision = self.guard.on_call_event(id, event, now);
        audit::events(&decision);
        self.guard_due = Some(self.guard.poll_timeout(now));
        decision
    }

    /// A request inside of one dialog goes on to the other.
    fn relay_request(
        &mut self,
        transaction: ServerTransactionId,
        dialog: DialogId,
        method: Method,
        received: &Received,
        now: Now,
    ) {
        let Ok(message) = received.parse() else { return self.refuse(transaction, 400, now) };
        match method {
            Method::Options => return self.respond(transaction, 200, &super::pbx::options(), now),
            Method::Invite | Method::Update | Method::Info => {}
            _ => {
                return self.respond(transaction, 405, &Parts::headers(&[("Allow", crate::uas::ALLOW)]), now);
            }
        }
        let Some((call, other)) = self.other_side(dialog) else { return self.refuse(transaction, 481, now) };
        let body = body(&message);
        match self.endpoint.send(other, method, &Parts::body(&body.content_type, &body.bytes), now) {
            Ok(client) => {
                let relay = Relay { call, server: transaction, invite: method == Method::Invite };
                self.calls.relays.insert(client, relay);
            }
            // The other side is in the middle of a change of its own (RFC 3261 section 14.1).
            Err(_) => self.refuse(transaction, 491, now),
        }
    }

    /// The answer to a request that was passed on goes back.
    fn relay_response(
        &mut self,
        client: ClientTransactionId,
        status: u16,
        received: Option<&Received>,
        now: Now,
    ) {
        let Some(&relay) = self.calls.relays.get(&client) else { return };
        if status < 200 {
            return;
        }
        self.calls.relays.remove(&client);
        let body = received.and_then(|r| r.parse().ok().map(|m| body(&m))).unwrap_or_default();
        let parts = Parts::body(&body.content_type, &body.bytes);
        if relay.invite && (200..300).contains(&status) {
            if let Err(e) = self.endpoint.accept(relay.server, &parts, now) {
                warn!(error = %e, "a change of the call could not be passed back");
            }
        } else {
            self.respond(relay.server, status, &parts, now);
        }
    }

    /// The ACK of one side may hold the answer that the other side waits for.
    fn acknowledged(&mut self, dialog: DialogId, received: &Received) {
        if let (Some((_, other)), Ok(message)) = (self.other_side(dialog), received.parse()) {
            let body = body(&message);
            // Most often the other side does not wait: it made no offer.
            let _ = self.endpoint.acknowledge(other, &Parts::body(&body.content_type, &body.bytes));
        }
    }

    /// The call of a dialog, and the dialog on its other side.
    fn other_side(&self, dialog: DialogId) -> Option<(CallId, DialogId)> {
        let id = self.calls.by_dialog(dialog)?;
        Some((id, self.calls.get(id)?.other(dialog)?))
    }

    /// A trunk asks who we are.
    fn challenged(
        &mut self,
        transaction: ClientTransactionId,
        dialog: Option<DialogId>,
        status: u16,
        received: &Received,
        now: Now,
    ) {
        let answer =
            received.parse().ok().and_then(|m| self.credentials(transaction, dialog, status, &m, now));
        match (answer, dialog) {
            (Some(()), _) => {}
            // A phone that asks us for credentials wants them for somebody else: it gets none.
            (None, Some(dialog)) => self.hang_up(dialog, now),
            (None, None) => {}
        }
    }

    fn credentials(
        &mut self,
        transaction: ClientTransactionId,
        dialog: Option<DialogId>,
        status: u16,
        message: &Message<'_>,
        now: Now,
    ) -> Option<()> {
        let id = self.calls.by_dialog(dialog?)?;
        let leg = self.calls.get_mut(id)?.legs.iter_mut().find(|leg| Some(leg.dialog) == dialog)?;
        let trunk = leg.trunk.clone()?;
        let known = self.store.trunk(&trunk)?;
        let client = digest::Client::new(&known.username, known.secret.clone()).ok()?;
        let (asks, name) = match status {
            407 => (HeaderName::ProxyAuthenticate, "Proxy-Authorization"),
            _ => (HeaderName::WwwAuthenticate, "Authorization"),
        };
        let challenges: Vec<&str> = message.headers_named(asks).collect();
        let mut proof = client.answer(challenges.iter().map(|c| c.as_bytes()), leg.proof.as_ref()).ok()?;
        let method = message.method();
        let request = digest::Request { method: method.as_str(), uri: leg.uri.as_bytes(), body: b"" };
        let value = proof.authorization(&request, &mut self.random).ok()?;
        leg.proof = Some(proof);
        match self.endpoint.authorize(transaction, name, &value, now) {
            Ok(_) => Some(()),
            Err(e) => {
                warn!(trunk, error = %e, "the trunk refuses our credentials");
                None
            }
        }
    }
}

/// How the end of a leg reads for the caller.
fn status_of(end: End) -> u16 {
    match end {
        End::Refused(status) => status,
        End::TimedOut => 408,
        End::TransportFailed => 503,
        _ => 480,
    }
}

/// Of several failures the one that says most: somebody refused, rather than nobody was there.
fn worse(a: u16, b: u16) -> u16 {
    let weight = |s: u16| (s / 100, !matches!(s, 408 | 480 | 503));
    if weight(b) > weight(a) { b } else { a }
}
