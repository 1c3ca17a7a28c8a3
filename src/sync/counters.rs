//! What a sync has moved so far, for whoever watches.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use crate::protocol::{Catalog, StreamDescriptor};

/// A stream's counts and guesses, and its status.
pub(super) const NUMBERS: usize = 13;

/// Of a whole sync: checkpoints made, checkpoints committed, rows that the destination and rows that
/// the source rejected without a word of which stream.
pub(super) type Totals = [u64; 4];

/// One stream's counts.
#[derive(Debug)]
pub struct StreamCounters {
    /// The stream.
    pub descriptor: StreamDescriptor,
    /// Rows and bytes the source emitted.
    emitted: AtomicU64,
    bytes: AtomicU64,
    /// Rows that are durable in the cache, where there is one.
    cached: AtomicU64,
    /// Rows that the destination was given.
    sent: AtomicU64,
    /// Rows that are durable, and rows the destination refused.
    committed: AtomicU64,
    rejected: AtomicU64,
    /// Rows that the source could not give.
    source_rejected: AtomicU64,
    /// States that cover it, and how many of them are confirmed.
    checkpoints: AtomicU64,
    checkpoints_committed: AtomicU64,
    /// When a state that covers it was stored, in ms since the epoch; 0: never.
    state_stored_at: AtomicU64,
    /// The source's guesses at its rows and bytes, plus one; 0: none.
    estimate: AtomicU64,
    estimate_bytes: AtomicU64,
    status: AtomicU8,
    /// Which half of a cached sync runs: [`DIRECT`], [`FILLS`] or [`SENDS`].
    half: AtomicU8,
}

/// From the source to the destination, without a cache.
const DIRECT: u8 = 0;
/// From the source to the cache: what is durable there is cached, and nothing is sent.
const FILLS: u8 = 1;
/// From the cache to the destination: nothing more is emitted.
const SENDS: u8 = 2;

/// All counts of a sync. Read while it runs and after it ended.
#[derive(Debug)]
pub struct Counters {
    started: Instant,
    /// In the catalog's order.
    pub streams: Vec<StreamCounters>,
    totals: [AtomicU64; 4],
}

/// A stream's counts at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Rows the source emitted.
    pub emitted: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that are durable in the cache; 0 without one.
    pub cached: u64,
    /// Rows that the destination was given.
    pub sent: u64,
    /// Rows that are durable.
    pub committed: u64,
    /// Rows the destination refused.
    pub rejected: u64,
    /// Rows the source says it could not give.
    pub source_rejected: u64,
    /// States that cover it.
    pub checkpoints: u64,
    /// Of these, those the destination confirmed.
    pub checkpoints_committed: u64,
}

impl Counted {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        // A worker says what it likes.
        let add = u64::saturating_add;
        Self {
            emitted: add(self.emitted, other.emitted),
            bytes: add(self.bytes, other.bytes),
            cached: add(self.cached, other.cached),
            sent: add(self.sent, other.sent),
            committed: add(self.committed, other.committed),
            rejected: add(self.rejected, other.rejected),
            source_rejected: add(self.source_rejected, other.source_rejected),
            checkpoints: add(self.checkpoints, other.checkpoints),
            checkpoints_committed: add(self.checkpoints_committed, other.checkpoints_committed),
        }
    }
}

impl Counters {
    /// Nothing yet, for the streams of a catalog.
    #[must_use]
    pub fn new(catalog: &Catalog) -> Self {
        let streams = catalog.streams.iter().map(|s| StreamCounters {
            descriptor: s.stream.descriptor.clone(),
            emitted: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            cached: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            source_rejected: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
            checkpoints_committed: AtomicU64::new(0),
            state_stored_at: AtomicU64::new(0),
            estimate: AtomicU64::new(0),
            estimate_bytes: AtomicU64::new(0),
            status: AtomicU8::new(0),
            half: AtomicU8::new(DIRECT),
        });
        Self { started: Instant::now(), streams: streams.collect(), totals: Default::default() }
    }

