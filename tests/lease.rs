//! One sync of a connection at a time: on one machine, and on several that share a store. With the
//! real binary, and with the library where a lease must be short.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is missing"
)]

mod common;
#[path = "common/schema.rs"]
mod schema;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate::fault::Fault;
use lockgate::protocol::Json;
use lockgate::state::{Held, Holder, LeaseTimes};
use lockgate::{
    ConnectorOptions, Host, JsonStateStore, PostgresStateStore, PostgresUrl, SqliteStateStore,
    StateStore, SyncFailure, WriteOptions, WriteResult, get_noop_destination,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use common::{Folder, guest, process_grants, target};
use schema::Schema;

/// How long whatever must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(600);

/// A source of one stream. It says one row and a state, then waits for a file, then says another.
fn source(folder: &Folder, last: u64) -> PathBuf {
    let script = r#"#!/bin/sh
here=$(dirname "$0")
row() {
  echo '{"type":"RECORD","record":{"stream":"s","data":{"at":'$1'},"emitted_at":1}}'
  echo '{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"s"},"stream_state":{"at":'$1'}}}}'
}
case $1 in
spec) echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}' ;;
check) echo '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}' ;;
discover) echo '{"type":"CATALOG","catalog":{"streams":[{"name":"s","json_schema":{},"supported_sync_modes":["full_refresh","incremental"],"source_defined_cursor":true}]}}' ;;
read)
  row 1
  : > "$here/started"
  while [ ! -e "$here/go" ]; do sleep 0.05; done
  row LAST
  echo '{"type":"TRACE","trace":{"type":"STREAM_STATUS","emitted_at":1,"stream_status":{"stream_descriptor":{"name":"s"},"status":"COMPLETE"}}}' ;;
