//! A cache in a DuckDB file: small, and quick to aggregate. Behind the feature `duckdb`.
//!
//! **The attack.** DuckDB reads and writes files, fetches URLs and loads extensions, all by SQL: a
//! query, or a view in a file that somebody gave, would do so with this process's rights. So access
//! beyond the file is off before it is opened, extensions are neither fetched nor loaded by
//! themselves, and nothing may set that otherwise.
//!
//! One process has the file open at a time, readers included: that is DuckDB's rule, and a second
//! process is refused ([`CacheError::InUse`]). The kernel's lock that this rests on does not hold
//! within a process, so there the file is opened once and shared.

mod fill;
mod insert;
mod query;
mod read;
mod remove;
mod streams;
mod tables;
mod writer;

use std::collections::{HashMap, HashSet};
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use ::duckdb::{AccessMode, Config, Connection};

use super::{
    CacheDescription, CacheError, CacheWriter, CachedCheckpoint, CachedRows, CachedStream,
    QueryRows, RecordCache,
};
use crate::protocol::{Catalog, StreamDescriptor};
use crate::state::{Holder, StoredState};
use tables::{LAYOUT, lay_out};

/// What DuckDB may keep in memory before it writes to disk. 512 MiB: room for the columns of a
/// transaction, and as much as a sync may take beside its connectors.
const MEMORY: &str = "512MiB";

/// Which file, for errors.
#[derive(Debug, Clone)]
struct Place(PathBuf);

impl Place {
    fn shown(&self) -> String {
        format!("duckdb:{}", self.0.display())
    }

    /// The database's errors name tables and columns, and no values: all that is written has its type
    /// already. Their second line shows the statement.
    fn fault(&self, error: impl std::fmt::Display) -> CacheError {
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default().to_owned();
        CacheError::Database { cache: self.shown(), reason }
    }

    fn damaged(&self, stream: impl std::fmt::Display, reason: impl Into<String>) -> CacheError {
        let stream = stream.to_string();
        CacheError::Damaged { cache: self.shown(), stream, reason: reason.into() }
    }
}

/// A file that this process has open.
#[derive(Debug)]
struct Opened {
    place: Place,
    key: PathBuf,
    id: String,
    /// None while it is closed.
    connection: Mutex<Option<Connection>>,
    /// Sources whose parts are filled now.
    filling: Mutex<HashSet<String>>,
}

/// The files that this process has open.
static OPENED: LazyLock<Mutex<HashMap<PathBuf, Weak<Opened>>>> = LazyLock::new(Mutex::default);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Closed before anybody may open it again.
        let mut opened = lock(&OPENED);
        drop(lock(&self.connection).take());
        if opened.get(&self.key).is_some_and(|there| there.strong_count() == 0) {
            opened.remove(&self.key);
        }
    }
}

impl Opened {
    fn open(place: Place, key: PathBuf) -> Result<Self, CacheError> {
        let config = || -> ::duckdb::Result<Config> {
            Config::default()
                .access_mode(AccessMode::ReadWrite)?
                .enable_external_access(false)?
                .enable_autoload_extension(false)?
                .with("autoinstall_known_extensions", "false")?
                .with("allow_community_extensions", "false")?
                .max_memory(MEMORY)
        };
        let config = config().map_err(|e| place.fault(e))?;
        let connection = Connection::open_with_flags(&place.0, config).map_err(|e| {
            let text = e.to_string();
            match text.split_once("Conflicting lock is held in ") {
                Some((_, holder)) => {
                    let holder = holder.split(". See").next().unwrap_or_default().trim();
                    let holder = crate::sandbox::one_line(holder);
                    CacheError::InUse { cache: place.shown(), holder }
                }
                None => place.fault(text),
            }
        })?;
        let owner = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&place.0, owner).map_err(|e| place.fault(e))?;
        let (found, id) = lay_out(&connection).map_err(|e| place.fault(e))?;
        if found != LAYOUT {
            return Err(CacheError::Layout { cache: place.shown(), found, known: LAYOUT });
        }
        // Instants are shown in UTC. The last statement that sets anything.
        let settled = "SET GLOBAL TimeZone = 'UTC'; SET TimeZone = 'UTC';
            SET GLOBAL lock_configuration = true";
        connection.execute_batch(settled).map_err(|e| place.fault(e))?;
        let (connection, filling) = (Mutex::new(Some(connection)), Mutex::default());
        Ok(Self { place, key, id, connection, filling })
    }

    /// Another connection to the file.
    fn connect(&self) -> Result<Connection, CacheError> {
        let connection = lock(&self.connection);
        let connection = connection.as_ref().ok_or_else(|| self.place.fault("it is closed"))?;
        connection.try_clone().map_err(|e| self.place.fault(e))
    }

    /// Marks a source's part as being filled.
    fn take(self: &Arc<Self>, source: &str, name: &str) -> Result<SourceLock, CacheError> {
        if !lock(&self.filling).insert(source.to_owned()) {
            return Err(CacheError::Busy {
                cache: self.place.shown(),
                source_name: name.to_owned(),
                holder: Holder::this_process(None).to_string(),
            });
        }
        Ok(SourceLock { opened: self.clone(), source: source.to_owned() })
    }

    /// Reads from one state of the file.
    fn read<T>(
        &self,
        body: impl FnOnce(&Connection) -> Result<T, CacheError>,
    ) -> Result<T, CacheError> {
        let connection = self.connect()?;
        let begun = connection.execute_batch("BEGIN TRANSACTION READ ONLY");
        begun.map_err(|e| self.place.fault(e))?;
        body(&connection)
    }
}

