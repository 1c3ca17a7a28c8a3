//! What any program of this system reads to work at all: libraries, certificates, names, time
//! zones, and facts about the machine. No key, no password, nothing of other processes.

use std::path::PathBuf;

/// Programs and libraries.
const PROGRAMS: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// Of `/etc`, one by one: it holds secrets too (`shadow`, `ssl/private`, files of services).
const SETTINGS: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "gai.conf",
    "group",
    "host.conf",
    "hosts",
    "inputrc",
    "java",
    "java-8-openjdk",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "java-25-openjdk",
    "ld-musl-aarch64.path",
    "ld-musl-x86_64.path",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "locale.alias",
    "locale.conf",
    "localtime",
    "lsb-release",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "odbcinst.ini",
    "os-release",
    "passwd",
    "pki/ca-trust",
    "pki/java",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "python",
    "python3",
    "resolv.conf",
    "rpc",
    "services",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
];

/// Facts about the machine. Not `/proc` as a whole: the command lines of other processes are there.
const FACTS: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/kernel/cap_last_cap",
    "/proc/sys/kernel/ngroups_max",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/kernel/random",
    "/proc/sys/kernel/version",
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/vm/max_map_count",
    "/proc/sys/vm/overcommit_memory",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];

/// What a program of this system reads to work at all. Some of it is not on every system.
#[must_use]
pub fn system_folders() -> Vec<PathBuf> {
    let etc = SETTINGS.iter().map(|name| PathBuf::from("/etc").join(name));
    let fixed = PROGRAMS.iter().chain(FACTS).chain(&["/dev/random", "/dev/urandom"]);
    fixed.map(PathBuf::from).chain(etc).collect()
}

/// Devices that hold nothing and are written to as well.
#[must_use]
pub fn devices() -> Vec<PathBuf> {
    ["/dev/null", "/dev/zero", "/dev/full"]
        .into_iter()
        .map(PathBuf::from)
        .filter(|device| device.exists())
        .collect()
}
