//! Locks between processes, which go with theirs however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::PythonError;
use crate::protocol::{LogLevel, Observer};

/// How often a lock is tried that somebody else has: an installation takes seconds.
const TRY: Duration = Duration::from_millis(100);

/// A file that is locked, or not yet.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// The lock of a file, which is made if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, PythonError> {
        let mut open = OpenOptions::new();
        let made = open.create(true).append(true).mode(0o600).open(path);
        // What lies where nothing can be changed can be used there.
        let file = made.or_else(|error| File::open(path).map_err(|_| error));
        let file = file.map_err(|e| failed(path, &e))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Waits until nobody else has it, but not longer than `patience`.
    pub(super) async fn exclusive(
        &self,
        observer: &dyn Observer,
        what: &str,
        patience: Duration,
    ) -> Result<(), PythonError> {
        self.wait(observer, what, patience, || self.file.try_lock()).await
    }

    /// Waits until nobody has it for himself, but not longer than `patience`.
    pub(super) async fn shared(
        &self,
        observer: &dyn Observer,
        what: &str,
        patience: Duration,
    ) -> Result<(), PythonError> {
        self.wait(observer, what, patience, || self.file.try_lock_shared()).await
    }

    /// Takes it, where nobody else has it.
    pub(super) fn try_exclusive(&self) -> Result<bool, PythonError> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(e)) => Err(failed(&self.path, &e)),
        }
    }

    /// Lets go of it.
    pub(super) fn release(&self) -> Result<(), PythonError> {
        self.file.unlock().map_err(|e| failed(&self.path, &e))
    }

    /// Notes that what it locks is used now.
    pub(super) fn touch(&self) {
        // For a list only.
        let _ = self.file.set_modified(SystemTime::now());
    }

    async fn wait(
        &self,
        observer: &dyn Observer,
        what: &str,
        patience: Duration,
        take: impl Fn() -> Result<(), TryLockError> + Send + Sync,
    ) -> Result<(), PythonError> {
        let mut told = false;
        let end = Instant::now().checked_add(patience);
        loop {
            match take() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(e)) => return Err(failed(&self.path, &e)),
                Err(TryLockError::WouldBlock) if !told => {
                    let text = format!("waiting for another process, which works on {what}");
                    observer.log(LogLevel::Info, &text);
                    told = true;
                }
                Err(TryLockError::WouldBlock) => {}
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Err(PythonError::InUse { id: what.to_owned() });
            }
            tokio::time::sleep(TRY).await;
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> PythonError {
    PythonError::Folder { path: path.to_owned(), reason: format!("its lock: {error}") }
}
