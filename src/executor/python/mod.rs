//! Runs a connector that is a Python package, in an environment of its own that `uv` makes.
//!
//! An environment is made when it is first needed, and used again as long as it is there: then
//! nothing is installed, nothing is asked of any index, and no uv is needed. The program in it runs
//! as any other process does, behind the fence of its policy.

mod environments;
mod error;
mod install;
mod locks;
mod manifest;
mod program;
mod redact;
mod requirement;
mod uv;
mod variables;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use self::environments::Lease;
pub use self::environments::{PythonEnvironment, PythonEnvironments};
pub use self::error::PythonError;
pub use self::manifest::Manifest as PythonManifest;
use self::program::Workshop;
use self::requirement::Requirement;
pub use self::requirement::{connector_name, first_package};
use super::{Context, Described, Executor, ExecutorError, ProcessExecutor, process};
use crate::protocol::{
    Catalog, DestinationInput, DiscoveredStream, Failure, Json, LogLevel, Observer, SourceOutput,
    Specification, StateMessage,
};
use crate::sandbox::{Policy, shell};

/// Which Python runs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Interpreter {
    /// Whichever there is.
    #[default]
    Any,
    /// A version: `3.11`.
    Version(String),
    /// A program.
    Path(PathBuf),
}

/// What is installed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonSettings {
    /// The connector's name: that of its program in the environment.
    pub name: String,
    /// What is installed, as pip reads it, in words: `["airbyte-source-faker==7.2.1"]`.
    pub requirement: Vec<String>,
    /// Which Python.
    pub interpreter: Interpreter,
    /// The folder that environments are in.
    pub root: PathBuf,
    /// Whether it is installed when it is not there.
    pub install: bool,
}

/// A connector in a Python environment.
#[derive(Debug, Clone)]
pub struct PythonExecutor {
    settings: PythonSettings,
    requirement: Requirement,
    environments: PythonEnvironments,
    policy: Policy,
    base: PathBuf,
    /// Where uv is kept; none: in this user's cache.
    cache: Option<PathBuf>,
    ready: Arc<OnceCell<Ready>>,
}

/// Its environment, once it is there.
#[derive(Debug)]
struct Ready {
    process: ProcessExecutor,
    manifest: PythonManifest,
    // As long as this may run in it, nobody removes it.
    _lease: Lease,
}

impl PythonExecutor {
    /// Runs a package under a policy, in a project whose folder is `base`. Nothing is installed yet.
    ///
    /// # Errors
    /// [`ExecutorError`], where the policy grants what a process cannot have, or nothing is named
    /// that could be installed.
    pub fn new(
        settings: PythonSettings,
        policy: Policy,
        base: PathBuf,
    ) -> Result<Self, ExecutorError> {
        process::check_directories(&policy)?;
        let name = &settings.name;
        if name.is_empty() || name.starts_with(['.', '-']) || name.contains(['/', '\0']) {
            let what = format!("a Python connector cannot have the name {name:?}");
            return Err(PythonError::Settings(what).into());
        }
        let requirement = Requirement::new(&settings, &base)?;
        let environments = PythonEnvironments::at(base.join(&settings.root));
        environments.not_granted(&policy)?;
        let ready = Arc::default();
        Ok(Self { settings, requirement, environments, policy, base, cache: None, ready })
    }

    /// The same with another folder for uv than this user's cache.
    #[must_use]
    pub fn with_cache(mut self, cache: PathBuf) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Installs it, if it is not there.
    ///
    /// # Errors
    /// [`ExecutorError`].
    pub async fn install(
        &self,
        observer: Arc<dyn Observer>,
    ) -> Result<PythonEnvironment, ExecutorError> {
        Ok(self.environment(true, observer.as_ref()).await?.0)
    }

    /// The name of its environment.
    #[must_use]
    pub fn environment_id(&self) -> String {
        self.requirement.id()
    }

