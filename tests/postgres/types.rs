//! Values in typed columns, and columns that change.

use serde_json::{Value, json};

use crate::scene::{Scene, catalog, complete, generation, keyed, record_line, stream, with};

/// One column of each type.
fn all_types() -> Value {
    json!({
        "id": {"type": "integer"},
        "string": {"type": ["null", "string"]},
        "boolean": {"type": "boolean"},
        "integer": {"type": "integer"},
        "number": {"type": "number"},
        "date": {"type": "string", "format": "date"},
        "timestamptz": {"type": "string", "format": "date-time"},
        "timestamp": {"type": "string", "format": "date-time",
                      "airbyte_type": "timestamp_without_timezone"},
        "timetz": {"type": "string", "format": "time", "airbyte_type": "time_with_timezone"},
        "time": {"type": "string", "format": "time", "airbyte_type": "time_without_timezone"},
        "object": {"type": "object"},
        "array": {"type": "array"},
        "union": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        "unknown": {},
    })
}

#[test]
fn every_type_has_its_column() {
    let scene = Scene::new();
    let types = stream("types", &all_types());
    scene.write_rows(&types, &[]);
    let columns: Vec<_> = scene.columns("types").into_iter().map(|(_, kind)| kind).collect();
    let expected = [
        "bigint",
        "text",
        "boolean",
        "bigint",
        "numeric",
        "date",
        "timestamp with time zone",
        "timestamp without time zone",
        "time with time zone",
        "time without time zone",
        "jsonb",
        "jsonb",
        "jsonb",
        "jsonb",
    ];
    // The test's own properties are sorted by name.
    let mut sorted: Vec<_> = columns.iter().map(String::as_str).collect();
    let mut expected = expected.to_vec();
    sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
}

#[test]
fn values_arrive_as_they_are() {
    let scene = Scene::new();
    let types = stream("types", &all_types());
    let texts = [
        r#"{"id":1,"string":"foo","boolean":true,"integer":42,"number":12.5,"date":"2023-01-23",
            "timestamptz":"2023-01-23T01:23:45.5+02:00","timestamp":"2023-01-23T01:23:45",
            "timetz":"01:23:45-08:00","time":"01:23:45.000001","object":{"a":[1,{"b":null}]},
            "array":["x",1],"union":"u","unknown":7}"#,
        r#"{"id":2,"string":null,"boolean":null,"integer":null,"number":null,"date":null,
            "timestamptz":null,"timestamp":null,"timetz":null,"time":null,"object":null,"array":null,
            "union":null,"unknown":null}"#,
        r#"{"id":3}"#,
        r#"{"id":4,"integer":9223372036854775807,"number":50000.0000000000000001}"#,
        r#"{"id":5,"integer":-9223372036854775808,"number":1e39}"#,
        r#"{"id":6,"number":99999999999999999999999999999999,"integer":1.0}"#,
        r#"{"id":7,"number":-0.00000000000000000000000000000000000001,"integer":0}"#,
        r#"{"id":8,"timestamptz":"1970-01-01T00:00:00Z","timestamp":"2099-12-31T23:59:59.999999",
            "date":"0044-03-15 BC"}"#,
        r#"{"id":9,"object":{},"array":[],"union":17,"unknown":{"a":1e400},"string":""}"#,
    ];
    let texts: Vec<String> = texts.iter().map(|text| text.replace('\n', " ")).collect();
    let mut messages = scene.texts("types", &texts);
    messages.push(complete("types").to_string());
    scene.write(&catalog(&[types]), &messages);
    let one = |expression: &str, id: u32| {
        scene.lines(&format!("SELECT {expression} FROM types WHERE id = {id}")).concat()
    };
    assert_eq!(
        scene.query(
            "SELECT string, boolean, integer, number, date, timestamptz, timestamp, timetz, time, \
             object, \"array\", \"union\", unknown FROM types WHERE id = 1"
        ),
        [json!({
            "string": "foo", "boolean": true, "integer": 42, "number": 12.5, "date": "2023-01-23",
            "timestamptz": "2023-01-22T23:23:45.5+00:00", "timestamp": "2023-01-23T01:23:45",
            "timetz": "01:23:45-08", "time": "01:23:45.000001", "object": {"a": [1, {"b": null}]},
            "array": ["x", 1], "union": "u", "unknown": 7,
        })]
    );
    for id in [2, 3] {
        let nulls = one(
            "num_nulls(string, boolean, integer, number, date, timestamptz, timestamp, \
                         timetz, time, object, \"array\", \"union\", unknown)",
            id,
        );
        assert_eq!(nulls, "13");
    }
    assert_eq!(one("integer || ' ' || number", 4), "9223372036854775807 50000.0000000000000001");
    assert_eq!(
        one("integer || ' ' || number", 5),
        format!("-9223372036854775808 1{}", "0".repeat(39))
    );
    assert_eq!(one("integer || ' ' || number", 6), "1 99999999999999999999999999999999");
    assert_eq!(one("number", 7), format!("-0.{}1", "0".repeat(37)));
    assert_eq!(one("timestamptz AT TIME ZONE 'UTC'", 8), "1970-01-01 00:00:00");
    assert_eq!(one("timestamp", 8), "2099-12-31 23:59:59.999999");
    assert_eq!(one("date", 8), "0044-03-15 BC");
    assert_eq!(one("object || \"array\" || \"union\" || string", 9), "[{}, 17]");
    assert_eq!(one("unknown->>'a' = 1e400::numeric::text", 9), "t");
    // Nothing was changed on the way.
    let changed = "SELECT count(*) FROM types WHERE _airbyte_meta->'changes' <> '[]'";
    assert_eq!(scene.lines(changed), ["0"]);
}

