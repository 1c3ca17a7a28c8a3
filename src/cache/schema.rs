//! From a JSON Schema to columns: one mapper for every engine and for Arrow.
//!
//! A source writes its schemas, so they may be anything: deep, wide, contradictory. What is not
//! understood is [`ColumnType::Json`], which holds every value; what is too much is left out of the
//! columns and is in the record all the same.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::ColumnType;
use crate::protocol::Json;

/// Columns of one table. SQLite has 2,000 at most and PostgreSQL 1,600, ours included; a wide
/// business application has some 800 fields. Members beyond it are in the record only.
pub const MAX_COLUMNS: usize = 1_000;

/// Bytes of a member's name that becomes a column: longer ones are in the record only.
pub const MAX_MEMBER_BYTES: usize = 1 << 10;

/// How deep alternatives (`oneOf` in `anyOf` …) are looked into; below it is any value.
const MAX_ALTERNATIVES_DEPTH: usize = 4;

/// The members of a record that become columns, with what each holds, in the schema's order.
#[must_use]
pub fn columns(schema: &Json) -> Vec<(String, ColumnType)> {
    let Ok(root) = serde_json::from_str::<Root<'_>>(schema.get()) else { return Vec::new() };
    let members = root.properties.map(|p| p.0).unwrap_or_default();
    let mut columns: Vec<(String, ColumnType)> = Vec::with_capacity(members.len());
    let mut seen = std::collections::HashSet::new();
    for (member, schema) in members {
        if member.len() <= MAX_MEMBER_BYTES && seen.insert(member.clone()) {
            // A schema that is nested deeper than a parser goes holds anything.
            let schema = serde_json::from_str::<Value>(schema.get()).unwrap_or(Value::Null);
            columns.push((member, kind(&schema, MAX_ALTERNATIVES_DEPTH)));
        }
    }
    columns
}

#[derive(Deserialize)]
struct Root<'a> {
    #[serde(borrow, default)]
    properties: Option<Properties<'a>>,
}

