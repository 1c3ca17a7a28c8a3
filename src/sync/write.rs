//! `Destination::write`: a sync from its first question to its last state.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::attempts::{self, Backoff, OnRetry};
use super::clear::nothing_of;
use super::keys::default_connection;
use super::lease::Holding;
use super::memory::MemoryStore;
use super::numbers::{Begin, Refresh, StoreSink, number};
use super::plan::Wanted;
use super::sides::{Side, ready};
use super::worker::{self, Supervised, WorkerProgram};
use super::{Counters, Ledger, Plan, Report, SourceData, SyncError, cached, pipeline};
use crate::cache::RecordCache;
use crate::config::{Strategy, StreamOptions, StreamSelection};
use crate::connector::{Connector, ConnectorError, Destination, Source};
use crate::executor::{Cancel, guarded};
use crate::protocol::{Catalog, Specification, StateMessage, StreamDescriptor, now_ms};
use crate::state::{LeaseTimes, StateStore, StateStoreError};

/// How long nothing at all may happen in a sync: Airbyte's heartbeat limit.
pub(super) const IDLE_TIME: Duration = Duration::from_secs(3 * 3600);

/// What can be said of a sync besides its two connectors.
#[derive(Clone, Default)]
pub struct WriteOptions {
    /// The key of its states; none: [`default_connection`].
    pub connection: Option<String>,
    /// Which streams.
    pub streams: StreamSelection,
    /// How to write.
    pub strategy: Strategy,
    /// Read everything again, whatever the states say.
    pub full_refresh: bool,
    /// Read everything again and go on from there; none: go on from the states.
    pub refresh: Option<Refresh>,
    /// Read nothing, remove all rows, and forget the states. Excludes `full_refresh` and `refresh`.
    pub clear: bool,
    /// What is said of single streams, by `name` or `namespace.name`.
    pub stream_options: BTreeMap<String, StreamOptions>,
    /// How often a sync is tried that fails for a reason that may pass; none: 3 times.
    pub attempts: Option<u32>,
    /// How long is waited between two attempts.
    pub backoff: Backoff,
    /// Is told when it is tried again, and why.
    pub on_retry: Option<OnRetry>,
    /// Where records are kept on their way; none: nowhere.
    pub cache: Option<Arc<dyn RecordCache>>,
    /// What the cache has is sent, and the source is not asked: it may be gone.
    pub from_cache: bool,
    /// The key of the source in the cache; none: [`default_source_key`](super::default_source_key).
    pub source_key: Option<String>,
    /// Where states are kept; none: nowhere, so that every sync starts again.
    pub state: Option<Arc<dyn StateStore>>,
    /// The folder of locks, beside the state store; none: no lock.
    pub lock_folder: Option<PathBuf>,
    /// How long the lease of the connection in the state store lasts.
    pub lease: LeaseTimes,
    /// How long nothing at all may happen; none: 3 hours.
    pub idle_time: Option<Duration>,
    /// The name of the run's record, for the report; none: none is kept.
    pub run: Option<String>,
    /// When to stop.
    pub cancel: Option<Cancel>,
    /// Is given the plan and the counters when rows begin to move. Of a sync in a worker the plan has
    /// no schemas.
    pub watch: Option<Watch>,
    /// Where both connectors are components, the sync runs in a process of this program; none: in
    /// this process, as every sync through a cache does.
    pub worker: Option<WorkerProgram>,
}

impl WriteOptions {
    /// Where states are kept: where nobody said, for this run only.
    pub(super) fn store(&self) -> Arc<dyn StateStore> {
        self.state.clone().unwrap_or_else(|| Arc::new(MemoryStore::default()))
    }
}

/// See [`WriteOptions::watch`].
pub type Watch = Arc<dyn Fn(&Plan, Arc<Counters>) + Send + Sync>;

impl std::fmt::Debug for WriteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteOptions")
            .field("connection", &self.connection)
            .field("streams", &self.streams)
            .field("strategy", &self.strategy)
            .finish_non_exhaustive()
    }
}

