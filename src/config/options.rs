//! What can be said of a connector besides its name: how it is run, and what it is granted.

use std::path::{Path, PathBuf};

use super::limits::set_limit_pair;
use super::{ConfigError, DockerImage, LocalExecutable, UsePython, parse_duration, parse_size};
use crate::protocol::Json;
use crate::sandbox::Policy;

/// Everything that can be said of a connector besides its name and configuration. The default says
/// nothing: the name decides how it is run, and it is granted nothing.
///
/// How it is run is said by at most one of `component`, `local_executable`, `docker_image`,
/// `pip_url` with or without `use_python`, and `no_executor`; `docs/connectors.md` has a table of what
/// goes with what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectorOptions {
    /// Its version: an image's tag, or the package's. `latest` is whichever is the newest.
    pub version: Option<String>,
    /// The Python that runs it, as a package; [`UsePython::False`] runs it with Docker.
    pub use_python: Option<UsePython>,
    /// What pip installs: a requirement, a URL, a folder, with pip's own options.
    pub pip_url: Option<String>,
    /// A program of this machine.
    pub local_executable: Option<LocalExecutable>,
    /// An image.
    pub docker_image: Option<DockerImage>,
    /// A component file, relative to the project's folder.
    pub component: Option<PathBuf>,
    /// Runs nothing: its specification comes from the registry, and there is no more to it.
    pub no_executor: bool,
    /// A container on the host's network, where nothing that it reaches is enforced.
    pub use_host_network: bool,
    /// A directory of this machine that a container knows as `/local`.
    pub docker_local: Option<PathBuf>,
    /// Whether a container may write to its root file system.
    pub docker_writable_root: bool,
    /// Whether a package is installed, and an image pulled, where it is not there yet; none: yes.
    pub install_if_missing: Option<bool>,
    /// The folder that Python environments are made in, relative to the project's folder.
    pub install_root: Option<PathBuf>,
    /// The registry: a URL or a file; none: Airbyte's.
    pub registry: Option<String>,
    /// Whether the registry is not asked over the network.
    pub offline: bool,
    /// `HOST_DIR::GUEST_DIR[:ro|rw]`, or `DIR[:ro|rw]` under its own path; each.
    pub allow_dir: Vec<String>,
    /// `NAME=VALUE`, each.
    pub env: Vec<String>,
    /// `HOST:PORT`, each.
    pub allow_net: Vec<String>,
    /// Whether `*` may be a host.
    pub allow_any_network: bool,
    /// PEM files of certificate authorities trusted besides the platform's.
    pub tls_root: Vec<PathBuf>,
    /// `require`, `best-effort` or `off`; for processes.
    pub sandbox: Option<String>,
    /// `NAME=VALUE`, each.
    pub limit: Vec<String>,
    /// Whether it is run although it needs more than it is granted.
    pub allow_missing_needs: bool,
    /// A size.
    pub max_memory: Option<String>,
    /// A duration, for every operation.
    pub timeout: Option<String>,
}

impl ConnectorOptions {
    /// The policy these options say. Relative host directories are relative to `base`; `${path}` in
    /// a network grant is a member of `config`, which is what the operator wrote: members that a
    /// connector changed open nothing.
    ///
    /// # Errors
    /// [`ConfigError`], naming the option.
    pub fn policy(&self, base: &Path, config: &Json) -> Result<Policy, ConfigError> {
        let mut policy = Policy::default();
        for grant in &self.allow_dir {
            policy.allow_dir_in(base, grant)?;
        }
        for grant in &self.env {
            policy.allow_env(grant)?;
        }
        let config = match self.allow_net.iter().any(|grant| grant.contains("${")) {
            true => config.to_value().unwrap_or_default(),
            false => serde_json::Value::Null,
        };
        for grant in &self.allow_net {
            policy.allow_net(grant, &config, self.allow_any_network)?;
        }
        policy.network.tls_roots = self.tls_root.iter().map(|file| base.join(file)).collect();
        policy.host_network = self.use_host_network;
        policy.local = self.docker_local.as_ref().map(|local| base.join(local));
        if let Some(level) = &self.sandbox {
            policy.fence = level.parse()?;
        }
        policy.allow_missing_needs = self.allow_missing_needs;
        if let Some(size) = &self.max_memory {
            policy.limits.memory_bytes = parse_size("max-memory", size)?;
        }
        for pair in &self.limit {
            set_limit_pair(&mut policy.limits, pair)?;
        }
        // A component's memory has 32-bit addresses.
        policy.limits.memory_bytes = policy.limits.memory_bytes.min(4 << 30);
        if let Some(text) = &self.timeout {
            let limit = parse_duration("timeout", text)?;
            policy.limits.spec_time = limit;
            policy.limits.check_time = limit;
            policy.limits.sync_time = Some(limit);
            policy.limits.process_start = std::time::Duration::ZERO;
        }
        Ok(policy)
    }

    /// The same for a container: `max-memory` is its memory, where no limit says another.
    ///
    /// # Errors
    /// [`ConfigError`], naming the option.
    pub fn container_policy(&self, base: &Path, config: &Json) -> Result<Policy, ConfigError> {
        let mut policy = self.policy(base, config)?;
        let named = |pair: &String| pair.trim_start().starts_with("container-memory");
        if let Some(size) = self.max_memory.as_ref().filter(|_| !self.limit.iter().any(named)) {
            policy.limits.container_memory = parse_size("max-memory", size)? as u64;
        }
        Ok(policy)
    }
}
