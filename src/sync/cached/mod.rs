//! A sync through a cache: the source is read into it, then the destination is written from it.
//!
//! Each half is a pipeline with a ledger of its own, and fails by itself. A read that failed leaves in
//! the cache what was committed there, and the destination is given nothing of it; a write that failed
//! leaves the cache ahead, and the next sync of this destination begins where it stopped, whether the
//! source is there or not. The source goes on from the states that the cache has, the destination from
//! the place that it confirmed ([`place`]).

mod fill;
mod numbers;
mod offered;
mod place;
mod replay;
mod send;
mod start;

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

pub(super) use place::for_source;

use self::fill::Fill;
use self::numbers::{Begins, begin_streams};
use self::offered::{offered, with_offer};
use self::send::Sent;
use super::data::SourceData;
use super::numbers::{Begin, Forget, usable};
use super::plan::Wanted;
use super::read::ReadResult;
use super::sides::{Side, ready};
use super::write::{IDLE_TIME, Watch, complete, judged};
use super::{
    ConnectorReport, Counters, Ledger, Plan, Report, SyncError, SyncFailure, WriteOptions,
    WriteResult, default_source_key, pipeline,
};
use crate::cache::{CacheError, CachedRead, RecordCache};
use crate::connector::{Connector, Destination, Silent};
use crate::executor::{Cancel, Described, Executor};
use crate::protocol::{Catalog, DestinationSyncMode, Json, Specification, StateMessage, now_ms};
use crate::state::{StoredState, StreamNumbers};

/// The cache of a sync, in its report.
#[derive(Debug, Clone, Serialize)]
pub struct CacheReport {
    /// `sqlite`, `postgres`, `duckdb`.
    pub kind: &'static str,
    /// A path, or an address without credentials.
    pub place: String,
    /// The key of the source in it.
    pub source_key: String,
}

impl CacheReport {
    fn new(cache: &dyn RecordCache, source_key: &str) -> Self {
        let described = cache.describe();
        let source_key = source_key.to_owned();
        Self { kind: described.kind, place: described.place, source_key }
    }
}

/// The read of a sync that has ended well, for its later attempts: whether it went on from states of
/// an earlier one, and what it read.
pub(super) type Filled = Mutex<Option<(bool, Vec<CachedRead>)>>;

/// How a cache is run, for reports.
fn described(cache: &dyn RecordCache) -> Described {
    let reference = cache.describe().to_string();
    Described { executor: "cache", reference, digest: None, fence: None }
}

/// A cache as one side of a pipeline.
fn as_connector(cache: &dyn RecordCache, executor: Arc<dyn Executor>) -> Connector {
    let name = cache.describe().to_string();
    Connector::new(name, executor, Json::empty_object(), Arc::new(Silent))
}

/// Runs something that blocks on a cache off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    cache: &Arc<dyn RecordCache>,
    body: impl FnOnce(&dyn RecordCache) -> Result<T, CacheError> + Send + 'static,
) -> Result<T, CacheError> {
    let asked = cache.clone();
    let ran = tokio::task::spawn_blocking(move || body(asked.as_ref())).await;
    ran.unwrap_or_else(|_| {
        let reason = "a fault in the host ended the operation".into();
        Err(CacheError::Database { cache: cache.describe().to_string(), reason })
    })
}

/// What a cache keeps, as if it were a destination: it can everything.
fn cache_specification() -> Specification {
    use DestinationSyncMode::{Append, AppendDedup, Overwrite};
    Specification {
        name: "cache".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        documentation_url: None,
        config_schema: Json::empty_object(),
        destination_sync_modes: Some(vec![Append, Overwrite, AppendDedup]),
        needs: Vec::new(),
        extra: serde_json::Map::new(),
    }
}

/// What both halves share.
struct Halves<'a> {
    cache: Arc<dyn RecordCache>,
    key: String,
    connection: &'a str,
    options: &'a WriteOptions,
    cancel: Cancel,
}

impl<'a> Halves<'a> {
    fn new(
        cache: &Arc<dyn RecordCache>,
        key: String,
        connection: &'a str,
        options: &'a WriteOptions,
    ) -> Self {
        let cancel = options.cancel.clone().unwrap_or_else(|| Cancel::new().1);
        Self { cache: cache.clone(), key, connection, options, cancel }
    }

