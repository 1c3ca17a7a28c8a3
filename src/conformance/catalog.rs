//! The rules of what a source lists.

use serde_json::Value;

use super::report::Findings;
use super::rule::{DISCOVER_ANSWERS, DISCOVER_KEYS, DISCOVER_MODES, DISCOVER_SCHEMAS};
use super::{Trial, told};
use crate::connector::json_schema;
use crate::protocol::{DiscoveredStream, Specification};
use crate::sandbox::secrets::{is_short, secret_members};

/// Keywords that platforms do not look into.
const FORBIDDEN: [&str; 3] = ["$ref", "allOf", "not"];

pub(super) async fn discover(
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
    told_secrets(trial, spec, &first).await;
    findings.judge(DISCOVER_SCHEMAS, first.iter().flat_map(bad_schema).collect());
    findings.judge(DISCOVER_KEYS, first.iter().flat_map(bad_keys).collect());
    let modeless = first.iter().filter(|stream| stream.sync_modes.is_empty());
    findings.judge(
        DISCOVER_MODES,
        modeless.map(|stream| format!("{}: no mode", stream.descriptor)).collect(),
    );
    Some(first)
}

/// Whether a text of a document holds another. The names of columns are no texts.
fn holds(document: &Value, text: &str) -> bool {
    match document {
        Value::String(value) => value.contains(text),
        Value::Array(items) => items.iter().any(|item| holds(item, text)),
        Value::Object(members) => members.values().any(|member| holds(member, text)),
        _ => false,
    }
}

/// Tells of what the catalog holds of the configuration's secrets.
async fn told_secrets(trial: &Trial<'_>, spec: &Specification, streams: &[DiscoveredStream]) {
    let schema = spec.config_schema.to_value().ok();
    let filled = trial.executor.filled_in(&trial.context(), trial.config()).await;
    let Some(config) = filled.ok().and_then(|config| config.to_value().ok()) else { return };
    for (place, secret) in secret_members(schema.as_ref(), &config) {
        let with =
            |stream: &&DiscoveredStream| !is_short(&secret) && holds(&stream.to_airbyte(), &secret);
        if let Some(stream) = streams.iter().find(with) {
            trial.ear.leaked(&format!("the catalog holds {place}, in {}", stream.descriptor));
        }
    }
}

pub(super) fn bad_schema(stream: &DiscoveredStream) -> Vec<String> {
    let name = &stream.descriptor;
    let schema = match stream.json_schema.to_value() {
        Ok(schema) => schema,
        Err(error) => return vec![format!("{name}: the schema cannot be read: {error}")],
    };
    let mut faults = Vec::new();
    if let Err(reason) = json_schema(&schema) {
        faults.push(format!("{name}: {reason}"));
    }
    if !has_columns(&schema) {
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

pub(super) fn bad_keys(stream: &DiscoveredStream) -> Vec<String> {
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
