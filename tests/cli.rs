//! What people see: the real binary's output, as snapshots. `cargo insta review` shows what a
//! change does to them; what differs between machines and runs is masked in [`shown`].

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is missing"
)]

mod common;

use std::path::Path;

use common::{Folder, fixture};

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
strategy = "append"
"#;

/// What a command prints, and its exit code.
fn run(folder: &Folder, arguments: &[&str]) -> String {
    run_with(folder, arguments, "")
}

fn run_with(folder: &Folder, arguments: &[&str], stdin: &str) -> String {
    let mut command = folder.lockgate();
    command.args(arguments).env_remove("COLUMNS").write_stdin(stdin);
    // No name is looked up beyond this machine.
    command.env("AIRBYTE_LOCAL_REGISTRY", "0");
    let output = command.output().unwrap();
    let quoted = |argument: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=".contains(c);
        if argument.chars().all(plain) { (*argument).to_owned() } else { format!("'{argument}'") }
    };
    let typed: Vec<String> = arguments.iter().map(quoted).collect();
    let mut text = format!("$ lockgate {}\n", typed.join(" "));
    text.push_str(&String::from_utf8(output.stdout).unwrap());
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        text.push_str(&format!("stderr: {line}\n"));
    }
    let code = output.status.code().expect("it ended by itself");
    text + &format!("exit code {code}\n")
}

