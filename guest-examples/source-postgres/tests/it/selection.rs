//! Which tables and columns are streams, and under which names.

use serde_json::{Value, json};

use crate::scene::Scene;

#[test]
fn tables_views_and_partitioned_tables_are_streams() {
    let mut scene = Scene::new(
        "CREATE TABLE plain (b integer, a integer, note point, PRIMARY KEY (a, b)); \
         CREATE TABLE keyless (doc jsonb); CREATE VIEW seen AS SELECT * FROM plain; \
         CREATE MATERIALIZED VIEW kept AS SELECT 1 AS id; \
         CREATE TABLE parts (id integer PRIMARY KEY) PARTITION BY HASH (id); \
         CREATE TABLE part PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0); \
         CREATE SEQUENCE numbers; CREATE INDEX one ON plain (b); CREATE TYPE pair AS (a integer)",
    );
    let streams = scene.discover();
    let told: Vec<_> = streams
        .iter()
        .map(|(name, stream)| {
            (
                &**name,
                stream["resumable"] == json!(true),
                stream["incremental"] == json!(true),
                &stream["key"],
            )
        })
        .collect();
    let (none, ab, id) = (json!([]), json!([["a"], ["b"]]), json!([["id"]]));
    assert_eq!(
        told,
        [
            ("kept", true, true, &none),
            ("keyless", true, false, &none),
            ("parts", true, true, &id),
            ("plain", true, true, &ab),
            ("seen", false, true, &none),
        ]
    );
    scene.config = json!({"tables": ["part", format!("{}.seen", scene.schema)]});
    assert_eq!(scene.discover().keys().collect::<Vec<_>>(), ["part", "seen"]);
}

#[test]
fn odd_names_are_names() {
    let (table, column) = ("Odd \"Table\"; DROP--\n'ü.x", "Col\"umn\\ {'\t,");
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let scene = Scene::new(&format!(
        "CREATE TABLE {0} (id integer PRIMARY KEY, {1} text, \"select\" integer, \"\u{1F600}\" text); \
         INSERT INTO {0} VALUES (1, 'x', 2, 'y')",
        quoted(table),
        quoted(column)
    ));
    let expected = json!({"id": 1, column: "x", "select": 2, "\u{1F600}": "y"});
    let properties = &scene.discover()[table]["schema"]["properties"];
    let names =
        |value: &Value| value.as_object().expect("members").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(properties), names(&expected));
    assert_eq!(scene.rows(&scene.full(table), None), std::slice::from_ref(&expected));
    assert_eq!(scene.rows(&scene.incremental(table, column), None), [expected]);
}

#[test]
fn only_columns_of_the_stream_are_read() {
    let scene = Scene::new("CREATE TABLE t AS SELECT 1 AS a, 2 AS b, '\\x00'::bytea AS c");
    let mut stream = scene.full("t");
    stream.json_schema = json!({"properties": {"c": {}, "a": {}, "gone": {}}}).to_string();
    let run = scene.read(&stream, None);
    assert_eq!(run.sink.rows(0), [json!({"a": 1, "c": "AA=="})]);
    assert!(run.logs.iter().any(|(_, text)| text.contains("gone")), "{:?}", run.logs);
    stream.json_schema = json!({"properties": {"gone": {}}}).to_string();
    assert_eq!(scene.rows(&stream, None), [json!({})]);
}

#[test]
fn a_role_sees_what_it_may_read_and_no_more() {
    let mut scene = Scene::new(
        "CREATE TABLE open (id integer PRIMARY KEY, name text); CREATE TABLE closed (id integer); \
         CREATE TABLE partly (id integer PRIMARY KEY, secret text, name text); \
         INSERT INTO partly VALUES (1, 'hidden', 'n'); INSERT INTO open VALUES (1, 'o'); \
         CREATE TABLE parts (id integer) PARTITION BY HASH (id); \
         CREATE TABLE part PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0); \
         INSERT INTO parts VALUES (7)",
    );
    let role = format!("{}_role", scene.schema);
    scene.lines(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA {0} TO {role}; \
         GRANT SELECT ON {0}.open, {0}.parts TO {role}; GRANT SELECT (name) ON {0}.partly TO {role}",
        scene.schema
    ));
    scene.config = json!({"username": role, "password": "x"});
    let streams = scene.discover();
    assert_eq!(streams.keys().collect::<Vec<_>>(), ["open", "partly", "parts"]);
    assert_eq!(streams["partly"]["key"], json!([]), "it cannot read the key");
    assert_eq!(streams["partly"]["resumable"], json!(false), "nor where a row is");
    assert_eq!(streams["open"]["resumable"], json!(true));
    assert_eq!(scene.rows(&scene.full("partly"), None), [json!({"name": "n"})]);
    assert_eq!(scene.rows(&scene.full("open"), None), [json!({"id": 1, "name": "o"})]);
    let failure = scene.try_read(&scene.full("op\0en"), None).result.expect_err("another name");
    assert!(failure.message.contains("there is no table"), "{}", failure.message);
    // With the rights of the table, and none of its part's.
    assert_eq!(scene.rows(&scene.full("parts"), None), [json!({"id": 7})]);
    let failure = scene.try_read(&scene.full("closed"), None).result.expect_err("it may not");
    assert_eq!(failure.kind, lockgate_sdk::FailureKind::Config);
    assert!(failure.message.contains("closed"), "{}", failure.message);
    assert!(failure.message.contains("GRANT"), "{}", failure.message);
    scene.config = json!({});
    scene.lines(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn an_empty_table_and_one_without_rows_of_its_own_are_complete() {
    let scene = Scene::new(
        "CREATE TABLE none (id integer); CREATE VIEW nobody AS SELECT 1 AS id WHERE false",
    );
    for table in ["none", "nobody"] {
        let run = scene.read(&scene.full(table), None);
        assert_eq!(run.sink.rows(0), [] as [Value; 0]);
        assert_eq!(run.sink.statuses(0).len(), 2, "started and complete");
        let run = scene.read(&scene.incremental(table, "id"), None);
        assert_eq!(run.sink.rows(0), [] as [Value; 0]);
    }
}
