//! The rules of sources, on whole reads that are kept and compared.

use serde_json::Value;

use super::compare::{missing, tally};
use super::report::Findings;
use super::rule::{
    DISCOVER_ANSWERS, DISCOVER_KEYS, DISCOVER_MODES, DISCOVER_SCHEMAS, READ_COUNTS, READ_ENDS,
    READ_KEYS, READ_REPEATABLE, READ_ROWS, READ_SCHEMA, READ_STATE, READ_STATUS,
    READ_UNKNOWN_STREAM,
};
use super::taken::{Given, Read, covers, read};
use super::{Trial, answered, resume, told};
use crate::connector::json_schema;
use crate::protocol::{
    Catalog, ConfiguredStream, DestinationSyncMode, DiscoveredStream, Json, Specification,
    StateScope, StreamDescriptor, StreamStatus, SyncMode,
};
use crate::sandbox::secrets::{is_short, secret_members};

/// A stream that no source has.
const NO_STREAM: &str = "lockgate_validate_no_such_stream";

/// Keywords that platforms do not look into.
const FORBIDDEN: [&str; 3] = ["$ref", "allOf", "not"];

pub(super) async fn rules(trial: &Trial<'_>, findings: &mut Findings, spec: &Specification) {
    let Some(streams) = discover(trial, findings, spec).await else { return };
    let catalog = match &trial.options.catalog {
        Some(catalog) => catalog.clone(),
        None => Catalog { streams: chosen(trial, &streams).map(configured).collect() },
    };
    trial.progress.tries("reading");
    findings.begin();
    let (read, ended) = read(trial, &catalog, &[]).await;
    let faults = match ended {
        Ok(()) => Vec::new(),
        Err(_) if read.full => {
            let (rows, bytes) = (trial.options.kept.rows, trial.options.kept.bytes >> 20);
            vec![format!(
                "it has more than {rows} rows or {bytes} MiB, which is more than is compared: choose streams with --streams"
            )]
        }
        Err(error) => vec![told(&error)],
    };
    if catalog.streams.is_empty() {
        findings.judge(READ_ENDS, vec!["there is no stream to read".into()]);
        return;
    }
    if let Some(fault) = faults.into_iter().next() {
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

async fn discover(
    trial: &Trial<'_>,
    findings: &mut Findings,
    spec: &Specification,
) -> Option<Vec<DiscoveredStream>> {
    trial.progress.tries("discover");
    findings.begin();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let found = trial.executor.discover(&trial.context(), trial.config()).await;
        match trial.heard(found) {
            Ok(streams) => answers.push(streams),
            Err(error) => {
                findings.judge(DISCOVER_ANSWERS, vec![told(&error)]);
                return None;
            }
        }
    }
    let mut faults = Vec::new();
    let (second, first) = (answers.pop()?, answers.pop()?);
    let listed = |streams: &[DiscoveredStream]| {
        streams.iter().map(DiscoveredStream::to_airbyte).collect::<Vec<_>>()
    };
    if first.is_empty() {
        faults.push("it lists no stream".into());
    }
    for (place, stream) in first.iter().enumerate() {
        if first[..place].iter().any(|other| other.descriptor == stream.descriptor) {
            faults.push(format!("{} is listed twice", stream.descriptor));
        }
    }
    if listed(&first) != listed(&second) {
        faults.push("two calls gave different catalogs".into());
    }
    if !findings.judge(DISCOVER_ANSWERS, faults) {
        return None;
    }
    told_secrets(trial, spec, &first);
    findings.judge(DISCOVER_SCHEMAS, first.iter().flat_map(bad_schema).collect());
    findings.judge(DISCOVER_KEYS, first.iter().flat_map(bad_keys).collect());
    let modeless = first.iter().filter(|stream| stream.sync_modes.is_empty());
    findings.judge(
        DISCOVER_MODES,
        modeless.map(|stream| format!("{}: no mode", stream.descriptor)).collect(),
    );
    Some(first)
}

/// What the catalog holds of the configuration's secrets.
fn told_secrets(trial: &Trial<'_>, spec: &Specification, streams: &[DiscoveredStream]) {
    let (schema, config) = (spec.config_schema.to_value().ok(), trial.config().to_value());
    let Ok(config) = config else { return };
    for (place, secret) in secret_members(schema.as_ref(), &config) {
        let holds = |stream: &&DiscoveredStream| {
            !is_short(&secret) && stream.to_airbyte().to_string().contains(&secret)
        };
        if let Some(stream) = streams.iter().find(holds) {
            trial.ear.leaked(&format!("the catalog holds {place}, in {}", stream.descriptor));
        }
    }
}

fn bad_schema(stream: &DiscoveredStream) -> Vec<String> {
    let name = &stream.descriptor;
    let schema = match stream.json_schema.to_value() {
        Ok(schema) => schema,
        Err(error) => return vec![format!("{name}: the schema cannot be read: {error}")],
    };
    let mut faults = Vec::new();
    if let Err(reason) = json_schema(&schema) {
        faults.push(format!("{name}: {reason}"));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if properties.is_none_or(serde_json::Map::is_empty) {
        faults.push(format!("{name}: the schema has no properties"));
    }
    let is_object = |kind: &Value| match kind {
        Value::String(word) => word == "object",
        Value::Array(words) => words.iter().any(|word| word == "object"),
        // What is no type is no JSON Schema either.
        _ => true,
    };
    if !schema.get("type").is_none_or(is_object) {
        faults.push(format!("{name}: the schema is not of an object"));
    }
    let mut open = vec![&schema];
    while let Some(Value::Object(members)) = open.pop() {
        for (key, value) in members {
            if FORBIDDEN.contains(&key.as_str()) && !value.is_null() {
                faults.push(format!("{name}: the schema uses {key}"));
            }
            match (key.as_str(), value) {
                // The names of columns are no keywords.
                ("properties", Value::Object(columns)) => open.extend(columns.values()),
                ("items", value) => open.push(value),
                ("oneOf" | "anyOf", Value::Array(variants)) => open.extend(variants),
                _ => {}
            }
        }
    }
    faults
}

fn has_columns(schema: &Value) -> bool {
    schema.get("properties").and_then(Value::as_object).is_some_and(|columns| !columns.is_empty())
}

fn has_path(schema: &Value, path: &[String]) -> bool {
    let mut at = schema;
    path.iter().all(|step| match at.get("properties").and_then(|p| p.get(step)) {
        Some(next) => {
            at = next;
            true
        }
        None => false,
    })
}

fn bad_keys(stream: &DiscoveredStream) -> Vec<String> {
    let schema = stream.json_schema.to_value().unwrap_or(Value::Null);
    let name = &stream.descriptor;
    let mut faults = Vec::new();
    if !has_columns(&schema) {
        // DISCOVER_SCHEMAS does not hold.
        return faults;
    }
    for path in &stream.source_defined_primary_key {
        if path.is_empty() || !has_path(&schema, path) {
            faults.push(format!("{name}: the primary key {} is not in the schema", path.join(".")));
        }
    }
    let cursor = &stream.default_cursor_field;
    if !cursor.is_empty() && !has_path(&schema, cursor) {
        faults.push(format!("{name}: the cursor {} is not in the schema", cursor.join(".")));
    }
    faults
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
    let mut faults = Vec::new();
    let mut keys = Vec::new();
    for (index, stream) in streams() {
        faults.extend(misfits(&stream.stream, read, index));
        keys.extend(keyless(stream, read, index));
    }
    findings.judge(READ_SCHEMA, faults);
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
    let open = schema.get("additionalProperties") == Some(&Value::Bool(true));
    let paths = stream.source_defined_primary_key.iter().chain([&stream.default_cursor_field]);
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
        } else if let Some(column) = value.as_object().filter(|_| !open).and_then(|members| {
            members.keys().find(|column| {
                // A key and a cursor are DISCOVER_KEYS'.
                !paths.clone().any(|path| path.first() == Some(*column))
                    && !properties.is_some_and(|known| known.contains_key(*column))
            })
        }) {
            let column: String = column.chars().take(60).collect();
            faults.push(format!(
                "{name}: row {number} has a column {column}, which is not in the schema"
            ));
        }
        if faults.len() >= TOLD {
            break;
        }
    }
    faults
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
