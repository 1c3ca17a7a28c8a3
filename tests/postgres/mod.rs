//! A database of a test's own, and the destination that writes to it.

#![allow(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "a module of a test, which ends where something is missing"
)]

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::common::{Folder, guest, target};
use crate::server::Postgres;

const LOCKGATE: &str = env!("CARGO_BIN_EXE_lockgate");

/// A database that is dropped with it.
pub struct Scene {
    pub folder: Folder,
    pub server: Postgres,
    pub database: String,
    /// Members of the configuration beside those that every one has.
    pub config: Value,
    /// Rows of `emitted_at`, one later than the one before.
    clock: AtomicU32,
}

/// What came of a run.
#[derive(Debug)]
pub struct Written {
    pub code: Option<i32>,
    pub messages: Vec<Value>,
    pub errors: String,
}

/// A stream of a configured catalog.
pub fn stream(name: &str, properties: &Value) -> Value {
    json!({
        "stream": {
            "name": name, "json_schema": {"type": "object", "properties": properties},
            "supported_sync_modes": ["full_refresh", "incremental"],
        },
        "sync_mode": "incremental", "destination_sync_mode": "append",
        "generation_id": 1, "minimum_generation_id": 0, "sync_id": 7,
    })
}

/// With other members.
pub fn with(mut stream: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().expect("members") {
        stream[name] = value.clone();
    }
    stream
}

/// A generation; one that replaces where `minimum` is the same.
pub fn generation(stream: Value, generation: u64, minimum: u64) -> Value {
    with(stream, &json!({"generation_id": generation, "minimum_generation_id": minimum}))
}

/// Merged by a key.
pub fn keyed(stream: Value, key: &Value, cursor: &Value) -> Value {
    let mode = json!({
        "destination_sync_mode": "append_dedup", "primary_key": key, "cursor_field": cursor,
    });
    with(stream, &mode)
}

pub fn in_namespace(mut stream: Value, namespace: &str) -> Value {
    stream["stream"]["namespace"] = namespace.into();
    stream
}

pub fn catalog(streams: &[Value]) -> Value {
    json!({"streams": streams})
}

/// The state of a stream.
pub fn state(stream: &str, state: &Value) -> Value {
    json!({"type": "STATE", "state": {"type": "STREAM", "stream":
        {"stream_descriptor": {"name": stream}, "stream_state": state}}})
}

pub fn status(stream: &str, status: &str) -> Value {
    json!({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1.0, "stream_status":
        {"stream_descriptor": {"name": stream}, "status": status}}})
}

pub fn complete(stream: &str) -> Value {
    status(stream, "COMPLETE")
}

pub fn incomplete(stream: &str) -> Value {
    status(stream, "INCOMPLETE")
}

/// A RECORD line.
pub fn record_line(stream: &str, data: &str, emitted_at: u64) -> String {
    let stream = Value::from(stream);
    format!(
        r#"{{"type":"RECORD","record":{{"stream":{stream},"data":{data},"emitted_at":{emitted_at}}}}}"#
    )
}

impl Scene {
    pub fn new() -> Self {
        Self::on(Postgres::of_tests())
    }

