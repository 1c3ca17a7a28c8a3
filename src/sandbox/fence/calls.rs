//! System calls, by seccomp.
//!
//! The attack: what Landlock does not know. Namespaces and mounts that change what a path means,
//! the memory of other processes, sockets of other families, connections that are made without
//! `connect`, rights and times of files that were never opened, kernel interfaces with a record of
//! faults, and a session of its own to stay in when its group is killed.
//!
//! A deny-list: a connector is any program, and what it needs is not known. A call that is denied
//! gives an error that the program can handle, rather than death.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::{FenceError, FencePlan, TcpAccess};

/// Denied whatever their arguments are.
const DENIED: &[libc::c_long] = &[
    // Other processes: their memory, their descriptors, their pages.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_ioprio_set,
    // What a path means.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    // Files without a path.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    // Owners and attributes of files, which Landlock does not ask about.
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_SETXATTRAT,
    SYS_REMOVEXATTRAT,
    SYS_FILE_SETATTR,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    // Interfaces of the kernel that a connector has no use for.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_memfd_secret,
    // Memory and queues that outlive the process, and that others of this user share.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    // Nobody listens: Landlock asks about `bind`, and `listen` finds a port by itself.
    libc::SYS_listen,
    // A group or session of its own would be left when the connector's group is killed.
    libc::SYS_setsid,
    libc::SYS_setpgid,
];

/// The same on machines with older names for things.
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[libc::c_long] = &[
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
];
#[cfg(target_arch = "aarch64")]
const DENIED_HERE: &[libc::c_long] =
    &[libc::SYS_kexec_file_load, libc::SYS_nfsservctl, libc::SYS_lookup_dcookie];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const DENIED_HERE: &[libc::c_long] = &[];

/// Modes of files: Landlock does not ask about them, so a file that cannot be read could be opened
/// to everyone. They are answered with success and do nothing: copying a file sets its mode
/// (`shutil.copy`), and what is copied has one already.
#[cfg(target_arch = "x86_64")]
const WITHOUT_EFFECT: &[libc::c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_chmod,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
];
#[cfg(not(target_arch = "x86_64"))]
const WITHOUT_EFFECT: &[libc::c_long] =
    &[libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchmodat2];

// Of Linux 6.13 and 6.17; numbers are the same on every machine since 2019.
const SYS_SETXATTRAT: libc::c_long = 463;
const SYS_REMOVEXATTRAT: libc::c_long = 466;
const SYS_FILE_SETATTR: libc::c_long = 469;

/// Flags of `clone` that make a namespace.
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Requests of `ioctl` that type into a terminal.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// The filters of a plan. One for each answer: a filter knows one.
pub(super) fn filters(plan: &FencePlan) -> Result<Vec<BpfProgram>, FenceError> {
    let mut denied = BTreeMap::new();
    for call in DENIED.iter().chain(DENIED_HERE) {
        denied.insert(*call, Vec::new());
    }
    if !plan.exec {
        denied.insert(libc::SYS_execve, Vec::new());
        denied.insert(libc::SYS_execveat, Vec::new());
    }
    for (call, rules) in conditional(plan)? {
        denied.insert(call, rules);
    }
    // Its flags are behind a pointer, where no filter sees them. This answer makes the C library
    // use the older `clone`.
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let mut idle: BTreeMap<_, _> = WITHOUT_EFFECT.iter().map(|call| (*call, Vec::new())).collect();
    // Times of a file by its path, likewise; those of one that is open may be set.
    let path = SeccompCondition::new(1, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)
        .map_err(|e| FenceError::Build(e.to_string()))?;
    idle.insert(libc::SYS_utimensat, vec![all(vec![path])?]);
    Ok(vec![filter(unknown, libc::ENOSYS)?, filter(idle, 0)?, filter(denied, libc::EPERM)?])
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    answer: libc::c_int,
) -> Result<BpfProgram, FenceError> {
    let failed = |e: &dyn std::fmt::Display| FenceError::Build(e.to_string());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| failed(&e))?;
    let action = SeccompAction::Errno(answer.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch);
    let program = filter.map_err(|e| failed(&e))?;
    let mut program = BpfProgram::try_from(program).map_err(|e| failed(&e))?;
    if cfg!(target_arch = "x86_64") {
        // The same calls have a second number each (x32). All jumps go forward by a distance, so
        // what is put in front changes none.
        const LOAD_NUMBER: u16 = 0x20;
        const IF_AT_LEAST: u16 = 0x35;
        const ANSWER: u16 = 0x06;
        const X32: u32 = 0x4000_0000;
        let refused = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
        program.splice(
            0..0,
            [
                sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
                sock_filter { code: IF_AT_LEAST, jt: 0, jf: 1, k: X32 },
                sock_filter { code: ANSWER, jt: 0, jf: 0, k: refused },
            ],
        );
    }
    Ok(program)
}

