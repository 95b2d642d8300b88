//! One contact of an address of record.

use core::fmt::Write as _;
use core::time::Duration;

use pbx_core::{Mono, Source};

use crate::uri::Uri;

/// Where an address of record is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub(super) contact: Box<str>,
    pub(super) instance: Option<Box<str>>,
    pub(super) q: Option<u16>,
    pub(super) call_id: Box<str>,
    pub(super) seq: u32,
    pub(super) expires_at: Mono,
    pub(super) source: Source,
}

impl Binding {
    /// The Contact URI, as the device wrote it: the Request-URI of calls to it.
    #[must_use]
    pub fn contact(&self) -> &str {
        &self.contact
    }

    /// What tells devices apart: the instance id (`+sip.instance`, RFC 5626 section 4.1) where the device
    /// sends one, otherwise its Contact URI.
    #[must_use]
    pub fn device(&self) -> &str {
        self.instance.as_deref().unwrap_or(&self.contact)
    }

    /// Preference in thousandths, 0 to 1000 (RFC 3261 section 20.10); 1000 where the device names none.
    #[must_use]
    pub fn q(&self) -> u16 {
        self.q.unwrap_or(1_000)
    }

    /// Where the REGISTER came from: calls go there and not to the Contact, which behind NAT is private.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// When it runs out.
    #[must_use]
    pub const fn expires_at(&self) -> Mono {
        self.expires_at
    }

    /// The Contact value for a 200 to REGISTER, with the seconds that are left (RFC 3261 section 10.3).
    #[must_use]
    pub fn to_contact_value(&self, now: Mono) -> String {
        let mut out = format!("<{}>", self.contact);
        if let Some(q) = self.q {
            // Writing to a String does not fail.
            let _ = write!(out, ";q={}.{:03}", q / 1_000, q % 1_000);
        }
        if let Some(instance) = &self.instance {
            let _ = write!(out, ";+sip.instance=\"{instance}\"");
        }
        let _ = write!(out, ";expires={}", whole_seconds(self.expires_at.since(now)));
        out
    }

    /// Whether `contact` and `instance` name the same device.
    pub(super) fn is_of(&self, contact: &str, instance: Option<&str>) -> bool {
        match (&self.instance, instance) {
            (Some(mine), Some(other)) => &**mine == other,
            _ => same_uri(&self.contact, contact),
        }
    }
}

/// Rounded up: a device that refreshes when told must not find its binding gone.
fn whole_seconds(d: Duration) -> u64 {
    d.as_secs() + u64::from(d.subsec_nanos() > 0)
}

/// RFC 3261 section 19.1.4; a URI that cannot be parsed equals itself.
fn same_uri(a: &str, b: &str) -> bool {
    match (Uri::parse(a), Uri::parse(b)) {
        (Ok(a), Ok(b)) => a.is_equivalent(&b),
        _ => a == b,
    }
}
