//! A schema whose changes are read, and what a destination that merges by key makes of them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use lockgate_sdk::bindings::types::{GlobalState, State};
use lockgate_sdk::testing::{self, Emitted, SourceRun};
use lockgate_sdk::{ConfiguredStream, SyncMode};
use serde_json::{Value, json};
use source_postgres::Postgres;

use crate::scene::{Scene, url};

/// A schema, a publication and a slot, which are dropped with it.
pub(super) struct Captured {
    pub(super) scene: Scene,
    pub(super) name: String,
}

impl Captured {
    /// The schema in which some SQL was run, with all its tables published, and a slot.
    pub(super) fn new(sql: &str) -> Self {
        let mut scene = Scene::new(sql);
        let name = scene.schema.clone();
        scene.config = json!({"replication": {"slot": name, "publication": name}});
        let captured = Self { scene, name };
        captured.publish();
        captured.make_slot();
        captured
    }

    /// Publishes all tables that the schema has.
    pub(super) fn publish(&self) {
        self.scene.run(&format!(
            "DO $$ DECLARE t text; BEGIN \
             DROP PUBLICATION IF EXISTS {0}; \
             CREATE PUBLICATION {0} WITH (publish_via_partition_root = true); \
             FOR t IN SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') \
               AND NOT relispartition AND relnamespace = '{0}'::regnamespace LOOP \
             EXECUTE 'ALTER PUBLICATION {0} ADD TABLE ' || t; END LOOP; END $$",
            self.name
        ));
    }

    pub(super) fn make_slot(&self) {
        let name = &self.name;
        self.scene
            .lines(&format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"));
    }

    pub(super) fn drop_slot(&self) {
        self.scene.lines(&format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
             WHERE slot_name = '{}'",
            self.name
        ));
    }

    pub(super) fn run(&self, sql: &str) -> Vec<String> {
        self.scene.run(sql)
    }

    /// Where the slot is.
    pub(super) fn slot(&self) -> String {
        let rows = self.scene.lines(&format!(
            "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{}'",
            self.name
        ));
        rows.into_iter().next().expect("a slot")
    }

    /// A table of which changes are read.
    pub(super) fn stream(&self, table: &str) -> ConfiguredStream {
        ConfiguredStream {
            sync_mode: SyncMode::Incremental,
            cursor_field: vec!["_ab_cdc_lsn".to_owned()],
            ..self.scene.full(table)
        }
    }

    pub(super) fn try_read(&self, tables: &[&str], state: Option<&State>) -> SourceRun {
        let catalog = testing::catalog(tables.iter().map(|table| self.stream(table)));
        let state = state.cloned().into_iter().collect();
        testing::read::<Postgres>(&self.scene.config(), &catalog, state)
    }

    #[track_caller]
    pub(super) fn read(&self, tables: &[&str], state: Option<&State>) -> SourceRun {
        let run = self.try_read(tables, state);
        assert_eq!(run.result, Ok(()), "{:?}", run.logs);
        run
    }

    /// What is in a table, as JSON, by its key.
    pub(super) fn table(&self, table: &str) -> BTreeMap<i64, Value> {
        let rows = self.run(&format!("SELECT to_json(t) FROM {table} AS t"));
        let rows = rows.iter().map(|row| serde_json::from_str::<Value>(row).expect("JSON"));
        rows.map(|row| (row["id"].as_i64().expect("a key"), row)).collect()
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.drop_slot();
            self.scene.lines(&format!("DROP PUBLICATION IF EXISTS {}", self.name));
        }
    }
}

/// What a destination has that merges by `id`: of each the row with the greatest cursor, else the last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Merged(BTreeMap<i64, Value>);

impl Merged {
    pub(super) fn take(&mut self, rows: impl IntoIterator<Item = Value>) {
        for row in rows {
            let lsn = |row: &Value| row["_ab_cdc_lsn"].as_u64().expect("a place");
            let kept = self.0.entry(row["id"].as_i64().expect("a key")).or_insert(row.clone());
            if lsn(&row) >= lsn(kept) {
                *kept = row;
            }
        }
    }

    /// The rows that are not deleted, without what the capture added.
    pub(super) fn rows(&self) -> BTreeMap<i64, Value> {
        let there = self.0.iter().filter(|(_, row)| row["_ab_cdc_deleted_at"].is_null());
        there.map(|(id, row)| (*id, plain(row))).collect()
    }
}

/// A row without what the capture added.
pub(super) fn plain(row: &Value) -> Value {
    let mut row = row.clone();
    row.as_object_mut().expect("a row").retain(|name, _| !name.starts_with("_ab_cdc_"));
    row
}

/// The last state of a run.
#[track_caller]
pub(super) fn last(run: &SourceRun) -> State {
    run.sink.states().last().expect("a state").clone()
}

/// The shared part of a state, and the parts of its streams.
#[track_caller]
pub(super) fn said(state: &State) -> (Value, Vec<Value>) {
    let State::Global(GlobalState { shared, streams }) = state else {
        panic!("it is no state of all streams: {state:?}");
    };
    let json = |text: &Option<String>| {
        serde_json::from_str(text.as_deref().expect("a state")).expect("JSON")
    };
    (json(shared), streams.iter().map(|stream| json(&stream.state)).collect())
}

/// A state with other members in its shared part.
pub(super) fn changed(state: &State, members: &Value) -> State {
    let State::Global(mut global) = state.clone() else { panic!("{state:?}") };
    let mut shared = said(state).0;
    for (name, value) in members.as_object().expect("members") {
        shared[name] = value.clone();
    }
    global.shared = Some(shared.to_string());
    State::Global(global)
}

/// The states of a run, each with how many things were emitted up to it.
pub(super) fn states(run: &SourceRun) -> Vec<(usize, State)> {
    let all = run.sink.emitted.iter().enumerate();
    let state = |(place, emitted): (usize, &Emitted)| match emitted {
        Emitted::Checkpoint(_, state) => Some((place, state.clone())),
        _ => None,
    };
    all.filter_map(state).collect()
}

/// The rows of a stream among the first things that were emitted.
pub(super) fn rows_up_to(run: &SourceRun, stream: u32, end: usize) -> Vec<Value> {
    let batches = run.sink.emitted[..end].iter().filter_map(|emitted| match emitted {
        Emitted::Rows(batch) if batch.stream == stream => Some(&batch.data),
        _ => None,
    });
    let each = |data: &Vec<u8>| {
        serde_json::Deserializer::from_slice(data)
            .into_iter()
            .map(|row| row.expect("JSON"))
            .collect::<Vec<Value>>()
    };
    batches.flat_map(each).collect()
}

/// A session that stays open.
pub(super) struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    pub(super) fn new(captured: &Captured) -> Self {
        let mut child = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql is there");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut session = Self { child, input, output };
        session.run(&format!("SET search_path = {}", captured.name));
        session
    }

    /// Runs SQL, and returns when it was.
    pub(super) fn run(&mut self, sql: &str) {
        writeln!(self.input, "{sql};\n\\echo done").expect("psql reads");
        let mut line = String::new();
        while line.trim() != "done" {
            line.clear();
            assert!(self.output.read_line(&mut line).expect("psql writes") > 0, "{sql}");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
