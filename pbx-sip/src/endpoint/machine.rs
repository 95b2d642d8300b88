//! The machine of a transaction, whichever of the two of its side it is.

use pbx_core::Mono;

use crate::config::Config;
use crate::message::Method;
use crate::transaction::{Action, Client, InviteClient, InviteServer, Server};

/// The machine of a request that was received.
#[derive(Debug)]
pub(crate) enum ServerMachine {
    Invite(InviteServer),
    Other(Server),
}

impl ServerMachine {
    pub(crate) fn new(method: Method, config: &Config, reliable: bool, now: Mono) -> Self {
        match method {
            Method::Invite => Self::Invite(InviteServer::new(config.timing, reliable, now)),
            _ => Self::Other(Server::new(config.timing, reliable)),
        }
    }

    pub(crate) fn handle_request(&mut self) -> Action {
        match self {
            Self::Invite(machine) => machine.handle_request(),
            Self::Other(machine) => machine.handle_request(),
        }
    }

    pub(crate) fn handle_ack(&mut self, now: Mono) -> Action {
        match self {
            Self::Invite(machine) => machine.handle_ack(now),
            Self::Other(_) => Action::None,
        }
    }

    pub(crate) fn respond(&mut self, status: u16, now: Mono) -> Action {
        match self {
            Self::Invite(machine) => machine.respond(status, now),
            Self::Other(machine) => machine.respond(status, now),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Mono) -> Action {
        match self {
            Self::Invite(machine) => machine.handle_timeout(now),
            Self::Other(machine) => machine.handle_timeout(now),
        }
    }

    pub(crate) fn handle_transport_failure(&mut self) -> Action {
        match self {
            Self::Invite(machine) => machine.handle_transport_failure(),
            Self::Other(machine) => machine.handle_transport_failure(),
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Mono> {
        match self {
            Self::Invite(machine) => machine.next_timeout(),
            Self::Other(machine) => machine.next_timeout(),
        }
    }

    pub(crate) fn is_pending(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_pending(),
            Self::Other(machine) => machine.is_pending(),
        }
    }

    pub(crate) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_terminated(),
            Self::Other(machine) => machine.is_terminated(),
        }
    }
}

/// The machine of a request that was sent.
#[derive(Debug)]
pub(crate) enum ClientMachine {
    Invite(InviteClient),
    Other(Client),
}

impl ClientMachine {
    pub(crate) fn new(method: Method, config: &Config, reliable: bool, now: Mono) -> Self {
        match method {
            Method::Invite => Self::Invite(InviteClient::new(config.timing, reliable, now)),
            _ => Self::Other(Client::new(config.timing, reliable, now)),
        }
    }

    pub(crate) fn handle_response(&mut self, status: u16, now: Mono) -> Action {
        match self {
            Self::Invite(machine) => machine.handle_response(status, now),
            Self::Other(machine) => machine.handle_response(status, now),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Mono) -> Action {
        match self {
            Self::Invite(machine) => machine.handle_timeout(now),
            Self::Other(machine) => machine.handle_timeout(now),
        }
    }

    pub(crate) fn handle_transport_failure(&mut self) -> Action {
        match self {
            Self::Invite(machine) => machine.handle_transport_failure(),
            Self::Other(machine) => machine.handle_transport_failure(),
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Mono> {
        match self {
            Self::Invite(machine) => machine.next_timeout(),
            Self::Other(machine) => machine.next_timeout(),
        }
    }

    pub(crate) fn is_proceeding(&self) -> bool {
        matches!(self, Self::Invite(machine) if machine.is_proceeding())
    }

    pub(crate) fn is_pending(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_pending(),
            Self::Other(machine) => machine.is_pending(),
        }
    }

    pub(crate) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_terminated(),
            Self::Other(machine) => machine.is_terminated(),
        }
    }
}
