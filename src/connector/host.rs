//! Where connectors come from: a name, options, a configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::{Connector, ConnectorError, Destination, Source};
use crate::component::{CompileCache, Compiler, ComponentRuntime, Interruption, Kind, Resolver};
use crate::config::{ConnectorOptions, ConnectorReference};
use crate::executor::{
    ComponentExecutor, Executor, ExecutorError, NoopDestination, ProcessExecutor, SecretExecutor,
    SecretSource, SystemSecrets, Vault,
};
use crate::protocol::{Decision, Failure, Json, LogLevel, Observer};
use crate::sandbox::Fence;

/// Hears nothing and remembers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

#[async_trait]
impl Observer for Silent {
    fn log(&self, _: LogLevel, _: &str) {}

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, _: &Decision) {}
}

/// Makes connectors. Holds the folder that relative paths begin in and the cache of compiled
/// components.
#[derive(Debug, Clone)]
pub struct Host {
    base: PathBuf,
    runtime: ComponentRuntime,
    secrets: Option<Arc<dyn SecretSource>>,
    /// What its connectors were given, to be hidden in what any of them says.
    vault: Arc<Vault>,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// With the user's cache of compiled components and the current folder.
    #[must_use]
    pub fn new() -> Self {
        let base = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let runtime = ComponentRuntime::new(CompileCache::of_user());
        Self { base, runtime, secrets: None, vault: Arc::default() }
    }

    /// The same with another cache, or none.
    #[must_use]
    pub fn with_cache(mut self, cache: Option<CompileCache>) -> Self {
        self.runtime = self.runtime.with_cache(cache);
        self
    }

    /// The same with another resolver: what turns the names into addresses that a component asks
    /// for. What it answers is judged as any answer is.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.runtime = self.runtime.with_resolver(resolver);
        self
    }

    /// The same with another way of compiling components than the `lockgate` beside this program.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.runtime = self.runtime.with_compiler(compiler);
        self
    }

    /// The same for syncs in a worker only ([`WriteOptions::worker`]): what it loads is compiled for
    /// a worker at once, and cannot run here.
    ///
    /// [`WriteOptions::worker`]: crate::WriteOptions::worker
    #[must_use]
    pub fn for_workers(mut self) -> Self {
        self.runtime = self.runtime.with_interruption(Interruption::Off);
        self
    }

    /// The same with another folder for relative paths.
    #[must_use]
    pub fn in_folder(mut self, base: impl Into<PathBuf>) -> Self {
        self.base = base.into();
        self
    }

    /// The same with another place that secrets come from than the environment, files and commands
    /// of this machine.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Arc<dyn SecretSource>) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// Where relative paths begin.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.base
    }

    /// What loads components.
    #[must_use]
    pub fn runtime(&self) -> &ComponentRuntime {
        &self.runtime
    }

    /// A connector by its name: `path/to/x.wasm`, `exec:PATH` or `destination-dev-null`.
    ///
    /// # Errors
    /// [`ConnectorError`], when there is no such connector or an option is malformed.
    pub fn get_connector(
        &self,
        name: &str,
        options: &ConnectorOptions,
        config: Json,
    ) -> Result<Connector, ConnectorError> {
        self.connector_as(name, options, config, None)
    }

    /// A connector that must be of a kind, where that can be known before it runs.
    fn connector_as(
        &self,
        name: &str,
        options: &ConnectorOptions,
        config: Json,
        wanted: Option<Kind>,
    ) -> Result<Connector, ConnectorError> {
        let failed = |error: ExecutorError| ConnectorError::Run {
            name: name.to_owned(),
            error: Box::new(error),
        };
        let policy = options.policy(&self.base, &config)?;
        let environment = policy.environment.clone();
        let secrets = self
            .secrets
            .clone()
            .unwrap_or_else(|| Arc::new(SystemSecrets::new(&self.base, policy.limits.secret_time)));
        let executor: Arc<dyn Executor> = match ConnectorReference::parse(name, &self.base)? {
            ConnectorReference::Component(path) => {
                self.runtime.may_grant(&policy, false).map_err(|e| failed(e.into()))?;
                let component = self
                    .runtime
                    .load_within(&path, &policy.limits)
                    .map_err(|e| failed(e.into()))?;
                let (kind, _) = component.kind().map_err(|e| failed(e.into()))?;
                component.must_be(wanted.unwrap_or(kind)).map_err(|e| failed(e.into()))?;
                let component = component.granted(&policy).map_err(|e| failed(e.into()))?;
                Arc::new(ComponentExecutor::new(component, policy))
            }
            ConnectorReference::Process(path) => {
                // Without a fence, grants mean nothing.
                if policy.fence != Fence::Off {
                    self.runtime.may_grant(&policy, true).map_err(|e| failed(e.into()))?;
                }
                let process = ProcessExecutor::new(path, policy).map_err(failed)?;
                Arc::new(process.in_project(self.base.clone()))
            }
            ConnectorReference::Noop if wanted == Some(Kind::Source) => {
                let what = format!("{name} is a destination, not a source");
                return Err(failed(ExecutorError::Unsupported(what)));
            }
            ConnectorReference::Noop => Arc::new(NoopDestination),
        };
        let executor = SecretExecutor::new(executor, secrets, environment, self.vault.clone());
        Ok(Connector::new(name, Arc::new(executor), config, Arc::new(Silent)))
    }

    /// A source by its name.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub fn get_source(
        &self,
        name: &str,
        options: &ConnectorOptions,
        config: Json,
    ) -> Result<Source, ConnectorError> {
        self.connector_as(name, options, config, Some(Kind::Source)).map(Source)
    }

    /// A destination by its name.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub fn get_destination(
        &self,
        name: &str,
        options: &ConnectorOptions,
        config: Json,
    ) -> Result<Destination, ConnectorError> {
        self.connector_as(name, options, config, Some(Kind::Destination)).map(Destination)
    }

    /// The destination that keeps nothing. Needs no file, no network and no engine.
    #[must_use]
    pub fn get_noop_destination() -> Destination {
        let executor = Arc::new(NoopDestination);
        let config = Json::empty_object();
        Destination(Connector::new("destination-dev-null", executor, config, Arc::new(Silent)))
    }
}
