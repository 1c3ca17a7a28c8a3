//! Components that break the contract, and components that are none: the host says what is wrong,
//! blames the right side, and goes on serving.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

mod common;
#[path = "connectors/fault_scene.rs"]
#[expect(dead_code, reason = "the failure tests use more of it")]
mod fault_scene;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate::component::CompileCache;
use lockgate::fault::Fault;
use lockgate::protocol::Json;
use lockgate::{ConnectorOptions, Host, WorkerProgram, WriteOptions, WriteStrategy};
use serde_json::{Value, json};

use self::common::{Folder, guest, target};
use self::fault_scene::{From, ROWS, Scene, To};

/// A misbehaving source into `to`; rows are appended. Gives the scene for more questions.
fn source_breaks(to: To, config: &Value, cause: &str, words: &[&str]) -> Scene {
    breaks(to, config, &json!({}), &[], ("SOURCE_FAILED", cause), words)
}

/// A well-behaved source into a misbehaving destination.
fn destination_breaks(config: &Value, cause: &str, words: &[&str]) -> Scene {
    breaks(To::Component, &json!({}), config, &[], ("DESTINATION_FAILED", cause), words)
}

fn breaks(
    to: To,
    source: &Value,
    destination: &Value,
    arguments: &[&str],
    (code, cause): (&str, &str),
    words: &[&str],
) -> Scene {
    // Two components run in a worker or here, and what they end in is the same.
    let places: &[&str] = if to == To::Stdio { &[""] } else { &["worker", "in-process"] };
    let scenes = places.iter().map(|isolation| {
        let mut scene = Scene::new(From::Component, to, false);
        scene.arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        // What another attempt makes of a failure that may pass is in tests/attempts.rs.
        scene.arguments.push("--attempts=1".into());
        if !isolation.is_empty() {
            scene.arguments.push(format!("--isolation={isolation}"));
        }
        let outcome = scene.sync(source, destination, "json");
        assert_eq!(outcome.code, 1, "{outcome:#?}");
        assert!(!outcome.stderr.contains("panicked at src"), "{outcome:#?}");
        let error = &outcome.report()["error"];
        assert_eq!(error["code"], code, "{outcome:#?}");
        assert_eq!(error["context"]["cause"], cause, "{outcome:#?}");
        let message = error["message"].as_str().expect("a message");
        let side = if code == "SOURCE_FAILED" { "the source " } else { "the destination " };
        assert!(message.starts_with(side), "{message}");
        for word in words {
            assert!(message.contains(word), "{word:?} is not in: {message}");
        }
        scene.assert_nothing_left();
        (scene, error.clone())
    });
    let mut scenes: Vec<(Scene, Value)> = scenes.collect();
    let (last, error) = scenes.pop().expect("at least one");
    for (scene, other) in &scenes {
        assert_eq!(scene.stored(), last.stored(), "the same is stored in both");
        assert_eq!(other["message"], error["message"], "the same is said in both");
    }
    last
}

fn stored_at(scene: &Scene, place: Option<u64>) {
    let expected: Vec<_> = place.into_iter().map(|at| (scene.stream().to_owned(), at)).collect();
    assert_eq!(scene.stored(), expected);
}

