//! What an endpoint says to its embedder.

use std::sync::Arc;

use pbx_core::Source;

use crate::header::Malformed;
use crate::message::{Fault, Message, Method};
use crate::transaction::store::Key;

/// A request that was received and is to be answered; never names another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerTransactionId(pub(crate) Key);

/// A request that was sent; never names another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientTransactionId(pub(crate) Key);

/// A dialog of an INVITE (RFC 3261 section 12); never names another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogId(pub(crate) Key);

/// A message that was received, without the error it could have been: it was parsed once already. Copies
/// share the bytes.
#[derive(Clone)]
pub struct Received(Arc<[u8]>);

impl Received {
    pub(crate) fn new(bytes: Arc<[u8]>) -> Self {
        Self(bytes)
    }

    /// The message.
    ///
    /// # Errors
    /// Never for what an endpoint delivers: it was parsed before.
    pub fn parse(&self) -> Result<Message<'_>, Fault<'_>> {
        Message::parse(&self.0)
    }

    pub(crate) fn bytes(&self) -> Arc<[u8]> {
        self.0.clone()
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for Received {
    /// Without the message, which may hold credentials.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Received({} bytes)", self.0.len())
    }
}

/// What happened. Events come in the order of what caused them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A request that the embedder answers: [`Endpoint::respond`](crate::Endpoint::respond), for an INVITE
    /// also [`ring`](crate::Endpoint::ring) and [`accept`](crate::Endpoint::accept), or
    /// [`drop_request`](crate::Endpoint::drop_request).
    Request {
        /// What to answer.
        transaction: ServerTransactionId,
        /// The dialog it belongs to, when it belongs to one.
        dialog: Option<DialogId>,
        /// Its method; neither ACK nor CANCEL.
        method: Method,
        /// Who sent it.
        source: Source,
        /// The request.
        message: Received,
    },
    /// An INVITE was withdrawn by its sender; 487 has been sent (RFC 3261 section 9.2).
    Cancelled {
        /// The INVITE.
        transaction: ServerTransactionId,
        /// The dialog it had begun, or that it would have changed.
        dialog: Option<DialogId>,
        /// The CANCEL, which may hold a Reason (RFC 3326).
        message: Received,
    },
    /// The 2xx of an INVITE was acknowledged.
    Acknowledged {
        /// Where.
        dialog: DialogId,
        /// The ACK, which may hold the answer to an offer.
        message: Received,
    },
    /// The failure response to an INVITE was never acknowledged: the sender is gone, or never was at the
    /// address it wrote from.
    Unacknowledged {
        /// The INVITE.
        transaction: ServerTransactionId,
        /// Who seemed to have sent it.
        source: Source,
    },
    /// A response to [`Endpoint::request`](crate::Endpoint::request) or [`Endpoint::send`](crate::Endpoint::send).
    Response {
        /// The request.
        transaction: ClientTransactionId,
        /// The dialog of the request.
        dialog: Option<DialogId>,
        /// The status, 100 to 699.
        status: u16,
        /// The response.
        message: Received,
    },
    /// The called party of [`Endpoint::invite`](crate::Endpoint::invite) has not decided yet.
    Progress {
        /// The call.
        dialog: DialogId,
        /// The status, 101 to 199.
        status: u16,
        /// The response.
        message: Received,
    },
    /// The called party has accepted. The ACK has been sent when the INVITE had a body; otherwise
    /// [`Endpoint::acknowledge`](crate::Endpoint::acknowledge) sends it with the answer.
    Answered {
        /// The call.
        dialog: DialogId,
        /// The response.
        message: Received,
    },
    /// The peer asks for credentials with 401 or 407 (RFC 3261 section 22):
    /// [`Endpoint::authorize`](crate::Endpoint::authorize) repeats the request with them, within 64·T1.
    Challenged {
        /// The request.
        transaction: ClientTransactionId,
        /// Its dialog.
        dialog: Option<DialogId>,
        /// 401 or 407.
        status: u16,
        /// The response with its challenges.
        message: Received,
    },
    /// Nobody answered a request within 64·T1.
    TimedOut {
        /// The request.
        transaction: ClientTransactionId,
        /// Its dialog.
        dialog: Option<DialogId>,
    },
    /// A request could not be sent.
    TransportFailed {
        /// The request.
        transaction: ClientTransactionId,
        /// Its dialog.
        dialog: Option<DialogId>,
    },
    /// A dialog is over; its id is not known any more. Every dialog ends with exactly one of these.
    Ended {
        /// The dialog.
        dialog: DialogId,
        /// How.
        end: End,
        /// The BYE or the response that ended it, if one did.
        message: Option<Received>,
    },
}

