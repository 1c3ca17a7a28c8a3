//! The child's part: system calls and nothing else.
//!
//! The attack, or the accident: between `fork` and `exec` only one thread is left of many, and a
//! lock that another held is held for ever. So nothing here allocates, locks or panics.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::{FenceError, FencePlan, PreparedFence, ResourceLimit};

/// What a superuser keeps: to use files of other users, within what Landlock leaves. Everything
/// else (modules, raw devices, other processes, the network's set-up, limits beyond the hard ones)
/// goes: CHOWN, DAC_OVERRIDE, FOWNER, FSETID.
const KEPT: u32 = 1 | 1 << 1 | 1 << 3 | 1 << 4;
/// The highest capability that any kernel may have. One too many is refused and that is all.
const LAST_CAPABILITY: i32 = 63;

/// Landlock's READ_FILE and READ_DIR.
const READ: u64 = 1 << 2 | 1 << 3;
/// With WRITE_FILE, REMOVE_FILE and MAKE_REG.
const SHARED: u64 = READ | 1 << 1 | 1 << 5 | 1 << 8;

/// Landlock's `struct landlock_path_beneath_attr`, which is packed.
#[repr(C, packed)]
struct PathRule {
    allowed: u64,
    parent: i32,
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The limits of a plan, none above what this process may set.
pub(super) fn resource_limits(plan: &FencePlan) -> Result<Vec<ResourceLimit>, FenceError> {
    let mut limits = Vec::new();
    let mut add = |resource: u32, soft: u64, hard: u64| -> Result<(), FenceError> {
        let mut now = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the structure is ours and of the type that the call fills.
        #[expect(unsafe_code, reason = "rustix names fewer limits")]
        let asked = unsafe { libc::getrlimit64(resource, &raw mut now) };
        if asked != 0 {
            return Err(FenceError::Build(io::Error::last_os_error().to_string()));
        }
        let hard = hard.min(now.rlim_max);
        limits.push(ResourceLimit { resource, soft: soft.min(hard), hard });
        Ok(())
    };
    // A core file would hold the configuration.
    add(libc::RLIMIT_CORE, 0, 0)?;
    if let Some(bytes) = plan.memory_bytes {
        add(libc::RLIMIT_DATA, bytes, bytes)?;
    }
    if let Some(files) = plan.open_files {
        add(libc::RLIMIT_NOFILE, files, files)?;
    }
    if let Some(bytes) = plan.file_bytes {
        add(libc::RLIMIT_FSIZE, bytes, bytes)?;
    }
    if let Some(time) = plan.cpu {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        // SIGXCPU first, which can be told from a kill; SIGKILL to one that does not heed it.
        add(libc::RLIMIT_CPU, seconds, seconds.saturating_add(1))?;
    }
    Ok(limits)
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

impl PreparedFence {
    /// Enters the fence: the calling thread, and whatever it starts or becomes. There is no way
    /// out. Only system calls, so that it may be called between `fork` and `exec`. A process that
    /// fences itself in does so before it starts threads.
    ///
    /// # Errors
    /// The system's; the process is then not fenced in and must not go on.
    pub fn enter(&self) -> io::Result<()> {
        if !self.on {
            return Ok(());
        }
        // SAFETY: all of these are system calls with arguments of our own: constants, descriptors
        // that we hold open, and addresses of structures that live until the call returns.
        #[expect(unsafe_code, reason = "the kernel's fence has no safe interface without memory")]
        unsafe {
            done(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
            for limit in &self.limits {
                let value = libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard };
                done(libc::setrlimit64(limit.resource, &raw const value).into())?;
            }
            let own = self.own_namespace.as_ref().is_some_and(|namespace| namespace.enter());
            if !self.hidden.is_empty() && (!own || !self.hidden.mount()) {
                return Err(io::Error::last_os_error());
            }
            if let Some(ruleset) = &self.ruleset {
                // Which folders these are, is known only now. Without one it lacks it.
                if own && self.own_memory.as_ref().is_some_and(|memory| memory.mount()) {
                    allow(ruleset, super::memory::FOLDER, SHARED)?;
                }
                if self.own_proc {
                    allow(ruleset, c"/proc/self", READ)?;
                }
                done(libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32))?;
            }
            drop_capabilities()?;
            for filter in &self.filters {
                let program = libc::sock_fprog {
                    // At most 4,096 instructions: the compiler refuses more.
                    len: filter.len() as libc::c_ushort,
                    filter: filter.as_ptr().cast_mut().cast(),
                };
                let mode = libc::SECCOMP_MODE_FILTER;
                done(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program).into())?;
            }
        }
        Ok(())
    }
}

/// Adds a rule for a folder; one that is not there is left out.
///
/// # Safety
/// Only system calls.
#[expect(unsafe_code, reason = "a rule is added between fork and exec")]
unsafe fn allow(ruleset: &OwnedFd, folder: &CStr, allowed: u64) -> io::Result<()> {
    const PATH_BENEATH: u32 = 1;
    // SAFETY: the name ends in NUL, and the structure is the kernel's and lives until the call
    // returns.
    unsafe {
        let parent = libc::open(folder.as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        if parent < 0 {
            return Ok(());
        }
        let rule = PathRule { allowed, parent };
        let added = libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            PATH_BENEATH,
            &raw const rule,
            0_u32,
        );
        libc::close(parent);
        done(added)
    }
}

/// Gives up what a superuser may, but for [`KEPT`].
///
/// # Safety
/// Only system calls; safe wherever those are.
#[expect(unsafe_code, reason = "capabilities have no safe interface")]
unsafe fn drop_capabilities() -> io::Result<()> {
    // _LINUX_CAPABILITY_VERSION_3: two words of each set.
    let header = CapabilityHeader { version: 0x2008_0522, pid: 0 };
    let mut sets = [CapabilityData { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: the structures are ours and laid out as the kernel's.
    unsafe {
        done(libc::syscall(libc::SYS_capget, &raw const header, sets.as_mut_ptr()))?;
        if sets.iter().all(|set| set.permitted == 0) {
            return Ok(());
        }
        for capability in 0..=LAST_CAPABILITY {
            if capability >= 32 || KEPT & (1 << capability) == 0 {
                // Refused where there is no such capability, or no right to drop it: then what is
                // executed cannot gain it either, because of no-new-privileges.
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        sets[0].permitted &= KEPT;
        sets[0].effective &= KEPT;
        sets[1].permitted = 0;
        sets[1].effective = 0;
        sets[0].inheritable = 0;
        sets[1].inheritable = 0;
        done(libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()))
    }
}
