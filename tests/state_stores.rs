//! What every store of states keeps to: SQLite, a JSON file, and PostgreSQL on a real server.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "state_stores/damage.rs"]
mod damage;
#[path = "state_stores/kill.rs"]
mod kill;
#[path = "state_stores/leases.rs"]
mod leases;
#[path = "common/schema.rs"]
mod schema;
#[path = "state_stores/server.rs"]
mod server;
#[path = "state_stores/states.rs"]
mod states;

use std::path::PathBuf;
use std::sync::Arc;

use lockgate::protocol::{Json, StateMessage, StreamDescriptor};
use lockgate::state::{StateStoreError, StoredState};
use lockgate::{JsonStateStore, PostgresStateStore, PostgresUrl, SqliteStateStore, StateStore};
use schema::Schema;

/// Where a store of one test is.
enum Place {
    Sqlite(tempfile::TempDir),
    Json(tempfile::TempDir),
    Postgres(Schema),
}

impl Place {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    fn json() -> Self {
        Self::Json(tempfile::tempdir().unwrap())
    }

    fn postgres() -> Self {
        Self::Postgres(Schema::new())
    }

    fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("made/state.db"),
            Self::Json(folder) => folder.path().join("made/state.json"),
            Self::Postgres(_) => panic!("a server is no file"),
        }
    }

    /// As `--state` has it.
    fn choice(&self) -> String {
        match self {
            Self::Sqlite(_) => format!("sqlite:{}", self.file().display()),
            Self::Json(_) => format!("json:{}", self.file().display()),
            Self::Postgres(schema) => schema.url(),
        }
    }

    fn try_open(&self) -> Result<Arc<dyn StateStore>, StateStoreError> {
        open(&self.choice())
    }

    /// As another process would.
    fn open(&self) -> Arc<dyn StateStore> {
        self.try_open().unwrap()
    }
}

fn open(choice: &str) -> Result<Arc<dyn StateStore>, StateStoreError> {
    Ok(match choice.split_once(':').unwrap() {
        ("sqlite", path) => Arc::new(SqliteStateStore::open(path.as_ref())?),
        ("json", path) => Arc::new(JsonStateStore::open(path.as_ref())?),
        _ => Arc::new(PostgresStateStore::open(PostgresUrl::parse(choice).unwrap())?),
    })
}

fn state(text: &str) -> StateMessage {
    StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap()
}

fn stream(name: &str, at: u64) -> StateMessage {
    let state = Json::parse(format!(r#"{{"at":{at}}}"#)).unwrap();
    StateMessage::stream(StreamDescriptor::new(name), Some(&state))
}

fn bodies(store: &dyn StateStore, connection: &str) -> Vec<String> {
    let states = StoredState::shown(store.load(connection).unwrap());
    states.iter().map(|s| s.body().get().to_owned()).collect()
}

fn texts<const N: usize>(states: [StateMessage; N]) -> Vec<String> {
    states.map(|s| s.body().get().to_owned()).into()
}

fn keep<const N: usize>(store: &dyn StateStore, connection: &str, states: [StateMessage; N]) {
    store.store(connection, &states.map(StoredState::incremental), None).unwrap();
}

/// Makes each of these a test of each store.
macro_rules! of_each_store {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(&crate::Place::sqlite()); })*
        }
        mod json {
            $(#[test] fn $name() { super::$name(&crate::Place::json()); })*
        }
        mod postgres {
            $(#[test] fn $name() { super::$name(&crate::Place::postgres()); })*
        }
    };
}
use of_each_store;
