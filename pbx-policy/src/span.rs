//! Sources as administrators write them: addresses, networks, masks, first and last address (B11).

use core::ops::RangeInclusive;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use pbx_core::{ConfigError, ConfigErrors};

use crate::interval::IntervalMap;

/// Addresses from a first to a last one, of one family.
///
/// ```
/// use pbx_policy::span::Span;
/// let s: Span = "203.0.113.0/255.255.255.0".parse().unwrap();
/// assert!(s.contains("203.0.113.77".parse().unwrap()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Span {
    /// IPv4 addresses as numbers.
    V4(u32, u32),
    /// IPv6 addresses as numbers.
    V6(u128, u128),
}

/// Why a text is not a [`Span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an address, a network such as 203.0.113.0/24 or 203.0.113.0/255.255.255.0, or the first and last \
     address as 203.0.113.5-203.0.113.9"
)]
pub struct SpanError;

impl Span {
    /// One address.
    #[must_use]
    pub fn host(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            IpAddr::V4(a) => Self::V4(a.to_bits(), a.to_bits()),
            IpAddr::V6(a) => Self::V6(a.to_bits(), a.to_bits()),
        }
    }

    /// Whether `addr` lies in it; an IPv4 address mapped into IPv6 is the IPv4 address.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self, addr.to_canonical()) {
            (Self::V4(first, last), IpAddr::V4(a)) => (*first..=*last).contains(&a.to_bits()),
            (Self::V6(first, last), IpAddr::V6(a)) => (*first..=*last).contains(&a.to_bits()),
            _ => false,
        }
    }

    /// Whether every address of `other` lies in it.
    #[must_use]
    pub const fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::V4(a, z), Self::V4(b, y)) => *a <= *b && *y <= *z,
            (Self::V6(a, z), Self::V6(b, y)) => *a <= *b && *y <= *z,
            _ => false,
        }
    }

    /// Its first address.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        match self {
            Self::V4(first, _) => IpAddr::V4(Ipv4Addr::from_bits(*first)),
            Self::V6(first, _) => IpAddr::V6(Ipv6Addr::from_bits(*first)),
        }
    }

    /// Its last address.
    #[must_use]
    pub const fn last(&self) -> IpAddr {
        match self {
            Self::V4(_, last) => IpAddr::V4(Ipv4Addr::from_bits(*last)),
            Self::V6(_, last) => IpAddr::V6(Ipv6Addr::from_bits(*last)),
        }
    }

    fn between(first: IpAddr, last: IpAddr) -> Option<Self> {
        match (first.to_canonical(), last.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(z)) if a <= z => Some(Self::V4(a.to_bits(), z.to_bits())),
            (IpAddr::V6(a), IpAddr::V6(z)) if a <= z => Some(Self::V6(a.to_bits(), z.to_bits())),
            _ => None,
        }
    }
}

impl From<IpNet> for Span {
    fn from(net: IpNet) -> Self {
        match net {
            IpNet::V4(n) => Self::V4(n.network().to_bits(), n.broadcast().to_bits()),
            IpNet::V6(n) => Self::mapped(n.network(), n.prefix_len())
                .unwrap_or_else(|| Self::V6(n.network().to_bits(), n.broadcast().to_bits())),
        }
    }
}

impl Span {
    /// `::ffff:203.0.113.0/120` is `203.0.113.0/24`: sources never show their mapped form.
    fn mapped(first: Ipv6Addr, len: u8) -> Option<Self> {
        let v4 = first.to_ipv4_mapped()?;
        let net = ipnet::Ipv4Net::new(v4, len.checked_sub(96)?).ok()?;
        Some(Self::from(IpNet::V4(net)))
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(s: &str) -> Result<Self, SpanError> {
        let s = s.trim();
        if let Ok(addr) = s.parse::<IpAddr>() {
            return Ok(Self::host(addr));
        }
        if let Some((first, last)) = s.split_once('-') {
            let addr = |t: &str| t.trim().parse::<IpAddr>().map_err(|_| SpanError);
            return Self::between(addr(first)?, addr(last)?).ok_or(SpanError);
        }
        s.parse::<IpNet>().map(Self::from).or_else(|_| masked(s).ok_or(SpanError))
    }
}

/// `address/mask`; masks with holes are refused.
fn masked(s: &str) -> Option<Span> {
    let (addr, mask) = s.split_once('/')?;
    IpNet::with_netmask(addr.trim().parse().ok()?, mask.trim().parse().ok()?).ok().map(Span::from)
}

/// Parses a list of spans, noting every mistake under `path[i]`.
pub fn parse_list(list: &[String], path: &str, errors: &mut ConfigErrors) -> Vec<Span> {
    let parse = |(i, text): (usize, &String)| {
        text.parse().map_err(|e: SpanError| {
            ConfigError::new(format!("{path}[{i}]"), format!("{text:?} is not a source"))
                .instead(e.to_string())
        })
    };
    list.iter().enumerate().map(parse).filter_map(|r| errors.take(r)).collect()
}

/// A set or map over addresses of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddrMap {
    v4: IntervalMap<u32>,
    v6: IntervalMap<u128>,
}

