//! What can be wrong with what the operator wrote. Errors name the file, the field and the kind of
//! value, never the value of a configuration.

use std::path::PathBuf;

use crate::fault::{ExitClass, Fault};
use crate::sandbox::PolicyError;

/// Why a setting cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The file is not what it should be.
    #[error("{place}: {reason}")]
    Malformed {
        /// The file, or what stands inline.
        place: String,
        /// What is wrong and where.
        reason: String,
    },
    /// A name that is not in the file.
    #[error("{path} has no {what} named {name:?}; it has {known}")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// `connection`, `source` or `destination`.
        what: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// There is no project file, and the call needs one.
    #[error("there is no lockgate.toml here or in a folder above")]
    NoProject,
    /// A connector cannot be named so.
    #[error("the connector {0:?} cannot be used: {1}")]
    Reference(String, &'static str),
    /// An option of a connector cannot be read.
    #[error("{option}: {text:?} is not {wanted}")]
    Setting {
        /// The option.
        option: &'static str,
        /// What stands there.
        text: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A size or duration cannot be read.
    #[error("{field}: {text:?} is not a {wanted}")]
    Unit {
        /// The field.
        field: &'static str,
        /// What stands there.
        text: String,
        /// `size` or `duration`.
        wanted: &'static str,
    },
    /// A grant cannot be read.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Usage that makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl Fault for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "CONFIG_UNREADABLE",
            Self::Malformed { .. } => "CONFIG_MALFORMED",
            Self::Unknown { .. } => "CONFIG_UNKNOWN_NAME",
            Self::NoProject => "CONFIG_NO_PROJECT",
            Self::Reference(..) => "CONNECTOR_REFERENCE",
            Self::Setting { .. } => "CONFIG_SETTING",
            Self::Unit { .. } => "CONFIG_UNIT",
            Self::Policy(error) => error.code(),
            Self::Usage(_) => "USAGE",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "check the path and its permissions".into(),
            Self::NoProject => {
                "write a lockgate.toml, or name both connectors: lockgate sync --source … --destination …"
                    .into()
            }
            Self::Reference(..) => {
                "a connector is path/to/x.wasm, exec:PATH, docker:IMAGE, pip:REQUIREMENT, or a name such as source-faker".into()
            }
            Self::Unit { wanted: "size", .. } => "for example 256MiB, 1GiB or 1000000".into(),
            Self::Unit { .. } => "for example 500ms, 90s, 5m or 2h".into(),
            Self::Policy(error) => return error.hint(),
            Self::Malformed { .. }
            | Self::Unknown { .. }
            | Self::Setting { .. }
            | Self::Usage(_) => return None,
        })
    }

    fn exit(&self) -> ExitClass {
        ExitClass::Usage
    }
}
