//! What is inserted, updated and deleted.

use lockgate_sdk::bindings::logging::Level;
use lockgate_sdk::testing::{self};
use serde_json::{Value, json};
use source_postgres::Postgres;

use super::scene::{Captured, Merged, Session, last, plain, said};
use crate::scene::numbers;

const TABLE: &str = "CREATE TABLE t (id integer PRIMARY KEY, v text); \
                     INSERT INTO t SELECT i, 'first' FROM generate_series(1, 5) AS i";

#[test]
fn a_table_is_read_and_then_its_changes() {
    let captured = Captured::new(TABLE);
    let first = captured.read(&["t"], None);
    let rows = first.sink.rows(0);
    assert_eq!(numbers(&rows, "id"), [1, 2, 3, 4, 5]);
    assert!(rows.iter().all(|row| row["_ab_cdc_deleted_at"].is_null()));
    assert!(rows.iter().all(|row| row["_ab_cdc_lsn"].is_u64()));
    assert!(rows.iter().all(|row| row["_ab_cdc_updated_at"].as_str().unwrap().len() == 27));
    assert_eq!(first.sink.statuses(0).len(), 3, "started, running, complete");
    let nothing = captured.read(&["t"], Some(&last(&first)));
    assert_eq!(nothing.sink.rows(0), [] as [Value; 0]);
    // Each a transaction.
    for sql in [
        "INSERT INTO t VALUES (6, 'new')",
        "UPDATE t SET v = 'changed' WHERE id = 1",
        "BEGIN; UPDATE t SET v = 'again' WHERE id = 1; DELETE FROM t WHERE id = 2; COMMIT",
        "BEGIN; INSERT INTO t VALUES (7, 'never'); ROLLBACK",
    ] {
        captured.run(sql);
    }
    let second = captured.read(&["t"], Some(&last(&nothing)));
    let rows = second.sink.rows(0);
    let told: Vec<_> = rows.iter().map(plain).collect();
    assert_eq!(
        told,
        [
            json!({"id": 6, "v": "new"}),
            json!({"id": 1, "v": "changed"}),
            json!({"id": 1, "v": "again"}),
            json!({"id": 2}),
        ]
    );
    assert_eq!(rows[3]["_ab_cdc_deleted_at"], rows[3]["_ab_cdc_updated_at"]);
    let lsns: Vec<_> = rows.iter().map(|row| row["_ab_cdc_lsn"].as_u64().unwrap()).collect();
    assert!(lsns.is_sorted() && lsns[0] < lsns[1] && lsns[2] == lsns[3], "{lsns:?}");
    let mut merged = Merged::default();
    for run in [&first, &second] {
        merged.take(run.sink.rows(0));
    }
    assert_eq!(merged.rows(), captured.table("t"));
    let third = captured.read(&["t"], Some(&last(&second)));
    assert_eq!(third.sink.rows(0), [] as [Value; 0]);
    let now = captured.run("SELECT now()::date").remove(0);
    assert!(rows[0]["_ab_cdc_updated_at"].as_str().unwrap().starts_with(&now));
}

#[test]
fn the_slot_is_moved_by_what_was_saved_and_by_nothing_else() {
    let captured = Captured::new(TABLE);
    let made = captured.slot();
    let first = captured.read(&["t"], None);
    assert_eq!(captured.slot(), made, "the state may never be stored");
    captured.run("INSERT INTO t VALUES (6, 'new')");
    let second = captured.read(&["t"], Some(&last(&first)));
    assert_eq!(captured.slot(), said(&last(&first)).0["lsn"]);
    // The second is read again: its state was not stored.
    let again = captured.read(&["t"], Some(&last(&first)));
    assert_eq!(numbers(&again.sink.rows(0), "id"), numbers(&second.sink.rows(0), "id"));
    captured.read(&["t"], Some(&last(&again)));
    assert_eq!(captured.slot(), said(&last(&again)).0["lsn"]);
    // Without any news the position moves on all the same, so that the server may forget its log.
    captured.run("CREATE TABLE other (id integer); INSERT INTO other VALUES (1)");
    let nothing = captured.read(&["t"], Some(&last(&again)));
    assert_eq!(nothing.sink.rows(0), [] as [Value; 0]);
    assert_ne!(said(&last(&nothing)).0["lsn"], said(&last(&again)).0["lsn"]);
}

