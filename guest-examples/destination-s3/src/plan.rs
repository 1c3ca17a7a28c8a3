//! What is to happen to each stream, decided before the service is asked anything.

use std::collections::HashSet;

use lockgate_sdk::{Catalog, ConfiguredStream, Failure, StreamDescriptor};
use row_files::{Options, Table, replaces};

use crate::key;

/// What is to happen to a stream.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) descriptor: StreamDescriptor,
    /// Its folder, with its `/`.
    pub(crate) folder: String,
    /// What its objects look like.
    pub(crate) table: Table,
    /// Rows of other generations disappear when the stream is complete.
    pub(crate) replaces: bool,
    pub(crate) generation: u64,
    pub(crate) sync: u64,
}

/// Decides about every stream.
pub(crate) fn plan(
    catalog: &Catalog,
    prefix: &str,
    options: Options,
) -> Result<Vec<Plan>, Failure> {
    let mut folders = HashSet::new();
    let mut plans = Vec::new();
    for stream in &catalog.streams {
        let descriptor = &stream.descriptor;
        let plan =
            plan_one(stream, prefix, options).map_err(|failure| failure.in_stream(descriptor))?;
        if !folders.insert(plan.folder.clone()) {
            return Err(Failure::config(format!(
                "the stream `{descriptor}` is in the catalog twice"
            ))
            .in_stream(descriptor));
        }
        plans.push(plan);
    }
    Ok(plans)
}

fn plan_one(stream: &ConfiguredStream, prefix: &str, options: Options) -> Result<Plan, Failure> {
    let descriptor = &stream.descriptor;
    let (generation, minimum) = (stream.generation_id, stream.minimum_generation_id);
    if minimum != 0 && minimum != generation {
        return Err(Failure::config(format!(
            "the stream `{descriptor}` keeps rows from generation {minimum} on and is at generation \
             {generation}: it can keep all or replace all"
        )));
    }
    let replaces = replaces(stream, "objects")?;
    Ok(Plan {
        descriptor: descriptor.clone(),
        folder: key::folder(prefix, descriptor),
        table: Table::new(stream, options)?,
        replaces,
        generation,
        sync: stream.sync_id,
    })
}

#[cfg(test)]
mod tests {
    use lockgate_sdk::{DestinationSyncMode, FailureKind, testing};

    use super::*;

    #[test]
    fn what_cannot_be_written_is_refused() {
        let refused = |stream: ConfiguredStream| {
            let failure =
                plan(&testing::catalog([stream]), "", Options::default()).expect_err("no");
            assert_eq!(failure.kind, FailureKind::Config);
            assert!(failure.stream.is_some());
            failure.message
        };
        for mode in [
            DestinationSyncMode::AppendDedup,
            DestinationSyncMode::Update,
            DestinationSyncMode::SoftDelete,
        ] {
            let stream = ConfiguredStream { destination_sync_mode: mode, ..testing::stream("s") };
            assert!(refused(stream).contains("append and overwrite only"));
        }
        let hybrid =
            ConfiguredStream { generation_id: 3, minimum_generation_id: 2, ..testing::stream("s") };
        assert!(refused(hybrid).contains("keep all or replace all"));
        let twice = testing::catalog([testing::stream("s"), testing::stream("s")]);
        let failure = plan(&twice, "", Options::default()).expect_err("it is there twice");
        assert_eq!(failure.message, "the stream `s` is in the catalog twice");
    }

    #[test]
    fn what_replaces_is_an_overwrite_or_has_a_minimum() {
        let replaces = |stream: ConfiguredStream| {
            let plans = plan(&testing::catalog([stream]), "", Options::default()).expect("a plan");
            plans[0].replaces
        };
        let overwrite = DestinationSyncMode::Overwrite;
        assert!(!replaces(testing::stream("s")));
        assert!(replaces(ConfiguredStream { minimum_generation_id: 1, ..testing::stream("s") }));
        assert!(replaces(ConfiguredStream {
            destination_sync_mode: overwrite,
            ..testing::stream("s")
        }));
    }
}
