//! Writes changed members of a configuration back where it came from: a JSON file, or a table of
//! `lockgate.toml`. Everything else in the file stays as it is written.
//!
//! The attack: a connector that may write beside its configuration puts a link in its place, and the
//! host writes elsewhere; or it changes a value that stands for a secret or that a grant is made of.
//! So the folder is opened before the connector runs and its file never through a link, and what the
//! operator did not write as a plain value stays.

use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use serde_json::{Map, Value};

use super::edit::{self, ConfigPlace, blend};
use crate::protocol::Json;

/// How long another process may write to the same folder.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it is done.
const LOOK: Duration = Duration::from_millis(20);
/// How often it is tried again when somebody else wrote to the file meanwhile: a person does so once.
const TRIES: usize = 5;
/// Bytes of a file of configurations.
const MOST_BYTES: u64 = 16 << 20;

/// Why a file does not have a changed configuration.
#[derive(Debug, thiserror::Error)]
pub enum WriteBackError {
    /// The file or its folder cannot be used.
    #[error("{path} cannot be written to: {reason}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// It is not what it was.
    #[error("{path} is not what it was when it was read: {reason}")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A file that a configuration was read from.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    name: std::ffi::OsString,
    folder: OwnedFd,
    place: ConfigPlace,
}

/// What a configuration becomes in its file.
#[derive(Debug, Clone)]
pub struct Written {
    /// The configuration as the file has it then.
    pub config: Json,
    /// Members that cannot be written: they stand for a secret, a grant is made of them, or the file
    /// has no form for them; with their values.
    pub kept_back: Map<String, Value>,
    /// Their places, for messages.
    pub places: Vec<String>,
}

