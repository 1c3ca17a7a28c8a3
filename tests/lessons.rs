//! What others' hosts get wrong, each a test: a sync that says it succeeded and did not, states that
//! are lost or leak, values that change on their way through a cache, old rows that stay, lines that
//! disappear. The real binary, between a source that prints what it is told to and destinations that
//! keep what they get.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
mod peers;

use common::{Folder, fixture, guest};
use peers::{Outcome, connector, messages};
use serde_json::{Value, json};

/// A source that prints what it is told to, and where its rows go.
struct Scene {
    folder: Folder,
    streams: Vec<Value>,
    /// More arguments of `sync`.
    arguments: Vec<String>,
}

fn stream(name: &str) -> Value {
    json!({
        "name": name,
        "json_schema": {"type": "object", "properties": {
            "id": {"type": "integer"}, "n": {"type": "number"},
            "at": {"type": "string", "format": "date-time"},
        }},
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_cursor": true,
    })
}

fn record(stream: &str, data: &str) -> String {
    let head = format!(r#"{{"type":"RECORD","record":{{"stream":"{stream}","data":{data}"#);
    head + r#","emitted_at":1700000000123}}"# + "\n"
}

fn state(stream: &str, at: u64) -> String {
    format!(
        r#"{{"type":"STATE","state":{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"{stream}"}},"stream_state":{{"at":{at}}}}}}}}}"#
    ) + "\n"
}

fn global(lsn: u64, parts: &[&str]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|name| {
            format!(r#"{{"stream_descriptor":{{"name":"{name}"}},"stream_state":{{"lsn":{lsn}}}}}"#)
        })
        .collect();
    format!(
        r#"{{"type":"STATE","state":{{"type":"GLOBAL","global":{{"shared_state":{{"lsn":{lsn}}},"stream_states":[{}]}}}}}}"#,
        parts.join(",")
    ) + "\n"
}

fn complete(stream: &str) -> String {
    format!(
        r#"{{"type":"TRACE","trace":{{"type":"STREAM_STATUS","emitted_at":1,"stream_status":{{"stream_descriptor":{{"name":"{stream}"}},"status":"COMPLETE"}}}}}}"#
    ) + "\n"
}

impl Scene {
    fn new(streams: &[Value]) -> Self {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path().join("out")).expect("a folder");
        Self { folder, streams: streams.to_vec(), arguments: Vec::new() }
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|a| (*a).to_owned()));
        self
    }

    /// What the source prints from now on, and the code it exits with.
    fn prints(&self, read: &str, code: u8) {
        let catalog = json!({"type": "CATALOG", "catalog": {"streams": self.streams}});
        let spec = json!({"type": "SPEC", "spec": {"connectionSpecification": {"type": "object"}}});
        let status =
            json!({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}});
        self.folder.write("source.d/spec.jsonl", &spec.to_string());
        self.folder.write("source.d/check.jsonl", &status.to_string());
        self.folder.write("source.d/discover.jsonl", &catalog.to_string());
        self.folder.write("source.d/read.jsonl", read);
        self.folder.write("source.d/read.exit", &code.to_string());
    }

    fn source(&self) -> String {
        let here = self.folder.path().display().to_string();
        let (played, log) = (format!("{here}/source.d"), format!("log={here}"));
        connector(&self.folder, "source", &fixture("connectors/replay.py"), &[&played, &log])
    }

    fn sync(&self, destination: &[&str]) -> Outcome {
        let source = self.source();
        let mut arguments = vec!["sync", "--connection", "c", "--source", &source];
        arguments.extend(destination);
        arguments.extend(self.arguments.iter().map(String::as_str));
        Outcome::of(&self.folder, &arguments)
    }

    /// Into files, by a component.
    fn to_files(&self) -> Outcome {
        let component = guest("destination-jsonl").display().to_string();
        self.sync(&[
            "--destination",
            &component,
            "--destination-config",
            r#"{"path":"/out"}"#,
            "--destination-allow-dir",
            "out::/out",
        ])
    }

    /// Into a process that keeps its input as it came.
    fn to_recorder(&self) -> Outcome {
        let here = self.folder.path().display().to_string();
        let process =
            connector(&self.folder, "recorder", &fixture("connectors/recorder.py"), &[&here]);
        self.sync(&["--destination", &process])
    }

    /// Into a process with a fault.
    fn to_faulty(&self, mode: &str, after: u64) -> Outcome {
        let script = fixture("connectors/destination.py");
        let process = connector(&self.folder, "destination", &script, &[]);
        let path = self.folder.path().join("out");
        let config = json!({"mode": mode, "path": path, "after": after}).to_string();
        self.sync(&["--destination", &process, "--destination-config", &config])
    }

    fn rows(&self, stream: &str) -> Vec<Value> {
        self.folder.rows(&format!("out/{stream}.jsonl"))
    }

    fn lines(&self, stream: &str) -> Vec<String> {
        self.folder.read(&format!("out/{stream}.jsonl")).lines().map(str::to_owned).collect()
    }

    fn received(&self) -> String {
        self.folder.read("received")
    }

    /// The stored states.
    fn stored(&self) -> Value {
        let output = self.folder.lockgate().args(["state", "show", "c"]).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The state file that the source was given last; null where it got none.
    fn given(&self) -> Value {
        serde_json::from_str(&self.folder.read("read.state.json")).unwrap_or(Value::Null)
    }
}

