//! INVITE: who calls, whether they may, and whom to ring.

use std::net::SocketAddr;

use pbx_core::{CallId, ExtensionId, Now, Number, Reason, RuleId, Source, Verdict};
use pbx_policy::{CallDecision, InboundCall, OutboundCall, TrunkChoice, Wire};
use pbx_sip::registrar::Binding;
use pbx_sip::write::name_addr;
use pbx_sip::{HeaderName, Invite, Message, Parts, Peer, ServerTransactionId, Uri};
use tracing::warn;

use super::audit;
use super::auth::{Device, Identity, Stale};
use super::calls::{Body, Call, Caller, Leg, Trunk};
use super::pbx::Pbx;

impl Pbx {
    /// A call comes in, from a phone or from a trunk.
    pub(super) fn invite(
        &mut self,
        transaction: ServerTransactionId,
        source: Source,
        message: &Message<'_>,
        now: Now,
    ) {
        let dialled = message.uri().and_then(|uri| uri.decoded_user()).unwrap_or_default().into_owned();
        if let Some(trunk) = self.settings.trunk_at(source.socket_addr()).map(str::to_owned) {
            return self.inbound(transaction, source, message, (&trunk, &dialled), now);
        }
        let caller = match self.identify(source, message, Device::default(), now) {
            Identity::Account(account) => account,
            Identity::Answer(wire, stale) => match self.emergency_caller(source, message, &dialled, wire) {
                Some(extension) => extension,
                None => return self.answer(transaction, source, wire, stale, now),
            },
        };
        match caller.parse() {
            Ok(extension) => self.outbound(transaction, source, message, (extension, &dialled), now),
            Err(_) => self.refuse(transaction, 403, now),
        }
    }

    /// The extension behind an emergency call that would be refused, from where it is registered: no lockout and
    /// no wrong secret may stop that call. Whoever can be asked for credentials is asked, so that a forged
    /// address alone makes no emergency call.
    fn emergency_caller(
        &self,
        source: Source,
        message: &Message<'_>,
        dialled: &str,
        wire: Wire,
    ) -> Option<String> {
        let caller = message.from().uri().decoded_user()?;
        let registered = || self.registrar.bindings(&caller).iter().any(|b| b.source() == source);
        let refused = !matches!(wire, Wire::Challenge(_));
        (refused && self.guard.rules().is_emergency(dialled) && registered()).then(|| caller.into_owned())
    }

    fn outbound(
        &mut self,
        transaction: ServerTransactionId,
        source: Source,
        message: &Message<'_>,
        (extension, dialled): (ExtensionId, &str),
        now: Now,
    ) {
        let id = self.calls.next_id();
        let asked = OutboundCall::new(id, extension, dialled).source(source);
        let decided = self.guard.on_call(asked, now);
        audit::call(
            "outbound",
            extension,
            pbx_core::Label::new(dialled),
            &decided.decision,
            &self.guard.rules(),
        );
        if decided.decision.verdict != Verdict::Allow {
            // A PIN cannot be asked for before there is media: such a call is refused.
            return self.refuse_call(transaction, source, &decided, now);
        }
        let from = self.address(extension.as_str());
        let call = new_call(id, transaction, message, from);
        match decided.decision.reason {
            Reason::Internal => self.ring_extension(call, dialled, now),
            _ => self.call_trunks(call, &decided, now),
        }
    }

    fn inbound(
        &mut self,
        transaction: ServerTransactionId,
        source: Source,
        message: &Message<'_>,
        (trunk, dialled): (&str, &str),
        now: Now,
    ) {
        let id = self.calls.next_id();
        let from = message.from().uri().decoded_user().unwrap_or_default();
        let from = from.as_ref();
        let privacy = message.header(HeaderName::Privacy).unwrap_or_default();
        let asked = InboundCall::new(id, trunk, from, dialled).privacy(privacy).source(source);
        let decided = self.guard.on_call(asked, now);
        let caller = pbx_core::Label::new(from);
        audit::call("inbound", caller, pbx_core::Label::new(dialled), &decided.decision, &self.guard.rules());
        let destination = decided.destination.filter(|_| decided.decision.verdict == Verdict::Allow);
        let Some(destination) = destination else {
            return self.refuse_call(transaction, source, &decided, now);
        };
        let from = self.address(from);
        self.ring_extension(new_call(id, transaction, message, from), destination.as_str(), now);
    }

    fn refuse_call(
        &mut self,
        transaction: ServerTransactionId,
        source: Source,
        decided: &CallDecision,
        now: Now,
    ) {
        let wire = match decided.decision.wire() {
            Wire::Challenge(_) | Wire::Proceed => Wire::Refuse(decided.decision.sip_status().unwrap_or(403)),
            wire => wire,
        };
        self.answer(transaction, source, wire, Stale(false), now);
    }

