//! A sync's numbers: which generation each stream is in, and which states it goes on from.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::plan::supported;
use super::write::blocking;
use super::{Confirmed, Plan, PlanError, StateSink, SyncError, WriteOptions};
use crate::protocol::{
    Catalog, ConfiguredStream, DestinationSyncMode, Failure, Specification, StateMessage,
    StateScope, StreamDescriptor, SyncMode,
};
use crate::state::{
    StateStore, StoredState, StreamBegin, StreamNumbers, StreamStart, SyncNumbers, SyncStart,
};

/// Reads everything again, and goes on from there (protocol 0.18, "Refreshes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refresh {
    /// Rows of earlier generations stay.
    Retain,
    /// They disappear once the stream is complete.
    Truncate,
}

/// How the streams of a sync begin.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Begin {
    pub(super) refresh: Option<Refresh>,
    /// Nothing is read, and nothing stays.
    pub(super) clear: bool,
    /// Whatever an earlier sync stored is of no use.
    pub(super) full_refresh: bool,
    /// It is another attempt of the sync with this id.
    pub(super) again: Option<u64>,
    /// See [`SyncStart::rows_stay`].
    pub(super) rows_stay: bool,
}

impl Begin {
    pub(super) fn of(options: &WriteOptions, again: Option<u64>, to: &Specification) -> Self {
        Self {
            refresh: options.refresh,
            clear: options.clear,
            full_refresh: options.full_refresh,
            again,
            rows_stay: to.supports_refreshes(),
        }
    }

    fn stream(&self, stream: &ConfiguredStream) -> StreamBegin {
        let full = stream.sync_mode == SyncMode::FullRefresh;
        let truncates = stream.truncates();
        match self.refresh {
            _ if self.clear => StreamBegin::Refresh { truncates: true, resumable: false },
            Some(refresh) => StreamBegin::Refresh {
                truncates: truncates || refresh == Refresh::Truncate,
                resumable: !full || stream.stream.resumable,
            },
            None if full => StreamBegin::FullRead {
                truncates,
                // What an earlier attempt of this sync stored is not old.
                resumable: stream.stream.resumable && (!self.full_refresh || self.again.is_some()),
            },
            None => StreamBegin::GoOn,
        }
    }

    pub(super) fn start(&self, catalog: &Catalog) -> SyncStart {
        let streams = catalog.streams.iter().map(|stream| StreamStart {
            descriptor: stream.stream.descriptor.clone(),
            begin: self.stream(stream),
        });
        SyncStart { streams: streams.collect(), again: self.again, rows_stay: self.rows_stay }
    }
}

/// Gives the streams their numbers, and the states the source goes on from.
pub(super) async fn number(
    plan: &mut Plan,
    connection: &str,
    store: &Arc<dyn StateStore>,
    begin: Begin,
    destination: &Specification,
) -> Result<Vec<StateMessage>, SyncError> {
    let start = begin.start(&plan.catalog);
    let key = connection.to_owned();
    let (numbers, stored) =
        blocking(store, move |s| Ok((s.begin_sync(&key, &start, None)?, s.load(&key)?))).await?;
    let SyncNumbers { sync_id, streams } = numbers;
    apply(plan, &streams, sync_id, destination)?;
    Ok(usable(&plan.catalog, &streams, stored))
}

/// Gives the streams of a plan their numbers. One whose earlier rows have to disappear because a
/// refresh before was interrupted is overwritten, where the destination does not know generations.
pub(super) fn apply(
    plan: &mut Plan,
    numbers: &[StreamNumbers],
    sync_id: u64,
    destination: &Specification,
) -> Result<(), PlanError> {
    for (stream, numbers) in plan.catalog.streams.iter_mut().zip(numbers) {
        stream.generation_id = numbers.generation;
        stream.minimum_generation_id = numbers.minimum_generation;
        stream.sync_id = sync_id;
        let overwrites = stream.destination_sync_mode == DestinationSyncMode::Overwrite;
        if !stream.truncates() || overwrites || destination.supports_refreshes() {
            continue;
        }
        if !destination.supports(DestinationSyncMode::Overwrite) {
            return Err(PlanError::CannotTruncate {
                stream: stream.stream.descriptor.to_string(),
                wanted: "the refresh that was interrupted",
                supported: supported(destination),
            });
        }
        stream.destination_sync_mode = DestinationSyncMode::Overwrite;
        plan.notes.push(format!(
            "stream {}: the refresh that was interrupted begins again, and its rows are overwritten",
            stream.stream.descriptor
        ));
    }
    Ok(())
}

/// Whether no refresh of the stream came after a state. One whose generation nobody noted counts until
/// a refresh comes.
pub(super) fn is_late(stored: &StoredState, stream: &StreamDescriptor, since: u64) -> bool {
    stored.generations.get(stream).map_or(since <= 1, |generation| *generation >= since)
}

