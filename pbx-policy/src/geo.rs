//! The country of an address: a MaxMind database flattened to a table when it is loaded (B4).
//!
//! Walking the database costs half a microsecond a packet and trusts its bytes each time; the table is one
//! binary search and is only made from a database that verified as a whole.

use core::fmt;
use core::str::FromStr;
use std::collections::HashMap;
use std::net::IpAddr;

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader};
use pbx_core::{RuleId, RuleKind};

use crate::span::{AddrMap, Span};

/// A country by the two capital letters of ISO 3166-1.
///
/// ```
/// use pbx_policy::geo::CountryCode;
/// let de: CountryCode = "DE".parse().unwrap();
/// assert_eq!(de.to_string(), "DE");
/// assert!("Germany".parse::<CountryCode>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

/// Why a text is not a [`CountryCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write the two capital letters of ISO 3166-1, e.g. \"DE\"")]
pub struct CountryCodeError;

impl CountryCode {
    /// The rule that speaks about this country.
    #[must_use]
    pub fn rule(self) -> RuleId {
        RuleId::new(RuleKind::Country, self.index())
    }

    /// The letters as one number; [`CountryCode::from_index`] gives them back.
    #[must_use]
    pub fn index(self) -> u32 {
        u32::from(u16::from_be_bytes(self.0))
    }

    /// The country of a [`RuleId`]'s index.
    #[must_use]
    pub fn from_index(index: u32) -> Option<Self> {
        let letters = u16::try_from(index).ok()?.to_be_bytes();
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }
}

impl FromStr for CountryCode {
    type Err = CountryCodeError;

    fn from_str(s: &str) -> Result<Self, CountryCodeError> {
        match *s.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Self([a, b])),
            _ => Err(CountryCodeError),
        }
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which country each address belongs to.
#[derive(Clone, Debug, Default)]
pub struct GeoTable {
    map: AddrMap,
    built: u64,
}

/// Why a country database cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeoError {
    /// It is damaged, or no MaxMind database at all.
    #[error("the country database is damaged ({0}); download it again")]
    Damaged(String),
    /// It is sound but says no country of any address.
    #[error("the database ({0}) holds no countries; use a country database in MaxMind DB format")]
    NoCountries(String),
}

impl From<MaxMindDbError> for GeoError {
    fn from(e: MaxMindDbError) -> Self {
        Self::Damaged(e.to_string())
    }
}

impl GeoTable {
    /// Verifies the bytes of a database in MaxMind DB format and flattens it.
    ///
    /// # Errors
    /// A database that is damaged anywhere, or that knows no countries. The caller keeps the table it has.
    pub fn from_mmdb(bytes: &[u8]) -> Result<Self, GeoError> {
        let reader = Reader::from_source(bytes)?;
        reader.verify()?;
        let mut spans = Vec::new();
        let mut seen = HashMap::new();
        let whole: &[&str] =
            if reader.metadata().ip_version == 6 { &["0.0.0.0/0", "::/0"] } else { &["0.0.0.0/0"] };
        for net in whole {
            collect(&reader, net, &mut seen, &mut spans)?;
        }
        if spans.is_empty() {
            return Err(GeoError::NoCountries(reader.metadata().database_type.clone()));
        }
        Ok(Self { map: AddrMap::narrowest(&spans), built: reader.metadata().build_epoch })
    }

    /// A table from networks and their countries, for embedders with a source of their own.
    #[must_use]
    pub fn from_spans(spans: impl IntoIterator<Item = (Span, CountryCode)>) -> Self {
        let spans: Vec<_> = spans.into_iter().map(|(span, country)| (span, country.index())).collect();
        Self { map: AddrMap::narrowest(&spans), built: 0 }
    }

    /// The country of an address; `None` for what the database does not know.
    #[must_use]
    pub fn get(&self, addr: IpAddr) -> Option<CountryCode> {
        self.map.get(addr).and_then(CountryCode::from_index)
    }

    /// When the database was built, in seconds since 1970; 0 where it is not known.
    #[must_use]
    pub const fn built(&self) -> u64 {
        self.built
    }
}

/// Adds the networks inside `net`; `seen` remembers the records already decoded, since thousands of
/// networks share one.
fn collect(
    reader: &Reader<&[u8]>,
    net: &str,
    seen: &mut HashMap<usize, Option<u32>>,
    spans: &mut Vec<(Span, u32)>,
) -> Result<(), GeoError> {
    let net = net.parse().map_err(MaxMindDbError::InvalidNetwork)?;
    for found in reader.within(net, maxminddb::WithinOptions::default())? {
        let found = found?;
        let Some(offset) = found.offset() else { continue };
        let code = match seen.get(&offset) {
            Some(code) => *code,
            None => *seen.entry(offset).or_insert(country(&found)?),
        };
        let (Some(code), Some(span)) = (code, span(&found)?) else { continue };
        spans.push((span, code));
    }
    Ok(())
}

