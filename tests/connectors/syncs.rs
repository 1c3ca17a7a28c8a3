//! One connection by flags: `source.py`, and a destination that overwrites files or keeps generations
//! apart. Each sync is the real binary.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::common::{Folder, fixture, guest, process_grants};

/// Where rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// `generations.py`: appends, and knows generations.
    Generations,
    /// The same, which says that it only appends.
    Appending,
    /// `destination-jsonl`: appends and overwrites.
    Files,
}

/// Where they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// `source.py`, stream `items`: 20 rows, a state every 5.
    Process,
    /// `misbehaving-source`, stream `rows`: the same.
    Component,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What `--output json` prints.
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    /// The report of a sync that went well.
    pub(crate) fn good(&self) -> Value {
        assert_eq!(self.code, 0, "{self:#?}");
        self.report()
    }
}

pub(crate) struct Syncs {
    pub(crate) folder: Folder,
    pub(crate) from: From,
    pub(crate) to: To,
}

pub(crate) const ROWS: u64 = 20;

impl Syncs {
    pub(crate) fn new(from: From, to: To) -> Self {
        let folder = Folder::new();
        for name in ["out", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        for name in ["source", "generations"] {
            let program = fixture(&format!("connectors/{name}.py"));
            let text = format!("#!/bin/sh\nexec python3 -E -S {} \"$@\"\n", program.display());
            let script = folder.write(name, &text);
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(script, mode).expect("a script can be run");
        }
        Self { folder, from, to }
    }

    /// The arguments of a sync; `source` is added to its configuration.
    fn arguments(&self, source: &Value, more: &[&str]) -> Vec<String> {
        let mut config = match self.from {
            From::Process => json!({ "rows": ROWS, "checkpoint_every": 5 }),
            From::Component => {
                json!({ "mode": "well-behaved", "rows": ROWS, "rows_per_checkpoint": 5 })
            }
        };
        for (name, value) in source.as_object().expect("an object") {
            config[name] = value.clone();
        }
        let out = self.folder.path().join("out");
        let script = |name: &str| format!("exec:{}", self.folder.path().join(name).display());
        let mut all: Vec<String> =
            ["sync", "--connection", "c", "--output", "json"].map(str::to_owned).into();
        let mut add = |flag: &str, value: String| all.extend([flag.to_owned(), value]);
        add("--source-config", config.to_string());
        match self.from {
            From::Process => add("--source", script("source")),
            From::Component => add("--source", guest("misbehaving-source").display().to_string()),
        }
        match self.to {
            To::Files => {
                add("--destination", guest("destination-jsonl").display().to_string());
                add("--destination-config", json!({ "path": "/out" }).to_string());
                add("--destination-allow-dir", format!("{}::/out", out.display()));
            }
            To::Generations | To::Appending => {
                add("--destination", script("generations"));
                add("--destination-config", json!({ "path": out }).to_string());
                if self.to == To::Appending {
                    add("--destination-env", "GENERATIONS=no".into());
                }
                all.extend(process_grants("destination-", self.folder.path()));
            }
        }
        // One of `more` counts instead.
        if more.contains(&"--destination-config")
            && let Some(place) = all.iter().position(|word| word == "--destination-config")
        {
            all.drain(place..place + 2);
        }
        if self.from == From::Process {
            all.extend(process_grants("source-", self.folder.path()));
        }
        if !more.contains(&"--strategy") {
            all.extend(["--strategy", "append"].map(str::to_owned));
        }
        all.extend(more.iter().map(ToString::to_string));
        all
    }

    pub(crate) fn sync(&self, source: &Value, more: &[&str]) -> Ended {
        let mut command = self.folder.lockgate();
        command.env("TMPDIR", self.folder.path().join("tmp"));
        command.args(self.arguments(source, more)).timeout(Duration::from_secs(120));
        let output = command.output().expect("lockgate runs");
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same sync, which goes on by itself.
    pub(crate) fn start(&self, source: &Value, more: &[&str]) -> std::process::Child {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lockgate"));
        command.current_dir(self.folder.path());
        command.env("TMPDIR", self.folder.path().join("tmp"));
        command.env("LOCKGATE_CACHE_DIR", super::common::target().join("test-cache"));
        command.args(self.arguments(source, more));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("lockgate starts")
    }

    /// Each row of a stream that `generations.py` wrote: its generation and its id.
    pub(crate) fn generations(&self, stream: &str) -> Vec<(u64, u64)> {
        let number = |value: &Value| value.as_u64().expect("a number");
        let rows = self.folder.rows(&format!("out/{stream}.jsonl"));
        rows.iter().map(|r| (number(&r["generation"]), number(&r["data"]["id"]))).collect()
    }

    /// The ids of a stream that `destination-jsonl` wrote.
    pub(crate) fn ids(&self, stream: &str) -> Vec<u64> {
        let rows = self.folder.rows(&format!("out/{stream}.jsonl"));
        rows.iter().map(|r| r["id"].as_u64().expect("a row has an id")).collect()
    }

    /// Of each stream of the last write: generation, minimum generation, sync id.
    pub(crate) fn last_catalog(&self) -> Vec<[u64; 3]> {
        let catalogs = self.folder.rows("out/catalogs.jsonl");
        let streams = catalogs.last().expect("a catalog")["streams"].as_array().expect("streams");
        let number = |of: &Value, name: &str| of[name].as_u64().expect("a number");
        let numbers = ["generation_id", "minimum_generation_id", "sync_id"];
        streams.iter().map(|stream| numbers.map(|name| number(stream, name))).collect()
    }

    /// `lockgate state show`.
    pub(crate) fn states(&self) -> Vec<Value> {
        let output = self.folder.lockgate().args(["state", "show", "c"]).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("an array of states")
    }

    /// The names of the streams that have states.
    pub(crate) fn streams_with_states(&self) -> Vec<String> {
        let name = |state: &Value| {
            state["stream"]["stream_descriptor"]["name"].as_str().map(str::to_owned)
        };
        self.states().iter().filter_map(name).collect()
    }
}
