//! `pbx check`: one what-if question on a fresh state, or on a snapshot. Nothing is changed by asking.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand, ValueEnum};
use pbx_core::{CallId, Network, Now, Service, Source, Transport, Verdict};
use pbx_policy::{Attempt, AuthKind, Explained, Guard, InboundCall, Origin, OutboundCall, Packet, PinProof};

use super::when;
use super::world::World;
use crate::output;

#[derive(Debug, Parser)]
pub(crate) struct Args {
    #[command(subcommand)]
    question: Question,
}

/// What every question needs.
#[derive(Debug, Parser)]
struct Common {
    /// The configuration to ask.
    #[arg(long)]
    config: PathBuf,
    /// A snapshot of the state to ask it in; without it nothing has happened yet.
    #[arg(long)]
    state: Option<PathBuf>,
    /// When (RFC 3339); without it, now.
    #[arg(long)]
    at: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Exit with 1 when the answer is a refusal.
    #[arg(long)]
    exit_code: bool,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// May this packet come in?
    Packet(PacketArgs),
    /// May this device register, its credentials being right?
    Register(RegisterArgs),
    /// May this account log in, its password being right?
    Login(LoginArgs),
    /// May this extension call this number?
    Outbound(OutboundArgs),
    /// Where does this call from a trunk go?
    Inbound(InboundArgs),
}

#[derive(Debug, Parser)]
struct PacketArgs {
    #[command(flatten)]
    common: Common,
    /// Address and port of the sender.
    #[arg(long)]
    source: SocketAddr,
    /// How it travels: udp, tcp, tls, ws, wss.
    #[arg(long, default_value = "udp", value_parser = transport)]
    transport: Transport,
    /// The service it is addressed to, e.g. sip, https, ssh.
    #[arg(long, value_parser = service)]
    service: Option<Service>,
    /// The local port it arrives at.
    #[arg(long)]
    port: Option<u16>,
    /// The hardware address of the sender.
    #[arg(long, value_parser = super::world::mac)]
    mac: Option<[u8; 6]>,
    /// The network it comes through: lan, vpn, tunnel, public.
    #[arg(long, value_parser = network)]
    via: Option<Network>,
}

#[derive(Debug, Parser)]
struct RegisterArgs {
    #[command(flatten)]
    common: Common,
    /// The extension.
    #[arg(long)]
    extension: String,
    /// Address and port of the device.
    #[arg(long)]
    source: SocketAddr,
    /// What it says it is.
    #[arg(long)]
    user_agent: String,
    /// Its Contact URI.
    #[arg(long)]
    contact: Option<String>,
    /// Its instance id.
    #[arg(long)]
    instance: Option<String>,
    /// The network it comes through: lan, vpn, tunnel, public.
    #[arg(long, value_parser = network)]
    via: Option<Network>,
}

#[derive(Debug, Parser)]
struct LoginArgs {
    #[command(flatten)]
    common: Common,
    /// The account.
    #[arg(long)]
    account: String,
    /// Address and port of the client.
    #[arg(long)]
    source: SocketAddr,
    /// What it logs in to.
    #[arg(long, default_value = "web")]
    kind: LoginKind,
    /// The network it comes through: lan, vpn, tunnel, public.
    #[arg(long, value_parser = network)]
    via: Option<Network>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LoginKind {
    Web,
    Client,
    Api,
}

#[derive(Debug, Parser)]
struct OutboundArgs {
    #[command(flatten)]
    common: Common,
    /// The responsible extension.
    #[arg(long)]
    extension: String,
    /// What is dialled.
    #[arg(long)]
    dial: String,
    /// Address and port of the device.
    #[arg(long)]
    source: Option<SocketAddr>,
    /// The PIN that is given. Here it is taken for right: the store of PINs is not asked.
    #[arg(long)]
    pin: Option<String>,
    /// What makes the call: call, forward, transfer, callback, conference, disa, api.
    #[arg(long, default_value = "call", value_parser = super::world::origin)]
    origin: Origin,
}

#[derive(Debug, Parser)]
struct InboundArgs {
    #[command(flatten)]
    common: Common,
    /// The trunk, by name.
    #[arg(long)]
    trunk: String,
    /// The number that calls, or `anonymous`.
    #[arg(long)]
    from: String,
    /// The number that is called.
    #[arg(long)]
    to: String,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let common = args.question.common();
    let at = match &common.at {
        Some(text) => when::parse(text).map_err(|e| anyhow!(e)).context("--at")?,
        None => crate::clock::wall(),
    };
    let now = when::now(at, at);
    let world = World::open(&common.config, common.state.as_deref(), now)?;
    let (explained, verdict) = args.question.ask(&world.guard, now)?;
    output::line(if common.json { serde_json::to_string(&explained)? } else { explained.to_string() });
    let refused = common.exit_code && verdict != Verdict::Allow;
    Ok(if refused { ExitCode::from(super::EXIT_REFUSED) } else { ExitCode::SUCCESS })
}

impl Question {
    fn common(&self) -> &Common {
        match self {
            Self::Packet(a) => &a.common,
            Self::Register(a) => &a.common,
            Self::Login(a) => &a.common,
            Self::Outbound(a) => &a.common,
            Self::Inbound(a) => &a.common,
        }
    }