/// How a dialog ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// By [`Endpoint::hang_up`](crate::Endpoint::hang_up).
    HungUp,
    /// By BYE of the peer.
    Bye,
    /// By CANCEL of the caller.
    Cancelled,
    /// By this status: the peer refused, or the embedder did with [`Endpoint::respond`](crate::Endpoint::respond).
    Refused(u16),
    /// The peer never answered.
    TimedOut,
    /// The peer never acknowledged that the call was accepted (RFC 3261 section 13.3.1.4).
    NoAck,
    /// The peer knows nothing of the dialog any more: 481 or 408 to a request in it (RFC 3261 section 12.2.1.2).
    Gone,
    /// Nothing can be sent to the peer.
    TransportFailed,
}

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handled {
    /// A message that belongs to something: a new request, a response, an ACK, a CANCEL.
    Accepted,
    /// A message that was seen before; it was answered again where that is due.
    Repeated,
    /// Not a SIP message as RFC 3261 has it; what is owed to the sender has been queued.
    Malformed(Malformed),
    /// A request that was refused without keeping state.
    Refused(Refused),
    /// A message that was dropped in silence.
    Dropped(Dropped),
    /// Empty lines, which keep a binding of a NAT alive (RFC 5626 section 4.4.1).
    KeepAlive,
}

/// Why a request was refused without keeping state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// 503: there are as many transactions as there may be.
    Full,
    /// 481: a request in a dialog that is not known, or a CANCEL of nothing.
    NoDialog,
    /// 482: the same request arrived twice on different ways (RFC 3261 section 8.2.2.2).
    Merged,
    /// 483: an INVITE whose Max-Forwards is used up.
    TooManyHops,
    /// 420: it requires an extension that is not supported.
    Extension,
    /// 400: an INVITE that does not say where its sender is reached (RFC 3261 section 8.1.1.8).
    NoContact,
    /// 491: an INVITE while another one of the dialog is unanswered (RFC 3261 section 14.2).
    Pending,
    /// 500: a second INVITE before the first was answered (RFC 3261 section 14.2).
    TooSoon,
    /// 500: the CSeq is not above the last one of the dialog (RFC 3261 section 12.2.2).
    OutOfOrder,
}

/// Why a message was dropped in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// A response to nothing that was asked.
    NoTransaction,
    /// An ACK of nothing.
    NoDialog,
    /// The sender has as many transactions as one address may have.
    SourceFull,
    /// More refusals are due than may be sent in a second.
    Quiet,
    /// The embedder has not drained the events.
    NotDrained,
}

impl Refused {
    /// Whether only a peer of the dialog, who holds both tags, can get it: such answers are nobody's means to
    /// make this endpoint shout.
    pub(crate) const fn is_of_a_dialog(self) -> bool {
        matches!(self, Self::Pending | Self::TooSoon | Self::OutOfOrder)
    }

    /// The status that was sent.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Full => 503,
            Self::NoDialog => 481,
            Self::Merged => 482,
            Self::TooManyHops => 483,
            Self::Extension => 420,
            Self::NoContact => 400,
            Self::Pending => 491,
            Self::TooSoon | Self::OutOfOrder => 500,
        }
    }
}
