//! The only way out of a container that is granted some hosts: a forwarding proxy of ours, on a
//! network that leads nowhere else.
//!
//! The attack: a container is told of a proxy, and tries what a proxy can be made to do: to dial a
//! name that was never granted, a name that resolves to this machine, an address in a spelling that
//! no rule knows, a second request behind the first; to hold its connections and never speak; or to
//! be somebody else on the same network. Every name and every address passes the gate
//! ([`crate::sandbox::NetworkGate`]) as a component's do, this host resolves and dials by itself, a
//! message is forwarded as far as it goes and no further, and everything is counted and timed.

mod chunked;
mod environment;
mod http;
mod peer;
mod reach;
mod socks;
mod splice;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use self::peer::{HANDSHAKE, Peer};
use self::reach::{Refusal, reach};
use self::socks::Asked;
use crate::component::Resolver;
use crate::component::network::Run;
use crate::component::network::shared::Shared;
use crate::protocol::{Capability, Observer};
use crate::sandbox::{Limits, NetworkGrants};

pub(super) use environment::merged;

/// Peers that have not said yet where they want to go, or wait to hear whether they may. More wait to
/// be accepted.
const UNDECIDED: usize = 64;
/// How long nobody is accepted after accepting failed: the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// A running proxy. It stops when it is dropped, with all its connections.
#[derive(Debug)]
pub(super) struct Egress {
    at: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Egress {
    /// Listens at an address, at a port of the system's choice. Serves `peers` only.
    pub(super) async fn start(
        listen: IpAddr,
        peers: IpNet,
        grants: &NetworkGrants,
        limits: &Limits,
        resolver: Arc<dyn Resolver>,
        observer: Arc<dyn Observer>,
    ) -> io::Result<Self> {
        // TLS is between the connector and its server: no authority of the operator's is used.
        let grants = NetworkGrants { patterns: grants.patterns.clone(), tls_roots: Vec::new() };
        let run = Arc::new(Run::new(&grants).map_err(io::Error::other)?);
        let shared = Arc::new(Shared::new(run, resolver, observer, limits.clone()));
        let listener = TcpListener::bind((listen, 0)).await?;
        let at = listener.local_addr()?;
        Ok(Self { at, accepting: tokio::spawn(accept(listener, peers, shared)) })
    }

    /// What tells programs of the proxy, as far as they listen to their environment.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        environment::of(self.at)
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        // It holds its connections, which end with it.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, peers: IpNet, shared: Arc<Shared>) {
    let undecided = Arc::new(Semaphore::new(UNDECIDED));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(turn) = undecided.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((_, from)) if !peers.contains(&from.ip().to_canonical()) => {}
            Ok((stream, _)) => {
                connections.spawn(serve(shared.clone(), stream, turn));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// One connection, from its first byte to its end.
async fn serve(shared: Arc<Shared>, stream: TcpStream, turn: OwnedSemaphorePermit) {
    let mut peer = Peer::new(stream);
    let head = shared.limits.http_header_bytes;
    match timeout(HANDSHAKE, peer.first()).await {
        Ok(Ok(4 | 5)) => {
            let asked = timeout(HANDSHAKE, socks::ask(&mut peer)).await;
            if let Ok(Some(asked)) = asked {
                tunnel(&shared, peer, asked, turn).await;
            }
        }
        Ok(Ok(letter)) if letter.is_ascii_alphabetic() => {
            match timeout(HANDSHAKE, http::ask(&mut peer, head)).await {
                Ok(Ok(http::Asked::Tunnel { host, port })) => {
                    let asked = Asked::Connect { host, port, version: socks::Version::Http };
                    tunnel(&shared, peer, asked, turn).await;
                }
                Ok(Ok(http::Asked::Forward(request))) => {
                    forward(&shared, peer, *request, turn).await;
                }
                Ok(Err(Some(bad))) => peer.farewell(&http::malformed(bad)).await,
                Ok(Err(None)) => {}
                Err(_) => peer.farewell(&http::malformed(http::Bad::TIMEOUT)).await,
            }
        }
        // Nothing that is spoken here: it gets no word that would tell it what is.
        _ => {}
    }
}

/// A connection that carries whatever it is given, both ways.
async fn tunnel(shared: &Shared, mut peer: Peer, asked: Asked, turn: OwnedSemaphorePermit) {
    let (host, port, version) = match asked {
        Asked::Connect { host, port, version } => (host, port, version),
        Asked::Other { command, version } => {
            shared.forbidden(Capability::Socket, command, "no-listening");
            return peer.farewell(&version.unsupported()).await;
        }
    };
    match reach(shared, Capability::Connect, &host, port).await {
        Ok(reached) => {
            drop(turn);
            if peer.say(&version.granted()).await.is_ok() {
                splice::splice(shared, peer, reached.stream).await;
            }
        }
        Err(refusal) => peer.farewell(&version.refused(&refusal)).await,
    }
}

/// One HTTP request, and its answer.
async fn forward(
    shared: &Shared,
    mut peer: Peer,
    request: http::Request,
    turn: OwnedSemaphorePermit,
) {
    match reach(shared, Capability::Http, &request.host, request.port).await {
        Ok(reached) => {
            drop(turn);
            http::forward(shared, peer, &request, reached).await;
        }
        Err(refusal) => peer.farewell(&http::refused(&refusal)).await,
    }
}

impl socks::Version {
    fn refused(self, refusal: &Refusal) -> Vec<u8> {
        match self {
            Self::Http => http::refused(refusal),
            Self::Four | Self::Five => socks::refused(self, refusal),
        }
    }

    fn granted(self) -> Vec<u8> {
        match self {
            Self::Http => b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec(),
            Self::Four | Self::Five => socks::reply(self, socks::GRANTED),
        }
    }

    fn unsupported(self) -> Vec<u8> {
        socks::reply(self, socks::COMMAND_NOT_SUPPORTED)
    }
}

#[cfg(test)]
mod tests;