esac
"#;
    let path = folder.write("source", &script.replace("LAST", &last.to_string()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    path
}

/// A sync of the connection `k` in a folder.
fn command(folder: &Folder, state: &str) -> Command {
    command_of("k", folder, state)
}

fn command_of(connection: &str, folder: &Folder, state: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    command.current_dir(folder.path());
    command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
    command.args(["sync", "--connection", connection, "--state", state, "--source"]);
    command.arg(format!("exec:{}", folder.path().join("source").display()));
    command.args(process_grants("source-", folder.path()));
    command.args(["--destination", "destination-dev-null"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A sync that holds its connection and waits.
fn started(folder: &Folder, state: &str) -> Child {
    let mut child = command(folder, state).spawn().expect("lockgate starts");
    until("a sync that waits", || {
        assert_eq!(child.try_wait().expect("a child"), None, "it ended by itself");
        folder.path().join("started").exists()
    });
    child
}

fn ended(child: Child) -> Output {
    child.wait_with_output().expect("it ends")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_well(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", errors(output));
}

/// The stores of one test, as `--state` has them.
struct Stores {
    folder: tempfile::TempDir,
    schema: Schema,
}

impl Stores {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), schema: Schema::new() }
    }

    fn all(&self) -> [String; 3] {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        [
            format!("sqlite:{}", file("state.db")),
            format!("postgres:{}", self.schema.url()),
            format!("json:{}", file("state.json")),
        ]
    }
}

fn open(state: &str) -> Arc<dyn StateStore> {
    match state.split_once(':').unwrap() {
        ("sqlite", path) => Arc::new(SqliteStateStore::open(path.as_ref()).unwrap()),
        ("json", path) => Arc::new(JsonStateStore::open(path.as_ref()).unwrap()),
        (_, url) => Arc::new(PostgresStateStore::open(PostgresUrl::parse(url).unwrap()).unwrap()),
    }
}

/// Where the stored state is.
fn stored(store: &dyn StateStore) -> Option<u64> {
    let states = store.load("k").unwrap();
    states.first()?.state.parts()[0].state.as_ref()?.to_value().unwrap()["at"].as_u64()
}

/// Refused with the code, the process and the times of the holder.
fn assert_refused(output: &Output, by: u32) {
    let errors = errors(output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("error[CONNECTION_BUSY]: connection k is being synced by process"));
    assert!(errors.contains(&format!("process {by} on ")), "{errors}");
    assert!(errors.contains(" (run ") && errors.contains("its lease ends at 20"), "{errors}");
    assert!(errors.contains("hint: wait for it to end"), "{errors}");
}

#[test]
fn of_two_at_once_one_is_refused_and_told_who_runs() {
    let stores = Stores::new();
    for state in stores.all() {
        let folder = Folder::new();
        source(&folder, 2);
        let first = started(&folder, &state);
        assert_refused(&command(&folder, &state).output().unwrap(), first.id());
        let second = command(&folder, &state).args(["--output", "json"]).output().unwrap();
        let report: Value = serde_json::from_slice(&second.stdout).expect("a report");
        assert_eq!(report["error"]["code"], "CONNECTION_BUSY", "{report}");
        // Another connection of the same store is free.
        let other = Folder::new();
        source(&other, 2);
        other.write("go", "");
        assert_well(&command_of("other", &other, &state).output().unwrap());
        folder.write("go", "");
        assert_well(&ended(first));
        let store = open(&state);
        assert_eq!((stored(store.as_ref()), store.held("k").unwrap()), (Some(2), None));
        assert_well(&command(&folder, &state).output().unwrap());
    }
}

#[test]
fn after_a_kill_the_next_goes_on_at_once() {
    let stores = Stores::new();
    for state in stores.all() {
        let folder = Folder::new();
        source(&folder, 2);
        let mut first = started(&folder, &state);
        let store = open(&state);
        first.kill().unwrap();
        first.wait().unwrap();
        assert!(store.held("k").unwrap().expect("it gave nothing back").ended);
        folder.write("go", "");
        assert_well(&command(&folder, &state).output().unwrap());
        assert_eq!(stored(store.as_ref()), Some(2));
    }
}

#[test]
fn another_host_is_waited_for_until_its_lease_ends() {
    let stores = Stores::new();
    for state in stores.all() {
        let folder = Folder::new();
        source(&folder, 2);
        folder.write("go", "");
        let store = open(&state);
        let start = "another boot 5".into();
        let holder = Holder { host: "elsewhere".into(), process: 7, start, run: None };
        let lease = store.acquire("k", &holder, LONG).unwrap();
        let refused = command(&folder, &state).output().unwrap();
        let said = errors(&refused);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("is being synced by process 7 on elsewhere, since 20"), "{said}");
        assert_eq!(stored(store.as_ref()), None);
        store.renew(&lease, Duration::ZERO).unwrap();
        assert_well(&command(&folder, &state).output().unwrap());
        assert_eq!(stored(store.as_ref()), Some(2));
    }
}

/// Ends the lease of a connection by the store's own clock, as if its time had passed.
fn end_lease(stores: &Stores, state: &str) {
    let sql = "UPDATE _lockgate_leases SET until = 0";
    match state.split_once(':').unwrap() {
        ("sqlite", path) => {
            rusqlite::Connection::open(path).unwrap().execute(sql, []).unwrap();
        }
        ("json", path) => {
            let mut all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            all["connections"]["k"]["lease"]["until"] = json!(0);
            std::fs::write(path, serde_json::to_vec(&all).unwrap()).unwrap();
        }
        _ => stores.schema.run(sql),
    }
}

/// The same store, as another machine has it: without the lock of this one.
fn from_elsewhere(folder: &Folder, state: &str) -> String {
    let (kind, path) = state.split_once(':').unwrap();
    if kind == "postgres" {
        return state.to_owned();
    }
    let link = folder.path().join("shared");
    std::os::unix::fs::symlink(path, &link).unwrap();
    format!("{kind}:{}", link.display())
}

/// Stops a process that is not in the middle of a change: others would wait for that, as long as it
/// stops. A server ends the transaction of one that does not go on; nobody does so for a file.
fn stop(child: &Child, state: &str) {
    until("a moment between two changes", || {
        signal(child, Signal::STOP);
        let is_free = match state.split_once(':').unwrap() {
            ("sqlite", path) => {
                let file = rusqlite::Connection::open(path).unwrap();
                file.busy_timeout(Duration::ZERO).unwrap();
                file.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
            }
            ("json", path) => {
                std::fs::File::open(format!("{path}.lock")).unwrap().try_lock().is_ok()
            }
            _ => true,
        };
        if !is_free {
            signal(child, Signal::CONT);
        }
        is_free
    });
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
}

#[test]
fn a_host_that_slept_stores_nothing_more() {
    let stores = Stores::new();
    for state in stores.all() {
        let (here, there) = (Folder::new(), Folder::new());
        source(&here, 2);
        source(&there, 20);
        there.write("go", "");
        let first = started(&here, &state);
        let store = open(&state);
        until("its first state", || stored(store.as_ref()) == Some(1));
        stop(&first, &state);
        end_lease(&stores, &state);
        let elsewhere = from_elsewhere(&there, &state);
        assert_well(&command(&there, &elsewhere).output().unwrap());
        assert_eq!(stored(store.as_ref()), Some(20));
        here.write("go", "");
        signal(&first, Signal::CONT);
        let output = ended(first);
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{state}: {said}");
        assert!(said.contains("error[LEASE_LOST]: "), "{said}");
        assert_eq!(stored(store.as_ref()), Some(20));
        assert_eq!(store.held("k").unwrap(), None);
    }
}

#[test]
fn a_worker_of_a_host_that_slept_stores_nothing_more() {
    let stores = Stores::new();
    let [_, state, _] = stores.all();
    let sync = |folder: &Folder, count: u64| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
        command.current_dir(folder.path());
        command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
        command.args(["sync", "--connection", "k", "--state", &state, "--streams", "users"]);
        let config = json!({ "count": count, "records_per_checkpoint": 100 });
        command.arg("--source").arg(guest("source-faker"));
        command.args(["--source-config", &config.to_string()]);
        command.args(["--destination", &guest("destination-dev-null").display().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let (here, there) = (Folder::new(), Folder::new());
    let mut first = sync(&here, 20_000_000).spawn().unwrap();
    let store = open(&state);
    until("its first state", || {
        assert_eq!(first.try_wait().unwrap(), None, "it ended by itself");
        !store.load("k").unwrap().is_empty()
    });
    signal(&first, Signal::STOP);
    // A transaction that it was in the middle of holds others up for 10 s.
    end_lease(&stores, &state);
    let second = sync(&there, 500).output().unwrap();
    assert_well(&second);
    let kept = store.load("k").unwrap()[0].state.body().get().to_owned();
    signal(&first, Signal::CONT);
    let output = ended(first);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(errors(&output).contains("error[LEASE_LOST]: "), "{}", errors(&output));
    assert_eq!(store.load("k").unwrap()[0].state.body().get(), kept);
}

#[test]
fn states_are_not_changed_while_a_sync_runs() {
    let stores = Stores::new();
    for state in stores.all() {
        let folder = Folder::new();
        source(&folder, 2);
        let first = started(&folder, &state);
        let file = folder.write("states.json", r#"[{"type":"STREAM","stream":{"stream_descriptor":{"name":"s"},"stream_state":{"at":9}}}]"#);
        let of = |words: &[&str]| {
            let mut command = folder.lockgate();
            command.arg("state").args(words).args(["--state", &state]).output().unwrap()
        };
        let file = file.display().to_string();
        assert_refused(&of(&["set", "k", &file]), first.id());
        assert_refused(&of(&["clear", "k"]), first.id());
        until("its first state", || stored(open(&state).as_ref()) == Some(1));
        let listed = String::from_utf8(of(&["show"]).stdout).unwrap();
        assert!(listed.contains(&format!("synced by process {} on ", first.id())), "{listed}");
        let shown = of(&["show", "k"]);
        assert_well(&shown);
        assert!(errors(&shown).contains("k is being synced by process"), "{}", errors(&shown));
        folder.write("go", "");
        assert_well(&ended(first));
        assert_well(&of(&["set", "k", &file]));
        assert_eq!(stored(open(&state).as_ref()), Some(9));
        assert_well(&of(&["clear", "k", "--stream", "s"]));
        assert_eq!(stored(open(&state).as_ref()), None);
    }
}

/// A sync by the library, on a thread of its own.
struct Sync {
    thread: std::thread::JoinHandle<Option<Result<WriteResult, Box<SyncFailure>>>>,
    drop: Arc<tokio::sync::Notify>,
}

impl Sync {
    /// With a lease of its own time.
    fn start(folder: &Folder, store: &Arc<dyn StateStore>, lease: LeaseTimes) -> Self {
        let name = format!("exec:{}", folder.path().join("source").display());
        let options = ConnectorOptions {
            allow_dir: vec![folder.path().display().to_string()],
            ..ConnectorOptions::default()
        };
        let host = Host::new().in_folder(folder.path());
        let source = host.get_source(&name, &options, Json::empty_object()).unwrap();
        let options = WriteOptions {
            connection: Some("k".into()),
            state: Some(store.clone()),
            lease,
            ..WriteOptions::default()
        };
        let drop = Arc::new(tokio::sync::Notify::new());
        let dropped = drop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let destination = get_noop_destination();
                tokio::select! {
                    result = destination.write(&source, &options) => Some(result),
                    () = dropped.notified() => None,
                }
            })
        });
        Self { thread, drop }
    }

    /// Its result; none where it was dropped.
    fn end(self) -> Option<Result<WriteResult, Box<SyncFailure>>> {
        self.thread.join().unwrap()
    }
}

