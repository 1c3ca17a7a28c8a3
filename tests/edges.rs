//! Odd deeds of connectors and odd words of operators, each found by trying to break something.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{Folder, fixture, guest, process_grants};
use serde_json::{Value, json};

/// Syncs a source whose `read` is `code` into files in `out`.
fn sync(folder: &Folder, streams: &Value, code: &str, more: &[&str]) -> Output {
    let config = json!({ "streams": streams, "code": code });
    folder.write("source.json", &config.to_string());
    std::fs::create_dir_all(folder.path().join("out")).expect("a folder");
    let source = format!("exec:{}", fixture("connectors/coded_source.py").display());
    let mut command = folder.lockgate();
    command.args(["sync", "--source", &source, "--source-config", "source.json"]);
    command.arg("--destination").arg(guest("destination-jsonl"));
    command.args(["--destination-config", r#"{"path":"/out"}"#]);
    command.args(["--destination-allow-dir", "out::/out", "--connection", "c"]);
    command.args(process_grants("source-", folder.path()));
    command.args(more).timeout(Duration::from_secs(60));
    command.output().expect("lockgate runs")
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", error_of(output));
}

/// A source that believes its part of a global state: whoever is complete in it has nothing new.
const GLOBAL: &str = r#"
parts = [p for s in saved for p in s["global"]["stream_states"]]
done = [p["stream_descriptor"]["name"] for p in parts]
for s in streams:
    if s["name"] not in done:
        for i in range(3):
            row(s, {"i": i})
    states = [{"stream_descriptor": descriptor(s), "stream_state": {"done": True}} for s in streams]
    say("STATE", "state", {"type": "GLOBAL", "global": {"shared_state": {"at": 1}, "stream_states": states}})
    complete(s)
"#;

#[test]
fn a_replaced_stream_is_read_again_whatever_a_global_state_says_of_it() {
    let folder = Folder::new();
    let streams = json!([
        { "name": "added" },
        { "name": "replaced", "supported_sync_modes": ["full_refresh"], "source_defined_cursor": false },
    ]);
    for _ in 0..2 {
        succeeds(&sync(&folder, &streams, GLOBAL, &[]));
        assert_eq!(folder.rows("out/added.jsonl").len(), 3);
        assert_eq!(folder.rows("out/replaced.jsonl").len(), 3);
    }
    let show = folder.lockgate().args(["state", "show", "c"]).output().expect("lockgate runs");
    let states: Value = serde_json::from_slice(&show.stdout).expect("states are JSON");
    let parts = states[0]["global"]["stream_states"].as_array().expect("parts");
    // The next sync may read the other stream incrementally, and must not find it done.
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0]["stream_descriptor"]["name"], "added");
}

/// Reads on from `at`; of a full read it only says that it was complete, as Airbyte's CDK does.
const UP_TO: &str = r#"
s = streams[0]
incremental = configured[0]["sync_mode"] == "incremental"
state = saved[0]["stream"]["stream_state"] if saved else {}
end = len(open("END").read())
start = end if "all" in state else state.get("at", 0) if incremental else 0
for i in range(start, end):
    row(s, {"i": i})
state = {"at": end} if incremental else {"all": True}
say("STATE", "state", {"type": "STREAM", "stream": {"stream_descriptor": descriptor(s), "stream_state": state}})
complete(s)
"#;

#[test]
fn no_row_is_missed_when_the_strategy_changes_to_and_fro() {
    let folder = Folder::new();
    let end = folder.path().join("end");
    let code = UP_TO.replace("END", &end.display().to_string());
    for (rows, strategy) in [(3, "append"), (5, "replace"), (8, "append")] {
        folder.write("end", &".".repeat(rows));
        let output = sync(&folder, &json!([{ "name": "s" }]), &code, &["--strategy", strategy]);
        succeeds(&output);
        let mut seen: Vec<u64> =
            folder.rows("out/s.jsonl").iter().filter_map(|row| row["i"].as_u64()).collect();
        seen.sort_unstable();
        seen.dedup();
        let all: Vec<u64> = (0..rows as u64).collect();
        assert_eq!(seen, all, "after {strategy}");
    }
}