/// A sync that went well.
#[derive(Debug, Clone)]
pub struct WriteResult {
    /// What it did.
    pub report: Report,
}

impl WriteResult {
    /// Rows that are durable in the destination.
    #[must_use]
    pub fn records_committed(&self) -> u64 {
        self.report.records_committed
    }
}

/// A sync that did not.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SyncFailure {
    /// Why.
    #[source]
    pub error: SyncError,
    /// What it did until then; none when no rows could move.
    pub report: Option<Report>,
}

impl<E: Into<SyncError>> From<E> for Box<SyncFailure> {
    fn from(error: E) -> Self {
        Self::new(SyncFailure { error: error.into(), report: None })
    }
}

impl Destination {
    /// Moves the source's streams here, or what was read before: plans, reads, writes, and stores each
    /// state once the rows before it are durable.
    ///
    /// Through a cache ([`WriteOptions::cache`]) the source is read into it first, and the destination
    /// is given what it has not confirmed of what is there; each half fails by itself. Of a
    /// [`ReadResult`](super::ReadResult) it is given what that read covered and it has not confirmed.
    ///
    /// # Errors
    /// [`SyncFailure`]. What was confirmed before it stays stored: the same call goes on there.
    /// [`SyncError::Argument`] where an option has nothing to say.
    pub async fn write<'a>(
        &self,
        data: impl Into<SourceData<'a>>,
        options: &WriteOptions,
    ) -> Result<WriteResult, Box<SyncFailure>> {
        let data = data.into();
        unused(data, options)?;
        let source = match data {
            SourceData::Source(source) => source.connector(),
            SourceData::ReadResult(read) => read.source(),
        };
        let connection = options
            .connection
            .clone()
            .unwrap_or_else(|| default_connection(source, self.connector()));
        let (holding, mut options) = Holding::take(&connection, options).await?;
        // Where nothing is kept, another attempt goes on from what this run remembers.
        options.state = Some(options.store());
        let result = self.write_held(data, &connection, &options, &holding).await;
        holding.end(result).await
    }

    /// The same, with the connection held.
    async fn write_held(
        &self,
        data: SourceData<'_>,
        connection: &str,
        options: &WriteOptions,
        holding: &Holding,
    ) -> Result<WriteResult, Box<SyncFailure>> {
        match (data, &options.cache) {
            (SourceData::ReadResult(read), _) => {
                self.write_through(data, read.cache(), connection, options).await
            }
            // Where all is cleared nothing is read, and nothing kept.
            (SourceData::Source(_), Some(cache)) if !options.clear => {
                self.write_through(data, cache, connection, options).await
            }
            (SourceData::Source(source), _) => {
                // A future with a name: whoever moves a sync to another thread needs it to be `Send`.
                attempts::run(options, |again| {
                    Box::pin(self.attempt(source, connection, options, again, holding))
                })
                .await
            }
        }
    }

    /// The same through a cache.
    async fn write_through(
        &self,
        data: SourceData<'_>,
        cache: &Arc<dyn RecordCache>,
        connection: &str,
        options: &WriteOptions,
    ) -> Result<WriteResult, Box<SyncFailure>> {
        // A read that went well is not done again because the write after it failed.
        let read = &cached::Filled::default();
        attempts::run(options, |again| {
            Box::pin(cached::write(self, data, cache, connection, options, again, read))
        })
        .await
    }

    /// One attempt, in a worker or here, with the connection held. `again`: it is another one of the
    /// sync with this id.
    async fn attempt(
        &self,
        source: &Source,
        connection: &str,
        options: &WriteOptions,
        again: Option<u64>,
        holding: &Holding,
    ) -> Result<WriteResult, Box<SyncFailure>> {
        if let Some(program) = &options.worker
            && let Some(components) = worker::both(source.connector(), self.connector())
        {
            let sides = [source.connector(), self.connector()];
            let lock = holding.lock();
            let job = Supervised { sides, components, connection, options, again, program, lock };
            // Whoever listens here is the host's code, and may be at fault as any other.
            let supervised = async { Ok(worker::supervise(job).await) };
            return guarded("sync", supervised).await.unwrap_or_else(|error| {
                let (name, error) = (self.connector().name().to_owned(), Box::new(error));
                Err(ConnectorError::Run { name, error }.into())
            });
        }
        self.write_here(source, connection, options, again, &|_| {}).await
    }

    /// The same in this process, under a lock that somebody holds.
    pub(super) async fn write_here(
        &self,
        source: &Source,
        connection: &str,
        options: &WriteOptions,
        again: Option<u64>,
        begun: &(dyn Fn(&Begun<'_>) + Sync),
    ) -> Result<WriteResult, Box<SyncFailure>> {
        let started_at = now_ms();
        let cancel = options.cancel.clone().unwrap_or_else(|| Cancel::new().1);
        let preparing = self.prepare(source, connection, options, again);
        let ready = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(SyncError::Cancelled.into()),
            ready = preparing => ready?,
        };
        let Ready { asked, from, to, states } = ready;
        let Asked { plan, source, destination } = asked;
        let states = cached::for_source(states);
        let resumed = !states.is_empty();

        let catalog = Arc::new(plan.catalog.clone());
        let counters = Arc::new(Counters::new(&catalog));
        begun(&Begun {
            source: &source.spec,
            destination: &destination.spec,
            plan: &plan,
            counters: &counters,
            resumed,
        });
        if let Some(watch) = &options.watch {
            watch(&plan, counters.clone());
        }
        let store = options.store();
        let sink = StoreSink {
            store: store.clone(),
            connection: connection.to_owned(),
            catalog: catalog.clone(),
        };
        let mut ledger = Ledger::new(&catalog, Arc::new(sink), counters.clone());
        let rows_stay = destination.spec.supports_refreshes();
        if rows_stay {
            ledger = ledger.with_rows_that_stay();
        }
        let ledger = Arc::new(ledger);
        let reader = if options.clear { nothing_of(&from) } else { from.clone() };
        let result = pipeline::run(pipeline::Job {
            source: &reader,
            destination: &to,
            catalog: &catalog,
            states,
            ledger: &ledger,
            counters: &counters,
            cancel: &cancel,
            idle_time: Some(options.idle_time.unwrap_or(IDLE_TIME)),
        })
        .await;
        let mut result = judged(result, Some(&from), Some(&to));
        if result.is_ok() {
            result = complete(&store, connection, &catalog, options).await;
        }

        let redactors = [&from, &to].map(|side| side.executor().redactor());
        let (source, destination) = (source.report(), destination.report());
        let mut report = Report::new(connection, started_at, "in-process", source, destination);
        report.run = options.run.clone();
        report.resumed = resumed;
        report.rows_stay = rows_stay;
        report.notes = plan.notes;
        report.fill(&catalog, &counters);
        report.end(result, &redactors)
    }

    /// Everything before the first row.
    async fn prepare(
        &self,
        source: &Source,
        connection: &str,
        options: &WriteOptions,
        again: Option<u64>,
    ) -> Result<Ready, Box<SyncFailure>> {
        let Asked { mut plan, source, destination } = self.ask(source, connection, options).await?;
        let begin = Begin::of(options, again, &destination.spec);
        let store = options.store();
        let states = number(&mut plan, connection, &store, begin, &destination.spec).await?;
        // Each may have changed its configuration meanwhile: a token that works once has worked.
        let from = source.now(connection, options).await?;
        let to = destination.now(connection, options).await?;
        Ok(Ready { asked: Asked { plan, source, destination }, from, to, states })
    }

    /// Asks both sides all that a plan needs, and makes it. Nothing is stored but what they change in
    /// their configurations.
    pub(super) async fn ask(
        &self,
        source: &Source,
        connection: &str,
        options: &WriteOptions,
    ) -> Result<Asked, SyncError> {
        let source = Side::source(source.connector(), false).await?;
        let destination = Side::destination(self.connector()).await?;
        ready(&[&source, &destination], connection, options).await?;
        // It may have changed its configuration meanwhile.
        let offered = source.now(connection, options).await?.whole_discover().await?;
        let plan = Plan::of(offered, &destination.spec, &Wanted::from(options))?;
        Ok(Asked { plan, source, destination })
    }
}

