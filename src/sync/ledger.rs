//! The ledger: which rows were given to the destination, which of them are durable, and which
//! states may therefore be stored. The only place that knows what is committed.
//!
//! The rules (`docs/architecture.md`, "The ledger"): a state is stored after the destination
//! confirmed everything before it; a confirmation must name a checkpoint that was given, in order,
//! with counts that add up; states of a stream whose old rows are being replaced are kept back
//! until the whole sync has ended well, because until then the new rows are not in place.

mod counting;
mod pending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use self::counting::{keep_latest, same_count, whole};
use self::pending::{Freed, Inner, Pending, Scope};
use super::Counters;
use crate::protocol::{
    Catalog, Commit, Failure, Rows, StateMessage, StateScope, Stats, StreamDescriptor, StreamTotal,
    SyncMode,
};

/// Bytes of states that may wait for their confirmation: they are in memory. 256 MiB is a million of
/// the usual ones, for destinations that confirm nothing before their input ends.
const WAITING_BYTES: usize = 256 << 20;

/// Where confirmed states go.
#[async_trait]
pub trait StateSink: Send + Sync {
    /// Stores states, all or none; durable when it returns. Called in the order of confirmation.
    async fn store(&self, states: Vec<Confirmed>) -> Result<(), Failure>;

    /// Whether it wants every state, or the last of each stream only.
    fn wants_all(&self) -> bool {
        false
    }
}

/// A state whose rows are durable.
#[derive(Debug, Clone)]
pub struct Confirmed {
    /// The state.
    pub state: StateMessage,
    /// Rows of its scope since the state before.
    pub rows: u64,
    /// No incremental read may go on from it: it says "everything was read", or where a full read
    /// was, in a form of its own.
    pub of_full_read: bool,
}

/// What broke the ledger, and whose fault it was.
#[derive(Debug, Clone)]
pub enum LedgerFault {
    /// The source's counts or states do not add up.
    Source(Failure),
    /// The destination's confirmations do not.
    Destination(Failure),
    /// A state could not be stored.
    Store(Failure),
}

impl LedgerFault {
    fn failure(&self) -> Failure {
        match self {
            Self::Source(f) | Self::Destination(f) | Self::Store(f) => f.clone(),
        }
    }
}

/// See the module.
pub struct Ledger {
    inner: Mutex<Inner>,
    /// Held while states are stored, so that they are stored in order.
    storing: tokio::sync::Mutex<()>,
    streams: Vec<StreamDescriptor>,
    index: HashMap<StreamDescriptor, u32>,
    replaced: Vec<bool>,
    /// Streams whose states an incremental read goes on from.
    resumed: Vec<bool>,
    /// Whether the source's own counts are checked.
    trusts_stats: bool,
    sink: Arc<dyn StateSink>,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("streams", &self.streams).finish_non_exhaustive()
    }
}

impl Ledger {
    /// For one sync of `catalog`.
    pub fn new(catalog: &Catalog, sink: Arc<dyn StateSink>, counters: Arc<Counters>) -> Self {
        let count = catalog.streams.len();
        Self {
            inner: Mutex::new(Inner {
                received: vec![0; count],
                settled: vec![0; count],
                rejected: vec![0; count],
                rejected_somewhere: 0,
                since_last: BTreeMap::new(),
                since_state: vec![0; count],
                next_id: 1,
                through: 0,
                pending: VecDeque::new(),
                waiting_bytes: 0,
                deferred: Vec::new(),
                broken: None,
            }),
            storing: tokio::sync::Mutex::new(()),
            streams: catalog.streams.iter().map(|s| s.stream.descriptor.clone()).collect(),
            index: catalog.index(),
            replaced: catalog
                .streams
                .iter()
                .map(crate::protocol::ConfiguredStream::truncates)
                .collect(),
            resumed: catalog.streams.iter().map(|s| s.sync_mode == SyncMode::Incremental).collect(),
            trusts_stats: true,
            sink,
            counters,
        }
    }

    /// The same, without checking the source's own counts: for input that someone else relays, who
    /// may repeat a state with the counts of another read.
    #[must_use]
    pub fn without_source_stats(mut self) -> Self {
        self.trusts_stats = false;
        self
    }

