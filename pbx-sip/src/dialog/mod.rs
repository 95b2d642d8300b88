//! Dialogs of INVITE (RFC 3261 sections 12 to 15), on both sides of a call.

mod answer;
mod inside;
mod uac;
mod uas;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pbx_core::Mono;

use crate::config::Config;
use crate::endpoint::compose::{self, Parts, Peer};
use crate::endpoint::key::{Fingerprint, Purpose};
use crate::endpoint::{CommandError, DialogId, End, Endpoint, Event, Received};
use crate::header::{HeaderName, NameAddr, unfold};
use crate::message::write::Request;
use crate::message::{Message, Method};
use crate::transaction::store::Key;
use crate::uri::{Scheme, Uri};

use answer::Answer;

pub use uac::Invite;

/// What both sides of a call share (RFC 3261 section 12.1).
#[derive(Debug)]
pub(crate) struct Dialog {
    call_id: Box<str>,
    /// The From of our requests, with our tag.
    local: Box<str>,
    local_tag: Box<str>,
    local_seq: u32,
    /// The To of our requests, with the tag of the peer once that is known.
    remote: Box<str>,
    remote_tag: Option<Box<str>>,
    remote_seq: Option<u32>,
    /// The route set: Route values, next hop first.
    routes: Vec<Box<str>>,
    /// The remote target: the URI of the peer's Contact.
    target: Box<str>,
    /// Where messages have come from or gone to so far.
    peer: Peer,
    follow_contact: bool,
    phase: Phase,
    /// Our re-INVITE that is not answered yet.
    invite_out: Option<Key>,
    /// The re-INVITE of the peer that is not answered yet.
    invite_in: Option<Key>,
    /// Our 2xx that is not acknowledged yet.
    answer: Option<Answer>,
    /// The 2xx of the peer that waits for the embedder's ACK: its INVITE, and the number of that.
    unacknowledged: Option<(Key, u32)>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// We called, and nobody has accepted.
    Calling { client: Key },
    /// We are called, and have not accepted.
    Ringing { server: Key },
    /// Accepted.
    Confirmed,
}

impl Dialog {
    /// The dialog that a response to `invite` with our `tag` begins (RFC 3261 section 12.1.1).
    fn uas(invite: &Message<'_>, tag: &str, peer: Peer, server: Key) -> Self {
        Self {
            call_id: invite.call_id().into(),
            local: format!("{};tag={tag}", unfold(invite.to().as_str())).into(),
            local_tag: tag.into(),
            local_seq: 0,
            remote: unfold(invite.from().as_str()).into(),
            remote_tag: Some(invite.from().tag().unwrap_or_default().into()),
            remote_seq: Some(invite.cseq().seq),
            routes: invite.record_routes().map(|route| unfold(route.as_str()).into()).collect(),
            target: target(invite).unwrap_or_default(),
            peer,
            follow_contact: false,
            phase: Phase::Ringing { server },
            invite_out: None,
            invite_in: None,
            answer: None,
            unacknowledged: None,
        }
    }

    /// The dialog that our `invite` may begin; `from` and its tag are as the INVITE has them.
    fn uac(invite: &Message<'_>, peer: Peer, follow_contact: bool, client: Key) -> Self {
        Self {
            call_id: invite.call_id().into(),
            local: unfold(invite.from().as_str()).into(),
            local_tag: invite.from().tag().unwrap_or_default().into(),
            local_seq: invite.cseq().seq,
            remote: unfold(invite.to().as_str()).into(),
            remote_tag: None,
            remote_seq: None,
            routes: Vec::new(),
            target: invite.uri().map_or("", Uri::as_str).into(),
            peer,
            follow_contact,
            phase: Phase::Calling { client },
            invite_out: None,
            invite_in: None,
            answer: None,
            unacknowledged: None,
        }
    }

    /// Takes over what a 101 to 299 to our INVITE says (RFC 3261 section 12.1.2).
    fn learn(&mut self, response: &Message<'_>) {
        self.remote = unfold(response.to().as_str()).into();
        self.remote_tag = response.to().tag().map(Into::into);
        self.routes = response.record_routes().map(|route| unfold(route.as_str()).into()).collect();
        self.routes.reverse();
        self.refresh(response);
    }

    /// A target refresh (RFC 3261 section 12.2).
    fn refresh(&mut self, message: &Message<'_>) {
        if let Some(target) = target(message) {
            self.target = target;
        }
    }

    fn is_confirmed(&self) -> bool {
        matches!(self.phase, Phase::Confirmed)
    }

    /// Whether a request of the peer is of this dialog: the tag that it gave itself.
    fn is_from_peer(&self, request: &Message<'_>) -> bool {
        self.remote_tag.as_deref() == Some(request.from().tag().unwrap_or_default())
    }

    /// A request in this dialog (RFC 3261 section 12.2.1.1).
    fn compose(
        &self,
        config: &Config,
        method: Method,
        seq: u32,
        branch: &str,
        parts: &Parts<'_>,
    ) -> Result<Arc<[u8]>, CommandError> {
        parts.check(&[HeaderName::Route])?;
        let contact = compose::contact(config, self.peer.transport)?;
        let bracketed = format!("<{}>", self.target);
        let (uri, routes) = self.route(&bracketed);
        let core = Request {
            method,
            uri,
            via: &compose::via(config, self.peer.transport, branch)?,
            from: &self.local,
            to: &self.remote,
            call_id: &self.call_id,
            seq,
        };
        let refreshes = matches!(method, Method::Invite | Method::Update | Method::Refer | Method::Notify);
        let contact = refreshes.then_some((HeaderName::Contact, contact.as_str()));
        let routes = routes.into_iter().map(|route| (HeaderName::Route, route));
        compose::request(&core, routes.chain(contact), parts)
    }

