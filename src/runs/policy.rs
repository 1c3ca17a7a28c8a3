//! A policy as it is shown and kept: what is granted, and every limit. Names of environment
//! variables, never their values.

use serde::{Deserialize, Serialize};

use crate::config::limits_as_text;
use crate::sandbox::{Access, Limits, Policy};

/// Everything one connector is granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectivePolicy {
    /// `HOST:PORT`, each.
    pub network: Vec<String>,
    /// Files of certificate authorities.
    pub tls_roots: Vec<String>,
    /// Whether a container is on the host's network: nothing that it reaches is enforced.
    #[serde(default)]
    pub host_network: bool,
    /// The directories.
    pub directories: Vec<PolicyDirectory>,
    /// The names of the variables.
    pub environment: Vec<String>,
    /// `require`, `best-effort` or `off`.
    pub sandbox: String,
    /// Whether it is run although it needs more.
    pub allow_missing_needs: bool,
    /// Every limit, in the order of the documentation.
    pub limits: Vec<LimitValue>,
}

/// A granted directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDirectory {
    /// On the host.
    pub host: String,
    /// In the guest.
    pub guest: String,
    /// `read-only` or `read-write`.
    pub access: String,
    /// Whether it was there.
    pub exists: bool,
    /// The grant, as decisions name it.
    pub rule: String,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitValue {
    /// Its name.
    pub name: String,
    /// Its value, as it is written.
    pub value: String,
    /// Whether that is another than the default.
    pub set: bool,
}

impl From<&Policy> for EffectivePolicy {
    fn from(policy: &Policy) -> Self {
        let defaults = limits_as_text(&Limits::default());
        let limits = limits_as_text(&policy.limits).into_iter().zip(defaults);
        Self {
            network: policy.network.patterns.iter().map(|p| p.text().to_owned()).collect(),
            tls_roots: policy.network.tls_roots.iter().map(|f| f.display().to_string()).collect(),
            host_network: policy.host_network,
            directories: policy
                .directories
                .iter()
                .map(|directory| PolicyDirectory {
                    host: directory.host.display().to_string(),
                    guest: directory.guest.clone(),
                    access: match directory.access {
                        Access::Read => "read-only".to_owned(),
                        Access::ReadWrite => "read-write".to_owned(),
                    },
                    exists: directory.host.is_dir(),
                    rule: directory.rule(),
                })
                .chain(policy.local.iter().map(|local| PolicyDirectory {
                    host: local.display().to_string(),
                    guest: "/local".to_owned(),
                    access: "read-write".to_owned(),
                    exists: local.is_dir(),
                    rule: format!("docker-local {}", local.display()),
                }))
                .collect(),
            environment: policy.environment.iter().map(|(name, _)| name.clone()).collect(),
            sandbox: policy.fence.word().to_owned(),
            allow_missing_needs: policy.allow_missing_needs,
            limits: limits
                .map(|((name, value), (_, default))| LimitValue {
                    name: name.to_owned(),
                    set: value != default,
                    value,
                })
                .collect(),
        }
    }
}

impl EffectivePolicy {
    /// A limit's value.
    #[must_use]
    pub fn limit(&self, name: &str) -> Option<&str> {
        self.limits.iter().find(|l| l.name == name).map(|l| l.value.as_str())
    }
}
