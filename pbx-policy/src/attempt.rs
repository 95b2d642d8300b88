//! An attempt to authenticate, as the caller describes it, and what came of it.

use core::time::Duration;

use pbx_core::{Network, Source};

/// What is authenticated, and against which secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthKind {
    /// A SIP request with digest credentials: registrations and whatever else an endpoint authenticates.
    Registration,
    /// A login to the web interface.
    Web,
    /// A login of a unified-communications client.
    Client,
    /// A bind to the phone book.
    Ldap,
    /// A call of the programming interface.
    Api,
    /// A phone that fetches its provisioning.
    Provisioning,
    /// The PIN of an outbound route.
    Pin,
    /// The PIN of a mailbox.
    Voicemail,
    /// A second factor, after the password was right.
    Totp,
    /// A login link or QR code.
    Link,
}

impl AuthKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Registration,
        Self::Web,
        Self::Client,
        Self::Ldap,
        Self::Api,
        Self::Provisioning,
        Self::Pin,
        Self::Voicemail,
        Self::Totp,
        Self::Link,
    ];

    /// The name used in configuration and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Web => "web",
            Self::Client => "client",
            Self::Ldap => "ldap",
            Self::Api => "api",
            Self::Provisioning => "provisioning",
            Self::Pin => "pin",
            Self::Voicemail => "voicemail",
            Self::Totp => "totp",
            Self::Link => "link",
        }
    }
}

/// What makes one presentation of credentials recognisable: a retransmission repeats all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "these are the fields of RFC 7616 section 3.4 that a retry changes"
)]
pub struct Proof<'a> {
    /// The nonce that is answered.
    pub nonce: &'a str,
    /// The nonce count as it was sent.
    pub nc: &'a str,
    /// The client's nonce.
    pub cnonce: &'a str,
    /// The response. It is hashed, never stored.
    pub response: &'a str,
}

impl Proof<'_> {
    /// Whether there is something to recognise.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.response.is_empty()
    }
}

/// An attempt to authenticate, before the secret is looked at.
///
/// ```
/// use pbx_core::{Source, Transport};
/// use pbx_policy::{Attempt, AuthKind};
/// let source = Source::new("203.0.113.9:5060".parse().unwrap(), Transport::Udp);
/// let first = Attempt::new(AuthKind::Registration, "1001", source);
/// let with_credentials = first.answered(true).proved(true);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// What is authenticated.
    pub kind: AuthKind,
    /// The account that is named, whether or not it exists.
    pub account: &'a str,
    /// Where it came from: the transport's source, never what a header says.
    pub source: Source,
    /// The User-Agent that is claimed.
    pub user_agent: Option<&'a str>,
    /// The Contact URI that is to be registered.
    pub contact: Option<&'a str>,
    /// The instance of the device (`+sip.instance` and `reg-id`, RFC 5626), which outlives its Contact.
    pub instance: Option<&'a str>,
    /// How long the registration is to last; zero ends it.
    pub expires: Option<Duration>,
    /// The network it came through, where the listener knows better than the address says.
    pub via: Option<Network>,
    /// Whether it carries credentials. One that does not is asked for them and never counted.
    pub answered: bool,
    /// Whether it carries a nonce that we issued, which proves that the sender receives at its address.
    pub proved: bool,
    /// What makes a retransmission recognisable.
    pub proof: Proof<'a>,
    /// What is equal in retransmissions of a request without credentials: the branch of the topmost Via.
    pub transaction: &'a str,
}

impl<'a> Attempt<'a> {
    /// An attempt of which only this is known. Kinds other than registrations carry their secret at once.
    #[must_use]
    pub const fn new(kind: AuthKind, account: &'a str, source: Source) -> Self {
        Self {
            kind,
            account,
            source,
            user_agent: None,
            contact: None,
            instance: None,
            expires: None,
            via: None,
            answered: !matches!(kind, AuthKind::Registration),
            proved: false,
            proof: Proof { nonce: "", nc: "", cnonce: "", response: "" },
            transaction: "",
        }
    }

    /// With or without credentials.
    #[must_use]
    pub const fn answered(mut self, answered: bool) -> Self {
        self.answered = answered;
        self
    }

    /// With or without a nonce of ours.
    #[must_use]
    pub const fn proved(mut self, proved: bool) -> Self {
        self.proved = proved;
        self
    }

    /// With the User-Agent.
    #[must_use]
    pub const fn user_agent(mut self, user_agent: &'a str) -> Self {
        self.user_agent = Some(user_agent);
        self
    }

    /// With the Contact URI.
    #[must_use]
    pub const fn contact(mut self, contact: &'a str) -> Self {
        self.contact = Some(contact);
        self
    }

    /// With the instance of the device.
    #[must_use]
    pub const fn instance(mut self, instance: &'a str) -> Self {
        self.instance = Some(instance);
        self
    }

    /// With the lifetime that is asked for.
    #[must_use]
    pub const fn expires(mut self, expires: Duration) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Through this network.
    #[must_use]
    pub const fn via(mut self, via: Network) -> Self {
        self.via = Some(via);
        self
    }

    /// With what makes a retransmission recognisable.
    #[must_use]
    pub const fn proof(mut self, proof: Proof<'a>) -> Self {
        self.proof = proof;
        self
    }

    /// With the branch of the topmost Via.
    #[must_use]
    pub const fn transaction(mut self, branch: &'a str) -> Self {
        self.transaction = branch;
        self
    }

    /// Whether the sender is known to receive at its address.
    #[must_use]
    pub const fn address_is_proved(&self) -> bool {
        self.proved || self.source.transport().proves_address()
    }

    /// What the binding is known by: the instance where there is one, else the Contact (RFC 5626 section 4).
    #[must_use]
    pub fn binding(&self) -> &'a str {
        self.instance.or(self.contact).unwrap_or_default()
    }
}

/// What the check of the secret found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthOutcome {
    /// There were no credentials after all, and they were asked for.
    Challenged,
    /// The secret is right.
    Success,
    /// The secret is wrong.
    BadCredentials,
    /// The credentials cannot be parsed.
    Malformed,
    /// No such account exists.
    UnknownAccount,
    /// The proof is right for a nonce that is too old.
    StaleNonce,
    /// The credentials were used before.
    Replay,
    /// The account is switched off.
    Disabled,
}

impl AuthOutcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Challenged,
        Self::Success,
        Self::BadCredentials,
        Self::Malformed,
        Self::UnknownAccount,
        Self::StaleNonce,
        Self::Replay,
        Self::Disabled,
    ];

    /// Whether it counts as a failed try: challenge rounds and stale nonces never do (spec 2.2).
    #[must_use]
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::Challenged | Self::Success | Self::StaleNonce)
    }

    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Challenged => "challenged",
            Self::Success => "success",
            Self::BadCredentials => "bad_credentials",
            Self::Malformed => "malformed",
            Self::UnknownAccount => "unknown_account",
            Self::StaleNonce => "stale_nonce",
            Self::Replay => "replay",
            Self::Disabled => "disabled",
        }
    }
}