fn ids(range: std::ops::Range<u64>) -> String {
    range.map(|id| record("s", &format!(r#"{{"id":{id}}}"#))).collect()
}

/// Twenty rows with a state each five.
fn twenty() -> String {
    let fives = (0..4).map(|five| ids(five * 5..five * 5 + 5) + &state("s", five * 5 + 5));
    fives.collect::<String>() + &complete("s")
}

const CACHED: [&str; 2] = ["--cache", "default"];

// ---- success that is none -------------------------------------------------------------------

#[test]
fn a_destination_that_tells_of_an_error_and_exits_with_0_has_failed() {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&twenty(), 0);
    let (error, _) = scene.to_faulty("trace-error", 7).bad(1);
    assert!(error.starts_with("DESTINATION_FAILED") && error.contains("read-only"), "{error}");
}

#[test]
fn a_destination_that_exits_with_0_before_its_input_ended_has_failed() {
    let scene = Scene::new(&[stream("s")]);
    let many: String = (0..4000).map(|five| ids(five * 5..five * 5 + 5)).collect();
    scene.prints(&(many + &state("s", 20_000) + &complete("s")), 0);
    let outcome = scene.to_faulty("exit-0", 7);
    assert_eq!(outcome.result["records_committed"], 0);
    assert!(outcome.bad(1).0.starts_with("DESTINATION_FAILED"));
}

#[test]
fn a_destination_that_is_ended_by_a_signal_has_failed() {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&twenty(), 0);
    let script = scene.folder.write(
        "terminated.py",
        "import os,signal,sys\n\
         if 'spec' in sys.argv: print('{\"type\":\"SPEC\",\"spec\":{\"connectionSpecification\":{},\"supported_destination_sync_modes\":[\"append\"]}}')\n\
         elif 'check' in sys.argv: print('{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"SUCCEEDED\"}}')\n\
         else:\n    sys.stdin.readline()\n    os.kill(os.getpid(), signal.SIGTERM)\n",
    );
    let process = connector(&scene.folder, "terminated", &script, &[]);
    assert!(scene.sync(&["--destination", &process]).bad(1).0.starts_with("DESTINATION_FAILED"));
}

#[test]
fn a_destination_that_confirms_nothing_has_failed() {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&twenty(), 0);
    let outcome = scene.to_faulty("never-ack", 1000);
    assert!(outcome.bad(1).0.starts_with("DESTINATION_FAILED"));
    assert_eq!(scene.stored(), json!([]));
}

