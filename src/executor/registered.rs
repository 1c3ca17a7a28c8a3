//! Runs nothing: the registry has the specification, and there is no more to it.

use async_trait::async_trait;

use super::{Context, Described, Executor, ExecutorError};
use crate::fault::Fault;
use crate::protocol::{Failure, Specification};
use crate::registry::Registry;

/// A connector that is known and not run.
#[derive(Debug, Clone)]
pub struct RegisteredSpec {
    registry: Registry,
    name: String,
    version: Option<String>,
}

impl RegisteredSpec {
    /// What a registry says of a connector; of its newest version, where none is given.
    #[must_use]
    pub fn new(registry: Registry, name: String, version: Option<String>) -> Self {
        Self { registry, name, version }
    }
}

#[async_trait]
impl Executor for RegisteredSpec {
    fn describe(&self) -> Described {
        Described { executor: "none", reference: self.name.clone(), digest: None, fence: None }
    }

    async fn spec(&self, _: &Context) -> Result<Specification, ExecutorError> {
        let Self { registry, name, version } = self.clone();
        let spec = tokio::task::spawn_blocking(move || registry.spec(&name, version.as_deref()));
        let spec = spec.await.map_err(|e| ExecutorError::Unsupported(e.to_string()))?;
        let spec = spec.map_err(|e| Failure::config(format!("{e} ({})", e.code())))?;
        Specification::from_airbyte(spec.get())
            .map_err(|e| ExecutorError::Protocol(format!("the registry's specification: {e}")))
    }
}
