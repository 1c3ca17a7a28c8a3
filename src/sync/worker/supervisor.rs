//! In the parent: starts a worker, does for it what it cannot do, and kills it when it must.
//!
//! The attack: what a worker says is what a component that left its sandbox makes it say. So it
//! names no connection and no path; what it stores goes to the connection of its sync, and only
//! states of streams of that sync; sizes and counts are bounded; its clock is ours. Whatever does
//! not fit ends it.

mod answers;
mod changes;
mod names;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::hiding::Hiding;
use super::message::{
    Answer, CountsForm, FromWorker, JobForm, PlanForm, PolicyForm, Question, Side, SideForm,
    ToWorker,
};
use super::spawn::Worker;
use super::{RemoteError, WorkerError, WorkerProgram};
use crate::component::{Component, ComponentError, Operation};
use crate::config::config_digest;
use crate::connector::{ConfigKeeper, Connector, ConnectorError};
use crate::executor::{Cancel, ExecutorError};
use crate::protocol::{
    Capability, Catalog, ConfiguredStream, Decision, DestinationSyncMode, DiscoveredStream, Json,
    LogLevel, Need, Observer, SyncMode, now_ms,
};
use crate::sandbox::{Limits, LogBudget, Policy};
use crate::sync::lock::ConnectionLock;
use crate::sync::write::IDLE_TIME;
use crate::sync::{
    ConnectorReport, Counters, Plan, Report, SyncError, SyncFailure, WriteOptions, WriteResult,
};
use names::Names;

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(50);
/// What an operation may take beyond its deadline: the worker ends it itself, and lets the other side
/// keep what it has. One that does not is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long a worker may do nothing that is known here: it starts, checks configurations, judges.
const SILENT: Duration = Duration::from_secs(60);
/// Operations of one connector in a sync: spec, check, discover, read or write, and as many again.
const OPERATIONS: usize = 8;

/// A sync for a worker.
pub(in crate::sync) struct Supervised<'a> {
    /// Source and destination.
    pub(in crate::sync) sides: [&'a Connector; 2],
    /// What [`both`] gave.
    pub(in crate::sync) components: [(Component, Policy); 2],
    pub(in crate::sync) connection: &'a str,
    pub(in crate::sync) options: &'a WriteOptions,
    /// It is another attempt of this sync.
    pub(in crate::sync) again: Option<u64>,
    pub(in crate::sync) program: &'a WorkerProgram,
    /// Held by the worker as well.
    pub(in crate::sync) lock: Option<&'a ConnectionLock>,
}

/// The components of both sides, where both are.
pub(in crate::sync) fn both(
    source: &Connector,
    destination: &Connector,
) -> Option<[(Component, Policy); 2]> {
    let of = |connector: &Connector| {
        connector
            .executor()
            .component()
            .map(|(component, policy)| (component.clone(), policy.clone()))
    };
    Some([of(source)?, of(destination)?])
}

/// Runs a sync in a worker.
pub(in crate::sync) async fn supervise(
    job: Supervised<'_>,
) -> Result<WriteResult, Box<SyncFailure>> {
    let started_at = now_ms();
    let mut supervisor = Supervisor::new(&job);
    let cancel = job.options.cancel.clone().unwrap_or_else(|| Cancel::new().1);
    // To compile and to ask for secrets takes time; nothing moves yet.
    let started = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(SyncError::Cancelled),
        started = supervisor.start(&job) => started,
    };
    let result = match started {
        Ok(mut worker) => {
            let result = supervisor.attend(&mut worker).await;
            match &result {
                Ok(()) | Err(SyncError::Remote(_)) => worker.end().await,
                Err(_) => worker.kill().await,
            }
            result
        }
        Err(error) => Err(error),
    };
    let redactors = job.sides.map(|side| side.executor().redactor());
    let hidden = |error: RemoteError| redactors.iter().fold(error, |e, r| e.hidden(r));
    let result = result.map_err(|error| match error {
        SyncError::Remote(error) => SyncError::Remote(hidden(error)),
        other => other,
    });
    let result = supervisor.judged(result);
    let Some(moving) = supervisor.moving else {
        return Err(match result {
            Err(error) => error.into(),
            Ok(()) => SyncError::from(broken("it says it is done before it began")).into(),
        });
    };
    let side = |connector: &Connector, (name, version): &(String, String)| {
        let redactor = connector.executor().redactor();
        let (name, version) = (redactor.redact(name), redactor.redact(version));
        ConnectorReport::new(connector, &name, &version)
    };
    let [source, destination] = job.sides;
    let (source, destination) =
        (side(source, &moving.names[0]), side(destination, &moving.names[1]));
    let mut report = Report::new(job.connection, started_at, "worker", source, destination);
    report.run = job.options.run.clone();
    (report.resumed, report.rows_stay) = (moving.resumed, moving.rows_stay);
    report.fill(&moving.plan.catalog, &moving.counters);
    report.notes = moving.plan.notes;
    report.end(result, &redactors)
}

