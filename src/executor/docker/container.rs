//! What a container is created with: the hardening, and what is granted.
//!
//! The attack: a connector leaves its container through a capability, a setuid program, a device or a
//! socket of this machine; takes its memory, processes or processors; or writes where others read. A
//! container has none of the capabilities, gains no privilege, has limits, and sees of this machine
//! what is granted to it. The default seccomp profile of the engine stays.
//!
//! `/tmp` is memory of its own, and programs may be run from it: connectors in Java and Python unpack
//! native libraries there and load them, and one that has an interpreter gains nothing by it. It may
//! not hold devices or setuid programs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};

use super::DockerSettings;
use super::error::DockerError;
use super::image::Image;
use crate::sandbox::{Access, HOST_STATE, Limits, Policy};

/// Where the connector finds its files.
pub(super) const FILES: &str = "/airbyte/run";
/// Where it finds the directory that it was given as PyAirbyte gives one.
const LOCAL: &str = "/local";
/// Nothing answers there (RFC 5737): the engine's own resolver would pass names on to anybody
/// (CVE-2024-29018). Not 127.0.0.1: an engine that passes names on from this machine's network would ask
/// the machine's own resolver there.
const NO_RESOLVER: &str = "192.0.2.1";
/// The name that every container has for itself.
const HOSTNAME: &str = "lockgate";
/// Trees of the kernel: what is in them is the system, not data.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Trees that are no mount points: the kernel's, and ours.
const TAKEN: [&str; 4] = ["/proc", "/sys", "/dev", FILES];

/// How a container is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Network {
    /// To nothing.
    None,
    /// To all that this machine is.
    Host,
    /// To a network of its own, by its ID.
    Own(String),
}

/// All that a container is made of.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) settings: &'a DockerSettings,
    pub(super) image: &'a Image,
    pub(super) limits: &'a Limits,
    /// Processors that the engine has.
    pub(super) cpus: u64,
    /// The operation and its options.
    pub(super) command: Vec<String>,
    /// Files on this machine, and their names within.
    pub(super) files: Vec<(PathBuf, String)>,
    pub(super) directories: Vec<Mount>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) network: Network,
    pub(super) with_stdin: bool,
    pub(super) labels: HashMap<String, String>,
}

