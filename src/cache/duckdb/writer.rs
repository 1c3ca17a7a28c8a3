//! What fills a DuckDB cache.

use ::duckdb::{Connection, params};

use super::fill::{Target, count};
use super::insert::InsertFault;
use super::tables::merge;
use super::{Place, SourceLock, signed, streams, unsigned};
use crate::cache::filling::Counted;
use crate::cache::names::quoted;
use crate::cache::plan::{Checkpoint, Checkpoints, MAX_CHECKPOINTS, scope_key};
use crate::cache::{CacheError, CachePosition, CacheWriter, CachedRead};
use crate::protocol::{Catalog, Rows, StateMessage};

/// Bytes of rows that wait in memory before DuckDB is given them: each time costs it an appender.
const WAITING_BYTES: usize = 4 << 20;

/// Bytes of states that wait in memory for a commit.
const WAITING_STATES_BYTES: usize = 8 << 20;

/// Fills one source's part. Fields are dropped in their order: what was not committed goes with the
/// connection, before another may fill.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    streams: Vec<Target>,
    checkpoints: Checkpoints,
    waiting: Vec<(Rows, u64)>,
    waiting_bytes: usize,
    in_transaction: bool,
    lock: SourceLock,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        lock: SourceLock,
        catalog: &Catalog,
        streams: Vec<Target>,
    ) -> Self {
        Self {
            connection,
            streams,
            checkpoints: Checkpoints::new(catalog),
            waiting: Vec::new(),
            waiting_bytes: 0,
            in_transaction: false,
            lock,
        }
    }

    fn place(&self) -> &Place {
        &self.lock.opened.place
    }

    fn stream(&mut self, stream: u32) -> Result<&mut Target, CacheError> {
        let place = &self.lock.opened.place;
        let target = self.streams.get_mut(stream as usize);
        target.ok_or_else(|| place.fault(format!("stream {stream} is not in the catalog")))
    }

    fn begin(&mut self) -> Result<(), CacheError> {
        if !self.in_transaction {
            let begun = self.connection.execute_batch("BEGIN TRANSACTION");
            begun.map_err(|e| self.place().fault(e))?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Writes the rows that wait into the open transaction.
    fn flush(&mut self) -> Result<(), CacheError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.begin()?;
        self.waiting_bytes = 0;
        for (rows, first) in std::mem::take(&mut self.waiting) {
            let Some(target) = self.streams.get_mut(rows.stream as usize) else { continue };
            let inserted = target.inserter.batch(&self.connection, &rows, signed(first));
            inserted.map_err(|fault| match fault {
                InsertFault::Row(fault) => CacheError::Row {
                    stream: target.filling.kept.descriptor.to_string(),
                    reason: fault.to_string(),
                },
                InsertFault::Database(error) => self.lock.opened.place.fault(error),
            })?;
        }
        Ok(())
    }

    /// Everything into the open transaction, and that committed.
    fn write(&mut self) -> Result<(), CacheError> {
        self.flush()?;
        let dirty = self.streams.iter().any(|t| t.filling.dirty || t.filling.to_swap);
        let ready = self.checkpoints.drain();
        if !self.in_transaction && !dirty && ready.is_empty() {
            return Ok(());
        }
        self.begin()?;
        let Self { connection, streams, checkpoints, lock, .. } = self;
        let mut finish = || -> ::duckdb::Result<()> {
            for target in streams.iter_mut() {
                finish_stream(connection, target)?;
            }
            keep(connection, &lock.source, checkpoints, &ready)?;
            connection.execute_batch("COMMIT")
        };
        finish().map_err(|e| lock.opened.place.fault(e))?;
        self.in_transaction = false;
        Ok(())
    }

    /// How many rows of a stream are those of the read.
    fn counted(&self, target: &Target) -> ::duckdb::Result<u64> {
        let table = &target.filling.kept.table;
        match target.filling.counted() {
            Counted::Known(rows) => Ok(rows),
            Counted::All => count(&self.connection, table),
            Counted::Above(row) => {
                let table = quoted(table);
                let sql = format!("SELECT count(*) FROM {table} WHERE _lockgate_row > ?");
                self.connection.query_row(&sql, [signed(row)], |row| row.get(0)).map(unsigned)
            }
        }
    }
}

