//! `lockgate cache` by the real binary, on caches that the library filled; and a cache whose writer is
//! killed.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use common::Folder;
use lockgate::cache::{RecordCache, SqliteCache, open_cache};
use lockgate::protocol::{Catalog, EmittedAt, Json, Rows, StateMessage, StreamDescriptor};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

fn catalog(name: &str) -> Catalog {
    Catalog::from_airbyte(&format!(
        r#"{{"streams":[{{"stream":{{"name":"{name}","json_schema":{{"properties":{{
            "id":{{"type":"integer"}},"name":{{"type":"string"}},"score":{{"type":"number"}}}}}}}},
            "sync_mode":"incremental","destination_sync_mode":"append"}}]}}"#
    ))
    .unwrap()
}

fn rows(lines: &[String]) -> Rows {
    Rows {
        stream: 0,
        count: u32::try_from(lines.len()).unwrap(),
        data: lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect(),
        emitted_at: EmittedAt::All(1_700_000_000_123),
        meta: Vec::new(),
        parsed: true,
    }
}

fn state(stream: &str, at: u64) -> StateMessage {
    let at = Json::parse(format!(r#"{{"at":{at}}}"#)).unwrap();
    StateMessage::stream(StreamDescriptor::new(stream), Some(&at))
}

/// A project with a cache in which are two sources.
fn scene() -> Folder {
    let folder = Folder::new();
    let cache = open_cache("default", folder.path()).unwrap().unwrap();
    let lines = [
        r#"{"id":1,"name":"Ada","score":1.50}"#,
        r#"{"id":2,"name":"Größe, \"x\"","score":12345678901234567890.5}"#,
        r#"{"id":9223372036854775807}"#,
    ];
    for (source, stream) in [("shop", "users"), ("office", "users"), ("shop", "orders")] {
        let mut writer = cache.fill(source, source, &catalog(stream)).unwrap();
        writer.rows(&rows(&lines.map(str::to_owned))).unwrap();
        writer.checkpoint(&state(stream, 3)).unwrap();
        writer.complete(0).unwrap();
        writer.end().unwrap();
    }
    folder
}

struct Answer {
    code: i32,
    out: String,
    error: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// The error that was printed with `--output json`.
    fn fault(&self) -> Value {
        serde_json::from_str(&self.error).unwrap()
    }
}

fn run(folder: &Folder, arguments: &[&str]) -> Answer {
    let output = folder.lockgate().arg("cache").args(arguments).output().unwrap();
    Answer {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn caches_and_tables_are_listed() {
    let folder = scene();
    let listed = run(&folder, &["list", "--output", "json"]).json();
    assert_eq!(listed[0]["cache"], "default");
    assert!(listed[0]["bytes"].as_u64().unwrap() > 10_000);
    assert!(run(&folder, &["list"]).out.contains("default.db"));
    let tables = run(&folder, &["tables", "--output", "json"]).json();
    assert_eq!(tables.as_array().unwrap().len(), 3);
    let names: std::collections::BTreeSet<&str> =
        tables.as_array().unwrap().iter().map(|t| t["table"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3);
    assert!(names.contains("users") && names.contains("orders"));
    assert_eq!((&tables[0]["rows"], &tables[0]["source"]), (&json!(3), &json!("office")));
    let shown = run(&folder, &["tables"]).out;
    assert!(shown.contains("shop") && shown.contains("orders"), "{shown}");
    let empty = Folder::new();
    let none = run(&empty, &["tables", "--output", "json"]);
    assert_eq!(none.code, 2);
    assert!(none.fault()["message"].as_str().unwrap().contains("there is no cache default"));
    // Looking for a cache makes none.
    assert!(!empty.path().join(".lockgate/cache").exists());
    assert_eq!(run(&empty, &["list", "--output", "json"]).json(), json!([]));
}

#[test]
fn queries_read_and_nothing_else() {
    let folder = scene();
    let sql = "SELECT id, name, score FROM orders ORDER BY id";
    let answer = run(&folder, &["query", sql, "--output", "json"]);
    assert_eq!(
        answer.json(),
        json!([
            { "id": 1, "name": "Ada", "score": 1.5 },
            { "id": 2, "name": "Größe, \"x\"", "score": "12345678901234567890.5" },
            { "id": "9223372036854775807", "name": null, "score": null },
        ])
    );
    let csv = run(&folder, &["query", sql, "--format", "csv"]);
    assert_eq!(
        csv.out,
        "id,name,score\n1,Ada,1.5\n2,\"Größe, \"\"x\"\"\",12345678901234567890.5\n9223372036854775807,,\n"
    );
    let table = run(&folder, &["query", sql, "--limit", "1"]);
    assert!(table.out.contains("Ada") && !table.out.contains("Gr"), "{}", table.out);
    assert!(table.error.contains("more than 1 rows"), "{}", table.error);
    let wrong = run(&folder, &["query", "DELETE FROM orders", "--output", "json"]);
    assert_eq!((wrong.code, &wrong.fault()["code"]), (2, &json!("CACHE_QUERY")));
    let count = run(&folder, &["query", "SELECT count(*) AS n FROM orders", "--output", "json"]);
    assert_eq!(count.json(), json!([{ "n": 3 }]));
}

#[test]
fn exports_are_files_that_others_read() {
    let folder = scene();
    let export = |what: &str, format: &str| {
        let to = folder.path().join(format!("out.{format}"));
        let path = to.to_str().unwrap();
        let arguments = ["export", what, "--format", format, "--to", path, "--output", "json"];
        let answer = run(&folder, &arguments);
        assert_eq!(answer.code, 0, "{}", answer.error);
        assert_eq!(answer.json()["rows"], 3);
        to
    };
    let lines = std::fs::read_to_string(export("orders", "jsonl")).unwrap();
    assert!(lines.starts_with("{\"id\":1,\"name\":\"Ada\",\"score\":1.50}\n"), "{lines}");
    assert!(std::fs::read_to_string(export("orders", "csv")).unwrap().contains("Ada"));
    let parquet = std::fs::File::open(export("orders", "parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    let ids = batches[0].column_by_name("id").unwrap().as_primitive::<Int64Type>();
    assert_eq!(ids.values(), &[1, 2, i64::MAX]);
    let scores = batches[0].column_by_name("score").unwrap().as_string::<i32>();
    assert_eq!((scores.value(0), scores.value(1)), ("1.50", "12345678901234567890.5"));
    assert!(export("orders", "arrow").metadata().unwrap().len() > 100);
    // A name that two sources have is not guessed about: `users` is a table, and is meant.
    export("users", "jsonl");
    let unknown = ["export", "none", "--format", "csv", "--to", "x", "--output", "json"];
    let unknown = run(&folder, &unknown);
    assert_eq!((unknown.code, &unknown.fault()["code"]), (2, &json!("CACHE_UNKNOWN")));
    assert!(!folder.path().join("x").exists());
}

#[test]
fn what_is_removed_is_gone_and_the_rest_stays() {
    let folder = scene();
    let count = || {
        let tables = run(&folder, &["tables", "--output", "json"]).json();
        tables.as_array().unwrap().len()
    };
    assert_eq!(run(&folder, &["remove"]).code, 2);
    assert_eq!(run(&folder, &["remove", "--source", "nobody"]).code, 2);
    assert_eq!(count(), 3);
    let one = ["remove", "--source", "shop", "--stream", "users", "--output", "json"];
    assert_eq!(run(&folder, &one).json(), json!({ "removed": 1 }));
    assert_eq!(count(), 2);
    assert_eq!(run(&folder, &["remove", "--source", "shop"]).code, 0);
    assert_eq!(count(), 1);
    // A sync that fills it is not disturbed.
    let cache = open_cache("default", folder.path()).unwrap().unwrap();
    let writer = cache.fill("office", "office", &catalog("users")).unwrap();
    let busy = run(&folder, &["remove", "--all", "--output", "json"]);
    assert_eq!((busy.code, &busy.fault()["code"]), (1, &json!("CACHE_BUSY")));
    drop(writer);
    assert_eq!(run(&folder, &["remove", "--all"]).code, 0);
    assert_eq!(count(), 0);
}

#[test]
fn places_are_caches_too() {
    let folder = scene();
    let path = folder.path().join(".lockgate/cache/default.db");
    let place = format!("sqlite:{}", path.display());
    let there = run(&folder, &["tables", "--cache", &place, "--output", "json"]);
    assert_eq!(there.json().as_array().unwrap().len(), 3);
    for (choice, code) in [("../x", "CACHE_CHOICE"), ("duckdb:x", "CACHE_NOT_BUILT")] {
        let wrong = run(&folder, &["tables", "--cache", choice, "--output", "json"]);
        assert_eq!((wrong.code, &wrong.fault()["code"]), (2, &json!(code)));
    }
    let secret = "postgres://me:hunter2@127.0.0.1:1/db";
    let wrong = run(&folder, &["tables", "--cache", secret, "--output", "json"]);
    assert_eq!((wrong.code, &wrong.fault()["code"]), (1, &json!("CACHE")));
    assert!(!wrong.error.contains("hunter2"), "{}", wrong.error);
}

const FILL: &str = "LOCKGATE_TEST_FILL";

/// Not a test: what the next one kills.
#[test]
#[ignore = "runs until it is killed"]
#[expect(clippy::disallowed_methods, reason = "its parent says what to fill")]
fn fills_for_ever() {
    let Ok(path) = std::env::var(FILL) else { return };
    let cache = SqliteCache::open(Path::new(&path)).unwrap();
    let mut writer = cache.fill("s", "s", &catalog("users")).unwrap();
    let from = cache.streams(None).unwrap()[0].position.row;
    for batch in 0.. {
        let lines: Vec<String> =
            (1..=500).map(|i| format!(r#"{{"id":{}}}"#, from + batch * 500 + i)).collect();
        writer.rows(&rows(&lines)).unwrap();
        writer.checkpoint(&state("users", from + (batch + 1) * 500)).unwrap();
        if batch % 3 == 0 {
            writer.commit().unwrap();
        }
    }
}

#[test]
fn killed_at_any_moment_rows_and_states_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.db");
    let mut before = 0;
    for round in 0..8_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fills_for_ever", "--ignored"])
            .env(FILL, &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Until it has committed something, and a moment longer, each time another.
        let rows_there = || {
            let cache = SqliteCache::open(&path).ok()?;
            Some(cache.streams(None).ok()?.first()?.rows)
        };
        while rows_there().unwrap_or(0) <= before {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::thread::sleep(std::time::Duration::from_millis(round * 7 % 30));
        child.kill().unwrap();
        child.wait().unwrap();
        let cache: Arc<dyn RecordCache> = Arc::new(SqliteCache::open(&path).unwrap());
        let stream = cache.streams(None).unwrap().remove(0);
        let counted = cache.query("SELECT count(*), max(id), count(DISTINCT id) FROM users", 1);
        let counted = counted.unwrap().rows.remove(0);
        assert_eq!(counted, [json!(stream.rows), json!(stream.rows), json!(stream.rows)]);
        assert_eq!(stream.position.row, stream.rows);
        let states = cache.states("s").unwrap();
        let at = format!(r#"{{"at":{}}}"#, stream.rows);
        assert_eq!(states[0].state.parts()[0].state.as_ref().unwrap().get(), at);
        let last = cache.checkpoints("s", 0, usize::MAX).unwrap().pop().unwrap();
        assert_eq!(last.positions[0].1, stream.position);
        before = stream.rows;
    }
}
