//! From what a container asks for to a connection: the two decisions, on the name and on the address.

use std::io;
use std::net::IpAddr;

use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use crate::component::network::shared::{Refused, Shared};
use crate::protocol::Capability;
use crate::sandbox::{NetworkDenied, NetworkHost};

/// The name that programs write as an address themselves.
const THIS_MACHINE: &str = "localhost";

/// A connection to where a container may go.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) stream: TcpStream,
    /// Where, in its one spelling.
    pub(super) host: NetworkHost,
    /// Given back when the connection has ended.
    pub(super) place: OwnedSemaphorePermit,
}

/// Why there is none. The operator was told already.
#[derive(Debug)]
pub(super) enum Refusal {
    Denied(NetworkDenied),
    Limit,
    Timeout,
    Unresolvable,
    Failed(io::ErrorKind),
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied => Self::Failed(io::ErrorKind::PermissionDenied),
            Refused::Limit => Self::Limit,
            Refused::Timeout => Self::Timeout,
            Refused::Unresolvable => Self::Unresolvable,
        }
    }
}

/// Decides on a name or an address, and on what it resolves to, and connects to that.
pub(super) async fn reach(
    shared: &Shared,
    capability: Capability,
    text: &str,
    port: u16,
) -> Result<Reached, Refusal> {
    let deny = |denied: NetworkDenied| {
        shared.denied(capability, &denied);
        Refusal::Denied(denied)
    };
    let (host, rule) = lookup(shared, text, port).map_err(deny)?;
    let place = shared.place()?;
    let end = Instant::now() + shared.limits.connect_time;
    let addresses = match &host {
        NetworkHost::Address(address) => vec![*address],
        NetworkHost::Name(name) => {
            shared.count_lookup()?;
            let answer = timeout_at(end, shared.resolve(name)).await;
            let addresses = answer.map_err(|_| Refusal::Timeout)??;
            shared.gate().vet(name, Some(port), addresses).map_err(deny)?
        }
    };
    shared.allowed(capability, &host.with_port(port), &rule);
    match shared.dial_any(&addresses, port, end).await {
        Ok(stream) => Ok(Reached { stream, host, place }),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => {
            shared.time_limit("connect-time", shared.limits.connect_time);
            Err(Refusal::Timeout)
        }
        Err(e) => Err(Refusal::Failed(e.kind())),
    }
}

fn lookup(shared: &Shared, text: &str, port: u16) -> Result<(NetworkHost, String), NetworkDenied> {
    let denied = match shared.gate().lookup(text, Some(port)) {
        Ok(granted) => return Ok(granted),
        Err(denied) => denied,
    };
    // A JVM that is told `localhost` asks for 127.0.0.1: its hosts file has that name. Where the name
    // itself is granted, it could have asked for that.
    let granted = |port| {
        let mut patterns = shared.gate().grants().patterns.iter();
        patterns.any(|pattern| pattern.is_name(THIS_MACHINE) && pattern.has_port(port))
    };
    match NetworkHost::parse(text) {
        Ok(NetworkHost::Address(address)) if is_this_machine(address) && granted(port) => {
            shared.gate().lookup(THIS_MACHINE, Some(port))
        }
        _ => Err(denied),
    }
}

fn is_this_machine(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4 == std::net::Ipv4Addr::LOCALHOST,
        IpAddr::V6(v6) => v6 == std::net::Ipv6Addr::LOCALHOST,
    }
}
