//! What is to happen to each stream's file.

use std::collections::HashMap;

use lockgate_sdk::{
    Catalog, ConfiguredStream, DestinationSyncMode, Failure, StreamDescriptor, SyncMode, fs, log,
};

use crate::name;

/// What is to happen to a stream's file.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) descriptor: StreamDescriptor,
    /// The file's name.
    pub(crate) file: String,
    /// The partial file that replaces it, if it is to be replaced.
    pub(crate) partial: Option<Partial>,
}

#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) name: String,
    /// Does the source go on from a state, with the partial file of an earlier run? Otherwise it
    /// starts again, and so does the file.
    pub(crate) continues: bool,
}

/// Decides about every stream before any file is touched.
pub(crate) fn plan(catalog: &Catalog) -> Result<Vec<Plan>, Failure> {
    let mut streams = HashMap::new();
    let mut plans = Vec::new();
    for stream in &catalog.streams {
        let plan = plan_one(stream)?;
        if streams.insert(plan.file.clone(), ()).is_some() {
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

fn plan_one(stream: &ConfiguredStream) -> Result<Plan, Failure> {
    let descriptor = &stream.descriptor;
    let replace = match stream.destination_sync_mode {
        DestinationSyncMode::Overwrite => true,
        // A refresh that drops what earlier generations left.
        DestinationSyncMode::Append => stream.minimum_generation_id != 0,
        DestinationSyncMode::AppendDedup
        | DestinationSyncMode::Update
        | DestinationSyncMode::SoftDelete => {
            return Err(Failure::config(format!(
                "the stream `{descriptor}` is to be written in a mode that changes rows, and a \
                 file of JSON lines supports append and overwrite only"
            ))
            .in_stream(descriptor));
        }
    };
    let file = name::file_name(descriptor);
    let partial = replace.then(|| Partial {
        name: name::partial_name(&file, stream.generation_id),
        continues: stream.sync_mode == SyncMode::Incremental,
    });
    Ok(Plan { descriptor: descriptor.clone(), file, partial })
}

/// Removes the partial files that earlier runs left and this one does not go on with.
pub(crate) fn remove_stale(directory: &fs::Directory, plans: &[Plan]) -> Result<(), Failure> {
    let by_file: HashMap<_, _> = plans.iter().map(|plan| (&*plan.file, plan)).collect();
    for name in directory.list()? {
        let Some((file, _)) = name::parse_partial(&name) else {
            continue;
        };
        let Some(plan) = by_file.get(file) else {
            continue;
        };
        let continues = (plan.partial.as_ref())
            .is_some_and(|partial| partial.continues && partial.name == name);
        if !continues {
            log::info(format_args!("removing {name}, which an earlier run left unfinished"));
            directory.remove_file(&name)?;
        }
    }
    Ok(())
}
