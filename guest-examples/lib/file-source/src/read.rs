//! Reads streams: file after file, in the order of their names.

use std::collections::{BTreeMap, HashSet};

use json_rows::of_schema;
use lockgate_sdk::{
    Catalog, ConfiguredStream, Failure, Output, SavedState, StreamOutput, log, retry,
};

use crate::config::{Config, Format, StreamConfig};
use crate::place::{Listed, Opened, Place};
use crate::progress::{Progress, Start};
use crate::shape::{FILE, ROW, Shape};
use crate::state::{FileState, Kind, State, Step, step};
use crate::{csv, discover, jsonl, parquet};

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
    let shape = shape_of(place, config, settings, stream, &listed)?;
    let mut progress = Progress::new(state, config.checkpoint_bytes());
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

/// The shape of a stream's rows: as the catalog has it; where that names no columns, as the files have it.
fn shape_of(
    place: &Place,
    config: &Config,
    settings: &StreamConfig,
    stream: &ConfiguredStream,
    listed: &[Listed],
) -> Result<Shape, Failure> {
    let wrong = |error| {
        Failure::config("the stream's schema in the catalog is not one of objects")
            .with_detail(error)
    };
    let mut columns = of_schema(&stream.json_schema).map_err(wrong)?;
    if columns.is_empty() && !listed.is_empty() {
        let schema = discover::schema(place, config, settings, listed)?;
        columns = of_schema(&schema.to_string()).map_err(wrong)?;
    }
    let has = |name: &str| config.add_file_columns && columns.iter().any(|(c, _)| c == name);
    let (file, row) = (has(FILE), has(ROW));
    if config.add_file_columns {
        columns.retain(|(name, _)| name != FILE && name != ROW);
    }
    Ok(Shape::new(columns, file, row, config.on_mismatch, config.ragged))
}
