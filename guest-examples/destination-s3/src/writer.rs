//! Moves rows to objects and decides when they are safe.
//!
//! A checkpoint is committed when the objects with all rows before it are complete and their streams'
//! manifests name them; objects end there, so that what is committed has no row that came after it. Those
//! wait here. A checkpoint does not make objects small: it waits, with its commit, until one is full.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate_sdk::retry::Policy;
use lockgate_sdk::{Catalog, Checkpoint, Event, Failure, Input, Rows, StreamEnd, log};
use s3_client::Bucket;

use crate::config::Config;
use crate::key;
use crate::lane::{Lane, Store};
use crate::plan;

/// A checkpoint that comes this long after the last commit does not wait for a full object. So much work is
/// done again at most after a crash, and what comes slowly is seen after so long at the latest.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Rows of all streams that are held here: those that came after the checkpoint that waits, which may not
/// be committed with it.
const HELD_BYTES: usize = 16 << 20;

/// What a batch takes beside its rows.
const BATCH_BYTES: usize = 256;

/// Streams whose objects are open at once. When rows of one more come, the object of the one whose rows
/// are longest ago is completed.
const OPEN_STREAMS: usize = 32;

/// Memory of all open objects: parts that are not full, and columns that are not encoded. When it is
/// reached, the object that takes the most is completed. A component has 256 MiB.
const OPEN_BYTES: usize = 96 << 20;

/// Writes all rows of the input.
pub(crate) fn write(
    config: &Config,
    catalog: &Catalog,
    input: &mut Input<'_>,
) -> Result<(), Failure> {
    let plans = plan::plan(catalog, &config.prefix, config.options())?;
    let bucket = Arc::new(Bucket::new(&config.access(), Policy::default())?);
    let mut writer = Writer {
        store: Store { bucket, run: key::run(), part_bytes: config.part_bytes },
        object_bytes: config.object_bytes,
        flush_interval: config.flush_interval(),
        lanes: plans.into_iter().map(Lane::new).collect(),
        open: Vec::new(),
        is_full: false,
        waiting: None,
        held: Vec::new(),
        held_bytes: 0,
        started_at: Instant::now(),
        committed_at: None,
    };
    writer.run(input)
}

struct Writer {
    store: Store,
    object_bytes: u64,
    flush_interval: Duration,
    lanes: Vec<Lane>,
    /// Streams whose objects are open, the one whose rows came last at the end.
    open: Vec<usize>,
    /// An object was full since the last commit.
    is_full: bool,
    /// The last checkpoint that covers all that was written.
    waiting: Option<Checkpoint>,
    /// What came after it.
    held: Vec<Rows>,
    held_bytes: usize,
    started_at: Instant,
    committed_at: Option<Instant>,
}

fn unknown(stream: usize) -> Failure {
    Failure::system(format!("there is no stream {stream} in the catalog"))
}