/// Whether an argument is something.
fn is(argument: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, FenceError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)
        .map_err(|e| FenceError::Build(e.to_string()))
}

fn all(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, FenceError> {
    SeccompRule::new(conditions).map_err(|e| FenceError::Build(e.to_string()))
}

fn bits(value: libc::c_int) -> u64 {
    u64::from(value.cast_unsigned())
}

/// Calls that are denied by their arguments.
fn conditional(plan: &FencePlan) -> Result<BTreeMap<i64, Vec<SeccompRule>>, FenceError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let has = |argument, flag: u64| all(vec![is(argument, MaskedEq(flag), flag)?]);
    let other_than = |argument, value| all(vec![is(argument, Ne, value)?]);
    let mut rules = BTreeMap::new();

    let clone = NAMESPACES.iter().map(|flag| has(0, bits(*flag)));
    rules.insert(libc::SYS_clone, clone.collect::<Result<_, _>>()?);
    rules.insert(
        libc::SYS_ioctl,
        TYPING.iter().map(|request| all(vec![is(1, Eq, *request)?])).collect::<Result<_, _>>()?,
    );
    // Only plain Linux, and the question which it is.
    let plain = vec![is(0, Ne, 0)?, is(0, Ne, 0xffff_ffff)?];
    rules.insert(libc::SYS_personality, vec![all(plain)?]);
    // Of other processes of this user these would take files, memory or time.
    for call in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setattr,
    ] {
        rules.insert(call, vec![other_than(0, 0)?]);
    }
    rules.insert(libc::SYS_setpriority, vec![other_than(0, 0)?, other_than(1, 0)?]);
    // Device nodes, where Landlock does not ask.
    let nodes = |mode: u8| -> Result<Vec<SeccompRule>, FenceError> {
        let kind = |kind: u32| all(vec![is(mode, MaskedEq(u64::from(libc::S_IFMT)), kind.into())?]);
        Ok(vec![kind(libc::S_IFCHR)?, kind(libc::S_IFBLK)?])
    };
    rules.insert(libc::SYS_mknodat, nodes(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_mknod, nodes(1)?);
    // A connection by its first message: nobody is asked about its port.
    let fast = bits(libc::MSG_FASTOPEN);
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        rules.insert(call, vec![has(flags, fast)?]);
    }
    rules.insert(libc::SYS_socket, sockets(plan)?);
    // Pairs for a process's own use. Not of datagrams: one of those can be sent to any path.
    let kind = |kind: libc::c_int| all(vec![is(1, MaskedEq(TYPE), bits(kind))?]);
    let pairs = vec![other_than(0, bits(libc::AF_UNIX))?, kind(libc::SOCK_DGRAM)?];
    let raw = kind(libc::SOCK_RAW)?;
    rules.insert(libc::SYS_socketpair, pairs.into_iter().chain([raw]).collect());
    Ok(rules)
}

/// The bits of a socket's type that are not flags.
const TYPE: u64 = 0xf;

/// Sockets that are denied.
fn sockets(plan: &FencePlan) -> Result<Vec<SeccompRule>, FenceError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let mut families = Vec::new();
    if plan.unix_sockets {
        families.push(libc::AF_UNIX);
    }
    let internet = plan.connect != TcpAccess::None;
    if internet {
        families.extend([libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]);
    }
    let others = families.iter().map(|family| is(0, Ne, bits(*family)));
    let mut rules = match families.as_slice() {
        [] => return Ok(Vec::new()),
        _ => vec![all(others.collect::<Result<_, _>>()?)?],
    };
    if internet {
        // The resolver asks for the machine's addresses there.
        let others =
            vec![is(0, Eq, bits(libc::AF_NETLINK))?, is(2, Ne, bits(libc::NETLINK_ROUTE))?];
        rules.push(all(others)?);
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = is(0, Eq, bits(family))?;
            // TCP and UDP and no relative of theirs, whose connections nobody is asked about.
            for (kind, protocol) in
                [(libc::SOCK_STREAM, libc::IPPROTO_TCP), (libc::SOCK_DGRAM, libc::IPPROTO_UDP)]
            {
                rules.push(all(vec![
                    family.clone(),
                    is(1, MaskedEq(TYPE), bits(kind))?,
                    is(2, Ne, 0)?,
                    is(2, Ne, bits(protocol))?,
                ])?);
            }
            let known = [bits(libc::SOCK_STREAM), bits(libc::SOCK_DGRAM)];
            for kind in (0..=TYPE).filter(|kind| !known.contains(kind)) {
                rules.push(all(vec![family.clone(), is(1, MaskedEq(TYPE), kind)?])?);
            }
        }
    }
    Ok(rules)
}
