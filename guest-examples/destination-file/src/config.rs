//! The configuration.

use std::time::Duration;

use lockgate_sdk::Failure;
use row_files::{Compression, Format, Numbers, Options};
use schemars::JsonSchema;
use serde::Deserialize;

/// The fewest bytes of a file that is complete because of its size.
const LEAST_FILE_BYTES: u64 = 1 << 16;

/// Where the files go, and what they are like.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Files")]
pub struct Config {
    /// The granted directory the folders are written to, as an absolute path in the sandbox.
    #[schemars(title = "Path", regex(pattern = "^/"), example = "/out")]
    pub(crate) path: String,

    /// The kind of file.
    #[schemars(title = "Format")]
    #[serde(default)]
    format: Format,

    /// How JSON lines and CSV are compressed. Parquet is compressed by itself.
    #[schemars(title = "Compression")]
    #[serde(default)]
    compression: Compression,

    /// What holds numbers that may have a fraction, in Parquet: doubles, or texts with all digits.
    #[schemars(title = "Numbers")]
    #[serde(default)]
    numbers: Numbers,

    /// Do CSV and Parquet have the columns `_airbyte_additional_properties`, `_airbyte_extracted_at`,
    /// `_airbyte_generation_id` and `_airbyte_meta`? Without them, what a column cannot hold is lost,
    /// with a warning.
    #[schemars(title = "Columns of the platform")]
    #[serde(default = "yes")]
    metadata: bool,

    /// A file is complete when it has so many bytes; it is smaller where a checkpoint or the stream's
    /// end comes before.
    #[schemars(title = "Bytes of a file", range(min = 65536))]
    #[serde(default = "file_bytes")]
    pub(crate) file_bytes: u64,

    /// A checkpoint waits this long at most until its files are completed and it is committed, in
    /// seconds. So much work is done again at most after a crash; less of it makes more and smaller files.
    #[schemars(title = "Seconds between commits", range(min = 0, max = 3600))]
    #[serde(default = "commit_seconds")]
    commit_seconds: u64,
}

fn yes() -> bool {
    true
}

fn file_bytes() -> u64 {
    128 << 20
}

fn commit_seconds() -> u64 {
    60
}

impl Config {
    pub(crate) fn options(&self) -> Options {
        Options {
            format: self.format,
            compression: self.compression,
            numbers: self.numbers,
            metadata: self.metadata,
        }
    }

    pub(crate) fn commit_interval(&self) -> Duration {
        Duration::from_secs(self.commit_seconds)
    }

    /// Refuses what the schema cannot say.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.file_bytes < LEAST_FILE_BYTES {
            let given = self.file_bytes;
            return Err(Failure::config(format!(
                "`file_bytes` is {given}, less than {LEAST_FILE_BYTES}: there would be a file for a few rows"
            )));
        }
        self.options().check()
    }
}
