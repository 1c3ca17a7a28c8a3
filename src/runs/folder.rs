//! The folder of all runs.
//!
//! The attack: a link in its place, so that records are written elsewhere or read from there; a
//! folder that others can read. Every file is opened by its name in a folder that is open already,
//! and no link is followed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, mkdirat, openat, unlinkat};

use super::{KEPT_RUNS, RunId, RunsError};

const HOUSE: &str = ".lockgate";
const RUNS: &str = "runs";
/// The file whose lock a run holds while it lives.
pub(super) const LOCK: &str = "lock";
/// What was run, and how it ended.
pub(super) const RUN: &str = "run.json";
/// The same while it is being written.
pub(super) const NEXT: &str = "run.json.next";
/// The decisions.
pub(super) const AUDIT: &str = "audit.jsonl";

/// `.lockgate/runs` of a project.
#[derive(Debug)]
pub struct RunsFolder {
    path: PathBuf,
    folder: OwnedFd,
}

/// Opens a folder in another; a link is no folder.
fn open_folder(parent: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// Opens a file in a folder: private where it is made, and no link.
pub(super) fn open_file(folder: &OwnedFd, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?))
}

impl RunsFolder {
    /// Opens the folder of a project, and makes it where there is none.
    ///
    /// # Errors
    /// [`RunsError::Unwritable`], also where it is a link, belongs to someone else, or is open to
    /// others.
    pub fn make(base: &Path) -> Result<Self, RunsError> {
        let path = base.join(HOUSE).join(RUNS);
        let unwritable = |reason: String| RunsError::Unwritable { path: path.clone(), reason };
        let make = || -> rustix::io::Result<OwnedFd> {
            let base = rustix::fs::open(
                if base.as_os_str().is_empty() { Path::new(".") } else { base },
                OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            let mut folder = base;
            for name in [HOUSE, RUNS] {
                match mkdirat(&folder, name, Mode::RWXU) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                folder = open_folder(&folder, name)?;
            }
            Ok(folder)
        };
        let folder = make().map_err(|e| {
            unwritable(match e {
                rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP => {
                    format!("{HOUSE} or {HOUSE}/{RUNS} is a link or no folder")
                }
                e => io::Error::from(e).to_string(),
            })
        })?;
        let found = Self { path: path.clone(), folder };
        found.is_ours().map_err(unwritable)?;
        Ok(found)
    }

    /// Opens the folder of a project to read in it; none where there is none.
    ///
    /// # Errors
    /// [`RunsError::Unreadable`], also where it is a link, belongs to someone else, or is open to
    /// others.
    pub fn open(base: &Path) -> Result<Option<Self>, RunsError> {
        let path = base.join(HOUSE).join(RUNS);
        match std::fs::symlink_metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        let unreadable = |reason: String| RunsError::Unreadable { path: path.clone(), reason };
        let open = || -> rustix::io::Result<OwnedFd> {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let house = rustix::fs::open(base.join(HOUSE), flags, Mode::empty())?;
            open_folder(&house, RUNS)
        };
        let folder = open().map_err(|e| unreadable(io::Error::from(e).to_string()))?;
        let found = Self { path: path.clone(), folder };
        found.is_ours().map_err(unreadable)?;
        Ok(Some(found))
    }

    fn is_ours(&self) -> Result<(), String> {
        let facts = File::from(self.folder.try_clone().map_err(|e| e.to_string())?)
            .metadata()
            .map_err(|e| e.to_string())?;
        if facts.uid() != rustix::process::geteuid().as_raw() {
            return Err("the folder belongs to someone else".into());
        }
        if facts.mode() & 0o077 != 0 {
            return Err("the folder is open to others (chmod 700)".into());
        }
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder for a run that begins at a time, with its lock held; older ones than the newest
    /// hundred are removed.
    pub(super) fn begin(&self, at: u64) -> io::Result<(RunId, OwnedFd, File)> {
        // Whoever makes or removes runs holds this, so that one without a lock of its own is one
        // that nobody is about to use.
        let making = File::from(open_folder(&self.folder, ".")?);
        making.lock()?;
        let mut id = RunId::at(at);
        while let Err(error) = mkdirat(&self.folder, id.as_str(), Mode::RWXU) {
            if error != rustix::io::Errno::EXIST {
                return Err(error.into());
            }
            id = RunId::at(at);
        }
        let folder = open_folder(&self.folder, id.as_str())?;
        let lock = open_file(&folder, LOCK, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY)?;
        lock.try_lock().map_err(|e| io::Error::other(e.to_string()))?;
        self.remove_old();
        Ok((id, folder, lock))
    }

    /// What cannot be removed now is removed when the next run begins.
    fn remove_old(&self) {
        for id in self.names().unwrap_or_default().into_iter().skip(KEPT_RUNS) {
            let Ok(folder) = open_folder(&self.folder, id.as_str()) else { continue };
            if runs_still(&folder) {
                continue;
            }
            for name in [AUDIT, RUN, NEXT, LOCK] {
                let _ = unlinkat(&folder, name, AtFlags::empty());
            }
            let _ = unlinkat(&self.folder, id.as_str(), AtFlags::REMOVEDIR);
        }
    }

    /// The names of all runs, newest first.
    pub(super) fn names(&self) -> io::Result<Vec<RunId>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            names.extend(entry?.file_name().to_str().ok().and_then(RunId::parse));
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }

    /// The folder of a run.
    pub(super) fn run(&self, id: &RunId) -> io::Result<OwnedFd> {
        Ok(open_folder(&self.folder, id.as_str())?)
    }
}

/// Whether the process of a run is alive: it holds the lock.
pub(super) fn runs_still(folder: &OwnedFd) -> bool {
    match open_file(folder, LOCK, OFlags::RDONLY) {
        Ok(lock) => lock.try_lock_shared().is_err(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn old_runs_go_and_living_ones_stay() {
        let base = tempfile::tempdir().unwrap();
        let runs = RunsFolder::make(base.path()).unwrap();
        let living = runs.begin(1_000).unwrap();
        let (first, ..) = runs.begin(2_000).unwrap();
        for at in 0..KEPT_RUNS as u64 {
            runs.begin(10_000 + at).unwrap();
        }
        let names = runs.names().unwrap();
        assert_eq!(names.len(), KEPT_RUNS + 1);
        assert_eq!(names.last(), Some(&living.0));
        assert!(!names.contains(&first));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(runs.path()), 0o700);
        assert_eq!(mode(&runs.path().join(living.0.as_str())), 0o700);
        assert_eq!(mode(&runs.path().join(living.0.as_str()).join(LOCK)), 0o600);
    }

    #[test]
    fn links_and_open_folders_are_refused() {
        let (base, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let house = base.path().join(HOUSE);
        std::os::unix::fs::symlink(elsewhere.path(), &house).unwrap();
        assert!(RunsFolder::make(base.path()).is_err());
        std::fs::remove_file(&house).unwrap();
        std::fs::create_dir(&house).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), house.join(RUNS)).unwrap();
        let error = RunsFolder::make(base.path()).unwrap_err().to_string();
        assert!(error.contains("is a link"), "{error}");
        assert!(RunsFolder::open(base.path()).is_err());
        std::fs::remove_file(house.join(RUNS)).unwrap();
        assert!(RunsFolder::open(base.path()).unwrap().is_none());
        std::fs::create_dir(house.join(RUNS)).unwrap();
        std::fs::set_permissions(house.join(RUNS), std::fs::Permissions::from_mode(0o750)).unwrap();
        let error = RunsFolder::make(base.path()).unwrap_err().to_string();
        assert!(error.contains("open to others"), "{error}");
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
