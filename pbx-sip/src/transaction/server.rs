//! The server transaction of every request but INVITE and ACK (RFC 3261 section 17.2.2).
//!
//! ```text
//!                    request arrives: deliver
//!                              |
//!                              v
//!                           Trying ------------------+
//!                              |                     |
//!       1xx from the user: send|                     | 200-699 from the user: send
//!   request, 1xx: +--+         v                     |
//!   (re)send      |  +-->  Proceeding                |
//!                 +-------/    |                     |
//!                              | 200-699: send       |
//!   request:      +--+         v                     |
//!   resend        |  +-->  Completed <---------------+
//!                 +-------/    | timer J             transport failed in Proceeding or Completed:
//!                              v                     tell the user, Terminated
//!                          Terminated
//! ```

use pbx_core::Mono;

use super::Action;
use super::timer::Timing;

/// A request that was received.
///
/// Trying and Proceeding last until the user answers; RFC 4320 section 4.2 wants silence once the client has
/// given up, so the owner forgets an unanswered request after 64·T1.
#[derive(Clone, Debug)]
pub struct Server {
    timing: Timing,
    reliable: bool,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Trying,
    Proceeding,
    /// `until` is timer J.
    Completed {
        until: Mono,
    },
    Terminated,
}

impl Server {
    /// The machine of a request that has arrived; `reliable` says that the transport delivers by itself.
    #[must_use]
    pub fn new(timing: Timing, reliable: bool) -> Self {
        Self { timing, reliable, state: State::Trying }
    }

    /// The request arrived again.
    pub fn handle_request(&mut self) -> Action {
        match self.state {
            State::Proceeding | State::Completed { .. } => Action::Send,
            State::Trying | State::Terminated => Action::None,
        }
    }

    /// The user answers with `status`: [`Action::Send`] when the state allows it, [`Action::None`] when it has
    /// answered already or the status is none.
    pub fn respond(&mut self, status: u16, now: Mono) -> Action {
        match (self.state, status) {
            (State::Trying | State::Proceeding, 100..=199) => self.state = State::Proceeding,
            (State::Trying | State::Proceeding, 200..=699) => self.complete(now),
            _ => return Action::None,
        }
        Action::Send
    }

    fn complete(&mut self, now: Mono) {
        self.state = if self.reliable {
            State::Terminated
        } else {
            State::Completed { until: now + self.timing.give_up() }
        };
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) -> Action {
        if matches!(self.state, State::Completed { until } if until <= now) {
            self.state = State::Terminated;
        }
        Action::None
    }

    /// The transport says that it cannot send.
    pub fn handle_transport_failure(&mut self) -> Action {
        match self.state {
            State::Proceeding | State::Completed { .. } => {
                self.state = State::Terminated;
                Action::TransportFailed
            }
            State::Trying | State::Terminated => Action::None,
        }
    }

    /// When [`Server::handle_timeout`] is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Completed { until } => Some(until),
            State::Trying | State::Proceeding | State::Terminated => None,
        }
    }

    /// Whether the user still owes a final response.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Mono = Mono::from_secs(100);

    fn secs(s: u64) -> Mono {
        T0 + core::time::Duration::from_secs(s)
    }

    fn udp() -> Server {
        Server::new(Timing::default(), false)
    }

    #[test]
    fn rfc3261_17_2_2_trying_discards_copies() {
        assert_eq!(udp().handle_request(), Action::None);
    }

    #[test]
    fn rfc3261_17_2_2_proceeding_and_completed_answer_copies() {
        let mut m = udp();
        assert_eq!(m.respond(100, T0), Action::Send);
        assert_eq!(m.handle_request(), Action::Send);
        assert_eq!(m.respond(200, T0), Action::Send);
        assert_eq!(m.handle_request(), Action::Send);
        assert_eq!(m.respond(404, T0), Action::None, "there is one final response");
    }

    #[test]
    fn rfc3261_17_2_2_timer_j_ends_it() {
        let mut m = udp();
        m.respond(200, T0);
        assert_eq!(m.next_timeout(), Some(secs(32)));
        m.handle_timeout(secs(31));
        assert!(!m.is_terminated());
        m.handle_timeout(secs(32));
        assert!(m.is_terminated());
        assert_eq!(m.handle_request(), Action::None);
    }

    #[test]
    fn rfc3261_17_2_2_a_stream_has_no_timer_j() {
        let mut m = Server::new(Timing::default(), true);
        assert_eq!(m.respond(200, T0), Action::Send);
        assert!(m.is_terminated());
    }

    #[test]
    fn rfc3261_17_2_4_transport_failure_before_an_answer_is_nobodys() {
        let mut m = udp();
        assert_eq!(m.handle_transport_failure(), Action::None);
        m.respond(200, T0);
        assert_eq!(m.handle_transport_failure(), Action::TransportFailed);
        assert!(m.is_terminated());
    }
}