#[test]
fn destinations_that_break_the_contract() {
    // Mode, cause, words of the message, and the state that is stored: what was confirmed before.
    let cases: &[(Value, &str, &str, Option<u64>)] = &[
        (
            json!({ "mode": "return-early" }),
            "CONNECTOR_FAILED",
            "returned before its input had ended",
            None,
        ),
        (
            json!({ "mode": "return-early", "events": 9 }),
            "CONNECTOR_FAILED",
            "returned before its input had ended",
            Some(5),
        ),
        (
            json!({ "mode": "commit-unknown" }),
            "CONNECTOR_FAILED",
            "which was never given to it",
            None,
        ),
        (
            json!({ "mode": "commit-twice" }),
            "CONNECTOR_FAILED",
            "committed checkpoint 1 after checkpoint 1",
            Some(5),
        ),
        (json!({ "mode": "commit-out-of-order" }), "CONNECTOR_FAILED", "out of order", Some(20)),
        (
            json!({ "mode": "wrong-totals" }),
            "CONNECTOR_FAILED",
            "was given 5 rows up to checkpoint 1, and says it wrote 4",
            None,
        ),
        (
            json!({ "mode": "no-totals" }),
            "CONNECTOR_FAILED",
            "was given 5 rows up to checkpoint 1, and says it wrote 0",
            None,
        ),
        (
            json!({ "mode": "unknown-stream" }),
            "CONNECTOR_FAILED",
            "totals name stream 1, which is not there",
            None,
        ),
        (json!({ "mode": "trap" }), "CONNECTOR_TRAP", "the component trapped in write", None),
        (
            json!({ "mode": "trap", "batch": 7 }),
            "CONNECTOR_TRAP",
            "the component trapped in write",
            Some(5),
        ),
        (
            json!({ "mode": "fail-after", "rows": 7 }),
            "CONNECTOR_FAILED",
            "failing on purpose after 7 rows",
            Some(5),
        ),
        (
            json!({ "mode": "fail-after", "rows": 7, "kind": "config" }),
            "CONNECTOR_CONFIG",
            "failing on purpose",
            Some(5),
        ),
        (
            json!({ "mode": "fail-after", "rows": 7, "kind": "transient" }),
            "CONNECTOR_TRANSIENT",
            "failing on purpose",
            Some(5),
        ),
        // Only the host cancels; a guest that says so is at fault all the same.
        (
            json!({ "mode": "fail-after", "rows": 7, "kind": "cancelled" }),
            "CANCELLED",
            "failing on purpose",
            Some(5),
        ),
        (
            json!({ "mode": "never-commit" }),
            "CONNECTOR_FAILED",
            "returned without committing checkpoint 1",
            None,
        ),
        (json!({ "mode": "overflow" }), "CONNECTOR_TRAP", "call stack exhausted", None),
    ];
    for (config, cause, words, place) in cases {
        eprintln!("{config}");
        let scene = destination_breaks(config, cause, &[words]);
        stored_at(&scene, *place);
        scene.assert_recovers();
    }
}

#[test]
fn sources_that_break_the_contract() {
    let after = |mode: &str| json!({ "mode": mode, "after": 7 });
    // Mode, cause, words of the message, and the state that is stored: destination-jsonl confirms
    // what came before the fault.
    let cases: &[(Value, &str, &str, u64)] = &[
        (
            after("exit-incomplete"),
            "CONNECTOR_FAILED",
            "could not read the stream to its end",
            ROWS,
        ),
        (
            after("no-complete"),
            "CONNECTOR_FAILED",
            "without saying that the stream is complete",
            ROWS,
        ),
        (after("fail-mid"), "CONNECTOR_FAILED", "failing on purpose after 7 rows", 5),
        (after("trap-mid"), "CONNECTOR_TRAP", "the component trapped in read", 5),
        (after("wrong-count"), "CONNECTOR_FAILED", "the source broke the contract", 5),
        (after("zero-count"), "CONNECTOR_FAILED", "the source broke the contract", 5),
        (
            after("bad-stream-index"),
            "CONNECTOR_FAILED",
            "named stream 1, which is not in the catalog",
            5,
        ),
        (
            after("bad-status-index"),
            "CONNECTOR_FAILED",
            "named stream 1, which is not in the catalog",
            5,
        ),
        (
            after("after-complete"),
            "CONNECTOR_FAILED",
            "emitted rows after it had ended the stream",
            ROWS,
        ),
        (
            after("unknown-stream-state"),
            "CONNECTOR_FAILED",
            "a state of a stream that is not in the catalog",
            5,
        ),
        (after("bad-state"), "CONNECTOR_FAILED", "state of stream rows", 5),
        (after("rows-not-ended"), "CONNECTOR_FAILED", "the source broke the contract", 5),
        (after("bad-meta"), "CONNECTOR_FAILED", "the source broke the contract", 5),
        (after("bad-times"), "CONNECTOR_FAILED", "the source broke the contract", 5),
        (
            json!({ "mode": "huge-state", "bytes": 40 << 20, "after": 7 }),
            "CONNECTOR_FAILED",
            "are allowed",
            5,
        ),
        (
            json!({ "mode": "huge-row", "bytes": 70 << 20, "after": 7 }),
            "CONNECTOR_FAILED",
            "the source's batch has",
            5,
        ),
    ];
    for (config, cause, words, place) in cases {
        eprintln!("{config}");
        let scene = source_breaks(To::Jsonl, config, cause, &[words]);
        stored_at(&scene, Some(*place));
        let ids = scene.ids();
        assert!((0..*place).all(|id| ids.contains(&id)), "{ids:?}");
        scene.assert_recovers();
    }
}

