//! The network of components: `wasi:sockets` and `wasi:http`, on the host's side, as far as a policy
//! grants it.
//!
//! The attack: the guest is inside, and what it may reach is outside with everything else. Every name
//! and every address passes the gate ([`NetworkGate`]) before anything is asked or dialed, this host
//! resolves and dials by itself, and whatever comes of it is counted and timed.

mod address;
mod bindings;
mod connection;
mod http;
mod http_body;
mod lookup;
mod metered;
mod resolver;
pub(crate) mod shared;
mod tcp;
mod tls;
mod udp;

use std::fmt;
use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi_http::FieldMap;
use wasmtime_wasi_http::p2::types::{HostIncomingResponse, HostOutgoingRequest};

use self::shared::Shared;
use self::tls::Tls;
use super::ComponentError;
use super::store::Guest;
use crate::protocol::{Capability, Observer};
use crate::sandbox::{Limits, NetworkGate, NetworkGrants};

pub use resolver::{Resolver, SystemResolver};

/// What one connector's operations have in common: what they were granted, what its names were found
/// to be, and whom it trusts.
pub(crate) struct Run {
    gate: NetworkGate,
    tls: Tls,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Run {
    /// Reads the operator's certificate authorities.
    pub(crate) fn new(grants: &NetworkGrants) -> Result<Self, ComponentError> {
        Ok(Self { gate: NetworkGate::new(grants.clone()), tls: Tls::read(&grants.tls_roots)? })
    }

    /// Whether this run is one of these grants.
    pub(super) fn is_of(&self, grants: &NetworkGrants) -> bool {
        self.gate.grants() == grants
    }
}

/// Sets of headers that a guest may hold at once. Each is up to `http-header-bytes`, and a request and
/// its answer have a handful.
const HEADER_SETS: usize = 512;

/// The network of one operation.
pub(super) struct Network {
    shared: Arc<Shared>,
    /// The guest holds more sets of headers than it may: none can be filled or changed.
    crowded: bool,
}

impl Network {
    pub(super) fn new(
        run: Arc<Run>,
        resolver: Arc<dyn Resolver>,
        observer: Arc<dyn Observer>,
        limits: &Limits,
    ) -> Self {
        let shared = Arc::new(Shared::new(run, resolver, observer, limits.clone()));
        Self { shared, crowded: false }
    }

    fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Counts the sets of headers that a guest holds. The limit of handles alone would let it hold
    /// gigabytes of them in the host's memory.
    pub(super) fn count_headers(&mut self, table: &mut ResourceTable) {
        let holds = |entry: &&mut (dyn std::any::Any + Send)| {
            entry.is::<FieldMap>()
                || entry.is::<HostOutgoingRequest>()
                || entry.is::<HostIncomingResponse>()
        };
        self.crowded = table.iter_mut().filter(holds).count() > HEADER_SETS;
        if self.crowded {
            self.shared.forbidden(Capability::Limit, "sets of HTTP headers", "header-sets");
        }
    }
}

/// Links what `contract::NETWORK` lists.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use self::bindings::sockets;

    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<_, HasSelf<_>>(linker, &options, |g| g)?;
    sockets::instance_network::add_to_linker::<_, HasSelf<_>>(linker, |g| g)?;
    sockets::ip_name_lookup::add_to_linker::<_, HasSelf<_>>(linker, |g| g)?;
    sockets::tcp::add_to_linker::<_, HasSelf<_>>(linker, |g| g)?;
    sockets::tcp_create_socket::add_to_linker::<_, HasSelf<_>>(linker, |g| g)?;
    sockets::udp::add_to_linker::<_, HasSelf<_>>(linker, |g| g)?;
    sockets::udp_create_socket::add_to_linker::<_, HasSelf<_>>(linker, |g| g)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}