    /// Its environment, with a hold on it.
    async fn environment(
        &self,
        install: bool,
        observer: &dyn Observer,
    ) -> Result<(PythonEnvironment, Lease), ExecutorError> {
        let (id, line) = (self.requirement.id(), self.requirement.line());
        let patience = self.policy.limits.install_time;
        let mut installed = false;
        loop {
            if let Some(found) = self.environments.lease(&id, &line, patience, observer).await? {
                observer.log(LogLevel::Debug, &format!("using {}", found.0.folder.display()));
                return Ok(found);
            }
            if !install {
                let command = self.command();
                return Err(PythonError::NotInstalled { requirement: line, command }.into());
            }
            if installed {
                // Once more would come to the same.
                let path = self.environments.folder(&id);
                let reason = "it was installed, and is not there or not whole".to_owned();
                return Err(PythonError::Folder { path, reason }.into());
            }
            let lock = self.environments.making(&id, &line, patience, observer).await?;
            // Somebody else may have made it meanwhile.
            if self.environments.whole(&id)?.is_none() {
                let workshop = Workshop::new(self.cache.clone())?;
                let (all, policy) = (&self.environments, &self.policy);
                install::install(&workshop, all, &self.requirement, policy, observer).await?;
                installed = true;
            }
            lock.release()?;
        }
    }

    /// What installs it.
    fn command(&self) -> String {
        let words = self.requirement.shown();
        let words: Vec<String> = words.iter().map(|word| shell(word)).collect();
        let requirement = shell(&format!("pip:{}", words.join(" ")));
        let mut command = format!("lockgate connectors install {requirement}");
        match &self.requirement.interpreter {
            Interpreter::Any => {}
            other => command.push_str(&format!(" --use-python {}", shell(&other.word()))),
        }
        if PythonEnvironments::of_project(&self.base) != self.environments {
            let root = self.environments.root().display().to_string();
            command.push_str(&format!(" --install-root {}", shell(&root)));
        }
        command
    }

    /// What runs it; installed first, where that is needed.
    async fn process(&self, context: &Context) -> Result<&ProcessExecutor, ExecutorError> {
        let making = self.ready.get_or_try_init(|| async {
            let observer = context.observer.as_ref();
            let (found, lease) = self.environment(self.settings.install, observer).await?;
            let program = self.program(&found)?;
            let process = ProcessExecutor::new(program, self.policy.clone())?;
            let process = process.in_project(self.base.clone());
            Ok::<_, ExecutorError>(Ready { process, manifest: found.manifest, _lease: lease })
        });
        tokio::select! {
            ready = making => Ok(&ready?.process),
            () = context.cancel.cancelled() => Err(Failure::cancelled().into()),
        }
    }

    /// Its program in an environment.
    fn program(&self, found: &PythonEnvironment) -> Result<PathBuf, PythonError> {
        let bin = found.folder.join("bin");
        let named = bin.join(&self.settings.name);
        if named.is_file() {
            return Ok(named);
        }
        let scripts = &found.manifest.programs;
        let fits = |s: &&String| s.starts_with("source-") || s.starts_with("destination-");
        let mut connectors = scripts.iter().filter(fits);
        match (connectors.next(), connectors.next()) {
            (Some(only), None) => Ok(bin.join(only)),
            _ => Err(PythonError::NoProgram {
                requirement: self.requirement.line(),
                name: self.settings.name.clone(),
                scripts: scripts.clone(),
            }),
        }
    }

    /// What is in its environment, if that is there.
    fn manifest(&self) -> Option<PythonManifest> {
        match self.ready.get() {
            Some(ready) => Some(ready.manifest.clone()),
            None => {
                let found = self.environments.whole(&self.requirement.id()).ok()?;
                found.map(|environment| environment.manifest)
            }
        }
    }
}

#[async_trait]
impl Executor for PythonExecutor {
    fn describe(&self) -> Described {
        let manifest = self.manifest();
        let reference =
            manifest.as_ref().map_or_else(|| self.requirement.line(), PythonManifest::reference);
        Described {
            executor: "python",
            reference,
            digest: manifest.map(|manifest| manifest.digest),
            fence: Some(process::fence_words(&self.policy)),
        }
    }

    fn identity(&self) -> Vec<String> {
        // Not where it is installed, nor its version, nor its Python: states outlive all of them.
        let package = self.requirement.package().unwrap_or_else(|| self.requirement.line());
        let mut identity = vec!["python".to_owned(), package, self.settings.name.clone()];
        identity.extend(self.policy.grants());
        identity
    }

    fn policy(&self) -> Option<&Policy> {
        Some(&self.policy)
    }

    async fn spec(&self, context: &Context) -> Result<Specification, ExecutorError> {
        self.process(context).await?.spec(context).await
    }

    async fn check(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        self.process(context).await?.check(context, config).await
    }

    async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        self.process(context).await?.discover(context, config).await
    }

    async fn read(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        self.process(context).await?.read(context, config, catalog, states, output).await
    }

    async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        self.process(context).await?.write(context, config, catalog, input).await
    }
}
