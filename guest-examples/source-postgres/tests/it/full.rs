//! Full refreshes: all rows, from every checkpoint on, and whatever is written meanwhile.

use lockgate_sdk::FailureKind;
use lockgate_sdk::bindings::logging::Level;
use serde_json::{Value, json};

use crate::scene::{Scene, checkpoints, numbers, said};

/// 2,000 rows of about 1 KiB: some 300 pages.
const ROWS: &str =
    "SELECT i AS id, repeat(md5(i::text), 32) AS text FROM generate_series(1, 2000) AS i";

fn all() -> Vec<i64> {
    (1..=2000).collect()
}

#[test]
fn a_read_goes_on_from_every_checkpoint() {
    let mut scene = Scene::new(&format!(
        "CREATE TABLE plain AS {ROWS}; CREATE MATERIALIZED VIEW kept AS {ROWS}; \
         CREATE TABLE parts (id integer, text text) PARTITION BY RANGE (id); \
         CREATE TABLE part_a PARTITION OF parts FOR VALUES FROM (1) TO (300); \
         CREATE TABLE part_b PARTITION OF parts FOR VALUES FROM (300) TO (3000) PARTITION BY HASH (id); \
         CREATE TABLE part_b0 PARTITION OF part_b FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
         CREATE TABLE part_b1 PARTITION OF part_b FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
         INSERT INTO parts {ROWS}; \
         CREATE TABLE parent AS {ROWS} LIMIT 500; CREATE TABLE child () INHERITS (parent); \
         INSERT INTO child {ROWS} OFFSET 500"
    ));
    scene.config = json!({"chunk_pages": 50});
    for table in ["plain", "kept", "parts", "parent"] {
        let stream = scene.full(table);
        let run = scene.read(&stream, None);
        assert_eq!(numbers(&run.sink.rows(0), "id"), all(), "{table}");
        let checkpoints = checkpoints(&run);
        assert!(checkpoints.len() >= 3, "{table}: {}", checkpoints.len());
        for checkpoint in checkpoints {
            let mut rows = checkpoint.rows;
            rows.extend(scene.rows(&stream, Some(checkpoint.state)));
            assert_eq!(numbers(&rows, "id"), all(), "{table}");
        }
        // Each page is its own query, and each row an answer.
        let mut slow = Scene::new("");
        std::mem::swap(&mut slow.schema, &mut scene.schema);
        slow.config = json!({"chunk_pages": 1_000_000, "fetch_size": 7});
        assert_eq!(numbers(&slow.rows(&stream, None), "id"), all(), "{table}");
        std::mem::swap(&mut slow.schema, &mut scene.schema);
    }
}

#[test]
fn what_is_written_between_two_attempts_is_not_missed() {
    let mut scene = Scene::new("");
    scene.config = json!({"chunk_pages": 40});
    for table in ["plain", "parts"] {
        for place in 0..6 {
            scene.run(&format!(
                "DROP TABLE IF EXISTS plain, parts; \
                 CREATE TABLE plain (id integer, text text) WITH (fillfactor = 80); \
                 CREATE TABLE parts (id integer, text text) PARTITION BY HASH (id); \
                 CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
                 CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
                 INSERT INTO {table} {ROWS}; DELETE FROM {table} WHERE id % 10 = 0"
            ));
            scene.run(&format!("VACUUM {table}"));
            let stream = scene.full(table);
            let mut checkpoints = checkpoints(&scene.read(&stream, None));
            if place >= checkpoints.len() - 1 {
                continue;
            }
            let first = checkpoints.swap_remove(place);
            // Rows move from the pages that are left to read to those that were read, where the
            // deleted ones left room, and back; new ones come, old ones go.
            scene.run(&format!(
                "UPDATE {table} SET text = 'moved' WHERE id % 7 = 0; \
                 INSERT INTO {table} SELECT i, 'new' FROM generate_series(3001, 3050) AS i; \
                 DELETE FROM {table} WHERE id % 13 = 0"
            ));
            let run = scene.read(&stream, Some(first.state));
            let mut given = first.rows;
            given.extend(run.sink.rows(0));
            let texts = scene.run(&format!("SELECT coalesce(json_agg(t), '[]') FROM {table} AS t"));
            let there: Vec<Value> = serde_json::from_str(&texts.concat()).expect("JSON");
            assert!(there.len() > 1000);
            for row in there {
                assert!(given.contains(&row), "{table}, checkpoint {place}: {}", row["id"]);
            }
        }
    }
}

