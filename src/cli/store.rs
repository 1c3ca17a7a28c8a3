//! Where a command's states are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::output::CliError;
use crate::config::{ConfigError, ConnectorReference, Project};
use crate::connector::Host;
use crate::state::{SqliteStateStore, StateStore};

/// The current folder.
pub(super) fn here() -> Result<PathBuf, ConfigError> {
    std::env::current_dir()
        .map_err(|e| ConfigError::Unreadable { path: PathBuf::from("."), reason: e.to_string() })
}

/// Beside lockgate.toml when there is one, else here.
pub(super) fn state_folder(here: &Path) -> PathBuf {
    match Project::find(here) {
        Ok(project) => project.folder().to_owned(),
        Err(_) => here.to_owned(),
    }
}

/// A host for a connector that is named on the command line: relative paths begin here, and names are
/// looked up in the project that is here or above.
pub(super) fn host_here(names: &[&str]) -> Result<Host, ConfigError> {
    match Project::find(&here()?) {
        Ok(project) => Ok(Host::new().in_project(&project)),
        Err(ConfigError::NoProject) => Ok(Host::new()),
        Err(error) => {
            // A file that is broken is in the way of those only who need it.
            let looked_up = |name: &&str| {
                matches!(ConnectorReference::parse(name), Ok(ConnectorReference::Name(_)))
            };
            if names.iter().any(looked_up) { Err(error) } else { Ok(Host::new()) }
        }
    }
}

/// Where states are kept.
pub(super) struct OpenStore {
    pub(super) store: Arc<dyn StateStore>,
    /// Where its locks are.
    pub(super) folder: Option<PathBuf>,
}

/// The file that `--state` names.
fn file(choice: &str, folder: &Path) -> Result<Option<PathBuf>, ConfigError> {
    match choice {
        "none" => Ok(None),
        "default" => Ok(Some(folder.join(".lockgate/state.db"))),
        other => match other.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Some(PathBuf::from(path))),
            _ => {
                let what = format!("--state {other:?} is not one of default, sqlite:PATH and none");
                Err(ConfigError::Usage(what))
            }
        },
    }
}

/// Opens what `--state` names where there is something, for a command that stores nothing.
pub(super) fn open_store_that_is_there(
    choice: &str,
    folder: &Path,
) -> Result<Option<OpenStore>, CliError> {
    match file(choice, folder)? {
        Some(path) if !path.exists() => Ok(None),
        _ => open_store(choice, folder),
    }
}

/// Opens what `--state` names: `none`, `default` or `sqlite:PATH`.
pub(super) fn open_store(choice: &str, folder: &Path) -> Result<Option<OpenStore>, CliError> {
    let Some(path) = file(choice, folder)? else { return Ok(None) };
    let store = Arc::new(SqliteStateStore::open(&path)?);
    Ok(Some(OpenStore { store, folder: path.parent().map(Path::to_owned) }))
}
