//! Floor 3: where syncs remember. States, generations, sync ids and changed configuration members,
//! keyed by connection, in SQLite.

mod sqlite;

use std::path::PathBuf;

pub use sqlite::SqliteStateStore;

use crate::fault::{ExitClass, Fault};
use crate::protocol::{Json, StateMessage, StateScope, StreamDescriptor};

/// Why the state store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateStoreError {
    /// The database said no.
    #[error("the state store {path}: {reason}")]
    Database {
        /// The file.
        path: PathBuf,
        /// The database's reason.
        reason: String,
    },
    /// A later version wrote it.
    #[error("the state store {path} has layout {found}; this version knows {known}")]
    Layout {
        /// The file.
        path: PathBuf,
        /// The layout found.
        found: i64,
        /// The layout known.
        known: i64,
    },
    /// A row that cannot be what we wrote.
    #[error("the state store {path} holds a damaged state of {connection}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The connection.
        connection: String,
        /// What is wrong.
        reason: String,
    },
}

impl Fault for StateStoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Database { .. } => "STATE_STORE",
            Self::Layout { .. } => "STATE_STORE_LAYOUT",
            Self::Damaged { .. } => "STATE_STORE_DAMAGED",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Database { .. } => "check that its folder can be written to and has room".into(),
            Self::Layout { .. } => "use the newer lockgate that wrote it".into(),
            Self::Damaged { .. } => {
                "`lockgate state clear CONNECTION` removes it; the next sync starts again".into()
            }
        })
    }

    fn exit(&self) -> ExitClass {
        ExitClass::Failed
    }
}

/// What a sync is given at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncNumbers {
    /// Unique to the sync within its connection, from 1.
    pub sync_id: u64,
    /// The generation of each stream asked for, from 1.
    pub generations: Vec<u64>,
}

/// A state, and whether it comes from a full read: then no incremental read goes on from it.
#[derive(Debug, Clone)]
pub struct StoredState {
    /// The state.
    pub state: StateMessage,
    /// It says where a full read was.
    pub of_full_read: bool,
}

impl StoredState {
    /// A state that an incremental read goes on from.
    #[must_use]
    pub fn incremental(state: StateMessage) -> Self {
        Self { state, of_full_read: false }
    }

    /// What is worth showing: of each stream the state of an incremental read, else that of a full
    /// one.
    #[must_use]
    pub fn shown(stored: Vec<Self>) -> Vec<StateMessage> {
        let (full, mut shown): (Vec<Self>, Vec<Self>) =
            stored.into_iter().partition(|s| s.of_full_read);
        let covers_all = |s: &Self| !matches!(s.state.scope(), StateScope::Stream(_));
        if !shown.iter().any(covers_all) {
            for stored in full {
                let alone = shown.is_empty() || !covers_all(&stored);
                if alone && !shown.iter().any(|s| s.state.scope() == stored.state.scope()) {
                    shown.push(stored);
                }
            }
        }
        shown.into_iter().map(|s| s.state).collect()
    }
}

/// A connection's memory. The methods block: call them off the async threads.
pub trait StateStore: std::fmt::Debug + Send + Sync {
    /// Counts a new sync, and a new generation for each stream whose flag is set.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn begin_sync(
        &self,
        connection: &str,
        streams: &[(StreamDescriptor, bool)],
    ) -> Result<SyncNumbers, StateStoreError>;

    /// The states stored last: one a stream, or one global or legacy; of incremental and of full
    /// reads apart.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn load(&self, connection: &str) -> Result<Vec<StoredState>, StateStoreError>;

    /// Stores states, all or none. Durable when it returns.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn store(&self, connection: &str, states: &[StoredState]) -> Result<(), StateStoreError>;

    /// Forgets the states of some streams, or of all. Returns how many were forgotten.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn clear(
        &self,
        connection: &str,
        streams: Option<&[StreamDescriptor]>,
    ) -> Result<usize, StateStoreError>;

    /// Every connection that has states, with how many and when the last was stored (ms).
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn connections(&self) -> Result<Vec<(String, u64, i64)>, StateStoreError>;

    /// Remembers configuration members that a connector changed, over the configuration with this
    /// digest. Durable when it returns.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn change_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: &Json,
    ) -> Result<(), StateStoreError>;

    /// The changed members, if the configuration is still the one they were changed in.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
    ) -> Result<Option<Json>, StateStoreError>;

    /// Makes these all the changed members over the configuration with this digest; none: forgets
    /// them. Durable when it returns.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn replace_changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: Option<&Json>,
    ) -> Result<(), StateStoreError>;
}

/// The side under which a connection's earlier name is kept.
const RENAMED: &str = "renamed";

/// The name that a connection's states are under: that of before its configuration was changed in its
/// file.
///
/// # Errors
/// [`StateStoreError`].
pub fn first_name(store: &dyn StateStore, connection: &str) -> Result<String, StateStoreError> {
    let kept = store.changed_config(connection, RENAMED, "")?.and_then(|kept| kept.to_value().ok());
    let name = kept.as_ref().and_then(|kept| kept.get("connection")).and_then(|name| name.as_str());
    Ok(name.unwrap_or(connection).to_owned())
}

/// Notes that a connection's states are under another name.
///
/// # Errors
/// [`StateStoreError`].
pub fn note_first_name(
    store: &dyn StateStore,
    connection: &str,
    first: &str,
) -> Result<(), StateStoreError> {
    if connection == first {
        return store.replace_changed_config(connection, RENAMED, "", None);
    }
    let name = Json::from_value(&serde_json::json!({ "connection": first }));
    store.replace_changed_config(connection, RENAMED, "", Some(&name))
}
