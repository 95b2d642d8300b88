//! The calls there are: two dialogs each, coupled back to back.

use std::collections::HashMap;

use pbx_auth::digest;
use pbx_core::{CallId, Label, Number, RuleId};
use pbx_sip::{ClientTransactionId, DialogId, Peer, ServerTransactionId};

/// All live calls, found by what the endpoint names.
#[derive(Debug)]
pub(super) struct Calls {
    next: u64,
    live: HashMap<CallId, Call>,
    by_dialog: HashMap<DialogId, CallId>,
    by_invite: HashMap<ServerTransactionId, CallId>,
    /// Requests inside of a dialog that were passed on to the other one: what is to be answered.
    pub(super) relays: HashMap<ClientTransactionId, Relay>,
}

/// A call from its INVITE to its end.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) caller: Caller,
    /// Those that are being called, or the one that has answered.
    pub(super) legs: Vec<Leg>,
    pub(super) answered: bool,
    /// The trunks that it may go over, in the order they are tried.
    pub(super) trunks: Vec<Trunk>,
    /// What the caller offered: the type and the body of its INVITE.
    pub(super) offer: Body,
    /// The From of what is sent to the called parties.
    pub(super) from: String,
    /// The most telling failure so far.
    pub(super) failure: Option<u16>,
}

/// The side that called.
#[derive(Debug)]
pub(super) struct Caller {
    /// Its INVITE, until it has a final answer.
    pub(super) invite: Option<ServerTransactionId>,
    pub(super) dialog: Option<DialogId>,
}

/// A side that is called.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) dialog: DialogId,
    /// The trunk, by name; none for a phone of ours.
    pub(super) trunk: Option<String>,
    /// The Request-URI of its INVITE.
    pub(super) uri: String,
    /// What we answered when the trunk asked who we are.
    pub(super) proof: Option<digest::Answer>,
}

/// A trunk to try.
#[derive(Clone, Debug)]
pub(super) struct Trunk {
    pub(super) rule: RuleId,
    pub(super) name: String,
    pub(super) peer: Peer,
    pub(super) number: Number,
    pub(super) caller_id: Label,
}

/// The body of a message with its type.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    pub(super) content_type: String,
    pub(super) bytes: Vec<u8>,
}

/// A request that was passed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    pub(super) call: CallId,
    /// What is to be answered.
    pub(super) server: ServerTransactionId,
    /// Whether it is an INVITE, whose success is an acceptance.
    pub(super) invite: bool,
}

impl Calls {
    /// No calls; the ids begin at `first`.
    pub(super) fn new(first: u64) -> Self {
        Self {
            next: first,
            live: HashMap::new(),
            by_dialog: HashMap::new(),
            by_invite: HashMap::new(),
            relays: HashMap::new(),
        }
    }

    /// An id that no call has had.
    pub(super) fn next_id(&mut self) -> CallId {
        self.next = self.next.wrapping_add(1);
        CallId(self.next)
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) fn ids(&self) -> Vec<CallId> {
        self.live.keys().copied().collect()
    }

    pub(super) fn insert(&mut self, call: Call) {
        if let Some(invite) = call.caller.invite {
            self.by_invite.insert(invite, call.id);
        }
        self.live.insert(call.id, call);
    }

    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.live.get_mut(&id)
    }

    pub(super) fn get(&self, id: CallId) -> Option<&Call> {
        self.live.get(&id)
    }

    pub(super) fn by_dialog(&self, dialog: DialogId) -> Option<CallId> {
        self.by_dialog.get(&dialog).copied()
    }

    pub(super) fn by_invite(&self, invite: ServerTransactionId) -> Option<CallId> {
        self.by_invite.get(&invite).copied()
    }

    /// The caller's dialog, once its first answer has begun it.
    pub(super) fn caller_dialog(&mut self, id: CallId, dialog: DialogId) {
        if let Some(call) = self.live.get_mut(&id) {
            call.caller.dialog = Some(dialog);
            self.by_dialog.insert(dialog, id);
        }
    }

    /// The caller's INVITE has its final answer.
    pub(super) fn invite_answered(&mut self, id: CallId) -> Option<ServerTransactionId> {
        let invite = self.live.get_mut(&id)?.caller.invite.take()?;
        self.by_invite.remove(&invite);
        Some(invite)
    }

    pub(super) fn add_leg(&mut self, id: CallId, leg: Leg) {
        if let Some(call) = self.live.get_mut(&id) {
            self.by_dialog.insert(leg.dialog, id);
            call.legs.push(leg);
        }
    }

    /// A leg is over.
    pub(super) fn remove_leg(&mut self, id: CallId, dialog: DialogId) -> Option<Leg> {
        self.by_dialog.remove(&dialog);
        let legs = &mut self.live.get_mut(&id)?.legs;
        let at = legs.iter().position(|leg| leg.dialog == dialog)?;
        Some(legs.remove(at))
    }

    /// The call is over: nothing finds it any more.
    pub(super) fn remove(&mut self, id: CallId) -> Option<Call> {
        let call = self.live.remove(&id)?;
        self.relays.retain(|_, relay| relay.call != id);
        let dialogs = call.legs.iter().map(|leg| leg.dialog).chain(call.caller.dialog);
        for dialog in dialogs {
            self.by_dialog.remove(&dialog);
        }
        if let Some(invite) = call.caller.invite {
            self.by_invite.remove(&invite);
        }
        Some(call)
    }
}

impl Call {
    /// The dialog on the other side of `dialog`, once both are there.
    pub(super) fn other(&self, dialog: DialogId) -> Option<DialogId> {
        let callee = self.legs.first().filter(|_| self.answered).map(|leg| leg.dialog);
        if self.caller.dialog == Some(dialog) { callee } else { self.caller.dialog.filter(|_| self.answered) }
    }

    pub(super) fn is_caller(&self, dialog: DialogId) -> bool {
        self.caller.dialog == Some(dialog)
    }
}
