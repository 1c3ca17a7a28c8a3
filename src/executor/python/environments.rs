//! A folder of environments: one a requirement, so that two versions of a connector live side by
//! side.
//!
//! The attack: whoever can write to an environment decides what a connector is, which has passwords
//! and grants. A folder of environments, and each in it, must belong to this user, with nobody else
//! allowed to change it; the process of a connector may read its own and change none. Only what has
//! a manifest of Lockgate's is used or removed.
//!
//! An environment cannot be moved, so it is made where it stays, under a lock; its manifest is
//! written last. What has none is left over, and is removed before it is made again. Whatever runs
//! in it holds the same lock together with others.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::PythonError;
use super::locks::Lock;
use super::manifest::Manifest;
use super::program::private_folder;
use crate::protocol::Observer;
use crate::sandbox::{Access, Fence, Policy, redacted};

/// Where the locks are, beside the environments.
const LOCKS: &str = ".locks";
/// Where the temporary files of installations are.
const SCRATCH: &str = ".scratch";

/// A folder of environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonEnvironments {
    root: PathBuf,
}

/// An environment that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonEnvironment {
    /// Its folder.
    pub folder: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
    /// When something last ran in it, in milliseconds since the epoch.
    pub used_ms: Option<u64>,
}

/// Held while something runs in an environment.
#[derive(Debug)]
pub(super) struct Lease {
    // None where nothing can be locked because nothing can be changed.
    _lock: Option<Lock>,
}

