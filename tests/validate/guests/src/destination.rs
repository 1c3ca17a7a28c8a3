//! A destination of files, and what can be wrong with it.

use std::collections::HashMap;

use lockgate_sdk::{
    Catalog, ConfiguredStream, DestinationSyncMode, Event, Failure, Input, Spec, SyncMode, fs,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// What is wrong with a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationFault {
    /// None.
    None,
    /// It says overwrite, and appends.
    KeepsOld,
    /// It confirms states and keeps the rows in memory until their stream ends.
    ConfirmsEarly,
    /// To overwrite, it first removes what is there.
    DeletesFirst,
    /// Of generations it knows nothing.
    IgnoresMinimum,
    /// Every new generation replaces the one before.
    DropsOnRetain,
    /// It has no letters but those of ASCII.
    Ascii,
    /// It does not tell capital letters from small ones.
    OneCase,
    /// A big row is too much for it.
    CrashesOnBig,
    /// A value of the wrong type is too much for it.
    CrashesOnBad,
    /// When there are no rows, there are no rows.
    ClearsOnEmpty,
    /// What is in its buffer goes to the stream that was last.
    Mixes,
    /// It takes any mode for append.
    AnyMode,
    /// It writes to a directory, and does not say that it needs one.
    Undeclared,
}

/// Its configuration.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// A granted directory.
    path: String,
}

/// A destination with a fault.
#[derive(Debug)]
pub struct Destination<const FAULT: u8>;

/// What is to become of a stream's file.
struct Target {
    file: String,
    /// Where rows go until the stream is complete, and then replace the file.
    partial: Option<String>,
    /// Rows that are not in a file yet.
    buffer: Vec<u8>,
    rows: u64,
}

impl Target {
    fn written(&self) -> &str {
        self.partial.as_ref().unwrap_or(&self.file)
    }
}

/// A row of more than this is big.
const BIG: usize = 1 << 20;

fn append(directory: &fs::Directory, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let file = directory.open_file(name, fs::Open::Write)?;
    file.write_at(bytes, file.size()?)?;
    file.sync_data()?;
    Ok(directory.sync()?)
}

impl<const FAULT: u8> Destination<FAULT> {
    fn has(fault: DestinationFault) -> bool {
        FAULT == fault as u8
    }

    fn target(directory: &fs::Directory, stream: &ConfiguredStream) -> Result<Target, Failure> {
        use DestinationFault::{DeletesFirst, DropsOnRetain, IgnoresMinimum, KeepsOld, OneCase};
        if stream.destination_sync_mode == DestinationSyncMode::AppendDedup
            && !Self::has(DestinationFault::AnyMode)
        {
            return Err(Failure::config("append and overwrite are all it can")
                .in_stream(&stream.descriptor));
        }
        let mut file = String::new();
        for part in stream.descriptor.namespace.iter().chain([&stream.descriptor.name]) {
            for byte in part.bytes() {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => {
                        file.push(char::from(byte))
                    }
                    byte => file.push_str(&format!("%{byte:02x}")),
                }
            }
            file.push('.');
        }
        file.push_str("jsonl");
        if Self::has(OneCase) {
            file.make_ascii_lowercase();
        }
        let overwrites = stream.destination_sync_mode == DestinationSyncMode::Overwrite;
        let replaces = (overwrites && !Self::has(KeepsOld))
            || (!overwrites && stream.minimum_generation_id > 0 && !Self::has(IgnoresMinimum))
            || (stream.generation_id > 1 && Self::has(DropsOnRetain));
        let partial = replaces.then(|| format!(".{file}.partial-{}", stream.generation_id));
        let mut target = Target { file, partial, buffer: Vec::new(), rows: 0 };
        if overwrites && Self::has(DeletesFirst) {
            target.partial = None;
            directory.open_file(&target.file, fs::Open::Truncate)?;
        } else if let Some(partial) = &target.partial
            && stream.sync_mode == SyncMode::FullRefresh
        {
            directory.open_file(partial, fs::Open::Truncate)?;
        }
        Ok(target)
    }

    fn taken(bytes: &[u8]) -> Vec<u8> {
        if Self::has(DestinationFault::Ascii) {
            return bytes.iter().map(|byte| if byte.is_ascii() { *byte } else { b'?' }).collect();
        }
        bytes.to_vec()
    }

    /// What is too much for it.
    fn endures(line: &[u8]) {
        assert!(!Self::has(DestinationFault::CrashesOnBig) || line.len() < BIG, "too big");
        if Self::has(DestinationFault::CrashesOnBad) {
            let row: Value = serde_json::from_slice(line).unwrap_or_default();
            assert!(!row.get("id").is_some_and(Value::is_string), "not a number");
        }
    }

    fn flush(
        directory: &fs::Directory,
        targets: &mut [Target],
        last: usize,
    ) -> Result<(), Failure> {
        if Self::has(DestinationFault::Mixes) {
            let all: Vec<u8> =
                targets.iter_mut().flat_map(|t| std::mem::take(&mut t.buffer)).collect();
            if let Some(target) = targets.get_mut(last) {
                target.buffer = all;
            }
        }
        for target in targets {
            if !target.buffer.is_empty() {
                let rows = std::mem::take(&mut target.buffer);
                append(directory, target.written(), &rows)?;
            }
        }
        Ok(())
    }
}

impl<const FAULT: u8> lockgate_sdk::Destination for Destination<FAULT> {
    type Config = Config;

    fn spec() -> Spec {
        let spec = Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .modes([DestinationSyncMode::Append, DestinationSyncMode::Overwrite]);
        if Self::has(DestinationFault::Undeclared) {
            return spec;
        }
        spec.need("directory-write", "${path}", "writes a file a stream")
    }

    fn check(config: Config) -> Result<(), Failure> {
        fs::Directory::open(&config.path)?;
        Ok(())
    }

    fn write(config: Config, catalog: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        let directory = fs::Directory::open(&config.path)?;
        let targets = catalog.streams.iter().map(|stream| Self::target(&directory, stream));
        let mut targets = targets.collect::<Result<Vec<Target>, Failure>>()?;
        let mut ended = HashMap::new();
        let mut last = 0;
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => {
                    last = rows.stream();
                    rows.lines().for_each(Self::endures);
                    if let Some(target) = targets.get_mut(last) {
                        target.buffer.extend(Self::taken(rows.bytes()));
                        target.rows += u64::from(rows.count());
                    }
                }
                Event::Checkpoint(checkpoint) => {
                    if !Self::has(DestinationFault::ConfirmsEarly) {
                        Self::flush(&directory, &mut targets, last)?;
                    }
                    input.commit(checkpoint)?;
                }
                Event::StreamEnd(end) => {
                    Self::flush(&directory, &mut targets, last)?;
                    ended.insert(end.stream, end.is_complete());
                }
                Event::Flush => {}
            }
        }
        for (index, target) in targets.iter().enumerate() {
            if ended.get(&index) != Some(&true) {
                continue;
            }
            if let Some(partial) = &target.partial {
                // Also where there was no row.
                append(&directory, partial, b"")?;
                directory.rename(partial, &target.file)?;
                directory.sync()?;
            } else if target.rows == 0 && Self::has(DestinationFault::ClearsOnEmpty) {
                directory.open_file(&target.file, fs::Open::Truncate)?;
            }
        }
        Ok(())
    }
}
