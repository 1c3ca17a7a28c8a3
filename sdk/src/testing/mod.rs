//! Runs a connector in memory, without a host: for unit tests.
//!
//! ```
//! # use lockgate_sdk::*;
//! # use lockgate_sdk::testing::{self, Feed};
//! # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Config {}
//! # struct Drop;
//! # impl Destination for Drop {
//! #     type Config = Config;
//! #     fn spec() -> Spec { Spec::new("destination-drop", "0.1.0") }
//! #     fn check(_: Config) -> Result<(), Failure> { Ok(()) }
//! #     fn write(_: Config, _: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
//! #         while input.next()?.is_some() {}
//! #         Ok(())
//! #     }
//! # }
//! let catalog = testing::catalog([testing::stream("orders")]);
//! let feed = Feed::new().rows(0, &[r#"{"id":1}"#]).complete(0).checkpoint();
//! let run = testing::write::<Drop>("{}", &catalog, feed);
//! assert_eq!(run.result, Ok(()));
//! assert_eq!(run.commits[0].totals[0].written, 1);
//! ```

mod feed;
mod sink;

use crate::bindings::logging::Level;
use crate::bindings::types::{RowFormat, State};
use crate::stream::{Catalog, ConfiguredStream, StreamDescriptor, SyncMode};
use crate::{Destination, DestinationSyncMode, Failure, Source, destination, local, source};

pub use feed::{Commit, Feed};
pub use sink::{Emitted, Sink};

/// A catalog of some streams.
#[must_use]
pub fn catalog(streams: impl IntoIterator<Item = ConfiguredStream>) -> Catalog {
    Catalog { streams: streams.into_iter().collect(), extra: "{}".to_owned() }
}

/// A stream that is read in full and appended; its first generation, its first sync.
#[must_use]
pub fn stream(name: &str) -> ConfiguredStream {
    ConfiguredStream {
        descriptor: StreamDescriptor::new(name),
        json_schema: r#"{"type":"object"}"#.to_owned(),
        format: RowFormat::JsonLines,
        sync_mode: SyncMode::FullRefresh,
        destination_sync_mode: DestinationSyncMode::Append,
        cursor_field: Vec::new(),
        primary_key: Vec::new(),
        generation_id: 1,
        minimum_generation_id: 0,
        sync_id: 1,
        extra: "{}".to_owned(),
    }
}

/// What a source did.
#[derive(Debug)]
pub struct SourceRun {
    /// What `read` returned.
    pub result: Result<(), Failure>,
    /// What the host received.
    pub sink: Sink,
    /// What the source said.
    pub logs: Vec<(Level, String)>,
    /// What the source gave to [`update_config`](crate::update_config).
    pub configs: Vec<String>,
}

/// Runs [`Source::read`] with a configuration and what earlier syncs stored.
#[must_use]
pub fn read<S: Source>(config: &str, catalog: &Catalog, state: Vec<State>) -> SourceRun {
    read_into::<S>(config, catalog, state, Sink::default())
}

/// As [`read`], into a sink that was prepared to fail.
#[must_use]
pub fn read_into<S: Source>(
    config: &str,
    catalog: &Catalog,
    state: Vec<State>,
    mut sink: Sink,
) -> SourceRun {
    let (result, recorded) = local::record(|| source::read::<S>(config, catalog, state, &mut sink));
    SourceRun { result, sink, logs: recorded.logs, configs: recorded.configs }
}

/// What a destination did.
#[derive(Debug)]
pub struct DestinationRun {
    /// What `write` returned.
    pub result: Result<(), Failure>,
    /// What it committed.
    pub commits: Vec<Commit>,
    /// What the destination said.
    pub logs: Vec<(Level, String)>,
    /// What the destination gave to [`update_config`](crate::update_config).
    pub configs: Vec<String>,
}

/// Runs [`Destination::write`] with a configuration and what a host would send.
#[must_use]
pub fn write<D: Destination>(config: &str, catalog: &Catalog, mut feed: Feed) -> DestinationRun {
    let (result, recorded) = local::record(|| destination::write::<D>(config, catalog, &mut feed));
    DestinationRun {
        result,
        commits: feed.into_commits(),
        logs: recorded.logs,
        configs: recorded.configs,
    }
}
