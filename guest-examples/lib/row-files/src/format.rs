//! What files are like.

use lockgate_sdk::Failure;
use schemars::JsonSchema;
use serde::Deserialize;

/// A kind of file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line, as the source sent it.
    #[default]
    Jsonl,
    /// Comma-separated values (RFC 4180) below a line of names.
    Csv,
    /// Apache Parquet, compressed by Snappy.
    Parquet,
}

/// How lines are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not.
    #[default]
    None,
    /// By gzip.
    Gzip,
}

/// What holds a number that may have a fraction, in Parquet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// A double: one with more digits is rounded, and noted in the row's `_airbyte_meta`.
    #[default]
    Double,
    /// Its text, all digits.
    Text,
}

/// What all files of a destination have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The kind of file.
    pub format: Format,
    /// How it is compressed.
    pub compression: Compression,
    /// What holds numbers.
    pub numbers: Numbers,
    /// Do files of columns have those of the platform, `_airbyte_…`?
    pub metadata: bool,
}

impl Options {
    /// The ending of a file's name, with its point.
    #[must_use]
    pub fn ending(&self) -> &'static str {
        match (self.format, self.compression) {
            (Format::Jsonl, Compression::None) => ".jsonl",
            (Format::Jsonl, Compression::Gzip) => ".jsonl.gz",
            (Format::Csv, Compression::None) => ".csv",
            (Format::Csv, Compression::Gzip) => ".csv.gz",
            (Format::Parquet, _) => ".parquet",
        }
    }

    /// What one sends whoever asks for the file's kind.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match (self.format, self.compression) {
            (Format::Parquet, _) => "application/vnd.apache.parquet",
            (_, Compression::Gzip) => "application/gzip",
            (Format::Jsonl, _) => "application/x-ndjson",
            (Format::Csv, _) => "text/csv",
        }
    }

    /// Refuses what does not go together.
    ///
    /// # Errors
    /// `config`: it names the members.
    pub fn check(&self) -> Result<(), Failure> {
        if self.format == Format::Parquet && self.compression == Compression::Gzip {
            return Err(Failure::config(
                "`compression` is gzip and `format` is parquet, whose columns are compressed by \
                 themselves (Snappy): leave `compression` out",
            ));
        }
        Ok(())
    }
}
