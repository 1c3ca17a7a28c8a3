//! What fills a SQLite cache.

use rusqlite::Connection;

use super::fill::{Target, count};
use super::insert::InsertFault;
use super::lock::SourceLock;
use super::streams;
use super::{Place, signed, unsigned};
use crate::cache::filling::{Counted, Filling};
use crate::cache::names::quoted;
use crate::cache::plan::{Checkpoint, Checkpoints, MAX_CHECKPOINTS, scope_key};
use crate::cache::{CacheError, CacheWriter, CachedRead};
use crate::protocol::{Catalog, Rows, StateMessage};

/// Bytes of rows that wait in memory before the file's write lock is taken: who shares the file with a
/// source that is slow is not held up by it.
const WAITING_BYTES: usize = 1 << 20;

/// Bytes of states that wait in memory for a commit.
const WAITING_STATES_BYTES: usize = 8 << 20;

/// Fills one source's part.
#[derive(Debug)]
pub(super) struct Writer {
    place: Place,
    connection: Connection,
    source: String,
    streams: Vec<Target>,
    checkpoints: Checkpoints,
    waiting: Vec<(Rows, u64)>,
    waiting_bytes: usize,
    in_transaction: bool,
    _lock: SourceLock,
}

impl Writer {
    pub(super) fn new(
        place: Place,
        connection: Connection,
        lock: SourceLock,
        source: String,
        catalog: &Catalog,
        streams: Vec<Target>,
    ) -> Self {
        Self {
            place,
            connection,
            source,
            streams,
            checkpoints: Checkpoints::new(catalog),
            waiting: Vec::new(),
            waiting_bytes: 0,
            in_transaction: false,
            _lock: lock,
        }
    }

    fn stream(&mut self, stream: u32) -> Result<&mut Target, CacheError> {
        let place = &self.place;
        let target = self.streams.get_mut(stream as usize);
        target.ok_or_else(|| place.fault(format!("stream {stream} is not in the catalog")))
    }

    fn begin(&mut self) -> Result<(), CacheError> {
        if !self.in_transaction {
            let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
            begun.map_err(|e| self.place.fault(e))?;
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
            self.insert(&rows, first)?;
        }
        Ok(())
    }

    fn insert(&mut self, rows: &Rows, first: u64) -> Result<(), CacheError> {
        let Some(target) = self.streams.get_mut(rows.stream as usize) else { return Ok(()) };
        let inserted = target.inserter.batch(&self.connection, rows, signed(first));
        inserted.map_err(|fault| match fault {
            InsertFault::Row(fault) => CacheError::Row {
                stream: target.filling.kept.descriptor.to_string(),
                reason: fault.to_string(),
            },
            InsertFault::Database(error) => self.place.fault(error),
        })
    }

    /// Everything into the open transaction, and that committed.
    fn write(&mut self) -> Result<(), CacheError> {
        self.flush()?;
        let dirty = self.streams.iter().any(|t| t.filling.dirty || t.filling.to_swap);
        let checkpoints = self.checkpoints.drain();
        if !self.in_transaction && !dirty && checkpoints.is_empty() {
            return Ok(());
        }
        self.begin()?;
        let Self { connection, streams, place, source, checkpoints: kept, .. } = self;
        let mut finish = || -> rusqlite::Result<()> {
            for target in streams.iter_mut() {
                finish_stream(connection, &mut target.filling)?;
            }
            keep(connection, source, kept, &checkpoints)?;
            connection.execute_batch("COMMIT")
        };
        finish().map_err(|e| place.fault(e))?;
        self.in_transaction = false;
        Ok(())
    }
}

/// Swaps in rows that replace others, and writes what is known of the stream.
fn finish_stream(connection: &Connection, filling: &mut Filling) -> rusqlite::Result<()> {
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
) -> rusqlite::Result<()> {
    if ready.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO _lockgate_cache_checkpoints (source, full_read, body, positions)
         VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut replace = connection
        .prepare_cached("INSERT OR REPLACE INTO _lockgate_cache_states VALUES (?1, ?2, ?3, ?4)")?;
    for checkpoint in ready {
        let Checkpoint { state, of_full_read, positions } = checkpoint;
        // Names and numbers always serialise.
        let positions = serde_json::to_string(positions).unwrap_or_default();
        insert.execute((source, of_full_read, state.body().get(), positions))?;
        let key = scope_key(state.scope());
        // The two forms exclude each other: what one says, the other would contradict.
        let contradicted = match key.as_str() {
            "GLOBAL" | "LEGACY" => "",
            _ => "AND stream IN ('GLOBAL', 'LEGACY')",
        };
        let mut delete = connection.prepare_cached(&format!(
            "DELETE FROM _lockgate_cache_states WHERE source = ?1 AND full_read = ?2 {contradicted}"
        ))?;
        delete.execute((source, of_full_read))?;
        replace.execute((source, of_full_read, key, checkpoints.kept(checkpoint).body().get()))?;
    }
    let mut prune = connection.prepare_cached(
        "DELETE FROM _lockgate_cache_checkpoints WHERE source = ?1 AND id <= (
            SELECT id FROM _lockgate_cache_checkpoints WHERE source = ?1
            ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )?;
    prune.execute((source, signed(MAX_CHECKPOINTS)))?;
    Ok(())
}

impl CacheWriter for Writer {
    fn rows(&mut self, rows: &Rows) -> Result<(), CacheError> {
        let first = self.stream(rows.stream)?.filling.take(rows);
        if self.in_transaction {
            return self.insert(rows, first);
        }
        self.waiting_bytes += rows.weight();
        self.waiting.push((rows.clone(), first));
        if self.waiting_bytes >= WAITING_BYTES { self.flush() } else { Ok(()) }
    }

    fn checkpoint(&mut self, state: &StateMessage) -> Result<(), CacheError> {
        let streams = &self.streams;
        let position = |stream: usize| streams.get(stream).map(|target| target.filling.position());
        self.checkpoints.take(state, |stream| position(stream).unwrap_or_default());
        if self.checkpoints.ready_bytes() > WAITING_STATES_BYTES {
            self.flush()?;
            self.begin()?;
            let ready = self.checkpoints.drain();
            let kept = keep(&self.connection, &self.source, &self.checkpoints, &ready);
            return kept.map_err(|e| self.place.fault(e));
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
        let read = |target: &Target| Ok(target.filling.read(self.counted(&target.filling)?));
        let reads = self.streams.iter().map(read);
        let reads = reads.collect::<rusqlite::Result<Vec<_>>>().map_err(|e| self.place.fault(e))?;
        for target in self.streams.iter().filter(|target| !target.filling.is_visible()) {
            let drop = format!("DROP TABLE IF EXISTS {}", quoted(&target.filling.target));
            self.connection.execute_batch(&drop).map_err(|e| self.place.fault(e))?;
        }
        Ok(reads)
    }
}

impl Writer {
    /// How many rows of a stream are those of the read.
    fn counted(&self, filling: &Filling) -> rusqlite::Result<u64> {
        match filling.counted() {
            Counted::Known(rows) => Ok(rows),
            Counted::All => count(&self.connection, &filling.kept.table),
            Counted::Above(row) => {
                let table = quoted(&filling.kept.table);
                let sql = format!("SELECT count(*) FROM {table} WHERE _lockgate_row > ?1");
                self.connection.query_row(&sql, [signed(row)], |row| row.get(0)).map(unsigned)
            }
        }
    }
}
