//! Runs a connector's image in a container, through a Docker engine's API (Docker 20.10 or newer, or
//! Podman's).
//!
//! The attack: a connector's image is a stranger's program with a configuration that holds a
//! password, and the engine that runs it can do anything to this machine. What the engine is asked
//! for is in [`container`], what the connector reaches in [`network`], who reads its files in
//! [`files`], and what stays of it in [`sweep`].

mod attach;
mod container;
mod credentials;
mod egress;
mod engine;
mod error;
mod exit;
mod files;
mod image;
mod input;
mod network;
mod output;
mod remains;
mod running;
mod start;
mod sweep;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use self::engine::Engine;
pub use self::error::DockerError;
use self::image::Image;
pub(crate) use self::remains::finish_removals;
use super::session::Session;
use super::{Context, Described, Executor, ExecutorError};
use crate::component::Resolver;
use crate::config::repository;
use crate::protocol::{
    Catalog, DestinationInput, DiscoveredStream, Json, SourceOutput, Specification, StateMessage,
};
use crate::sandbox::Policy;

/// How an image is run, besides what its policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerSettings {
    /// Its name, with a tag or a digest: `airbyte/source-faker:6.2.0`.
    pub image: String,
    /// Whether it may write to its root file system, which real connectors do.
    pub writable_root: bool,
    /// Whether the image is pulled when the engine does not have it.
    pub pull: bool,
}

/// A connector in a container.
#[derive(Debug, Clone)]
pub struct DockerExecutor {
    settings: DockerSettings,
    policy: Policy,
    resolver: Arc<dyn Resolver>,
    /// The engine, where it is not the one that the environment names.
    named: Option<String>,
    known: Arc<Known>,
}

/// What was found out once, for all operations.
#[derive(Debug, Default)]
struct Known {
    engine: OnceCell<Engine>,
    image: OnceCell<Image>,
}

impl DockerExecutor {
    /// Runs an image under a policy. Names are resolved by `resolver`. The engine is asked for
    /// nothing yet.
    ///
    /// # Errors
    /// [`ExecutorError`], where the policy grants what a container cannot have.
    pub fn new(
        settings: DockerSettings,
        policy: Policy,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, ExecutorError> {
        image::check_name(&settings.image)?;
        for grant in &policy.directories {
            container::check_guest(&grant.guest, &policy)?;
        }
        Ok(Self { settings, policy, resolver, named: None, known: Arc::default() })
    }

    /// The same on the engine at `unix:///path/docker.sock` or `tcp://HOST:PORT`, whatever
    /// `DOCKER_HOST` says.
    #[must_use]
    pub fn at(mut self, engine: &str) -> Self {
        self.named = Some(engine.to_owned());
        self.known = Arc::default();
        self
    }

    /// Removes what hosts that are gone left on the engine. Gives how much that was. Every host does
    /// so before its first container.
    ///
    /// # Errors
    /// [`ExecutorError`], where the engine does not answer.
    #[doc(hidden)]
    pub async fn sweep(&self) -> Result<usize, ExecutorError> {
        let swept = sweep::sweep(self.engine().await?).await;
        let what = "sweeping";
        swept.map_err(|reason| DockerError::Engine { what, reason }.into())
    }

    /// Pulls the image if the engine does not have it and that is allowed. Gives its digest.
    ///
    /// # Errors
    /// [`ExecutorError::Docker`].
    pub async fn install(&self, context: &Context) -> Result<String, ExecutorError> {
        self.ready(context).await?;
        Ok(self.known.image.get().map(|image| image.digest.clone()).unwrap_or_default())
    }

    async fn engine(&self) -> Result<&Engine, DockerError> {
        let connecting = Engine::connect(self.named.as_deref(), &self.policy.limits);
        self.known.engine.get_or_try_init(|| connecting).await
    }

    /// The image, pulled if that is allowed. Before the time of an operation begins.
    async fn image(&self, context: &Context) -> Result<&Image, DockerError> {
        let engine = self.engine().await?;
        let observer = context.observer.as_ref();
        let settings = &self.settings;
        let finding =
            image::ready(engine, &settings.image, settings.pull, &self.policy.limits, observer);
        self.known.image.get_or_try_init(|| finding).await
    }

    /// Makes ready for an operation; a stop ends that, too.
    async fn ready(&self, context: &Context) -> Result<(), ExecutorError> {
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(crate::protocol::Failure::cancelled().into()),
            image = self.image(context) => Ok(image.map(drop)?),
        }
    }

