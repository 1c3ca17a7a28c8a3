//! A cache as a source: what the second half of a cached sync reads from.
//!
//! Rows come as their source sent them, those of a stream in their order, and the source's states at
//! their places between them. Each state says its place in the cache ([`Place`]), so that the next
//! sync of this destination begins there. Where rows come after the last state, it is given once more
//! with the place of the last row; where a source gave none, a place alone is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::place::Place;
use super::start::{CHECKPOINTS, Part};
use crate::cache::{CacheError, CachePosition, CachedCheckpoint, RecordCache};
use crate::executor::{Context, Described, Executor, ExecutorError};
use crate::protocol::{
    Catalog, Failure, Json, SourceOutput, StateMessage, StateScope, StreamDescriptor, StreamStatus,
};

/// Rows taken from the cache at once, in bytes: as many as a source's batch has, some times over.
const BATCH_BYTES: usize = 128 << 10;

/// See the module. One replay of one source's part of a cache.
pub(super) struct Replay {
    cache: Arc<dyn RecordCache>,
    id: String,
    source: String,
    /// In the catalog's order.
    parts: Vec<Part>,
    /// The last checkpoint of each scope: it is given also where no row is new.
    last: HashMap<StateScope, u64>,
    /// A place alone may be given for a stream without states.
    places_alone: Vec<bool>,
    fault: Mutex<Option<CacheError>>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// Why a replay stops.
enum Stop {
    Cache(CacheError),
    Told(Failure),
}

impl From<CacheError> for Stop {
    fn from(error: CacheError) -> Self {
        Self::Cache(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Told(failure)
    }
}

impl Replay {
    pub(super) fn new(
        cache: Arc<dyn RecordCache>,
        source: String,
        parts: Vec<Part>,
        last: HashMap<StateScope, u64>,
        places_alone: Vec<bool>,
    ) -> Self {
        let id = cache.describe().id;
        Self { cache, id, source, parts, last, places_alone, fault: Mutex::default() }
    }

    /// Why the cache could not be read, if that is how it ended.
    pub(super) fn fault(&self) -> Option<CacheError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Asks the cache, off the async threads.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn RecordCache, &str) -> Result<T, CacheError> + Send + 'static,
    ) -> Result<T, Stop> {
        let (cache, source) = (self.cache.clone(), self.source.clone());
        let asked = tokio::task::spawn_blocking(move || question(cache.as_ref(), &source));
        let answer =
            asked.await.map_err(|_| Failure::system("a fault in the host ended a read"))?;
        Ok(answer?)
    }
}

#[async_trait]
impl Executor for Replay {
    fn describe(&self) -> Described {
        super::described(self.cache.as_ref())
    }

    async fn read(
        &self,
        context: &Context,
        _: &Json,
        _: &Catalog,
        _: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        match Sending::new(self, context, output.as_ref()).run().await {
            Ok(()) => Ok(()),
            Err(Stop::Told(failure)) => Err(failure.into()),
            Err(Stop::Cache(error)) => {
                let failure = Failure::system(error.to_string());
                *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(failure.into())
            }
        }
    }
}

/// What was sent so far.
struct Sending<'a> {
    replay: &'a Replay,
    context: &'a Context,
    output: &'a dyn SourceOutput,
    index: HashMap<&'a StreamDescriptor, usize>,
    /// Of each stream: the last row sent.
    sent: Vec<u64>,
    started: Vec<bool>,
    /// Rows since the last state of the stream.
    since: Vec<u64>,
    /// The last row that a state was sent for.
    noted: Vec<u64>,
    /// The last state of each scope, to be given again where rows come after it.
    states: HashMap<StateScope, CachedCheckpoint>,
}

impl<'a> Sending<'a> {
    fn new(replay: &'a Replay, context: &'a Context, output: &'a dyn SourceOutput) -> Self {
        let count = replay.parts.len();
        let sent: Vec<u64> = replay.parts.iter().map(|part| part.after).collect();
        let streams = replay.parts.iter().enumerate();
        Self {
            replay,
            context,
            output,
            index: streams.map(|(place, part)| (&part.descriptor, place)).collect(),
            noted: sent.clone(),
            sent,
            started: vec![false; count],
            since: vec![0; count],
            states: HashMap::new(),
        }
    }

    async fn run(mut self) -> Result<(), Stop> {
        let mut after = 0;
        loop {
            let page = self.replay.ask(move |c, s| c.checkpoints(s, after, CHECKPOINTS)).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for checkpoint in page {
                self.pass(checkpoint).await?;
            }
        }
        for stream in 0..self.sent.len() {
            self.rows(stream, self.replay.parts[stream].up_to.row).await?;
        }
        self.rest().await?;
        self.still_there().await?;
        for stream in 0..self.sent.len() {
            self.start(stream).await?;
            self.output.status(number(stream), StreamStatus::Complete).await?;
        }
        Ok(())
    }

    /// The rows before a checkpoint, and its state.
    async fn pass(&mut self, checkpoint: CachedCheckpoint) -> Result<(), Stop> {
        let here = checkpoint.positions.iter();
        let here = here.filter_map(|(stream, at)| Some((*self.index.get(stream)?, *at)));
        let positions: Vec<(usize, CachePosition)> = here.collect();
        if positions.iter().any(|(stream, at)| self.is_gone(*stream, *at, &checkpoint)) {
            return Ok(());
        }
        let covered: Vec<(usize, u64)> = positions.iter().map(|(of, at)| (*of, at.row)).collect();
        let is_last =
            self.replay.last.get(checkpoint.state.scope()).is_some_and(|id| *id == checkpoint.id);
        let is_new = covered.iter().any(|(stream, row)| *row > self.sent[*stream]);
        // A later read may have come in between: its rows are not sent here.
        let later = covered.iter().any(|(stream, row)| *row > self.replay.parts[*stream].up_to.row);
        if covered.is_empty() || later || !(is_new || is_last) {
            return Ok(());
        }
        for (stream, row) in &covered {
            self.rows(*stream, *row).await?;
        }
        self.state(&checkpoint).await?;
        self.states.insert(checkpoint.state.scope().clone(), checkpoint);
        Ok(())
    }

