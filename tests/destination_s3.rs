//! destination-s3: rows of Airbyte's messages, through the component, in a server that answers as S3 does.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
#[path = "s3/mod.rs"]
mod scene;

#[path = "s3/errors.rs"]
mod errors;
#[path = "s3/kill.rs"]
mod kill;
#[path = "s3/syncs.rs"]
mod syncs;