/// Merges new rows, swaps in those that replace others, and writes what is known of the stream.
fn finish_stream(connection: &Connection, target: &mut Target) -> ::duckdb::Result<()> {
    let filling = &mut target.filling;
    if !filling.how.key.is_empty() && filling.last_row > target.merged_to {
        connection.execute(&merge(&filling.target), [signed(target.merged_to)])?;
        target.merged_to = filling.last_row;
    }
    if filling.to_swap {
        let (table, next) = (quoted(&filling.kept.table), quoted(&filling.target));
        connection
            .execute_batch(&format!("DROP TABLE {table}; ALTER TABLE {next} RENAME TO {table}"))?;
        filling.to_swap = false;
        filling.dirty = true;
    }
    if filling.dirty && filling.is_visible() {
        filling.kept.last_row = filling.last_row;
        streams::update(connection, &filling.kept)?;
        filling.dirty = false;
    }
    Ok(())
}

/// Keeps states with their positions, and the last of each scope for the source.
fn keep(
    connection: &Connection,
    source: &str,
    checkpoints: &Checkpoints,
    ready: &[Checkpoint],
) -> ::duckdb::Result<()> {
    if ready.is_empty() {
        return Ok(());
    }
    for checkpoint in ready {
        let Checkpoint { state, of_full_read, positions } = checkpoint;
        // Names and numbers always serialise.
        let positions = serde_json::to_string(positions).unwrap_or_default();
        connection.execute(
            "INSERT INTO _lockgate_cache_checkpoints
             VALUES (nextval('_lockgate_cache_ids'), ?, ?, ?, ?)",
            params![source, of_full_read, state.body().get(), positions],
        )?;
        let key = scope_key(state.scope());
        // The two forms exclude each other: what one says, the other would contradict.
        let all = matches!(key.as_str(), "GLOBAL" | "LEGACY");
        connection.execute(
            "DELETE FROM _lockgate_cache_states WHERE source = ? AND full_read = ?
             AND (? OR stream IN (?, 'GLOBAL', 'LEGACY'))",
            params![source, of_full_read, all, key],
        )?;
        connection.execute(
            "INSERT INTO _lockgate_cache_states VALUES (?, ?, ?, ?)",
            params![source, of_full_read, key, checkpoints.kept(checkpoint).body().get()],
        )?;
    }
    connection.execute(
        "DELETE FROM _lockgate_cache_checkpoints WHERE source = ? AND id <= (
            SELECT id FROM _lockgate_cache_checkpoints WHERE source = ?
            ORDER BY id DESC LIMIT 1 OFFSET ?)",
        params![source, source, signed(MAX_CHECKPOINTS)],
    )?;
    Ok(())
}

impl CacheWriter for Writer {
    fn rows(&mut self, rows: &Rows) -> Result<(), CacheError> {
        let first = self.stream(rows.stream)?.filling.take(rows);
        self.waiting_bytes += rows.weight();
        self.waiting.push((rows.clone(), first));
        if self.waiting_bytes >= WAITING_BYTES { self.flush() } else { Ok(()) }
    }

    fn checkpoint(&mut self, state: &StateMessage) -> Result<(), CacheError> {
        let streams = &self.streams;
        let position = |stream: usize| streams.get(stream).map(|target| target.filling.position());
        self.checkpoints.take(state, |stream| position(stream).unwrap_or(CachePosition::default()));
        if self.checkpoints.ready_bytes() > WAITING_STATES_BYTES {
            self.flush()?;
            self.begin()?;
            let ready = self.checkpoints.drain();
            let kept = keep(&self.connection, &self.lock.source, &self.checkpoints, &ready);
            return kept.map_err(|e| self.place().fault(e));
        }
        Ok(())
    }

    fn complete(&mut self, stream: u32) -> Result<(), CacheError> {
        if self.stream(stream)?.filling.complete() {
            self.checkpoints.complete(stream as usize);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), CacheError> {
        self.write()
    }

    fn end(mut self: Box<Self>) -> Result<Vec<CachedRead>, CacheError> {
        self.write()?;
        let read = |target: &Target| Ok(target.filling.read(self.counted(target)?));
        let reads = self.streams.iter().map(read).collect::<::duckdb::Result<Vec<_>>>();
        let reads = reads.map_err(|e| self.place().fault(e))?;
        for target in self.streams.iter().filter(|target| !target.filling.is_visible()) {
            let drop = format!("DROP TABLE IF EXISTS {}", quoted(&target.filling.target));
            self.connection.execute_batch(&drop).map_err(|e| self.place().fault(e))?;
        }
        Ok(reads)
    }
}
