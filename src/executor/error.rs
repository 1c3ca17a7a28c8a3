//! Why an operation of a connector did not succeed, however it was run.

use std::time::Duration;

use crate::component::ComponentError;
use crate::fault::{ExitClass, Fault};
use crate::protocol::{Failure, FailureKind, Retry};
use crate::registry::RegistryError;
use crate::sandbox::fence::FenceError;

/// Why a connector's operation failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// A component could not be used, or stopped.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// It said so itself, in a TRACE ERROR, a FAILED status or the contract's failure.
    #[error("{0}")]
    Failure(Failure),
    /// The program could not be started.
    #[error("{program} cannot be started: {reason}")]
    Start {
        /// The program.
        program: String,
        /// The system's reason.
        reason: String,
    },
    /// It ended, and not well.
    #[error("{program} {how}{}", if *.early { " before it had read all its input" } else { "" })]
    Ended {
        /// The program.
        program: String,
        /// `exited with code 1`, `was killed by signal 9`.
        how: String,
        /// It left input unread.
        early: bool,
        /// The last lines of its stderr.
        stderr: String,
    },
    /// It ended well and did not answer.
    #[error("{program} ended without an answer to {operation}")]
    NoAnswer {
        /// The program.
        program: String,
        /// The operation.
        operation: &'static str,
        /// The last lines of its stderr.
        stderr: String,
    },
    /// A record that cannot be read: going on would lose it.
    #[error("line {line} is a RECORD that cannot be read: {reason}")]
    Garbled {
        /// The line's number in the output, from 1.
        line: u64,
        /// Where and why.
        reason: String,
    },
    /// A line without measure.
    #[error("line {line} is longer than {limit} bytes")]
    LineTooLong {
        /// The line's number in the output, from 1.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// It broke the protocol.
    #[error("{0}")]
    Protocol(String),
    /// It acknowledged a state that it was not given, or not as it was given.
    #[error("{said}")]
    Acknowledgement {
        /// Where, and what is wrong with it.
        said: String,
        /// Whether the state can be told by its number, and is another than was sent.
        changed: bool,
    },
    /// It took too long.
    #[error("{operation} was stopped after {} s", .limit.as_secs_f64())]
    Timeout {
        /// The operation.
        operation: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// Its pipes or files could not be used.
    #[error("{what}: {reason}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        reason: String,
    },
    /// A secret cannot be had, or is where it must not be.
    #[error(transparent)]
    Secret(super::SecretError),
    /// The kernel cannot fence it in as its policy wants.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// A directory under another name.
    #[error("a process sees the directory {host} under that path and no other, not as {guest}")]
    Grant {
        /// The directory.
        host: String,
        /// What it was to be called.
        guest: String,
    },
    /// An error of a process that its fence may be the reason of.
    #[error("{error}")]
    Fenced {
        /// The error.
        error: Box<ExecutorError>,
        /// What the fence comes to.
        fence: String,
    },
    /// A container could not be run, or ended as only a container does.
    #[error(transparent)]
    Docker(#[from] super::DockerError),
    /// An error of a container that its confinement may be the reason of.
    #[error("{error}")]
    Contained {
        /// The error.
        error: Box<ExecutorError>,
        /// What to do about it.
        hint: String,
    },
    /// Its Python environment cannot be had.
    #[error(transparent)]
    Python(#[from] super::PythonError),
    /// A fault of this program, not of the connector.
    #[error("a fault in lockgate ended {operation}: {reason}")]
    Panic {
        /// The operation.
        operation: &'static str,
        /// What the fault says of itself.
        reason: String,
    },
    /// Asked for something it cannot be.
    #[error("{0}")]
    Unsupported(String),
    /// It changed its configuration to one that does not fit its specification.
    #[error("it changed its configuration, and now {0}")]
    ChangeInvalid(String),
    /// Nobody took what it changed of its configuration.
    #[error("its changed configuration was not taken: {0}")]
    ChangeRefused(String),
    /// The registry did not say what it is.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It is only known, and asked to run.
    #[error(
        "{name} is only known, and nothing of it runs: there is no {operation}{}",
        if *.operation == "check" { "; its configuration fits its specification" } else { "" }
    )]
    NoExecutor {
        /// The connector.
        name: String,
        /// The operation.
        operation: &'static str,
    },
}

impl From<Failure> for ExecutorError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl ExecutorError {
    /// Whether this is only the echo of a stop that began elsewhere.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Failure(failure) | Self::Component(ComponentError::Failure(failure)) => {
                failure.is_cancelled()
            }
            Self::Fenced { error, .. } | Self::Contained { error, .. } => error.is_cancelled(),
            _ => false,
        }
    }

    /// Whether it is worth another try: where time mends it, and nobody else has to.
    #[must_use]
    pub fn retry(&self) -> Option<Retry> {
        let passes = |passes: bool| passes.then(Retry::default);
        match self {
            Self::Failure(failure) | Self::Component(ComponentError::Failure(failure)) => {
                failure.retry()
            }
            Self::Component(ComponentError::Busy { .. }) => passes(true),
            Self::Fenced { error, .. } | Self::Contained { error, .. } => error.retry(),
            Self::Docker(error) => passes(error.passes()),
            Self::Registry(error) => passes(error.passes()),
            _ => None,
        }
    }

    /// The failure in the contract's terms.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Failure(failure) => failure,
            Self::Component(error) => error.into_failure(),
            Self::Fenced { error, .. } | Self::Contained { error, .. } => error.into_failure(),
            Self::Docker(error) if error.exit() == ExitClass::Usage => {
                Failure::config(error.to_string())
            }
            Self::Start { .. }
            | Self::Grant { .. }
            | Self::Fence(_)
            | Self::Secret(_)
            | Self::NoExecutor { .. }
            | Self::Python(_)
            | Self::Unsupported(_) => Failure::config(self.to_string()),
            Self::Ended { ref stderr, .. } | Self::NoAnswer { ref stderr, .. } => {
                let detail = stderr.clone();
                Failure::system(self.to_string()).with_detail(detail)
            }
            other => Failure::system(other.to_string()),
        }
    }
}

