//! A schema of a test's own, and the source that reads it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use lockgate_sdk::bindings::types::{State, StreamState};
use lockgate_sdk::testing::{self, Emitted, SourceRun};
use lockgate_sdk::{ConfiguredStream, StreamDescriptor, SyncMode, source};
use serde_json::{Value, json};
use source_postgres::Postgres;

/// A schema that is dropped with it.
pub(crate) struct Scene {
    url: String,
    pub(crate) schema: String,
    /// Members of the configuration beside those that every one has.
    pub(crate) config: Value,
}

/// A checkpoint of a run: the rows before it, and its state.
pub(crate) struct Checkpoint {
    pub(crate) rows: Vec<Value>,
    pub(crate) state: State,
}

#[expect(clippy::disallowed_methods, reason = "where the server of the tests is")]
pub(crate) fn url() -> String {
    std::env::var("LOCKGATE_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "LOCKGATE_TEST_POSTGRES is not set: run the tests with scripts/with-test-services, or `make \
             test`"
        )
    })
}

/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, in its parts.
fn parts(url: &str) -> Option<[&str; 5]> {
    let (user, rest) = url.split_once("://")?.1.split_once(':')?;
    let (password, rest) = rest.rsplit_once('@')?;
    let (place, database) = rest.split_once('/')?;
    let (host, port) = place.rsplit_once(':')?;
    Some([user, password, host, port, database])
}

impl Scene {
    /// An empty schema in which some SQL was run.
    pub(crate) fn new(sql: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("test_source_{}_{count}", std::process::id());
        let scene = Self { url: url(), schema, config: json!({}) };
        scene.lines(&format!("DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}", scene.schema));
        scene.run(sql);
        scene.settle();
        scene
    }

    /// Waits until every transaction has ended that was open when the rows were written, whosever it
    /// was: a full refresh that goes on reads again what such a one could have changed.
    fn settle(&self) {
        let written = self.run("SELECT txid_current()").concat();
        let ended =
            format!("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > {written}");
        let start = std::time::Instant::now();
        while self.run(&ended).concat() != "t" && start.elapsed().as_secs() < 120 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// The lines that SQL gives.
    pub(crate) fn lines(&self, sql: &str) -> Vec<String> {
        self.lines_in(parts(&self.url).expect("a URL")[4], &[sql])
    }

    /// The same in another database, each a transaction.
    pub(crate) fn lines_in(&self, database: &str, each: &[&str]) -> Vec<String> {
        let end = self.url.rfind('/').expect("a URL");
        let url = format!("{}/{database}", &self.url[..end]);
        let output = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url])
            .args(each.iter().flat_map(|sql| ["-c", sql]))
            .env("PGTZ", "UTC")
            .output()
            .expect("psql is there");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{each:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).lines().map(ToOwned::to_owned).collect()
    }

    /// Runs SQL in the schema.
    pub(crate) fn run(&self, sql: &str) -> Vec<String> {
        let path = format!("SET search_path = {}, public", self.schema);
        self.lines_in(parts(&self.url).expect("a URL")[4], &[&path, sql])
    }

    pub(crate) fn config(&self) -> String {
        let [user, password, host, port, database] = parts(&self.url).expect("a URL");
        let port: u16 = port.parse().expect("a port");
        let mut config = json!({
            "host": host, "port": port, "database": database, "username": user,
            "password": password, "sslmode": "disable", "schemas": [self.schema],
        });
        for (name, value) in self.config.as_object().expect("members") {
            config[name] = value.clone();
        }
        config.to_string()
    }

    /// A table, read in full.
    pub(crate) fn full(&self, table: &str) -> ConfiguredStream {
        ConfiguredStream {
            descriptor: StreamDescriptor::in_namespace(&*self.schema, table),
            ..testing::stream(table)
        }
    }

    /// A table, read in the order of a cursor.
    pub(crate) fn incremental(&self, table: &str, cursor: &str) -> ConfiguredStream {
        ConfiguredStream {
            sync_mode: SyncMode::Incremental,
            cursor_field: vec![cursor.to_owned()],
            ..self.full(table)
        }
    }

    pub(crate) fn try_read(&self, stream: &ConfiguredStream, state: Option<State>) -> SourceRun {
        let catalog = testing::catalog([stream.clone()]);
        testing::read::<Postgres>(&self.config(), &catalog, state.into_iter().collect())
    }

    #[track_caller]
    pub(crate) fn read(&self, stream: &ConfiguredStream, state: Option<State>) -> SourceRun {
        let run = self.try_read(stream, state);
        assert_eq!(run.result, Ok(()));
        run
    }

    #[track_caller]
    pub(crate) fn rows(&self, stream: &ConfiguredStream, state: Option<State>) -> Vec<Value> {
        self.read(stream, state).sink.rows(0)
    }

    /// The discovered streams, by name.
    #[track_caller]
    pub(crate) fn discover(&self) -> BTreeMap<String, Value> {
        let streams = source::discover::<Postgres>(&self.config()).expect("it is discovered");
        let each = |stream: lockgate_sdk::bindings::types::DiscoveredStream| {
            assert_eq!(stream.descriptor.namespace.as_deref(), Some(&*self.schema));
            let told = json!({
                "schema": serde_json::from_str::<Value>(&stream.json_schema).expect("JSON"),
                "incremental": stream.sync_modes.contains(&SyncMode::Incremental),
                "resumable": stream.resumable,
                "key": stream.source_defined_primary_key,
            });
            (stream.descriptor.name, told)
        };
        streams.into_iter().map(each).collect()
    }

    /// What is said against a configuration.
    #[track_caller]
    pub(crate) fn refusal(&self) -> lockgate_sdk::Failure {
        source::check::<Postgres>(&self.config()).expect_err("it should be refused")
    }

    /// A stored state of a table, as text.
    pub(crate) fn state(&self, table: &str, state: &Value) -> State {
        State::Stream(StreamState {
            descriptor: StreamDescriptor::in_namespace(&*self.schema, table),
            state: Some(state.to_string()),
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.lines(&format!("DROP SCHEMA {} CASCADE", self.schema));
        }
    }
}

/// The checkpoints of a run, each with the rows before it.
pub(crate) fn checkpoints(run: &SourceRun) -> Vec<Checkpoint> {
    let mut rows = Vec::new();
    let mut all = Vec::new();
    for emitted in &run.sink.emitted {
        match emitted {
            Emitted::Rows(batch) => {
                let values = serde_json::Deserializer::from_slice(&batch.data).into_iter();
                rows.extend(values.map(|row| row.expect("JSON")));
            }
            Emitted::Checkpoint(_, state) => {
                all.push(Checkpoint { rows: rows.clone(), state: state.clone() });
            }
            _ => {}
        }
    }
    all
}

/// What a state says.
pub(crate) fn said(state: &State) -> Value {
    let State::Stream(StreamState { state: Some(text), .. }) = state else {
        panic!("it is no stream's state: {state:?}");
    };
    serde_json::from_str(text).expect("JSON")
}

/// The integers of a member, in order.
pub(crate) fn numbers(rows: &[Value], member: &str) -> Vec<i64> {
    let mut numbers: Vec<_> =
        rows.iter().map(|row| row[member].as_i64().expect("an integer")).collect();
    numbers.sort_unstable();
    numbers
}
