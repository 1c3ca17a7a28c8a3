//! What a sync does when one of its sides fails: connectors on stdio made to fail, and the real
//! binary. Each test is one way to fail, in every pairing where it can happen. A failure ends in
//! exit code 1, blames the side at fault, keeps the states that were confirmed and no others,
//! leaves a target that was to be replaced as it was, and leaves no process and no file behind.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test ends where something is missing, and says how far it came"
)]

mod common;
#[path = "connectors/fault_scene.rs"]
mod fault_scene;

use std::time::Duration;

use serde_json::{Value, json};

use self::fault_scene::{From, Outcome, ROWS, Scene, To, processes};

/// The side at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

/// What is expected of a failure.
struct Expected<'a> {
    side: Side,
    /// `context.cause`.
    cause: &'a str,
    /// In the message.
    words: &'a [&'a str],
}

impl Expected<'_> {
    /// Asserts the exit code and who is blamed, in text or in JSON, whichever was printed.
    fn assert(&self, outcome: &Outcome, format: &str) {
        assert_eq!(outcome.code, 1, "{outcome:#?}");
        let (code, name, other) = match self.side {
            Side::Source => ("SOURCE_FAILED", "the source ", "the destination "),
            Side::Destination => ("DESTINATION_FAILED", "the destination ", "the source "),
        };
        let message = if format == "json" {
            let report = outcome.report();
            assert_eq!(report["status"], "failed", "{outcome:#?}");
            let error = &report["error"];
            assert_eq!(error["code"], code, "{outcome:#?}");
            assert_eq!(error["context"]["cause"], self.cause, "{outcome:#?}");
            assert!(error["hint"].as_str().is_some_and(|h| h.contains("run it again")));
            let said = outcome.stderr.lines().find_map(|l| serde_json::from_str::<Value>(l).ok());
            assert_eq!(said.expect("the error is on stderr too")["code"], code);
            error["message"].as_str().expect("a message").to_owned()
        } else {
            assert!(outcome.stdout.contains("sync failed"), "{outcome:#?}");
            let cause = format!("cause: {}\n", self.cause);
            assert!(outcome.stderr.contains(&cause), "{outcome:#?}");
            let start = format!("error[{code}]: ");
            let line = outcome.stderr.lines().find_map(|l| l.strip_prefix(&start));
            line.unwrap_or_else(|| panic!("{outcome:#?}")).to_owned()
        };
        assert!(message.starts_with(name) && message.contains(" failed: "), "{message}");
        assert!(!message.starts_with(other), "{message}");
        for word in self.words {
            assert!(message.contains(word), "{word:?} is not in: {message}");
        }
    }
}

/// A failure of `source.py`, into both destinations, replacing and appending. `at`: the last state
/// that was certainly confirmed when the source failed.
fn source_fails(mode: &str, cause: &str, words: &[&str], at: Option<u64>) {
    source_fails_with(&json!({ "mode": mode }), cause, words, at);
}

fn source_fails_with(config: &Value, cause: &str, words: &[&str], at: Option<u64>) {
    let expected = Expected { side: Side::Source, cause, words };
    let mut config = config.clone();
    // Time for the destination to confirm what came before the fault.
    config["pause"] = json!(0.5);
    for (to, replace, format) in [
        (To::Jsonl, true, "human"),
        (To::Jsonl, false, "json"),
        (To::Stdio, true, "json"),
        (To::Stdio, false, "human"),
    ] {
        eprintln!("{to:?}, replace: {replace}");
        let scene = Scene::new(From::Stdio, to, replace);
        let outcome = scene.sync(&config, &json!({}), format);
        expected.assert(&outcome, format);
        scene.assert_nothing_left();
        scene.assert_old();
        let stored = scene.stored();
        if replace {
            // The rows of these states are not in place, whoever confirmed them.
            assert_eq!(stored, []);
        } else {
            if to == To::Stdio {
                assert_eq!(stored, scene.acknowledged());
            }
            if let Some(at) = at {
                assert_eq!(stored, [("items".to_owned(), at)]);
            }
            let ids = scene.ids();
            for (_, at) in stored.iter().filter(|(stream, _)| stream == "items") {
                assert!((0..*at).all(|id| ids.contains(&id)), "{stored:?} {ids:?}");
            }
        }
        if config.get("streams").is_none() {
            scene.assert_recovers();
        }
    }
}

/// Modes of `destination.py` whose fault comes after all rows.
const AT_THE_END: [&str; 4] = ["exit-1-at-end", "trace-error-at-end", "no-last-ack", "never-ack"];

