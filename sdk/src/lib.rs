//! Writes data connectors for Lockgate in Rust.
//!
//! A connector is a component behind Lockgate's contract: a [`Source`] reads rows from some system, a
//! [`Destination`] writes them to one. An author implements one trait, exports it, and builds a
//! `cdylib` for `wasm32-wasip2`; the SDK batches rows, counts them, reports statuses, publishes the
//! configuration's schema, and refuses what would break a sync.
//!
//! # A source
//!
//! ```
//! use lockgate_sdk::{Catalog, Failure, Output, SavedState, Source, Spec, Stream, export_source};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! /// Counts up to a limit.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     /// The last number.
//!     limit: u64,
//! }
//!
//! #[derive(Serialize)]
//! struct Row {
//!     number: u64,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct State {
//!     last: u64,
//! }
//!
//! struct Counter;
//!
//! impl Source for Counter {
//!     type Config = Config;
//!
//!     fn spec() -> Spec {
//!         Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
//!     }
//!
//!     fn check(_: Config) -> Result<(), Failure> {
//!         Ok(())
//!     }
//!
//!     fn discover(_: Config) -> Result<Vec<Stream>, Failure> {
//!         let schema = serde_json::json!({
//!             "type": "object",
//!             "properties": { "number": { "type": "integer" } },
//!         });
//!         Ok(vec![Stream::new("numbers", schema).incremental()])
//!     }
//!
//!     fn read(
//!         config: Config,
//!         catalog: &Catalog,
//!         state: &SavedState,
//!         output: &mut Output<'_>,
//!     ) -> Result<(), Failure> {
//!         for (index, configured) in catalog.streams.iter().enumerate() {
//!             let name = &configured.descriptor.name;
//!             if name != "numbers" {
//!                 return Err(Failure::config(format!("there is no stream `{name}`")));
//!             }
//!             let saved: Option<State> = state.stream(&configured.descriptor)?;
//!             let start = saved.map_or(0, |state| state.last);
//!             let mut stream = output.stream(index)?;
//!             for number in start + 1..=config.limit {
//!                 stream.write(&Row { number })?;
//!                 if number % 1000 == 0 {
//!                     stream.checkpoint(&State { last: number })?;
//!                 }
//!             }
//!             stream.checkpoint(&State { last: config.limit.max(start) })?;
//!             stream.complete()?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_source!(Counter);
//!
//! use lockgate_sdk::testing;
//!
//! let catalog = testing::catalog([testing::stream("numbers")]);
//! let run = testing::read::<Counter>(r#"{"limit":3}"#, &catalog, Vec::new());
//! assert_eq!(run.result, Ok(()));
//! assert_eq!(run.sink.data(0), b"{\"number\":1}\n{\"number\":2}\n{\"number\":3}\n");
//! ```
//!
//! # A destination
//!
//! ```
//! use lockgate_sdk::{
//!     Catalog, Destination, DestinationSyncMode, Event, Failure, Input, Spec, export_destination, fs,
//! };
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! /// Writes all rows of all streams to one file.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     /// A granted directory.
//!     path: String,
//! }
//!
//! struct OneFile;
//!
//! impl Destination for OneFile {
//!     type Config = Config;
//!
//!     fn spec() -> Spec {
//!         Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
//!             .modes([DestinationSyncMode::Append])
//!             .need("directory-write", "${path}", "writes the file")
//!     }
//!
//!     fn check(config: Config) -> Result<(), Failure> {
//!         fs::Directory::open(&config.path)?;
//!         Ok(())
//!     }
//!
//!     fn write(config: Config, _: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
//!         let directory = fs::Directory::open(&config.path)?;
//!         let file = directory.open_file("rows.jsonl", fs::Open::Write)?;
//!         directory.sync()?;
//!         let mut end = file.size()?;
//!         while let Some(event) = input.next()? {
//!             match event {
//!                 Event::Rows(rows) => {
//!                     file.write_at(rows.bytes(), end)?;
//!                     end += rows.bytes().len() as u64;
//!                 }
//!                 Event::Checkpoint(checkpoint) => {
//!                     file.sync_data()?;
//!                     input.commit(checkpoint)?;
//!                 }
//!                 Event::StreamEnd(_) | Event::Flush => {}
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_destination!(OneFile);
//!
//! use lockgate_sdk::testing::{self, Feed};
//!
//! let catalog = testing::catalog([testing::stream("orders")]);
//! let feed = Feed::new().rows(0, &[r#"{"id":1}"#]).complete(0).checkpoint();
//! let run = testing::write::<OneFile>(r#"{"path":"/nowhere"}"#, &catalog, feed);
//! let failure = run.result.expect_err("nothing was granted");
//! assert_eq!(
//!     failure.message,
//!     "cannot open the directory /nowhere: it is in no granted directory"
//! );
//! ```
//!
//! # What a connector reaches
//!
//! [`http`] sends requests through the host, [`tcp`] connects, [`fs`] reads and writes files; each says
//! which grant is missing. [`retry`] tries again what may work the next time.
//!
//! # Failures
//!
//! Every function that talks to the host returns a [`Failure`] when the sync must stop; `?` is the
//! right answer to it. A connector's own failures say who can mend them: see [`FailureKind`].

pub mod bindings;
mod config;
pub mod destination;
mod failure;
pub mod fs;
pub mod http;
mod input;
mod local;
pub mod log;
mod output;
pub mod port;
pub mod retry;
mod rows;
pub mod source;
mod spec;
mod state;
mod stream;
pub mod tcp;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use config::update_config;
pub use destination::Destination;
pub use failure::{Failure, FailureKind};
pub use input::{Checkpoint, Event, Input, Outcome, StreamEnd};
pub use output::{BATCH_BYTES, Output, StreamOutput};
pub use rows::{Batch, Rows};
pub use source::Source;
pub use spec::{DestinationSyncMode, Spec};
pub use state::SavedState;
pub use stream::{Catalog, ConfiguredStream, Stream, StreamDescriptor, SyncMode};

/// Makes a [`Source`] the component's one. Call it once, beside the type.
#[macro_export]
macro_rules! export_source {
    ($source:ty) => {
        const _: () = {
            type Exported = $crate::source::Component<$source>;
            #[cfg(target_family = "wasm")]
    $crate::bindings::source::export!(Exported with_types_in $crate::bindings::source);
            #[cfg(not(target_family = "wasm"))]
            const fn is_source<T: $crate::bindings::source::Guest>() {}
            #[cfg(not(target_family = "wasm"))]
            is_source::<Exported>();
        };
    };
}

/// Makes a [`Destination`] the component's one. Call it once, beside the type.
#[macro_export]
macro_rules! export_destination {
    ($destination:ty) => {
        const _: () = {
            type Exported = $crate::destination::Component<$destination>;
            #[cfg(target_family = "wasm")]
            $crate::bindings::destination::export!(
                Exported with_types_in $crate::bindings::destination
            );
            #[cfg(not(target_family = "wasm"))]
            const fn is_destination<T: $crate::bindings::destination::Guest>() {}
            #[cfg(not(target_family = "wasm"))]
            is_destination::<Exported>();
        };
    };
}