#[test]
fn a_fault_of_the_source_leaves_a_target_that_is_to_be_replaced() {
    for mode in
        ["fail-mid", "trap-mid", "exit-incomplete", "no-complete", "wrong-count", "after-complete"]
    {
        let scene = Scene::new(From::Component, To::Jsonl, true);
        let outcome = scene.sync(&json!({ "mode": mode }), &json!({}), "json");
        assert_eq!(outcome.code, 1, "{mode}: {outcome:#?}");
        scene.assert_old();
        stored_at(&scene, None);
        scene.assert_recovers();
    }
}

/// Rows that are not JSON would forge messages on a destination's stdin.
#[test]
fn rows_that_are_not_json_are_the_sources_fault() {
    let config = json!({ "mode": "not-json", "after": 7 });
    let scene = source_breaks(To::Stdio, &config, "CONNECTOR_FAILED", &["is not one JSON object"]);
    assert_eq!(scene.stored(), scene.acknowledged());
    scene.assert_recovers();
}

#[test]
fn a_source_that_hides_its_destinations_failure() {
    let failing = json!({ "mode": "fail-after", "rows": 7 });
    let blamed = ("DESTINATION_FAILED", "CONNECTOR_FAILED");
    let hiding = json!({ "mode": "ignore-failure" });
    breaks(To::Component, &hiding, &failing, &[], blamed, &["failing on purpose"]);
}

/// A row that the host refused did not arrive, so the read did not succeed, whatever the source says.
#[test]
fn a_source_that_hides_that_a_row_was_refused() {
    let config = json!({ "mode": "ignore-failure", "rows": 1, "row_bytes": 70 << 20 });
    let words = ["the source's batch has"];
    source_breaks(To::Component, &config, "CONNECTOR_FAILED", &words);

    let folder = Folder::new();
    let config = folder.write("config.json", &config.to_string());
    let catalog = r#"{"streams":[{"stream":{"name":"rows","json_schema":{}},
        "sync_mode":"full_refresh","destination_sync_mode":"append"}]}"#;
    let catalog = folder.write("catalog.json", catalog);
    let mut command = folder.lockgate();
    command.arg("exec").arg(guest("misbehaving-source")).arg("read");
    command.arg("--config").arg(config).arg("--catalog").arg(catalog);
    let output = command.output().expect("lockgate runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("text");
    let last = printed.lines().last().expect("a message");
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(last["trace"]["type"], "ERROR", "{last}");
}

#[test]
fn a_destination_that_hides_its_sources_failure() {
    let failing = json!({ "mode": "fail-mid", "after": 7 });
    let blamed = ("SOURCE_FAILED", "CONNECTOR_FAILED");
    let hiding = json!({ "mode": "ignore-failure" });
    breaks(To::Component, &failing, &hiding, &[], blamed, &["failing on purpose"]);
}

#[test]
fn saying_complete_twice_is_no_fault() {
    let scene = Scene::new(From::Component, To::Jsonl, false);
    let outcome = scene.sync(&json!({ "mode": "complete-twice" }), &json!({}), "json");
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    assert_eq!(scene.ids(), (0..ROWS).collect::<Vec<_>>());
}

#[test]
fn global_states_are_stored_and_gone_on_from() {
    let scene = Scene::new(From::Component, To::Jsonl, false);
    let config = json!({ "mode": "global", "streams": ["rows", "more"] });
    let outcome = scene.sync(&config, &json!({}), "json");
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    let output = scene.folder.lockgate().args(["state", "show", "c"]).output().expect("it runs");
    let states: Value = serde_json::from_slice(&output.stdout).expect("states");
    assert_eq!(states[0]["type"], "GLOBAL");
    assert_eq!(states[0]["global"]["shared_state"], json!({ "total": 2 * ROWS }));
    let outcome = scene.sync(&config, &json!({}), "json");
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    assert_eq!(outcome.report()["resumed"], true);
    assert_eq!(outcome.report()["records_emitted"], 0);
}

