//! Stored states as the stores have them: the form of a row, and what comes of storing some.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{Generation, PastStates, StoredState, StreamNumbers, SyncStart};
use crate::config::merge_members;
use crate::protocol::{Json, StateMessage, StateScope, StreamDescriptor};

/// The key of a global state.
pub(super) const GLOBAL: &str = "GLOBAL";
/// The key of a legacy state.
pub(super) const LEGACY: &str = "LEGACY";

/// A stored state, as its row is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) of_full_read: bool,
    pub(super) body: String,
    /// Of each stream it covers, as JSON.
    pub(super) generations: String,
}

impl Row {
    pub(super) fn of(stored: &StoredState) -> Self {
        let generations: Vec<_> = stored.generations.iter().collect();
        Self {
            of_full_read: stored.of_full_read,
            body: stored.state.body().get().to_owned(),
            // Strings and numbers always serialise.
            generations: serde_json::to_string(&generations).unwrap_or_default(),
        }
    }

    /// The state; what is wrong, where it cannot be what we wrote.
    pub(super) fn read(self) -> Result<StoredState, String> {
        let body = Json::parse(self.body).map_err(|e| e.to_string())?;
        let state = StateMessage::from_airbyte(body).map_err(|e| e.to_string())?;
        let generations: Vec<(StreamDescriptor, u64)> = serde_json::from_str(&self.generations)
            .map_err(|_| "its generations cannot be read")?;
        let generations = generations.into_iter().collect();
        Ok(StoredState { state, of_full_read: self.of_full_read, generations })
    }
}

/// States as they were put aside.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) number: u64,
    pub(super) sync_id: u64,
    pub(super) at: i64,
    pub(super) states: Vec<Row>,
}

impl Past {
    /// The states; what is wrong, where one cannot be what we wrote.
    pub(super) fn read(self) -> Result<PastStates, String> {
        let Self { number, sync_id, at, states } = self;
        Ok(PastStates { number, sync_id, at, states: read_all(states)? })
    }
}

/// The states of some rows.
pub(super) fn read_all(rows: Vec<Row>) -> Result<Vec<StoredState>, String> {
    rows.into_iter().map(Row::read).collect()
}

/// Of these streams what is to be remembered now that they are complete, by key, where that changes.
pub(super) fn closed(
    stored: &HashMap<String, Generation>,
    streams: &[StreamDescriptor],
) -> Vec<(String, Generation)> {
    let closed = |stream| {
        let key = stream_key(stream);
        let stored = stored.get(&key).filter(|stored| stored.open.is_some())?;
        Some((key, Generation { open: None, ..*stored }))
    };
    streams.iter().filter_map(closed).collect()
}

/// What is remembered of generations, by stream and in their order.
pub(super) fn by_stream(
    stored: HashMap<String, Generation>,
) -> Vec<(StreamDescriptor, Generation)> {
    let read = |(stream, generation): (String, Generation)| {
        Some((serde_json::from_str(&stream).ok()?, generation))
    };
    let mut all: Vec<(StreamDescriptor, Generation)> =
        stored.into_iter().filter_map(read).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Changed members of a configuration: later changes come on top of earlier ones of the same one.
pub(super) fn changed_again(earlier: Option<&Json>, members: &Json) -> Json {
    match earlier {
        Some(earlier) => merge_members(earlier, members),
        None => members.clone(),
    }
}

/// The key of a state within its connection.
pub(super) fn key(scope: &StateScope) -> String {
    match scope {
        StateScope::Stream(descriptor) => stream_key(descriptor),
        StateScope::Global => GLOBAL.to_owned(),
        StateScope::Legacy => LEGACY.to_owned(),
    }
}

/// The key of a stream: its descriptor as JSON.
pub(super) fn stream_key(descriptor: &StreamDescriptor) -> String {
    // Strings always serialise.
    serde_json::to_string(descriptor).unwrap_or_default()
}

/// What storing comes to, for the states of incremental or for those of full reads.
#[derive(Debug)]
pub(super) struct Effect<'a> {
    pub(super) of_full_read: bool,
    /// All that were there go; else only those of all streams together. The two forms exclude each
    /// other: what one says, the other would contradict.
    pub(super) all_go: bool,
    /// What comes, by its key.
    pub(super) states: BTreeMap<String, &'a StoredState>,
}

/// The effects of storing states one after the other.
pub(super) fn effects(states: &[StoredState]) -> Vec<Effect<'_>> {
    let of = |of_full_read: bool| {
        let mut effect = Effect { of_full_read, all_go: false, states: BTreeMap::new() };
        for stored in states.iter().filter(|stored| stored.of_full_read == of_full_read) {
            match stored.state.scope() {
                StateScope::Stream(_) => {
                    effect.states.retain(|key, _| key != GLOBAL && key != LEGACY);
                }
                StateScope::Global | StateScope::Legacy => {
                    effect.all_go = true;
                    effect.states.clear();
                }
            }
            effect.states.insert(key(stored.state.scope()), stored);
        }
        effect
    };
    [of(false), of(true)].into_iter().filter(|effect| !effect.states.is_empty()).collect()
}

/// The streams of a sync that begins: key, what to remember, what to tell the sync. `stored` is what is
/// remembered of each, `rows` the states there are.
pub(super) fn begin(
    start: &SyncStart,
    rows: &[Row],
    stored: &HashMap<String, Generation>,
) -> Vec<(String, Generation, StreamNumbers)> {
    let covers = |row: &Row| {
        let of: Vec<(StreamDescriptor, u64)> =
            serde_json::from_str(&row.generations).unwrap_or_default();
        let full = row.of_full_read;
        of.into_iter().map(move |(stream, number)| (stream, number, full))
    };
    let of = |stream: &StreamDescriptor| stored.get(&stream_key(stream)).copied();
    let begun = start.begin(of, rows.iter().flat_map(covers));
    let keys = start.streams.iter().map(|stream| stream_key(&stream.descriptor));
    keys.zip(begun).map(|(key, (next, numbers))| (key, next, numbers)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str, of_full_read: bool) -> StoredState {
        let state = StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap();
        StoredState { of_full_read, ..StoredState::incremental(state) }
    }

    #[test]
    fn the_last_form_wins_of_each_kind() {
        let stream = |name: &str, full| {
            let text = format!(
                r#"{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"{name}"}}}}}}"#
            );
            stored(&text, full)
        };
        let global = |full| stored(r#"{"type":"GLOBAL","global":{}}"#, full);
        let states = [stream("a", false), global(false), stream("b", true), stream("b", true)];
        let effects = effects(&states);
        let seen: Vec<_> = effects
            .iter()
            .map(|e| (e.of_full_read, e.all_go, e.states.keys().map(String::as_str).collect()))
            .collect::<Vec<(bool, bool, Vec<&str>)>>();
        assert_eq!(seen, [(false, true, vec![GLOBAL]), (true, false, vec![r#"{"name":"b"}"#])]);
        let states = [global(false), stream("a", false)];
        let effects = super::effects(&states);
        assert_eq!((effects[0].all_go, effects[0].states.len()), (true, 1));
    }
}