#[test]
fn what_is_counted_is_what_is_confirmed() {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&twenty(), 0);
    let outcome = scene.to_faulty("no-last-ack", 1000);
    let report = &outcome.result;
    assert_eq!(report["records_emitted"], 20);
    assert!(report["records_committed"].as_u64().expect("a number") < 20, "{report}");
}

#[test]
fn a_source_that_crashes_is_to_blame_and_does_not_look_finished() {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&(ids(0..5) + &state("s", 5) + &ids(5..8)), 1);
    let (error, _) = scene.to_recorder().bad(1);
    assert!(error.starts_with("SOURCE_FAILED"), "{error}");
    let statuses = messages(&scene.received(), "TRACE");
    let ended = |word: &str| statuses.iter().any(|m| m["trace"]["stream_status"]["status"] == word);
    assert!(!ended("COMPLETE"), "{statuses:?}");
}

#[test]
fn a_source_that_crashes_replaces_nothing() {
    for cache in [&[][..], &CACHED] {
        let scene = Scene::new(&[stream("s")]).with(&["--strategy", "replace"]).with(cache);
        scene.prints(&twenty(), 0);
        scene.to_files().good();
        scene.prints(&ids(0..3), 1);
        assert!(scene.to_files().bad(1).0.starts_with("SOURCE_FAILED"));
        assert_eq!(scene.rows("s").len(), 20, "{cache:?}");
    }
}

#[test]
fn a_source_that_tells_of_an_error_and_exits_with_0_has_failed() {
    let scene = Scene::new(&[stream("s")]);
    let error = r#"{"type":"TRACE","trace":{"type":"ERROR","emitted_at":1,"error":{"message":"the table is gone"}}}"#;
    scene.prints(&(ids(0..3) + error + "\n" + &complete("s")), 0);
    let (error, _) = scene.to_files().bad(1);
    assert!(error.starts_with("SOURCE_FAILED") && error.contains("the table is gone"), "{error}");
}

#[test]
fn a_source_that_never_says_that_a_stream_is_complete_has_failed() {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&ids(0..3), 0);
    assert!(scene.to_files().bad(1).0.starts_with("SOURCE_FAILED"));
}

// ---- lines ----------------------------------------------------------------------------------

/// A line amid rows: the sync fails, or the row arrives.
fn amid(line: &str) -> (Scene, Outcome) {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&(ids(0..2) + line + "\n" + &ids(2..4) + &complete("s")), 0);
    let outcome = scene.to_files();
    (scene, outcome)
}

#[test]
fn a_record_with_a_fraction_of_a_millisecond_arrives_or_fails_the_sync() {
    let line = r#"{"type":"RECORD","record":{"stream":"s","data":{"id":7},"emitted_at":1.5}}"#;
    let (scene, outcome) = amid(line);
    match outcome.code {
        0 => assert_eq!(scene.rows("s").len(), 5),
        _ => assert!(outcome.bad(1).0.starts_with("SOURCE_FAILED")),
    }
}

