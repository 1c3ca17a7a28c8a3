//! A source that does what its configuration lists with the directories it was granted, by the calls
//! of `wasi:filesystem` themselves, and logs what each came to: `ok`, or the name of the error.
//!
//! `{"steps": [{"do": "write", "in": "/data", "path": "x", "open": ["read"], "bytes": 1}]}`

#[cfg(target_family = "wasm")]
mod steps;

use lockgate_sdk::Failure;
use lockgate_sdk::bindings::source::Guest;
use lockgate_sdk::bindings::types::{Catalog, DiscoveredStream, RowFormat, Specification, State};
use serde::Deserialize;

/// One thing to try.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(
    not(target_family = "wasm"),
    expect(dead_code, reason = "there are directories of a host in a component only")
)]
struct Step {
    #[serde(rename = "do")]
    what: String,
    /// The granted directory.
    #[serde(rename = "in")]
    within: String,
    /// In a path, `{}` is the number of the repetition.
    #[serde(default)]
    path: String,
    /// The other end of a rename or a link, or what a symbolic link names.
    #[serde(default)]
    to: String,
    /// The granted directory of the other end; none: the same.
    #[serde(default)]
    to_in: Option<String>,
    /// How the file is opened: `read`, `write`, `mutate`, `create`, `exclusive`, `truncate`,
    /// `directory`, `nofollow`.
    #[serde(default)]
    open: Vec<String>,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    offset: u64,
    #[serde(default = "once")]
    repeat: u64,
    /// What was opened stays open until the end.
    #[serde(default)]
    keep: bool,
}

fn once() -> u64 {
    1
}

#[derive(Debug, Deserialize)]
struct Config {
    steps: Vec<Step>,
}

/// The source.
#[derive(Debug)]
pub struct Filesystem;

fn run(config: &str) -> Result<(), Failure> {
    let config: Config =
        serde_json::from_str(config).map_err(|error| Failure::config(error.to_string()))?;
    #[cfg(target_family = "wasm")]
    steps::run(&config.steps);
    #[cfg(not(target_family = "wasm"))]
    let _ = config.steps;
    Ok(())
}

impl Guest for Filesystem {
    fn spec() -> Specification {
        Specification {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documentation_url: None,
            config_schema: r#"{"type":"object","required":["steps"]}"#.to_owned(),
            destination_sync_modes: Vec::new(),
            formats: vec![RowFormat::JsonLines],
            needs: Vec::new(),
            extra: "{}".to_owned(),
        }
    }

    fn check(config: String) -> Result<(), Failure> {
        run(&config)
    }

    fn discover(_config: String) -> Result<Vec<DiscoveredStream>, Failure> {
        Ok(Vec::new())
    }

    fn read(config: String, _catalog: Catalog, _state: Vec<State>) -> Result<(), Failure> {
        run(&config)
    }
}

#[cfg(target_family = "wasm")]
lockgate_sdk::bindings::source::export!(
    Filesystem with_types_in lockgate_sdk::bindings::source
);
