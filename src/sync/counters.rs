//! What a sync has moved so far, for whoever watches.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use crate::protocol::{Catalog, StreamDescriptor};

/// A stream's counts and guesses, and its status.
pub(super) const NUMBERS: usize = 9;

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
    checkpoints: AtomicU64,
    committed_checkpoints: AtomicU64,
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
            estimate: AtomicU64::new(0),
            estimate_bytes: AtomicU64::new(0),
            status: AtomicU8::new(0),
            half: AtomicU8::new(DIRECT),
        });
        Self {
            started: Instant::now(),
            streams: streams.collect(),
            checkpoints: AtomicU64::new(0),
            committed_checkpoints: AtomicU64::new(0),
        }
    }

    /// How long the sync has run.
    #[must_use]
    pub fn elapsed(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// All streams together.
    #[must_use]
    pub fn total(&self) -> Counted {
        self.streams.iter().map(StreamCounters::get).fold(Counted::default(), |a, b| Counted {
            // A worker says what it likes.
            emitted: a.emitted.saturating_add(b.emitted),
            bytes: a.bytes.saturating_add(b.bytes),
            cached: a.cached.saturating_add(b.cached),
            sent: a.sent.saturating_add(b.sent),
            committed: a.committed.saturating_add(b.committed),
            rejected: a.rejected.saturating_add(b.rejected),
        })
    }

    /// Checkpoints the source made, and how many of them are committed.
    #[must_use]
    pub fn checkpoints(&self) -> (u64, u64) {
        let committed = self.committed_checkpoints.load(Ordering::Relaxed);
        (self.checkpoints.load(Ordering::Relaxed), committed)
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
        self.set_checkpoints((0, 0));
        for stream in &self.streams {
            stream.half.store(half, Ordering::Relaxed);
            stream.status.store(0, Ordering::Relaxed);
        }
    }

    /// Takes over the checkpoints that a worker counted.
    pub(super) fn set_checkpoints(&self, (made, committed): (u64, u64)) {
        self.checkpoints.store(made, Ordering::Relaxed);
        self.committed_checkpoints.store(committed, Ordering::Relaxed);
    }

    pub(super) fn checkpoint(&self) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn checkpoints_committed(&self, count: u64) {
        self.committed_checkpoints.fetch_add(count, Ordering::Relaxed);
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
        }
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
