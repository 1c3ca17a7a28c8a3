//! A cache as a destination: what the first half of a cached sync writes to.
//!
//! The cache blocks, so one thread beside the async ones drives it, over a channel of a few steps. What
//! is taken becomes durable where a state of the source is: what comes after the last state is read
//! again by the next sync, and would be there twice. So rows are held until their state comes, as long as
//! they are few. Several states share a commit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::cache::{CacheError, CacheWriter, CachedRead, RecordCache};
use crate::executor::{Context, Described, Executor, ExecutorError};
use crate::protocol::{
    Catalog, Commit, DestinationInput, Event, Failure, Json, Outcome, Rows, StateMessage,
    StreamTotal,
};

/// Steps on their way to the cache. Two: it works on one while the next is taken.
const STEPS: usize = 2;
/// Rows between two commits, in bytes. 16 MiB: a commit waits for the disk.
const COMMIT_BYTES: usize = 16 << 20;
/// Time between two commits: what a killed sync reads again.
const COMMIT_TIME: Duration = Duration::from_secs(2);
/// Rows that wait for the state after them, in bytes. 4 MiB: states come every thousand rows or so, and
/// what waits is in memory.
const HELD_BYTES: usize = 4 << 20;
/// Rows of a source that gives no states, in bytes, that may be in one transaction. 256 MiB: more
/// helps nobody, and it is on the disk twice until then.
const UNCOMMITTED_BYTES: usize = 256 << 20;

/// See the module. One fill of one cache.
pub(super) struct Fill {
    pub(super) cache: Arc<dyn RecordCache>,
    pub(super) source_key: String,
    pub(super) source_name: String,
    /// What moves, and how the cache keeps it.
    pub(super) catalog: Arc<Catalog>,
    ended: Mutex<Ended>,
}

/// What it came to.
#[derive(Debug, Default)]
struct Ended {
    reads: Option<Vec<CachedRead>>,
    fault: Option<CacheError>,
}

impl std::fmt::Debug for Fill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fill").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Fill {
    pub(super) fn new(
        cache: Arc<dyn RecordCache>,
        source_key: String,
        source_name: String,
        catalog: Arc<Catalog>,
    ) -> Self {
        Self { cache, source_key, source_name, catalog, ended: Mutex::default() }
    }

    /// What was read, once it has ended well.
    pub(super) fn reads(&self) -> Option<Vec<CachedRead>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).reads.take()
    }

    /// Why the cache could not be written, if that is how it ended.
    pub(super) fn fault(&self) -> Option<CacheError> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).fault.take()
    }
}

/// What the thread of the cache is told.
enum Step {
    Rows(Rows),
    State(Arc<StateMessage>),
    Complete(u32),
    Commit(oneshot::Sender<()>),
    /// Commits, and ends well.
    End(oneshot::Sender<()>),
}

/// Does what it is told until nobody tells it anything; gives what was read if it ended well.
fn drive(
    mut writer: Box<dyn CacheWriter>,
    mut steps: mpsc::Receiver<Step>,
) -> Result<Option<Vec<CachedRead>>, CacheError> {
    while let Some(step) = steps.blocking_recv() {
        match step {
            Step::Rows(rows) => writer.rows(&rows)?,
            Step::State(state) => writer.checkpoint(&state)?,
            Step::Complete(stream) => writer.complete(stream)?,
            Step::Commit(done) => {
                writer.commit()?;
                // Who asked may have given up.
                let _ = done.send(());
            }
            Step::End(done) => {
                let reads = writer.end()?;
                let _ = done.send(());
                return Ok(Some(reads));
            }
        }
    }
    Ok(None)
}

#[async_trait]
impl Executor for Fill {
    fn describe(&self) -> Described {
        super::described(self.cache.as_ref())
    }

    async fn write(
        &self,
        _: &Context,
        _: &Json,
        _: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        let (steps, told) = mpsc::channel(STEPS);
        let (cache, catalog) = (self.cache.clone(), self.catalog.clone());
        let (key, name) = (self.source_key.clone(), self.source_name.clone());
        let driving =
            tokio::task::spawn_blocking(move || drive(cache.fill(&key, &name, &catalog)?, told));
        let taken = Taking::new(self.catalog.streams.len(), steps).run(input.as_ref()).await;
        let driven = driving.await;
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match driven {
            Ok(Ok(reads)) => {
                taken?;
                ended.reads = reads;
                Ok(())
            }
            Ok(Err(error @ CacheError::Row { .. })) => {
                Err(input.source_broke(Failure::system(error.to_string())).into())
            }
            Ok(Err(error)) => {
                let failure = Failure::system(error.to_string());
                ended.fault = Some(error);
                Err(failure.into())
            }
            Err(_) => Err(Failure::system("a fault in the host ended the writing").into()),
        }
    }
}

