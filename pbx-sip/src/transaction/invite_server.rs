//! The INVITE server transaction (RFC 3261 section 17.2.1, RFC 6026 section 7.1).
//!
//! ```text
//!                      INVITE arrives: deliver
//!   INVITE: last response      |        100 after 200 ms of silence
//!   1xx from the user +--+     v
//!                     |  +-> Proceeding -----------------------+
//!                     +------/   |  2xx from the user: send    |
//!            300-699 from the    |                             v
//!            user: send          v                         Accepted <--+ INVITE: nothing
//!   INVITE, timer G: +--+    Completed --- timer H:            |  \----+ ACK: deliver
//!   resend           |  +--> / | ACK \     tell the user,      |         2xx from the user: send
//!                    +------/  v      \    Terminated          |
//!                          Confirmed   +-> Terminated          | timer L
//!                              | timer I                       |
//!                              +---------> Terminated <--------+
//! ```

use core::time::Duration;

use pbx_core::Mono;

use super::Action;
use super::timer::{Repeat, Timing, earlier};

/// How long the user may be silent before 100 Trying goes out (RFC 3261 section 17.2.1).
const TRYING_AFTER: Duration = Duration::from_millis(200);

/// An INVITE that was received.
#[derive(Clone, Debug)]
pub struct InviteServer {
    timing: Timing,
    reliable: bool,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// `trying` is when 100 goes out by itself.
    Proceeding {
        trying: Option<Mono>,
    },
    /// `resend` is timer G, `until` timer H.
    Completed {
        resend: Option<Repeat>,
        until: Mono,
    },
    /// `until` is timer I.
    Confirmed {
        until: Mono,
    },
    /// `until` is timer L.
    Accepted {
        until: Mono,
    },
    Terminated,
}

impl InviteServer {
    /// The machine of an INVITE that arrived at `now`; `reliable` says that the transport delivers by itself.
    #[must_use]
    pub fn new(timing: Timing, reliable: bool, now: Mono) -> Self {
        Self { timing, reliable, state: State::Proceeding { trying: Some(now + TRYING_AFTER) } }
    }

    /// The INVITE arrived again.
    pub fn handle_request(&mut self) -> Action {
        match self.state {
            State::Proceeding { .. } | State::Completed { .. } => Action::Send,
            // The user repeats its 2xx itself (RFC 3261 section 13.3.1.4).
            State::Accepted { .. } | State::Confirmed { .. } | State::Terminated => Action::None,
        }
    }

    /// An ACK arrived.
    pub fn handle_ack(&mut self, now: Mono) -> Action {
        match self.state {
            State::Completed { .. } => {
                self.confirm(now);
                Action::None
            }
            State::Accepted { .. } => Action::Deliver,
            State::Proceeding { .. } | State::Confirmed { .. } | State::Terminated => Action::None,
        }
    }

    fn confirm(&mut self, now: Mono) {
        self.state =
            if self.reliable { State::Terminated } else { State::Confirmed { until: now + self.timing.t4 } };
    }

    /// The user answers with `status`: [`Action::Send`] when the state allows it, [`Action::None`] when it is
    /// too late or the status is none.
    pub fn respond(&mut self, status: u16, now: Mono) -> Action {
        match (self.state, status) {
            (State::Proceeding { .. }, 100..=199) => self.state = State::Proceeding { trying: None },
            (State::Proceeding { .. }, 200..=299) => {
                self.state = State::Accepted { until: now + self.timing.give_up() };
            }
            (State::Proceeding { .. }, 300..=699) => {
                let resend = Repeat::start(self.timing.t1.min(self.timing.t2), self.reliable, now);
                self.state = State::Completed { resend, until: now + self.timing.give_up() };
            }
            (State::Accepted { .. }, 200..=299) => {}
            _ => return Action::None,
        }
        Action::Send
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) -> Action {
        let timing = self.timing;
        match &mut self.state {
            State::Proceeding { trying } if trying.is_some_and(|at| at <= now) => {
                *trying = None;
                Action::SendTrying
            }
            State::Completed { until, .. } if *until <= now => {
                self.state = State::Terminated;
                Action::TimedOut
            }
            State::Completed { resend: Some(resend), .. } if resend.at <= now => {
                resend.next(timing.back_off(resend.interval), now);
                Action::Send
            }
            State::Confirmed { until } | State::Accepted { until } if *until <= now => {
                self.state = State::Terminated;
                Action::None
            }
            _ => Action::None,
        }
    }

