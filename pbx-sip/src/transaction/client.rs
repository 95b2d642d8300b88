//! The client transaction of every request but INVITE and ACK (RFC 3261 section 17.1.2).
//!
//! ```text
//!                  request from the user: send
//!        timer E               |
//!       resend +--+            v          timer F or transport failed:
//!              |  +------->  Trying  -------------------+-> Terminated, tell the user
//!              +-------------/ | \                      |
//!                 1xx: deliver |  \ 200-699: deliver    |
//!   1xx: deliver               v   +-----------------+  |
//!   timer E: resend +--+  Proceeding --------------- | -+
//!                   |  +----> / | 200-699: deliver   |
//!                   +--------/  v                    |
//!                           Completed <--------------+
//!                               | timer K
//!                               v
//!                           Terminated
//! ```

use pbx_core::Mono;

use super::Action;
use super::timer::{Repeat, Timing, earlier};

/// A request that was sent. Making one means that the request goes out now.
#[derive(Clone, Debug)]
pub struct Client {
    timing: Timing,
    reliable: bool,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// `resend` is timer E, `until` timer F.
    Trying {
        resend: Option<Repeat>,
        until: Mono,
    },
    /// The same timers; E runs at T2.
    Proceeding {
        resend: Option<Repeat>,
        until: Mono,
    },
    /// `until` is timer K.
    Completed {
        until: Mono,
    },
    Terminated,
}

impl Client {
    /// The machine of a request that is sent at `now`; `reliable` says that the transport delivers by itself.
    #[must_use]
    pub fn new(timing: Timing, reliable: bool, now: Mono) -> Self {
        let resend = Repeat::start(timing.t1.min(timing.t2), reliable, now);
        Self { timing, reliable, state: State::Trying { resend, until: now + timing.give_up() } }
    }

    /// A response with `status` arrived.
    pub fn handle_response(&mut self, status: u16, now: Mono) -> Action {
        match (self.state, status) {
            (State::Trying { resend, until } | State::Proceeding { resend, until }, 100..=199) => {
                self.state = State::Proceeding { resend, until };
                Action::Deliver
            }
            (State::Trying { .. } | State::Proceeding { .. }, 200..=699) => {
                self.complete(now);
                Action::Deliver
            }
            _ => Action::None,
        }
    }

    fn complete(&mut self, now: Mono) {
        self.state =
            if self.reliable { State::Terminated } else { State::Completed { until: now + self.timing.t4 } };
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) -> Action {
        let timing = self.timing;
        match &mut self.state {
            State::Trying { until, .. } | State::Proceeding { until, .. } if *until <= now => {
                self.state = State::Terminated;
                Action::TimedOut
            }
            State::Trying { resend: Some(resend), .. } if resend.at <= now => {
                resend.next(timing.back_off(resend.interval), now);
                Action::Send
            }
            State::Proceeding { resend: Some(resend), .. } if resend.at <= now => {
                resend.next(timing.t2, now);
                Action::Send
            }
            State::Completed { until } if *until <= now => {
                self.state = State::Terminated;
                Action::None
            }
            _ => Action::None,
        }
    }

    /// The transport says that it cannot send.
    pub fn handle_transport_failure(&mut self) -> Action {
        match self.state {
            State::Trying { .. } | State::Proceeding { .. } => {
                self.state = State::Terminated;
                Action::TransportFailed
            }
            State::Completed { .. } | State::Terminated => Action::None,
        }
    }

    /// When [`Client::handle_timeout`] is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Trying { resend, until } | State::Proceeding { resend, until } => earlier(resend, until),
            State::Completed { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Whether a final response is still to come.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
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
        T0 + core::time::Duration::from_millis(ms)
    }

    fn udp() -> Client {
        Client::new(Timing::default(), false, T0)
    }

    #[test]
    fn rfc3261_17_1_2_2_timer_e_doubles_up_to_t2_until_timer_f() {
        let mut m = udp();
        for at in [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500] {
            assert_eq!(m.next_timeout(), Some(ms(at)));
            assert_eq!(m.handle_timeout(ms(at)), Action::Send);
        }
        assert_eq!(m.handle_timeout(ms(32_000)), Action::TimedOut);
        assert!(m.is_terminated());
    }

    #[test]
    fn rfc3261_17_1_2_2_after_a_provisional_timer_e_runs_at_t2() {
        let mut m = udp();
        assert_eq!(m.handle_response(100, ms(10)), Action::Deliver);
        assert_eq!(m.next_timeout(), Some(ms(500)), "the running timer is not moved");
        assert_eq!(m.handle_timeout(ms(500)), Action::Send);
        assert_eq!(m.next_timeout(), Some(ms(4_500)));
        assert_eq!(m.handle_timeout(ms(32_000)), Action::TimedOut, "timer F runs on");
    }

    #[test]
    fn rfc3261_17_1_2_2_completed_absorbs_copies_for_timer_k() {
        let mut m = udp();
        assert_eq!(m.handle_response(401, ms(10)), Action::Deliver);
        assert_eq!(m.handle_response(401, ms(20)), Action::None);
        assert_eq!(m.next_timeout(), Some(ms(5_010)));
        assert_eq!(m.handle_timeout(ms(5_010)), Action::None);
        assert!(m.is_terminated());
    }

    #[test]
    fn rfc3261_17_1_2_2_a_stream_neither_resends_nor_lingers() {
        let mut m = Client::new(Timing::default(), true, T0);
        assert_eq!(m.next_timeout(), Some(ms(32_000)), "timer F");
        assert_eq!(m.handle_response(200, ms(1)), Action::Deliver);
        assert!(m.is_terminated(), "timer K is zero");
    }

    #[test]
    fn rfc3261_17_1_4_transport_failure_is_told_once() {
        let mut m = udp();
        assert_eq!(m.handle_transport_failure(), Action::TransportFailed);
        assert_eq!(m.handle_transport_failure(), Action::None);
    }
}
