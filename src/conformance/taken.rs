//! What a source gives while it is read, kept whole and in its order, so that two reads can be
//! compared. What is kept is bounded; a source that gives more is stopped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::Trial;
use super::ear::Ear;
use crate::executor::ExecutorError;
use crate::protocol::{
    Catalog, Failure, Rows, SourceOutput, StateMessage, StateScope, StreamDescriptor, StreamStatus,
};
use crate::sandbox::secrets::SEALED;

/// How much of a read is kept.
#[derive(Debug, Clone, Copy)]
pub struct KeptLimits {
    /// Rows of a read. Each is compared with those of other reads.
    pub rows: usize,
    /// Bytes of them.
    pub bytes: usize,
    /// States and statuses of a read.
    pub marks: usize,
}

impl Default for KeptLimits {
    fn default() -> Self {
        Self { rows: 1_000_000, bytes: 256 << 20, marks: 100_000 }
    }
}

/// Something that a source gave.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// A row of a stream.
    Row(u32, Box<str>),
    /// A state.
    State(StateMessage),
    /// A stream's status.
    Status(u32, StreamStatus),
}

#[derive(Debug, Default)]
struct Inner {
    given: Vec<Given>,
    rows: usize,
    bytes: usize,
    marks: usize,
    full: bool,
}

/// Takes what a source gives.
#[derive(Debug)]
struct Taken {
    ear: Arc<Ear>,
    limits: KeptLimits,
    streams: HashMap<StreamDescriptor, u32>,
    inner: Mutex<Inner>,
}

/// A whole read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) given: Vec<Given>,
    /// Whether the source was stopped because it gave too much.
    pub(super) full: bool,
}

/// Reads; what was given until it ended, well or not.
pub(super) async fn read(
    trial: &Trial<'_>,
    catalog: &Catalog,
    states: &[StateMessage],
) -> (Read, Result<(), ExecutorError>) {
    let taken = Arc::new(Taken::new(catalog, trial.options.kept, trial.ear.clone()));
    let context = trial.context();
    let silence = trial.options.idle_time;
    trial.ear.alive.sign();
    let ended = tokio::select! {
        biased;
        ended = trial.executor.read(&context, trial.config(), catalog, states, taken.clone()) => ended,
        silent = trial.ear.alive.silent("a read without a sign of life", silence) => Err(silent),
    };
    (taken.take(), trial.heard(ended))
}

/// Whether a state covers a stream.
pub(super) fn covers(state: &StateMessage, stream: &StreamDescriptor) -> bool {
    match state.scope() {
        StateScope::Stream(descriptor) => descriptor == stream,
        StateScope::Global | StateScope::Legacy => true,
    }
}

impl Taken {
    fn new(catalog: &Catalog, limits: KeptLimits, ear: Arc<Ear>) -> Self {
        Self { ear, limits, streams: catalog.index(), inner: Mutex::default() }
    }