/// A failure of `destination.py`, from both sources, replacing and appending. `at`: the state that
/// is stored when it appends; none: whatever it acknowledged.
fn destination_fails(mode: &str, cause: &str, words: &[&str], at: Option<&[u64]>) {
    let expected = Expected { side: Side::Destination, cause, words };
    for (from, replace, format) in [
        (From::Component, true, "json"),
        (From::Component, false, "human"),
        (From::Stdio, true, "human"),
        (From::Stdio, false, "json"),
    ] {
        eprintln!("{from:?}, replace: {replace}");
        let scene = Scene::new(from, To::Stdio, replace);
        let outcome = scene.sync(&json!({}), &json!({ "mode": mode }), format);
        expected.assert(&outcome, format);
        scene.assert_nothing_left();
        if replace && AT_THE_END.contains(&mode) {
            // It was told that the stream is complete, and replaced all of it before it failed.
            assert_eq!(scene.ids(), (0..ROWS).collect::<Vec<_>>());
        } else {
            scene.assert_old();
        }
        let stored = scene.stored();
        match at {
            _ if replace => assert_eq!(stored, []),
            Some(places) => {
                let stream = scene.stream().to_owned();
                let places: Vec<_> = places.iter().map(|at| (stream.clone(), *at)).collect();
                assert_eq!(stored, places);
            }
            None => assert_eq!(stored, scene.acknowledged()),
        }
        scene.assert_recovers();
    }
}

#[test]
fn the_source_exits_with_code_1() {
    source_fails("exit-1", "CONNECTOR_EXIT", &["exited with code 1"], Some(10));
}

#[test]
fn what_the_source_said_last_is_shown() {
    let scene = Scene::new(From::Stdio, To::Jsonl, false);
    let outcome = scene.sync(&json!({ "mode": "exit-1" }), &json!({}), "json");
    let context = &outcome.report()["error"]["context"];
    assert!(context["stderr"].as_str().expect("stderr").contains("the upstream went away"));
}

#[test]
fn the_source_is_killed() {
    source_fails("sigkill", "CONNECTOR_EXIT", &["was killed by signal 9 (SIGKILL)"], Some(10));
}

#[test]
fn the_source_crashes() {
    source_fails("sigsegv", "CONNECTOR_EXIT", &["was killed by signal 11 (SIGSEGV)"], Some(10));
}

#[test]
fn the_source_exits_with_code_0_in_the_middle() {
    let words = ["stream items", "ended without saying that the stream is complete"];
    source_fails("exit-0", "CONNECTOR_FAILED", &words[1..], Some(10));
}

#[test]
fn the_source_ends_a_stream_as_incomplete_and_exits_with_code_0() {
    let words = ["could not read the stream to its end"];
    source_fails("incomplete", "CONNECTOR_FAILED", &words, None);
}

#[test]
fn one_of_two_streams_is_incomplete() {
    let config = json!({ "mode": "incomplete", "streams": ["items", "others"] });
    let words = ["could not read the stream to its end", "others"];
    source_fails_with(&config, "CONNECTOR_FAILED", &words, None);
}

#[test]
fn the_source_never_says_complete() {
    let words = ["ended without saying that the stream is complete"];
    source_fails("no-complete", "CONNECTOR_FAILED", &words, None);
}

#[test]
fn the_source_tells_of_an_error_and_exits_with_code_0() {
    source_fails("trace-error", "CONNECTOR_FAILED", &["the table items was dropped"], Some(10));
}

#[test]
fn the_source_tells_of_an_error_after_every_stream_was_complete() {
    let words = ["the last page was cut off"];
    source_fails("trace-error-after-complete", "CONNECTOR_FAILED", &words, Some(ROWS));
}

#[test]
fn the_source_exits_with_code_1_after_every_stream_was_complete() {
    let words = ["exited with code 1"];
    source_fails("exit-1-after-complete", "CONNECTOR_EXIT", &words, Some(ROWS));
}

#[test]
fn a_record_is_garbled() {
    let words = ["is a RECORD that cannot be read", "line "];
    source_fails("garbled", "RECORD_GARBLED", &words, Some(10));
}

#[test]
fn two_records_have_grown_together() {
    let words = ["is a RECORD that cannot be read"];
    source_fails("grown-together", "RECORD_GARBLED", &words, Some(10));
}