/// What is asked of the engine.
pub(super) fn body(plan: Plan<'_>) -> ContainerCreateBody {
    let limits = plan.limits;
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let files = plan.files.iter().map(|(host, guest)| bind(host, guest, true));
    let mounts: Vec<Mount> = files.chain(plan.directories).collect();
    let cpus = limits.container_cpus.min(plan.cpus).max(1);
    let open_files = signed(limits.process_files);
    let ulimit = |name: &str, most: i64| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(most),
        hard: Some(most),
    };
    let tmp = format!("rw,exec,nosuid,nodev,mode=1777,size={}", limits.container_tmp);
    let own = matches!(plan.network, Network::Own(_));
    let resolver = |text: &str| own.then(|| vec![text.to_owned()]);
    let host = HostConfig {
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges:true".into()]),
        privileged: Some(false),
        readonly_rootfs: Some(!plan.settings.writable_root),
        pids_limit: Some(signed(limits.container_pids)),
        memory: Some(signed(limits.container_memory)),
        // The same for both: no swap.
        memory_swap: Some(signed(limits.container_memory)),
        nano_cpus: Some(signed(cpus.saturating_mul(1_000_000_000))),
        ulimits: Some(vec![ulimit("nofile", open_files), ulimit("core", 0)]),
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), tmp)])),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        // Hands on signals, and reaps what the connector leaves.
        init: Some(true),
        ipc_mode: Some("private".into()),
        // Removed by who has read its exit code: the engine would do it before.
        auto_remove: Some(false),
        mounts: Some(mounts),
        network_mode: Some(match &plan.network {
            Network::None => "none".into(),
            Network::Host => "host".into(),
            Network::Own(id) => id.clone(),
        }),
        dns: resolver(NO_RESOLVER),
        dns_options: own.then(|| vec!["timeout:1".into(), "attempts:1".into()]),
        // Else the engine's own suffix makes names of one label longer.
        dns_search: resolver("."),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(plan.image.id.clone()),
        entrypoint: plan.image.entrypoint.clone(),
        cmd: Some(plan.command),
        // The host's network has the host's name.
        hostname: (plan.network != Network::Host).then(|| HOSTNAME.to_owned()),
        env: Some(plan.environment.into_iter().map(|(n, v)| format!("{n}={v}")).collect()),
        labels: Some(plan.labels),
        tty: Some(false),
        // Both, or the end of the input does not reach the connector.
        open_stdin: Some(plan.with_stdin),
        stdin_once: Some(plan.with_stdin),
        attach_stdin: Some(plan.with_stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

fn bind(host: &Path, guest: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(host.display().to_string()),
        target: Some(guest.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// The directories of a policy, as mounts. `socket` is the engine's: who can
/// reach it has this machine.
pub(super) fn directories(
    policy: &Policy,
    socket: Option<&Path>,
) -> Result<Vec<Mount>, DockerError> {
    let mut mounts = Vec::new();
    if let Some(local) = &policy.local {
        let refused = |e: std::io::Error| refused(&local.display().to_string(), &e.to_string());
        std::fs::create_dir_all(local).map_err(refused)?;
        mount(local, LOCAL, false, socket, &mut mounts)?;
    }
    for grant in &policy.directories {
        check_guest(&grant.guest, policy)?;
        mount(&grant.host, &grant.guest, grant.access == Access::Read, socket, &mut mounts)?;
    }
    Ok(mounts)
}

fn refused(what: &str, reason: &str) -> DockerError {
    DockerError::Grant { what: format!("the directory {what}"), reason: reason.to_owned() }
}

/// Refuses what is no mount point; before anything is started.
pub(super) fn check_guest(guest: &str, policy: &Policy) -> Result<(), DockerError> {
    let below = |place: &str| Path::new(guest).starts_with(place);
    if matches!(guest, "/" | "/tmp") || TAKEN.iter().any(|place| below(place)) {
        return Err(refused(guest, "a container has something of its own there"));
    }
    if policy.local.is_some() && guest == LOCAL {
        return Err(refused(guest, "it is the local directory's place"));
    }
    Ok(())
}

fn mount(
    host: &Path,
    guest: &str,
    read_only: bool,
    socket: Option<&Path>,
    mounts: &mut Vec<Mount>,
) -> Result<(), DockerError> {
    let shown = host.display().to_string();
    // Links are followed once, here: what is checked is what is mounted.
    let host = host.canonicalize().map_err(|e| refused(&shown, &e.to_string()))?;
    if !host.is_dir() {
        return Err(refused(&shown, "it is no directory"));
    }
    if host == Path::new("/") || KERNEL.iter().any(|tree| host.starts_with(tree)) {
        return Err(refused(&shown, "it is the system's, not data"));
    }
    if socket.is_some_and(|s| s.canonicalize().is_ok_and(|real| real.starts_with(&host))) {
        return Err(refused(
            &shown,
            "it has the container engine's socket, which opens everything",
        ));
    }
    mounts.push(bind(&host, guest, read_only));
    // What the host keeps there is the host's.
    for name in HOST_STATE {
        let kept = host.join(name);
        let guest = format!("{}/{name}", guest.trim_end_matches('/'));
        if kept.is_dir() {
            mounts.push(Mount {
                typ: Some(MountType::TMPFS),
                target: Some(guest),
                read_only: Some(true),
                ..Mount::default()
            });
        } else if kept.exists() {
            mounts.push(bind(Path::new("/dev/null"), &guest, true));
        }
    }
    Ok(())
}

/// What holds for a policy, in words.
pub(super) fn words(settings: &DockerSettings, policy: &Policy) -> String {
    let root = if settings.writable_root { "writable root" } else { "read-only root" };
    let network = if policy.host_network {
        "network of the host: nothing that it reaches is enforced"
    } else if policy.network.patterns.is_empty() {
        "no network"
    } else {
        "network by proxy (not enforced: services of this machine that listen on all addresses can be \
         reached at the gateway of the container's network)"
    };
    format!("docker: caps dropped, no-new-privileges, limits, {root}, {network}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> DockerSettings {
        DockerSettings { image: "a:1".into(), writable_root: false, pull: false }
    }

    fn made(settings: &DockerSettings, limits: &Limits, network: Network) -> ContainerCreateBody {
        let image = Image {
            digest: "d".into(),
            id: "sha256:1".into(),
            user: String::new(),
            entrypoint: None,
        };
        body(Plan {
            settings,
            image: &image,
            limits,
            cpus: 2,
            command: vec!["spec".into()],
            files: vec![("/x/config.json".into(), "/airbyte/run/config.json".into())],
            directories: Vec::new(),
            environment: vec![("A".into(), "b=c".into())],
            network,
            with_stdin: false,
            labels: HashMap::new(),
        })
    }

    #[test]
    fn everything_is_closed_by_default() {
        let limits = Limits { container_memory: 1 << 28, container_pids: 9, ..Limits::default() };
        let body = made(&settings(), &limits, Network::None);
        let host = body.host_config.unwrap();
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.cap_add, None);
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges:true".to_owned()]));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!((host.memory, host.memory_swap), (Some(1 << 28), Some(1 << 28)));
        assert_eq!(host.pids_limit, Some(9));
        assert_eq!(host.nano_cpus, Some(2_000_000_000), "no more than the engine has");
        assert_eq!(host.log_config.unwrap().typ.as_deref(), Some("none"));
        assert_eq!((host.init, host.auto_remove), (Some(true), Some(false)));
        assert_eq!((host.devices, host.binds, host.pid_mode), (None, None, None));
        assert!(host.tmpfs.unwrap()["/tmp"].contains("nosuid,nodev"));
        let mounts = host.mounts.unwrap();
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].read_only, Some(true));
        assert_eq!(mounts[0].source.as_deref(), Some("/x/config.json"));
        assert_eq!((body.open_stdin, body.stdin_once), (Some(false), Some(false)));
        assert_eq!(body.env, Some(vec!["A=b=c".to_owned()]));
    }

    #[test]
    fn a_network_of_its_own_resolves_nothing() {
        let body = made(&settings(), &Limits::default(), Network::Own("n".into()));
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("n"));
        assert_eq!(host.dns, Some(vec![NO_RESOLVER.to_owned()]));
    }

    #[test]
    fn places_that_are_never_mounted() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        std::fs::write(&socket, "").unwrap();
        let granted = |host: &Path, guest: &str| {
            let mut policy = Policy::default();
            policy.allow_dir(&format!("{}::{guest}", host.display())).unwrap();
            directories(&policy, Some(&socket)).map(|mounts| mounts.len())
        };
        let own = tempfile::tempdir().unwrap();
        assert_eq!(granted(own.path(), "/data").unwrap(), 1);
        for guest in ["/", "/tmp", "/proc", "/dev/shm", "/airbyte/run/x"] {
            assert!(granted(own.path(), guest).is_err(), "{guest}");
        }
        assert!(granted(folder.path(), "/data").is_err(), "the engine's socket");
        assert!(granted(folder.path().parent().unwrap(), "/data").is_err(), "above it");
        for host in ["/", "/proc", "/dev/shm", "/does/not/exist"] {
            assert!(granted(Path::new(host), "/data").is_err(), "{host}");
        }
    }

    #[test]
    fn what_the_host_keeps_is_covered() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".lockgate")).unwrap();
        std::fs::write(folder.path().join("lockgate.toml"), "").unwrap();
        let policy = Policy { local: Some(folder.path().into()), ..Policy::default() };
        let mounts = directories(&policy, None).unwrap();
        let targets: Vec<_> = mounts.iter().filter_map(|m| m.target.as_deref()).collect();
        assert_eq!(targets, ["/local", "/local/.lockgate", "/local/lockgate.toml"]);
    }

    #[test]
    fn a_local_directory_is_made_with_its_parents() {
        let folder = tempfile::tempdir().unwrap();
        let local = folder.path().join("a/b");
        let policy = Policy { local: Some(local.clone()), ..Policy::default() };
        let mounts = directories(&policy, None).unwrap();
        assert!(local.is_dir());
        assert_eq!(mounts[0].read_only, Some(false));
    }
}
