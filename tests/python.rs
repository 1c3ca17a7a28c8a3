//! Python connectors: installed from the real package index, run behind the fence, used again,
//! removed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is missing"
)]

mod common;
#[path = "common/ear.rs"]
mod ear;
mod peers;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Folder, guest, target};
use ear::Ear;
use lockgate::component::CompileCache;
use lockgate::connector::Connector;
use lockgate::executor::{
    Cancel, Context, Executor, ExecutorError, Interpreter, PythonExecutor, PythonSettings,
};
use lockgate::fault::Fault;
use lockgate::protocol::Json;
use lockgate::sandbox::Policy;
use lockgate::{ConnectorOptions, Host, Source, SqliteStateStore, WriteOptions};
use peers::{Outcome, python};
use serde_json::{Value, json};

/// What nothing here waits longer for.
const LONG: Duration = Duration::from_secs(300);

/// Whether something was logged that holds a text.
fn told(heard: &Ear, text: &str) -> bool {
    heard.logs().iter().any(|line| line.contains(text))
}

/// Where uv and its downloads are kept between tests, as [`Folder::lockgate`] has it.
fn cache() -> PathBuf {
    target().join("test-cache")
}

/// A package in a folder of environments.
fn executor(root: &Path, requirement: &str, install: bool, policy: Policy) -> PythonExecutor {
    let requirement: Vec<String> = requirement.split(' ').map(str::to_owned).collect();
    let settings = PythonSettings {
        name: lockgate::executor::connector_name(&requirement),
        requirement,
        interpreter: Interpreter::Version("3.11".into()),
        root: root.to_owned(),
        install,
    };
    let base = root.ancestors().find(|folder| folder.is_dir()).unwrap().to_owned();
    PythonExecutor::new(settings, policy, base).unwrap().with_cache(cache())
}

/// Moves all that a connector has into files, and gives the report.
async fn sync(
    folder: &Folder,
    executor: PythonExecutor,
    config: &Value,
    heard: &Arc<Ear>,
) -> Value {
    let name = executor.describe().reference;
    let config = Json::parse(config.to_string()).unwrap();
    let source = Source::from(Connector::new(name, Arc::new(executor), config, heard.clone()));
    std::fs::create_dir_all(folder.path().join("out")).unwrap();
    let options = ConnectorOptions { allow_dir: vec!["out::/out".into()], ..Default::default() };
    let host = Host::new().with_cache(Some(CompileCache::at(&cache()))).in_folder(folder.path());
    let jsonl = guest("destination-jsonl").display().to_string();
    let config = Json::parse(r#"{"path":"/out"}"#.to_owned()).unwrap();
    let destination = host.get_destination(&jsonl, &options, config).unwrap();
    let state = SqliteStateStore::open(&folder.path().join(".lockgate/state.db")).unwrap();
    let options = WriteOptions {
        connection: Some("test".into()),
        state: Some(Arc::new(state)),
        ..WriteOptions::default()
    };
    match destination.write(&source, &options).await {
        Ok(result) => serde_json::to_value(&result.report).unwrap(),
        Err(failure) => panic!("{:?}", failure.error),
    }
}

/// Every file of a folder, with what a change of it would change.
fn fingerprint(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, u64)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let facts = std::fs::symlink_metadata(&path).unwrap();
            if facts.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, (facts.ino(), facts.mtime(), facts.mtime_nsec(), facts.len()));
        }
    }
    found
}

/// The environments in a folder, whole or not.
fn environments(root: &Path) -> Vec<String> {
    let names = std::fs::read_dir(root).into_iter().flatten();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with(".locks")).collect();
    // Where temporary files were: nothing is left in it.
    names.retain(|name| {
        name != ".scratch" || std::fs::read_dir(root.join(name)).unwrap().next().is_some()
    });
    names.sort();
    names
}

/// The arguments of `lockgate connectors`, with a folder of environments.
fn call(folder: &Folder, root: &Path, words: &[&str]) -> assert_cmd::Command {
    let mut command = folder.lockgate();
    command.args(["--output", "json", "connectors"]).args(words);
    command.arg("--install-root").arg(root).timeout(2 * LONG);
    command
}

fn outcome(mut command: assert_cmd::Command) -> Outcome {
    let output = command.output().unwrap();
    let result = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Outcome { code: output.status.code().expect("an exit code"), result, stderr }
}

fn connectors(folder: &Folder, root: &Path, words: &[&str]) -> Outcome {
    outcome(call(folder, root, words))
}

