//! Where a command's states are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::output::CliError;
use crate::cache::RecordCache;
use crate::config::{ConfigError, ConnectorReference, Project};
use crate::connector::Host;
use crate::state::{JsonStateStore, SqliteStateStore, StateStore};

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

/// What may stand behind `--state`.
const CHOICES: &str = "default, sqlite:PATH, json:PATH, postgres:URL and none";

/// What says where the states of a connection are kept: `--state`, else the project's file, else the
/// default. Paths of the file begin in its folder.
pub(super) struct StoreChoice<'a> {
    pub(super) given: Option<&'a str>,
    pub(super) of_file: Option<&'a str>,
    /// The project's folder, or the current one.
    pub(super) folder: &'a Path,
}

impl StoreChoice<'_> {
    /// Whether there is a store already, where that can be seen without opening it.
    pub(super) fn is_there(&self) -> bool {
        let (choice, base) = match (self.given, self.of_file) {
            (Some(choice), _) => (choice, Path::new("")),
            (None, choice) => (choice.unwrap_or("default"), self.folder),
        };
        match choice.split_once(':').unwrap_or((choice, "")) {
            ("default", _) => self.folder.join(".lockgate/state.db").exists(),
            ("sqlite" | "json", path) => base.join(path).exists(),
            _ => true,
        }
    }

    pub(super) async fn open(&self) -> Result<Option<OpenStore>, CliError> {
        match (self.given, self.of_file) {
            (Some(choice), _) => open_store(choice, self.folder, Path::new("")).await,
            (None, Some(choice)) => open_store(choice, self.folder, self.folder).await,
            (None, None) => open_store("default", self.folder, self.folder).await,
        }
    }
}

/// What `--state` names: `cache` is the cache's own database.
pub(super) fn state_choice(
    state: &str,
    cache: &str,
    opened: Option<&dyn RecordCache>,
) -> Result<String, ConfigError> {
    match (state, opened.map(RecordCache::describe)) {
        ("cache", None) => {
            Err(ConfigError::Usage("--state cache is for a sync with --cache".into()))
        }
        ("cache", Some(of)) if of.kind == "sqlite" => Ok(format!("sqlite:{}", of.place)),
        ("cache", Some(of)) if of.kind == "postgres" => Ok(cache.to_owned()),
        ("cache", Some(of)) => {
            Err(ConfigError::Usage(format!("a {} cache keeps no states", of.kind)))
        }
        (other, _) => Ok(other.to_owned()),
    }
}

/// Opens what `--state` names: `none`, `default`, `sqlite:PATH`, `json:PATH` or `postgres:URL`. The
/// default is in `folder`; relative paths begin in `base`.
pub(super) async fn open_store(
    choice: &str,
    folder: &Path,
    base: &Path,
) -> Result<Option<OpenStore>, CliError> {
    let file = |path: PathBuf, store: Arc<dyn StateStore>| {
        Ok(Some(OpenStore { store, folder: path.parent().map(Path::to_owned) }))
    };
    let (kind, place) = choice.split_once(':').unwrap_or((choice, ""));
    match (kind, place) {
        ("none", "") => Ok(None),
        ("default", "") => {
            let path = folder.join(".lockgate/state.db");
            let store = Arc::new(SqliteStateStore::open(&path)?);
            file(path, store)
        }
        ("sqlite", path) if !path.is_empty() => {
            let path = base.join(path);
            let store = Arc::new(SqliteStateStore::open(&path)?);
            file(path, store)
        }
        ("json", path) if !path.is_empty() => {
            let path = base.join(path);
            let store = Arc::new(JsonStateStore::open(&path)?);
            file(path, store)
        }
        ("postgres" | "postgresql", place) if !place.is_empty() => {
            // `postgres:postgres://…`, or the URL alone.
            let url = if place.starts_with("//") { choice } else { place };
            let store = open_server(url, folder).await?;
            Ok(Some(OpenStore { store, folder: Some(folder.join(".lockgate")) }))
        }
        _ => {
            // Something else may be a URL with a password.
            let shown = if choice.contains('/') { String::new() } else { format!(" {choice:?}") };
            let what = format!("--state{shown} is not one of {CHOICES}");
            Err(ConfigError::Usage(what).into())
        }
    }
}

#[cfg(feature = "postgres")]
async fn open_server(url: &str, folder: &Path) -> Result<Arc<dyn StateStore>, CliError> {
    let url = super::server::server(url, folder).await?;
    Ok(Arc::new(crate::state::PostgresStateStore::open(url)?))
}

#[cfg(not(feature = "postgres"))]
async fn open_server(_: &str, _: &Path) -> Result<Arc<dyn StateStore>, CliError> {
    let what =
        "this lockgate was built without stores on PostgreSQL: build it with --features postgres";
    Err(ConfigError::Usage(what.into()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_store_is_not_said_where_it_may_hold_a_password() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = open_store("postgress://me:hunter2@db/x", folder.path(), folder.path()).await;
        let Err(CliError::Fault(wrong)) = wrong else { panic!("it is no store") };
        assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
    }
}
