//! Reads streams: file after file, in the order of their names.

mod state;

use std::collections::{BTreeMap, HashSet};

use lockgate_sdk::{
    Catalog, ConfiguredStream, Failure, Output, SavedState, StreamOutput, SyncMode, log, retry,
};

use self::state::{FileState, Kind, State, Step, step};
use crate::config::{Config, Format, StreamConfig};
use crate::place::{Opened, Place};
use crate::shape::Shape;
use crate::{csv, jsonl, parquet};

pub(crate) use self::state::Position;

/// Reads all streams, one after the other.
pub(crate) fn read(
    config: &Config,
    catalog: &Catalog,
    state: &SavedState,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let place = Place::open(config, retry::Policy::default())?;
    for (index, stream) in catalog.streams.iter().enumerate() {
        let descriptor = &stream.descriptor;
        let settings = match config.stream(&descriptor.name) {
            Some(settings) if descriptor.namespace.is_none() => settings,
            _ => {
                return Err(Failure::config(format!(
                    "there is no stream {descriptor} in `streams`: discover the streams again, or add it"
                ))
                .in_stream(descriptor));
            }
        };
        let saved = state.stream(descriptor)?;
        let mut out = output.stream(index)?;
        read_stream(&place, config, settings, stream, saved, &mut out)
            .map_err(|failure| failure.in_stream(descriptor))?;
    }
    Ok(())
}

fn read_stream(
    place: &Place,
    config: &Config,
    settings: &StreamConfig,
    stream: &ConfiguredStream,
    saved: Option<State>,
    out: &mut StreamOutput<'_>,
) -> Result<(), Failure> {
    let kind = Kind::from(stream.sync_mode);
    let listed = place.list(settings)?;
    if listed.is_empty() {
        log::warn(format_args!("stream {}: there is no file for it", settings.name));
    }
    let mut state = State { kind, files: BTreeMap::new(), done: false };
    match saved {
        Some(saved) if saved.kind == kind => {
            state.files = saved.files;
            // A full refresh that ended is not begun again by its own state.
            if kind == Kind::FullRefresh && saved.done {
                state.done = true;
                out.checkpoint(&state)?;
                return out.complete();
            }
        }
        Some(_) => log::warn(format_args!(
            "stream {}: the stored state is of the other sync mode; all files are read",
            settings.name
        )),
        None => {}
    }
    // What is gone would be kept for ever.
    let names: HashSet<&str> = listed.iter().map(|file| file.name.as_str()).collect();
    state.files.retain(|name, _| names.contains(name.as_str()));
    let shape = Shape::of_stream(place, config, settings, stream, &listed)?;
    let mut progress = Progress {
        state,
        every: config.checkpoint_bytes(),
        read: 0,
        incremental: stream.sync_mode == SyncMode::Incremental,
    };
    for file in &listed {
        let file = place.file(file)?;
        read_file(&file, settings, &shape, &mut progress, out)?;
    }
    progress.state.done = kind == Kind::FullRefresh;
    out.checkpoint(&progress.state)?;
    out.complete()
}

fn read_file(
    file: &Opened,
    settings: &StreamConfig,
    shape: &Shape,
    progress: &mut Progress,
    out: &mut StreamOutput<'_>,
) -> Result<(), Failure> {
    let known = progress.state.files.get(&file.name);
    let step = step(known, file, settings.format)?;
    let mut from = Start::default();
    match (step, known) {
        (Step::Skip, Some(known)) => {
            // It may have been touched.
            if known.stamp != file.stamp {
                let known = FileState { stamp: file.stamp.clone(), ..known.clone() };
                progress.state.files.insert(file.name.clone(), known);
            }
            return Ok(());
        }
        (Step::Continue, Some(known)) => {
            from = Start { place: known.place, last: known.last };
        }
        (Step::ReadAgain, _) => log::warn(format_args!(
            "the file {} is another than the one that was read: it is read again from its start",
            file.name
        )),
        _ => {}
    }
    let end = match settings.format {
        Format::Csv => csv::read(file, settings, shape, from, progress, out)?,
        Format::Jsonl => jsonl::read(file, settings, shape, from, progress, out)?,
        Format::Parquet => parquet::read(file, shape, from.place, progress, out)?,
    };
    let entry = FileState {
        size: file.size,
        stamp: file.stamp.clone(),
        print: file.size.map(|size| file.print(size)).transpose()?.flatten(),
        mark: None,
        place: end.place,
        last: end.last,
        part: false,
    };
    progress.state.files.insert(file.name.clone(), entry);
    // Many small files have one checkpoint for all: a state names each.
    if progress.is_due() {
        progress.emit(out)?;
    }
    Ok(())
}

/// Where a read of a file begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start {
    pub(crate) place: Position,
    /// Where the last row began that was read, if nothing ended it then.
    pub(crate) last: Option<Position>,
}

/// Where a read of a file ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) place: Position,
    /// Where the last row begins, if nothing ends it: it may go on.
    pub(crate) last: Option<Position>,
}

/// Makes checkpoints.
#[derive(Debug)]
pub(crate) struct Progress {
    state: State,
    every: u64,
    /// Bytes that were read since the last checkpoint.
    read: u64,
    pub(crate) incremental: bool,
}

impl Progress {
    /// Notes that bytes were read.
    pub(crate) fn note(&mut self, bytes: u64) {
        self.read += bytes;
    }

    /// Were as many bytes read as lie between two checkpoints?
    pub(crate) fn is_due(&self) -> bool {
        self.read >= self.every
    }

    /// Makes a checkpoint within a file. `plain`: what is read is what is in it, so that it may grow
    /// behind the place.
    pub(crate) fn within(
        &mut self,
        file: &Opened,
        place: Position,
        plain: bool,
        out: &mut StreamOutput<'_>,
    ) -> Result<(), Failure> {
        // A server is not asked twice for each checkpoint where its own word will do.
        let known = file.remote().is_some() && file.stamp.is_some();
        let mark = if plain { Some(place.offset) } else { file.size };
        let print = match mark {
            Some(mark) if !known => file.print(mark)?,
            _ => None,
        };
        let entry = FileState {
            size: file.size,
            stamp: file.stamp.clone(),
            print,
            mark: mark.filter(|_| plain),
            place,
            last: None,
            part: true,
        };
        self.state.files.insert(file.name.clone(), entry);
        self.emit(out)
    }

    fn emit(&mut self, out: &mut StreamOutput<'_>) -> Result<(), Failure> {
        self.read = 0;
        out.checkpoint(&self.state)?;
        Ok(())
    }
}
