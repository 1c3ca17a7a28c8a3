//! What is missing is said, and what to do.

use std::sync::mpsc::{SyncSender, sync_channel};

use lockgate_sdk::bindings::logging::Level;
use lockgate_sdk::bindings::output::StreamStatus;
use lockgate_sdk::bindings::types::{Rows, State};
use lockgate_sdk::port::OutputPort;
use lockgate_sdk::testing::{self, SourceRun};
use lockgate_sdk::{Failure, FailureKind, source};
use serde_json::{Value, json};
use source_postgres::Postgres;

use super::scene::{Captured, changed, last, said};
use crate::scene::numbers;

const TABLE: &str = "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)";

#[track_caller]
fn is_refused(failure: &Failure, words: &[&str]) {
    assert_eq!(failure.kind, FailureKind::Config, "{failure:?}");
    for word in words {
        assert!(failure.message.contains(word), "{word}: {}", failure.message);
    }
}

#[track_caller]
fn read_is_refused(run: SourceRun, words: &[&str]) {
    is_refused(&run.result.expect_err("it should be refused"), words);
}

#[test]
fn what_can_be_captured_is_approved() {
    let mut captured = Captured::new(&format!(
        "{TABLE}; CREATE VIEW seen AS SELECT * FROM t; CREATE TABLE keyless (id integer); \
         ALTER TABLE keyless REPLICA IDENTITY FULL"
    ));
    // Unpublished, and not named.
    captured.run("CREATE TABLE later (id integer)");
    assert_eq!(source::check::<Postgres>(&captured.scene.config()), Ok(()));
    captured.scene.config["tables"] = json!(["t", "seen", "keyless"]);
    assert_eq!(source::check::<Postgres>(&captured.scene.config()), Ok(()));
    let streams = source::discover::<Postgres>(&captured.scene.config()).expect("streams");
    let told: Vec<_> = streams
        .iter()
        .map(|stream| {
            let cursor = stream.default_cursor_field.join(".");
            (
                &*stream.descriptor.name,
                stream.source_defined_cursor,
                cursor,
                stream.sync_modes.len(),
            )
        })
        .collect();
    let lsn = || "_ab_cdc_lsn".to_owned();
    assert_eq!(
        told,
        [("keyless", true, lsn(), 2), ("seen", false, String::new(), 1), ("t", true, lsn(), 2)]
    );
}

#[test]
fn what_is_missing_is_named_with_what_mends_it() {
    let mut captured = Captured::new(&format!("{TABLE}; CREATE TABLE keyless (id integer)"));
    let name = captured.name.clone();
    let refusal = |captured: &Captured| captured.scene.refusal();
    is_refused(&refusal(&captured), &["\"keyless\"", "REPLICA IDENTITY FULL", "primary key"]);
    // As a stream it can be read in full alone.
    read_is_refused(captured.try_read(&["keyless"], None), &["REPLICA IDENTITY FULL"]);
    captured.run("CREATE TABLE child () INHERITS (t)");
    is_refused(&refusal(&captured), &["inherit from", "in full only"]);
    captured.run("DROP TABLE child");
    captured.run("ALTER TABLE keyless ADD UNIQUE (id), ADD PRIMARY KEY (id) DEFERRABLE");
    is_refused(&refusal(&captured), &["\"keyless\"", "REPLICA IDENTITY FULL"]);
    captured.run(&format!("ALTER PUBLICATION {name} DROP TABLE keyless"));
    captured.scene.config["tables"] = json!(["t", "keyless"]);
    is_refused(&refusal(&captured), &["\"keyless\"", "ALTER PUBLICATION", "ADD TABLE"]);
    captured.scene.config["tables"] = Value::Null;
    captured.run(&format!("ALTER PUBLICATION {name} SET (publish = 'insert')"));
    is_refused(&refusal(&captured), &["SET (publish = 'insert, update, delete"]);
    captured.run(&format!("ALTER PUBLICATION {name} SET (publish = 'insert, update, delete')"));
    assert_eq!(source::check::<Postgres>(&captured.scene.config()), Ok(()));
    captured.run(&format!("ALTER PUBLICATION {name} SET TABLE t WHERE (id > 0)"));
    is_refused(&refusal(&captured), &["only some rows", "WHERE"]);
    captured.run(&format!("ALTER PUBLICATION {name} DROP TABLE t"));
    is_refused(&refusal(&captured), &["has no table of the schemas", "ADD TABLE"]);
    captured.run(&format!("DROP PUBLICATION {name}"));
    is_refused(&refusal(&captured), &["CREATE PUBLICATION"]);
    captured.publish();
    captured.drop_slot();
    is_refused(&refusal(&captured), &["pg_create_logical_replication_slot", &name, "pgoutput"]);
    captured.scene.lines(&format!("SELECT pg_create_physical_replication_slot('{name}')"));
    is_refused(&refusal(&captured), &["a physical one", "pgoutput"]);
    captured.drop_slot();
    let other = format!("{name}_other");
    captured.scene.lines(&format!("CREATE DATABASE {other}"));
    let make = format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')");
    captured.scene.lines_in(&other, &[&make]);
    is_refused(&refusal(&captured), &["of the database", &other]);
    captured.scene.lines_in(&other, &[&format!("SELECT pg_drop_replication_slot('{name}')")]);
    captured.scene.lines(&format!("DROP DATABASE {other}"));
    captured.scene.config["replication"] = json!({"slot": "", "publication": "p"});
    is_refused(&refusal(&captured), &["replication.slot"]);
}