    /// Reads the source into the cache. Gives whether it went on from states that were there, and what
    /// was read.
    async fn fill(
        &self,
        source: &Side,
        catalog: &Arc<Catalog>,
        begins: &[Begins],
        counters: &Arc<Counters>,
    ) -> Result<(bool, Vec<CachedRead>), SyncError> {
        let states = self.states(catalog, begins).await?;
        let resumed = !states.is_empty();
        let source = source.now(self.connection, self.options).await?;
        let fill = Arc::new(Fill::new(
            self.cache.clone(),
            self.key.clone(),
            source.name().to_owned(),
            Arc::new(kept(catalog, begins)),
        ));
        counters.fills();
        let ledger = Arc::new(Ledger::new(catalog, Arc::new(Forget), counters.clone()));
        let result = pipeline::run(pipeline::Job {
            source: &source,
            destination: &as_connector(self.cache.as_ref(), fill.clone()),
            catalog,
            states,
            ledger: &ledger,
            counters,
            cancel: &self.cancel,
            idle_time: Some(self.options.idle_time.unwrap_or(IDLE_TIME)),
        })
        .await;
        if let (Err(_), Some(fault)) = (&result, fill.fault()) {
            return Err(fault.into());
        }
        judged(result, Some(&source), None)?;
        Ok((resumed, fill.reads().unwrap_or_default()))
    }

    /// The states that the source goes on from.
    async fn states(
        &self,
        catalog: &Catalog,
        begins: &[Begins],
    ) -> Result<Vec<StateMessage>, SyncError> {
        let key = self.key.clone();
        let stored = blocking(&self.cache, move |cache| cache.states(&key)).await?;
        // The generations of a cache are its own: what counts is whether a stream begins again.
        let stored = stored.into_iter().map(|s| StoredState { generations: [].into(), ..s });
        let numbers = catalog.streams.iter().zip(begins).map(|(stream, begins)| StreamNumbers {
            generation: stream.generation_id,
            minimum_generation: stream.minimum_generation_id,
            goes_on: false,
            since: if begins.again { u64::MAX } else { 0 },
        });
        let numbers: Vec<StreamNumbers> = numbers.collect();
        Ok(for_source(usable(catalog, &numbers, stored.collect())))
    }
}

/// A catalog as the cache keeps its streams. What a refresh replaces there was replaced by the read that
/// began it: where only the destination still has to go on with it, new rows are added.
fn kept(catalog: &Catalog, begins: &[Begins]) -> Catalog {
    let mut kept = catalog.clone();
    for (stream, begins) in kept.streams.iter_mut().zip(begins) {
        if !begins.again {
            stream.minimum_generation_id = 0;
        }
        stream.stream.json_schema = with_offer(&stream.stream);
    }
    kept
}

/// A sync that is about to move rows.
struct Ready {
    /// None: it is not asked.
    source: Option<Side>,
    destination: Side,
    plan: Plan,
    begins: Vec<Begins>,
    stored: Vec<StoredState>,
}

async fn prepare(
    halves: &Halves<'_>,
    destination: &Destination,
    data: SourceData<'_>,
    again: Option<u64>,
) -> Result<Ready, SyncError> {
    let Halves { connection, options, .. } = *halves;
    let destination = Side::destination(destination.connector()).await?;
    let mut full_refresh = options.full_refresh;
    let (source, offered) = match data {
        SourceData::Source(source) if !options.from_cache => {
            let source = Side::source(source.connector(), false).await?;
            ready(&[&source, &destination], connection, options).await?;
            let offered = source.now(connection, options).await?.whole_discover().await?;
            (Some(source), offered)
        }
        SourceData::Source(_) => {
            ready(&[&destination], connection, options).await?;
            let key = halves.key.clone();
            let streams = blocking(&halves.cache, move |cache| cache.streams(Some(&key))).await?;
            (None, streams.into_iter().map(offered).collect())
        }
        SourceData::ReadResult(read) => {
            ready(&[&destination], connection, options).await?;
            full_refresh |= read.full_refresh;
            (None, read.offered())
        }
    };
    let spec = &destination.spec;
    let mut plan = Plan::of(offered, spec, &Wanted { full_refresh, ..Wanted::from(options) })?;
    let begin = Begin { full_refresh, ..Begin::of(options, again, spec) };
    let (begins, stored) = begin_streams(&mut plan, connection, options, begin, spec).await?;
    Ok(Ready { source, destination, plan, begins, stored })
}

