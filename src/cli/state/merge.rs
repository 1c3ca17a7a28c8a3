//! `lockgate state set`: what is there afterwards.

use std::collections::BTreeMap;

use super::named;
use crate::cli::output::CliError;
use crate::config::ConfigError;
use crate::protocol::{StateMessage, StateScope, StreamDescriptor, StreamPart};
use crate::state::{StateStore, StoredState};

/// Makes these all the states of a connection. Returns how many there are.
pub(super) fn all(
    store: &dyn StateStore,
    connection: &str,
    given: Vec<StateMessage>,
) -> Result<usize, CliError> {
    let generations = generations(store, connection)?;
    // One that cannot be read is replaced as well.
    let there = store.load(connection).unwrap_or_default();
    let stored = |state: StateMessage| {
        // A file does not say which states are of full reads. What comes back as it was shown stays
        // what it is.
        let of_full_read = |there: &&StoredState| {
            there.of_full_read && there.state.body().get() == state.body().get()
        };
        match there.iter().find(of_full_read) {
            Some(there) => there.clone(),
            None => counting(state, &generations),
        }
    };
    let states: Vec<StoredState> = given.into_iter().map(stored).collect();
    store.set(connection, &states, None)?;
    Ok(states.len())
}

/// Makes one stream's state that of the file. Returns how many it changed.
pub(super) fn one(
    store: &dyn StateStore,
    connection: &str,
    given: &[StateMessage],
    name: &str,
) -> Result<usize, CliError> {
    let parts: Vec<StreamPart> = given.iter().flat_map(StateMessage::parts).collect();
    let known: Vec<StreamDescriptor> = parts.iter().map(|part| part.descriptor.clone()).collect();
    let stream = named(&known, "the file", name)?;
    let is_its = |state: &StateMessage| *state.scope() == StateScope::Stream(stream.clone());
    let Some(part) = parts.into_iter().find(|part| part.descriptor == stream) else {
        return Ok(0);
    };
    let generations = generations(store, connection)?;
    let mut left = Vec::new();
    let mut is_in_all = false;
    for stored in store.load(connection)? {
        match stored.state.scope() {
            // What it said of itself, in either kind of read, is replaced.
            StateScope::Stream(of) if *of == stream => continue,
            StateScope::Legacy if !stored.of_full_read => {
                let what = format!(
                    "the state of {connection} has the form before protocol 0.2, which knows no streams; set all of it"
                );
                return Err(ConfigError::Usage(what).into());
            }
            StateScope::Global if !stored.of_full_read => {
                is_in_all = true;
                left.push(counting(stored.state.with_part(&part), &generations));
            }
            _ => left.push(stored),
        }
    }
    if !is_in_all {
        let whole = given.iter().find(|state| is_its(state)).cloned();
        let state =
            whole.unwrap_or_else(|| StateMessage::stream(stream.clone(), part.state.as_ref()));
        left.push(counting(state, &generations));
    }
    store.set(connection, &left, None)?;
    Ok(1)
}

type Generations = BTreeMap<StreamDescriptor, u64>;

fn generations(store: &dyn StateStore, connection: &str) -> Result<Generations, CliError> {
    let all = store.generations(connection)?;
    Ok(all.into_iter().map(|(stream, generation)| (stream, generation.number)).collect())
}

/// A state that counts in the generations there are: the next read goes on from it, whatever was
/// refreshed before.
fn counting(state: StateMessage, generations: &Generations) -> StoredState {
    let generations = match state.scope() {
        StateScope::Stream(of) => {
            generations.get(of).map(|number| (of.clone(), *number)).into_iter().collect()
        }
        StateScope::Global | StateScope::Legacy => generations.clone(),
    };
    StoredState { generations, ..StoredState::incremental(state) }
}
