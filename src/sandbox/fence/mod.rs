//! The kernel's fence around a process of this machine.
//!
//! The attack: a program that was started as this user is this user: it reads the keys in the home
//! folder, talks to every server, reads what other processes hold in memory, and stays when it was
//! told to go. Here the kernel takes that from it before its first instruction: files and ports by
//! Landlock, system calls by seccomp, what it may use by resource limits, and no way to gain
//! anything back by executing a set-user-ID program.
//!
//! A plan is data. [`FencePlan::prepare`] opens, allocates and compiles; what is left for the
//! child, between `fork` and `exec`, is a handful of system calls ([`PreparedFence::enter`]).

mod calls;
mod child;
mod enter;
mod files;
mod hidden;
mod kernel;
mod memory;
mod namespace;
mod system;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use seccompiler::BpfProgram;

pub use child::{die_with, keep_standard_descriptors};
pub use kernel::KernelSupport;
pub use namespace::Namespace;
pub use system::{devices, system_folders};

use super::Fence;
use crate::fault::{ExitClass, Fault};

/// Which TCP ports may be connected to. The kernel knows ports, no names and no addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TcpAccess {
    /// No socket of the internet at all: neither TCP nor UDP.
    #[default]
    None,
    /// These ports of every address, and UDP (names are looked up with it).
    Ports(Vec<u16>),
    /// Every port, and UDP.
    Any,
}

/// What a process may reach and use. The default reaches nothing; it can execute, so that there is
/// a process at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FencePlan {
    /// Files and folders to read, and to execute programs of. What is not there is left out.
    pub read: Vec<PathBuf>,
    /// Files and folders to read, change and execute. Must be there.
    pub write: Vec<PathBuf>,
    /// Files and folders in those that stay out of reach: a folder is empty, a file cannot be opened.
    /// Takes a mount namespace. What is not there is left out, and can be made.
    pub hidden: Vec<PathBuf>,
    /// Ports to connect to. Nothing may listen.
    pub connect: TcpAccess,
    /// Whether sockets of this machine may be used (`AF_UNIX`): to any path that the file system's
    /// permissions allow.
    pub unix_sockets: bool,
    /// Whether it has shared memory: a `/dev/shm` of its own, where the kernel can; else it has none.
    pub shared_memory: bool,
    /// Bytes of private memory of each process (`RLIMIT_DATA`). Not of address space: language
    /// runtimes reserve many times what they use, and memory allocators do for each thread.
    pub memory_bytes: Option<u64>,
    /// CPU time of each process (`RLIMIT_CPU`), in whole seconds, rounded up.
    pub cpu: Option<Duration>,
    /// Files each process may have open (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Bytes of each file it writes (`RLIMIT_FSIZE`).
    pub file_bytes: Option<u64>,
    /// Whether programs may be executed. Without it, [`PreparedFence::enter`] is for a process that
    /// fences itself in, not for `pre_exec`.
    pub exec: bool,
}

impl Default for FencePlan {
    fn default() -> Self {
        Self {
            read: Vec::new(),
            write: Vec::new(),
            hidden: Vec::new(),
            connect: TcpAccess::None,
            unix_sockets: false,
            shared_memory: false,
            memory_bytes: None,
            cpu: None,
            open_files: None,
            file_bytes: None,
            exec: true,
        }
    }
}

/// Bytes of shared memory that a process has at most. 1 GiB: `multiprocessing` takes a page for
/// each of its locks.
const SHARED_MEMORY: u64 = 1 << 30;

/// What a fence enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceReport {
    /// The parts in force: `landlock-7`, `seccomp`, `limits`. None: there is no fence.
    pub enforced: Vec<String>,
    /// What the kernel lacks of the plan, in words.
    pub lacks: Vec<String>,
}

impl FenceReport {
    /// `landlock-7, seccomp, limits`, `… without …` or `off`.
    #[must_use]
    pub fn words(&self) -> String {
        if self.enforced.is_empty() {
            return "off".into();
        }
        let enforced = self.enforced.join(", ");
        match self.lacks.as_slice() {
            [] => enforced,
            lacks => format!("{enforced}; without {}", lacks.join(", ")),
        }
    }

    /// Whether nothing of the plan is missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lacks.is_empty() && !self.enforced.is_empty()
    }
}

/// Why a process cannot be fenced in.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// The kernel lacks a part, and the level wants all.
    #[error("this kernel cannot fence the process in: it lacks {}", .lacks.join(", "))]
    Kernel {
        /// What it lacks, in words.
        lacks: Vec<String>,
    },
    /// A path of the plan cannot be opened.
    #[error("{path} cannot be opened for the fence: {reason}")]
    Path {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The fence could not be built.
    #[error("the fence cannot be built: {0}")]
    Build(String),
}

