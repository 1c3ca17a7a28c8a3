//! The streams, and the schemas of their rows.
//!
//! A schema is found out from samples: it says what was seen, and every column may be null.

use lockgate_sdk::{Failure, Stream, StreamDescriptor, retry};
use serde_json::{Map, Value, json};

use crate::config::{Config, Format, StreamConfig};
use crate::limits;
use crate::place::{Listed, Place};
use crate::schema::schema_of;
use crate::shape::{FILE, ROW};
use crate::{csv, jsonl, parquet};

/// All streams of a configuration.
pub(crate) fn discover(config: &Config) -> Result<Vec<Stream>, Failure> {
    let place = Place::open(config, retry::Policy::BRIEF)?;
    config.streams.iter().map(|settings| stream(&place, config, settings)).collect()
}

fn stream(place: &Place, config: &Config, settings: &StreamConfig) -> Result<Stream, Failure> {
    let in_stream = |failure: Failure| failure.in_stream(&StreamDescriptor::new(&settings.name));
    let listed = files(place, settings).map_err(in_stream)?;
    let schema = schema(place, config, settings, &listed).map_err(in_stream)?;
    for column in &settings.primary_key {
        if schema["properties"].get(column).is_none() {
            return Err(in_stream(Failure::config(format!(
                "stream {}: `primary_key` names {column}, which its files have not",
                settings.name
            ))));
        }
    }
    let mut stream = Stream::new(&settings.name, schema).incremental().resumable();
    // The cursor is the place in the files: it is in no column.
    stream = stream.source_defined_cursor([""; 0]);
    if !settings.primary_key.is_empty() {
        stream = stream.primary_key(settings.primary_key.iter().map(|column| [column.as_str()]));
    }
    Ok(stream)
}

/// The files of a stream, of which there must be one at least.
pub(crate) fn files(place: &Place, settings: &StreamConfig) -> Result<Vec<Listed>, Failure> {
    let listed = place.list(settings)?;
    if listed.is_empty() {
        return Err(Failure::config(format!(
            "stream {}: no file matches {}: correct `files`, or grant the directory that they are in",
            settings.name,
            settings.files.join(", ")
        )));
    }
    Ok(listed)
}

/// The schema of the rows, from samples of some files: the first ones and the last ones.
pub(crate) fn schema(
    place: &Place,
    config: &Config,
    settings: &StreamConfig,
    listed: &[Listed],
) -> Result<Value, Failure> {
    let mut properties = Map::new();
    let half = limits::SAMPLE_FILES / 2;
    let middle =
        half.min(listed.len())..listed.len().saturating_sub(half).max(half.min(listed.len()));
    let sampled = listed
        .iter()
        .enumerate()
        .filter(|(number, _)| !middle.contains(number))
        .map(|(_, file)| place.file(file));
    match settings.format {
        Format::Csv => {
            let mut columns = csv::Columns::default();
            for file in sampled {
                csv::sample(&file?, settings, config.sample_rows, &mut columns)?;
            }
            for kind in &settings.csv.types {
                if !columns.types().any(|(name, _)| name == kind.column) {
                    return Err(Failure::config(format!(
                        "stream {}: `csv.types` names {}, which its files have not",
                        settings.name, kind.column
                    )));
                }
            }
            properties
                .extend(columns.types().map(|(name, kind)| (name.to_owned(), schema_of(kind))));
        }
        Format::Jsonl => {
            let mut members = jsonl::Members::default();
            for file in sampled {
                jsonl::sample(&file?, settings, config.sample_rows, &mut members)?;
            }
            properties.extend(members.schemas().map(|(name, schema)| (name.to_owned(), schema)));
        }
        Format::Parquet => {
            for file in sampled {
                parquet::sample(&file?, &mut properties)?;
            }
        }
    }
    if config.add_file_columns {
        for (name, kind) in [(FILE, "string"), (ROW, "integer")] {
            if properties.insert(name.to_owned(), json!({ "type": kind })).is_some() {
                return Err(Failure::config(format!(
                    "stream {}: its files have a column {name} of their own: turn `add_file_columns` off",
                    settings.name
                )));
            }
        }
    }
    Ok(json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": properties,
    }))
}
