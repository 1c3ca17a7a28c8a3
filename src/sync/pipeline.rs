//! Source and destination at once, with a bounded channel between them.
//!
//! Rows in flight are counted in bytes, so memory stays flat whatever a row's size, and a slow
//! destination suspends its source. What ends a sync comes down the same channel as its rows, so
//! that nothing overtakes anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore, mpsc};

use super::{Counters, Ledger, LedgerFault, SyncError};
use crate::connector::Connector;
use crate::executor::{Cancel, Context, ExecutorError};
use crate::protocol::{
    Catalog, Commit, DestinationInput, EmittedAt, Event, Failure, FailureKind, Outcome, Rows,
    SourceOutput, StateMessage, StreamStatus, now_ms,
};

/// Bytes in flight. 1 MiB: a dozen batches keep both sides busy, and more gained nothing.
const IN_FLIGHT: u32 = 1 << 20;
/// Events in flight, for sources that send checkpoints and few rows.
const EVENTS: usize = 64;
/// How long a quiet source's checkpoints may wait before the destination is asked to commit.
const QUIET: Duration = Duration::from_secs(1);
/// How long a side that was told to stop may take beyond its own stop time.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

enum Item {
    Event(Event, Option<OwnedSemaphorePermit>),
    /// Everything was given. Said in words: a channel that closes without it was let go of by
    /// someone who could not, and what came through it is not whole.
    End,
    /// The source failed: after this nothing may be finished.
    Stop,
}

/// What a source calls.
struct SourceSide {
    ledger: Arc<Ledger>,
    counters: Arc<Counters>,
    queue: mpsc::Sender<Item>,
    room: Arc<Semaphore>,
    statuses: Arc<Mutex<Vec<Option<StreamStatus>>>>,
}

impl SourceSide {
    fn status_of(&self, stream: u32) -> Result<Option<StreamStatus>, Failure> {
        let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.get(stream as usize).copied().ok_or_else(|| {
            let what = format!("the source named stream {stream}, which is not in the catalog");
            self.ledger.source_broke(Failure::system(what))
        })
    }

    async fn send(&self, item: Item) -> Result<(), Failure> {
        self.queue.send(item).await.map_err(|_| Failure::cancelled())
    }
}

#[async_trait]
impl SourceOutput for SourceSide {
    async fn emit(&self, mut rows: Rows) -> Result<(), Failure> {
        if matches!(
            self.status_of(rows.stream)?,
            Some(StreamStatus::Complete | StreamStatus::Incomplete)
        ) {
            let stream = self.counters.streams[rows.stream as usize].descriptor.clone();
            let what = "the source emitted rows after it had ended the stream";
            return Err(self.ledger.source_broke(Failure::system(what).in_stream(stream)));
        }
        if let Err(fault) = rows.verify() {
            let what = format!("the source broke the contract: {fault}");
            return Err(self.ledger.source_broke(Failure::system(what)));
        }
        if rows.emitted_at == EmittedAt::Unknown {
            rows.emitted_at = EmittedAt::All(now_ms());
        }
        let bytes = u32::try_from(rows.weight()).unwrap_or(u32::MAX).clamp(1, IN_FLIGHT);
        let room = self.room.clone().acquire_many_owned(bytes).await;
        let permit = room.map_err(|_| Failure::cancelled())?;
        self.ledger.received(&rows)?;
        self.send(Item::Event(Event::Rows(rows), Some(permit))).await
    }

    async fn checkpoint(&self, state: StateMessage) -> Result<u64, Failure> {
        let state = Arc::new(state);
        let id = self.ledger.checkpoint(&state)?;
        self.send(Item::Event(Event::Checkpoint { id, state: Some(state) }, None)).await?;
        Ok(id)
    }

    async fn status(&self, stream: u32, status: StreamStatus) -> Result<(), Failure> {
        let before = self.status_of(stream)?;
        // What has ended stays ended; a failed stream cannot become complete.
        if !matches!(before, Some(StreamStatus::Complete | StreamStatus::Incomplete))
            || status == StreamStatus::Incomplete
        {
            self.statuses.lock().unwrap_or_else(PoisonError::into_inner)[stream as usize] =
                Some(status);
            self.counters.streams[stream as usize].set_status(status);
        }
        Ok(())
    }

