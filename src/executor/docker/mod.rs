//! Runs a connector's image in a container, through a Docker engine's API.

#[allow(dead_code, unused_imports, clippy::allow_attributes, reason = "the executor starts it")]
mod egress;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Described, Executor, ExecutorError};
use crate::component::Resolver;
use crate::sandbox::Policy;

/// How an image is run, besides what its policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerSettings {
    /// Its name, with a tag or a digest: `airbyte/source-faker:6.2.0`.
    pub image: String,
    /// On the host's network, where nothing that it reaches is enforced.
    pub host_network: bool,
    /// The directory of this machine that it knows as `/local`; none unless it is asked for.
    pub local: Option<PathBuf>,
    /// Whether it may write to its root file system, which real connectors do.
    pub writable_root: bool,
    /// Whether the image is pulled when the engine does not have it.
    pub pull: bool,
}

/// A connector in a container.
#[derive(Debug, Clone)]
pub struct DockerExecutor {
    settings: DockerSettings,
    policy: Policy,
}

impl DockerExecutor {
    /// Runs an image under a policy. Names are resolved by `resolver`. The engine is asked for
    /// nothing yet.
    ///
    /// # Errors
    /// [`ExecutorError`], where the policy grants what a container cannot have.
    pub fn new(
        settings: DockerSettings,
        policy: Policy,
        _resolver: Arc<dyn Resolver>,
    ) -> Result<Self, ExecutorError> {
        Ok(Self { settings, policy })
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    fn describe(&self) -> Described {
        Described {
            executor: "docker",
            reference: self.settings.image.clone(),
            digest: None,
            fence: None,
        }
    }

    fn policy(&self) -> Option<&Policy> {
        Some(&self.policy)
    }
}
