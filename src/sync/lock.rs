//! One sync of a connection at a time: two would both go on from the same state and write the same
//! rows. The lock goes with its process, however that ends.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::SyncError;
use crate::state::StateStoreError;

/// How long a worker may take to notice that it was killed.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// Held while a sync runs.
#[derive(Debug)]
pub(super) struct ConnectionLock(File);

impl ConnectionLock {
    /// The lock, for a worker to hold as well: while one of both lives, it is held.
    pub(super) fn file(&self) -> &File {
        &self.0
    }

    /// Takes the lock of a connection, in the folder of its state store.
    pub(super) fn take(folder: &Path, connection: &str) -> Result<Self, SyncError> {
        // Names may hold anything; a digest is a file name.
        let name = hex::encode(&Sha256::digest(connection.as_bytes())[..16]);
        let path = folder.join("locks").join(name);
        let fault = |reason: String| {
            SyncError::State(StateStoreError::Database { path: path.clone(), reason })
        };
        if let Some(folder) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|e| fault(e.to_string()))?;
        }
        let mut open = OpenOptions::new();
        let file = open.create(true).append(true).mode(0o600).open(&path);
        let file = file.map_err(|e| fault(e.to_string()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(SyncError::Busy { connection: connection.to_owned() })
            }
            Err(TryLockError::Error(e)) => Err(fault(e.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = ConnectionLock::take(folder.path(), "a/b").unwrap();
        assert!(matches!(ConnectionLock::take(folder.path(), "a/b"), Err(SyncError::Busy { .. })));
        ConnectionLock::take(folder.path(), "other").unwrap();
        drop(first);
        ConnectionLock::take(folder.path(), "a/b").unwrap();
    }
}
