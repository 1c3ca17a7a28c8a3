//! A sync that is to fail: both connectors, the folder they write to, and what must hold before and
//! after.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::common::{Folder, fixture, guest, process_grants};

/// Where rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// `source.py`, stream `items`.
    Stdio,
    /// `misbehaving-source`, stream `rows`.
    Component,
}

/// Where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// `destination.py`.
    Stdio,
    /// `destination-jsonl`.
    Jsonl,
    /// `misbehaving-destination`, which keeps nothing.
    Component,
}

/// How a sync ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Outcome {
    /// The report of `--output json`.
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

pub(crate) struct Scene {
    pub(crate) folder: Folder,
    pub(crate) from: From,
    pub(crate) to: To,
    pub(crate) replace: bool,
    /// Further arguments of every sync.
    pub(crate) arguments: Vec<String>,
}

/// What stands in a file before it is replaced.
pub(crate) const OLD: &str = "{\"id\":\"old\"}\n";
/// Rows of each stream, and rows between two states.
pub(crate) const ROWS: u64 = 20;
const CHECKPOINT: u64 = 5;

impl Scene {
    pub(crate) fn new(from: From, to: To, replace: bool) -> Self {
        let folder = Folder::new();
        for name in ["out", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        for name in ["source", "destination"] {
            let program = fixture(&format!("connectors/{name}.py"));
            // The folder's name in the arguments tells this test's processes from all others.
            let marker = folder.path().display();
            let text = format!(
                "#!/bin/sh\nexec python3 -E -S {} --marker {marker} \"$@\"\n",
                program.display()
            );
            let script = folder.write(name, &text);
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(script, mode).expect("a script can be run");
        }
        let scene = Self { folder, from, to, replace, arguments: Vec::new() };
        if replace {
            scene.folder.write(&format!("out/{}.jsonl", scene.stream()), OLD);
        }
        scene
    }

    pub(crate) fn stream(&self) -> &'static str {
        match self.from {
            From::Stdio => "items",
            From::Component => "rows",
        }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Runs the sync; `source` and `destination` are added to what both need.
    pub(crate) fn sync(&self, source: &Value, destination: &Value, format: &str) -> Outcome {
        let base = match self.from {
            From::Stdio => json!({ "rows": ROWS, "checkpoint_every": CHECKPOINT }),
            From::Component => {
                json!({ "mode": "well-behaved", "rows": ROWS, "rows_per_checkpoint": CHECKPOINT })
            }
        };
        let source_config = merged(base, source);
        let base = match self.to {
            To::Stdio => json!({ "path": self.out() }),
            To::Jsonl => json!({ "path": "/out" }),
            To::Component => json!({ "mode": "well-behaved" }),
        };
        let destination_config = merged(base, destination);
        let component = |name: &str| guest(name).display().to_string();
        let script = |name: &str| format!("exec:{}", self.folder.path().join(name).display());
        let mut command = self.folder.lockgate();
        command.env("TMPDIR", self.folder.path().join("tmp"));
        command.args(["sync", "--connection", "c", "--output", format]);
        command.arg("--source").arg(match self.from {
            From::Stdio => script("source"),
            From::Component => component("misbehaving-source"),
        });
        command.arg("--destination").arg(match self.to {
            To::Stdio => script("destination"),
            To::Jsonl => component("destination-jsonl"),
            To::Component => component("misbehaving-destination"),
        });
        if self.to == To::Jsonl {
            command.arg("--destination-allow-dir").arg(format!("{}::/out", self.out().display()));
        }
        if self.from == From::Stdio {
            command.args(process_grants("source-", self.folder.path()));
        }
        if self.to == To::Stdio {
            command.args(process_grants("destination-", self.folder.path()));
        }
        command.args(["--source-config", &source_config.to_string()]);
        command.args(["--destination-config", &destination_config.to_string()]);
        command.args(["--strategy", if self.replace { "replace" } else { "append" }]);
        command.args(&self.arguments);
        command.timeout(Duration::from_secs(90));
        let began = Instant::now();
        let output = command.output().expect("lockgate runs");
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: began.elapsed(),
        }
    }

