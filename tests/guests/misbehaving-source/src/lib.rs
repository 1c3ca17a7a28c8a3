//! A source that breaks the contract in the way its configuration asks for: what a host must
//! withstand.
//!
//! `{"mode": "..."}` selects the fault; the members beside it are in `Mode` and `Shape`. With
//! `"during": "check"` or `"discover"` a fault that needs no output happens there.

mod abuse;
mod faults;
mod leak;

use lockgate_sdk::Failure;
use lockgate_sdk::bindings::source::Guest;
use lockgate_sdk::bindings::types::{
    Catalog, DiscoveredStream, RowFormat, Specification, State, StreamDescriptor, SyncMode,
};
use serde::Deserialize;

/// What goes wrong. Most faults happen after [`Shape::after`] rows of a stream.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
enum Mode {
    /// Nothing: rows, checkpoints, and every stream complete.
    WellBehaved,
    /// As `well-behaved`, with global checkpoints instead of one a stream.
    Global,
    /// As `well-behaved`, with `meta` and one time a row.
    Meta,
    /// Each stream ends as incomplete, and `read` returns success.
    ExitIncomplete,
    /// Returns success without a status at the end.
    NoComplete,
    /// Fails.
    FailMid {
        #[serde(default)]
        kind: Kind,
    },
    /// Panics.
    TrapMid,
    /// Says one row more than there is.
    WrongCount,
    /// Emits a batch without rows.
    ZeroCount,
    /// Emits a batch of a stream that is not in the catalog.
    BadStreamIndex,
    /// Reports the status of a stream that is not in the catalog.
    BadStatusIndex,
    /// Emits rows after the stream is complete.
    AfterComplete,
    /// Reports each stream as complete twice.
    CompleteTwice,
    /// Gives a checkpoint for a stream that is not in the catalog.
    UnknownStreamState,
    /// Gives a checkpoint that is no JSON object.
    BadState,
    /// Gives a checkpoint of so many bytes.
    HugeState { bytes: usize },
    /// Leaves the last LF of a batch out.
    RowsNotEnded,
    /// Emits rows that are not JSON.
    NotJson,
    /// Gives meta of a row that is not in the batch.
    BadMeta,
    /// Gives two times for more than two rows.
    BadTimes,
    /// Goes on after the host's failure and returns success.
    IgnoreFailure,
    /// Emits one row of so many bytes.
    HugeRow { bytes: usize },
    /// Sleeps so many milliseconds before each batch.
    Slow { millis: u64 },
    /// Discovers the same stream twice.
    DuplicateStream,
    /// Never returns and never calls the host.
    Spin,
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
    /// Logs and fails with control characters.
    Escape,
    /// Replaces the members of the stored configuration by these, then goes on.
    UpdateConfig { members: serde_json::Map<String, serde_json::Value> },
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

/// What the rows look like.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct Shape {
    /// The streams that are discovered.
    streams: Vec<String>,
    /// How many rows each stream has.
    rows: u64,
    /// The length of a row, its LF included; a row is longer when its members need it.
    row_bytes: usize,
    /// How many rows go in a batch.
    rows_per_batch: u64,
    /// A checkpoint follows each time so many rows were emitted.
    rows_per_checkpoint: u64,
    /// How many rows come before the fault.
    after: u64,
    /// The fault happens only in a read that begins before this row; none: in every read.
    until: Option<u64>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            streams: vec!["rows".to_owned()],
            rows: 10,
            row_bytes: 100,
            rows_per_batch: 1,
            rows_per_checkpoint: 5,
            after: 3,
            until: None,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(flatten)]
    mode: Mode,
    #[serde(flatten)]
    shape: Shape,
    #[serde(default)]
    during: During,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum During {
    Check,
    Discover,
    #[default]
    Read,
}

/// The source.
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
            destination_sync_modes: Vec::new(),
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

    fn discover(text: String) -> Result<Vec<DiscoveredStream>, Failure> {
        let config = parse(&text)?;
        if config.during == During::Discover {
            abuse::run(&config.mode)?;
            leak(&config.mode, &text)?;
        }
        let mut streams: Vec<_> = config.shape.streams.iter().map(|name| stream(name)).collect();
        if let Mode::Leak { by, members } = &config.mode {
            let mut texts = leak::texts(&text, members);
            texts.sort();
            texts.dedup();
            match by.as_str() {
                "name" => streams.extend(texts.iter().map(|text| stream(text))),
                "schema" => {
                    for stream in &mut streams {
                        stream.json_schema = serde_json::json!({
                            "type": "object", "description": texts, "properties": { texts.join(""): {} },
                        })
                        .to_string();
                        stream.extra = serde_json::json!({ "x": texts }).to_string();
                    }
                }
                _ => {}
            }
        }
        if matches!(config.mode, Mode::DuplicateStream) {
            streams.extend_from_within(..1);
        }
        Ok(streams)
    }

    fn read(text: String, catalog: Catalog, state: Vec<State>) -> Result<(), Failure> {
        let config = parse(&text)?;
        if config.during == During::Read {
            abuse::run(&config.mode)?;
            leak(&config.mode, &text)?;
        }
        let told = match &config.mode {
            Mode::Leak { members, .. } => leak::texts(&text, members),
            _ => Vec::new(),
        };
        faults::read(&config.mode, &config.shape, &told, &catalog, &state)
    }
}

#[cfg(target_family = "wasm")]
lockgate_sdk::bindings::source::export!(
    Misbehaving with_types_in lockgate_sdk::bindings::source
);

fn parse(config: &str) -> Result<Config, Failure> {
    serde_json::from_str(config).map_err(|error| Failure::config(error.to_string()))
}

fn leak(mode: &Mode, config: &str) -> Result<(), Failure> {
    match mode {
        Mode::Leak { by, members } => leak::run(by, config, members),
        _ => Ok(()),
    }
}

fn stream(name: &str) -> DiscoveredStream {
    DiscoveredStream {
        descriptor: StreamDescriptor::new(name),
        json_schema:
            r#"{"type":"object","properties":{"id":{"type":"integer"},"text":{"type":"string"}}}"#
                .to_owned(),
        sync_modes: vec![SyncMode::FullRefresh, SyncMode::Incremental],
        source_defined_cursor: true,
        default_cursor_field: vec!["id".to_owned()],
        source_defined_primary_key: vec![vec!["id".to_owned()]],
        resumable: true,
        extra: "{}".to_owned(),
    }
}