/// In the order they are written in.
struct Properties<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Properties<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Properties<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((member, schema)) = map.next_entry::<String, &RawValue>()? {
                    if members.len() < MAX_COLUMNS {
                        members.push((member, schema));
                    }
                }
                Ok(Properties(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// What a member with this schema holds.
fn kind(schema: &Value, depth: usize) -> ColumnType {
    let Some(schema) = schema.as_object() else { return ColumnType::Json };
    for word in ["oneOf", "anyOf"] {
        if let Some(alternatives) = schema.get(word) {
            return alternatives_kind(alternatives, depth);
        }
    }
    let word = |name: &str| schema.get(name).and_then(Value::as_str);
    let mut types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return ColumnType::Json,
    };
    types.retain(|one| *one != "null");
    types.sort_unstable();
    types.dedup();
    match (types.as_slice(), word("airbyte_type"), word("format")) {
        (["boolean"], ..) => ColumnType::Boolean,
        (["integer"], ..) | (["number"], Some("integer"), _) => ColumnType::Integer,
        (["number"] | ["integer", "number"], ..) => ColumnType::Number,
        (["string"], airbyte, format) => text(airbyte, format),
        _ => ColumnType::Json,
    }
}

/// Airbyte's types of text: without a word about the zone, there is one.
fn text(airbyte: Option<&str>, format: Option<&str>) -> ColumnType {
    match (airbyte, format) {
        (Some("timestamp_without_timezone"), _) => ColumnType::Timestamp,
        (Some("timestamp_with_timezone"), _) | (_, Some("date-time")) => {
            ColumnType::TimestampWithTimezone
        }
        (Some("time_without_timezone"), _) => ColumnType::Time,
        (Some("time_with_timezone"), _) | (_, Some("time")) => ColumnType::TimeWithTimezone,
        (_, Some("date")) => ColumnType::Date,
        _ => ColumnType::String,
    }
}

/// One that all the alternatives share, null aside; else anything.
fn alternatives_kind(alternatives: &Value, depth: usize) -> ColumnType {
    let (Some(all), Some(depth)) = (alternatives.as_array(), depth.checked_sub(1)) else {
        return ColumnType::Json;
    };
    let is_null = |one: &&Value| one.get("type").and_then(Value::as_str) == Some("null");
    let mut kinds = all.iter().filter(|one| !is_null(one)).map(|one| kind(one, depth));
    let Some(first) = kinds.next() else { return ColumnType::Json };
    if kinds.all(|kind| kind == first) { first } else { ColumnType::Json }
}

impl ColumnType {
    /// What holds the values of both: integers are numbers, days are timestamps, scalars are text, and
    /// everything is JSON.
    #[must_use]
    pub fn widened(self, other: Self) -> Self {
        use ColumnType::{
            Date, Integer, Json, Number, String, Time, TimeWithTimezone, Timestamp,
            TimestampWithTimezone,
        };
        match (self, other) {
            (a, b) if a == b => a,
            (Json, _) | (_, Json) => Json,
            (Integer, Number) | (Number, Integer) => Number,
            (Date, Timestamp) | (Timestamp, Date) => Timestamp,
            (Date, TimestampWithTimezone) | (TimestampWithTimezone, Date) => TimestampWithTimezone,
            // The zone of one would be lost, or made up for the other.
            (Time, TimeWithTimezone) | (TimeWithTimezone, Time) => String,
            _ => String,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(schema: &str) -> ColumnType {
        let schema = format!(r#"{{"properties":{{"a":{schema}}}}}"#);
        columns(&Json::parse(schema).unwrap())[0].1
    }

    #[test]
    fn airbytes_types_have_columns() {
        use ColumnType as C;
        for (schema, kind) in [
            (r#"{"type":"string"}"#, C::String),
            (r#"{"type":["null","string"]}"#, C::String),
            (r#"{"type":"boolean"}"#, C::Boolean),
            (r#"{"type":"integer"}"#, C::Integer),
            (r#"{"type":"number"}"#, C::Number),
            (r#"{"type":"number","airbyte_type":"integer"}"#, C::Integer),
            (r#"{"type":["integer","number","null"]}"#, C::Number),
            (r#"{"type":"string","format":"date"}"#, C::Date),
            (r#"{"type":"string","format":"date-time"}"#, C::TimestampWithTimezone),
            (
                r#"{"type":"string","format":"date-time","airbyte_type":"timestamp_without_timezone"}"#,
                C::Timestamp,
            ),
            (
                r#"{"type":"string","format":"time","airbyte_type":"time_without_timezone"}"#,
                C::Time,
            ),
            (r#"{"type":"string","format":"time"}"#, C::TimeWithTimezone),
            (r#"{"type":"object","properties":{}}"#, C::Json),
            (r#"{"type":"array"}"#, C::Json),
            (r#"{"type":["string","integer"]}"#, C::Json),
            (r#"{"oneOf":[{"type":"string"},{"type":"integer"}]}"#, C::Json),
            (r#"{"oneOf":[{"type":"null"},{"type":"integer"}]}"#, C::Integer),
            (r#"{"type":"null"}"#, C::Json),
            (r##"{"$ref":"#/definitions/x"}"##, C::Json),
            ("{}", C::Json),
            ("true", C::Json),
            (r#"{"type":"surprise"}"#, C::Json),
        ] {
            assert_eq!(kind_of(schema), kind, "{schema}");
        }
    }

    #[test]
    fn hostile_schemas_are_bounded() {
        let deep = |n: usize| format!("{}{}{}", r#"{"oneOf":["#.repeat(n), "{}", "]}".repeat(n));
        assert_eq!(kind_of(&deep(60)), ColumnType::Json);
        assert_eq!(kind_of(&deep(100_000)), ColumnType::Json);
        let wide: Vec<String> = (0..10_000).map(|i| format!(r#""c{i}":{{}}"#)).collect();
        let schema = format!(r#"{{"properties":{{{}}}}}"#, wide.join(","));
        assert_eq!(columns(&Json::parse(schema).unwrap()).len(), MAX_COLUMNS);
        for odd in ["[]", "{}", r#"{"properties":[]}"#, r#"{"properties":null}"#, "null"] {
            assert!(columns(&Json::parse(odd).unwrap()).is_empty(), "{odd}");
        }
    }

    #[test]
    fn the_order_is_the_schemas() {
        let schema = r#"{"properties":{"z":{"type":"string"},"a":{"type":"integer"},"m":{}}}"#;
        let names: Vec<String> =
            columns(&Json::parse(schema).unwrap()).into_iter().map(|c| c.0).collect();
        assert_eq!(names, ["z", "a", "m"]);
    }

    #[test]
    fn types_only_widen() {
        use ColumnType as C;
        let all = [
            C::String,
            C::Boolean,
            C::Integer,
            C::Number,
            C::Date,
            C::Time,
            C::TimeWithTimezone,
            C::Timestamp,
            C::TimestampWithTimezone,
            C::Json,
        ];
        for a in all {
            for b in all {
                let both = a.widened(b);
                assert_eq!(both, b.widened(a), "{a:?} {b:?}");
                assert_eq!(both.widened(a), both, "{a:?} {b:?}");
                assert_eq!(both.widened(b), both, "{a:?} {b:?}");
            }
        }
        assert_eq!(C::Integer.widened(C::Number), C::Number);
        assert_eq!(C::Number.widened(C::String), C::String);
        assert_eq!(C::Date.widened(C::Timestamp), C::Timestamp);
        assert_eq!(C::Timestamp.widened(C::TimestampWithTimezone), C::String);
    }
}
