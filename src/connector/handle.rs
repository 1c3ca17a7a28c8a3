//! Sources and destinations as values.

use std::sync::Arc;

use super::{ConnectorError, validate_config};
use crate::executor::secrets::{hide_specification, hide_stream};
use crate::executor::{Context, Described, Executor, ExecutorError};
use crate::protocol::{DiscoveredStream, Json, Observer, Specification};

/// A connector with its configuration, not yet known to be a source or a destination.
#[derive(Clone)]
pub struct Connector {
    name: String,
    executor: Arc<dyn Executor>,
    config: Json,
    observer: Arc<dyn Observer>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("name", &self.name)
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector named `name` in messages, run by `executor`.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        executor: Arc<dyn Executor>,
        config: Json,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self { name: name.into(), executor, config, observer }
    }

    /// As it was named.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is run.
    #[must_use]
    pub fn describe(&self) -> Described {
        self.executor.describe()
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Json {
        &self.config
    }

    /// The same connector with another configuration.
    #[must_use]
    pub fn with_config(mut self, config: Json) -> Self {
        self.config = config;
        self
    }

    /// The same connector, heard by someone else.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// How it is run, to run it.
    #[must_use]
    pub fn executor(&self) -> Arc<dyn Executor> {
        self.executor.clone()
    }

    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        self.observer.clone()
    }

    fn context(&self) -> Context {
        Context::new(self.observer.clone())
    }

    fn failed(&self, error: ExecutorError) -> ConnectorError {
        ConnectorError::Run { name: self.name.clone(), error: Box::new(error) }
    }

    /// Asks what it is, for whoever shows it: what is known as a secret is hidden.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn spec(&self) -> Result<Specification, ConnectorError> {
        Ok(self.shown(self.whole_spec().await?))
    }

    /// Asks what it is, for whoever checks a configuration against it.
    pub(crate) async fn whole_spec(&self) -> Result<Specification, ConnectorError> {
        self.executor.spec(&self.context()).await.map_err(|e| self.failed(e))
    }

    /// A specification with what is known as a secret hidden.
    pub(crate) fn shown(&self, spec: Specification) -> Specification {
        hide_specification(&self.executor.redactor(), spec)
    }

    /// Checks its configuration, secrets filled in, against its specification.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub(crate) async fn validate(&self, spec: &Specification) -> Result<(), ConnectorError> {
        let filled = self.executor.filled_in(&self.context(), &self.config).await;
        let filled = filled.map_err(|e| self.failed(e))?;
        validate_config(&self.name, spec, &filled).map_err(|error| {
            // A member's name may be a secret too.
            let redactor = self.executor.redactor();
            let hide = |text: String| redactor.redact(&text).into_owned();
            match error {
                ConnectorError::Invalid { name, faults } => {
                    ConnectorError::Invalid { name, faults: faults.into_iter().map(hide).collect() }
                }
                ConnectorError::Schema { name, reason } => {
                    ConnectorError::Schema { name, reason: hide(reason) }
                }
                other => other,
            }
        })
    }

    /// Checks its configuration against its specification, then lets it try it.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn check(&self) -> Result<(), ConnectorError> {
        self.validate(&self.whole_spec().await?).await?;
        self.try_config().await
    }

    /// Lets it try its configuration, which is known to fit its specification.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn try_config(&self) -> Result<(), ConnectorError> {
        self.executor.check(&self.context(), &self.config).await.map_err(|e| self.failed(e))
    }

    /// Lets it list its streams, for whoever shows them: what is known as a secret is hidden.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn discover(&self) -> Result<Vec<DiscoveredStream>, ConnectorError> {
        let streams = self.whole_discover().await?;
        let redactor = self.executor.redactor();
        Ok(streams.into_iter().map(|s| hide_stream(&redactor, s)).collect())
    }

    /// Lets it list its streams, for whoever moves them.
    pub(crate) async fn whole_discover(&self) -> Result<Vec<DiscoveredStream>, ConnectorError> {
        self.executor.discover(&self.context(), &self.config).await.map_err(|e| self.failed(e))
    }
}

/// A connector that reads.
#[derive(Debug, Clone)]
pub struct Source(pub(crate) Connector);

/// A connector that writes. `write` is in [`crate::sync`].
#[derive(Debug, Clone)]
pub struct Destination(pub(crate) Connector);

impl Source {
    /// The same connector, heard by someone else.
    #[must_use]
    pub fn heard_by(self, observer: Arc<dyn Observer>) -> Self {
        Self(self.0.with_observer(observer))
    }

    /// The connector.
    #[must_use]
    pub fn connector(&self) -> &Connector {
        &self.0
    }

    /// Asks what it is.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn spec(&self) -> Result<Specification, ConnectorError> {
        self.0.spec().await
    }

    /// Lets it try its configuration.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn check(&self) -> Result<(), ConnectorError> {
        self.0.check().await
    }

    /// Lists its streams.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn discover(&self) -> Result<Vec<DiscoveredStream>, ConnectorError> {
        self.0.discover().await
    }
}

impl Destination {
    /// The same connector, heard by someone else.
    #[must_use]
    pub fn heard_by(self, observer: Arc<dyn Observer>) -> Self {
        Self(self.0.with_observer(observer))
    }

    /// The connector.
    #[must_use]
    pub fn connector(&self) -> &Connector {
        &self.0
    }

    /// Asks what it is.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn spec(&self) -> Result<Specification, ConnectorError> {
        self.0.spec().await
    }

    /// Lets it try its configuration.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn check(&self) -> Result<(), ConnectorError> {
        self.0.check().await
    }
}
