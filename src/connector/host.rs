//! Where connectors come from: a name, options, a configuration.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;

use super::resolve::{Here, Surroundings, resolve};
use super::{Choice, Connector, ConnectorError, Destination, Method, ResolveError, Source};
use crate::component::{
    CompileCache, Compiler, ComponentError, ComponentRuntime, Interruption, Kind, Resolver,
};
use crate::config::{ConnectorOptions, Environment, Project, component_folders};
use crate::executor::{
    ComponentExecutor, DockerExecutor, Executor, ExecutorError, NoopDestination, ProcessExecutor,
    PythonEnvironments, PythonExecutor, RegisteredSpec, SecretExecutor, SecretSource,
    SystemSecrets, Vault,
};
use crate::protocol::{Decision, Failure, Json, LogLevel, Observer};
use crate::registry::Registry;
use crate::sandbox::{Access, DirectoryGrant, Fence, HOST_STATE, Policy, redacted};

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
    /// The folder of its project, where `.lockgate` is; none: the one that relative paths begin in.
    project: Option<PathBuf>,
    /// Where components are looked up by name; none: where a project without a word keeps them.
    components: Option<Vec<PathBuf>>,
    environment: Environment,
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
    /// With the user's cache of compiled components, the current folder, and what the environment
    /// says of where connectors come from.
    #[must_use]
    pub fn new() -> Self {
        let base = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let runtime = ComponentRuntime::new(CompileCache::of_user());
        Self {
            base,
            project: None,
            components: None,
            environment: Environment::read(),
            runtime,
            secrets: None,
            vault: Arc::default(),
        }
    }

    /// One of many that are made for a connector each: what any of these connectors was given is
    /// hidden in what any of them says, as if one host had made them.
    pub(crate) fn of_one_connector() -> Self {
        static KNOWN: LazyLock<Vault> = LazyLock::new(Vault::default);
        Self { vault: Arc::new(KNOWN.beside()), ..Self::new() }
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

    /// The same in a project: names are looked up in its folders of components, and Python
    /// environments are kept beside its states. Relative paths begin where they did.
    #[must_use]
    pub fn in_project(mut self, project: &Project) -> Self {
        self.components = Some(project.component_folders());
        self.project = Some(project.folder().to_owned());
        self
    }

    /// The same with another environment than this process's: where the registry, programs and
    /// Python environments are.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
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

    /// How a connector is run, and why. Starts nothing; asks the registry only where nothing else
    /// says. `wanted` is what it must be, where that is known.
    ///
    /// # Errors
    /// [`ConnectorError::Resolve`].
    pub fn resolve(
        &self,
        name: &str,
        options: &ConnectorOptions,
        wanted: Option<Kind>,
    ) -> Result<Choice, ConnectorError> {
        Ok(self.around(options, |here| resolve(name, options, wanted, here))?)
    }

    /// The folders that components are looked up in by name.
    #[must_use]
    pub fn component_folders(&self) -> Vec<PathBuf> {
        match &self.components {
            Some(folders) => folders.clone(),
            None => component_folders(self.project.as_deref().unwrap_or(&self.base), None),
        }
    }

    /// The component that comes with Lockgate under a name, if it is there.
    #[must_use]
    pub fn shipped(&self, name: &str) -> Option<PathBuf> {
        self.around(&ConnectorOptions::default(), |here| here.shipped(name).0)
    }

    /// The folder that Python environments are in.
    #[must_use]
    pub fn install_root(&self, options: &ConnectorOptions) -> PathBuf {
        match &options.install_root {
            Some(root) => self.base.join(root),
            None => self.around(options, |here| here.install_root()),
        }
    }

    /// The registry that names are looked up in; none where it is turned off. Asked for nothing yet.
    #[must_use]
    pub fn registry(&self, options: &ConnectorOptions) -> Option<Registry> {
        self.around(options, |here| here.registry())
    }

    /// Asks something of the world around this host.
    fn around<T>(&self, options: &ConnectorOptions, ask: impl FnOnce(&Here<'_>) -> T) -> T {
        let project = self.project.as_deref().unwrap_or(&self.base);
        ask(&Here {
            folder: &self.base,
            components: &self.component_folders(),
            python: PythonEnvironments::of_project(project).root(),
            environment: &self.environment,
            options,
            warnings: RefCell::default(),
        })
    }

    /// A connector by its name: `path/to/x.wasm`, `exec:PATH`, `docker:IMAGE`, `pip:REQUIREMENT`, or
    /// a name that is looked up. `docs/connectors.md` says how, and what options say instead.
    ///
    /// # Errors
    /// [`ConnectorError`], when there is no such connector, an option is malformed or one is in the
    /// way of another.
    pub fn get_connector(
        &self,
        name: &str,
        options: &ConnectorOptions,
        config: Json,
    ) -> Result<Connector, ConnectorError> {
        self.chosen(name, self.resolve(name, options, None)?, options, config, None)
    }

    /// A connector that is run as it was decided ([`Host::resolve`]).
    pub(crate) fn chosen(
        &self,
        name: &str,
        choice: Choice,
        options: &ConnectorOptions,
        config: Json,
        wanted: Option<Kind>,
    ) -> Result<Connector, ConnectorError> {
        let failed = |error: ExecutorError| ConnectorError::Run {
            name: redacted(name),
            error: Box::new(error),
        };
        let policy = match choice.method {
            Method::Docker(_) => options.container_policy(&self.base, &config)?,
            _ => options.policy(&self.base, &config)?,
        };
        let environment = policy.environment.clone();
        let secrets = self
            .secrets
            .clone()
            .unwrap_or_else(|| Arc::new(SystemSecrets::new(&self.base, policy.limits.secret_time)));
        let executor: Arc<dyn Executor> = match &choice.method {
            Method::Registered { name: registered, version } => {
                let registry = self.registry(options).ok_or_else(|| ResolveError::NoRegistry {
                    asked: "no-executor",
                    why: "it is turned off".to_owned(),
                })?;
                Arc::new(RegisteredSpec::new(registry, registered.clone(), version.clone()))
            }
            method => self.executor(method, policy, wanted).map_err(failed)?,
        };
        let executor = SecretExecutor::new(executor, secrets, environment, self.vault.clone());
        let connector = Connector::new(name, Arc::new(executor), config, Arc::new(Silent));
        Ok(connector.with_choice(choice))
    }

    /// What runs it. Nothing is started or installed yet.
    fn executor(
        &self,
        method: &Method,
        policy: Policy,
        wanted: Option<Kind>,
    ) -> Result<Arc<dyn Executor>, ExecutorError> {
        Ok(match method {
            Method::Component(path) => {
                self.runtime.may_grant(&policy, false)?;
                self.may_not_become_another(&policy)?;
                let component = self.runtime.load_within(path, &policy.limits)?;
                let (kind, _) = component.kind()?;
                component.must_be(wanted.unwrap_or(kind))?;
                Arc::new(ComponentExecutor::new(component.granted(&policy)?, policy))
            }
            Method::Process(path) => {
                self.may_grant_to_process(&policy)?;
                let process = ProcessExecutor::new(path.clone(), policy)?;
                Arc::new(process.in_project(self.base.clone()))
            }
            Method::Python(settings) => {
                self.may_grant_to_process(&policy)?;
                Arc::new(PythonExecutor::new(settings.clone(), policy, self.base.clone())?)
            }
            Method::Docker(settings) => {
                self.may_grant_to_container(&policy)?;
                let resolver = self.runtime.resolver();
                Arc::new(DockerExecutor::new(settings.clone(), policy, resolver)?)
            }
            Method::Noop if wanted == Some(Kind::Source) => {
                let what = "destination-dev-null is a destination, not a source";
                return Err(ExecutorError::Unsupported(what.to_owned()));
            }
            Method::Noop | Method::Registered { .. } => Arc::new(NoopDestination),
        })
    }

    /// Refuses to let a connector write to where components are looked up by name: it would become
    /// other connectors, with their passwords and grants. `.lockgate` is hidden in any case, and what
    /// is not there yet is looked at when it is.
    fn may_not_become_another(&self, policy: &Policy) -> Result<(), ExecutorError> {
        let folders = self.component_folders();
        let ours = |step: &OsStr| HOST_STATE.iter().any(|name| step == *name);
        let folders = folders.iter().filter(|folder| !folder.iter().any(ours));
        let folders: Vec<PathBuf> = folders.filter_map(|f| f.canonicalize().ok()).collect();
        for grant in policy.directories.iter().filter(|g| g.access == Access::ReadWrite) {
            let Ok(host) = grant.host.canonicalize() else { continue };
            if folders.iter().any(|f| f.starts_with(&host) || host.starts_with(f)) {
                let reason = "components are looked up by name in it, and who writes there becomes other connectors";
                let path = grant.host.clone();
                return Err(ComponentError::DirectoryRefused { path, reason }.into());
            }
        }
        Ok(())
    }

    /// Whether a container may have what it is granted. No fence hides anything in what is mounted,
    /// so nothing of ours may be in it.
    fn may_grant_to_container(&self, policy: &Policy) -> Result<(), ExecutorError> {
        let mut policy = policy.clone();
        if let Some(local) = policy.local.clone() {
            let guest = "/local".to_owned();
            policy.directories.push(DirectoryGrant {
                host: local,
                guest,
                access: Access::ReadWrite,
            });
        }
        self.runtime.may_grant(&policy, false)?;
        self.may_not_become_another(&policy)?;
        let project = self.project.as_deref().unwrap_or(&self.base);
        // The folder itself, too: what is not in it yet could be made there.
        let ours = [project.to_owned(), project.join(".lockgate"), project.join("lockgate.toml")];
        for grant in &policy.directories {
            // One that is not there yet holds nothing.
            let Ok(host) = grant.host.canonicalize() else { continue };
            let holds = |file: &PathBuf| file.canonicalize().is_ok_and(|f| f.starts_with(&host));
            if ours.iter().any(holds) {
                let reason = "the project's own state is in it, and a container sees all of it";
                let path = grant.host.clone();
                return Err(ComponentError::DirectoryRefused { path, reason }.into());
            }
        }
        Ok(())
    }

    /// Whether a process may have what it is granted. Without a fence, grants mean nothing.
    fn may_grant_to_process(&self, policy: &Policy) -> Result<(), ExecutorError> {
        if policy.fence != Fence::Off {
            self.runtime.may_grant(policy, true)?;
            self.may_not_become_another(policy)?;
        }
        Ok(())
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
        let wanted = Some(Kind::Source);
        let choice = self.resolve(name, options, wanted)?;
        self.chosen(name, choice, options, config, wanted).map(Source)
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
        let wanted = Some(Kind::Destination);
        let choice = self.resolve(name, options, wanted)?;
        self.chosen(name, choice, options, config, wanted).map(Destination)
    }

    /// The destination that keeps nothing. Needs no file, no network and no engine.
    #[must_use]
    pub fn get_noop_destination() -> Destination {
        let executor = Arc::new(NoopDestination);
        let config = Json::empty_object();
        Destination(Connector::new("destination-dev-null", executor, config, Arc::new(Silent)))
    }
}
