//! destination-file by the executable: files that readers nobody here wrote can open, with the types of
//! the schema; and what is there after it was killed.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
mod peers;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Folder, fixture, guest, target};
use serde_json::{Value, json};

fn sync(folder: &Folder, count: u64, config: &Value, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    command.current_dir(folder.path());
    command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
    command.args(["sync", "--quiet", "--source"]).arg(guest("source-faker"));
    command.args(["--source-config", &json!({"count": count, "seed": 7}).to_string()]);
    command.arg("--destination").arg(guest("destination-file"));
    command.args(["--destination-config", &config.to_string()]);
    command.args(["--destination-allow-dir", "out::/out", "--state", "sqlite:state.db"]);
    command.args(more);
    command
}

fn run(mut command: Command) {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn scratch() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("out")).expect("a folder");
    folder
}

/// The names in a folder, hidden ones as well.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

fn rows(folder: &Path) -> Vec<Value> {
    let mut rows = Vec::new();
    for name in names(folder) {
        let text = std::fs::read_to_string(folder.join(name)).expect("text");
        rows.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
    }
    rows
}

/// A value as the readers' script writes it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[test]
fn parquet_opens_in_duckdb_and_pyarrow() {
    let (lines, columns) = (scratch(), scratch());
    run(sync(&lines, 500, &json!({"path": "/out"}), &["--streams", "users"]));
    run(sync(
        &columns,
        500,
        &json!({"path": "/out", "format": "parquet", "file_bytes": 65536}),
        &["--streams", "users"],
    ));
    let output = Command::new(peers::installed("readers", "python"))
        .arg(fixture("peers/readers.py"))
        .arg(columns.path().join("out/users"))
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = rows(&lines.path().join("out/users"));
    assert_eq!(expected.len(), 500);
    let types = |reader: &str, column: &str| read[reader]["types"][column].clone();
    for (column, arrow, sql) in [
        ("id", "int64", "BIGINT"),
        ("name", "string", "VARCHAR"),
        ("created_at", "timestamp[us, tz=UTC]", "TIMESTAMP WITH TIME ZONE"),
        ("_airbyte_extracted_at", "timestamp[us, tz=UTC]", "TIMESTAMP WITH TIME ZONE"),
        ("_airbyte_generation_id", "int64", "BIGINT"),
        ("_airbyte_meta", "string", "VARCHAR"),
    ] {
        assert_eq!(types("pyarrow", column), arrow, "{column}");
        assert_eq!(types("duckdb", column), sql, "{column}");
    }
    for reader in ["pyarrow", "duckdb"] {
        let found = read[reader]["rows"].as_array().expect("rows");
        let by_id: BTreeMap<&str, &Value> =
            found.iter().map(|row| (row["id"].as_str().expect("an id"), row)).collect();
        assert_eq!((found.len(), by_id.len()), (500, 500), "{reader}");
        for row in &expected {
            let id = row["id"].to_string();
            for (column, value) in row.as_object().expect("an object") {
                let is_moment =
                    types("pyarrow", column).as_str().is_some_and(|t| t.starts_with("timestamp"));
                let found = text(&by_id[&*id][column]);
                let wanted = text(value);
                if is_moment {
                    // `2024-01-02T03:04:05Z` is `2024-01-02 03:04:05+00`, with or without zeros.
                    let start = |text: &Option<String>| {
                        text.as_ref()
                            .map(|text| text.replace('T', " ").get(..19).map(str::to_owned))
                    };
                    assert_eq!(start(&found), start(&wanted), "{reader} {column}");
                } else if value.is_number() {
                    let number =
                        |text: &Option<String>| text.as_ref().and_then(|t| t.parse::<f64>().ok());
                    assert_eq!(number(&found), number(&wanted), "{reader} {column}");
                } else if value.is_string() || value.is_null() {
                    assert_eq!(found, wanted, "{reader} {column}");
                }
            }
        }
    }
}

#[test]
fn rows_that_replace_others_are_all_there_or_none() {
    let folder = scratch();
    let config = json!({"path": "/out", "commit_seconds": 0});
    let overwrite = ["--streams", "users", "--strategy", "replace", "--full-refresh"];
    run(sync(&folder, 100, &config, &overwrite));
    let users = folder.path().join("out/users");
    let before = rows(&users);
    assert_eq!(before.len(), 100);
    for millis in [300, 600, 900, 1200] {
        let mut command = sync(&folder, 2_000_000, &config, &overwrite);
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        assert_eq!(rows(&users), before, "killed after {millis} ms");
    }
    run(sync(&folder, 1000, &config, &overwrite));
    assert_eq!(rows(&users).len(), 1000);
    assert_eq!(names(&folder.path().join("out")), ["users"]);
    assert!(names(&users).iter().all(|name| !name.starts_with('.')), "{:?}", names(&users));
}

#[test]
fn a_missing_grant_says_what_to_pass() {
    let folder = Folder::new();
    let output = folder
        .lockgate()
        .arg("check")
        .arg(guest("destination-file"))
        .args(["--config", r#"{"path": "/out"}"#])
        .output()
        .expect("it runs");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("--allow-dir"), "{said}");
}
