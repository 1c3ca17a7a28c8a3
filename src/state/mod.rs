//! Floor 3: where syncs remember. States, generations, sync ids, who runs a connection, and changed
//! configuration members, keyed by connection.
//!
//! Three stores say the same: a SQLite file (the default), a PostgreSQL server that several hosts
//! share, and a JSON file for the edge. `tests/state_stores.rs` holds them to it.

mod error;
mod fenced;
mod generation;
mod json;
mod lease;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
mod sqlite;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

pub use error::StateStoreError;
pub use fenced::Fenced;

pub use generation::{
    Generation, Kept, Open, StreamBegin, StreamNumbers, StreamStart, SyncNumbers, SyncStart,
};
pub use json::JsonStateStore;
pub use lease::{Held, Holder, LEASE_TIME, Lease, LeaseTimes, RENEWAL};
#[cfg(feature = "postgres")]
pub use postgres::PostgresStateStore;
pub use sqlite::SqliteStateStore;

use crate::protocol::{Json, StateMessage, StateScope, StreamDescriptor};

/// A state, and whether it comes from a full read: then no incremental read goes on from it.
#[derive(Debug, Clone)]
pub struct StoredState {
    /// The state.
    pub state: StateMessage,
    /// It says where a full read was.
    pub of_full_read: bool,
    /// The generation of each stream it covers; empty where nobody said: then it counts in any.
    pub generations: BTreeMap<StreamDescriptor, u64>,
}

impl StoredState {
    /// A state that an incremental read goes on from.
    #[must_use]
    pub fn incremental(state: StateMessage) -> Self {
        Self { state, of_full_read: false, generations: BTreeMap::new() }
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

/// The states of a connection as they were when a sync began, or when they were set or cleared.
#[derive(Debug, Clone)]
pub struct PastStates {
    /// Counts up within the connection.
    pub number: u64,
    /// The sync that stored the last of them; 0: none did.
    pub sync_id: u64,
    /// When they were put aside, in ms since the epoch.
    pub at: i64,
    /// What there was.
    pub states: Vec<StoredState>,
}

/// What a store remembers of a connection, for another store.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// The id of its last sync.
    pub last_sync: u64,
    /// Its streams.
    pub generations: Vec<(StreamDescriptor, Generation)>,
    /// With their generations.
    pub states: Vec<StoredState>,
}

impl Remembered {
    /// What `store` remembers.
    ///
    /// # Errors
    /// [`StateStoreError`].
    pub fn of(store: &dyn StateStore, connection: &str) -> Result<Self, StateStoreError> {
        Ok(Self {
            last_sync: store.last_sync(connection)?,
            generations: store.generations(connection)?,
            states: store.load(connection)?,
        })
    }

    /// Those generations that are later than what is there, by the key of their stream.
    fn later(&self, there: &HashMap<String, Generation>) -> Vec<(String, Generation)> {
        let all = self.generations.iter().map(|(stream, g)| (rows::stream_key(stream), *g));
        all.filter(|(key, g)| there.get(key).is_none_or(|there| there.number < g.number)).collect()
    }
}

/// Times that a connection's states are remembered. Enough to go back over some nights.
pub const KEPT_PASTS: u64 = 20;

/// A connection's memory. The methods block: call them off the async threads.
///
/// `lease`: the token of the [`Lease`] under which the caller works; where another came after it,
/// nothing is changed ([`StateStoreError::Lost`]). None: without one.
pub trait StateStore: std::fmt::Debug + Send + Sync {
    /// Takes a connection, unless a holder has it that is not known to be gone and whose lease has not
    /// ended.
    ///
    /// # Errors
    /// [`StateStoreError::Held`], others.
    fn acquire(
        &self,
        connection: &str,
        holder: &Holder,
        time: Duration,
    ) -> Result<Lease, StateStoreError>;

    /// Makes a lease last from now.
    ///
    /// # Errors
    /// [`StateStoreError::Lost`], others.
    fn renew(&self, lease: &Lease, time: Duration) -> Result<(), StateStoreError>;

    /// Gives a lease back. One that was lost is no error.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn release(&self, lease: &Lease) -> Result<(), StateStoreError>;

    /// Who holds a connection, or held it last and did not give it back.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn held(&self, connection: &str) -> Result<Option<Held>, StateStoreError>;

    /// Counts a new sync, or goes on with one, and gives its streams their generations. What was
    /// stored before is remembered ([`StateStore::past`]).
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn begin_sync(
        &self,
        connection: &str,
        start: &SyncStart,
        lease: Option<u64>,
    ) -> Result<SyncNumbers, StateStoreError>;

    /// Notes that these streams are complete in their generation: what was begun in it has ended.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn complete(
        &self,
        connection: &str,
        streams: &[StreamDescriptor],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError>;

    /// The streams of a connection whose generations are known.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn generations(
        &self,
        connection: &str,
    ) -> Result<Vec<(StreamDescriptor, Generation)>, StateStoreError>;

    /// What the states of a connection were at the last [`KEPT_PASTS`] times, the newest first.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn past(&self, connection: &str) -> Result<Vec<PastStates>, StateStoreError>;

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
    fn store(
        &self,
        connection: &str,
        states: &[StoredState],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError>;

    /// Makes these all the states of a connection, and remembers those before as past. Returns how
    /// many there were. Durable when it returns.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn set(
        &self,
        connection: &str,
        states: &[StoredState],
        lease: Option<u64>,
    ) -> Result<usize, StateStoreError>;

    /// Forgets the states of some streams, also their parts of a global one, or of all, and remembers
    /// them as past. Returns how many were forgotten. Under a lease no other writes meanwhile.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn clear(
        &self,
        connection: &str,
        streams: Option<&[StreamDescriptor]>,
    ) -> Result<usize, StateStoreError> {
        let Some(streams) = streams else { return self.set(connection, &[], None) };
        let (left, cleared) = without(self.load(connection)?, streams);
        if cleared > 0 {
            self.set(connection, &left, None)?;
        }
        Ok(cleared)
    }

    /// The id of a connection's last sync; 0: there was none.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn last_sync(&self, connection: &str) -> Result<u64, StateStoreError>;

    /// Goes on where another store was: takes over what it remembers of a connection. What is there
    /// of later generations and syncs stays; all states are replaced, and remembered as past.
    ///
    /// # Errors
    /// [`StateStoreError`].
    fn adopt(
        &self,
        connection: &str,
        other: &Remembered,
        lease: Option<u64>,
    ) -> Result<(), StateStoreError>;

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

/// States without those of some streams, and how many these were.
fn without(states: Vec<StoredState>, streams: &[StreamDescriptor]) -> (Vec<StoredState>, usize) {
    let is_named = |stream: &StreamDescriptor| streams.contains(stream);
    let mut cleared = 0;
    let mut left = Vec::with_capacity(states.len());
    for stored in states {
        if matches!(stored.state.scope(), StateScope::Stream(stream) if is_named(stream)) {
            cleared += 1;
            continue;
        }
        cleared += stored.state.parts().iter().filter(|part| is_named(&part.descriptor)).count();
        let StoredState { state, of_full_read, generations } = stored;
        left.push(StoredState { state: state.without(is_named), of_full_read, generations });
    }
    (left, cleared)
}

/// A time for people and machines, as RFC 3339.
fn shown_time(ms: i64) -> String {
    crate::runs::time(u64::try_from(ms).unwrap_or(0))
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