#[test]
fn a_record_with_a_lone_surrogate_arrives_as_it_is() {
    let line = record("s", r#"{"id":7,"t":"\ud800"}"#);
    let (scene, outcome) = amid(line.trim_end());
    outcome.good();
    assert_eq!(scene.lines("s")[2], r#"{"id":7,"t":"\ud800"}"#);
}

#[test]
fn a_garbled_record_fails_the_sync() {
    let (_, outcome) = amid(r#"{"type":"RECORD","record":{"stream":"s","data":{"id":"#);
    assert!(outcome.bad(1).0.starts_with("SOURCE_FAILED"));
}

#[test]
fn a_line_of_an_unknown_type_is_logged_and_costs_no_row() {
    let (scene, outcome) = amid(r#"{"type":"WEATHER","weather":"fine"}"#);
    outcome.good();
    assert_eq!(scene.rows("s").len(), 4);
}

#[test]
fn numbers_that_are_no_doubles_arrive_as_they_are() {
    for cache in [&[][..], &CACHED] {
        let scene = Scene::new(&[stream("s")]).with(cache);
        let rows = [
            r#"{"n":1e400}"#,
            r#"{"n":50000.0000000000000001}"#,
            r#"{"n":0.14285714285714285}"#,
            r#"{"id":99999999999999999999999999999999}"#,
            r#"{"at":"2024-05-06T07:08:09+05:30"}"#,
            r#"{"b":1,"A-b":2,"undeclared":{"x":[1.10]}}"#,
        ];
        let text: String = rows.iter().map(|row| record("s", row)).collect();
        scene.prints(&(text + &state("s", 1) + &complete("s")), 0);
        scene.to_files().good();
        assert_eq!(scene.lines("s"), rows, "{cache:?}");
    }
}

// ---- states ---------------------------------------------------------------------------------

#[test]
fn a_global_state_is_kept_and_given_back_as_it_came() {
    for cache in [&[][..], &CACHED] {
        let scene = Scene::new(&[stream("s"), stream("t")]).with(cache);
        let both = complete("s") + &complete("t");
        let first = ids(0..3) + &record("t", r#"{"id":1}"#) + &global(7, &["s", "t"]) + &both;
        scene.prints(&first, 0);
        let report = scene.to_recorder().good();
        assert_eq!(report["checkpoints_committed"], 1, "{cache:?}: {report}");
        // The member's name is the protocol's.
        let sent = messages(&scene.received(), "STATE");
        assert_eq!(sent[0]["state"]["global"]["shared_state"]["lsn"], 7);
        assert!(sent[0]["state"].get("global_").is_none());
        assert_eq!(scene.stored()[0]["global"]["shared_state"]["lsn"], 7, "{cache:?}");
        scene.prints(&(ids(3..4) + &global(8, &["s", "t"]) + &both), 0);
        scene.to_recorder().good();
        let given = scene.given();
        assert_eq!(given[0]["type"], "GLOBAL", "{cache:?}: {given}");
        assert_eq!(given[0]["global"]["stream_states"].as_array().map(Vec::len), Some(2));
        assert!(!given.to_string().contains("null"), "{given}");
        assert_eq!(messages(&scene.received(), "RECORD").len(), 5, "{cache:?}");
    }
}

#[test]
fn a_state_without_a_type_is_a_legacy_state() {
    for cache in [&[][..], &CACHED] {
        let scene = Scene::new(&[stream("s")]).with(cache);
        let legacy = r#"{"type":"STATE","state":{"data":{"cursor":"2024"}}}"#;
        scene.prints(&(ids(0..3) + legacy + "\n" + &complete("s")), 0);
        scene.to_files().good();
        scene.prints(&(ids(3..4) + legacy + "\n" + &complete("s")), 0);
        scene.to_files().good();
        assert_eq!(scene.given(), json!({"cursor": "2024"}), "{cache:?}");
        assert_eq!(scene.rows("s").len(), 4, "{cache:?}");
    }
}

#[test]
fn a_state_with_unknown_members_and_long_numbers_comes_back_whole() {
    let scene = Scene::new(&[stream("s")]);
    let line = r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"s"},"stream_state":{"n":92233720368547758079}},"x":{"y":1}}}"#;
    scene.prints(&(ids(0..1) + line + "\n" + &complete("s")), 0);
    scene.to_files().good();
    scene.prints(&complete("s"), 0);
    scene.to_files().good();
    let given = scene.folder.read("read.state.json");
    assert!(given.contains("92233720368547758079") && given.contains(r#""x":{"y":1}"#), "{given}");
}

#[test]
fn another_configuration_has_other_states() {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&twenty(), 0);
    let source = scene.source();
    let component = guest("destination-jsonl").display().to_string();
    for (account, known) in [("a", false), ("b", false), ("a", true)] {
        let config = json!({"account": account}).to_string();
        let _ = std::fs::remove_file(scene.folder.path().join("read.state.json"));
        let arguments = [
            "sync",
            "--source",
            &source,
            "--source-config",
            &config,
            "--destination",
            &component,
            "--destination-config",
            r#"{"path":"/out"}"#,
            "--destination-allow-dir",
            "out::/out",
        ];
        Outcome::of(&scene.folder, &arguments).good();
        assert_eq!(scene.given() != Value::Null && scene.given() != json!([]), known, "{account}");
    }
}

#[test]
fn streams_of_one_name_in_two_namespaces_have_states_of_their_own() {
    for cache in [&[][..], &CACHED] {
        let mut streams = [stream("s"), stream("s")];
        for (stream, namespace) in streams.iter_mut().zip(["a", "b"]) {
            stream["namespace"] = json!(namespace);
        }
        let scene = Scene::new(&streams).with(cache);
        let of = |namespace: &str, text: &str| {
            text.replace(r#""stream":"s""#, &format!(r#""stream":"s","namespace":"{namespace}""#))
                .replace(r#"{"name":"s"}"#, &format!(r#"{{"name":"s","namespace":"{namespace}"}}"#))
        };
        let part = |namespace, at| of(namespace, &(ids(0..at) + &state("s", at) + &complete("s")));
        scene.prints(&(part("a", 2) + &part("b", 3)), 0);
        scene.to_recorder().good();
        let stored = scene.stored();
        let mut at: Vec<(String, u64)> = stored
            .as_array()
            .expect("states")
            .iter()
            .map(|s| {
                let namespace = s["stream"]["stream_descriptor"]["namespace"].as_str();
                let at = s["stream"]["stream_state"]["at"].as_u64().expect("a number");
                (namespace.expect("a namespace").to_owned(), at)
            })
            .collect();
        at.sort();
        assert_eq!(at, [("a".to_owned(), 2), ("b".to_owned(), 3)], "{cache:?}");
        let records = messages(&scene.received(), "RECORD");
        let of_b = records.iter().filter(|m| m["record"]["namespace"] == "b").count();
        assert_eq!((records.len(), of_b), (5, 3), "{cache:?}");
    }
}

#[test]
fn a_full_refresh_is_given_no_old_state() {
    for cache in [&[][..], &CACHED] {
        let scene = Scene::new(&[stream("s")]).with(cache);
        scene.prints(&twenty(), 0);
        scene.to_files().good();
        let _ = std::fs::remove_file(scene.folder.path().join("read.state.json"));
        let again = scene.with(&["--full-refresh"]);
        again.to_files().good();
        let given = again.given();
        assert!(given == Value::Null || given == json!([]), "{cache:?}: {given}");
    }
}

// ---- through a cache ------------------------------------------------------------------------

#[test]
fn only_what_is_new_is_sent_again() {
    let scene = Scene::new(&[stream("s")]).with(&CACHED);
    scene.prints(&twenty(), 0);
    scene.to_recorder().good();
    assert_eq!(messages(&scene.received(), "RECORD").len(), 20);
    scene.prints(&(ids(20..23) + &state("s", 23) + &complete("s")), 0);
    let report = scene.to_recorder().good();
    assert_eq!(messages(&scene.received(), "RECORD").len(), 23);
    assert_eq!(report["records_committed"], 3);
}

#[test]
fn a_record_has_its_time_its_meta_and_nothing_that_is_not_its_own() {
    let scene = Scene::new(&[stream("s")]).with(&CACHED);
    let meta =
        r#""meta":{"changes":[{"field":"x","change":"NULLED","reason":"SOURCE_RETRIEVAL_ERROR"}]}"#;
    let line = format!(
        r#"{{"type":"RECORD","record":{{"stream":"s","data":{{"id":1,"CamelCase":2}},"emitted_at":1700000000123,{meta}}}}}"#
    );
    scene.prints(&(line + "\n" + &state("s", 1) + &complete("s")), 0);
    scene.to_recorder().good();
    let records = messages(&scene.received(), "RECORD");
    let record = &records[0]["record"];
    assert_eq!(record["data"], json!({"id": 1, "CamelCase": 2}));
    assert_eq!(record["emitted_at"], json!(1_700_000_000_123_u64));
    assert_eq!(record["meta"]["changes"][0]["reason"], "SOURCE_RETRIEVAL_ERROR");
    assert!(record.get("namespace").is_none_or(Value::is_null));
}

#[test]
fn an_empty_stream_replaces() {
    for cache in [&[][..], &CACHED] {
        let scene = Scene::new(&[stream("s")]).with(&["--strategy", "replace"]).with(cache);
        scene.prints(&twenty(), 0);
        scene.to_files().good();
        assert_eq!(scene.rows("s").len(), 20);
        scene.prints(&complete("s"), 0);
        scene.to_files().good();
        assert_eq!(scene.rows("s").len(), 0, "{cache:?}");
    }
}

// ---- what a destination is told --------------------------------------------------------------

#[test]
fn generations_and_sync_ids_grow_and_a_replace_says_so() {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&twenty(), 0);
    let numbers = |strategy: &str| {
        let component = guest("destination-jsonl").display().to_string();
        let report = scene
            .sync(&[
                "--destination",
                &component,
                "--destination-config",
                r#"{"path":"/out"}"#,
                "--destination-allow-dir",
                "out::/out",
                "--strategy",
                strategy,
            ])
            .good();
        (report["sync_id"].as_u64(), report["streams"][0]["generation_id"].as_u64())
    };
    assert_eq!(numbers("append"), (Some(1), Some(1)));
    assert_eq!(numbers("append"), (Some(2), Some(1)));
    assert_eq!(numbers("replace"), (Some(3), Some(2)));
    assert_eq!(numbers("replace"), (Some(4), Some(3)));
}

#[test]
fn a_row_is_passed_on_and_not_written_anew() {
    let scene = Scene::new(&[stream("s")]);
    let data = r#"{ "b" : 1.0,"a":[ ], "t":"\u00e9\/" }"#;
    scene.prints(&(record("s", data) + &state("s", 1) + &complete("s")), 0);
    scene.to_recorder().good();
    assert!(scene.received().contains(data), "{}", scene.received());
}

#[test]
fn a_source_is_asked_for_what_it_offers_only() {
    let mut plain = stream("s");
    plain["supported_sync_modes"] = json!(["full_refresh"]);
    let scene = Scene::new(&[plain]).with(&["--strategy", "append"]);
    scene.prints(&twenty(), 0);
    scene.to_files().good();
    let catalog: Value =
        serde_json::from_str(&scene.folder.read("read.catalog.json")).expect("a catalog");
    assert_eq!(catalog["streams"][0]["sync_mode"], "full_refresh");
}

#[test]
fn what_a_destination_cannot_do_is_refused_before_it_is_asked() {
    let scene = Scene::new(&[stream("s")]).with(&["--strategy", "replace"]);
    scene.prints(&twenty(), 0);
    let (error, _) = scene.to_recorder().bad(2);
    assert!(error.starts_with("MODE_UNSUPPORTED"), "{error}");
    assert_eq!(scene.received(), "");
}

#[test]
fn a_stream_that_is_not_there_is_an_error_that_lists_those_that_are() {
    let scene = Scene::new(&[stream("s"), stream("t")]).with(&["--streams", "s,x"]);
    scene.prints(&twenty(), 0);
    let (error, _) = scene.to_files().bad(2);
    assert!(error.contains("\"x\"") && error.contains("s, t"), "{error}");
}

#[test]
fn every_error_says_what_to_do() {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&ids(0..2), 1);
    let (_, error) = scene.to_files().bad(1);
    assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{error}");
}

#[test]
fn a_member_in_a_list_is_a_secret_too() {
    let scene = Scene::new(&[stream("s")]);
    scene.prints(&twenty(), 0);
    let source = scene.source();
    let config = r#"{"tokens":["${secret:file:token}"]}"#;
    scene.folder.write("token", "very-secret-value");
    let arguments = ["--output", "json", "check", &source, "--config", config];
    let mut command = scene.folder.lockgate();
    command.args(arguments).args(common::process_grants("", scene.folder.path()));
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let given = scene.folder.read("check.config.json");
    assert_eq!(given.replace(' ', ""), r#"{"tokens":["very-secret-value"]}"#);
}
