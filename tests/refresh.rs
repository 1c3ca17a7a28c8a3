//! Refreshes and clears by the real binary: rows of a destination that keeps generations apart, and of
//! one that can only overwrite, after each sync that went well and each that was interrupted.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

mod common;
#[path = "connectors/syncs.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod syncs;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::syncs::{From, ROWS, Syncs, To};

/// Fails amid the rows, once those before the second state are confirmed.
fn interrupted() -> Value {
    json!({ "mode": "exit-1", "pause": 0.5 })
}

fn nothing() -> Value {
    json!({})
}

const TRUNCATE: &[&str] = &["--refresh", "truncate"];
const RETAIN: &[&str] = &["--refresh", "retain"];

/// How many rows each generation has, without those that are there twice.
fn counted(syncs: &Syncs) -> Vec<(u64, usize)> {
    let rows: BTreeSet<_> = syncs.generations("items").into_iter().collect();
    let generations: BTreeSet<u64> = rows.iter().map(|(generation, _)| *generation).collect();
    let of = |generation| rows.iter().filter(|(g, _)| *g == generation).count();
    generations.into_iter().map(|generation| (generation, of(generation))).collect()
}

#[test]
fn an_interrupted_truncate_goes_on_and_old_rows_stay_until_it_is_complete() {
    let syncs = Syncs::new(From::Process, To::Generations);
    syncs.sync(&nothing(), &[]).good();
    assert_eq!(counted(&syncs), [(1, 20)]);
    assert_eq!(syncs.last_catalog(), [[1, 0, 1]]);

    assert_eq!(syncs.sync(&interrupted(), TRUNCATE).code, 1);
    assert_eq!(syncs.last_catalog(), [[2, 2, 2]]);
    let rows = counted(&syncs);
    assert_eq!(rows[0], (1, 20), "old rows are there");
    assert!((10..=12).contains(&rows[1].1), "{rows:?}");

    // Whatever is asked for next, it goes on where it was.
    let report = syncs.sync(&nothing(), &[]).good();
    assert_eq!(report["streams"][0]["records_emitted"], 10, "{report:#}");
    assert_eq!(syncs.last_catalog(), [[2, 2, 3]]);
    assert_eq!(counted(&syncs), [(2, 20)]);

    syncs.sync(&json!({ "rows": 25 }), &[]).good();
    assert_eq!(syncs.last_catalog(), [[2, 0, 4]]);
    assert_eq!(counted(&syncs), [(2, 25)]);
}

#[test]
fn a_retain_refresh_reads_everything_beside_what_is_there() {
    let syncs = Syncs::new(From::Process, To::Generations);
    syncs.sync(&nothing(), &[]).good();
    syncs.sync(&nothing(), RETAIN).good();
    assert_eq!(syncs.last_catalog(), [[2, 0, 2]]);
    assert_eq!(counted(&syncs), [(1, 20), (2, 20)]);
    let report = syncs.sync(&nothing(), &[]).good();
    assert_eq!(report["records_emitted"], 0, "it goes on from the refresh: {report:#}");
}

#[test]
fn a_retain_refresh_after_a_failed_truncate_keeps_all_rows() {
    let syncs = Syncs::new(From::Process, To::Generations);
    syncs.sync(&nothing(), &[]).good();
    assert_eq!(syncs.sync(&interrupted(), TRUNCATE).code, 1);
    syncs.sync(&nothing(), RETAIN).good();
    assert_eq!(syncs.last_catalog(), [[3, 0, 3]]);
    let rows = counted(&syncs);
    assert_eq!((rows[0], rows[2]), ((1, 20), (3, 20)));
    assert!(rows[1].1 >= 10, "{rows:?}");
}

#[test]
fn an_interrupted_truncate_of_a_full_read_still_truncates() {
    let syncs = Syncs::new(From::Process, To::Generations);
    let full = |mode: &str| json!({ "mode": mode, "pause": 0.5, "incremental": false });
    syncs.sync(&full("ok"), &[]).good();
    assert_eq!(syncs.sync(&full("exit-1"), TRUNCATE).code, 1);
    assert_eq!(syncs.last_catalog(), [[2, 2, 2]]);
    // Its source cannot go on: another generation tells what it had written from what comes now.
    syncs.sync(&full("ok"), &[]).good();
    assert_eq!(syncs.last_catalog(), [[3, 3, 3]]);
    assert_eq!(counted(&syncs), [(3, 20)]);
}

#[test]
fn a_clear_reads_nothing_and_leaves_nothing() {
    let syncs = Syncs::new(From::Process, To::Generations);
    let streams = json!({ "streams": ["items", "others"] });
    syncs.sync(&streams, &[]).good();
    // Would fail at its first row.
    let failing = json!({ "streams": ["items", "others"], "mode": "exit-1", "after": 0 });
    let report = syncs.sync(&failing, &["--clear", "--streams", "items"]).good();
    assert_eq!(report["records_emitted"], 0);
    assert_eq!(syncs.last_catalog(), [[2, 2, 2]]);
    assert_eq!(syncs.generations("items"), []);
    assert_eq!(syncs.generations("others").len(), 20);
    assert_eq!(syncs.streams_with_states(), ["others"]);

    let report = syncs.sync(&streams, &[]).good();
    assert_eq!(report["records_emitted"], ROWS, "one of two is read again: {report:#}");
    assert_eq!(counted(&syncs), [(2, 20)]);

    syncs.sync(&failing, &["--clear"]).good();
    assert_eq!((syncs.generations("items"), syncs.generations("others")), (vec![], vec![]));
    assert!(syncs.states().is_empty());
}