/// Of the stored states those that this sync goes on from.
pub(super) fn usable(
    catalog: &Catalog,
    numbers: &[StreamNumbers],
    stored: Vec<StoredState>,
) -> Vec<StateMessage> {
    let of = |stream: &StreamDescriptor| {
        let mut streams = catalog.streams.iter().zip(numbers);
        streams.find(|(s, _)| s.stream.descriptor == *stream)
    };
    let counts = |stored: &StoredState| match (stored.state.scope(), stored.of_full_read) {
        (StateScope::Stream(stream), false) => of(stream).is_some_and(|(s, n)| {
            s.sync_mode == SyncMode::Incremental && is_late(stored, stream, n.since)
        }),
        (StateScope::Stream(stream), true) => of(stream).is_some_and(|(s, n)| {
            s.sync_mode == SyncMode::FullRefresh
                && n.goes_on
                && stored.generations.get(stream) == Some(&n.generation)
        }),
        // Where each of its streams begins again, what they share is of no use either.
        (StateScope::Global, false) => catalog.streams.iter().zip(numbers).any(|(s, n)| {
            s.sync_mode == SyncMode::Incremental && is_late(stored, &s.stream.descriptor, n.since)
        }),
        // It cannot be taken apart: one stream that begins again, and all do.
        (StateScope::Legacy, false) => {
            let mut streams = catalog.streams.iter().zip(numbers);
            streams.any(|(s, _)| s.sync_mode == SyncMode::Incremental)
                && catalog
                    .streams
                    .iter()
                    .zip(numbers)
                    .filter(|(s, _)| s.sync_mode == SyncMode::Incremental)
                    .all(|(s, n)| is_late(stored, &s.stream.descriptor, n.since))
        }
        (StateScope::Global | StateScope::Legacy, true) => false,
    };
    // A full refresh begins at the beginning, whatever an earlier sync stored. Its part of a global
    // state would make the source believe that there is nothing to read, and the destination replace
    // all rows by none.
    let begins_again = |stored: &StoredState, stream: &StreamDescriptor| {
        of(stream).is_some_and(|(s, n)| {
            s.sync_mode == SyncMode::FullRefresh || !is_late(stored, stream, n.since)
        })
    };
    let stored = stored.into_iter().filter(counts);
    stored.map(|s| s.state.clone().without(|stream| begins_again(&s, stream))).collect()
}

/// Whether a stream of this sync is read from its beginning.
fn is_read_in_full(catalog: &Catalog, stream: &StreamDescriptor) -> bool {
    let mut streams = catalog.streams.iter();
    streams.any(|s| s.sync_mode == SyncMode::FullRefresh && s.stream.descriptor == *stream)
}

/// Keeps states in the store.
pub(super) struct StoreSink {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) connection: String,
    pub(super) catalog: Arc<Catalog>,
}

impl StoreSink {
    /// The generation of each stream that a state covers.
    fn generations(&self, state: &StateMessage) -> BTreeMap<StreamDescriptor, u64> {
        let streams = self.catalog.streams.iter();
        let covered = streams.filter(|s| match state.scope() {
            StateScope::Stream(of) => s.stream.descriptor == *of,
            StateScope::Global | StateScope::Legacy => s.sync_mode == SyncMode::Incremental,
        });
        covered.map(|s| (s.stream.descriptor.clone(), s.generation_id)).collect()
    }
}

#[async_trait]
impl StateSink for StoreSink {
    async fn store(&self, states: Vec<Confirmed>) -> Result<(), Failure> {
        // A later incremental read must not go on from what a full read says of itself.
        let marked = |c: Confirmed| StoredState {
            generations: self.generations(&c.state),
            state: match c.of_full_read {
                true => c.state,
                false => c.state.without(|stream| is_read_in_full(&self.catalog, stream)),
            },
            of_full_read: c.of_full_read,
        };
        let states: Vec<StoredState> = states.into_iter().map(marked).collect();
        let connection = self.connection.clone();
        blocking(&self.store, move |s| s.store(&connection, &states, None))
            .await
            .map_err(|e| Failure::system(e.to_string()))
    }
}

/// Keeps nothing.
pub(super) struct Forget;

#[async_trait]
impl StateSink for Forget {
    async fn store(&self, _: Vec<Confirmed>) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Json, StreamPart};

    fn catalog() -> Catalog {
        let stream = |name: &str| {
            format!(
                r#"{{"stream":{{"name":"{name}","json_schema":{{}}}},"sync_mode":"incremental","destination_sync_mode":"append"}}"#
            )
        };
        let text = format!(r#"{{"streams":[{},{}]}}"#, stream("a"), stream("b"));
        Catalog::from_airbyte(&text).unwrap()
    }

    fn since(since: u64) -> StreamNumbers {
        StreamNumbers { generation: since, minimum_generation: 0, goes_on: false, since }
    }

    #[test]
    fn a_global_state_loses_what_begins_again() {
        let names = ["a", "b"].map(StreamDescriptor::new);
        let part = |descriptor: &StreamDescriptor| StreamPart {
            descriptor: descriptor.clone(),
            state: Some(Json::empty_object()),
        };
        let shared = Json::object(r#"{"lsn":7}"#).unwrap();
        let stored = StoredState {
            state: StateMessage::global(Some(&shared), &names.clone().map(|n| part(&n))),
            of_full_read: false,
            generations: names.clone().map(|name| (name, 1)).into(),
        };
        let given = |numbers: [u64; 2]| {
            let states = usable(&catalog(), &numbers.map(since), vec![stored.clone()]);
            let parts = |state: &StateMessage| {
                let parts = state.parts().into_iter();
                parts.map(|part| part.descriptor.name).collect::<Vec<_>>()
            };
            states.iter().map(parts).collect::<Vec<_>>()
        };
        assert_eq!(given([1, 1]), [["a", "b"]]);
        assert_eq!(given([2, 1]), [["b"]]);
        assert!(given([2, 2]).is_empty(), "what they share is of no use either");
    }

    #[test]
    fn a_full_refresh_goes_on_in_another_attempt_only() {
        let mut catalog = catalog();
        for stream in &mut catalog.streams {
            stream.sync_mode = SyncMode::FullRefresh;
            stream.stream.resumable = true;
        }
        let resumable = |begin: Begin| match begin.start(&catalog).streams[0].begin {
            StreamBegin::FullRead { resumable, .. } => resumable,
            other => panic!("{other:?}"),
        };
        let full = Begin { full_refresh: true, ..Begin::default() };
        assert!(!resumable(full), "nothing old is of use");
        assert!(resumable(Begin { again: Some(1), ..full }));
        assert!(resumable(Begin::default()));
    }
}
