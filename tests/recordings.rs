//! Recordings of real connectors, replayed through the real binary: `tests/recordings/README.md`.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
mod peers;

use std::path::PathBuf;

use common::{Folder, fixture, guest};
use peers::{Outcome, connector, last_states, messages, rows_of, streams_of};
use serde_json::{Value, json};

/// A file of a recording.
fn recorded(name: &str, file: &str) -> String {
    let path = fixture("recordings").join(name).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A connector that replays a recording, with options of `replay.py`.
fn replay(folder: &Folder, recording: &str, options: &[&str]) -> String {
    let recordings = fixture("recordings").join(recording).display().to_string();
    let mut arguments = vec![recordings.as_str()];
    arguments.extend(options);
    connector(folder, recording, &fixture("connectors/replay.py"), &arguments)
}

/// The body of the first message of a type.
fn body(recording: &str, file: &str, kind: &str, member: &str) -> Value {
    let found = messages(&recorded(recording, file), kind);
    found.into_iter().next().unwrap_or_else(|| panic!("{recording}/{file} has a {kind}"))[member]
        .take()
}

/// Syncs a recorded source into files under `out`.
fn sync(folder: &Folder, source: &str, config: &str, more: &[&str]) -> Outcome {
    std::fs::create_dir_all(folder.path().join("out")).expect("a folder");
    let destination = guest("destination-jsonl").display().to_string();
    let mut arguments = vec!["sync", "--source", source, "--source-config", config];
    arguments.extend(["--destination", &destination, "--destination-config", r#"{"path":"/out"}"#]);
    arguments.extend(["--destination-allow-dir", "out::/out", "--connection", "c"]);
    arguments.extend(more);
    Outcome::of(folder, &arguments)
}

fn states(folder: &Folder) -> Vec<Value> {
    let shown = Outcome::of(folder, &["state", "show", "c"]).good();
    shown.as_array().expect("an array of states").clone()
}

/// The states a recording ends with, for some of its streams.
fn recorded_states(read: &str, streams: &[&str]) -> std::collections::BTreeMap<String, Value> {
    let all: Vec<Value> =
        messages(read, "STATE").into_iter().map(|mut m| m["state"].take()).collect();
    let mut last = last_states(&all);
    last.retain(|name, _| streams.contains(&name.as_str()));
    last
}

#[track_caller]
fn assert_rows(folder: &Folder, read: &str, stream: &str) {
    let sent = rows_of(read, stream);
    assert!(!sent.is_empty(), "the recording has rows of {stream}");
    assert!(folder.rows(&format!("out/{stream}.jsonl")) == sent, "the rows of {stream} differ");
}

/// null and absent are the same to the protocol.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn specifications_are_found_behind_logs_and_kept_whole() {
    let recordings = ["faker", "hardcoded", "file-csv", "file-jsonl", "sdm", "sdm-cdk7", "pokeapi"];
    for name in recordings.into_iter().chain(["github", "dest-ailake", "dest-pgvector"]) {
        let folder = Folder::new();
        let spec = Outcome::of(&folder, &["spec", &replay(&folder, name, &[])]).good();
        assert_eq!(spec, without_nulls(&body(name, "spec.jsonl", "SPEC", "spec")), "{name}");
    }
}

#[test]
fn checks_that_succeed() {
    for name in [
        "faker",
        "hardcoded",
        "file-csv",
        "file-jsonl",
        "sdm",
        "sdm-cdk7",
        "dest-ailake",
        "dest-pgvector",
    ] {
        let folder = Folder::new();
        let config = recorded(name, "config.json");
        let source = replay(&folder, name, &[&format!("log={}", folder.path().display())]);
        let checked = Outcome::of(&folder, &["check", &source, "--config", &config]).good();
        assert_eq!(checked["status"], "succeeded", "{name}");
        let given: Value = serde_json::from_str(&folder.read("check.config.json")).expect("JSON");
        assert_eq!(given, serde_json::from_str::<Value>(&config).expect("JSON"), "{name}");
    }
}

#[test]
fn checks_that_fail_say_why_although_the_connector_exits_0() {
    for (name, said) in [
        ("github", "Exhausted available request attempts"),
        ("pokeapi", "Unable to connect to stream pokemon"),
    ] {
        let folder = Folder::new();
        let config = recorded(name, "config.json");
        let source = replay(&folder, name, &[]);
        let (message, _) = Outcome::of(&folder, &["check", &source, "--config", &config]).bad(1);
        assert!(message.starts_with("CONNECTOR_CONFIG: "), "{message}");
        assert!(message.contains(said), "{message}");
        // A sync ends there too, before anything is written.
        let (message, _) = sync(&folder, &source, &config, &[]).bad(1);
        assert!(message.starts_with("CONNECTOR_CONFIG: ") && message.contains(said), "{message}");
    }
}

#[test]
fn a_wrong_configuration_is_named_by_us_and_by_the_connector() {
    let folder = Folder::new();
    let wrong = recorded("faker-edge", "badconfig.json");
    let source = replay(&folder, "faker-edge", &["spec=../faker/spec", "check=badconfig_check"]);
    let (message, _) = Outcome::of(&folder, &["check", &source, "--config", &wrong]).bad(2);
    assert!(message.starts_with("CONFIG_INVALID: ") && message.contains("count"), "{message}");
    let (message, _) = Outcome::of(&folder, &["check", &source, "--config", "{}"]).bad(1);
    let said = "Config validation error: 'x' is not of type 'integer'";
    assert!(message.starts_with("CONNECTOR_CONFIG: ") && message.contains(said), "{message}");
}

#[test]
fn catalogs_are_found_behind_logs_and_kept_whole() {
    for name in ["faker", "hardcoded", "file-csv", "file-jsonl", "sdm", "sdm-cdk7", "pokeapi"] {
        let folder = Folder::new();
        let (source, config) = (replay(&folder, name, &[]), recorded(name, "config.json"));
        let found = Outcome::of(&folder, &["discover", &source, "--config", &config]).good();
        let sent = body(name, "discover.jsonl", "CATALOG", "catalog");
        let (found, sent) = (found["streams"].as_array(), sent["streams"].as_array());
        let (found, sent) = (found.expect("streams"), sent.expect("streams"));
        assert_eq!(found.len(), sent.len(), "{name}");
        for (found, sent) in found.iter().zip(sent) {
            for (member, value) in without_nulls(sent).as_object().expect("a stream") {
                assert_eq!(&found[member], value, "{name}: {member}");
            }
        }
    }
}

#[test]
fn reads_arrive_whole_and_in_order_with_their_states() {
    for name in ["faker", "hardcoded", "file-csv", "file-jsonl"] {
        let folder = Folder::new();
        let read = recorded(name, "read.jsonl");
        let source = replay(&folder, name, &[&format!("log={}", folder.path().display())]);
        let report = sync(&folder, &source, &recorded(name, "config.json"), &[]).good();
        let streams = streams_of(&read);
        for stream in &streams {
            assert_rows(&folder, &read, stream);
        }
        let sent = messages(&read, "RECORD").len();
        assert_eq!(report["status"], "succeeded", "{name}");
        assert_eq!(report["records_emitted"], sent, "{name}");
        assert_eq!(report["records_committed"], sent, "{name}");
        let checkpoints = messages(&read, "STATE").len();
        assert_eq!(report["checkpoints_committed"], checkpoints, "{name}");
        let names: Vec<&str> = streams.iter().map(String::as_str).collect();
        assert_eq!(last_states(&states(&folder)), recorded_states(&read, &names), "{name}");
        assert_eq!(checkpoints == 0, name.starts_with("file-"), "source-file sends no state");
        assert_catalog(&folder, name);
    }
}

/// The catalog the source was given asks for what the recorded one asked for.
#[track_caller]
fn assert_catalog(folder: &Folder, name: &str) {
    let given: Value = serde_json::from_str(&folder.read("read.catalog.json")).expect("JSON");
    let recorded: Value = serde_json::from_str(&recorded(name, "catalog.json")).expect("JSON");
    let asked = |catalog: &Value| -> Vec<(Value, Value, Value)> {
        let streams = catalog["streams"].as_array().expect("streams").iter();
        streams
            .map(|s| {
                let schema = s["stream"]["json_schema"].clone();
                (s["stream"]["name"].clone(), s["sync_mode"].clone(), schema)
            })
            .collect()
    };
    let mut recorded = asked(&recorded);
    recorded.sort_by_key(|(name, ..)| name.to_string());
    let mut given = asked(&given);
    given.sort_by_key(|(name, ..)| name.to_string());
    assert_eq!(given, recorded, "{name}");
}

#[test]
fn a_second_read_goes_on_from_the_states_and_finds_nothing_new() {
    let folder = Folder::new();
    let options = ["spec=../faker/spec", "check=../faker/check", "discover=../faker/discover"];
    let log = format!("log={}", folder.path().display());
    let options = [&options[..], &["read=read_with_state", &log]].concat();
    let source = replay(&folder, "faker-edge", &options);
    let before: Value = serde_json::from_str(&recorded("faker-edge", "state.json")).expect("JSON");
    folder.write("before.json", &before.to_string());
    assert_eq!(Outcome::of(&folder, &["state", "set", "c", "before.json"]).code, 0);

    let report = sync(&folder, &source, &recorded("faker", "config.json"), &[]).good();
    assert_eq!(report["resumed"], true);
    assert_eq!(report["records_emitted"], 0);
    assert_eq!(report["checkpoints_committed"], 3);
    let given: Value = serde_json::from_str(&folder.read("read.state.json")).expect("JSON");
    let given = given.as_array().expect("an array");
    let before = last_states(before.as_array().expect("an array"));
    assert_eq!(last_states(given), before);
    assert_eq!(last_states(&states(&folder)), before);
}

#[test]
fn one_failed_stream_fails_the_sync_and_keeps_what_the_others_committed() {
    for name in ["sdm", "sdm-cdk7"] {
        let folder = Folder::new();
        let (source, read) = (replay(&folder, name, &[]), recorded(name, "read.jsonl"));
        folder.write("out/items_full.jsonl", "{\"old\":1}\n");
        let outcome = sync(&folder, &source, &recorded(name, "config.json"), &[]);
        let report = outcome.result.clone();
        let (message, _) = outcome.bad(1);
        // The first TRACE ERROR says more than the summary after it and the exit code.
        let first = &messages(&read, "TRACE");
        let first = first.iter().find(|m| m["trace"]["type"] == "ERROR").expect("an error");
        let said = first["trace"]["error"]["message"].as_str().expect("a message");
        assert!(message.contains(said), "{name}: {message}");
        assert!(message.contains("source"), "{name}: {message}");

        assert_eq!(report["status"], "failed", "{name}");
        let status = |stream: &str| {
            let streams = report["streams"].as_array().expect("streams");
            streams.iter().find(|s| s["name"] == stream).expect("the stream")["status"].clone()
        };
        assert_eq!(status("items"), "complete", "{name}");
        assert_eq!(status("missing"), "incomplete", "{name}");
        // Appended rows stay and their state is stored; a replacement does not take place.
        assert_rows(&folder, &read, "items");
        assert_eq!(folder.read("out/items_full.jsonl"), "{\"old\":1}\n", "{name}");
        let stored = last_states(&states(&folder));
        assert_eq!(stored, recorded_states(&read, &["items"]), "{name}");
    }
}

#[test]
fn a_read_that_fails_fails_the_sync() {
    let folder = Folder::new();
    let source = replay(&folder, "pokeapi", &["check=../hardcoded/check"]);
    let (message, error) = sync(&folder, &source, &recorded("pokeapi", "config.json"), &[]).bad(1);
    assert!(message.contains("Something went wrong in the connector"), "{message}");
    let detail = error["context"]["detail"].as_str().expect("the internal message");
    assert!(detail.contains("Failed to resolve 'pokeapi.co'"), "{detail}");
    assert_eq!(states(&folder), Vec::<Value>::new());
}

#[test]
fn exit_code_0_with_a_stream_incomplete_is_a_failure() {
    let folder = Folder::new();
    let catalog: Value =
        serde_json::from_str(&recorded("faker-edge", "badcatalog.json")).expect("JSON");
    let streams: Vec<&Value> =
        catalog["streams"].as_array().expect("streams").iter().map(|s| &s["stream"]).collect();
    let offer = json!({"type": "CATALOG", "catalog": {"streams": streams}}).to_string() + "\n";
    let offer: PathBuf = folder.write("offer.jsonl", &offer).with_extension("");
    let offer = format!("discover={}", offer.display());
    let options = ["spec=../faker/spec", "check=../faker/check", &offer, "read=badcatalog_read"];
    let source = replay(&folder, "faker-edge", &options);
    let (message, _) = sync(&folder, &source, "{}", &[]).bad(1);
    assert!(message.contains("could not read the stream to its end"), "{message}");
    assert!(message.contains("nope"), "{message}");
}

#[test]
fn a_connector_that_dies_without_a_word_of_the_protocol_is_quoted() {
    for (name, spec, code, said) in [
        ("dest-glassflow", "spec", 1, "ImportError: cannot import name 'PipelineDataSink'"),
        ("faker-edge", "unknown_cmd", 2, "invalid choice: 'frobnicate'"),
        ("faker-edge", "missing_arg", 2, "the following arguments are required: --catalog"),
    ] {
        let folder = Folder::new();
        let connector = replay(&folder, name, &[&format!("spec={spec}")]);
        let (message, error) = Outcome::of(&folder, &["spec", &connector]).bad(1);
        assert!(message.starts_with("CONNECTOR_EXIT: "), "{message}");
        assert!(message.contains(&format!("exited with code {code}")), "{message}");
        let stderr = error["context"]["stderr"].as_str().expect("its stderr");
        assert!(stderr.contains(said), "{stderr}");
    }
}

/// Syncs the rows a recorded destination was given into its replay.
fn write(folder: &Folder, recording: &str, file: &str, strategy: &str) -> Outcome {
    let source = connector(folder, "docs", &fixture("connectors/docs_source.py"), &[]);
    let destination = replay(folder, recording, &[&format!("write={file}")]);
    let config = recorded(recording, "config.json");
    let arguments = ["sync", "--source", &source, "--destination", &destination];
    let more = ["--destination-config", &config, "--connection", "c", "--strategy", strategy];
    Outcome::of(folder, &[&arguments[..], &more[..]].concat())
}

#[test]
fn echoes_without_numbers_commit() {
    for (file, strategy) in [
        ("write_append", "append"),
        ("write_overwrite", "replace"),
        ("write_garbage", "append"),
        ("write_incomplete", "append"),
        ("write_dedup", "auto"),
    ] {
        let folder = Folder::new();
        let report = write(&folder, "dest-ailake", file, strategy).good();
        assert_eq!(report["records_committed"], 500, "{file}");
        assert_eq!(report["checkpoints_committed"], 5, "{file}");
        let stored = last_states(&states(&folder));
        assert_eq!(stored, [("docs".to_owned(), json!({"c": 499}))].into(), "{file}");
    }
}

#[test]
fn a_mode_the_destination_does_not_have_is_refused() {
    let folder = Folder::new();
    let (message, _) = write(&folder, "dest-ailake", "write_dedup", "merge").bad(2);
    assert!(message.starts_with("MODE_UNSUPPORTED: "), "{message}");
}

#[test]
fn a_destination_that_fails_in_its_input_fails_the_sync() {
    for (file, strategy) in [("write_append", "append"), ("write_dedup", "merge")] {
        let folder = Folder::new();
        let outcome = write(&folder, "dest-pgvector", file, strategy);
        let report = outcome.result.clone();
        let (message, error) = outcome.bad(1);
        assert!(message.contains("destination"), "{message}");
        assert!(message.contains("Something went wrong in the connector"), "{message}");
        let detail = error["context"]["detail"].as_str().expect("the internal message");
        assert!(detail.contains("Max retries exceeded with url: /gpt-2/"), "{detail}");
        assert_eq!(report["records_committed"], 0);
        assert_eq!(states(&folder), Vec::<Value>::new());
    }
}

#[test]
fn a_destination_that_says_nothing_but_warnings_fails_the_sync() {
    for (file, strategy) in [("write_garbage", "append"), ("write_overwrite", "replace")] {
        let folder = Folder::new();
        let (message, _) = write(&folder, "dest-pgvector", file, strategy).bad(1);
        assert!(message.starts_with("DESTINATION_FAILED: "), "{message}");
        // Which is seen first depends on how fast it ends.
        let seen = ["before it had read all its input", "without acknowledging"];
        assert!(seen.iter().any(|words| message.contains(words)), "{message}");
        assert_eq!(states(&folder), Vec::<Value>::new());
    }
}
