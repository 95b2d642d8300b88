//! The PBX without sockets and clocks: datagrams and times go in, datagrams come out.

use anyhow::{Context, anyhow};
use pbx_auth::digest;
use pbx_core::table::{Block, Layout, heap};
use pbx_core::{Mono, Now, Random, Service, Source, Transport, Verdict};
use pbx_policy::{CallEvent, Guard, Packet, State};
use pbx_sip::registrar::{Registrar, RegistrarConfig};
use pbx_sip::{Endpoint, Event, Handled, Method, Parts, Received, ServerTransactionId, Transmit};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info};

use super::audit;
use super::calls::Calls;
use super::settings::Settings;
use crate::config::{Loaded, PbxConfig};
use crate::store::{Store, seeded};
use crate::uas;

/// Nonces whose counts are remembered at a time.
const NONCES: u32 = 16_384;

/// How often the guard hears that calls are alive; it forgets those it hears nothing of in ten minutes.
const ALIVE: Duration = Duration::from_secs(60);

/// Everything the PBX is.
pub(super) struct Pbx {
    pub(super) endpoint: Endpoint,
    pub(super) registrar: Registrar,
    pub(super) guard: Guard,
    pub(super) digest: digest::Server,
    pub(super) random: Random,
    pub(super) store: Store,
    pub(super) settings: Settings,
    pub(super) calls: Calls,
    /// When the guard has something to say: known anew after everything that changes it.
    pub(super) guard_due: Option<Mono>,
    alive_due: Mono,
}

impl Pbx {
    pub(super) async fn new(loaded: &Loaded, store: Store, now: Now) -> anyhow::Result<Self> {
        let mut random = seeded()?;
        let rules = Arc::new(crate::config::compile(loaded)?);
        let state = State::new(&loaded.policy.state, random.bytes(), now)?;
        Ok(Self {
            endpoint: endpoint(loaded, &mut random)?,
            registrar: Registrar::new(registrar_config(&loaded.pbx), random.bytes()),
            guard: Guard::new(rules, state),
            digest: digest_server(&loaded.pbx, &mut random, now)?,
            calls: Calls::new(random.next_u64()),
            settings: Settings::resolve(loaded).await?,
            guard_due: Some(now.mono),
            alive_due: now.mono + ALIVE,
            random,
            store,
        })
    }

    /// A datagram arrived at `port`.
    pub(super) fn handle_datagram(&mut self, source: Source, port: u16, data: &[u8], now: Now) {
        if self.settings.protected {
            let packet = Packet::new(source).service(Service::Sip).port(port).len(data.len());
            let decision = self.guard.on_packet(&packet, now);
            if decision.verdict != Verdict::Allow {
                return audit::packet(source, &decision, &self.guard.rules());
            }
            audit::events(&decision);
        }
        let handled = self.endpoint.handle_datagram(source, data, now);
        match handled {
            Handled::Malformed(why) => info!(%source, ?why, "malformed"),
            Handled::Refused(why) => info!(%source, ?why, "refused"),
            _ => debug!(%source, ?handled, "datagram"),
        }
        self.work(now);
    }

