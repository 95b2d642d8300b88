//! Who sends a request: digest (pbx-auth) between the two steps of the guard (pbx-policy).

use std::time::Duration;

use pbx_auth::digest::{Credentials, Outcome, Request};
use pbx_core::{Now, Source, Verdict};
use pbx_policy::{Attempt, AuthKind, AuthOutcome, Proof, Wire};
use pbx_sip::{Message, Method};

use super::audit;
use super::pbx::Pbx;

/// What came of looking at the credentials of a request.
#[derive(Debug)]
pub(super) enum Identity {
    /// This account sent it.
    Account(String),
    /// Answer with this, and no more.
    Answer(Wire, Stale),
}

/// Whether the proof was right for a nonce that is too old: the phone then repeats it without asking anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stale(pub(super) bool);

/// The device that a REGISTER binds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Device<'a> {
    pub(super) contact: Option<&'a str>,
    pub(super) instance: Option<&'a str>,
    pub(super) expires: Option<Duration>,
}

impl Pbx {
    /// Who sent `message`: the account is the one that the credentials name, and it must be the one that the
    /// message claims to come from.
    pub(super) fn identify(
        &mut self,
        source: Source,
        message: &Message<'_>,
        device: Device<'_>,
        now: Now,
    ) -> Identity {
        let claimed = self.claimed(message);
        let value = self.our_authorization(message);
        let parsed = value.map(|v| Credentials::parse(v.as_bytes()));
        let credentials = parsed.as_ref().and_then(|p| p.as_ref().ok());
        let account = credentials.map_or(claimed.as_str(), |c| c.username()).to_owned();
        if !self.settings.protected {
            return self.identify_unprotected(&account, &claimed, credentials, message, now);
        }
        let user_agent = message.user_agent();
        let receives_there = credentials.is_some_and(|c| self.digest.has_issued_to(source, c, now));
        let mut attempt = Attempt::new(AuthKind::Registration, &account, source)
            .answered(value.is_some())
            .proved(receives_there)
            .proof(credentials.map(proof).unwrap_or_default())
            .transaction(message.top_via().branch().unwrap_or_default());
        attempt.user_agent = user_agent.as_deref();
        attempt.contact = device.contact;
        attempt.instance = device.instance;
        attempt.expires = device.expires;
        let begun = self.guard.begin(&attempt, now);
        let Some(ticket) = begun.ticket else {
            audit::auth(&account, source, None, &begun.decision, &self.guard.rules());
            return Identity::Answer(begun.decision.wire(), Stale(false));
        };
        let outcome = match &parsed {
            None => AuthOutcome::Challenged,
            Some(Err(_)) => AuthOutcome::Malformed,
            Some(Ok(credentials)) => self.judge(&account, &claimed, credentials, message, now),
        };
        let decision = self.guard.end(ticket, outcome, now);
        audit::auth(&account, source, Some(outcome), &decision, &self.guard.rules());
        match decision.verdict {
            Verdict::Allow => Identity::Account(account),
            _ => Identity::Answer(decision.wire(), Stale(outcome == AuthOutcome::StaleNonce)),
        }
    }

    /// The control arm: digest without a guard. Guesses are answered for ever.
    fn identify_unprotected(
        &self,
        account: &str,
        claimed: &str,
        credentials: Option<&Credentials<'_>>,
        message: &Message<'_>,
        now: Now,
    ) -> Identity {
        let challenge = Wire::Challenge(pbx_core::Challenge::Digest);
        match credentials.map(|c| self.judge(account, claimed, c, message, now)) {
            Some(AuthOutcome::Success) => Identity::Account(account.to_owned()),
            Some(AuthOutcome::StaleNonce) => Identity::Answer(challenge, Stale(true)),
            _ => Identity::Answer(challenge, Stale(false)),
        }
    }

    fn judge(
        &self,
        account: &str,
        claimed: &str,
        credentials: &Credentials<'_>,
        message: &Message<'_>,
        now: Now,
    ) -> AuthOutcome {
        let method = message.method();
        let request = Request {
            method: method.as_str(),
            uri: message.uri().map_or("", |u| u.as_str()).as_bytes(),
            body: message.body(),
        };
        // An unknown account is verified against a decoy: the same work, the same answer.
        let ha1 = self.store.ha1(account).filter(|_| self.is_extension(account));
        match self.digest.verify(credentials, &request, ha1, now) {
            // Who may prove one account must not act as another.
            Outcome::Right(_) if account != claimed => AuthOutcome::BadCredentials,
            Outcome::Right(_) if !self.is_enabled(account) => AuthOutcome::Disabled,
            Outcome::Right(_) => AuthOutcome::Success,
            Outcome::Stale => AuthOutcome::StaleNonce,
            Outcome::Replay => AuthOutcome::Replay,
            Outcome::Malformed(_) => AuthOutcome::Malformed,
            _ if ha1.is_none() => AuthOutcome::UnknownAccount,
            _ => AuthOutcome::BadCredentials,
        }
    }

    /// The account that a request claims to come from: To of a REGISTER (RFC 3261 section 10.2), otherwise From.
    fn claimed(&self, message: &Message<'_>) -> String {
        let address = if message.method() == Method::Register { message.to() } else { message.from() };
        address.uri().decoded_user().unwrap_or_default().into_owned()
    }

    /// The credentials for our realm; any others, when there are none for it: they are an answer, too.
    fn our_authorization<'m>(&self, message: &Message<'m>) -> Option<&'m str> {
        let ours = |value: &&str| {
            Credentials::parse(value.as_bytes()).is_ok_and(|c| c.realm() == self.settings.realm)
        };
        let all = || message.authorizations().chain(message.proxy_authorizations());
        all().find(ours).or_else(|| all().next())
    }
}

fn proof<'a>(credentials: &'a Credentials<'_>) -> Proof<'a> {
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap_or_default();
    Proof {
        nonce: text(credentials.nonce()),
        nc: text(credentials.nc()),
        cnonce: text(credentials.cnonce()),
        response: text(credentials.response()),
    }
}
