//! The PostgreSQL server that `scripts/with-test-services` starts.

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
        Self::at(&variable("LOCKGATE_TEST_POSTGRES"))
    }

    /// The server of a URL.
    pub fn at(url: &str) -> Self {
        let parsed = url::Url::parse(url).expect("a URL");
        Self {
            host: parsed.host_str().expect("a host").to_owned(),
            port: parsed.port().expect("a port"),
            user: parsed.username().to_owned(),
            password: parsed.password().expect("a password").to_owned(),
            database: parsed.path().trim_start_matches('/').to_owned(),
            url: url.to_owned(),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// A schema that no other test has, empty.
    pub fn schema(&self) -> String {
        let name = format!("test_{}", std::process::id());
        self.lines(&format!("drop schema if exists \"{name}\" cascade"));
        name
    }

    /// The lines that a query gives.
    pub fn lines(&self, query: &str) -> Vec<String> {
        self.lines_in(&self.database, query)
    }

    /// The same in another database.
    pub fn lines_in(&self, database: &str, query: &str) -> Vec<String> {
        let mut url = url::Url::parse(&self.url).expect("a URL");
        url.set_path(database);
        let output = Command::new("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                url.as_str(),
                "-c",
                query,
            ])
            .output()
            .expect("psql is there");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{query}: {errors}");
        String::from_utf8(output.stdout).expect("text").lines().map(ToOwned::to_owned).collect()
    }
}
