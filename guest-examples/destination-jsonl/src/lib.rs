//! Writes each stream to a file of JSON lines in a granted directory.
//!
//! Appended rows go to the end of `STREAM.jsonl`. Replacing rows go to a hidden file beside it, which
//! takes the name when the stream is complete: whoever reads the directory sees the old rows or the
//! new ones, never a part. A checkpoint is committed when its rows are on the disk.

mod name;
mod table;
#[cfg(test)]
mod tests;
mod writer;

use lockgate_sdk::{
    Catalog, Destination, DestinationSyncMode, Failure, Input, Spec, export_destination, fs,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where the files go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "JSON lines")]
pub struct Config {
    /// The granted directory the files are written to, as an absolute path in the sandbox.
    #[schemars(title = "Path", regex(pattern = "^/"), example = "/out")]
    path: String,
}

/// The connector.
#[derive(Debug)]
pub struct Jsonl;

impl Destination for Jsonl {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .modes([DestinationSyncMode::Append, DestinationSyncMode::Overwrite])
            .need("directory-write", "${path}", "writes one file a stream")
    }

    fn check(config: Config) -> Result<(), Failure> {
        fs::Directory::open_granted(&config.path)?.try_writing()
    }

    fn write(config: Config, catalog: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        let plans = table::plan(catalog)?;
        let directory = fs::Directory::open_granted(&config.path)?;
        table::remove_stale(&directory, &plans)?;
        writer::write(&directory, plans, input)
    }
}

export_destination!(Jsonl);
