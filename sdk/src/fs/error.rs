//! Why a file operation failed.

use crate::Failure;

/// A file operation that failed: what, where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} {path}: {reason}")]
pub struct Error {
    action: &'static str,
    path: String,
    reason: Reason,
}

impl Error {
    pub(super) fn new(action: &'static str, path: impl Into<String>, reason: Reason) -> Self {
        Self { action, path: path.into(), reason }
    }

    /// The path it is about.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Why it failed.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// Why a file operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// No granted directory holds the path.
    #[error("it is in no granted directory")]
    NotGranted,
    /// The operator granted less than this, or the system refuses it.
    #[error("it is not permitted")]
    Denied,
    /// There is nothing by this name.
    #[error("there is no such file or directory")]
    NotFound,
    /// The name is taken.
    #[error("it is there already")]
    Exists,
    /// A part of the path is no directory.
    #[error("it is not a directory")]
    NotADirectory,
    /// A directory is where a file should be.
    #[error("it is a directory")]
    IsADirectory,
    /// The disk or the quota is full.
    #[error("no space is left")]
    NoSpace,
    /// The name is longer than the filesystem takes.
    #[error("the name is too long")]
    NameTooLong,
    /// The path or name has a form that is not allowed.
    #[error("the name is not valid")]
    Invalid,
    /// Something else, in the system's words.
    #[error("{0}")]
    Other(String),
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.reason {
            Reason::NotGranted | Reason::Denied | Reason::NotFound | Reason::NotADirectory => {
                Self::config(error.to_string())
            }
            _ => Self::system(error.to_string()),
        }
    }
}
