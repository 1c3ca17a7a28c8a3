//! Peers that were written by others, and small scripts that stand for them.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::common::{Folder, process_grants, target};

/// The Python that runs our own scripts. Not by the name `python3`: that may be a version
/// manager's shim, which looks for its home in the environment that a connector does not get.
pub(crate) fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let asked =
            Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let output = asked.expect("python3 is on PATH");
        assert!(output.status.success(), "python3 does not run");
        String::from_utf8(output.stdout).expect("a path").trim().to_owned()
    })
}

/// A program of an environment that `scripts/setup-test-connectors` made.
pub(crate) fn installed(environment: &str, program: &str) -> PathBuf {
    let folder = target().join("test-connectors").join(environment);
    let whole = folder.join(".installed").is_file();
    assert!(whole, "{} is missing: run scripts/setup-test-connectors", folder.display());
    folder.join("bin").join(program)
}

/// Writes an executable file. Another program does it: were it open for writing here, a process
/// that another test starts at that moment would inherit it, and the file could not be run.
pub(crate) fn executable(folder: &Folder, name: &str, text: &str) -> PathBuf {
    let draft = folder.write(&format!(".draft/{name}"), text);
    let path = folder.path().join(name);
    let status = Command::new("install").args(["-m", "755"]).arg(draft).arg(&path).status();
    assert!(status.expect("install runs").success());
    path
}

/// A connector made of a Python script, with arguments of its own before the protocol's.
pub(crate) fn connector(folder: &Folder, name: &str, script: &Path, arguments: &[&str]) -> String {
    let quoted: Vec<String> = arguments.iter().map(|a| format!("'{a}'")).collect();
    let (python, script) = (python(), script.display());
    let text = format!("#!/bin/sh\nexec '{python}' '{script}' {} \"$@\"\n", quoted.join(" "));
    format!("exec:{}", executable(folder, name, &text).display())
}

/// What a call of the binary came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    /// What it printed on stdout, as JSON.
    pub(crate) result: Value,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Runs the binary in a folder, with results as JSON.
    pub(crate) fn of(folder: &Folder, arguments: &[&str]) -> Self {
        let mut command = folder.lockgate();
        command.args(["--output", "json"]).args(arguments);
        // Whatever is a process works in the test's folder.
        for pair in arguments.windows(2).filter(|pair| pair[1].starts_with("exec:")) {
            let side = match pair[0] {
                "--source" => "source-",
                "--destination" => "destination-",
                _ => "",
            };
            command.args(process_grants(side, folder.path()));
        }
        let output = command.output();
        let output = output.expect("lockgate runs");
        let stdout = String::from_utf8(output.stdout).expect("text");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let result = serde_json::from_str(&stdout).unwrap_or(Value::Null);
        Self { code: output.status.code().expect("an exit code"), result, stderr }
    }

    /// The result of a call that went well.
    #[track_caller]
    pub(crate) fn good(self) -> Value {
        assert_eq!(self.code, 0, "{}\n{}", self.stderr, self.result);
        self.result
    }

    /// The error of a call that did not: `code: message`, and the whole of it.
    #[track_caller]
    pub(crate) fn bad(self, code: i32) -> (String, Value) {
        assert_eq!(self.code, code, "{}\n{}", self.stderr, self.result);
        let last = self.stderr.lines().last().expect("an error on stderr");
        let error: Value = serde_json::from_str(last).expect("the error is JSON");
        let text = |member: &str| error[member].as_str().expect("a string").to_owned();
        (format!("{}: {}", text("code"), text("message")), error)
    }
}

/// The messages of a type in a protocol's lines.
pub(crate) fn messages(lines: &str, kind: &str) -> Vec<Value> {
    let parsed = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter(|message| message["type"] == kind).collect()
}

/// The rows of a stream in a protocol's lines, in order.
pub(crate) fn rows_of(lines: &str, stream: &str) -> Vec<Value> {
    let records = messages(lines, "RECORD").into_iter().map(|mut m| m["record"].take());
    records.filter(|r| r["stream"] == stream).map(|mut r| r["data"].take()).collect()
}

/// The names of the streams that have rows, in order of their first.
pub(crate) fn streams_of(lines: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for record in messages(lines, "RECORD") {
        let name = record["record"]["stream"].as_str().expect("a name");
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The last state of each stream, by name.
pub(crate) fn last_states(states: &[Value]) -> std::collections::BTreeMap<String, Value> {
    let named = states.iter().map(|state| {
        let stream = &state["stream"];
        let name = stream["stream_descriptor"]["name"].as_str().expect("a stream's state");
        (name.to_owned(), stream["stream_state"].clone())
    });
    named.collect()
}
