//! Processes that do not end as they should.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use common::{Folder, process_grants};

/// A source whose `read` is the given shell code after three good rows.
fn source(folder: &Folder, before: &str, after: &str) -> String {
    let script = format!(
        r#"#!/bin/sh
case $1 in
spec) echo '{{"type":"SPEC","spec":{{"connectionSpecification":{{"type":"object"}}}}}}' ;;
check) echo '{{"type":"CONNECTION_STATUS","connectionStatus":{{"status":"SUCCEEDED"}}}}' ;;
discover) echo '{{"type":"CATALOG","catalog":{{"streams":[{{"name":"s","json_schema":{{}},"supported_sync_modes":["full_refresh"]}}]}}}}' ;;
read)
  {before}
  for i in 1 2 3; do echo "{{\"type\":\"RECORD\",\"record\":{{\"stream\":\"s\",\"data\":{{\"i\":$i}},\"emitted_at\":1}}}}"; done
  echo '{{"type":"TRACE","trace":{{"type":"STREAM_STATUS","emitted_at":1,"stream_status":{{"stream_descriptor":{{"name":"s"}},"status":"COMPLETE"}}}}}}'
  {after} ;;
esac
"#
    );
    let path = folder.write("source", &script);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    format!("exec:{}", path.display())
}

fn sync(folder: &Folder, source: &str) -> assert_cmd::assert::Assert {
    let mut command = folder.lockgate();
    command.args(["sync", "--state", "none", "--destination", "destination-dev-null", "--source"]);
    command.arg(source).timeout(Duration::from_secs(50)).assert()
}

#[test]
fn a_helper_that_keeps_stdout_open_holds_nobody_up() {
    let folder = Folder::new();
    let source = source(&folder, "sleep 45 &", "exit 0");
    let start = Instant::now();
    let output = sync(&folder, &source).success().get_output().stdout.clone();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let report = String::from_utf8_lossy(&output).into_owned();
    assert!(report.contains("complete"), "{report}");
    // What is left of its process group goes with it.
    let left = std::process::Command::new("pgrep").args(["-f", "^sleep 45$"]).output();
    assert!(left.expect("pgrep").stdout.is_empty());
}

#[test]
fn rows_that_a_process_wrote_before_its_end_are_all_read() {
    let folder = Folder::new();
    // Far more than a pipe holds, from a helper as well, and a destination that takes its time.
    let many = r#"i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo "{\"type\":\"RECORD\",\"record\":{\"stream\":\"s\",\"data\":{\"n\":$i},\"emitted_at\":1}}"; done"#;
    let source = source(&folder, many, "exit 0");
    let mut command = folder.lockgate();
    command.args(["sync", "--state", "none", "--output", "json", "--source", &source]);
    command.args(["--destination", "destination-dev-null", "--destination-config"]);
    command.arg(r#"{"test_destination":{"test_destination_type":"SILENT"}}"#);
    let output = command.assert().success().get_output().stdout.clone();
    let report: serde_json::Value = serde_json::from_slice(&output).expect("a report");
    assert_eq!(report["records_committed"], 30_003);
}

#[test]
fn a_process_that_does_not_end_is_stopped_and_said_so() {
    let folder = Folder::new();
    let source = source(&folder, "", "exec >&- 2>&-; sleep 40");
    let output = sync(&folder, &source).failure().code(1).get_output().stderr.clone();
    let text = String::from_utf8_lossy(&output).into_owned();
    assert!(text.contains("did not end within 10 s after its output had"), "{text}");
    assert!(text.contains("the source"), "{text}");
}

/// A destination behind a wrapper that does not `exec`, so that the process that reads is not the
/// one that was started. It replaces `result` by what it read when its input ends.
fn wrapped_destination(folder: &Folder) -> String {
    let inner = r#"#!/bin/sh
cd "$(dirname "$0")"
case $1 in
spec) echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"},"supported_destination_sync_modes":["overwrite","append"]}}' ;;
check) echo '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}' ;;
write) cat > partial; mv partial result ;;
esac
"#;
    let wrapper = "#!/bin/sh\n\"$(dirname \"$0\")/inner\" \"$@\"\nexit $?\n";
    for (name, text) in [("inner", inner), ("wrapper", wrapper)] {
        let path = folder.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    format!("exec:{}", folder.path().join("wrapper").display())
}

/// A sync whose destination has its first rows and waits for more.
fn in_the_middle(folder: &Folder, source: &str, destination: &str) -> std::process::Child {
    let host = std::process::Command::new(assert_cmd::cargo::cargo_bin!("lockgate"))
        .args(["sync", "--state", "none", "--source", source, "--destination", destination])
        .args(process_grants("destination-", folder.path()))
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("lockgate");
    let start = Instant::now();
    while folder.read("partial").lines().count() < 3 {
        assert!(start.elapsed() < Duration::from_secs(20), "the destination got no rows");
        std::thread::sleep(Duration::from_millis(20));
    }
    host
}

#[test]
fn a_torn_input_is_not_taken_for_a_whole_one_when_the_host_is_killed() {
    let folder = Folder::new();
    folder.write("result", "old\n");
    let source = source(&folder, "", "sleep 30");
    let destination = wrapped_destination(&folder);
    let mut host = in_the_middle(&folder, &source, &destination);
    host.kill().expect("a kill");
    host.wait().expect("an end");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(folder.read("result"), "old\n");
    // Nobody of it is left.
    let marker = folder.path().display().to_string();
    let left = std::process::Command::new("pgrep").args(["-f", &marker]).output().expect("pgrep");
    assert!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));
}

#[test]
fn a_whole_input_ends_behind_a_wrapper_too() {
    let folder = Folder::new();
    folder.write("result", "old\n");
    let source = source(&folder, "", "exit 0");
    let destination = wrapped_destination(&folder);
    let mut command = folder.lockgate();
    command.args(["sync", "--state", "none", "--source", &source, "--destination", &destination]);
    command.args(process_grants("destination-", folder.path()));
    command.timeout(Duration::from_secs(30)).assert().success();
    assert_eq!(folder.read("result").lines().filter(|l| l.contains("RECORD")).count(), 3);
}

#[test]
fn a_supervisors_word_ends_a_sync_as_ctrl_c_does() {
    let folder = Folder::new();
    folder.write("result", "old\n");
    let source = source(&folder, "", "sleep 30");
    let destination = wrapped_destination(&folder);
    let host = in_the_middle(&folder, &source, &destination);
    let start = Instant::now();
    let told = std::process::Command::new("kill").args(["-TERM", &host.id().to_string()]).status();
    assert!(told.expect("kill").success());
    let output = host.wait_with_output().expect("an end");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("error[CANCELLED]"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    assert_eq!(folder.read("result"), "old\n");
}