    /// Whether rows that a state says were sent were replaced since: a source that went on from it would
    /// leave them out. Of a global state the part of a stream that is read in full is not stored.
    fn is_gone(&self, stream: usize, at: CachePosition, checkpoint: &CachedCheckpoint) -> bool {
        let part = &self.replay.parts[stream];
        let counts = *checkpoint.state.scope() != StateScope::Global || part.resumed;
        counts && at.generation != part.up_to.generation && at.row > 0
    }

    /// The rows of a stream up to a number.
    async fn rows(&mut self, stream: usize, up_to: u64) -> Result<(), Stop> {
        while self.sent[stream] < up_to {
            if self.context.cancel.is_cancelled() {
                return Err(Failure::cancelled().into());
            }
            let (after, of) = (self.sent[stream], self.replay.parts[stream].descriptor.clone());
            let taken =
                self.replay.ask(move |c, s| c.rows(s, &of, after, up_to, BATCH_BYTES)).await?;
            let Some(taken) = taken else {
                // Rows that were merged have gone to a later place.
                self.sent[stream] = up_to;
                break;
            };
            self.start(stream).await?;
            let mut rows = taken.rows;
            rows.stream = number(stream);
            self.since[stream] += u64::from(rows.count);
            self.sent[stream] = taken.last.max(after + 1);
            self.output.emit(rows).await?;
        }
        Ok(())
    }

    async fn start(&mut self, stream: usize) -> Result<(), Stop> {
        if !std::mem::replace(&mut self.started[stream], true) {
            self.output.status(number(stream), StreamStatus::Started).await?;
        }
        Ok(())
    }

    /// A state of the source, with the place up to which rows were sent.
    async fn state(&mut self, checkpoint: &CachedCheckpoint) -> Result<(), Stop> {
        let here = |stream: &StreamDescriptor| self.index.get(stream).copied();
        let scope = checkpoint.state.scope();
        let covered: Vec<usize> =
            checkpoint.positions.iter().filter_map(|(stream, _)| here(stream)).collect();
        let others = checkpoint.positions.len() > covered.len();
        if *scope == StateScope::Legacy && others {
            // It also says that rows were sent which are not, and cannot be taken apart.
            return Ok(());
        }
        let place = self.place(&covered, checkpoint.of_full_read, false);
        let (state, rows) = match scope {
            StateScope::Stream(_) => (checkpoint.state.clone(), self.taken(&covered)),
            StateScope::Global | StateScope::Legacy => {
                let state = checkpoint.state.clone().without(|stream| here(stream).is_none());
                let all: Vec<usize> = (0..self.since.len()).collect();
                (state, self.taken(&all))
            }
        };
        for stream in covered {
            self.noted[stream] = self.sent[stream];
        }
        self.output.checkpoint(place.note(state, rows)).await?;
        Ok(())
    }

    /// What no state was given for: the last one once more, or a place alone.
    async fn rest(&mut self) -> Result<(), Stop> {
        let behind = |it: &Self, stream: usize| it.noted[stream] < it.sent[stream];
        let mut states: Vec<_> = std::mem::take(&mut self.states).into_values().collect();
        states.sort_by_key(|checkpoint| checkpoint.id);
        for checkpoint in states {
            let mut covered = checkpoint.positions.iter().filter_map(|(of, _)| self.index.get(of));
            if covered.any(|stream| behind(self, *stream)) {
                self.state(&checkpoint).await?;
            }
        }
        for stream in 0..self.sent.len() {
            if !behind(self, stream) || !self.replay.places_alone[stream] {
                continue;
            }
            let place = self.place(&[stream], true, true);
            let descriptor = self.replay.parts[stream].descriptor.clone();
            let state = StateMessage::stream(descriptor, Some(&Json::empty_object()));
            self.output.checkpoint(place.note(state, 0)).await?;
        }
        Ok(())
    }

    fn place(&self, streams: &[usize], of_full_read: bool, alone: bool) -> Place {
        let positions = streams.iter().map(|stream| {
            let part = &self.replay.parts[*stream];
            let (generation, row) = (part.up_to.generation, self.sent[*stream]);
            (part.descriptor.clone(), CachePosition { generation, row })
        });
        let cache = self.replay.id.clone();
        Place { cache, positions: positions.collect(), of_full_read, alone }
    }

    /// Rows since the last state of these streams.
    fn taken(&mut self, streams: &[usize]) -> u64 {
        streams.iter().map(|stream| std::mem::take(&mut self.since[*stream])).sum()
    }

    /// What another sync replaced meanwhile was not sent, and must not look as if it was.
    async fn still_there(&self) -> Result<(), Stop> {
        let streams = self.replay.ask(|c, s| c.streams(Some(s))).await?;
        for part in &self.replay.parts {
            let now = streams.iter().find(|stream| stream.descriptor == part.descriptor);
            if now.is_none_or(|now| now.position.generation != part.up_to.generation) {
                let stream = part.descriptor.to_string();
                return Err(CacheError::Replaced { stream }.into());
            }
        }
        Ok(())
    }
}

fn number(stream: usize) -> u32 {
    u32::try_from(stream).unwrap_or(u32::MAX)
}
