//! Reads files of CSV, JSON lines and Parquet, from inside the sandbox: in a directory that is granted,
//! or over HTTP.
//!
//! A row becomes a line of JSON in the batch that is sent, straight from what was read. Files are read in
//! the order of their names; a state says of each how far, so that an incremental read goes on behind it.
//!
//! `README.md` beside this crate says what becomes of types, of what does not fit them, and of files that
//! change.

mod check;
mod config;
mod csv;
mod discover;
mod jsonl;
mod limits;
mod parquet;
mod place;
mod read;
mod shape;
#[cfg(test)]
mod tests;
mod text;

use lockgate_sdk::{Catalog, Failure, Output, SavedState, Source, Spec, Stream, export_source};

pub use self::config::{
    Compression, Config, CsvConfig, Encoding, Format, OnFault, StreamConfig, TypeConfig, TypeName,
};

/// Hosts of a configuration that are said to be needed.
const HOSTS: usize = 8;

/// The connector.
#[derive(Debug)]
pub struct Files;

impl Source for Files {
    type Config = Config;

    fn spec() -> Spec {
        let spec = Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).need(
            "directory-read",
            "${path}",
            "reads the files in it",
        );
        (0..HOSTS).fold(spec, |spec, host| {
            spec.need("network", format!("${{hosts.{host}}}"), "reads files over HTTP")
        })
    }

    fn check(config: Config) -> Result<(), Failure> {
        config.validate()?;
        check::check(&config)
    }

    fn discover(config: Config) -> Result<Vec<Stream>, Failure> {
        config.validate()?;
        discover::discover(&config)
    }

    fn read(
        config: Config,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        config.validate()?;
        read::read(&config, catalog, state, output)
    }
}

export_source!(Files);