impl Fault for ExecutorError {
    fn code(&self) -> &'static str {
        match self {
            Self::Component(error) => error.code(),
            Self::Failure(failure) => match failure.kind {
                FailureKind::Config => "CONNECTOR_CONFIG",
                FailureKind::Transient => "CONNECTOR_TRANSIENT",
                FailureKind::System => "CONNECTOR_FAILED",
                FailureKind::Cancelled => "CANCELLED",
            },
            Self::Start { .. } => "CONNECTOR_START",
            Self::Ended { early: true, .. } => "CONNECTOR_ENDED_EARLY",
            Self::Ended { .. } => "CONNECTOR_EXIT",
            Self::NoAnswer { .. } => "CONNECTOR_NO_ANSWER",
            Self::Garbled { .. } => "RECORD_GARBLED",
            Self::LineTooLong { .. } => "LIMIT_LINE",
            Self::Protocol(_) | Self::Acknowledgement { .. } => "CONNECTOR_PROTOCOL",
            Self::Timeout { .. } => "LIMIT_TIME",
            Self::Io { .. } => "CONNECTOR_IO",
            Self::Secret(error) => error.code(),
            Self::Fence(error) => error.code(),
            Self::Grant { .. } => "GRANT_DIRECTORY",
            Self::Docker(error) => error.code(),
            Self::Fenced { error, .. } | Self::Contained { error, .. } => error.code(),
            Self::Python(error) => error.code(),
            Self::Panic { .. } => "HOST_PANIC",
            Self::Unsupported(_) => "CONNECTOR_UNSUPPORTED",
            Self::ChangeInvalid(_) => "CONFIG_CHANGE_INVALID",
            Self::ChangeRefused(_) => "CONFIG_CHANGE_REFUSED",
            Self::Registry(error) => error.code(),
            Self::NoExecutor { .. } => "CONNECTOR_NO_EXECUTOR",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Component(error) => error.hint(),
            Self::Secret(error) => error.hint(),
            Self::Start { .. } => {
                Some("check the path, and that the file is executable (chmod +x)".into())
            }
            Self::Timeout { .. } => {
                Some("allow more with --timeout (in sync: --source-timeout, --destination-timeout), for example 5m".into())
            }
            Self::Fence(error) => error.hint(),
            Self::Python(error) => error.hint(),
            Self::Grant { host, .. } => Some(format!("write --allow-dir {host}, or {host}:ro to read only")),
            Self::Fenced { error, fence } => {
                let fence = format!(
                    "it ran behind the kernel's fence ({fence}); what it needs beyond its own files is opened with --allow-dir DIR and --allow-net HOST:PORT, or everything with --sandbox off (in sync: --source-allow-dir, --destination-allow-dir and so on)"
                );
                Some(match error.hint() {
                    Some(hint) => format!("{hint}; {fence}"),
                    None => fence,
                })
            }
            Self::ChangeInvalid(_) => {
                Some("the change was not kept: the connector is at fault, or its specification".into())
            }
            Self::ChangeRefused(_) => {
                Some("in a sync with a state store a change that fits is kept there all the same; the next run begins with it".into())
            }
            Self::Registry(error) => error.hint(),
            Self::NoExecutor { .. } => {
                Some("say how it is run: docker-image, use-python or local-executable instead of no-executor".into())
            }
            Self::Docker(error) => error.hint(),
            Self::Contained { error, hint } => Some(match error.hint() {
                Some(first) => format!("{first}; {hint}"),
                None => hint.clone(),
            }),
            Self::Panic { .. } => {
                Some("this is not your connector's fault alone: report it, with the connector".into())
            }
            _ => None,
        }
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Component(error) => error.exit(),
            Self::Secret(error) => error.exit(),
            Self::Fence(error) => error.exit(),
            Self::Docker(error) => error.exit(),
            Self::Fenced { error, .. } | Self::Contained { error, .. } => error.exit(),
            Self::Python(error) => error.exit(),
            Self::Registry(error) => error.exit(),
            Self::Start { .. }
            | Self::Grant { .. }
            | Self::NoExecutor { .. }
            | Self::Unsupported(_) => ExitClass::Usage,
            _ => ExitClass::Failed,
        }
    }

    fn context(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Component(error) => error.context(),
            Self::Docker(error) => error.context(),
            Self::Fenced { error, .. } | Self::Contained { error, .. } => error.context(),
            Self::Python(error) => error.context(),
            Self::Failure(failure) => {
                failure.detail.clone().map(|d| ("detail", d)).into_iter().collect()
            }
            Self::Ended { stderr, .. } | Self::NoAnswer { stderr, .. } if !stderr.is_empty() => {
                vec![("stderr", stderr.clone())]
            }
            _ => Vec::new(),
        }
    }
}
