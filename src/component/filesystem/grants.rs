//! Which directories can be granted at all, and opening them.
//!
//! The attack: a directory that holds more than its name says. `/proc` of the host has the
//! environment and the memory of every process of this user; whoever writes into the compile cache
//! runs code in this process.

use std::path::Path;

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use super::path::is_host_state;
use crate::component::ComponentError;
use crate::sandbox::{Access, Policy};

/// Trees of the kernel: what is in them is the system, not data.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Opens the granted directories, or says which one is never granted. `cache` is where compiled
/// components are.
///
/// # Errors
/// [`ComponentError::Directory`] and [`ComponentError::DirectoryRefused`].
pub(in crate::component) fn open_grants(
    wasi: &mut WasiCtxBuilder,
    policy: &Policy,
    cache: Option<&Path>,
) -> Result<(), ComponentError> {
    for grant in &policy.directories {
        let unusable =
            |reason: String| ComponentError::Directory { path: grant.host.clone(), reason };
        // Links are followed once, here: what is checked is what is opened.
        let host = grant.host.canonicalize().map_err(|e| unusable(e.to_string()))?;
        if let Some(reason) = never(&host, grant.access, cache) {
            return Err(ComponentError::DirectoryRefused { path: grant.host.clone(), reason });
        }
        let perms = match grant.access {
            Access::Read => FsPerms::ReadOnly,
            Access::ReadWrite => FsPerms::ReadWrite,
        };
        wasi.preopened_dir(&host, &grant.guest, perms).map_err(|e| unusable(format!("{e:#}")))?;
    }
    Ok(())
}

/// Refuses directories that are never granted, before anything runs. One that cannot be looked at is
/// left to [`open_grants`].
///
/// # Errors
/// [`ComponentError::DirectoryRefused`].
pub(in crate::component) fn may_grant(
    policy: &Policy,
    cache: Option<&Path>,
) -> Result<(), ComponentError> {
    for grant in &policy.directories {
        let Ok(host) = grant.host.canonicalize() else { continue };
        if let Some(reason) = never(&host, grant.access, cache) {
            return Err(ComponentError::DirectoryRefused { path: grant.host.clone(), reason });
        }
    }
    Ok(())
}

/// Refuses a process what would let it write code that this program runs: the compile cache. The
/// rest of the file system is its fence's business.
///
/// # Errors
/// [`ComponentError::DirectoryRefused`].
pub(in crate::component) fn may_grant_to_process(
    policy: &Policy,
    cache: Option<&Path>,
) -> Result<(), ComponentError> {
    for grant in &policy.directories {
        let Ok(host) = grant.host.canonicalize() else { continue };
        if let Some(reason) = holds_cache(&host, grant.access, cache) {
            return Err(ComponentError::DirectoryRefused { path: grant.host.clone(), reason });
        }
    }
    Ok(())
}

/// Why a directory is never granted.
fn never(host: &Path, access: Access, cache: Option<&Path>) -> Option<&'static str> {
    if host == Path::new("/") {
        return Some("it is the whole file system");
    }
    if KERNEL.iter().any(|tree| host.starts_with(tree)) {
        return Some("what is in it is the system itself and not files");
    }
    if host.iter().any(|step| step.to_str().is_some_and(is_host_state)) {
        return Some("it holds the host's own state");
    }
    holds_cache(host, access, cache)
}

fn holds_cache(host: &Path, access: Access, cache: Option<&Path>) -> Option<&'static str> {
    let cache = cache.and_then(|folder| folder.canonicalize().ok());
    if let Some(cache) = cache
        && access == Access::ReadWrite
        && (cache.starts_with(host) || host.starts_with(&cache))
    {
        return Some(
            "the compile cache is in it, and who writes to that runs code in this process",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_granted() {
        for path in ["/", "/proc", "/proc/self", "/sys/fs", "/dev/shm", "/home/me/.lockgate"] {
            assert!(never(Path::new(path), Access::Read, None).is_some(), "{path}");
        }
        for path in ["/process", "/home/me/dev", "/srv/data"] {
            assert_eq!(never(Path::new(path), Access::ReadWrite, None), None, "{path}");
        }
    }

    #[test]
    fn the_compile_cache_is_not_written_by_a_guest() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let cache = root.join("a/cache");
        std::fs::create_dir_all(cache.join("components")).unwrap();
        for path in ["", "a", "a/cache", "a/cache/components"] {
            let host = root.join(path);
            assert!(never(&host, Access::ReadWrite, Some(&cache)).is_some(), "{path}");
            assert_eq!(never(&host, Access::Read, Some(&cache)), None, "{path}");
        }
        assert_eq!(never(&root.join("b"), Access::ReadWrite, Some(&cache)), None);
    }
}
