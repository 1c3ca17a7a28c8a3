//! `lockgate exec` under a client that nobody here wrote: PyAirbyte from the Python package index.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
mod peers;

use common::{Folder, fixture, guest};
use peers::{connector, executable, installed, messages, rows_of};
use serde_json::{Value, json};

const STREAMS: [&str; 3] = ["products", "users", "purchases"];

/// Runs a script with PyAirbyte in a folder, without network, telemetry or a home.
fn pyairbyte(folder: &Folder, script: &str, settings: &Value) -> Value {
    let settings = folder.write("settings.json", &settings.to_string());
    let (path, result) = (folder.path(), folder.path().join("result.json"));
    let output = std::process::Command::new(installed("pyairbyte", "python"))
        .arg(fixture("pyairbyte").join(script))
        .args([&settings, &result])
        .current_dir(path)
        .env("AIRBYTE_OFFLINE_MODE", "1")
        .env("DO_NOT_TRACK", "1")
        .env("NO_LIVE_PROGRESS", "1")
        .env("HOME", path)
        .env("AIRBYTE_LOGGING_ROOT", path.join("logs"))
        .env("AIRBYTE_CACHE_ROOT", path.join("cache"))
        .env("AIRBYTE_TEMP_DIR", path)
        .env("LOCKGATE_CACHE_DIR", common::target().join("test-cache"))
        .output()
        .expect("Python runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{out}\n{err}", output.status);
    serde_json::from_str(&folder.read("result.json")).expect("JSON")
}

/// The two lines that make a component an Airbyte connector executable.
fn two_lines(folder: &Folder, name: &str, component: &str, grants: &str) -> String {
    let (lockgate, component) = (assert_cmd::cargo::cargo_bin("lockgate"), guest(component));
    let command =
        format!("'{}' exec '{}' {grants} \"$@\"", lockgate.display(), component.display());
    executable(folder, name, &format!("#!/bin/sh\nexec {command}\n")).display().to_string()
}

/// source-faker, with copies of its output under `seen`.
fn faker(folder: &Folder) -> String {
    let seen = folder.path().join("seen");
    std::fs::create_dir_all(&seen).expect("a folder");
    let program = installed("faker", "source-faker").display().to_string();
    let seen = seen.display().to_string();
    let tee = connector(folder, "faker", &fixture("connectors/tee.py"), &[&seen, &program]);
    tee.strip_prefix("exec:").expect("a process").to_owned()
}

fn destination(folder: &Folder) -> String {
    let out = folder.path().join("out");
    std::fs::create_dir_all(&out).expect("a folder");
    let grant = format!("--allow-dir '{}::/out'", out.display());
    two_lines(folder, "destination", "destination-jsonl", &grant)
}

fn assert_spec_and_refusal(result: &Value) {
    assert_eq!(result["spec"]["required"], json!(["path"]));
    let refusal = result["refusal"].as_str().expect("a wrong directory is refused");
    assert!(refusal.contains("directory /elsewhere is not granted"), "{refusal}");
}

/// PyAirbyte returns the states that were echoed to it: those the source gave last.
fn assert_states(result: &Value, printed: &str) {
    for stream in STREAMS {
        let mut given =
            messages(printed, "STATE").into_iter().map(|m| m["state"]["stream"].clone());
        let last = given.rfind(|s| s["stream_descriptor"]["name"] == stream);
        let last = last.expect("faker gives a state of each stream");
        let echoed = &result["states"][stream]["stream"]["stream_state"];
        assert_eq!(echoed, &last["stream_state"], "{stream}");
    }
}

#[test]
fn pyairbyte_checks_and_writes_straight_from_a_source() {
    let folder = Folder::new();
    let settings = json!({
        "destination": destination(&folder),
        "source": faker(&folder),
        "config": {"count": 300, "parallelism": 1},
        "strategy": "append",
        "times": 2,
        "cached": false,
    });
    let result = pyairbyte(&folder, "destination.py", &settings);
    assert_spec_and_refusal(&result);
    assert_eq!(result["processed"], 700);
    let (first, printed) = (folder.read("seen/read.1.jsonl"), folder.read("seen/read.2.jsonl"));
    for stream in STREAMS {
        let rows = [rows_of(&first, stream), rows_of(&printed, stream)].concat();
        assert!(!rows.is_empty(), "faker printed rows of {stream}");
        assert!(folder.rows(&format!("out/{stream}.jsonl")) == rows, "the rows of {stream} differ");
    }
    assert_states(&result, &printed);
}

#[test]
fn pyairbyte_writes_from_its_cache() {
    let folder = Folder::new();
    // With a copy of what PyAirbyte sends, since its cache changes rows on their way.
    let plain = destination(&folder);
    let sent = folder.path().join("sent");
    let text = format!("#!/bin/sh\ntee -a '{}' | '{plain}' \"$@\"\n", sent.display());
    let copying = executable(&folder, "copying", &text).display().to_string();
    let settings = json!({
        "destination": copying,
        "source": faker(&folder),
        "config": {"count": 300, "parallelism": 1},
        "strategy": "replace",
        "times": 1,
        "cached": true,
    });
    let result = pyairbyte(&folder, "destination.py", &settings);
    assert_spec_and_refusal(&result);
    let (sent, printed) = (folder.read("sent"), folder.read("seen/read.1.jsonl"));
    assert_eq!(messages(&sent, "RECORD").len(), 700);
    for stream in STREAMS {
        let rows = rows_of(&sent, stream);
        assert_eq!(rows.len(), rows_of(&printed, stream).len(), "{stream}");
        assert!(folder.rows(&format!("out/{stream}.jsonl")) == rows, "the rows of {stream} differ");
    }
    assert_states(&result, &printed);
}

#[test]
fn pyairbyte_reads_a_component_into_its_cache_and_goes_on() {
    let folder = Folder::new();
    let settings = json!({
        "source": two_lines(&folder, "source", "source-faker", ""),
        "config": {"count": 250},
    });
    let result = pyairbyte(&folder, "source.py", &settings);
    assert_eq!(result["streams"], json!(["products", "purchases", "users"]));
    let ids = |stream: &str| result["ids"][stream].as_array().expect("ids").len();
    assert_eq!(ids("users"), 250);
    let expected: Vec<Value> = (1..=250).map(Value::from).collect();
    assert_eq!(result["ids"]["users"], Value::from(expected));
    let total: usize = STREAMS.iter().map(|stream| ids(stream)).sum();
    assert_eq!(result["processed"], total);
    assert_eq!(result["processed_again"], 0, "the second read begins where the first ended");
    assert_eq!(result["rows_again"], result["rows"]);
}
