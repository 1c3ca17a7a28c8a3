//! Runs a program that speaks Airbyte's protocol on stdin and stdout.

mod child;
mod fencing;
mod folder;
mod guard;
mod input;
mod pipe;
mod private;
pub(super) mod reach;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use self::child::Connector;
pub(super) use self::child::{Tail, listen};
pub(super) use self::fencing::check_directories;
pub(super) use self::folder::RunFolder;
pub(super) use self::guard::Guard;
use super::session::{Call, Launch, Session, Started};
use super::{Context, Described, Executor, ExecutorError};
use crate::protocol::{
    Catalog, DestinationInput, DiscoveredStream, Json, SourceOutput, Specification, StateMessage,
};
use crate::sandbox::fence::KernelSupport;
use crate::sandbox::{Fence, Limits, Policy};

/// What the fence of a policy comes to for a process of this machine, in words.
pub(super) fn fence_words(policy: &Policy) -> String {
    fencing::words(policy, KernelSupport::here())
}

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
        check_directories(&policy)?;
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
}

#[async_trait]
impl Launch for ProcessExecutor {
    fn limits(&self) -> &Limits {
        &self.policy.limits
    }

    async fn start(&self, call: Call, context: &Context) -> Result<Started, ExecutorError> {
        let folder = Self::folder()?;
        let mut arguments = vec![OsString::from(call.operation)];
        for file in &call.files {
            arguments.push(format!("--{}", file.name).into());
            arguments.push(Self::file(&folder, &format!("{}.json", file.name), &file.text)?);
        }
        let fence = fencing::prepare(self, &folder, context.observer.as_ref())?;
        Connector::start(
            &self.program,
            &arguments,
            call.with_stdin,
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
        Session(self).spec(context).await.map_err(|e| self.explained(e))
    }

    async fn check(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        Session(self).check(context, config).await.map_err(|e| self.explained(e))
    }

    async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        Session(self).discover(context, config).await.map_err(|e| self.explained(e))
    }

    async fn read(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let session = Session(self);
        let reading = session.read(context, config, catalog, states, output);
        reading.await.map_err(|e| self.explained(e))
    }

    async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        let session = Session(self);
        let writing = session.write(context, config, catalog, input);
        writing.await.map_err(|e| self.explained(e))
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