#[test]
fn time_is_limited() {
    for (side, code) in [("source", "SOURCE_FAILED"), ("destination", "DESTINATION_FAILED")] {
        let spin = json!({ "mode": "spin" });
        let well = json!({});
        let (source, destination) = if side == "source" { (&spin, &well) } else { (&well, &spin) };
        let began = Instant::now();
        let limit = format!("--{side}-timeout");
        let arguments = [limit.as_str(), "1s"];
        let blamed = (code, "LIMIT_TIME");
        let scene = breaks(
            To::Component,
            source,
            destination,
            &arguments,
            blamed,
            &["was stopped after 1 s"],
        );
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        scene.assert_recovers();
    }
}

#[test]
fn memory_is_limited() {
    for (side, code) in [("source", "SOURCE_FAILED"), ("destination", "DESTINATION_FAILED")] {
        let hog = json!({ "mode": "hog" });
        let well = json!({});
        let (source, destination) = if side == "source" { (&hog, &well) } else { (&well, &hog) };
        let limit = format!("--{side}-max-memory");
        let arguments = [limit.as_str(), "64MiB"];
        let blamed = (code, "LIMIT_MEMORY");
        breaks(
            To::Component,
            source,
            destination,
            &arguments,
            blamed,
            &["more memory than its 64 MiB"],
        );
    }
}

/// What a misbehaving component logs when it does something in `check`.
fn tried(name: &str, config: &Value, arguments: &[&str]) -> Vec<String> {
    let folder = Folder::new();
    let mut command = folder.lockgate();
    command.env("HOST_SECRET", "hunter2hunter2");
    command.arg("check").arg(guest(name)).arg("--verbose");
    let mut config = config.clone();
    config["during"] = json!("check");
    command.args(["--config", &config.to_string()]).args(arguments);
    let output = command.output().expect("lockgate runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).expect("text");
    text.lines().filter_map(|l| l.strip_prefix("connector info: ")).map(str::to_owned).collect()
}

#[test]
fn a_guest_sees_no_environment_and_no_arguments() {
    for name in ["misbehaving-source", "misbehaving-destination"] {
        let lines = tried(name, &json!({ "mode": "env" }), &[]);
        assert!(lines.iter().any(|l| l == "end of environment"), "{lines:?}");
        let seen: Vec<_> = lines
            .iter()
            .filter(|l| {
                l.starts_with("env ") || l.starts_with("argument ") || l.contains("hunter2")
            })
            .collect();
        assert!(seen.is_empty(), "{seen:?}");
        let lines = tried(name, &json!({ "mode": "env" }), &["--env", "GIVEN=1"]);
        let seen: Vec<_> = lines.iter().filter(|l| l.starts_with("env ")).collect();
        assert_eq!(seen, ["env GIVEN=1"]);
    }
}

#[test]
fn a_guest_reaches_no_file_without_a_grant() {
    for path in ["/etc/passwd", "/", "/proc/self/environ", "etc/passwd", "../../../../etc/passwd"] {
        let lines =
            tried("misbehaving-destination", &json!({ "mode": "touch", "path": path }), &[]);
        assert!(lines.len() >= 5, "{lines:?}");
        assert!(lines.iter().all(|l| l.contains(": refused: ")), "{path}: {lines:?}");
    }
}

#[test]
fn a_grant_to_read_allows_no_writing_and_nothing_outside() {
    let folder = Folder::new();
    let file = folder.write("data/file", "as it was");
    folder.write("secret", "hunter2hunter2");
    std::os::unix::fs::symlink("../secret", folder.path().join("data/link")).expect("a link");
    let grant = |access: &str| format!("{}::/data:{access}", folder.path().join("data").display());
    let touch = |path: &str, access: &str| {
        let config = json!({ "mode": "touch", "path": path });
        tried("misbehaving-destination", &config, &["--allow-dir", &grant(access)])
    };
    let done = |lines: &[String]| -> Vec<String> {
        let done = lines.iter().filter_map(|l| l.split_once(": done"));
        done.map(|(what, _)| what.to_owned()).collect()
    };
    assert_eq!(done(&touch("/data/file", "ro")), ["read"]);
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "as it was");
    for access in ["ro", "rw"] {
        for path in ["/data/../secret", "/data/link", "/secret", "/data/../../etc/passwd"] {
            let done = done(&touch(path, access));
            // A link may be read and removed where its folder is granted; what it names may not.
            let harmless = ["link", "remove"];
            assert!(
                done.iter().all(|d| harmless.contains(&d.as_str())),
                "{access} {path}: {done:?}"
            );
        }
    }
    assert_eq!(folder.read("secret"), "hunter2hunter2");
    let done = done(&touch("/data/file", "rw"));
    assert_eq!(done, ["read", "write", "remove"]);
    assert!(!file.exists());
}

