//! Incremental reads: what is new, in the order of a cursor.

use lockgate_sdk::FailureKind;
use lockgate_sdk::bindings::logging::Level;
use lockgate_sdk::bindings::types::State;
use serde_json::{Value, json};

use crate::scene::{Scene, checkpoints, numbers, said};

fn last(run: &lockgate_sdk::testing::SourceRun) -> State {
    run.sink.states().last().expect("a state").clone()
}

#[test]
fn what_is_new_is_read_by_cursors_of_every_type() {
    for (kind, values) in [
        ("integer", ["-5", "7", "8"]),
        ("bigint", ["1", "9223372036854775806", "9223372036854775807"]),
        ("numeric", ["0.1", "0.10000000000000000001", "1e30"]),
        ("double precision", ["'-Infinity'", "0.1", "0.30000000000000004"]),
        ("text", ["'A'", "'B''\"'", "'ü'"]),
        ("varchar(9)", ["'a'", "'b'", "'c'"]),
        (
            "uuid",
            [
                "'00000000-0000-0000-0000-000000000001'",
                "'a0000000-0000-0000-0000-000000000000'",
                "'f0000000-0000-0000-0000-000000000000'",
            ],
        ),
        ("date", ["'0044-03-15 BC'", "'2024-01-01'", "'2024-01-02'"]),
        ("time", ["'01:00'", "'01:00:00.000001'", "'24:00'"]),
        ("timetz", ["'01:00+00'", "'01:00:00.000001+00'", "'23:00-05'"]),
        ("timestamp", ["'-infinity'", "'2024-01-01 00:00:00'", "'2024-01-01 00:00:00.000001'"]),
        ("timestamptz", ["'0044-03-15 BC'", "'2024-01-01 00:00+02'", "'2024-01-01 00:00+00'"]),
        ("interval", ["'1 day'", "'1 month'", "'2 years 3 days 00:00:00.5'"]),
        ("inet", ["'10.0.0.1'", "'10.0.0.2'", "'::1'"]),
        ("boolean", ["false", "true", "true"]),
        ("mood", ["'sad'", "'ok'", "'happy'"]),
        ("percentage", ["1", "2.5", "100"]),
        ("int4range", ["'[1,3)'", "'[2,3)'", "'[2,4)'"]),
        ("pg_lsn", ["'0/1'", "'0/A'", "'1/0'"]),
    ] {
        let scene = Scene::new(&format!(
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN percentage AS numeric; \
             CREATE TABLE t (id integer, \"At\" {kind}); INSERT INTO t VALUES (1, {}), (2, {})",
            values[0], values[1]
        ));
        let stream = scene.incremental("t", "At");
        let first = scene.read(&stream, None);
        assert_eq!(numbers(&first.sink.rows(0), "id"), [1, 2], "{kind}");
        let nothing = scene.read(&stream, Some(last(&first)));
        assert_eq!(nothing.sink.rows(0), [] as [Value; 0], "{kind}");
        assert_eq!(last(&nothing), last(&first), "{kind}");
        scene.run(&format!("INSERT INTO t VALUES (3, {})", values[2]));
        let third = scene.rows(&stream, Some(last(&nothing)));
        // A tie gives the tied rows again.
        let expected = if values[1] == values[2] { vec![2, 3] } else { vec![3] };
        assert_eq!(numbers(&third, "id"), expected, "{kind}");
    }
}

#[test]
fn a_read_goes_on_from_every_checkpoint() {
    let mut scene = Scene::new(
        "CREATE TABLE t AS SELECT i AS id, i / 7 AS at, repeat('x', 100) AS text \
         FROM generate_series(1, 1000) AS i ORDER BY md5(i::text)",
    );
    scene.config = json!({"fetch_size": 50});
    let stream = scene.incremental("t", "at");
    let run = scene.read(&stream, None);
    let all: Vec<i64> = (1..=1000).collect();
    assert_eq!(numbers(&run.sink.rows(0), "id"), all);
    let order: Vec<_> = run.sink.rows(0).iter().map(|row| row["at"].as_i64()).collect();
    assert!(order.is_sorted());
    let checkpoints = checkpoints(&run);
    assert!(checkpoints.len() > 10, "{}", checkpoints.len());
    for checkpoint in checkpoints {
        let mut rows = checkpoint.rows;
        rows.extend(scene.rows(&stream, Some(checkpoint.state)));
        assert_eq!(numbers(&rows, "id"), all, "nothing twice, nothing missed");
    }
}

#[test]
fn ties_are_given_again_when_there_are_others() {
    let scene = Scene::new(
        "CREATE TABLE t (id integer, at integer); INSERT INTO t VALUES (1, 1), (2, 5), (3, 5)",
    );
    let stream = scene.incremental("t", "at");
    let first = scene.read(&stream, None);
    assert_eq!(
        said(&last(&first)),
        json!({"kind": "cursor", "field": "at", "value": "5", "count": 2})
    );
    // One more with the same value, and one beyond.
    scene.run("INSERT INTO t VALUES (4, 5), (5, 6)");
    let second = scene.read(&stream, Some(last(&first)));
    assert_eq!(numbers(&second.sink.rows(0), "id"), [2, 3, 4, 5]);
    scene.run("INSERT INTO t VALUES (6, 6)");
    let third = scene.read(&stream, Some(last(&second)));
    assert_eq!(numbers(&third.sink.rows(0), "id"), [5, 6]);
    assert_eq!(said(&last(&third))["count"], 2);
    // What is behind the cursor is not looked at.
    scene.run("INSERT INTO t VALUES (7, 2)");
    assert_eq!(scene.rows(&stream, Some(last(&third))), [] as [Value; 0]);
}

#[test]
fn texts_that_are_one_value_are_counted_as_one() {
    let scene = Scene::new(
        "CREATE TABLE t (id integer, at numeric); INSERT INTO t VALUES (1, 1.0), (2, 1.00), (3, 1)",
    );
    let stream = scene.incremental("t", "at");
    let first = scene.read(&stream, None);
    assert_eq!(said(&last(&first))["count"], 3);
    assert_eq!(scene.rows(&stream, Some(last(&first))), [] as [Value; 0]);
}

#[test]
fn rows_without_a_cursor_are_read_once() {
    let scene = Scene::new(
        "CREATE TABLE t (id integer, at integer); INSERT INTO t VALUES (1, NULL), (2, 5), (3, NULL)",
    );
    let stream = scene.incremental("t", "at");
    let first = scene.read(&stream, None);
    assert_eq!(numbers(&first.sink.rows(0), "id"), [1, 2, 3]);
    assert!(first.logs.iter().any(|(level, _)| *level == Level::Warn), "{:?}", first.logs);
    let nulls = checkpoints(&first).swap_remove(0);
    assert_eq!(numbers(&nulls.rows, "id"), [1, 3]);
    assert_eq!(numbers(&scene.rows(&stream, Some(nulls.state)), "id"), [2]);
    scene.run("INSERT INTO t VALUES (4, NULL); UPDATE t SET at = 6 WHERE id = 1");
    assert_eq!(numbers(&scene.rows(&stream, Some(last(&first))), "id"), [1]);
    // Of nothing but such rows there is a state as well.
    let scene =
        Scene::new("CREATE TABLE t (id integer, at integer); INSERT INTO t VALUES (1, NULL)");
    let stream = scene.incremental("t", "at");
    let first = scene.read(&stream, None);
    assert_eq!(said(&last(&first))["value"], Value::Null);
    scene.run("INSERT INTO t VALUES (2, 1)");
    assert_eq!(numbers(&scene.rows(&stream, Some(last(&first))), "id"), [2]);
}

#[test]
fn a_state_of_the_future_gives_nothing_and_stays() {
    let scene =
        Scene::new("CREATE TABLE t AS SELECT i AS id, i AS at FROM generate_series(1, 9) AS i");
    let stream = scene.incremental("t", "at");
    let future = json!({"kind": "cursor", "field": "at", "value": "1000", "count": 1});
    let run = scene.read(&stream, Some(scene.state("t", &future)));
    assert_eq!(run.sink.rows(0), [] as [Value; 0]);
    let stays = said(&last(&run));
    assert_eq!(stays["value"], "1000");
    scene.run("INSERT INTO t VALUES (10, 1000), (11, 1001)");
    let run = scene.read(&stream, Some(last(&run)));
    assert_eq!(numbers(&run.sink.rows(0), "id"), [10, 11]);
}

#[test]
fn what_is_beyond_all_is_no_place_to_go_on_from() {
    for (kind, last_value) in [
        ("timestamptz", "infinity"),
        ("date", "infinity"),
        ("float8", "NaN"),
        ("numeric", "Infinity"),
    ] {
        let (some, later) = if kind.contains('t') && kind != "float8" {
            ("2024-01-01", "2024-01-02")
        } else {
            ("1", "2")
        };
        let (some, later) =
            if kind == "numeric" || kind == "float8" { ("1", "2") } else { (some, later) };
        let scene = Scene::new(&format!(
            "CREATE TABLE t (id integer, at {kind}); INSERT INTO t VALUES (1, '{some}'), (2, '{last_value}')"
        ));
        let stream = scene.incremental("t", "at");
        let first = scene.read(&stream, None);
        assert_eq!(numbers(&first.sink.rows(0), "id"), [1, 2]);
        scene.run(&format!("INSERT INTO t VALUES (3, '{later}')"));
        let second = scene.rows(&stream, Some(last(&first)));
        assert_eq!(numbers(&second, "id"), [2, 3], "{kind}");
    }
}

#[test]
fn another_cursor_begins_again() {
    let scene = Scene::new(
        "CREATE TABLE t (id integer, a integer, b integer); INSERT INTO t VALUES (1, 5, 1)",
    );
    let first = scene.read(&scene.incremental("t", "a"), None);
    let run = scene.read(&scene.incremental("t", "b"), Some(last(&first)));
    assert_eq!(run.sink.rows(0).len(), 1);
    assert!(run.logs.iter().any(|(level, _)| *level == Level::Warn), "{:?}", run.logs);
    // And one of another type says what to do.
    scene.run("ALTER TABLE t ALTER a TYPE timestamptz USING now()");
    let failure = scene.try_read(&scene.incremental("t", "a"), Some(last(&first))).result;
    let failure = failure.expect_err("5 is no time");
    assert_eq!(failure.kind, FailureKind::Config);
    assert!(failure.message.contains("clear the stream's state"), "{}", failure.message);
}

#[test]
fn what_is_no_cursor_is_refused_with_those_that_are() {
    let scene =
        Scene::new("CREATE TABLE t (id integer, doc jsonb, place point, raw bytea, names text[])");
    for name in ["doc", "place", "raw", "names", "missing"] {
        let failure = scene.try_read(&scene.incremental("t", name), None).result.expect_err(name);
        assert_eq!(failure.kind, FailureKind::Config);
        assert!(failure.message.contains(name), "{}", failure.message);
        assert!(failure.message.contains("there are: id"), "{}", failure.message);
        assert_eq!(failure.stream, Some(scene.full("t").descriptor));
    }
    let mut stream = scene.incremental("t", "id");
    stream.cursor_field.clear();
    let failure = scene.try_read(&stream, None).result.expect_err("no cursor");
    assert!(failure.message.contains("cursor_field"), "{}", failure.message);
}

#[test]
fn a_cursor_that_is_not_in_the_stream_orders_it_all_the_same() {
    let scene = Scene::new(
        "CREATE TABLE t (id integer, raw bytea, at integer); \
         INSERT INTO t VALUES (1, 'a', 2), (2, 'b', 1)",
    );
    let mut stream = scene.incremental("t", "at");
    stream.json_schema = json!({"properties": {"id": {}, "raw": {}}}).to_string();
    let run = scene.read(&stream, None);
    assert_eq!(
        run.sink.rows(0),
        [json!({"id": 2, "raw": "Yg=="}), json!({"id": 1, "raw": "YQ=="})]
    );
    assert_eq!(said(&last(&run))["value"], "2");
}

#[test]
fn views_and_partitioned_tables_have_cursors_too() {
    let scene = Scene::new(
        "CREATE TABLE t (id integer, at integer) PARTITION BY HASH (id); \
         CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
         CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
         CREATE VIEW v AS SELECT * FROM t; INSERT INTO t SELECT i, i FROM generate_series(1, 9) AS i",
    );
    for table in ["t", "v"] {
        let state = json!({"kind": "cursor", "field": "at", "value": "6", "count": 1});
        let rows = scene.rows(&scene.incremental(table, "at"), Some(scene.state(table, &state)));
        assert_eq!(numbers(&rows, "id"), [7, 8, 9]);
    }
}