    /// The transport says that it cannot send.
    pub fn handle_transport_failure(&mut self) -> Action {
        match self.state {
            State::Completed { .. } => {
                self.state = State::Terminated;
                Action::TransportFailed
            }
            // A provisional that is lost may be repeated; 2xx is the user's (RFC 6026 section 7.1).
            State::Proceeding { .. }
            | State::Accepted { .. }
            | State::Confirmed { .. }
            | State::Terminated => Action::None,
        }
    }

    /// When [`InviteServer::handle_timeout`] is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Proceeding { trying } => trying,
            State::Completed { resend, until } => earlier(resend, until),
            State::Confirmed { until } | State::Accepted { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Whether the user still owes a final response.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// Whether the user may still send the 2xx it chose.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self.state, State::Accepted { .. })
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

    fn ms(ms: u64) -> Mono {
        T0 + Duration::from_millis(ms)
    }

    fn udp() -> InviteServer {
        InviteServer::new(Timing::default(), false, T0)
    }

    #[test]
    fn rfc3261_17_2_1_silence_of_200_ms_sends_100_once() {
        let mut m = udp();
        assert_eq!(m.next_timeout(), Some(ms(200)));
        assert_eq!(m.handle_timeout(ms(200)), Action::SendTrying);
        assert_eq!(m.next_timeout(), None);
    }

    #[test]
    fn rfc3261_17_2_1_an_answer_within_200_ms_needs_no_100() {
        let mut m = udp();
        assert_eq!(m.respond(180, ms(50)), Action::Send);
        assert_eq!(m.handle_timeout(ms(200)), Action::None);
        assert_eq!(m.handle_request(), Action::Send, "a copy gets the last response");
    }

    #[test]
    fn rfc3261_17_2_1_failures_repeat_by_timer_g_until_timer_h() {
        let mut m = udp();
        assert_eq!(m.respond(486, T0), Action::Send);
        for at in [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500] {
            assert_eq!(m.next_timeout(), Some(ms(at)));
            assert_eq!(m.handle_timeout(ms(at)), Action::Send);
        }
        assert_eq!(m.handle_timeout(ms(32_000)), Action::TimedOut);
        assert!(m.is_terminated());
    }

    #[test]
    fn rfc3261_17_2_1_an_ack_confirms_and_timer_i_absorbs_more() {
        let mut m = udp();
        m.respond(486, T0);
        assert_eq!(m.handle_ack(ms(100)), Action::None);
        assert_eq!(m.handle_ack(ms(200)), Action::None);
        assert_eq!(m.handle_request(), Action::None);
        assert_eq!(m.next_timeout(), Some(ms(5_100)));
        m.handle_timeout(ms(5_100));
        assert!(m.is_terminated());
    }

    #[test]
    fn rfc3261_17_2_1_a_stream_has_neither_timer_g_nor_i() {
        let mut m = InviteServer::new(Timing::default(), true, T0);
        m.respond(486, T0);
        assert_eq!(m.next_timeout(), Some(ms(32_000)), "timer H");
        m.handle_ack(ms(1));
        assert!(m.is_terminated());
    }

    #[test]
    fn rfc6026_7_1_accepted_absorbs_copies_and_passes_acks_for_timer_l() {
        let mut m = udp();
        assert_eq!(m.respond(200, T0), Action::Send);
        assert_eq!(m.handle_request(), Action::None);
        assert_eq!(m.respond(200, ms(500)), Action::Send, "the user repeats it");
        assert_eq!(m.respond(486, ms(600)), Action::None);
        assert_eq!(m.handle_ack(ms(700)), Action::Deliver);
        assert_eq!(m.next_timeout(), Some(ms(32_000)));
        m.handle_timeout(ms(32_000));
        assert!(m.is_terminated());
    }

    #[test]
    fn no_state_takes_a_status_that_does_not_exist() {
        for status in [0, 99, 700, u16::MAX] {
            assert_eq!(udp().respond(status, T0), Action::None);
        }
    }
}
