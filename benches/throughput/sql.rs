//! Rows of a file into PostgreSQL, and into the cache: Lockgate beside what others load files with.
//!
//! The same million rows of 170 bytes, as JSON lines for Lockgate's source and as CSV for the others:
//! CSV is what they are quickest with. Whole commands are measured where there is a command; of Python
//! the load alone, without imports.

#![expect(clippy::print_stderr, reason = "a benchmark prints")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure::{Table, guest, lockgate, median, per_second, target};

pub(crate) const COLUMNS: &str = "id bigint, name text, email text, created_at timestamptz, score numeric, active boolean, note text";

/// The rows, in every form that is read here.
pub(crate) struct Rows {
    pub(crate) count: u64,
    lines: PathBuf,
    pub(crate) csv: PathBuf,
}

pub(crate) fn folder() -> PathBuf {
    let folder = target().join("bench/sql");
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

impl Rows {
    pub(crate) fn make(count: u64, name: &str) -> Self {
        let folder = folder();
        let (lines, csv) =
            (folder.join(format!("{name}.jsonl")), folder.join(format!("{name}.csv")));
        let mut json = BufWriter::new(File::create(&lines).expect("a file"));
        let mut text = BufWriter::new(File::create(&csv).expect("a file"));
        writeln!(text, "id,name,email,created_at,score,active,note").expect("room");
        let (mut row, mut record) = (String::new(), String::new());
        for id in 0..count {
            let (cents, active) = (id * 7919 % 100_000, id % 3 == 0);
            let score = format!("{}.{:02}", cents / 100, cents % 100);
            let second = id % 86_400;
            let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
            let at = format!("2024-04-{:02}T{h:02}:{m:02}:{s:02}+00:00", 1 + id % 28);
            record.clear();
            write!(record, r#"{{"id":{id},"name":"Name {id}","email":"user{id}@example.com","created_at":"{at}","score":{score},"active":{active},"note":"the quick brown fox"}}"#)
                .expect("a text");
            writeln!(json, "{record}").expect("room");
            row.clear();
            write!(
                row,
                "{id},Name {id},user{id}@example.com,{at},{score},{active},the quick brown fox"
            )
            .expect("a text");
            writeln!(text, "{row}").expect("room");
        }
        json.flush().expect("room");
        text.flush().expect("room");
        Self { count, lines, csv }
    }

    /// The configuration of the source, and the grant it needs.
    fn source(&self) -> Vec<String> {
        let config = serde_json::json!({
            "directory": "/in",
            "file": self.lines.file_name().expect("a name").to_string_lossy(),
            "primary_key": "id",
            "json_schema": { "type": "object", "properties": {
                "id": { "type": "integer" },
                "name": { "type": "string" },
                "email": { "type": "string" },
                "created_at": { "type": "string", "format": "date-time" },
                "score": { "type": "number" },
                "active": { "type": "boolean" },
                "note": { "type": "string" },
            }},
        });
        vec![config.to_string(), format!("{}::/in:ro", folder().display())]
    }
}

/// Ends when the command did, well; the seconds it took.
pub(crate) fn timed(command: &mut Command) -> f64 {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("a program");
    let seconds = start.elapsed().as_secs_f64();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    seconds
}

/// The seconds that a Python program says it took.
pub(crate) fn said(command: &mut Command) -> f64 {
    let output = command.stdin(Stdio::null()).output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().last().and_then(|line| line.parse().ok()).expect("a time")
}

pub(crate) fn ours(arguments: &[&str]) -> Command {
    let mut command = Command::new(lockgate());
    command
        .args(arguments)
        .env("LOCKGATE_CACHE_DIR", target().join("bench-cache"))
        .current_dir(folder());
    command
}

pub(crate) fn psql(url: &str, sql: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]);
    command
}

fn into_postgres(url: &str, rows: &Rows) -> f64 {
    timed(&mut psql(url, "DROP TABLE IF EXISTS bench_ours.rows"));
    let parts = url::Url::parse(url).expect("an address");
    let (host, port) = (parts.host_str().expect("a host"), parts.port().unwrap_or(5432));
    let config = serde_json::json!({
        "host": host,
        "port": port,
        "database": parts.path().trim_start_matches('/'),
        "username": parts.username(),
        "password": parts.password().unwrap_or_default(),
        "schema": "bench_ours",
        "sslmode": "disable",
    });
    let [source_config, grant] = &rows.source()[..] else { unreachable!("two of them") };
    let (source, destination) = (guest("source-lines"), guest("destination-postgres"));
    timed(&mut ours(&[
        "sync",
        "--quiet",
        "--no-record",
        "--state",
        "none",
        "--strategy",
        "append",
        "--source",
        &source.display().to_string(),
        "--source-config",
        source_config,
        "--source-allow-dir",
        grant,
        "--destination",
        &destination.display().to_string(),
        "--destination-config",
        &config.to_string(),
        "--destination-allow-net",
        &format!("{host}:{port}"),
    ]))
}

