//! `lockgate sync --dry-run`: what it says, as snapshots, and that it does nothing.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is missing"
)]

mod common;
#[path = "connectors/syncs.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod syncs;

use std::path::Path;

use serde_json::{Value, json};

use self::common::{Folder, fixture};
use self::syncs::{Ended, From, Syncs, To};

const PROJECT: &str = r#"
[sources.faker]
connector = "guests/source-faker.wasm"
config = { count = 20 }

[destinations.files]
connector = "guests/destination-jsonl.wasm"
config = { path = "/out" }
allow-dir = ["out::/out"]

[connections.nightly]
source = "faker"
destination = "files"

[connections.nightly.stream-options.users]
strategy = "replace"

[connections.nightly.stream-options.products]
primary-key = ["id", "make"]
"#;

fn run(folder: &Folder, arguments: &[&str]) -> Ended {
    let output = folder.lockgate().args(arguments).output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn shown(name: &str, folder: &Path, ended: &Ended) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    let folder = folder.canonicalize().unwrap();
    for (pattern, mask) in [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[time]"),
        (r"sha256:[0-9a-f]{64}", "[digest]"),
    ] {
        settings.add_filter(pattern, mask);
    }
    let mut text = ended.stdout.replace(folder.to_str().unwrap(), "[folder]");
    for line in ended.stderr.lines() {
        text.push_str(&format!("stderr: {line}\n"));
    }
    text.push_str(&format!("exit code {}\n", ended.code));
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Everything in a folder but the records of runs: names and contents.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() && name != "runs" {
            all.extend(contents(&path));
        } else if path.is_file() {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_plan_says_what_a_sync_would_do_and_does_nothing() {
    let folder = Folder::project(PROJECT);
    let before = contents(folder.path());
    shown("dry_run_first", folder.path(), &run(&folder, &["sync", "--dry-run"]));
    assert_eq!(contents(folder.path()), before, "nothing is there that was not");

    assert_eq!(run(&folder, &["sync"]).code, 0);
    let before = run(&folder, &["state", "show", "nightly"]).stdout;
    let rows = folder.read("out/products.jsonl");
    for (name, options) in [
        ("dry_run_second", &[][..]),
        ("dry_run_truncate", &["--refresh", "truncate", "--streams", "products"]),
        ("dry_run_clear", &["--clear", "--streams", "purchases"]),
    ] {
        let ended = run(&folder, &[&["sync", "--dry-run"], options].concat());
        shown(name, folder.path(), &ended);
    }
    assert_eq!(run(&folder, &["state", "show", "nightly"]).stdout, before);
    assert_eq!(folder.read("out/products.jsonl"), rows);
    // Neither generations nor syncs were counted.
    let report = run(&folder, &["sync", "--output", "json"]).good();
    assert_eq!(report["sync_id"], 2);
    let generations: Vec<u64> = report["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| stream["generation_id"].as_u64().unwrap())
        .collect();
    assert_eq!(generations, [1, 2, 1]);
}

#[test]
fn a_plan_is_data_too() {
    let folder = Folder::project(PROJECT);
    let ended = run(&folder, &["sync", "--dry-run", "--output", "json", "--streams", "products"]);
    shown("dry_run_json", folder.path(), &ended);
}

#[test]
fn a_plan_foretells_what_the_sync_then_does() {
    let syncs = Syncs::new(From::Process, To::Generations);
    let interrupted = json!({ "mode": "exit-1", "pause": 0.5 });
    let stream = |plan: &Value, path: &str| plan["streams"][0].pointer(path).cloned().unwrap();
    let plan = |more: &[&str]| syncs.sync(&json!({}), &[more, &["--dry-run"]].concat()).good();

    syncs.sync(&json!({}), &[]).good();
    let truncate = ["--refresh", "truncate"];
    let foretold = plan(&truncate);
    assert_eq!(stream(&foretold, "/generation"), json!({ "current": 1, "next": 2, "minimum": 2 }));
    assert_eq!(stream(&foretold, "/state/from"), "none");
    assert_eq!(stream(&foretold, "/deletes"), "rows of generations before 2, once it is complete");
    assert_eq!(syncs.sync(&interrupted, &truncate).code, 1);
    assert_eq!(syncs.last_catalog(), [[2, 2, 2]]);

    let foretold = plan(&[]);
    assert_eq!(stream(&foretold, "/interrupted"), "goes_on");
    assert_eq!(stream(&foretold, "/generation"), json!({ "current": 2, "next": 2, "minimum": 2 }));
    assert_eq!(stream(&foretold, "/state/from"), "store");
    let full = plan(&["--full-refresh"]);
    assert_eq!(stream(&full, "/interrupted"), "begins_again");
    assert_eq!(stream(&full, "/state/from"), "none");
    let clear = plan(&["--clear"]);
    assert_eq!(stream(&clear, "/deletes"), "all its rows");

    let report = syncs.sync(&json!({}), &[]).good();
    assert_eq!(report["records_emitted"], 10, "{report:#}");
    assert_eq!(syncs.last_catalog(), [[2, 2, 3]]);
    assert_eq!(stream(&plan(&[]), "/interrupted"), Value::Null);
}

#[test]
fn what_is_said_of_single_streams_is_planned_or_refused() {
    let schema = json!({ "type": "object", "properties": {
        "id": { "type": "integer" },
        "meta": { "type": "object", "properties": { "at": { "type": "string" } } },
    }});
    let text = |options: &str| {
        let source = fixture("connectors/source.py");
        format!(
            r#"
[sources.items]
connector = "exec:./run"
config = {{ defined = false, schema = {schema} }}
allow-dir = ["{}:ro"]

[destinations.files]
connector = "guests/destination-jsonl.wasm"
config = {{ path = "/out" }}
allow-dir = ["out::/out"]

[connections.c]
source = "items"
destination = "files"

[connections.c.stream-options.items]
{options}
"#,
            source.parent().unwrap().display(),
            schema = toml_of(&schema),
        )
    };
    let folder = Folder::project(&text(""));
    let program = fixture("connectors/source.py");
    let script = folder
        .write("run", &format!("#!/bin/sh\nexec python3 -E -S {} \"$@\"\n", program.display()));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(script, mode).unwrap();
    let plan = |options: &str| {
        folder.write("lockgate.toml", &text(options));
        run(&folder, &["sync", "--dry-run", "--output", "json"])
    };
    let without = plan("").good();
    assert_eq!(without["streams"][0]["sync_mode"], "full_refresh");
    assert!(without["notes"][0].as_str().unwrap().contains("has no cursor"), "{without:#}");

    let nested = plan("cursor-field = [\"meta\", \"at\"]\nprimary-key = \"id\"").good();
    let stream = &nested["streams"][0];
    assert_eq!(stream["sync_mode"], "incremental");
    assert_eq!(stream["cursor_field"], json!(["meta", "at"]));
    assert_eq!(
        (&stream["cursor_from"], &stream["primary_key_from"]),
        (&json!("configured"), &json!("configured"))
    );
    assert_eq!(stream["primary_key"], json!([["id"]]));
    // The destination cannot merge, and that is said.
    assert_eq!(stream["destination_sync_mode"], "append");
    assert!(nested["notes"][0].as_str().unwrap().contains("cannot merge"));

    for (options, words) in [
        ("cursor-field = \"at\"", ["items: its cursor at is not in its schema", "id, meta"]),
        ("primary-key = [[\"meta\", \"id\"]]", ["its primary key meta.id is not", "id, meta"]),
        ("primary-key = []", ["connections.c.stream-options.\"items\"", "empty path"]),
        (
            "strategy = \"merge\"\nprimary-key = [\"id\"]",
            ["cannot append_dedup", "append, overwrite"],
        ),
    ] {
        let refused = plan(options);
        assert_eq!(refused.code, 2, "{refused:#?}");
        for word in words {
            // As JSON, quotes are escaped.
            assert!(refused.stderr.replace('\\', "").contains(word), "{word}: {}", refused.stderr);
        }
    }
}

/// A JSON value as it stands in TOML.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{name} = {}", toml_of(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}
