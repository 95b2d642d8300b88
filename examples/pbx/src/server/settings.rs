//! What the configuration means once names are looked up.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use pbx_core::Transport;
use pbx_sip::Peer;

use crate::config::Loaded;

/// What the PBX looks up while it runs.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) realm: String,
    pub(super) protected: bool,
    trunks: HashMap<String, SocketAddr>,
}

impl Settings {
    /// Looks the hosts of trunks up. One that has no address is an error: its calls would go nowhere.
    pub(super) async fn resolve(loaded: &Loaded) -> anyhow::Result<Self> {
        let mut trunks = HashMap::new();
        for (i, trunk) in loaded.policy.trunks.iter().enumerate() {
            let addr = lookup(&trunk.address)
                .await
                .with_context(|| format!("trunk[{i}].address: {:?} has no address", trunk.address))?;
            trunks.insert(trunk.name.clone(), addr);
        }
        Ok(Self { realm: loaded.pbx.realm.clone(), protected: !loaded.pbx.danger_protection_off, trunks })
    }

    /// Where a trunk's provider is.
    pub(super) fn trunk_peer(&self, name: &str) -> Option<Peer> {
        self.trunks.get(name).map(|&addr| Peer { addr, transport: Transport::Udp })
    }

    /// The trunk whose provider sends from `addr`.
    pub(super) fn trunk_at(&self, addr: SocketAddr) -> Option<&str> {
        self.trunks.iter().find(|(_, a)| **a == addr).map(|(name, _)| name.as_str())
    }
}

const SIP_PORT: u16 = 5060;

async fn lookup(address: &str) -> anyhow::Result<SocketAddr> {
    if let Ok(addr) = address.parse() {
        return Ok(addr);
    }
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let with_port = if has_port { address.to_owned() } else { format!("{address}:{SIP_PORT}") };
    tokio::net::lookup_host(&with_port).await?.next().ok_or_else(|| anyhow!("the name leads nowhere"))
}
