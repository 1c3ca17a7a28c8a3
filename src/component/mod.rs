//! Floor 2: components. From a file to a checked and compiled component, from there to an instance
//! with exactly what its policy grants, and the contract's imports on the host's side.
//!
//! The attack: a component is native code to be, chosen by a stranger. It is compiled by us or not
//! at all, linked against what its policy grants and nothing else, and each operation runs in a
//! store of its own, under limits, so that a trap, a flood or an endless loop ends that operation
//! and touches no other.

mod bindings;
mod cache;
mod compiler;
mod contract;
mod convert;
mod cpu;
mod engine;
mod error;
mod filesystem;
mod header;
mod image;
mod imports;
mod link;
mod loaded;
pub(crate) mod network;
mod output_log;
mod runtime;
mod store;

pub use cache::CompileCache;
pub use compiler::{COMPILE_COMMAND, Compiler, compile_from_stdin};
pub use contract::{CONTRACT_VERSION, Kind};
pub use engine::Interruption;
pub(crate) use engine::become_worker;
#[doc(hidden)]
pub use engine::measure_without_limits;
pub use error::ComponentError;
#[doc(hidden)]
pub use header::header;
pub use image::Image;
pub use loaded::{Component, Import};
pub use network::{Resolver, SystemResolver};
pub use runtime::ComponentRuntime;
pub use store::Operation;