/// Held while a source's part is filled.
#[derive(Debug)]
struct SourceLock {
    opened: Arc<Opened>,
    source: String,
}

impl Drop for SourceLock {
    fn drop(&mut self) {
        lock(&self.opened.filling).remove(&self.source);
    }
}

/// Records in a DuckDB file.
#[derive(Debug)]
pub struct DuckdbCache(Arc<Opened>);

/// DuckDB's unsigned integers are not used; ours stay far below its largest signed one.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// See [`unsigned`].
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl DuckdbCache {
    /// Opens the cache, and makes it where there is none.
    ///
    /// # Errors
    /// [`CacheError::InUse`] while another process has it open, others.
    pub fn open(path: &Path) -> Result<Self, CacheError> {
        let place = Place(path.to_owned());
        let named = path.file_name().ok_or_else(|| place.fault("it is no file's name"))?;
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| place.fault(format!("its folder cannot be made: {e}")))?;
        let whole = |path: &Path| std::fs::canonicalize(path);
        let key = whole(path).or_else(|_| whole(folder).map(|folder| folder.join(named)));
        let key = key.map_err(|e| place.fault(e))?;
        let mut opened = lock(&OPENED);
        if let Some(there) = opened.get(&key).and_then(Weak::upgrade) {
            drop(opened);
            return Ok(Self(there));
        }
        let new = Opened::open(place, key.clone()).map(Arc::new);
        if let Ok(new) = &new {
            opened.insert(key, Arc::downgrade(new));
        }
        // What failed to open is dropped without the lock.
        drop(opened);
        new.map(Self)
    }
}

impl RecordCache for DuckdbCache {
    fn describe(&self) -> CacheDescription {
        CacheDescription {
            kind: "duckdb",
            place: self.0.place.0.display().to_string(),
            id: self.0.id.clone(),
        }
    }

    fn fill(
        &self,
        source: &str,
        source_name: &str,
        catalog: &Catalog,
    ) -> Result<Box<dyn CacheWriter>, CacheError> {
        let lock = self.0.take(source, source_name)?;
        let connection = self.0.connect()?;
        let place = &self.0.place;
        let streams = fill::begin(place, &connection, source, source_name, catalog)?;
        Ok(Box::new(writer::Writer::new(connection, lock, catalog, streams)))
    }

    fn states(&self, source: &str) -> Result<Vec<StoredState>, CacheError> {
        self.0.read(|connection| read::states(&self.0.place, connection, source))
    }

    fn streams(&self, source: Option<&str>) -> Result<Vec<CachedStream>, CacheError> {
        self.0.read(|connection| {
            let kept = streams::list(&self.0.place, connection, source)?;
            kept.into_iter().map(|kept| read::stream(&self.0.place, connection, kept)).collect()
        })
    }

    fn checkpoints(
        &self,
        source: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CachedCheckpoint>, CacheError> {
        self.0.read(|connection| read::checkpoints(&self.0.place, connection, source, after, limit))
    }

    fn rows(
        &self,
        source: &str,
        stream: &StreamDescriptor,
        after: u64,
        up_to: u64,
        bytes: usize,
    ) -> Result<Option<CachedRows>, CacheError> {
        let place = &self.0.place;
        self.0.read(|connection| {
            let kept = streams::find(place, connection, source, stream)?;
            let kept = kept
                .filter(|kept| !kept.removed)
                .ok_or_else(|| read::unknown(place, connection, &format!("stream {stream}")))?;
            read::rows(place, connection, &kept, after, up_to, bytes)
        })
    }

    fn query(&self, sql: &str, limit: usize) -> Result<QueryRows, CacheError> {
        self.0.read(|connection| query::query(connection, sql, limit))
    }

    fn remove(&self, source: &str, stream: Option<&StreamDescriptor>) -> Result<usize, CacheError> {
        let _lock = self.0.take(source, source)?;
        remove::remove(&self.0.place, &self.0.connect()?, source, stream)
    }
}

#[cfg(test)]
mod tests;
