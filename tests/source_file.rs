//! source-file and source-file-http: the components, from files to another connector's files.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "peers/network.rs"]
mod network;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use common::{Folder, guest, target};
use network::Server;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

const LOCKGATE: &str = env!("CARGO_BIN_EXE_lockgate");

/// Syncs the configuration into files in `out`, not started.
fn command(folder: &Folder, source: &str, config: &Value, grants: &[&str]) -> Command {
    folder.write("source.json", &config.to_string());
    std::fs::create_dir_all(folder.path().join("out")).expect("a folder");
    let mut command = Command::new(LOCKGATE);
    command.current_dir(folder.path());
    command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
    command.args(["sync", "--quiet", "--connection", "c", "--source"]).arg(guest(source));
    command.args(["--source-config", "source.json"]).args(grants);
    command.arg("--destination").arg(guest("destination-jsonl"));
    command.args(["--destination-config", r#"{"path":"/out"}"#]);
    command.args(["--destination-allow-dir", "out::/out"]);
    command
}

/// Of files in `in`.
fn sync(folder: &Folder, config: &Value) -> Output {
    let mut command = command(folder, "source-file", config, &["--source-allow-dir", "in::/in:ro"]);
    command.output().expect("lockgate runs")
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn config(streams: &Value) -> Value {
    json!({ "path": "/in", "streams": streams })
}

fn write(folder: &Folder, name: &str, bytes: &[u8]) {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
    std::fs::write(path, bytes).expect("a file");
}

fn append(folder: &Folder, name: &str, text: &str) {
    let path = folder.path().join(name);
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("written");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

/// What is odd in a text of each third row.
fn text(number: i64) -> Option<String> {
    match number % 3 {
        0 => None,
        1 => Some(format!("plain {number}")),
        _ => Some(format!("\"odd\",\n{number} é")),
    }
}

/// Beyond what a double holds.
fn big(number: i64) -> i64 {
    9_007_199_254_740_993 + number
}

fn rows(count: i64) -> Vec<Value> {
    let row = |n| json!({ "id": n, "big": big(n), "even": n % 2 == 0, "text": text(n) });
    (0..count).map(row).collect()
}

fn csv(rows: &[Value]) -> String {
    let mut out = "id,big,even,text\r\n".to_owned();
    for row in rows {
        let text = row["text"].as_str().unwrap_or_default().replace('"', "\"\"");
        out.push_str(&format!("{},{},{},\"{text}\"\r\n", row["id"], row["big"], row["even"]));
    }
    out
}

fn jsonl(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

fn parquet(count: i64) -> Vec<u8> {
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..count))),
        ("big", Arc::new(Int64Array::from_iter_values((0..count).map(big)))),
        ("even", Arc::new(BooleanArray::from_iter((0..count).map(|n| Some(n % 2 == 0))))),
        ("text", Arc::new(StringArray::from_iter((0..count).map(text)))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .expect("a batch");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("a file")
}

#[test]
fn every_format_arrives_value_by_value() {
    let folder = Folder::new();
    let all = rows(5000);
    write(&folder, "in/a/1.csv", csv(&all).as_bytes());
    write(&folder, "in/b/1.jsonl.gz", &gzip(jsonl(&all[..3000]).as_bytes()));
    write(&folder, "in/b/2.jsonl", jsonl(&all[3000..]).as_bytes());
    write(&folder, "in/c.parquet", &parquet(5000));
    let config = config(&json!([
        { "name": "csv", "format": "csv", "files": ["a/*.csv"] },
        { "name": "jsonl", "format": "jsonl", "files": ["b/*.{jsonl,jsonl.gz}"] },
        { "name": "parquet", "format": "parquet", "files": ["**/*.parquet"] },
    ]));
    succeeds(&sync(&folder, &config));
    for stream in ["csv", "jsonl", "parquet"] {
        assert_eq!(folder.rows(&format!("out/{stream}.jsonl")), all, "{stream}");
    }
}

#[test]
fn an_appended_row_and_a_new_file_come_and_nothing_else() {
    let folder = Folder::new();
    let config = config(&json!([
        { "name": "csv", "format": "csv", "files": ["*.csv"] },
        { "name": "jsonl", "format": "jsonl", "files": ["*.jsonl"] },
    ]));
    write(&folder, "in/a.csv", b"n,t\n1,a\n2,b\n");
    write(&folder, "in/a.jsonl", b"{\"n\":1}\n{\"n\":2}\n");
    let numbers = |name: &str| -> Vec<i64> {
        let rows = folder.rows(&format!("out/{name}.jsonl"));
        rows.iter().map(|row| row["n"].as_i64().expect("a number")).collect()
    };
    for expected in [vec![1, 2], vec![1, 2]] {
        succeeds(&sync(&folder, &config));
        assert_eq!((numbers("csv"), numbers("jsonl")), (expected.clone(), expected));
    }
    append(&folder, "in/a.csv", "3,c\n");
    append(&folder, "in/a.jsonl", "{\"n\":3}\n");
    write(&folder, "in/b.csv", b"n,t\n4,d\n");
    write(&folder, "in/b.jsonl", b"{\"n\":4}\n");
    succeeds(&sync(&folder, &config));
    assert_eq!((numbers("csv"), numbers("jsonl")), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
}

#[test]
fn a_sync_that_is_killed_and_run_again_has_every_row() {
    let folder = Folder::new();
    let all = rows(60_000);
    write(&folder, "in/1.csv.gz", &gzip(csv(&all).as_bytes()));
    let mut config = config(&json!([{ "name": "rows", "format": "csv", "files": ["*.csv.gz"] }]));
    config["checkpoint_mib"] = json!(1);
    for turn in 0..4_u64 {
        let mut child =
            command(&folder, "source-file", &config, &["--source-allow-dir", "in::/in:ro"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("lockgate runs");
        std::thread::sleep(Duration::from_millis(200 + 200 * turn));
        let _ = child.kill();
        child.wait().expect("it ends");
    }
    succeeds(&sync(&folder, &config));
    // What was written behind the last confirmed state may be there twice, as it is.
    let mut came = folder.rows("out/rows.jsonl");
    came.sort_by_key(|row| row["id"].as_i64());
    came.dedup();
    assert_eq!(came, all);
}

#[test]
fn a_missing_grant_is_told_by_what_gives_it() {
    let folder = Folder::new();
    let config = config(&json!([{ "name": "rows", "format": "csv", "files": ["*.csv"] }]));
    let mut without = command(&folder, "source-file", &config, &[]);
    let output = without.output().expect("lockgate runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("source-allow-dir") && told.contains("::/in"), "{told}");
    // The connector says so itself where nothing is asked of its needs.
    let mut blind = command(&folder, "source-file", &config, &["--source-allow-missing-needs"]);
    let output = blind.output().expect("lockgate runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("directory /in is not granted"), "{told}");
    // A link that leads out is none of the directory's files.
    write(&folder, "secret.csv", b"a\n1\n");
    std::fs::create_dir_all(folder.path().join("in")).expect("a folder");
    std::os::unix::fs::symlink("../secret.csv", folder.path().join("in/a.csv")).expect("a link");
    let output = sync(&folder, &config);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("a.csv may not be read: it leads out"), "{told}");
}

/// A server of one file, which answers with parts of it.
fn server(content: &'static str) -> Server {
    Server::http(move |head| {
        let head = head.to_lowercase();
        let start = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
        let (start, end) = match start.and_then(|range| range.split_once('-')) {
            Some((start, end)) => {
                let end = end.trim().parse().map_or(content.len(), |end: usize| end + 1);
                (start.parse().expect("a number"), end.min(content.len()))
            }
            None => (0, content.len()),
        };
        let part = &content[start..end];
        let (code, range) = match part.len() < content.len() {
            true => {
                (206, format!("content-range: bytes {start}-{}/{}\r\n", end - 1, content.len()))
            }
            false => (200, String::new()),
        };
        let body = if head.starts_with("head") { "" } else { part };
        format!(
            "HTTP/1.1 {code} x\r\ncontent-length: {}\r\naccept-ranges: bytes\r\netag: \"1\"\r\n\
             connection: close\r\n{range}\r\n{body}",
            part.len()
        )
    })
}

#[test]
fn a_file_on_a_server_arrives() {
    let folder = Folder::new();
    let server = server("id,name\n1,Ann\n2,Bob\n");
    let host = format!("127.0.0.1:{}", server.port);
    let url = format!("http://{host}/people.csv?signature=t0ps3cret");
    let config = json!({
        "hosts": [host], "streams": [{ "name": "people", "format": "csv", "urls": [url] }],
    });
    let mut without = command(&folder, "source-file-http", &config, &[]);
    let output = without.output().expect("lockgate runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains(&format!("allow-net {host}")), "{told}");
    for _ in 0..2 {
        let grants = ["--source-allow-net", &host];
        let mut granted = command(&folder, "source-file-http", &config, &grants);
        succeeds(&granted.output().expect("lockgate runs"));
        let people = [json!({ "id": 1, "name": "Ann" }), json!({ "id": 2, "name": "Bob" })];
        assert_eq!(folder.rows("out/people.jsonl"), people);
    }
    let show = folder.lockgate().args(["state", "show", "c"]).output().expect("lockgate runs");
    let states = String::from_utf8_lossy(&show.stdout);
    assert!(states.contains("/people.csv?") && !states.contains("t0ps3cret"), "{states}");
}

#[test]
fn both_keep_the_rules() {
    let folder = Folder::new();
    write(&folder, "in/1.csv", b"id,at\n1,2024-01-02 03:04:05\n2,2024-01-03 00:00:00\n");
    write(&folder, "in/2.csv", b"id,at\n3,2024-01-04 03:04:05\n");
    write(&folder, "in/1.jsonl", jsonl(&rows(100)).as_bytes());
    write(&folder, "in/1.parquet", &parquet(100));
    let files = config(&json!([
        { "name": "csv", "format": "csv", "files": ["*.csv"], "primary_key": ["id"] },
        { "name": "jsonl", "format": "jsonl", "files": ["*.jsonl"] },
        { "name": "parquet", "format": "parquet", "files": ["*.parquet"] },
    ]));
    let server = server("id,name\n1,Ann\n2,Bob\n");
    let host = format!("127.0.0.1:{}", server.port);
    let urls = json!({ "hosts": [host], "streams": [
        { "name": "people", "format": "csv", "urls": [format!("http://{host}/people.csv")] },
    ] });
    for (component, config, grant) in [
        ("source-file", files, ["--allow-dir", "in::/in:ro"]),
        ("source-file-http", urls, ["--allow-net", &host]),
    ] {
        folder.write("validate.json", &config.to_string());
        let mut command = folder.lockgate();
        command.args(["validate", "--quiet"]).arg(guest(component));
        command.args(["--config", "validate.json"]).args(grant);
        let output = command.timeout(Duration::from_secs(300)).output().expect("lockgate runs");
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
        assert!(!report.contains("FAILED"), "{report}");
    }
}
