//! `pbx simulate`: a timeline through the guard, exactly as the running PBX would decide it.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Parser;
use pbx_core::{AddrKey, CallId, Now, Source, Transport, Wall};
use pbx_policy::{
    Attempt, CallEvent, Explained, ExplainedBlock, InboundCall, OutboundCall, Packet, PinProof, Proof,
    rfc3339,
};
use serde_json::json;

use super::event::{
    self, AdminAsk, Ask, AuthAsk, CallEventAsk, CallEventName, InboundAsk, OutboundAsk, PacketAsk,
};
use super::when;
use super::world::{self, World};
use crate::config;

#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// The configuration to decide by.
    #[arg(long)]
    config: PathBuf,
    /// A snapshot of the state to begin in; without it nothing has happened yet.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Where to write a snapshot of the state at the end.
    #[arg(long)]
    save: Option<PathBuf>,
}

/// Longest line that is read, in bytes.
const LONGEST: usize = 64 << 10;

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut timeline: Option<Timeline> = None;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let line = line.with_context(|| format!("line {number}"))?;
        if line.len() > LONGEST {
            bail!("line {number}: longer than {LONGEST} bytes");
        }
        if line.trim().is_empty() {
            continue;
        }
        let event = event::parse(&line).map_err(|e| anyhow!("line {number}: {e}"))?;
        let timeline = match &mut timeline {
            Some(timeline) => timeline,
            none => none.insert(Timeline::begin(&args, event.at)?),
        };
        for answer in timeline.step(event).with_context(|| format!("line {number}"))? {
            writeln!(out, "{answer}").context("cannot write")?;
        }
    }
    out.flush().context("cannot write")?;
    if let (Some(file), Some(timeline)) = (args.save, timeline) {
        let bytes = timeline.world.guard.state().snapshot(timeline.now);
        std::fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A guard that is taken through time.
struct Timeline {
    world: World,
    start: Wall,
    now: Now,
    calls: HashMap<String, CallId>,
}

impl Timeline {
    fn begin(args: &Args, start: Wall) -> anyhow::Result<Self> {
        let now = when::now(start, start);
        let world = World::open(&args.config, args.state.as_deref(), now)?;
        Ok(Self { world, start, now, calls: HashMap::new() })
    }

    fn step(&mut self, event: event::Event) -> anyhow::Result<Vec<String>> {
        if event.at < self.now.wall {
            bail!("{} is earlier than the line before", rfc3339(event.at));
        }
        self.now = when::now(self.start, event.at);
        match event.ask {
            Ask::Packet(ask) => self.packet(&ask),
            Ask::Auth(ask) => self.auth(&ask),
            Ask::Unregister { account, contact } => {
                self.world.guard.unregister(&account, &contact, None);
                Ok(Vec::new())
            }
            Ask::Outbound(ask) => self.outbound(&ask),
            Ask::Inbound(ask) => self.inbound(&ask),
            Ask::CallEvent(ask) => self.call_event(&ask),
            Ask::Admin(ask) => self.admin(ask),
            Ask::Tick {} => self.tick(),
        }
    }

    fn packet(&mut self, ask: &PacketAsk) -> anyhow::Result<Vec<String>> {
        let mut packet = Packet::new(source(ask.source, ask.transport)).len(ask.len);
        packet.service = ask.service;
        packet.port = ask.port;
        packet.via = ask.via;
        packet.mac = ask.mac.as_deref().map(world::mac).transpose().map_err(|e| anyhow!(e))?;
        let decision = self.world.guard.on_packet(&packet, self.now);
        shown(&Explained::packet(&self.world.guard.rules(), &packet, &decision, self.now))
    }

    fn auth(&mut self, ask: &AuthAsk) -> anyhow::Result<Vec<String>> {
        let text = |o: &'_ Option<String>| o.clone().unwrap_or_default();
        let (nonce, response) = (text(&ask.nonce), text(&ask.response));
        let mut attempt = Attempt::new(ask.kind.0, &ask.account, source(ask.source, ask.transport))
            .answered(ask.outcome.0 != pbx_policy::AuthOutcome::Challenged)
            .proof(Proof { nonce: &nonce, nc: "", cnonce: "", response: &response });
        attempt.user_agent = ask.user_agent.as_deref();
        attempt.contact = ask.contact.as_deref();
        attempt.instance = ask.instance.as_deref();
        attempt.expires = ask.expires.map(|s| Duration::from_secs(s.into()));
        attempt.via = ask.via;
        let begun = self.world.guard.begin(&attempt, self.now);
        let decision = match begun.ticket {
            Some(ticket) => self.world.guard.end(ticket, ask.outcome.0, self.now),
            None => begun.decision,
        };
        shown(&Explained::auth(&self.world.guard.rules(), &attempt, &decision, self.now))
    }

    fn outbound(&mut self, ask: &OutboundAsk) -> anyhow::Result<Vec<String>> {
        let extension = ask.extension.parse().context("extension")?;
        let mut call = OutboundCall::new(self.call(&ask.call), extension, &ask.dialled);
        if let Some(origin) = &ask.origin {
            call.origin = world::origin(origin).map_err(|e| anyhow!(e))?;
        }
        if ask.pin.is_some() {
            call.pin = PinProof::Given { proved: true };
        }
        call.source = ask.source.map(|s| source(s, None));
        let decided = self.world.guard.on_call(call, self.now);
        shown(&Explained::outbound(&self.world.guard.rules(), &call, &decided, self.now))
    }

    fn inbound(&mut self, ask: &InboundAsk) -> anyhow::Result<Vec<String>> {
        let mut call = InboundCall::new(self.call(&ask.call), &ask.trunk, &ask.from, &ask.to);
        call.privacy = ask.privacy.as_deref().unwrap_or_default();
        call.source = ask.source.map(|s| source(s, None));
        let decided = self.world.guard.on_call(call, self.now);
        shown(&Explained::inbound(&self.world.guard.rules(), &call, &decided, self.now))
    }

    fn call_event(&mut self, ask: &CallEventAsk) -> anyhow::Result<Vec<String>> {
        let call = self.call(&ask.call);
        let event = match ask.event {
            CallEventName::Answered => CallEvent::Answered,
            CallEventName::Alive => CallEvent::Alive,
            CallEventName::Ended => CallEvent::Ended,
            CallEventName::Failed => CallEvent::Failed { sip_status: ask.sip_status.unwrap_or(500) },
            CallEventName::Transferred => {
                let to =
                    ask.extension.as_deref().ok_or_else(|| anyhow!("a transfer needs an \"extension\""))?;
                CallEvent::Transferred { extension: to.parse().context("extension")? }
            }
        };
        let decision = self.world.guard.on_call_event(call, event, self.now);
        shown(&Explained::call_event(&self.world.guard.rules(), &decision, self.now))
    }

    fn admin(&mut self, ask: AdminAsk) -> anyhow::Result<Vec<String>> {
        let guard = &self.world.guard;
        let done = match ask {
            AdminAsk::Unblock { source, account } => {
                guard.unblock(AddrKey::host(source), account.as_deref(), self.now) > 0
            }
            AdminAsk::Unlock { extension } => guard.unlock(extension.parse().context("extension")?, self.now),
            AdminAsk::Block { source, until } => {
                let until = until.as_deref().map(when::parse).transpose().map_err(|e| anyhow!(e))?;
                let until = until.map(|at| at.since(self.now.wall));
                guard.block(AddrKey::host(source), until, self.now)
            }
            AdminAsk::Reload { config } => {
                let loaded = config::load(&config)?;
                guard.reload(Arc::new(config::compile(&loaded)?));
                true
            }
        };
        Ok(vec![json!({ "at": rfc3339(self.now.wall), "ask": "admin", "done": done }).to_string()])
    }

    /// What time alone has caused.
    fn tick(&mut self) -> anyhow::Result<Vec<String>> {
        let guard = &self.world.guard;
        let elapsed = guard.handle_timeout(self.now);
        let ended: Vec<_> = elapsed.ended.iter().map(|block| ExplainedBlock::of(block, self.now)).collect();
        let events: Vec<_> = elapsed
            .events
            .iter()
            .map(|e| json!({ "name": e.kind.name(), "level": e.level.name() }))
            .collect();
        let mut out = vec![json!({
            "at": rfc3339(self.now.wall), "ask": "tick", "ended": serde_json::to_value(ended)?, "events": events,
        })
        .to_string()];
        for (call, decision) in &elapsed.calls {
            let mut told = serde_json::to_value(Explained::call_event(&guard.rules(), decision, self.now))?;
            let name = self.calls.iter().find(|(_, id)| *id == call).map(|(name, _)| name);
            if let Some(object) = told.as_object_mut() {
                object.insert("call".to_owned(), json!(name));
            }
            out.push(told.to_string());
        }
        Ok(out)
    }

    /// The number of a call that the timeline names.
    fn call(&mut self, name: &str) -> CallId {
        let next = CallId(self.calls.len() as u64 + 1);
        *self.calls.entry(name.to_owned()).or_insert(next)
    }
}

fn source(addr: std::net::SocketAddr, transport: Option<Transport>) -> Source {
    Source::new(addr, transport.unwrap_or(Transport::Udp))
}

fn shown(explained: &Explained) -> anyhow::Result<Vec<String>> {
    Ok(vec![serde_json::to_string(explained)?])
}
