//! What fills a cache in PostgreSQL.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use ::postgres::Client;

use super::fill::{Target, count};
use super::session::Session;
use super::streams;
use super::tables::merge;
use super::{signed, unsigned};
use crate::cache::filling::{Counted, Filling};
use crate::cache::names::quoted;
use crate::cache::plan::{Checkpoint, Checkpoints, MAX_CHECKPOINTS, scope_key};
use crate::cache::{CacheError, CachePosition, CacheWriter, CachedRead};
use crate::postgres::ServerError;
use crate::protocol::{Catalog, Rows, StateMessage};

/// Bytes of lines that wait before they are sent.
const WAITING_BYTES: usize = 4 << 20;

/// Bytes of states that wait for a commit.
const WAITING_STATES_BYTES: usize = 8 << 20;

/// Fills one source's part.
#[derive(Debug)]
pub(super) struct Writer {
    session: Session,
    source: String,
    /// Also the session's thread's, while it works for us.
    streams: Arc<Mutex<Vec<Target>>>,
    checkpoints: Checkpoints,
    waiting: usize,
    in_transaction: bool,
}

impl Writer {
    pub(super) fn new(
        session: Session,
        source: String,
        catalog: &Catalog,
        streams: Vec<Target>,
    ) -> Self {
        let checkpoints = Checkpoints::new(catalog);
        let streams = Arc::new(Mutex::new(streams));
        Self { session, source, streams, checkpoints, waiting: 0, in_transaction: false }
    }

