//! The same million records on stdio: through Lockgate into a counting component, through a pipe
//! into a native destination, and through PyAirbyte.

#![expect(clippy::print_stderr, reason = "a benchmark prints")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::measure::{Table, guest, lockgate, median, per_second, target};
use crate::native;

/// Records PyAirbyte is given: it would take half a minute for all of them.
const FOR_PYAIRBYTE: u64 = 100_000;

/// Writes `records` lines of about 292 bytes with a state every 10,000, and the statuses around.
pub(crate) fn recording(path: &Path, records: u64) {
    let status = |word: &str| {
        format!(
            r#"{{"type":"TRACE","trace":{{"type":"STREAM_STATUS","emitted_at":1795532336497.093,"stream_status":{{"stream_descriptor":{{"name":"rows"}},"status":"{word}"}}}}}}"#
        ) + "\n"
    };
    let mut text = status("STARTED");
    for id in 1..=records {
        let _ = writeln!(
            text,
            r#"{{"type":"RECORD","record":{{"stream":"rows","data":{{"id":{id},"name":"Name {id}","email":"user{id}@example.com","address":{{"street":"Main Street {}","city":"Springfield","zip":"{:05}"}},"created_at":"2024-04-08T18:07:20+00:00","score":{}.5,"tags":["a","b"]}},"emitted_at":1795532336482}}}}"#,
            id % 999,
            id % 99_999,
            id,
        );
        if id % 10_000 == 0 || id == records {
            let _ = writeln!(
                text,
                r#"{{"type":"STATE","state":{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"rows"}},"stream_state":{{"at":{id}}}}}}}}}"#
            );
        }
    }
    text.push_str(&status("COMPLETE"));
    fs::write(path, text).expect("a recording");
}

/// A source that prints a recording.
pub(crate) fn source(folder: &Path, name: &str, recording: &Path) -> PathBuf {
    let script = format!(
        r#"#!/bin/sh
case $1 in
spec) echo '{{"type":"SPEC","spec":{{"connectionSpecification":{{"type":"object"}}}}}}' ;;
check) echo '{{"type":"CONNECTION_STATUS","connectionStatus":{{"status":"SUCCEEDED"}}}}' ;;
discover) echo '{{"type":"CATALOG","catalog":{{"streams":[{{"name":"rows","json_schema":{{"type":"object"}},"supported_sync_modes":["full_refresh","incremental"],"source_defined_cursor":true}}]}}}}' ;;
read) exec cat '{}' ;;
esac
"#,
        recording.display()
    );
    executable(&folder.join(name), &script)
}

pub(crate) fn executable(path: &Path, text: &str) -> PathBuf {
    fs::write(path, text).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
    path.to_owned()
}

/// Gives the seconds from the start of both connectors to the end of both, without our own start.
fn through_lockgate(source: &Path) -> f64 {
    let output = Command::new(lockgate())
        .args(["sync", "--state", "none", "--quiet", "--output", "json", "--source"])
        .arg(format!("exec:{}", source.display()))
        .arg("--destination")
        .arg(guest("destination-dev-null"))
        .env("LOCKGATE_CACHE_DIR", target().join("bench-cache"))
        .output()
        .expect("lockgate");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    report["duration_ms"].as_f64().expect("a duration") / 1e3
}

fn through_pipe(recording: &Path) {
    let exe = std::env::current_exe().expect("a path");
    let status = Command::new("sh")
        .arg("-c")
        .arg(r#"cat "$0" | "$1" "$2""#)
        .arg(recording)
        .arg(exe)
        .arg(native::NAME)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("sh").success());
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

pub(crate) fn run(table: &mut Table, quick: bool) {
    let folder = target().join("bench");
    fs::create_dir_all(&folder).expect("a folder");
    let records: u64 = if quick { 200_000 } else { 1_000_000 };
    let lines = folder.join("records.jsonl");
    recording(&lines, records);
    let script = source(&folder, "source", &lines);

    through_lockgate(&script);
    through_pipe(&lines);
    let (mut ours, mut pipes, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // PyAirbyte's time is that of the write alone, so ours is, too.
    let mut moved = Vec::new();
    for _ in 0..5 {
        // In turn, so that both meet the same machine.
        let our = timed(|| moved.push(through_lockgate(&script)));
        let pipe = timed(|| through_pipe(&lines));
        ours.push(our);
        pipes.push(pipe);
        ratios.push(pipe / our);
    }
    let rate =
        |seconds: f64| per_second(records, std::time::Duration::from_secs_f64(seconds)) / 1e6;
    let ours = median(ours);
    table.add(
        "router: stdio source into a counting component",
        format!("{:.2} M records/s", rate(ours)),
        format!("{:.2} M records/s, `cat FILE \\| native destination`", rate(median(pipes))),
        format!("{:.2} x", median(ratios)),
        "at least 1 x",
    );

    let python = target().join("test-connectors/pyairbyte/bin/python");
    if !python.is_file() {
        eprintln!("PyAirbyte is not measured: run scripts/setup-test-connectors");
        let missing = "run scripts/setup-test-connectors to compare";
        table.add(
            "router against PyAirbyte",
            "-".into(),
            missing.into(),
            "-".into(),
            "at least 25 x",
        );
        return;
    }
    let few = folder.join("few.jsonl");
    recording(&few, FOR_PYAIRBYTE);
    let script = source(&folder, "source-few", &few);
    let exe = std::env::current_exe().expect("a path");
    let destination = executable(
        &folder.join("destination-native"),
        &format!(
            r#"#!/bin/sh
case $1 in
spec) echo '{{"type":"SPEC","spec":{{"connectionSpecification":{{"type":"object"}},"supported_destination_sync_modes":["append","overwrite","append_dedup"]}}}}' ;;
check) echo '{{"type":"CONNECTION_STATUS","connectionStatus":{{"status":"SUCCEEDED"}}}}' ;;
write) exec '{}' {} ;;
esac
"#,
            exe.display(),
            native::NAME
        ),
    );
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/pyairbyte_router.py");
    let output = Command::new(python)
        .arg(program)
        .args([&script, &destination])
        .env("AIRBYTE_OFFLINE_MODE", "1")
        .env("DO_NOT_TRACK", "1")
        .env("AIRBYTE_LOGGING_ROOT", folder.join("airbyte-logs"))
        .current_dir(&folder)
        .output()
        .expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let seconds: f64 = text.lines().last().and_then(|l| l.parse().ok()).expect("a time");
    let other = per_second(FOR_PYAIRBYTE, std::time::Duration::from_secs_f64(seconds));
    let ours = median(moved);
    table.add(
        "router against PyAirbyte, the write alone",
        format!("{:.2} M records/s", rate(ours)),
        format!("{:.3} M records/s, PyAirbyte into the same native destination", other / 1e6),
        format!("{:.0} x", rate(ours) * 1e6 / other),
        "at least 25 x",
    );
}
