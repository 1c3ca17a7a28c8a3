//! The floors of Lockgate that read what strangers write, and nothing else of it: fuzzing builds
//! everything anew, and the engine alone would take ten minutes.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "the floors above them are not here")]

#[path = "../src/config/mod.rs"]
pub mod config;
#[path = "../src/fault.rs"]
pub mod fault;
#[path = "../src/protocol/mod.rs"]
pub mod protocol;
#[path = "../src/sandbox/mod.rs"]
pub mod sandbox;

/// What is known of a component before there is an engine.
#[path = "../src/component"]
pub mod component {
    #[path = "error.rs"]
    mod error;
    #[path = "header.rs"]
    mod header;

    pub use error::ComponentError;
    pub use header::header;
}