    fn inner<T>(&self, with: impl FnOnce(&mut Inner) -> T) -> T {
        with(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All of it; nothing is left.
    fn take(&self) -> Read {
        self.inner(|inner| Read { given: std::mem::take(&mut inner.given), full: inner.full })
    }

    fn known(&self, stream: u32) -> Result<(), Failure> {
        if (stream as usize) < self.streams.len() {
            return Ok(());
        }
        Err(Failure::system(format!("it named stream {stream}, which is not in the catalog")))
    }

    fn mark(&self, given: Given) -> Result<u64, Failure> {
        self.ear.alive.sign();
        self.inner(|inner| {
            inner.marks += 1;
            if inner.marks > self.limits.marks {
                inner.full = true;
                return Err(Failure::cancelled());
            }
            inner.given.push(given);
            Ok(inner.marks as u64)
        })
    }
}

#[async_trait]
impl SourceOutput for Taken {
    async fn emit(&self, rows: Rows) -> Result<(), Failure> {
        self.ear.alive.sign();
        self.known(rows.stream)?;
        rows.verify().map_err(|e| Failure::system(format!("it broke the contract: {e}")))?;
        self.inner(|inner| {
            for line in rows.lines() {
                let text = std::str::from_utf8(line)
                    .map_err(|_| Failure::system("it gave a row that is not UTF-8"))?;
                inner.rows += 1;
                inner.bytes += text.len();
                if inner.rows > self.limits.rows || inner.bytes > self.limits.bytes {
                    inner.full = true;
                    return Err(Failure::cancelled());
                }
                inner.given.push(Given::Row(rows.stream, text.into()));
            }
            Ok(())
        })
    }

    async fn checkpoint(&self, state: StateMessage) -> Result<u64, Failure> {
        if let StateScope::Stream(descriptor) = state.scope()
            && !self.streams.contains_key(descriptor)
        {
            let what = "it gave a state of a stream that is not in the catalog";
            return Err(Failure::system(what).in_stream(descriptor.clone()));
        }
        if state.body().get().contains(SEALED) {
            self.ear.leaked(&format!("a state holds a secret: {}", state.body().get()));
        }
        self.mark(Given::State(state))
    }

    async fn status(&self, stream: u32, status: StreamStatus) -> Result<(), Failure> {
        self.known(stream)?;
        self.mark(Given::Status(stream, status)).map(drop)
    }

    fn estimate(&self, _: u32, _: Option<u64>, _: Option<u64>) {}
}

impl Read {
    /// The rows of a stream that come after a place.
    pub(super) fn rows(&self, stream: u32, from: usize) -> impl Iterator<Item = &str> {
        self.given.iter().skip(from).filter_map(move |given| match given {
            Given::Row(of, row) if *of == stream => Some(row.as_ref()),
            _ => None,
        })
    }

    /// How many rows a stream has.
    pub(super) fn count(&self, stream: u32) -> usize {
        self.rows(stream, 0).count()
    }

    /// Where a stream's first row is.
    pub(super) fn first_row(&self, stream: u32) -> Option<usize> {
        self.given.iter().position(|given| matches!(given, Given::Row(of, _) if *of == stream))
    }

    /// Where a stream's last row is.
    pub(super) fn last_row(&self, stream: u32) -> Option<usize> {
        self.given.iter().rposition(|given| matches!(given, Given::Row(of, _) if *of == stream))
    }

    /// The places of the states.
    pub(super) fn states(&self) -> impl Iterator<Item = (usize, &StateMessage)> {
        self.given.iter().enumerate().filter_map(|(place, given)| match given {
            Given::State(state) => Some((place, state)),
            _ => None,
        })
    }

    /// The states that hold after a place: the last of each stream, or the last for all.
    pub(super) fn states_at(&self, last: usize) -> Vec<StateMessage> {
        self.states_over(Vec::new(), last)
    }

    fn states_over(&self, mut held: Vec<StateMessage>, last: usize) -> Vec<StateMessage> {
        for (_, state) in self.states().take_while(|(place, _)| *place <= last) {
            match state.scope() {
                StateScope::Stream(_) => held.retain(|other| other.scope() != state.scope()),
                StateScope::Global | StateScope::Legacy => held.clear(),
            }
            held.push(state.clone());
        }
        held
    }

    /// What is stored after it: its own states over those before.
    pub(super) fn stored_over(&self, before: Vec<StateMessage>) -> Vec<StateMessage> {
        self.states_over(before, self.given.len())
    }

    /// The states that hold at the end.
    pub(super) fn last_states(&self) -> Vec<StateMessage> {
        self.states_at(self.given.len())
    }

    /// What a stream's status became, in order.
    pub(super) fn statuses(&self, stream: u32) -> impl Iterator<Item = (usize, StreamStatus)> {
        self.given.iter().enumerate().filter_map(move |(place, given)| match given {
            Given::Status(of, status) if *of == stream => Some((place, *status)),
            _ => None,
        })
    }
}
