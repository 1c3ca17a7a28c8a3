//! What a sync has moved so far, for whoever watches.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use crate::protocol::{Catalog, StreamDescriptor};

/// One stream's counts.
#[derive(Debug)]
pub struct StreamCounters {
    /// The stream.
    pub descriptor: StreamDescriptor,
    /// Rows and bytes the source emitted.
    emitted: AtomicU64,
    bytes: AtomicU64,
    /// Rows that are durable, and rows the destination refused.
    committed: AtomicU64,
    rejected: AtomicU64,
    /// The source's guess plus one; 0: none.
    estimate: AtomicU64,
    status: AtomicU8,
}

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
            committed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            estimate: AtomicU64::new(0),
            status: AtomicU8::new(0),
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
        streams.try_fold(0_u64, |sum, s| {
            Some(sum.saturating_add(s.estimate.load(Ordering::Relaxed).checked_sub(1)?))
        })
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

    /// All of it: emitted, bytes, committed, rejected, estimate, status.
    pub(super) fn all(&self) -> [u64; 6] {
        let c = self.get();
        let estimate = self.estimate.load(Ordering::Relaxed);
        let status = self.status.load(Ordering::Relaxed).into();
        [c.emitted, c.bytes, c.committed, c.rejected, estimate, status]
    }

    /// Takes over what a worker counted.
    pub(super) fn set_all(
        &self,
        [emitted, bytes, committed, rejected, estimate, status]: [u64; 6],
    ) {
        self.emitted.store(emitted, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.settled(committed, rejected);
        self.estimate.store(estimate, Ordering::Relaxed);
        self.status.store(u8::try_from(status).unwrap_or(u8::MAX), Ordering::Relaxed);
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

    pub(super) fn emitted(&self, rows: u64, bytes: u64) {
        self.emitted.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn settled(&self, committed: u64, rejected: u64) {
        self.committed.store(committed, Ordering::Relaxed);
        self.rejected.store(rejected, Ordering::Relaxed);
    }

    pub(super) fn set_estimate(&self, rows: Option<u64>) {
        let stored = rows.map_or(0, |rows| rows.saturating_add(1));
        self.estimate.store(stored, Ordering::Relaxed);
    }
}
