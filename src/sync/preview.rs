//! What a sync would do, without doing it: `lockgate sync --dry-run`.
//!
//! Both sides are asked what a sync asks them before its first row. Nothing is moved, no number is
//! counted and no state is stored; only what a connector changes in its own configuration is kept, as
//! ever, because a token that works once has worked.

use std::collections::HashMap;

use serde::Serialize;

use super::numbers::{Begin, apply, is_late, usable};
use super::plan::NamedBy;
use super::write::{Asked, blocking};
use super::{ConnectorReport, SyncError, WriteOptions, default_connection};
use crate::connector::{Destination, Source};
use crate::protocol::{
    ConfiguredStream, DestinationSyncMode, StateScope, StreamDescriptor, SyncMode,
};
use crate::sandbox::secrets::Redactor;
use crate::state::{
    Generation, StateStore, StateStoreError, StoredState, StreamNumbers, SyncStart,
};

/// What a sync would do. `lockgate sync --dry-run --output json` prints it as it is here: members are
/// only ever added.
#[derive(Debug, Clone, Serialize)]
pub struct PlanReport {
    /// The key of its states.
    pub connection: String,
    /// Where rows would come from.
    pub source: ConnectorReport,
    /// Where they would go.
    pub destination: ConnectorReport,
    /// `read`, `full_refresh`, `refresh_retain`, `refresh_truncate` or `clear`.
    pub operation: &'static str,
    /// In the source's order.
    pub streams: Vec<StreamPlan>,
    /// Fallbacks and their consequences.
    pub notes: Vec<String>,
}

/// What a sync would do with one stream.
#[derive(Debug, Clone, Serialize)]
pub struct StreamPlan {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// `full_refresh` or `incremental`.
    pub sync_mode: &'static str,
    /// `append`, `overwrite`, `append_dedup`.
    pub destination_sync_mode: &'static str,
    /// Why these.
    pub why: String,
    /// A path for each column of its key.
    pub primary_key: Vec<Vec<String>>,
    /// Who named it.
    pub primary_key_from: NamedBy,
    /// The path of its cursor.
    pub cursor_field: Vec<String>,
    /// Who named it.
    pub cursor_from: NamedBy,
    /// Its generations.
    pub generation: GenerationPlan,
    /// What becomes of an earlier sync that did not complete it: `goes_on`, `begins_again`, or
    /// `left`, where nobody asks for the rest of it; none: there is none.
    pub interrupted: Option<&'static str>,
    /// Where its source goes on from.
    pub state: StatePlan,
    /// What disappears, and when; none: nothing.
    pub deletes: Option<String>,
}

/// A stream's generations.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct GenerationPlan {
    /// The latest; none: there is none.
    pub current: Option<u64>,
    /// That of the sync.
    pub next: u64,
    /// Rows of generations below it disappear; 0: none do.
    pub minimum: u64,
}

/// Where a state comes from.
#[derive(Debug, Clone, Serialize)]
pub struct StatePlan {
    /// `store`, `cache`, or `none`: then it is read from its beginning.
    pub from: &'static str,
    /// When a state of the connection was stored last, as RFC 3339.
    pub stored_at: Option<String>,
}

impl PlanReport {
    fn hide(&mut self, redactor: &Redactor) {
        let hide = |text: &mut String| {
            if let std::borrow::Cow::Owned(hidden) = redactor.redact(text) {
                *text = hidden;
            }
        };
        for stream in &mut self.streams {
            hide(&mut stream.name);
            stream.namespace.as_mut().map(hide);
            stream.cursor_field.iter_mut().for_each(hide);
            stream.primary_key.iter_mut().flatten().for_each(hide);
        }
        self.notes.iter_mut().for_each(hide);
    }
}

/// What is stored of a connection.
#[derive(Default)]
struct Stored {
    generations: HashMap<StreamDescriptor, Generation>,
    states: Vec<StoredState>,
    at: Option<String>,
}

impl Stored {
    fn of(store: &dyn StateStore, connection: &str) -> Result<Self, StateStoreError> {
        let all = store.connections()?;
        let at = all.into_iter().find(|(name, _, _)| name == connection).map(|(_, _, at)| at);
        let at = at.and_then(|at| u64::try_from(at).ok()).map(crate::runs::time);
        let generations = store.generations(connection)?.into_iter().collect();
        Ok(Self { generations, states: store.load(connection)?, at })
    }

    /// The numbers that a store would give.
    fn begin(&self, start: &SyncStart) -> Vec<StreamNumbers> {
        let stored = |stream: &StreamDescriptor| self.generations.get(stream).copied();
        let begun = start.begin(stored, self.states.iter().flat_map(StoredState::covers));
        begun.into_iter().map(|(_, numbers)| numbers).collect()
    }

    /// What becomes of what an earlier sync did not complete.
    fn interrupted(
        &self,
        stream: &StreamDescriptor,
        numbers: &StreamNumbers,
    ) -> Option<&'static str> {
        let stored = self.generations.get(stream)?;
        stored.open?;
        Some(match (numbers.goes_on, numbers.minimum_generation > 0) {
            (true, _) => "goes_on",
            (false, true) => "begins_again",
            (false, false) if numbers.since == numbers.generation => "begins_again",
            (false, false) => "left",
        })
    }
}

