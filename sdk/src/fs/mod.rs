//! Files in the directories the operator granted.
//!
//! In a component, `std::fs` writes at most 4 KiB a call and waits for the disk after each; this
//! module hands a whole batch to the host at once. It says which grant is missing, and it has what a
//! careful writer needs: [`File::sync_data`], [`Directory::rename`], [`Directory::sync`]. Outside a
//! component the same functions work on the machine's own files.
//!
//! ```
//! use lockgate_sdk::{Failure, fs};
//!
//! fn append(path: &str, line: &[u8]) -> Result<(), Failure> {
//!     let directory = fs::Directory::open(path)?;
//!     let file = directory.open_file("rows.jsonl", fs::Open::Write)?;
//!     file.write_at(line, file.size()?)?;
//!     file.sync_data()?; // the bytes are on the disk
//!     directory.sync()?; // and so is the name
//!     Ok(())
//! }
//! # let _ = append;
//! ```
//!
//! A path is absolute and names a place in the guest; a name is relative to its directory and has
//! no `..`.

mod error;
#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasi;

use crate::Failure;

pub use error::{Error, Reason};
#[cfg(not(target_family = "wasm"))]
use native as imp;
#[cfg(target_family = "wasm")]
use wasi as imp;

/// How [`Directory::open_file`] opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Reads a file that is there.
    Read,
    /// Reads and writes a file; creates it when it is not there.
    Write,
    /// Writes a new file; empties it when it is there.
    Truncate,
}

/// A directory that is open.
#[derive(Debug)]
pub struct Directory {
    inner: imp::Directory,
    path: String,
}

/// A file that is open. Places in it are bytes from its start.
#[derive(Debug)]
pub struct File {
    inner: imp::File,
    path: String,
}

impl Directory {
    /// Opens a directory by its absolute path, through the granted directory that is nearest to it.
    ///
    /// # Errors
    /// [`Reason::NotGranted`] when no granted directory holds the path, else the system's.
    pub fn open(path: &str) -> Result<Self, Error> {
        Self::open_for(path, true)
    }

