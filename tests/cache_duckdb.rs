//! Caches in DuckDB files, by the real binary. Needs the feature `duckdb`: `make test-duckdb`.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{Folder, guest};
use lockgate::cache::{DuckdbCache, RecordCache as _};
use serde_json::{Value, json};

const CACHE: &str = "duckdb:cache.duckdb";

const COUNTS: &str = "SELECT count(*) AS n, count(DISTINCT id) AS ids, max(id) AS last FROM users";

/// The command that reads users into the cache.
fn read(folder: &Folder, count: u32) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lockgate"));
    command.current_dir(folder.path()).stdin(Stdio::null());
    command.env("LOCKGATE_CACHE_DIR", common::target().join("test-cache"));
    command.arg("read").arg(guest("source-faker")).args(["--quiet", "--cache", CACHE]);
    command.args(["--streams", "users", "--strategy", "append"]);
    command.args(["--config", &json!({ "count": count }).to_string()]);
    command
}

/// The rows that a query gives.
fn query(folder: &Folder, sql: &str) -> Value {
    let mut command = folder.lockgate();
    command.args(["cache", "query", "--cache", CACHE, "--output", "json", sql]);
    let output = command.assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

#[test]
fn rows_go_through_a_cache_in_duckdb() {
    let folder = Folder::new();
    assert!(read(&folder, 500).status().unwrap().success());
    let counted = query(&folder, COUNTS);
    assert_eq!(counted, json!([{"n": 500, "ids": 500, "last": 500}]));
    let types =
        "SELECT typeof(id) AS i, typeof(created_at) AS t, typeof(address) AS a FROM users LIMIT 1";
    let expected = json!([{"i": "BIGINT", "t": "TIMESTAMP WITH TIME ZONE", "a": "JSON"}]);
    assert_eq!(query(&folder, types), expected);
    // A source of another configuration has a table of its own; rows are sent on from there.
    std::fs::create_dir(folder.path().join("out")).unwrap();
    for (count, from) in [(600, None), (600, Some("--from-cache"))] {
        let mut sync = folder.lockgate();
        sync.args(["sync", "--quiet", "--connection", "c", "--cache", CACHE, "--streams", "users"]);
        sync.args(["--strategy", "append", "--source"]).arg(guest("source-faker"));
        sync.args(["--source-config", &json!({ "count": count }).to_string()]);
        sync.arg("--destination").arg(guest("destination-jsonl"));
        sync.args(["--destination-config", r#"{"path":"/out"}"#]);
        sync.args(["--destination-allow-dir", "out::/out"]).args(from).assert().success();
    }
    let sent = std::fs::read_to_string(folder.path().join("out/users.jsonl")).unwrap();
    assert_eq!(sent.lines().count(), 600);
    let mut export = folder.lockgate();
    export.args(["cache", "export", "--cache", CACHE, "users", "--format", "jsonl"]);
    export.args(["--to", "users.jsonl"]).assert().success();
    let exported = std::fs::read_to_string(folder.path().join("users.jsonl")).unwrap();
    assert_eq!(exported.lines().count(), 500);
}

#[test]
fn this_program_runs_in_a_worker_as_well() {
    let folder = Folder::new();
    let mut sync = folder.lockgate();
    sync.args(["sync", "--isolation", "worker", "--state", "none", "--source"]);
    sync.arg(guest("source-faker")).args(["--source-config", r#"{"count":10}"#]);
    sync.arg("--destination").arg(guest("destination-dev-null")).assert().success();
}

#[test]
fn a_second_process_is_told_who_has_it_open() {
    let folder = Folder::new();
    let cache = DuckdbCache::open(&folder.path().join("cache.duckdb")).unwrap();
    assert!(cache.streams(None).unwrap().is_empty());
    let mut tables = folder.lockgate();
    let refused = tables.args(["cache", "tables", "--cache", CACHE]).assert().code(1);
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(said.contains("error[CACHE_IN_USE]"), "{said}");
    assert!(said.contains(&format!("PID {}", std::process::id())), "{said}");
    drop(cache);
    folder.lockgate().args(["cache", "tables", "--cache", CACHE]).assert().success();
}

#[test]
fn rows_and_states_agree_after_a_kill() {
    const USERS: u32 = 80_000;
    let folder = Folder::new();
    let mut killed = 0;
    // Rows are committed every other second.
    for wait in [150, 700, 2300, 2700, 400, 3100] {
        let mut child = read(&folder, USERS).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        // Whatever is there is there with its state, once.
        let cache = DuckdbCache::open(&folder.path().join("cache.duckdb")).unwrap();
        for stream in cache.streams(None).unwrap() {
            let states = cache.checkpoints(&stream.source, 0, usize::MAX).unwrap();
            let last = states.last().map_or(0, |state| state.positions[0].1.row);
            assert_eq!((stream.rows, stream.position.row), (last, last));
        }
    }
    assert!(killed > 0, "nothing was killed");
    assert!(read(&folder, USERS).status().unwrap().success());
    let counted = query(&folder, COUNTS);
    assert_eq!(counted, json!([{"n": USERS, "ids": USERS, "last": USERS}]));
}
