//! The Docker engine and the PostgreSQL server that `scripts/with-test-services` starts.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "each test binary uses a part of it, and a test ends where something is missing"
)]

use std::process::Command;

/// A variable that says where a service is.
#[expect(clippy::disallowed_methods, reason = "where the services of the tests are")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests with scripts/with-test-services, or `make test`")
    })
}

/// The engine of the tests, which other tests use at the same time.
pub struct DockerEngine {
    host: String,
}

/// What one process of ours has on the engine.
pub struct Containers<'a> {
    engine: &'a DockerEngine,
    owner: u32,
}

impl DockerEngine {
    pub fn of_tests() -> Self {
        Self { host: variable("LOCKGATE_TEST_DOCKER") }
    }

    /// As `DOCKER_HOST` says it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Runs the command line's client, and gives what it printed.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = Command::new("docker")
            .args(arguments)
            .env("DOCKER_HOST", &self.host)
            .output()
            .expect("the docker client is there");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The containers of a process.
    pub fn containers_of(&self, owner: u32) -> Containers<'_> {
        Containers { engine: self, owner }
    }

    /// Nothing is left of processes that are gone, this one's children among them.
    pub fn must_be_clean(&self) {
        for kind in ["container", "network"] {
            let mut arguments = vec![kind, "ls", "--filter", "label=io.lockgate.pid"];
            if kind == "container" {
                arguments.push("--all");
            }
            let format = ["--format", "{{.ID}} {{.Label \"io.lockgate.pid\"}}"];
            arguments.extend(format);
            for line in self.docker(&arguments).lines() {
                let owner = line.split_whitespace().nth(1).and_then(|o| o.parse::<u32>().ok());
                let alive = owner.is_some_and(|pid| {
                    std::path::Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok()
                });
                assert!(alive, "a {kind} is left: {line}");
            }
        }
    }
}

impl Containers<'_> {
    /// Those that are there now, in any state.
    pub fn now(&self) -> Vec<String> {
        let filter = format!("label=io.lockgate.pid={}", self.owner);
        let listed = self.engine.docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        listed.lines().map(ToOwned::to_owned).collect()
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