    /// `lockgate state show`: each stream's place.
    pub(crate) fn stored(&self) -> Vec<(String, u64)> {
        let output = self.folder.lockgate().args(["state", "show", "c"]).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        places(&serde_json::from_slice::<Vec<Value>>(&output.stdout).expect("an array of states"))
    }

    /// What `destination.py` says it acknowledged last, of each stream.
    pub(crate) fn acknowledged(&self) -> Vec<(String, u64)> {
        let lines: Vec<Value> = self
            .folder
            .read("out/acks.log")
            .lines()
            .map(|l| serde_json::from_str(l).expect("a state is JSON"))
            .collect();
        places(&lines)
    }

    /// The ids in the stream's file.
    pub(crate) fn ids(&self) -> Vec<u64> {
        let rows = self.folder.rows(&format!("out/{}.jsonl", self.stream()));
        rows.iter().map(|r| r["id"].as_u64().expect("a row has an id")).collect()
    }

    /// What must hold after every run, however it ended.
    pub(crate) fn assert_nothing_left(&self) {
        let left = processes(&self.folder.path().display().to_string());
        assert!(left.is_empty(), "processes are left: {left:?}");
        for entry in std::fs::read_dir(self.folder.path().join("tmp")).expect("a folder").flatten()
        {
            let runs = std::fs::read_dir(entry.path()).expect("a folder").count();
            assert_eq!(runs, 0, "{} is not empty", entry.path().display());
        }
    }

    /// A file that is to be replaced is as it was.
    pub(crate) fn assert_old(&self) {
        if self.replace && self.to != To::Component {
            assert_eq!(self.folder.read(&format!("out/{}.jsonl", self.stream())), OLD);
        }
    }

    /// The same sync without the fault succeeds, delivers every row and leaves nothing but files
    /// of rows.
    pub(crate) fn assert_recovers(&self) {
        let outcome = self.sync(&json!({}), &json!({}), "json");
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        self.assert_nothing_left();
        if self.to == To::Component {
            return;
        }
        let ids = self.ids();
        let all: BTreeSet<u64> = (0..ROWS).collect();
        if self.replace {
            assert_eq!(ids, all.into_iter().collect::<Vec<_>>());
        } else {
            assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), all);
        }
        let file = format!("{}.jsonl", self.stream());
        let files = std::fs::read_dir(self.out()).expect("a folder").flatten();
        for name in files.map(|f| f.file_name().to_string_lossy().into_owned()) {
            assert!(name == file || name == "acks.log", "{name} is left");
        }
        assert_eq!(self.stored(), [(self.stream().to_owned(), ROWS)]);
    }
}

fn merged(mut base: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().expect("an object") {
        base[name] = value.clone();
    }
    base
}

/// The last place of each stream: `at` of `source.py`, `next` of `misbehaving-source`.
fn places(states: &[Value]) -> Vec<(String, u64)> {
    let mut places: Vec<(String, u64)> = Vec::new();
    for state in states {
        let part = &state["stream"];
        let name = part["stream_descriptor"]["name"].as_str().expect("a name").to_owned();
        let place = &part["stream_state"];
        let at = place["at"].as_u64().or(place["next"].as_u64()).expect("a place");
        places.retain(|(known, _)| *known != name);
        places.push((name, at));
    }
    places
}

/// The processes with `marker` in their arguments. Those that have ended and wait to be reaped have
/// none.
pub(crate) fn processes(marker: &str) -> Vec<(i32, String)> {
    let numbered = |path: &Path| path.file_name()?.to_str()?.parse::<i32>().ok();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = numbered(&entry.path()) else { continue };
        let Ok(arguments) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if arguments.contains(marker) && pid != std::process::id().cast_signed() {
            found.push((pid, arguments));
        }
    }
    found
}