/// Refuses what would be ignored.
fn unused(data: SourceData<'_>, options: &WriteOptions) -> Result<(), SyncError> {
    let refuse = |argument, reason| Err(SyncError::Argument { argument, reason });
    match data {
        SourceData::ReadResult(_) if options.cache.is_some() => {
            refuse("cache", "what was read is in a cache already")
        }
        SourceData::ReadResult(_) if options.source_key.is_some() => {
            refuse("source_key", "what was read has the key that it was read under")
        }
        SourceData::ReadResult(_) if options.from_cache => {
            refuse("from_cache", "what was read is never asked of its source again")
        }
        SourceData::ReadResult(_) if options.clear => {
            refuse("clear", "what was read is there to be written")
        }
        SourceData::Source(_) if options.cache.is_none() && options.source_key.is_some() => {
            refuse("source_key", "there is no cache")
        }
        SourceData::Source(_) if options.cache.is_none() && options.from_cache => {
            refuse("from_cache", "there is no cache")
        }
        SourceData::Source(_) | SourceData::ReadResult(_) => Ok(()),
    }
}

/// Notes that every stream of a sync is complete: what was begun in its generation has ended.
pub(super) async fn complete(
    store: &Arc<dyn StateStore>,
    connection: &str,
    catalog: &Catalog,
    options: &WriteOptions,
) -> Result<(), SyncError> {
    let streams: Vec<StreamDescriptor> =
        catalog.streams.iter().map(|s| s.stream.descriptor.clone()).collect();
    let connection = connection.to_owned();
    let (clear, all) = (options.clear, options.streams == StreamSelection::All);
    let ended = blocking(store, move |s| {
        s.complete(&connection, &streams, None)?;
        if clear {
            // Those of streams that are not offered any more as well, where all are asked for.
            s.clear(&connection, (!all).then_some(&streams))?;
        }
        Ok(())
    });
    Ok(ended.await?)
}