/// Waits until something is so.
async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < LONG, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn faker_is_installed_once_and_used_again() {
    const FAKER: &str = "airbyte-source-faker==7.2.1";
    let folder = Folder::new();
    // In the folder that a connector must not see into, of a project that it is granted.
    let root = folder.path().join(".lockgate/python");
    let mut policy = Policy::default();
    let project = format!("{}:ro", folder.path().display());
    policy.allow_dir_in(folder.path(), &project).unwrap();
    let config = json!({"count": 200, "seed": 7, "parallelism": 1, "always_updated": false});

    let heard = Ear::new();
    let first = executor(&root, FAKER, true, policy.clone());
    assert_eq!(first.describe().reference, FAKER);
    let identity = first.identity();
    let report = sync(&folder, first, &config, &heard).await;
    assert!(told(&heard, "installing airbyte-source-faker==7.2.1") && told(&heard, "installed "));
    assert_eq!(report["records_committed"], 500, "{report:#}");
    assert_eq!(folder.rows("out/users.jsonl").len(), 200);
    let source = &report["source"];
    assert_eq!(source["executor"], "python", "{report:#}");
    let digest = source["digest"].as_str().expect("a digest").to_owned();
    assert!(digest.starts_with("sha256:"), "{digest}");

    let [id] = &environments(&root)[..] else { panic!("{:?}", environments(&root)) };
    let made = root.join(id);
    let before = fingerprint(&made);
    assert!(before.len() > 1000);

    // The second time, nothing is installed: it must not be.
    let heard = Ear::new();
    let second = executor(&root, FAKER, false, policy.clone());
    let described = second.describe();
    assert!(described.reference.starts_with("airbyte-source-faker==7.2.1 (python 3.11."));
    assert_eq!(described.digest.as_deref(), Some(digest.as_str()));
    assert_eq!(second.identity(), identity, "states would be lost");
    let report = sync(&folder, second.clone(), &config, &heard).await;
    assert_eq!((&report["resumed"], &report["records_emitted"]), (&json!(true), &json!(0)));
    assert!(!told(&heard, "install"), "{:?}", heard.logs());

    // Nor is it on the command line, where there is neither uv nor Python nor an index to be had.
    let elsewhere = Folder::new();
    let install = ["install", "pip:airbyte-source-faker==7.2.1", "--use-python", "3.11"];
    let mut command = call(&folder, &root, &install);
    command.env("PATH", "/nonexistent").env("LOCKGATE_CACHE_DIR", elsewhere.path());
    command.env("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple");
    let again = outcome(command);
    assert!(!again.stderr.contains("install"), "{}", again.stderr);
    let again = again.good();
    assert_eq!(again["folder"], made.display().to_string());
    assert_eq!(again["version"], "7.2.1");
    assert!(fingerprint(&made) == before, "something was changed in the environment");

    // What is in use stays; what is not goes, with all that was in it.
    let (error, _) = connectors(&folder, &root, &["remove", "source-faker"]).bad(1);
    assert!(error.starts_with("PYTHON_IN_USE"), "{error}");
    drop(second);
    let removed = connectors(&folder, &root, &["remove", "source-faker"]).good();
    assert_eq!(removed["removed"], json!([id]));
    assert!(environments(&root).is_empty());
    let third = executor(&root, FAKER, false, policy);
    let error = third.spec(&Context::new(Ear::new())).await.unwrap_err();
    assert_eq!(error.code(), "PYTHON_NOT_INSTALLED");
    let hint = error.hint().unwrap();
    assert!(
        hint.contains(
            "lockgate connectors install pip:airbyte-source-faker==7.2.1 --use-python 3.11"
        ),
        "{hint}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_that_install_the_same_at_once_both_succeed() {
    const PACKAGE: &str = "airbyte-source-hardcoded-records";
    let folder = Folder::new();
    let root = folder.path().join("environments");
    let install = || {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("lockgate"));
        command.current_dir(folder.path()).env("LOCKGATE_CACHE_DIR", cache());
        command.args(["--output", "json", "connectors", "install"]);
        command.args([&format!("pip:{PACKAGE}"), "--use-python", "3.11", "--install-root"]);
        command.arg(&root);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [install(), install()].map(|child| child.wait_with_output().unwrap());
    let texts = both.map(|output| {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        (serde_json::from_slice::<Value>(&output.stdout).unwrap()["folder"].clone(), stderr)
    });
    assert_eq!(texts[0].0, texts[1].0);
    let installed = texts.iter().filter(|(_, stderr)| stderr.contains("packages for")).count();
    assert_eq!(installed, 1, "{texts:?}");
    assert_eq!(environments(&root).len(), 1);

    let heard = Ear::new();
    let source = executor(&root, PACKAGE, false, Policy::default());
    let report = sync(&folder, source, &json!({"count": 1000}), &heard).await;
    assert_eq!(report["records_committed"], 3000, "{report:#}");
    let streams = report["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 3);
    for stream in streams {
        let name = stream["name"].as_str().unwrap();
        assert_eq!(folder.rows(&format!("out/{name}.jsonl")).len(), 1000, "{name}");
    }
}

#[test]
fn the_interpreter_is_a_version_or_a_path() {
    let folder = Folder::new();
    let root = folder.path().join("environments");
    let output = std::process::Command::new(python())
        .args(["-c", "import platform; print(platform.python_version())"])
        .output()
        .unwrap();
    let full = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let minor = full.rsplit_once('.').unwrap().0;
    let install = |python: &str| {
        connectors(&folder, &root, &["install", "pip:six==1.17.0", "--use-python", python])
    };
    let by_path = install(python()).good();
    assert_eq!(by_path["python"], full);
    assert_eq!(by_path["packages"], json!(["six==1.17.0"]));
    let by_version = install(minor).good();
    assert!(by_version["python"].as_str().unwrap().starts_with(minor), "{by_version}");
    assert_ne!(by_path["environment"], by_version["environment"]);

    for (wanted, named) in [("3.99", "3.99"), ("/nowhere/python3", "/nowhere/python3")] {
        let (error, _) = install(wanted).bad(2);
        assert!(error.starts_with("PYTHON_MISSING") && error.contains(named), "{error}");
    }
    assert_eq!(environments(&root).len(), 2);
}

#[test]
fn environments_are_listed_described_and_removed() {
    let folder = Folder::new();
    let root = folder.path().join("environments");
    assert_eq!(connectors(&folder, &root, &["list"]).good()["environments"], json!([]));
    for version in ["1.16.0", "1.17.0"] {
        let requirement = format!("pip:six=={version}");
        connectors(&folder, &root, &["install", &requirement]).good();
    }
    folder.write("components/source-own.wasm", "x");
    std::fs::create_dir(root.join("mine")).unwrap();
    let list = connectors(&folder, &root, &["list"]).good();
    let versions: Vec<&Value> =
        list["environments"].as_array().unwrap().iter().map(|e| &e["version"]).collect();
    assert!(versions.contains(&&json!("1.16.0")) && versions.len() == 2, "{list:#}");
    assert_eq!(list["components"][0]["name"], "source-own");
    let info = connectors(&folder, &root, &["info", "pip:six==1.16.0"]).good();
    let info = &info["installed"][0];
    assert_eq!(info["packages"], json!(["six==1.16.0"]));
    assert!(info["size"].as_u64().unwrap() > 10_000);

    let (error, _) = connectors(&folder, &root, &["remove", "six"]).bad(2);
    assert!(error.starts_with("PYTHON_SEVERAL"), "{error}");
    for unknown in ["mine", "..", "source-faker"] {
        let (error, _) = connectors(&folder, &root, &["remove", unknown]).bad(2);
        assert!(error.starts_with("PYTHON_UNKNOWN"), "{error}");
    }
    connectors(&folder, &root, &["remove", "pip:six==1.16.0"]).good();
    assert_eq!(environments(&root).len(), 2);
    connectors(&folder, &root, &["remove", "six", "--all"]).good();
    assert_eq!(environments(&root), ["mine"]);
}

#[test]
fn an_installation_that_fails_says_why_and_leaves_nothing() {
    let folder = Folder::new();
    let root = folder.path().join("environments");
    let (error, whole) =
        connectors(&folder, &root, &["install", "pip:airbyte-source-faker==0.0.0.1"]).bad(1);
    assert!(error.starts_with("PYTHON_INSTALL: airbyte-source-faker==0.0.0.1"), "{error}");
    let reason = whole["context"]["reason"].as_str().unwrap();
    assert!(reason.contains("no version of airbyte-source-faker==0.0.0.1"), "{reason}");
    assert!(environments(&root).is_empty());

    // An index that cannot be reached, by pip's variable and with a password.
    let mut command = call(&folder, &root, &["install", "pip:six==1.15.0"]);
    command.env("PIP_INDEX_URL", "http://user:s3cret-word@127.0.0.1:9/simple");
    command.env("UV_HTTP_RETRIES", "0").env_remove("UV_DEFAULT_INDEX").env_remove("UV_INDEX_URL");
    let refused = outcome(command);
    assert!(!refused.stderr.contains("s3cret-word"), "{}", refused.stderr);
    assert!(refused.stderr.contains("127.0.0.1:9"), "{}", refused.stderr);
    let (error, _) = refused.bad(1);
    assert!(error.starts_with("PYTHON_INSTALL"), "{error}");
    assert!(environments(&root).is_empty());

    // Nothing to install with.
    let elsewhere = Folder::new();
    let mut command = call(&folder, &root, &["install", "pip:six==1.15.0"]);
    command.env("PATH", "/nonexistent").env("LOCKGATE_CACHE_DIR", elsewhere.path());
    let (error, _) = outcome(command).bad(2);
    assert!(error.starts_with("UV_MISSING"), "{error}");
    assert!(environments(&root).is_empty());
}

/// A package that is built from source, by this program.
fn project(folder: &Folder, name: &str, setup: &str) -> PathBuf {
    let text =
        format!("{setup}\nfrom setuptools import setup\nsetup(name='{name}', version='1')\n");
    let file = folder.write(&format!("{name}/setup.py"), &text);
    file.parent().unwrap().to_owned()
}

#[test]
fn what_is_built_gets_no_secret_and_reaches_no_file() {
    let folder = Folder::new();
    let root = folder.path().join("environments");
    let secret = folder.write("private/key", "k");
    let setup = format!(
        r#"
import json, os
told = {{"names": sorted(os.environ), "home": os.environ["HOME"]}}
for name, path, mode in [
    ("read", {secret:?}, "r"),
    ("write", {beside:?}, "w"),
    ("neighbour", {neighbour:?}, "w"),
]:
    try:
        open(path, mode).close()
        told[name] = "done"
    except OSError as error:
        told[name] = type(error).__name__
with open({told:?}, "w") as file:
    json.dump(told, file)
"#,
        beside = folder.path().join("beside"),
        neighbour = root.join("neighbour"),
        told = folder.path().join("source-built/told.json"),
    );
    let path = project(&folder, "source-built", &setup);
    let requirement = format!("pip:{}", path.display());
    let mut command = call(&folder, &root, &["install", &requirement]);
    command.env("AWS_SECRET_ACCESS_KEY", "s").env("DATABASE_URL", "postgres://u:p@h/d");
    let made = outcome(command).good();
    assert_eq!(made["name"], "source-built");
    let told: Value = serde_json::from_str(&folder.read("source-built/told.json")).unwrap();
    for refused in ["read", "write", "neighbour"] {
        assert_eq!(told[refused], "PermissionError", "{told:#}");
    }
    let names = told["names"].as_array().unwrap();
    assert!(names.contains(&json!("PATH")), "{told:#}");
    for secret in ["AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "LOCKGATE_CACHE_DIR"] {
        assert!(!names.contains(&json!(secret)), "{told:#}");
    }
    assert!(told["home"].as_str().unwrap().starts_with(root.to_str().unwrap()), "{told:#}");
}

/// Builds for ever, and says by which process.
const ENDLESS: &str = r#"
import os, time
with open("pid.draft", "w") as file:
    file.write(str(os.getpid()))
os.rename("pid.draft", "pid")
time.sleep(3600)
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_installation_that_is_stopped_leaves_nothing() {
    let folder = Folder::new();
    let root = folder.path().join("environments");
    let path = project(&folder, "source-endless", ENDLESS);
    let endless = executor(&root, path.to_str().unwrap(), true, Policy::default());
    let (canceller, cancel) = Cancel::new();
    let context = Context { cancel, ..Context::new(Ear::new()) };
    let running = tokio::spawn(async move { endless.spec(&context).await });
    let pid = path.join("pid");
    until("the build begins", || pid.exists()).await;
    assert_eq!(environments(&root).len(), 2, "the environment and its temporary files");
    canceller.cancel();
    let error: ExecutorError = running.await.unwrap().unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert!(environments(&root).is_empty());
    let process = Path::new("/proc").join(std::fs::read_to_string(&pid).unwrap());
    let gone = || {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    };
    until("the build ends", gone).await;
}

#[test]
fn an_installation_has_a_limit_of_time() {
    let folder = Folder::new();
    let root = folder.path().join("environments");
    let path = project(&folder, "source-endless", ENDLESS);
    let requirement = format!("pip:{}", path.display());
    let begun = Instant::now();
    let words = ["install", &requirement, "--limit", "install-time=3s"];
    let (error, whole) = connectors(&folder, &root, &words).bad(1);
    assert!(error.starts_with("LIMIT_TIME") && error.contains("3 s"), "{error}");
    assert!(whole["hint"].as_str().unwrap().contains("install-time"));
    assert!(begun.elapsed() < LONG);
    assert!(environments(&root).is_empty());
}
