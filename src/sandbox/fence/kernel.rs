//! What this machine's kernel has of a fence.

use std::sync::OnceLock;

use super::{FencePlan, Namespace, TcpAccess, namespace};

/// The parts of a kernel that a fence is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelSupport {
    /// The version of Landlock's interface; 0: there is none, or it is switched off.
    pub landlock: u32,
    /// Whether system calls can be filtered.
    pub seccomp: bool,
    /// How a mount namespace can be had, for shared memory of its own and to hide what lies in
    /// a granted folder.
    pub namespace: Namespace,
}

impl KernelSupport {
    /// Asks the kernel, once.
    #[must_use]
    pub fn here() -> Self {
        static HERE: OnceLock<KernelSupport> = OnceLock::new();
        *HERE.get_or_init(detect)
    }

    /// What it lacks of what a plan must have.
    pub(super) fn lacks(self, plan: &FencePlan) -> Vec<String> {
        let mut lacks = Vec::new();
        match self.landlock {
            0 => {
                lacks.push("Landlock (files and ports; Linux 5.13, and enabled at boot)".to_owned())
            }
            // Without that a file that may only be read can be emptied.
            1 | 2 => lacks.push(format!(
                "a fence for truncating files (Landlock 3; this is {})",
                self.landlock
            )),
            // No socket is refused by Landlock where seccomp refuses all of them.
            3 if matches!(plan.connect, TcpAccess::Ports(_)) => {
                lacks.push("a fence for TCP ports (Landlock 4; this is 3)".to_owned());
            }
            _ => {}
        }
        if !self.seccomp {
            lacks.push("seccomp filters (system calls and sockets)".to_owned());
        }
        if self.namespace == Namespace::None
            && let Some(first) = plan.hidden.first()
        {
            lacks.push(format!("mount namespaces (to hide {})", first.display()));
        }
        lacks
    }
}

fn detect() -> KernelSupport {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes no attributes and touches no memory.
    #[expect(unsafe_code, reason = "libc has no function for it")]
    let landlock = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, VERSION)
    };
    const GET_ACTION_AVAIL: u32 = 2;
    let errno: u32 = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the call only reads the action that it is given the address of.
    #[expect(unsafe_code, reason = "libc has no function for it")]
    let seccomp = unsafe {
        libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0_u32, std::ptr::from_ref(&errno))
    };
    let filters = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
    KernelSupport {
        landlock: u32::try_from(landlock).unwrap_or(0),
        seccomp: seccomp == 0 && filters,
        namespace: namespace::detect(),
    }
}