    /// As [`Directory::open`], and asks for no right to change what is in it: for a source, which is
    /// granted none.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn open_to_read(path: &str) -> Result<Self, Error> {
        Self::open_for(path, false)
    }

    fn open_for(path: &str, change: bool) -> Result<Self, Error> {
        let error = |reason| Error::new("open the directory", path, reason);
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(error(Reason::Invalid));
        }
        Ok(Self {
            inner: imp::Directory::open(path, change).map_err(error)?,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// As [`Directory::open`], for one that a destination's configuration names in `path`.
    ///
    /// # Errors
    /// A failure that says how a directory is granted; else the system's.
    pub fn open_granted(path: &str) -> Result<Self, Failure> {
        Self::open_granted_for(path, true)
    }

    /// As [`Directory::open_to_read`], for one that a source's configuration names in `path`.
    ///
    /// # Errors
    /// As [`Directory::open_granted`].
    pub fn open_granted_to_read(path: &str) -> Result<Self, Failure> {
        Self::open_granted_for(path, false)
    }

    fn open_granted_for(path: &str, change: bool) -> Result<Self, Failure> {
        let (how, side) = if change { ("", "destination") } else { (":ro", "source") };
        Self::open_for(path, change).map_err(|error| match error.reason() {
            Reason::NotGranted => Failure::config(format!(
                "directory {path} is not granted: pass --allow-dir HOST_DIR::{path}{how} \
                 (in sync: --{side}-allow-dir)"
            )),
            Reason::Invalid => {
                Failure::config(format!("`path` is not an absolute path in the sandbox: {path}"))
            }
            _ => error.into(),
        })
    }

    /// The path it was opened by, without a slash at its end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Opens a file.
    ///
    /// # Errors
    /// The system's.
    pub fn open_file(&self, name: &str, how: Open) -> Result<File, Error> {
        Ok(File {
            inner: (self.inner.open_file(name, how))
                .map_err(|reason| self.error("open", name, reason))?,
            path: self.join(name),
        })
    }

    /// The names in the directory, in no order.
    ///
    /// # Errors
    /// The system's; [`Reason::Invalid`] when a name is not UTF-8.
    pub fn list(&self) -> Result<Vec<String>, Error> {
        self.inner.list().map_err(|reason| Error::new("list the directory", &self.path, reason))
    }

    /// Gives a file a new name, replacing what has it. Atomic.
    ///
    /// # Errors
    /// The system's.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        self.inner.rename(from, to).map_err(|reason| self.error("rename", from, reason))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_file(&self, name: &str) -> Result<(), Error> {
        self.inner.remove_file(name).map_err(|reason| self.error("remove", name, reason))
    }

    /// Creates a directory in it.
    ///
    /// # Errors
    /// The system's; [`Reason::Exists`] when the name is taken.
    pub fn create_directory(&self, name: &str) -> Result<(), Error> {
        self.inner
            .create_directory(name)
            .map_err(|reason| self.error("create the directory", name, reason))
    }

    /// Removes an empty directory in it.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_directory(&self, name: &str) -> Result<(), Error> {
        self.inner
            .remove_directory(name)
            .map_err(|reason| self.error("remove the directory", name, reason))
    }

    /// Tries whether files can be written in it, leaving no trace: for a destination's `check`.
    ///
    /// # Errors
    /// A failure that says how a directory is granted for writing; else the system's.
    pub fn try_writing(&self) -> Result<(), Failure> {
        const PROBE: &str = ".lockgate-check";
        let probe = self.open_file(PROBE, Open::Truncate).map_err(|error| {
            if *error.reason() == Reason::Denied {
                let path = &self.path;
                Failure::config(format!(
                    "directory {path} cannot be written to: grant it with :rw (--allow-dir \
                     HOST_DIR::{path}:rw, in sync --destination-allow-dir), and see that the \
                     host lets you write there"
                ))
            } else {
                error.into()
            }
        })?;
        let written = probe.write_at(b"{}\n", 0);
        self.remove_file(PROBE)?;
        Ok(written?)
    }

    /// Makes the names in it durable: those of new files, and renames.
    ///
    /// # Errors
    /// The system's.
    pub fn sync(&self) -> Result<(), Error> {
        self.inner.sync().map_err(|reason| Error::new("sync the directory", &self.path, reason))
    }

    fn join(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    fn error(&self, action: &'static str, name: &str, reason: Reason) -> Error {
        Error::new(action, self.join(name), reason)
    }
}

impl File {
    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its size in bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn size(&self) -> Result<u64, Error> {
        self.inner.size().map_err(|reason| self.error("read the size of", reason))
    }

    /// When its content was changed last, as nanoseconds since 1970-01-01T00:00Z; none where the
    /// filesystem does not say.
    ///
    /// # Errors
    /// The system's.
    pub fn modified(&self) -> Result<Option<u128>, Error> {
        self.inner.modified().map_err(|reason| self.error("read the time of", reason))
    }

    /// Cuts it, or fills it with zeros, to a size in bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn set_size(&self, size: u64) -> Result<(), Error> {
        self.inner.set_size(size).map_err(|reason| self.error("set the size of", reason))
    }

    /// Reads into `buffer` and returns how many bytes it got: fewer only at the end of the file.
    ///
    /// # Errors
    /// The system's.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
        let mut done = 0;
        while done < buffer.len() {
            let read = self
                .inner
                .read_at(&mut buffer[done..], offset + done as u64)
                .map_err(|reason| self.error("read", reason))?;
            if read == 0 {
                break;
            }
            done += read;
        }
        Ok(done)
    }

    /// Writes all of `bytes`. They are durable after [`File::sync_data`].
    ///
    /// # Errors
    /// The system's; some of the bytes may be written.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let mut done = 0;
        while done < bytes.len() {
            let written = self
                .inner
                .write_at(&bytes[done..], offset + done as u64)
                .map_err(|reason| self.error("write", reason))?;
            if written == 0 {
                return Err(self.error("write", Reason::NoSpace));
            }
            done += written;
        }
        Ok(())
    }

    /// Makes what was written durable, and the size, but not the name: see [`Directory::sync`].
    ///
    /// # Errors
    /// The system's. What was written since the last success may be lost.
    pub fn sync_data(&self) -> Result<(), Error> {
        self.inner.sync_data().map_err(|reason| self.error("sync", reason))
    }

    fn error(&self, action: &'static str, reason: Reason) -> Error {
        Error::new(action, &self.path, reason)
    }
}
