//! Compiled components, kept between runs.
//!
//! The attack: compiled code is native code. Whoever can put a file here runs code as this user.
//! So the folder belongs to this user alone, a file is opened without following links and must be
//! a plain file of this user, and its content must match a digest before it is loaded. The name of
//! a file binds it to the component's digest, the engine's version and settings, and the target.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;

/// What a cache file begins with; the number changes with its layout.
const MAGIC: &[u8; 16] = b"lockgate-cwasm-1";
const DIGEST: usize = 32;

/// A folder of compiled components that only this user can write to.
#[derive(Debug, Clone)]
pub struct CompileCache {
    folder: PathBuf,
}

impl CompileCache {
    /// The user's cache: `$LOCKGATE_CACHE_DIR`, else `$XDG_CACHE_HOME/lockgate`, else
    /// `~/.cache/lockgate`. None where there is no home.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "where this user keeps caches")]
        let named = |key: &str| std::env::var_os(key).filter(|v| !v.is_empty()).map(PathBuf::from);
        let base = named("LOCKGATE_CACHE_DIR")
            .or_else(|| named("XDG_CACHE_HOME").map(|d| d.join("lockgate")))
            .or_else(|| named("HOME").map(|d| d.join(".cache/lockgate")))?;
        Some(Self::at(&base))
    }

    /// A cache below a folder.
    #[must_use]
    pub fn at(base: &Path) -> Self {
        Self { folder: base.join("components") }
    }

    /// Where compiled components are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a component, by its digest.
    pub(super) fn file(&self, engine: &Engine, digest: &str) -> PathBuf {
        let mut name = Sha256::new();
        for part in [
            digest,
            env!("CARGO_PKG_VERSION"),
            &super::engine::settings(engine),
            std::env::consts::ARCH,
            std::env::consts::OS,
        ] {
            name.update(part.as_bytes());
            name.update([0]);
        }
        self.folder.join(format!("{}.cwasm", hex::encode(name.finalize())))
    }

    /// The compiled code, if it is there and may be trusted. Anything odd counts as absent: it is
    /// compiled again and replaced.
    pub(super) fn load(&self, file: &Path) -> Option<Vec<u8>> {
        if !self.folder_is_ours() {
            return None;
        }
        let mut open = OpenOptions::new();
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let opened = open.read(true).custom_flags(flags).open(file).ok()?;
        let facts = opened.metadata().ok()?;
        if !facts.is_file() || !owned(&facts) {
            return None;
        }
        verified(opened, facts.len())
    }

    /// Keeps compiled code. A cache that cannot be written is no cache: the error is only for the
    /// log.
    pub(super) fn store(&self, file: &Path, code: &[u8]) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        if !self.folder_is_ours() {
            let why = "the folder is a link, belongs to someone else, or others can write to it";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let mut temporary =
            tempfile::Builder::new().prefix(".compiling-").tempfile_in(&self.folder)?;
        temporary.write_all(MAGIC)?;
        temporary.write_all(&Sha256::digest(code))?;
        temporary.write_all(code)?;
        temporary.persist(file).map_err(|e| e.error)?;
        Ok(())
    }

    fn folder_is_ours(&self) -> bool {
        fs::symlink_metadata(&self.folder).is_ok_and(|facts| facts.is_dir() && owned(&facts))
    }
}

/// This user's, and nobody else can write to it.
fn owned(facts: &fs::Metadata) -> bool {
    facts.uid() == rustix::process::geteuid().as_raw() && facts.mode() & 0o022 == 0
}

fn verified(mut file: File, length: u64) -> Option<Vec<u8>> {
    let mut head = [0; MAGIC.len() + DIGEST];
    file.read_exact(&mut head).ok()?;
    let (magic, digest) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return None;
    }
    let mut code = Vec::with_capacity(usize::try_from(length).ok()?);
    file.read_to_end(&mut code).ok()?;
    (Sha256::digest(&code).as_slice() == digest).then_some(code)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn cache() -> (tempfile::TempDir, CompileCache, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let cache = CompileCache::at(base.path());
        let file = cache.folder.join("x.cwasm");
        cache.store(&file, b"code").unwrap();
        (base, cache, file)
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let (_base, cache, file) = cache();
        assert_eq!(cache.load(&file).as_deref(), Some(&b"code"[..]));
    }

    #[test]
    fn changed_code_is_not_loaded() {
        let (_base, cache, file) = cache();
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_eq!(cache.load(&file), None);
    }

    #[test]
    fn what_others_can_write_is_not_loaded() {
        let (_base, cache, file) = cache();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(cache.load(&file), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(&cache.folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(cache.load(&file), None);
        assert!(cache.store(&file, b"code").is_err());
    }

    #[test]
    fn links_are_not_followed() {
        let (_base, cache, file) = cache();
        let link = cache.folder.join("link.cwasm");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(cache.load(&link), None);
    }
}
