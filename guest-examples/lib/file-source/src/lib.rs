//! Reads rows from files of CSV, JSON lines and Parquet: what the components `source-file` and
//! `source-file-http` share. It is a library and no connector.
//!
//! A row becomes a line of JSON in the batch that is sent, straight from what was read. Files are read in
//! the order of their names; a state says of each how far, so that an incremental read goes on behind it.
//!
//! The README of `source-file` says what becomes of types, of what does not fit them, and of files that
//! change.

mod check;
mod config;
mod csv;
mod discover;
mod jsonl;
mod limits;
#[macro_use]
mod operator;
mod parquet;
mod place;
mod progress;
mod read;
mod schema;
mod servers;
mod shape;
mod state;
#[cfg(test)]
mod tests;
mod text;

#[cfg(test)]
extern crate self as file_source;

use lockgate_sdk::{Catalog, Failure, Output, SavedState, Stream};

pub use self::config::{
    Compression, Config, CsvConfig, Encoding, Format, OnFault, StreamConfig, TypeConfig, TypeName,
    default_checkpoint_mib, default_sample_rows,
};
pub use self::place::http_servers;
pub use self::servers::{Remote, Servers};

/// Tries whether a configuration can be read from: the first file of each stream is opened.
///
/// # Errors
/// What is missing: a grant, a file, or what it should be.
pub fn check(config: &Config) -> Result<(), Failure> {
    config.validate()?;
    check::check(config)
}

/// The streams of a configuration, with schemas found out from samples of their files.
///
/// # Errors
/// A stream has no file, or one that cannot be read.
pub fn discover(config: &Config) -> Result<Vec<Stream>, Failure> {
    config.validate()?;
    discover::discover(config)
}

/// Reads the catalog's streams from their states on.
///
/// # Errors
/// What stopped the read, with its place in the file.
pub fn read(
    config: &Config,
    catalog: &Catalog,
    state: &SavedState,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    config.validate()?;
    read::read(config, catalog, state, output)
}