    /// Does something on the connection, in the open transaction.
    fn work<T: Send + 'static>(
        &mut self,
        body: impl FnOnce(&mut Client, &mut [Target]) -> Result<T, ServerError> + Send + 'static,
    ) -> Result<T, CacheError> {
        let streams = Arc::clone(&self.streams);
        let begin = !std::mem::replace(&mut self.in_transaction, true);
        let done = self.session.run(move |client| {
            if begin {
                client.batch_execute("BEGIN")?;
            }
            body(client, &mut streams.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.map_err(|e| self.session.fault(e))
    }

    fn flush(&mut self) -> Result<(), CacheError> {
        if self.waiting == 0 {
            return Ok(());
        }
        self.waiting = 0;
        self.work(|client, streams| {
            for target in streams.iter_mut().filter(|target| !target.waiting.is_empty()) {
                let mut copy = client.copy_in(&target.copy())?;
                let sent = copy.write_all(&target.waiting);
                target.waiting.clear();
                sent.map_err(|e| ServerError::new(e.to_string()))?;
                copy.finish()?;
                target.staged = target.stage.is_some();
            }
            Ok(())
        })
    }

    fn write(&mut self) -> Result<(), CacheError> {
        self.flush()?;
        let checkpoints = self.ready();
        let dirty = self.lock().iter().any(|t| t.filling.dirty || t.filling.to_swap);
        if !self.in_transaction && !dirty && checkpoints.is_empty() {
            return Ok(());
        }
        let source = self.source.clone();
        self.work(move |client, streams| {
            for target in streams {
                finish_stream(client, target)?;
            }
            keep(client, &source, &checkpoints)?;
            client.batch_execute("COMMIT")?;
            Ok(())
        })?;
        self.in_transaction = false;
        Ok(())
    }

    /// The states that may be kept, each with what an incremental read goes on from.
    fn ready(&mut self) -> Vec<(Checkpoint, StateMessage)> {
        let ready = self.checkpoints.drain();
        let kept = |checkpoint: Checkpoint| {
            let kept = self.checkpoints.kept(&checkpoint);
            (checkpoint, kept)
        };
        ready.into_iter().map(kept).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Target>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn no_stream(&self, stream: u32) -> CacheError {
        self.session.fault(format!("stream {stream} is not in the catalog"))
    }
}

/// Merges what waits, swaps in rows that replace others, and writes what is known of the stream.
fn finish_stream(client: &mut Client, target: &mut Target) -> Result<(), ServerError> {
    let filling = &mut target.filling;
    if target.staged
        && let Some(stage) = &target.stage
    {
        client.batch_execute(&merge(stage, &filling.target, &filling.kept.columns))?;
        target.staged = false;
    }
    if filling.to_swap {
        let (table, next) = (quoted(&filling.kept.table), quoted(&filling.target));
        client
            .batch_execute(&format!("DROP TABLE {table}; ALTER TABLE {next} RENAME TO {table}"))?;
        filling.to_swap = false;
        filling.dirty = true;
    }
    if filling.dirty && filling.is_visible() {
        filling.kept.last_row = filling.last_row;
        streams::update(client, &filling.kept)?;
        filling.dirty = false;
    }
    Ok(())
}

/// Keeps states with their positions, and the last of each scope for the source.
fn keep(
    client: &mut Client,
    source: &str,
    ready: &[(Checkpoint, StateMessage)],
) -> Result<(), ServerError> {
    if ready.is_empty() {
        return Ok(());
    }
    for (checkpoint, kept) in ready {
        let Checkpoint { state, of_full_read, positions } = checkpoint;
        // Names and numbers always serialise.
        let positions = serde_json::to_string(positions).unwrap_or_default();
        client.execute(
            "INSERT INTO _lockgate_cache_checkpoints (source, full_read, body, positions)
             VALUES ($1, $2, $3, $4)",
            &[&source, of_full_read, &state.body().get(), &positions],
        )?;
        let key = scope_key(state.scope());
        // The two forms exclude each other: what one says, the other would contradict.
        let all = matches!(key.as_str(), "GLOBAL" | "LEGACY");
        client.execute(
            "DELETE FROM _lockgate_cache_states WHERE source = $1 AND full_read = $2
             AND ($3 OR stream IN ('GLOBAL', 'LEGACY'))",
            &[&source, of_full_read, &all],
        )?;
        client.execute(
            "INSERT INTO _lockgate_cache_states VALUES ($1, $2, $3, $4)
             ON CONFLICT (source, full_read, stream) DO UPDATE SET body = excluded.body",
            &[&source, of_full_read, &key, &kept.body().get()],
        )?;
    }
    client.execute(
        "DELETE FROM _lockgate_cache_checkpoints WHERE source = $1 AND id <= (
            SELECT id FROM _lockgate_cache_checkpoints WHERE source = $1
            ORDER BY id DESC LIMIT 1 OFFSET $2)",
        &[&source, &signed(MAX_CHECKPOINTS)],
    )?;
    Ok(())
}

impl CacheWriter for Writer {
    fn rows(&mut self, rows: &Rows) -> Result<(), CacheError> {
        let added = {
            let mut streams = self.lock();
            let Some(target) = streams.get_mut(rows.stream as usize) else {
                drop(streams);
                return Err(self.no_stream(rows.stream));
            };
            let before = target.waiting.len();
            let first = target.filling.last_row + 1;
            target.lines.batch(&mut target.waiting, rows, first).map_err(|fault| {
                CacheError::Row {
                    stream: target.filling.kept.descriptor.to_string(),
                    reason: fault.to_string(),
                }
            })?;
            target.filling.take(rows);
            target.waiting.len() - before
        };
        self.waiting += added;
        if self.waiting >= WAITING_BYTES { self.flush() } else { Ok(()) }
    }

    fn checkpoint(&mut self, state: &StateMessage) -> Result<(), CacheError> {
        let positions: Vec<CachePosition> =
            self.lock().iter().map(|target| target.filling.position()).collect();
        self.checkpoints.take(state, |stream| positions.get(stream).copied().unwrap_or_default());
        if self.checkpoints.ready_bytes() > WAITING_STATES_BYTES {
            let (ready, source) = (self.ready(), self.source.clone());
            return self.work(move |client, _| keep(client, &source, &ready));
        }
        Ok(())
    }

    fn complete(&mut self, stream: u32) -> Result<(), CacheError> {
        let first = {
            let mut streams = self.lock();
            let Some(target) = streams.get_mut(stream as usize) else {
                drop(streams);
                return Err(self.no_stream(stream));
            };
            target.filling.complete()
        };
        if first {
            self.checkpoints.complete(stream as usize);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), CacheError> {
        self.write()
    }

    fn end(mut self: Box<Self>) -> Result<Vec<CachedRead>, CacheError> {
        self.write()?;
        let reads = self.work(|client, streams| {
            let reads = streams.iter().map(|target| {
                let rows = counted(client, &target.filling)?;
                Ok(target.filling.read(rows))
            });
            let reads = reads.collect::<Result<Vec<_>, ServerError>>()?;
            for target in streams.iter().filter(|target| !target.filling.is_visible()) {
                let unwanted = quoted(&target.filling.target);
                client.batch_execute(&format!("DROP TABLE IF EXISTS {unwanted}"))?;
            }
            client.batch_execute("COMMIT")?;
            Ok(reads)
        })?;
        Ok(reads)
    }
}

/// How many rows of a stream are those of the read.
fn counted(client: &mut Client, filling: &Filling) -> Result<u64, ServerError> {
    match filling.counted() {
        Counted::Known(rows) => Ok(rows),
        Counted::All => count(client, &filling.kept.table),
        Counted::Above(row) => {
            let table = quoted(&filling.kept.table);
            let sql = format!("SELECT count(*) FROM {table} WHERE _lockgate_row > $1");
            Ok(unsigned(client.query_one(&sql, &[&signed(row)])?.try_get(0)?))
        }
    }
}
