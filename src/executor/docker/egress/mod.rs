//! The only way out of a container that is granted a part of the network.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::component::Resolver;
use crate::protocol::Observer;
use crate::sandbox::{Limits, NetworkGrants};

/// A forwarding proxy that applies the grants. Stops when it is dropped.
#[derive(Debug)]
pub(super) struct Egress;

impl Egress {
    /// Listens on `listen` for `peers` alone.
    #[expect(clippy::unused_async, reason = "it will listen")]
    pub(super) async fn start(
        _listen: IpAddr,
        _peers: IpNet,
        _grants: &NetworkGrants,
        _limits: &Limits,
        _resolver: Arc<dyn Resolver>,
        _observer: Arc<dyn Observer>,
    ) -> io::Result<Self> {
        Err(io::Error::other("there is no forwarding proxy"))
    }

    /// What the container's environment says of it.
    #[expect(clippy::unused_self, reason = "it will have an address")]
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
