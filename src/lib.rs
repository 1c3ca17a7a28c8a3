//! Lockgate.

pub mod component;
pub mod executor;
pub mod fault;
pub mod protocol;
pub mod sandbox;
pub mod config;
pub mod state;
pub mod connector;
pub mod sync;
pub mod cli;
