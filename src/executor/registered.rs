//! A connector that is only known: its specification is the registry's, and nothing of it runs.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Context, Described, Executor, ExecutorError};
use crate::protocol::{
    Catalog, DestinationInput, DiscoveredStream, Json, LogLevel, SourceOutput, Specification,
    StateMessage,
};
use crate::registry::{Registry, RegistryError};

/// The specification of a connector, from a registry.
#[derive(Debug, Clone)]
pub struct RegisteredSpec {
    registry: Registry,
    name: String,
    version: Option<String>,
}

impl RegisteredSpec {
    /// Of a connector by its name, and of a version or the latest. Asks for nothing yet.
    #[must_use]
    pub fn new(registry: Registry, name: String, version: Option<String>) -> Self {
        Self { registry, name, version }
    }

    fn refused<T>(&self, operation: &'static str) -> Result<T, ExecutorError> {
        Err(ExecutorError::NoExecutor { name: self.name.clone(), operation })
    }
}

#[async_trait]
impl Executor for RegisteredSpec {
    fn describe(&self) -> Described {
        let reference = match &self.version {
            Some(version) => format!("{}:{version}", self.name),
            None => self.name.clone(),
        };
        Described { executor: "none", reference, digest: None, fence: None }
    }

    async fn spec(&self, context: &Context) -> Result<Specification, ExecutorError> {
        let (registry, name) = (self.registry.clone(), self.name.clone());
        let version = self.version.clone();
        let asked = tokio::task::spawn_blocking(move || registry.spec(&name, version.as_deref()));
        let spec = asked
            .await
            .map_err(|e| ExecutorError::Panic { operation: "spec", reason: e.to_string() })?;
        for warning in self.registry.take_warnings() {
            context.observer.log(LogLevel::Warn, &warning);
        }
        let malformed = |reason: String| RegistryError::Malformed {
            place: format!("entry {}", self.name),
            reason,
        };
        Ok(Specification::from_airbyte(spec?.get()).map_err(malformed)?)
    }

    async fn check(&self, _: &Context, _: &Json) -> Result<(), ExecutorError> {
        self.refused("check")
    }

    async fn discover(
        &self,
        _: &Context,
        _: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        self.refused("discover")
    }

    async fn read(
        &self,
        _: &Context,
        _: &Json,
        _: &Catalog,
        _: &[StateMessage],
        _: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        self.refused("read")
    }

    async fn write(
        &self,
        _: &Context,
        _: &Json,
        _: &Catalog,
        _: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        self.refused("write")
    }
}
