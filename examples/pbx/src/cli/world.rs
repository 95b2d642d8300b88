//! What a what-if question and a timeline are asked in: compiled rules and a state, without sockets.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use pbx_core::Now;
use pbx_policy::{Guard, Origin, State};

use crate::config;
use crate::store::seeded;

/// A guard without a PBX around it.
pub(super) struct World {
    pub(super) guard: Guard,
}

impl World {
    /// The guard of a configuration, in a fresh state or in that of a snapshot.
    pub(super) fn open(config: &Path, snapshot: Option<&Path>, now: Now) -> anyhow::Result<Self> {
        let loaded = config::load(config)?;
        let rules = Arc::new(config::compile(&loaded)?);
        let state = match snapshot {
            Some(file) => {
                let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
                State::restore(&loaded.policy.state, &bytes, 0, now)
                    .with_context(|| format!("{} cannot be used", file.display()))?
            }
            None => State::new(&loaded.policy.state, seeded()?.bytes(), now)?,
        };
        Ok(Self { guard: Guard::new(rules, state) })
    }
}

/// An origin by its name.
pub(super) fn origin(text: &str) -> Result<Origin, String> {
    let names = || Origin::ALL.iter().map(|o| o.name());
    let found = Origin::ALL.into_iter().find(|o| o.name() == text);
    found.ok_or_else(|| {
        format!("{text:?} is no origin; there are: {}", names().collect::<Vec<_>>().join(", "))
    })
}

/// A hardware address such as `00:15:65:01:02:03`.
pub(super) fn mac(text: &str) -> Result<[u8; 6], String> {
    let bad = || format!("{text:?} is no hardware address, e.g. 00:15:65:01:02:03");
    let bytes: Vec<u8> = text
        .split([':', '-'])
        .map(|byte| match byte.as_bytes() {
            // `from_str_radix` takes a sign, too.
            [a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => u8::from_str_radix(byte, 16).ok(),
            _ => None,
        })
        .collect::<Option<_>>()
        .ok_or_else(bad)?;
    bytes.try_into().map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses() {
        assert_eq!(mac("00:15:65:0a:02:ff"), Ok([0, 0x15, 0x65, 0x0a, 2, 0xff]));
        assert_eq!(mac("00-15-65-0A-02-FF"), mac("00:15:65:0a:02:ff"));
        for bad in
            ["", "00:15:65", "00:15:65:01:02:03:04", "0:1:2:3:4:5", "00:15:65:01:02:0g", "+0:+1:+2:+3:+4:+5"]
        {
            assert!(mac(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_by_name() {
        assert_eq!(origin("forward"), Ok(Origin::Forward));
        assert!(origin("x").unwrap_err().contains("callback"));
    }
}