fn into_cache(rows: &Rows, cache: &Path) -> f64 {
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", cache.display()));
    }
    let [source_config, grant] = &rows.source()[..] else { unreachable!("two of them") };
    timed(&mut ours(&[
        "read",
        &guest("source-lines").display().to_string(),
        "--quiet",
        "--no-record",
        "--strategy",
        "append",
        "--config",
        source_config,
        "--allow-dir",
        grant,
        "--cache",
        &format!("sqlite:{}", cache.display()),
    ]))
}

fn by_copy(url: &str, rows: &Rows) -> f64 {
    let make = format!("DROP TABLE IF EXISTS bench_copy; CREATE TABLE bench_copy ({COLUMNS})");
    timed(&mut psql(url, &make));
    let copy = format!("\\copy bench_copy FROM '{}' WITH (FORMAT csv, HEADER)", rows.csv.display());
    timed(&mut psql(url, &copy))
}

/// A peer's environment, where it was made.
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let folder = target().join("test-connectors").join(name);
    folder.join("bin/python").is_file().then_some(folder)
}

/// What sling imports into SQLite with. Without one it fetches its own, and where it cannot, it inserts
/// row by row.
fn sqlite3() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where the programs of the measurements are")]
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("sqlite3")).find(|file| file.is_file())
}

/// sling, with what it needs to run.
pub(crate) fn sling(folder: &Path) -> Command {
    let libraries = fs::read_dir(folder.join("lib")).expect("a folder").flatten();
    let programs = libraries
        .map(|python| python.path().join("site-packages/sling_linux_amd64/bin/sling-linux-amd64"));
    let program = programs.into_iter().find(|program| program.is_file()).expect("sling");
    let mut command = Command::new(program);
    command
        .args(["run", "--mode", "full-refresh"])
        .env("SLING_DISABLE_TELEMETRY", "TRUE")
        .env("SLING_HOME_DIR", target().join("bench/sling"))
        // Otherwise it gets DuckDB and extensions of it when it runs, to write Parquet.
        .env("SLING_DUCKDB_COMPUTE", "FALSE")
        .current_dir(folder);
    if let Some(sqlite3) = sqlite3() {
        command.env("SQLITE_PATH", sqlite3);
    }
    command
}

pub(crate) fn by_sling(folder: &Path, rows: &Rows, url: &str, table: &str) -> f64 {
    timed(sling(folder).args(["--src-stream", &format!("file://{}", rows.csv.display())]).args([
        "--tgt-conn",
        url,
        "--tgt-object",
        table,
    ]))
}

pub(crate) fn by_dlt(folder: &Path, rows: &Rows, kind: &str, url: &str) -> f64 {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/dlt_load.py");
    let pipelines = target().join("bench/dlt");
    let _ = fs::remove_dir_all(&pipelines);
    said(
        Command::new(folder.join("bin/python"))
            .arg(program)
            .arg(&rows.csv)
            .args([kind, url])
            .arg(&pipelines)
            .env("RUNTIME__DLTHUB_TELEMETRY", "false")
            .current_dir(self::folder()),
    )
}

fn by_pyairbyte(python: &Path, rows: &Rows) -> f64 {
    let folder = folder();
    let schema = r#"{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":"string"},"email":{"type":"string"},"created_at":{"type":"string","format":"date-time"},"score":{"type":"number"},"active":{"type":"boolean"},"note":{"type":"string"}}}"#;
    let script = crate::router::executable(
        &folder.join("source-pyairbyte"),
        &format!(
            r#"#!/bin/sh
case $1 in
spec) echo '{{"type":"SPEC","spec":{{"connectionSpecification":{{"type":"object"}}}}}}' ;;
check) echo '{{"type":"CONNECTION_STATUS","connectionStatus":{{"status":"SUCCEEDED"}}}}' ;;
discover) echo '{{"type":"CATALOG","catalog":{{"streams":[{{"name":"rows","json_schema":{schema},"supported_sync_modes":["full_refresh"]}}]}}}}' ;;
read) sed -e 's/^/{{"type":"RECORD","record":{{"stream":"rows","emitted_at":1700000000000,"data":/' -e 's/$/}}}}/' '{}' ;;
esac
"#,
            rows.lines.display()
        ),
    );
    let _ = fs::remove_file(folder.join("pyairbyte.duckdb"));
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/pyairbyte_cache.py");
    said(
        Command::new(python.join("bin/python"))
            .arg(program)
            .arg(script)
            .arg(&folder)
            .env("AIRBYTE_OFFLINE_MODE", "1")
            .env("DO_NOT_TRACK", "1")
            .env("AIRBYTE_LOGGING_ROOT", target().join("bench/airbyte-logs"))
            .current_dir(&folder),
    )
}

