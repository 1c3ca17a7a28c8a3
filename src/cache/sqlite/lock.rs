//! One read at a time fills a source's part of a cache.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::Place;
use crate::cache::CacheError;
use crate::state::Holder;

/// Bytes of what a holder wrote about itself that are shown.
const MAX_HOLDER_BYTES: u64 = 300;

/// Held while a source's part is filled. It goes with its process, however that ends.
#[derive(Debug)]
pub(super) struct SourceLock(#[expect(dead_code, reason = "held, not used")] File);

impl SourceLock {
    pub(super) fn take(place: &Place, source: &str, source_name: &str) -> Result<Self, CacheError> {
        let mut folder = place.0.clone().into_os_string();
        folder.push("-locks");
        let folder = PathBuf::from(folder);
        let fault = |e: std::io::Error| place.fault(format!("its lock: {e}"));
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(fault)?;
        // Names may hold anything; a digest is a file name.
        let digest = Sha256::digest(source.as_bytes());
        let path = folder.join(hex::encode(digest.get(..16).unwrap_or_default()));
        let mut open = OpenOptions::new();
        let file = open.create(true).read(true).write(true).truncate(false).mode(0o600).open(&path);
        let mut file = file.map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).map_err(fault)?;
                // Only for people: without it, the lock holds as well.
                let _ = write!(file, "{}", Holder::this_process(None));
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.take(MAX_HOLDER_BYTES).read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another process" } else { holder.trim() };
                Err(CacheError::Busy {
                    cache: place.shown(),
                    source_name: source_name.to_owned(),
                    holder: crate::sandbox::one_line(holder),
                })
            }
            Err(TryLockError::Error(e)) => Err(fault(e)),
        }
    }
}
