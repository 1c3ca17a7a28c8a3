//! `lockgate state show|set|clear`.

use std::io::Read as _;
use std::path::Path;

use serde_json::json;

use super::arguments::{State, StateAction};
use super::output::{CliError, Output, table};
use super::store::{here, open_store, state_folder};
use crate::config::ConfigError;
use crate::protocol::{StateMessage, StateScope, StreamDescriptor};
use crate::state::{StateStore, StoredState};

#[expect(clippy::unused_async, reason = "one shape for all commands")]
pub(super) async fn run(call: State, output: &Output) -> Result<(), CliError> {
    let Some(open) = open_store(&call.state, &state_folder(&here()?))? else {
        return Err(ConfigError::Usage("--state none keeps no states".into()).into());
    };
    let store = open.store;
    match call.action {
        StateAction::Show { connection: Some(connection) } => {
            let states = StoredState::shown(store.load(&connection)?);
            if states.is_empty() {
                let known: Vec<String> = store.connections()?.into_iter().map(|c| c.0).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                output.note(&format!("no states of {connection}; there are states of {known}"));
            }
            output.result(&format!("{}\n", StateMessage::list_to_file(&states)));
        }
        StateAction::Show { connection: None } => list(store.as_ref(), output)?,
        StateAction::Set { connection, file } => {
            let text = read(&file)?;
            let states = StateMessage::list_from_file(&text).map_err(|e| {
                ConfigError::Malformed { place: file.display().to_string(), reason: e.to_string() }
            })?;
            store.clear(&connection, None)?;
            let marked: Vec<StoredState> =
                states.into_iter().map(StoredState::incremental).collect();
            store.store(&connection, &marked, None)?;
            output.note(&format!("{} of {connection} stored", count(marked.len())));
        }
        StateAction::Clear { connection, stream } => {
            let cleared = if stream.is_empty() {
                store.clear(&connection, None)?
            } else {
                let streams = named(store.as_ref(), &connection, &stream)?;
                store.clear(&connection, Some(&streams))?
            };
            output.note(&format!("{} of {connection} cleared", count(cleared)));
        }
    }
    Ok(())
}

/// `1 state`, `2 states`.
fn count(states: usize) -> String {
    format!("{states} state{}", if states == 1 { "" } else { "s" })
}

fn list(store: &dyn StateStore, output: &Output) -> Result<(), CliError> {
    let connections = store.connections()?;
    if output.is_json() {
        let all = connections.iter().map(
            |(name, count, at)| json!({ "connection": name, "states": count, "stored_at": at }),
        );
        output.json(&all.collect::<Vec<_>>());
        return Ok(());
    }
    let rows = connections
        .into_iter()
        .map(|(name, count, _)| {
            vec![name, self::count(usize::try_from(count).unwrap_or(usize::MAX))]
        })
        .collect::<Vec<_>>();
    output.result(&table(&rows, &[]));
    Ok(())
}

/// The stored streams that the names mean.
fn named(
    store: &dyn StateStore,
    connection: &str,
    names: &[String],
) -> Result<Vec<StreamDescriptor>, CliError> {
    let stored: Vec<StreamDescriptor> = store
        .load(connection)?
        .iter()
        .filter_map(|stored| match stored.state.scope() {
            StateScope::Stream(descriptor) => Some(descriptor.clone()),
            StateScope::Global | StateScope::Legacy => None,
        })
        .collect();
    names
        .iter()
        .map(|name| {
            stored.iter().find(|d| d.to_string() == *name).cloned().ok_or_else(|| {
                let known: Vec<String> = stored.iter().map(ToString::to_string).collect();
                let what = format!(
                    "{connection} has no state of stream {name:?}; it has {}",
                    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                );
                ConfigError::Usage(what).into()
            })
        })
        .collect()
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