#[test]
fn what_does_not_fit_is_null_and_noted_and_fails_nothing() {
    let scene = Scene::new();
    let types = stream("types", &all_types());
    let texts = [
        r#"{"id":1,"string":{"foo":"bar"},"boolean":"yes","integer":"foo","number":"foo","date":"foo",
            "timestamptz":"2023-02-30T00:00:00Z","timestamp":7,"timetz":"25:00:00","time":[],
            "object":"kept","array":{"kept":1}}"#,
        r#"{"id":2,"integer":99999999999999999999999999999999,"number":1e999999}"#,
        r#"{"id":3,"string":"a\u0000b","object":{"x\u0000":"\ud800"},"timestamptz":"2023-01-01T00:00:00.1234567Z"}"#,
        r#"{"id":4,"integer":1.5,"undeclared":{"a":1},"other":"x"}"#,
    ];
    let texts: Vec<String> = texts.iter().map(|text| text.replace('\n', " ")).collect();
    let mut messages = scene.texts("types", &texts);
    // Changes that the source made are kept before ours.
    let made = r#"{"type":"RECORD","record":{"stream":"types","data":{"id":5,"integer":"x"},"emitted_at":1,
        "meta":{"changes":[{"field":"string","change":"NULLED","reason":"SOURCE_RETRIEVAL_ERROR"}]}}}"#;
    messages.push(made.replace('\n', " "));
    messages.push(complete("types").to_string());
    let written = scene.write(&catalog(&[types]), &messages);
    assert_eq!(written.states().len(), 0);
    let row = |id: u32| {
        let sql = format!(
            "SELECT *, (SELECT json_object_agg(c->>'field', c->>'change') FROM \
             jsonb_array_elements(_airbyte_meta->'changes') c) AS changes FROM types WHERE id = {id}"
        );
        scene.query(&sql).remove(0)
    };
    let first = row(1);
    assert_eq!(first["string"], r#"{"foo":"bar"}"#);
    assert_eq!((&first["object"], &first["array"]), (&json!("kept"), &json!({"kept": 1})));
    for name in
        ["boolean", "integer", "number", "date", "timestamptz", "timestamp", "timetz", "time"]
    {
        assert_eq!(first[name], Value::Null, "{name}");
        assert_eq!(first["changes"][name], "NULLED", "{name}");
    }
    assert_eq!(first["changes"].as_object().map(serde_json::Map::len), Some(8));
    let second = row(2);
    assert_eq!((&second["integer"], &second["number"]), (&Value::Null, &Value::Null));
    assert_eq!(second["changes"], json!({"integer": "NULLED", "number": "NULLED"}));
    let third = row(3);
    assert_eq!((&third["string"], &third["object"]), (&json!("ab"), &json!({"x": "\u{fffd}"})));
    assert_eq!(third["timestamptz"], "2023-01-01T00:00:00.123456+00:00");
    let cut = json!({"string": "TRUNCATED", "object": "TRUNCATED", "timestamptz": "TRUNCATED"});
    assert_eq!(third["changes"], cut);
    let fourth = row(4);
    assert_eq!(
        fourth["_airbyte_additional_properties"],
        json!({"undeclared": {"a": 1}, "other": "x"})
    );
    let reasons = scene.query("SELECT _airbyte_meta AS meta FROM types WHERE id = 5");
    let expected = json!([
        {"field": "string", "change": "NULLED", "reason": "SOURCE_RETRIEVAL_ERROR"},
        {"field": "integer", "change": "NULLED", "reason": "DESTINATION_SERIALIZATION_ERROR"},
    ]);
    assert_eq!(reasons[0]["meta"]["changes"], expected);
}