#[test]
fn a_record_follows_a_log_on_its_line() {
    let words = ["is a RECORD that cannot be read"];
    source_fails("log-and-record", "RECORD_GARBLED", &words, Some(10));
}

#[test]
fn the_last_record_is_torn() {
    source_fails("torn", "RECORD_GARBLED", &["is a RECORD that cannot be read"], Some(10));
}

#[test]
fn the_sources_counts_do_not_add_up() {
    let words = ["says it sent 13 records since its last state, and 2 arrived"];
    source_fails("wrong-stats", "CONNECTOR_FAILED", &words, Some(10));
}

#[test]
fn a_record_is_of_an_unknown_stream() {
    let words = ["a record of the stream nobody, which is not in the catalog"];
    source_fails("unknown-stream", "CONNECTOR_PROTOCOL", &words, Some(10));
}

#[test]
fn a_state_is_of_an_unknown_stream() {
    let words = ["a state of a stream that is not in the catalog", "nobody"];
    source_fails("unknown-stream-state", "CONNECTOR_FAILED", &words, Some(10));
}

#[test]
fn a_record_follows_the_end_of_its_stream() {
    let words = ["emitted rows after it had ended the stream"];
    source_fails("after-complete", "CONNECTOR_FAILED", &words, Some(ROWS));
}

#[test]
fn the_destination_exits_with_code_0_and_leaves_much_unread() {
    let words = ["exited with code 0 before it had read all its input"];
    for from in [From::Component, From::Stdio] {
        for replace in [true, false] {
            let scene = Scene::new(from, To::Stdio, replace);
            let source = match from {
                From::Component => {
                    json!({ "rows": 100_000, "rows_per_batch": 300, "rows_per_checkpoint": 1000 })
                }
                From::Stdio => json!({ "rows": 10_000, "pad": 1000, "checkpoint_every": 1000 }),
            };
            let outcome = scene.sync(&source, &json!({ "mode": "exit-0" }), "json");
            let cause = "CONNECTOR_ENDED_EARLY";
            Expected { side: Side::Destination, cause, words: &words }.assert(&outcome, "json");
            scene.assert_nothing_left();
            scene.assert_old();
            assert_eq!(scene.stored(), []);
        }
    }
}

#[test]
fn the_destination_exits_with_code_0_before_the_last_state() {
    for from in [From::Component, From::Stdio] {
        let scene = Scene::new(from, To::Stdio, false);
        let outcome = scene.sync(&json!({}), &json!({ "mode": "exit-0", "after": 7 }), "json");
        assert_eq!(outcome.code, 1, "{outcome:#?}");
        assert_eq!(outcome.report()["error"]["code"], "DESTINATION_FAILED");
        assert_eq!(scene.stored(), scene.acknowledged());
        scene.assert_nothing_left();
        scene.assert_recovers();
    }
}

/// There is no state whose acknowledgement could be missed: only the unread input tells.
#[test]
fn the_destination_exits_with_code_0_and_has_read_nothing_of_little() {
    for replace in [true, false] {
        let scene = Scene::new(From::Stdio, To::Stdio, replace);
        let outcome =
            scene.sync(&json!({ "states": false }), &json!({ "mode": "exit-0-unread" }), "json");
        let words = ["exited with code 0 before it had read all its input"];
        let cause = "CONNECTOR_ENDED_EARLY";
        Expected { side: Side::Destination, cause, words: &words }.assert(&outcome, "json");
        scene.assert_nothing_left();
        scene.assert_old();
        assert_eq!(scene.stored(), []);
        scene.assert_recovers();
    }
}

#[test]
fn the_destination_exits_with_code_1() {
    destination_fails("exit-1", "CONNECTOR_EXIT", &["exited with code 1"], None);
}

#[test]
fn the_destination_exits_with_code_1_at_the_end() {
    destination_fails("exit-1-at-end", "CONNECTOR_EXIT", &["exited with code 1"], Some(&[ROWS]));
}

#[test]
fn the_destination_is_killed() {
    destination_fails("sigkill", "CONNECTOR_EXIT", &["was killed by signal 9 (SIGKILL)"], None);
}

#[test]
fn the_destination_crashes() {
    destination_fails("sigsegv", "CONNECTOR_EXIT", &["was killed by signal 11 (SIGSEGV)"], None);
}

#[test]
fn the_destination_tells_of_an_error_and_exits_with_code_0() {
    destination_fails("trace-error", "CONNECTOR_FAILED", &["the warehouse is read-only"], None);
}

