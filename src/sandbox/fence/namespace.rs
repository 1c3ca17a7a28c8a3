//! A mount namespace of its own: what is mounted in it, nobody else sees.

use std::ffi::{CStr, CString};

use super::FenceError;

/// How a mount namespace is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// Not at all.
    None,
    /// A superuser just makes one.
    Mount,
    /// Together with a user namespace, in which this user stays who it is.
    User,
}

/// What the child needs to make one: texts, since it cannot make any.
#[derive(Debug)]
pub(super) struct OwnNamespace {
    namespace: Namespace,
    users: CString,
    groups: CString,
}

impl OwnNamespace {
    /// None where there is none to be had.
    pub(super) fn new(namespace: Namespace) -> Result<Option<Self>, FenceError> {
        if namespace == Namespace::None {
            return Ok(None);
        }
        let user = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        let text = |text: String| CString::new(text).map_err(|e| FenceError::Build(e.to_string()));
        Ok(Some(Self {
            namespace,
            users: text(format!("{user} {user} 1"))?,
            groups: text(format!("{group} {group} 1"))?,
        }))
    }

    /// Makes it and enters it. False where that is not possible: `errno` says why.
    ///
    /// # Safety
    /// Only system calls; for a process with one thread.
    #[expect(unsafe_code, reason = "namespaces have no interface without memory")]
    pub(super) unsafe fn enter(&self) -> bool {
        let none: *const libc::c_char = std::ptr::null();
        // SAFETY: the texts end in NUL and live as long as this.
        unsafe {
            let flags = match self.namespace {
                Namespace::None => return false,
                Namespace::Mount => libc::CLONE_NEWNS,
                Namespace::User => libc::CLONE_NEWNS | libc::CLONE_NEWUSER,
            };
            if libc::unshare(flags) != 0 {
                return false;
            }
            if self.namespace == Namespace::User
                && !(write(c"/proc/self/setgroups", c"deny")
                    && write(c"/proc/self/uid_map", &self.users)
                    && write(c"/proc/self/gid_map", &self.groups))
            {
                return false;
            }
            // What is mounted here must not be mounted outside, but the reverse may happen.
            let slave = libc::MS_REC | libc::MS_SLAVE;
            libc::mount(none, c"/".as_ptr(), none, slave, none.cast()) == 0
        }
    }
}

/// Mounts an empty file system in memory over a folder. False where that is not possible.
///
/// # Safety
/// Only system calls; in a namespace of its own.
#[expect(unsafe_code, reason = "something is mounted between fork and exec")]
pub(super) unsafe fn mount_empty(folder: &CStr, options: &CStr, flags: libc::c_ulong) -> bool {
    let kind = c"tmpfs".as_ptr();
    let flags = flags | libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: all texts end in NUL and live until the call returns.
    unsafe { libc::mount(kind, folder.as_ptr(), kind, flags, options.as_ptr().cast()) == 0 }
}

/// # Safety
/// Only system calls.
#[expect(unsafe_code, reason = "a file is written between fork and exec")]
unsafe fn write(path: &CStr, text: &CStr) -> bool {
    // SAFETY: both texts end in NUL, and so many bytes are there.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return false;
        }
        let length = text.count_bytes();
        let written = libc::write(file, text.as_ptr().cast(), length);
        libc::close(file);
        usize::try_from(written) == Ok(length)
    }
}

/// Tries in a child of its own how one can be had.
pub(super) fn detect() -> Namespace {
    let superuser = rustix::process::geteuid().is_root();
    let kinds = if superuser { [Namespace::Mount, Namespace::User] } else { [Namespace::User; 2] };
    kinds.into_iter().find(|kind| works(*kind)).unwrap_or(Namespace::None)
}

fn works(namespace: Namespace) -> bool {
    let Ok(Some(own)) = OwnNamespace::new(namespace) else { return false };
    // SAFETY: the child makes system calls only and ends; the parent waits for that very child.
    #[expect(unsafe_code, reason = "a namespace can be tried in a process of its own only")]
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(i32::from(!(own.enter() && mount_empty(c"/", c"size=4096", 0))));
        }
        let mut status = 0;
        child > 0
            && libc::waitpid(child, &raw mut status, 0) == child
            && libc::WIFEXITED(status)
            && libc::WEXITSTATUS(status) == 0
    }
}
