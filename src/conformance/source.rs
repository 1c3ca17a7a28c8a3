//! The rules of sources, on whole reads that are kept and compared.

use serde_json::Value;

use super::catalog::{bad_keys, bad_schema, discover};
use super::compare::{missing, tally};
use super::report::Findings;
use super::rule::{
    READ_COUNTS, READ_ENDS, READ_KEYS, READ_REPEATABLE, READ_ROWS, READ_SCHEMA, READ_STATE,
    READ_STATUS, READ_UNKNOWN_STREAM,
};
use super::taken::{Given, Read, covers, read};
use super::{Trial, answered, bare, resume, told};
use crate::connector::json_schema;
use crate::executor::ExecutorError;
use crate::protocol::{
    Catalog, ConfiguredStream, DestinationSyncMode, DiscoveredStream, Json, Specification,
    StateScope, StreamDescriptor, StreamStatus, SyncMode,
};

/// A stream that no source has.
const NO_STREAM: &str = "lockgate_validate_no_such_stream";

pub(super) async fn rules(trial: &Trial<'_>, findings: &mut Findings, spec: &Specification) {
    let Some(streams) = discover(trial, findings, spec).await else { return };
    let catalog = match &trial.options.catalog {
        Some(catalog) => catalog.clone(),
        None => Catalog { streams: chosen(trial, &streams).map(configured).collect() },
    };
    trial.progress.tries("reading");
    findings.begin();
    let (read, ended) = read(trial, &catalog, &[]).await;
    let fault = match ended {
        Ok(()) => None,
        Err(_) if read.full => {
            let (rows, bytes) = (trial.options.kept.rows, trial.options.kept.bytes >> 20);
            Some(format!(
                "it has more than {rows} rows or {bytes} MiB, which is more than is compared: choose streams with --streams"
            ))
        }
        Err(error) => Some(told(&error)),
    };
    if catalog.streams.is_empty() {
        findings.judge(READ_ENDS, vec!["there is no stream to read".into()]);
        return;
    }
    if let Some(fault) = fault {
        trial.unended(findings, READ_ENDS, fault);
        return;
    }
    findings.judge(READ_ENDS, Vec::new());
    looked_at(findings, &catalog, &read);
    repeated(trial, findings, &catalog, &read).await;
    unknown(trial, findings).await;
    resume::rules(trial, findings, &catalog, &read).await;
}

/// The streams to read of those that there are.
fn chosen<'a>(
    trial: &'a Trial<'_>,
    streams: &'a [DiscoveredStream],
) -> impl Iterator<Item = &'a DiscoveredStream> {
    let names = &trial.options.streams;
    streams.iter().filter(move |stream| {
        let descriptor = &stream.descriptor;
        names.is_empty()
            || names.iter().any(|n| *n == descriptor.name || *n == descriptor.to_string())
    })
}

/// Incremental where it can be without choosing a cursor.
pub(super) fn configured(stream: &DiscoveredStream) -> ConfiguredStream {
    let cursor = stream.source_defined_cursor || !stream.default_cursor_field.is_empty();
    let incremental = cursor && stream.sync_modes.contains(&SyncMode::Incremental);
    ConfiguredStream {
        stream: stream.clone(),
        sync_mode: if incremental { SyncMode::Incremental } else { SyncMode::FullRefresh },
        destination_sync_mode: DestinationSyncMode::Append,
        cursor_field: stream.default_cursor_field.clone(),
        primary_key: stream.source_defined_primary_key.clone(),
        generation_id: 1,
        minimum_generation_id: 0,
        sync_id: 1,
        extra: serde_json::Map::new(),
    }
}

