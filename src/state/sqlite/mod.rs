//! The default state store: one SQLite file in WAL mode, every commit synced to disk.

mod leases;
mod past;
mod tables;

use std::collections::HashSet;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    Generation, Holder, Kept, Lease, PastStates, StateStore, StateStoreError, StoredState,
    SyncNumbers, SyncStart,
};
use crate::config::merge_members;
use crate::protocol::{Json, StateMessage, StateScope, StreamDescriptor};
use tables::{LAYOUT, lay_out};

/// States in a SQLite file.
#[derive(Debug)]
pub struct SqliteStateStore {
    path: PathBuf,
    connection: Mutex<Connection>,
}

fn key(scope: &StateScope) -> String {
    match scope {
        StateScope::Stream(descriptor) => stream_key(descriptor),
        StateScope::Global => "GLOBAL".to_owned(),
        StateScope::Legacy => "LEGACY".to_owned(),
    }
}

fn stream_key(descriptor: &StreamDescriptor) -> String {
    // Strings always serialise.
    serde_json::to_string(descriptor).unwrap_or_default()
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// SQLite has no unsigned integers; ours stay far below its largest.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

impl SqliteStateStore {
    /// Opens the store, and makes it where there is none. The file may hold refresh tokens, so it
    /// belongs to this user alone.
    ///
    /// # Errors
    /// [`StateStoreError`].
    pub fn open(path: &Path) -> Result<Self, StateStoreError> {
        let fault = |reason: String| StateStoreError::Database { path: path.to_owned(), reason };
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|e| fault(format!("its folder cannot be made: {e}")))?;
        }
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        made.map_err(|e| fault(e.to_string()))?;
        let connection = Connection::open(path).map_err(|e| fault(e.to_string()))?;
        let set_up = || -> rusqlite::Result<i64> {
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            lay_out(&connection)
        };
        let found = set_up().map_err(|e| fault(e.to_string()))?;
        if found != LAYOUT {
            return Err(StateStoreError::Layout { path: path.to_owned(), found, known: LAYOUT });
        }
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `body` in one transaction.
    fn transact<T>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateStoreError> {
        let mut connection = self.lock();
        let run = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = body(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|e: rusqlite::Error| StateStoreError::Database {
            path: self.path.clone(),
            reason: e.to_string(),
        })
    }
}

