//! What is to happen to each stream's folder.

use std::collections::HashSet;

use json_rows::name::stem;
use lockgate_sdk::{Catalog, ConfiguredStream, Failure, StreamDescriptor, SyncMode};
use row_files::{Options, Table, replaces};

/// Filesystems take 255 bytes, and the name of a folder of a generation is 26 longer than the stream's.
const LONGEST: usize = 255 - 26;

/// What is to happen to a stream.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) descriptor: StreamDescriptor,
    pub(crate) table: Table,
    /// The folder's name.
    pub(crate) folder: String,
    pub(crate) generation: u64,
    /// The rows take the place of those that are there.
    pub(crate) replaces: bool,
    /// The source goes on from a state, with the files of an earlier run. Otherwise it starts again,
    /// and so do the files.
    pub(crate) continues: bool,
}

impl Plan {
    /// The folder of rows that may replace those of the stream's folder when all are there.
    pub(crate) fn partial(&self) -> String {
        partial_name(&self.folder, self.generation)
    }

    /// What the stream's folder is called between being replaced and being removed.
    pub(crate) fn replaced(&self) -> String {
        format!(".{}.old-{}", self.folder, self.generation)
    }
}

/// The name of the folder of a generation that may replace others.
pub(crate) fn partial_name(folder: &str, generation: u64) -> String {
    format!(".{folder}.new-{generation}")
}

/// The folder and the generation of a folder of rows that may replace others, and of one that was
/// replaced.
pub(crate) fn parse_hidden(name: &str) -> Option<(Hidden, &str, u64)> {
    // The stream's own name may end in what looks like either.
    let (rest, generation) = name.strip_prefix('.')?.rsplit_once('-')?;
    let (folder, kind) = match rest.rsplit_once('.')? {
        (folder, "new") => (folder, Hidden::Partial),
        (folder, "old") => (folder, Hidden::Replaced),
        _ => return None,
    };
    Some((kind, folder, generation.parse().ok()?))
}

/// A folder that readers do not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// Its rows may replace others.
    Partial,
    /// It was replaced by the generation in its name.
    Replaced,
}

/// Decides about every stream before any file is touched.
pub(crate) fn plan(catalog: &Catalog, options: Options) -> Result<Vec<Plan>, Failure> {
    let mut folders = HashSet::new();
    let mut plans = Vec::new();
    for stream in &catalog.streams {
        let plan = plan_one(stream, options)?;
        if !folders.insert(plan.folder.clone()) {
            let descriptor = &stream.descriptor;
            return Err(Failure::config(format!(
                "the stream `{descriptor}` is in the catalog twice"
            ))
            .in_stream(descriptor));
        }
        plans.push(plan);
    }
    Ok(plans)
}

fn plan_one(stream: &ConfiguredStream, options: Options) -> Result<Plan, Failure> {
    let descriptor = &stream.descriptor;
    let replaces = replaces(stream, "files")?;
    Ok(Plan {
        table: Table::new(stream, options)?,
        folder: stem(descriptor.namespace.as_deref(), &descriptor.name, LONGEST),
        descriptor: descriptor.clone(),
        generation: stream.generation_id,
        replaces,
        continues: stream.sync_mode == SyncMode::Incremental,
    })
}
