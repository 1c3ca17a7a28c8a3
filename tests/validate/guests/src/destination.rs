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
    /// Every hundredth row of a stream is lost.
    LosesSome,
    /// Texts lose the spaces around them.
    Trims,
    /// It says append, and replaces.
    ReplacesAlways,
    /// Of namespaces it knows nothing.
    OneNamespace,
    /// A stream without rows is too much for it.
    CrashesOnEmpty,
    /// A stream that failed at its source counts as complete.
    TakesIncomplete,
    /// A value of the wrong type takes the rows after it along.
    SwallowsAfterBad,
    /// To overwrite, it begins anew with each state.
    BeginsAnew,
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
        let namespace = stream.descriptor.namespace.iter();
        let namespace = namespace.filter(|_| !Self::has(DestinationFault::OneNamespace));
        for part in namespace.chain([&stream.descriptor.name]) {
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
            || (stream.generation_id > 1 && Self::has(DropsOnRetain))
            || Self::has(DestinationFault::ReplacesAlways);
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

    /// What it makes of the rows of a batch, of which the first has a number in its stream.
    fn taken(bytes: &[u8], first: u64) -> Vec<u8> {
        use DestinationFault::{LosesSome, SwallowsAfterBad, Trims};
        let lines = || bytes.split_inclusive(|byte| *byte == b'\n');
        if Self::has(LosesSome) {
            let kept = (first..).zip(lines()).filter(|(number, _)| number % 100 != 99);
            return kept.flat_map(|(_, line)| line).copied().collect();
        }
        if Self::has(SwallowsAfterBad) {
            let good = |line: &&[u8]| {
                let row: Value = serde_json::from_slice(line).unwrap_or_default();
                !row.get("id").is_some_and(Value::is_string)
            };
            return lines().take_while(good).flatten().copied().collect();
        }
        if Self::has(Trims) {
            let trimmed = |line: &[u8]| {
                let mut row: Value = serde_json::from_slice(line).unwrap_or_default();
                let members = row.as_object_mut().into_iter().flatten();
                for (_, value) in members {
                    if let Value::String(text) = value {
                        *text = text.trim().to_owned();
                    }
                }
                format!("{row}\n").into_bytes()
            };
            return lines().flat_map(trimmed).collect();
        }
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
                if Self::has(DestinationFault::BeginsAnew)
                    && let Some(partial) = &target.partial
                {
                    directory.open_file(partial, fs::Open::Truncate)?;
                }
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
                        target.buffer.extend(Self::taken(rows.bytes(), target.rows));
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
                    let taken = Self::has(DestinationFault::TakesIncomplete);
                    ended.insert(end.stream, end.is_complete() || taken);
                }
                Event::Flush => {}
            }
        }
        for (index, target) in targets.iter().enumerate() {
            if ended.get(&index) != Some(&true) {
                continue;
            }
            assert!(!Self::has(DestinationFault::CrashesOnEmpty) || target.rows > 0, "no rows");
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