impl ConfigFile {
    /// Opens the folder of a file; a link to a file is followed here, and never again. None for what
    /// is no file that could be written back: a pipe, a device.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, place: ConfigPlace) -> io::Result<Option<Self>> {
        let real = path.canonicalize()?;
        if !real.metadata()?.is_file() {
            return Ok(None);
        }
        let (Some(folder), Some(name)) = (real.parent(), real.file_name()) else {
            return Ok(None);
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty())?;
        Ok(Some(Self { path: real.clone(), name: name.to_owned(), folder, place }))
    }

    /// The file, links followed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the members of `now` that differ from `before`, those of `fixed` excepted. `decided` is
    /// told what the file will have, before it has it; again, where somebody else wrote to the file
    /// meanwhile. Blocks.
    ///
    /// # Errors
    /// [`WriteBackError`], or what `decided` says.
    pub fn write<E: From<WriteBackError>>(
        &self,
        before: &Json,
        now: &Json,
        fixed: &[String],
        mut decided: impl FnMut(&Written) -> Result<(), E>,
    ) -> Result<Written, E> {
        let _lock = self.lock()?;
        for _ in 0..TRIES {
            if let Some(written) = self.write_once(before, now, fixed, &mut decided)? {
                return Ok(written);
            }
        }
        Err(self.changed("others write to it all the time".into()).into())
    }

    /// None: the file is not what was read any more, and is as somebody else wrote it.
    fn write_once<E: From<WriteBackError>>(
        &self,
        before: &Json,
        now: &Json,
        fixed: &[String],
        decided: &mut impl FnMut(&Written) -> Result<(), E>,
    ) -> Result<Option<Written>, E> {
        let (facts, text) = self.read()?;
        let known = edit::config_of(&text, &self.place).map_err(|r| self.changed(r))?;
        let (before, now) = (object(before), object(now));
        let mut change = Map::new();
        let mut places = Vec::new();
        for (name, value) in &now {
            // What the connector did not change is as whoever else wrote it.
            if before.get(name) == Some(value) {
                continue;
            }
            if fixed.contains(name) {
                places.push(name.clone());
                continue;
            }
            let value = blend(known.get(name), value, name, &self.place, &mut places);
            if let Some(value) = value.filter(|value| known.get(name) != Some(value)) {
                change.insert(name.clone(), value);
            }
        }
        let new = edit::edited(&text, &self.place, &change).map_err(|r| self.changed(r))?;
        let config = edit::config_of(&new, &self.place).map_err(|r| self.changed(r))?;
        let kept_back = now.into_iter().filter(|(name, value)| {
            before.get(name) != Some(value) && config.get(name) != Some(value)
        });
        let written = Written {
            kept_back: kept_back.collect(),
            config: Json::from_value(&Value::Object(config)),
            places,
        };
        decided(&written)?;
        if new != text && !self.replace(&facts, &new)? {
            return Ok(None);
        }
        Ok(Some(written))
    }

    fn changed(&self, reason: String) -> WriteBackError {
        WriteBackError::Changed { path: self.path.clone(), reason }
    }

    fn unwritable(&self, reason: impl ToString) -> WriteBackError {
        WriteBackError::Unwritable { path: self.path.clone(), reason: reason.to_string() }
    }

    /// One writer at a time: two would each lose what the other wrote.
    fn lock(&self) -> Result<File, WriteBackError> {
        let open = || -> io::Result<File> {
            // Opened anew: a lock is of the opened folder, not of the process.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(File::from(rustix::fs::openat(&self.folder, ".", flags, Mode::empty())?))
        };
        let folder = open().map_err(|e| self.unwritable(e))?;
        let end = Instant::now() + PATIENCE;
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(folder),
                Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => {
                    return Err(self.unwritable("another process holds its folder"));
                }
                Err(TryLockError::Error(e)) => return Err(self.unwritable(e)),
            }
        }
    }

    /// The text, and what the file was when it began to be read.
    fn read(&self) -> Result<(Metadata, String), WriteBackError> {
        let open = |flags| {
            let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty()).map(File::from)
        };
        let file = open(OFlags::RDWR).map_err(|e| match e {
            rustix::io::Errno::LOOP => self.changed("a link took its place".into()),
            rustix::io::Errno::NOENT => self.changed("it is gone".into()),
            e => self.unwritable(io::Error::from(e)),
        })?;
        let facts = file.metadata().map_err(|e| self.unwritable(e))?;
        if !facts.is_file() || facts.len() > MOST_BYTES {
            return Err(self.changed("it is no file, or a very large one".into()));
        }
        // Whoever may write everywhere is told what the mode says, too.
        if facts.mode() & 0o222 == 0 {
            return Err(self.unwritable("it is read-only"));
        }
        let mut text = String::new();
        let mut whole = (&file).take(MOST_BYTES);
        whole.read_to_string(&mut text).map_err(|e| self.unwritable(e))?;
        Ok((facts, text))
    }

    /// Whether the file is still the one that was read, and nobody wrote to it.
    fn is_as_read(&self, facts: &Metadata) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            // It is gone, or a link: reading it again says which.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => return Ok(false),
            Err(e) => return Err(e.into()),
        };
        let now = file.metadata()?;
        let same = |f: &Metadata| (f.dev(), f.ino(), f.len(), f.mtime(), f.mtime_nsec());
        Ok(same(&now) == same(facts))
    }

    /// Puts a text in the place of the file: the whole of it or nothing, with mode and owner. Not
    /// where the file is not what was read any more.
    fn replace(&self, facts: &Metadata, text: &str) -> Result<bool, WriteBackError> {
        let draft = format!(".lockgate-{}.next", std::process::id());
        // One that a process of this number left behind.
        let _ = rustix::fs::unlinkat(&self.folder, &draft, AtFlags::empty());
        let write = || -> io::Result<bool> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let mode = Mode::RUSR | Mode::WUSR;
            let new = rustix::fs::openat(&self.folder, &draft, flags | OFlags::CLOEXEC, mode)?;
            let mut new = File::from(new);
            new.write_all(text.as_bytes())?;
            let owner = new.metadata()?;
            if (owner.uid(), owner.gid()) != (facts.uid(), facts.gid()) {
                let (user, group) = (Uid::from_raw(facts.uid()), Gid::from_raw(facts.gid()));
                rustix::fs::fchown(&new, Some(user), Some(group))?;
            }
            rustix::fs::fchmod(&new, Mode::from_raw_mode(facts.mode()))?;
            new.sync_all()?;
            if !self.is_as_read(facts)? {
                rustix::fs::unlinkat(&self.folder, &draft, AtFlags::empty())?;
                return Ok(false);
            }
            rustix::fs::renameat(&self.folder, &draft, &self.folder, &self.name)?;
            rustix::fs::fsync(&self.folder)?;
            Ok(true)
        };
        write().map_err(|e| {
            let _ = rustix::fs::unlinkat(&self.folder, &draft, AtFlags::empty());
            self.unwritable(e)
        })
    }
}

fn object(json: &Json) -> Map<String, Value> {
    match json.to_value() {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;
