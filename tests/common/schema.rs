//! A schema of the PostgreSQL server that `scripts/with-test-services` starts, for one test.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::panic,
    reason = "each test binary uses a part of it, and a test ends where something is missing"
)]

use std::sync::atomic::{AtomicU64, Ordering};

/// The server's URL.
#[expect(clippy::disallowed_methods, reason = "where the services of the tests are")]
pub fn server() -> String {
    std::env::var("LOCKGATE_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "LOCKGATE_TEST_POSTGRES is not set: run the tests with scripts/with-test-services, or `make test`"
        )
    })
}

/// Dropped with the test.
#[derive(Debug)]
pub struct Schema {
    pub name: String,
}

impl Schema {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let schema = Self { name: format!("test_{}_{next}", std::process::id()) };
        schema.run(&format!("DROP SCHEMA IF EXISTS {} CASCADE", schema.name));
        schema
    }

    /// The URL of the server with this schema.
    pub fn url(&self) -> String {
        format!("{}?schema={}", server(), self.name)
    }

    pub fn client(&self) -> postgres::Client {
        let mut client =
            postgres::Client::connect(&server(), postgres::NoTls).expect("the server answers");
        let path = format!("SET search_path TO {}", self.name);
        client.batch_execute(&path).expect("a search path");
        client
    }

    pub fn run(&self, sql: &str) {
        self.client().batch_execute(sql).expect("SQL that can be run");
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        self.run(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name));
    }
}
