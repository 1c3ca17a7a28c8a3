//! Lockgate runs data connectors that nobody has to trust.
//!
//! A connector is a WebAssembly component behind a small contract (`wit/v0.1`). It reaches what its
//! policy grants and nothing else; the host owns which connector runs, what it may use, where each
//! record and each state is, and what has been committed. Programs that speak Airbyte's protocol on
//! stdio plug in at either end of a sync.
//!
//! # A sync
//!
//! ```
//! use lockgate::protocol::Json;
//! use lockgate::{Host, WriteOptions, WriteStrategy, get_noop_destination};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let program = folder.path().join("source-greetings");
//! # std::fs::write(&program, include_str!("../examples/source-greetings"))?;
//! # std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
//! # let name = format!("exec:{}", program.display());
//! // A component would be "path/to/source.wasm"; here it is a program (examples/source-greetings).
//! let source = Host::new().get_source(&name, &Default::default(), Json::empty_object())?;
//! // Counts rows and keeps none. For a real one: `host.get_destination(name, options, config)`.
//! let destination = get_noop_destination();
//!
//! let options = WriteOptions { strategy: WriteStrategy::Append, ..WriteOptions::default() };
//! let runtime = tokio::runtime::Runtime::new()?;
//! let result = runtime.block_on(destination.write(&source, &options))?;
//!
//! assert_eq!(result.records_committed(), 3);
//! for stream in &result.report.streams {
//!     println!("{}: {} rows, {}", stream.name, stream.records_committed, stream.status);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/sync.rs` does it with two components, a granted directory and a state store. What the
//! command line does is all in here: [`cli`] only parses and prints.
//!
//! # The floors
//!
//! An upper floor uses any lower one, never the reverse.
//!
//! | floor | module | what is there |
//! |---|---|---|
//! | 6 | [`cli`] | the commands |
//! | 5 | [`sync`] | plan, pipeline, ledger, report; [`Destination::write`] |
//! | 5 | [`conformance`] | whether a connector keeps the rules |
//! | 4 | [`connector`] | [`Host`], [`Source`], [`Destination`]: from a name to something that answers |
//! | 3 | [`executor`] | the ways of running a connector: component, process, Docker, Python, no-op |
//! | 3 | [`author`] | new connectors' projects, and what builds them |
//! | 3 | [`runs`] | what every run leaves behind: its policy, its end, its audit trail |
//! | 3 | [`state`] | where syncs remember |
//! | 3 | [`cache`] | records kept between a source and its destinations |
//! | 2 | [`component`] | engine, compile cache, the contract's host side, one store an operation |
//! | 2 | [`config`] | `lockgate.toml`, options, sizes and durations |
//! | 2 | [`registry`] | what is known of connectors without running any: Airbyte's registry, the index of ours |
//! | 1 | [`sandbox`] | what a connector may reach, and how much it may use |
//! | 1 | [`postgres`] | how a PostgreSQL server is reached |
//! | 0 | [`protocol`] | messages, catalogs, states, rows: data and codecs |
//!
//! [`fault`] is beside them: what every error can say besides its message.
//!
//! # Where a record travels
//!
//! The source's executor gives batches of rows, as bytes, to the pipeline ([`run_pipeline`]), which
//! counts them in the [`Ledger`] and gives them to the destination's executor. Nothing on the way
//! parses a row. A state travels between the rows it belongs to; it is stored when the destination
//! has confirmed everything before it, by the ledger and by nobody else.
//!
//! [`run_pipeline`]: sync::run_pipeline
//! [`Ledger`]: sync::Ledger

#![deny(unsafe_code)]

pub mod author;
pub mod cache;
pub mod cli;
pub mod component;
pub mod config;
pub mod conformance;
pub mod connector;
pub mod executor;
pub mod fault;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod protocol;
pub mod registry;
pub mod runs;
pub mod sandbox;
pub mod state;
pub mod sync;

pub use config::{
    ConnectorOptions, DockerImage, LocalExecutable, Strategy as WriteStrategy, StreamOptions,
    StreamSelection, UsePython,
};
pub use connector::{ConfigCallback, Connector, ConnectorError, Destination, Host, Source};
#[cfg(feature = "postgres")]
pub use postgres::PostgresUrl;
#[cfg(feature = "postgres")]
pub use state::PostgresStateStore;
pub use state::{JsonStateStore, SqliteStateStore, StateStore};
pub use sync::{
    PlanReport, ReadOptions, ReadResult, Report, SourceData, SyncFailure, WorkerProgram,
    WriteOptions, WriteResult,
};

/// The destination that keeps nothing: to try a source, or to measure one. Needs no file, no
/// network and no engine.
///
/// It drops rows silently. [`Connector::with_config`] gives it one of the other modes of Airbyte's
/// destination-dev-null; [`Host::get_destination`] knows it as `destination-dev-null`.
#[must_use]
pub fn get_noop_destination() -> Destination {
    Host::get_noop_destination()
}

/// A source by its name, with a host of the current folder ([`Host::get_source`]).
///
/// # Errors
/// [`ConnectorError`], when there is no such connector or an option is in the way of another.
pub fn get_source(
    name: &str,
    options: &ConnectorOptions,
    config: protocol::Json,
) -> Result<Source, ConnectorError> {
    Host::of_one_connector().get_source(name, options, config)
}

/// A destination by its name, with a host of the current folder ([`Host::get_destination`]).
///
/// ```
/// use lockgate::{ConnectorOptions, protocol::Json};
///
/// # fn main() -> Result<(), lockgate::ConnectorError> {
/// let options = ConnectorOptions::default();
/// let destination =
///     lockgate::get_destination("destination-dev-null", &options, Json::empty_object())?;
/// assert_eq!(destination.connector().describe().executor, "noop");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ConnectorError`], when there is no such connector or an option is in the way of another.
pub fn get_destination(
    name: &str,
    options: &ConnectorOptions,
    config: protocol::Json,
) -> Result<Destination, ConnectorError> {
    Host::of_one_connector().get_destination(name, options, config)
}
