//! Why a secret cannot be had, without a word of it.

use crate::fault::{ExitClass, Fault};

/// What is wrong with a secret.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum SecretError {
    /// A reference that cannot be read.
    #[error("{member}: {reason}")]
    Malformed {
        /// The member or variable: `password`, `env TOKEN`.
        member: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Not there, empty, too large, too late.
    #[error("{member}: the secret {reference} is not available: {reason}")]
    Unavailable {
        /// The member or variable.
        member: String,
        /// The reference: `env:DB_PASSWORD`.
        reference: String,
        /// Why, without anything a command or file said.
        reason: String,
    },
    /// A stream is named by a secret.
    #[error("the name of a stream holds the value of {label}; names are stored and shown")]
    InName {
        /// The secret's label.
        label: String,
    },
    /// A stored state refers to a secret that is no longer known.
    #[error(
        "a stored state holds the value of {label}, which is no longer a secret of this connector"
    )]
    Sealed {
        /// The secret's label.
        label: String,
    },
}

impl Fault for SecretError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "SECRET_REFERENCE",
            Self::Unavailable { .. } => "SECRET_UNAVAILABLE",
            Self::InName { .. } => "SECRET_IN_NAME",
            Self::Sealed { .. } => "SECRET_SEALED",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Malformed { .. } => {
                "write ${secret:env:NAME}, ${secret:file:PATH} or ${secret:exec:COMMAND}; $${secret: is the text itself".into()
            }
            Self::Unavailable { reference, .. } => {
                let what = match reference.split_once(':').map(|(kind, _)| kind) {
                    Some("env") => "set the variable where lockgate runs",
                    Some("file") => "the path is relative to lockgate.toml, or to the current folder",
                    _ => "run the command by itself; allow more time with --limit secret-time=60s",
                };
                what.into()
            }
            Self::InName { .. } => {
                "if it is no accident, do not run this connector; else choose a value that is no ordinary word".into()
            }
            Self::Sealed { .. } => {
                "write the secret where it was, or start again: `lockgate state clear CONNECTION`".into()
            }
        })
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Malformed { .. } | Self::Unavailable { .. } | Self::Sealed { .. } => {
                ExitClass::Usage
            }
            Self::InName { .. } => ExitClass::Refused,
        }
    }
}
