//! Why a project is not made or not built.

use std::path::PathBuf;

use crate::fault::{ExitClass, Fault};

/// Why a project is not made or not built.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// A name that is none for a package.
    #[error("{name:?} is no name for a connector")]
    Name {
        /// The name.
        name: String,
    },
    /// Something is there.
    #[error("{} is there already", .path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder cannot be used.
    #[error("{}: {reason}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// No project.
    #[error("{} is no connector's project: {why}", .path.display())]
    NoProject {
        /// The folder.
        path: PathBuf,
        /// What it lacks.
        why: String,
    },
    /// A program is missing that builds are made with.
    #[error("{tool} is missing, which builds a connector in {language}")]
    Tool {
        /// The program or package.
        tool: &'static str,
        /// The language.
        language: &'static str,
        /// What installs it.
        install: String,
    },
    /// The build failed; what it said was shown.
    #[error("{tool} failed: {status}")]
    Failed {
        /// The program.
        tool: String,
        /// How it ended.
        status: String,
    },
}

impl Fault for AuthorError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "PROJECT_NAME",
            Self::Exists { .. } => "PROJECT_EXISTS",
            Self::Io { .. } => "PROJECT_IO",
            Self::NoProject { .. } => "PROJECT_NONE",
            Self::Tool { .. } => "BUILD_TOOL",
            Self::Failed { .. } => "BUILD_FAILED",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Name { .. } => {
                "use small letters, digits and -, a letter first, 64 at most: source-orders".into()
            }
            Self::Exists { .. } => "choose another name, or another folder with --into".into(),
            Self::NoProject { .. } => {
                "`lockgate new source NAME --lang rust` makes one; `lockgate build DIR` builds in DIR"
                    .into()
            }
            Self::Tool { install, .. } => format!("install it: {install}"),
            Self::Failed { .. } => "what it says is above".into(),
            Self::Io { .. } => return None,
        })
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Failed { .. } | Self::Io { .. } => ExitClass::Failed,
            _ => ExitClass::Usage,
        }
    }
}