impl SqliteStateStore {
    /// Runs `body` in one transaction, if the lease is still the last.
    fn under<T>(
        &self,
        connection: &str,
        lease: Option<u64>,
        body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateStoreError> {
        let done = self.transact(|t| match lease {
            Some(token) if !leases::is_last(t, connection, token)? => Ok(None),
            _ => body(t).map(Some),
        })?;
        done.ok_or_else(|| StateStoreError::Lost { connection: connection.to_owned() })
    }

    /// A state as it was stored.
    fn read(&self, connection: &str, row: past::Row) -> Result<StoredState, StateStoreError> {
        let damaged = |reason: String| StateStoreError::Damaged {
            path: self.path.clone(),
            connection: connection.to_owned(),
            reason,
        };
        let body = Json::parse(row.body).map_err(|e| damaged(e.to_string()))?;
        let state = StateMessage::from_airbyte(body).map_err(|e| damaged(e.to_string()))?;
        let generations: Vec<(StreamDescriptor, u64)> =
            serde_json::from_str(&row.generations).map_err(|e| damaged(e.to_string()))?;
        let generations = generations.into_iter().collect();
        Ok(StoredState { state, of_full_read: row.of_full_read, generations })
    }
}

/// What is remembered of a stream's generations.
fn generation(
    t: &Transaction<'_>,
    connection: &str,
    stream: &str,
) -> rusqlite::Result<Option<Generation>> {
    let text: Option<String> = t
        .query_row(
            "SELECT generation FROM _lockgate_generations WHERE connection = ?1 AND stream = ?2",
            params![connection, stream],
            |row| row.get(0),
        )
        .optional()?;
    // One that cannot be read was not written by us; the stream begins as if it were new.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Of which generation of which stream there is a state, and whether it is of a full read.
fn kept(t: &Transaction<'_>, connection: &str) -> rusqlite::Result<HashSet<(String, u64, bool)>> {
    let mut kept = HashSet::new();
    for row in past::current(t, connection)? {
        let of: Vec<(StreamDescriptor, u64)> =
            serde_json::from_str(&row.generations).unwrap_or_default();
        let full = row.of_full_read;
        kept.extend(of.into_iter().map(|(stream, number)| (stream_key(&stream), number, full)));
    }
    Ok(kept)
}

impl StateStore for SqliteStateStore {
    fn acquire(
        &self,
        connection: &str,
        holder: &Holder,
        time: Duration,
    ) -> Result<Lease, StateStoreError> {
        self.transact(|t| leases::acquire(t, connection, holder, time))?
    }

    fn renew(&self, lease: &Lease, time: Duration) -> Result<(), StateStoreError> {
        self.transact(|t| leases::renew(t, lease, time))?
    }

    fn release(&self, lease: &Lease) -> Result<(), StateStoreError> {
        self.transact(|t| leases::release(t, lease))
    }

    fn begin_sync(
        &self,
        connection: &str,
        start: &SyncStart,
        lease: Option<u64>,
    ) -> Result<SyncNumbers, StateStoreError> {
        self.under(connection, lease, |t| {
            let sync_id: i64 = t.query_row(
                "INSERT INTO _lockgate_syncs VALUES (?1, 1)
                 ON CONFLICT (connection) DO UPDATE SET last_sync_id = last_sync_id + ?2
                 RETURNING last_sync_id",
                params![connection, i64::from(start.again.is_none())],
                |row| row.get(0),
            )?;
            if start.again.is_none() {
                past::put_aside(t, connection, sync_id - 1)?;
            }
            let all = kept(t, connection)?;
            let mut streams = Vec::with_capacity(start.streams.len());
            for stream in &start.streams {
                let key = stream_key(&stream.descriptor);
                let stored = generation(t, connection, &key)?;
                let number = stored.map_or(0, |stored| stored.number);
                let has = |full| all.contains(&(key.clone(), number, full));
                let kept = Kept { incremental: has(false), of_full_read: has(true) };
                let again = start.again.is_some();
                let (next, numbers) =
                    Generation::begin(stored, kept, stream.begin, again, start.rows_stay);
                // Our own types always serialise.
                let text = serde_json::to_string(&next).unwrap_or_default();
                t.execute(
                    "INSERT OR REPLACE INTO _lockgate_generations VALUES (?1, ?2, ?3)",
                    params![connection, key, text],
                )?;
                streams.push(numbers);
            }
            Ok(SyncNumbers { sync_id: unsigned(sync_id), streams })
        })
    }

    fn complete(
        &self,
        connection: &str,
        streams: &[StreamDescriptor],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        self.under(connection, lease, |t| {
            for stream in streams {
                let key = stream_key(stream);
                let Some(stored) = generation(t, connection, &key)? else { continue };
                let closed = Generation { open: None, ..stored };
                let text = serde_json::to_string(&closed).unwrap_or_default();
                t.execute(
                    "INSERT OR REPLACE INTO _lockgate_generations VALUES (?1, ?2, ?3)",
                    params![connection, key, text],
                )?;
            }
            Ok(())
        })
    }

    fn generations(
        &self,
        connection: &str,
    ) -> Result<Vec<(StreamDescriptor, Generation)>, StateStoreError> {
        let rows: Vec<(String, String)> = self.transact(|t| {
            let mut rows = t.prepare(
                "SELECT stream, generation FROM _lockgate_generations WHERE connection = ?1",
            )?;
            rows.query_map(params![connection], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        let read = |(stream, generation): (String, String)| {
            let stream = serde_json::from_str(&stream);
            let generation = serde_json::from_str(&generation);
            Some((stream.ok()?, generation.ok()?))
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    fn past(&self, connection: &str) -> Result<Vec<PastStates>, StateStoreError> {
        let rows = self.transact(|t| past::list(t, connection))?;
        rows.into_iter()
            .map(|(number, sync_id, at, states)| {
                let states = states.into_iter().map(|row| self.read(connection, row));
                let states = states.collect::<Result<_, _>>()?;
                Ok(PastStates { number, sync_id, at, states })
            })
            .collect()
    }

    fn load(&self, connection: &str) -> Result<Vec<StoredState>, StateStoreError> {
        let rows = self.transact(|t| past::current(t, connection))?;
        rows.into_iter().map(|row| self.read(connection, row)).collect()
    }

    fn store(
        &self,
        connection: &str,
        states: &[StoredState],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        if states.is_empty() {
            return Ok(());
        }
        self.under(connection, lease, |t| {
            for stored in states {
                let StoredState { state, of_full_read, generations } = stored;
                // The two forms exclude each other: what one says, the other would contradict.
                let contradicted = match state.scope() {
                    StateScope::Stream(_) => "AND stream IN ('GLOBAL', 'LEGACY')",
                    StateScope::Global | StateScope::Legacy => "",
                };
                t.execute(
                    &format!(
                        "DELETE FROM _lockgate_states
                         WHERE connection = ?1 AND full_read = ?2 {contradicted}"
                    ),
                    params![connection, of_full_read],
                )?;
                let generations: Vec<_> = generations.iter().collect();
                t.execute(
                    "INSERT OR REPLACE INTO _lockgate_states VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        connection,
                        of_full_read,
                        key(state.scope()),
                        state.body().get(),
                        // Strings and numbers always serialise.
                        serde_json::to_string(&generations).unwrap_or_default(),
                        now()
                    ],
                )?;
            }
            Ok(())
        })
    }

    fn clear(
        &self,
        connection: &str,
        streams: Option<&[StreamDescriptor]>,
    ) -> Result<usize, StateStoreError> {
        self.transact(|t| match streams {
            None => {
                past::put_aside(t, connection, 0)?;
                let all = "DELETE FROM _lockgate_states WHERE connection = ?1";
                t.execute(all, params![connection])
            }
            Some(streams) => {
                past::put_aside(t, connection, 0)?;
                let mut cleared = 0;
                for stream in streams {
                    cleared += t.execute(
                        "DELETE FROM _lockgate_states WHERE connection = ?1 AND stream = ?2",
                        params![connection, stream_key(stream)],
                    )?;
                }
                Ok(cleared)
            }
        })
    }

    fn connections(&self) -> Result<Vec<(String, u64, i64)>, StateStoreError> {
        self.transact(|t| {
            let mut rows = t.prepare(
                "SELECT connection, count(*), max(stored_at) FROM _lockgate_states
                 GROUP BY connection ORDER BY connection",
            )?;
            rows.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?), row.get(2)?)))?
                .collect()
        })
    }

    fn change_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: &Json,
    ) -> Result<(), StateStoreError> {
        self.transact(|t| {
            let earlier: Option<String> = t
                .query_row(
                    "SELECT members FROM _lockgate_config_changes
                     WHERE connection = ?1 AND side = ?2 AND digest = ?3",
                    params![connection, side, digest],
                    |row| row.get(0),
                )
                .optional()?;
            // Later changes come on top of earlier ones of the same configuration.
            let members = match earlier.and_then(|text| Json::object(text).ok()) {
                Some(earlier) => merge_members(&earlier, members),
                None => members.clone(),
            };
            t.execute(
                "INSERT OR REPLACE INTO _lockgate_config_changes VALUES (?1, ?2, ?3, ?4)",
                params![connection, side, digest, members.get()],
            )
            .map(drop)
        })
    }

    fn changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
    ) -> Result<Option<Json>, StateStoreError> {
        let text: Option<String> = self.transact(|t| {
            t.query_row(
                "SELECT members FROM _lockgate_config_changes
                 WHERE connection = ?1 AND side = ?2 AND digest = ?3",
                params![connection, side, digest],
                |row| row.get(0),
            )
            .optional()
        })?;
        text.map(|t| {
            Json::object(t).map_err(|e| StateStoreError::Damaged {
                path: self.path.clone(),
                connection: connection.to_owned(),
                reason: e.to_string(),
            })
        })
        .transpose()
    }

    fn replace_changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: Option<&Json>,
    ) -> Result<(), StateStoreError> {
        self.transact(|t| match members {
            Some(members) => t
                .execute(
                    "INSERT OR REPLACE INTO _lockgate_config_changes VALUES (?1, ?2, ?3, ?4)",
                    params![connection, side, digest, members.get()],
                )
                .map(drop),
            None => t
                .execute(
                    "DELETE FROM _lockgate_config_changes
                     WHERE connection = ?1 AND side = ?2 AND digest = ?3",
                    params![connection, side, digest],
                )
                .map(drop),
        })
    }
}

#[cfg(test)]
mod tests;
