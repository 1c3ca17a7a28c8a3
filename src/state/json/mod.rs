//! States in one JSON file: for small devices, where a database is too much and somebody may want to
//! read what is there.
//!
//! Each change writes the file anew and puts it in place of the old one, synced to disk: whoever is
//! killed leaves the one or the other. A second file beside it is locked meanwhile.

mod file;
mod memory;

use std::path::{Path, PathBuf};
use std::time::Duration;

use file::StateFile;
use memory::{Memory, OfConnection};

use super::{
    Generation, Held, Holder, Lease, PastStates, Remembered, StateStore, StateStoreError,
    StoredState, SyncNumbers, SyncStart,
};
use crate::protocol::{Json, StreamDescriptor};

/// States in a JSON file.
#[derive(Debug)]
pub struct JsonStateStore {
    file: StateFile,
}

impl JsonStateStore {
    /// Opens the store, and makes it where there is none. The file may hold refresh tokens, so it
    /// belongs to this user alone.
    ///
    /// # Errors
    /// [`StateStoreError`].
    pub fn open(path: &Path) -> Result<Self, StateStoreError> {
        let store = Self { file: StateFile::open(path)? };
        // Says at once what cannot be read.
        store.file.read()?;
        Ok(store)
    }

    /// What the file says of a connection.
    fn look<T>(
        &self,
        connection: &str,
        body: impl FnOnce(&OfConnection) -> T,
    ) -> Result<T, StateStoreError> {
        let memory = self.file.read()?;
        Ok(body(memory.connections.get(connection).unwrap_or(&OfConnection::default())))
    }

    /// Changes what it says of a connection, if the lease is still the last. An error of `body` leaves
    /// all as it was.
    fn change<T>(
        &self,
        connection: &str,
        lease: Option<u64>,
        body: impl FnOnce(&mut OfConnection) -> Result<T, StateStoreError>,
    ) -> Result<T, StateStoreError> {
        self.file.change(|memory: &mut Memory| {
            let of = memory.connections.entry(connection.to_owned()).or_default();
            if lease.is_some_and(|token| token != of.lease.token) {
                return Err(StateStoreError::Lost { connection: connection.to_owned() });
            }
            body(of)
        })
    }

    fn damaged(&self, connection: &str) -> impl Fn(String) -> StateStoreError {
        let (path, connection): (PathBuf, String) = (self.file.path().into(), connection.into());
        move |reason| StateStoreError::Damaged {
            path: path.clone(),
            connection: connection.clone(),
            reason,
        }
    }
}

impl StateStore for JsonStateStore {
    fn acquire(
        &self,
        connection: &str,
        holder: &Holder,
        time: Duration,
    ) -> Result<Lease, StateStoreError> {
        self.change(connection, None, |of| of.acquire(connection, holder, time))
    }

    fn renew(&self, lease: &Lease, time: Duration) -> Result<(), StateStoreError> {
        self.change(&lease.connection, Some(lease.token), |of| of.renew(&lease.connection, time))
    }

    fn release(&self, lease: &Lease) -> Result<(), StateStoreError> {
        match self.change(&lease.connection, Some(lease.token), |of| {
            of.release();
            Ok(())
        }) {
            Err(StateStoreError::Lost { .. }) => Ok(()),
            result => result,
        }
    }

    fn held(&self, connection: &str) -> Result<Option<Held>, StateStoreError> {
        self.look(connection, OfConnection::held)
    }

    fn begin_sync(
        &self,
        connection: &str,
        start: &SyncStart,
        lease: Option<u64>,
    ) -> Result<SyncNumbers, StateStoreError> {
        self.change(connection, lease, |of| Ok(of.begin_sync(start)))
    }

    fn complete(
        &self,
        connection: &str,
        streams: &[StreamDescriptor],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        self.change(connection, lease, |of| {
            of.complete(streams);
            Ok(())
        })
    }

    fn generations(
        &self,
        connection: &str,
    ) -> Result<Vec<(StreamDescriptor, Generation)>, StateStoreError> {
        self.look(connection, OfConnection::generations)
    }

    fn past(&self, connection: &str) -> Result<Vec<PastStates>, StateStoreError> {
        self.look(connection, OfConnection::past)?.map_err(self.damaged(connection))
    }

    fn load(&self, connection: &str) -> Result<Vec<StoredState>, StateStoreError> {
        self.look(connection, OfConnection::load)?.map_err(self.damaged(connection))
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
        self.change(connection, lease, |of| {
            of.put(states);
            Ok(())
        })
    }

    fn set(
        &self,
        connection: &str,
        states: &[StoredState],
        lease: Option<u64>,
    ) -> Result<usize, StateStoreError> {
        self.change(connection, lease, |of| Ok(of.set(states)))
    }

    fn last_sync(&self, connection: &str) -> Result<u64, StateStoreError> {
        self.look(connection, |of| of.last_sync_id)
    }

    fn adopt(
        &self,
        connection: &str,
        other: &Remembered,
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        self.change(connection, lease, |of| {
            of.adopt(other);
            Ok(())
        })
    }

    fn connections(&self) -> Result<Vec<(String, u64, i64)>, StateStoreError> {
        let memory = self.file.read()?;
        let with_states = memory.connections.into_iter().filter_map(|(name, of)| {
            let last = of.states.iter().map(|s| s.stored_at).max()?;
            Some((name, of.states.len() as u64, last))
        });
        Ok(with_states.collect())
    }

    fn change_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: &Json,
    ) -> Result<(), StateStoreError> {
        self.change(connection, None, |of| {
            of.change_config(side, digest, members);
            Ok(())
        })
    }

    fn changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
    ) -> Result<Option<Json>, StateStoreError> {
        self.look(connection, |of| of.changed_config(side, digest).cloned())
    }

    fn replace_changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: Option<&Json>,
    ) -> Result<(), StateStoreError> {
        self.change(connection, None, |of| {
            of.replace_changed_config(side, digest, members);
            Ok(())
        })
    }
}