#[test]
fn columns_are_added_widened_and_kept() {
    for key in [false, true] {
        let scene = Scene::new();
        let configured = |properties: &Value| {
            let plain = stream("items", properties);
            if key { keyed(plain, &json!([["id"]]), &json!([])) } else { plain }
        };
        let kinds = |properties: &[(&str, &str)]| -> Value {
            let mut all =
                serde_json::Map::from_iter([("id".to_owned(), json!({"type": "integer"}))]);
            for (name, kind) in properties {
                let schema = match *kind {
                    "date" | "date-time" => json!({"type": "string", "format": kind}),
                    kind => json!({"type": kind}),
                };
                all.insert((*name).to_owned(), schema);
            }
            all.into()
        };
        let before = kinds(&[
            ("a", "integer"),
            ("b", "integer"),
            ("c", "date"),
            ("d", "date"),
            ("e", "boolean"),
            ("gone", "string"),
            ("f", "string"),
            ("g", "string"),
        ]);
        scene.write_rows(
            &configured(&before),
            &[json!({"id": 1, "a": 1, "b": 2, "c": "2024-01-01", "d": "2024-01-02", "e": true,
                     "gone": "g", "f": "text", "g": "5"})],
        );
        let after = kinds(&[
            ("a", "number"),
            ("b", "string"),
            ("c", "date-time"),
            ("d", "string"),
            ("e", "integer"),
            ("f", "object"),
            ("g", "integer"),
            ("new", "integer"),
        ]);
        scene.write_rows(
            &configured(&after),
            &[json!({"id": 2, "a": 1.5, "b": "x", "c": "2024-01-01T10:00:00Z", "d": "y", "e": 7,
                     "f": {"a": 1}, "g": 6, "new": 8})],
        );
        let mut columns = scene.columns("items");
        columns.sort();
        let expected = [
            ("a", "numeric"),
            ("b", "text"),
            ("c", "timestamp with time zone"),
            ("d", "text"),
            ("e", "text"),
            ("f", "jsonb"),
            ("g", "text"),
            ("gone", "text"),
            ("id", "bigint"),
            ("new", "bigint"),
        ];
        assert_eq!(columns, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
        assert_eq!(
            scene.query("SELECT id, a, b, c, d, e, f, g, gone, new FROM items ORDER BY id"),
            [
                json!({"id": 1, "a": 1, "b": "2", "c": "2024-01-01T00:00:00+00:00", "d": "2024-01-02",
                       "e": "true", "f": "text", "g": "5", "gone": "g", "new": null}),
                json!({"id": 2, "a": 1.5, "b": "x", "c": "2024-01-01T10:00:00+00:00", "d": "y",
                       "e": "7", "f": {"a": 1}, "g": "6", "gone": null, "new": 8}),
            ]
        );
    }
}

#[test]
fn a_table_that_somebody_made_is_written_to() {
    let scene = Scene::new();
    scene.lines(
        "CREATE TABLE items (id integer, name varchar(3), amount numeric(5,2), note text NULL); \
         INSERT INTO items VALUES (1, 'abc', 1.25, 'mine')",
    );
    let properties = json!({"id": {"type": "integer"}, "name": {"type": "string"},
                            "amount": {"type": "number"}});
    let row = json!({"id": 5_000_000_000_i64, "name": "longer", "amount": 1234.5678});
    scene.write_rows(&stream("items", &properties), &[row]);
    assert_eq!(
        scene.query(
            "SELECT id, name, amount, note, _airbyte_generation_id AS g FROM items ORDER BY id"
        ),
        [
            json!({"id": 1, "name": "abc", "amount": 1.25, "note": "mine", "g": null}),
            json!({"id": 5_000_000_000_i64, "name": "longer", "amount": 1234.5678, "note": null, "g": 1}),
        ]
    );
    scene.lines("CREATE TABLE other (id point); CREATE VIEW seen AS SELECT 1 AS id");
    for (table, said) in [("other", "point"), ("seen", "not a table")] {
        let stream = stream(table, &json!({"id": {"type": "integer"}}));
        let written = scene.try_write(&catalog(&[stream]), &[complete(table)]);
        let (message, kind) = written.failure();
        assert_eq!(kind, "config_error", "{message}");
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn a_partial_table_follows_the_schema() {
    let scene = Scene::new();
    let narrow = stream("items", &json!({"id": {"type": "integer"}}));
    let wide = stream("items", &json!({"id": {"type": "string"}, "b": {"type": "boolean"}}));
    scene.write_rows(&generation(narrow.clone(), 1, 0), &[json!({"id": 1})]);
    let mut messages = scene.records("items", &[json!({"id": 2})]);
    messages.push(crate::scene::state("items", &json!({})).to_string());
    messages.push(crate::scene::incomplete("items").to_string());
    scene.try_write(&catalog(&[generation(narrow, 2, 2)]), &messages);
    scene.write_rows(&generation(wide.clone(), 2, 2), &[json!({"id": "x", "b": true})]);
    let expected = [json!({"id": "2", "b": null}), json!({"id": "x", "b": true})];
    assert_eq!(scene.query("SELECT id, b FROM items ORDER BY id"), expected);
    // And what is taken over is as wide as both.
    let other = stream("items", &json!({"id": {"type": "integer"}, "c": {"type": "number"}}));
    messages = scene.records("items", &[json!({"id": "y", "b": false})]);
    messages.push(crate::scene::state("items", &json!({})).to_string());
    messages.push(crate::scene::incomplete("items").to_string());
    scene.try_write(&catalog(&[generation(wide, 3, 3)]), &messages);
    scene.write_rows(&generation(other, 4, 0), &[json!({"id": 3, "c": 0.5})]);
    assert_eq!(scene.texts_of("id", "items"), ["2", "3", "x", "y"]);
    assert_eq!(scene.query("SELECT b FROM items WHERE id = 'y'"), [json!({"b": false})]);
}

#[test]
fn a_stream_without_columns_has_rows() {
    let scene = Scene::new();
    scene.write_rows(&stream("items", &json!({})), &[json!({}), json!({"a": 1})]);
    let rows = scene.texts_of("coalesce(_airbyte_additional_properties::text, 'none')", "items");
    assert_eq!(rows, ["none", "{\"a\": 1}"]);
}

#[test]
fn large_values_and_wide_tables_arrive() {
    let scene = Scene::new();
    let properties: serde_json::Map<_, _> = (0..500)
        .map(|n| (format!("column_{n:03}"), json!({"type": "integer"})))
        .chain([("text".to_owned(), json!({"type": "string"}))])
        .collect();
    let mut row: serde_json::Map<_, _> =
        (0..500).map(|n| (format!("column_{n:03}"), json!(n))).collect();
    // Escapes, and more than what is sent at once.
    row.insert("text".to_owned(), json!("ü\\\n\"".repeat(1 << 20)));
    let wide = stream("wide", &properties.into());
    scene.write_rows(&wide, &[row.into()]);
    let found = scene.lines("SELECT column_000, column_499, length(text), md5(text) FROM wide");
    let expected = scene.lines(&format!("SELECT md5(repeat(E'ü\\\\\\n\"', {}))", 1 << 20));
    assert_eq!(found, [format!("0|499|{}|{}", 4 << 20, expected[0])]);
}

#[test]
fn a_row_that_is_no_object_fails_the_sync_and_is_not_told() {
    let scene = Scene::new();
    let items = with(stream("items", &json!({"id": {"type": "integer"}})), &json!({}));
    let line = record_line("items", r#"["hunter2"]"#, 1);
    let written = scene.try_write(&catalog(&[items]), &[line]);
    assert_ne!(written.code, Some(0));
    assert!(!format!("{written:?}").contains("hunter2"), "{written:?}");
}
