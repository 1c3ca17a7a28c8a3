//! Floor 3: the ways of running a connector, behind one trait. A component in this process, a
//! process that speaks Airbyte's protocol on stdio, or no connector at all.

mod audited;
mod component;
mod docker;
mod error;
mod guarded;
mod noop;
mod process;
mod python;
mod registered;
pub(crate) mod secrets;
mod session;
mod stdin;
pub mod stdio;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

pub(crate) use audited::{Audited, GIVEN};
pub use component::ComponentExecutor;
pub(crate) use docker::finish_removals;
pub use docker::{DockerError, DockerExecutor, DockerSettings};
pub use error::ExecutorError;
pub(crate) use guarded::guarded;
pub use noop::{NoopDestination, NoopMode};
pub use process::ProcessExecutor;
pub use python::{
    Interpreter, PythonEnvironment, PythonEnvironments, PythonError, PythonExecutor,
    PythonManifest, PythonSettings, connector_name, first_package,
};
pub use registered::RegisteredSpec;
pub use secrets::{GivenSecrets, SecretError, SecretExecutor, SecretSource, SystemSecrets, Vault};
pub use stdin::StdinSource;

use crate::component::Component;
use crate::protocol::{
    Catalog, DestinationInput, DiscoveredStream, Json, Observer, SourceOutput, Specification,
    StateMessage,
};
use crate::sandbox::Policy;
use crate::sandbox::secrets::Redactor;

/// What a running operation shares with whoever started it.
#[derive(Clone)]
pub struct Context {
    /// Who listens to logs and configuration changes.
    pub observer: Arc<dyn Observer>,
    /// When to stop.
    pub cancel: Cancel,
    /// Whether a program that answers, and then answers again, tells of an error or ends with a code
    /// of failure, has failed. Else the first answer counts, as platforms take it.
    pub strict: bool,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl Context {
    /// A context that is never cancelled.
    #[must_use]
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self { observer, cancel: Cancel::new().1, strict: false }
    }

    /// The same, where what follows an answer counts.
    #[must_use]
    pub fn strictly(self) -> Self {
        Self { strict: true, ..self }
    }
}

/// Says stop to everything that holds the other half.
#[derive(Debug, Clone)]
pub struct Canceller(watch::Sender<bool>);

impl Canceller {
    /// Says stop, once and for all.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

/// Hears the stop.
#[derive(Debug, Clone)]
pub struct Cancel {
    heard: watch::Receiver<bool>,
    // Keeps the channel open where nobody will ever say stop.
    _sender: watch::Sender<bool>,
}

impl Cancel {
    /// Both halves.
    #[must_use]
    pub fn new() -> (Canceller, Self) {
        let (sender, heard) = watch::channel(false);
        (Canceller(sender.clone()), Self { heard, _sender: sender })
    }

    /// Whether stop was said.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.heard.borrow()
    }

    /// Waits until stop is said.
    pub async fn cancelled(&self) {
        let mut heard = self.heard.clone();
        // The sender lives as long as we do, so this ends only when stop was said.
        let _ = heard.wait_for(|stop| *stop).await;
    }
}

/// How a connector is run, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// `component`, `process`, `noop`, or `none` where nothing runs.
    pub executor: &'static str,
    /// What was named: a path.
    pub reference: String,
    /// The component's digest, where there is one.
    pub digest: Option<String>,
    /// The fence of a process, and what it does not do: `landlock-7, seccomp, limits`, or `off`.
    /// None for what is no process.
    pub fence: Option<String>,
}

/// A connector that can be run. Each call is an operation of its own: nothing is kept between two. An
/// operation that a way of running does not have is refused.
#[async_trait]
pub trait Executor: fmt::Debug + Send + Sync {
    /// How it is run.
    fn describe(&self) -> Described;

    /// What makes it this connector and no other, besides its configuration: where it is, and what
    /// it was granted. The same connector named in another way has the same identity.
    fn identity(&self) -> Vec<String> {
        vec![self.describe().reference]
    }

    /// The component that it runs, and its policy, where a worker could run it instead.
    fn component(&self) -> Option<(&Component, &Policy)> {
        None
    }

    /// What it is granted, and how much; none where nothing can be.
    fn policy(&self) -> Option<&Policy> {
        None
    }

    /// Whether its policy grants what it imports.
    ///
    /// # Errors
    /// The refusal, as the operations but `spec` would give it.
    fn may_import(&self) -> Result<(), ExecutorError> {
        Ok(())
    }

    /// What hides the secrets it knows in what is printed. Hides nothing by default.
    fn redactor(&self) -> Arc<Redactor> {
        Arc::default()
    }

    /// The values of the secrets that a configuration and the policy's variables refer to, by
    /// reference (`env:NAME`): for whoever runs the connector elsewhere.
    async fn secrets(
        &self,
        _context: &Context,
        _config: &Json,
    ) -> Result<HashMap<String, String>, ExecutorError> {
        Ok(HashMap::new())
    }

    /// A configuration as the connector is given it: references to secrets filled in.
    async fn filled_in(&self, _context: &Context, config: &Json) -> Result<Json, ExecutorError> {
        Ok(config.clone())
    }

    /// Asks what it is. For checking a configuration; [`crate::Source::spec`] gives one that may be
    /// shown.
    async fn spec(&self, _context: &Context) -> Result<Specification, ExecutorError> {
        Err(refused(self.describe(), "spec"))
    }

    /// Lets it try a configuration. A failure of kind `config` is its answer "no".
    async fn check(&self, _context: &Context, _config: &Json) -> Result<(), ExecutorError> {
        Err(refused(self.describe(), "check"))
    }

    /// Lets a source list its streams.
    async fn discover(
        &self,
        _context: &Context,
        _config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        Err(refused(self.describe(), "discover"))
    }

    /// Lets a source read. Returns when it ended well: the caller knows which streams completed.
    async fn read(
        &self,
        _context: &Context,
        _config: &Json,
        _catalog: &Catalog,
        _states: &[StateMessage],
        _output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        Err(refused(self.describe(), "read"))
    }

    /// Lets a destination write until its input ends.
    async fn write(
        &self,
        _context: &Context,
        _config: &Json,
        _catalog: &Catalog,
        _input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        Err(refused(self.describe(), "write"))
    }
}

/// What is said of an operation that is not there.
fn refused(described: Described, operation: &str) -> ExecutorError {
    ExecutorError::Unsupported(format!("{} has no {operation}", described.reference))
}

/// The identity of something at a path that was granted something.
fn identity(path: &Path, policy: &Policy) -> Vec<String> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut identity = vec![path.display().to_string()];
    identity.extend(policy.grants());
    identity
}
