//! The catalogue of reasons: numbers and names that logs, scripts and C programs may rely on.

use core::fmt;

use crate::verdict::Layer;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal $name:literal $sip:expr, $q850:expr, $layer:ident;)+) => {
        /// Why a decision is what it is.
        ///
        /// Codes and names never change their meaning; retired ones are not used again. 1xxx let through,
        /// 21xx concern packets, 22xx registrations and logins, 23xx outbound, 24xx inbound, 25xx live calls.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant = $code,)+
        }

        impl Reason {
            /// Every reason, by code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable number.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim(),)+ }
            }

            /// The SIP status that belongs to it (RFC 3261 section 21), where one does.
            #[must_use]
            pub const fn sip_status(self) -> Option<u16> {
                match self { $(Self::$variant => $sip,)+ }
            }

            /// The ISDN cause that belongs to it (ITU-T Q.850 table 1), where one does.
            #[must_use]
            pub const fn q850_cause(self) -> Option<u8> {
                match self { $(Self::$variant => $q850,)+ }
            }

            /// The layer of defence it stands in.
            #[must_use]
            pub const fn layer(self) -> Layer {
                match self { $(Self::$variant => Layer::$layer,)+ }
            }
        }
    };
}

reasons! {
    /// Nothing objects.
    Allowed = 1000 "allowed" None, None, System;
    /// An emergency number: nothing may stop it.
    Emergency = 1001 "emergency" None, None, Outbound;
    /// An internal extension or a feature code, no outbound call.
    Internal = 1002 "internal" None, None, Outbound;
    /// A static rule accepts the source.
    StaticAccept = 1101 "static_accept" None, None, Network;
    /// The source is on the list of allowed addresses.
    AllowedAddress = 1102 "allowed_address" None, None, Network;
    /// A live registration stands behind the source.
    RegisteredSource = 1103 "registered_source" None, None, Network;
    /// The machine itself (loopback).
    Loopback = 1104 "loopback" None, None, Network;
    /// The credentials are right.
    Authenticated = 1201 "authenticated" None, None, Registration;
    /// Proof is asked for: no credentials, or a nonce that is too old.
    ProofRequired = 1202 "proof_required" Some(401), None, Registration;

    /// A static rule refuses the source.
    StaticDeny = 2101 "static_deny" Some(403), Some(21), Network;
    /// The source is on the blocked list.
    Blocked = 2102 "blocked" Some(403), Some(21), Network;
    /// The source is on a threat feed.
    ThreatFeed = 2103 "threat_feed" Some(403), Some(21), Network;
    /// The country of the source is not among the allowed ones.
    SourceCountry = 2104 "source_country" Some(403), Some(21), Network;
    /// The country of the source is not known.
    SourceCountryUnknown = 2105 "source_country_unknown" Some(403), Some(21), Network;
    /// The source sent more packets in the interval than automatic defence lets through.
    PacketRate = 2106 "packet_rate" Some(403), Some(21), Network;
    /// The default policy drops what no rule accepts.
    DropAll = 2107 "drop_all" Some(403), Some(21), Network;
    /// The tables are under pressure and the source is a stranger.
    Pressure = 2108 "pressure" Some(503), Some(42), Network;
    /// What was received cannot be parsed.
    Malformed = 2109 "malformed" Some(400), Some(111), Network;

    /// The address is locked out of this account.
    PairLocked = 2201 "pair_locked" Some(403), Some(21), Registration;
    /// The address is locked out after too many failures.
    AddressLocked = 2202 "address_locked" Some(403), Some(21), Registration;
    /// The account is not open to remote networks.
    RemoteNotAllowed = 2203 "remote_not_allowed" Some(403), Some(21), Registration;
    /// The address is not among those the account may be used from.
    AddressNotPermitted = 2204 "address_not_permitted" Some(403), Some(21), Registration;
    /// The User-Agent is not among those the account may be used with.
    UserAgentNotPermitted = 2205 "user_agent_not_permitted" Some(403), Some(21), Registration;
    /// The credentials are wrong.
    BadCredentials = 2206 "bad_credentials" Some(401), Some(21), Registration;
    /// The credentials cannot be parsed.
    MalformedCredentials = 2207 "malformed_credentials" Some(401), Some(21), Registration;
    /// There is no such account.
    UnknownAccount = 2208 "unknown_account" Some(401), Some(21), Registration;
    /// The account is switched off.
    AccountDisabled = 2209 "account_disabled" Some(401), Some(21), Registration;
    /// The credentials were used before.
    Replay = 2210 "replay" Some(401), Some(21), Registration;
    /// The account is registered on as many devices as it may be.
    TooManyDevices = 2211 "too_many_devices" Some(403), Some(21), Registration;
    /// As many tries as are left are being checked already.
    TriesInFlight = 2212 "tries_in_flight" Some(503), Some(42), Registration;
    /// The address is locked out of logins for a while.
    LoginPaused = 2221 "login_paused" Some(403), Some(21), Login;
    /// The address is locked out of this login for good.
    LoginLocked = 2222 "login_locked" Some(403), Some(21), Login;
    /// The service is not open to this account from here.
    ServiceNotPermitted = 2223 "service_not_permitted" Some(403), Some(21), Login;

    /// The number is empty, too long, or holds a character that cannot be dialled.
    InvalidNumber = 2301 "invalid_number" Some(484), Some(28), Outbound;
    /// Outbound calls are switched off for the extension.
    OutboundDisabled = 2302 "outbound_disabled" Some(403), Some(21), Outbound;
    /// The extension is locked after it called too often.
    FrequencyLocked = 2303 "frequency_locked" Some(403), Some(21), Outbound;
    /// The extension may not call outside business hours.
    OutsideBusinessHours = 2304 "outside_business_hours" Some(403), Some(21), Outbound;
    /// The extension may not call on holidays.
    Holiday = 2305 "holiday" Some(403), Some(21), Outbound;
    /// The number is on a list of blocked numbers.
    NumberBlocked = 2306 "number_blocked" Some(403), Some(21), Outbound;
    /// No route matches the number.
    NoRoute = 2307 "no_route" Some(404), Some(3), Outbound;
    /// International calls are not allowed for the extension.
    InternationalDisallowed = 2308 "international_disallowed" Some(403), Some(21), Outbound;
    /// The country of the number is not among the allowed ones.
    CountryNotAllowed = 2309 "country_not_allowed" Some(403), Some(21), Outbound;
    /// The number begins with a prefix that is assigned to nobody.
    UnknownPrefix = 2310 "unknown_prefix" Some(403), Some(21), Outbound;
    /// A premium-rate number.
    PremiumRate = 2311 "premium_rate" Some(403), Some(21), Outbound;
    /// The extension has as many calls as it may have.
    UserConcurrency = 2312 "user_concurrency" Some(403), Some(21), Outbound;
    /// A quota of calls, minutes or money is used up.
    QuotaExceeded = 2313 "quota_exceeded" Some(403), Some(21), Outbound;
    /// Held because the calls look like fraud.
    FraudHold = 2314 "fraud_hold" Some(403), Some(21), Outbound;
    /// A PIN is needed.
    PinRequired = 2315 "pin_required" Some(403), Some(21), Outbound;
    /// The PIN is wrong.
    PinWrong = 2316 "pin_wrong" Some(403), Some(21), Outbound;
    /// Too many wrong PINs.
    PinLocked = 2317 "pin_locked" Some(403), Some(21), Outbound;
    /// More calls in the interval than the rule allows.
    FrequencyExceeded = 2318 "frequency_exceeded" Some(403), Some(21), Outbound;
    /// Every trunk of the route is full.
    TrunkBusy = 2319 "trunk_busy" Some(503), Some(34), Outbound;
    /// The route has no trunk that works.
    NoTrunk = 2320 "no_trunk" Some(503), Some(38), Outbound;
    /// Routes match the number, but none that the extension may use.
    RouteNotPermitted = 2321 "route_not_permitted" Some(403), Some(21), Outbound;
    /// Routes match the number, but none at this time.
    RouteOutsideTime = 2322 "route_outside_time" Some(403), Some(21), Outbound;
    /// There is no such extension, or it is switched off.
    NoExtension = 2323 "no_extension" Some(403), Some(21), Outbound;
    /// A satellite, international-network or other special number.
    SpecialNumber = 2324 "special_number" Some(403), Some(21), Outbound;

    /// The sender is neither a trunk nor an authenticated extension.
    UnauthenticatedSource = 2401 "unauthenticated_source" Some(401), Some(21), Inbound;
    /// The caller withholds the number (RFC 5079).
    AnonymousCaller = 2402 "anonymous_caller" Some(433), Some(21), Inbound;
    /// The caller is on a list of blocked numbers.
    CallerBlocked = 2403 "caller_blocked" Some(403), Some(21), Inbound;
    /// Nobody has the number that was called.
    NoDestination = 2404 "no_destination" Some(404), Some(1), Inbound;

    /// The call has lasted as long as it may.
    DurationLimit = 2501 "duration_limit" None, Some(31), Outbound;
    /// The call is not known, or ended already.
    UnknownCall = 2502 "unknown_call" Some(481), Some(101), System;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_and_names_are_unique_and_ordered() {
        let codes: Vec<u16> = Reason::ALL.iter().map(|r| r.code()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b));
        let names: BTreeSet<_> = Reason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), codes.len());
    }

    #[test]
    fn the_contract_names_stay() {
        assert_eq!(Reason::CountryNotAllowed.code(), 2309);
        assert_eq!(Reason::CountryNotAllowed.name(), "country_not_allowed");
        assert_eq!(Reason::CountryNotAllowed.sip_status(), Some(403));
        assert_eq!(Reason::CountryNotAllowed.q850_cause(), Some(21));
    }

    #[test]
    fn spec_3_1_sip_mapping() {
        assert_eq!(Reason::InvalidNumber.sip_status(), Some(484));
        assert_eq!(Reason::NoRoute.sip_status(), Some(404));
        assert_eq!(Reason::TrunkBusy.sip_status(), Some(503));
        assert_eq!(Reason::NoTrunk.sip_status(), Some(503));
    }

    #[test]
    fn refusals_have_a_status_and_every_reason_a_sentence() {
        for r in Reason::ALL {
            assert!(r.meaning().ends_with('.'), "{r}");
            assert!(r.code() < 2000 || r.code() >= 2500 || r.sip_status().is_some(), "{r}");
        }
    }
}
