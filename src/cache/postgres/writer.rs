//! What fills a cache in PostgreSQL.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use ::postgres::Client;

use super::fill::{Filling, count};
use super::session::Session;
use super::streams;
use super::tables::merge;
use super::{signed, unsigned};
use crate::cache::names::{as_written, quoted};
use crate::cache::plan::{Checkpoint, Checkpoints, MAX_CHECKPOINTS, scope_key};
use crate::cache::{CacheError, CachePosition, CacheWriter, CachedRead};
use crate::postgres::ServerError;
use crate::protocol::{Catalog, Rows, StateMessage, now_ms};

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
    streams: Arc<Mutex<Vec<Filling>>>,
    checkpoints: Checkpoints,
    waiting: usize,
    in_transaction: bool,
}

impl Writer {
    pub(super) fn new(
        session: Session,
        source: String,
        catalog: &Catalog,
        streams: Vec<Filling>,
    ) -> Self {
        let checkpoints = Checkpoints::new(catalog);
        let streams = Arc::new(Mutex::new(streams));
        Self { session, source, streams, checkpoints, waiting: 0, in_transaction: false }
    }

    /// Does something on the connection, in the open transaction.
    fn work<T: Send + 'static>(
        &mut self,
        body: impl FnOnce(&mut Client, &mut [Filling]) -> Result<T, ServerError> + Send + 'static,
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
            for filling in streams.iter_mut().filter(|filling| !filling.waiting.is_empty()) {
                let mut copy = client.copy_in(&filling.copy())?;
                let sent = copy.write_all(&filling.waiting);
                filling.waiting.clear();
                sent.map_err(|e| ServerError::new(e.to_string()))?;
                copy.finish()?;
                filling.staged = filling.stage.is_some();
            }
            Ok(())
        })
    }

    fn write(&mut self) -> Result<(), CacheError> {
        self.flush()?;
        let checkpoints = self.ready();
        let dirty = self.lock().iter().any(|filling| filling.dirty || filling.to_swap);
        if !self.in_transaction && !dirty && checkpoints.is_empty() {
            return Ok(());
        }
        let source = self.source.clone();
        self.work(move |client, streams| {
            for filling in streams {
                finish_stream(client, filling)?;
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Filling>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn no_stream(&self, stream: u32) -> CacheError {
        self.session.fault(format!("stream {stream} is not in the catalog"))
    }
}

/// Merges what waits, swaps in rows that replace others, and writes what is known of the stream.
fn finish_stream(client: &mut Client, filling: &mut Filling) -> Result<(), ServerError> {
    if filling.staged
        && let Some(stage) = &filling.stage
    {
        client.batch_execute(&merge(stage, &filling.target, &filling.kept.columns))?;
        filling.staged = false;
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
            let Some(filling) = streams.get_mut(rows.stream as usize) else {
                drop(streams);
                return Err(self.no_stream(rows.stream));
            };
            let before = filling.waiting.len();
            let first = filling.last_row + 1;
            filling.lines.batch(&mut filling.waiting, rows, first).map_err(|fault| {
                CacheError::Row {
                    stream: filling.kept.descriptor.to_string(),
                    reason: fault.to_string(),
                }
            })?;
            let count = u64::from(rows.count);
            filling.last_row += count;
            filling.records += count;
            filling.kept.row_count += count;
            filling.kept.updated_at = Some(now_ms());
            filling.dirty = true;
            filling.waiting.len() - before
        };
        self.waiting += added;
        if self.waiting >= WAITING_BYTES { self.flush() } else { Ok(()) }
    }

    fn checkpoint(&mut self, state: &StateMessage) -> Result<(), CacheError> {
        let positions: Vec<CachePosition> = self.lock().iter().map(Filling::position).collect();
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
            let Some(filling) = streams.get_mut(stream as usize) else {
                drop(streams);
                return Err(self.no_stream(stream));
            };
            filling.to_swap |= filling.how.replaces && !filling.complete;
            !std::mem::replace(&mut filling.complete, true)
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
            let reads = streams.iter().map(|filling| read(client, filling));
            let reads = reads.collect::<Result<Vec<_>, ServerError>>()?;
            for filling in streams.iter().filter(|filling| !filling.is_visible()) {
                client
                    .batch_execute(&format!("DROP TABLE IF EXISTS {}", quoted(&filling.target)))?;
            }
            client.batch_execute("COMMIT")?;
            Ok(reads)
        })?;
        Ok(reads)
    }
}

/// What became of a stream.
fn read(client: &mut Client, filling: &Filling) -> Result<CachedRead, ServerError> {
    let kept = &filling.kept;
    let visible = filling.is_visible();
    let rows = match &kept.merged_by {
        _ if !visible => 0,
        None => filling.records,
        Some(_) if filling.how.replaces => count(client, &kept.table)?,
        Some(_) => {
            let table = quoted(&kept.table);
            let sql = format!("SELECT count(*) FROM {table} WHERE _lockgate_row > $1");
            unsigned(client.query_one(&sql, &[&signed(filling.from.row)])?.try_get(0)?)
        }
    };
    let from = match filling.how.replaces && visible {
        // All of them are of this read.
        true => CachePosition { generation: kept.generation, row: filling.from.row },
        false => filling.from,
    };
    Ok(CachedRead {
        descriptor: kept.descriptor.clone(),
        table: as_written(&kept.table),
        from,
        to: if visible { filling.position() } else { filling.from },
        records: filling.records,
        rows,
        complete: filling.complete,
    })
}