/// The country of a record: nested as MaxMind writes it, or flat as the free databases do.
fn country(found: &LookupResult<'_, &[u8]>) -> Result<Option<u32>, MaxMindDbError> {
    let nested = [PathElement::Key("country"), PathElement::Key("iso_code")];
    let code = match found.decode_path::<&str>(&nested) {
        Ok(Some(code)) => Some(code),
        _ => found.decode_path::<&str>(&[PathElement::Key("country_code")])?,
    };
    Ok(code.and_then(|c| c.parse().ok()).map(CountryCode::index))
}

/// The network of a record. IPv4 networks show up once more inside `::/96`; those are left out, because
/// no source ever has such an address.
fn span(found: &LookupResult<'_, &[u8]>) -> Result<Option<Span>, MaxMindDbError> {
    let net = found.network()?;
    let compatible = matches!(net.ip(), IpAddr::V6(a) if a.to_bits() >> 32 == 0 && net.prefix() > 96);
    if compatible {
        return Ok(None);
    }
    Ok(ipnet::IpNet::new(net.ip(), net.prefix()).ok().map(Span::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a database as the format describes it (MaxMind DB 2.0), IPv4, 24-bit records: `node` is the
    /// left and right record of each node, where `node.len() + 16 + offset` points into the data section.
    fn database(nodes: &[[u32; 2]], data: &[u8]) -> Vec<u8> {
        let mut out: Vec<u8> = nodes.iter().flatten().flat_map(|r| r.to_be_bytes()[1..].to_vec()).collect();
        out.extend([0; 16]);
        out.extend(data);
        out.extend(b"\xab\xcd\xefMaxMind.com");
        let text = |s: &str| [&[0x40 | u8::try_from(s.len()).unwrap()][..], s.as_bytes()].concat();
        out.push(0xe9);
        let number = |n: u8| vec![0xa1, n];
        let pairs: [(&str, Vec<u8>); 9] = [
            ("node_count", vec![0xc1, u8::try_from(nodes.len()).unwrap()]),
            ("record_size", number(24)),
            ("ip_version", number(4)),
            ("database_type", text("Test")),
            ("languages", vec![0x01, 0x04, 0x42, b'e', b'n']),
            ("binary_format_major_version", number(2)),
            ("binary_format_minor_version", number(0)),
            ("build_epoch", vec![0x01, 0x02, 9]),
            ("description", [vec![0xe1], text("en"), text("t")].concat()),
        ];
        pairs.iter().for_each(|(key, value)| out.extend([text(key), value.clone()].concat()));
        out
    }

    /// `{"country_code": code}`.
    fn record(code: &str) -> Vec<u8> {
        [&[0xe1, 0x4c][..], b"country_code", &[0x42], code.as_bytes()].concat()
    }

    /// 0.0.0.0/1 is in DE, 128.0.0.0/2 in AR, 192.0.0.0/2 unknown.
    fn small() -> Vec<u8> {
        let data = [record("DE"), record("AR")].concat();
        let second = u32::try_from(record("DE").len()).unwrap();
        database(&[[2 + 16, 1], [2 + 16 + second, 2]], &data)
    }

    #[test]
    fn b4_a_database_becomes_a_table() {
        let table = GeoTable::from_mmdb(&small()).unwrap();
        let at = |a: &str| table.get(a.parse().unwrap()).map(|c| c.to_string());
        assert_eq!(at("1.2.3.4").as_deref(), Some("DE"));
        assert_eq!(at("127.255.255.255").as_deref(), Some("DE"));
        assert_eq!(at("128.0.0.0").as_deref(), Some("AR"));
        assert_eq!(at("203.0.113.1"), None);
        assert_eq!(at("2001:db8::1"), None);
        assert_eq!(table.built(), 9);
    }

    #[test]
    fn damaged_databases_are_refused_and_never_panic() {
        let good = small();
        for cut in 0..good.len() {
            assert!(GeoTable::from_mmdb(&good[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                let _ = GeoTable::from_mmdb(&bad);
            }
        }
        let error = GeoTable::from_mmdb(b"no database").unwrap_err();
        assert!(error.to_string().contains("download it again"), "{error}");
    }

    #[test]
    fn a_database_without_countries_says_so() {
        let data = [&[0xe1, 0x41][..], b"x", &[0x42], b"DE"].concat();
        let error = GeoTable::from_mmdb(&database(&[[1 + 16, 1]], &data)).unwrap_err();
        assert_eq!(error, GeoError::NoCountries("Test".to_owned()));
    }

    #[test]
    fn codes_and_rules() {
        let ar: CountryCode = "AR".parse().unwrap();
        assert_eq!(CountryCode::from_index(ar.rule().index), Some(ar));
        assert_eq!(CountryCode::from_index(0), None);
        assert_eq!(CountryCode::from_index(u32::MAX), None);
        for bad in ["", "de", "D", "DEU", "ÄÖ", "1A"] {
            assert_eq!(bad.parse::<CountryCode>(), Err(CountryCodeError));
        }
    }
}
