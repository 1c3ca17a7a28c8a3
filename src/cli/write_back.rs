//! Writes what a connector changed of its configuration back where the operator wrote it.
//!
//! The attack: a connector changes the host that a grant is made of, and the next run dials it as the
//! operator's own. A member that a grant refers to is never written back, nor what stands for a secret.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::output::{CliError, Output};
use crate::config::{
    ConfigError, ConfigFile, ConfigPlace, WriteBackError, Written, config_digest, merge_members,
};
use crate::connector::ConfigCallback;
use crate::executor::secrets::Changes;
use crate::protocol::{Failure, Json};
use crate::state::{StateStore, StateStoreError, note_first_name};

/// Where a configuration stands: in a file, or in the call.
pub(super) type Origin = Option<(PathBuf, ConfigPlace)>;

/// The origin of `--config`: a file name, or JSON.
pub(super) fn origin(given: &str) -> Origin {
    let inline = given.trim_start().starts_with('{');
    (!inline).then(|| (PathBuf::from(given), ConfigPlace::Json))
}

/// What a sync keeps besides its files.
pub(super) struct Keep {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) connection: String,
    pub(super) side: &'static str,
    /// What a connection without a name will be called with this configuration.
    pub(super) renamed: Option<Renamed>,
}

/// See [`Keep::renamed`].
pub(super) type Renamed = Arc<dyn Fn(&Json) -> String + Send + Sync>;

/// Takes the changed configurations of a connector.
pub(super) struct WriteBack(Arc<Inner>);

struct Inner {
    who: &'static str,
    output: Output,
    /// None where it stands in the call, or in what is no file.
    file: Option<ConfigFile>,
    /// As the operator wrote it.
    first: Json,
    /// As it is now, as far as the connector changed it.
    known: Mutex<Json>,
    /// Members that grants are made of.
    fixed: Vec<String>,
    keep: Option<Keep>,
    /// What was said already.
    said: Mutex<Vec<String>>,
}

/// What went wrong: with the file, or with the state store.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    File(#[from] WriteBackError),
    #[error(transparent)]
    Store(#[from] StateStoreError),
}

/// The top-level members that templates in these grants name.
fn members_of(grants: &[String]) -> Vec<String> {
    let mut members = Vec::new();
    for grant in grants {
        let mut rest = grant.as_str();
        while let Some((_, after)) = rest.split_once("${") {
            let (path, left) = after.split_once('}').unwrap_or((after, ""));
            let path = path.trim();
            let path = path.strip_prefix("config.").unwrap_or(path);
            members.extend(path.split('.').next().map(str::to_owned));
            rest = left;
        }
    }
    members
}

/// The file of an origin, opened before anything of the connector runs.
pub(super) fn open(origin: Origin) -> Result<Option<ConfigFile>, CliError> {
    let Some((path, place)) = origin else { return Ok(None) };
    ConfigFile::open(&path, place)
        .map_err(|e| ConfigError::Unreadable { path, reason: e.to_string() }.into())
}

impl WriteBack {
    /// For a connector whose configuration is in this file. `grants` are those of its network.
    pub(super) fn new(
        who: &'static str,
        file: Option<ConfigFile>,
        config: &Json,
        grants: &[String],
        keep: Option<Keep>,
        output: Output,
    ) -> Self {
        let (first, known) = (config.clone(), Mutex::new(config.clone()));
        let (fixed, said) = (members_of(grants), Mutex::default());
        Self(Arc::new(Inner { who, output, file, first, known, fixed, keep, said }))
    }
}

#[async_trait]
impl ConfigCallback for WriteBack {
    async fn changed(&self, config: Json) -> Result<(), Failure> {
        let inner = self.0.clone();
        let written = tokio::task::spawn_blocking(move || inner.write(&config));
        let written = written.await.map_err(|e| Failure::system(e.to_string()))?;
        written.map_err(|fault| Failure::system(fault.to_string()))
    }
}

impl Inner {
    fn write(&self, config: &Json) -> Result<(), Fault> {
        let place = match &self.keep {
            Some(_) => "is kept in the state store only",
            None => "is kept nowhere: the next run begins with the old one",
        };
        let Some(file) = &self.file else {
            self.say(format!("its configuration is in no file: what it changed {place}"));
            return Ok(());
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = config_digest(&self.first);
        let written = file.write(&known, config, &self.fixed, |written| {
            self.rename(&before, written).map_err(Fault::from)
        })?;
        for member in &written.places {
            self.say(format!(
                "it changed {member}, which stands for a secret, which a grant is made of, or for which {} has no form: the new value {place}",
                file.path().display()
            ));
        }
        if let Some(keep) = &self.keep
            && config_digest(&written.config) != before
        {
            // All of it is in the file now, or under the digest that the file now has.
            keep.store.replace_changed_config(&keep.connection, keep.side, &before, None)?;
        }
        *known = merge_members(&known, &own(&known, config, &written));
        Ok(())
    }

    /// Sees to it that the next run finds what belongs to a configuration, before it is changed.
    fn rename(&self, before: &str, written: &Written) -> Result<(), StateStoreError> {
        let Some(keep) = &self.keep else { return Ok(()) };
        let digest = config_digest(&written.config);
        if digest == before {
            return Ok(());
        }
        let back = Json::from_value(&written.kept_back.clone().into());
        let back = Changes::new(&written.config, &Json::empty_object()).conceal(&back);
        let back = (!written.kept_back.is_empty()).then_some(&back);
        keep.store.replace_changed_config(&keep.connection, keep.side, &digest, back)?;
        match &keep.renamed {
            Some(renamed) => {
                let name = renamed(&written.config);
                note_first_name(keep.store.as_ref(), &name, &keep.connection)
            }
            None => Ok(()),
        }
    }

    fn say(&self, what: String) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.contains(&what) {
            self.output.note(&format!("{}: {what}", self.who));
            said.push(what);
        }
    }
}

/// The members that a connector changed, as its file has them now.
fn own(known: &Json, config: &Json, written: &Written) -> Json {
    let object = |json: &Json| json.to_value().unwrap_or_default();
    let (known, config, now) = (object(known), object(config), object(&written.config));
    let mut own = serde_json::Map::new();
    for (name, value) in config.as_object().into_iter().flatten() {
        if known.get(name) != Some(value)
            && let Some(value) = now.get(name)
        {
            own.insert(name.clone(), value.clone());
        }
    }
    Json::from_value(&own.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_grants_are_made_of() {
        let grants = ["${host}:${config.port}", "x.${ region.name }.y:1", "a:1", "${odd"];
        let found = members_of(&grants.map(str::to_owned));
        assert_eq!(found, ["host", "port", "region", "odd"]);
    }
}
