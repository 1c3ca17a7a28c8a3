//! Values of the log are those of the table.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::scene::{Captured, Merged, last, plain};
use crate::types::cases;

type Raw = BTreeMap<String, Box<RawValue>>;

fn raw(data: &[u8]) -> Vec<Raw> {
    let rows = serde_json::Deserializer::from_slice(data).into_iter();
    rows.map(|row| row.expect("JSON")).collect()
}

#[test]
fn every_type_is_in_the_log_as_it_is_in_the_table() {
    let cases = cases();
    let columns: Vec<_> =
        cases.iter().enumerate().map(|(place, (kind, ..))| format!("c{place} {kind}")).collect();
    let values: Vec<_> = cases.iter().map(|(_, value, ..)| *value).collect();
    let values = values.join(", ");
    for identity in ["DEFAULT", "FULL"] {
        let captured = Captured::new(&format!(
            "CREATE TYPE mood AS ENUM ('sad', 'so \"so\"', 'ok'); \
             CREATE DOMAIN percentage AS numeric CHECK (VALUE < 101); \
             CREATE TYPE pair AS (a integer, b text); \
             CREATE TABLE types (id integer PRIMARY KEY, {}); \
             ALTER TABLE types REPLICA IDENTITY {identity}; \
             INSERT INTO types VALUES (1, {values}), (2{})",
            columns.join(", "),
            ", NULL".repeat(cases.len()),
        ));
        let first = captured.read(&["types"], None);
        captured.run(&format!(
            "INSERT INTO types VALUES (1001, {values}), (1002{}); DELETE FROM types WHERE id = 1",
            ", NULL".repeat(cases.len()),
        ));
        let second = captured.read(&["types"], Some(&last(&first)));
        let (before, after) = (raw(&first.sink.data(0)), raw(&second.sink.data(0)));
        assert_eq!((before.len(), after.len()), (2, 3));
        let deleted = usize::from(identity == "FULL");
        for (row, other) in [(0, 0), (1, 1)].into_iter().chain([(0, 2)].into_iter().take(deleted)) {
            for (place, (kind, value, ..)) in cases.iter().enumerate() {
                let name = format!("c{place}");
                let (expected, got) = (before[row][&name].get(), after[other][&name].get());
                assert_eq!(got, expected, "{kind} {value}");
            }
        }
        // What JSON has no number for is told in the same way.
        let meta = |run: &lockgate_sdk::testing::SourceRun| -> Vec<Value> {
            let metas = run.sink.batches(0).flat_map(|batch| &batch.meta);
            metas.map(|meta| serde_json::from_str(&meta.meta).expect("JSON")).collect()
        };
        assert_eq!(meta(&second)[0], meta(&first)[0]);
    }
}