    /// Rings every device of an extension.
    fn ring_extension(&mut self, call: Call, extension: &str, now: Now) {
        let id = call.id;
        let to = self.address(extension);
        let devices: Vec<_> = self.registrar.bindings(extension).to_vec();
        self.calls.insert(call);
        for device in devices {
            self.start_leg(
                id,
                &Target { uri: device.contact(), to: &to, peer: device_peer(&device), trunk: None },
                now,
            );
        }
        self.fail_if_over(id, 480, now);
    }

    fn call_trunks(&mut self, mut call: Call, decided: &CallDecision, now: Now) {
        let id = call.id;
        call.trunks = decided.trunks.iter().filter_map(|choice| self.trunk(choice)).collect();
        self.calls.insert(call);
        self.try_trunk(id, decided.trunks.first().map(|choice| choice.trunk), 503, now);
    }

    /// Calls over a trunk; without one the call has failed.
    pub(super) fn try_trunk(&mut self, id: CallId, trunk: Option<RuleId>, status: u16, now: Now) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let at = trunk.and_then(|rule| call.trunks.iter().position(|t| t.rule == rule));
        let Some(trunk) = at.map(|at| call.trunks.remove(at)) else {
            return self.fail_if_over(id, status, now);
        };
        call.from = sip_address(trunk.caller_id.as_str(), &self.settings.realm);
        let uri = format!("sip:{}@{}", uri_user(trunk.number), trunk.peer.addr);
        let to = format!("<{uri}>");
        self.start_leg(id, &Target { uri: &uri, to: &to, peer: trunk.peer, trunk: Some(trunk.name) }, now);
        self.fail_if_over(id, 503, now);
    }

    fn trunk(&self, choice: &TrunkChoice) -> Option<Trunk> {
        let name = self.guard.rules().trunk_name(choice.trunk)?.to_owned();
        let peer = self.settings.trunk_peer(&name)?;
        Some(Trunk { rule: choice.trunk, name, peer, number: choice.number, caller_id: choice.caller_id })
    }

    fn start_leg(&mut self, id: CallId, target: &Target<'_>, now: Now) {
        let Some(call) = self.calls.get(id) else { return };
        let invite = Invite {
            uri: target.uri,
            from: &call.from,
            to: target.to,
            peer: target.peer,
            follow_contact: target.trunk.is_some(),
        };
        let parts = Parts::body(&call.offer.content_type, &call.offer.bytes);
        match self.endpoint.invite(&invite, &parts, now) {
            Ok(dialog) => {
                let leg =
                    Leg { dialog, trunk: target.trunk.clone(), uri: target.uri.to_owned(), proof: None };
                self.calls.add_leg(id, leg);
            }
            Err(e) => warn!(error = %e, "not called"),
        }
    }

    /// The address of somebody here, for From and To.
    fn address(&self, user: &str) -> String {
        sip_address(user, &self.settings.realm)
    }
}

/// Whom a leg goes to.
struct Target<'a> {
    uri: &'a str,
    to: &'a str,
    peer: Peer,
    trunk: Option<String>,
}

fn new_call(id: CallId, invite: ServerTransactionId, message: &Message<'_>, from: String) -> Call {
    Call {
        id,
        caller: Caller { invite: Some(invite), dialog: None },
        legs: Vec::new(),
        answered: false,
        trunks: Vec::new(),
        offer: body(message),
        from,
        failure: None,
    }
}

pub(super) fn body(message: &Message<'_>) -> Body {
    let content_type = message.header(HeaderName::ContentType).unwrap_or_default();
    match message.body() {
        [] => Body::default(),
        bytes => {
            Body { content_type: pbx_sip::header::unfold(content_type).into_owned(), bytes: bytes.to_vec() }
        }
    }
}

/// `<sip:user@realm>`; what cannot be written as one is anonymous (RFC 3323 section 4.1).
fn sip_address(user: &str, realm: &str) -> String {
    let user = if user.is_empty() { "anonymous" } else { user };
    name_addr("", &format!("sip:{user}@{realm}"), "")
        .unwrap_or_else(|_| "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned())
}

/// Where a device is called: at its Contact when that is on the host it registered from, else where it registered
/// from. Behind NAT the Contact leads nowhere, and one on somebody else's host must not make us call there.
fn device_peer(device: &Binding) -> Peer {
    let source = device.source();
    let contact = Uri::parse(device.contact()).ok();
    let port =
        contact.filter(|uri| uri.host().ip() == Some(source.addr())).map(|uri| uri.port().unwrap_or(5060));
    let addr = SocketAddr::new(source.addr(), port.unwrap_or(source.port()));
    Peer { addr, transport: source.transport() }
}

/// A number as the user part of a URI: `#` is not allowed there as it is (RFC 3261 section 25.1).
fn uri_user(number: Number) -> String {
    number.as_str().replace('#', "%23")
}
