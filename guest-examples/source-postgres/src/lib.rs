//! Reads tables, views and partitioned tables of PostgreSQL, from inside the sandbox: over
//! `wasi:sockets`, from the one server that is granted.
//!
//! A row becomes a line of JSON straight from the bytes that the server sent. A table is read in ranges
//! of pages under one snapshot, with a checkpoint after each; or, incrementally, in the order of a
//! cursor.
//!
//! `README.md` beside this crate says what becomes of types, which rows a state covers, and what is
//! promised of rows that change meanwhile.

mod check;
mod config;
mod read;
mod relation;
mod replication;
mod row;
mod session;
mod value;

use lockgate_sdk::{Catalog, Failure, Output, SavedState, Source, Spec, Stream, export_source};

pub use self::config::Config;

/// The connector.
#[derive(Debug)]
pub struct Postgres;

impl Source for Postgres {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).need(
            "network",
            "${host}:${port}",
            "reads from the database",
        )
    }

    fn check(config: Config) -> Result<(), Failure> {
        config.validate()?;
        check::check(&mut session::open(&config)?, &config)
    }

    fn discover(config: Config) -> Result<Vec<Stream>, Failure> {
        config.validate()?;
        relation::discover(&mut session::open(&config)?, &config)
    }

    fn read(
        config: Config,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        config.validate()?;
        match &config.replication {
            Some(replication) => replication::read(&config, replication, catalog, state, output),
            None => read::read(&config, catalog, state, output),
        }
    }
}

export_source!(Postgres);
