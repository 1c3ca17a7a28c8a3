//! A `/dev/shm` of its own.
//!
//! The attack: shared memory is files that every process of this user can open, other connectors'
//! and other programs' among them, and they stay when the process ends. But Python's
//! `multiprocessing` cannot do without. So a process gets an empty one that nobody else sees and that
//! goes with it, where the kernel gives it a mount namespace; elsewhere it has none.

use std::ffi::{CStr, CString};

use super::FenceError;
use super::namespace::mount_empty;

/// Where shared memory is.
pub(super) const FOLDER: &CStr = c"/dev/shm";

/// What the child needs to mount it.
#[derive(Debug)]
pub(super) struct OwnMemory {
    options: CString,
}

impl OwnMemory {
    /// With room for so many bytes.
    pub(super) fn new(bytes: u64) -> Result<Self, FenceError> {
        let options = format!("mode=1777,nr_inodes=10000,size={bytes}");
        let options = CString::new(options).map_err(|e| FenceError::Build(e.to_string()))?;
        Ok(Self { options })
    }

    /// Mounts it. False where that is not possible: then it has none.
    ///
    /// # Safety
    /// Only system calls; in a namespace of its own.
    #[expect(unsafe_code, reason = "something is mounted between fork and exec")]
    pub(super) unsafe fn mount(&self) -> bool {
        // SAFETY: as of the function.
        unsafe { mount_empty(FOLDER, &self.options, 0) }
    }
}