/// What was taken, and what of it is not durable yet.
struct Taking {
    steps: mpsc::Sender<Step>,
    totals: Vec<StreamTotal>,
    /// The last checkpoint that is not durable.
    waiting: Option<u64>,
    /// Rows after it, which the cache was not given.
    held: Vec<Rows>,
    held_bytes: usize,
    /// The cache was given rows after it.
    beyond: bool,
    /// Bytes since the last commit.
    bytes: usize,
    committed_at: Instant,
}

impl Taking {
    fn new(streams: usize, steps: mpsc::Sender<Step>) -> Self {
        let streams = (0..streams).filter_map(|stream| u32::try_from(stream).ok());
        let totals =
            streams.map(|stream| StreamTotal { stream, written: 0, rejected: 0, bytes: 0 });
        Self {
            steps,
            totals: totals.collect(),
            waiting: None,
            held: Vec::new(),
            held_bytes: 0,
            beyond: false,
            bytes: 0,
            committed_at: Instant::now(),
        }
    }

    /// Takes events until there are no more.
    async fn run(mut self, input: &dyn DestinationInput) -> Result<(), Failure> {
        loop {
            let event = match input.next().await {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(()),
                Err(failure) => {
                    // What is whole stays; what comes after the last state is read again.
                    let _ = self.commit_if_whole(input).await;
                    return Err(failure);
                }
            };
            match event {
                Event::Rows(rows) => self.rows(rows).await?,
                Event::Checkpoint { id, state: Some(state) } => {
                    self.give().await?;
                    self.tell(Step::State(state)).await?;
                    (self.waiting, self.beyond) = (Some(id), false);
                    if self.bytes >= COMMIT_BYTES || self.committed_at.elapsed() >= COMMIT_TIME {
                        self.commit_if_whole(input).await?;
                    }
                }
                Event::Checkpoint { id, state: None } => {
                    self.give().await?;
                    self.ask(Step::End).await?;
                    self.waiting = Some(id);
                    self.confirm(input).await?;
                }
                Event::StreamEnd { stream, outcome: Outcome::Complete } => {
                    self.give().await?;
                    self.tell(Step::Complete(stream)).await?;
                }
                Event::StreamEnd { outcome: Outcome::Incomplete, .. } => {}
                Event::Flush => self.commit_if_whole(input).await?,
            }
        }
    }

    async fn rows(&mut self, rows: Rows) -> Result<(), Failure> {
        self.held_bytes += rows.weight();
        self.held.push(rows);
        if self.held_bytes >= HELD_BYTES {
            self.give().await?;
        }
        if self.bytes >= UNCOMMITTED_BYTES {
            self.ask(Step::Commit).await?;
            self.bytes = 0;
        }
        Ok(())
    }

    /// Gives the cache the rows that are held.
    async fn give(&mut self) -> Result<(), Failure> {
        self.bytes += std::mem::take(&mut self.held_bytes);
        for rows in std::mem::take(&mut self.held) {
            if let Some(total) = self.totals.get_mut(rows.stream as usize) {
                total.written += u64::from(rows.count);
                total.bytes += rows.data.len() as u64;
            }
            self.beyond = true;
            self.tell(Step::Rows(rows)).await?;
        }
        Ok(())
    }

    /// Commits where the last that the cache was given is a state.
    async fn commit_if_whole(&mut self, input: &dyn DestinationInput) -> Result<(), Failure> {
        if self.waiting.is_none() || self.beyond {
            return Ok(());
        }
        self.ask(Step::Commit).await?;
        self.confirm(input).await
    }

    async fn confirm(&mut self, input: &dyn DestinationInput) -> Result<(), Failure> {
        (self.bytes, self.committed_at) = (0, Instant::now());
        let Some(checkpoint) = self.waiting.take() else { return Ok(()) };
        let totals = self.totals.iter().filter(|total| total.written > 0).copied().collect();
        input.committed(vec![Commit::Through { checkpoint, totals }]).await
    }

    /// Tells the cache's thread something. When it has ended, it says why itself.
    async fn tell(&self, step: Step) -> Result<(), Failure> {
        self.steps.send(step).await.map_err(|_| Failure::cancelled())
    }

    async fn ask(&self, step: impl FnOnce(oneshot::Sender<()>) -> Step) -> Result<(), Failure> {
        let (done, wait) = oneshot::channel();
        self.tell(step(done)).await?;
        wait.await.map_err(|_| Failure::cancelled())
    }
}
