//! A folder with a source whose tables are a file, and a destination that writes files.

use std::ops::Range;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::common::{Folder, fixture, guest, process_grants, target};
use crate::peers::{Outcome, connector};

pub(crate) struct World {
    pub(crate) folder: Folder,
    source: String,
}

/// A stream with these rows.
pub(crate) fn stream(name: &str, rows: &[String]) -> Value {
    json!({ "name": name, "rows": rows })
}

/// A stream with a row a number.
pub(crate) fn numbered(name: &str, ids: Range<u64>) -> Value {
    let rows: Vec<String> = ids.map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    stream(name, &rows)
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.path().join("out")).expect("a folder");
        let tables = folder.path().join("tables.json").display().to_string();
        let script = fixture("connectors/table_source.py");
        let source = connector(&folder, "source", &script, &[&tables]);
        Self { folder, source }
    }

    /// What the source has.
    pub(crate) fn tables(&self, tables: Value) {
        self.folder.write("tables.json", &tables.to_string());
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Syncs into files.
    pub(crate) fn sync(&self, arguments: &[&str]) -> Outcome {
        self.sync_from(&["--source", &self.source], arguments)
    }

    /// The same from another source.
    pub(crate) fn sync_from(&self, source: &[&str], arguments: &[&str]) -> Outcome {
        let jsonl = guest("destination-jsonl").display().to_string();
        self.run(&[source, &Self::files(&jsonl), arguments].concat())
    }

    /// The same into another destination.
    pub(crate) fn sync_with(&self, destination: &[&str], arguments: &[&str]) -> Outcome {
        self.run(&[&["--source", &self.source], destination, arguments].concat())
    }

    /// Syncs into a process that keeps what it is given in `received`.
    pub(crate) fn sync_to_recorder(&self, arguments: &[&str]) -> Outcome {
        let here = self.folder.path().display().to_string();
        let script = fixture("connectors/recorder.py");
        let recorder = connector(&self.folder, "recorder", &script, &[&here]);
        self.sync_with(&["--destination", &recorder], arguments)
    }

    fn files(jsonl: &str) -> [&str; 6] {
        [
            "--destination",
            jsonl,
            "--destination-config",
            r#"{"path":"/out"}"#,
            "--destination-allow-dir",
            "out::/out",
        ]
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let named = arguments.contains(&"--connection");
        let connection: &[&str] = if named { &[] } else { &["--connection", "c"] };
        Outcome::of(&self.folder, &[&["sync"], connection, arguments].concat())
    }

    /// Begins a sync into files.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let jsonl = guest("destination-jsonl").display().to_string();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lockgate"));
        command.current_dir(self.folder.path());
        command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
        command.args(["sync", "--connection", "c", "--source", &self.source]);
        command.args(process_grants("source-", self.folder.path()));
        command.args(Self::files(&jsonl)).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("lockgate starts")
    }

    /// The numbers in a stream's file.
    pub(crate) fn ids(&self, name: &str) -> Vec<u64> {
        let rows = self.folder.rows(&format!("out/{name}.jsonl"));
        rows.iter().map(|row| row["id"].as_u64().expect("a number")).collect()
    }

    /// The stored states, as text.
    pub(crate) fn stored(&self) -> String {
        let output = self.folder.lockgate().args(["state", "show", "c"]).output();
        String::from_utf8(output.expect("lockgate runs").stdout).expect("text")
    }
}
