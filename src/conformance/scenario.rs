//! The shapes of data that destinations are tried with everywhere (PyAirbyte's 22 scenarios, in data of
//! our own).

use serde_json::{Value, json};

/// A stream, and what is there of it in the end.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name, which is the stream's.
    pub name: &'static str,
    /// Columns: name, and the word of their type ([`column_schema`]).
    pub columns: Vec<(String, &'static str)>,
    /// The rows, each one JSON object on a line.
    pub rows: Vec<String>,
    /// The rows that stay, by their place, where the key `id` is applied; none: there is no key.
    pub kept: Option<Vec<usize>>,
}

impl Scenario {
    /// JSON Schema of its rows.
    #[must_use]
    pub fn schema(&self) -> Value {
        let columns = self.columns.iter();
        let properties: serde_json::Map<String, Value> =
            columns.map(|(name, kind)| (name.clone(), column_schema(kind))).collect();
        json!({ "type": "object", "properties": properties })
    }
}

fn scenario(name: &'static str, columns: &[(&str, &'static str)], rows: &[&str]) -> Scenario {
    let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    // Rows are written on several lines here where they are long.
    let rows: Vec<String> = rows.iter().map(|row| row.replace('\n', " ")).collect();
    Scenario { name, columns, kept: Some((0..rows.len()).collect()), rows }
}

/// The schema of a column, by the word of its type.
#[must_use]
pub fn column_schema(kind: &str) -> Value {
    let string = |format: &str, airbyte: &str| json!({"type": ["null", "string"], "format": format, "airbyte_type": airbyte});
    match kind {
        "integer" => json!({"type": ["null", "integer"]}),
        "number" => json!({"type": ["null", "number"]}),
        "boolean" => json!({"type": ["null", "boolean"]}),
        "date" => json!({"type": ["null", "string"], "format": "date"}),
        "timestamptz" => string("date-time", "timestamp_with_timezone"),
        "timestamp" => string("date-time", "timestamp_without_timezone"),
        "timetz" => string("time", "time_with_timezone"),
        "time" => string("time", "time_without_timezone"),
        "object" => json!({"type": ["null", "object"]}),
        "array" => json!({"type": ["null", "array"]}),
        "string or integer" => json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        "number or null" => json!({"oneOf": [{"type": "number"}, {"type": "null"}]}),
        "object or string" => json!({"oneOf": [{"type": "object"}, {"type": "string"}]}),
        _ => json!({"type": ["null", "string"]}),
    }
}

