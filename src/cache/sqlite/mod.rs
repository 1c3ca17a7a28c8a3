//! The default cache: one SQLite file in WAL mode, so that readers read while a sync writes.
//!
//! Rows are text that others wrote, so the file belongs to this user alone. A read holds a lock a
//! source, beside the file; it goes with its process. What is written is in one transaction with the
//! states it belongs to, synced to disk when [`CacheWriter::commit`](super::CacheWriter) returns: after
//! a kill at any moment, rows and states agree.

mod fill;
mod insert;
mod lock;
mod query;
mod read;
mod remove;
mod streams;
mod tables;
mod writer;

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::{
    CacheDescription, CacheError, CacheWriter, CachedCheckpoint, CachedRows, CachedStream,
    QueryRows, RecordCache,
};
use crate::protocol::{Catalog, StreamDescriptor};
use crate::state::StoredState;
use tables::{LAYOUT, lay_out};

/// How long another writer of the file is waited for: its transactions are short, but it may drop or
/// rebuild a large table in one.
const BUSY: Duration = Duration::from_secs(60);

/// KiB of the file that a writer keeps in memory: the upper part of the index of some million keys.
const WRITER_CACHE_KIB: i64 = 32 << 10;

/// Pages of the log at which it is written into the file. Larger than usual: a page that is written
/// often is then moved once.
const CHECKPOINT_PAGES: i64 = 8_000;

/// Which file, for errors.
#[derive(Debug, Clone)]
struct Place(PathBuf);

impl Place {
    fn shown(&self) -> String {
        format!("sqlite:{}", self.0.display())
    }

    /// The database's errors name tables and columns, and no values.
    fn fault(&self, error: impl std::fmt::Display) -> CacheError {
        CacheError::Database { cache: self.shown(), reason: error.to_string() }
    }

    fn damaged(&self, stream: impl std::fmt::Display, reason: impl Into<String>) -> CacheError {
        let stream = stream.to_string();
        CacheError::Damaged { cache: self.shown(), stream, reason: reason.into() }
    }

    /// A connection that writes.
    fn connect(&self) -> Result<Connection, CacheError> {
        let connection = Connection::open(&self.0).map_err(|e| self.fault(e))?;
        let set_up = || -> rusqlite::Result<()> {
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            // The file may be given by somebody: its schema calls nothing that has effects.
            connection.pragma_update(None, "trusted_schema", false)?;
            // A view that somebody made of a table is in nobody's way when the table is swapped.
            connection.pragma_update(None, "legacy_alter_table", true)?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
        };
        set_up().map_err(|e| self.fault(e))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }
}

/// Records in a SQLite file.
#[derive(Debug)]
pub struct SqliteCache {
    place: Place,
    id: String,
    connection: Mutex<Connection>,
}

/// SQLite has no unsigned integers; ours stay far below its largest.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// See [`unsigned`].
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl SqliteCache {
    /// Opens the cache, and makes it where there is none.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn open(path: &Path) -> Result<Self, CacheError> {
        let place = Place(path.to_owned());
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|e| place.fault(format!("its folder cannot be made: {e}")))?;
        }
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        made.map_err(|e| place.fault(e))?;
        let connection = place.connect()?;
        let (found, id) = lay_out(&connection).map_err(|e| place.fault(e))?;
        if found != LAYOUT {
            return Err(CacheError::Layout { cache: place.shown(), found, known: LAYOUT });
        }
        Ok(Self { place, id, connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from one state of the file.
    fn read<T>(
        &self,
        body: impl FnOnce(&Connection) -> Result<T, CacheError>,
    ) -> Result<T, CacheError> {
        let connection = self.lock();
        let transaction = connection.unchecked_transaction().map_err(|e| self.place.fault(e))?;
        body(&transaction)
    }
}

impl RecordCache for SqliteCache {
    fn describe(&self) -> CacheDescription {
        CacheDescription {
            kind: "sqlite",
            place: self.place.0.display().to_string(),
            id: self.id.clone(),
        }
    }

    fn fill(
        &self,
        source: &str,
        source_name: &str,
        catalog: &Catalog,
    ) -> Result<Box<dyn CacheWriter>, CacheError> {
        let lock = lock::SourceLock::take(&self.place, source, source_name)?;
        let connection = self.place.connect()?;
        let wide = connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB);
        wide.map_err(|e| self.place.fault(e))?;
        let streams = fill::begin(&self.place, &connection, source, source_name, catalog)?;
        Ok(Box::new(writer::Writer::new(
            self.place.clone(),
            connection,
            lock,
            source.to_owned(),
            catalog,
            streams,
        )))
    }

    fn states(&self, source: &str) -> Result<Vec<StoredState>, CacheError> {
        self.read(|connection| read::states(&self.place, connection, source))
    }

    fn streams(&self, source: Option<&str>) -> Result<Vec<CachedStream>, CacheError> {
        self.read(|connection| {
            let kept = streams::list(&self.place, connection, source)?;
            kept.into_iter().map(|kept| read::stream(&self.place, connection, kept)).collect()
        })
    }

    fn checkpoints(
        &self,
        source: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CachedCheckpoint>, CacheError> {
        self.read(|connection| read::checkpoints(&self.place, connection, source, after, limit))
    }

    fn rows(
        &self,
        source: &str,
        stream: &StreamDescriptor,
        after: u64,
        up_to: u64,
        bytes: usize,
    ) -> Result<Option<CachedRows>, CacheError> {
        self.read(|connection| {
            let kept = streams::find(&self.place, connection, source, stream)?;
            let kept = kept.filter(|kept| !kept.removed).ok_or_else(|| {
                read::unknown(&self.place, connection, &format!("stream {stream}"))
            })?;
            read::rows(&self.place, connection, &kept, after, up_to, bytes)
        })
    }

    fn query(&self, sql: &str, limit: usize) -> Result<QueryRows, CacheError> {
        query::query(&self.place, sql, limit)
    }

    fn remove(&self, source: &str, stream: Option<&StreamDescriptor>) -> Result<usize, CacheError> {
        let _lock = lock::SourceLock::take(&self.place, source, source)?;
        remove::remove(&self.place, &mut self.lock(), source, stream)
    }
}

#[cfg(test)]
mod tests;
