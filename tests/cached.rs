//! Syncs through a cache: what arrives, what is remembered, and what each half leaves when it fails.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
mod peers;
#[path = "cached/results.rs"]
mod results;
#[path = "cached/world.rs"]
mod world;

use std::collections::BTreeSet;

use lockgate::cache::open_cache;
use peers::{Outcome, messages};
use serde_json::{Value, json};
use world::{World, numbered, stream};

/// Values that most readers of JSON change.
const ROWS: [&str; 6] = [
    r#"{"z":1e400,"a":50000.0000000000000001,"n":9223372036854775809}"#,
    r#"{"at":"2024-02-29T23:59:60.123456789+14:00","day":"0001-01-01","time":"24:00:00Z"}"#,
    r#"{"text":"zürich 🜨 \u0000 \"","empty":"","nested":{"b":[1,{"a":null}],"a":-0.0}}"#,
    r#"{"Ünïcode Key":1,"select":2,"a b":3,"A B":4,"":5}"#,
    r#"{"dup":1,"dup":2,"d":0.14285714285714285714285714285714}"#,
    "{}",
];

#[test]
fn rows_arrive_as_they_were_sent_with_their_times_and_metadata() {
    let world = World::new();
    let plain = json!({"name": "plain", "rows": ROWS});
    let spaced = json!({"name": "Spaced Name", "namespace": "ns", "rows": ROWS});
    world.tables(json!({"streams": [plain, spaced], "every": 2}));
    let report = world.sync_to_recorder(&["--cache", "default"]).good();
    let cache = &report["cache"];
    assert_eq!(
        (&cache["kind"], report["isolation"].as_str()),
        (&json!("sqlite"), Some("in-process"))
    );
    let counts = ["records_emitted", "records_cached", "records_sent", "records_committed"];
    for stream in report["streams"].as_array().expect("streams") {
        assert!(counts.iter().all(|count| stream[count] == ROWS.len()), "{stream}");
    }

    let received = world.folder.read("received");
    for (name, namespace) in [("plain", Value::Null), ("Spaced Name", json!("ns"))] {
        let records: Vec<&str> = received
            .lines()
            .filter(|line| {
                let message: Value =
                    serde_json::from_str(&line.replace("1e400", "1")).expect("JSON");
                message["type"] == "RECORD"
                    && message["record"]["stream"] == name
                    && message["record"]["namespace"] == namespace
            })
            .collect();
        assert_eq!(records.len(), ROWS.len());
        for (number, (line, row)) in records.iter().zip(ROWS).enumerate() {
            assert!(line.contains(&format!(r#""data":{row},"#)), "{line}\nis not\n{row}");
            assert!(
                line.contains(&format!(
                    r#""emitted_at":{}"#,
                    1_700_000_000_000_u64 + number as u64
                ))
            );
            let meta = r#""meta":{"changes": [{"field": "id", "change": "NULLED", "reason": "SOURCE_FIELD_SIZE_LIMITATION"}]}"#;
            assert_eq!(line.contains(meta), number % 4 == 3, "{line}");
        }
    }
    // States are where they were, count what was sent, and keep members that nobody knows.
    let states = messages(&received, "STATE");
    assert!(states.len() >= 6);
    assert!(states.iter().all(|state| state["state"]["x-own"] == 9_007_199_254_740_993_u64));
    let first = received.lines().position(|line| line.contains("STATE")).expect("a state");
    assert_eq!(first, 2, "after two rows");

    // What is new, and nothing else.
    world.folder.write("received", "");
    let more: Vec<String> =
        ROWS.iter().map(|r| (*r).to_owned()).chain([r#"{"new":1}"#.into()]).collect();
    world.tables(json!({"streams": [{"name": "plain", "rows": more}]}));
    let report = world.sync_to_recorder(&["--cache", "default"]).good();
    assert_eq!((&report["records_committed"], &report["resumed"]), (&json!(1), &json!(true)));
    assert!(world.folder.read("received").contains(r#""data":{"new":1},"#));
}

#[test]
fn a_destination_that_was_down_catches_up_without_the_source() {
    let world = World::new();
    world.tables(json!({"streams": [numbered("a", 0..10)]}));
    let down = json!({"test_destination": {"test_destination_type": "FAILING", "num_messages": 0}});
    let failing =
        ["--destination", "destination-dev-null", "--destination-config", &down.to_string()];
    let failed = world.sync_with(&failing, &["--cache", "default"]);
    assert_eq!(failed.result["status"], "failed");
    let stream = &failed.result["streams"][0];
    assert_eq!((&stream["records_cached"], &stream["records_committed"]), (&json!(10), &json!(0)));
    failed.bad(1);

    // The source is gone.
    std::fs::remove_file(world.folder.path().join("tables.json")).expect("a file");
    assert_eq!(world.sync(&["--cache", "default"]).code, 1);
    let report = world.sync(&["--cache", "default", "--from-cache"]).good();
    assert_eq!((&report["records_emitted"], &report["records_sent"]), (&json!(0), &json!(10)));
    assert_eq!(world.ids("a"), (0..10).collect::<Vec<_>>());
    // There is nothing new.
    let report = world.sync(&["--cache", "default", "--from-cache"]).good();
    assert_eq!(report["records_sent"], 0);
    assert_eq!(world.ids("a").len(), 10);
}

#[test]
fn what_replaces_is_planned_the_same_without_the_source() {
    let world = World::new();
    let mut full = numbered("full", 0..4);
    full["full_only"] = json!(true);
    world.tables(json!({"streams": [full, numbered("log", 0..4)]}));
    let modes = |report: &Value| {
        let streams = report["streams"].as_array().expect("streams").iter();
        streams
            .map(|s| format!("{} {}", s["sync_mode"], s["destination_sync_mode"]))
            .collect::<Vec<_>>()
    };
    let first = world.sync(&["--cache", "default"]).good();
    assert_eq!(modes(&first)[0], r#""full_refresh" "overwrite""#);
    let again = world.sync(&["--cache", "default", "--from-cache"]).good();
    assert_eq!(modes(&again), modes(&first));
    assert_eq!(again["records_sent"], 4, "what replaces is sent as a whole");
    assert_eq!((world.ids("full").len(), world.ids("log").len()), (4, 4));
}

#[test]
fn a_failed_read_gives_the_destination_nothing_and_the_next_goes_on() {
    let world = World::new();
    let tables = |fail_after: Value| json!({"streams": [numbered("a", 0..10)], "every": 2, "fail_after": fail_after});
    world.tables(tables(json!(7)));
    let failed = world.sync(&["--cache", "default"]);
    let stream = &failed.result["streams"][0];
    // Up to the last state, and no row after it.
    assert_eq!((&stream["records_cached"], &stream["records_committed"]), (&json!(6), &json!(0)));
    assert!(failed.bad(1).0.starts_with("SOURCE_FAILED"));
    assert!(world.ids("a").is_empty());
    world.tables(tables(Value::Null));
    let report = world.sync(&["--cache", "default"]).good();
    assert_eq!((&report["records_emitted"], &report["records_committed"]), (&json!(4), &json!(10)));
    assert_eq!(world.ids("a"), (0..10).collect::<Vec<_>>(), "each once");
}

#[test]
fn a_stream_that_became_empty_replaces_all() {
    let world = World::new();
    let arguments = ["--cache", "default", "--strategy", "replace"];
    world.tables(json!({"streams": [numbered("a", 0..5), numbered("b", 0..5)]}));
    world.sync(&arguments).good();
    assert_eq!(world.ids("a").len(), 5);
    world.tables(json!({"streams": [numbered("a", 0..0), numbered("b", 3..5)]}));
    let report = world.sync(&arguments).good();
    assert_eq!(report["streams"][0]["status"], "complete");
    assert!(world.ids("a").is_empty());
    assert_eq!(world.ids("b"), [3, 4]);
}

#[test]
fn states_of_all_streams_go_through_both_halves() {
    for kind in ["stream", "global", "legacy", "none"] {
        for no_last_state in [false, true] {
            let world = World::new();
            let tables = |to: u64| {
                json!({"streams": [numbered("a", 0..to), numbered("b", 0..to + 1)],
                    "states": kind, "every": 2, "no_last_state": no_last_state})
            };
            world.tables(tables(5));
            world.sync(&["--cache", "default"]).good();
            let stored = world.stored();
            // A legacy state is shown as it is written to a file, without what is around it.
            assert_eq!(stored.contains("lockgate"), kind != "legacy", "{kind}: {stored}");
            world.tables(tables(8));
            world.sync(&["--cache", "default"]).good();
            // At least once: a source without a last state gives some rows again.
            let mut ids = world.ids("b");
            if kind != "none" && !no_last_state {
                assert_eq!(ids, (0..9).collect::<Vec<_>>(), "{kind}");
            }
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), 9, "{kind}");
            let before = world.ids("a").len();
            let idle = world.sync(&["--cache", "default", "--from-cache"]).good();
            assert_eq!(idle["records_sent"], 0, "{kind}: {idle}");
            assert_eq!(world.ids("a").len(), before);
        }
    }
}

#[test]
fn from_cached_to_direct_and_back() {
    for kind in ["stream", "global"] {
        let world = World::new();
        let tables = |to: u64| {
            world.tables(json!({"streams": [numbered("a", 0..to)], "states": kind}));
        };
        tables(5);
        world.sync(&["--cache", "default"]).good();
        // The source would fail if it was given a place in a cache.
        tables(8);
        let direct = world.sync(&["--cache", "none"]).good();
        assert_eq!((&direct["records_committed"], &direct["resumed"]), (&json!(3), &json!(true)));
        assert_eq!(world.ids("a"), (0..8).collect::<Vec<_>>());
        // The cache reads up to where the direct sync was: the state is the same, and so is the place.
        let back = world.sync(&["--cache", "default"]).good();
        assert_eq!((&back["records_cached"], &back["records_sent"]), (&json!(3), &json!(0)));
        // A direct sync that the cache knows nothing of.
        tables(9);
        world.sync(&["--cache", "none"]).good();
        tables(10);
        let (error, whole) = world.sync(&["--cache", "default"]).bad(1);
        assert!(error.starts_with("CACHE_POSITION_UNKNOWN"), "{error}");
        assert!(whole["hint"].as_str().expect("a hint").contains("--cache none"));
        assert_eq!(world.ids("a"), (0..9).collect::<Vec<_>>(), "nothing is there twice");
        let direct = world.sync(&["--cache", "none"]).good();
        assert_eq!(direct["records_committed"], 1);
        assert_eq!(world.ids("a"), (0..10).collect::<Vec<_>>());
        // By then the cache has caught up again.
        let back = world.sync(&["--cache", "default"]).good();
        assert_eq!(back["records_sent"], 0);
    }
}

#[test]
fn a_full_refresh_is_read_and_sent_once() {
    let world = World::new();
    world.tables(json!({"streams": [numbered("a", 0..3)]}));
    let append = ["--cache", "default", "--strategy", "append"];
    world.sync(&append).good();
    let full = world.sync(&[&append[..], &["--full-refresh"]].concat()).good();
    assert_eq!((&full["records_emitted"], &full["records_sent"]), (&json!(3), &json!(3)));
    assert_eq!(world.ids("a"), [0, 1, 2, 0, 1, 2]);
    world.tables(json!({"streams": [numbered("a", 0..4)]}));
    world.sync(&append).good();
    assert_eq!(world.ids("a"), [0, 1, 2, 0, 1, 2, 3]);
}

#[test]
fn two_connections_share_what_was_read_once() {
    let world = World::new();
    world.tables(json!({"streams": [numbered("a", 0..6)]}));
    world.sync(&["--cache", "default"]).good();
    let report = world.sync_to_recorder(&["--cache", "default", "--connection", "d"]).good();
    assert_eq!((&report["records_emitted"], &report["records_sent"]), (&json!(0), &json!(6)));
    assert_eq!(messages(&world.folder.read("received"), "RECORD").len(), 6);
    assert_eq!(world.sync(&["--cache", "default"]).good()["records_sent"], 0);
}

#[test]
fn states_may_be_in_the_cache_s_own_database() {
    let world = World::new();
    world.tables(json!({"streams": [numbered("a", 0..3)]}));
    let arguments = ["--cache", "shared", "--state", "cache"];
    world.sync(&arguments).good();
    world.tables(json!({"streams": [numbered("a", 0..5)]}));
    assert_eq!(world.sync(&arguments).good()["records_sent"], 2);
    assert_eq!(world.ids("a"), (0..5).collect::<Vec<_>>());
    assert!(world.folder.path().join(".lockgate/cache/shared.db").is_file());
    assert!(!world.folder.path().join(".lockgate/state.db").exists());
    let (error, _) = world.sync(&["--cache", "none", "--state", "cache"]).bad(2);
    assert!(error.contains("--state cache"), "{error}");
}

#[test]
fn what_cannot_apply_is_an_error() {
    let world = World::new();
    world.tables(json!({"streams": [numbered("a", 0..3)]}));
    let (error, _) = world.sync(&["--from-cache"]).bad(2);
    assert!(error.starts_with("ARGUMENT_UNUSED: from_cache"), "{error}");
    let faker = common::guest("source-faker").display().to_string();
    let here = ["--source", &faker, "--source-config", r#"{"count":5}"#];
    let (error, _) =
        world.sync_from(&here, &["--cache", "default", "--isolation", "worker"]).bad(2);
    assert!(error.contains("isolation worker"), "{error}");
    let report = world.sync_from(&here, &["--cache", "default"]).good();
    assert_eq!(report["isolation"], "in-process");
}

#[test]
fn a_project_names_its_cache_and_its_source() {
    let world = World::new();
    world.tables(json!({"streams": [numbered("a", 0..3)]}));
    let jsonl = common::guest("destination-jsonl").display().to_string();
    let grants: Vec<String> = common::process_grants("", world.folder.path())
        .chunks(2)
        .map(|pair| format!("{:?}", pair[1]))
        .collect();
    let grants = grants.join(",");
    world.folder.write(
        "lockgate.toml",
        &format!(
            "[sources.shop]\nconnector = {:?}\nallow-dir = [{grants}]\n\
             [destinations.files]\nconnector = {jsonl:?}\nallow-dir = [\"out::/out\"]\nconfig = {{ path = \"/out\" }}\n\
             [connections.nightly]\nsource = \"shop\"\ndestination = \"files\"\ncache = \"default\"\n",
            world.source()
        ),
    );
    let report = Outcome::of(&world.folder, &["sync", "nightly"]).good();
    assert_eq!(report["cache"]["source_key"], "shop");
    assert_eq!(world.ids("a"), [0, 1, 2]);
    // The same part of the cache, by the name of the source.
    let read = Outcome::of(&world.folder, &["read", "shop"]).good();
    assert_eq!(
        (&read["streams"][0]["records_emitted"], &read["resumed"]),
        (&json!(0), &json!(true))
    );
    let direct = Outcome::of(&world.folder, &["sync", "nightly", "--cache", "none"]).good();
    assert!(direct.get("cache").is_none());
}

#[test]
fn read_says_what_it_brought_and_where_it_is() {
    let world = World::new();
    world.tables(json!({"streams": [numbered("a", 0..3), stream("B", &[])]}));
    let source = world.source();
    let mut arguments = vec!["read", source];
    let grants = common::process_grants("", world.folder.path());
    let read = Outcome::of(&world.folder, &arguments).good();
    let a = &read["streams"][0];
    assert_eq!(
        (&a["rows"], &a["table"], &a["status"]),
        (&json!(3), &json!("a"), &json!("complete"))
    );
    assert_eq!(read["streams"][1]["rows"], 0);
    world.tables(json!({"streams": [numbered("a", 0..4)]}));
    let output = world.folder.lockgate().args(&arguments).args(&grants).output();
    let output = output.expect("lockgate runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("went on from its states in the cache"), "{text}");
    assert!(output.status.success());
    world.tables(json!({"streams": [numbered("a", 0..4)], "fail_after": 0}));
    let full = [&arguments[..], &["--full-refresh"]].concat();
    assert!(Outcome::of(&world.folder, &full).bad(1).0.starts_with("SOURCE_FAILED"));
    arguments.extend(["--cache", "none"]);
    assert!(Outcome::of(&world.folder, &arguments).bad(2).0.contains("needs a cache"));
}

#[test]
fn a_row_that_is_none_is_the_source_s_fault() {
    let world = World::new();
    let guest = common::guest("misbehaving-source").display().to_string();
    let source = ["--source", &guest, "--source-config", r#"{"mode":"not-json"}"#];
    let (error, _) = world.sync_from(&source, &["--cache", "default"]).bad(1);
    assert!(error.starts_with("SOURCE_FAILED"), "{error}");
}

#[test]
fn killed_at_any_moment_it_ends_the_same() {
    let world = World::new();
    world.tables(json!({"streams": [numbered("a", 0..60), numbered("b", 0..60)], "every": 5, "pause": 0.004}));
    let mut killed = 0;
    // Through both halves: the first takes half a second, and starting takes its time.
    for after in (150..1800).step_by(150) {
        let mut child = world.start(&["--cache", "default", "--quiet"]);
        std::thread::sleep(std::time::Duration::from_millis(after));
        killed += u32::from(child.try_wait().expect("it can be waited for").is_none());
        let _ = child.kill();
        child.wait().expect("it ends");
    }
    assert!(killed > 0);
    world.sync(&["--cache", "default"]).good();
    for name in ["a", "b"] {
        let expected: Vec<u64> = (0..60).collect();
        // Where rows are added, those whose confirmation a kill kept from being stored are there again.
        let arrived: BTreeSet<u64> = world.ids(name).into_iter().collect();
        assert_eq!(arrived.into_iter().collect::<Vec<_>>(), expected, "none is lost");
        // The cache has rows and states in one transaction: each once, in order.
        let cache = open_cache("default", world.folder.path()).expect("a cache");
        let cache = cache.expect("a cache");
        let sql = format!("SELECT id FROM {name} ORDER BY _lockgate_row");
        let rows = cache.query(&sql, 1000).expect("rows").rows;
        assert_eq!(json!(rows), json!(expected.iter().map(|id| [id]).collect::<Vec<_>>()));
    }
}