    fn estimate(&self, stream: u32, rows: Option<u64>, bytes: Option<u64>) {
        if let Some(counters) = self.counters.streams.get(stream as usize) {
            counters.set_estimate(rows, bytes);
        }
    }
}

/// What a destination calls.
struct DestinationSide {
    ledger: Arc<Ledger>,
    counters: Arc<Counters>,
    queue: AsyncMutex<mpsc::Receiver<Item>>,
    /// The room of the batch given out last; free again when the next is asked for.
    held: Mutex<Option<OwnedSemaphorePermit>>,
    /// Whether it waits for what comes next: then nobody waits for it.
    asks: AtomicBool,
    /// Whether it was told that its input ended.
    ended: AtomicBool,
    stopped: AtomicBool,
}

#[async_trait]
impl DestinationInput for DestinationSide {
    async fn next(&self) -> Result<Option<Event>, Failure> {
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
        if self.ended.load(Ordering::Acquire) {
            return Ok(None);
        }
        if self.stopped.load(Ordering::Acquire) {
            return Err(Failure::cancelled());
        }
        self.asks.store(true, Ordering::Release);
        let mut queue = self.queue.lock().await;
        let item = match queue.try_recv() {
            Ok(item) => Some(item),
            Err(_) => match tokio::time::timeout(QUIET, queue.recv()).await {
                Ok(item) => item,
                Err(_) if self.ledger.is_waiting() => Some(Item::Event(Event::Flush, None)),
                Err(_) => queue.recv().await,
            },
        };
        self.asks.store(false, Ordering::Release);
        match item {
            Some(Item::Event(event, permit)) => {
                if let Event::Rows(rows) = &event {
                    self.counters.streams[rows.stream as usize].sent(rows.count.into());
                }
                *self.held.lock().unwrap_or_else(PoisonError::into_inner) = permit;
                Ok(Some(event))
            }
            Some(Item::End) => {
                self.ended.store(true, Ordering::Release);
                Ok(None)
            }
            Some(Item::Stop) | None => {
                self.stopped.store(true, Ordering::Release);
                Err(Failure::cancelled())
            }
        }
    }

    async fn committed(&self, commits: Vec<Commit>) -> Result<(), Failure> {
        self.ledger.committed(commits).await
    }

    fn source_broke(&self, failure: Failure) -> Failure {
        self.ledger.source_broke(failure)
    }
}

/// What the pipeline runs.
pub struct Job<'a> {
    /// Where rows come from.
    pub source: &'a Connector,
    /// Where they go.
    pub destination: &'a Connector,
    /// What moves.
    pub catalog: &'a Arc<Catalog>,
    /// Where the source goes on from.
    pub states: Vec<StateMessage>,
    /// What is committed.
    pub ledger: &'a Arc<Ledger>,
    /// For whoever watches.
    pub counters: &'a Arc<Counters>,
    /// When to stop.
    pub cancel: &'a Cancel,
    /// How long nothing at all may happen; none: for ever.
    pub idle_time: Option<Duration>,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("source", &self.source)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

