//! Syncs in a worker process: it is killed when its guests do not end, its end and its parent's are
//! survived, and what it says is not believed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is missing"
)]

mod common;
#[path = "connectors/fault_scene.rs"]
#[expect(dead_code, reason = "the failure tests use more of it")]
mod fault_scene;

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lockgate::component::CompileCache;
use lockgate::fault::Fault;
use lockgate::protocol::{Decision, Failure, Json, LogLevel, Observer, StreamDescriptor};
use lockgate::state::{
    Generation, Held, Holder, Lease, PastStates, Remembered, StateStoreError, StoredState,
    SyncNumbers, SyncStart,
};
use lockgate::sync::{Counters, SyncFailure, WriteResult};
use lockgate::{
    ConnectorOptions, Host, SqliteStateStore, StateStore, WorkerProgram, WriteOptions,
    WriteStrategy,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use self::common::{Folder, guest, target};
use self::fault_scene::{From, Scene, To};

const LOCKGATE: &str = env!("CARGO_BIN_EXE_lockgate");
/// How long whatever was told to end may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn alive(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    // The state follows the name, which ends in the last parenthesis.
    status.is_ok_and(|s| s.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z')))
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The worker of a process.
fn worker_of(parent: u32) -> Option<Pid> {
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        let text = |file| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let status = String::from_utf8_lossy(&text("status")).into_owned();
        let of_parent = status.lines().any(|l| *l == format!("PPid:\t{parent}"));
        if of_parent && text("cmdline").starts_with(b"lockgate\0worker\0") {
            return Pid::from_raw(pid);
        }
    }
    None
}

/// A sync by the real binary that goes on for a while: 400 rows, 20 ms each.
struct Running {
    scene: Scene,
    child: Child,
}

const MANY: u64 = 400;

impl Running {
    fn start(source: &Value, more: &[&str]) -> Self {
        Self::start_in(Scene::new(From::Component, To::Jsonl, false), source, more)
    }

    fn start_in(scene: Scene, source: &Value, more: &[&str]) -> Self {
        let out = scene.folder.path().join("out");
        let mut command = Command::new(LOCKGATE);
        command.current_dir(scene.folder.path());
        command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
        command.args(["sync", "--connection", "c", "--output", "json", "--strategy", "append"]);
        command.arg("--source").arg(guest("misbehaving-source"));
        command.args(["--source-config", &source.to_string()]);
        command.arg("--destination").arg(guest("destination-jsonl"));
        command.args(["--destination-config", r#"{"path":"/out"}"#]);
        command.args(["--destination-allow-dir", &format!("{}::/out", out.display())]);
        command.args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { scene, child: command.spawn().unwrap() }
    }

    fn slow() -> Value {
        json!({ "mode": "slow", "millis": 20, "rows": MANY, "rows_per_checkpoint": 10 })
    }

    /// Its worker, once a state is stored.
    fn worker(&self) -> Pid {
        until("a state is stored", || (!self.scene.stored().is_empty()).then_some(()));
        // And counted: what has moved is said five times a second.
        std::thread::sleep(Duration::from_millis(500));
        until("there is a worker", || worker_of(self.child.id()))
    }

    fn ended(&mut self) -> (ExitStatus, Value) {
        let status = until("it ends", || self.child.try_wait().unwrap());
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// The same command, undisturbed: every row is there, and the state is the last.
    fn completes(self) {
        let confirmed = self.scene.stored();
        let quick = json!({ "mode": "well-behaved", "rows": MANY, "rows_per_checkpoint": 10 });
        let ids = self.scene.ids();
        let covered = confirmed.first().map_or(0, |(_, at)| *at);
        assert!(covered > 0 && covered < MANY, "{confirmed:?}");
        assert!((0..covered).all(|id| ids.contains(&id)), "what was confirmed is there");
        let mut again = Self::start_in(self.scene, &quick, &["--quiet"]);
        let (status, report) = again.ended();
        assert!(status.success(), "{report}");
        assert_eq!(report["isolation"], "worker");
        assert_eq!(report["resumed"], true);
        assert_eq!(report["records_committed"], MANY - covered);
        let ids: std::collections::BTreeSet<u64> = again.scene.ids().into_iter().collect();
        assert_eq!(ids, (0..MANY).collect());
        assert_eq!(again.scene.stored(), [("rows".to_owned(), MANY)]);
    }
}

#[test]
fn the_worker_is_killed() {
    let mut running = Running::start(&Running::slow(), &["--quiet"]);
    kill_process(running.worker(), Signal::KILL).unwrap();
    let (status, report) = running.ended();
    assert_eq!(status.code(), Some(1), "{report}");
    assert_eq!(report["error"]["code"], "WORKER_CRASHED", "{report}");
    let message = report["error"]["message"].as_str().unwrap();
    assert_eq!(message, "the worker process was killed by signal 9 (SIGKILL)");
    assert!(report["records_committed"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["streams"][0]["status"], "running");
    running.completes();
}

#[test]
fn the_worker_crashes() {
    let mut running = Running::start(&Running::slow(), &["--quiet"]);
    kill_process(running.worker(), Signal::ABORT).unwrap();
    let (status, report) = running.ended();
    assert_eq!(status.code(), Some(1), "{report}");
    let message = report["error"]["message"].as_str().unwrap();
    assert_eq!(message, "the worker process was killed by signal 6 (SIGABRT)");
    running.completes();
}

#[test]
fn the_parent_is_killed() {
    let mut running = Running::start(&Running::slow(), &["--quiet"]);
    let worker = running.worker();
    running.child.kill().unwrap();
    let (status, _) = running.ended();
    assert!(!status.success());
    until("the worker ends with its parent", || (!alive(worker)).then_some(()));
    running.completes();
}

/// Whoever holds the lock of a connection may write: that is the worker too.
#[test]
fn a_worker_that_lives_holds_its_lock() {
    let mut running = Running::start(&Running::slow(), &["--quiet"]);
    let worker = running.worker();
    kill_process(worker, Signal::STOP).unwrap();
    running.child.kill().unwrap();
    running.ended();
    let gone = until("the worker ends, stopped or not", || (!alive(worker)).then_some(true));
    assert!(gone);
    running.completes();
}

#[test]
fn a_person_stops_it() {
    for config in [Running::slow(), json!({ "mode": "spin", "rows": 1 })] {
        let spins = config["mode"] == "spin";
        let mut running = Running::start(&config, &["--quiet"]);
        let worker = if spins {
            let worker = until("there is a worker", || worker_of(running.child.id()));
            // Until its source spins.
            until("it computes", || {
                let stat =
                    std::fs::read_to_string(format!("/proc/{}/stat", worker.as_raw_nonzero()));
                let stat = stat.unwrap_or_default();
                let used = stat.split(' ').nth(13)?.parse::<u64>().ok()?;
                (used >= 50).then_some(())
            });
            worker
        } else {
            running.worker()
        };
        let asked = Instant::now();
        kill_process(Pid::from_child(&running.child), Signal::INT).unwrap();
        let (status, report) = running.ended();
        assert_eq!(status.code(), Some(130), "{report}");
        assert_eq!(report["error"]["code"], "CANCELLED", "{report}");
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
        until("the worker is gone", || (!alive(worker)).then_some(()));
        if !spins {
            running.completes();
        }
    }
}

/// In every operation, of both sides: the same error as without a worker.
#[test]
fn what_spins_is_ended() {
    let spin = |during: &str| json!({ "mode": "spin", "during": during });
    let spins =
        |during: &str| if during.is_empty() { json!({ "mode": "spin" }) } else { spin(during) };
    for (side, during, code) in [
        ("source", "check", "LIMIT_TIME"),
        ("source", "discover", "LIMIT_TIME"),
        ("source", "", "SOURCE_FAILED"),
        ("destination", "check", "LIMIT_TIME"),
        ("destination", "", "DESTINATION_FAILED"),
    ] {
        for limit in ["timeout", "limit"] {
            let mut errors = Vec::new();
            for isolation in ["worker", "in-process"] {
                // The worker's own measure; one call of each kind will do.
                if limit == "limit" && during == "discover" {
                    continue;
                }
                let mut scene = Scene::new(From::Component, To::Component, false);
                let value = if limit == "limit" { "cpu-time=1s" } else { "1s" };
                let option = format!("--{side}-{limit}");
                scene.arguments =
                    [&option, value, "--isolation", isolation].map(str::to_owned).into();
                let (bad, well) = (spins(during), json!({}));
                let (source, destination) =
                    if side == "source" { (&bad, &well) } else { (&well, &bad) };
                let outcome = scene.sync(source, destination, "json");
                assert_eq!(outcome.code, 1, "{side} {during} {isolation}: {outcome:#?}");
                let error = &outcome.report()["error"];
                let cause = if limit == "limit" { "LIMIT_CPU" } else { "LIMIT_TIME" };
                let code = if code == "LIMIT_TIME" { cause } else { code };
                assert_eq!(error["code"], code, "{side} {during} {isolation}: {outcome:#?}");
                if code != cause {
                    assert_eq!(error["context"]["cause"], cause, "{outcome:#?}");
                }
                assert!(outcome.took < Duration::from_secs(20), "{outcome:#?}");
                errors.push(error.clone());
                scene.assert_recovers();
            }
            if let [worker, in_process] = errors.as_slice() {
                assert_eq!(worker, in_process, "the same error in both");
            }
        }
    }
}

#[test]
fn only_components_run_in_a_worker() {
    let scene = Scene::new(From::Component, To::Stdio, false);
    let mut forced = Scene::new(From::Component, To::Stdio, false);
    forced.arguments = ["--isolation", "worker"].map(str::to_owned).into();
    let outcome = scene.sync(&json!({}), &json!({}), "json");
    assert_eq!(outcome.report()["isolation"], "in-process");
    let outcome = forced.sync(&json!({}), &json!({}), "json");
    assert_eq!(outcome.code, 2, "{outcome:#?}");
    assert!(outcome.stderr.contains("isolation worker is for two components"), "{outcome:#?}");
}

#[test]
fn a_worker_is_started_by_a_sync_only() {
    let folder = Folder::new();
    let output = folder.lockgate().args(["worker", "8", "9"]).output().unwrap();
    assert!(!output.status.success());
    let output = folder.lockgate().args(["worker"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Hears everything.
#[derive(Default)]
struct Heard {
    logs: Mutex<Vec<(LogLevel, String)>>,
    configs: Mutex<Vec<String>>,
    decided: Mutex<Vec<Decision>>,
}

#[async_trait]
impl Observer for Heard {
    fn log(&self, level: LogLevel, message: &str) {
        self.logs.lock().unwrap().push((level, message.to_owned()));
    }

    async fn update_config(&self, config: Json) -> Result<(), Failure> {
        self.configs.lock().unwrap().push(config.get().to_owned());
        Ok(())
    }

    fn decided(&self, decision: &Decision) {
        self.decided.lock().unwrap().push(decision.clone());
    }
}

fn write(
    source: &Value,
    destination: &Value,
    heard: &Arc<Heard>,
    options: &WriteOptions,
) -> Result<WriteResult, Box<SyncFailure>> {
    // Not made for workers: what it loads can run here, and is compiled once more for a worker.
    let cache = CompileCache::at(&target().join("test-cache"));
    let host = Host::new().with_cache(Some(cache));
    let json = |v: &Value| Json::parse(v.to_string()).unwrap();
    let name = |n: &str| guest(n).display().to_string();
    let nothing = ConnectorOptions::default();
    let source = host.get_source(&name("misbehaving-source"), &nothing, json(source)).unwrap();
    let destination =
        host.get_destination(&name("misbehaving-destination"), &nothing, json(destination));
    let destination = destination.unwrap().heard_by(heard.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(destination.write(&source.heard_by(heard.clone()), options))
}

fn in_a_worker() -> WriteOptions {
    WriteOptions {
        worker: Some(WorkerProgram::new(LOCKGATE)),
        strategy: WriteStrategy::Append,
        connection: Some("c".into()),
        ..WriteOptions::default()
    }
}

fn well() -> Value {
    json!({ "mode": "well-behaved" })
}

#[test]
fn logs_progress_and_the_plan_arrive() {
    let heard = Arc::new(Heard::default());
    let seen: Arc<Mutex<Vec<Arc<Counters>>>> = Arc::default();
    let mut options = in_a_worker();
    let kept = seen.clone();
    options.watch = Some(Arc::new(move |plan, counters| {
        assert_eq!(plan.catalog.streams.len(), 2);
        kept.lock().unwrap().push(counters);
    }));
    let growing = seen.clone();
    let watcher = std::thread::spawn(move || {
        let mut values = std::collections::BTreeSet::new();
        until("all rows are counted", || {
            if let Some(counters) = growing.lock().unwrap().first() {
                values.insert(counters.total().emitted);
            }
            values.contains(&80).then_some(())
        });
        values
    });
    let source = json!({ "mode": "slow", "millis": 20, "rows": 40, "streams": ["a", "b"] });
    let result =
        write(&source, &json!({ "mode": "flood", "messages": 3, "bytes": 5 }), &heard, &options);
    let report = result.unwrap().report;
    assert_eq!((report.isolation, report.records_committed), ("worker", 80));
    assert_eq!(report.destination.name, "misbehaving-destination");
    assert!(report.streams.iter().all(|s| s.status == "complete" && s.records_committed == 40));
    assert!(watcher.join().unwrap().len() > 3, "counts grow while rows move");
    let logs = heard.logs.lock().unwrap();
    let flood = logs.iter().filter(|(level, text)| *level == LogLevel::Info && text == "xxxxx");
    assert_eq!(flood.count(), 3);
}

#[test]
fn a_changed_configuration_is_stored_and_used() {
    let folder = Folder::new();
    let heard = Arc::new(Heard::default());
    let store = Arc::new(SqliteStateStore::open(&folder.path().join("s.db")).unwrap());
    let options = WriteOptions { state: Some(store.clone()), ..in_a_worker() };
    // It changes its own mode: the next sync is another one.
    let source = json!({ "mode": "update-config", "members": { "mode": "trap-mid" } });
    write(&source, &well(), &heard, &options).unwrap();
    assert_eq!(*heard.configs.lock().unwrap(), [r#"{"mode":"trap-mid"}"#]);
    let again = WriteOptions { full_refresh: true, ..options };
    let failure = write(&source, &well(), &heard, &again).unwrap_err();
    assert_eq!(failure.error.code(), "SOURCE_FAILED");
    assert!(failure.error.to_string().contains("trapped"), "{failure}");
}

/// A store that takes its time and looks what was counted meanwhile.
#[derive(Debug)]
struct Gate {
    inner: SqliteStateStore,
    counters: Arc<Mutex<Option<Arc<Counters>>>>,
    committed: Mutex<Vec<(u64, u64)>>,
    fails: bool,
}

impl StateStore for Gate {
    fn acquire(&self, of: &str, by: &Holder, time: Duration) -> Result<Lease, StateStoreError> {
        self.inner.acquire(of, by, time)
    }

    fn renew(&self, lease: &Lease, time: Duration) -> Result<(), StateStoreError> {
        self.inner.renew(lease, time)
    }

    fn release(&self, lease: &Lease) -> Result<(), StateStoreError> {
        self.inner.release(lease)
    }

    fn begin_sync(
        &self,
        connection: &str,
        start: &SyncStart,
        lease: Option<u64>,
    ) -> Result<SyncNumbers, StateStoreError> {
        self.inner.begin_sync(connection, start, lease)
    }

    fn complete(
        &self,
        connection: &str,
        streams: &[StreamDescriptor],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        self.inner.complete(connection, streams, lease)
    }

    fn generations(
        &self,
        of: &str,
    ) -> Result<Vec<(StreamDescriptor, Generation)>, StateStoreError> {
        self.inner.generations(of)
    }

    fn past(&self, connection: &str) -> Result<Vec<PastStates>, StateStoreError> {
        self.inner.past(connection)
    }

    fn load(&self, connection: &str) -> Result<Vec<StoredState>, StateStoreError> {
        self.inner.load(connection)
    }

    fn store(
        &self,
        connection: &str,
        states: &[StoredState],
        lease: Option<u64>,
    ) -> Result<(), StateStoreError> {
        assert_eq!(connection, "c");
        if self.fails {
            let reason = "no room".to_owned();
            return Err(StateStoreError::Database { path: PathBuf::from("/s.db"), reason });
        }
        let counters = self.counters.lock().unwrap().clone().unwrap();
        let before = counters.checkpoints().1;
        // Longer than it takes until counts are said.
        std::thread::sleep(Duration::from_millis(500));
        let after = counters.checkpoints().1;
        self.committed.lock().unwrap().push((before, after));
        self.inner.store(connection, states, lease)
    }

    fn held(&self, connection: &str) -> Result<Option<Held>, StateStoreError> {
        self.inner.held(connection)
    }

    fn set(&self, _: &str, _: &[StoredState], _: Option<u64>) -> Result<usize, StateStoreError> {
        unreachable!("a sync sets nothing")
    }

    fn last_sync(&self, connection: &str) -> Result<u64, StateStoreError> {
        self.inner.last_sync(connection)
    }

    fn adopt(&self, _: &str, _: &Remembered, _: Option<u64>) -> Result<(), StateStoreError> {
        unreachable!("a sync takes nothing over")
    }

    fn connections(&self) -> Result<Vec<(String, u64, i64)>, StateStoreError> {
        self.inner.connections()
    }

    fn change_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: &Json,
    ) -> Result<(), StateStoreError> {
        self.inner.change_config(connection, side, digest, members)
    }

    fn changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
    ) -> Result<Option<Json>, StateStoreError> {
        self.inner.changed_config(connection, side, digest)
    }

    fn replace_changed_config(
        &self,
        connection: &str,
        side: &str,
        digest: &str,
        members: Option<&Json>,
    ) -> Result<(), StateStoreError> {
        self.inner.replace_changed_config(connection, side, digest, members)
    }
}

fn gate(folder: &Folder, fails: bool) -> (Arc<Gate>, WriteOptions) {
    let counters: Arc<Mutex<Option<Arc<Counters>>>> = Arc::default();
    let inner = SqliteStateStore::open(&folder.path().join("s.db")).unwrap();
    let gate = Gate { inner, counters: counters.clone(), committed: Mutex::default(), fails };
    let gate = Arc::new(gate);
    let watch: lockgate::sync::Watch =
        Arc::new(move |_, given| *counters.lock().unwrap() = Some(given));
    let options = WriteOptions { state: Some(gate.clone()), watch: Some(watch), ..in_a_worker() };
    (gate, options)
}

#[test]
fn nothing_is_committed_before_its_state_is_stored() {
    let folder = Folder::new();
    let (gate, options) = gate(&folder, false);
    let heard = Arc::new(Heard::default());
    let result = write(&well(), &well(), &heard, &options).unwrap();
    assert_eq!(result.records_committed(), 10);
    let committed = gate.committed.lock().unwrap();
    assert!(committed.len() >= 2, "{committed:?}");
    // While the nth store went on, no more than those before it were committed.
    for (nth, (before, after)) in committed.iter().enumerate() {
        assert!(*before <= nth as u64 && *after <= nth as u64, "{committed:?}");
    }
}

#[test]
fn a_store_that_fails_fails_the_sync() {
    let folder = Folder::new();
    let (_, options) = gate(&folder, true);
    let failure = write(&well(), &well(), &Arc::default(), &options).unwrap_err();
    assert_eq!(failure.error.code(), "STATE_STORE");
    assert!(failure.error.to_string().contains("no room"), "{failure}");
    assert_eq!(failure.report.unwrap().records_committed, 0);
}

/// A program in a worker's place, which says `lines` of Python with `say(bytes)`, `message(object)`
/// and `hear()`.
fn impostor(folder: &Folder, lines: &str) -> WorkerProgram {
    #[expect(clippy::disallowed_methods, reason = "where the test's interpreter is")]
    let path = std::env::var_os("PATH").unwrap();
    let python = std::env::split_paths(&path)
        .map(|folder| folder.join("python3"))
        .find(|path| path.is_file())
        .expect("python3");
    let text = format!(
        r#"#!{} -ES
import json, os, struct, sys, time
def say(data):
    while data:
        data = data[os.write(0, data):]
def message(value):
    data = json.dumps(value).encode()
    say(struct.pack("<I", len(data)) + data)
def read(length):
    data = b""
    while len(data) < length:
        part = os.read(0, length - len(data))
        if not part: sys.exit(7)
        data += part
    return data
def hear():
    return json.loads(read(struct.unpack("<I", read(4))[0]))
job = hear()["Job"]
plan = {{"source": ["s", "1"], "destination": ["d", "2"], "notes": [], "resumed": False, "rows_stay": False, "streams": [
    {{"descriptor": {{"name": "rows"}}, "sync_mode": "incremental", "destination_sync_mode": "append",
      "generation_id": 1, "minimum_generation_id": 0, "sync_id": 1}}]}}
def state(name):
    return {{"body": {{"type": "STREAM", "stream": {{"stream_descriptor": {{"name": name}}}}}}, "of_full_read": False, "generations": []}}
def store(name):
    message({{"Ask": {{"id": 1, "question": {{"Store": {{"states": [state(name)]}}}}}}}})
{lines}
hear()
"#,
        python.display()
    );
    let path = folder.write("impostor", &text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    WorkerProgram::new(path)
}

#[test]
fn a_worker_that_breaks_its_protocol_is_killed() {
    let never = "time.sleep(1000)";
    for (lines, words) in [
        ("say(b'\\xff\\xff\\xff\\xff')", "a message of 4294967295 bytes"),
        ("say(b'\\x02\\x00\\x00\\x00{]')", "a message that is none"),
        ("message({'Job': job})", "a message that is none"),
        ("message({'Finished': {'result': {'Ok': None}}})", "done before it began"),
        ("message({'Ended': {'side': 'Source', 'operation': 'spec'}})", "had not begun"),
        (
            "[message({'Began': {'side': 'Source', 'operation': 'read'}}) for _ in 'ab']",
            "out of order",
        ),
        ("message({'Counts': {'streams': [], 'totals': [1, 1, 0, 0]}})", "counts nothing"),
        (
            "message({'Started': plan}); message({'Counts': {'streams': [[7, [1] * 13]], 'totals': [1, 1, 0, 0]}})",
            "not in its plan",
        ),
        ("message({'Started': plan}); message({'Started': plan})", "twice"),
        ("store('rows')", "before rows move"),
        ("message({'Started': plan}); store('other')", "not in its plan"),
        (
            "message({'Started': plan}); message({'Ask': {'id': 1, 'question': {'Clear': {'streams': None}}}})",
            "nobody asked it to forget",
        ),
        (
            "message({'Ask': {'id': 1, 'question': {'ChangeConfig': {'side': 'Source', 'digest': 'x', 'members': {}}}}})",
            "not its own",
        ),
        (
            "message({'Ask': {'id': 1, 'question': {'UpdateConfig': {'side': 'Source', 'config': []}}}})",
            "cannot be one",
        ),
        (
            "message({'Ask': {'id': 1, 'question': {'Resolve': {'side': 'Source', 'name': 'a.example'}}}})",
            "a name that it is not granted",
        ),
    ] {
        let folder = Folder::new();
        let store = Arc::new(SqliteStateStore::open(&folder.path().join("s.db")).unwrap());
        let program = impostor(&folder, &format!("{lines}\n{never}"));
        let options =
            WriteOptions { state: Some(store.clone()), worker: Some(program), ..in_a_worker() };
        let began = Instant::now();
        let failure = write(&well(), &well(), &Arc::default(), &options).unwrap_err();
        assert_eq!(failure.error.code(), "WORKER_PROTOCOL", "{lines}: {failure}");
        assert!(failure.error.to_string().contains(words), "{lines}: {failure}");
        assert!(began.elapsed() < PATIENCE, "{lines}: {:?}", began.elapsed());
        assert!(store.load("c").unwrap().is_empty(), "{lines}");
    }
}

/// What a worker says of itself is shown as what it is, and believed as far as it can be.
#[test]
fn a_worker_that_lies_gets_no_further_than_its_own_report() {
    let folder = Folder::new();
    let store = Arc::new(SqliteStateStore::open(&folder.path().join("s.db")).unwrap());
    let lines = r#"
message({'Started': plan})
big = 2**64 - 1
message({'Counts': {'streams': [[0, [big] * 13]], 'totals': [big] * 4}})
store('rows'); assert hear()["Answer"]["answer"] == "Done"
for _ in range(3): message({'Log': {'side': 'Source', 'level': 'ODD', 'message': 'x' * 1000000}})
message({'Finished': {'result': {'Err': {'code': 'A\nB', 'message': 'm', 'hint': None,
    'context': [['bad name', 'x']], 'exit': 'Refused'}}}})
sys.exit(0)
"#;
    let options = WriteOptions {
        state: Some(store.clone()),
        worker: Some(impostor(&folder, lines)),
        ..in_a_worker()
    };
    let heard = Arc::new(Heard::default());
    let failure = write(&well(), &well(), &heard, &options).unwrap_err();
    assert_eq!(failure.error.code(), "WORKER_PROTOCOL");
    assert!(failure.error.context().is_empty());
    assert_eq!(failure.report.as_ref().unwrap().streams[0].status, "incomplete");
    assert_eq!(store.load("c").unwrap().len(), 1, "a state of a stream of this sync");
    assert!(heard.logs.lock().unwrap().iter().all(|(_, text)| text.len() <= 64 << 10));
}

/// A worker hides what it was given; one that does not is not believed to have.
#[test]
fn a_worker_that_tells_secrets_is_not_repeated() {
    let folder = Folder::new();
    let lines = r#"
secret = job["source"]["config"]["password"]
message({'Log': {'side': 'Destination', 'level': 'INFO', 'message': 'it is ' + secret}})
message({'Decided': {'side': 'Source', 'decision': {'capability': 'connect', 'target': secret, 'allowed': False, 'rule': secret}}})
message({'Finished': {'result': {'Err': {'code': 'X', 'message': 'with ' + secret, 'hint': secret,
    'context': [['detail', secret]], 'exit': 'Failed'}}}})
sys.exit(0)
"#;
    let options = WriteOptions { worker: Some(impostor(&folder, lines)), ..in_a_worker() };
    let heard = Arc::new(Heard::default());
    let source = json!({ "mode": "well-behaved", "password": "hunter2-and-more" });
    let failure = write(&source, &well(), &heard, &options).unwrap_err();
    let error = &failure.error;
    let said = format!("{error} {:?} {:?}", error.hint(), error.context());
    assert!(said.starts_with("with ") && !said.contains("hunter2"), "{said}");
    let logs = heard.logs.lock().unwrap();
    assert!(logs[0].1.starts_with("it is ") && !logs[0].1.contains("hunter2"), "{logs:?}");
    let decided = heard.decided.lock().unwrap();
    assert!(decided.len() == 1 && !format!("{decided:?}").contains("hunter2"), "{decided:?}");
}

/// Whoever writes to the compile cache runs code in the next sync.
#[test]
fn a_guest_does_not_get_the_compile_cache() {
    for isolation in ["worker", "in-process"] {
        let folder = Folder::new();
        let cache = target().join("test-cache");
        let mut command = folder.lockgate();
        command.args(["sync", "--quiet", "--output", "json", "--isolation", isolation]);
        command.arg("--source").arg(guest("misbehaving-source"));
        command.args(["--source-config", &well().to_string()]);
        command.arg("--destination").arg(guest("destination-jsonl"));
        command.args(["--destination-config", r#"{"path":"/out"}"#]);
        command.args(["--destination-allow-dir", &format!("{}::/out", cache.display())]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{isolation}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("the compile cache is in it"), "{isolation}: {said}");
    }
}

#[test]
fn what_a_crash_printed_is_shown() {
    let folder = Folder::new();
    let lines = "print('no memory', file=sys.stderr); sys.stderr.flush(); os.abort()";
    let options = WriteOptions { worker: Some(impostor(&folder, lines)), ..in_a_worker() };
    let failure = write(&well(), &well(), &Arc::default(), &options).unwrap_err();
    assert_eq!(failure.error.code(), "WORKER_CRASHED");
    assert!(failure.error.to_string().contains("signal 6 (SIGABRT)"), "{failure}");
    assert_eq!(failure.error.context(), [("stderr", "no memory".to_owned())]);
    let options = WriteOptions { worker: Some(WorkerProgram::new("/nowhere")), ..in_a_worker() };
    let failure = write(&well(), &well(), &Arc::default(), &options).unwrap_err();
    assert_eq!(failure.error.code(), "WORKER_START");
}

/// A component that does not end is killed even where the worker does nothing about it.
#[test]
fn a_worker_that_ignores_a_deadline_is_killed() {
    let folder = Folder::new();
    let lines =
        "message({'Began': {'side': 'Destination', 'operation': 'spec'}})\ntime.sleep(1000)";
    let cache = CompileCache::at(&target().join("test-cache"));
    let host = Host::new().with_cache(Some(cache)).for_workers();
    let name = |n: &str| guest(n).display().to_string();
    let json = || Json::parse(well().to_string()).unwrap();
    let nothing = ConnectorOptions::default();
    let source = host.get_source(&name("misbehaving-source"), &nothing, json()).unwrap();
    let timeout = ConnectorOptions { timeout: Some("1s".into()), ..ConnectorOptions::default() };
    let destination = host.get_destination(&name("misbehaving-destination"), &timeout, json());
    let destination = destination.unwrap();
    let options = WriteOptions { worker: Some(impostor(&folder, lines)), ..in_a_worker() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failure = runtime.block_on(destination.write(&source, &options)).unwrap_err();
    assert_eq!(failure.error.code(), "LIMIT_TIME");
    assert!(failure.error.to_string().contains("spec was stopped after 1 s"), "{failure}");

    // And what is made for workers does not run here.
    let here = WriteOptions { worker: None, ..options };
    let failure = runtime.block_on(destination.write(&source, &here)).unwrap_err();
    assert_eq!(failure.error.code(), "COMPONENT_ENGINE");
}
