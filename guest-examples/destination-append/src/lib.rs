//! Appends the rows of each stream to a file of JSON lines: the example of a destination in Rust.
//!
//! A checkpoint is committed once the rows before it are on the disk, and a row that a crash cut is removed
//! before others follow it. A refresh that drops older rows goes to a hidden file, which takes the name when
//! the stream is complete. It is the least that a destination must do; `destination-jsonl` is the one for use:
//! it overwrites as well, takes any name of a stream, and waits for the disk less often.

#[cfg(test)]
mod tests;

use lockgate_sdk::{
    Catalog, ConfiguredStream, Destination, DestinationSyncMode, Event, Failure, Input, Spec,
    SyncMode, export_destination, fs, log,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where the files go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Append")]
pub struct Config {
    /// The granted directory the files are written to, as an absolute path in the sandbox.
    #[schemars(title = "Path", regex(pattern = "^/"), example = "/out")]
    path: String,
}

/// How much of a file's end is looked at in one go.
const CHUNK: usize = 64 * 1024;

/// The connector.
#[derive(Debug)]
pub struct Append;

impl Destination for Append {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .modes([DestinationSyncMode::Append])
            .need("directory-write", "${path}", "writes one file a stream")
    }

    fn check(config: Config) -> Result<(), Failure> {
        const PROBE: &str = ".lockgate-check";
        let directory = fs::Directory::open(&config.path)?;
        directory.open_file(PROBE, fs::Open::Truncate)?;
        Ok(directory.remove_file(PROBE)?)
    }

    fn write(config: Config, catalog: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        let directory = fs::Directory::open(&config.path)?;
        let plans = catalog.streams.iter().map(Plan::new).collect::<Result<Vec<_>, _>>()?;
        let mut tables = plans
            .into_iter()
            .map(|plan| Table::open(&directory, plan))
            .collect::<Result<Vec<_>, _>>()?;
        // The names of new files are made durable once, before any row.
        directory.sync()?;
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => {
                    let table = &mut tables[rows.stream()];
                    table.file.write_at(rows.bytes(), table.end)?;
                    table.end += rows.bytes().len() as u64;
                }
                Event::Checkpoint(checkpoint) => {
                    for table in &tables {
                        table.file.sync_data()?;
                    }
                    input.commit(checkpoint)?;
                }
                Event::StreamEnd(end) if end.is_complete() => {
                    tables[end.stream].finish(&directory)?;
                }
                Event::StreamEnd(_) | Event::Flush => {}
            }
        }
        Ok(())
    }
}

export_destination!(Append);

/// What is to happen to a stream's file.
struct Plan {
    name: String,
    /// The file that takes its place once the stream is complete: an operator refreshes the stream, and
    /// what earlier generations left is to go.
    partial: Option<String>,
    /// Whether that goes on from an earlier run's.
    continues: bool,
}

impl Plan {
    fn new(stream: &ConfiguredStream) -> Result<Self, Failure> {
        let name = file_name(stream)?;
        let partial = format!(".{name}.partial-{}", stream.generation_id);
        let partial = (stream.minimum_generation_id != 0).then_some(partial);
        Ok(Self { name, partial, continues: stream.sync_mode == SyncMode::Incremental })
    }
}

/// A stream's file, open.
struct Table {
    plan: Plan,
    file: fs::File,
    end: u64,
}

impl Table {
    fn open(directory: &fs::Directory, plan: Plan) -> Result<Self, Failure> {
        let file = match &plan.partial {
            Some(partial) if !plan.continues => directory.open_file(partial, fs::Open::Truncate)?,
            Some(partial) => directory.open_file(partial, fs::Open::Write)?,
            None => directory.open_file(&plan.name, fs::Open::Write)?,
        };
        let end = cut_unfinished(&file)?;
        Ok(Self { plan, file, end })
    }

    /// All rows are there: who reads the directory sees the old ones or the new ones, never a part.
    fn finish(&mut self, directory: &fs::Directory) -> Result<(), Failure> {
        if let Some(partial) = self.plan.partial.take() {
            self.file.sync_data()?;
            directory.rename(&partial, &self.plan.name)?;
            directory.sync()?;
        }
        Ok(())
    }
}

/// Removes what stands behind the last whole row, and says where that ends: a crash cut it, so it was never
/// committed and comes again.
fn cut_unfinished(file: &fs::File) -> Result<u64, Failure> {
    let size = file.size()?;
    let mut buffer = vec![0; CHUNK];
    let mut end = size;
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let part = &mut buffer[..usize::try_from(end - start).unwrap_or(CHUNK)];
        if file.read_at(part, start)? < part.len() {
            // Nothing is cut by what was not seen.
            return Err(Failure::system(format!(
                "{} became shorter while it was read: does something else write to it?",
                file.path()
            )));
        }
        if let Some(place) = part.iter().rposition(|byte| *byte == b'\n') {
            end = start + place as u64 + 1;
            break;
        }
        end = start;
    }
    if end < size {
        log::warn(format_args!(
            "removing {} bytes of a row that was cut: {}",
            size - end,
            file.path()
        ));
        file.set_size(end)?;
    }
    Ok(end)
}

/// `STREAM.jsonl`, or `NAMESPACE.STREAM.jsonl`. What could be another name for another file is refused
/// and not escaped: it is an example.
fn file_name(stream: &ConfiguredStream) -> Result<String, Failure> {
    let descriptor = &stream.descriptor;
    let refuse = |why: &str| {
        Err(Failure::config(format!("the stream `{descriptor}` {why}")).in_stream(descriptor))
    };
    if stream.destination_sync_mode != DestinationSyncMode::Append {
        return refuse(
            "is to be written in a mode that changes rows, and this destination appends",
        );
    }
    let plain = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        (1..=100).contains(&part.len()) && part.bytes().all(plain)
    };
    let namespace = descriptor.namespace.as_deref();
    if !plain(&descriptor.name) || !namespace.is_none_or(plain) {
        return refuse("has a name that is not of letters, digits, _ and -, 100 at most");
    }
    Ok(format!("{descriptor}.jsonl"))
}