/// The rules that one read shows.
fn looked_at(findings: &mut Findings, catalog: &Catalog, read: &Read) {
    let streams = || (0u32..).zip(&catalog.streams);
    let mut faults = Vec::new();
    for (index, stream) in streams() {
        let name = &stream.stream.descriptor;
        let complete: Vec<usize> = (read.statuses(index))
            .filter(|(_, status)| *status == StreamStatus::Complete)
            .map(|(place, _)| place)
            .collect();
        let last = read.last_row(index);
        match complete.as_slice() {
            [place] if last.is_some_and(|last| last > *place) => {
                faults.push(format!("{name}: rows come after COMPLETE"));
            }
            [_] => {}
            [] => faults.push(format!("{name}: it is never said to be COMPLETE")),
            more => faults.push(format!("{name}: it is said to be COMPLETE {} times", more.len())),
        }
        if read.statuses(index).any(|(_, status)| status == StreamStatus::Incomplete) {
            faults.push(format!("{name}: it is said to be INCOMPLETE"));
        }
        let begun = read.statuses(index).find(|(_, status)| *status == StreamStatus::Started);
        let first = read.first_row(index);
        if begun.is_some_and(|(place, _)| first.is_some_and(|first| first < place)) {
            faults.push(format!("{name}: rows come before STARTED"));
        }
    }
    findings.judge(READ_STATUS, faults);

    let empty: Vec<String> = streams()
        .filter(|(index, _)| read.count(*index) == 0)
        .map(|(_, stream)| format!("{} has no rows", stream.stream.descriptor))
        .collect();
    if empty.len() == catalog.streams.len() {
        findings.judge(READ_ROWS, empty);
    } else {
        findings.judge_noting(READ_ROWS, Vec::new(), empty);
    }

    findings.begin();
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    let mut keys = Vec::new();
    for (index, stream) in streams() {
        faults.extend(misfits(&stream.stream, read, index));
        notes.extend(unknown_columns(&stream.stream, read, index));
        keys.extend(keyless(stream, read, index));
    }
    findings.judge_noting(READ_SCHEMA, faults, notes);
    findings.judge(READ_KEYS, keys);

    let mut faults = Vec::new();
    for (index, stream) in streams() {
        let name = &stream.stream.descriptor;
        let last = read.last_row(index);
        let state = read.states().filter(|(_, state)| covers(state, name)).map(|(at, _)| at).last();
        let complete = read.statuses(index).any(|(_, status)| status == StreamStatus::Complete);
        match (last, state) {
            // It broke READ_STATUS: nobody knows where it ends.
            _ if !complete => {}
            (_, None) => faults.push(format!("{name}: it has no state")),
            (Some(last), Some(state)) if state < last => {
                faults.push(format!("{name}: no state comes after its last row"));
            }
            _ => {}
        }
    }
    findings.judge(READ_STATE, faults);
    if findings.failed(READ_STATE) {
        findings.skip(READ_COUNTS, "READ_STATE does not hold");
    } else if read.states().any(|(_, state)| state.source_stats().is_some()) {
        findings.judge(READ_COUNTS, miscounted(catalog, read));
    } else {
        findings.skip(READ_COUNTS, "its states have no counts");
    }
}

/// Rows of each fault that are told of.
const TOLD: usize = 3;

fn misfits(stream: &DiscoveredStream, read: &Read, index: u32) -> Vec<String> {
    let name = &stream.descriptor;
    let schema = stream.json_schema.to_value().unwrap_or(Value::Null);
    // A schema that is none, or not of rows, broke a rule before.
    let Ok(validator) = json_schema(&without_zones(schema.clone())) else { return Vec::new() };
    if !bad_schema(stream).is_empty() {
        return Vec::new();
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut faults = Vec::new();
    for (number, row) in read.rows(index, 0).enumerate() {
        let Ok(value) = serde_json::from_str::<Value>(row) else {
            faults.push(format!("{name}: row {number} is not JSON"));
            continue;
        };
        if stream.source_defined_primary_key.iter().any(|path| at(&value, path).is_none()) {
            // It breaks READ_KEYS.
            continue;
        }
        let shares = value.as_object().is_some_and(|members| {
            properties.is_none_or(|known| members.keys().any(|member| known.contains_key(member)))
        });
        if !shares {
            faults.push(format!("{name}: row {number} has no column of the schema"));
        } else if let Some(error) = validator.iter_errors(&value).next() {
            let place = error.instance_path().to_string();
            let place = place.trim_start_matches('/').replace('/', ".");
            let what = error.masked_with("the value").to_string();
            faults.push(format!("{name}: row {number}, {place}: {what}"));
        }
        if faults.len() >= TOLD {
            break;
        }
    }
    faults
}

/// Columns of rows that the schema does not name. It need not: unless it says `additionalProperties:
/// false`, others may come.
fn unknown_columns(stream: &DiscoveredStream, read: &Read, index: u32) -> Option<String> {
    let schema = stream.json_schema.to_value().ok()?;
    let known = schema.get("properties").and_then(Value::as_object)?;
    let unknown = read.rows(index, 0).find_map(|row| {
        let row = serde_json::from_str::<serde_json::Map<String, Value>>(row).ok()?;
        row.into_iter().map(|(column, _)| column).find(|column| !known.contains_key(column))
    })?;
    let unknown: String = unknown.chars().take(60).collect();
    let name = &stream.descriptor;
    Some(format!("{name}: its rows have a column {unknown}, which is not in the schema"))
}

/// A schema by which a time needs no zone where Airbyte's type says that it has none: JSON Schema's
/// `date-time` and `time` always want one.
fn without_zones(mut schema: Value) -> Value {
    const TYPES: [&str; 2] = ["timestamp_without_timezone", "time_without_timezone"];
    let mut open = vec![&mut schema];
    while let Some(place) = open.pop() {
        match place {
            Value::Object(members) => {
                let airbyte = members.get("airbyte_type").and_then(Value::as_str);
                if airbyte.is_some_and(|airbyte| TYPES.contains(&airbyte)) {
                    members.remove("format");
                }
                open.extend(members.values_mut());
            }
            Value::Array(items) => open.extend(items.iter_mut()),
            _ => {}
        }
    }
    schema
}

fn at<'a>(row: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(row, |value, step| value.get(step)).filter(|value| !value.is_null())
}

