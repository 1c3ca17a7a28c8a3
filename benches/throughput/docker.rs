//! The same records into the same container: through Lockgate, and by the docker command line.

#![expect(clippy::print_stderr, reason = "a benchmark prints")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::measure::{Table, lockgate, median, per_second, target};
use crate::router::{recording, source};

const IMAGE: &str = "lockgate-test/destination-java-jsonl:1";

/// Where both write to; the image's user is not this one.
fn folder() -> PathBuf {
    let folder = target().join("bench/docker");
    let local = folder.join("local");
    fs::create_dir_all(&local).expect("a folder");
    fs::set_permissions(&local, fs::Permissions::from_mode(0o777)).expect("a mode");
    for file in fs::read_dir(&local).expect("a folder").flatten() {
        fs::remove_file(file.path()).expect("a file of an earlier round");
    }
    folder
}

/// Gives the seconds that rows moved, from the start of both connectors to the end of both.
fn through_lockgate(engine: &str, source: &Path) -> f64 {
    let folder = folder();
    let output = Command::new(lockgate())
        .args(["sync", "--state", "none", "--quiet", "--output", "json", "--strategy", "append"])
        .arg("--source")
        .arg(format!("exec:{}", source.display()))
        .args(["--source-allow-dir", &format!("{}:ro", target().join("bench").display())])
        .args(["--destination", &format!("docker:{IMAGE}")])
        .args(["--destination-config", r#"{"format":"jsonl","path":"/local"}"#])
        .arg("--destination-docker-local")
        .arg(folder.join("local"))
        .env("LOCKGATE_CACHE_DIR", target().join("bench-cache"))
        .env("DOCKER_HOST", engine)
        .current_dir(&folder)
        .output()
        .expect("lockgate");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    report["duration_ms"].as_f64().expect("a duration") / 1e3
}

/// The same by hand: the files in a folder, hardened as Lockgate's container is.
fn through_the_command_line(engine: &str, recording: &Path) -> f64 {
    let folder = folder();
    let catalog = r#"{"streams":[{"stream":{"name":"rows","json_schema":{"type":"object"},"supported_sync_modes":["full_refresh","incremental"]},"sync_mode":"incremental","destination_sync_mode":"append","generation_id":1,"minimum_generation_id":0,"sync_id":1}]}"#;
    let files = folder.join("files");
    fs::create_dir_all(&files).expect("a folder");
    fs::write(files.join("config.json"), r#"{"format":"jsonl","path":"/local"}"#).expect("a file");
    fs::write(files.join("catalog.json"), catalog).expect("a file");
    let start = Instant::now();
    let status = Command::new("sh")
        .arg("-c")
        .arg(
            r#"cat "$0" | docker run --rm -i --init --pull never --read-only --cap-drop ALL \
                --security-opt no-new-privileges --network none --memory 1g --memory-swap 1g \
                --tmpfs /tmp --log-driver none -v "$1/files:/files:ro" -v "$1/local:/local" "$2" \
                write --config /files/config.json --catalog /files/catalog.json"#,
        )
        .arg(recording)
        .arg(&folder)
        .arg(IMAGE)
        .env("DOCKER_HOST", engine)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("sh").success());
    start.elapsed().as_secs_f64()
}

pub(crate) fn run(table: &mut Table, quick: bool) {
    let what = "Docker: stdio source into a Java destination in a container";
    #[expect(clippy::disallowed_methods, reason = "where the engine of the measurements is")]
    let Ok(engine) = std::env::var("LOCKGATE_TEST_DOCKER") else {
        eprintln!("Docker is not measured: run scripts/with-test-services make bench");
        let missing = "run scripts/with-test-services make bench to compare";
        return table.add(what, "-".into(), missing.into(), "-".into(), "at least 0.85 x");
    };
    let records: u64 = if quick { 200_000 } else { 1_000_000 };
    let bench = target().join("bench");
    fs::create_dir_all(&bench).expect("a folder");
    let lines = bench.join("records-docker.jsonl");
    recording(&lines, records);
    let script = source(&bench, "source-docker", &lines);
    through_lockgate(&engine, &script);
    through_the_command_line(&engine, &lines);
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        // In turn, so that both meet the same machine.
        let our = through_lockgate(&engine, &script);
        let their = through_the_command_line(&engine, &lines);
        ours.push(our);
        theirs.push(their);
        ratios.push(their / our);
    }
    let rate =
        |seconds: f64| per_second(records, std::time::Duration::from_secs_f64(seconds)) / 1e3;
    table.add(
        what,
        format!("{:.0} k records/s", rate(median(ours))),
        format!("{:.0} k records/s, `cat FILE \\| docker run -i`", rate(median(theirs))),
        format!("{:.2} x", median(ratios)),
        "at least 0.85 x",
    );
}