impl AddrMap {
    /// Of the spans around an address the narrowest decides; of equals the first.
    #[must_use]
    pub fn narrowest(spans: &[(Span, u32)]) -> Self {
        Self { v4: IntervalMap::narrowest(v4(spans)), v6: IntervalMap::narrowest(v6(spans)) }
    }

    /// One value for each set of spans that overlap somewhere; see [`IntervalMap::overlaps`].
    pub fn overlaps(
        spans: &[(Span, u32)],
        mut name: impl FnMut(&std::collections::BTreeSet<u32>) -> Option<u32>,
    ) -> Self {
        Self {
            v4: IntervalMap::overlaps(v4(spans), &mut name),
            v6: IntervalMap::overlaps(v6(spans), &mut name),
        }
    }

    /// The addresses of all spans; the value is the place of the narrowest span in the list.
    #[must_use]
    pub fn set(spans: &[Span]) -> Self {
        let numbered: Vec<_> = spans.iter().copied().zip(0..).collect();
        Self::narrowest(&numbered)
    }

    /// The value at `addr`.
    #[must_use]
    pub fn get(&self, addr: IpAddr) -> Option<u32> {
        match addr.to_canonical() {
            IpAddr::V4(a) => self.v4.get(a.to_bits()),
            IpAddr::V6(a) => self.v6.get(a.to_bits()),
        }
    }

    /// Whether `addr` has a value.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.get(addr).is_some()
    }

    /// Whether no address has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

fn v4(spans: &[(Span, u32)]) -> impl Iterator<Item = (RangeInclusive<u32>, u32)> {
    spans.iter().filter_map(|(span, value)| match span {
        Span::V4(first, last) => Some((*first..=*last, *value)),
        Span::V6(..) => None,
    })
}

fn v6(spans: &[(Span, u32)]) -> impl Iterator<Item = (RangeInclusive<u128>, u32)> {
    spans.iter().filter_map(|(span, value)| match span {
        Span::V6(first, last) => Some((*first..=*last, *value)),
        Span::V4(..) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(s: &str) -> Span {
        s.parse().unwrap()
    }

    #[test]
    fn all_forms_of_one_network() {
        for same in [
            "203.0.113.9/24",
            "203.0.113.0/255.255.255.0",
            "203.0.113.0-203.0.113.255",
            "::ffff:203.0.113.0/120",
        ] {
            assert_eq!(span(same), span("203.0.113.0/24"), "{same}");
        }
        assert_eq!(span("::ffff:203.0.113.7"), span("203.0.113.7"));
        assert_eq!(
            span("2001:db8::1-2001:db8::3"),
            Span::V6((0x2001_0db8 << 96) + 1, (0x2001_0db8 << 96) + 3)
        );
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for bad in [
            "",
            "x",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4/255.0.255.0",
            "9.9.9.9-1.1.1.1",
            "1.1.1.1-::1",
            "1.2.3.4/",
        ] {
            assert_eq!(bad.parse::<Span>(), Err(SpanError), "{bad:?}");
        }
    }

    #[test]
    fn everything_of_one_family_is_nothing_of_the_other() {
        let v6 = AddrMap::set(&[span("::/0")]);
        assert!(v6.contains("2001:db8::1".parse().unwrap()));
        assert!(!v6.contains("203.0.113.1".parse().unwrap()));
        assert!(!v6.contains("::ffff:203.0.113.1".parse().unwrap()), "the mapped form is the IPv4 address");
    }

    #[test]
    fn every_mistake_is_reported_with_its_place() {
        let mut errors = ConfigErrors::new();
        let list = ["10.0.0.0/8", "x", "y"].map(str::to_owned);
        assert_eq!(parse_list(&list, "network.lan", &mut errors), [span("10.0.0.0/8")]);
        let paths: Vec<_> = errors.iter().map(ConfigError::path).collect();
        assert_eq!(paths, ["network.lan[1]", "network.lan[2]"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn membership_is_what_a_scan_finds(raw in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..12), at in any::<u32>()) {
            let spans: Vec<_> = raw.iter().map(|&(a, n)| span(&format!("{}/{n}", Ipv4Addr::from_bits(a)))).collect();
            let set = AddrMap::set(&spans);
            for addr in raw.iter().map(|&(a, _)| a).chain([at]) {
                let addr = IpAddr::V4(Ipv4Addr::from_bits(addr));
                prop_assert_eq!(set.contains(addr), spans.iter().any(|s| s.contains(addr)));
            }
        }
    }
}
