//! The default state store: one SQLite file in WAL mode, every commit synced to disk.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{StateStore, StateStoreError, StoredState, SyncNumbers};
use crate::config::merge_members;
use crate::protocol::{Json, StateMessage, StateScope, StreamDescriptor};

/// The layout of the tables below.
const LAYOUT: i64 = 1;

const TABLES: &str = "
CREATE TABLE syncs (connection TEXT PRIMARY KEY, last_sync_id INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE generations (
    connection TEXT NOT NULL, stream TEXT NOT NULL, generation INTEGER NOT NULL,
    PRIMARY KEY (connection, stream)) WITHOUT ROWID;
-- stream: the descriptor as JSON; 'GLOBAL' or 'LEGACY' for states of all streams together.
-- full_read: 1 for a state that no incremental read goes on from.
CREATE TABLE states (
    connection TEXT NOT NULL, full_read INTEGER NOT NULL, stream TEXT NOT NULL, body TEXT NOT NULL,
    stored_at INTEGER NOT NULL, PRIMARY KEY (connection, full_read, stream)) WITHOUT ROWID;
CREATE TABLE config_changes (
    connection TEXT NOT NULL, side TEXT NOT NULL, digest TEXT NOT NULL, members TEXT NOT NULL,
    PRIMARY KEY (connection, side)) WITHOUT ROWID;
";

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
            let transaction =
                Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
            let found: i64 = transaction.pragma_query_value(None, "user_version", |r| r.get(0))?;
            if found == 0 {
                transaction.execute_batch(TABLES)?;
                transaction.pragma_update(None, "user_version", LAYOUT)?;
                transaction.commit()?;
                return Ok(LAYOUT);
            }
            Ok(found)
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

impl StateStore for SqliteStateStore {
    fn begin_sync(
        &self,
        connection: &str,
        streams: &[(StreamDescriptor, bool)],
    ) -> Result<SyncNumbers, StateStoreError> {
        self.transact(|t| {
            let sync_id: i64 = t.query_row(
                "INSERT INTO syncs VALUES (?1, 1)
                 ON CONFLICT (connection) DO UPDATE SET last_sync_id = last_sync_id + 1
                 RETURNING last_sync_id",
                params![connection],
                |row| row.get(0),
            )?;
            let mut generations = Vec::with_capacity(streams.len());
            for (descriptor, refresh) in streams {
                let generation: i64 = t.query_row(
                    "INSERT INTO generations VALUES (?1, ?2, 1)
                     ON CONFLICT (connection, stream) DO UPDATE SET generation = generation + ?3
                     RETURNING generation",
                    params![connection, stream_key(descriptor), i64::from(*refresh)],
                    |row| row.get(0),
                )?;
                generations.push(unsigned(generation));
            }
            Ok(SyncNumbers { sync_id: unsigned(sync_id), generations })
        })
    }

    fn load(&self, connection: &str) -> Result<Vec<StoredState>, StateStoreError> {
        let rows: Vec<(bool, String)> = self.transact(|t| {
            let mut rows = t.prepare(
                "SELECT full_read, body FROM states WHERE connection = ?1 ORDER BY full_read, stream",
            )?;
            rows.query_map(params![connection], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        let damaged = |reason: String| StateStoreError::Damaged {
            path: self.path.clone(),
            connection: connection.to_owned(),
            reason,
        };
        rows.into_iter()
            .map(|(of_full_read, body)| {
                let body = Json::parse(body).map_err(|e| damaged(e.to_string()))?;
                let state = StateMessage::from_airbyte(body).map_err(|e| damaged(e.to_string()))?;
                Ok(StoredState { state, of_full_read })
            })
            .collect()
    }

    fn store(&self, connection: &str, states: &[StoredState]) -> Result<(), StateStoreError> {
        if states.is_empty() {
            return Ok(());
        }
        self.transact(|t| {
            for StoredState { state, of_full_read } in states {
                // The two forms exclude each other: what one says, the other would contradict.
                let contradicted = match state.scope() {
                    StateScope::Stream(_) => "AND stream IN ('GLOBAL', 'LEGACY')",
                    StateScope::Global | StateScope::Legacy => "",
                };
                t.execute(
                    &format!(
                        "DELETE FROM states WHERE connection = ?1 AND full_read = ?2 {contradicted}"
                    ),
                    params![connection, of_full_read],
                )?;
                t.execute(
                    "INSERT OR REPLACE INTO states VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        connection,
                        of_full_read,
                        key(state.scope()),
                        state.body().get(),
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
            None => t.execute("DELETE FROM states WHERE connection = ?1", params![connection]),
            Some(streams) => {
                let mut cleared = 0;
                for stream in streams {
                    cleared += t.execute(
                        "DELETE FROM states WHERE connection = ?1 AND stream = ?2",
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
                "SELECT connection, count(*), max(stored_at) FROM states
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
                    "SELECT members FROM config_changes
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
                "INSERT OR REPLACE INTO config_changes VALUES (?1, ?2, ?3, ?4)",
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
                "SELECT members FROM config_changes
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
                    "INSERT OR REPLACE INTO config_changes VALUES (?1, ?2, ?3, ?4)",
                    params![connection, side, digest, members.get()],
                )
                .map(drop),
            None => t
                .execute(
                    "DELETE FROM config_changes
                     WHERE connection = ?1 AND side = ?2 AND digest = ?3",
                    params![connection, side, digest],
                )
                .map(drop),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, SqliteStateStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStateStore::open(&folder.path().join(".lockgate/state.db")).unwrap();
        (folder, store)
    }

    fn state(text: &str) -> StateMessage {
        StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap()
    }

    fn stream(name: &str, at: u64) -> StateMessage {
        let state = Json::parse(format!(r#"{{"at":{at}}}"#)).unwrap();
        StateMessage::stream(StreamDescriptor::new(name), Some(&state))
    }

    fn bodies(store: &SqliteStateStore, connection: &str) -> Vec<String> {
        let states = StoredState::shown(store.load(connection).unwrap());
        states.iter().map(|s| s.body().get().to_owned()).collect()
    }

    fn keep<const N: usize>(store: &SqliteStateStore, connection: &str, states: [StateMessage; N]) {
        store.store(connection, &states.map(StoredState::incremental)).unwrap();
    }

    #[test]
    fn states_of_full_reads_are_beside_the_others() {
        let (_folder, store) = store();
        keep(&store, "a", [stream("s", 1)]);
        let full = |state| StoredState { state, of_full_read: true };
        store.store("a", &[full(stream("s", 7)), full(stream("t", 7))]).unwrap();
        let stored = store.load("a").unwrap();
        assert_eq!(stored.iter().filter(|s| !s.of_full_read).count(), 1);
        let shown = [stream("s", 1), stream("t", 7)].map(|s| s.body().get().to_owned());
        assert_eq!(bodies(&store, "a"), shown);
        let global = state(r#"{"type":"GLOBAL","global":{"stream_states":[]}}"#);
        store.store("a", &[full(global)]).unwrap();
        assert_eq!(bodies(&store, "a"), [stream("s", 1).body().get()]);
    }

    #[test]
    fn states_are_kept_per_connection_and_stream() {
        let (_folder, store) = store();
        keep(&store, "a", [stream("s", 1), stream("t", 1)]);
        keep(&store, "b", [stream("s", 9)]);
        keep(&store, "a", [stream("s", 2)]);
        assert_eq!(
            bodies(&store, "a"),
            [stream("s", 2), stream("t", 1)].map(|s| s.body().get().to_owned())
        );
        assert_eq!(bodies(&store, "b").len(), 1);
        assert_eq!(store.clear("a", Some(&[StreamDescriptor::new("t")])).unwrap(), 1);
        assert_eq!(store.clear("a", None).unwrap(), 1);
        assert_eq!(bodies(&store, "b").len(), 1);
    }

    #[test]
    fn a_global_state_replaces_all_and_is_replaced_by_one() {
        let (_folder, store) = store();
        let global = state(r#"{"type":"GLOBAL","global":{"stream_states":[]},"x":1e400}"#);
        keep(&store, "a", [stream("s", 1), global.clone()]);
        assert_eq!(bodies(&store, "a"), [global.body().get()]);
        keep(&store, "a", [stream("s", 2)]);
        assert_eq!(bodies(&store, "a"), [stream("s", 2).body().get()]);
    }

    #[test]
    fn numbers_grow() {
        let (_folder, store) = store();
        let streams = [(StreamDescriptor::new("s"), true), (StreamDescriptor::new("t"), false)];
        let begin = || store.begin_sync("a", &streams).unwrap();
        assert_eq!(begin(), SyncNumbers { sync_id: 1, generations: vec![1, 1] });
        assert_eq!(begin(), SyncNumbers { sync_id: 2, generations: vec![2, 1] });
    }

    #[test]
    fn changed_members_belong_to_one_configuration() {
        let (_folder, store) = store();
        let change = |text: &str| Json::parse(text).unwrap();
        store.change_config("a", "source", "d1", &change(r#"{"t":"1","u":"1"}"#)).unwrap();
        store.change_config("a", "source", "d1", &change(r#"{"t":"2"}"#)).unwrap();
        let read = store.changed_config("a", "source", "d1").unwrap().unwrap();
        assert!(read.same(&change(r#"{"t":"2","u":"1"}"#)));
        assert!(store.changed_config("a", "source", "d2").unwrap().is_none());
        assert!(store.changed_config("a", "destination", "d1").unwrap().is_none());
    }

    #[test]
    fn a_later_layout_is_refused() {
        let (folder, store) = store();
        store.lock().pragma_update(None, "user_version", 99).unwrap();
        drop(store);
        let error = SqliteStateStore::open(&folder.path().join(".lockgate/state.db")).unwrap_err();
        assert!(matches!(error, StateStoreError::Layout { found: 99, .. }));
    }
}
