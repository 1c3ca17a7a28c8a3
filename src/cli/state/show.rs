//! `lockgate state show`.

use serde::Serialize;
use serde_json::json;

use super::{counted, covered, named};
use crate::cli::output::{CliError, Output, table};
use crate::config::ConfigError;
use crate::protocol::{Json, StateMessage, StateScope, StreamDescriptor};
use crate::runs::time;
use crate::state::{Generation, Held, Open, StateStore, StoredState};

/// Streams whose generations are listed for people.
const LISTED: usize = 5;

/// The states of one connection, in the protocol's form.
pub(super) fn one(
    store: &dyn StateStore,
    connection: &str,
    names: &[String],
    past: Option<Option<u64>>,
    output: &Output,
) -> Result<(), CliError> {
    let stored = match past {
        None => store.load(connection)?,
        Some(None) => return times(store, connection, output),
        Some(Some(number)) => {
            let past = store.past(connection)?;
            let known = past.iter().map(|past| past.number.to_string()).collect::<Vec<_>>();
            let found = past.into_iter().find(|past| past.number == number);
            let none = || {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let what = format!("{connection} has no past states {number}; it has {known}");
                ConfigError::Usage(what)
            };
            found.ok_or_else(none)?.states
        }
    };
    let known = covered(&stored);
    let mut states = StoredState::shown(stored);
    if !names.is_empty() {
        let streams = names.iter().map(|name| named(&known, connection, name));
        states = only(states, &streams.collect::<Result<Vec<_>, _>>()?);
    }
    if states.is_empty() && past.is_none() {
        let known: Vec<String> = store.connections()?.into_iter().map(|c| c.0).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        output.note(&format!("no states of {connection}; there are states of {known}"));
    }
    output.result(&format!("{}\n", StateMessage::list_to_file(&states)));
    if !output.is_json() && past.is_none() {
        for (stream, generation) in store.generations(connection)? {
            if let Some(open) = generation.open {
                let word = open_word(open);
                output.note(&format!(
                    "{stream}: {word} is not complete (generation {})",
                    generation.number
                ));
            }
        }
        if let Some(held) = held(store, connection)? {
            output.note(&format!("{connection} is being synced by {held}"));
        }
    }
    Ok(())
}

/// Of the states what they say of these streams.
fn only(states: Vec<StateMessage>, streams: &[StreamDescriptor]) -> Vec<StateMessage> {
    let is_one = |state: &StateMessage| match state.scope() {
        StateScope::Stream(of) => streams.contains(of),
        StateScope::Global => true,
        StateScope::Legacy => false,
    };
    let states = states.into_iter().filter(is_one);
    states.map(|state| state.without(|stream| !streams.contains(stream))).collect()
}

/// The times at which a connection's states are remembered.
fn times(store: &dyn StateStore, connection: &str, output: &Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Past {
        number: u64,
        sync_id: u64,
        at: i64,
        /// As they are: a number in them may have any length.
        states: Vec<Json>,
    }
    let past = store.past(connection)?.into_iter().map(|past| {
        let states = StoredState::shown(past.states).iter().map(|s| s.body().clone()).collect();
        Past { number: past.number, sync_id: past.sync_id, at: past.at, states }
    });
    let past: Vec<Past> = past.collect();
    if output.is_json() {
        output.json(&past);
        return Ok(());
    }
    let rows = past.iter().map(|past| {
        let sync = match past.sync_id {
            0 => String::new(),
            sync => format!("after sync {sync}"),
        };
        vec![past.number.to_string(), shown(past.at), counted(past.states.len()), sync]
    });
    output.result(&table(&rows.collect::<Vec<_>>(), &[0]));
    Ok(())
}

/// Every connection that has states.
pub(super) fn list(store: &dyn StateStore, output: &Output) -> Result<(), CliError> {
    let connections = store.connections()?;
    if output.is_json() {
        let all = connections.into_iter().map(|(name, count, at)| {
            let streams = store.generations(&name)?.into_iter().map(|(stream, generation)| {
                json!({
                    "name": stream.name, "namespace": stream.namespace,
                    "generation": generation.number, "since": generation.since,
                    "open": generation.open,
                })
            });
            let streams: Vec<_> = streams.collect();
            let held = store.held(&name)?.map(|held| {
                json!({
                    "holder": held.holder, "since": held.since, "until": held.until,
                    "ended": held.ended,
                })
            });
            Ok(json!({
                "connection": name, "states": count, "stored_at": at, "streams": streams,
                "held": held,
            }))
        });
        output.json(&all.collect::<Result<Vec<_>, CliError>>()?);
        return Ok(());
    }
    let mut rows = Vec::with_capacity(connections.len());
    for (name, count, _) in connections {
        let count = counted(usize::try_from(count).unwrap_or(usize::MAX));
        let generations = of_people(&store.generations(&name)?);
        let held = held(store, &name)?.map(|held| format!("synced by {held}")).unwrap_or_default();
        rows.push(vec![name, count, generations, held]);
    }
    output.result(&table(&rows, &[]));
    Ok(())
}

/// Of the streams those that were refreshed, or whose read is not complete.
fn of_people(generations: &[(StreamDescriptor, Generation)]) -> String {
    let worth = generations.iter().filter(|(_, g)| g.number > 1 || g.open.is_some());
    let mut shown: Vec<String> = worth
        .map(|(stream, generation)| {
            let open = generation.open.map(|open| format!(", {} open", open_word(open)));
            format!("{stream}: generation {}{}", generation.number, open.unwrap_or_default())
        })
        .collect();
    if shown.len() > LISTED {
        let more = shown.len() - LISTED;
        shown.truncate(LISTED);
        shown.push(format!("and {more} more"));
    }
    shown.join("; ")
}

fn open_word(open: Open) -> &'static str {
    match open {
        Open::Read => "a full read",
        Open::TruncatingRead => "a full read that replaces",
        Open::Refresh => "a refresh",
        Open::TruncatingRefresh => "a refresh that replaces",
    }
}

/// Who runs a connection now.
fn held(store: &dyn StateStore, connection: &str) -> Result<Option<String>, CliError> {
    let held = store.held(connection)?.filter(|held| !held.ended);
    let words = |held: Held| {
        let holder = held.holder.map_or_else(|| "another host".to_owned(), |h| h.to_string());
        format!("{holder} since {}", shown(held.since))
    };
    Ok(held.map(words))
}

fn shown(ms: i64) -> String {
    time(u64::try_from(ms).unwrap_or(0))
}
