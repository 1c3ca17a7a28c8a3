//! Paths that a guest gives, and where an opened file really is.
//!
//! The attack: a path that two readers understand differently, one without measure, one that leads
//! out. What no file of a guest can be called is refused before it is resolved; where a file that was
//! opened is, the kernel says.

use std::fs::File;
use std::path::Path;

use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use crate::sandbox::HOST_STATE;

/// Bytes of a path, as the kernel has it.
const LONGEST: usize = 4096;
/// Steps of a path: resolving one costs a call of the kernel a step where it cannot do it alone.
const DEEPEST: usize = 256;

/// Why a path is refused.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) rule: &'static str,
}

/// Whether a path may be given at all.
pub(super) fn check(path: &str) -> Result<(), Refusal> {
    if path.len() > LONGEST {
        return Err(Refusal { code: ErrorCode::NameTooLong, rule: "path-length" });
    }
    if path.contains('\0') {
        return Err(Refusal { code: ErrorCode::Invalid, rule: "path-form" });
    }
    let mut steps = 0;
    for step in path.split('/').filter(|s| !s.is_empty()) {
        steps += 1;
        if steps > DEEPEST {
            return Err(Refusal { code: ErrorCode::NameTooLong, rule: "path-length" });
        }
        if is_host_state(step) {
            return Err(Refusal { code: ErrorCode::NotPermitted, rule: "host-state" });
        }
    }
    Ok(())
}

/// Whether a link may name this. Not what is outside, and nothing that could be outside once the link
/// is moved: whoever else follows it on the host has no sandbox.
pub(super) fn check_link(target: &str) -> Result<(), Refusal> {
    check(target)?;
    if points_out(target) {
        return Err(Refusal { code: ErrorCode::NotPermitted, rule: "outside" });
    }
    Ok(())
}

/// Whether a path could lead out by its words alone.
pub(super) fn points_out(path: &str) -> bool {
    path.starts_with('/') || path.split('/').any(|step| step == "..")
}

/// Whether a step of a path is the host's. Some file systems ignore case.
pub(super) fn is_host_state(step: &str) -> bool {
    HOST_STATE.iter().any(|name| step.eq_ignore_ascii_case(name))
}

/// Where a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Below the granted directory, or nobody can say.
    Inside,
    /// Elsewhere.
    Outside,
    /// In what the host keeps.
    HostState,
    /// In a file system of the kernel.
    KernelFiles,
}

/// Where an opened file is, by the kernel's word. Where `/proc` is not mounted, the rest of the
/// sandbox has to do.
#[cfg(target_os = "linux")]
pub(super) fn place(root: &File, file: &File) -> Place {
    if is_kernel_files(file) {
        return Place::KernelFiles;
    }
    let (Some(root), Some(file)) = (real_path(root), real_path(file)) else {
        return Place::Inside;
    };
    match file.strip_prefix(&root) {
        Err(_) => Place::Outside,
        Ok(inside) if inside.iter().any(|s| s.to_str().is_some_and(is_host_state)) => {
            Place::HostState
        }
        Ok(_) => Place::Inside,
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn place(_root: &File, _file: &File) -> Place {
    Place::Inside
}

#[cfg(target_os = "linux")]
fn real_path(file: &File) -> Option<std::path::PathBuf> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::fs::read_link(Path::new(&link)).ok()
}

/// A granted directory may have such a tree mounted below it.
#[cfg(target_os = "linux")]
fn is_kernel_files(file: &File) -> bool {
    // linux/magic.h: proc, sysfs, devpts, cgroup, cgroup2, debugfs, tracefs, securityfs, bpf, efivarfs,
    // configfs, binfmt_misc, pstore.
    const MAGIC: [i64; 13] = [
        0x9fa0,
        0x6265_6572,
        0x1cd1,
        0x0027_e0eb,
        0x6367_7270,
        0x6462_6720,
        0x7472_6163,
        0x7363_6673,
        0xcafe_4a11,
        0xde5e_81e4,
        0x6265_6570,
        0x4249_4e4d,
        0x6165_676c,
    ];
    rustix::fs::fstatfs(file).is_ok_and(|facts| {
        #[expect(clippy::unnecessary_cast, reason = "its width differs between targets")]
        let kind = facts.f_type as i64 & 0xffff_ffff;
        MAGIC.contains(&kind)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(path: &str) -> Option<&'static str> {
        check(path).err().map(|r| r.rule)
    }

    #[test]
    fn paths_without_measure() {
        assert_eq!(rule(&"a/".repeat(256)), None);
        assert_eq!(rule(&"a/".repeat(257)), Some("path-length"));
        assert_eq!(rule(&"a".repeat(4097)), Some("path-length"));
        assert_eq!(rule("a\0b"), Some("path-form"));
    }

    #[test]
    fn what_the_host_keeps() {
        for path in [".lockgate", "a/.lockgate/state.db", "./.LockGate//", "lockgate.toml"] {
            assert_eq!(rule(path), Some("host-state"), "{path}");
        }
        for path in ["lockgate", ".lockgate2", "my-lockgate.toml", "a/b"] {
            assert_eq!(rule(path), None, "{path}");
        }
    }

    #[test]
    fn links() {
        for target in ["/etc", "..", "a/../../b", ".lockgate"] {
            assert!(check_link(target).is_err(), "{target}");
        }
        assert!(check_link("a/b").is_ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_says_where_a_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::create_dir_all(path.join("in/.lockgate")).unwrap();
        std::fs::write(path.join("in/file"), "").unwrap();
        std::fs::write(path.join("out"), "").unwrap();
        let open = |name: &str| File::open(path.join(name)).unwrap();
        let root = open("in");
        assert_eq!(place(&root, &open("in/file")), Place::Inside);
        assert_eq!(place(&root, &root), Place::Inside);
        assert_eq!(place(&root, &open("out")), Place::Outside);
        assert_eq!(place(&root, &open("in/.lockgate")), Place::HostState);
        let kernel = File::open("/proc/self/status").unwrap();
        assert_eq!(place(&root, &kernel), Place::KernelFiles);
    }

    proptest! {
        #[test]
        fn what_is_let_through_has_measure(path in "[./a\\x00lockgatem]{0,300}") {
            if check(&path).is_ok() {
                prop_assert!(path.len() <= LONGEST && !path.contains('\0'));
                prop_assert!(path.split('/').filter(|s| !s.is_empty()).count() <= DEEPEST);
                prop_assert!(!path.split('/').any(is_host_state));
            }
        }
    }
}