    /// The same for a destination that keeps the rows of a generation that was not completed: states of
    /// streams whose old rows are being replaced need not be kept back, because the next sync goes on
    /// in the generation.
    #[must_use]
    pub fn with_rows_that_stay(mut self) -> Self {
        self.replaced.fill(false);
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What broke it, if anything did.
    pub fn broken(&self) -> Option<LedgerFault> {
        self.lock().broken.clone()
    }

    fn breaks(inner: &mut Inner, fault: LedgerFault) -> Failure {
        let failure = fault.failure();
        inner.broken.get_or_insert(fault);
        failure
    }

    fn whole(inner: &Inner) -> Result<(), Failure> {
        match &inner.broken {
            Some(fault) => Err(fault.failure()),
            None => Ok(()),
        }
    }

    /// Records that the source broke its contract; returns the failure to give it.
    pub fn source_broke(&self, failure: Failure) -> Failure {
        Self::breaks(&mut self.lock(), LedgerFault::Source(failure))
    }

    /// Records what broke the sync elsewhere.
    pub fn breaks_off(&self, fault: LedgerFault) {
        Self::breaks(&mut self.lock(), fault);
    }

    /// Counts rows on their way to the destination.
    ///
    /// # Errors
    /// When the ledger is broken.
    pub fn received(&self, rows: &Rows) -> Result<(), Failure> {
        let mut inner = self.lock();
        Self::whole(&inner)?;
        let (stream, count) = (rows.stream as usize, u64::from(rows.count));
        inner.received[stream] += count;
        inner.since_state[stream] += count;
        *inner.since_last.entry(rows.stream).or_default() += count;
        self.counters.streams[stream].emitted(count, rows.data.len() as u64);
        Ok(())
    }

    /// Numbers a state on its way to the destination, after checking the source's own counts.
    ///
    /// # Errors
    /// A failure of the source.
    pub fn checkpoint(&self, state: &Arc<StateMessage>) -> Result<u64, Failure> {
        let mut inner = self.lock();
        Self::whole(&inner)?;
        let scope = match state.scope() {
            StateScope::Global | StateScope::Legacy => Scope::All,
            StateScope::Stream(descriptor) => match self.index.get(descriptor) {
                Some(stream) => Scope::Stream(*stream),
                None => {
                    let what = "the source gave a state of a stream that is not in the catalog";
                    let failure = Failure::system(what).in_stream(descriptor.clone());
                    return Err(Self::breaks(&mut inner, LedgerFault::Source(failure)));
                }
            },
        };
        let rows = match scope {
            Scope::Stream(stream) => inner.since_state[stream as usize],
            Scope::All => inner.since_state.iter().sum(),
        };
        if self.trusts_stats
            && let Some(said) = state.source_stats().and_then(|s| s.records)
            && !same_count(said, rows)
        {
            let failure = Failure::system(format!(
                "the source says it sent {said} records since its last state, and {rows} arrived"
            ));
            let failure = match state.scope() {
                StateScope::Stream(descriptor) => failure.in_stream(descriptor.clone()),
                _ => failure,
            };
            return Err(Self::breaks(&mut inner, LedgerFault::Source(failure)));
        }
        match scope {
            Scope::Stream(stream) => inner.since_state[stream as usize] = 0,
            Scope::All => inner.since_state.fill(0),
        }
        inner.waiting_bytes += state.body().get().len();
        if inner.waiting_bytes > WAITING_BYTES {
            let failure = Failure::system(format!(
                "the destination has left states of {} MiB unconfirmed",
                WAITING_BYTES >> 20
            ));
            return Err(Self::breaks(&mut inner, LedgerFault::Destination(failure)));
        }
        self.counted(scope, state.source_stats());
        Ok(Self::push(&mut inner, Some(state.clone()), scope, rows))
    }

    /// Numbers the checkpoint that ends a sync.
    pub fn last_checkpoint(&self) -> u64 {
        let mut inner = self.lock();
        let rows = inner.since_state.iter().sum();
        Self::push(&mut inner, None, Scope::All, rows)
    }

    fn push(inner: &mut Inner, state: Option<Arc<StateMessage>>, scope: Scope, rows: u64) -> u64 {
        let id = inner.next_id;
        inner.next_id += 1;
        let since_last = std::mem::take(&mut inner.since_last).into_iter().collect();
        inner.pending.push_back(Pending { id, state, scope, since_last, rows, confirmed: false });
        id
    }

    /// Takes confirmations, in their order; returns when the states they free are stored, in one go.
    ///
    /// # Errors
    /// A failure of the destination when a confirmation cannot be true, of the store when the states
    /// cannot be kept. What was confirmed before it is stored.
    pub async fn committed(&self, commits: Vec<Commit>) -> Result<(), Failure> {
        let _order = self.storing.lock().await;
        let mut freed = Freed::default();
        let refused = {
            let mut inner = self.lock();
            // A fault of the source's does not unmake what is durable in the destination.
            if let Some(fault @ (LedgerFault::Destination(_) | LedgerFault::Store(_))) =
                &inner.broken
            {
                return Err(fault.failure());
            }
            commits.iter().try_for_each(|commit| self.judge(&mut inner, commit, &mut freed)).err()
        };
        if !self.sink.wants_all() {
            keep_latest(&mut freed.states);
        }
        if !freed.states.is_empty()
            && let Err(failure) = self.store(std::mem::take(&mut freed.states)).await
        {
            return Err(Self::breaks(&mut self.lock(), LedgerFault::Store(failure)));
        }
        self.confirmed(&freed);
        match refused {
            None => Ok(()),
            Some(failure) => Err(Self::breaks(&mut self.lock(), LedgerFault::Destination(failure))),
        }
    }

    /// Judges one confirmation and, if it can be true, marks what it confirms.
    fn judge(&self, inner: &mut Inner, commit: &Commit, freed: &mut Freed) -> Result<(), Failure> {
        let settled = match commit {
            Commit::Through { checkpoint, totals } => self.through(inner, *checkpoint, totals)?,
            Commit::Echo { checkpoint, stats, .. } => Self::echo(inner, *checkpoint, *stats)?,
            Commit::Finished => self.finished(inner)?,
        };
        freed.settled.extend(settled);
        self.confirm(inner, commit, freed);
        Ok(())
    }

    /// Judges a confirmation of everything up to a checkpoint. Gives the committed and rejected
    /// rows of each stream.
    fn through(
        &self,
        inner: &Inner,
        checkpoint: u64,
        totals: &[StreamTotal],
    ) -> Result<Vec<(usize, u64, u64)>, Failure> {
        if checkpoint == 0 || checkpoint >= inner.next_id {
            return Err(Failure::system(format!(
                "the destination committed checkpoint {checkpoint}, which was never given to it"
            )));
        }
        if checkpoint <= inner.through {
            return Err(Failure::system(format!(
                "the destination committed checkpoint {checkpoint} after checkpoint {}: out of order",
                inner.through
            )));
        }
        let received = inner.rows_up_to(checkpoint);
        let mut settled = vec![None; self.streams.len()];
        for total in totals {
            match settled.get_mut(total.stream as usize) {
                Some(slot @ None) => *slot = Some((total.written, total.rejected)),
                Some(_) => {
                    let what = "the destination's totals name a stream twice";
                    return Err(Failure::system(what));
                }
                None => {
                    let what = format!(
                        "the destination's totals name stream {}, which is not there",
                        total.stream
                    );
                    return Err(Failure::system(what));
                }
            }
        }
        let mut out = Vec::with_capacity(settled.len());
        for (stream, slot) in settled.into_iter().enumerate() {
            let (written, rejected) = slot.unwrap_or((0, 0));
            let given = received[stream];
            if written.checked_add(rejected) != Some(given) {
                let failure = Failure::system(format!(
                    "the destination was given {given} rows up to checkpoint {checkpoint}, and says it wrote {written} and rejected {rejected}"
                ));
                return Err(failure.in_stream(self.streams[stream].clone()));
            }
            out.push((stream, written, rejected));
        }
        Ok(out)
    }

    /// Judges an echo of a state.
    fn echo(
        inner: &mut Inner,
        checkpoint: u64,
        stats: Option<Stats>,
    ) -> Result<Vec<(usize, u64, u64)>, Failure> {
        let Some(pending) = inner.waiting(checkpoint).filter(|p| !p.confirmed) else {
            let what = "the destination acknowledged a state that is not waiting for it";
            return Err(Failure::system(what));
        };
        if let Some(said) = stats.and_then(|s| s.total()) {
            // States it skipped are confirmed with this one, and some destinations count them too.
            let skipped: u64 = inner
                .pending
                .iter()
                .filter(|p| p.id <= checkpoint && p.scope == pending.scope && !p.confirmed)
                .map(|p| p.rows)
                .sum();
            if !same_count(said, pending.rows) && !same_count(said, skipped) {
                return Err(Failure::system(format!(
                    "the destination acknowledged a state with {said} records, and was given {}",
                    pending.rows
                )));
            }
        }
        let scope = pending.scope;
        if let Some(rejected) = stats.and_then(|s| s.rejected) {
            inner.reject(checkpoint, scope, whole(rejected));
        }
        let received = inner.rows_up_to(checkpoint).into_iter().enumerate();
        let of = |stream| match scope {
            Scope::Stream(only) => only as usize == stream,
            Scope::All => true,
        };
        let settled = received.filter(|(stream, _)| of(*stream));
        Ok(settled.map(|(stream, rows)| inner.written(stream, rows)).collect())
    }

    /// Judges the end of a destination on stdio: the last state of every stream must be back.
    fn finished(&self, inner: &Inner) -> Result<Vec<(usize, u64, u64)>, Failure> {
        let open = inner.pending.iter().find(|p| !p.confirmed && p.state.is_some());
        if let Some(open) = open {
            let whose = match open.scope {
                Scope::Stream(stream) => format!("stream {}", self.streams[stream as usize]),
                Scope::All => "all streams".to_owned(),
            };
            return Err(Failure::system(format!(
                "the destination ended without acknowledging the last state of {whose}"
            )));
        }
        let received = inner.received.iter().enumerate();
        Ok(received.map(|(stream, rows)| inner.written(stream, *rows)).collect())
    }

    /// Marks what a judged confirmation confirms.
    fn confirm(&self, inner: &mut Inner, commit: &Commit, freed: &mut Freed) {
        let scope = match commit {
            Commit::Echo { checkpoint, .. } => {
                inner.waiting(*checkpoint).map_or(Scope::All, |p| p.scope)
            }
            Commit::Through { .. } | Commit::Finished => Scope::All,
        };
        let up_to = match commit {
            Commit::Through { checkpoint, .. } | Commit::Echo { checkpoint, .. } => *checkpoint,
            Commit::Finished => u64::MAX,
        };
        for pending in inner.pending.iter_mut().take_while(|p| p.id <= up_to) {
            if pending.confirmed || (scope != Scope::All && pending.scope != scope) {
                continue;
            }
            pending.confirmed = true;
            if let Some(state) = pending.state.take() {
                inner.waiting_bytes -= state.body().get().len();
                freed.checkpoints += 1;
                match pending.scope {
                    Scope::Stream(stream) => {
                        *freed.of_stream.entry(stream as usize).or_default() += 1;
                    }
                    Scope::All => freed.of_all += 1,
                }
                let state = Arc::unwrap_or_clone(state);
                let replaced = pending.scope.any(&self.replaced);
                let list = if replaced { &mut inner.deferred } else { &mut freed.states };
                let of_full_read = !pending.scope.any(&self.resumed);
                list.push(Confirmed { state, rows: pending.rows, of_full_read });
            }
        }
        while inner.pending.front().is_some_and(|p| p.confirmed) {
            if let Some(done) = inner.pending.pop_front() {
                inner.through = done.id;
                done.add_to(&mut inner.settled);
            }
        }
        // Now and then, since they are many where every commit comes by itself.
        if !self.sink.wants_all() && inner.deferred.len() > 2 * self.streams.len() + 2 {
            keep_latest(&mut inner.deferred);
        }
    }

    /// Ends a sync that went well on both sides: everything must be confirmed. Stores the states
    /// that were kept back.
    ///
    /// # Errors
    /// A failure of the destination when something is not confirmed, of the store otherwise.
    pub async fn close(&self) -> Result<(), Failure> {
        let _order = self.storing.lock().await;
        let deferred = {
            let mut inner = self.lock();
            Self::whole(&inner)?;
            if let Some(open) = inner.pending.front() {
                let failure = Failure::system(format!(
                    "the destination returned without committing checkpoint {}",
                    open.id
                ));
                return Err(Self::breaks(&mut inner, LedgerFault::Destination(failure)));
            }
            let mut deferred = std::mem::take(&mut inner.deferred);
            if !self.sink.wants_all() {
                keep_latest(&mut deferred);
            }
            deferred
        };
        if deferred.is_empty() {
            return Ok(());
        }
        match self.store(deferred).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(Self::breaks(&mut self.lock(), LedgerFault::Store(failure))),
        }
    }

    /// Whether a checkpoint waits for its confirmation.
    pub fn is_waiting(&self) -> bool {
        self.lock().pending.iter().any(|p| !p.confirmed)
    }
}
