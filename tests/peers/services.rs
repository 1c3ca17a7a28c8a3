//! What is on the Docker engine, and the PostgreSQL server, that `scripts/with-test-services` starts.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "each test binary uses a part of it, and a test ends where something is missing"
)]

use std::process::Command;

use crate::docker::docker_ok;

/// A variable that says where a service is.
#[expect(clippy::disallowed_methods, reason = "where the services of the tests are")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests with scripts/with-test-services, or `make test`")
    })
}

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

/// The server of the tests.
pub struct Postgres {
    url: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl Postgres {
    pub fn of_tests() -> Self {
        let url = variable("LOCKGATE_TEST_POSTGRES");
        let parsed = url::Url::parse(&url).expect("a URL");
        Self {
            host: parsed.host_str().expect("a host").to_owned(),
            port: parsed.port().expect("a port"),
            user: parsed.username().to_owned(),
            password: parsed.password().expect("a password").to_owned(),
            database: parsed.path().trim_start_matches('/').to_owned(),
            url,
        }
    }

    /// A schema that no other test has, empty.
    pub fn schema(&self) -> String {
        let name = format!("test_{}", std::process::id());
        self.lines(&format!("drop schema if exists \"{name}\" cascade"));
        name
    }

    /// The lines that a query gives.
    pub fn lines(&self, query: &str) -> Vec<String> {
        let output = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url, "-c", query])
            .output()
            .expect("psql is there");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{query}: {errors}");
        String::from_utf8(output.stdout).expect("text").lines().map(ToOwned::to_owned).collect()
    }
}