impl Fault for FenceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Kernel { .. } => "SANDBOX_UNAVAILABLE",
            Self::Path { .. } => "GRANT_DIRECTORY",
            Self::Build(_) => "SANDBOX_FAILED",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Kernel { .. } => {
                "--sandbox best-effort runs it behind what this kernel has (in sync: --source-sandbox, --destination-sandbox); Linux 6.7 or later with Landlock has all that is required".into()
            }
            Self::Path { .. } => "create the directory, or grant another one".into(),
            Self::Build(_) => return None,
        })
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Kernel { .. } => ExitClass::Refused,
            Self::Path { .. } => ExitClass::Usage,
            Self::Build(_) => ExitClass::Failed,
        }
    }
}

/// A resource limit as the kernel is told it: soft and hard.
#[derive(Debug, Clone, Copy)]
struct ResourceLimit {
    resource: u32,
    soft: u64,
    hard: u64,
}

/// A fence that only has to be entered. For one process: it opens that process's own `/proc/self`.
#[derive(Debug)]
pub struct PreparedFence {
    /// False where there is no fence at all.
    on: bool,
    ruleset: Option<OwnedFd>,
    /// Whether the process may read its own folder of `/proc`.
    own_proc: bool,
    own_namespace: Option<namespace::OwnNamespace>,
    own_memory: Option<memory::OwnMemory>,
    hidden: hidden::Hidden,
    filters: Vec<BpfProgram>,
    limits: Vec<ResourceLimit>,
    report: FenceReport,
}

impl FencePlan {
    /// Opens what is granted and compiles the filters, as far as this kernel can.
    ///
    /// # Errors
    /// [`FenceError`]: with [`Fence::Require`], when the kernel lacks a part.
    pub fn prepare(&self, level: Fence) -> Result<PreparedFence, FenceError> {
        self.prepare_on(level, KernelSupport::here())
    }

    /// What would be in force, without opening anything.
    ///
    /// # Errors
    /// [`FenceError::Kernel`].
    pub fn outlook(&self, level: Fence, kernel: KernelSupport) -> Result<FenceReport, FenceError> {
        if level == Fence::Off {
            return Ok(FenceReport { enforced: Vec::new(), lacks: Vec::new() });
        }
        let mut lacks = kernel.lacks(self);
        if level == Fence::Require && !lacks.is_empty() {
            return Err(FenceError::Kernel { lacks });
        }
        let mut enforced = Vec::new();
        if kernel.landlock > 0 {
            enforced.push(format!("landlock-{}", kernel.landlock));
            // Worth a word, but no kernel is refused for it: many that are in use would be.
            if kernel.landlock < 6 {
                lacks.push("a fence for signals (Landlock 6)".into());
            }
        }
        if kernel.seccomp {
            enforced.push("seccomp".to_owned());
        }
        enforced.push("limits".to_owned());
        Ok(FenceReport { enforced, lacks })
    }

    /// As [`FencePlan::prepare`], for a kernel that is said to have so much.
    ///
    /// # Errors
    /// [`FenceError`].
    pub fn prepare_on(
        &self,
        level: Fence,
        kernel: KernelSupport,
    ) -> Result<PreparedFence, FenceError> {
        let report = self.outlook(level, kernel)?;
        if level == Fence::Off {
            return Ok(PreparedFence {
                on: false,
                ruleset: None,
                own_proc: false,
                own_namespace: None,
                own_memory: None,
                hidden: hidden::Hidden::default(),
                filters: Vec::new(),
                limits: Vec::new(),
                report,
            });
        }
        let ruleset = files::ruleset(self, kernel)?;
        let filters = if kernel.seccomp { calls::filters(self)? } else { Vec::new() };
        let limits = enter::resource_limits(self)?;
        // Without Landlock it has the system's, as it has all the rest.
        let own_memory = match (&ruleset, self.shared_memory) {
            (Some(_), true) => {
                let bytes = self.memory_bytes.unwrap_or(SHARED_MEMORY).min(SHARED_MEMORY);
                Some(memory::OwnMemory::new(bytes)?)
            }
            _ => None,
        };
        // Where it is lacking, that was said, and the level does without.
        let hidden = match kernel.namespace {
            Namespace::None => hidden::Hidden::default(),
            _ => hidden::Hidden::new(&self.hidden)?,
        };
        let own_namespace = match own_memory.is_some() || !hidden.is_empty() {
            true => namespace::OwnNamespace::new(kernel.namespace)?,
            false => None,
        };
        Ok(PreparedFence {
            on: true,
            ruleset,
            own_proc: self.exec,
            own_namespace,
            own_memory,
            hidden,
            filters,
            limits,
            report,
        })
    }
}

impl PreparedFence {
    /// What is in force once it is entered.
    #[must_use]
    pub fn reached(&self) -> &FenceReport {
        &self.report
    }
}

#[cfg(test)]
mod tests;