fn keyless(stream: &ConfiguredStream, read: &Read, index: u32) -> Vec<String> {
    let key = &stream.stream.source_defined_primary_key;
    let name = &stream.stream.descriptor;
    let mut faults = Vec::new();
    // A key that is not in the schema broke DISCOVER_KEYS.
    if key.is_empty() || !bad_keys(&stream.stream).is_empty() {
        return faults;
    }
    for (number, row) in read.rows(index, 0).enumerate() {
        let row: Value = serde_json::from_str(row).unwrap_or(Value::Null);
        if let Some(path) = key.iter().find(|path| at(&row, path).is_none()) {
            faults.push(format!("{name}: row {number} has no {}", path.join(".")));
        }
        if faults.len() >= TOLD {
            break;
        }
    }
    faults
}

fn miscounted(catalog: &Catalog, read: &Read) -> Vec<String> {
    let index = catalog.index();
    let mut since = vec![0u64; catalog.streams.len()];
    let mut faults = Vec::new();
    for given in &read.given {
        match given {
            Given::Row(stream, _) => {
                if let Some(count) = since.get_mut(*stream as usize) {
                    *count += 1;
                }
            }
            Given::State(state) => {
                let (whom, counted) = match state.scope() {
                    StateScope::Stream(descriptor) => {
                        let stream = index.get(descriptor).map_or(usize::MAX, |i| *i as usize);
                        let counted = since.get_mut(stream).map_or(0, std::mem::take);
                        (format!("stream {descriptor}"), counted)
                    }
                    StateScope::Global | StateScope::Legacy => {
                        let all = since.iter_mut().map(std::mem::take).sum();
                        ("all streams".to_owned(), all)
                    }
                };
                if let Some(said) = state.source_stats().and_then(|stats| stats.total())
                    && said != counted as f64
                {
                    faults.push(format!("a state of {whom} says {said} rows, and {counted} came"));
                }
            }
            Given::Status(..) => {}
        }
    }
    faults
}

async fn repeated(trial: &Trial<'_>, findings: &mut Findings, catalog: &Catalog, first: &Read) {
    trial.progress.tries("reading again");
    findings.begin();
    let mut whole = catalog.clone();
    for stream in &mut whole.streams {
        stream.sync_mode = SyncMode::FullRefresh;
    }
    let (second, ended) = read(trial, &whole, &[]).await;
    if let Err(error) = ended {
        findings.judge(READ_REPEATABLE, vec![format!("the second read: {}", told(&error))]);
        return;
    }
    let ignored = &trial.options.ignored_fields;
    let mut faults = Vec::new();
    for (index, stream) in (0u32..).zip(&catalog.streams) {
        let (a, b) = (tally(first.rows(index, 0), ignored), tally(second.rows(index, 0), ignored));
        let (lost, new) = (missing(&a, &b), missing(&b, &a));
        if lost + new > 0 {
            faults.push(format!(
                "{}: of {} rows {lost} did not come again, and {new} are new",
                stream.stream.descriptor,
                first.count(index)
            ));
        }
    }
    findings.judge(READ_REPEATABLE, faults);
}

async fn unknown(trial: &Trial<'_>, findings: &mut Findings) {
    trial.progress.tries("a stream that is not there");
    findings.begin();
    let schema = Json::from_value(&serde_json::json!({ "type": "object", "properties": {
        "id": { "type": "integer" } } }));
    let stream = DiscoveredStream {
        descriptor: StreamDescriptor::new(NO_STREAM),
        json_schema: schema,
        sync_modes: vec![SyncMode::FullRefresh],
        source_defined_cursor: false,
        default_cursor_field: Vec::new(),
        source_defined_primary_key: Vec::new(),
        resumable: false,
        extra: serde_json::Map::new(),
    };
    let catalog = Catalog { streams: vec![configured(&stream)] };
    let (read, ended) = read(trial, &catalog, &[]).await;
    let said = |wanted| read.statuses(0).any(|(_, status)| status == wanted);
    let fault = match ended {
        Err(error) if matches!(bare(&error), ExecutorError::Timeout { .. }) => Some(told(&error)),
        Err(error) => match answered(error) {
            Ok(_) => None,
            // A program that ends with a code of its own has failed, too.
            Err(_) if trial.executor.component().is_none() => None,
            Err(crash) => Some(format!("it crashed: {crash}")),
        },
        Ok(()) if said(StreamStatus::Complete) => Some("it said COMPLETE".to_owned()),
        Ok(()) if said(StreamStatus::Incomplete) => None,
        Ok(()) => Some("it ended well, and said nothing of it".to_owned()),
    };
    findings.judge(READ_UNKNOWN_STREAM, fault.into_iter().collect());
}
