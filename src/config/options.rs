//! How a connector is named, and what it is granted.

use std::path::{Path, PathBuf};

use super::limits::set_limit_pair;
use super::{ConfigError, parse_duration, parse_size};
use crate::protocol::Json;
use crate::sandbox::Policy;

/// What a connector's name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectorReference {
    /// A component file.
    Component(PathBuf),
    /// A program that speaks Airbyte's protocol.
    Process(PathBuf),
    /// The built-in destination that keeps nothing.
    Noop,
}

impl ConnectorReference {
    /// Reads a name. Relative paths are relative to `base`.
    ///
    /// # Errors
    /// [`ConfigError::Reference`], for names that nothing here can run.
    pub fn parse(text: &str, base: &Path) -> Result<Self, ConfigError> {
        let refused = |why| Err(ConfigError::Reference(text.to_owned(), why));
        if let Some(program) = text.strip_prefix("exec:") {
            return match program {
                "" => refused("exec: names no program"),
                path if path.contains('/') => Ok(Self::Process(base.join(path))),
                name => Ok(Self::Process(on_path(name).unwrap_or_else(|| base.join(name)))),
            };
        }
        if text.starts_with("docker:") {
            return refused("Docker images cannot be run yet");
        }
        if text.starts_with("pip:") {
            return refused(
                "Python packages cannot be installed yet; install it and use exec:PATH",
            );
        }
        let is_component = Path::new(text)
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("wasm") || e.eq_ignore_ascii_case("cwasm"));
        if is_component {
            return Ok(Self::Component(base.join(text)));
        }
        match text {
            "destination-dev-null" => Ok(Self::Noop),
            _ if text.contains('/') => {
                refused("it is neither a .wasm component nor named with exec:")
            }
            _ => refused("connectors cannot be looked up by name yet"),
        }
    }
}

/// The program a bare name means, as a shell would find it.
fn on_path(name: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where programs are")]
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Everything that can be said of a connector besides its name and configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectorOptions {
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
        if let Some(level) = &self.sandbox {
            policy.fence = level.parse()?;
        }
        policy.allow_missing_needs = self.allow_missing_needs;
        for pair in &self.limit {
            set_limit_pair(&mut policy.limits, pair)?;
        }
        if let Some(size) = &self.max_memory {
            policy.limits.memory_bytes = parse_size("max-memory", size)?;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let parse = |t| ConnectorReference::parse(t, Path::new("/p"));
        let component = |p| ConnectorReference::Component(PathBuf::from(p));
        assert_eq!(parse("x.wasm").unwrap(), component("/p/x.wasm"));
        assert_eq!(parse("/a/x.cwasm").unwrap(), component("/a/x.cwasm"));
        let process = ConnectorReference::Process(PathBuf::from("/p/bin/x"));
        assert_eq!(parse("exec:bin/x").unwrap(), process);
        assert!(
            matches!(parse("exec:sh").unwrap(), ConnectorReference::Process(p) if p.is_absolute())
        );
        assert_eq!(parse("destination-dev-null").unwrap(), ConnectorReference::Noop);
        for bad in ["exec:", "docker:x", "pip:x", "source-faker", "bin/x", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
