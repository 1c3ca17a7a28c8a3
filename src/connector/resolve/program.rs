//! Programs of this machine. What is not there is said before anything runs.

use std::path::{Path, PathBuf};

use super::{Asking, ResolveError};
use crate::config::{ConnectorReference, LocalExecutable};

impl Asking<'_> {
    /// The program that the name or an option gives.
    pub(super) fn given_program(&self) -> Result<PathBuf, ResolveError> {
        match (self.reference, &self.options.local_executable) {
            (ConnectorReference::Process(program), _) => {
                self.program(program, self.name.to_owned())
            }
            (_, Some(LocalExecutable::Named(program))) => {
                self.program(program, "local-executable".to_owned())
            }
            _ => self.program(self.plain()?, "local-executable".to_owned()),
        }
    }

    fn program(&self, program: &str, asked: String) -> Result<PathBuf, ResolveError> {
        if program.contains('/') {
            let path = self.around.folder().join(program);
            return match self.around.is_program(&path) {
                Ok(()) => Ok(path),
                Err(why) => {
                    let what = format!("{} {why}", path.display());
                    Err(ResolveError::Program { asked, what })
                }
            };
        }
        self.around.program(program).ok_or_else(|| ResolveError::Program {
            asked,
            what: format!("no program named {program:?} is on PATH"),
        })
    }
}

/// Whether a file can be started.
pub(super) fn is_program(path: &Path) -> Result<(), String> {
    let file = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("cannot be read: {e}"),
    })?;
    if !file.is_file() {
        return Err("is no file".to_owned());
    }
    match rustix::fs::access(path, rustix::fs::Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(_) => Err("is not executable".to_owned()),
    }
}