impl PythonEnvironments {
    /// Those in a folder, which may not be there yet.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// Those of a project, by its folder: `.lockgate/python` in it. What is in `.lockgate` is hidden
    /// from connectors, but for what a connector itself is.
    #[must_use]
    pub fn of_project(folder: &Path) -> Self {
        Self::at(folder.join(".lockgate/python"))
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All that are whole, by name.
    ///
    /// # Errors
    /// [`PythonError::Folder`].
    pub fn list(&self) -> Result<Vec<PythonEnvironment>, PythonError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(folder_error(&self.root, &e)),
        };
        let ids = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<String> = ids.filter(|id| !id.starts_with('.')).collect();
        ids.sort();
        // What others could have written is not used, and not shown as if it were.
        Ok(ids.iter().filter_map(|id| self.whole(id).ok().flatten()).collect())
    }

    /// One by its name as it is listed, or those of a connector, by its name, or by the words that
    /// were installed, as [`PythonManifest`](super::PythonManifest) has them.
    ///
    /// # Errors
    /// [`PythonError::Unknown`].
    pub fn named(
        &self,
        name: &str,
        requirement: &[String],
    ) -> Result<Vec<PythonEnvironment>, PythonError> {
        let words: Vec<String> = requirement.iter().map(|word| redacted(word)).collect();
        let name = &redacted(name);
        let all = self.list()?;
        let known = all.iter().map(|e| e.manifest.id.clone()).collect();
        let fits = |e: &PythonEnvironment| {
            let manifest = &e.manifest;
            manifest.id == *name
                || manifest.name == *name
                || manifest.programs.contains(name)
                || manifest.requirement == words
        };
        let found: Vec<PythonEnvironment> = all.into_iter().filter(fits).collect();
        if found.is_empty() {
            return Err(PythonError::Unknown { name: name.into(), root: self.root.clone(), known });
        }
        Ok(found)
    }

    /// Removes one, unless something runs in it.
    ///
    /// # Errors
    /// [`PythonError`].
    pub fn remove(&self, id: &str) -> Result<(), PythonError> {
        let unknown =
            || PythonError::Unknown { name: id.into(), root: self.root.clone(), known: Vec::new() };
        if id.is_empty() || id.starts_with('.') || id.contains('/') {
            return Err(unknown());
        }
        let lock = Lock::open(&self.lock_file(id)?)?;
        if !lock.try_exclusive()? {
            return Err(PythonError::InUse { id: id.to_owned() });
        }
        self.whole(id)?.ok_or_else(unknown)?;
        self.clear(id)
    }

    /// Refuses a policy that lets a process write to them. Without a fence, grants mean nothing.
    pub(super) fn not_granted(&self, policy: &Policy) -> Result<(), PythonError> {
        if policy.fence == Fence::Off {
            return Ok(());
        }
        // They may not be there yet, but what they are in is.
        let real = |path: &Path| {
            let there = path.ancestors().find_map(|a| Some((a, a.canonicalize().ok()?)));
            there.map_or_else(
                || path.to_owned(),
                |(a, real)| real.join(path.strip_prefix(a).unwrap_or(Path::new(""))),
            )
        };
        let root = real(&self.root);
        for grant in policy.directories.iter().filter(|g| g.access == Access::ReadWrite) {
            let host = real(&grant.host);
            if root.starts_with(&host) || host.starts_with(&root) {
                let (host, root) = (grant.host.clone(), self.root.clone());
                return Err(PythonError::Grant { host, root });
            }
        }
        Ok(())
    }

    /// The folder of one.
    pub(super) fn folder(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// One, if it is whole.
    pub(super) fn whole(&self, id: &str) -> Result<Option<PythonEnvironment>, PythonError> {
        let folder = self.folder(id);
        let Some(manifest) = Manifest::of(&folder) else { return Ok(None) };
        must_be_ours(&self.root, false)?;
        must_be_ours(&folder, true)?;
        // The Python that it was made for may be gone.
        if !folder.join("bin/python").exists() {
            return Ok(None);
        }
        let used = fs::metadata(self.root.join(LOCKS).join(id)).and_then(|facts| facts.modified());
        let used = used.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let used_ms = used.and_then(|time| u64::try_from(time.as_millis()).ok());
        Ok(Some(PythonEnvironment { folder, manifest, used_ms }))
    }

    /// One to run something in, if it is whole. Waits for whoever makes it, but not longer than
    /// `patience`.
    pub(super) async fn lease(
        &self,
        id: &str,
        what: &str,
        patience: Duration,
        observer: &dyn Observer,
    ) -> Result<Option<(PythonEnvironment, Lease)>, PythonError> {
        // Asked twice: nothing is locked where there is nothing, and what there was may be removed
        // before it is locked.
        if self.whole(id)?.is_none() && !self.root.join(LOCKS).join(id).exists() {
            return Ok(None);
        }
        let lock = match self.lock_file(id).and_then(|file| Lock::open(&file)) {
            Ok(lock) => {
                lock.shared(observer, what, patience).await?;
                lock.touch();
                Some(lock)
            }
            Err(_) => None,
        };
        Ok(self.whole(id)?.map(|environment| (environment, Lease { _lock: lock })))
    }

    /// The lock of one, held by nobody else, to make it. Waits for others no longer than `patience`.
    pub(super) async fn making(
        &self,
        id: &str,
        what: &str,
        patience: Duration,
        observer: &dyn Observer,
    ) -> Result<Lock, PythonError> {
        private_folder(&self.root)?;
        must_be_ours(&self.root, false)?;
        let lock = Lock::open(&self.lock_file(id)?)?;
        lock.exclusive(observer, what, patience).await?;
        Ok(lock)
    }

    /// Its folder and the one for temporary files, both new and empty.
    pub(super) fn begin(&self, id: &str) -> Result<Making, PythonError> {
        self.clear(id)?;
        let making = Making { folder: self.folder(id), scratch: self.scratch(id), whole: false };
        private_folder(&making.folder)?;
        private_folder(&making.scratch)?;
        must_be_ours(&making.folder, true)?;
        Ok(making)
    }

    fn scratch(&self, id: &str) -> PathBuf {
        self.root.join(SCRATCH).join(id)
    }

    fn lock_file(&self, id: &str) -> Result<PathBuf, PythonError> {
        let locks = self.root.join(LOCKS);
        private_folder(&locks)?;
        Ok(locks.join(id))
    }

    /// Removes all of one: its manifest first, so that what is left of it is not taken for whole.
    fn clear(&self, id: &str) -> Result<(), PythonError> {
        let folder = self.folder(id);
        for result in [
            fs::remove_file(folder.join(super::manifest::FILE)),
            fs::remove_dir_all(&folder),
            fs::remove_dir_all(self.scratch(id)),
        ] {
            match result {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(folder_error(&folder, &e));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// An environment that is being made. Gone when it is dropped, unless it is whole.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) folder: PathBuf,
    pub(super) scratch: PathBuf,
    whole: bool,
}

impl Making {
    /// Writes its manifest: now it is whole.
    pub(super) fn finish(mut self, manifest: &Manifest) -> Result<(), PythonError> {
        manifest.store(&self.folder).map_err(|e| folder_error(&self.folder, &e))?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        /// A program that was killed may be about to write one more file.
        const TRIES: usize = 20;
        let folders = [Some(&self.scratch), (!self.whole).then_some(&self.folder)];
        for folder in folders.into_iter().flatten() {
            for _ in 0..TRIES {
                match fs::remove_dir_all(folder) {
                    Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                    // What cannot be removed has no manifest.
                    _ => break,
                }
            }
        }
    }
}

/// Refuses a folder that others could change. The folder of environments may be a link of the
/// operator's, and open to a group, which often is this user's own; an environment is neither.
fn must_be_ours(folder: &Path, strictly: bool) -> Result<(), PythonError> {
    /// In such a folder nobody replaces what another one made: the system's temporary folder.
    const STICKY: u32 = 0o1000;
    let facts = if strictly { fs::symlink_metadata(folder) } else { fs::metadata(folder) };
    let facts = facts.map_err(|e| folder_error(folder, &e))?;
    // What only the superuser can change was put there by whoever made the machine.
    let owned = facts.uid() == rustix::process::geteuid().as_raw() || facts.uid() == 0;
    let mode = facts.mode();
    let closed = if strictly { mode & 0o022 == 0 } else { mode & 0o002 == 0 || mode & STICKY != 0 };
    if facts.is_dir() && owned && closed {
        return Ok(());
    }
    let reason = "it is no folder, belongs to someone else, or others can write to it: what is in it could be anybody's program";
    Err(PythonError::Folder { path: folder.to_owned(), reason: reason.into() })
}

fn folder_error(folder: &Path, error: &io::Error) -> PythonError {
    PythonError::Folder { path: folder.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::manifest::{FORMAT, digest};
    use super::*;
    use crate::protocol::{Decision, Failure, Json, LogLevel};

    const ID: &str = "source-x-0123456789ab";
    /// Nobody waits here.
    const LONG: Duration = Duration::from_secs(60);

    struct Deaf;

    #[async_trait::async_trait]
    impl Observer for Deaf {
        fn log(&self, _: LogLevel, _: &str) {}
        async fn update_config(&self, _: Json) -> Result<(), Failure> {
            Ok(())
        }
        fn decided(&self, _: &Decision) {}
    }

    /// Makes one without installing anything.
    fn make(all: &PythonEnvironments, id: &str) {
        let making = all.begin(id).unwrap();
        fs::create_dir(making.folder.join("bin")).unwrap();
        fs::write(making.folder.join("bin/python"), "").unwrap();
        let manifest = Manifest {
            format: FORMAT,
            id: id.into(),
            name: "source-x".into(),
            requirement: vec!["airbyte-source-x==1".into()],
            interpreter: "any".into(),
            python: "3.11.7".into(),
            uv: "0.13.9".into(),
            version: Some("1".into()),
            programs: vec!["source-x".into()],
            packages: Vec::new(),
            digest: digest(&[]),
            size: 0,
            created_ms: 0,
        };
        making.finish(&manifest).unwrap();
    }

    fn root() -> (tempfile::TempDir, PythonEnvironments) {
        let folder = tempfile::tempdir().unwrap();
        let all = PythonEnvironments::at(folder.path().join("python"));
        (folder, all)
    }

    #[tokio::test]
    async fn one_that_is_not_finished_is_gone_and_what_a_kill_left_is_removed() {
        let (_folder, all) = root();
        let _lock = all.making(ID, "x", LONG, &Deaf).await.unwrap();
        let making = all.begin(ID).unwrap();
        let (folder, scratch) = (making.folder.clone(), making.scratch.clone());
        assert!(folder.is_dir() && scratch.is_dir());
        drop(making);
        assert!(!folder.exists() && !scratch.exists());
        fs::create_dir_all(folder.join("lib/half")).unwrap();
        assert_eq!(all.list().unwrap(), []);
        make(&all, ID);
        assert!(!folder.join("lib").exists() && !scratch.exists());
        assert_eq!(all.list().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_is_in_use_is_not_removed() {
        let (_folder, all) = root();
        drop(all.making(ID, "x", LONG, &Deaf).await.unwrap());
        assert!(all.lease(ID, "x", LONG, &Deaf).await.unwrap().is_none());
        make(&all, ID);
        let (found, lease) = all.lease(ID, "x", LONG, &Deaf).await.unwrap().unwrap();
        assert!(found.used_ms.is_some());
        let second = all.lease(ID, "x", LONG, &Deaf).await.unwrap().unwrap();
        assert!(matches!(all.remove(ID), Err(PythonError::InUse { .. })));
        drop((lease, second));
        all.remove(ID).unwrap();
        assert!(!found.folder.exists());
        assert!(matches!(all.remove(ID), Err(PythonError::Unknown { .. })));
        assert!(all.lease(ID, "x", LONG, &Deaf).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_wait_for_another_process_ends() {
        let (_folder, all) = root();
        let lock = all.making(ID, "x", LONG, &Deaf).await.unwrap();
        let short = Duration::from_millis(50);
        let making = all.making(ID, "x", short, &Deaf).await;
        assert!(matches!(making, Err(PythonError::InUse { .. })), "{making:?}");
        let lease = all.lease(ID, "x", short, &Deaf).await;
        assert!(matches!(lease, Err(PythonError::InUse { .. })), "{lease:?}");
        drop(lock);
        all.making(ID, "x", short, &Deaf).await.unwrap();
    }

    #[tokio::test]
    async fn one_is_found_by_what_was_installed() {
        let (_folder, all) = root();
        drop(all.making(ID, "x", LONG, &Deaf).await.unwrap());
        make(&all, ID);
        let words = |text: &[&str]| text.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(all.named("x", &words(&["airbyte-source-x==1"])).unwrap().len(), 1);
        assert!(all.named("x", &words(&["airbyte-source-x==1", "--pre"])).is_err());
        assert_eq!(all.named("source-x", &[]).unwrap().len(), 1);
        let error = all.named("https://u:hunter2@h", &[]).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[tokio::test]
    async fn only_what_has_a_manifest_is_removed() {
        let (_folder, all) = root();
        drop(all.making(ID, "x", LONG, &Deaf).await.unwrap());
        fs::create_dir(all.folder("mine")).unwrap();
        for name in ["mine", "", ".", "..", ".locks", "../python", "/"] {
            assert!(matches!(all.remove(name), Err(PythonError::Unknown { .. })), "{name}");
        }
        assert!(all.folder("mine").is_dir());
    }

    #[tokio::test]
    async fn what_others_can_write_to_is_not_used() {
        let (folder, all) = root();
        drop(all.making(ID, "x", LONG, &Deaf).await.unwrap());
        make(&all, ID);
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let own = all.folder(ID);
        for bad in [0o720, 0o702] {
            mode(&own, bad);
            assert!(matches!(all.whole(ID), Err(PythonError::Folder { .. })), "{bad:o}");
        }
        mode(&own, 0o755);
        assert!(all.whole(ID).unwrap().is_some());
        mode(all.root(), 0o777);
        assert!(all.whole(ID).is_err());
        assert_eq!(all.list().unwrap(), []);
        mode(all.root(), 0o775);
        assert!(all.whole(ID).unwrap().is_some());
        // A link to one is none.
        let moved = folder.path().join(ID);
        fs::rename(&own, &moved).unwrap();
        symlink(&moved, &own).unwrap();
        assert!(all.whole(ID).is_err());
    }

    #[test]
    fn a_grant_that_would_open_them_is_refused() {
        let (folder, all) = root();
        let refused = |path: &Path, mode: &str| {
            let mut policy = Policy::default();
            policy.allow_dir(&format!("{0}::{0}:{mode}", path.display())).unwrap();
            let refused = all.not_granted(&policy).is_err();
            policy.fence = Fence::Off;
            all.not_granted(&policy).unwrap();
            refused
        };
        let root = all.root();
        for path in [folder.path(), root, &root.join(ID), Path::new("/")] {
            assert!(refused(path, "rw"), "{}", path.display());
            assert!(!refused(path, "ro"), "{}", path.display());
        }
        assert!(!refused(&folder.path().join("other"), "rw"));
    }

    #[tokio::test]
    async fn one_whose_python_is_gone_is_made_again() {
        let (_folder, all) = root();
        drop(all.making(ID, "x", LONG, &Deaf).await.unwrap());
        make(&all, ID);
        let python = all.folder(ID).join("bin/python");
        fs::remove_file(&python).unwrap();
        symlink("/nowhere/python3", &python).unwrap();
        assert!(all.whole(ID).unwrap().is_none());
    }
}
