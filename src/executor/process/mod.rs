//! Runs a program that speaks Airbyte's protocol on stdin and stdout.

mod answer;
mod child;
mod feed;
mod fencing;
mod folder;
mod guard;
mod pipe;
mod private;
mod reach;
mod read;
mod write;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use self::child::Connector;
use self::folder::RunFolder;
use self::pipe::Stdout;
use super::guarded::guarded;
use super::{Context, Described, Executor, ExecutorError};
use crate::protocol::{
    Catalog, DestinationInput, DiscoveredStream, Json, SourceOutput, Specification, StateMessage,
};
use crate::sandbox::fence::KernelSupport;
use crate::sandbox::{Fence, LogBudget, Policy};

/// A program on this machine.
#[derive(Debug, Clone)]
pub struct ProcessExecutor {
    program: PathBuf,
    policy: Policy,
    kernel: KernelSupport,
    base: PathBuf,
}

impl ProcessExecutor {
    /// Runs `program` behind the fence that `policy` says, with its grants and limits. Directories
    /// are granted under their own paths: a process has no other names for them.
    ///
    /// # Errors
    /// [`ExecutorError::Start`] when there is no such program, [`ExecutorError::Grant`] for a
    /// directory under another name.
    pub fn new(program: PathBuf, policy: Policy) -> Result<Self, ExecutorError> {
        let absent = |reason: String| ExecutorError::Start {
            program: program.display().to_string(),
            reason,
        };
        let facts = std::fs::metadata(&program).map_err(|e| absent(e.to_string()))?;
        if !facts.is_file() {
            return Err(absent("it is not a file".into()));
        }
        // The working directory may change between now and the start.
        let program = std::path::absolute(&program).map_err(|e| absent(e.to_string()))?;
        fencing::check_directories(&policy)?;
        let base = std::env::current_dir().unwrap_or_default();
        Ok(Self { program, policy, kernel: KernelSupport::here(), base })
    }

    /// The same for a project whose folder is this one or above it, instead of the current one: what
    /// the host keeps there is hidden from the process, also in a directory that it is granted.
    #[must_use]
    pub fn in_project(mut self, base: PathBuf) -> Self {
        self.base = base;
        self
    }

    /// The same on a kernel that is said to have so much of a fence.
    #[must_use]
    pub fn on_kernel(mut self, kernel: KernelSupport) -> Self {
        self.kernel = kernel;
        self
    }

    /// What the fence comes to, in words.
    fn fence(&self) -> String {
        fencing::words(&self.policy, self.kernel)
    }

    /// An error that the fence may be the reason of, with a word about it.
    fn explained(&self, error: ExecutorError) -> ExecutorError {
        if self.policy.fence == Fence::Off || !fence_may_be_why(&error) {
            return error;
        }
        ExecutorError::Fenced { error: Box::new(error), fence: self.fence() }
    }

    /// The context of one operation, with a budget over all the process says in it.
    fn limited(&self, context: &Context) -> Context {
        let observer = LogBudget::new(context.observer.clone(), &self.policy.limits);
        Context { observer, cancel: context.cancel.clone() }
    }

    fn folder() -> Result<RunFolder, ExecutorError> {
        RunFolder::create().map_err(|e| ExecutorError::Io {
            what: "making a private folder for the connector's files",
            reason: e.to_string(),
        })
    }

    fn file(folder: &RunFolder, name: &str, text: &str) -> Result<OsString, ExecutorError> {
        folder.write(name, text).map(OsString::from).map_err(|e| ExecutorError::Io {
            what: "writing a file for the connector",
            reason: e.to_string(),
        })
    }

    fn start(
        &self,
        arguments: &[OsString],
        with_stdin: bool,
        folder: RunFolder,
        context: &Context,
    ) -> Result<(Connector, Option<tokio::process::ChildStdin>, Stdout), ExecutorError> {
        let observer = context.observer.as_ref();
        let fence = fencing::prepare(self, &folder, observer)?;
        Connector::start(
            &self.program,
            arguments,
            with_stdin,
            &self.policy,
            fence,
            Arc::new(folder),
            context.observer.clone(),
        )
    }
}

#[async_trait]
impl Executor for ProcessExecutor {
    fn describe(&self) -> Described {
        Described {
            executor: "process",
            reference: self.program.display().to_string(),
            digest: None,
            fence: Some(self.fence()),
        }
    }

    fn identity(&self) -> Vec<String> {
        crate::executor::identity(&self.program, &self.policy)
    }

    fn policy(&self) -> Option<&Policy> {
        Some(&self.policy)
    }

    async fn spec(&self, context: &Context) -> Result<Specification, ExecutorError> {
        let context = self.limited(context);
        guarded("spec", answer::spec(self, &context)).await.map_err(|e| self.explained(e))
    }

    async fn check(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        let context = self.limited(context);
        guarded("check", answer::check(self, &context, config)).await.map_err(|e| self.explained(e))
    }

    async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        let context = self.limited(context);
        guarded("discover", answer::discover(self, &context, config))
            .await
            .map_err(|e| self.explained(e))
    }

    async fn read(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let context = self.limited(context);
        let reading = read::read(self, &context, config, catalog, states, output);
        guarded("read", within(self.policy.limits.sync_time, "read", reading))
            .await
            .map_err(|e| self.explained(e))
    }

    async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        let context = self.limited(context);
        let writing = write::write(self, &context, config, catalog, input);
        guarded("write", within(self.policy.limits.sync_time, "write", writing))
            .await
            .map_err(|e| self.explained(e))
    }
}

/// Whether an error is one that a program has which was refused something.
fn fence_may_be_why(error: &ExecutorError) -> bool {
    const REFUSED: [&str; 5] = [
        "Permission denied",
        "Operation not permitted",
        "PermissionError",
        "EACCES",
        "name resolution",
    ];
    match error {
        // One that was killed, or that ended well too early, was refused nothing.
        ExecutorError::Ended { how, .. } => {
            how.starts_with("exited with code") && !how.ends_with(" 0")
        }
        ExecutorError::NoAnswer { .. } => true,
        ExecutorError::Failure(failure) => {
            let told = [Some(failure.message.as_str()), failure.detail.as_deref()];
            told.into_iter().flatten().any(|text| REFUSED.iter().any(|word| text.contains(word)))
        }
        _ => false,
    }
}

/// Ends an operation at its deadline; dropping it kills the process.
async fn within<T>(
    limit: Option<std::time::Duration>,
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
