//! The files a connector is given: configuration, catalog, state.
//!
//! The attack: a configuration holds a database password, and a file in a shared temporary folder
//! is read by other users, or outlives its sync. The folder belongs to this user alone, and a run
//! that was killed is swept up by the next one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// One run's private folder. Removed when dropped.
#[derive(Debug)]
pub(in crate::executor) struct RunFolder {
    path: PathBuf,
    // Held as long as the run lives; the kernel lets go of it when the process dies.
    _lock: File,
}

/// Bytes of a lock's name within a run's folder.
const LOCK: &str = ".lock";

impl RunFolder {
    /// Makes a folder, and removes those whose run is over.
    pub(in crate::executor) fn create() -> io::Result<Self> {
        let base =
            std::env::temp_dir().join(format!("lockgate-{}", rustix::process::geteuid().as_raw()));
        match DirBuilder::new().mode(0o700).create(&base) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let facts = fs::symlink_metadata(&base)?;
        let ours = facts.uid() == rustix::process::geteuid().as_raw();
        if !facts.is_dir() || !ours || facts.mode() & 0o077 != 0 {
            let why = format!("{} belongs to someone else or is open to others", base.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        // Whoever makes or sweeps folders holds this, so that one without a lock of its own is one
        // that nobody is about to use: its run was killed while making or removing it.
        let making = File::open(&base)?;
        making.lock()?;
        sweep(&base);
        let path = tempfile::Builder::new()
            .prefix("run-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&base)?
            .keep();
        let lock =
            OpenOptions::new().create_new(true).write(true).mode(0o600).open(path.join(LOCK))?;
        lock.try_lock().map_err(|e| io::Error::other(e.to_string()))?;
        DirBuilder::new().mode(0o700).create(path.join("tmp"))?;
        Ok(Self { path, _lock: lock })
    }

    /// Writes a file that only this user can read.
    pub(in crate::executor) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder for the connector's own temporary files.
    pub(super) fn scratch(&self) -> PathBuf {
        self.path.join("tmp")
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of runs that are over: those whose lock is gone or can be had.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with("run-") {
            continue;
        }
        match File::open(path.join(LOCK)) {
            Ok(lock) if lock.try_lock().is_ok() => {
                let _ = fs::remove_dir_all(&path);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let _ = fs::remove_dir_all(&path);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn files_are_private_and_go_with_the_folder() {
        let folder = RunFolder::create().unwrap();
        let file = folder.write("config.json", "{}").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let path = folder.path.clone();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_swept() {
        let left = RunFolder::create().unwrap();
        let path = left.path.clone();
        let living = RunFolder::create().unwrap();
        // As a kill leaves it: the folder is there, the lock is not held.
        let RunFolder { _lock: lock, .. } = &left;
        lock.unlock().unwrap();
        let _next = RunFolder::create().unwrap();
        assert!(!path.exists());
        assert!(living.path.exists());
        // As a kill in the middle of its removal leaves it.
        let path = living.path.with_file_name("run-half-removed");
        fs::create_dir(&path).unwrap();
        let _next = RunFolder::create().unwrap();
        assert!(!path.exists());
    }
}
