//! Containers that do not do as they should, on a real engine: each ends, says why, and leaves
//! nothing.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "common/between.rs"]
mod between;
mod common;
#[path = "common/docker.rs"]
mod docker;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use between::Between;
use common::{Folder, guest};
use docker::{Contained, block_on, docker_ok, engine, open_to_all};
use lockgate::connector::ConnectorError;
use lockgate::executor::{Context, Executor, ExecutorError};
use lockgate::fault::Fault;
use lockgate::protocol::{
    self, Catalog, Commit, DestinationInput, EmittedAt, Event, Failure, Json, SourceOutput,
};
use lockgate::{ConnectorOptions, Destination, Host, Source, WriteOptions, WriteStrategy};

fn faker(count: u64) -> Source {
    let host = Host::new();
    let name = guest("source-faker").display().to_string();
    let config = Json::parse(format!(r#"{{"count":{count}}}"#)).expect("a configuration");
    host.get_source(&name, &ConnectorOptions::default(), config).expect("a source")
}

fn options() -> WriteOptions {
    WriteOptions { strategy: WriteStrategy::Append, ..WriteOptions::default() }
}

/// Rows as a sync gives them, without its questions before: batches of 64 KiB, and then an end.
struct Rows {
    left: AtomicU64,
    /// What ends them; none: the end of a whole input.
    end: fn() -> Option<Failure>,
}

#[async_trait]
impl DestinationInput for Rows {
    async fn next(&self) -> Result<Option<Event>, Failure> {
        const ROW: &str =
            "{\"id\":1,\"text\":\"a row that is as long as many rows are, and no longer\"}\n";
        const COUNT: usize = (64 << 10) / ROW.len();
        if self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err() {
            return (self.end)().map_or(Ok(None), Err);
        }
        Ok(Some(Event::Rows(protocol::Rows {
            stream: 0,
            count: COUNT.try_into().expect("a few hundred"),
            data: ROW.repeat(COUNT).into_bytes(),
            emitted_at: EmittedAt::All(0),
            meta: Vec::new(),
            parsed: false,
        })))
    }

    async fn committed(&self, _: Vec<Commit>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Writes batches into the container.
async fn write(
    contained: &Contained,
    config: &str,
    batches: u64,
    end: fn() -> Option<Failure>,
) -> Result<(), ExecutorError> {
    let catalog = Catalog::from_airbyte(
        r#"{"streams":[{"stream":{"name":"items","json_schema":{}},"sync_mode":"full_refresh",
        "destination_sync_mode":"append"}]}"#,
    );
    let config = Json::parse(config.to_owned()).expect("a configuration");
    let input = Arc::new(Rows { left: AtomicU64::new(batches), end });
    let context = Context::new(contained.heard.clone());
    contained.executor().write(&context, &config, &catalog.expect("a catalog"), input).await
}

fn whole() -> Option<Failure> {
    None
}

#[test]
fn one_that_never_reads_is_stopped_at_its_time() {
    let mut contained = Contained::new("never-reads");
    contained.policy.limits.sync_time = Some(Duration::from_secs(5));
    let error = block_on(write(&contained, r#"{"do":"sleep"}"#, 100, whole)).expect_err("no end");
    assert_eq!(error.code(), "LIMIT_TIME", "{error}");
    contained.nothing_left_soon();
}

#[test]
fn a_stop_kills_one_that_does_not_listen_to_sigterm() {
    let mut contained = Contained::new("cancelled");
    contained.policy.limits.stop_time = Duration::from_secs(1);
    let config = r#"{"do":"ignore-term"}"#;
    let error = block_on(write(&contained, config, 2, || Some(Failure::cancelled())));
    assert!(error.expect_err("a stop").is_cancelled());
    contained.nothing_left();
}

#[test]
fn one_that_never_ends_after_its_answer_is_ended() {
    for what in ["linger", "stay", "chatter"] {
        let contained = Contained::new(what);
        let start = Instant::now();
        contained.check(&format!(r#"{{"do":"{what}"}}"#)).expect("its answer counts");
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        contained.nothing_left();
    }
}

#[test]
fn a_destination_that_never_ends_is_stopped_and_said_so() {
    let mut contained = Contained::new("stay-write");
    contained.policy.limits.sync_time = Some(Duration::from_secs(4));
    let error = block_on(write(&contained, r#"{"do":"ignore-term"}"#, 1, whole));
    let error = error.expect_err("it does not end");
    // Its output has not ended either: only its time ends it.
    assert_eq!(error.code(), "LIMIT_TIME", "{error}");
    contained.nothing_left_soon();
}

#[test]
fn a_flood_of_logs_is_bounded_and_holds_nothing_up() {
    let mut contained = Contained::new("flood");
    contained.policy.limits.log_bytes = 100_000;
    contained.check(r#"{"do":"flood","bytes":30000000}"#).expect("it is well behind it");
    let heard = contained.heard.logs();
    let bytes: usize = heard.iter().map(String::len).sum();
    assert!(bytes < 200_000, "{bytes}");
    assert!(heard.last().expect("a word").contains("log limit"));
    contained.nothing_left();
}

#[test]
fn a_flood_without_an_end_is_stopped_at_its_time() {
    let mut contained = Contained::new("flood-always");
    contained.policy.limits.check_time = Duration::from_secs(3);
    contained.policy.limits.process_start = Duration::ZERO;
    let error = contained.check(r#"{"do":"flood-always"}"#).expect_err("no answer");
    assert_eq!(error.code(), "LIMIT_TIME");
    contained.nothing_left_soon();
}

#[test]
fn exit_codes_are_told_and_137_alone_is_no_lack_of_memory() {
    for code in [3, 137] {
        let contained = Contained::new(&format!("exit-{code}"));
        let error = contained.check(&format!(r#"{{"do":"exit","code":{code}}}"#));
        let error = error.expect_err("no answer");
        assert_eq!(error.code(), "CONNECTOR_EXIT");
        assert!(error.to_string().contains(&format!("exited with code {code}")), "{error}");
        contained.nothing_left();
    }
}

#[test]
fn one_that_needs_too_much_memory_is_said_to() {
    let mut contained = Contained::new("memory");
    contained.policy.limits.container_memory = 48 << 20;
    let error = contained.check(r#"{"do":"memory"}"#).expect_err("no answer");
    assert_eq!(error.code(), "CONTAINER_OOM", "{error}");
    assert!(error.to_string().contains("48 MiB"), "{error}");
    assert!(error.hint().expect("a hint").contains("container-memory="));
    let decisions = contained.heard.decisions();
    let denied =
        |d: &String| d.starts_with("deny ") && d.split(' ').nth(2) == Some("container-memory");
    assert!(decisions.iter().any(denied), "{decisions:?}");
    contained.nothing_left();
}

#[test]
fn a_long_line_is_whole_or_refused() {
    let mut contained = Contained::new("long-line");
    contained.check(r#"{"do":"long-line","bytes":16777216}"#).expect("a line below the limit");
    let longest = contained.heard.logs().iter().map(String::len).max();
    // As much of it as is kept of a message, so it was read as one.
    assert_eq!(longest, Some(contained.policy.limits.log_message_bytes));
    contained.policy.limits.line_bytes = 1 << 20;
    let error = contained.check(r#"{"do":"long-line","bytes":16777216}"#).expect_err("too long");
    assert_eq!(error.code(), "LIMIT_LINE");
    let error = contained.check(r#"{"do":"endless-line"}"#).expect_err("no end");
    assert_eq!(error.code(), "LIMIT_LINE");
    contained.nothing_left_soon();
}

/// Ends a check that sleeps by a command of the engine's.
fn ended_by(name: &str, command: &[&str]) -> ConnectorError {
    let contained = Contained::new(name);
    let error = block_on(async {
        let connector = contained.connector(r#"{"do":"sleep"}"#);
        let checking = tokio::spawn(async move { connector.try_config().await });
        let container = tokio::task::block_in_place(|| contained.running());
        let id = container["Id"].as_str().expect("an ID");
        docker_ok(&[command, &[id]].concat());
        let ended = tokio::time::timeout(Duration::from_secs(30), checking).await;
        ended.expect("no hang").expect("no panic").expect_err("no answer")
    });
    contained.nothing_left();
    error
}

#[test]
fn one_that_is_removed_behind_our_back_is_gone() {
    let error = ended_by("removed", &["rm", "--force"]);
    assert_eq!(error.code(), "CONTAINER_GONE", "{error}");
    assert!(error.to_string().contains("removed by somebody else"), "{error}");
}

#[test]
fn one_that_is_killed_behind_our_back_is_gone() {
    let error = ended_by("killed", &["kill"]);
    assert_eq!(error.code(), "CONTAINER_GONE", "{error}");
    assert!(error.to_string().contains("killed by somebody else"), "{error}");
}

#[test]
fn a_destination_that_is_removed_while_it_is_written_to_is_gone() {
    let contained = Arc::new(Contained::new("removed-write"));
    let error = block_on(async {
        let writer = contained.clone();
        let writing =
            tokio::spawn(async move { write(&writer, r#"{"do":"sleep"}"#, 100, whole).await });
        let container = tokio::task::block_in_place(|| contained.running());
        // By now the writer waits for room.
        tokio::time::sleep(Duration::from_secs(2)).await;
        docker_ok(&["rm", "--force", container["Id"].as_str().expect("an ID")]);
        let ended = tokio::time::timeout(Duration::from_secs(60), writing).await;
        ended.expect("no hang").expect("no panic").expect_err("it is gone")
    });
    assert_eq!(error.code(), "CONTAINER_GONE", "{error}");
    contained.nothing_left();
}

#[test]
fn a_destination_that_leaves_input_unread_ended_early() {
    let contained = Contained::new("end-early");
    let error = block_on(write(&contained, r#"{"do":"end-early"}"#, 200, whole));
    let error = error.expect_err("it left most of it");
    assert_eq!(error.code(), "CONNECTOR_ENDED_EARLY", "{error}");
    contained.nothing_left();
}

#[test]
fn the_end_of_an_input_arrives() {
    let folder = Folder::new();
    open_to_all(folder.path());
    let mut contained = Contained::new("half-close");
    contained.policy.local = Some(folder.path().to_owned());
    block_on(write(&contained, "{}", 50, whole)).expect("it reads to the end, and ends");
    assert!(folder.read("rows.jsonl").lines().count() > 10_000);
    contained.nothing_left();
}

#[test]
fn one_that_writes_to_its_root_is_told_how_it_may() {
    let mut contained = Contained::new("read-only");
    let error = block_on(write(&contained, "{}", 50, whole)).expect_err("/local is its root's");
    assert!(error.hint().expect("a hint").contains("--docker-writable-root"), "{error}");
    contained.settings.writable_root = true;
    block_on(write(&contained, "{}", 50, whole)).expect("it may write there");
    contained.nothing_left();
}

/// A destination that is busy for a while before it reads, and acknowledges nothing else.
const BUSY: &str = r#"#!/bin/sh
case $1 in
spec) echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"},"supported_destination_sync_modes":["append"]}}' ;;
check) echo '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}' ;;
write) sleep 6; grep '"type":"STATE"' ;;
esac
"#;

/// An engine drops what waits when a container ends: a part of its last 64 KiB, where all that it holds
/// is full. That is rarely met, so what prevents it is looked for as well: the pause.
#[test]
fn a_source_that_ends_while_its_destination_is_busy_loses_nothing() {
    let folder = Folder::new();
    let program = folder.write("busy", BUSY);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let name = format!("exec:{}", program.display());
    let now = || {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        time.expect("a time").as_secs_f64().to_string()
    };
    let since = now();
    block_on(async {
        let mut syncs = Vec::new();
        for count in [20_000_u64, 90_000, 200_000] {
            let contained = Contained::new(&format!("busy-{count}"));
            let source = Source::from(contained.connector(&format!(r#"{{"count":{count}}}"#)));
            let host = Host::new().in_folder(folder.path());
            let options = ConnectorOptions {
                allow_dir: vec![format!("{}:ro", folder.path().display())],
                ..ConnectorOptions::default()
            };
            let destination = host.get_destination(&name, &options, Json::empty_object());
            let destination = destination.expect("a destination");
            syncs.push((
                count,
                contained,
                tokio::spawn(async move { destination.write(&source, &self::options()).await }),
            ));
        }
        for (count, contained, syncing) in syncs {
            let result = syncing.await.expect("no panic").expect("a sync");
            assert_eq!(result.records_committed(), count);
            tokio::task::block_in_place(|| contained.nothing_left());
        }
    });
    let own = format!("label=io.lockgate.pid={}", std::process::id());
    let paused = ["events", "--since", &since, "--until", &now(), "--filter", "event=pause"];
    let paused = docker_ok(&[&paused[..], &["--filter", &own]].concat());
    assert!(paused.contains(" container pause "), "{paused:?}");
}

/// What the next test kills: a host that writes into a container for ever.
#[test]
#[ignore = "it is run by a_torn_input_is_not_taken_for_a_whole_one"]
fn writes_until_it_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "said by the test that runs this one")]
    let local = std::env::var_os("LOCKGATE_TEST_LOCAL").expect("a folder");
    let mut contained = Contained::new("torn");
    contained.policy.local = Some(local.into());
    let destination = Destination::from(contained.connector("{}"));
    let _ = block_on(destination.write(&faker(100_000_000), &options()));
}

#[test]
fn a_torn_input_is_not_taken_for_a_whole_one_when_the_host_is_killed() {
    let folder = Folder::new();
    open_to_all(&folder.path().join("local"));
    let mut host = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "writes_until_it_is_killed", "--ignored"])
        .env("LOCKGATE_TEST_LOCAL", folder.path().join("local"))
        .env("LOCKGATE_TEST_DOCKER", engine())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a host");
    let start = Instant::now();
    while folder.read("local/rows.jsonl").is_empty() {
        assert!(start.elapsed() < Duration::from_secs(90), "it got no rows");
        std::thread::sleep(Duration::from_millis(50));
    }
    let run = docker_ok(&[
        "ps",
        "--quiet",
        "--no-trunc",
        "--filter",
        &format!("label=io.lockgate.pid={}", host.id()),
    ]);
    host.kill().expect("a kill");
    host.wait().expect("an end");
    let start = Instant::now();
    let state = loop {
        let state =
            docker_ok(&["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", &run]);
        if !state.starts_with("running") {
            break state;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{state}");
        std::thread::sleep(Duration::from_millis(100));
    };
    // Killed, and not at the end of its input, which would have been 0.
    assert_eq!(state, "exited 137");
    let contained = Contained::new("torn-sweep");
    block_on(contained.executor().sweep()).expect("a sweep");
    let left = docker_ok(&["ps", "--all", "--quiet", "--no-trunc"]);
    assert!(!left.contains(&run));
}

#[test]
fn a_container_that_is_made_too_late_is_removed() {
    let mut contained = Contained::new("late");
    contained.policy.limits.engine_time = Duration::from_secs(3);
    let between = Between::start(|request| {
        if request.contains("/containers/create") {
            std::thread::sleep(Duration::from_secs(5));
        }
        true
    });
    let error = block_on(async {
        let executor = Arc::new(contained.executor().at(&between.address()));
        let config = Json::empty_object();
        lockgate::Connector::new("late", executor, config, contained.heard.clone())
            .try_config()
            .await
    });
    assert_eq!(error.expect_err("no container").code(), "DOCKER_CREATE");
    // The engine has it now, or has had it.
    between.wait_for("/containers/create");
    contained.nothing_left_soon();
    std::thread::sleep(Duration::from_secs(1));
    contained.nothing_left();
}

/// A reader that is busy at its first rows for longer than a full buffer is waited for.
#[derive(Default)]
struct Slow {
    batches: AtomicU64,
    rows: AtomicU64,
}

#[async_trait]
impl SourceOutput for Slow {
    async fn emit(&self, rows: protocol::Rows) -> Result<(), Failure> {
        if self.batches.fetch_add(1, Relaxed) == 0 {
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        self.rows.fetch_add(rows.count.into(), Relaxed);
        Ok(())
    }

    async fn checkpoint(&self, _: protocol::StateMessage) -> Result<u64, Failure> {
        Ok(0)
    }

    async fn status(&self, _: u32, _: protocol::StreamStatus) -> Result<(), Failure> {
        Ok(())
    }

    fn estimate(&self, _: u32, _: Option<u64>, _: Option<u64>) {}
}

#[test]
fn one_that_is_paused_and_not_let_go_on_is_an_error_and_no_hang() {
    const ROWS: u64 = 300_000;
    for failures in [1, u64::MAX] {
        let contained = Contained::new(&format!("unpause-{failures}"));
        let left = AtomicU64::new(failures);
        let between = Between::start(move |request| {
            let fails = request.contains("/unpause")
                && left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
            !fails
        });
        let output = Arc::new(Slow::default());
        let result = block_on(async {
            let executor = contained.executor().at(&between.address());
            let context = Context::new(contained.heard.clone());
            let config = Json::parse(format!(r#"{{"count":{ROWS}}}"#)).expect("a configuration");
            let catalog = Catalog::from_airbyte(
                r#"{"streams":[{"stream":{"name":"items","json_schema":{}},
                "sync_mode":"full_refresh","destination_sync_mode":"append"}]}"#,
            );
            let catalog = catalog.expect("a catalog");
            let reading = executor.read(&context, &config, &catalog, &[], output.clone());
            tokio::time::timeout(Duration::from_secs(120), reading).await.expect("no hang")
        });
        between.wait_for("/unpause");
        if failures == 1 {
            result.expect("it was asked again");
            assert_eq!(output.rows.load(Relaxed), ROWS);
        } else {
            let error = result.expect_err("it stays paused");
            assert!(error.to_string().contains("does not let it go on"), "{error}");
        }
        contained.nothing_left_soon();
    }
}
