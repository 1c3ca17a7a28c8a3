//! Why a connector's Python environment cannot be had.

use std::path::PathBuf;
use std::time::Duration;

use crate::fault::{ExitClass, Fault};

/// What is wrong with a Python environment, or with the making of one. No text in it holds the
/// credentials of an address.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// What is asked for cannot be.
    #[error("{0}")]
    Settings(String),
    /// The interpreter is not there.
    #[error("there is no {wanted} to install {requirement} for")]
    Missing {
        /// `Python`, `Python 3.11`, or a path.
        wanted: String,
        /// What was to be installed.
        requirement: String,
        /// What was looked at, in words.
        reason: String,
    },
    /// There is no uv, and none can be had.
    #[error("there is no uv on PATH, and Lockgate's own {version} cannot be had")]
    Uv {
        /// The version that was to be installed.
        version: &'static str,
        /// Why not: the last lines of what was tried.
        reason: String,
    },
    /// The package could not be installed.
    #[error("{requirement} could not be installed")]
    Install {
        /// What was to be installed.
        requirement: String,
        /// The last lines of what the installer says.
        reason: String,
    },
    /// It takes too long.
    #[error("installing {requirement} was stopped after {} s", .limit.as_secs_f64())]
    Overdue {
        /// What was to be installed.
        requirement: String,
        /// The limit.
        limit: Duration,
    },
    /// It is not there, and was not to be installed.
    #[error("{requirement} is not installed")]
    NotInstalled {
        /// What is not there.
        requirement: String,
        /// What installs it.
        command: String,
    },
    /// It was installed, and has no such program.
    #[error(
        "{requirement} has no program {name}, and no single one named source-… or destination-…"
    )]
    NoProgram {
        /// What was installed.
        requirement: String,
        /// The program that was looked for.
        name: String,
        /// The programs it has.
        scripts: Vec<String>,
    },
    /// A folder of environments cannot be used.
    #[error("{path}: {reason}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A grant that would let a connector change what connectors are.
    #[error(
        "{host} cannot be granted for writing: the environments of connectors are in it, in {root}"
    )]
    Grant {
        /// The directory.
        host: PathBuf,
        /// Where environments are.
        root: PathBuf,
    },
    /// There is no such environment.
    #[error("no environment {name} was made by lockgate in {root}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where was looked.
        root: PathBuf,
        /// What there is.
        known: Vec<String>,
    },
    /// More than one environment has this name.
    #[error("{name} is the name of {} environments", .ids.len())]
    Several {
        /// What was asked for.
        name: String,
        /// The environments.
        ids: Vec<String>,
    },
    /// Something runs in it.
    #[error("{id} is in use")]
    InUse {
        /// The environment.
        id: String,
    },
}

impl PythonError {
    /// The same error with each text of others, an installer's or a package's, as `hide` makes it.
    #[must_use]
    pub(in crate::executor) fn hidden(self, hide: &dyn Fn(&str) -> String) -> Self {
        match self {
            Self::Missing { wanted, requirement, reason } => {
                Self::Missing { wanted, requirement, reason: hide(&reason) }
            }
            Self::Uv { version, reason } => Self::Uv { version, reason: hide(&reason) },
            Self::Install { requirement, reason } => {
                Self::Install { requirement, reason: hide(&reason) }
            }
            Self::NoProgram { requirement, name, scripts } => {
                let scripts = scripts.iter().map(|s| hide(s)).collect();
                Self::NoProgram { requirement, name, scripts }
            }
            Self::Folder { path, reason } => Self::Folder { path, reason: hide(&reason) },
            // The operator's own words, and numbers.
            error @ (Self::Settings(_)
            | Self::Overdue { .. }
            | Self::NotInstalled { .. }
            | Self::Grant { .. }
            | Self::Unknown { .. }
            | Self::Several { .. }
            | Self::InUse { .. }) => error,
        }
    }
}

impl Fault for PythonError {
    fn code(&self) -> &'static str {
        match self {
            Self::Settings(_) => "PYTHON_SETTINGS",
            Self::Missing { .. } => "PYTHON_MISSING",
            Self::Uv { .. } => "UV_MISSING",
            Self::Install { .. } => "PYTHON_INSTALL",
            Self::Overdue { .. } => "LIMIT_TIME",
            Self::NotInstalled { .. } => "PYTHON_NOT_INSTALLED",
            Self::NoProgram { .. } => "PYTHON_NO_PROGRAM",
            Self::Folder { .. } => "PYTHON_FOLDER",
            Self::Grant { .. } => "GRANT_DIRECTORY",
            Self::Unknown { .. } => "PYTHON_UNKNOWN",
            Self::Several { .. } => "PYTHON_SEVERAL",
            Self::InUse { .. } => "PYTHON_IN_USE",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => "install that Python, name another one with --use-python VERSION or --use-python PATH, or let uv download it with UV_PYTHON_DOWNLOADS=automatic".into(),
            Self::Uv { .. } => "install uv (https://docs.astral.sh/uv), or a python3 that has venv and pip, with which lockgate gets its own".into(),
            Self::Install { .. } => "if the reason names the Python version, choose another with --use-python; an index is named with PIP_INDEX_URL or UV_DEFAULT_INDEX; a package whose build needs programs of its own is built with --sandbox off".into(),
            Self::Overdue { .. } => "allow more with --limit install-time=20m".into(),
            Self::NotInstalled { command, .. } => match command.contains("***") {
                true => format!("install it with `{command}`, with the credentials in the place of ***"),
                false => format!("install it with `{command}`"),
            },
            Self::NoProgram { .. } => "is it an Airbyte connector? The connector's name is that of its program: source-NAME or destination-NAME".into(),
            Self::Grant { .. } => "grant it with :ro, or a folder in it, or keep environments elsewhere with --install-root".into(),
            Self::Unknown { .. } => "`lockgate connectors list` shows them".into(),
            Self::Several { .. } => "name one of them as it is listed, or take all with --all".into(),
            Self::InUse { .. } => "wait until what runs in it has ended".into(),
            Self::Settings(_) | Self::Folder { .. } => return None,
        })
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Settings(_)
            | Self::Missing { .. }
            | Self::Uv { .. }
            | Self::NotInstalled { .. }
            | Self::NoProgram { .. }
            | Self::Grant { .. }
            | Self::Unknown { .. }
            | Self::Several { .. } => ExitClass::Usage,
            Self::Install { .. }
            | Self::Overdue { .. }
            | Self::Folder { .. }
            | Self::InUse { .. } => ExitClass::Failed,
        }
    }

    fn context(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Missing { reason, .. }
            | Self::Uv { reason, .. }
            | Self::Install { reason, .. }
                if !reason.is_empty() =>
            {
                vec![("reason", reason.clone())]
            }
            Self::NoProgram { scripts, .. } => {
                let none = "none".to_owned();
                vec![("programs", if scripts.is_empty() { none } else { scripts.join(", ") })]
            }
            Self::Unknown { known, .. } if !known.is_empty() => {
                vec![("known", known.join(", "))]
            }
            Self::Several { ids, .. } => vec![("environments", ids.join(", "))],
            _ => Vec::new(),
        }
    }
}
