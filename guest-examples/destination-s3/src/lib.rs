//! Writes each stream to objects of an S3 bucket, or of what is like S3, from inside the sandbox: through
//! the host's HTTP, to the one place that is granted.
//!
//! Rows are objects of JSON lines, CSV or Parquet in a folder a stream; a small object beside them, the
//! manifest, names those that count. An object is there as a whole or not at all, and so is the list: what
//! a reader finds through the manifest is what was committed, and a stream that is replaced changes from
//! its old rows to its new ones by one request.
//!
//! `README.md` beside this crate says what becomes of names, generations and what a killed sync leaves.

mod config;
mod key;
mod lane;
mod manifest;
mod plan;
mod writer;

use lockgate_sdk::retry::Policy;
use lockgate_sdk::{
    Catalog, Destination, DestinationSyncMode, Failure, Input, Spec, export_destination,
};
use s3_client::{Bucket, Condition};

pub use self::config::Config;

/// The connector.
#[derive(Debug)]
pub struct S3;

impl Destination for S3 {
    type Config = Config;

    fn spec() -> Spec {
        // Without an endpoint it is AWS, at a host that no pattern says: who lacks that grant is told.
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .modes([DestinationSyncMode::Append, DestinationSyncMode::Overwrite])
            .need("network", "${endpoint}", "writes the objects")
            .extra("supportsRefreshes", true)
    }

    fn check(config: Config) -> Result<(), Failure> {
        config.check()?;
        let bucket = Bucket::new(&config.access(), Policy::BRIEF)?;
        // Asked first because its refusals say why.
        bucket.list(&key::folder_of_prefix(&config.prefix), None)?;
        let probe = key::probe(&config.prefix);
        bucket.put(&probe, b"{}\n", "application/json", &Condition::None)?;
        let read = bucket.get(&probe, 16);
        bucket.delete(&[&probe])?;
        read?;
        Ok(())
    }

    fn write(config: Config, catalog: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        config.check()?;
        writer::write(&config, catalog, input)
    }
}

export_destination!(S3);
