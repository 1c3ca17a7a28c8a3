//! A store as the holder of a lease sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{
    Generation, Held, Holder, Lease, PastStates, Remembered, StateStore, StateStoreError,
    StoredState, SyncNumbers, SyncStart,
};
use crate::protocol::{Json, StreamDescriptor};

/// A store that writes states and generations under one lease: once another came after it, nothing.
///
/// Changed members of a configuration are kept in any case. They are tokens that were given out once:
/// whoever slept and was given one has the only one that works.
#[derive(Debug)]
pub struct Fenced {
    inner: Arc<dyn StateStore>,
    lease: Lease,
    lost: AtomicBool,
}

impl Fenced {
    /// The store under this lease of it.
    #[must_use]
    pub fn new(inner: Arc<dyn StateStore>, lease: Lease) -> Self {
        Self { inner, lease, lost: AtomicBool::new(false) }
    }

    /// The lease.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Whether the store said that the lease is lost, or [`Fenced::lose`] did.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Counts the lease as lost: from now on nothing is written.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// The token, as long as it is good for something.
    fn token(&self, given: Option<u64>) -> Result<Option<u64>, StateStoreError> {
        if self.is_lost() {
            return Err(StateStoreError::Lost { connection: self.lease.connection.clone() });
        }
        Ok(Some(given.unwrap_or(self.lease.token)))
    }

    fn noted<T>(&self, result: Result<T, StateStoreError>) -> Result<T, StateStoreError> {
        if matches!(result, Err(StateStoreError::Lost { .. })) {
            self.lose();
        }
        result
    }
}

impl StateStore for Fenced {
    fn acquire(
        &self,
        connection: &str,
        holder: &Holder,
        time: Duration,
    ) -> Result<Lease, StateStoreError> {
        self.inner.acquire(connection, holder, time)
    }

    fn renew(&self, lease: &Lease, time: Duration) -> Result<(), StateStoreError> {
        self.noted(self.inner.renew(lease, time))
    }

    fn release(&self, lease: &Lease) -> Result<(), StateStoreError> {
        self.inner.release(lease)
    }

    fn held(&self, connection: &str) -> Result<Option<Held>, StateStoreError> {
        self.inner.held(connection)
    }

    fn begin_sync(
        &self,
        connection: &str,
        start: &SyncStart,
        lease: Option<u64>,
    ) -> Result<SyncNumbers, StateStoreError> {
        let token = self.token(lease)?;
        self.noted(self.inner.begin_sync(connection, start, token))
    }

    fn complete(
        &self,
        connection: &str,
        streams: &[StreamDescriptor],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        let token = self.token(lease)?;
        self.noted(self.inner.complete(connection, streams, token))
    }

    fn generations(
        &self,
        connection: &str,
    ) -> Result<Vec<(StreamDescriptor, Generation)>, StateStoreError> {
        self.inner.generations(connection)
    }

    fn past(&self, connection: &str) -> Result<Vec<PastStates>, StateStoreError> {
        self.inner.past(connection)
    }

    fn load(&self, connection: &str) -> Result<Vec<StoredState>, StateStoreError> {
        self.inner.load(connection)
    }

    fn store(
        &self,
        connection: &str,
        states: &[StoredState],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        let token = self.token(lease)?;
        self.noted(self.inner.store(connection, states, token))
    }

    fn set(
        &self,
        connection: &str,
        states: &[StoredState],
        lease: Option<u64>,
    ) -> Result<usize, StateStoreError> {
        let token = self.token(lease)?;
        self.noted(self.inner.set(connection, states, token))
    }

    fn last_sync(&self, connection: &str) -> Result<u64, StateStoreError> {
        self.inner.last_sync(connection)
    }

    fn adopt(
        &self,
        connection: &str,
        other: &Remembered,
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        let token = self.token(lease)?;
        self.noted(self.inner.adopt(connection, other, token))
    }

    fn connections(&self) -> Result<Vec<(String, u64, i64)>, StateStoreError> {
        self.inner.connections()
    }

    fn change_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: &Json,
    ) -> Result<(), StateStoreError> {
        self.inner.change_config(connection, side, digest, members)
    }

    fn changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
    ) -> Result<Option<Json>, StateStoreError> {
        self.inner.changed_config(connection, side, digest)
    }

    fn replace_changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: Option<&Json>,
    ) -> Result<(), StateStoreError> {
        self.inner.replace_changed_config(connection, side, digest, members)
    }
}