#[test]
fn streams_with_odd_names_arrive_each_in_a_file_of_its_own() {
    let folder = Folder::new();
    let mut streams: Vec<Value> =
        ["", "a/b", "..", ".", "nul\0l", "🦊", "Users", "users", "con", "a.b", "a,b", " s ", "*"]
            .map(|name| json!({ "name": name }))
            .to_vec();
    streams.push(json!({ "name": "x".repeat(3000) }));
    for (namespace, name) in [("a", "b"), ("", "b"), ("", ""), ("..", "..")] {
        streams.push(json!({ "name": name, "namespace": namespace }));
    }
    let code = "for s in streams:\n    row(s, {'of': descriptor(s)})\n    complete(s)\n";
    let count = streams.len();
    succeeds(&sync(&folder, &streams.clone().into(), code, &[]));
    let files: Vec<_> = std::fs::read_dir(folder.path().join("out"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    assert_eq!(files.len(), count, "{files:?}");
    let mut found: Vec<Value> = files
        .iter()
        .flat_map(|file| folder.rows(&format!("out/{file}")))
        .map(|r| r["of"].clone())
        .collect();
    let order = |v: &Value| v.to_string();
    found.sort_by_key(order);
    streams.sort_by_key(order);
    assert_eq!(found, streams);
    // Nothing beside the granted directory.
    let beside = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(beside, 3, "out, source.json and .lockgate");
}

#[test]
fn a_flood_on_stderr_does_not_end_a_source() {
    let folder = Folder::new();
    let code = "sys.stderr.write('x' * 20_000_000)\nsys.stderr.flush()\nrow(streams[0], {})\ncomplete(streams[0])\n";
    succeeds(&sync(&folder, &json!([{ "name": "s" }]), code, &["--quiet"]));
    assert_eq!(folder.rows("out/s.jsonl").len(), 1);
}

#[test]
fn a_changed_configuration_that_does_not_fit_fails_the_sync_that_changed_it() {
    let folder = Folder::new();
    let code = r#"
say("CONTROL", "control", {"type": "CONNECTOR_CONFIG", "emitted_at": 1, "connectorConfig": {"config": {"token": 5}}})
complete(streams[0])
"#;
    // The second run too: what does not fit was not kept.
    for _ in 0..2 {
        let output = sync(&folder, &json!([{ "name": "s" }]), code, &[]);
        assert_eq!(output.status.code(), Some(1));
        let error = error_of(&output);
        assert!(error.contains("it changed its configuration, and now"), "{error}");
        assert!(error.contains("error[SOURCE_FAILED]") && error.contains("token"), "{error}");
    }
}

/// It closes its input after the first line and goes on living.
const STOPS_READING: &str = r#"#!/bin/sh
case $1 in
spec) echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}' ;;
check) echo '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}' ;;
write) read -r line; exec sleep 300 <&- ;;
esac
"#;

#[test]
fn a_destination_that_stops_reading_is_told_so() {
    let folder = Folder::new();
    let program = folder.write("destination", STOPS_READING);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let code =
        "for i in range(5000):\n    row(streams[0], {'pad': 'x' * 1000})\ncomplete(streams[0])\n";
    let config = json!({ "streams": [{ "name": "s" }], "code": code });
    folder.write("source.json", &config.to_string());
    let source = format!("exec:{}", fixture("connectors/coded_source.py").display());
    let mut command = folder.lockgate();
    command.args(["sync", "--source", &source, "--source-config", "source.json"]);
    command.args(["--destination", "exec:./destination"]).timeout(Duration::from_secs(60));
    let output = command.output().expect("lockgate runs");
    assert_eq!(output.status.code(), Some(1));
    let error = error_of(&output);
    assert!(error.contains("error[DESTINATION_FAILED]"), "{error}");
    assert!(error.contains("after it had stopped reading its input"), "{error}");
}

#[test]
fn a_missing_interpreter_is_not_a_missing_program() {
    let folder = Folder::new();
    for first_line in ["#!/no/such/interpreter\n", "#!/bin/sh\r\n"] {
        let program = folder.write("program", first_line);
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        let output = folder.lockgate().args(["spec", "exec:./program"]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(error_of(&output).contains("interpreter"), "{}", error_of(&output));
    }
}

#[test]
fn a_named_pipe_is_no_component() {
    let folder = Folder::new();
    let made = Command::new("mkfifo").arg(folder.path().join("x.wasm")).status();
    assert!(made.expect("mkfifo").success());
    for command in ["inspect", "spec"] {
        let mut run = folder.lockgate();
        let output = run.args([command, "x.wasm"]).timeout(Duration::from_secs(20)).output();
        let output = output.expect("it ends");
        assert_eq!(output.status.code(), Some(2));
        assert!(error_of(&output).contains("it is not a file"), "{}", error_of(&output));
    }
}

#[test]
fn a_result_that_cannot_be_printed_is_a_failure() {
    let spec = |stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
        command.args(["spec", "destination-dev-null"]).stdout(stdout).output().expect("it runs")
    };
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
    let output = spec(full.into());
    assert_eq!(output.status.code(), Some(1));
    assert!(error_of(&output).contains("stdout: "), "{}", error_of(&output));
    // Whoever stops reading has seen enough.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(spec(writer.into()).status.code(), Some(0));
}

#[test]
fn options_of_a_connector_are_not_ignored_beside_a_connection_of_the_file() {
    let folder = Folder::new();
    for option in ["--source-config={}", "--destination-allow-dir=a::/b", "--source-env=A=B"] {
        let output = folder.lockgate().args(["sync", "nightly", option]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(error_of(&output).contains("cannot be used with"), "{}", error_of(&output));
    }
}