#[test]
fn settings_of_a_role_change_nothing() {
    let mut captured = Captured::new(
        "CREATE TABLE t (id integer PRIMARY KEY, at timestamptz, f float8, i interval, b bytea, m money, \
         d date)",
    );
    let role = format!("{}_role", captured.name);
    captured.scene.lines(&format!(
        "CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'x'; GRANT USAGE ON SCHEMA {0} TO {role}; \
         GRANT SELECT ON {0}.t TO {role}; ALTER ROLE {role} SET TimeZone = 'Asia/Tokyo'; \
         ALTER ROLE {role} SET DateStyle = 'SQL, DMY'; ALTER ROLE {role} SET extra_float_digits = -5; \
         ALTER ROLE {role} SET IntervalStyle = 'postgres_verbose'; \
         ALTER ROLE {role} SET bytea_output = 'escape'",
        captured.name
    ));
    captured.scene.config["username"] = json!(role);
    captured.scene.config["password"] = json!("x");
    let first = captured.read(&["t"], None);
    captured.run(
        "INSERT INTO t VALUES (1, '2024-01-02 03:04:05+00', 0.1, '1 day 2 hours', '\\x00', -1234.5, \
         '2024-02-03')",
    );
    let rows = captured.read(&["t"], Some(&last(&first))).sink.rows(0);
    assert_eq!(
        plain(&rows[0]),
        json!({"id": 1, "at": "2024-01-02T03:04:05.000000Z", "f": 0.1, "i": "P1DT2H", "b": "AA==",
               "m": -1234.50, "d": "2024-02-03"})
    );
    captured.scene.lines(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

/// A table with values that are kept beside its rows.
const LONG: &str = "CREATE TABLE t (id integer PRIMARY KEY, n integer, v text, b bytea, m text); \
                    ALTER TABLE t ALTER v SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL; \
                    INSERT INTO t SELECT i, 0, repeat('v' || i, 5000), \
                    decode(repeat('0' || i, 9000), 'hex'), NULL FROM generate_series(1, 4) AS i";

#[test]
fn long_values_that_did_not_change_are_there() {
    for identity in ["DEFAULT", "FULL"] {
        let captured = Captured::new(&format!("{LONG}; ALTER TABLE t REPLICA IDENTITY {identity}"));
        let first = captured.read(&["t"], None);
        captured.run("UPDATE t SET n = 1; UPDATE t SET id = 20, n = 2 WHERE id = 2");
        let second = captured.read(&["t"], Some(&last(&first)));
        let mut merged = Merged::default();
        merged.take(second.sink.rows(0));
        let expected = captured.scene.rows(&captured.scene.full("t"), None);
        for row in &expected {
            let id = row["id"].as_i64().expect("a key");
            let got = if id == 2 { continue } else { &merged.rows()[&id] };
            assert_eq!(*got, plain(row), "{identity}");
        }
        let rows = second.sink.rows(0);
        let found = |id: i64| rows.iter().filter(|row| row["id"] == id).collect::<Vec<_>>();
        assert_eq!(found(20)[0]["v"], "v2".repeat(5000), "{identity}");
        // Its row is another one by now: with the whole old row nothing need be looked up.
        assert_eq!(found(2)[0]["v"].is_null(), identity == "DEFAULT", "{identity}");
        let metas: Vec<_> = second.sink.batches(0).flat_map(|batch| &batch.meta).collect();
        assert_eq!(metas.len(), usize::from(identity == "DEFAULT"));
        for meta in metas {
            let meta: Value = serde_json::from_str(&meta.meta).expect("JSON");
            assert_eq!(
                meta["changes"],
                json!([
                    {"field": "v", "change": "NULLED", "reason": "SOURCE_RETRIEVAL_ERROR"},
                    {"field": "b", "change": "NULLED", "reason": "SOURCE_RETRIEVAL_ERROR"},
                ])
            );
        }
    }
}

#[test]
fn a_table_may_change_its_columns_between_two_rows() {
    let captured = Captured::new(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer, b text, c numeric); \
         INSERT INTO t VALUES (1, 1, 'b', 1.5)",
    );
    let first = captured.read(&["t"], None);
    for sql in [
        "INSERT INTO t VALUES (2, 2, 'b', 2.5)",
        "ALTER TABLE t ADD d boolean, ALTER a TYPE text USING 'n' || a, DROP c",
        "INSERT INTO t VALUES (3, 'text', 'b', true)",
        "ALTER TABLE t RENAME b TO e",
        "UPDATE t SET e = 'renamed' WHERE id = 1",
    ] {
        captured.run(sql);
    }
    let rows = captured.read(&["t"], Some(&last(&first))).sink.rows(0);
    let rows: Vec<_> = rows.iter().map(plain).collect();
    // With the types and the names of their time; what the table has no more is left out.
    assert_eq!(
        rows,
        [
            json!({"id": 2, "a": 2}),
            json!({"id": 3, "a": "text", "d": true}),
            json!({"id": 1, "a": "n1", "e": "renamed", "d": null}),
        ]
    );
}

#[test]
fn columns_that_are_not_in_the_stream_are_not_read() {
    let mut captured = Captured::new(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer, secret text, \
         g integer GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO t VALUES (1, 1, 's')",
    );
    let properties = |captured: &Captured| {
        let schema = captured.scene.discover()["t"]["schema"]["properties"].clone();
        schema.as_object().expect("members").keys().cloned().collect::<Vec<_>>()
    };
    let added = ["_ab_cdc_deleted_at", "_ab_cdc_lsn", "_ab_cdc_updated_at"];
    assert_eq!(properties(&captured), [&added[..], &["a", "id", "secret"]].concat());
    // The log has what the role may not read.
    let role = format!("{}_role", captured.name);
    captured.scene.lines(&format!(
        "CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'x'; GRANT USAGE ON SCHEMA {0} TO {role}; \
         GRANT SELECT (id, a) ON {0}.t TO {role}",
        captured.name
    ));
    captured.scene.config["username"] = json!(role);
    captured.scene.config["password"] = json!("x");
    assert_eq!(properties(&captured), [&added[..], &["a", "id"]].concat());
    let first = captured.read(&["t"], None);
    assert_eq!(plain(&first.sink.rows(0)[0]), json!({"id": 1, "a": 1}));
    captured.run("INSERT INTO t VALUES (2, 2, 's')");
    let second = captured.read(&["t"], Some(&last(&first)));
    assert_eq!(plain(&second.sink.rows(0)[0]), json!({"id": 2, "a": 2}));
    captured.scene.lines(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn odd_names_are_names() {
    let (table, column) = ("Odd \"Table\"; DROP--\n'ü.x", "Col\"umn\\ {'\t,");
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let captured = Captured::new(&format!(
        "CREATE TABLE {0} (id integer PRIMARY KEY, {1} text); INSERT INTO {0} VALUES (1, 'x')",
        quoted(table),
        quoted(column)
    ));
    let first = captured.read(&[table], None);
    captured.run(&format!("INSERT INTO {} VALUES (2, 'y')", quoted(table)));
    let second = captured.read(&[table], Some(&last(&first)));
    assert_eq!(plain(&second.sink.rows(0)[0]), json!({"id": 2, column: "y"}));
}