    /// Request-URI and Route. A first route without `lr` is a strict router, which wants itself in the
    /// Request-URI and the target at the end (RFC 3261 section 12.2.1.1).
    fn route<'d>(&'d self, target: &'d str) -> (&'d str, Vec<&'d str>) {
        let routes = self.routes.iter().map(|route| &**route);
        match self.routes.first().and_then(|first| NameAddr::parse(first).ok()) {
            Some(first) if first.uri().param("lr").is_none() && !first.uri().has_headers() => {
                (first.uri().as_str(), routes.skip(1).chain([target]).collect())
            }
            _ => (&self.target, routes.collect()),
        }
    }

    /// Where requests go: where the peer was met, behind NAT the only place it is reached at, or where it says.
    fn next_hop(&self) -> Peer {
        let first =
            self.routes.first().and_then(|route| NameAddr::parse(route).ok()).map(|route| *route.uri());
        let next = first.or_else(|| Uri::parse(&self.target).ok()).filter(|_| self.follow_contact);
        next.and_then(|uri| address(&uri)).map_or(self.peer, |addr| Peer { addr, ..self.peer })
    }
}

/// The address in a URI. Names are left to the embedder, who alone can ask the DNS.
fn address(uri: &Uri<'_>) -> Option<SocketAddr> {
    let default = if uri.scheme() == Scheme::Sips { 5061 } else { 5060 };
    let ip: IpAddr = uri.host().ip()?;
    Some(SocketAddr::new(ip, uri.port().unwrap_or(default)))
}

fn target(message: &Message<'_>) -> Option<Box<str>> {
    message.contacts().next().map(|contact| contact.uri().as_str().into())
}

impl Endpoint {
    /// The Call-ID of a dialog.
    #[must_use]
    pub fn call_id_of(&self, dialog: DialogId) -> Option<&str> {
        self.dialogs.get(dialog.0).map(|d| &*d.call_id)
    }

    /// Where requests of a dialog go.
    #[must_use]
    pub fn peer_of(&self, dialog: DialogId) -> Option<Peer> {
        self.dialogs.get(dialog.0).map(Dialog::next_hop)
    }

    /// Lets requests of a dialog go to the address in the peer's Contact or route from now on, as RFC 3261 has it:
    /// see [`Invite::follow_contact`]. A dialog of an incoming call stays where the call came from unless this
    /// is called.
    ///
    /// # Errors
    /// When the dialog has ended.
    pub fn follow_contact(&mut self, dialog: DialogId) -> Result<(), CommandError> {
        self.dialogs.get_mut(dialog.0).ok_or(CommandError::Gone)?.follow_contact = true;
        Ok(())
    }

    /// Keeps a dialog; it is found by the tag that is ours.
    fn add_dialog(&mut self, dialog: Dialog) -> Result<Key, CommandError> {
        let print =
            self.fingerprints.of(Purpose::Dialog, &[dialog.call_id.as_bytes(), dialog.local_tag.as_bytes()]);
        let key = self.dialogs.insert(dialog).ok_or(CommandError::Full)?;
        self.dialog_index.insert(print, key);
        Ok(key)
    }

    /// The dialog that a message of the peer with our tag in To belongs to.
    fn find_dialog(&self, request: &Message<'_>) -> Option<Key> {
        let tag = request.to().tag()?;
        let print = self.fingerprints.of(Purpose::Dialog, &[request.call_id().as_bytes(), tag.as_bytes()]);
        let key = self.dialog_index.get(&print).copied()?;
        self.dialogs.get(key).filter(|d| d.is_from_peer(request)).map(|_| key)
    }

    /// Forgets a dialog and reports how it ended.
    fn end_dialog(&mut self, key: Key, end: End, message: Option<Received>) -> Option<Dialog> {
        let dialog = self.dialogs.remove(key)?;
        let print =
            self.fingerprints.of(Purpose::Dialog, &[dialog.call_id.as_bytes(), dialog.local_tag.as_bytes()]);
        self.dialog_index.remove(&print);
        self.report(Event::Ended { dialog: DialogId(key), end, message });
        Some(dialog)
    }

    /// A 2xx to a request of the peer: UPDATE is a target refresh, too (RFC 3311 section 5.2).
    pub(crate) fn refresh_target(&mut self, server: Key) {
        let Some(tx) = self.servers.get(server).filter(|tx| tx.method == Method::Update) else { return };
        let dialog = tx.dialog.and_then(|key| self.dialogs.get_mut(key));
        if let (Some(dialog), Some(Ok(message))) = (dialog, tx.request.as_ref().map(Received::parse)) {
            dialog.refresh(&message);
        }
    }

    fn arm_dialog(&mut self, key: Key) {
        let next: Option<Mono> =
            self.dialogs.get(key).and_then(|d| d.answer.as_ref()).map(Answer::next_timeout);
        self.dialogs.arm(key, next);
    }
}
