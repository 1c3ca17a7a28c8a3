//! A destination nobody can make a component of: Java in a container, on a real engine, with files
//! and with PostgreSQL behind JDBC. What arrives is compared with what a component wrote of the same
//! source; then the container is killed, starved, cut off, and orphaned.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
#[path = "common/docker.rs"]
mod docker;
#[path = "peers/services.rs"]
mod services;

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Folder, guest};
use docker::engine;
use serde_json::{Value, json};
use services::{Containers, Postgres, engine_must_be_clean};

const IMAGE: &str = "docker:lockgate-test/destination-java-jsonl:1";
/// Users and about as many purchases, and 100 products: 200,100 records.
const COUNT: u64 = 100_000;
const STREAMS: [&str; 3] = ["products", "users", "purchases"];
/// How long anything here may take before it hangs.
const PATIENCE: Duration = Duration::from_secs(240);

/// A sync of source-faker into the Java destination.
struct Scene {
    folder: Folder,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        let local = folder.path().join("local");
        std::fs::create_dir(&local).expect("a folder");
        // The image's user is not this one.
        std::fs::set_permissions(&local, std::fs::Permissions::from_mode(0o777)).expect("rights");
        Self { folder }
    }

    fn arguments(&self, count: u64, config: &Value, more: &[&str]) -> Vec<String> {
        let faker = guest("source-faker").display().to_string();
        let source = json!({"count": count, "records_per_checkpoint": 5000}).to_string();
        let config = config.to_string();
        let words = [
            "sync",
            "--source",
            &faker,
            "--source-config",
            &source,
            "--destination",
            IMAGE,
            "--destination-config",
            &config,
            "--strategy",
            "append",
            "--connection",
            "java",
            "--output",
            "json",
        ];
        let words = words.into_iter().chain(more.iter().copied());
        words.map(ToOwned::to_owned).collect()
    }

    /// Runs it: exit code, and the report or the error.
    fn sync(&self, count: u64, config: &Value, more: &[&str]) -> (i32, Value) {
        let mut command = self.folder.lockgate();
        command.env("DOCKER_HOST", engine()).timeout(PATIENCE);
        let output = command.args(self.arguments(count, config, more)).output().expect("it runs");
        let text = if output.status.success() { &output.stdout } else { &output.stderr };
        let value = String::from_utf8_lossy(text)
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str::<Value>(line).ok())
            .or_else(|| serde_json::from_slice(text).ok());
        let value = value.unwrap_or_else(|| panic!("neither a report nor an error: {output:?}"));
        (output.status.code().unwrap_or(-1), value)
    }

    /// Starts it, to be disturbed.
    fn start(&self, count: u64, config: &Value, more: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_lockgate"))
            .args(self.arguments(count, config, more))
            .current_dir(self.folder.path())
            .env("DOCKER_HOST", engine())
            .env("LOCKGATE_CACHE_DIR", common::target().join("test-cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    }

    fn local(&self) -> String {
        self.folder.path().join("local").display().to_string()
    }

    /// What a component wrote of the same source, by stream.
    fn expected(&self, count: u64) -> BTreeMap<&'static str, Vec<String>> {
        let folder = Folder::new();
        std::fs::create_dir(folder.path().join("out")).expect("a folder");
        let faker = guest("source-faker").display().to_string();
        let files = guest("destination-jsonl").display().to_string();
        let source = json!({"count": count, "records_per_checkpoint": 5000}).to_string();
        let mut command = folder.lockgate();
        command.args(["sync", "--source", &faker, "--source-config", &source]);
        command.args(["--destination", &files, "--destination-config", r#"{"path":"/out"}"#]);
        command.args(["--destination-allow-dir", "out::/out", "--strategy", "append"]);
        command.assert().success();
        let lines = |stream: &str| {
            folder.read(&format!("out/{stream}.jsonl")).lines().map(ToOwned::to_owned).collect()
        };
        STREAMS.iter().map(|stream| (*stream, lines(stream))).collect()
    }

    fn written(&self, stream: &str) -> Vec<String> {
        let text = self.folder.read(&format!("local/{stream}.jsonl"));
        text.lines().map(ToOwned::to_owned).collect()
    }
}

fn files() -> Value {
    json!({"format": "jsonl", "path": "/local"})
}

fn committed(report: &Value) -> u64 {
    report["records_committed"].as_u64().expect("a number")
}

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come to be");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn two_hundred_thousand_rows_arrive_in_files_and_then_what_is_new() {
    let scene = Scene::new();
    let local = scene.local();
    let mount = ["--destination-docker-local", local.as_str()];
    let (code, report) = scene.sync(COUNT, &files(), &mount);
    assert_eq!((code, report["status"].as_str()), (0, Some("succeeded")), "{report}");
    assert_eq!(committed(&report), 2 * COUNT + 100);
    assert_eq!(report["checkpoints_committed"], report["checkpoints_emitted"]);
    let digest = report["destination"]["digest"].as_str().unwrap_or_default();
    assert!(digest.starts_with("sha256:"), "the image's digest is in the report: {report}");
    let expected = scene.expected(COUNT);
    for (stream, rows) in &expected {
        // Not assert_eq: it would print both.
        assert!(&scene.written(stream) == rows, "the rows of {stream} differ");
    }
    let (_, report) = scene.sync(COUNT + 250, &files(), &mount);
    assert_eq!(committed(&report), 500, "{report}");
    let more = scene.expected(COUNT + 250);
    for (stream, rows) in &more {
        assert!(&scene.written(stream) == rows, "the rows of {stream} differ after the second");
    }
    engine_must_be_clean();
}

#[test]
fn the_same_rows_arrive_in_postgresql() {
    let scene = Scene::new();
    let server = Postgres::of_tests();
    let schema = server.schema();
    let config = json!({
        "format": "postgres", "host": server.host, "port": server.port, "schema": schema,
        "database": server.database, "username": server.user, "password": server.password,
    });
    let grant = format!("{}:{}", server.host, server.port);
    let reach = ["--destination-allow-net", grant.as_str()];
    let (code, report) = scene.sync(COUNT, &config, &reach);
    assert_eq!((code, report["status"].as_str()), (0, Some("succeeded")), "{report}");
    assert_eq!(committed(&report), 2 * COUNT + 100);
    let expected = scene.expected(COUNT);
    let parse = |line: &String| serde_json::from_str::<Value>(line).expect("a row is JSON");
    for (stream, rows) in &expected {
        let table = format!("\"{schema}\".\"{stream}\"");
        let query =
            format!("select _airbyte_data from {table} order by (_airbyte_data->>'id')::bigint");
        let found: Vec<Value> = server.lines(&query).iter().map(parse).collect();
        let rows: Vec<Value> = rows.iter().map(parse).collect();
        assert!(found == rows, "the rows of {stream} differ: {} and {}", found.len(), rows.len());
    }
    let (_, report) = scene.sync(COUNT + 250, &config, &reach);
    assert_eq!(committed(&report), 500, "{report}");
    let count = format!("select count(*) from \"{schema}\".users");
    assert_eq!(server.lines(&count), [(COUNT + 250).to_string()]);
    engine_must_be_clean();
}

#[test]
fn a_server_that_is_not_granted_is_out_of_reach() {
    let scene = Scene::new();
    let server = Postgres::of_tests();
    let config = json!({
        "format": "postgres", "host": server.host, "port": server.port, "schema": "nowhere",
        "database": server.database, "username": server.user, "password": server.password,
    });
    // Nothing granted, and something else granted.
    for grants in [&[][..], &["--destination-allow-net", "db.example:5432"][..]] {
        let (code, error) = scene.sync(10, &config, grants);
        assert_eq!(code, 1, "{error}");
        assert_eq!(error["code"], "CONNECTOR_CONFIG", "{error}");
        assert!(!error.to_string().contains(&server.password), "{error}");
    }
    // What was refused is in the record of the run.
    let mut command = scene.folder.lockgate();
    let output = command.args(["runs", "show", "last"]).output().expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains(&format!("{}:{}", server.host, server.port)), "{shown}");
    engine_must_be_clean();
}

#[test]
fn a_container_that_is_killed_loses_nothing() {
    let scene = Scene::new();
    let local = scene.local();
    let mount = ["--destination-docker-local", local.as_str()];
    let sync = scene.start(COUNT, &files(), &mount);
    let mine = Containers::of(sync.id());
    until("the container's first rows", || scene.written("users").len() > 5000);
    for container in mine.now() {
        // One that has ended by itself cannot be.
        docker::docker(&["kill", &container]);
    }
    let output = sync.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("CONTAINER_GONE") && said.contains("signal 9"), "{said}");
    let (code, report) = scene.sync(COUNT, &files(), &mount);
    assert_eq!(code, 0, "{report}");
    assert!(committed(&report) < 2 * COUNT + 100, "it began again: {report}");
    for (stream, rows) in scene.expected(COUNT) {
        // Rows that were written and not confirmed come again.
        let written: HashSet<String> = scene.written(stream).into_iter().collect();
        assert!(rows.iter().all(|row| written.contains(row)), "rows of {stream} are lost");
        assert_eq!(written.len(), rows.len(), "{stream} has rows that nobody sent");
    }
    engine_must_be_clean();
}