    /// How long the sync has run.
    #[must_use]
    pub fn elapsed(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// All streams together.
    #[must_use]
    pub fn total(&self) -> Counted {
        self.streams.iter().map(StreamCounters::get).fold(Counted::default(), Counted::plus)
    }

    /// Checkpoints the source made, and how many of them are committed.
    #[must_use]
    pub fn checkpoints(&self) -> (u64, u64) {
        let [made, committed, ..] = self.totals();
        (made, committed)
    }

    /// Rows that the destination, and rows that the source rejected without a word of which stream.
    pub(super) fn loose_rejected(&self) -> (u64, u64) {
        let [.., destination, source] = self.totals();
        (destination, source)
    }

    pub(super) fn totals(&self) -> Totals {
        std::array::from_fn(|i| self.totals[i].load(Ordering::Relaxed))
    }

    /// Rows the source expects to emit, when it guessed for every stream.
    #[must_use]
    pub fn estimate(&self) -> Option<u64> {
        let mut streams = self.streams.iter();
        streams.try_fold(0_u64, |sum, s| Some(sum.saturating_add(s.estimate().0?)))
    }

    /// Bytes the source expects to emit, when it guessed for every stream.
    #[must_use]
    pub fn estimate_bytes(&self) -> Option<u64> {
        let mut streams = self.streams.iter();
        streams.try_fold(0_u64, |sum, s| Some(sum.saturating_add(s.estimate().1?)))
    }

    /// From here on rows go from the source to a cache.
    pub(super) fn fills(&self) {
        self.begin_half(FILLS);
    }

    /// From here on rows go from a cache to the destination: whose states and statuses count.
    pub(super) fn sends(&self) {
        self.begin_half(SENDS);
    }

    fn begin_half(&self, half: u8) {
        for total in &self.totals {
            total.store(0, Ordering::Relaxed);
        }
        for stream in &self.streams {
            stream.half.store(half, Ordering::Relaxed);
            stream.status.store(0, Ordering::Relaxed);
            stream.checkpoints.store(0, Ordering::Relaxed);
            stream.checkpoints_committed.store(0, Ordering::Relaxed);
        }
    }

    /// Takes over what a worker counted.
    pub(super) fn set_totals(&self, totals: Totals) {
        for (total, counted) in self.totals.iter().zip(totals) {
            total.store(counted, Ordering::Relaxed);
        }
    }

    pub(super) fn checkpoint(&self) {
        self.totals[0].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn committed_checkpoints(&self, count: u64) {
        self.totals[1].fetch_add(count, Ordering::Relaxed);
    }

    /// The destination has rejected so many rows of nobody knows which stream.
    pub(super) fn rejected_somewhere(&self, rows: u64) {
        self.totals[2].store(rows, Ordering::Relaxed);
    }

    /// The source has rejected so many more.
    pub(super) fn source_rejected_somewhere(&self, rows: u64) {
        self.totals[3].fetch_add(rows, Ordering::Relaxed);
    }
}

impl StreamCounters {
    /// The counts now.
    #[must_use]
    pub fn get(&self) -> Counted {
        Counted {
            emitted: self.emitted.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            cached: self.cached.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            committed: self.committed.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            source_rejected: self.source_rejected.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
            checkpoints_committed: self.checkpoints_committed.load(Ordering::Relaxed),
        }
    }

    /// When a state that covers it was stored last, in ms since the epoch.
    #[must_use]
    pub fn state_stored_at(&self) -> Option<i64> {
        let at = self.state_stored_at.load(Ordering::Relaxed);
        i64::try_from(at).ok().filter(|at| *at > 0)
    }

    /// `waiting`, `running`, `complete` or `incomplete`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self.status.load(Ordering::Relaxed) {
            0 => "waiting",
            1 => "running",
            2 => "complete",
            _ => "incomplete",
        }
    }

    /// The source's guess at its rows and bytes.
    #[must_use]
    pub fn estimate(&self) -> (Option<u64>, Option<u64>) {
        let of = |guess: &AtomicU64| guess.load(Ordering::Relaxed).checked_sub(1);
        (of(&self.estimate), of(&self.estimate_bytes))
    }

    /// Every number of it, in the order of its fields.
    fn all_of_it(&self) -> [&AtomicU64; NUMBERS - 1] {
        [
            &self.emitted,
            &self.bytes,
            &self.cached,
            &self.sent,
            &self.committed,
            &self.rejected,
            &self.source_rejected,
            &self.checkpoints,
            &self.checkpoints_committed,
            &self.state_stored_at,
            &self.estimate,
            &self.estimate_bytes,
        ]
    }

    /// All of it: the counts, the guesses, the status.
    pub(super) fn all(&self) -> [u64; NUMBERS] {
        let mut all = [0; NUMBERS];
        for (place, number) in all.iter_mut().zip(self.all_of_it()) {
            *place = number.load(Ordering::Relaxed);
        }
        all[NUMBERS - 1] = self.status.load(Ordering::Relaxed).into();
        all
    }

    /// Takes over what a worker counted.
    pub(super) fn set_all(&self, all: [u64; NUMBERS]) {
        for (number, counted) in self.all_of_it().into_iter().zip(all) {
            number.store(counted, Ordering::Relaxed);
        }
        let status = u8::try_from(all[NUMBERS - 1]).unwrap_or(u8::MAX);
        self.status.store(status, Ordering::Relaxed);
    }

    pub(super) fn set_status(&self, status: crate::protocol::StreamStatus) {
        use crate::protocol::StreamStatus::{Complete, Incomplete, Running, Started};
        let code = match status {
            Started | Running => 1,
            Complete => 2,
            Incomplete => 3,
        };
        self.status.store(code, Ordering::Relaxed);
    }

    fn half(&self) -> u8 {
        self.half.load(Ordering::Relaxed)
    }

    pub(super) fn emitted(&self, rows: u64, bytes: u64) {
        if self.half() == SENDS {
            return;
        }
        self.emitted.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn settled(&self, committed: u64, rejected: u64) {
        if self.half() == FILLS {
            return self.cached.store(committed, Ordering::Relaxed);
        }
        self.committed.store(committed, Ordering::Relaxed);
        self.rejected.store(rejected, Ordering::Relaxed);
    }

    pub(super) fn source_rejected(&self, rows: u64) {
        self.source_rejected.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn checkpoint(&self) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn committed_checkpoints(&self, count: u64) {
        self.checkpoints_committed.fetch_add(count, Ordering::Relaxed);
    }

    /// A state that covers it was stored.
    pub(super) fn state_stored(&self, at: i64) {
        self.state_stored_at.store(u64::try_from(at).unwrap_or(0), Ordering::Relaxed);
    }

    /// Rows were given to the destination.
    pub(super) fn sent(&self, rows: u64) {
        if self.half() == FILLS {
            return;
        }
        self.sent.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn set_estimate(&self, rows: Option<u64>, bytes: Option<u64>) {
        let stored = |guess: Option<u64>| guess.map_or(0, |guess| guess.saturating_add(1));
        self.estimate.store(stored(rows), Ordering::Relaxed);
        self.estimate_bytes.store(stored(bytes), Ordering::Relaxed);
    }
}