#[test]
fn the_destination_tells_of_an_error_at_the_end() {
    let words = ["the last batch was refused"];
    destination_fails("trace-error-at-end", "CONNECTOR_FAILED", &words, Some(&[ROWS]));
}

#[test]
fn the_destination_acknowledges_a_state_that_was_never_sent() {
    let words = ["it acknowledged a state of stream ", "that was never sent to it"];
    destination_fails("ack-unknown", "CONNECTOR_PROTOCOL", &words, Some(&[]));
}

#[test]
fn the_destination_acknowledges_a_state_of_an_unknown_stream() {
    let words = ["it acknowledged a state of stream nobody that was never sent to it"];
    destination_fails("ack-unknown-stream", "CONNECTOR_PROTOCOL", &words, Some(&[]));
}

#[test]
fn the_destination_acknowledges_out_of_order() {
    let words = ["it acknowledged the states of stream ", "out of order"];
    destination_fails("ack-out-of-order", "CONNECTOR_PROTOCOL", &words, Some(&[10]));
}

#[test]
fn the_destination_acknowledges_twice() {
    let words = ["it acknowledged the states of stream ", "out of order"];
    destination_fails("ack-twice", "CONNECTOR_PROTOCOL", &words, Some(&[5]));
}

#[test]
fn the_destinations_counts_do_not_add_up() {
    let words = ["acknowledged a state with 6 records, and was given 5"];
    destination_fails("wrong-stats", "CONNECTOR_FAILED", &words, Some(&[]));
}

#[test]
fn the_destination_never_acknowledges_the_last_state() {
    let words = ["ended without acknowledging the last state of stream "];
    destination_fails("no-last-ack", "CONNECTOR_FAILED", &words, None);
}

#[test]
fn the_destination_acknowledges_nothing() {
    let words = ["ended without acknowledging the last state of stream "];
    destination_fails("never-ack", "CONNECTOR_FAILED", &words, Some(&[]));
}

#[test]
fn the_destination_prints_a_record() {
    destination_fails(
        "record",
        "CONNECTOR_PROTOCOL",
        &["line ", " of its output is a RECORD"],
        None,
    );
}

/// SIGTERM does not help; SIGKILL after the stop time (10 s) does.
#[test]
fn the_source_fails_and_the_destination_does_not_stop() {
    let scene = Scene::new(From::Stdio, To::Stdio, true);
    let source = json!({ "mode": "exit-1", "pause": 0.5 });
    let outcome = scene.sync(&source, &json!({ "mode": "hang-hard" }), "json");
    let words = ["exited with code 1"];
    Expected { side: Side::Source, cause: "CONNECTOR_EXIT", words: &words }
        .assert(&outcome, "json");
    assert!(outcome.took > Duration::from_secs(9), "it was given time: {:?}", outcome.took);
    assert!(outcome.took < Duration::from_secs(30), "{:?}", outcome.took);
    scene.assert_nothing_left();
    scene.assert_old();
    assert_eq!(scene.stored(), []);
    scene.assert_recovers();
}

#[test]
fn the_destination_fails_and_the_source_hangs() {
    for (mode, least, most) in [("hang", 0, 9), ("hang-hard", 9, 30)] {
        let scene = Scene::new(From::Stdio, To::Stdio, false);
        let destination = json!({ "mode": "exit-1", "pause": 0.5 });
        let outcome = scene.sync(&json!({ "mode": mode }), &destination, "json");
        let words = ["exited with code 1"];
        let expected = Expected { side: Side::Destination, cause: "CONNECTOR_EXIT", words: &words };
        expected.assert(&outcome, "json");
        assert!(outcome.took > Duration::from_secs(least), "{mode}: {:?}", outcome.took);
        assert!(outcome.took < Duration::from_secs(most), "{mode}: {:?}", outcome.took);
        scene.assert_nothing_left();
        assert_eq!(scene.stored(), scene.acknowledged());
        scene.assert_recovers();
    }
}

/// The marker that finds processes finds them.
#[test]
fn a_process_that_is_left_would_be_found() {
    let marker = "lockgate-test-marker-of-a-process";
    let mut child = std::process::Command::new("sh")
        .args(["-c", "sleep 60; exit 0", marker])
        .spawn()
        .expect("a shell");
    // Between its fork and its exec it still has our name.
    let mut found = processes(marker);
    for _ in 0..100 {
        if !found.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        found = processes(marker);
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    assert!(found.iter().any(|(_, arguments)| arguments.starts_with("sh -c")), "{found:?}");
}
