//! What a connection and a source are called that nobody named.

use sha2::{Digest, Sha256};

use crate::config::{config_digest, repository};
use crate::connector::Connector;

/// A connector's name without its version, which states outlive.
fn short(name: &str) -> String {
    if let Some(requirement) = name.strip_prefix("pip:") {
        let words: Vec<String> = requirement.split_whitespace().map(str::to_owned).collect();
        return crate::executor::connector_name(&words);
    }
    let name = name.strip_prefix("docker:").map_or(name, repository);
    let stem = name.rsplit('/').next().unwrap_or(name);
    let stem = stem.strip_prefix("exec:").unwrap_or(stem);
    stem.strip_suffix(".wasm").unwrap_or(stem).to_owned()
}

/// What connectors are, their configurations and their grants.
fn digest(connectors: &[&Connector]) -> String {
    let mut digest = Sha256::new();
    for connector in connectors {
        let mut parts = connector.executor().identity();
        parts.push(config_digest(connector.config()));
        for part in parts {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
    }
    hex::encode(&digest.finalize()[..4])
}

/// The key of a connection without a name: both connectors, their configurations and their grants.
/// Another account, database or folder is another connection, with states of its own.
#[must_use]
pub fn default_connection(source: &Connector, destination: &Connector) -> String {
    let digest = digest(&[source, destination]);
    format!("{}-to-{}-{digest}", short(source.name()), short(destination.name()))
}

/// The key of a source in a cache that nobody named: what it is, its configuration and its grants.
/// Another account or database is another source.
#[must_use]
pub fn default_source_key(source: &Connector) -> String {
    format!("{}-{}", short(source.name()), digest(&[source]))
}
