//! What a run leaves behind: its record, its trail, and what is read out of them. Through the real
//! binary, with real guests.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Folder, fixture, guest};
use lockgate::connector::Silent;
use lockgate::protocol::{Capability, Decision};
use lockgate::runs::{KEPT_RUNS, Outcome, RunRecord, RunsFolder, Side, Suggestion, Summary};
use lockgate::sandbox::Policy;
use lockgate::sandbox::fence::{KernelSupport, Namespace};
use serde_json::Value;

/// Runs of a misbehaving source into nothing.
fn sync(folder: &Folder, config: &str, more: &[&str]) -> (i32, String) {
    let source = guest("misbehaving-source");
    let output = folder
        .lockgate()
        .args(["sync", "--destination", "destination-dev-null", "--state", "none"])
        .args(["--source", source.to_str().unwrap(), "--source-config", config])
        .args(more)
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn json(folder: &Folder, words: &[&str]) -> Value {
    let output = folder.lockgate().args(words).args(["--output", "json"]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn runs(folder: &Folder) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.path().join(".lockgate/runs"));
    let mut runs: Vec<_> =
        entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    runs.sort();
    runs
}

/// The lines of the only run's trail.
fn trail(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("audit.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A child that is killed when the test ends, however it ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Folder, config: &str) -> Killed {
    let child = Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .current_dir(folder.path())
        .env("LOCKGATE_CACHE_DIR", common::target().join("test-cache"))
        .args(["sync", "--destination", "destination-dev-null", "--state", "none"])
        .arg("--source")
        .arg(guest("misbehaving-source"))
        .args(["--source-config", config, "--source-env", "TZ=UTC"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Killed(child.unwrap())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_record_is_private_and_holds_no_value_of_a_variable() {
    let folder = Folder::new();
    let grants = ["--source-env", "TOKEN=hunter2hunter2", "--source-limit", "log-bytes=64"];
    let (code, stderr) = sync(&folder, r#"{"mode":"env"}"#, &grants);
    assert_eq!(code, 0, "{stderr}");
    let run = runs(&folder).pop().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(run.parent().unwrap()), 0o700);
    assert_eq!(mode(&run), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&run).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2"), "{} holds the value", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["audit.jsonl", "lock", "run.json"]);

    let lines = trail(&run);
    let first = lines[0].as_object().unwrap();
    let members: Vec<&str> = first.keys().map(String::as_str).collect();
    for member in ["time", "run", "side", "connector", "digest", "capability", "target"] {
        assert!(members.contains(&member), "{member} is missing: {members:?}");
    }
    assert_eq!(first["run"], run.file_name().unwrap().to_str().unwrap());
    assert!(first["digest"].as_str().unwrap().starts_with("sha256:"));
    assert!(first["time"].as_str().unwrap().ends_with('Z'));
    let variable = lines.iter().find(|l| l["capability"] == "environment").unwrap();
    assert_eq!(
        (&variable["target"], &variable["decision"], &variable["rule"]),
        (&"TOKEN".into(), &"allow".into(), &"env TOKEN".into())
    );
    // Given to check, discover and read: once at once, the count at the end.
    let counted = lines.iter().filter(|l| l["capability"] == "environment").nth(1).unwrap();
    assert_eq!(counted["count"], 3);
    assert!(stderr.contains("1 denied, see `lockgate runs show 2"), "{stderr}");

    let shown = json(&folder, &["runs", "show"]);
    assert_eq!(shown["run"]["status"], "succeeded");
    assert_eq!(shown["run"]["report"]["status"], "succeeded");
    assert_eq!(shown["used"][0]["grant"], "env TOKEN");
    assert_eq!(shown["limits"][0]["target"], "log-bytes");
    assert_eq!(shown["limits"][0]["flag"], "--source-limit log-bytes=128");
    assert_eq!(shown["limits"][0]["line"], "limits.log-bytes = \"128\"");
}

#[test]
fn limits_and_refusals_are_in_the_trail() {
    let folder = Folder::new();
    let unknown = folder.path().join("unknown.wasm");
    std::fs::write(&unknown, wat::parse_file(fixture("fixtures/imports-unknown.wat")).unwrap())
        .unwrap();
    let (memory, time) = (r#"{"mode":"hog"}"#, r#"{"mode":"spin","during":"check"}"#);
    let small = ["--source-max-memory", "40MiB"];
    let quick = ["--source-limit", "check-time=300ms"];
    for (config, more, cause, target, flag) in [
        (memory, &small[..], "LIMIT_MEMORY", "memory-bytes", "--source-max-memory 80MiB"),
        (time, &quick[..], "LIMIT_TIME", "check-time", "--source-limit check-time=600ms"),
    ] {
        let (code, stderr) = sync(&folder, config, more);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(cause), "{stderr}");
        let shown = json(&folder, &["runs", "show", "last"]);
        let limits = shown["limits"].as_array().unwrap();
        assert_eq!(limits.len(), 1, "{shown}");
        assert_eq!((&limits[0]["target"], &limits[0]["flag"]), (&target.into(), &flag.into()));
        assert_eq!(shown["run"]["status"], "failed");
    }
    let refused = folder.lockgate().args(["check", "unknown.wasm"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    let shown = json(&folder, &["runs", "show"]);
    assert_eq!(shown["run"]["status"], "refused");
    assert_eq!(shown["run"]["error"]["code"], "COMPONENT_IMPORT");
    assert_eq!(shown["denied"][0]["capability"], "import");
    assert_eq!(shown["denied"][0]["flag"], Value::Null);
    let suggestion = json(&folder, &["policy", "suggest"]);
    assert_eq!(suggestion["sides"][0]["lines"], Value::Array(Vec::new()));
    assert_eq!(suggestion["sides"][0]["refused"].as_array().unwrap().len(), 1);

    let list = json(&folder, &["runs", "list"]);
    let list = list.as_array().unwrap();
    let statuses: Vec<_> = list.iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["refused", "failed", "failed"], "newest first");
    assert_eq!(list[0]["denied"], 1);
    assert!(list[0]["duration_ms"].is_u64());
}

#[test]
fn distinct_decisions_have_a_limit() {
    let folder = Folder::new();
    let names = ["A=1", "B=1", "C=1", "D=1"].map(|env| ["--source-env", env]).concat();
    let more = [&names[..], &["--source-limit", "decisions=2"]].concat();
    let (code, stderr) = sync(&folder, r#"{"mode":"well-behaved"}"#, &more);
    assert_eq!(code, 0, "{stderr}");
    let lines = trail(&runs(&folder)[0]);
    let targets: Vec<_> = lines.iter().map(|l| l["target"].as_str().unwrap()).collect();
    assert_eq!(targets, ["A", "B", "decisions", "A", "B", "decisions"]);
    assert_eq!(lines[2]["rule"], "limit decisions");
    assert_eq!(lines[5]["count"], 6, "C and D, in three operations");
}

#[test]
fn a_killed_run_keeps_its_trail_and_is_shown_as_interrupted() {
    let folder = Folder::new();
    let mut child = start(&folder, r#"{"mode":"slow","millis":100,"rows":100000}"#);
    until("the first decision", || {
        runs(&folder).first().is_some_and(|run| run.join("audit.jsonl").exists())
            && !trail(&runs(&folder)[0]).is_empty()
    });
    assert_eq!(json(&folder, &["runs", "list"])[0]["status"], "running");
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    let shown = json(&folder, &["runs", "show"]);
    assert_eq!(shown["run"]["status"], "interrupted");
    assert_eq!(shown["run"]["ended_at"], Value::Null);
    assert_eq!(shown["decisions"][0]["target"], "TZ");
    assert_eq!(shown["used"][0]["given"], 1);
    // A torn last line is no obstacle.
    let torn = runs(&folder)[0].join("audit.jsonl");
    let mut text = std::fs::read_to_string(&torn).unwrap();
    text.push_str(r#"{"time":"2026-"#);
    std::fs::write(&torn, text).unwrap();
    assert_eq!(json(&folder, &["runs", "list"])[0]["status"], "interrupted");
}

#[test]
fn runs_at_the_same_time_have_records_of_their_own() {
    let folder = Folder::new();
    let mut children: Vec<Killed> = (0..4)
        .map(|i| start(&folder, &format!(r#"{{"mode":"slow","millis":50,"rows":{}}}"#, 10 + i)))
        .collect();
    for child in &mut children {
        assert!(child.0.wait().unwrap().success());
    }
    let runs = runs(&folder);
    assert_eq!(runs.len(), 4);
    for run in &runs {
        let name = run.file_name().unwrap().to_str().unwrap();
        let lines = trail(run);
        assert!(!lines.is_empty());
        assert!(lines.iter().all(|line| line["run"] == name), "{name}");
    }
    let list = json(&folder, &["runs", "list"]);
    assert!(list.as_array().unwrap().iter().all(|run| run["status"] == "succeeded"), "{list}");
}

#[test]
fn nothing_runs_without_a_trail() {
    let elsewhere = Folder::new();
    let as_file = |folder: &Folder| drop(folder.write(".lockgate/runs", "no folder"));
    let as_link = |folder: &Folder| {
        std::fs::create_dir(folder.path().join(".lockgate")).unwrap();
        symlink(elsewhere.path(), folder.path().join(".lockgate/runs")).unwrap();
    };
    let as_house = |folder: &Folder| {
        symlink(elsewhere.path(), folder.path().join(".lockgate")).unwrap();
    };
    let open = |folder: &Folder| {
        let runs = folder.path().join(".lockgate/runs");
        std::fs::create_dir_all(&runs).unwrap();
        std::fs::set_permissions(&runs, std::fs::Permissions::from_mode(0o777)).unwrap();
    };
    let spoil: [&dyn Fn(&Folder); 4] = [&as_file, &as_link, &as_house, &open];
    for spoil in spoil {
        let folder = Folder::new();
        spoil(&folder);
        // It would take for ever if it were run.
        let (code, stderr) = sync(&folder, r#"{"mode":"spin"}"#, &[]);
        assert_eq!(code, 3, "{stderr}");
        assert!(stderr.contains("error[AUDIT_UNWRITABLE]"), "{stderr}");
        assert!(stderr.contains("--no-record"), "{stderr}");
        assert_eq!(
            std::fs::read_dir(elsewhere.path()).unwrap().count(),
            0,
            "the link was followed"
        );
        let (code, stderr) = sync(&folder, r#"{"mode":"well-behaved"}"#, &["--no-record"]);
        assert_eq!(code, 0, "{stderr}");
    }
}

#[test]
fn a_run_whose_trail_is_cut_off_is_stopped() {
    let folder = Folder::new();
    let source = guest("misbehaving-source");
    // Compiled before: the cache may not be written to below.
    assert_eq!(sync(&folder, r#"{"mode":"well-behaved"}"#, &["--no-record"]).0, 0);
    let variables: String = (0..300).map(|i| format!(" --source-env V{i:03}=1")).collect();
    // A file may have 64 KiB: run.json fits, 300 lines of the trail do not.
    let script = format!(
        "trap '' XFSZ; ulimit -f 128; exec \"$0\" sync --state none --source {} \
         --source-config '{{\"mode\":\"slow\",\"millis\":50,\"rows\":1000000}}' \
         --destination destination-dev-null {variables}",
        source.display()
    );
    let output = Command::new("/bin/dash")
        .current_dir(folder.path())
        .env("LOCKGATE_CACHE_DIR", common::target().join("test-cache"))
        .args(["-c", &script, env!("CARGO_BIN_EXE_lockgate")])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("error[AUDIT_UNWRITABLE]"), "{stderr}");
    let shown = json(&folder, &["runs", "list"]);
    assert_ne!(shown[0]["status"], "succeeded", "{shown}");
}

#[test]
fn no_grant_opens_the_records() {
    let folder = Folder::new();
    for grant in [".lockgate::/out:ro", ".lockgate/runs::/out"] {
        let (code, stderr) = sync(&folder, r#"{"mode":"spin"}"#, &["--source-allow-dir", grant]);
        assert_eq!(code, 3, "{stderr}");
        assert!(stderr.contains("error[GRANT_DIRECTORY]"), "{stderr}");
    }
    // A component does not see it in a folder above.
    let (code, stderr) =
        sync(&folder, r#"{"mode":"well-behaved"}"#, &["--source-allow-dir", ".::/out"]);
    assert_eq!(code, 0, "{stderr}");
    let process = folder.path().join("source");
    let draft = folder.write("draft", "#!/bin/sh\nexit 1\n");
    // By another program: nobody else has it open for writing when it starts.
    let install = Command::new("install").args(["-m", "755"]).arg(draft).arg(&process).status();
    assert!(install.unwrap().success());
    let here = folder.path().display().to_string();
    let inside = format!("{here}/.lockgate/runs");
    // Nor does a process, where the kernel can hide it; without a fence a grant opens nothing.
    let hides = KernelSupport::here().namespace != Namespace::None;
    for (grant, fence, exposed) in [
        (&here, "require", !hides),
        (&here, "best-effort", !hides),
        (&here, "off", false),
        (&inside, "require", true),
        (&inside, "off", true),
    ] {
        let process = format!("exec:{}", process.display());
        let check = ["check", &process, "--allow-dir", grant, "--sandbox", fence];
        let output = folder.lockgate().args(check).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(if exposed { 3 } else { 1 }), "{stderr}");
        assert_eq!(stderr.contains("error[AUDIT_EXPOSED]"), exposed, "{stderr}");
    }
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let more = ["--source-allow-dir", "out::/out"];
    let (code, stderr) = sync(&folder, r#"{"mode":"well-behaved"}"#, &more);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn old_runs_go() {
    let folder = Folder::new();
    let house = folder.path().join(".lockgate/runs");
    let check = || folder.lockgate().args(["check", "destination-dev-null"]).assert().success();
    check();
    let own = runs(&folder).pop().unwrap();
    for i in 0..KEPT_RUNS {
        let old = house.join(format!("20000101T000000Z-{i:06x}"));
        std::fs::create_dir(&old).unwrap();
        std::fs::copy(own.join("run.json"), old.join("run.json")).unwrap();
    }
    // What is not ours stays.
    folder.write(".lockgate/runs/notes/mine.txt", "kept");
    check();
    let kept = runs(&folder);
    assert_eq!(kept.len(), KEPT_RUNS + 1);
    assert!(kept.contains(&own) && house.join("notes/mine.txt").exists());
    assert!(!house.join("20000101T000000Z-000000").exists(), "the oldest");
}

#[test]
fn check_and_discover_are_recorded_and_exec_is_not() {
    let folder = Folder::new();
    let source = guest("misbehaving-source");
    let config = folder.write("config.json", r#"{"mode":"well-behaved"}"#);
    let call = |words: &[&str]| {
        let output = folder.lockgate().args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}");
    };
    let (source, config) = (source.to_str().unwrap(), config.to_str().unwrap());
    call(&["exec", source, "check", "--config", config]);
    call(&["spec", source]);
    assert!(!folder.path().join(".lockgate").exists());
    call(&["discover", source, "--config", config]);
    call(&["check", source, "--config", config]);
    let list = json(&folder, &["runs", "list"]);
    let commands: Vec<_> =
        list.as_array().unwrap().iter().map(|r| r["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["check", "discover"]);
}

#[test]
fn unknown_runs() {
    let folder = Folder::new();
    let show = |name: &str| {
        let output = folder.lockgate().args(["runs", "show", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(show("last").contains("none is recorded here"));
    folder.lockgate().args(["check", "destination-dev-null"]).assert().success();
    let name = runs(&folder)[0].file_name().unwrap().to_str().unwrap().to_owned();
    for wrong in ["20000101T000000Z-000000", "../../..", "\u{1b}[2J"] {
        let said = show(wrong);
        assert!(said.contains("error[RUN_UNKNOWN]") && said.contains(&name), "{said}");
        assert!(!said.contains('\u{1b}'));
    }
}

/// What a connector says in its decisions stays one line of the trail, and one value of a policy.
#[test]
fn hostile_words_stay_words() {
    let folder = Folder::new();
    let runs = RunsFolder::make(folder.path()).unwrap();
    let record = RunRecord::begin(&runs, "sync").unwrap();
    record.connector(Side::Source, Some("evil".into()), "evil.wasm").unwrap();
    record.describe(Side::Source, "component", None, Some(&Policy::default())).unwrap();
    let observer = record.recorder(Side::Source, Arc::new(Silent));
    let words = "x\", \"*:443\"]\nallow-any-network = true # '; rm -rf / #\u{1b}[2J\u{202e}";
    for (capability, target) in [
        (Capability::Environment, words.to_owned()),
        (Capability::Connect, format!("{words}:5432")),
        (Capability::Connect, "169.254.169.254:80".to_owned()),
        (Capability::Http, "GET https://api.example/a?b".to_owned()),
        (Capability::DirectoryWrite, format!("/a{words}")),
        (Capability::DirectoryWrite, "/out/../../etc".to_owned()),
        (Capability::Socket, "udp".to_owned()),
        (Capability::Limit, "memory-bytes".to_owned()),
        (Capability::Environment, "y".repeat(1 << 20)),
    ] {
        observer.decided(&Decision::deny(capability, target, "not-granted"));
    }
    assert_eq!(record.finish(Outcome { status: "failed", ..Outcome::default() }).unwrap(), 9);
    let text = std::fs::read_to_string(runs.path().join(record.id().as_str()).join("audit.jsonl"))
        .unwrap();
    assert_eq!(text.lines().count(), 9);
    assert!(text.len() < 10_000 && !text.contains(['\u{1b}', '\u{202e}']));

    let run = runs.get(record.id().as_str()).unwrap();
    let suggestion = Suggestion::new(&run);
    let refused = &suggestion.sides[0].refused;
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert_eq!(Summary::new(&run).denied.len(), 8);
    let shown = folder.lockgate().args(["policy", "suggest"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let policy: toml::Table = toml::from_str(&shown).unwrap_or_else(|e| panic!("{e}\n{shown}"));
    let granted = policy["sources"]["evil"].as_table().unwrap();
    let names: Vec<&str> = granted.keys().map(String::as_str).collect();
    assert_eq!(names, ["allow-dir", "allow-net", "env", "max-memory"], "{shown}");
    let network = granted["allow-net"].as_array().unwrap();
    let network: Vec<_> = network.iter().map(|n| n.as_str().unwrap()).collect();
    assert_eq!(network, ["169.254.169.254:80", "api.example:443"], "{shown}");
    let warned = shown.lines().find(|line| line.contains("169.254")).unwrap();
    assert!(warned.contains("CAREFUL: a private address"), "{warned}");
    assert_eq!(granted["max-memory"].as_str(), Some("512MiB"));
}