    /// On a server of a test's own.
    pub fn on(server: Postgres) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let database = format!("test_destination_{}_{count}", std::process::id());
        server.lines(&format!("CREATE DATABASE {database}"));
        let clock = AtomicU32::new(1);
        Self { folder: Folder::new(), server, database, config: json!({}), clock }
    }

    pub fn config(&self) -> Value {
        let mut config = json!({
            "host": self.server.host, "port": self.server.port, "database": self.database,
            "username": self.server.user, "password": self.server.password, "sslmode": "disable",
        });
        for (name, value) in self.config.as_object().expect("members") {
            config[name] = value.clone();
        }
        config
    }

    /// Records of a stream, each read a millisecond after the one before.
    pub fn records(&self, stream: &str, rows: &[Value]) -> Vec<String> {
        self.texts(stream, &rows.iter().map(Value::to_string).collect::<Vec<_>>())
    }

    /// As [`Scene::records`], of rows as they are written.
    pub fn texts<T: AsRef<str>>(&self, stream: &str, rows: &[T]) -> Vec<String> {
        let line = |row: &T| {
            let at = u64::from(self.clock.fetch_add(1, Ordering::Relaxed));
            record_line(stream, row.as_ref(), 1_700_000_000_000 + at)
        };
        rows.iter().map(line).collect()
    }

    /// The destination as an executable, not started.
    pub fn command(&self, operation: &[&str]) -> Command {
        let mut command = Command::new(LOCKGATE);
        command.current_dir(self.folder.path());
        command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
        self.folder.write("config.json", &self.config().to_string());
        let component = guest("destination-postgres").display().to_string();
        let grant = format!("{}:{}", self.server.host, self.server.port);
        command.args(["exec", &component, "--allow-net", &grant, "--config", "config.json"]);
        command.args(operation);
        command
    }

    /// Starts a write; its input is open.
    pub fn start(&self, catalog: &Value) -> Child {
        self.folder.write("catalog.json", &catalog.to_string());
        self.command(&["write", "--catalog", "catalog.json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("lockgate runs")
    }

    /// Writes messages, each a line.
    pub fn try_write<T: std::fmt::Display>(&self, catalog: &Value, messages: &[T]) -> Written {
        let mut child = self.start(catalog);
        let mut input = child.stdin.take().expect("a pipe");
        let text: String = messages.iter().map(|message| format!("{message}\n")).collect();
        // A destination that fails early does not read all.
        let feeding = std::thread::spawn(move || drop(input.write_all(text.as_bytes())));
        let output = child.wait_with_output().expect("it ends");
        feeding.join().expect("it was fed");
        Written::of(&output)
    }

    #[track_caller]
    pub fn write<T: std::fmt::Display>(&self, catalog: &Value, messages: &[T]) -> Written {
        let written = self.try_write(catalog, messages);
        assert_eq!(written.code, Some(0), "{:?}\n{}", written.messages, written.errors);
        written
    }

    /// Records of one stream, and that it is complete.
    #[track_caller]
    pub fn write_rows(&self, stream: &Value, rows: &[Value]) -> Written {
        let name = stream["stream"]["name"].as_str().expect("a name");
        let mut messages = self.records(name, rows);
        messages.push(state(name, &json!({"at": rows.len()})).to_string());
        messages.push(complete(name).to_string());
        self.write(&catalog(std::slice::from_ref(stream)), &messages)
    }

    /// Runs SQL and gives its lines.
    pub fn lines(&self, sql: &str) -> Vec<String> {
        self.server.lines_in(&self.database, sql)
    }

    /// What a query gives, as JSON objects.
    pub fn query(&self, sql: &str) -> Vec<Value> {
        let text = self.lines(&format!("SELECT coalesce(json_agg(q), '[]') FROM ({sql}) AS q"));
        serde_json::from_str(&text.concat()).expect("JSON")
    }

    /// One column of a table, as texts, in order.
    pub fn texts_of(&self, expression: &str, table: &str) -> Vec<String> {
        self.lines(&format!("SELECT {expression} FROM {table} ORDER BY 1"))
    }

    /// Columns and their types, Airbyte's left out.
    pub fn columns(&self, table: &str) -> Vec<(String, String)> {
        let sql = format!(
            "SELECT attname || E'\\t' || format_type(atttypid, atttypmod) FROM pg_attribute \
             WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped \
             AND NOT starts_with(attname, '_airbyte_') ORDER BY attnum"
        );
        let split = |line: String| {
            let (name, kind) = line.split_once('\t').expect("two fields");
            (name.to_owned(), kind.to_owned())
        };
        self.lines(&sql).into_iter().map(split).collect()
    }

    /// The tables where rows wait for their place.
    pub fn partial_tables(&self) -> Vec<String> {
        self.lines(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('_lockgate') \
             AND relkind = 'r' AND relname <> 'streams' ORDER BY 1",
        )
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.lines(&format!("DROP DATABASE {} WITH (FORCE)", self.database));
        }
    }
}

impl Written {
    pub fn of(output: &std::process::Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let messages = text.lines().map(|line| serde_json::from_str(line).expect("a message"));
        Self {
            code: output.status.code(),
            messages: messages.collect(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The states that were confirmed.
    pub fn states(&self) -> Vec<&Value> {
        let states = self.messages.iter().filter(|message| message["type"] == "STATE");
        states.map(|message| &message["state"]).collect()
    }

    /// The failure's text and type.
    #[track_caller]
    pub fn failure(&self) -> (String, String) {
        assert_ne!(self.code, Some(0), "it should have failed");
        let error = self.messages.iter().find(|message| message["trace"]["type"] == "ERROR");
        let error = &error.expect("a failure is told")["trace"]["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (text("message"), text("failure_type"))
    }
}
