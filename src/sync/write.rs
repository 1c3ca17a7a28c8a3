//! `Destination::write`: a sync from its first question to its last state.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::lock::ConnectionLock;
use super::worker::{self, Supervised, WorkerProgram};
use super::{
    Confirmed, ConnectorReport, Counters, Ledger, Plan, Report, StateSink, SyncError, now_ms,
    pipeline,
};
use crate::config::{Strategy, StreamSelection, config_digest, repository};
use crate::connector::{ChangeStore, Connector, ConnectorError, Destination, Source, require};
use crate::executor::{Cancel, guarded};
use crate::protocol::{
    Catalog, Failure, Specification, StateMessage, StateScope, StreamDescriptor, SyncMode,
};
use crate::state::{StateStore, StateStoreError, StoredState};

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
    /// Where states are kept; none: nowhere, so that every sync starts again.
    pub state: Option<Arc<dyn StateStore>>,
    /// The folder of locks, beside the state store; none: no lock.
    pub lock_folder: Option<PathBuf>,
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
    /// this process.
    pub worker: Option<WorkerProgram>,
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

/// The key of a connection without a name: both connectors, their configurations and their grants.
/// Another account, database or folder is another connection, with states of its own.
#[must_use]
pub fn default_connection(source: &Connector, destination: &Connector) -> String {
    let mut digest = Sha256::new();
    for side in [source, destination] {
        let mut parts = side.executor().identity();
        parts.push(config_digest(side.config()));
        for part in parts {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
    }
    // Without a version, which states outlive.
    let short = |name: &str| {
        if let Some(requirement) = name.strip_prefix("pip:") {
            let words: Vec<String> = requirement.split_whitespace().map(str::to_owned).collect();
            return crate::executor::connector_name(&words);
        }
        let name = name.strip_prefix("docker:").map_or(name, repository);
        let stem = name.rsplit('/').next().unwrap_or(name);
        let stem = stem.strip_prefix("exec:").unwrap_or(stem);
        stem.strip_suffix(".wasm").unwrap_or(stem).to_owned()
    };
    let digest = hex::encode(&digest.finalize()[..4]);
    format!("{}-to-{}-{digest}", short(source.name()), short(destination.name()))
}

impl Destination {
    /// Moves the source's streams here: plans, reads, writes, and stores each state once the rows
    /// before it are durable.
    ///
    /// # Errors
    /// [`SyncFailure`]. What was confirmed before it stays stored: the same call goes on there.
    pub async fn write(
        &self,
        source: &Source,
        options: &WriteOptions,
    ) -> Result<WriteResult, Box<SyncFailure>> {
        let connection = options
            .connection
            .clone()
            .unwrap_or_else(|| default_connection(source.connector(), self.connector()));
        let lock = match &options.lock_folder {
            Some(folder) => Some(ConnectionLock::take_soon(folder, &connection).await?),
            None => None,
        };
        if let Some(program) = &options.worker
            && let Some(components) = worker::both(source.connector(), self.connector())
        {
            let sides = [source.connector(), self.connector()];
            let (connection, lock) = (&connection, lock.as_ref());
            let job = Supervised { sides, components, connection, options, program, lock };
            // Whoever listens here is the host's code, and may be at fault as any other.
            let supervised = async { Ok(worker::supervise(job).await) };
            return guarded("sync", supervised).await.unwrap_or_else(|error| {
                let (name, error) = (self.connector().name().to_owned(), Box::new(error));
                Err(ConnectorError::Run { name, error }.into())
            });
        }
        self.write_here(source, &connection, options, &|_| {}).await
    }

    /// The same in this process, under a lock that somebody holds.
    pub(super) async fn write_here(
        &self,
        source: &Source,
        connection: &str,
        options: &WriteOptions,
        begun: &(dyn Fn(&Begun<'_>) + Sync),
    ) -> Result<WriteResult, Box<SyncFailure>> {
        let started_at = now_ms();
        let cancel = options.cancel.clone().unwrap_or_else(|| Cancel::new().1);
        let preparing = self.prepare(source, connection, options);
        let ready = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(SyncError::Cancelled.into()),
            ready = preparing => ready?,
        };
        let Ready { source, destination, source_spec, destination_spec, plan, states } = ready;
        let resumed = !states.is_empty();

        let catalog = Arc::new(plan.catalog.clone());
        let counters = Arc::new(Counters::new(&catalog));
        begun(&Begun {
            source: &source_spec,
            destination: &destination_spec,
            plan: &plan,
            counters: &counters,
            resumed,
        });
        if let Some(watch) = &options.watch {
            watch(&plan, counters.clone());
        }
        let sink: Arc<dyn StateSink> = match &options.state {
            Some(store) => {
                let (store, connection) = (store.clone(), connection.to_owned());
                Arc::new(StoreSink { store, connection, catalog: catalog.clone() })
            }
            None => Arc::new(Forget),
        };
        let ledger = Arc::new(Ledger::new(&catalog, sink, counters.clone()));
        let result = pipeline::run(pipeline::Job {
            source: &source,
            destination: &destination,
            catalog: &catalog,
            states,
            ledger: &ledger,
            counters: &counters,
            cancel: &cancel,
            idle_time: Some(options.idle_time.unwrap_or(IDLE_TIME)),
        })
        .await;
        let result = judged(result, &source, &destination);

        let side = |c: &Connector, spec: &Specification| {
            let spec = c.shown(spec.clone());
            ConnectorReport::new(c, &spec.name, &spec.version)
        };
        let redactors = [&source, &destination].map(|side| side.executor().redactor());
        let (source, destination) =
            (side(&source, &source_spec), side(&destination, &destination_spec));
        let mut report = Report::new(connection, started_at, "in-process", source, destination);
        report.run = options.run.clone();
        report.resumed = resumed;
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
    ) -> Result<Ready, Box<SyncFailure>> {
        let source_spec = Arc::new(source.connector().whole_spec().await?);
        let destination_spec = Arc::new(self.connector().whole_spec().await?);
        let from = || prepared(source.connector(), &source_spec, "source", connection, options);
        let to =
            || prepared(self.connector(), &destination_spec, "destination", connection, options);
        let (source, destination) = (from().await?, to().await?);
        source.validate(&source_spec).await?;
        destination.validate(&destination_spec).await?;
        // All that is missing on both sides at once, before anything but `spec` runs.
        let mut missing = source.missing_needs(&source_spec, "source-");
        missing.extend(destination.missing_needs(&destination_spec, "destination-"));
        require(missing)?;
        source.try_config().await?;
        destination.try_config().await?;
        // Each may have changed its configuration meanwhile: a token that works once has worked.
        let offered = from().await?.whole_discover().await?;
        let mut plan = Plan::new(
            offered,
            &destination_spec,
            &options.streams,
            options.strategy,
            options.full_refresh,
        )?;
        let states = number(&mut plan.catalog, connection, options).await?;
        let (source, destination) = (from().await?, to().await?);
        Ok(Ready { source, destination, source_spec, destination_spec, plan, states })
    }
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
    source: Connector,
    destination: Connector,
    source_spec: Arc<Specification>,
    destination_spec: Arc<Specification>,
    plan: Plan,
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

/// The connector with what it changed of its configuration in earlier syncs, and an observer that
/// keeps what it changes in this one.
async fn prepared(
    connector: &Connector,
    spec: &Arc<Specification>,
    side: &'static str,
    connection: &str,
    options: &WriteOptions,
) -> Result<Connector, SyncError> {
    Ok(connector.keeping(spec, change_store(side, connection, options)).await?)
}

/// Where changes of a side's configuration are stored.
pub(super) fn change_store(
    side: &'static str,
    connection: &str,
    options: &WriteOptions,
) -> Option<ChangeStore> {
    let store = options.state.clone()?;
    Some(ChangeStore { store, connection: connection.to_owned(), side })
}

/// The result of a sync: a failure where a change of a configuration was refused, whatever the
/// connector made of it. A sync that was stopped was stopped.
fn judged(
    result: Result<(), SyncError>,
    source: &Connector,
    destination: &Connector,
) -> Result<(), SyncError> {
    if matches!(result, Err(SyncError::Cancelled)) {
        return result;
    }
    let refused = |side: &Connector| {
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

/// Gives the streams their numbers, and the states the source goes on from.
async fn number(
    catalog: &mut Catalog,
    connection: &str,
    options: &WriteOptions,
) -> Result<Vec<StateMessage>, SyncError> {
    let Some(store) = &options.state else {
        for stream in &mut catalog.streams {
            stream.generation_id = 1;
            stream.minimum_generation_id = u64::from(stream.truncates());
            stream.sync_id = 1;
        }
        return Ok(Vec::new());
    };
    let streams: Vec<_> = catalog
        .streams
        .iter()
        .map(|s| (s.stream.descriptor.clone(), s.sync_mode == SyncMode::FullRefresh))
        .collect();
    let key = connection.to_owned();
    let (numbers, stored) =
        blocking(store, move |s| Ok((s.begin_sync(&key, &streams)?, s.load(&key)?))).await?;
    for (stream, generation) in catalog.streams.iter_mut().zip(numbers.generations) {
        stream.generation_id = generation;
        stream.minimum_generation_id = if stream.truncates() { generation } else { 0 };
        stream.sync_id = numbers.sync_id;
    }
    // A full refresh begins at the beginning, whatever an earlier sync stored.
    let incremental = |state: &StateMessage| match state.scope() {
        StateScope::Stream(descriptor) => catalog
            .streams
            .iter()
            .any(|s| s.sync_mode == SyncMode::Incremental && s.stream.descriptor == *descriptor),
        StateScope::Global | StateScope::Legacy => {
            catalog.streams.iter().any(|s| s.sync_mode == SyncMode::Incremental)
        }
    };
    let stored = stored.into_iter().filter(|s| !s.of_full_read).map(|s| s.state);
    let stored = stored.filter(incremental);
    Ok(stored.map(|state| state.without(|d| is_read_in_full(catalog, d))).collect())
}

/// Whether a stream of this sync is read from its beginning. Its part of a global state would make
/// the source believe that there is nothing to read, and the destination replace all rows by none.
fn is_read_in_full(catalog: &Catalog, stream: &StreamDescriptor) -> bool {
    let mut streams = catalog.streams.iter();
    streams.any(|s| s.sync_mode == SyncMode::FullRefresh && s.stream.descriptor == *stream)
}

/// Keeps states in the store.
struct StoreSink {
    store: Arc<dyn StateStore>,
    connection: String,
    catalog: Arc<Catalog>,
}

#[async_trait]
impl StateSink for StoreSink {
    async fn store(&self, states: Vec<Confirmed>) -> Result<(), Failure> {
        // A later incremental read must not go on from what a full read says of itself.
        let marked = |c: Confirmed| StoredState {
            state: match c.of_full_read {
                true => c.state,
                false => c.state.without(|stream| is_read_in_full(&self.catalog, stream)),
            },
            of_full_read: c.of_full_read,
        };
        let states: Vec<StoredState> = states.into_iter().map(marked).collect();
        let connection = self.connection.clone();
        blocking(&self.store, move |s| s.store(&connection, &states))
            .await
            .map_err(|e| Failure::system(e.to_string()))
    }
}

/// Keeps nothing.
struct Forget;

#[async_trait]
impl StateSink for Forget {
    async fn store(&self, _: Vec<Confirmed>) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
