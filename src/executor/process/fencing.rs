//! What a connector's process is fenced in with: its policy in the kernel's words.

use std::path::{Component, Path, PathBuf};

use super::ProcessExecutor;
use super::folder::RunFolder;
use super::private;
use super::reach::{Surroundings, of_program};
use crate::executor::ExecutorError;
use crate::protocol::{Capability, Decision, Observer};
use crate::sandbox::fence::{
    FenceError, FencePlan, KernelSupport, PreparedFence, TcpAccess, devices, system_folders,
};
use crate::sandbox::{Access, Fence, Policy};

/// Checks that every directory is granted under its own path: a process has no other names for
/// them.
pub(in crate::executor) fn check_directories(policy: &Policy) -> Result<(), ExecutorError> {
    for grant in &policy.directories {
        let absolute = std::path::absolute(&grant.host).map_err(|e| ExecutorError::Io {
            what: "a granted directory",
            reason: e.to_string(),
        })?;
        let same = plain(&absolute) == plain(Path::new(&grant.guest))
            || grant.host.canonicalize().is_ok_and(|real| real == Path::new(&grant.guest));
        if !same {
            return Err(ExecutorError::Grant {
                host: absolute.display().to_string(),
                guest: grant.guest.clone(),
            });
        }
    }
    Ok(())
}

/// A path without `.` and doubled slashes.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|c| *c != Component::CurDir).collect()
}

/// The ports that a policy opens. The kernel knows no names.
fn ports(policy: &Policy) -> TcpAccess {
    let patterns = &policy.network.patterns;
    if patterns.is_empty() {
        return TcpAccess::None;
    }
    let words = patterns.iter().filter_map(|p| p.text().rsplit_once(':')).map(|(_, port)| port);
    let mut ports = Vec::new();
    for word in words {
        match word.parse() {
            Ok(port) if !ports.contains(&port) => ports.push(port),
            Ok(_) => {}
            Err(_) if word == "*" => return TcpAccess::Any,
            // Nothing that this knows: it opens nothing.
            Err(_) => {}
        }
    }
    TcpAccess::Ports(ports)
}

/// The part of a plan that does not depend on the run: enough to know what the kernel can do of it.
pub(super) fn outline(policy: &Policy) -> FencePlan {
    let limits = &policy.limits;
    FencePlan {
        connect: ports(policy),
        shared_memory: true,
        memory_bytes: Some(limits.process_bytes),
        open_files: Some(limits.process_files),
        file_bytes: Some(limits.written_bytes),
        ..FencePlan::default()
    }
}

/// What the fence of a policy comes to, for reports: `landlock-7, seccomp, limits`, and what it does
/// not do.
pub(super) fn words(policy: &Policy, kernel: KernelSupport) -> String {
    let plan = outline(policy);
    let mut words = match plan.outlook(policy.fence, kernel) {
        Ok(report) => report.words(),
        Err(error) => return format!("none: {error}"),
    };
    if policy.fence != Fence::Off {
        match &plan.connect {
            TcpAccess::None => {}
            TcpAccess::Ports(ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                words.push_str("; TCP by port only (");
                words.push_str(&ports.join(", "));
                words.push_str("), UDP open: a process's hosts are not enforced");
            }
            TcpAccess::Any => words.push_str("; the network is open"),
        }
    }
    words
}

/// Prepares the fence of one run, and tells of every decision in it.
pub(super) fn prepare(
    executor: &ProcessExecutor,
    folder: &RunFolder,
    observer: &dyn Observer,
) -> Result<PreparedFence, ExecutorError> {
    let ProcessExecutor { program, policy, kernel, base } = executor;
    let mut plan = outline(policy);
    if policy.fence != Fence::Off {
        plan.read = system_folders();
        plan.read.extend(of_program(program, &Surroundings::here()));
        plan.read.push(folder.path().to_owned());
        plan.write = devices();
        plan.write.push(folder.scratch());
        for grant in &policy.directories {
            match grant.access {
                Access::Read => {
                    must_be_there(&grant.host).map(|()| plan.read.push(grant.host.clone()))?
                }
                Access::ReadWrite => plan.write.push(grant.host.clone()),
            }
        }
        let granted: Vec<PathBuf> = policy.directories.iter().map(|g| g.host.clone()).collect();
        plan.hidden = private::hidden(&plan, &granted, base, program);
    }
    let target = program.display().to_string();
    let rule = format!("sandbox {}", policy.fence.word());
    let prepared = plan.prepare_on(policy.fence, *kernel);
    observer.decided(&match &prepared {
        Ok(_) => Decision::allow(Capability::Process, target, rule),
        Err(_) => Decision::deny(Capability::Process, target, rule),
    });
    let prepared = prepared?;
    if policy.fence != Fence::Off {
        for grant in &policy.directories {
            let path = grant.host.display();
            let (capability, mode) = match grant.access {
                Access::Read => (Capability::DirectoryRead, "ro"),
                Access::ReadWrite => (Capability::DirectoryWrite, "rw"),
            };
            let rule = format!("allow-dir {path}:{mode}");
            observer.decided(&Decision::allow(capability, path.to_string(), rule));
        }
        for pattern in &policy.network.patterns {
            let text = pattern.text();
            let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
            let rule = format!("allow-net {text}");
            observer.decided(&Decision::allow(Capability::Connect, format!("*:{port}"), rule));
        }
    }
    Ok(prepared)
}

fn must_be_there(path: &Path) -> Result<(), FenceError> {
    let failed =
        |e: std::io::Error| FenceError::Path { path: path.to_owned(), reason: e.to_string() };
    std::fs::metadata(path).map(|_| ()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_patterns() {
        let mut policy = Policy::default();
        assert_eq!(ports(&policy), TcpAccess::None);
        policy.allow_net("db.example:5432", &serde_json::Value::Null, false).unwrap();
        policy.allow_net("other.example:5432", &serde_json::Value::Null, false).unwrap();
        policy.allow_net("api.example:443", &serde_json::Value::Null, false).unwrap();
        assert_eq!(ports(&policy), TcpAccess::Ports(vec![5432, 443]));
        let words = words(
            &policy,
            KernelSupport {
                landlock: 7,
                seccomp: true,
                namespace: crate::sandbox::fence::Namespace::None,
            },
        );
        assert!(words.starts_with("landlock-7, seccomp, limits; TCP by port"), "{words}");
        assert!(words.contains("5432, 443") && words.contains("not enforced"), "{words}");
    }

    #[test]
    fn directories_under_their_own_paths() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        for (grant, good) in [
            (format!("{path}::{path}"), true),
            (format!("{path}/.//::{path}:ro"), true),
            (format!("{path}::/out"), false),
        ] {
            let mut policy = Policy::default();
            policy.allow_dir(&grant).unwrap();
            assert_eq!(check_directories(&policy).is_ok(), good, "{grant}");
        }
    }
}