#[test]
fn rows_that_get_another_key_are_deleted_and_written() {
    for identity in ["DEFAULT", "FULL"] {
        let captured =
            Captured::new(&format!("{TABLE}; ALTER TABLE t REPLICA IDENTITY {identity}"));
        let first = captured.read(&["t"], None);
        captured.run(
            "UPDATE t SET id = id + 100 WHERE id < 3; UPDATE t SET id = id, v = 'same' WHERE id = 3; \
             BEGIN; UPDATE t SET id = 50 WHERE id = 5; INSERT INTO t VALUES (5, 'another'); COMMIT",
        );
        let second = captured.read(&["t"], Some(&last(&first)));
        let rows = second.sink.rows(0);
        let keys: Vec<_> = rows
            .iter()
            .map(|row| (row["id"].as_i64().unwrap(), !row["_ab_cdc_deleted_at"].is_null()))
            .collect();
        assert_eq!(
            keys,
            [
                (1, true),
                (101, false),
                (2, true),
                (102, false),
                (3, false),
                (5, true),
                (50, false),
                (5, false)
            ],
            "{identity}"
        );
        let mut merged = Merged::default();
        for run in [&first, &second] {
            merged.take(run.sink.rows(0));
        }
        assert_eq!(merged.rows(), captured.table("t"), "{identity}");
        // A whole old row is told of whole.
        assert_eq!(rows[0].get("v").is_some(), identity == "FULL");
    }
}

