//! Values arrive as they were sent, or the sync fails: from a process into a component's files and
//! into another process.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
mod peers;

use std::collections::BTreeMap;

use common::{Folder, fixture, guest};
use peers::{Outcome, connector};
use serde_json::value::RawValue;
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

/// Where rows go.
#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    Files,
    Process,
}

const BOTH: [To; 2] = [To::Files, To::Process];

/// A stream that is read incrementally.
fn stream(name: &str) -> Value {
    json!({
        "name": name,
        "json_schema": {"type": "object"},
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_cursor": true,
    })
}

fn record(stream: &str, data: &str) -> String {
    format!(r#"{{"type":"RECORD","record":{{"stream":"{stream}","data":{data},"emitted_at":7}}}}"#)
        + "\n"
}

fn state(stream: &str, state: &str) -> String {
    format!(
        r#"{{"type":"STATE","state":{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"{stream}"}},"stream_state":{state}}}}}}}"#
    ) + "\n"
}

fn complete(descriptor: &str) -> String {
    format!(
        r#"{{"type":"TRACE","trace":{{"type":"STREAM_STATUS","emitted_at":1.5,"stream_status":{{"stream_descriptor":{descriptor},"status":"COMPLETE"}}}}}}"#
    ) + "\n"
}

/// Syncs a process that offers `streams` and prints `read`.
fn sync(folder: &Folder, streams: &[Value], read: &[u8], to: To) -> Outcome {
    let catalog = json!({"type": "CATALOG", "catalog": {"streams": streams}});
    let spec = json!({"type": "SPEC", "spec": {"connectionSpecification": {"type": "object"}}});
    let check = json!({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}});
    folder.write("source.d/spec.jsonl", &spec.to_string());
    folder.write("source.d/check.jsonl", &check.to_string());
    folder.write("source.d/discover.jsonl", &catalog.to_string());
    std::fs::write(folder.path().join("source.d/read.jsonl"), read).expect("a file");
    std::fs::create_dir_all(folder.path().join("out")).expect("a folder");

    let here = folder.path().display().to_string();
    let (played, log) = (format!("{here}/source.d"), format!("log={here}"));
    let source = connector(folder, "source", &fixture("connectors/replay.py"), &[&played, &log]);
    let component = guest("destination-jsonl").display().to_string();
    let process = connector(folder, "recorder", &fixture("connectors/recorder.py"), &[&here]);
    let mut arguments = vec!["sync", "--connection", "c", "--source", &source];
    match to {
        To::Files => arguments.extend([
            "--destination",
            &component,
            "--destination-config",
            r#"{"path":"/out"}"#,
            "--destination-allow-dir",
            "out::/out",
        ]),
        To::Process => arguments.extend(["--destination", &process]),
    }
    Outcome::of(folder, &arguments)
}

type Members = BTreeMap<String, Box<RawValue>>;

fn members(text: &str) -> Members {
    serde_json::from_str(text).expect("an object")
}

/// The text of each record's data that arrived for a stream. `file` is its file's name, `named` how
/// its records name it.
fn arrived(folder: &Folder, to: To, file: &str, named: &Value) -> Vec<String> {
    if to == To::Files {
        return folder.read(&format!("out/{file}.jsonl")).lines().map(str::to_owned).collect();
    }
    let received = folder.read("received");
    let records = received.lines().map(members).filter(|m| m["type"].get() == r#""RECORD""#);
    let records = records.map(|m| members(m["record"].get()));
    let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).expect("JSON");
    let ours = |record: &Members| {
        ["stream", "namespace"]
            .iter()
            .all(|member| record.get(*member).map(|raw| value(raw)).as_ref() == named.get(*member))
    };
    records.filter(ours).map(|record| record["data"].get().to_owned()).collect()
}

