//! The INVITE client transaction (RFC 3261 section 17.1.1, RFC 6026 section 7.2).
//!
//! ```text
//!                    INVITE from the user: send
//!        timer A                |
//!       resend +--+             v           timer B or transport failed:
//!              |  +------->  Calling  --------------------> Terminated, tell the user
//!              +-------------/  |  \
//!                              /   |   \ 2xx: deliver
//!                1xx: deliver /    |    +----------------------+
//!            1xx             v     |                           |
//!        deliver +--+   Proceeding |  2xx: deliver             |
//!                |  +-----> / \ ---+-------------------------->|
//!                +---------/   \   |                           v      2xx
//!                               \  | 300-699: ACK, deliver  Accepted  deliver +--+
//!              300-699: ACK,     v v                         | ^ \------------+  |
//!                 deliver      Completed <-+ 300-699: ACK    | +-----------------+
//!                                | \-------+                 |
//!                        timer D |                           | timer M
//!                                +-------> Terminated <------+
//! ```

use pbx_core::Mono;

use super::Action;
use super::timer::{Repeat, Timing, earlier};

/// An INVITE that was sent. Making one means that the request goes out now.
#[derive(Clone, Debug)]
pub struct InviteClient {
    timing: Timing,
    reliable: bool,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// `resend` is timer A, `until` timer B.
    Calling {
        resend: Option<Repeat>,
        until: Mono,
    },
    /// No timer: how long a phone may ring is the user's affair (timer C, section 16.6).
    Proceeding,
    /// `until` is timer D.
    Completed {
        until: Mono,
    },
    /// `until` is timer M.
    Accepted {
        until: Mono,
    },
    Terminated,
}

impl InviteClient {
    /// The machine of a request that is sent at `now`; `reliable` says that the transport delivers by itself.
    #[must_use]
    pub fn new(timing: Timing, reliable: bool, now: Mono) -> Self {
        let resend = Repeat::start(timing.t1, reliable, now);
        Self { timing, reliable, state: State::Calling { resend, until: now + timing.give_up() } }
    }

    /// A response with `status` arrived.
    pub fn handle_response(&mut self, status: u16, now: Mono) -> Action {
        match (self.state, status) {
            (State::Terminated, _) => Action::None,
            (State::Calling { .. } | State::Proceeding, 100..=199) => {
                self.state = State::Proceeding;
                Action::Deliver
            }
            (State::Calling { .. } | State::Proceeding, 200..=299) => {
                self.state = State::Accepted { until: now + self.timing.give_up() };
                Action::Deliver
            }
            (State::Calling { .. } | State::Proceeding, 300..=699) => {
                self.complete(now);
                Action::DeliverAndAck
            }
            (State::Accepted { .. }, 200..=299) => Action::Deliver,
            (State::Completed { .. }, 300..=699) => Action::Ack,
            _ => Action::None,
        }
    }

    fn complete(&mut self, now: Mono) {
        self.state =
            if self.reliable { State::Terminated } else { State::Completed { until: now + self.timing.d() } };
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) -> Action {
        match &mut self.state {
            State::Calling { until, .. } if *until <= now => {
                self.state = State::Terminated;
                Action::TimedOut
            }
            State::Calling { resend: Some(resend), .. } if resend.at <= now => {
                resend.next(resend.interval.saturating_mul(2), now);
                Action::Send
            }
            State::Completed { until } | State::Accepted { until } if *until <= now => {
                self.state = State::Terminated;
                Action::None
            }
            _ => Action::None,
        }
    }

    /// The transport says that it cannot send.
    pub fn handle_transport_failure(&mut self) -> Action {
        match self.state {
            State::Calling { .. } | State::Completed { .. } => {
                self.state = State::Terminated;
                Action::TransportFailed
            }
            // The request has arrived; what failed is somebody else's message.
            State::Proceeding | State::Accepted { .. } | State::Terminated => Action::None,
        }
    }

    /// When [`InviteClient::handle_timeout`] is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Calling { resend, until } => earlier(resend, until),
            State::Completed { until } | State::Accepted { until } => Some(until),
            State::Proceeding | State::Terminated => None,
        }
    }

    /// Whether the peer has answered at all, so that a CANCEL may be sent (section 9.1), and no final
    /// response has come.
    #[must_use]
    pub fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }

    /// Whether a final response is still to come.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding)
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

    fn udp() -> InviteClient {
        InviteClient::new(Timing::default(), false, T0)
    }

    #[test]
    fn rfc3261_17_1_1_2_timer_a_doubles_without_limit_until_timer_b() {
        let mut m = udp();
        for at in [500, 1_500, 3_500, 7_500, 15_500, 31_500] {
            assert_eq!(m.next_timeout(), Some(ms(at)));
            assert_eq!(m.handle_timeout(ms(at)), Action::Send);
        }
        assert_eq!(m.next_timeout(), Some(ms(32_000)));
        assert_eq!(m.handle_timeout(ms(32_000)), Action::TimedOut);
        assert!(m.is_terminated());
    }

    #[test]
    fn rfc3261_17_1_1_2_a_stream_has_timer_b_alone() {
        let mut m = InviteClient::new(Timing::default(), true, T0);
        assert_eq!(m.next_timeout(), Some(ms(32_000)));
        assert_eq!(m.handle_response(486, ms(1)), Action::DeliverAndAck);
        assert!(m.is_terminated(), "timer D is zero");
    }

    #[test]
    fn rfc3261_17_1_1_2_proceeding_waits_for_ever() {
        let mut m = udp();
        assert_eq!(m.handle_response(100, ms(10)), Action::Deliver);
        assert_eq!(m.next_timeout(), None);
        assert_eq!(m.handle_timeout(ms(1_000_000)), Action::None);
        assert!(m.is_proceeding());
    }

    #[test]
    fn rfc3261_17_1_1_2_failures_are_acknowledged_each_time_and_delivered_once() {
        let mut m = udp();
        assert_eq!(m.handle_response(486, ms(10)), Action::DeliverAndAck);
        assert_eq!(m.handle_response(486, ms(510)), Action::Ack);
        assert_eq!(m.handle_response(200, ms(520)), Action::None);
        assert_eq!(m.next_timeout(), Some(ms(32_010)), "timer D");
        assert_eq!(m.handle_timeout(ms(32_010)), Action::None);
        assert!(m.is_terminated());
    }

    #[test]
    fn rfc6026_7_2_accepted_delivers_every_2xx_for_timer_m() {
        let mut m = udp();
        assert_eq!(m.handle_response(180, ms(1)), Action::Deliver);
        assert_eq!(m.handle_response(200, ms(2)), Action::Deliver);
        assert_eq!(m.handle_response(200, ms(502)), Action::Deliver);
        assert_eq!(m.handle_response(486, ms(503)), Action::None);
        assert_eq!(m.next_timeout(), Some(ms(32_002)));
        m.handle_timeout(ms(32_002));
        assert!(m.is_terminated());
        assert_eq!(m.handle_response(200, ms(40_000)), Action::None);
    }

    #[test]
    fn rfc3261_17_1_4_transport_failure_ends_calling_but_not_a_ringing_call() {
        let mut m = udp();
        assert_eq!(m.handle_transport_failure(), Action::TransportFailed);
        assert!(m.is_terminated());
        let mut m = udp();
        m.handle_response(180, ms(1));
        assert_eq!(m.handle_transport_failure(), Action::None);
        assert!(m.is_pending());
    }
}