/// What both sides said, and the plan for it.
pub(super) struct Asked {
    pub(super) plan: Plan,
    pub(super) source: Side,
    pub(super) destination: Side,
}

/// What is known when rows begin to move.
pub(super) struct Begun<'a> {
    pub(super) source: &'a Specification,
    pub(super) destination: &'a Specification,
    /// With generations and sync id.
    pub(super) plan: &'a Plan,
    pub(super) counters: &'a Arc<Counters>,
    /// It goes on from states of an earlier sync.
    pub(super) resumed: bool,
}

/// What a sync knows before its first row.
struct Ready {
    asked: Asked,
    /// Both sides as they are now.
    from: Connector,
    to: Connector,
    states: Vec<StateMessage>,
}

/// Runs something that blocks off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    store: &Arc<dyn StateStore>,
    body: impl FnOnce(&dyn StateStore) -> Result<T, StateStoreError> + Send + 'static,
) -> Result<T, StateStoreError> {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || body(store.as_ref())).await {
        Ok(result) => result,
        Err(error) => Err(StateStoreError::Database {
            path: PathBuf::new(),
            reason: format!("the operation ended early: {error}"),
        }),
    }
}

/// The result of a sync: a failure where a change of a configuration was refused, whatever the
/// connector made of it. A sync that was stopped was stopped.
pub(super) fn judged(
    result: Result<(), SyncError>,
    source: Option<&Connector>,
    destination: Option<&Connector>,
) -> Result<(), SyncError> {
    if matches!(result, Err(SyncError::Cancelled)) {
        return result;
    }
    let refused = |side: Option<&Connector>| {
        let side = side?;
        side.refused_change().map(|error| (side.name().to_owned(), Box::new(error)))
    };
    if let Some((name, error)) = refused(source) {
        return Err(SyncError::Source { name, error });
    }
    if let Some((name, error)) = refused(destination) {
        return Err(SyncError::Destination { name, error });
    }
    result
}

#[cfg(test)]
mod tests;
