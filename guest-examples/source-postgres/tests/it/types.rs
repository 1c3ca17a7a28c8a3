//! Every type, by value and by schema.

use serde_json::{Value, json};

use crate::scene::Scene;

/// A column's type, a value as SQL has it, and as JSON must have it, and the column's schema.
pub(crate) fn cases() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let any = json!({"type": ["null", "object", "array", "string", "number", "boolean"]});
    let string = || json!({"type": ["null", "string"]});
    let integer = || json!({"type": ["null", "integer"], "airbyte_type": "integer"});
    let number = || json!({"type": ["null", "number"]});
    let boolean = || json!({"type": ["null", "boolean"]});
    let base64 = || json!({"type": ["null", "string"], "contentEncoding": "base64"});
    let date = || json!({"type": ["null", "string"], "format": "date"});
    let time = |format: &str, zone: &str| json!({"type": ["null", "string"], "format": format, "airbyte_type": zone});
    let timestamp = || time("date-time", "timestamp_without_timezone");
    let timestamptz = || time("date-time", "timestamp_with_timezone");
    let of = |items: Value| json!({"type": ["null", "array"], "items": items});
    vec![
        ("smallint", "-32768", "-32768", integer()),
        ("integer", "2147483647", "2147483647", integer()),
        ("bigint", "9223372036854775807", "9223372036854775807", integer()),
        ("bigint", "'-9223372036854775808'", "-9223372036854775808", integer()),
        ("oid", "4294967295", "4294967295", integer()),
        (
            "numeric",
            "123456789012345678901234567890.000000000000000000001",
            "123456789012345678901234567890.000000000000000000001",
            number(),
        ),
        ("numeric(12,2)", "-0.5", "-0.50", number()),
        ("numeric", "'NaN'", "null", number()),
        ("numeric", "'-Infinity'", "null", number()),
        ("money", "'-1234.56'", "-1234.56", number()),
        ("real", "0.1", "0.1", number()),
        ("double precision", "0.1", "0.1", number()),
        ("double precision", "'1e-300'", "1e-300", number()),
        ("double precision", "1.7976931348623157e308", "1.7976931348623157e+308", number()),
        ("double precision", "'NaN'", "null", number()),
        ("boolean", "true", "true", boolean()),
        ("boolean", "false", "false", boolean()),
        (
            "text",
            "E'a\"b\\\\c\\nd\\te\\u00fc\\U0001F600'",
            r#""a\"b\\c\nd\te\u00fc\ud83d\ude00""#,
            string(),
        ),
        ("text", "''", "\"\"", string()),
        ("varchar(5)", "'abc'", "\"abc\"", string()),
        ("char(5)", "'abc'", "\"abc  \"", string()),
        ("name", "'n'", "\"n\"", string()),
        ("\"char\"", "'c'", "\"c\"", string()),
        (
            "uuid",
            "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
            "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"",
            string(),
        ),
        ("bytea", "'\\x00ff10'", "\"AP8Q\"", base64()),
        ("bytea", "''", "\"\"", base64()),
        ("date", "'2024-02-29'", "\"2024-02-29\"", date()),
        ("date", "'0044-03-15 BC'", "\"0044-03-15 BC\"", date()),
        ("date", "'10000-01-01'", "\"10000-01-01\"", date()),
        ("date", "'-infinity'", "\"-infinity\"", date()),
        ("time", "'01:02:03.4'", "\"01:02:03.400000\"", time("time", "time_without_timezone")),
        ("time", "'24:00'", "\"24:00:00.000000\"", time("time", "time_without_timezone")),
        (
            "timetz",
            "'01:02:03-08'",
            "\"01:02:03.000000-08:00\"",
            time("time", "time_with_timezone"),
        ),
        (
            "timetz",
            "'01:02:03.000001+05:30'",
            "\"01:02:03.000001+05:30\"",
            time("time", "time_with_timezone"),
        ),
        ("timestamp", "'2024-01-02 03:04:05'", "\"2024-01-02T03:04:05.000000\"", timestamp()),
        (
            "timestamp",
            "'0044-03-15 01:02:03.5 BC'",
            "\"0044-03-15T01:02:03.500000 BC\"",
            timestamp(),
        ),
        ("timestamp", "'infinity'", "\"infinity\"", timestamp()),
        (
            "timestamptz",
            "'2024-01-02 03:04:05.123456+02'",
            "\"2024-01-02T01:04:05.123456Z\"",
            timestamptz(),
        ),
        (
            "timestamptz",
            "'0044-03-15 00:00:00+00 BC'",
            "\"0044-03-15T00:00:00.000000Z BC\"",
            timestamptz(),
        ),
        ("timestamptz", "'-infinity'", "\"-infinity\"", timestamptz()),
        ("interval", "'1 year 2 months 3 days 04:05:06.7'", "\"P1Y2M3DT4H5M6.7S\"", string()),
        (
            "json",
            "E'{\"b\": 1,\\n \"a\": [1e400, \"x\\\\ny\"]}'",
            "{\"b\": 1,  \"a\": [1e400, \"x\\ny\"]}",
            any.clone(),
        ),
        ("jsonb", "'{\"b\": 1.50, \"a\": null}'", "{\"a\": null, \"b\": 1.50}", any.clone()),
        ("jsonb", "'\"text\"'", "\"text\"", any.clone()),
        ("mood", "'so \"so\"'", r#""so \"so\"""#, string()),
        ("percentage", "12.5", "12.5", number()),
        ("pair", "ROW(1, 'x\"y')", r#"{"a":1,"b":"x\"y"}"#, any.clone()),
        ("pair[]", "ARRAY[ROW(1, 'x')::pair, NULL]", r#"[{"a":1,"b":"x"},null]"#, any),
        ("integer[]", "'{}'", "[]", of(integer())),
        (
            "bigint[]",
            "'{1,NULL,9223372036854775807}'",
            "[1,null,9223372036854775807]",
            of(integer()),
        ),
        ("integer[]", "'[0:1]={5,6}'", "[5,6]", of(integer())),
        ("integer[][]", "'{{1,2},{3,4}}'", "[[1,2],[3,4]]", json!({"type": ["null", "array"]})),
        (
            "text[]",
            r#"ARRAY['a,b', 'c"d', 'e\f', '', 'NULL', NULL]"#,
            r#"["a,b","c\"d","e\\f","","NULL",null]"#,
            of(string()),
        ),
        ("numeric[]", "'{1.50,NaN}'", "[1.50,null]", of(number())),
        ("bytea[]", "ARRAY['\\x00ff'::bytea]", "[\"AP8=\"]", of(base64())),
        (
            "timestamptz[]",
            "ARRAY['2024-01-02 03:04:05+00'::timestamptz]",
            "[\"2024-01-02T03:04:05.000000Z\"]",
            of(timestamptz()),
        ),
        (
            "jsonb[]",
            "ARRAY['{\"a\": [1]}'::jsonb]",
            "[{\"a\": [1]}]",
            of(json!({"type": ["null", "object", "array", "string", "number", "boolean"]})),
        ),
        ("mood[]", "ARRAY['ok'::mood]", "[\"ok\"]", of(string())),
        ("percentage[]", "ARRAY[1.5::percentage]", "[1.5]", of(number())),
        ("money[]", "ARRAY['1.50'::money]", "[1.50]", of(number())),
        ("box[]", "'{(2,2),(1,1);(4,4),(3,3)}'", "[\"(2,2),(1,1)\",\"(4,4),(3,3)\"]", of(string())),
        ("int4range", "'[1,5)'", "\"[1,5)\"", string()),
        ("tstzrange", "'[2024-01-01 00:00+00,)'", r#""[\"2024-01-01 00:00:00+00\",)""#, string()),
        ("int4multirange", "'{[1,2),[5,6)}'", "\"{[1,2),[5,6)}\"", string()),
        ("point", "'(1.5,2)'", "\"(1.5,2)\"", string()),
        ("inet", "'10.0.0.0/8'", "\"10.0.0.0/8\"", string()),
        ("macaddr", "'08:00:2b:01:02:03'", "\"08:00:2b:01:02:03\"", string()),
        ("bit(3)", "B'101'", "\"101\"", string()),
        ("xml", "'<a b=\"c\"/>'", r#""<a b=\"c\"/>""#, string()),
        ("tsvector", "'a b'", "\"'a' 'b'\"", string()),
        ("int2vector", "'1 2'", "\"1 2\"", string()),
        ("pg_lsn", "'16/B374D848'", "\"16/B374D848\"", string()),
    ]
}

#[test]
fn every_type_arrives_by_value() {
    let cases = cases();
    let columns: Vec<_> =
        cases.iter().enumerate().map(|(place, (kind, ..))| format!("c{place} {kind}")).collect();
    let values: Vec<_> = cases.iter().map(|(_, value, ..)| *value).collect();
    let scene = Scene::new(&format!(
        "CREATE TYPE mood AS ENUM ('sad', 'so \"so\"', 'ok'); \
         CREATE DOMAIN percentage AS numeric CHECK (VALUE < 101); \
         CREATE TYPE pair AS (a integer, b text); \
         CREATE TABLE types (id integer PRIMARY KEY, {}); \
         INSERT INTO types VALUES (1, {}), (2{})",
        columns.join(", "),
        values.join(", "),
        ", NULL".repeat(cases.len()),
    ));
    let properties = &scene.discover()["types"]["schema"]["properties"];
    let run = scene.read(&scene.full("types"), None);
    let data = String::from_utf8(run.sink.data(0)).expect("UTF-8");
    let lines: Vec<_> = data.lines().collect();
    assert_eq!(lines.len(), 2);
    let raw: std::collections::BTreeMap<&str, &serde_json::value::RawValue> =
        serde_json::from_str(lines[0]).expect("a row");
    let nulls: Value = serde_json::from_str(lines[1]).expect("a row");
    for (place, (kind, value, expected, schema)) in cases.iter().enumerate() {
        let name = format!("c{place}");
        let got = raw[&*name].get();
        let same = got == *expected
            || serde_json::from_str::<String>(got).ok().is_some_and(|got| {
                serde_json::from_str::<String>(expected).is_ok_and(|expected| got == expected)
            });
        assert!(same, "{kind} {value}: {got}, not {expected}");
        assert_eq!(properties[&name], *schema, "{kind}");
        assert_eq!(nulls[&name], Value::Null);
    }
    // What JSON has no number for is told, and nothing else is.
    let metas: Vec<_> = run.sink.batches(0).flat_map(|batch| &batch.meta).collect();
    assert_eq!(metas.len(), 1);
    let meta: Value = serde_json::from_str(&metas[0].meta).expect("JSON");
    let lost = |place: usize| cases[place].2 == "null" || cases[place].1.contains(",NaN");
    let told: Vec<_> = meta["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|change| {
            let nulled = change["change"] == "NULLED";
            (change["field"].as_str().expect("a name").to_owned(), nulled)
        })
        .collect();
    let expected: Vec<_> = (0..cases.len())
        .filter(|place| lost(*place))
        .map(|place| (format!("c{place}"), cases[place].2 == "null"))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn settings_of_a_role_or_a_database_change_nothing() {
    let scene = Scene::new(
        "CREATE TABLE t AS SELECT '2024-01-02 03:04:05+00'::timestamptz AS at, 0.1::float8 AS f, \
         '1 day 2 hours'::interval AS i, ARRAY['\\x00'::bytea] AS b",
    );
    let role = format!("{}_role", scene.schema);
    scene.lines(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA {0} TO {role}; \
         GRANT SELECT ON {0}.t TO {role}; ALTER ROLE {role} SET TimeZone = 'Asia/Tokyo'; \
         ALTER ROLE {role} SET DateStyle = 'SQL, DMY'; ALTER ROLE {role} SET extra_float_digits = -5; \
         ALTER ROLE {role} SET IntervalStyle = 'postgres_verbose'; \
         ALTER ROLE {role} SET bytea_output = 'escape'",
        scene.schema
    ));
    let mut scene = scene;
    scene.config = json!({"username": role, "password": "x"});
    let rows = scene.rows(&scene.full("t"), None);
    assert_eq!(
        rows,
        [json!({"at": "2024-01-02T03:04:05.000000Z", "f": 0.1, "i": "P1DT2H", "b": ["AA=="]})]
    );
    scene.lines(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn bytes_that_are_no_text_are_replaced_and_told() {
    let mut scene = Scene::new("");
    let database = format!("{}_ascii", scene.schema);
    scene.lines(&format!(
        "CREATE DATABASE {database} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
    ));
    scene.lines_in(
        &database,
        &["CREATE TABLE t AS SELECT 1 AS id, convert_from('\\x61ff62'::bytea, 'SQL_ASCII') AS text"],
    );
    scene.config = json!({"database": database, "schemas": ["public"]});
    let mut stream = scene.full("t");
    stream.descriptor.namespace = Some("public".to_owned());
    let run = scene.read(&stream, None);
    assert_eq!(run.sink.rows(0), [json!({"id": 1, "text": "a\u{fffd}b"})]);
    let metas: Vec<_> = run.sink.batches(0).flat_map(|batch| &batch.meta).collect();
    assert!(metas[0].meta.contains("TRUNCATED"), "{}", metas[0].meta);
    scene.lines(&format!("DROP DATABASE {database}"));
}

#[test]
fn long_rows_and_wide_ones_arrive() {
    let columns: Vec<_> = (0..1500).map(|place| format!("{place} AS c{place}")).collect();
    let scene = Scene::new(&format!(
        "CREATE TABLE wide AS SELECT {}; CREATE TABLE long AS \
         SELECT 1 AS id, repeat(E'ü\\\\\\n\"', 1 << 20) AS text UNION ALL SELECT 2, 'short'",
        columns.join(", ")
    ));
    let wide = scene.rows(&scene.full("wide"), None);
    assert_eq!(wide[0]["c1499"], 1499);
    let long = scene.rows(&scene.full("long"), None);
    assert_eq!(long[0]["text"], "ü\\\n\"".repeat(1 << 20));
    assert_eq!(long[1], json!({"id": 2, "text": "short"}));
}

#[test]
fn a_row_that_is_too_long_is_refused_by_name() {
    let scene = Scene::new("CREATE TABLE huge AS SELECT repeat('x', 33 << 20) AS text");
    let failure = scene.try_read(&scene.full("huge"), None).result.expect_err("too long");
    assert_eq!(failure.kind, lockgate_sdk::FailureKind::Config);
    assert!(failure.message.contains("\"huge\""), "{}", failure.message);
    assert!(failure.message.contains("33554432"), "{}", failure.message);
    // Of escapes a text becomes six times as long.
    let scene =
        Scene::new("CREATE TABLE grown AS SELECT 1 AS id, repeat(E'\\x01', 7 << 20) AS text");
    assert_eq!(scene.rows(&scene.full("grown"), None)[0]["text"], "\u{1}".repeat(7 << 20));
    scene.run("UPDATE grown SET text = text || text");
    let failure = scene.try_read(&scene.full("grown"), None).result.expect_err("too long");
    assert_eq!(failure.kind, lockgate_sdk::FailureKind::Config);
    assert!(failure.message.contains("such as text"), "{}", failure.message);
}