#[test]
fn what_takes_too_much_memory_is_said_to() {
    let scene = Scene::new();
    let local = scene.local();
    let config = json!({
        "format": "jsonl", "path": "/local",
        "test_only": {"eat_memory": true, "after_records": 1000},
    });
    let limit = "container-memory=256MiB";
    let more = ["--destination-docker-local", local.as_str(), "--destination-limit", limit];
    let (code, error) = scene.sync(10_000, &config, &more);
    assert_eq!(code, 1, "{error}");
    let text = error.to_string();
    assert!(text.contains("CONTAINER_OOM"), "{text}");
    assert!(text.contains("256") && text.contains("container-memory"), "{text}");
    engine_must_be_clean();
}

#[test]
fn what_a_killed_host_left_is_swept_by_the_next() {
    let scene = Scene::new();
    let local = scene.local();
    let mount = ["--destination-docker-local", local.as_str()];
    let mut sync = scene.start(COUNT, &files(), &mount);
    let mine = Containers::of(sync.id());
    until("the container's first rows", || scene.written("users").len() > 5000);
    sync.kill().expect("it is killed");
    sync.wait().expect("it is gone");
    assert!(!mine.now().is_empty(), "the engine kept nothing that could be swept");
    let (code, report) = scene.sync(COUNT, &files(), &mount);
    assert_eq!(code, 0, "{report}");
    assert!(mine.now().is_empty(), "what the killed host left is still there");
    for (stream, rows) in scene.expected(COUNT) {
        let written: HashSet<String> = scene.written(stream).into_iter().collect();
        assert!(rows.iter().all(|row| written.contains(row)), "rows of {stream} are lost");
    }
    engine_must_be_clean();
}
