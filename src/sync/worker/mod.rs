//! A sync in a process of its own: both components in one child that nothing slows down, and that
//! is killed when it does not behave.
//!
//! The attack: a component finds a fault of the engine and leaves its sandbox. Then it is in a
//! process that holds this sync's configurations and grants and nothing else: no state store, no
//! cache of compiled code, no other sync. What that process says is checked like any stranger's
//! words ([`frame`], [`supervisor`]), and it is killed when it breaks the protocol or a deadline.
//!
//! The child is this program, called `lockgate worker`. It runs [`Destination::write`] with a state
//! store and an observer that ask the parent ([`serve`]).
//!
//! [`Destination::write`]: crate::Destination::write

mod error;
mod frame;
mod hiding;
mod message;
mod meter;
mod remote;
mod serve;
mod spawn;
mod supervisor;
mod turns;

use std::path::PathBuf;

pub use error::{RemoteError, WorkerError};
pub use serve::serve;

pub(super) use supervisor::{Supervised, both, supervise};

/// The program that is started as a worker: `lockgate` itself.
#[derive(Debug, Clone)]
pub struct WorkerProgram(PathBuf);

impl WorkerProgram {
    /// A `lockgate` of the same version.
    #[must_use]
    pub fn new(lockgate: impl Into<PathBuf>) -> Self {
        Self(lockgate.into())
    }

    /// The program that runs now, which must be `lockgate`.
    #[must_use]
    pub fn this_program() -> Self {
        // The file may have been replaced since it was started; this is the one that runs.
        Self(PathBuf::from("/proc/self/exe"))
    }
}