impl Destination {
    /// What [`Destination::write`] would do with the same arguments. Nothing is moved or stored.
    ///
    /// # Errors
    /// [`SyncError`], as `write` would give it before its first row.
    pub async fn plan(
        &self,
        source: &Source,
        options: &WriteOptions,
    ) -> Result<PlanReport, SyncError> {
        let connection = options
            .connection
            .clone()
            .unwrap_or_else(|| default_connection(source.connector(), self.connector()));
        let Asked { mut plan, source: from, destination: to } =
            self.ask(source, &connection, options).await?;
        let begin = Begin::of(options, None, &to.spec);
        let start = begin.start(&plan.catalog);
        let stored = match &options.state {
            Some(store) => {
                let connection = connection.clone();
                blocking(store, move |s| Stored::of(s, &connection)).await?
            }
            None => Stored::default(),
        };
        let numbers = stored.begin(&start);
        apply(&mut plan, &numbers, 0, &to.spec)?;
        let usable = usable(&plan.catalog, &numbers, stored.states.clone());
        let cached = cached(source, options).await;
        let streams = plan.catalog.streams.iter().zip(&numbers).zip(&plan.reasons);
        let streams = streams.map(|((stream, numbers), reasons)| {
            let descriptor = &stream.stream.descriptor;
            let covers = |scope: &StateScope| match scope {
                StateScope::Stream(of) => of == descriptor,
                StateScope::Global | StateScope::Legacy => {
                    stream.sync_mode == SyncMode::Incremental
                        && stored.states.iter().any(|s| {
                            s.state.scope() == scope && is_late(s, descriptor, numbers.since)
                        })
                }
            };
            let from = if options.clear {
                "none"
            } else if cached.iter().any(|s| covers(s.state.scope())) {
                "cache"
            } else if usable.iter().any(|s| covers(s.scope())) {
                "store"
            } else {
                "none"
            };
            StreamPlan {
                name: descriptor.name.clone(),
                namespace: descriptor.namespace.clone(),
                sync_mode: stream.sync_mode.airbyte(),
                destination_sync_mode: stream.destination_sync_mode.airbyte(),
                why: reasons.modes.clone(),
                primary_key: stream.primary_key.clone(),
                primary_key_from: reasons.primary_key,
                cursor_field: stream.cursor_field.clone(),
                cursor_from: reasons.cursor,
                generation: GenerationPlan {
                    current: stored.generations.get(descriptor).map(|g| g.number),
                    next: numbers.generation,
                    minimum: numbers.minimum_generation,
                },
                interrupted: stored.interrupted(descriptor, numbers),
                state: StatePlan { from, stored_at: stored.at.clone().filter(|_| from == "store") },
                deletes: deletes(stream, options.clear),
            }
        });
        let mut report = PlanReport {
            source: from.report(),
            destination: to.report(),
            operation: operation(options),
            streams: streams.collect(),
            notes: plan.notes.clone(),
            connection,
        };
        for side in [source.connector(), self.connector()] {
            report.hide(&side.executor().redactor());
        }
        Ok(report)
    }
}

/// The states of the cache, where there is one that can be read.
async fn cached(source: &Source, options: &WriteOptions) -> Vec<StoredState> {
    let Some(cache) = options.cache.clone() else { return Vec::new() };
    let key =
        options.source_key.clone().unwrap_or_else(|| super::default_source_key(source.connector()));
    super::cached::blocking(&cache, move |cache| cache.states(&key)).await.unwrap_or_default()
}

fn operation(options: &WriteOptions) -> &'static str {
    match options.refresh {
        _ if options.clear => "clear",
        Some(super::Refresh::Retain) => "refresh_retain",
        Some(super::Refresh::Truncate) => "refresh_truncate",
        None if options.full_refresh => "full_refresh",
        None => "read",
    }
}

/// What disappears, and when.
fn deletes(stream: &ConfiguredStream, clear: bool) -> Option<String> {
    if clear {
        return Some("all its rows".to_owned());
    }
    if stream.destination_sync_mode == DestinationSyncMode::Overwrite {
        return Some("its earlier rows, once it is complete".to_owned());
    }
    stream.truncates().then(|| {
        let minimum = stream.minimum_generation_id;
        format!("rows of generations before {minimum}, once it is complete")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Json, StateMessage};
    use crate::state::{SqliteStateStore, StreamBegin, StreamStart};

    /// What is foretold is what a store does.
    #[test]
    fn a_store_does_what_was_foretold() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStateStore::open(&folder.path().join("state.db")).unwrap();
        let stream = StreamDescriptor::new("a");
        let state = |generation: u64, of_full_read| StoredState {
            state: StateMessage::stream(stream.clone(), Some(&Json::empty_object())),
            of_full_read,
            generations: [(stream.clone(), generation)].into(),
        };
        let refresh = |truncates| StreamBegin::Refresh { truncates, resumable: true };
        let full = StreamBegin::FullRead { truncates: true, resumable: true };
        let go_on = StreamBegin::GoOn;
        // How it begins, whether a state is stored in it (of a full read), whether it is completed.
        let syncs = [
            (go_on, Some(false), true),
            (go_on, Some(false), true),
            (refresh(true), None, false),
            (refresh(true), Some(false), false),
            (go_on, Some(false), true),
            (full, Some(true), false),
            (full, None, true),
            (refresh(false), None, false),
            (full, None, false),
            (go_on, None, true),
        ];
        for (number, (begin, state_of, completes)) in syncs.into_iter().enumerate() {
            let start = SyncStart {
                streams: vec![StreamStart { descriptor: stream.clone(), begin }],
                again: None,
                rows_stay: number % 2 == 0,
            };
            let before = Stored::of(&store, "c").unwrap();
            let foretold = before.begin(&start);
            let given = store.begin_sync("c", &start, None).unwrap();
            assert_eq!(foretold, given.streams, "sync {number}");
            if let Some(of_full_read) = state_of {
                let generation = given.streams[0].generation;
                store.store("c", &[state(generation, of_full_read)], None).unwrap();
            }
            if completes {
                store.complete("c", std::slice::from_ref(&stream), None).unwrap();
            }
        }
    }
}
