//! What is on the Docker engine, and the PostgreSQL server, that `scripts/with-test-services` starts.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "each test binary uses a part of it, and a test ends where something is missing"
)]

#[path = "postgres.rs"]
mod postgres;

use crate::docker::docker_ok;

pub use self::postgres::Postgres;

/// What one process of ours has on the engine of the tests, which other tests use at the same time.
pub struct Containers(u32);

impl Containers {
    /// Of a process.
    pub fn of(owner: u32) -> Self {
        Self(owner)
    }

    /// Those that are there now, in any state.
    pub fn now(&self) -> Vec<String> {
        let filter = format!("label=io.lockgate.pid={}", self.0);
        let listed = docker_ok(&["ps", "--all", "--quiet", "--filter", &filter]);
        listed.lines().map(ToOwned::to_owned).collect()
    }
}

/// Nothing is left on the engine of processes that are gone, this one's children among them.
pub fn engine_must_be_clean() {
    for kind in ["container", "network"] {
        let mut arguments = vec![kind, "ls", "--filter", "label=io.lockgate.pid"];
        if kind == "container" {
            arguments.push("--all");
        }
        arguments.extend(["--format", "{{.ID}} {{.Label \"io.lockgate.pid\"}}"]);
        for line in docker_ok(&arguments).lines() {
            let owner = line.split_whitespace().nth(1).and_then(|o| o.parse::<u32>().ok());
            let alive = owner.is_some_and(|pid| {
                std::path::Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok()
            });
            assert!(alive, "a {kind} is left: {line}");
        }
    }
}
