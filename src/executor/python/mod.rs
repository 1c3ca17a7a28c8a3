//! Runs a connector that is a Python package, in an environment of its own that `uv` makes.

use std::path::PathBuf;

use async_trait::async_trait;

use super::{Described, Executor, ExecutorError};
use crate::sandbox::Policy;

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
    policy: Policy,
    _base: PathBuf,
}

impl PythonExecutor {
    /// Runs a package under a policy, in a project whose folder is `base`. Nothing is installed yet.
    ///
    /// # Errors
    /// [`ExecutorError`], where the policy grants what a process cannot have.
    pub fn new(
        settings: PythonSettings,
        policy: Policy,
        base: PathBuf,
    ) -> Result<Self, ExecutorError> {
        Ok(Self { settings, policy, _base: base })
    }
}

#[async_trait]
impl Executor for PythonExecutor {
    fn describe(&self) -> Described {
        Described {
            executor: "python",
            reference: self.settings.requirement.join(" "),
            digest: None,
            fence: None,
        }
    }

    fn policy(&self) -> Option<&Policy> {
        Some(&self.policy)
    }
}