#[test]
fn a_destination_without_generations_overwrites_and_begins_again() {
    for from in [From::Process, From::Component] {
        let syncs = Syncs::new(from, To::Files);
        let (stream, failing) = match from {
            From::Process => ("items", interrupted()),
            From::Component => ("rows", json!({ "mode": "fail-mid", "after": 12 })),
        };
        let all: Vec<u64> = (0..ROWS).collect();
        syncs.sync(&nothing(), &[]).good();
        assert_eq!(syncs.ids(stream), all);

        let failed = syncs.sync(&failing, TRUNCATE);
        assert_eq!(failed.code, 1, "{failed:#?}");
        assert_eq!(syncs.ids(stream), all, "as they were");

        let went_on = syncs.sync(&nothing(), &[]);
        let report = went_on.good();
        assert_eq!(report["streams"][0]["destination_sync_mode"], "overwrite", "{report:#}");
        assert_eq!(report["records_emitted"], ROWS, "from the beginning");
        assert!(went_on.stderr.contains("begins again"), "{}", went_on.stderr);
        assert_eq!(syncs.ids(stream), all, "once");

        let report = syncs.sync(&json!({ "rows": 25 }), &[]).good();
        assert_eq!(report["streams"][0]["destination_sync_mode"], "append");
        assert_eq!(report["records_emitted"], 5);

        let report = syncs.sync(&failing, &["--clear"]).good();
        assert_eq!(report["streams"][0]["destination_sync_mode"], "overwrite");
        assert_eq!(syncs.ids(stream), []);
        assert!(syncs.states().is_empty());
    }
}

#[test]
fn a_destination_that_only_appends_cannot_remove_rows() {
    let syncs = Syncs::new(From::Process, To::Appending);
    syncs.sync(&nothing(), &[]).good();
    for options in [TRUNCATE, &["--clear"]] {
        let refused = syncs.sync(&nothing(), options);
        assert_eq!(refused.code, 2, "{refused:#?}");
        let report = refused.report();
        assert_eq!(report["error"]["code"], "MODE_UNSUPPORTED", "{report:#}");
        let message = report["error"]["message"].as_str().expect("a message");
        assert!(message.contains("items") && message.contains("it can append"), "{message}");
    }
    // Nothing was counted for it.
    syncs.sync(&nothing(), RETAIN).good();
    assert_eq!(syncs.last_catalog(), [[2, 0, 2]]);
}

#[test]
fn a_full_refresh_ignores_what_is_stored() {
    let syncs = Syncs::new(From::Process, To::Generations);
    syncs.sync(&nothing(), &[]).good();
    let report = syncs.sync(&nothing(), &["--full-refresh"]).good();
    assert_eq!(report["records_emitted"], ROWS);
    assert_eq!(report["streams"][0]["sync_mode"], "full_refresh");
    // Incremental reads go on from the state of the last incremental read.
    assert_eq!(syncs.sync(&nothing(), &[]).good()["records_emitted"], 0);
}

#[test]
fn options_that_exclude_each_other_are_named() {
    let syncs = Syncs::new(From::Process, To::Generations);
    for [one, other] in [
        ["--refresh=retain", "--clear"],
        ["--refresh=truncate", "--full-refresh"],
        ["--clear", "--full-refresh"],
        ["--clear", "--state=none"],
        ["--refresh=retain", "--state=none"],
    ] {
        let refused = syncs.sync(&nothing(), &[one, other]);
        assert_eq!(refused.code, 2, "{refused:#?}");
        for option in [one, other] {
            let name = option.split('=').next().expect("a name");
            assert!(refused.stderr.contains(name), "{option}: {refused:#?}");
        }
    }
}

#[test]
fn rejected_rows_are_counted_and_not_called_committed() {
    let syncs = Syncs::new(From::Process, To::Generations);
    let source = json!({ "rejected": 2, "streams": ["items", "others"] });
    let rejecting = |path: std::path::PathBuf| json!({ "path": path, "reject": 7 }).to_string();
    let config = rejecting(syncs.folder.path().join("out"));
    let report = syncs.sync(&source, &["--destination-config", &config]).good();
    for stream in report["streams"].as_array().expect("streams") {
        assert_eq!(stream["records_emitted"], 20, "{report:#}");
        assert_eq!(stream["records_sent"], 20);
        assert_eq!(stream["records_rejected"], 7);
        assert_eq!(stream["records_committed"], 13);
        assert_eq!(stream["records_rejected_by_source"], 8, "2 with each of 4 states");
        assert_eq!([&stream["checkpoints_emitted"], &stream["checkpoints_committed"]], [4, 4]);
        assert!(stream["state_stored_at"].as_i64() >= report["started_at"].as_i64());
    }
    let totals = ["records_rejected", "records_rejected_by_source", "records_committed"];
    assert_eq!(totals.map(|name| report[name].as_u64()), [Some(14), Some(16), Some(26)]);
    let shown = syncs.folder.lockgate().args(["runs", "show", "last"]).output().expect("it runs");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let line = shown.lines().find(|line| line.trim_start().starts_with("others")).expect(&shown);
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words.join(" "), "others 1 20 0 20 13 7 and 8 by the source 4 of 4");
}
