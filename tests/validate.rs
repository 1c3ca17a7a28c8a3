//! Whether `lockgate validate` finds what is wrong, only that, and says it to people and machines:
//! connectors with one fault each, those without, and connectors that nobody here wrote.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test ends where something is missing"
)]

mod common;
mod peers;
#[path = "validate/real.rs"]
mod real;
#[path = "peers/postgres.rs"]
mod server;
#[path = "validate/shipped.rs"]
mod shipped;

use std::path::PathBuf;

use common::Folder;
use peers::executable;
use serde_json::Value;

/// The faults of `tests/validate/guests`, and the one rule that each breaks.
const SOURCES: &[(&str, &str)] = &[
    ("any-stream", "READ_UNKNOWN_STREAM"),
    ("clamps-future", "INCREMENTAL_FUTURE"),
    ("cursor-nowhere", "DISCOVER_KEYS"),
    ("forgets-state", "INCREMENTAL_KEEPS"),
    ("ignores-state", "INCREMENTAL_USES"),
    ("keeps-token", "SECRETS_HIDDEN"),
    ("key-nowhere", "DISCOVER_KEYS"),
    ("leaks", "SECRETS_HIDDEN"),
    ("no-state", "READ_STATE"),
    ("null-key", "READ_KEYS"),
    ("open-secret", "SPEC_SECRETS"),
    ("random-rows", "READ_REPEATABLE"),
    ("row-not-as-schema", "READ_SCHEMA"),
    ("says-yes", "CHECK_REJECTS"),
    ("sound-source", ""),
    ("state-too-early", "INCREMENTAL_RESUME"),
];

const DESTINATIONS: &[(&str, &str)] = &[
    ("any-mode", "WRITE_UNLISTED"),
    ("ascii", "WRITE_VALUES"),
    ("begins-anew", "WRITE_OVERWRITE"),
    ("clears-on-empty", "WRITE_EMPTY"),
    ("confirms-early", "WRITE_DURABLE"),
    ("crashes-on-bad", "WRITE_BAD_ROW"),
    ("crashes-on-big", "WRITE_BIG_ROW"),
    ("crashes-on-empty", "WRITE_EMPTY"),
    ("deletes-first", "WRITE_INTERRUPTED"),
    ("drops-on-retain", "REFRESH_RETAIN"),
    ("ignores-minimum", "REFRESH_TRUNCATE"),
    ("keeps-old", "WRITE_OVERWRITE"),
    ("loses-some", "WRITE_VALUES"),
    ("mixes", "WRITE_INTERLEAVED"),
    ("one-case", "WRITE_NAMES"),
    ("one-namespace", "WRITE_NAMES"),
    ("replaces-always", "WRITE_APPEND"),
    ("sound-destination", ""),
    ("swallows-after-bad", "WRITE_BAD_ROW"),
    ("takes-incomplete", "WRITE_INTERRUPTED"),
    ("trims", "WRITE_VALUES"),
    ("undeclared", "SANDBOX_NEEDS"),
];

fn broken(name: &str) -> PathBuf {
    common::target().join("guests/broken").join(format!("{name}.wasm"))
}

/// The report of a call, and its exit code.
fn report(folder: &Folder, arguments: &[&str]) -> (Value, i32) {
    let mut command = folder.lockgate();
    command.args(["validate", "--output", "json", "--quiet"]).args(arguments);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|e| panic!("{e}: {told}")), output.status.code().unwrap())
}

