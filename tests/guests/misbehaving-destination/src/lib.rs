//! A destination that breaks the contract in the way its configuration asks for: what a host must
//! withstand.
//!
//! `{"mode": "..."}` selects the fault; the members beside it are in `Mode`. With `"during":
//! "check"` a fault that needs no input happens in `check`.

mod abuse;
mod faults;
#[path = "../../misbehaving-source/src/leak.rs"]
mod leak;

use lockgate_sdk::Failure;
use lockgate_sdk::bindings::destination::Guest;
use lockgate_sdk::bindings::types::{Catalog, DestinationSyncMode, RowFormat, Specification};
use serde::Deserialize;

/// What goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
enum Mode {
    /// Nothing: commits each checkpoint with the right totals.
    WellBehaved,
    /// Returns success after so many events.
    ReturnEarly {
        #[serde(default = "one")]
        events: u64,
    },
    /// Commits an id that was never given.
    CommitUnknown,
    /// Commits each checkpoint twice.
    CommitTwice,
    /// Keeps the checkpoints and commits the last one first.
    CommitOutOfOrder,
    /// Says that one row less was written than received.
    WrongTotals,
    /// Leaves the totals out.
    NoTotals,
    /// Says the totals of a stream that is not in the catalog.
    UnknownStream,
    /// Says that each row was rejected.
    RejectAll,
    /// Panics at a batch, counted from 1.
    Trap {
        #[serde(default = "one")]
        batch: u64,
    },
    /// Fails once it received so many rows.
    FailAfter {
        rows: u64,
        #[serde(default)]
        kind: Kind,
    },
    /// Returns success and never commits.
    NeverCommit,
    /// Commits nothing before its input ends, not even at a flush; then the last checkpoint.
    IgnoreFlush,
    /// Goes on after the host's failure and returns success.
    IgnoreFailure,
    /// Never returns and never calls the host.
    Spin,
    /// Sleeps so many milliseconds before each event.
    Slow { millis: u64 },
    /// Allocates memory until there is none, then traps.
    Hog,
    /// Recurses until the stack is used up.
    Overflow,
    /// Logs its environment and arguments.
    Env,
    /// Reads and writes at a path and logs what came of it.
    Touch { path: String },
    /// Logs so many messages of so many bytes.
    Flood { messages: u64, bytes: usize },
    /// Logs, prints and fails with control characters.
    Escape,
    /// Replaces the configuration by what is no object.
    BadConfig,
    /// Tells the values of these members (JSON pointers) and of its variables, in every form.
    Leak {
        by: String,
        #[serde(default)]
        members: Vec<String>,
    },
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Config,
    Transient,
    #[default]
    System,
    Cancelled,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(flatten)]
    mode: Mode,
    #[serde(default)]
    during: During,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum During {
    Check,
    #[default]
    Write,
}

fn one() -> u64 {
    1
}

/// The destination.
#[derive(Debug)]
pub struct Misbehaving;

impl Guest for Misbehaving {
    fn spec() -> Specification {
        Specification {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documentation_url: None,
            config_schema: r#"{"type":"object","required":["mode"],"properties":{"marked":{"type":"string","airbyte_secret":true},"short":{"type":"string","maxLength":3}}}"#
                .to_owned(),
            destination_sync_modes: vec![
                DestinationSyncMode::Append,
                DestinationSyncMode::Overwrite,
                DestinationSyncMode::AppendDedup,
            ],
            formats: vec![RowFormat::JsonLines],
            needs: Vec::new(),
            extra: "{}".to_owned(),
        }
    }

    fn check(text: String) -> Result<(), Failure> {
        let config = parse(&text)?;
        if config.during == During::Check {
            abuse::run(&config.mode)?;
            leak(&config.mode, &text)?;
        }
        Ok(())
    }

    fn write(text: String, catalog: Catalog) -> Result<(), Failure> {
        let config = parse(&text)?;
        if config.during == During::Write {
            abuse::run(&config.mode)?;
            leak(&config.mode, &text)?;
        }
        faults::write(&config.mode, &catalog)
    }
}

#[cfg(target_family = "wasm")]
lockgate_sdk::bindings::destination::export!(
    Misbehaving with_types_in lockgate_sdk::bindings::destination
);

fn leak(mode: &Mode, config: &str) -> Result<(), Failure> {
    match mode {
        Mode::Leak { by, members } => leak::run(by, config, members),
        _ => Ok(()),
    }
}

fn parse(config: &str) -> Result<Config, Failure> {
    serde_json::from_str(config).map_err(|error| Failure::config(error.to_string()))
}
