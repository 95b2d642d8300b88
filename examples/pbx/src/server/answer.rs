//! Answers to requests: what a decision puts on the wire.

use pbx_core::{Now, Source};
use pbx_policy::Wire;
use pbx_sip::{Parts, ServerTransactionId};
use tracing::warn;

use super::auth::Stale;
use super::pbx::Pbx;

impl Pbx {
    /// Answers with a status and nothing else.
    pub(super) fn refuse(&mut self, transaction: ServerTransactionId, status: u16, now: Now) {
        self.respond(transaction, status, &Parts::default(), now);
    }

    pub(super) fn respond(
        &mut self,
        transaction: ServerTransactionId,
        status: u16,
        parts: &Parts<'_>,
        now: Now,
    ) {
        if let Err(e) = self.endpoint.respond(transaction, status, parts, now) {
            warn!(status, error = %e, "not answered");
        }
    }

    /// Answers as a decision says.
    pub(super) fn answer(
        &mut self,
        transaction: ServerTransactionId,
        source: Source,
        wire: Wire,
        stale: Stale,
        now: Now,
    ) {
        match wire {
            Wire::Challenge(_) => self.challenge(transaction, source, stale, now),
            Wire::Refuse(status) => self.refuse(transaction, status, now),
            Wire::Busy { retry_after } => {
                let seconds = retry_after.as_secs().max(1).to_string();
                self.respond(transaction, 503, &Parts::headers(&[("Retry-After", &seconds)]), now);
            }
            // Whoever is let through is answered by what comes next; anything else gets silence.
            _ => self.endpoint.drop_request(transaction),
        }
    }

    fn challenge(&mut self, transaction: ServerTransactionId, source: Source, Stale(stale): Stale, now: Now) {
        let challenges = self.digest.challenges(source, stale, &mut self.random, now);
        let challenges: Vec<String> = challenges.map(|c| c.to_string()).collect();
        let headers: Vec<(&str, &str)> =
            challenges.iter().map(|c| ("WWW-Authenticate", c.as_str())).collect();
        self.respond(transaction, 401, &Parts::headers(&headers), now);
    }
}
