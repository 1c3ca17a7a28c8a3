//! What fails for a reason that may pass is tried again, by the real binary: from the last committed
//! state, under one sync id, with counts that add up; and what does not pass is not.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

mod common;
#[path = "connectors/syncs.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod syncs;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use self::syncs::{From, ROWS, Syncs, To};

/// A source that fails so often, and then does not.
fn busy(syncs: &Syncs, mode: &str, times: u32) -> Value {
    let file = syncs.folder.write("times", &times.to_string());
    json!({ "mode": mode, "times": file, "pause": 0.5 })
}

fn numbers(report: &Value, name: &str) -> Vec<u64> {
    let attempts = report["attempts"].as_array().expect("attempts");
    attempts.iter().map(|attempt| attempt[name].as_u64().expect("a number")).collect()
}

fn all() -> BTreeSet<u64> {
    (0..ROWS).collect()
}

#[test]
fn an_attempt_goes_on_from_the_last_committed_state() {
    let syncs = Syncs::new(From::Process, To::Generations);
    let ended = syncs.sync(&busy(&syncs, "transient", 2), &[]);
    let report = ended.good();
    assert_eq!(numbers(&report, "number"), [1, 2, 3], "{report:#}");
    // 12 rows, then from row 10 on.
    assert_eq!(numbers(&report, "records_emitted"), [12, 2, 10]);
    assert_eq!(numbers(&report, "records_committed"), [10, 0, 10]);
    let waited = numbers(&report, "waited_ms");
    assert!(waited[0] == 0 && waited[1] >= 500 && waited[2] >= 1000, "{waited:?}");
    let codes = [0, 1, 2].map(|i| report["attempts"][i]["error"]["code"].clone());
    assert_eq!(codes, [json!("SOURCE_FAILED"), json!("SOURCE_FAILED"), Value::Null]);
    assert_eq!(report["error"], Value::Null);
    assert_eq!(
        (&report["records_emitted"], &report["records_committed"]),
        (&json!(24), &json!(20))
    );
    assert_eq!(report["sync_id"], 1);
    assert_eq!(syncs.last_catalog(), [[1, 0, 1]]);
    let ids: BTreeSet<u64> = syncs.generations("items").into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, all());
    for line in ["attempt 1 of 3 failed: SOURCE_FAILED: ", "attempt 2 of 3 failed: "] {
        assert!(ended.stderr.contains(line), "{}", ended.stderr);
    }
    assert!(ended.stderr.contains("the upstream is busy in read; it is tried again in "));
    // The next sync is another one.
    assert_eq!(syncs.sync(&json!({}), &[]).good()["sync_id"], 2);
}