/// Runs both sides of a sync to their end.
///
/// # Errors
/// [`SyncError`], naming the side that is at fault. What was confirmed is stored.
pub async fn run(job: Job<'_>) -> Result<(), SyncError> {
    let Job { source, destination, catalog, states, ledger, counters, cancel, idle_time } = job;
    let (sender, receiver) = mpsc::channel(EVENTS);
    let room = Arc::new(Semaphore::new(IN_FLIGHT as usize));
    let statuses = Arc::new(Mutex::new(vec![None; catalog.streams.len()]));
    let output = Arc::new(SourceSide {
        ledger: ledger.clone(),
        counters: counters.clone(),
        queue: sender.clone(),
        room: room.clone(),
        statuses: statuses.clone(),
    });
    let input = Arc::new(DestinationSide {
        ledger: ledger.clone(),
        counters: counters.clone(),
        queue: AsyncMutex::new(receiver),
        held: Mutex::new(None),
        asks: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
    });

    let (stop_source, source_cancel) = Cancel::new();
    let mut writing = {
        let (executor, config) = (destination.executor(), destination.config().clone());
        let context = Context::new(destination.observer());
        let (catalog, input) = (catalog.clone(), input.clone());
        Task::spawn(async move { executor.write(&context, &config, &catalog, input).await })
    };
    let mut reading = {
        let (executor, config) = (source.executor(), source.config().clone());
        let context = Context { cancel: source_cancel, ..Context::new(source.observer()) };
        let catalog = catalog.clone();
        Task::spawn(
            async move { executor.read(&context, &config, &catalog, &states, output).await },
        )
    };

    let mut early = None;
    let read = tokio::select! {
        biased;
        result = &mut reading.0 => joined(result),
        result = &mut writing.0 => {
            // The destination ended while its source was still at work.
            early = Some(joined(result));
            stop_source.cancel();
            room.close();
            finish(&mut reading).await
        }
        () = cancel.cancelled() => {
            stop_source.cancel();
            finish(&mut reading).await
        }
        () = ignored(ledger) => {
            stop_source.cancel();
            room.close();
            finish(&mut reading).await
        }
        () = silence(counters, idle_time) => {
            let fault = if input.asks.load(Ordering::Acquire) {
                LedgerFault::Source(idle())
            } else {
                LedgerFault::Destination(idle())
            };
            ledger.breaks_off(fault);
            stop_source.cancel();
            room.close();
            finish(&mut reading).await
        }
    };
    let source_error = match read {
        Ok(()) => incomplete(&statuses, catalog).map(ExecutorError::Failure),
        Err(error) => Some(error),
    };
    let destination_first = early.is_some();
    let good = source_error.is_none() && !destination_first && !cancel.is_cancelled();
    let written = match early {
        Some(written) => written,
        None => {
            // The queue may be full, and the destination may end without emptying it.
            let told = async {
                end(sender, ledger, catalog, good).await;
                if good {
                    // It finishes in its own time.
                    std::future::pending::<()>().await;
                }
            };
            let stopped = async {
                cancel.cancelled().await;
                if !good {
                    // It is being told, and who waits for a stop does not wait for ever.
                    tokio::time::sleep(PATIENCE).await;
                }
            };
            tokio::select! {
                biased;
                result = &mut writing.0 => joined(result),
                () = told => finish(&mut writing).await,
                () = stopped => finish(&mut writing).await,
                () = ignored(ledger) => finish(&mut writing).await,
                () = silence(counters, idle_time) => {
                    ledger.breaks_off(LedgerFault::Destination(idle()));
                    finish(&mut writing).await
                }
            }
        }
    };
    let ends = Ends { source_error, written, destination_first, cancelled: cancel.is_cancelled() };
    judge(source, destination, ends, &input, ledger).await
}

/// Ends when nothing was counted for the idle time.
async fn silence(counters: &Counters, idle_time: Option<Duration>) {
    let Some(idle_time) = idle_time else { return std::future::pending().await };
    let mut seen = (counters.total(), counters.checkpoints());
    let mut since = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(idle_time / 10).await;
        let now = (counters.total(), counters.checkpoints());
        if now != seen {
            (seen, since) = (now, tokio::time::Instant::now());
        } else if since.elapsed() >= idle_time {
            return;
        }
    }
}

/// Ends when the ledger broke and neither side ended of it for a while: whoever broke it was told so
/// by every call since, and goes on all the same.
async fn ignored(ledger: &Ledger) {
    while ledger.broken().is_none() {
        tokio::time::sleep(QUIET).await;
    }
    tokio::time::sleep(PATIENCE).await;
}

/// What is said of a side in which nothing happened.
const IDLE: &str = "nothing happened for the idle time: no row, no state, no commit";

pub(super) fn idle() -> Failure {
    Failure::new(FailureKind::Transient, IDLE)
}

/// Whether a side failed because nothing happened.
pub(super) fn is_idle(failure: &Failure) -> bool {
    failure.message == IDLE
}

/// How both sides ended.
struct Ends {
    source_error: Option<ExecutorError>,
    written: Side,
    /// The destination ended while its source was still at work.
    destination_first: bool,
    cancelled: bool,
}