fn broken(what: impl Into<String>) -> WorkerError {
    WorkerError::Protocol(what.into())
}

/// An operation that runs.
struct Running {
    operation: Operation,
    since: Instant,
}

/// Rows move.
struct Moving {
    plan: Plan,
    counters: Arc<Counters>,
    resumed: bool,
    rows_stay: bool,
    /// Name and version of each side.
    names: [(String, String); 2],
}

struct Supervisor<'a> {
    sides: [&'a Connector; 2],
    names: [&'a str; 2],
    /// Of each configuration, as the operator wrote it.
    digests: [String; 2],
    limits: [&'a Limits; 2],
    /// Each with a budget for all operations of the sync.
    observers: [Arc<LogBudget>; 2],
    /// What takes changed configurations, behind the observers.
    keepers: [Arc<ConfigKeeper>; 2],
    connection: &'a str,
    options: &'a WriteOptions,
    again: Option<u64>,
    names_of: [Names; 2],
    /// Names that are being looked up: the question's number and its answer.
    looking_up: JoinSet<(u64, Answer)>,
    running: [Option<Running>; 2],
    begun: [usize; 2],
    moving: Option<Moving>,
    /// When something was last counted.
    moved: Instant,
    /// When the worker last said or was told something.
    heard: Instant,
    /// When it was told to stop.
    stopped: Option<Instant>,
}

impl<'a> Supervisor<'a> {
    fn new(job: &'a Supervised<'a>) -> Self {
        let keepers = changes::keepers(job);
        let limits = [&job.components[0].1.limits, &job.components[1].1.limits];
        let observer = |place: usize| {
            let limits: &Limits = limits[place];
            let log_bytes = limits.log_bytes.saturating_mul(OPERATIONS);
            let limits = Limits { log_bytes, ..limits.clone() };
            let inner = keepers[place].clone();
            let executor = job.sides[place].executor();
            LogBudget::new(Arc::new(Hiding { inner, executor }), &limits)
        };
        let now = Instant::now();
        Self {
            sides: job.sides,
            names: job.sides.map(Connector::name),
            digests: job.sides.map(|side| config_digest(side.config())),
            limits,
            observers: [observer(0), observer(1)],
            keepers,
            connection: job.connection,
            options: job.options,
            again: job.again,
            names_of: [0, 1].map(|i: usize| Names::new(&job.components[i], OPERATIONS as u64)),
            looking_up: JoinSet::new(),
            running: [None, None],
            begun: [0, 0],
            moving: None,
            moved: now,
            heard: now,
            stopped: None,
        }
    }

    /// Compiles what is not compiled for a worker yet, and starts one with its job.
    async fn start(&self, job: &Supervised<'_>) -> Result<Worker, SyncError> {
        let components = job.components.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            let [source, destination] = components;
            let prepare = |(component, policy): (Component, Policy)| {
                // Before there is a fence that leaves it open.
                component.may_have(&policy)?;
                let component = component.for_worker(&policy.limits)?;
                let image = component.image()?;
                Ok::<_, ComponentError>((component, policy, image))
            };
            (prepare(source), prepare(destination))
        });
        let (source, destination) =
            prepared.await.map_err(|e| WorkerError::Start(e.to_string()))?;
        let failed = |place: usize| {
            let name = self.names[place].to_owned();
            move |error: ComponentError| ConnectorError::Run { name, error: Box::new(error.into()) }
        };
        let (source, destination) = (source.map_err(failed(0))?, destination.map_err(failed(1))?);
        let mut secrets = [HashMap::new(), HashMap::new()];
        for (place, secrets) in secrets.iter_mut().enumerate() {
            *secrets = job.sides[place].secrets().await?;
        }
        let mut side = |(component, policy): (&Component, &Policy), place: usize| SideForm {
            name: self.names[place].to_owned(),
            path: component.path().as_os_str().to_owned(),
            digest: component.digest().to_owned(),
            size: component.size(),
            config: job.sides[place].config().clone(),
            changed: job.sides[place].changed_members(),
            policy: PolicyForm::of(policy),
            cache: component.cache().map(Into::into),
            secrets: std::mem::take(&mut secrets[place]),
        };
        let form = JobForm {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: side((&source.0, &source.1), 0),
            destination: side((&destination.0, &destination.1), 1),
            connection: job.connection.to_owned(),
            streams: job.options.streams.clone(),
            strategy: job.options.strategy,
            full_refresh: job.options.full_refresh,
            refresh: job.options.refresh,
            clear: job.options.clear,
            stream_options: job.options.stream_options.clone(),
            again: job.again,
            idle_time: job.options.idle_time,
        };
        let images = [source.2, destination.2];
        let mut worker = Worker::start(job.program, &images, job.lock)?;
        worker.say(&ToWorker::Job(Box::new(form))).await?;
        Ok(worker)
    }

    /// Attends to a worker until it has ended or must.
    async fn attend(&mut self, worker: &mut Worker) -> Result<(), SyncError> {
        let cancel = self.options.cancel.clone().unwrap_or_else(|| Cancel::new().1);
        loop {
            while let Some(message) = worker.heard()? {
                self.heard = Instant::now();
                if let Some(result) = self.hear(message, worker).await? {
                    return result.map_err(SyncError::Remote);
                }
                self.overdue()?;
            }
            tokio::select! {
                biased;
                () = cancel.cancelled(), if self.stopped.is_none() => {
                    self.stopped = Some(Instant::now());
                    worker.say(&ToWorker::Cancel).await?;
                }
                more = worker.listen() => if !more {
                    return Err(worker.crashed().await.into());
                },
                Some(Ok((id, answer))) = self.looking_up.join_next() => {
                    worker.say(&ToWorker::Answer { id, answer }).await?;
                }
                () = tokio::time::sleep(TICK) => {}
            }
            self.overdue()?;
        }
    }

    /// Whether it must end.
    fn overdue(&self) -> Result<(), SyncError> {
        let stop_time = self.limits[0].stop_time.max(self.limits[1].stop_time);
        if self.stopped.is_some_and(|since| since.elapsed() > stop_time) {
            return Err(SyncError::Cancelled);
        }
        for side in [Side::Source, Side::Destination] {
            let Some(Running { operation, since }) = &self.running[side.place()] else { continue };
            let limit = operation.deadline(self.limits[side.place()]);
            if let Some(limit) = limit.filter(|limit| since.elapsed() > limit.saturating_add(GRACE))
            {
                let name = operation.deadline_name();
                let decision = Decision::deny(Capability::Limit, name, format!("limit {name}"));
                self.observers[side.place()].decided(&decision);
                let operation = operation.word();
                return Err(self.blamed(side, ComponentError::Timeout { operation, limit }));
            }
        }
        // It counts its own idle time, and knows better whose fault it is.
        let idle_time = self.options.idle_time.unwrap_or(IDLE_TIME).saturating_add(SILENT);
        let waits = match self.running.iter().any(Option::is_some) {
            true => (self.moved.max(self.heard), idle_time),
            false => (self.heard, SILENT),
        };
        match waits {
            (since, limit) if since.elapsed() > limit => Err(WorkerError::Silent(limit).into()),
            _ => Ok(()),
        }
    }

    /// The error that the same component ends in without a worker.
    fn blamed(&self, side: Side, error: ComponentError) -> SyncError {
        let moves = matches!(&self.running[side.place()], Some(Running { operation, .. })
            if matches!(operation, Operation::Read | Operation::Write));
        let name = self.names[side.place()].to_owned();
        let error = Box::new(ExecutorError::from(error));
        match (moves, side) {
            (false, _) => SyncError::Connector(ConnectorError::Run { name, error }),
            (true, Side::Source) => SyncError::Source { name, error },
            (true, Side::Destination) => SyncError::Destination { name, error },
        }
    }

    /// Takes a message; gives the sync's result when it was the last.
    async fn hear(
        &mut self,
        message: FromWorker,
        worker: &mut Worker,
    ) -> Result<Option<Result<(), RemoteError>>, WorkerError> {
        match message {
            FromWorker::Log { side, level, message } => {
                self.observers[side.place()].log(LogLevel::from_airbyte(&level), &message);
            }
            FromWorker::Decided { side, decision } => {
                self.observers[side.place()].decided(&decision);
            }
            FromWorker::Began { side, operation } => self.began(side, operation)?,
            FromWorker::Needs { side, needs, schema } => self.needs(side, needs, schema)?,
            FromWorker::Ended { side, operation } => {
                let running = self.running[side.place()].take();
                if !running.is_some_and(|running| running.operation == operation) {
                    return Err(broken(format!("{} ended and had not begun", operation.word())));
                }
            }
            FromWorker::Ask { id, question: Question::Resolve { side, name } } => {
                let answer = self.names_of[side.place()].look_up(&name)?;
                if self.looking_up.len() >= names::AT_ONCE {
                    return Err(broken("it asks for too many names at once"));
                }
                // Beside everything else: whoever serves a name may be slow.
                self.looking_up.spawn(async move { (id, answer.await) });
            }
            FromWorker::Ask { id, question } => {
                let answer = self.answer(question).await?;
                worker.say(&ToWorker::Answer { id, answer }).await?;
                self.heard = Instant::now();
            }
            FromWorker::Started(plan) => self.started(plan)?,
            FromWorker::Counts(counts) => self.count(&counts)?,
            FromWorker::Finished { result } => return Ok(Some(result)),
        }
        Ok(None)
    }

    /// Judges what a connector says it needs, for the record of the run: the worker refuses what is
    /// not granted, and so would every operation.
    fn needs(&mut self, side: Side, needs: Vec<Need>, schema: Json) -> Result<(), WorkerError> {
        let place = side.place();
        let size = |need: &Need| need.capability.len() + need.pattern.len() + need.reason.len();
        let bytes = schema.get().len() + needs.iter().map(size).sum::<usize>();
        if bytes > self.limits[place].spec_bytes {
            return Err(broken("its needs have no measure"));
        }
        self.keepers[place].know_schema(schema.clone());
        self.sides[place].note_needs(needs, schema);
        Ok(())
    }

    fn began(&mut self, side: Side, operation: Operation) -> Result<(), WorkerError> {
        let place = side.place();
        self.begun[place] += 1;
        if self.running[place].is_some() || self.begun[place] > OPERATIONS {
            return Err(broken(format!("{} began out of order", operation.word())));
        }
        self.moved = Instant::now();
        self.running[place] = Some(Running { operation, since: self.moved });
        Ok(())
    }

    fn started(&mut self, form: PlanForm) -> Result<(), WorkerError> {
        if self.moving.is_some() {
            return Err(broken("it began to move rows twice"));
        }
        if form.streams.len() > self.limits[0].streams {
            return Err(broken("its plan has more streams than a source may have"));
        }
        let mut streams = Vec::with_capacity(form.streams.len());
        for stream in form.streams {
            let sync_mode = SyncMode::from_airbyte(&stream.sync_mode);
            let written = DestinationSyncMode::from_airbyte(&stream.destination_sync_mode);
            let (Some(sync_mode), Some(destination_sync_mode)) = (sync_mode, written) else {
                return Err(broken("its plan has a mode that there is not"));
            };
            streams.push(ConfiguredStream {
                stream: DiscoveredStream {
                    descriptor: stream.descriptor,
                    json_schema: Json::empty_object(),
                    sync_modes: Vec::new(),
                    source_defined_cursor: false,
                    default_cursor_field: Vec::new(),
                    source_defined_primary_key: Vec::new(),
                    resumable: false,
                    extra: serde_json::Map::new(),
                },
                sync_mode,
                destination_sync_mode,
                cursor_field: Vec::new(),
                primary_key: Vec::new(),
                generation_id: stream.generation_id,
                minimum_generation_id: stream.minimum_generation_id,
                sync_id: stream.sync_id,
                extra: serde_json::Map::new(),
            });
        }
        let catalog = Catalog { streams };
        let plan = Plan { catalog, notes: form.notes, ..Plan::default() };
        let counters = Arc::new(Counters::new(&plan.catalog));
        if let Some(watch) = &self.options.watch {
            watch(&plan, counters.clone());
        }
        let names = [form.source, form.destination];
        let (resumed, rows_stay) = (form.resumed, form.rows_stay);
        self.moving = Some(Moving { plan, counters, resumed, rows_stay, names });
        Ok(())
    }

    fn count(&mut self, counts: &CountsForm) -> Result<(), WorkerError> {
        let Some(moving) = &self.moving else { return Err(broken("it counts nothing")) };
        for (place, counted) in &counts.streams {
            match moving.counters.streams.get(*place) {
                Some(stream) => stream.set_all(*counted),
                None => return Err(broken("it counts a stream that is not in its plan")),
            }
        }
        moving.counters.set_totals(counts.totals);
        self.moved = Instant::now();
        Ok(())
    }
}
