//! One operation of a connector that speaks Airbyte's protocol on stdio, wherever it runs: what it is
//! told, what it answers, and how its end is judged. How it is started and made to end is behind
//! [`Launch`] and [`Running`].

mod answer;
mod feed;
mod read;
mod write;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use super::guarded::guarded;
use super::{Context, ExecutorError};
use crate::protocol::{
    Catalog, DestinationInput, DiscoveredStream, Json, SourceOutput, Specification, StateMessage,
};
use crate::sandbox::{Limits, LogBudget};

/// What a connector is started with: its words, and the files that they name.
#[derive(Debug)]
pub(super) struct Call {
    /// `spec`, `check`, `discover`, `read` or `write`.
    pub(super) operation: &'static str,
    /// Each is given as `--NAME FILE`. They hold secrets: nobody else may read them.
    pub(super) files: Vec<CallFile>,
    /// Whether it reads its stdin.
    pub(super) with_stdin: bool,
}

/// One of its files.
#[derive(Debug)]
pub(super) struct CallFile {
    /// `config`, `catalog` or `state`.
    pub(super) name: &'static str,
    /// Its JSON.
    pub(super) text: String,
}

impl Call {
    fn new(operation: &'static str) -> Self {
        Self { operation, files: Vec::new(), with_stdin: false }
    }

    fn file(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.files.push(CallFile { name, text: text.into() });
        self
    }
}

/// A way of starting a connector.
#[async_trait]
pub(super) trait Launch: Sync {
    /// How much it may use.
    fn limits(&self) -> &Limits;

    /// Starts it.
    async fn start(&self, call: Call, context: &Context) -> Result<Started, ExecutorError>;
}

/// A connector that was started.
pub(super) struct Started {
    pub(super) connector: Box<dyn Running>,
    /// There where the call has it.
    pub(super) stdin: Option<Box<dyn Stdin>>,
    pub(super) stdout: Stdout,
}

/// What it says. Ends when it has ended, whoever else holds it open.
pub(super) type Stdout = Box<dyn AsyncRead + Send + Unpin>;

/// What it is told.
#[async_trait]
pub(super) trait Stdin: AsyncWrite + Send + Unpin {
    /// Ends an input that is whole. One that is dropped without is not: its connector is killed
    /// before it could take it for one.
    async fn finish(self: Box<Self>) -> io::Result<Unread>;
}

/// Says whether something of an input that was finished has never been read.
pub(super) type Unread = Box<dyn Fn() -> bool + Send>;

/// A connector that runs. Killed when it is dropped.
#[async_trait]
pub(super) trait Running: Send {
    /// As errors name it.
    fn program(&self) -> &str;

    /// The last lines of its stderr.
    fn stderr(&self) -> String;

    /// Waits for its end, for at most the stop time; then it is made to end, and [`Running::ended`]
    /// says so.
    async fn wait(&mut self) -> Result<(), ExecutorError>;

    /// Asks it to end, and makes it after the stop time.
    async fn stop(&mut self) -> Result<(), ExecutorError>;

    /// As [`Running::stop`], for one that should have ended by itself since something happened.
    async fn stop_overdue(&mut self, since: &'static str) -> Result<(), ExecutorError>;

    /// The error for an end that was not well; none for exit code 0. `early`: it left input unread.
    fn ended(&self, early: bool) -> Option<ExecutorError>;
}

/// The operations of a connector that is started in some way.
pub(super) struct Session<'a, L>(pub(super) &'a L);

impl<L: Launch> Session<'_, L> {
    /// The context of one operation, with a budget over all that the connector says in it.
    fn limited(&self, context: &Context) -> Context {
        let observer = LogBudget::new(context.observer.clone(), self.0.limits());
        Context { observer, ..context.clone() }
    }

    pub(super) async fn spec(&self, context: &Context) -> Result<Specification, ExecutorError> {
        let context = self.limited(context);
        guarded("spec", answer::spec(self.0, &context)).await
    }

    pub(super) async fn check(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<(), ExecutorError> {
        let context = self.limited(context);
        guarded("check", answer::check(self.0, &context, config)).await
    }

    pub(super) async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        let context = self.limited(context);
        guarded("discover", answer::discover(self.0, &context, config)).await
    }

    pub(super) async fn read(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let context = self.limited(context);
        let reading = read::read(self.0, &context, config, catalog, states, output);
        guarded("read", within(self.0.limits().sync_time, "read", reading)).await
    }

    pub(super) async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        let context = self.limited(context);
        let writing = write::write(self.0, &context, config, catalog, input);
        guarded("write", within(self.0.limits().sync_time, "write", writing)).await
    }
}

/// Ends an operation at its deadline; dropping it kills the connector.
async fn within<T>(
    limit: Option<Duration>,
    operation: &'static str,
    running: impl Future<Output = Result<T, ExecutorError>>,
) -> Result<T, ExecutorError> {
    match limit {
        None => running.await,
        Some(limit) => tokio::time::timeout(limit, running)
            .await
            .unwrap_or(Err(ExecutorError::Timeout { operation, limit })),
    }
}