#[test]
fn control_characters_of_a_guest_do_not_reach_the_terminal() {
    let folder = Folder::new();
    let mut command = folder.lockgate();
    command.arg("check").arg(guest("misbehaving-destination")).arg("--verbose");
    command.args(["--config", r#"{"mode":"escape","during":"check"}"#]);
    let output = command.output().expect("lockgate runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(text.contains(r"\u{1b}"), "{text}");
    let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(odd), "{text:?}");
}

/// One host, in this process: whatever goes wrong beside it or before it, a healthy sync succeeds.
#[test]
fn the_host_goes_on_serving() {
    let cache = CompileCache::at(&target().join("test-cache"));
    let host = Arc::new(Host::new().with_cache(Some(cache)));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = runtime.expect("a runtime");
    for worker in [None, Some(WorkerProgram::new(env!("CARGO_BIN_EXE_lockgate")))] {
        serves(&runtime, &host, worker.as_ref());
    }
}

fn serves(runtime: &tokio::runtime::Runtime, host: &Arc<Host>, worker: Option<&WorkerProgram>) {
    let sync = |source: Value, destination: Value| {
        let (host, worker) = (host.clone(), worker.cloned());
        async move {
            // Only who spins has a deadline: the other side waits for it, and that is no fault.
            let options = |config: &Value| ConnectorOptions {
                max_memory: Some("64MiB".into()),
                timeout: (config["mode"] == "spin").then(|| "1s".into()),
                ..ConnectorOptions::default()
            };
            let (source_options, destination_options) = (options(&source), options(&destination));
            let name = |n: &str| guest(n).display().to_string();
            let json = |v: Value| Json::parse(v.to_string()).expect("JSON");
            let from = name("misbehaving-source");
            let source = host.get_source(&from, &source_options, json(source));
            let to = name("misbehaving-destination");
            let destination = host.get_destination(&to, &destination_options, json(destination));
            let strategy = WriteStrategy::Append;
            let options = WriteOptions { strategy, worker, ..WriteOptions::default() };
            let destination = destination.expect("a destination");
            let result = destination.write(&source.expect("a source"), &options).await;
            result.map(|r| r.records_committed()).map_err(|f| f.error.code())
        }
    };
    let well = || json!({ "mode": "well-behaved" });
    let healthy = || sync(well(), well());
    runtime.block_on(async {
        assert_eq!(healthy().await, Ok(10));
        for mode in ["spin", "hog", "overflow"] {
            let (bad_source, bad_destination, beside) = tokio::join!(
                sync(json!({ "mode": mode }), well()),
                sync(well(), json!({ "mode": mode })),
                async {
                    for _ in 0..10 {
                        assert_eq!(healthy().await, Ok(10), "beside {mode}");
                    }
                }
            );
            assert_eq!(bad_source, Err("SOURCE_FAILED"), "{mode}");
            assert_eq!(bad_destination, Err("DESTINATION_FAILED"), "{mode}");
            let () = beside;
            assert_eq!(healthy().await, Ok(10), "after {mode}");
        }
        // More instances than the pool has, one after the other, each ending in a trap.
        for _ in 0..100 {
            let trapped = sync(json!({ "mode": "trap-mid" }), json!({ "mode": "trap" })).await;
            assert!(matches!(trapped, Err("SOURCE_FAILED" | "DESTINATION_FAILED")), "{trapped:?}");
        }
        assert_eq!(healthy().await, Ok(10), "after many traps");
    });
}