#[test]
fn a_snapshot_hides_what_is_written_while_it_is_read() {
    // The sink is filled while another session writes: rows of one moment, neither more nor fewer.
    let mut scene = Scene::new(&format!("CREATE TABLE t AS {ROWS}"));
    scene.config = json!({"chunk_pages": 2});
    let (started, wait) = std::sync::mpsc::sync_channel(1);
    let rows = std::thread::scope(|scope| {
        let scene = &scene;
        scope.spawn(move || {
            for turn in 0..20 {
                scene.run("UPDATE t SET text = text || '!' WHERE id % 3 = 0");
                if turn == 0 {
                    started.send(()).expect("somebody waits");
                }
            }
        });
        wait.recv().expect("it began");
        scene.rows(&scene.full("t"), None)
    });
    assert_eq!(numbers(&rows, "id"), all());
}

#[test]
fn a_table_that_was_written_anew_is_read_again() {
    let mut scene = Scene::new(&format!("CREATE TABLE t AS {ROWS}"));
    scene.config = json!({"chunk_pages": 50});
    let stream = scene.full("t");
    let first = checkpoints(&scene.read(&stream, None)).swap_remove(1);
    assert_eq!(said(&first.state)["kind"], "pages");
    scene.run("VACUUM FULL t");
    let run = scene.read(&stream, Some(first.state));
    assert_eq!(numbers(&run.sink.rows(0), "id"), all());
    assert!(run.logs.iter().any(|(level, _)| *level == Level::Warn), "{:?}", run.logs);
    // A state of another way of reading is one of nothing.
    let other = json!({"kind": "cursor", "field": "id", "value": "1000", "count": 1});
    let run = scene.read(&stream, Some(scene.state("t", &other)));
    assert_eq!(run.sink.rows(0).len(), 2000);
    assert!(run.logs.iter().any(|(level, _)| *level == Level::Warn), "{:?}", run.logs);
}

#[test]
fn what_is_over_is_not_read_again() {
    let scene = Scene::new(&format!(
        "CREATE TABLE t AS {ROWS}; CREATE VIEW v AS SELECT * FROM t; CREATE TABLE none (id integer)"
    ));
    for (table, count) in [("t", 2000), ("v", 2000), ("none", 0)] {
        let stream = scene.full(table);
        let run = scene.read(&stream, None);
        assert_eq!(run.sink.rows(0).len(), count);
        let last = checkpoints(&run).pop().expect("a checkpoint");
        let run = scene.read(&stream, Some(last.state.clone()));
        assert_eq!(run.sink.rows(0).len(), 0, "{table}");
        // It says so again.
        assert_eq!(checkpoints(&run).pop().map(|again| again.state), Some(last.state));
    }
}

#[test]
fn a_stored_state_of_something_else_is_refused() {
    let scene = Scene::new(&format!("CREATE TABLE t AS {ROWS}"));
    for state in [json!({"kind": "lunar"}), json!({"kind": "pages", "page": "x"}), json!({})] {
        let run = scene.try_read(&scene.full("t"), Some(scene.state("t", &state)));
        let failure = run.result.expect_err("it is no state");
        assert_eq!(failure.kind, FailureKind::Config);
        assert!(failure.message.contains("state"), "{}", failure.message);
    }
    // One that no server gave: nothing of it ends up in a query unread.
    let wrong =
        json!({"kind": "pages", "files": "x'; DROP TABLE t; --", "page": 1, "transaction": 1});
    assert_eq!(scene.rows(&scene.full("t"), Some(scene.state("t", &wrong))).len(), 2000);
}

#[test]
fn a_host_that_stops_is_obeyed() {
    use lockgate_sdk::testing::{self, Sink};
    use lockgate_sdk::{Failure, FailureKind};
    let scene = Scene::new(&format!("CREATE TABLE t AS {ROWS}"));
    let catalog = testing::catalog([scene.full("t")]);
    let stop = Failure::new(FailureKind::Cancelled, "stop");
    let run = testing::read_into::<source_postgres::Postgres>(
        &scene.config(),
        &catalog,
        Vec::new(),
        Sink::stop_after(3, stop.clone()),
    );
    assert_eq!(run.result, Err(stop));
    assert_eq!(run.sink.batches(0).count(), 3);
}
