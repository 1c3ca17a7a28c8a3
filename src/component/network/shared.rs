//! What the network of one operation has used, and its words to the operator. Of a component's, and
//! of what reaches the network through a proxy of ours.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Run;
use super::resolver::Resolver;
use crate::protocol::{Capability, Decision, LogLevel, Observer};
use crate::sandbox::{Limits, NetworkDenied, NetworkGate};

/// Refusals the operator is told of in words. The audit trail has all.
const TOLD: usize = 50;
/// Names that one operation looks up at once; more wait. The resolver is everybody's.
const ASKING: usize = 4;
/// Addresses of one name that are looked at.
const ADDRESSES: usize = 64;

/// The shortest time for one address: zero is no time at all.
const SHORTEST: Duration = Duration::from_millis(1);

/// One operation's network: the run's gate, and what this operation has used.
pub(crate) struct Shared {
    pub(super) run: Arc<Run>,
    pub(crate) limits: Limits,
    resolver: Arc<dyn Resolver>,
    observer: Arc<dyn Observer>,
    connections: Arc<Semaphore>,
    asking: Semaphore,
    opened: AtomicU64,
    lookups: AtomicU64,
    bytes: AtomicU64,
    told: Mutex<HashSet<String>>,
}

/// A refusal that was said to the operator already; what is left is to tell the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// By a rule or a missing grant.
    Denied,
    /// By a limit of numbers.
    Limit,
    /// It took too long.
    Timeout,
    /// The name has no address, or nobody could say.
    Unresolvable,
}

/// A refusal, its rule, and the flag that would grant it.
pub(crate) fn sentence(denied: &NetworkDenied) -> String {
    let hint = denied.hint.as_ref().map_or_else(String::new, |flag| {
        format!("; {flag} would grant it (in sync with --source- or --destination-)")
    });
    format!("{denied} [{}]{hint}", denied.rule)
}

impl Shared {
    pub(crate) fn new(
        run: Arc<Run>,
        resolver: Arc<dyn Resolver>,
        observer: Arc<dyn Observer>,
        limits: Limits,
    ) -> Self {
        let connections = limits.connections.min(Semaphore::MAX_PERMITS);
        Self {
            run,
            resolver,
            observer,
            connections: Arc::new(Semaphore::new(connections)),
            asking: Semaphore::new(ASKING),
            opened: AtomicU64::new(0),
            lookups: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            told: Mutex::default(),
            limits,
        }
    }

    /// What decides.
    pub(crate) fn gate(&self) -> &NetworkGate {
        &self.run.gate
    }

    /// Says that something was granted.
    pub(crate) fn allowed(&self, capability: Capability, target: &str, rule: &str) {
        self.observer.decided(&Decision::allow(capability, target, rule));
    }

    /// Says that something was refused.
    pub(crate) fn denied(&self, capability: Capability, denied: &NetworkDenied) -> Refused {
        self.observer.decided(&Decision::deny(capability, &denied.target, denied.rule));
        self.tell(format!("network: {}", sentence(denied)));
        Refused::Denied
    }

    /// Says that something was refused that has no grant.
    pub(crate) fn forbidden(&self, capability: Capability, target: &str, rule: &str) -> Refused {
        let target: String = target.chars().take(300).collect();
        self.tell(format!("network: {target} was refused [{rule}]"));
        self.observer.decided(&Decision::deny(capability, target, rule));
        Refused::Denied
    }

    /// Says that a limit was reached.
    pub(crate) fn limit(&self, name: &str, value: &str) {
        let rule = format!("limit {name}");
        self.observer.decided(&Decision::deny(Capability::Limit, name, rule));
        self.tell(format!(
            "network: the connector reached its limit {name} of {value}; \
             allow more with --limit {name}=…"
        ));
    }

    /// Says that a limit of time was reached.
    pub(crate) fn time_limit(&self, name: &str, limit: Duration) {
        self.limit(name, &format!("{} s", limit.as_secs_f64()));
    }

    /// A warning, once.
    pub(crate) fn tell(&self, message: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD && told.insert(message.clone()) {
            drop(told);
            self.observer.log(LogLevel::Warn, &message);
        }
    }

    /// Counts bytes that came or went.
    pub(crate) fn charge(&self, bytes: usize) -> io::Result<()> {
        let used = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if used <= self.limits.network_bytes {
            return Ok(());
        }
        self.limit("network-bytes", &format!("{} bytes", self.limits.network_bytes));
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, "the limit network-bytes is reached"))
    }

    /// A place for one more connection; it is given back when it is dropped.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Refused> {
        if self.opened.fetch_add(1, Ordering::Relaxed) >= self.limits.connections_total {
            self.limit("connections-total", &self.limits.connections_total.to_string());
            return Err(Refused::Limit);
        }
        self.connections.clone().try_acquire_owned().map_err(|_| {
            self.limit("connections", &self.limits.connections.to_string());
            Refused::Limit
        })
    }

    /// Counts one more name that is looked up.
    pub(crate) fn count_lookup(&self) -> Result<(), Refused> {
        if self.lookups.fetch_add(1, Ordering::Relaxed) < self.limits.lookups {
            return Ok(());
        }
        self.limit("lookups", &self.limits.lookups.to_string());
        Err(Refused::Limit)
    }

    /// The addresses of a name that the gate has let through, as the resolver gives them.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Refused> {
        let limit = self.limits.connect_time;
        let asking = async {
            let _turn = self.asking.acquire().await.map_err(io::Error::other)?;
            self.resolver.resolve(name).await
        };
        match tokio::time::timeout(limit, asking).await {
            Err(_) => {
                self.time_limit("connect-time", limit);
                Err(Refused::Timeout)
            }
            Ok(Ok(mut addresses)) if !addresses.is_empty() => {
                addresses.truncate(ADDRESSES);
                Ok(addresses)
            }
            Ok(_) => Err(Refused::Unresolvable),
        }
    }

    /// Connects to an address that the gate has let through. Whoever asked says so when it took too
    /// long: there may be another address.
    pub(crate) async fn dial(
        &self,
        address: SocketAddr,
        within: Duration,
    ) -> io::Result<TcpStream> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that dials for a connector: the gate has seen the address"
        )]
        let connecting = TcpStream::connect(address);
        let connected = tokio::time::timeout(within, connecting).await;
        let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        // A guest writes what is to be sent; nobody here knows what more is coming.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
    /// Connects to the first of some addresses that answers, all of which the gate has let through.
    /// One that does not answer leaves time for the others.
    pub(crate) async fn dial_any(
        &self,
        addresses: &[IpAddr],
        port: u16,
        end: Instant,
    ) -> io::Result<TcpStream> {
        let mut failed = io::ErrorKind::AddrNotAvailable.into();
        for (at, address) in addresses.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            match self.dial(SocketAddr::new(*address, port), share.max(SHORTEST)).await {
                Ok(stream) => return Ok(stream),
                Err(e) => failed = e,
            }
        }
        Err(failed)
    }
}
