//! Two databases of a test's own: one that is read, and one that is written to.

#![allow(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "a module of a test, which ends where something is missing"
)]

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::common::{Folder, guest, target};
use crate::server::Postgres;

const LOCKGATE: &str = env!("CARGO_BIN_EXE_lockgate");

/// Databases that are dropped with it.
pub struct Scene {
    pub folder: Folder,
    pub server: Postgres,
    /// What is read.
    pub from: String,
    /// What is written to.
    pub to: String,
    /// Members of the source's configuration beside those that every one has.
    pub config: Value,
}

/// What came of a run of the component as an executable.
#[derive(Debug)]
pub struct Told {
    pub code: Option<i32>,
    pub messages: Vec<Value>,
    pub errors: String,
}

impl Scene {
    /// Both databases empty but for what some SQL makes in the one that is read.
    pub fn new(sql: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("test_source_{}_{count}_{end}", std::process::id());
        let server = Postgres::of_tests();
        let scene = Self {
            folder: Folder::new(),
            server,
            from: name("a"),
            to: name("b"),
            config: json!({}),
        };
        for database in [&scene.from, &scene.to] {
            scene.server.lines(&format!("CREATE DATABASE {database}"));
        }
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

    /// Runs SQL in the database that is read.
    pub fn run(&self, sql: &str) -> Vec<String> {
        self.server.lines_in(&self.from, sql)
    }

    /// Runs SQL in the database that is written to.
    pub fn written(&self, sql: &str) -> Vec<String> {
        self.server.lines_in(&self.to, sql)
    }

    fn place(&self, database: &str) -> Value {
        json!({
            "host": self.server.host, "port": self.server.port, "database": database,
            "username": self.server.user, "password": self.server.password, "sslmode": "disable",
        })
    }

    pub fn source_config(&self) -> Value {
        let mut config = self.place(&self.from);
        for (name, value) in self.config.as_object().expect("members") {
            config[name] = value.clone();
        }
        config
    }

    pub fn grant(&self) -> String {
        format!("{}:{}", self.server.host, self.server.port)
    }

    /// The source as an executable.
    pub fn exec(&self, operation: &[&str], granted: bool) -> Told {
        self.folder.write("config.json", &self.source_config().to_string());
        let mut command = Command::new(LOCKGATE);
        command.current_dir(self.folder.path());
        command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
        command.arg("exec").arg(guest("source-postgres"));
        if granted {
            command.args(["--allow-net", &self.grant()]);
        }
        command.args(["--config", "config.json"]).args(operation);
        let output = command.output().expect("lockgate runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let messages = text.lines().map(|line| serde_json::from_str(line).expect("a message"));
        Told {
            code: output.status.code(),
            messages: messages.collect(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Reads a stream, from a STATE message on.
    #[track_caller]
    pub fn read(&self, stream: &Value, state: Option<&Value>) -> Vec<Value> {
        self.folder.write("catalog.json", &json!({"streams": [stream]}).to_string());
        let mut operation = vec!["read", "--catalog", "catalog.json"];
        if let Some(state) = state {
            self.folder.write("state.json", &json!([state["state"]]).to_string());
            operation.extend(["--state", "state.json"]);
        }
        let told = self.exec(&operation, true);
        assert_eq!(told.code, Some(0), "{:?}\n{}", told.messages, told.errors);
        told.messages
    }

    /// Writes a project that copies every table; `streams` are options of streams, in TOML.
    pub fn project(&self, strategy: &str, streams: &str) {
        self.folder.write("source.json", &self.source_config().to_string());
        self.folder.write("destination.json", &self.place(&self.to).to_string());
        let text = format!(
            "[sources.shop]\nconnector = {:?}\nconfig-file = \"source.json\"\nallow-net = [{grant:?}]\n\n\
             [destinations.copy]\nconnector = {:?}\nconfig-file = \"destination.json\"\nallow-net = [{grant:?}]\n\n\
             [connections.c]\nsource = \"shop\"\ndestination = \"copy\"\nstrategy = {strategy:?}\n\n{streams}",
            guest("source-postgres"),
            guest("destination-postgres"),
            grant = self.grant(),
        );
        self.folder.write("lockgate.toml", &text);
    }

    /// Syncs the project's one connection, not started.
    pub fn sync_command(&self) -> Command {
        let mut command = Command::new(LOCKGATE);
        command.current_dir(self.folder.path());
        command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
        command.args(["sync", "--quiet"]);
        command
    }

    #[track_caller]
    pub fn sync(&self) {
        let output = self.sync_command().output().expect("lockgate runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}\n{}", String::from_utf8_lossy(&output.stdout));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            for database in [&self.from, &self.to] {
                self.server.lines(&format!("DROP DATABASE {database} WITH (FORCE)"));
            }
        }
    }
}

/// A stream of a configured catalog, of the schema `public`.
pub fn stream(name: &str, cursor: Option<&str>) -> Value {
    json!({
        "stream": {
            "name": name, "namespace": "public", "json_schema": {"type": "object"},
            "supported_sync_modes": ["full_refresh", "incremental"], "is_resumable": true,
        },
        "sync_mode": if cursor.is_some() { "incremental" } else { "full_refresh" },
        "destination_sync_mode": "append",
        "cursor_field": cursor.into_iter().collect::<Vec<_>>(),
        "generation_id": 1, "minimum_generation_id": 0, "sync_id": 1,
    })
}

/// The data of the records.
pub fn records(messages: &[Value]) -> Vec<Value> {
    let records = messages.iter().filter(|message| message["type"] == "RECORD");
    records.map(|message| message["record"]["data"].clone()).collect()
}

/// The integers of a member, in order.
pub fn numbers(rows: &[Value], member: &str) -> Vec<i64> {
    let mut numbers: Vec<_> =
        rows.iter().map(|row| row[member].as_i64().expect("an integer")).collect();
    numbers.sort_unstable();
    numbers
}
