//! From a stream's JSON Schema to columns.
//!
//! A source writes its schemas, so they may be anything: what is not plain is [`ColumnType::Json`], which
//! holds every value.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// What a column holds: Airbyte's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// Text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// A day.
    Date,
    /// A day and a time, as a clock shows them.
    Timestamp,
    /// A moment.
    TimestampWithTimezone,
    /// A time of day.
    Time,
    /// A time of day and how far it is from UTC.
    TimeWithTimezone,
    /// Any value, as JSON.
    Json,
}

/// The members of a JSON object, in their order.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// The members that a stream's schema declares, in its order, with their types.
///
/// # Errors
/// It is not a schema of objects.
pub fn of_schema(schema: &str) -> Result<Vec<(String, ColumnType)>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Schema {
        properties: Option<Members>,
    }
    let schema: Schema = serde_json::from_str(schema)?;
    let mut types: Vec<(String, ColumnType)> = Vec::new();
    let mut places = HashMap::new();
    for (name, member) in schema.properties.map_or(Vec::new(), |members| members.0) {
        let place = *places.entry(name.clone()).or_insert(types.len());
        match types.get_mut(place) {
            Some(known) => known.1 = of_value(&member),
            None => types.push((name, of_value(&member))),
        }
    }
    Ok(types)
}

/// The type for values of a schema; what is not plain is kept as JSON.
fn of_value(schema: &Value) -> ColumnType {
    if let Some(reference) = schema["$ref"].as_str() {
        return of_reference(reference);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(options) = schema[word].as_array() {
            let mut options =
                options.iter().filter(|option| option["type"] != "null").map(of_value);
            let Some(first) = options.next() else { return ColumnType::Json };
            return if options.all(|other| other == first) { first } else { ColumnType::Json };
        }
    }
    let airbyte = schema["airbyte_type"].as_str().unwrap_or_default();
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect()
        }
        _ => Vec::new(),
    };
    match (&types[..], airbyte) {
        (["string" | "number" | "integer"], "big_integer" | "big_number") => ColumnType::Number,
        (["integer"], _) | (["number"], "integer") => ColumnType::Integer,
        (["number"] | ["integer", "number"] | ["number", "integer"], _) => ColumnType::Number,
        (["boolean"], _) => ColumnType::Boolean,
        (["string"], _) => of_string(schema["format"].as_str().unwrap_or_default(), airbyte),
        _ => ColumnType::Json,
    }
}

fn of_string(format: &str, airbyte: &str) -> ColumnType {
    match (format, airbyte) {
        ("date", _) => ColumnType::Date,
        ("date-time" | "", "timestamp_without_timezone") => ColumnType::Timestamp,
        ("date-time", _) | ("", "timestamp_with_timezone") => ColumnType::TimestampWithTimezone,
        ("time" | "", "time_without_timezone") => ColumnType::Time,
        ("time", _) | ("", "time_with_timezone") => ColumnType::TimeWithTimezone,
        _ => ColumnType::String,
    }
}

/// Types by name, as an older protocol has them.
fn of_reference(reference: &str) -> ColumnType {
    match reference.strip_prefix("WellKnownTypes.json#/definitions/").unwrap_or_default() {
        "String" | "BinaryData" => ColumnType::String,
        "Date" => ColumnType::Date,
        "TimestampWithTimezone" => ColumnType::TimestampWithTimezone,
        "TimestampWithoutTimezone" => ColumnType::Timestamp,
        "TimeWithTimezone" => ColumnType::TimeWithTimezone,
        "TimeWithoutTimezone" => ColumnType::Time,
        "Number" => ColumnType::Number,
        "Integer" => ColumnType::Integer,
        "Boolean" => ColumnType::Boolean,
        _ => ColumnType::Json,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_become_types() {
        use ColumnType as T;
        let cases = [
            (json!({"type": "string"}), T::String),
            (json!({"type": ["null", "string"]}), T::String),
            (json!({"type": "boolean"}), T::Boolean),
            (json!({"type": ["integer", "null"]}), T::Integer),
            (json!({"type": "number", "airbyte_type": "integer"}), T::Integer),
            (json!({"type": "number"}), T::Number),
            (json!({"type": "string", "airbyte_type": "big_integer"}), T::Number),
            (json!({"type": "string", "format": "date"}), T::Date),
            (json!({"type": "string", "format": "date-time"}), T::TimestampWithTimezone),
            (
                json!({"type": "string", "format": "date-time",
                       "airbyte_type": "timestamp_without_timezone"}),
                T::Timestamp,
            ),
            (json!({"type": "string", "format": "time"}), T::TimeWithTimezone),
            (
                json!({"type": "string", "format": "time", "airbyte_type": "time_without_timezone"}),
                T::Time,
            ),
            (json!({"type": "string", "format": "email"}), T::String),
            (json!({"type": "object"}), T::Json),
            (json!({"type": "array", "items": {}}), T::Json),
            (json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}), T::Json),
            (json!({"oneOf": [{"type": "number"}, {"type": "null"}]}), T::Number),
            (json!({"type": ["string", "integer"]}), T::Json),
            (json!({"type": ["integer", "number", "null"]}), T::Number),
            (json!({}), T::Json),
            (json!(true), T::Json),
            (json!({"$ref": "WellKnownTypes.json#/definitions/Integer"}), T::Integer),
        ];
        for (schema, kind) in cases {
            assert_eq!(of_value(&schema), kind, "{schema}");
        }
    }

    #[test]
    fn members_keep_their_order_and_the_last_of_two_counts() {
        let text = r#"{"properties":{"b":{"type":"string"},"a":{"type":"integer"},
            "b":{"type":"boolean"}}}"#;
        let types = of_schema(text).expect("a schema");
        let expected =
            [("b".to_owned(), ColumnType::Boolean), ("a".to_owned(), ColumnType::Integer)];
        assert_eq!(types, expected);
        assert_eq!(of_schema("{}").expect("a schema"), []);
        assert!(of_schema("[]").is_err());
    }
}
