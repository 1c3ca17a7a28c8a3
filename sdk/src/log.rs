//! Messages for the operator.
//!
//! A message is text or [`format_args!`]. Logging never blocks and cannot fail; past the run's log limit
//! messages are dropped and counted.
//!
//! ```
//! use lockgate_sdk::log;
//!
//! let count = 3;
//! log::info(format_args!("{count} pages"));
//! log::warn("the API is slow");
//! ```

use std::fmt::Display;

pub use crate::bindings::logging::Level;

/// Says something to the operator. It must not hold a secret.
pub fn log(level: Level, message: impl Display) {
    crate::local::log(level, &message.to_string());
}

/// What only a debugger of the connector wants.
pub fn trace(message: impl Display) {
    log(Level::Trace, message);
}

/// What helps to understand a run.
pub fn debug(message: impl Display) {
    log(Level::Debug, message);
}

/// What an operator may like to know.
pub fn info(message: impl Display) {
    log(Level::Info, message);
}

/// What an operator should know though the run goes on.
pub fn warn(message: impl Display) {
    log(Level::Warn, message);
}

/// What went wrong.
pub fn error(message: impl Display) {
    log(Level::Error, message);
}
