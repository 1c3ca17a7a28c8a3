//! The connector against a real server, natively: `scripts/with-test-services cargo test -p
//! source-postgres`, or with `LOCKGATE_TEST_POSTGRES` naming a server whose owner may make databases
//! and roles.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod check;
mod full;
mod incremental;
mod replication;
mod scene;
mod selection;
mod types;
