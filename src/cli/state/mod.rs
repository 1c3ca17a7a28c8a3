//! `lockgate state show|set|copy|clear`.

mod merge;
mod show;

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::arguments::{State, StateAction};
use super::output::{CliError, Output};
use super::store::{StoreChoice, here, open_store, state_choice, state_folder};
use crate::cache::open_cache;
use crate::config::{ConfigError, Project};
use crate::protocol::{StateMessage, StreamDescriptor};
use crate::state::{
    Fenced, Holder, LEASE_TIME, Remembered, StateStore, StateStoreError, StoredState,
};

pub(super) async fn run(call: State, output: &Output) -> Result<(), CliError> {
    let here = here()?;
    let folder = state_folder(&here);
    // A file that is broken is in the way of those only who need it.
    let project = Project::find(&here).ok();
    let name = match &call.action {
        StateAction::Show { connection, .. } => connection.as_deref(),
        StateAction::Set { connection, .. }
        | StateAction::Copy { connection, .. }
        | StateAction::Clear { connection, .. } => Some(connection.as_str()),
    };
    let of_file = match project.as_ref().zip(name).map(|(project, name)| project.stores_of(name)) {
        Some((Some("cache"), Some(cache))) => {
            let opened = open_cache(cache, &folder)?;
            Some(state_choice("cache", cache, opened.as_deref())?)
        }
        Some((state, _)) => state.map(str::to_owned),
        None => None,
    };
    let (given, of_file) = (call.state.as_deref(), of_file.as_deref());
    let choice = StoreChoice { given, of_file, folder: &folder };
    let Some(open) = choice.open().await? else {
        return Err(ConfigError::Usage("--state none keeps no states".into()).into());
    };
    let store = open.store;
    match call.action {
        StateAction::Show { connection: None, .. } => show::list(store.as_ref(), output),
        StateAction::Show { connection: Some(connection), stream, past } => {
            show::one(store.as_ref(), &connection, &stream, past, output)
        }
        StateAction::Set { connection, file, stream } => {
            let text = read(&file)?;
            let states = StateMessage::list_from_file(&text).map_err(|e| {
                ConfigError::Malformed { place: file.display().to_string(), reason: e.to_string() }
            })?;
            let hold = Hold::take(store, &connection)?;
            let count = match stream {
                Some(name) => merge::one(hold.store(), &connection, &states, &name)?,
                None => merge::all(hold.store(), &connection, states)?,
            };
            output.note(&format!("{} of {connection} stored", counted(count)));
            Ok(())
        }
        StateAction::Copy { connection, to } => {
            let Some(to) = open_store(&to, &folder, Path::new("")).await? else {
                return Err(ConfigError::Usage("the store none keeps no states".into()).into());
            };
            // Nobody syncs it by the one or by the other meanwhile.
            let (from, to) = (Hold::take(store, &connection)?, Hold::take(to.store, &connection)?);
            let remembered = Remembered::of(from.store(), &connection)?;
            to.store().adopt(&connection, &remembered, None)?;
            output.note(&format!("{} of {connection} copied", counted(remembered.states.len())));
            Ok(())
        }
        StateAction::Clear { connection, stream } => {
            let hold = Hold::take(store, &connection)?;
            let store = hold.store();
            let cleared = if stream.is_empty() {
                store.clear(&connection, None)?
            } else {
                let known = covered(&store.load(&connection)?);
                let streams = stream.iter().map(|name| named(&known, &connection, name));
                let streams = streams.collect::<Result<Vec<_>, _>>()?;
                store.clear(&connection, Some(&streams))?
            };
            output.note(&format!("{} of {connection} cleared", counted(cleared)));
            Ok(())
        }
    }
}

/// A connection that is held while its states are changed: nobody syncs it meanwhile.
struct Hold(Fenced);

impl Hold {
    fn take(store: Arc<dyn StateStore>, connection: &str) -> Result<Self, StateStoreError> {
        let lease = store.acquire(connection, &Holder::this_process(None), LEASE_TIME)?;
        Ok(Self(Fenced::new(store, lease)))
    }

    fn store(&self) -> &dyn StateStore {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // What cannot be given back ends by itself.
        let _ = self.0.release(self.0.lease());
    }
}

/// `1 state`, `2 states`.
fn counted(states: usize) -> String {
    format!("{states} state{}", if states == 1 { "" } else { "s" })
}

/// The streams that states are of, those of global states among them, once each.
fn covered(states: &[StoredState]) -> Vec<StreamDescriptor> {
    let parts = states.iter().flat_map(|stored| stored.state.parts());
    let mut streams: Vec<StreamDescriptor> = parts.map(|part| part.descriptor).collect();
    streams.sort();
    streams.dedup();
    streams
}

/// The stream that a name means: `namespace.name`, or the name alone where only one has it.
fn named(
    known: &[StreamDescriptor],
    of: &str,
    name: &str,
) -> Result<StreamDescriptor, ConfigError> {
    let mut found: Vec<&StreamDescriptor> =
        known.iter().filter(|stream| stream.to_string() == name).collect();
    if found.is_empty() {
        found = known.iter().filter(|stream| stream.name == name).collect();
    }
    let list = |streams: &mut dyn Iterator<Item = &StreamDescriptor>| {
        streams.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let known = list(&mut known.iter());
            let known = if known.is_empty() { "none".to_owned() } else { known };
            let what = format!("{of} has no state of stream {name:?}; it has {known}");
            Err(ConfigError::Usage(what))
        }
        several => {
            let several = list(&mut several.iter().copied());
            let what = format!("several streams of {of} are named {name:?}: {several}");
            Err(ConfigError::Usage(what))
        }
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    let unreadable = |e: std::io::Error| ConfigError::Unreadable {
        path: file.to_owned(),
        reason: e.to_string(),
    };
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(unreadable)
}
