//! Why a container could not be run, or how it ended.

use crate::fault::{ExitClass, Fault};

/// Why a connector in a container failed, besides what every connector fails of.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// No engine answers.
    #[error("no container engine answers at {engine}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        engine: String,
        /// What came back.
        reason: String,
    },
    /// The engine has no such image.
    #[error("the engine does not have the image {image}")]
    Missing {
        /// The image.
        image: String,
    },
    /// The image cannot be used.
    #[error("the image {image} cannot be used: {reason}")]
    Image {
        /// The image.
        image: String,
        /// Why.
        reason: String,
    },
    /// The image could not be pulled.
    #[error("the image {image} cannot be pulled: {reason}")]
    Pull {
        /// The image.
        image: String,
        /// The engine's reason.
        reason: String,
    },
    /// The registry wants other credentials.
    #[error("the registry does not give the image {image} to these credentials: {reason}")]
    Denied {
        /// The image.
        image: String,
        /// The registry's reason.
        reason: String,
        /// Whom to log in to.
        registry: String,
    },
    /// Docker's own configuration does not give its credentials.
    #[error("the credentials for {registry} cannot be had: {reason}")]
    Credentials {
        /// The registry.
        registry: String,
        /// Why; never a secret.
        reason: String,
    },
    /// The container could not be created or started.
    #[error("a container of {image} cannot be started: {reason}")]
    Create {
        /// The image.
        image: String,
        /// The engine's reason.
        reason: String,
    },
    /// Something that is granted, and that a container cannot have.
    #[error("a container cannot be given {what}: {reason}")]
    Grant {
        /// What was granted.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The engine failed at something else.
    #[error("the container engine failed at {what}: {reason}")]
    Engine {
        /// What it was asked to do.
        what: &'static str,
        /// Its reason.
        reason: String,
    },
    /// The kernel ended it for its memory.
    #[error("{image} was killed: it needed more memory than its limit of {limit_mib} MiB")]
    Memory {
        /// The image.
        image: String,
        /// The limit.
        limit_mib: u64,
        /// The last lines of its stderr.
        stderr: String,
    },
    /// Somebody else ended or removed it.
    #[error("the container of {image} {how}")]
    Gone {
        /// The image.
        image: String,
        /// `was removed while it ran`.
        how: String,
        /// The last lines of its stderr.
        stderr: String,
    },
    /// The engine may have thrown away the end of its output.
    #[error(
        "the container of {image} ended while its output waited, and the engine may have dropped the end of it"
    )]
    Cut {
        /// The image.
        image: String,
    },
}

impl Fault for DockerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "DOCKER_UNREACHABLE",
            Self::Missing { .. } => "DOCKER_IMAGE_MISSING",
            Self::Image { .. } => "DOCKER_IMAGE",
            Self::Pull { .. } => "DOCKER_PULL",
            Self::Denied { .. } | Self::Credentials { .. } => "DOCKER_CREDENTIALS",
            Self::Create { .. } => "DOCKER_CREATE",
            Self::Grant { .. } => "DOCKER_GRANT",
            Self::Engine { .. } => "DOCKER_ENGINE",
            Self::Memory { .. } => "CONTAINER_OOM",
            Self::Gone { .. } => "CONTAINER_GONE",
            Self::Cut { .. } => "CONTAINER_OUTPUT_CUT",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. } => {
                "start Docker or Podman's socket, see that this user may use \
                it, or name another engine in DOCKER_HOST (unix:///path/docker.sock or \
                tcp://HOST:PORT)"
                    .into()
            }
            Self::Missing { image } => {
                format!("docker pull {image}, or let it be pulled with --install-if-missing")
            }
            Self::Pull { reason, .. } if reason.starts_with(Self::OVERDUE) => {
                "more time is allowed with --limit pull-time=30m (in sync: --source-limit, \
                 --destination-limit)"
                    .into()
            }
            Self::Pull { reason, .. }
                if reason.contains("not found") || reason.contains("unknown") =>
            {
                "see that the name and the tag are those of the registry".into()
            }
            Self::Denied { registry, .. } => format!("docker login {registry}"),
            Self::Credentials { .. } => "the credentials are those of Docker's own configuration, \
                ~/.docker/config.json or config.json in DOCKER_CONFIG"
                .into(),
            Self::Create { reason, .. } if reason.contains("bind source path does not exist") => {
                "the engine does not see this machine's files: it must run here".into()
            }
            Self::Create { reason, .. } if reason.contains("docker-init") => {
                "the engine lacks its init program (docker-init; in Debian: tini)".into()
            }
            Self::Create { reason, .. } if reason.contains("container-init") => {
                "the engine lacks its init program (Podman's; in Debian: catatonit)".into()
            }
            Self::Memory { limit_mib, .. } => format!(
                "allow more with --limit container-memory={}MiB (in sync: --source-limit, \
                 --destination-limit)",
                limit_mib * 2
            ),
            Self::Cut { .. } => {
                "the engine keeps output for two seconds after a container's end, and \
                could not be told to let it wait; run it again, or with a faster destination"
                    .into()
            }
            _ => return None,
        })
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Missing { .. } | Self::Image { .. } | Self::Grant { .. } => ExitClass::Usage,
            _ => ExitClass::Failed,
        }
    }

    fn context(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Memory { stderr, .. } | Self::Gone { stderr, .. } if !stderr.is_empty() => {
                vec![("stderr", stderr.clone())]
            }
            _ => Vec::new(),
        }
    }
}

impl DockerError {
    /// Whether time mends it: a registry that did not answer, output that was cut. Not where somebody
    /// ended the container, or has to start the engine.
    pub(in crate::executor) fn passes(&self) -> bool {
        match self {
            Self::Pull { reason, .. } => {
                let lasts = |word| reason.contains(word);
                !(reason.starts_with(Self::OVERDUE) || lasts("not found") || lasts("unknown"))
            }
            Self::Cut { .. } => true,
            _ => false,
        }
    }

    /// How the reason of a pull that took too long begins.
    pub(super) const OVERDUE: &str = "it took longer than";

    /// The same with its words passed through something that hides secrets.
    pub(in crate::executor) fn map_text(self, hide: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Create { image, reason } => Self::Create { image, reason: hide(&reason) },
            Self::Engine { what, reason } => Self::Engine { what, reason: hide(&reason) },
            Self::Grant { what, reason } => Self::Grant { what, reason: hide(&reason) },
            Self::Memory { image, limit_mib, stderr } => {
                Self::Memory { image, limit_mib, stderr: hide(&stderr) }
            }
            Self::Gone { image, how, stderr } => Self::Gone { image, how, stderr: hide(&stderr) },
            Self::Pull { image, reason } => Self::Pull { image, reason: hide(&reason) },
            Self::Denied { image, reason, registry } => {
                Self::Denied { image, reason: hide(&reason), registry }
            }
            // Before anything of the connector ran, and without words of its own.
            other @ (Self::Unreachable { .. }
            | Self::Missing { .. }
            | Self::Image { .. }
            | Self::Credentials { .. }
            | Self::Cut { .. }) => other,
        }
    }
}
