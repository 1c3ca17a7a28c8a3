//! Types of columns: from a stream's schema, and what holds the values of two.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// A column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Boolean,
    BigInt,
    Numeric,
    Date,
    Timestamp,
    TimestampTz,
    Time,
    TimeTz,
    Jsonb,
}

impl Type {
    /// As the server's `format_type` writes it.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::BigInt => "bigint",
            Self::Numeric => "numeric",
            Self::Date => "date",
            Self::Timestamp => "timestamp without time zone",
            Self::TimestampTz => "timestamp with time zone",
            Self::Time => "time without time zone",
            Self::TimeTz => "time with time zone",
            Self::Jsonb => "jsonb",
        }
    }

    /// The type that this connector writes in the place of one of the server's, whether it is the
    /// same, and nothing where there is none.
    pub(crate) fn of_server(name: &str) -> Option<(Self, bool)> {
        use Type as T;
        let all = [
            T::Text,
            T::Boolean,
            T::BigInt,
            T::Numeric,
            T::Date,
            T::Timestamp,
            T::TimestampTz,
            T::Time,
            T::TimeTz,
            T::Jsonb,
        ];
        if let Some(same) = all.into_iter().find(|kind| kind.sql() == name) {
            return Some((same, true));
        }
        // With a length or a precision, or narrower: a value that fits the wide one may not fit it.
        let base = name.split('(').next().unwrap_or_default().trim_end();
        let zoned = name.ends_with("with time zone");
        let wide = match base {
            "smallint" | "integer" => T::BigInt,
            "real" | "double precision" | "numeric" => T::Numeric,
            "character varying" | "character" | "uuid" | "name" | "\"char\"" => T::Text,
            "json" => T::Jsonb,
            "timestamp" => {
                if zoned {
                    T::TimestampTz
                } else {
                    T::Timestamp
                }
            }
            "time" => {
                if zoned {
                    T::TimeTz
                } else {
                    T::Time
                }
            }
            _ => return None,
        };
        Some((wide, false))
    }

    /// The narrowest type that holds the values of both.
    pub(crate) fn join(self, other: Self) -> Self {
        use Type as T;
        match (self, other) {
            (a, b) if a == b => a,
            (T::Jsonb, _) | (_, T::Jsonb) => T::Jsonb,
            (T::BigInt | T::Numeric, T::BigInt | T::Numeric) => T::Numeric,
            (T::Date, T::Timestamp) | (T::Timestamp, T::Date) => T::Timestamp,
            (T::Date | T::Timestamp | T::TimestampTz, T::Date | T::Timestamp | T::TimestampTz) => {
                T::TimestampTz
            }
            (T::Time | T::TimeTz, T::Time | T::TimeTz) => T::TimeTz,
            _ => T::Text,
        }
    }

    /// An expression of this type as one of a type that holds its values. What has no zone is UTC.
    pub(crate) fn cast(self, to: Self, expression: &str) -> String {
        use Type as T;
        match (self, to) {
            (from, to) if from == to => expression.to_owned(),
            (_, T::Jsonb) => format!("to_jsonb({expression})"),
            // As JSON writes it, which is ISO 8601.
            (T::Date | T::Timestamp | T::TimestampTz | T::Time | T::TimeTz, T::Text) => {
                format!("(to_jsonb({expression}) #>> '{{}}')")
            }
            (T::Date | T::Timestamp, T::TimestampTz) => {
                format!("({expression}::timestamp AT TIME ZONE 'UTC')")
            }
            (_, to) => format!("{expression}::{}", to.sql()),
        }
    }
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
pub(crate) fn of_schema(schema: &str) -> Result<Vec<(String, Type)>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Schema {
        properties: Option<Members>,
    }
    let schema: Schema = serde_json::from_str(schema)?;
    let mut types: Vec<(String, Type)> = Vec::new();
    for (name, member) in schema.properties.map_or(Vec::new(), |members| members.0) {
        match types.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = of_value(&member),
            None => types.push((name, of_value(&member))),
        }
    }
    Ok(types)
}

