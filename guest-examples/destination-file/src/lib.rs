//! Writes each stream to a folder of files, of JSON lines, CSV or Parquet, in a granted directory.
//!
//! A file gets its name when it is whole and on the disk, and a checkpoint is committed after that. Rows
//! that replace others go to a hidden folder, which takes the place of the old one when the stream is
//! complete: whoever reads the folder sees the old rows or the new ones, never both.

mod config;
mod folder;
mod part;
mod plan;
#[cfg(test)]
mod tests;
mod writer;

use lockgate_sdk::{
    Catalog, Destination, DestinationSyncMode, Failure, Input, Spec, export_destination, fs,
};

pub use config::Config;

/// The connector.
#[derive(Debug)]
pub struct Files;

impl Destination for Files {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .modes([DestinationSyncMode::Append, DestinationSyncMode::Overwrite])
            .need("directory-write", "${path}", "writes a folder a stream")
    }

    fn check(config: Config) -> Result<(), Failure> {
        config.check()?;
        fs::Directory::open_granted(&config.path)?.try_writing()
    }

    fn write(config: Config, catalog: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        config.check()?;
        let plans = plan::plan(catalog, config.options())?;
        let directory = fs::Directory::open_granted(&config.path)?;
        writer::write(&config, directory, plans, input)
    }
}

export_destination!(Files);