    /// An error with a word about what of the container may be its reason.
    fn explained<T>(&self, result: Result<T, ExecutorError>) -> Result<T, ExecutorError> {
        result.map_err(|error| match self.reason_for(&error) {
            Some(hint) => ExecutorError::Contained { error: Box::new(error), hint },
            None => error,
        })
    }

    fn reason_for(&self, error: &ExecutorError) -> Option<String> {
        const OFFLINE: [&str; 5] = [
            "Network is unreachable",
            "name resolution",
            "UnknownHostException",
            "bad address",
            "onnection refused",
        ];
        let texts = match error {
            ExecutorError::Ended { stderr, .. } | ExecutorError::NoAnswer { stderr, .. } => {
                [Some(stderr.as_str()), None]
            }
            ExecutorError::Failure(failure) => {
                [Some(failure.message.as_str()), failure.detail.as_deref()]
            }
            _ => return None,
        };
        let says = |words: &[&str]| {
            texts.iter().flatten().any(|text| words.iter().any(|word| text.contains(word)))
        };
        if self.policy.local.is_none() && says(&["/local"]) {
            return Some(
                "what it keeps in /local goes with its container: give it a directory there with \
                 --docker-local DIR, or let it write to its own file system with \
                 --docker-writable-root (in sync: --source-docker-local, \
                 --destination-docker-local and so on)"
                    .into(),
            );
        }
        let denied = says(&["AccessDenied", "ccess denied", "ermission denied"]);
        if self.policy.local.is_some() && denied && says(&["/local"]) {
            return Some(
                "the image's own user must be able to write to the directory that it knows as /local"
                    .into(),
            );
        }
        if !self.settings.writable_root && says(&["Read-only file system", "EROFS"]) {
            return Some(
                "its root file system is read-only; allow it to write there with \
                 --docker-writable-root (in sync: --source-docker-writable-root, \
                 --destination-docker-writable-root)"
                    .into(),
            );
        }
        if !self.policy.host_network && self.policy.network.patterns.is_empty() && says(&OFFLINE) {
            return Some(
                "it has no network; open a part of it with --allow-net HOST:PORT (in sync: \
                 --source-allow-net, --destination-allow-net)"
                    .into(),
            );
        }
        None
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    fn describe(&self) -> Described {
        Described {
            executor: "docker",
            reference: self.settings.image.clone(),
            digest: self.known.image.get().map(|image| image.digest.clone()),
            fence: Some(container::words(&self.settings, &self.policy)),
        }
    }

    fn identity(&self) -> Vec<String> {
        // Not its tag or digest: states outlive a version.
        let mut identity = vec![format!("docker {}", repository(&self.settings.image))];
        if let Some(local) = &self.policy.local {
            let local = local.canonicalize().unwrap_or_else(|_| local.clone());
            identity.push(format!("local {}", local.display()));
        }
        if self.policy.host_network {
            identity.push("network of the host".into());
        }
        identity.extend(self.policy.grants());
        identity
    }

    fn policy(&self) -> Option<&Policy> {
        Some(&self.policy)
    }

    async fn spec(&self, context: &Context) -> Result<Specification, ExecutorError> {
        self.ready(context).await?;
        self.explained(Session(self).spec(context).await)
    }

    async fn check(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        self.ready(context).await?;
        self.explained(Session(self).check(context, config).await)
    }

    async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        self.ready(context).await?;
        self.explained(Session(self).discover(context, config).await)
    }

    async fn read(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        self.ready(context).await?;
        let session = Session(self);
        self.explained(session.read(context, config, catalog, states, output).await)
    }

    async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        self.ready(context).await?;
        let session = Session(self);
        self.explained(session.write(context, config, catalog, input).await)
    }
}