/// How ours and another's times compare, as a line of the table.
pub(crate) fn compare(
    table: &mut Table,
    what: &str,
    ours: (u64, f64),
    by: &str,
    theirs: (u64, f64),
    budget: &str,
) {
    let rate = |(count, seconds): (u64, f64)| per_second(count, Duration::from_secs_f64(seconds));
    let (our, their) = (rate(ours), rate(theirs));
    table.add(
        what,
        format!("{:.0} k rows/s", our / 1e3),
        format!("{:.0} k rows/s, {by}", their / 1e3),
        format!("{:.2} x", our / their),
        budget,
    );
}

pub(crate) fn run(table: &mut Table, quick: bool, peers: bool) {
    let count = if quick { 200_000 } else { 1_000_000 };
    let rows = Rows::make(count, "rows");
    // Python moves a fraction: its rate is measured on fewer.
    let few = Rows::make(count / 10, "few");
    let rounds = if quick { 1 } else { 3 };
    let missing = |name: &str| {
        eprintln!("{name} is not compared: run scripts/setup-test-connectors {name}");
    };
    #[expect(clippy::disallowed_methods, reason = "where the server of the measurements is")]
    let server = std::env::var("LOCKGATE_TEST_POSTGRES").ok();

    let cache = folder().join("cache.db");
    into_cache(&rows, &cache);
    let ours = (count, median((0..rounds).map(|_| into_cache(&rows, &cache)).collect()));
    let what = "file source into the SQLite cache";
    let ahead = "ahead";
    if let (true, Some(sling)) = (peers, peer("sling")) {
        let file = folder().join("sling.db");
        let url = format!("sqlite://{}", file.display());
        if sqlite3().is_none() {
            eprintln!("sling is quicker where there is a sqlite3: install it to be fair to it");
        }
        by_sling(&sling, &few, &url, "main.bench_few");
        let theirs = (0..rounds).map(|_| by_sling(&sling, &rows, &url, "main.bench_sling"));
        compare(table, what, ours, "sling into SQLite", (count, median(theirs.collect())), ahead);
    } else {
        missing("sling");
    }
    if let (true, Some(dlt)) = (peers, peer("dlt")) {
        let url = format!("sqlite:///{}", folder().join("dlt.db").display());
        let theirs = by_dlt(&dlt, &few, "sqlalchemy", &url);
        compare(table, what, ours, "dlt into SQLite", (few.count, theirs), ahead);
    } else {
        missing("dlt");
    }
    if let (true, Some(python)) = (peers, peer("pyairbyte")) {
        let theirs = by_pyairbyte(&python, &few);
        compare(table, what, ours, "PyAirbyte's DuckDB cache", (few.count, theirs), ahead);
    } else {
        missing("pyairbyte");
    }

    let what = "file source into PostgreSQL";
    let Some(url) = server else {
        eprintln!("PostgreSQL is not measured: run scripts/with-test-services make bench");
        let needed = "run scripts/with-test-services make bench to compare";
        return table.add(what, "-".into(), needed.into(), "-".into(), ahead);
    };
    into_postgres(&url, &rows);
    let (mut our, mut copied) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        // In turn, so that both meet the same machine.
        our.push(into_postgres(&url, &rows));
        copied.push(by_copy(&url, &rows));
    }
    let ours = (count, median(our));
    compare(table, what, ours, "`psql \\copy` of CSV", (count, median(copied)), "-");
    if let (true, Some(sling)) = (peers, peer("sling")) {
        let theirs = (0..rounds).map(|_| {
            by_sling(&sling, &rows, &format!("{url}?sslmode=disable"), "public.bench_sling")
        });
        compare(table, what, ours, "sling", (count, median(theirs.collect())), ahead);
    }
    if let (true, Some(dlt)) = (peers, peer("dlt")) {
        let theirs = by_dlt(&dlt, &rows, "postgres", &url);
        compare(table, what, ours, "dlt", (count, theirs), ahead);
    }
}
