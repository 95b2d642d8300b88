//! Names of header fields (RFC 3261 section 7.3 and the registry of IANA).

use core::fmt;

macro_rules! names {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal $($compact:literal)?;)+) => {
        /// The header fields that this crate knows by name. Any other can be read and written by its text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum HeaderName {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl HeaderName {
            /// Every name, by its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// How many there are.
            pub(crate) const COUNT: usize = Self::ALL.len();

            /// The name as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            const fn from_compact(letter: u8) -> Option<Self> {
                match letter {
                    $($($compact => Some(Self::$variant),)?)+
                    _ => None,
                }
            }
        }
    };
}

names! {
    /// Accept (RFC 3261 section 20.1).
    Accept "Accept";
    /// Alert-Info (RFC 3261 section 20.4).
    AlertInfo "Alert-Info";
    /// Allow (RFC 3261 section 20.5).
    Allow "Allow";
    /// Allow-Events (RFC 6665 section 8.2.2).
    AllowEvents "Allow-Events" b'u';
    /// Authentication-Info (RFC 3261 section 20.6).
    AuthenticationInfo "Authentication-Info";
    /// Authorization (RFC 3261 section 20.7).
    Authorization "Authorization";
    /// Call-ID (RFC 3261 section 20.8).
    CallId "Call-ID" b'i';
    /// Call-Info (RFC 3261 section 20.9).
    CallInfo "Call-Info";
    /// Contact (RFC 3261 section 20.10).
    Contact "Contact" b'm';
    /// Content-Disposition (RFC 3261 section 20.11).
    ContentDisposition "Content-Disposition";
    /// Content-Encoding (RFC 3261 section 20.12).
    ContentEncoding "Content-Encoding" b'e';
    /// Content-Length (RFC 3261 section 20.14).
    ContentLength "Content-Length" b'l';
    /// Content-Type (RFC 3261 section 20.15).
    ContentType "Content-Type" b'c';
    /// CSeq (RFC 3261 section 20.16).
    CSeq "CSeq";
    /// Date (RFC 3261 section 20.17).
    Date "Date";
    /// Diversion (RFC 5806).
    Diversion "Diversion";
    /// Event (RFC 6665 section 8.2.1).
    Event "Event" b'o';
    /// Expires (RFC 3261 section 20.19).
    Expires "Expires";
    /// From (RFC 3261 section 20.20).
    From "From" b'f';
    /// Identity (RFC 8224 section 4).
    Identity "Identity" b'y';
    /// Max-Forwards (RFC 3261 section 20.22).
    MaxForwards "Max-Forwards";
    /// Min-Expires (RFC 3261 section 20.23).
    MinExpires "Min-Expires";
    /// Min-SE (RFC 4028 section 5).
    MinSe "Min-SE";
    /// P-Asserted-Identity (RFC 3325 section 9.1).
    PAssertedIdentity "P-Asserted-Identity";
    /// P-Preferred-Identity (RFC 3325 section 9.2).
    PPreferredIdentity "P-Preferred-Identity";
    /// Path (RFC 3327 section 4).
    Path "Path";
    /// Privacy (RFC 3323 section 4.2).
    Privacy "Privacy";
    /// Proxy-Authenticate (RFC 3261 section 20.27).
    ProxyAuthenticate "Proxy-Authenticate";
    /// Proxy-Authorization (RFC 3261 section 20.28).
    ProxyAuthorization "Proxy-Authorization";
    /// Proxy-Require (RFC 3261 section 20.29).
    ProxyRequire "Proxy-Require";
    /// RAck (RFC 3262 section 7.2).
    RAck "RAck";
    /// Reason (RFC 3326 section 2).
    Reason "Reason";
    /// Record-Route (RFC 3261 section 20.30).
    RecordRoute "Record-Route";
    /// Refer-To (RFC 3515 section 2.1).
    ReferTo "Refer-To" b'r';
    /// Referred-By (RFC 3892 section 3).
    ReferredBy "Referred-By" b'b';
    /// Remote-Party-ID, the draft that P-Asserted-Identity replaced.
    RemotePartyId "Remote-Party-ID";
    /// Replaces (RFC 3891 section 6.1).
    Replaces "Replaces";
    /// Require (RFC 3261 section 20.32).
    Require "Require";
    /// Retry-After (RFC 3261 section 20.33).
    RetryAfter "Retry-After";
    /// Route (RFC 3261 section 20.34).
    Route "Route";
    /// RSeq (RFC 3262 section 7.1).
    RSeq "RSeq";
    /// Server (RFC 3261 section 20.35).
    Server "Server";
    /// Service-Route (RFC 3608 section 5).
    ServiceRoute "Service-Route";
    /// Session-Expires (RFC 4028 section 4).
    SessionExpires "Session-Expires" b'x';
    /// Subject (RFC 3261 section 20.36).
    Subject "Subject" b's';
    /// Subscription-State (RFC 6665 section 8.2.3).
    SubscriptionState "Subscription-State";
    /// Supported (RFC 3261 section 20.37).
    Supported "Supported" b'k';
    /// Timestamp (RFC 3261 section 20.38).
    Timestamp "Timestamp";
    /// To (RFC 3261 section 20.39).
    To "To" b't';
    /// Unsupported (RFC 3261 section 20.40).
    Unsupported "Unsupported";
    /// User-Agent (RFC 3261 section 20.41).
    UserAgent "User-Agent";
    /// Via (RFC 3261 section 20.42).
    Via "Via" b'v';
    /// Warning (RFC 3261 section 20.43).
    Warning "Warning";
    /// WWW-Authenticate (RFC 3261 section 20.44).
    WwwAuthenticate "WWW-Authenticate";
}