/// The rules of one verdict.
fn codes(report: &Value, verdict: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let found = findings.filter(|finding| finding["verdict"] == verdict);
    found.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

/// What is told of one rule.
fn details(report: &Value, code: &str) -> String {
    let finding = report["findings"].as_array().unwrap().iter().find(|f| f["code"] == code);
    finding.unwrap()["details"].to_string()
}

fn try_source(name: &str, expected: &str) {
    let folder = Folder::new();
    let component = broken(name);
    let (report, code) = report(
        &folder,
        &[
            component.to_str().unwrap(),
            "--config",
            r#"{"limit": 35, "token": "hunter2-hunter2"}"#,
            "--bad-config",
            r#"{"limit": 0}"#,
        ],
    );
    let failed: Vec<&str> = Some(expected).filter(|code| !code.is_empty()).into_iter().collect();
    assert_eq!(codes(&report, "failed"), failed, "{name}: {report:#}");
    assert_eq!(code, i32::from(!failed.is_empty()), "{name}");
    assert!(!report.to_string().contains("hunter2"), "{name}");
}

fn try_destination(name: &str, expected: &str) {
    let folder = Folder::new();
    let component = broken(name);
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let (report, code) = report(
        &folder,
        &[
            component.to_str().unwrap(),
            "--config",
            r#"{"path": "/out"}"#,
            "--allow-dir",
            "out::/out",
            "--read-back",
            "files:out",
            "--commit-time",
            "20s",
        ],
    );
    let failed: Vec<&str> = Some(expected).filter(|code| !code.is_empty()).into_iter().collect();
    assert_eq!(codes(&report, "failed"), failed, "{name}: {report:#}");
    assert_eq!(code, i32::from(!failed.is_empty()), "{name}");
}

#[test]
fn each_fault_of_a_source_is_named_and_nothing_else() {
    for (name, expected) in SOURCES {
        try_source(name, expected);
    }
}

#[test]
fn each_fault_of_a_destination_is_named_and_nothing_else() {
    for (name, expected) in DESTINATIONS {
        try_destination(name, expected);
    }
}

#[test]
fn every_broken_connector_is_tried() {
    let files = std::fs::read_dir(common::target().join("guests/broken")).unwrap();
    let mut there: Vec<String> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    there.sort();
    let mut tried: Vec<&str> = SOURCES.iter().chain(DESTINATIONS).map(|(name, _)| *name).collect();
    tried.sort_unstable();
    assert_eq!(there, tried);
}

#[test]
fn a_source_of_ours_keeps_every_rule() {
    let folder = Folder::new();
    let component = common::guest("source-faker");
    let (report, code) =
        report(&folder, &[component.to_str().unwrap(), "--config", r#"{"count": 300}"#]);
    assert_eq!(codes(&report, "failed"), [""; 0], "{report:#}");
    assert_eq!(codes(&report, "skipped"), ["READ_COUNTS"], "{report:#}");
    assert_eq!(code, 0);
}

/// The report of a destination that writes to a granted folder, `out`.
fn writing(name: &str, config: &str, more: &[&str]) -> (Value, i32) {
    let folder = Folder::new();
    let component = common::guest(name);
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let mut arguments = vec![component.to_str().unwrap(), "--config", config];
    arguments.extend(["--allow-dir", "out::/out"]);
    arguments.extend(more);
    report(&folder, &arguments)
}

#[test]
fn a_destination_of_ours_keeps_every_rule() {
    let more = ["--read-back", "files:out"];
    let (report, code) = writing("destination-jsonl", r#"{"path": "/out"}"#, &more);
    assert_eq!(codes(&report, "failed"), [""; 0], "{report:#}");
    assert_eq!(codes(&report, "skipped"), ["WRITE_STATE_WHOLE", "WRITE_DEDUP"], "{report:#}");
    assert_eq!(code, 0);
}

#[test]
fn what_people_and_ci_systems_are_told() {
    let folder = Folder::new();
    let component = broken("no-state");
    let mut command = folder.lockgate();
    command.args(["validate", component.to_str().unwrap(), "--config", r#"{"limit": 3}"#]);
    let output = command.args(["--junit", "report.xml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace(component.to_str().unwrap(), "no-state.wasm");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("validate_no_state", text);
    });
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("trying: reading"), "{told}");
    let xml = folder.read("report.xml");
    assert!(xml.contains(r#"name="READ_STATE""#) && xml.contains("<failure"), "{xml}");
    assert_eq!(xml.matches("<testcase").count(), 29, "{xml}");
}

#[test]
fn a_rule_is_explained_and_all_are_listed() {
    let folder = Folder::new();
    let said = |arguments: &[&str]| {
        let output = folder.lockgate().arg("validate").args(arguments).output().unwrap();
        let all = [output.stdout, output.stderr].concat();
        (String::from_utf8(all).unwrap(), output.status.code().unwrap())
    };
    let (text, code) = said(&["--explain", "write_durable"]);
    assert!(text.starts_with("WRITE_DURABLE: ") && text.contains("To mend it: "), "{text}");
    assert_eq!(code, 0);
    let (text, code) = said(&["--explain", "NOTHING"]);
    assert!(text.contains("there is no rule NOTHING"), "{text}");
    assert_eq!(code, 2);
    let (text, code) = said(&["--rules"]);
    let known = lockgate::conformance::RULES.iter().map(|rule| rule.code);
    let listed = text.lines().map(|line| line.split_whitespace().next().unwrap());
    assert!(listed.eq(known), "{text}");
    assert_eq!(code, 0);
    assert_eq!(said(&[]).1, 2);
}

#[test]
fn without_a_way_back_nothing_is_claimed() {
    let (report, code) = writing("destination-jsonl", r#"{"path": "/out"}"#, &[]);
    assert_eq!(code, 0);
    assert!(details(&report, "WRITE_VALUES").contains("--read-back"), "{report:#}");
    assert!(codes(&report, "passed").contains(&"WRITE_ENDS".to_owned()), "{report:#}");
}

#[test]
fn a_budget_of_memory_is_a_limit() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let component = common::guest("destination-file");
    let mut arguments = vec![component.to_str().unwrap(), "--max-memory", "3MiB"];
    arguments.extend(["--config", r#"{"path": "/out", "format": "parquet"}"#]);
    arguments.extend(["--allow-dir", "out::/out"]);
    let (report, code) = report(&folder, &arguments);
    assert!(details(&report, "LIMITS_KEPT").contains("memory-bytes"), "{report:#}");
    assert!(details(&report, "WRITE_ENDS").contains("LIMIT_MEMORY"), "{report:#}");
    assert_eq!(code, 1);
}

/// A program that answers, does `checked` after the answer to check, and `writes` when it is to write.
fn scripted(checked: &str, writes: &str, more: &[&str]) -> (Value, i32) {
    let folder = Folder::new();
    let script = format!(
        "#!/bin/sh\ncase $1 in\nspec) echo '{}' ;;\ncheck) echo '{ACCEPTED}'; {checked} ;;\nwrite) {writes} ;;\nesac\n",
        r#"{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"},"supported_destination_sync_modes":["append"]}}"#,
    );
    let program = format!("exec:{}", executable(&folder, "destination-kept", &script).display());
    report(&folder, &[&[program.as_str(), "--config", "{}"][..], more].concat())
}

const ACCEPTED: &str = r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}"#;

/// One that reads what it is given, and confirms states as `echo` prints them.
fn confirming(echo: &str) -> (Value, i32) {
    scripted(":", echo, &[])
}

#[test]
fn states_of_all_streams_are_states() {
    let (report, _) = confirming("sed -n '/\"STATE\"/p'");
    assert!(codes(&report, "passed").contains(&"WRITE_GLOBAL".to_owned()), "{report:#}");
    let (report, code) = confirming("sed -n '/\"STATE\"/{/\"GLOBAL\"/d;p}'");
    let failed = codes(&report, "failed");
    // It does not look at modes either.
    assert_eq!(failed, ["WRITE_UNLISTED", "WRITE_GLOBAL"], "{report:#}");
    let told = details(&report, "WRITE_GLOBAL");
    assert!(told.contains("without acknowledging the last state of all streams"), "{report:#}");
    assert!(codes(&report, "passed").contains(&"WRITE_COMMITS".to_owned()), "{report:#}");
    assert_eq!(code, 1);
    // A member of the platform's, changed on its way back in the states of all streams only.
    let (report, _) = confirming(r#"sed -n '/"STATE"/{/"GLOBAL"/s/"number":99/"number":98/;p}'"#);
    let mangled = details(&report, "WRITE_GLOBAL");
    assert!(mangled.contains("without some of their members"), "{report:#}");
}

#[test]
fn states_come_back_in_order_and_as_they_were() {
    let (report, code) = confirming(r#"sed -n '/"STATE"/{s/"at":9/"at":8/;p}'"#);
    assert_eq!(codes(&report, "failed"), ["WRITE_STATE_WHOLE"], "{report:#}");
    assert!(
        details(&report, "WRITE_STATE_WHOLE").contains("the one of its number is another"),
        "{report:#}"
    );
    assert_eq!(code, 1);
    let (report, _) = confirming(r#"{ sed -n '/"STATE"/p' | tac; }"#);
    assert_eq!(codes(&report, "failed"), ["WRITE_COMMITS"], "{report:#}");
    assert!(details(&report, "WRITE_COMMITS").contains("out of order"), "{report:#}");
}

#[test]
fn who_answers_answers_once_and_ends_well() {
    let trace = r#"echo '{"type":"TRACE","trace":{"type":"ERROR","error":{"message":"no disk"}}}'"#;
    for (checked, told) in [
        (format!("echo '{ACCEPTED}'").as_str(), "more than once"),
        (trace, "told of an error: no disk"),
        ("exit 3", "exited with code 3"),
    ] {
        let (report, code) = scripted(checked, "sed -n '/\"STATE\"/p'", &[]);
        assert_eq!(codes(&report, "failed"), ["CHECK_ACCEPTS"], "{checked}: {report:#}");
        assert!(details(&report, "CHECK_ACCEPTS").contains(told), "{report:#}");
        assert_eq!(code, 1);
    }
}

#[test]
fn who_hangs_is_not_waited_for_without_end() {
    let times = ["--idle-time", "1s", "--commit-time", "1s"];
    let (report, code) = scripted(":", "cat > /dev/null; sleep 600", &times);
    assert_eq!(codes(&report, "failed"), ["WRITE_ENDS"], "{report:#}");
    assert!(details(&report, "WRITE_ENDS").contains("without a sign of life"), "{report:#}");
    assert_eq!(code, 1);
}

#[test]
fn a_way_back_that_does_not_work_is_no_success() {
    let faker = common::guest("source-faker");
    let back = faker.to_str().unwrap();
    let more = ["--read-back", back, "--read-back-config", r#"{"count": "many"}"#];
    let (report, code) = writing("destination-jsonl", r#"{"path": "/out"}"#, &more);
    assert_eq!(codes(&report, "failed"), ["WRITE_VALUES"], "{report:#}");
    assert!(details(&report, "WRITE_VALUES").contains("discover by"), "{report:#}");
    assert_eq!(code, 1);
}