    /// A timer is due.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(now);
        self.registrar.handle_timeout(now);
        while let Some(event) = self.registrar.poll_event() {
            self.registrar_event(&event);
        }
        self.guard_timeout(now);
        self.work(now);
    }

    /// What time alone causes: blocks end, calls have lasted as long as they may.
    fn guard_timeout(&mut self, now: Now) {
        if self.alive_due <= now.mono {
            self.alive_due = now.mono + ALIVE;
            self.calls.ids().into_iter().for_each(|id| drop(self.tell_guard(id, CallEvent::Alive, now)));
        }
        if self.guard_due.is_none_or(|at| at > now.mono) {
            return;
        }
        let elapsed = self.guard.handle_timeout(now);
        elapsed.events.iter().for_each(audit::event);
        for (id, decision) in elapsed.calls {
            audit::events(&decision);
            match decision.verdict {
                Verdict::Cut => self.end_call(id, now),
                // There is no media to play a tone into yet.
                verdict => info!(call = id.0, %verdict, reason = %decision.reason, "call"),
            }
        }
        self.guard_due = Some(self.guard.poll_timeout(now));
    }

    pub(super) fn handle_transport_failure(&mut self, failed: &Transmit, now: Now) {
        self.endpoint.handle_transport_failure(failed, now);
        self.work(now);
    }

    pub(super) fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.endpoint.poll_transmit(buf)
    }

    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        let all = [self.endpoint.poll_timeout(), self.registrar.poll_timeout(), self.guard_due];
        all.into_iter().flatten().min()
    }

    /// Everything that has happened is dealt with, and what that causes, too.
    pub(super) fn work(&mut self, now: Now) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Request { transaction, dialog: None, method, source, message } => {
                    self.request(transaction, method, source, &message, now);
                }
                event => self.call_event(event, now),
            }
        }
    }

    /// A request outside of dialogs.
    fn request(
        &mut self,
        transaction: ServerTransactionId,
        method: Method,
        source: Source,
        received: &Received,
        now: Now,
    ) {
        let Ok(message) = received.parse() else { return self.refuse(transaction, 400, now) };
        if let Some(objection) = uas::objection(&message) {
            debug!(%source, why = objection.why, "refused");
            return self.object(transaction, objection.status, now);
        }
        match method {
            Method::Register => self.register(transaction, source, &message, now),
            Method::Invite => self.invite(transaction, source, &message, now),
            // The same answer for every name, so that nobody learns which extensions there are.
            _ => self.respond(transaction, 200, &options(), now),
        }
    }

    /// Refuses what has no place here, with what would have one (RFC 3261 section 8.2).
    fn object(&mut self, transaction: ServerTransactionId, status: u16, now: Now) {
        let header = match status {
            405 | 501 => ("Allow", uas::ALLOW),
            406 | 415 => ("Accept", uas::ACCEPT),
            _ => return self.refuse(transaction, status, now),
        };
        self.respond(transaction, status, &Parts::headers(&[header]), now);
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn is_extension(&self, name: &str) -> bool {
        self.guard.rules().extension_enabled(name).is_some()
    }

    pub(super) fn is_enabled(&self, name: &str) -> bool {
        self.guard.rules().extension_enabled(name) == Some(true)
    }
}

/// What the PBX can do (RFC 3261 section 11.2).
pub(super) fn options() -> Parts<'static> {
    Parts::headers(&[("Allow", uas::ALLOW), ("Accept", uas::ACCEPT)])
}

fn registrar_config(pbx: &PbxConfig) -> RegistrarConfig {
    let seconds = |s: u32| Duration::from_secs(s.into());
    RegistrarConfig {
        min_expires: seconds(pbx.min_expires_s),
        max_expires: seconds(pbx.max_expires_s),
        default_expires: seconds(pbx.max_expires_s),
        ..RegistrarConfig::default()
    }
}

fn endpoint(loaded: &Loaded, random: &mut Random) -> anyhow::Result<Endpoint> {
    let first = loaded.listen.first().ok_or_else(|| anyhow!("there is nothing to listen on"))?;
    let config = pbx_sip::Config::advertising(Transport::Udp, first.addr.to_string());
    Endpoint::new(config, random.bytes()).context("the addresses of pbx.listen cannot be advertised")
}

fn digest_server(pbx: &PbxConfig, random: &mut Random, now: Now) -> anyhow::Result<digest::Server> {
    let mut layout = Layout::new(1);
    let counts = layout.replay(NONCES);
    let block = Block::create(heap(layout.words()), &layout, random.bytes(), 0, now)?;
    let mut config = digest::Config::new(&pbx.realm);
    config.algorithms = pbx.digest.iter().copied().map(Into::into).collect();
    Ok(digest::Server::new(&config, &random.bytes(), block, counts)?)
}