/// Tells the destination how its input ended. A channel that is closed already is fine.
async fn end(sender: mpsc::Sender<Item>, ledger: &Ledger, catalog: &Catalog, good: bool) {
    let outcome = if good { Outcome::Complete } else { Outcome::Incomplete };
    let mut items = Vec::new();
    if !good {
        // What was delivered is worth keeping, as far as the destination can.
        items.push(Item::Event(Event::Flush, None));
    }
    for stream in 0..catalog.streams.len() {
        let stream = u32::try_from(stream).unwrap_or(u32::MAX);
        items.push(Item::Event(Event::StreamEnd { stream, outcome }, None));
    }
    if good {
        let id = ledger.last_checkpoint();
        items.push(Item::Event(Event::Checkpoint { id, state: None }, None));
        items.push(Item::End);
    } else {
        items.push(Item::Stop);
    }
    for item in items {
        if sender.send(item).await.is_err() {
            return;
        }
    }
}

/// The first stream the source did not complete.
fn incomplete(statuses: &Mutex<Vec<Option<StreamStatus>>>, catalog: &Catalog) -> Option<Failure> {
    let statuses = statuses.lock().unwrap_or_else(PoisonError::into_inner);
    let (stream, status) = catalog
        .streams
        .iter()
        .zip(statuses.iter())
        .find(|(_, status)| **status != Some(StreamStatus::Complete))?;
    let what = match status {
        Some(StreamStatus::Incomplete) => "the source says it could not read the stream to its end",
        Some(_) => "the source ended without saying that the stream is complete",
        None => "the source ended without a word about the stream",
    };
    Some(Failure::system(what).in_stream(stream.stream.descriptor.clone()))
}

type Side = Result<(), ExecutorError>;

/// A side at work. Whoever drops the sync drops both sides: one that went on alone would write under
/// a lock that somebody else may hold by then.
struct Task(tokio::task::JoinHandle<Side>);

impl Task {
    fn spawn(side: impl Future<Output = Side> + Send + 'static) -> Self {
        Self(tokio::spawn(side))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn joined(result: Result<Side, tokio::task::JoinError>) -> Side {
    result.unwrap_or_else(|error| {
        let what = if error.is_panic() {
            "a fault in the host ended the operation"
        } else {
            "the operation was ended"
        };
        Err(ExecutorError::Failure(Failure::system(what)))
    })
}

/// Waits for a side that was told to stop, and ends it when it does not.
async fn finish(side: &mut Task) -> Side {
    match tokio::time::timeout(PATIENCE, &mut side.0).await {
        Ok(result) => joined(result),
        Err(_) => {
            side.0.abort();
            Err(ExecutorError::Failure(Failure::cancelled()))
        }
    }
}

/// Finds out whose fault it was.
async fn judge(
    source: &Connector,
    destination: &Connector,
    ends: Ends,
    input: &DestinationSide,
    ledger: &Ledger,
) -> Result<(), SyncError> {
    let by_source = |error: ExecutorError| SyncError::Source {
        name: source.name().to_owned(),
        error: Box::new(error),
    };
    let by_destination = |error: ExecutorError| SyncError::Destination {
        name: destination.name().to_owned(),
        error: Box::new(error),
    };
    let by_fault = |fault: LedgerFault| match fault {
        LedgerFault::Source(failure) => by_source(failure.into()),
        LedgerFault::Destination(failure) => by_destination(failure.into()),
        LedgerFault::Store(failure) => SyncError::Store(failure.message),
    };
    // What the ledger saw comes first: a connector may hide what it did.
    if let Some(fault) = ledger.broken() {
        return Err(by_fault(fault));
    }
    let too_early = || {
        let what = "it returned before its input had ended";
        by_destination(Failure::system(what).into())
    };
    match (ends.source_error, ends.written) {
        (_, Err(error)) if ends.destination_first => return Err(by_destination(error)),
        (_, Ok(())) if ends.destination_first => return Err(too_early()),
        _ if ends.cancelled => return Err(SyncError::Cancelled),
        // The side that failed by itself, not the one that was told to stop.
        (Some(error), _) if !error.is_cancelled() => return Err(by_source(error)),
        (_, Err(error)) => return Err(by_destination(error)),
        (Some(error), Ok(())) => return Err(by_source(error)),
        (None, Ok(())) => {}
    }
    if !input.ended.load(Ordering::Acquire) {
        return Err(too_early());
    }
    ledger.close().await.map_err(|failure| {
        ledger.broken().map_or_else(|| SyncError::Store(failure.message), by_fault)
    })
}

#[cfg(test)]
mod tests;