#[test]
fn a_unique_index_tells_rows_apart_where_it_is_the_identity() {
    let captured = Captured::new(
        "CREATE TABLE t (id integer NOT NULL, code text PRIMARY KEY); CREATE UNIQUE INDEX u ON t (id); \
         ALTER TABLE t REPLICA IDENTITY USING INDEX u; INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    );
    assert_eq!(captured.scene.discover()["t"]["key"], json!([["id"]]));
    let first = captured.read(&["t"], None);
    captured.run("DELETE FROM t WHERE code = 'a'; UPDATE t SET code = 'c' WHERE id = 2");
    let rows = captured.read(&["t"], Some(&last(&first))).sink.rows(0);
    let told: Vec<_> = rows.iter().map(plain).collect();
    assert_eq!(told, [json!({"id": 1}), json!({"id": 2, "code": "c"})]);
    // A key that the log does not have of deleted rows is refused.
    let mut stream = captured.stream("t");
    stream.primary_key = vec![vec!["code".to_owned()]];
    let config = captured.scene.config();
    let run = testing::read::<Postgres>(&config, &testing::catalog([stream]), Vec::new());
    let failure = run.result.expect_err("it is no key");
    assert!(failure.message.contains("REPLICA IDENTITY FULL"), "{}", failure.message);
}

#[test]
fn a_transaction_that_is_open_across_reads_is_not_missed() {
    let captured = Captured::new(TABLE);
    let mut merged = Merged::default();
    let mut before = Session::new(&captured);
    before.run("BEGIN; UPDATE t SET v = 'of before' WHERE id = 1; INSERT INTO t VALUES (10, 'b')");
    let first = captured.read(&["t"], None);
    assert!(first.sink.rows(0).iter().all(|row| row["v"] == "first"));
    let mut between = Session::new(&captured);
    between.run("BEGIN; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (11, 'c')");
    captured.run("UPDATE t SET v = 'later' WHERE id = 3");
    let second = captured.read(&["t"], Some(&last(&first)));
    assert_eq!(numbers(&second.sink.rows(0), "id"), [3]);
    before.run("COMMIT");
    between.run("UPDATE t SET v = 'in it' WHERE id = 4");
    between.run("COMMIT");
    let third = captured.read(&["t"], Some(&last(&second)));
    assert_eq!(numbers(&third.sink.rows(0), "id"), [1, 2, 4, 10, 11]);
    for run in [&first, &second, &third] {
        merged.take(run.sink.rows(0));
    }
    assert_eq!(merged.rows(), captured.table("t"));
}

#[test]
fn a_truncated_table_is_told_of() {
    let captured = Captured::new(TABLE);
    let first = captured.read(&["t"], None);
    captured.run("TRUNCATE t; INSERT INTO t VALUES (9, 'after')");
    let run = captured.read(&["t"], Some(&last(&first)));
    assert_eq!(numbers(&run.sink.rows(0), "id"), [9]);
    let warned =
        |(level, text): &(Level, String)| *level == Level::Warn && text.contains("TRUNCATE");
    assert_eq!(run.logs.iter().filter(|log| warned(log)).count(), 1, "{:?}", run.logs);
}

#[test]
fn several_tables_have_one_state_and_their_own_rows() {
    let captured = Captured::new(&format!(
        "{TABLE}; CREATE TABLE s (id integer PRIMARY KEY); CREATE TABLE unread (id integer PRIMARY KEY); \
         CREATE VIEW seen AS SELECT * FROM t"
    ));
    let first = captured.read(&["t", "s"], None);
    captured.run(
        "BEGIN; INSERT INTO s VALUES (1); INSERT INTO unread VALUES (1); UPDATE t SET v = 'x' WHERE id = 1; \
         INSERT INTO s VALUES (2); COMMIT",
    );
    let second = captured.read(&["t", "s"], Some(&last(&first)));
    assert_eq!(numbers(&second.sink.rows(0), "id"), [1]);
    assert_eq!(numbers(&second.sink.rows(1), "id"), [1, 2]);
    assert_eq!(said(&last(&second)).1.len(), 2);
    // A stream that comes later is read as it is, from where the others are.
    captured.run("INSERT INTO unread VALUES (2); INSERT INTO s VALUES (3)");
    let third = captured.read(&["t", "s", "unread"], Some(&last(&second)));
    assert_eq!(numbers(&third.sink.rows(1), "id"), [3]);
    let mut merged = Merged::default();
    merged.take(third.sink.rows(2));
    captured.run("DELETE FROM unread WHERE id = 1");
    let fourth = captured.read(&["t", "s", "unread"], Some(&last(&third)));
    merged.take(fourth.sink.rows(2));
    assert_eq!(merged.rows(), captured.table("unread"));
    // And beside a stream that is read in full.
    let streams = [captured.stream("t"), captured.scene.full("s"), captured.scene.full("seen")];
    let state = vec![last(&fourth)];
    let config = captured.scene.config();
    let run = testing::read::<Postgres>(&config, &testing::catalog(streams.clone()), state);
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.sink.rows(0), [] as [Value; 0]);
    assert_eq!(numbers(&run.sink.rows(1), "id"), [1, 2, 3]);
    assert!(run.sink.rows(1)[0]["_ab_cdc_lsn"].is_u64());
    assert!(run.sink.rows(2)[0].get("_ab_cdc_lsn").is_none(), "a view has no changes");
    assert_eq!(said(&last(&run)).1.len(), 1);
    // Alone they have states of their own.
    let run = testing::read::<Postgres>(&config, &testing::catalog(streams[1..].to_vec()), vec![]);
    assert_eq!(run.result, Ok(()));
    assert_eq!(crate::scene::said(&last(&run))["kind"], "whole");
}

#[test]
fn parts_are_rows_of_their_table() {
    let captured = Captured::new(
        "CREATE TABLE t (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100); \
         CREATE TABLE high (v text, id integer NOT NULL); \
         ALTER TABLE t ATTACH PARTITION high FOR VALUES FROM (100) TO (200); \
         INSERT INTO t VALUES (1, 'a'), (101, 'b')",
    );
    let first = captured.read(&["t"], None);
    assert_eq!(numbers(&first.sink.rows(0), "id"), [1, 101]);
    captured.run("INSERT INTO t VALUES (2, 'c'), (102, 'd'); UPDATE t SET id = 150 WHERE id = 1");
    let second = captured.read(&["t"], Some(&last(&first)));
    let mut merged = Merged::default();
    for run in [&first, &second] {
        merged.take(run.sink.rows(0));
    }
    assert_eq!(merged.rows(), captured.table("t"));
}