/// The stored states, as text.
fn stored(folder: &Folder) -> String {
    let output = folder.lockgate().args(["state", "show", "c"]).output().expect("lockgate runs");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

#[test]
fn rows_keep_their_text() {
    let rows = [
        r#"{"n":9007199254740993,"m":-9223372036854775809,"u":18446744073709551616}"#,
        r#"{"n":123456789012345678901234567890123456789}"#,
        r#"{"d":0.123456789012345678901234567891,"e":-50000.0000000000000001}"#,
        r#"{"d":1e400,"e":-1E-400,"f":1E+2,"g":-0.0,"h":1.10}"#,
        r#"{"s":"\ud800","t":"\udc00\ud800","u":"x\uDFFFy"}"#,
        r#"{"s":"a\u0000b","\u0000":"\u0000"}"#,
        "{\"s\":\"\u{e9} \\u00e9 \\/ / \u{1f600} \\ud83d\\ude00 \u{2028} \u{feff} \u{7f}\"}",
        r#"{"a":1,"a":2,"a":{"a":1,"a":1}}"#,
        "{ \"spaced\" :\t[ 1 , 2,{ } ] }",
        r#"{"type":"STATE","state":{"data":{}},"record":{"stream":"t"}}"#,
        r#"{"":"","null":null,"nested":{"x":null,"y":[{},[],[[]],false]}}"#,
        "{}",
    ];
    for to in BOTH {
        let folder = Folder::new();
        let mut read: String = rows.iter().map(|row| record("t", row)).collect();
        read += &complete(r#"{"name":"t"}"#);
        let report = sync(&folder, &[stream("t")], read.as_bytes(), to).good();
        assert_eq!(report["records_committed"], rows.len(), "{to:?}");
        assert_eq!(arrived(&folder, to, "t", &json!({"stream": "t"})), rows, "{to:?}");
        assert_eq!(stored(&folder), "[]", "a source without states: {to:?}");
    }
}

#[test]
fn envelopes_may_be_written_in_any_way() {
    let lines = [
        r#"{"record":{"emitted_at":1.5e3,"data":{"i":0},"namespace":null,"stream":"t","x":1,"x":2},"type":"RECORD"}"#,
        "  { \"type\" : \"RECORD\" ,\t\"record\" : { \"stream\" : \"t\" , \"data\" : {\"i\":1} , \"emitted_at\" : 1 } , \"y\" : {} }  \r",
        r#"{"\u0074ype":"REC\u004fRD","record":{"stream":"\u0074","data":{"i":2},"emitted_at":-1}}"#,
        r#"{"type":"RECORD","state":null,"log":null,"record":{"stream":"t","data":{"i":3},"emitted_at":null,"meta":null}}"#,
    ];
    for to in BOTH {
        let folder = Folder::new();
        let read = lines.join("\n") + "\n" + &complete(r#"{"name":"t","namespace":null}"#);
        sync(&folder, &[stream("t")], read.as_bytes(), to).good();
        let rows = arrived(&folder, to, "t", &json!({"stream": "t"}));
        assert_eq!(rows, [r#"{"i":0}"#, r#"{"i":1}"#, r#"{"i":2}"#, r#"{"i":3}"#], "{to:?}");
    }
}

#[test]
fn a_namespace_that_is_null_is_none_and_an_empty_one_is_a_namespace() {
    let named = |namespace: Value| {
        let mut stream = stream("t");
        stream["namespace"] = namespace;
        stream
    };
    let streams = [named(Value::Null), named(json!("")), named(json!("n"))];
    let mut read = String::new();
    for (i, namespace) in ["", r#","namespace":null"#, r#","namespace":"""#, r#","namespace":"n""#]
        .iter()
        .cycle()
        .take(12)
        .enumerate()
    {
        read += &format!(
            "{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"t\"{namespace},\"data\":{{\"i\":{i}}},\"emitted_at\":1}}}}\n"
        );
    }
    let descriptors = [
        r#"{"name":"t","namespace":null}"#,
        r#"{"name":"t","namespace":""}"#,
        r#"{"name":"t","namespace":"n"}"#,
    ];
    for (at, descriptor) in descriptors.iter().enumerate() {
        read += &format!(
            "{{\"type\":\"STATE\",\"state\":{{\"type\":\"STREAM\",\"stream\":{{\"stream_descriptor\":{descriptor},\"stream_state\":{{\"at\":{at}}}}}}}}}\n"
        );
        read += &complete(descriptor);
    }
    for to in BOTH {
        let folder = Folder::new();
        sync(&folder, &streams, read.as_bytes(), to).good();
        let rows = |file: &str, named: Value| arrived(&folder, to, file, &named);
        let expected = |numbers: &[usize]| -> Vec<String> {
            numbers.iter().map(|i| format!("{{\"i\":{i}}}")).collect()
        };
        assert_eq!(rows("t", json!({"stream": "t"})), expected(&[0, 1, 4, 5, 8, 9]), "{to:?}");
        let empty = json!({"stream": "t", "namespace": ""});
        assert_eq!(rows("%.t", empty), expected(&[2, 6, 10]), "{to:?}");
        let full = json!({"stream": "t", "namespace": "n"});
        assert_eq!(rows("n.t", full), expected(&[3, 7, 11]), "{to:?}");
        let states: Value = serde_json::from_str(&stored(&folder)).expect("JSON");
        let at = |namespace: &Value| {
            let states = states.as_array().expect("states").iter();
            let mut ours = states
                .filter(|s| s["stream"]["stream_descriptor"]["namespace"] == *namespace)
                .map(|s| s["stream"]["stream_state"]["at"].clone());
            (ours.next(), ours.next())
        };
        assert_eq!(at(&Value::Null), (Some(json!(0)), None), "{to:?}");
        assert_eq!(at(&json!("")), (Some(json!(1)), None), "{to:?}");
        assert_eq!(at(&json!("n")), (Some(json!(2)), None), "{to:?}");
    }
}

/// States whose text must come back to the source as it was.
#[test]
fn states_of_every_kind_come_back_unchanged() {
    let blob = r#"{"lsn":92233720368547758079,"d":0.1234567890123456789012345,"s":"\ud800\u0000","x":1e400,"x":2}"#;
    let global = format!(
        r#"{{"type":"GLOBAL","global":{{"shared_state":{blob},"stream_states":[{{"stream_descriptor":{{"name":"t","namespace":""}},"stream_state":{blob}}}]}},"later":[1]}}"#
    );
    let single = format!(
        r#"{{"type": "STREAM", "stream": {{"stream_descriptor": {{"name": "t"}}, "stream_state": {blob}}}, "later": {blob}}}"#
    );
    for (body, file) in [
        (global.clone(), format!("[{global}]")),
        (single.clone(), format!("[{single}]")),
        (format!(r#"{{"type":"LEGACY","data":{blob}}}"#), blob.to_owned()),
        (format!(r#"{{"data":{blob}}}"#), blob.to_owned()),
    ] {
        for to in BOTH {
            let folder = Folder::new();
            let mut read = record("t", "{}");
            read += &format!("{{\"type\":\"STATE\",\"state\":{body}}}\n");
            read += &complete(r#"{"name":"t"}"#);
            let report = sync(&folder, &[stream("t")], read.as_bytes(), to).good();
            assert_eq!(report["checkpoints_committed"], 1, "{to:?}");
            assert_eq!(stored(&folder), file, "{to:?}");
            let report = sync(&folder, &[stream("t")], read.as_bytes(), to).good();
            assert_eq!(report["resumed"], true, "{to:?}");
            assert_eq!(folder.read("read.state.json"), file, "{to:?}");
        }
    }
}

#[test]
fn a_row_and_a_state_of_16_mib_arrive() {
    for to in BOTH {
        let folder = Folder::new();
        let row = format!(r#"{{"s":"{}"}}"#, "0123456789abcde\u{e9}".repeat(MIB));
        let blob = format!(r#"{{"s":"{}"}}"#, "x".repeat(16 * MIB));
        let read = record("t", "{}") + &record("t", &row) + &state("t", &blob);
        let read = read + &record("t", "{}") + &complete(r#"{"name":"t"}"#);
        sync(&folder, &[stream("t")], read.as_bytes(), to).good();
        let rows = arrived(&folder, to, "t", &json!({"stream": "t"}));
        assert!(rows == ["{}", &row, "{}"], "{to:?}: the row changed");
        assert!(stored(&folder).contains(&blob), "{to:?}: the state changed");
    }
}

/// What cannot be read as it was meant fails the sync; what came before it is kept.
#[track_caller]
fn assert_refused(bad: &[u8], code: &str, said: &str) {
    for to in BOTH {
        let folder = Folder::new();
        let mut read = (record("t", r#"{"i":1}"#) + &state("t", r#"{"at":1}"#)).into_bytes();
        read.extend_from_slice(bad);
        read.extend_from_slice(b"\n");
        read.extend_from_slice(record("t", r#"{"i":3}"#).as_bytes());
        read.extend_from_slice(state("t", r#"{"at":3}"#).as_bytes());
        read.extend_from_slice(complete(r#"{"name":"t"}"#).as_bytes());
        let outcome = sync(&folder, &[stream("t")], &read, to);
        let report = outcome.result.clone();
        let (message, error) = outcome.bad(1);
        assert!(message.starts_with("SOURCE_FAILED: "), "{to:?}: {message}");
        assert_eq!(error["context"]["cause"], code, "{to:?}: {message}");
        assert!(message.contains("line 3"), "{to:?}: {message}");
        assert!(message.contains(said), "{to:?}: {message}");
        assert_eq!(report["status"], "failed", "{to:?}");
        let rows = arrived(&folder, to, "t", &json!({"stream": "t"}));
        // A process may be stopped before it has read its input; nothing else may be there.
        if to == To::Files || !rows.is_empty() {
            assert_eq!(rows, [r#"{"i":1}"#], "{to:?}");
        }
        let states = stored(&folder);
        assert!(!states.contains(r#""at":3"#), "{to:?}: {states}");
        if to == To::Files {
            assert!(states.contains(r#""at":1"#), "{to:?}: {states}");
        }
    }
}

#[test]
fn invalid_utf8_in_a_record_is_refused() {
    let mut bad = record("t", r#"{"s":"@"}"#).trim_end().as_bytes().to_vec();
    let at = bad.iter().position(|byte| *byte == b'@').expect("the mark");
    bad[at] = 0xff;
    assert_refused(&bad, "RECORD_GARBLED", "invalid UTF-8");
}

#[test]
fn a_surrogate_alone_in_a_name_is_refused() {
    assert_refused(record("\\ud800", "{}").trim_end().as_bytes(), "RECORD_GARBLED", "");
}

#[test]
fn a_member_of_an_envelope_twice_is_refused() {
    for bad in [
        r#"{"type":"RECORD","record":{"stream":"t","data":{"i":2},"data":{"i":9},"emitted_at":1}}"#,
        r#"{"type":"RECORD","record":{"stream":"t","stream":"u","data":{"i":2},"emitted_at":1}}"#,
        r#"{"type":"STATE","type":"RECORD","record":{"stream":"t","data":{"i":2},"emitted_at":1}}"#,
        r#"{"type":"RECORD","record":{"stream":"t","data":{"i":2}},"record":{"stream":"t","data":{"i":9}}}"#,
    ] {
        assert_refused(bad.as_bytes(), "RECORD_GARBLED", "");
    }
}

#[test]
fn numbers_that_are_no_json_and_raw_control_characters_are_refused() {
    for data in
        [r#"{"n":NaN}"#, r#"{"n":-Infinity}"#, r#"{"n":01}"#, "{\"s\":\"\0\"}", "[1]", "null"]
    {
        assert_refused(record("t", data).trim_end().as_bytes(), "RECORD_GARBLED", "");
    }
}

#[test]
fn what_is_over_a_limit_is_refused() {
    let long = |bytes: usize| "x".repeat(bytes);
    let line = record("t", &format!(r#"{{"s":"{}"}}"#, long(72 * MIB)));
    assert_refused(line.trim_end().as_bytes(), "LIMIT_LINE", "longer than 75497472 bytes");
    let row = record("t", &format!(r#"{{"s":"{}"}}"#, long(64 * MIB)));
    assert_refused(row.trim_end().as_bytes(), "CONNECTOR_PROTOCOL", "67108864 are allowed");
    let blob = state("t", &format!(r#"{{"s":"{}"}}"#, long(32 * MIB)));
    assert_refused(blob.trim_end().as_bytes(), "CONNECTOR_PROTOCOL", "33554432 are allowed");
}