/// Compares with the snapshot, without what differs between machines and runs.
fn shown(name: &str, folder: &Path, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    let folder = folder.canonicalize().unwrap();
    let text = text.replace(folder.to_str().unwrap(), "[folder]");
    for (pattern, mask) in [
        (r"in \d+\.\d\d s", "in [seconds] s"),
        (r"sha256:[0-9a-f]{64}", "[digest]"),
        (r#""(started_at|duration_ms|stored_at|state_stored_at)": \d+"#, r#""$1": [number]"#),
        (r"-to-([a-z-]+)-[0-9a-f]{8}", "-to-$1-[digest]"),
        (r"\d{8}T\d{6}Z-[0-9a-f]{6}", "[run]"),
        // What a component imports of WASI, and its size, are its toolchain's choice.
        (r"(?m)^  wasi:.*\n", ""),
        (r"(?m)^(  size +).*$", "$1[size]"),
        (r"(?m)^(  lockgate:\S+) +linked$", "$1 linked"),
    ] {
        settings.add_filter(pattern, mask);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn help() {
    let folder = Folder::new();
    let commands: &[&[&str]] = &[
        &[],
        &["spec"],
        &["check"],
        &["discover"],
        &["sync"],
        &["exec"],
        &["inspect"],
        &["state"],
        &["state", "show"],
        &["state", "set"],
        &["state", "copy"],
        &["state", "clear"],
        &["policy"],
        &["policy", "show"],
        &["policy", "suggest"],
        &["runs"],
        &["runs", "list"],
        &["runs", "show"],
        &["connectors"],
        &["connectors", "list"],
        &["connectors", "install"],
        &["connectors", "remove"],
        &["connectors", "info"],
    ];
    for command in commands {
        let name = format!("help {}", command.join(" "));
        let text = run(&folder, &[command, &["--help"][..]].concat());
        shown(name.trim_end().replace(' ', "_").as_str(), folder.path(), &text);
    }
}

#[test]
fn usage() {
    let folder = Folder::new();
    let calls: &[&[&str]] = &[
        &["frobnicate"],
        &["spec"],
        &["spec", "--quiet", "--verbose", "x.wasm"],
        &["sync", "--source", "a.wasm"],
        &["sync", "nightly", "--source", "a.wasm", "--destination", "b.wasm"],
        &["sync", "--strategy", "upsert"],
        &["exec", "a.wasm", "frobnicate"],
        &["state", "--state", "redis", "show"],
    ];
    let text: Vec<String> = calls.iter().map(|call| run(&folder, call)).collect();
    shown("usage", folder.path(), &text.join("\n"));
    let bare = folder.lockgate().output().unwrap();
    assert_eq!(bare.status.code(), Some(2));
    assert!(
        String::from_utf8(bare.stderr).unwrap().contains("Usage: lockgate [OPTIONS] <COMMAND>")
    );
}

#[test]
fn names_that_are_no_connector() {
    let folder = Folder::new();
    folder.write("rows.txt", "1,2,3\n");
    folder.write("rows.wasm", "1,2,3\n");
    let names = [
        "missing.wasm",
        "rows.wasm",
        "rows.txt",
        "./rows",
        "exec:missing",
        "exec:./rows.txt",
        "exec:",
        "docker:",
        "docker:--privileged",
        "pip:",
        "pip:.",
        "source-nowhere",
    ];
    let text: Vec<String> = names.iter().map(|name| run(&folder, &["spec", name])).collect();
    shown("no_connector", folder.path(), &text.join("\n"));
}

#[test]
fn spec_and_discover() {
    let folder = Folder::project(PROJECT);
    let text = run(&folder, &["spec", "guests/destination-jsonl.wasm"]);
    shown("spec", folder.path(), &text);
    let output = folder.lockgate().args(["discover", "guests/source-faker.wasm"]).output().unwrap();
    let catalog: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = catalog["streams"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["products", "users", "purchases"]);
}

#[test]
fn inspect() {
    let folder = Folder::project(PROJECT);
    let text = run(&folder, &["inspect", "guests/destination-jsonl.wasm"]);
    assert!(text.contains("wasi:filesystem/types@0.2"), "{text}");
    shown("inspect", folder.path(), &text);
}

#[test]
fn what_the_policy_does_not_grant_is_refused() {
    let folder = Folder::new();
    let bytes = wat::parse_file(fixture("fixtures/imports-sockets.wat")).unwrap();
    std::fs::write(folder.path().join("sockets.wasm"), bytes).unwrap();
    let text = [
        run(&folder, &["spec", "sockets.wasm"]),
        run(&folder, &["--output", "json", "spec", "sockets.wasm"]),
    ];
    assert!(text.iter().all(|t| t.ends_with("exit code 3\n")), "{text:?}");
    shown("refused", folder.path(), &text.join("\n"));
}

#[test]
fn check() {
    let folder = Folder::project(PROJECT);
    let out = ["--config", r#"{"path":"/out"}"#];
    let check = |name: &str, more: &[&str]| run(&folder, &[&["check", name], more].concat());
    let jsonl = "guests/destination-jsonl.wasm";
    let text = [
        check(jsonl, &[&out[..], &["--allow-dir", "out::/out"]].concat()),
        check(jsonl, &[&out[..], &["--allow-dir", "out::/out", "--output", "json"]].concat()),
        check(jsonl, &out),
        check(jsonl, &[&out[..], &["--output", "json"]].concat()),
        check(jsonl, &[&out[..], &["--allow-dir", "out::/out:ro"]].concat()),
        check(jsonl, &[&out[..], &["--allow-dir", "missing::/out"]].concat()),
        check(jsonl, &[&out[..], &["--allow-dir", "out:wo"]].concat()),
        check(jsonl, &[&out[..], &["--max-memory", "much"]].concat()),
    ];
    shown("check", folder.path(), &text.join("\n"));
    assert_eq!(
        std::fs::read_dir(folder.path().join("out")).unwrap().count(),
        0,
        "it left something"
    );
}

#[test]
fn an_invalid_configuration_is_told_every_fault_and_no_value() {
    let folder = Folder::project(PROJECT);
    let config = r#"{"count":"hunter2","records_per_checkpoint":-31337,"sed":"hunter3"}"#;
    folder.write("config.json", config);
    folder.write("broken.json", r#"{"count": hunter2}"#);
    let check = |config: &str, format: &str| {
        let text = ["check", "guests/source-faker.wasm", "--config", config, "--output", format];
        run(&folder, &text)
    };
    let text = [
        check("config.json", "human"),
        check("config.json", "json"),
        check("broken.json", "human"),
        check("missing.json", "human"),
        check("[1]", "human"),
    ];
    for value in ["hunter", "31337"] {
        assert!(!text.iter().any(|t| t.contains(value)), "{value} in {}", text.join("\n"));
    }
    shown("invalid_config", folder.path(), &text.join("\n"));
}

#[test]
fn syncs() {
    let folder = Folder::project(PROJECT);
    shown("sync_first", folder.path(), &run(&folder, &["sync"]));
    assert_eq!(folder.rows("out/users.jsonl").len(), 20);
    shown("sync_second", folder.path(), &run(&folder, &["sync", "nightly"]));
    folder.write("lockgate.toml", &PROJECT.replace("count = 20", "count = 25"));
    shown("sync_json", folder.path(), &run(&folder, &["sync", "--output", "json"]));
    assert_eq!(folder.rows("out/users.jsonl").len(), 25);

    // Notes, progress and logs are on stderr, and gone with --quiet.
    let auto = ["sync", "--state", "none", "--strategy", "auto", "--streams", "users"];
    let loud = folder.lockgate().args(auto).output().unwrap();
    assert!(String::from_utf8(loud.stderr).unwrap().contains("note: stream users"));
    let text = run(&folder, &[&auto[..], &["--quiet"]].concat());
    shown("sync_quiet", folder.path(), &text);
}

#[test]
fn a_sync_by_flags() {
    let folder = Folder::project(PROJECT);
    let text = run(
        &folder,
        &[
            "sync",
            "--source",
            "guests/source-faker.wasm",
            "--source-config",
            r#"{"count":3}"#,
            "--destination",
            "destination-dev-null",
            "--streams",
            "products,users",
            "--strategy",
            "replace",
        ],
    );
    shown("sync_flags", folder.path(), &text);
}

#[test]
fn failed_syncs() {
    let folder = Folder::project(PROJECT);
    let failing = r#"{"test_destination":{"test_destination_type":"FAILING","num_messages":5}}"#;
    let sync = |more: &[&str]| {
        let faker = ["sync", "--source", "guests/source-faker.wasm", "--state", "none"];
        let null = ["--destination", "destination-dev-null", "--destination-config", failing];
        let mut command = folder.lockgate();
        command.args(faker).args(null).args(more).output().unwrap()
    };
    let human = sync(&[]);
    assert_eq!(human.status.code(), Some(1));
    let stdout = String::from_utf8(human.stdout).unwrap();
    assert!(stdout.starts_with("sync failed: guests/source-faker.wasm"), "{stdout}");
    shown("sync_failed", folder.path(), &String::from_utf8(human.stderr).unwrap());

    let json = sync(&["--output", "json"]);
    assert_eq!(json.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&report["status"], &report["error"]["code"]),
        (&"failed".into(), &"DESTINATION_FAILED".into())
    );
    let error: serde_json::Value = serde_json::from_slice(&json.stderr).unwrap();
    assert_eq!(error, report["error"]);
}

#[test]
fn projects_that_are_wrong() {
    let bare = Folder::new();
    let mut text = vec![run(&bare, &["sync"]), run(&bare, &["sync", "--output", "json"])];
    let wrong = |from: &str, to: &str, call: &[&str]| {
        assert!(PROJECT.contains(from), "{from}");
        let folder = Folder::project(&PROJECT.replace(from, to));
        let masked = folder.path().canonicalize().unwrap();
        let change = if from == to { String::new() } else { format!("{from:?} is now {to:?}\n") };
        (change + &run(&folder, call)).replace(masked.to_str().unwrap(), "[folder]")
    };
    for (from, to) in [
        ("allow-dir", "allow-dirs"),
        ("config = { count = 20 }", "config = 20"),
        ("[connections.nightly]", "[connection.nightly]"),
        ("strategy = \"append\"", "strategy = \"upsert\""),
        ("config = { count = 20 }", "config = { token = hunter2 }"),
        ("connector = \"guests/source-faker.wasm\"\n", ""),
        ("source = \"faker\"", "source = \"fakir\""),
    ] {
        text.push(wrong(from, to, &["sync"]));
    }
    let same = ("strategy", "strategy");
    text.push(wrong(same.0, same.1, &["sync", "hourly"]));
    text.push(wrong(same.0, same.1, &["sync", "--streams", "users,order"]));
    text.push(wrong(same.0, same.1, &["sync", "--strategy", "merge"]));
    text.push(wrong(same.0, same.1, &["sync", "--cache", "duckdb:cache.db"]));
    let text = text.join("\n");
    assert_eq!(text.matches("hunter2").count(), 1, "only where it was typed: {text}");
    shown("wrong_project", bare.path(), &text);
}

#[test]
fn states() {
    let folder = Folder::project(PROJECT);
    folder.lockgate().args(["sync", "--quiet"]).assert().success();
    let state = |arguments: &[&str]| run(&folder, &[&["state"], arguments].concat());
    let mut text = vec![
        state(&["show"]),
        state(&["show", "nightly"]),
        state(&["clear", "nightly", "--stream", "users"]),
        state(&["clear", "nightly", "--stream", "user"]),
        state(&["show", "nightly"]),
    ];
    let kept = r#"[{"type":"STREAM","stream":{"stream_descriptor":{"name":"users"},"stream_state":{"seed":42,"loop_offset":15}}}]"#;
    text.push(run_with(&folder, &["state", "set", "nightly", "-"], kept));
    text.push(state(&["show", "nightly"]));
    text.push(run_with(&folder, &["state", "set", "nightly", "-"], "[{]"));
    text.push(state(&["show", "--output", "json"]));
    // It goes on from what was set: 5 users of 20.
    text.push(run(&folder, &["sync", "--streams", "users"]));
    text.push(state(&["clear", "nightly"]));
    text.push(state(&["show"]));
    shown("states", folder.path(), &text.join("\n"));
    assert_eq!(folder.rows("out/users.jsonl").len(), 25);
}
