//! Writes each stream to a table of PostgreSQL, from inside the sandbox: over `wasi:sockets`, to the
//! one server that is granted.
//!
//! A row of a stream is a row of its table: a typed column for each member that the stream's schema
//! declares, and Airbyte's columns beside them. Rows are added, merged by key, or replaced at once when
//! all are there. What is written is committed together with a note of it, before the host hears that
//! a checkpoint is safe.
//!
//! `README.md` beside this crate says what becomes of names, types, keys and generations.

mod config;
mod plan;
mod row;
mod session;
mod sql;
mod table;
mod writer;

use lockgate_sdk::{
    Catalog, Destination, DestinationSyncMode, Failure, Input, Spec, export_destination,
};

pub use self::config::Config;

/// The connector.
#[derive(Debug)]
pub struct Postgres;

impl Destination for Postgres {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .modes([
                DestinationSyncMode::Append,
                DestinationSyncMode::Overwrite,
                DestinationSyncMode::AppendDedup,
            ])
            .need("network", "${host}:${port}", "writes to the database")
            .extra("supportsRefreshes", true)
    }

    fn check(config: Config) -> Result<(), Failure> {
        let mut connection = session::open(&config)?;
        table::check(&mut connection, &config.schema)
    }

    fn write(config: Config, catalog: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        writer::write(&config, catalog, input)
    }
}

export_destination!(Postgres);
