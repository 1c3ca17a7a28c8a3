//! The network of one run.
//!
//! The attack: a connector that may reach one server reaches others, or asks any resolver for names
//! whose labels are data. A container without grants has no network. One with grants is alone on an
//! internal network, without a way out but a proxy of ours that decides on every connection. What is
//! not enforced there is the gateway's own address: it is this machine, with what listens on all its
//! addresses.

use std::net::IpAddr;
use std::sync::Arc;

use bollard::models::NetworkCreateRequest;
use ipnet::IpNet;

use super::egress::Egress;
use super::engine::Engine;
use super::error::DockerError;
use super::sweep;
use crate::component::Resolver;
use crate::protocol::Observer;
use crate::sandbox::Policy;

/// A network and its way out.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) id: String,
    pub(super) egress: Egress,
}

fn failed(reason: String) -> DockerError {
    DockerError::Engine { what: "making a network", reason }
}

/// The name of a run's network.
pub(super) fn name(run: &str) -> String {
    format!("lockgate-{run}")
}

/// Whether a policy's grants can be had with an engine.
pub(super) fn check(engine: &Engine) -> Result<(), DockerError> {
    if engine.address.is_remote() {
        return Err(DockerError::Grant {
            what: "a part of the network".into(),
            reason: "the engine is on another machine, where no proxy of ours can be".into(),
        });
    }
    Ok(())
}

/// Makes the network of a run, and starts its proxy.
pub(super) async fn make(
    engine: &Engine,
    run: &str,
    policy: &Policy,
    resolver: Arc<dyn Resolver>,
    observer: Arc<dyn Observer>,
) -> Result<Own, DockerError> {
    check(engine)?;
    let request = NetworkCreateRequest {
        name: name(run),
        driver: Some("bridge".into()),
        internal: Some(true),
        enable_ipv6: Some(false),
        labels: Some(sweep::labels(run)),
        ..NetworkCreateRequest::default()
    };
    let made = engine.ask(engine.docker.create_network(request)).await.map_err(failed)?;
    let found = engine.ask(engine.docker.inspect_network(&made.id, None)).await.map_err(failed)?;
    let configs = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let place = configs.into_iter().find_map(|config| {
        let subnet: IpNet = config.subnet?.parse().ok()?;
        // Podman says nothing of the gateway of an internal network: it is the first address.
        let first = subnet.hosts().next();
        let gateway = config.gateway.and_then(|text| {
            text.split('/').next().and_then(|address| address.parse::<IpAddr>().ok())
        });
        Some((gateway.or(first)?, subnet))
    });
    let (gateway, subnet) =
        place.ok_or_else(|| failed("the engine does not say what addresses it has".into()))?;
    let (grants, limits) = (&policy.network, &policy.limits);
    let egress = Egress::start(gateway, subnet, grants, limits, resolver, observer).await;
    let egress = egress.map_err(|e| DockerError::Grant {
        what: "a part of the network".into(),
        reason: format!("no proxy can listen at the container's gateway {gateway}: {e}"),
    })?;
    Ok(Own { id: made.id, egress })
}
