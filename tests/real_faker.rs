//! The main job with a connector that nobody here wrote: Airbyte's source-faker from the Python
//! package index, into a sandboxed destination-jsonl.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
mod peers;

use common::{Folder, fixture, guest};
use peers::{Outcome, connector, installed, last_states, messages, rows_of, streams_of};
use serde_json::{Value, json};

/// source-faker, with copies of its output and of the files it is given under `seen`.
fn faker(folder: &Folder) -> String {
    let seen = folder.path().join("seen");
    std::fs::create_dir_all(&seen).expect("a folder");
    let program = installed("faker", "source-faker").display().to_string();
    let seen = seen.display().to_string();
    connector(folder, "faker", &fixture("connectors/tee.py"), &[&seen, &program])
}

fn sync(folder: &Folder, source: &str, config: &Value) -> Value {
    std::fs::create_dir_all(folder.path().join("out")).expect("a folder");
    let (config, destination) =
        (config.to_string(), guest("destination-jsonl").display().to_string());
    let source = ["sync", "--source", source, "--source-config", &config];
    let destination = ["--destination", &destination, "--destination-config", r#"{"path":"/out"}"#];
    let grant = ["--destination-allow-dir", "out::/out"];
    Outcome::of(folder, &[&source[..], &destination[..], &grant[..]].concat()).good()
}

fn stored(folder: &Folder, report: &Value) -> Vec<Value> {
    let connection = report["connection"].as_str().expect("a name");
    let shown = Outcome::of(folder, &["state", "show", connection]).good();
    shown.as_array().expect("an array").clone()
}

fn parsed(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(&folder.read(name)).expect("JSON")
}

/// The states of some output, as they came.
fn states_in(lines: &str) -> Vec<Value> {
    messages(lines, "STATE").into_iter().map(|mut m| m["state"].take()).collect()
}

#[test]
fn faker_arrives_as_it_was_printed_and_a_second_sync_goes_on() {
    let folder = Folder::new();
    let source = faker(&folder);
    let config = json!({"count": 5000});

    let report = sync(&folder, &source, &config);
    let printed = folder.read("seen/read.1.jsonl");
    assert_eq!(parsed(&folder, "seen/read.1.config.json"), config);
    let mut streams = streams_of(&printed);
    streams.sort();
    assert_eq!(streams, ["products", "purchases", "users"]);
    for stream in &streams {
        let rows = rows_of(&printed, stream);
        assert!(rows.len() == if stream == "products" { 100 } else { 5000 }, "{stream}");
        assert!(folder.rows(&format!("out/{stream}.jsonl")) == rows, "the rows of {stream} differ");
    }
    let catalog = parsed(&folder, "seen/read.1.catalog.json");
    for stream in catalog["streams"].as_array().expect("streams") {
        assert_eq!(stream["sync_mode"], "incremental");
        assert_eq!(stream["cursor_field"], json!(["updated_at"]));
        assert_eq!(stream["destination_sync_mode"], "append");
    }
    assert!(!folder.path().join("seen/read.1.state.json").exists(), "a first read has no state");

    assert_eq!(report["status"], "succeeded");
    assert_eq!(report["resumed"], false);
    assert_eq!(report["records_emitted"], 10_100);
    assert_eq!(report["records_committed"], 10_100);
    let states = states_in(&printed);
    assert!(states.len() > 3, "faker makes checkpoints on its way");
    assert_eq!(report["checkpoints_emitted"], states.len());
    assert_eq!(report["checkpoints_committed"], states.len());
    for stream in report["streams"].as_array().expect("streams") {
        assert_eq!(stream["status"], "complete");
        assert_eq!(stream["records_emitted"], stream["records_committed"]);
        assert_eq!(stream["records_rejected"], 0);
    }
    let committed = stored(&folder, &report);
    assert_eq!(last_states(&committed), last_states(&states));

    // This configuration makes faker send every record again; what it was given is what counts.
    let report = sync(&folder, &source, &config);
    assert_eq!(report["resumed"], true);
    let given = parsed(&folder, "seen/read.2.state.json");
    assert_eq!(given.as_array().expect("an array of states"), &committed);
    let again = folder.read("seen/read.2.jsonl");
    for stream in &streams {
        let both = [rows_of(&printed, stream), rows_of(&again, stream)].concat();
        assert!(folder.rows(&format!("out/{stream}.jsonl")) == both, "the rows of {stream} differ");
    }
    assert_eq!(last_states(&stored(&folder, &report)), last_states(&states_in(&again)));
}

#[test]
fn a_second_sync_of_unchanged_data_moves_nothing() {
    let folder = Folder::new();
    let source = faker(&folder);
    let config = json!({"count": 200, "seed": 7, "parallelism": 1, "always_updated": false});
    let report = sync(&folder, &source, &config);
    assert_eq!(report["records_committed"], 500);
    let committed = last_states(&stored(&folder, &report));
    assert_eq!(committed.len(), 3);
    let before = folder.read("out/users.jsonl");

    let report = sync(&folder, &source, &config);
    assert_eq!(report["resumed"], true);
    assert_eq!(report["records_emitted"], 0);
    assert_eq!(report["checkpoints_committed"], 3);
    let given = parsed(&folder, "seen/read.2.state.json");
    assert_eq!(last_states(given.as_array().expect("an array")), committed);
    assert_eq!(last_states(&stored(&folder, &report)), committed);
    assert_eq!(folder.read("out/users.jsonl"), before);
}
