//! What connectors change of their configurations: checked, kept, given to a callback, and written
//! back where the operator wrote it.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::{Folder, fixture, guest, process_grants, target};
use lockgate::component::CompileCache;
use lockgate::fault::Fault as _;
use lockgate::protocol::{Failure, Json};
use lockgate::sync::Counters;
use lockgate::{
    ConfigCallback, ConnectorOptions, Host, Source, SqliteStateStore, StateStore, WorkerProgram,
    WriteOptions, get_noop_destination,
};
use serde_json::{Value, json};

const LOCKGATE: &str = env!("CARGO_BIN_EXE_lockgate");

fn rotating() -> String {
    format!("exec:{}", fixture("connectors/rotating_source.py").display())
}

/// A folder whose source has a token that works: `secret-token-1`.
fn scene() -> Folder {
    let folder = Folder::new();
    folder.write("valid", "secret-token-1");
    folder
}

fn valid(folder: &Folder) -> String {
    folder.path().join("valid").display().to_string()
}

/// Syncs with flags.
fn sync(folder: &Folder, config: &str, more: &[&str]) -> Output {
    let mut command = folder.lockgate();
    command.args(["sync", "--source", &rotating(), "--source-config", config]);
    command.args(["--destination", "destination-dev-null", "--output", "json"]);
    command.args(process_grants("source-", folder.path()));
    command.args(more).env("TEST_TOKEN", "secret-token-1").env("TEST_CLIENT", "client-secret");
    command.timeout(Duration::from_secs(120)).output().expect("lockgate runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).expect("a report")
}

#[test]
fn a_json_file_is_written_back_and_the_connection_stays() {
    let folder = scene();
    let text = format!(
        "{{\n    \"valid\": {:?},\n    \"token\": \"secret-token-1\",\n\n    \"number\": 1.50\n}}\n",
        valid(&folder)
    );
    let file = folder.write("c.json", &text);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    let first = report(&sync(&folder, "c.json", &[]));
    assert_eq!(folder.read("c.json"), text.replace("token-1", "token-2"));
    // Its configuration is another now. It is the same connection all the same.
    for number in 3..5 {
        let again = report(&sync(&folder, "c.json", &[]));
        assert_eq!(again["connection"], first["connection"]);
        assert_eq!(again["resumed"], true);
        assert_eq!(folder.read("c.json"), text.replace("token-1", &format!("token-{number}")));
    }
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_project_file_is_written_back_with_its_comments() {
    let folder = scene();
    let grants = process_grants("", folder.path());
    let dirs: Vec<&String> = grants.iter().filter(|word| !word.starts_with("--")).collect();
    let text = format!(
        "# mine\n[sources.inline]\nconnector = {source:?} # rotates\nallow-dir = {dirs:?}\n[sources.inline.config]\nvalid = {valid:?}\n# do not touch\ntoken = \"secret-token-1\" # rotates\n\n[sources.file]\nconnector = {source:?}\nallow-dir = {dirs:?}\nconfig-file = \"below/c.json\"\n\n[destinations.none]\nconnector = \"destination-dev-null\"\n\n[connections.a]\nsource = \"inline\"\ndestination = \"none\"\n[connections.b]\nsource = \"file\"\ndestination = \"none\"\n",
        source = rotating(),
        valid = valid(&folder),
    );
    folder.write("lockgate.toml", &text);
    let run = |name: &str| {
        let mut command = folder.lockgate();
        command.args(["sync", name, "--output", "json"]).timeout(Duration::from_secs(120));
        command.output().expect("lockgate runs")
    };
    report(&run("a"));
    assert_eq!(folder.read("lockgate.toml"), text.replace("token-1", "token-2"));
    report(&run("a"));
    assert_eq!(folder.read("lockgate.toml"), text.replace("token-1", "token-3"));
    let config = json!({ "valid": valid(&folder), "token": "secret-token-3" });
    folder.write("below/c.json", &config.to_string());
    report(&run("b"));
    assert!(folder.read("below/c.json").contains("secret-token-4"));
}

#[test]
fn a_reference_stays_where_its_value_did() {
    let folder = scene();
    let config = json!({ "valid": valid(&folder),
        "auth": { "client_secret": "${secret:env:TEST_CLIENT}", "token": "secret-token-1" } });
    folder.write("c.json", &config.to_string());
    for number in 2..4 {
        report(&sync(&folder, "c.json", &[]));
        let text = config.to_string().replace("token-1", &format!("token-{number}"));
        assert_eq!(folder.read("c.json"), text);
    }
}

#[test]
fn a_new_value_behind_a_reference_is_kept_in_the_state_store_and_said() {
    let folder = scene();
    // `limit` changes too, in the first run: then the file has another digest.
    let config = json!({ "valid": valid(&folder), "token": "${secret:env:TEST_TOKEN}",
        "change": { "limit": 7 } });
    folder.write("c.json", &config.to_string());
    for _ in 0..3 {
        let output = sync(&folder, "c.json", &["--connection", "c"]);
        report(&output);
        let said = said(&output);
        assert!(said.contains("it changed token, which stands for a secret"), "{said}");
        assert!(said.contains("is kept in the state store only"), "{said}");
        assert!(!said.contains("secret-token"), "{said}");
        let now: Value = serde_json::from_str(&folder.read("c.json")).expect("JSON");
        assert_eq!(now["token"], "${secret:env:TEST_TOKEN}");
        assert_eq!(now["limit"], 7);
    }
    assert_eq!(folder.read("valid"), "secret-token-4");
}

#[test]
fn a_change_that_does_not_fit_is_neither_stored_nor_written() {
    let folder = scene();
    let config = json!({ "valid": valid(&folder), "token": "secret-token-1",
        "change": { "limit": "hunter2" } });
    folder.write("c.json", &config.to_string());
    let output = sync(&folder, "c.json", &["--connection", "c"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["error"]["code"], "SOURCE_FAILED");
    assert_eq!(report["error"]["context"]["cause"], "CONFIG_CHANGE_INVALID");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains("limit (a string)") && !message.contains("hunter2"), "{message}");
    assert_eq!(folder.read("c.json"), config.to_string());
    folder.write("valid", "secret-token-1");
    let output = sync(&folder, "c.json", &["--connection", "c"]);
    assert!(!said(&output).contains("used before"), "the old token: {}", said(&output));
}

#[test]
fn a_file_that_cannot_be_written_fails_the_sync_and_loses_nothing() {
    let folder = scene();
    let config = json!({ "valid": valid(&folder), "token": "secret-token-1" });
    let file = folder.write("c.json", &config.to_string());
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
    mode(0o444);
    let output = sync(&folder, "c.json", &["--connection", "c"]);
    assert_eq!(output.status.code(), Some(1));
    let report_: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report_["error"]["context"]["cause"], "CONFIG_CHANGE_REFUSED");
    let message = report_["error"]["message"].as_str().expect("a message");
    assert!(message.contains("c.json cannot be written to"), "{message}");
    assert!(!said(&output).contains("secret-token"), "{}", said(&output));
    assert_eq!(folder.read("c.json"), config.to_string());
    mode(0o644);
    report(&sync(&folder, "c.json", &["--connection", "c"]));
    assert!(folder.read("c.json").contains("secret-token-3"));
}

#[test]
fn what_stands_in_the_call_is_kept_in_the_state_store() {
    let folder = scene();
    let config = json!({ "valid": valid(&folder), "token": "secret-token-1" }).to_string();
    for _ in 0..2 {
        let output = sync(&folder, &config, &[]);
        report(&output);
        assert!(said(&output).contains("is in no file"), "{}", said(&output));
    }
    folder.write("valid", "secret-token-1");
    let output = sync(&folder, &config, &["--state", "none"]);
    report(&output);
    assert!(said(&output).contains("is kept nowhere"), "{}", said(&output));
}

#[test]
fn a_member_that_a_grant_is_made_of_stays() {
    let folder = scene();
    let config = json!({ "valid": valid(&folder), "token": "secret-token-1", "host": "a.example",
        "change": { "host": "evil.example" } });
    folder.write("c.json", &config.to_string());
    let output = sync(&folder, "c.json", &["--source-allow-net", "${host}:443"]);
    report(&output);
    let now: Value = serde_json::from_str(&folder.read("c.json")).expect("JSON");
    assert_eq!(now["host"], "a.example");
    assert_eq!(now["token"], "secret-token-2");
    assert!(said(&output).contains("it changed host"), "{}", said(&output));
    report(&sync(&folder, "c.json", &["--source-allow-net", "${host}:443"]));
}

#[test]
fn check_writes_back_too() {
    let folder = scene();
    let config = json!({ "valid": valid(&folder), "token": "secret-token-1", "during": "check" });
    folder.write("c.json", &config.to_string());
    for number in 2..4 {
        let mut command = folder.lockgate();
        command.args(["check", &rotating(), "--config", "c.json"]);
        let output = command.args(process_grants("", folder.path())).output().expect("it runs");
        assert!(output.status.success(), "{}", said(&output));
        let text = config.to_string().replace("token-1", &format!("token-{number}"));
        assert_eq!(folder.read("c.json"), text);
    }
}

#[test]
fn a_component_in_a_worker_and_in_this_process_is_written_back() {
    for place in ["worker", "in-process"] {
        let folder = Folder::new();
        let config = json!({ "mode": "update-config", "members": { "marked": "next-token" },
            "marked": "first-token" });
        folder.write("c.json", &config.to_string());
        let mut command = folder.lockgate();
        command.arg("sync").arg("--source").arg(guest("misbehaving-source"));
        command.args(["--source-config", "c.json", "--isolation", place, "--output", "json"]);
        command.arg("--destination").arg(guest("destination-dev-null"));
        let output = command.timeout(Duration::from_secs(120)).output().expect("it runs");
        report(&output);
        let now: Value = serde_json::from_str(&folder.read("c.json")).expect("JSON");
        assert_eq!(now["marked"], "next-token", "{place}");
        assert!(!said(&output).contains("next-token"), "{}", said(&output));
    }
}

/// A source of ours with a configuration.
fn source(name: &str, config: &Value) -> Source {
    let host = Host::new().with_cache(Some(CompileCache::at(&target().join("test-cache"))));
    let options = ConnectorOptions { sandbox: Some("off".into()), ..ConnectorOptions::default() };
    let config = Json::object(config.to_string()).expect("a configuration");
    host.get_source(name, &options, config).expect("a source")
}

fn component(config: &Value) -> Source {
    source(guest("misbehaving-source").to_str().expect("UTF-8"), config)
}

/// Remembers what it is given, and looks around meanwhile.
struct Looking {
    seen: Arc<Mutex<Vec<Value>>>,
    store: Arc<SqliteStateStore>,
    counters: Arc<Mutex<Option<Arc<Counters>>>>,
    /// Rows that had moved when it returned.
    moved: Arc<AtomicU64>,
}

#[async_trait]
impl ConfigCallback for Looking {
    async fn changed(&self, config: Json) -> Result<(), Failure> {
        self.seen.lock().expect("a list").push(config.to_value().expect("JSON"));
        let digest = lockgate::config::config_digest(&Json::object(OPERATOR).expect("JSON"));
        let stored = self.store.changed_config("c", "source", &digest).expect("the store");
        assert!(stored.is_some_and(|s| s.get().contains("next-token")), "stored before");
        tokio::time::sleep(Duration::from_millis(300)).await;
        let counters = self.counters.lock().expect("counters").clone();
        let moved = counters.map_or(0, |counters| counters.total().emitted);
        self.moved.store(moved, Ordering::SeqCst);
        Ok(())
    }
}

const OPERATOR: &str =
    r#"{"mode":"update-config","members":{"marked":"next-token"},"marked":"first-token"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_is_given_all_of_it_after_the_store_and_before_the_sync_goes_on() {
    for worker in [None, Some(WorkerProgram::new(LOCKGATE))] {
        let folder = Folder::new();
        let path = folder.path().join("s.db");
        let store = Arc::new(SqliteStateStore::open(&path).expect("a store"));
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let counters: Arc<Mutex<Option<Arc<Counters>>>> = Arc::default();
        let moved = Arc::new(AtomicU64::new(99));
        let callback = Looking {
            seen: seen.clone(),
            store: store.clone(),
            counters: counters.clone(),
            moved: moved.clone(),
        };
        let config = serde_json::from_str(OPERATOR).expect("JSON");
        let source = component(&config).on_config_change(callback);
        let host = Host::new().with_cache(Some(CompileCache::at(&target().join("test-cache"))));
        let name = guest("destination-dev-null").display().to_string();
        let destination = host.get_destination(&name, &Default::default(), Json::empty_object());
        let options = WriteOptions {
            connection: Some("c".into()),
            state: Some(store),
            worker,
            watch: Some(Arc::new(move |_, found| {
                *counters.lock().expect("counters") = Some(found);
            })),
            ..WriteOptions::default()
        };
        let written = destination.expect("a destination").write(&source, &options).await;
        assert_eq!(written.expect("it goes well").records_committed(), 10);
        let mut whole: Value = config;
        whole["marked"] = json!("next-token");
        assert_eq!(*seen.lock().expect("a list"), [whole.clone()]);
        assert_eq!(moved.load(Ordering::SeqCst), 0, "no row moves meanwhile");
        // The next operation of the same source begins with it.
        let current = source.connector().current_config();
        assert_eq!(current.to_value().expect("JSON"), whole);
        assert_eq!(
            source.connector().config().get(),
            &*OPERATOR.parse::<Value>().expect("JSON").to_string()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_fails_fails_the_sync_even_where_the_connector_goes_on() {
    // It only logs what it is told of its changes.
    let config = json!({ "mode": "leak", "by": "update-config", "members": ["/marked"],
        "marked": "first-token" });
    for worker in [None, Some(WorkerProgram::new(LOCKGATE))] {
        let source = component(&config)
            .on_config_change(|_: Json| Err(Failure::system("the vault is closed")));
        let host = Host::new().with_cache(Some(CompileCache::at(&target().join("test-cache"))));
        let name = guest("destination-dev-null").display().to_string();
        let destination = host.get_destination(&name, &Default::default(), Json::empty_object());
        let options = WriteOptions { worker, ..WriteOptions::default() };
        let written = destination.expect("a destination").write(&source, &options).await;
        let error = written.expect_err("nobody took it").error;
        assert_eq!(error.code(), "SOURCE_FAILED");
        let cause = error.context().into_iter().find(|(name, _)| *name == "cause");
        assert_eq!(cause.map(|(_, code)| code).as_deref(), Some("CONFIG_CHANGE_REFUSED"));
        assert!(error.to_string().contains("the vault is closed"), "{error}");
    }
}

#[tokio::test]
async fn each_operation_of_a_connector_has_the_token_of_the_one_before() {
    let folder = scene();
    let config = json!({ "valid": valid(&folder), "token": "secret-token-1", "during": "check" });
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = seen.clone();
    let source = source(&rotating(), &config).on_config_change(move |config: Json| {
        let token = config.to_value().expect("JSON")["token"].as_str().expect("one").to_owned();
        heard.lock().expect("a list").push(token);
        Ok(())
    });
    source.check().await.expect("the first token");
    source.clone().check().await.expect("the second token");
    source.discover().await.expect("nothing is used");
    let destination = get_noop_destination();
    // A sync checks as well; without a state store.
    destination.write(&source, &WriteOptions::default()).await.expect("the third token");
    assert_eq!(
        *seen.lock().expect("a list"),
        ["secret-token-2", "secret-token-3", "secret-token-4"]
    );
    let refusing = source.on_config_change(|_: Json| Err(Failure::system("no")));
    let error = refusing.check().await.expect_err("nobody took it");
    assert_eq!(error.code(), "CONFIG_CHANGE_REFUSED");
}

#[tokio::test]
async fn a_check_whose_change_does_not_fit_fails() {
    let folder = scene();
    let config = json!({ "valid": valid(&folder), "token": "secret-token-1", "during": "check",
        "change": { "limit": "hunter2" } });
    let source = source(&rotating(), &config).on_config_change(|_: Json| panic!("it does not fit"));
    let error = source.check().await.expect_err("it does not fit");
    assert_eq!(error.code(), "CONFIG_CHANGE_INVALID");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_eq!(source.connector().current_config().get(), source.connector().config().get());
}
