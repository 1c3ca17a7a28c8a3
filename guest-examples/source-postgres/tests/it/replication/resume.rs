//! Reads that are cut off, and what is written meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use lockgate_sdk::bindings::types::State;
use lockgate_sdk::testing::{self, Sink, SourceRun};
use lockgate_sdk::{ConfiguredStream, Failure};
use serde_json::json;
use source_postgres::Postgres;

use super::scene::{Captured, Merged, last, rows_up_to, said, states};
use crate::scene::numbers;

/// Rows of which a page holds few.
const TABLE: &str = "CREATE TABLE t (id integer PRIMARY KEY, n integer, v text); INSERT INTO t \
                     SELECT i, 0, repeat(md5(i::text), 32) FROM generate_series(1, 400) AS i";

/// Reads until a sink has taken so many batches.
fn cut(
    captured: &Captured,
    streams: &[ConfiguredStream],
    state: Option<&State>,
    batches: u64,
) -> SourceRun {
    let sink = Sink::stop_after(batches, Failure::transient("cut off"));
    let catalog = testing::catalog(streams.to_vec());
    let state = state.cloned().into_iter().collect();
    testing::read_into::<Postgres>(&captured.scene.config(), &catalog, state, sink)
}

/// Whatever was read up to each state, and from it on.
#[track_caller]
fn goes_on_from_each(captured: &Captured, run: &SourceRun, before: &Merged, between: &str) {
    let states = states(run);
    assert!(states.len() > 4, "{}", states.len());
    for (place, state) in states {
        captured.run(between);
        let mut merged = before.clone();
        merged.take(rows_up_to(run, 0, place));
        let rest = captured.read(&["t"], Some(&state));
        merged.take(rest.sink.rows(0));
        assert_eq!(merged.rows(), captured.table("t"));
    }
}

#[test]
fn a_snapshot_goes_on_from_each_of_its_states() {
    let mut captured = Captured::new(TABLE);
    captured.scene.config["chunk_pages"] = json!(10);
    let run = captured.read(&["t"], None);
    assert_eq!(numbers(&run.sink.rows(0), "id"), (1..=400).collect::<Vec<_>>());
    // The first rows are of the same moment as the rest, whatever happened in between.
    goes_on_from_each(
        &captured,
        &run,
        &Merged::default(),
        "UPDATE t SET n = n + 1 WHERE id % 7 = 0; DELETE FROM t WHERE id = (SELECT min(id) FROM t); \
         INSERT INTO t SELECT max(id) + 1, 0, 'new' FROM t; \
         UPDATE t SET id = id + 1000 WHERE id = (SELECT max(id) FROM t WHERE id < 400)",
    );
}

#[test]
fn changes_go_on_from_each_of_their_states() {
    let mut captured = Captured::new(TABLE);
    captured.scene.config["fetch_size"] = json!(20);
    let first = captured.read(&["t"], None);
    let mut merged = Merged::default();
    merged.take(first.sink.rows(0));
    for n in 0..12 {
        captured.run(&format!(
            "BEGIN; UPDATE t SET n = {n} WHERE id % 20 = {n}; DELETE FROM t WHERE id = 13 * {n}; \
             INSERT INTO t SELECT 1000 + 9 * {n} + i, {n}, 'new' FROM generate_series(1, 9) AS i; COMMIT"
        ));
    }
    let run = captured.read(&["t"], Some(&last(&first)));
    goes_on_from_each(&captured, &run, &merged, "UPDATE t SET n = n + 1 WHERE id = 300");
}

#[test]
fn what_is_written_while_a_table_is_read_is_not_lost() {
    let mut captured = Captured::new(TABLE);
    captured.scene.config["chunk_pages"] = json!(5);
    captured.scene.config["fetch_size"] = json!(10);
    let done = AtomicBool::new(false);
    let mut merged = Merged::default();
    let mut state = None;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut turn = 0;
            while !done.load(Ordering::Relaxed) {
                turn += 1;
                captured.run(&format!(
                    "BEGIN; UPDATE t SET n = {turn} WHERE id % 50 = {turn} % 50; \
                     DELETE FROM t WHERE id % 97 = {turn} % 97; COMMIT; \
                     INSERT INTO t VALUES (10000 + {turn}, {turn}, 'new'); \
                     UPDATE t SET id = 20000 + {turn}, v = v || '.' WHERE id = 3 * {turn}"
                ));
            }
            turn
        });
        // Each attempt is cut off a little later; what came is there, and the last state is stored.
        for attempt in 0..16 {
            let run = cut(&captured, &[captured.stream("t")], state.as_ref(), attempt % 8);
            merged.take(run.sink.rows(0));
            if let Some(last) = run.sink.states().last() {
                state = Some(last.clone());
            }
        }
        done.store(true, Ordering::Relaxed);
        let turns = writer.join().expect("it writes");
        assert!(turns > 5, "{turns}");
    });
    let run = captured.read(&["t"], state.as_ref());
    merged.take(run.sink.rows(0));
    assert_eq!(merged.rows(), captured.table("t"));
    assert_eq!(said(&last(&run)).1[0]["kind"], "changes");
}

#[test]
fn streams_are_cut_off_together_and_go_on_together() {
    let mut captured = Captured::new(&format!(
        "{TABLE}; CREATE TABLE s (id integer PRIMARY KEY, n integer, v text); INSERT INTO s SELECT * FROM t"
    ));
    captured.scene.config["chunk_pages"] = json!(20);
    let streams = [captured.stream("t"), captured.stream("s")];
    let mut merged = [Merged::default(), Merged::default()];
    let mut state = None;
    for attempt in 0..12 {
        captured.run(&format!(
            "BEGIN; UPDATE t SET n = {attempt} WHERE id < 100; DELETE FROM s WHERE id = {attempt}; \
             INSERT INTO s VALUES (1000 + {attempt}, 0, ''); DELETE FROM t WHERE id = 2 * {attempt}; COMMIT"
        ));
        let run = cut(&captured, &streams, state.as_ref(), attempt);
        for (merged, stream) in merged.iter_mut().zip(0..) {
            merged.take(run.sink.rows(stream));
        }
        state = run.sink.states().last().cloned().or(state);
    }
    let run = captured.read(&["t", "s"], state.as_ref());
    for ((merged, stream), table) in merged.iter_mut().zip(0..).zip(["t", "s"]) {
        merged.take(run.sink.rows(stream));
        assert_eq!(merged.rows(), captured.table(table), "{table}");
    }
}

#[test]
fn a_large_transaction_is_read_in_one_go() {
    let captured = Captured::new(TABLE);
    let first = captured.read(&["t"], None);
    captured.run(
        "BEGIN; INSERT INTO t SELECT i, 0, repeat('x', 100) FROM generate_series(1001, 101000) AS i; \
         UPDATE t SET n = 1 WHERE id <= 20000; COMMIT; UPDATE t SET n = 2 WHERE id = 1",
    );
    let run = captured.read(&["t"], Some(&last(&first)));
    assert!(run.sink.batches(0).all(|batch| batch.data.len() <= 1 << 17));
    let mut merged = Merged::default();
    merged.take(first.sink.rows(0));
    merged.take(run.sink.rows(0));
    assert_eq!(merged.rows(), captured.table("t"));
    // There is no state within it.
    let total: i64 = 100_000 + 400 + 19_000;
    let place = states(&run).first().expect("a state").0;
    assert_eq!(i64::try_from(rows_up_to(&run, 0, place).len()), Ok(total));
}
