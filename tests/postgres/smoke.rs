//! The shapes of data that destinations are tried with everywhere (PyAirbyte's 22 scenarios, in data of
//! our own): each value and each type read back by the server's own rules.

use std::collections::BTreeMap;

use lockgate::conformance::{Scenario, column_schema, scenarios};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::scene::{Scene, catalog, complete, generation, keyed, stream, with};

/// The column that a type becomes.
fn column_type(kind: &str) -> &'static str {
    match kind {
        "integer" => "bigint",
        "number" | "number or null" => "numeric",
        "boolean" => "boolean",
        "date" => "date",
        "timestamptz" => "timestamp with time zone",
        "timestamp" => "timestamp without time zone",
        "timetz" => "time with time zone",
        "time" => "time without time zone",
        "object" | "array" | "string or integer" | "object or string" => "jsonb",
        _ => "text",
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value as the server reads it from a literal of its column's type.
fn literal(value: Option<&RawValue>, kind: &str) -> String {
    let raw = value.map_or("null", RawValue::get);
    let text = match serde_json::from_str::<Value>(raw).expect("JSON") {
        Value::Null => return format!("NULL::{kind}"),
        Value::String(text) if kind != "jsonb" => text,
        _ => raw.to_owned(),
    };
    format!("'{}'::{kind}", text.replace('\'', "''"))
}

#[test]
fn every_scenario_arrives_value_by_value() {
    for replaces in [false, true] {
        let scene = Scene::new();
        let scenarios = scenarios();
        assert_eq!(scenarios.len(), 22);
        let mut streams = Vec::new();
        let mut messages = Vec::new();
        for scenario in &scenarios {
            let properties: serde_json::Map<_, _> = (scenario.columns.iter())
                .map(|(name, kind)| (name.clone(), column_schema(kind)))
                .collect();
            let plain = stream(scenario.name, &properties.into());
            let keyed = match &scenario.kept {
                Some(_) => keyed(plain, &json!([["id"]]), &json!([])),
                None if replaces => with(plain, &json!({"destination_sync_mode": "overwrite"})),
                None => plain,
            };
            streams.push(generation(keyed, 2, if replaces { 2 } else { 0 }));
            messages.extend(scene.texts(scenario.name, &scenario.rows));
            messages.push(complete(scenario.name).to_string());
        }
        // Twice: what replaces is replaced, and what has a key stays as it is.
        scene.write(&catalog(&streams), &messages);
        let streams: Vec<_> = streams
            .into_iter()
            .map(|stream| if replaces { generation(stream, 3, 3) } else { stream })
            .collect();
        scene.write(&catalog(&streams), &messages);
        for scenario in &scenarios {
            verify(&scene, scenario, if replaces { 1 } else { 2 });
        }
    }
}

/// `times` is how often rows without a key were added.
fn verify(scene: &Scene, scenario: &Scenario, times: usize) {
    let name = scenario.name;
    // Where long names are cut, columns are found by their order: that of the schema.
    let columns = scene.columns(&quoted(name));
    assert_eq!(columns.len(), scenario.columns.len(), "{name}");
    let mut expected: Vec<_> = scenario.columns.iter().collect();
    // The catalog of the test has its members sorted.
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    for ((column, kind), (member, wanted)) in columns.iter().zip(&expected) {
        assert_eq!(kind, column_type(wanted), "{name}: {member}");
        let same = column == member || member.len() > 63;
        assert!(same, "{name}: {column} for {member}");
    }
    let kept: Vec<usize> = match &scenario.kept {
        Some(kept) => kept.clone(),
        None => (0..scenario.rows.len()).collect(),
    };
    let mut conditions = Vec::new();
    for row in &kept {
        let members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&scenario.rows[*row]).expect("a row");
        let all: Vec<_> = (columns.iter().zip(&expected))
            .map(|((column, _), (member, kind))| {
                let value = literal(members.get(member).map(AsRef::as_ref), column_type(kind));
                format!("{} IS NOT DISTINCT FROM {value}", quoted(column))
            })
            .collect();
        conditions.push(format!("({})", all.join(" AND ")));
    }
    let times = if scenario.kept.is_none() { times } else { 1 };
    let table = quoted(name);
    let count = format!("SELECT count(*) FROM {table}");
    assert_eq!(scene.lines(&count), [(kept.len() * times).to_string()], "{name}");
    for chunk in conditions.chunks(100) {
        let any = chunk.join(" OR ");
        let found = scene.lines(&format!("{count} WHERE {any}")).concat();
        let found: usize = found.parse().expect("a number");
        assert_eq!(found, chunk.len() * times, "{name}");
    }
    let changed = format!("{count} WHERE _airbyte_meta->'changes' <> '[]'");
    assert_eq!(scene.lines(&changed), ["0"], "{name}");
}