/// The 22 scenarios.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let id = ("id", "integer");
    let long = |letter: &str| letter.repeat(110);
    let (long_a, long_b) = (long("a"), format!("{}{}", long("a"), "x"));
    let long_row = format!(r#"{{"id":1,"{long_a}":"one","{long_b}":"two"}}"#);
    let wide: Vec<(String, &str)> =
        std::iter::once(("id".to_owned(), "integer"))
            .chain((0..49).map(|n| {
                (format!("col_{n:02}"), ["string", "integer", "number", "boolean"][n % 4])
            }))
            .collect();
    let wide_row = |id: u32| {
        let values = (0..49).map(|n| match n % 4 {
            0 => format!(r#","col_{n:02}":"v{n}""#),
            1 => format!(r#","col_{n:02}":{n}"#),
            2 => format!(r#","col_{n:02}":{n}.25"#),
            _ => format!(r#","col_{n:02}":true"#),
        });
        format!(r#"{{"id":{id}{}}}"#, values.collect::<String>())
    };
    let large = |size: usize| format!(r#"{{"id":{size},"text":"{}"}}"#, "x\\ny".repeat(size / 4));
    vec![
        scenario(
            "basic_types",
            &[id, ("name", "string"), ("amount", "number"), ("active", "boolean")],
            &[
                r#"{"id":1,"name":"Ada","amount":12.5,"active":true}"#,
                r#"{"id":2,"name":"","amount":0,"active":false}"#,
                r#"{"id":-3,"name":"x","amount":-0.001,"active":true}"#,
            ],
        ),
        scenario(
            "timestamp_types",
            &[id, ("day", "date"), ("at", "timestamptz")],
            &[
                r#"{"id":1,"day":"2024-02-29","at":"2024-02-29T12:34:56Z"}"#,
                r#"{"id":2,"day":"1970-01-01","at":"1970-01-01T00:00:00+00:00"}"#,
                r#"{"id":3,"day":"2099-12-31","at":"2099-12-31T23:59:59.999999Z"}"#,
                r#"{"id":4,"day":"2024-01-31","at":"2024-01-31T23:30:00+05:30"}"#,
            ],
        ),
        scenario(
            "large_decimals_and_numbers",
            &[id, ("whole", "integer"), ("exact", "number")],
            &[
                r#"{"id":1,"whole":9999999999999999,"exact":3.141592653589793238462643383279}"#,
                r#"{"id":2,"whole":-9999999999999999,"exact":1e-10}"#,
                r#"{"id":3,"whole":0,"exact":99999999.99999999}"#,
            ],
        ),
        scenario(
            "nested_json_objects",
            &[id, ("tree", "object"), ("list", "array")],
            &[
                r#"{"id":1,"tree":{"a":{"b":[{"c":null},{"d":[[]]}]}},"list":[{"x":1},{"x":"\"\\"}]}"#,
                r#"{"id":2,"tree":{},"list":[]}"#,
                r#"{"id":3,"tree":{"whole":9007199254740993,"none":null,"zero":0},"list":[7,7,9007199254740993]}"#,
            ],
        ),
        scenario(
            "null_handling",
            &[
                id,
                ("text", "string"),
                ("whole", "integer"),
                ("flag", "boolean"),
                ("tree", "object"),
                ("always_null", "string"),
            ],
            &[
                r#"{"id":1,"text":null,"whole":null,"flag":null,"tree":null,"always_null":null}"#,
                r#"{"id":2,"text":"","whole":0,"flag":false,"tree":{},"always_null":null}"#,
            ],
        ),
        scenario(
            "column_naming_edge_cases",
            &[
                id,
                ("CamelCase", "string"),
                ("ALLCAPS", "string"),
                ("with-dash", "string"),
                ("with.dot", "string"),
                ("with space", "string"),
                ("select", "string"),
                ("from", "string"),
                ("order", "integer"),
                ("group", "string"),
            ],
            &[
                r#"{"id":1,"CamelCase":"a","ALLCAPS":"b","with-dash":"c","with.dot":"d","with space":"e",
                "select":"f","from":"g","order":8,"group":"i"}"#,
            ],
        ),
        scenario("table_naming_edge_cases", &[id], &[r#"{"id":1}"#]),
        scenario("CamelCaseStreamName", &[id], &[r#"{"id":1}"#]),
        Scenario {
            name: "wide_table_50_columns",
            columns: wide,
            rows: vec![wide_row(1), wide_row(2)],
            kept: Some(vec![0, 1]),
        },
        scenario("empty_stream", &[id, ("name", "string")], &[]),
        scenario("single_record_stream", &[id], &[r#"{"id":1}"#]),
        {
            let rows = (0..1000).map(|id| format!(r#"{{"id":{id},"name":"row {id}"}}"#));
            let rows: Vec<String> = rows.collect();
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            scenario("large_batch_stream", &[id, ("name", "string")], &rows)
        },
        scenario(
            "unicode_and_special_strings",
            &[id, ("text", "string")],
            &[
                r#"{"id":1,"text":"日本語 العربية Ünïcödé"}"#,
                r#"{"id":2,"text":"\ud83d\ude00 😀"}"#,
                r#"{"id":3,"text":"tab\tline\nreturn\rback\\slash 'single' \"double\" /"}"#,
                r#"{"id":4,"text":"\\N \\. \\x41"}"#,
                r#"{"id":5,"text":"'; DROP TABLE users; --"}"#,
                r#"{"id":6,"text":"  spaces on both sides\t "}"#,
                r#"{"id":7,"text":"line\r\nline"}"#,
                r#"{"id":8,"text":"e\u0301 \ufb01 \u2460"}"#,
                r#"{"id":9,"text":"<b>&amp;</b> &"}"#,
                r#"{"id":10,"text":"00123"}"#,
                r#"{"id":11,"text":"1e5"}"#,
                r#"{"id":12,"text":"true"}"#,
                r#"{"id":13,"text":"null"}"#,
            ],
        ),
        Scenario {
            kept: None,
            ..scenario(
                "schema_with_no_primary_key",
                &[("event", "string"), ("n", "integer")],
                &[r#"{"event":"a","n":1}"#, r#"{"event":"a","n":1}"#, r#"{"event":"b","n":2}"#],
            )
        },
        scenario(
            "long_column_names",
            &[id, (&long_a, "string"), (&long_b, "string")],
            &[&long_row],
        ),
        Scenario {
            kept: Some(vec![3, 4, 5]),
            ..scenario(
                "duplicate_primary_keys",
                &[id, ("v", "string")],
                &[
                    r#"{"id":1,"v":"first"}"#,
                    r#"{"id":2,"v":"first"}"#,
                    r#"{"id":1,"v":"second"}"#,
                    r#"{"id":1,"v":"third"}"#,
                    r#"{"id":2,"v":"second"}"#,
                    r#"{"id":3,"v":"only"}"#,
                ],
            )
        },
        scenario(
            "time_types",
            &[id, ("zoned", "timetz"), ("local", "time"), ("at", "timestamp")],
            &[
                r#"{"id":1,"zoned":"12:34:56Z","local":"12:34:56","at":"2024-01-01T12:34:56"}"#,
                r#"{"id":2,"zoned":"23:59:59.123456+05:30","local":"00:00:00","at":"2024-01-01T00:00:00.5"}"#,
            ],
        ),
        scenario(
            "union_types",
            &[id, ("a", "string or integer"), ("b", "number or null"), ("c", "object or string")],
            &[
                r#"{"id":1,"a":"text","b":1.5,"c":{"k":"v"}}"#,
                r#"{"id":2,"a":42,"b":null,"c":"text"}"#,
            ],
        ),
        scenario(
            "array_of_primitives",
            &[id, ("texts", "array"), ("numbers", "array"), ("mixed", "array"), ("empty", "array")],
            &[
                r#"{"id":1,"texts":["a","b"],"numbers":[1,2.5,-3],"mixed":[1,"a",null,true],"empty":[]}"#,
            ],
        ),
        scenario(
            "large_string_values",
            &[id, ("text", "string")],
            &[&large(1000), &large(10_000), &large(100_000)],
        ),
        scenario(
            "sparse_records",
            &[id, ("a", "string"), ("b", "integer"), ("c", "boolean")],
            &[
                r#"{"id":1,"a":"x"}"#,
                r#"{"id":2,"b":2}"#,
                r#"{"id":3}"#,
                r#"{"id":4,"c":true,"a":"y"}"#,
            ],
        ),
        scenario(
            "special_number_values",
            &[id, ("whole", "integer"), ("number", "number")],
            &[
                r#"{"id":1,"whole":9223372036854775807,"number":1.7976931348623157e308}"#,
                r#"{"id":2,"whole":-9223372036854775808,"number":-1.7976931348623157e308}"#,
                r#"{"id":3,"whole":0,"number":5e-324}"#,
                r#"{"id":4,"whole":-1,"number":-5e-324}"#,
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lines_of_their_schema() {
        let scenarios = scenarios();
        assert_eq!(scenarios.len(), 22);
        for scenario in scenarios {
            let validator = jsonschema::validator_for(&scenario.schema()).unwrap();
            for row in &scenario.rows {
                assert!(!row.contains('\n'), "{}", scenario.name);
                let row: Value = serde_json::from_str(row).unwrap();
                assert!(validator.is_valid(&row), "{}: {row}", scenario.name);
            }
        }
    }
}
