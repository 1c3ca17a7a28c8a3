//! destination-postgres: rows of Airbyte's messages, through the component, in a real server.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
#[path = "postgres/mod.rs"]
mod scene;
#[path = "peers/postgres.rs"]
mod server;

#[path = "postgres/generations.rs"]
mod generations;
#[path = "postgres/kill.rs"]
mod kill;
#[path = "postgres/modes.rs"]
mod modes;
#[path = "postgres/security.rs"]
mod security;
#[path = "postgres/smoke.rs"]
mod smoke;
#[path = "postgres/syncs.rs"]
mod syncs;
#[path = "postgres/types.rs"]
mod types;