impl HeaderName {
    /// The name behind a text, long or compact, case ignored.
    ///
    /// ```
    /// use pbx_sip::HeaderName;
    /// assert_eq!(HeaderName::from_text("CALL-id"), Some(HeaderName::CallId));
    /// assert_eq!(HeaderName::from_text("i"), Some(HeaderName::CallId));
    /// assert_eq!(HeaderName::from_text("X-Custom"), None);
    /// ```
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [letter] => Self::from_compact(letter.to_ascii_lowercase()),
            _ => Self::of_length(text.len()).iter().copied().find(|n| n.as_str().eq_ignore_ascii_case(text)),
        }
    }

    /// The names of that length, the frequent ones first: at most seven comparisons classify a header field.
    const fn of_length(len: usize) -> &'static [Self] {
        match len {
            2 => &[Self::To],
            3 => &[Self::Via],
            4 => &[Self::From, Self::CSeq, Self::Date, Self::Path, Self::RAck, Self::RSeq],
            5 => &[Self::Allow, Self::Route, Self::Event],
            6 => &[Self::Accept, Self::Server, Self::Reason, Self::MinSe],
            7 => &[
                Self::CallId,
                Self::Contact,
                Self::Expires,
                Self::Require,
                Self::Subject,
                Self::Warning,
                Self::Privacy,
            ],
            8 => &[Self::Replaces, Self::Identity, Self::ReferTo],
            9 => &[Self::Supported, Self::CallInfo, Self::Timestamp, Self::Diversion],
            10 => &[Self::UserAgent, Self::AlertInfo],
            11 => &[Self::MinExpires, Self::RetryAfter, Self::ReferredBy, Self::Unsupported],
            12 => &[Self::MaxForwards, Self::ContentType, Self::RecordRoute, Self::AllowEvents],
            13 => &[Self::Authorization, Self::ProxyRequire, Self::ServiceRoute],
            14 => &[Self::ContentLength],
            15 => &[Self::SessionExpires, Self::RemotePartyId],
            16 => &[Self::WwwAuthenticate, Self::ContentEncoding],
            18 => &[Self::ProxyAuthenticate, Self::SubscriptionState],
            19 => &[
                Self::ProxyAuthorization,
                Self::PAssertedIdentity,
                Self::ContentDisposition,
                Self::AuthenticationInfo,
            ],
            20 => &[Self::PPreferredIdentity],
            _ => &[],
        }
    }

    /// Whether a message may have it only once, with one value (RFC 3261 section 7.3.1).
    pub(crate) const fn is_unique(self) -> bool {
        matches!(
            self,
            Self::CallId
                | Self::ContentDisposition
                | Self::ContentLength
                | Self::ContentType
                | Self::CSeq
                | Self::Event
                | Self::Expires
                | Self::From
                | Self::MaxForwards
                | Self::MinExpires
                | Self::RAck
                | Self::ReferTo
                | Self::ReferredBy
                | Self::Replaces
                | Self::RSeq
                | Self::SessionExpires
                | Self::SubscriptionState
                | Self::To
        )
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for &name in HeaderName::ALL {
            assert_eq!(HeaderName::from_text(name.as_str()), Some(name));
            assert_eq!(HeaderName::from_text(&name.as_str().to_uppercase()), Some(name));
            assert_eq!(HeaderName::from_text(&format!("{name}x")), None);
        }
    }

    #[test]
    fn rfc_3261_7_3_3_compact_forms() {
        use HeaderName as N;
        let compact = [
            ("i", N::CallId),
            ("m", N::Contact),
            ("e", N::ContentEncoding),
            ("l", N::ContentLength),
            ("c", N::ContentType),
            ("f", N::From),
            ("s", N::Subject),
            ("k", N::Supported),
            ("t", N::To),
            ("v", N::Via),
        ];
        for (letter, name) in compact {
            assert_eq!(N::from_text(letter), Some(name));
            assert_eq!(N::from_text(&letter.to_uppercase()), Some(name));
        }
        assert_eq!(N::from_text("z"), None);
    }
}
