//! The file: read as a whole, replaced as a whole, under a lock beside it.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::memory::{LAYOUT, Memory};
use crate::state::StateStoreError;

/// How long another process may take to change the file: as for SQLite.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the lock.
const SOON: Duration = Duration::from_millis(10);
/// Bytes of the file: all of it is in memory, and is written with each state that is stored.
const FILE_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(super) fn open(path: &Path) -> Result<Self, StateStoreError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let file = Self { path: path.to_owned() };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| file.fault(&format!("its folder cannot be made: {e}")))?;
        // What a link names is replaced, and not the link.
        match path.canonicalize() {
            Ok(path) => Ok(Self { path }),
            Err(_) => Ok(file),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn fault(&self, reason: &(impl std::fmt::Display + ?Sized)) -> StateStoreError {
        StateStoreError::Database { path: self.path.clone(), reason: reason.to_string() }
    }

    fn unreadable(&self, reason: String) -> StateStoreError {
        StateStoreError::Unreadable { path: self.path.clone(), reason }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(self.path.as_os_str());
        name.push(ending);
        name.into()
    }

    /// What it says. No lock: whoever replaces the file leaves the old one to who reads it.
    pub(super) fn read(&self) -> Result<Memory, StateStoreError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Memory::default()),
            Err(e) => return Err(self.fault(&e)),
        };
        let mut text = Vec::new();
        file.take(FILE_BYTES + 1).read_to_end(&mut text).map_err(|e| self.fault(&e))?;
        if text.len() as u64 > FILE_BYTES {
            return Err(self.unreadable(format!("it has more than {} MiB", FILE_BYTES >> 20)));
        }
        #[derive(Deserialize)]
        struct Head {
            layout: i64,
        }
        // serde's own message may quote a value.
        let place = |e: &serde_json::Error| format!("line {} column {}", e.line(), e.column());
        let head: Head = serde_json::from_slice(&text).map_err(|e| {
            self.unreadable(format!("it is not what lockgate wrote: {}", place(&e)))
        })?;
        if head.layout != LAYOUT {
            let (path, found) = (self.path.clone(), head.layout);
            return Err(StateStoreError::Layout { path, found, known: LAYOUT });
        }
        serde_json::from_slice(&text)
            .map_err(|e| self.unreadable(format!("it is not what lockgate wrote: {}", place(&e))))
    }

    /// Changes what it says. Durable when it returns; an error of `body` leaves it as it was.
    pub(super) fn change<T>(
        &self,
        body: impl FnOnce(&mut Memory) -> Result<T, StateStoreError>,
    ) -> Result<T, StateStoreError> {
        // Goes with this value, however the process ends.
        let _lock = self.lock()?;
        let mut memory = self.read()?;
        let value = body(&mut memory)?;
        self.write(&memory).map_err(|e| self.fault(&e))?;
        Ok(value)
    }

    fn lock(&self) -> Result<File, StateStoreError> {
        let mut open = OpenOptions::new();
        let path = self.beside(".lock");
        let file = open.create(true).append(true).mode(0o600).open(path);
        let file = file.map_err(|e| self.fault(&e))?;
        let end = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(SOON),
                Err(TryLockError::WouldBlock) => {
                    return Err(self.fault("another process has been changing it for 10 s"));
                }
                Err(TryLockError::Error(e)) => return Err(self.fault(&e)),
            }
        }
    }

    fn write(&self, memory: &Memory) -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(memory)?;
        text.push(b'\n');
        if text.len() as u64 > FILE_BYTES {
            let what = format!("it would have more than {} MiB", FILE_BYTES >> 20);
            return Err(std::io::Error::new(ErrorKind::FileTooLarge, what));
        }
        let new = self.beside(".new");
        // Of somebody who was killed: only who has the lock writes it.
        match std::fs::remove_file(&new) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()
    }
}