impl Writer {
    fn run(&mut self, input: &mut Input<'_>) -> Result<(), Failure> {
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => self.take(rows, input)?,
                Event::Checkpoint(checkpoint) => {
                    self.release()?;
                    self.waiting = Some(checkpoint);
                    if self.is_commit_due() {
                        self.commit(input)?;
                    }
                }
                Event::Flush => {
                    if self.waiting.is_some() && self.is_flush_due() {
                        self.commit(input)?;
                        self.release()?;
                    }
                }
                Event::StreamEnd(end) => self.end(end, input)?,
            }
        }
        if !self.held.is_empty() {
            self.release()?;
        }
        self.commit(input)?;
        for lane in &self.lanes {
            lane.plan.table.warn_of_losses();
        }
        Ok(())
    }

    fn is_commit_due(&self) -> bool {
        self.is_full
            || self.committed_at.unwrap_or(self.started_at).elapsed() >= COMMIT_INTERVAL
            || self.lanes.iter().any(Lane::is_to_replace)
    }

    /// The first of a sync is, so that who waits for it need not wait.
    fn is_flush_due(&self) -> bool {
        self.committed_at.is_none_or(|at| at.elapsed() >= self.flush_interval)
    }

    /// Would the objects that are open be worth reading if they ended now?
    fn is_commit_worthwhile(&self) -> bool {
        let large = |lane: &Lane| lane.size() >= self.object_bytes / 4;
        self.is_commit_due() || self.open.iter().filter_map(|at| self.lanes.get(*at)).any(large)
    }

    fn take(&mut self, rows: Rows, input: &mut Input<'_>) -> Result<(), Failure> {
        if self.waiting.is_none() {
            return self.write(&rows);
        }
        self.held_bytes += rows.bytes().len() + BATCH_BYTES;
        self.held.push(rows);
        if self.held_bytes < HELD_BYTES {
            return Ok(());
        }
        if self.is_commit_worthwhile() {
            self.commit(input)?;
        }
        // Else the next checkpoint is committed in its place.
        self.release()
    }

    /// Writes what was held: the checkpoint before it is committed, or is not going to be.
    fn release(&mut self) -> Result<(), Failure> {
        self.waiting = None;
        self.held_bytes = 0;
        for rows in std::mem::take(&mut self.held) {
            self.write(&rows)?;
        }
        Ok(())
    }

    fn write(&mut self, rows: &Rows) -> Result<(), Failure> {
        let stream = rows.stream();
        if self.open.last() != Some(&stream) {
            self.open.retain(|open| *open != stream);
            if self.open.len() >= OPEN_STREAMS {
                let oldest = self.open.remove(0);
                self.lane(oldest)?.seal()?;
            }
            self.open.push(stream);
        }
        let lane = self.lanes.get_mut(stream).ok_or_else(|| unknown(stream))?;
        lane.write(rows, &self.store)?;
        if lane.size() >= self.object_bytes {
            lane.seal()?;
            self.open.pop();
            self.is_full = true;
        }
        self.limit_memory()
    }

    fn limit_memory(&mut self) -> Result<(), Failure> {
        let held = |at: &usize| self.lanes.get(*at).map_or(0, Lane::held);
        if self.open.iter().map(held).sum::<usize>() < OPEN_BYTES {
            return Ok(());
        }
        let Some(largest) = self.open.iter().copied().max_by_key(held) else { return Ok(()) };
        self.open.retain(|open| *open != largest);
        self.lane(largest)?.seal()
    }

    fn lane(&mut self, stream: usize) -> Result<&mut Lane, Failure> {
        self.lanes.get_mut(stream).ok_or_else(|| unknown(stream))
    }

    fn is_held(&self, stream: usize) -> bool {
        self.held.iter().any(|rows| rows.stream() == stream)
    }

    fn end(&mut self, end: StreamEnd, input: &mut Input<'_>) -> Result<(), Failure> {
        if !end.is_complete() && self.waiting.is_some() {
            // A source that failed sends no checkpoint any more: what waits for a better one is committed.
            self.commit(input)?;
            self.release()?;
        }
        let is_held = self.is_held(end.stream);
        let lane = self.lane(end.stream)?;
        // One that is not complete keeps what is committed, and replaces nothing.
        if end.is_complete() {
            lane.complete();
        }
        if !is_held {
            lane.seal()?;
            self.open.retain(|open| *open != end.stream);
        }
        Ok(())
    }

    /// Completes all open objects, has the manifests name them, and commits the checkpoint that waits. What
    /// is held came after it, and belongs to the next one.
    fn commit(&mut self, input: &mut Input<'_>) -> Result<(), Failure> {
        for stream in std::mem::take(&mut self.open) {
            self.lane(stream)?.seal()?;
        }
        let mut gone = Vec::new();
        for stream in 0..self.lanes.len() {
            let finish = !self.is_held(stream);
            let lane = self.lanes.get_mut(stream).ok_or_else(|| unknown(stream))?;
            gone.append(&mut lane.publish(&self.store, finish)?);
        }
        self.is_full = false;
        self.committed_at = Some(Instant::now());
        if let Some(checkpoint) = self.waiting.take() {
            input.commit(checkpoint)?;
        }
        if let Err(error) = self.store.bucket.delete(&gone) {
            log::warn(format_args!(
                "{error}; the next sync removes what was replaced, and no reader of a manifest sees it"
            ));
        }
        Ok(())
    }
}