    fn ask(&self, guard: &Guard, now: Now) -> anyhow::Result<(Explained, Verdict)> {
        match self {
            Self::Packet(a) => Ok(a.ask(guard, now)),
            Self::Register(a) => Ok(a.ask(guard, now)),
            Self::Login(a) => Ok(a.ask(guard, now)),
            Self::Outbound(a) => a.ask(guard, now),
            Self::Inbound(a) => Ok(a.ask(guard, now)),
        }
    }
}

impl PacketArgs {
    fn ask(&self, guard: &Guard, now: Now) -> (Explained, Verdict) {
        let mut packet = Packet::new(Source::new(self.source, self.transport));
        packet.service = self.service;
        packet.port = self.port;
        packet.mac = self.mac;
        packet.via = self.via;
        let decision = guard.check_packet(&packet, now);
        (Explained::packet(&guard.rules(), &packet, &decision, now), decision.verdict)
    }
}

impl RegisterArgs {
    fn ask(&self, guard: &Guard, now: Now) -> (Explained, Verdict) {
        let source = Source::new(self.source, Transport::Udp);
        let mut attempt = Attempt::new(AuthKind::Registration, &self.extension, source)
            .answered(true)
            .proved(true)
            .user_agent(&self.user_agent);
        attempt.contact = self.contact.as_deref();
        attempt.instance = self.instance.as_deref();
        attempt.via = self.via;
        let decision = guard.check_auth(&attempt, now);
        (Explained::auth(&guard.rules(), &attempt, &decision, now), decision.verdict)
    }
}

impl LoginArgs {
    fn ask(&self, guard: &Guard, now: Now) -> (Explained, Verdict) {
        let kind = match self.kind {
            LoginKind::Web => AuthKind::Web,
            LoginKind::Client => AuthKind::Client,
            LoginKind::Api => AuthKind::Api,
        };
        let mut attempt = Attempt::new(kind, &self.account, Source::new(self.source, Transport::Tls));
        attempt.via = self.via;
        let decision = guard.check_auth(&attempt, now);
        (Explained::auth(&guard.rules(), &attempt, &decision, now), decision.verdict)
    }
}

impl OutboundArgs {
    fn ask(&self, guard: &Guard, now: Now) -> anyhow::Result<(Explained, Verdict)> {
        let extension = self.extension.parse().context("--extension")?;
        let mut call = OutboundCall::new(CallId(1), extension, &self.dial).origin(self.origin);
        call.source = self.source.map(|s| Source::new(s, Transport::Udp));
        if self.pin.is_some() {
            call.pin = PinProof::Given { proved: true };
        }
        let decided = guard.check_call(call, now);
        Ok((Explained::outbound(&guard.rules(), &call, &decided, now), decided.decision.verdict))
    }
}

impl InboundArgs {
    fn ask(&self, guard: &Guard, now: Now) -> (Explained, Verdict) {
        let call = InboundCall::new(CallId(1), &self.trunk, &self.from, &self.to);
        let decided = guard.check_call(call, now);
        (Explained::inbound(&guard.rules(), &call, &decided, now), decided.decision.verdict)
    }
}

/// A value by the name it has in configuration and output.
fn by_name<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|e| e.to_string())
}

fn transport(text: &str) -> Result<Transport, String> {
    by_name(text)
}

fn service(text: &str) -> Result<Service, String> {
    by_name(text)
}

fn network(text: &str) -> Result<Network, String> {
    by_name(text)
}
