//! The default state store: one SQLite file in WAL mode, every commit synced to disk.

mod leases;
mod past;
mod tables;

use std::collections::HashMap;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::rows::{Past, Row, begin, by_stream, changed_again, closed, effects, read_all};
use super::{
    Generation, Held, Holder, Lease, PastStates, Remembered, StateStore, StateStoreError,
    StoredState, SyncNumbers, SyncStart,
};
use crate::protocol::{Json, StreamDescriptor, now_ms};
use tables::{LAYOUT, lay_out};

/// States in a SQLite file.
#[derive(Debug)]
pub struct SqliteStateStore {
    path: PathBuf,
    connection: Mutex<Connection>,
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

    fn damaged(&self, connection: &str, reason: String) -> StateStoreError {
        StateStoreError::Damaged {
            path: self.path.clone(),
            connection: connection.to_owned(),
            reason,
        }
    }
}

/// What is remembered of all generations, by stream.
fn generations(
    t: &Transaction<'_>,
    connection: &str,
) -> rusqlite::Result<HashMap<String, Generation>> {
    let mut rows = t.prepare_cached(
        "SELECT stream, generation FROM _lockgate_generations WHERE connection = ?1",
    )?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?));
    let mut all = HashMap::new();
    for row in rows.query_map(params![connection], read)? {
        let (stream, text) = row?;
        // One that cannot be read was not written by us; the stream begins as if it were new.
        if let Ok(generation) = serde_json::from_str(&text) {
            all.insert(stream, generation);
        }
    }
    Ok(all)
}

fn put_generation(
    t: &Transaction<'_>,
    connection: &str,
    stream: &str,
    generation: Generation,
) -> rusqlite::Result<()> {
    // Our own types always serialise.
    let text = serde_json::to_string(&generation).unwrap_or_default();
    t.execute(
        "INSERT OR REPLACE INTO _lockgate_generations VALUES (?1, ?2, ?3)",
        params![connection, stream, text],
    )
    .map(drop)
}

/// Stores states, in their order.
fn put(t: &Transaction<'_>, connection: &str, states: &[StoredState]) -> rusqlite::Result<()> {
    for effect in effects(states) {
        let what = if effect.all_go { "" } else { "AND stream IN ('GLOBAL', 'LEGACY')" };
        t.prepare_cached(&format!(
            "DELETE FROM _lockgate_states WHERE connection = ?1 AND full_read = ?2 {what}"
        ))?
        .execute(params![connection, effect.of_full_read])?;
        for (key, stored) in effect.states {
            let row = Row::of(stored);
            t.prepare_cached(
                "INSERT OR REPLACE INTO _lockgate_states VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                connection,
                effect.of_full_read,
                key,
                row.body,
                row.generations,
                now_ms()
            ])?;
        }
    }
    Ok(())
}

/// Puts what is there aside and these in its place. Gives how many there were.
fn replace(
    t: &Transaction<'_>,
    connection: &str,
    states: &[StoredState],
) -> rusqlite::Result<usize> {
    past::put_aside(t, connection, 0)?;
    let all = "DELETE FROM _lockgate_states WHERE connection = ?1";
    let gone = t.execute(all, params![connection])?;
    put(t, connection, states)?;
    Ok(gone)
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

    fn held(&self, connection: &str) -> Result<Option<Held>, StateStoreError> {
        self.transact(|t| leases::held(t, connection))
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
            let rows = past::current(t, connection)?;
            let begun = begin(start, &rows, &generations(t, connection)?);
            let mut streams = Vec::with_capacity(begun.len());
            for (key, generation, numbers) in begun {
                put_generation(t, connection, &key, generation)?;
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
            for (key, generation) in closed(&generations(t, connection)?, streams) {
                put_generation(t, connection, &key, generation)?;
            }
            Ok(())
        })
    }

    fn generations(
        &self,
        connection: &str,
    ) -> Result<Vec<(StreamDescriptor, Generation)>, StateStoreError> {
        Ok(by_stream(self.transact(|t| generations(t, connection))?))
    }

    fn past(&self, connection: &str) -> Result<Vec<PastStates>, StateStoreError> {
        let all = self.transact(|t| past::list(t, connection))?;
        let all = all.into_iter().map(Past::read);
        all.collect::<Result<_, _>>().map_err(|reason| self.damaged(connection, reason))
    }

    fn load(&self, connection: &str) -> Result<Vec<StoredState>, StateStoreError> {
        let rows = self.transact(|t| past::current(t, connection))?;
        read_all(rows).map_err(|reason| self.damaged(connection, reason))
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
        self.under(connection, lease, |t| put(t, connection, states))
    }

    fn set(
        &self,
        connection: &str,
        states: &[StoredState],
        lease: Option<u64>,
    ) -> Result<usize, StateStoreError> {
        self.under(connection, lease, |t| replace(t, connection, states))
    }

    fn last_sync(&self, connection: &str) -> Result<u64, StateStoreError> {
        let last: Option<i64> = self.transact(|t| {
            let last = "SELECT last_sync_id FROM _lockgate_syncs WHERE connection = ?1";
            t.query_row(last, params![connection], |row| row.get(0)).optional()
        })?;
        Ok(last.map_or(0, unsigned))
    }

    fn adopt(
        &self,
        connection: &str,
        other: &Remembered,
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        self.under(connection, lease, |t| {
            t.execute(
                "INSERT INTO _lockgate_syncs VALUES (?1, ?2)
                 ON CONFLICT (connection) DO UPDATE SET
                    last_sync_id = max(last_sync_id, excluded.last_sync_id)",
                params![connection, i64::try_from(other.last_sync).unwrap_or(i64::MAX)],
            )?;
            for (stream, generation) in other.later(&generations(t, connection)?) {
                put_generation(t, connection, &stream, generation)?;
            }
            replace(t, connection, &other.states).map(drop)
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
            let earlier = earlier.and_then(|text| Json::object(text).ok());
            let members = changed_again(earlier.as_ref(), members);
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
        text.map(|text| Json::object(text).map_err(|e| self.damaged(connection, e.to_string())))
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