/// The type for values of a schema; what is not plain is kept as JSON.
fn of_value(schema: &Value) -> Type {
    if let Some(reference) = schema["$ref"].as_str() {
        return of_reference(reference);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(options) = schema[word].as_array() {
            let mut options =
                options.iter().filter(|option| option["type"] != "null").map(of_value);
            let Some(first) = options.next() else { return Type::Jsonb };
            return if options.all(|other| other == first) { first } else { Type::Jsonb };
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
        (["string" | "number" | "integer"], "big_integer" | "big_number") => Type::Numeric,
        (["integer"], _) | (["number"], "integer") => Type::BigInt,
        (["number"] | ["integer", "number"] | ["number", "integer"], _) => Type::Numeric,
        (["boolean"], _) => Type::Boolean,
        (["string"], _) => of_string(schema["format"].as_str().unwrap_or_default(), airbyte),
        _ => Type::Jsonb,
    }
}

fn of_string(format: &str, airbyte: &str) -> Type {
    match (format, airbyte) {
        ("date", _) => Type::Date,
        ("date-time" | "", "timestamp_without_timezone") => Type::Timestamp,
        ("date-time", _) | ("", "timestamp_with_timezone") => Type::TimestampTz,
        ("time" | "", "time_without_timezone") => Type::Time,
        ("time", _) | ("", "time_with_timezone") => Type::TimeTz,
        _ => Type::Text,
    }
}

/// Types by name, as an older protocol has them.
fn of_reference(reference: &str) -> Type {
    match reference.strip_prefix("WellKnownTypes.json#/definitions/").unwrap_or_default() {
        "String" | "BinaryData" => Type::Text,
        "Date" => Type::Date,
        "TimestampWithTimezone" => Type::TimestampTz,
        "TimestampWithoutTimezone" => Type::Timestamp,
        "TimeWithTimezone" => Type::TimeTz,
        "TimeWithoutTimezone" => Type::Time,
        "Number" => Type::Numeric,
        "Integer" => Type::BigInt,
        "Boolean" => Type::Boolean,
        _ => Type::Jsonb,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_become_types() {
        use Type as T;
        let cases = [
            (json!({"type": "string"}), T::Text),
            (json!({"type": ["null", "string"]}), T::Text),
            (json!({"type": "boolean"}), T::Boolean),
            (json!({"type": ["integer", "null"]}), T::BigInt),
            (json!({"type": "number", "airbyte_type": "integer"}), T::BigInt),
            (json!({"type": "number"}), T::Numeric),
            (json!({"type": "string", "airbyte_type": "big_integer"}), T::Numeric),
            (json!({"type": "string", "format": "date"}), T::Date),
            (json!({"type": "string", "format": "date-time"}), T::TimestampTz),
            (
                json!({"type": "string", "format": "date-time",
                       "airbyte_type": "timestamp_without_timezone"}),
                T::Timestamp,
            ),
            (json!({"type": "string", "format": "time"}), T::TimeTz),
            (
                json!({"type": "string", "format": "time", "airbyte_type": "time_without_timezone"}),
                T::Time,
            ),
            (json!({"type": "string", "format": "email"}), T::Text),
            (json!({"type": "object"}), T::Jsonb),
            (json!({"type": "array", "items": {}}), T::Jsonb),
            (json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}), T::Jsonb),
            (json!({"oneOf": [{"type": "number"}, {"type": "null"}]}), T::Numeric),
            (json!({"type": ["string", "integer"]}), T::Jsonb),
            (json!({"type": ["integer", "number", "null"]}), T::Numeric),
            (json!({}), T::Jsonb),
            (json!(true), T::Jsonb),
            (json!({"$ref": "WellKnownTypes.json#/definitions/Integer"}), T::BigInt),
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
        let expected = [("b".to_owned(), Type::Boolean), ("a".to_owned(), Type::BigInt)];
        assert_eq!(types, expected);
        assert_eq!(of_schema("{}").expect("a schema"), []);
        assert!(of_schema("[]").is_err());
    }

    #[test]
    fn widening_is_a_join() {
        use Type as T;
        let all = [
            T::Text,
            T::Boolean,
            T::BigInt,
            T::Numeric,
            T::Date,
            T::Timestamp,
            T::TimestampTz,
            T::Time,
            T::TimeTz,
            T::Jsonb,
        ];
        for a in all {
            assert_eq!(a.join(a), a);
            for b in all {
                assert_eq!(a.join(b), b.join(a));
                assert_eq!(a.join(a.join(b)), a.join(b), "{a:?} {b:?}");
                for c in all {
                    assert_eq!(a.join(b).join(c), a.join(b.join(c)), "{a:?} {b:?} {c:?}");
                }
            }
        }
        assert_eq!(T::BigInt.join(T::Numeric), T::Numeric);
        assert_eq!(T::Date.join(T::Timestamp), T::Timestamp);
        assert_eq!(T::Boolean.join(T::BigInt), T::Text);
        assert_eq!(T::Text.join(T::Jsonb), T::Jsonb);
    }

    #[test]
    fn types_of_the_server_are_known() {
        assert_eq!(Type::of_server("bigint"), Some((Type::BigInt, true)));
        assert_eq!(Type::of_server("character varying(20)"), Some((Type::Text, false)));
        assert_eq!(Type::of_server("numeric(38,9)"), Some((Type::Numeric, false)));
        let precise = Type::of_server("timestamp(3) with time zone");
        assert_eq!(precise, Some((Type::TimestampTz, false)));
        assert_eq!(Type::of_server("point"), None);
        assert_eq!(Type::of_server("integer[]"), None);
    }
}
