//! The PBX itself: sockets and clocks around [`Pbx`], which has neither.

mod answer;
mod audit;
mod auth;
mod bridge;
mod calls;
mod invite;
mod pbx;
mod register;
mod settings;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context;
use pbx_core::Source;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::{Listen, Loaded};
use crate::store::Store;
use pbx::Pbx;

/// The largest datagram there is.
const DATAGRAM: usize = 65_535;
/// How long calls get to end once the PBX is told to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// One open socket.
struct Door {
    listen: Listen,
    socket: UdpSocket,
}

/// Runs the PBX until SIGINT or SIGTERM.
pub(crate) async fn serve(loaded: &Loaded, store: Store, clock: Clock) -> anyhow::Result<()> {
    let mut pbx = Pbx::new(loaded, store, clock.now()).await?;
    let doors = open(&loaded.listen).await?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    info!(realm = loaded.pbx.realm, extensions = loaded.policy.extensions.len(), "ready");
    let mut buf = vec![0; DATAGRAM];
    loop {
        flush(&mut pbx, &doors, &clock).await;
        tokio::select! {
            biased;
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = until(&pbx, &clock) => pbx.handle_timeout(clock.now()),
            (door, len, from) = receive(&doors, &mut buf) => {
                let source = Source::new(from, door.listen.transport);
                let data = buf.get(..len).unwrap_or_default();
                pbx.handle_datagram(source, door.listen.addr.port(), data, clock.now());
            }
        }
    }
    farewell(&mut pbx, &doors, &clock, &mut buf).await;
    info!("stopped");
    Ok(())
}

/// Ends every call and waits a moment for the answers.
async fn farewell(pbx: &mut Pbx, doors: &[Door], clock: &Clock, buf: &mut [u8]) {
    info!(calls = pbx.calls(), "stopping");
    pbx.hang_up_all(clock.now());
    let end = tokio::time::Instant::now() + FAREWELL;
    flush(pbx, doors, clock).await;
    while pbx.calls() > 0 && tokio::time::Instant::now() < end {
        tokio::select! {
            () = tokio::time::sleep_until(end) => {}
            () = until(pbx, clock) => pbx.handle_timeout(clock.now()),
            (door, len, from) = receive(doors, buf) => {
                let source = Source::new(from, door.listen.transport);
                let data = buf.get(..len).unwrap_or_default();
                pbx.handle_datagram(source, door.listen.addr.port(), data, clock.now());
            }
        }
        flush(pbx, doors, clock).await;
    }
}

async fn open(listen: &[Listen]) -> anyhow::Result<Vec<Door>> {
    let mut doors = Vec::with_capacity(listen.len());
    for &listen in listen {
        let socket = UdpSocket::bind(listen.addr).await.with_context(|| {
            format!(
                "cannot listen on udp:{}: is another PBX running there? Change pbx.listen, or stop it",
                listen.addr
            )
        })?;
        info!(address = %listen.addr, transport = %listen.transport, "listening");
        doors.push(Door { listen, socket });
    }
    Ok(doors)
}

/// The next datagram of any socket.
async fn receive<'d>(doors: &'d [Door], buf: &mut [u8]) -> (&'d Door, usize, SocketAddr) {
    poll_fn(|cx| {
        for door in doors {
            let mut read = ReadBuf::new(buf);
            // An error here is what ICMP said of an earlier datagram: anybody can forge that.
            let polled = loop {
                match door.socket.poll_recv_from(cx, &mut read) {
                    Poll::Ready(Err(_)) => {}
                    polled => break polled,
                }
            };
            if let Poll::Ready(Ok(from)) = polled {
                return Poll::Ready((door, read.filled().len(), from));
            }
        }
        Poll::Pending
    })
    .await
}

/// When the next timer is due; never, when there is none.
async fn until(pbx: &Pbx, clock: &Clock) {
    match pbx.poll_timeout() {
        Some(at) => tokio::time::sleep(at.since(clock.now().mono)).await,
        None => std::future::pending().await,
    }
}

/// Sends what is to be sent.
async fn flush(pbx: &mut Pbx, doors: &[Door], clock: &Clock) {
    let mut buf = Vec::new();
    while let Some(transmit) = pbx.poll_transmit(&mut buf) {
        let Some(door) = door_to(doors, transmit.to.addr) else {
            warn!(to = %transmit.to.addr, "no socket leads there: listen on an address of its family");
            pbx.handle_transport_failure(&transmit, clock.now());
            continue;
        };
        if let Err(e) = door.socket.send_to(&buf, transmit.to.addr).await {
            warn!(to = %transmit.to.addr, error = %e, "not sent");
            pbx.handle_transport_failure(&transmit, clock.now());
        }
    }
}

/// The socket that leads to `addr`: of its family, and a loopback one for loopback.
fn door_to(doors: &[Door], addr: SocketAddr) -> Option<&Door> {
    let family = |d: &&Door| d.listen.addr.is_ipv4() == addr.is_ipv4();
    let near = |d: &&Door| d.listen.addr.ip().is_loopback() == addr.ip().is_loopback();
    doors.iter().filter(family).find(near).or_else(|| doors.iter().find(family))
}