/// [`Destination::write`] through a cache, under a lock that somebody holds.
pub(super) async fn write(
    destination: &Destination,
    data: SourceData<'_>,
    cache: &Arc<dyn RecordCache>,
    connection: &str,
    options: &WriteOptions,
    again: Option<u64>,
    filled: &Filled,
) -> Result<WriteResult, Box<SyncFailure>> {
    let started_at = now_ms();
    let key = match (data, &options.source_key) {
        (SourceData::ReadResult(read), _) => read.source_key.clone(),
        (SourceData::Source(_), Some(key)) => key.clone(),
        (SourceData::Source(source), None) => default_source_key(source.connector()),
    };
    let halves = Halves::new(cache, key, connection, options);
    let ready = tokio::select! {
        biased;
        () = halves.cancel.cancelled() => return Err(SyncError::Cancelled.into()),
        ready = prepare(&halves, destination, data, again) => ready?,
    };
    let catalog = Arc::new(ready.plan.catalog.clone());
    let counters = Arc::new(Counters::new(&catalog));
    if let Some(watch) = &options.watch {
        watch(&ready.plan, counters.clone());
    }
    let mut resumed = false;
    let mut notes = Vec::new();
    let result = async {
        let reads = match (&ready.source, data) {
            (Some(source), _) => {
                let lock = || filled.lock().unwrap_or_else(PoisonError::into_inner);
                let before = lock().clone();
                let read = match before {
                    Some(read) => read,
                    None => halves.fill(source, &catalog, &ready.begins, &counters).await?,
                };
                *lock() = Some(read.clone());
                resumed = read.0;
                Some(read.1)
            }
            (None, SourceData::ReadResult(read)) => {
                read.still_there().await?;
                Some(read.reads.clone())
            }
            (None, SourceData::Source(_)) => None,
        };
        let only_the_read = matches!(data, SourceData::ReadResult(_));
        let sent = Sent { halves: &halves, ready: &ready, catalog: &catalog, counters: &counters };
        sent.send(reads.as_deref(), only_the_read, &mut notes).await?;
        complete(&options.store(), connection, &catalog, options).await
    }
    .await;

    let source = match (&ready.source, data) {
        (Some(source), _) => source.report(),
        (None, SourceData::ReadResult(read)) => read.report.source.clone(),
        (None, SourceData::Source(source)) => ConnectorReport::new(source.connector(), "", ""),
    };
    let mut redactors = vec![destination.connector().executor().redactor()];
    if let SourceData::Source(source) = data {
        redactors.insert(0, source.connector().executor().redactor());
    }
    let rows_stay = ready.destination.spec.supports_refreshes();
    let destination = ready.destination.report();
    let mut report = Report::new(connection, started_at, "in-process", source, destination);
    report.run = options.run.clone();
    report.resumed = resumed;
    report.notes = ready.plan.notes;
    report.notes.extend(notes);
    report.rows_stay = rows_stay;
    report.cache = Some(CacheReport::new(halves.cache.as_ref(), &halves.key));
    report.fill(&catalog, &counters);
    report.end(result, &redactors)
}

/// What [`read`] is asked for.
pub(super) struct Reading<'a> {
    pub(super) source: &'a Connector,
    pub(super) cache: &'a Arc<dyn RecordCache>,
    pub(super) key: String,
    /// Streams, strategy, full refresh, when to stop, who watches.
    pub(super) options: &'a WriteOptions,
}

/// [`crate::Source::read`].
pub(super) async fn read(reading: Reading<'_>) -> Result<ReadResult, Box<SyncFailure>> {
    let started_at = now_ms();
    let Reading { source, cache, key, options } = reading;
    let halves = Halves::new(cache, key, "", options);
    let preparing = async {
        let side = Side::source(source, true).await?;
        ready(&[&side], "", options).await?;
        let offered = side.now("", options).await?.whole_discover().await?;
        let mut plan = Plan::of(offered, &cache_specification(), &Wanted::from(options))?;
        // The cache counts how often it replaced rows; there is no destination that would.
        for stream in &mut plan.catalog.streams {
            stream.minimum_generation_id = u64::from(stream.truncates());
            (stream.generation_id, stream.sync_id) = (1, 1);
        }
        let begins = Begins { again: options.full_refresh, goes_on: false };
        let begins = vec![begins; plan.catalog.streams.len()];
        Ok::<_, SyncError>((side, plan, begins))
    };
    let (side, plan, begins) = tokio::select! {
        biased;
        () = halves.cancel.cancelled() => return Err(SyncError::Cancelled.into()),
        ready = preparing => ready?,
    };
    let catalog = Arc::new(plan.catalog.clone());
    let counters = Arc::new(Counters::new(&catalog));
    let watch: Option<&Watch> = options.watch.as_ref();
    if let Some(watch) = watch {
        watch(&plan, counters.clone());
    }
    let filled = halves.fill(&side, &catalog, &begins, &counters).await;
    let redactors = [source.executor().redactor()];
    let nothing = Fill::new(cache.clone(), halves.key.clone(), String::new(), catalog.clone());
    let to = as_connector(cache.as_ref(), Arc::new(nothing));
    let to = ConnectorReport::new(&to, "cache", env!("CARGO_PKG_VERSION"));
    let mut report = Report::new("", started_at, "in-process", side.report(), to);
    report.run = options.run.clone();
    report.notes = plan.notes;
    report.cache = Some(CacheReport::new(cache.as_ref(), &halves.key));
    report.fill(&catalog, &counters);
    let (result, reads) = match filled {
        Ok((resumed, reads)) => {
            report.resumed = resumed;
            (Ok(()), reads)
        }
        Err(error) => (Err(error), Vec::new()),
    };
    let report = report.end(result, &redactors)?.report;
    Ok(ReadResult {
        report,
        cache: cache.clone(),
        source_key: halves.key,
        source: source.clone(),
        catalog: catalog.as_ref().clone(),
        reads,
        full_refresh: options.full_refresh,
    })
}
