//! Documents that were asked for, kept between runs.
//!
//! The attack: somebody else writes a document here, and with it decides what is installed next. So
//! the folder is this user's alone, and a file is opened without following links and must be a plain
//! file of this user.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use url::Url;

use super::fetch::{MOST_BYTES, Validators};

/// How long a document is used without asking whether it still holds: connectors are released some
/// times a day.
const FRESH: Duration = Duration::from_secs(3600);

/// A folder of documents.
#[derive(Debug, Clone)]
pub(super) struct DocumentCache {
    folder: PathBuf,
}

/// What is known of a document besides its text.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct About {
    /// Of the text: two processes may write a text each.
    digest: String,
    /// When it was last known to hold: seconds since 1970.
    checked: u64,
    #[serde(flatten)]
    validators: Validators,
}

/// A document that was kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) text: Vec<u8>,
    /// It held a moment ago.
    pub(super) fresh: bool,
    /// To ask whether it still does.
    pub(super) validators: Validators,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl DocumentCache {
    /// Below the folder of caches.
    pub(super) fn at(base: &Path) -> Self {
        Self { folder: base.join("registry") }
    }

    fn file(&self, url: &Url, suffix: &str) -> PathBuf {
        self.folder.join(hex::encode(Sha256::digest(url.as_str())) + suffix)
    }

    /// A document as it was kept.
    pub(super) fn load(&self, url: &Url) -> Option<Kept> {
        if !self.is_ours() {
            return None;
        }
        let text = read(&self.file(url, ".json"))?;
        let about = read(&self.file(url, ".about.json"))
            .and_then(|about| serde_json::from_slice::<About>(&about).ok())
            .filter(|about| about.digest == hex::encode(Sha256::digest(&text)));
        Some(match about {
            // A clock that was set back makes nothing fresh.
            Some(about) => {
                let fresh = now().checked_sub(about.checked).is_some_and(|s| s < FRESH.as_secs());
                Kept { text, fresh, validators: about.validators }
            }
            None => Kept { text, fresh: false, validators: Validators::default() },
        })
    }

    /// Keeps a document, and when it was last known to hold.
    pub(super) fn keep(&self, url: &Url, text: &[u8], validators: Validators) -> io::Result<()> {
        self.make()?;
        let about =
            About { digest: hex::encode(Sha256::digest(text)), checked: now(), validators };
        self.write(&self.file(url, ".json"), text)?;
        self.write(&self.file(url, ".about.json"), &serde_json::to_vec(&about)?)
    }

    /// Notes that a document still holds.
    pub(super) fn holds(&self, url: &Url, kept: &Kept) -> io::Result<()> {
        self.make()?;
        let digest = hex::encode(Sha256::digest(&kept.text));
        let about = About { digest, checked: now(), validators: kept.validators.clone() };
        self.write(&self.file(url, ".about.json"), &serde_json::to_vec(&about)?)
    }

    fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        if self.is_ours() {
            return Ok(());
        }
        let why = "the folder is a link, belongs to someone else, or is open to others (chmod 700)";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.folder)
            .is_ok_and(|facts| facts.is_dir() && ours(&facts) && facts.mode() & 0o077 == 0)
    }

    /// The whole file or none of it.
    fn write(&self, file: &Path, text: &[u8]) -> io::Result<()> {
        let mut temporary = tempfile::Builder::new().prefix(".next-").tempfile_in(&self.folder)?;
        temporary.write_all(text)?;
        temporary.as_file().sync_all()?;
        temporary.persist(file).map_err(|e| e.error)?;
        Ok(())
    }
}

fn ours(facts: &fs::Metadata) -> bool {
    facts.uid() == rustix::process::geteuid().as_raw()
}

/// A plain file of this user, and no larger than a document.
fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).ok()?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let facts = file.metadata().ok()?;
    if !facts.is_file() || !ours(&facts) || facts.mode() & 0o022 != 0 || facts.len() > MOST_BYTES {
        return None;
    }
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn kept() -> (tempfile::TempDir, DocumentCache, Url) {
        let base = tempfile::tempdir().unwrap();
        let cache = DocumentCache::at(base.path());
        let url = Url::parse("https://a/x.json").unwrap();
        cache.keep(&url, b"{}", Validators { etag: Some("7".into()), last_modified: None }).unwrap();
        (base, cache, url)
    }

    #[test]
    fn what_was_kept_is_loaded_and_nobody_else_sees_it() {
        let (_base, cache, url) = kept();
        let found = cache.load(&url).unwrap();
        assert!(found.fresh && found.text == b"{}" && found.validators.etag.unwrap() == "7");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&cache.folder), 0o700);
        for entry in fs::read_dir(&cache.folder).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
    }

    #[test]
    fn a_text_without_its_facts_is_asked_about_again() {
        let (_base, cache, url) = kept();
        fs::write(cache.file(&url, ".json"), "{ }").unwrap();
        let found = cache.load(&url).unwrap();
        assert!(!found.fresh && found.validators == Validators::default());
    }

    #[test]
    fn what_others_can_reach_is_not_loaded() {
        let (_base, cache, url) = kept();
        fs::set_permissions(&cache.folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(cache.load(&url).is_none());
        assert!(cache.keep(&url, b"{}", Validators::default()).is_err());
        fs::set_permissions(&cache.folder, fs::Permissions::from_mode(0o700)).unwrap();
        fs::rename(cache.file(&url, ".json"), cache.folder.join("real")).unwrap();
        std::os::unix::fs::symlink("real", cache.file(&url, ".json")).unwrap();
        assert!(cache.load(&url).is_none());
    }
}