#[test]
fn a_role_that_may_not_replicate_is_told() {
    let mut captured = Captured::new(TABLE);
    let role = format!("{}_role", captured.name);
    captured.scene.lines(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA {0} TO {role}; \
         GRANT SELECT ON {0}.t TO {role}",
        captured.name
    ));
    captured.scene.config["username"] = json!(role);
    captured.scene.config["password"] = json!("x");
    is_refused(&captured.scene.refusal(), &["ALTER ROLE", "REPLICATION", &role]);
    captured.scene.lines(&format!("ALTER ROLE {role} REPLICATION"));
    assert_eq!(source::check::<Postgres>(&captured.scene.config()), Ok(()));
    // The log has rows that are hidden from it.
    captured.run("ALTER TABLE t ENABLE ROW LEVEL SECURITY");
    is_refused(&captured.scene.refusal(), &["row security", "BYPASSRLS"]);
    captured.scene.lines(&format!("ALTER ROLE {role} BYPASSRLS"));
    assert_eq!(source::check::<Postgres>(&captured.scene.config()), Ok(()));
    captured.scene.lines(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_slot_that_is_gone_or_made_anew_has_lost_changes() {
    let captured = Captured::new(TABLE);
    let first = captured.read(&["t"], None);
    captured.drop_slot();
    let words = ["there is no replication slot", "refresh all streams"];
    read_is_refused(captured.try_read(&["t"], Some(&last(&first))), &words);
    captured.run("INSERT INTO t VALUES (2)");
    captured.make_slot();
    let words = ["changes are lost", "refresh all streams"];
    read_is_refused(captured.try_read(&["t"], Some(&last(&first))), &words);
    // And so it is mended.
    let again = captured.read(&["t"], None);
    assert_eq!(numbers(&again.sink.rows(0), "id"), [1, 2]);
}

#[test]
fn a_slot_that_somebody_else_moved_has_lost_changes() {
    let captured = Captured::new(TABLE);
    let first = captured.read(&["t"], None);
    // A slot is not moved beyond what is on the disk.
    captured.run("SET synchronous_commit = on; INSERT INTO t VALUES (2)");
    captured.scene.lines(&format!(
        "SELECT pg_replication_slot_advance('{}', pg_current_wal_flush_lsn())",
        captured.name
    ));
    read_is_refused(captured.try_read(&["t"], Some(&last(&first))), &["changes are lost"]);
}

#[test]
fn a_state_of_another_server_is_refused() {
    let captured = Captured::new(TABLE);
    let first = captured.read(&["t"], None);
    let state = changed(&last(&first), &json!({"system": "1"}));
    read_is_refused(captured.try_read(&["t"], Some(&state)), &["another server", "`host`"]);
    let state = changed(&last(&first), &json!({"lsn": "FFFFFF/0"}));
    read_is_refused(
        captured.try_read(&["t"], Some(&state)),
        &["beyond the end", "refresh all streams"],
    );
    let state = changed(&last(&first), &json!({"lsn": "nonsense"}));
    read_is_refused(captured.try_read(&["t"], Some(&state)), &["the stored state"]);
}

#[test]
fn a_publication_that_came_after_the_slot_is_told() {
    let captured = Captured::new(TABLE);
    let first = captured.read(&["t"], None);
    captured.scene.lines(&format!("DROP PUBLICATION {}", captured.name));
    captured.run("INSERT INTO t VALUES (2)");
    captured.publish();
    let run = captured.try_read(&["t"], Some(&last(&first)));
    read_is_refused(run, &["was made after", "pg_create_logical_replication_slot", "refresh"]);
}

/// A table that is another one, or that left its publication, is read again, with a warning.
#[track_caller]
fn is_read_again(captured: &Captured, state: &State, ids: &[i64]) {
    let run = captured.read(&["t"], Some(state));
    assert_eq!(numbers(&run.sink.rows(0), "id"), ids);
    let warned =
        run.logs.iter().any(|(level, text)| *level == Level::Warn && text.contains("again"));
    assert!(warned, "{:?}", run.logs);
}

#[test]
fn a_table_whose_changes_may_be_missed_is_read_again() {
    let captured = Captured::new(TABLE);
    let name = &captured.name;
    let first = captured.read(&["t"], None);
    captured.run(&format!("ALTER PUBLICATION {name} DROP TABLE t; INSERT INTO t VALUES (2)"));
    read_is_refused(captured.try_read(&["t"], Some(&last(&first))), &["ADD TABLE"]);
    captured.run(&format!("ALTER PUBLICATION {name} ADD TABLE t"));
    is_read_again(&captured, &last(&first), &[1, 2]);
    let second = captured.read(&["t"], Some(&last(&first)));
    captured.run(&format!(
        "DROP TABLE t; CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (7); \
         ALTER PUBLICATION {name} ADD TABLE t"
    ));
    is_read_again(&captured, &last(&second), &[7]);
}

#[test]
fn rows_of_another_table_that_had_the_name_are_not_read() {
    let captured = Captured::new(
        "CREATE TABLE t (id int PRIMARY KEY, t text); INSERT INTO t VALUES (1, 'a'); \
         CREATE TABLE others (id int PRIMARY KEY, t text); INSERT INTO others VALUES (2, 'b')",
    );
    let state = last(&captured.read(&["t"], None));
    captured.run("INSERT INTO t VALUES (9, 'of the table that is renamed')");
    captured.run("ALTER TABLE t RENAME TO gone; ALTER TABLE others RENAME TO t");
    captured.run("INSERT INTO gone VALUES (8, 'of no stream'); INSERT INTO t VALUES (3, 'c')");
    is_read_again(&captured, &state, &[2, 3, 3]);
}

#[test]
fn states_of_other_ways_of_reading_are_not_gone_on_from() {
    let mut captured = Captured::new(TABLE);
    let state = captured
        .scene
        .state("t", &json!({"kind": "cursor", "field": "id", "value": "1", "count": 1}));
    let run = captured.read(&["t"], Some(&state));
    assert_eq!(numbers(&run.sink.rows(0), "id"), [1]);
    assert!(run.logs.iter().any(|(level, _)| *level == Level::Warn), "{:?}", run.logs);
    assert_eq!(said(&last(&run)).1[0]["kind"], "changes");
    // And the other way round.
    captured.scene.config = json!({});
    let stream = captured.scene.incremental("t", "id");
    let run = captured.scene.read(&stream, Some(last(&run)));
    assert_eq!(numbers(&run.sink.rows(0), "id"), [1]);
    assert!(run.logs.iter().any(|(level, _)| *level == Level::Warn), "{:?}", run.logs);
}

/// A host that takes no row.
struct Full(SyncSender<()>, std::sync::mpsc::Receiver<()>);

impl OutputPort for Full {
    fn emit(&mut self, _: &Rows) -> Result<(), Failure> {
        let _ = self.0.send(());
        let _ = self.1.recv();
        Err(Failure::transient("cut off"))
    }

    fn checkpoint(&mut self, _: &State) -> Result<u64, Failure> {
        Ok(1)
    }

    fn status(&mut self, _: u32, _: StreamStatus) -> Result<(), Failure> {
        Ok(())
    }

    fn estimate(&mut self, _: u32, _: Option<u64>, _: Option<u64>) {}
}

#[test]
fn a_slot_that_is_read_by_somebody_else_is_waited_for() {
    let captured = Captured::new(TABLE);
    let first = captured.read(&["t"], None);
    // More than a batch.
    captured.run("INSERT INTO t SELECT * FROM generate_series(2, 5000)");
    let (reads, begun) = sync_channel(1);
    let (stop, stopped) = sync_channel(1);
    let (config, state) = (captured.scene.config(), last(&first));
    let catalog = testing::catalog([captured.stream("t")]);
    let other = std::thread::spawn(move || {
        source::read::<Postgres>(&config, &catalog, vec![state], &mut Full(reads, stopped))
    });
    begun.recv().expect("it reads");
    let failure = captured.try_read(&["t"], Some(&last(&first))).result.expect_err("in use");
    assert_eq!(failure.kind, FailureKind::Transient);
    assert!(failure.message.contains("somebody else"), "{}", failure.message);
    stop.send(()).expect("it waits");
    assert!(other.join().expect("it ends").is_err());
    // Once it is free it is read, with nothing lost.
    let run = captured.read(&["t"], Some(&last(&first)));
    assert_eq!(numbers(&run.sink.rows(0), "id"), (2..=5000).collect::<Vec<_>>());
}
