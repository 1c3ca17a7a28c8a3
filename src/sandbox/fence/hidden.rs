//! What lies in a granted folder and is not granted.
//!
//! The attack: a process is granted the folder of a project, and in it are the states of every sync
//! and the records of what it did itself. Landlock opens a folder with all that is in it. So an empty
//! folder that cannot be written to is mounted over each of those, for that process alone; where the
//! kernel gives no mount namespace, there is no process.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::FenceError;
use super::namespace::mount_empty;

/// A place for the folder itself and no other, nor any byte.
const EMPTY: &std::ffi::CStr = c"mode=0,nr_inodes=2,size=4096";

/// What the child needs to hide it.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    folders: Vec<CString>,
    files: Vec<CString>,
}

impl Hidden {
    /// Hides what is there of these.
    pub(super) fn new(paths: &[std::path::PathBuf]) -> Result<Self, FenceError> {
        let mut hidden = Self::default();
        for path in paths {
            let Ok(real) = path.canonicalize() else { continue };
            let list = if real.is_dir() { &mut hidden.folders } else { &mut hidden.files };
            list.push(text(&real)?);
        }
        Ok(hidden)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.files.is_empty()
    }

    /// Hides it. False where something stays visible: `errno` says why.
    ///
    /// # Safety
    /// Only system calls; in a namespace of its own.
    #[expect(unsafe_code, reason = "something is mounted between fork and exec")]
    pub(super) unsafe fn mount(&self) -> bool {
        let flags = libc::MS_RDONLY | libc::MS_NOEXEC;
        // SAFETY: all texts end in NUL and live as long as this.
        unsafe {
            let none = std::ptr::null::<libc::c_char>();
            // A device that cannot be opened: there is no folder to take an empty file from.
            let bind = |file: &CString| {
                let shut = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_NODEV | libc::MS_NOSUID;
                let at = file.as_ptr();
                let null = c"/dev/null".as_ptr();
                libc::mount(null, at, none, libc::MS_BIND, none.cast()) == 0
                    && libc::mount(none, at, none, shut | flags, none.cast()) == 0
            };
            self.files.iter().all(bind)
                && self.folders.iter().all(|folder| mount_empty(folder, EMPTY, flags))
        }
    }
}

fn text(path: &Path) -> Result<CString, FenceError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|e| FenceError::Build(e.to_string()))
}