fn held(store: &Arc<dyn StateStore>) -> Option<Held> {
    store.held("k").unwrap()
}

#[test]
fn a_lease_is_renewed_while_a_sync_runs_and_given_back_when_it_is_dropped() {
    let folder = Folder::new();
    source(&folder, 2);
    let stores = Stores::new();
    let store = open(&stores.all()[0]);
    // Renewed far more often than it must be, however slow the machine is.
    let lease = LeaseTimes { lease: LONG, renewal: Duration::from_millis(20) };
    let sync = Sync::start(&folder, &store, lease);
    until("a lease", || held(&store).is_some());
    let first = held(&store).unwrap();
    until("a renewal", || held(&store).unwrap().until > first.until);
    assert_eq!(held(&store).unwrap().since, first.since);
    until("a sync that waits", || folder.path().join("started").exists());
    sync.drop.notify_one();
    assert!(sync.end().is_none(), "it ended by itself");
    until("a connection that is free", || held(&store).is_none());
    folder.write("go", "");
    Sync::start(&folder, &store, LeaseTimes::default()).end().unwrap().unwrap();
    assert_eq!(held(&store), None);
}

#[test]
fn a_store_that_is_gone_for_as_long_as_a_lease_ends_the_sync() {
    let folder = Folder::new();
    source(&folder, 2);
    let stores = Stores::new();
    let state = &stores.all()[2];
    let path = PathBuf::from(state.strip_prefix("json:").unwrap());
    let store = open(state);
    let lease = LeaseTimes { lease: Duration::from_secs(2), renewal: Duration::from_millis(100) };
    let sync = Sync::start(&folder, &store, lease);
    until("its first state", || stored(store.as_ref()) == Some(1));
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    std::fs::create_dir(&path).unwrap();
    let failure = sync.end().unwrap().unwrap_err();
    assert_eq!(failure.error.code(), "LEASE_LOST", "{failure}");
    let report = failure.report.expect("rows moved");
    assert_eq!(report.error.unwrap().code, "LEASE_LOST");
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(stored(store.as_ref()), Some(1));
}