#[test]
fn a_component_is_tried_again_wherever_it_runs() {
    for (place, isolation) in [("worker", "worker"), ("in-process", "in-process")] {
        let syncs = Syncs::new(From::Component, To::Files);
        // Fails in a read that begins before row 10.
        let source = json!({ "mode": "fail-mid", "kind": "transient", "after": 12, "until": 10 });
        let report = syncs.sync(&source, &["--isolation", place]).good();
        assert_eq!(report["isolation"], isolation);
        assert_eq!(numbers(&report, "records_emitted"), [12, 10], "{report:#}");
        assert_eq!(numbers(&report, "records_committed"), [10, 10]);
        assert!(numbers(&report, "waited_ms")[1] >= 1500, "as long as it asked for: {report:#}");
        assert_eq!(report["records_committed"], 20);
        assert_eq!(
            (&report["sync_id"], &report["streams"][0]["generation_id"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(syncs.ids("rows").into_iter().collect::<BTreeSet<_>>(), all());
    }
}

#[test]
fn a_run_remembers_where_nothing_is_kept() {
    let syncs = Syncs::new(From::Component, To::Files);
    let source = json!({ "mode": "fail-mid", "kind": "transient", "after": 12, "until": 10 });
    for _ in 0..2 {
        let report = syncs.sync(&source, &["--state", "none"]).good();
        assert_eq!(numbers(&report, "records_emitted"), [12, 10], "{report:#}");
        assert_eq!(report["resumed"], false);
    }
    assert!(!syncs.folder.path().join(".lockgate/state.db").exists());
}

#[test]
fn rows_that_are_replaced_are_counted_once() {
    let syncs = Syncs::new(From::Process, To::Files);
    syncs.sync(&json!({}), &["--strategy", "replace"]).good();
    let report = syncs.sync(&busy(&syncs, "transient", 1), &["--strategy", "replace"]).good();
    assert_eq!(numbers(&report, "records_emitted"), [12, 20], "{report:#}");
    assert_eq!(
        (&report["records_emitted"], &report["records_committed"]),
        (&json!(32), &json!(20))
    );
    // The rows of the first attempt are gone: there is nothing to tell apart.
    assert_eq!(report["streams"][0]["generation_id"], 2);
    assert_eq!(syncs.ids("items"), (0..ROWS).collect::<Vec<_>>());
}

#[test]
fn a_failure_before_the_first_row_is_tried_again_too() {
    let syncs = Syncs::new(From::Process, To::Generations);
    let report = syncs.sync(&busy(&syncs, "transient-check", 1), &[]).good();
    assert_eq!(numbers(&report, "records_emitted"), [0, 20], "{report:#}");
    assert_eq!(report["sync_id"], 1);
}

#[test]
fn it_is_given_up_after_so_many_attempts() {
    let syncs = Syncs::new(From::Process, To::Generations);
    let failed = syncs.sync(&busy(&syncs, "transient", 9), &["--attempts", "2"]);
    assert_eq!(failed.code, 1, "{failed:#?}");
    let report = failed.report();
    assert_eq!(report["status"], "failed");
    assert_eq!(report["error"]["context"]["cause"], "CONNECTOR_TRANSIENT");
    assert_eq!(numbers(&report, "number"), [1, 2]);
    assert_eq!(report["records_committed"], 10, "{report:#}");
    let once = syncs.sync(&busy(&syncs, "transient", 9), &["--attempts", "1"]);
    assert_eq!((once.code, numbers(&once.report(), "number")), (1, vec![1]));
    assert_eq!(syncs.sync(&json!({}), &["--attempts", "0"]).code, 2);
}

#[test]
fn what_does_not_pass_is_not_tried_again() {
    let syncs = Syncs::new(From::Process, To::Generations);
    for mode in ["exit-1", "trace-error", "wrong-stats"] {
        let failed = syncs.sync(&json!({ "mode": mode }), &[]);
        assert_eq!(failed.code, 1, "{failed:#?}");
        assert_eq!(numbers(&failed.report(), "number"), [1], "{mode}");
    }
    let hangs = json!({ "mode": "hang" });
    let failed = syncs.sync(&hangs, &["--idle-timeout", "1s"]);
    assert_eq!((failed.code, numbers(&failed.report(), "number")), (1, vec![1]), "{failed:#?}");
}

#[test]
fn ctrl_c_ends_the_wait_between_two_attempts() {
    for from in [From::Process, From::Component] {
        let syncs = Syncs::new(from, To::Files);
        let source = match from {
            From::Process => busy(&syncs, "transient", 99),
            From::Component => json!({ "mode": "fail-mid", "kind": "transient", "after": 12 }),
        };
        let mut child = syncs.start(&source, &["--attempts", "100"]);
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("it is tried again") {
            line.clear();
            assert!(errors.read_line(&mut line).expect("a line") > 0, "it ended");
        }
        kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
        let output = child.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(130));
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        assert_eq!(report["error"]["code"], "CANCELLED", "{report:#}");
        assert_eq!(report["records_committed"], 10);
        // What was confirmed is stored: the next sync goes on there.
        assert_eq!(syncs.states().len(), 1);
        let mut rest = String::new();
        errors.read_to_string(&mut rest).expect("text");
        assert!(rest.contains("error[CANCELLED]") || rest.contains("\"CANCELLED\""), "{rest}");
        let report = syncs.sync(&json!({}), &[]).good();
        assert_eq!(report["records_emitted"], 10);
    }
}

#[test]
fn attempts_are_set_in_the_project_file() {
    let syncs = Syncs::new(From::Process, To::Generations);
    let times = syncs.folder.write("work/times", "9");
    let folder = syncs.folder.path().display();
    let fixtures = common::fixture("connectors");
    let (times, fixtures) = (times.display(), fixtures.display());
    let project = |attempts: u32| {
        format!(
            r#"
[sources.items]
connector = "exec:{folder}/source"
config = {{ mode = "transient", times = "{times}", pause = 0.5 }}
allow-dir = ["{folder}/work", "{fixtures}:ro"]

[destinations.rows]
connector = "exec:{folder}/generations"
config = {{ path = "{folder}/out" }}
allow-dir = ["{folder}/out", "{fixtures}:ro"]

[connections.c]
source = "items"
destination = "rows"
strategy = "append"
attempts = {attempts}
"#
        )
    };
    syncs.folder.write("lockgate.toml", &project(1));
    let output = syncs.folder.lockgate().args(["sync", "--output", "json"]).output().expect("runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(numbers(&report, "number"), [1], "{report:#}");
    syncs.folder.write("lockgate.toml", &project(0));
    let output = syncs.folder.lockgate().arg("sync").output().expect("runs");
    assert_eq!(output.status.code(), Some(2));
}
