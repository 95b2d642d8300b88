//! The four transaction machines of RFC 3261 section 17 with the Accepted state of RFC 6026.
//!
//! A machine holds a state and its timers and nothing else: no message, no address, no queue. Its owner
//! tells it what happened and does what the [`Action`] it gets back says; after every call it asks
//! [`next_timeout`](Server::next_timeout) when to call again and `is_terminated` whether to forget it.
//! [`crate::Endpoint`] is such an owner.
//!
//! ```
//! use core::time::Duration;
//! use pbx_core::Mono;
//! use pbx_sip::transaction::{Action, Server, Timing};
//!
//! let t0 = Mono::from_secs(1);
//! let mut register = Server::new(Timing::default(), false);
//! assert_eq!(register.respond(200, t0), Action::Send);
//! assert_eq!(register.handle_request(), Action::Send, "the client missed it");
//! assert_eq!(register.next_timeout(), Some(t0 + Duration::from_secs(32)), "timer J");
//! ```

mod client;
mod invite_client;
mod invite_server;
mod server;
pub(crate) mod store;
mod timer;

pub use client::Client;
pub use invite_client::InviteClient;
pub use invite_server::InviteServer;
pub use server::Server;
pub use timer::Timing;

/// What the owner of a machine has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Nothing.
    None,
    /// Send the message of this transaction: the request of a client, the last response of a server (when
    /// there is one already).
    Send,
    /// Hand what arrived to the transaction user.
    Deliver,
    /// Hand the response to the transaction user and acknowledge it (section 17.1.1.3).
    DeliverAndAck,
    /// Acknowledge the response again; the transaction user has had it.
    Ack,
    /// Send 100 Trying: the transaction user has been silent for 200 ms (section 17.2.1).
    SendTrying,
    /// Tell the transaction user that the other side never answered. The machine has terminated.
    TimedOut,
    /// Tell the transaction user that nothing can be sent. The machine has terminated.
    TransportFailed,
}
