//! What connectors need, what they are granted, and what a policy says of both: through the library
//! and the real binary.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::Folder;
use lockgate::connector::{Connector, ConnectorError};
use lockgate::executor::{Context, Described, Executor, ExecutorError};
use lockgate::fault::Fault as _;
use lockgate::protocol::{Decision, Failure, Json, LogLevel, Need, Observer, Specification};
use lockgate::sandbox::Policy;
use lockgate::{Destination, Source, WriteOptions};
use serde_json::Value;

const PROJECT: &str = r#"
[sources.faker]
connector = "guests/source-faker.wasm"
config = { count = 20 }
env = ["TZ=UTC"]
max-memory = "64MiB"

[destinations.files]
connector = "guests/destination-jsonl.wasm"
config = { path = "/out" }

[connections.nightly]
source = "faker"
destination = "files"
strategy = "append"
"#;

fn run(folder: &Folder, arguments: &[&str]) -> String {
    let output = folder.lockgate().args(arguments).output().unwrap();
    let mut text = format!("$ lockgate {}\n", arguments.join(" "));
    text.push_str(&String::from_utf8(output.stdout).unwrap());
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        text.push_str(&format!("stderr: {line}\n"));
    }
    text + &format!("exit code {}\n", output.status.code().unwrap())
}

fn shown(name: &str, folder: &Path, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    let folder = folder.canonicalize().unwrap();
    let text = text.replace(folder.to_str().unwrap(), "[folder]");
    for (pattern, mask) in [
        (r"sha256:[0-9a-f]{64}", "[digest]"),
        (r"\d{8}T\d{6}Z-[0-9a-f]{6}", "[run]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[time]"),
        (r"\d+\.\d\d s", "[seconds] s"),
        // Columns are as wide as the path of the folder.
        (r"(\S) {2,}(\S)", "$1  $2"),
    ] {
        settings.add_filter(pattern, mask);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn a_policy_is_shown_and_suggested_and_the_suggestion_does() {
    let folder = Folder::project(PROJECT);
    let show = run(&folder, &["policy", "show"]);
    let refused = run(&folder, &["sync"]);
    assert!(refused.contains("error[POLICY_NEEDS]"), "{refused}");
    assert!(
        !folder.path().join(".lockgate/state.db").exists()
            || folder.read("out/users.jsonl").is_empty()
    );
    let runs = run(&folder, &["runs", "show"]);
    let suggestion = run(&folder, &["policy", "suggest"]);
    shown("policy", folder.path(), &[show, refused, runs, suggestion.clone()].join("\n"));

    // Reviewed: the operator chose the folder. The rest is taken as it is.
    let lines = |side: &str| -> String {
        let text = suggestion.split(&format!("[{side}]\n")).nth(1).unwrap();
        let lines = text.lines().take_while(|line| !line.starts_with("# dest"));
        let lines = lines.filter(|line| !line.starts_with("exit code"));
        lines.map(|line| line.replace("HOST_DIR", "out") + "\n").collect()
    };
    let connectors = PROJECT.replace("env = [\"TZ=UTC\"]\nmax-memory = \"64MiB\"\n", "");
    let granted = connectors
        .replace("[sources.faker]\n", &format!("[sources.faker]\n{}", lines("sources.faker")))
        .replace(
            "[destinations.files]\n",
            &format!("[destinations.files]\n{}", lines("destinations.files")),
        );
    folder.write("lockgate.toml", &granted);
    let synced = run(&folder, &["sync"]);
    assert!(synced.ends_with("exit code 0\n"), "{granted}\n{synced}");
    assert_eq!(folder.rows("out/users.jsonl").len(), 20);
    let runs = run(&folder, &["runs", "list"]);
    let last = run(&folder, &["runs", "show"]);
    shown("policy_after", folder.path(), &[runs, last].join("\n"));
}

#[test]
fn shapes() {
    let folder = Folder::project(
        &PROJECT.replace("config = { path", "allow-dir = [\"gone::/out:ro\"]\nconfig = { path"),
    );
    let output = folder.lockgate().args(["policy", "show", "--output", "json"]).output().unwrap();
    let policy: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(policy["connection"], "nightly");
    let source = &policy["source"]["policy"];
    assert_eq!(source["environment"], serde_json::json!(["TZ"]));
    let memory = &source["limits"][0];
    assert_eq!(memory, &serde_json::json!({"name": "memory-bytes", "value": "64MiB", "set": true}));
    let destination = &policy["destination"];
    let directory = &destination["policy"]["directories"][0];
    assert_eq!((&directory["access"], &directory["exists"]), (&"read-only".into(), &false.into()));
    let need = &destination["needs"][0];
    assert_eq!((&need["state"], &need["target"]), (&"missing".into(), &"/out".into()));
    assert_eq!(need["grant"]["option"], "allow-dir");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("UTC"), "a value is shown");
}

#[test]
fn an_operator_may_go_on_without() {
    let text = PROJECT.replace("config = { path", "allow-missing-needs = true\nconfig = { path");
    let folder = Folder::project(&text);
    // The connector is asked, and says itself what it lacks.
    let synced = run(&folder, &["sync"]);
    assert!(synced.contains("which is not granted; it goes on without"), "{synced}");
    assert!(synced.contains("error[CONNECTOR_CONFIG]"), "{synced}");
    let config = ["--config", r#"{"path":"/out"}"#];
    let call = [&["check", "guests/destination-jsonl.wasm"], &config[..]].concat();
    assert!(run(&folder, &call).contains("error[POLICY_NEEDS]"));
    let call = [&call[..], &["--allow-missing-needs"]].concat();
    assert!(run(&folder, &call).contains("error[CONNECTOR_CONFIG]"));
}

/// A connector that only says what it needs; whatever else is asked of it is a fault of the host.
#[derive(Debug)]
struct Needy {
    policy: Policy,
    needs: Vec<(&'static str, &'static str)>,
}

#[async_trait]
impl Executor for Needy {
    fn describe(&self) -> Described {
        Described { executor: "component", reference: "needy".into(), digest: None, fence: None }
    }

    fn policy(&self) -> Option<&Policy> {
        Some(&self.policy)
    }

    async fn spec(&self, _: &Context) -> Result<Specification, ExecutorError> {
        let schema = r#"{"connectionSpecification": {"type": "object", "properties": {
            "port": {"type": "integer", "default": 5432},
            "password": {"type": "string", "airbyte_secret": true}}}}"#;
        let mut spec = Specification::from_airbyte(schema).unwrap();
        spec.needs = self
            .needs
            .iter()
            .map(|(capability, pattern)| Need {
                capability: (*capability).into(),
                pattern: (*pattern).into(),
                reason: "for\n\u{1b}[2Jrows".into(),
            })
            .collect();
        Ok(spec)
    }
}

/// Hears what was decided and said.
#[derive(Debug, Default)]
struct Ears(Mutex<Vec<String>>);

#[async_trait]
impl Observer for Ears {
    fn log(&self, _: LogLevel, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, decision: &Decision) {
        let word = decision.capability.word();
        self.0.lock().unwrap().push(format!("{word} {} {}", decision.target, decision.rule));
    }
}

fn needy(
    name: &str,
    policy: Policy,
    needs: &[(&'static str, &'static str)],
) -> (Connector, Arc<Ears>) {
    let config = r#"{"host": "db.example", "password": "hunter2hunter2", "dir": "/data"}"#;
    let ears = Arc::new(Ears::default());
    let executor = Arc::new(Needy { policy, needs: needs.to_vec() });
    let config = Json::object(config).unwrap();
    (Connector::new(name, executor, config, ears.clone()), ears)
}

#[tokio::test]
async fn all_that_is_missing_is_listed_at_once_before_anything_runs() {
    let mut policy = Policy::default();
    policy.allow_net("*.example:5432", &serde_json::Value::Null, false).unwrap();
    policy.allow_env("TZ=UTC").unwrap();
    let (source, heard) = needy(
        "a",
        policy,
        &[
            ("network", "${host}:${port}"),
            ("network", "${host}:443"),
            ("network", "${proxy.host}:3128"),
            ("network", "${password}:1"),
            ("environment", "TZ"),
            ("environment", "A'; rm -rf /"),
            ("microphone", "left"),
        ],
    );
    let (destination, _) = needy("b", Policy::default(), &[("directory-write", "${dir}/x")]);
    let destination = Destination::from(destination);
    let source = Source::from(source);
    let failure = destination.write(&source, &WriteOptions::default()).await.unwrap_err();
    assert_eq!((failure.error.code(), failure.error.exit().code()), ("POLICY_NEEDS", 3));
    assert_eq!(
        failure.error.to_string(),
        "a needs what it is not granted: network db.example:443, environment A'; rm -rf /; \
         b needs what it is not granted: directory-write /data/x"
    );
    let context = failure.error.context();
    let grant = &context.iter().find(|(name, _)| *name == "grant").unwrap().1;
    for line in [
        "--source-allow-net db.example:443",
        "or in lockgate.toml of the source: allow-net = [\"db.example:443\"]",
        "--source-env 'A'\\''; rm -rf /=VALUE'",
        "--destination-allow-dir HOST_DIR::/data/x",
    ] {
        assert!(grant.lines().any(|l| l == line), "{line} is not in:\n{grant}");
    }
    assert!(!grant.contains('\u{1b}') && !grant.contains("hunter2"), "{grant}");
    let heard = heard.0.lock().unwrap().join("\n");
    assert!(heard.contains("connect db.example:443 need-not-granted"), "{heard}");
    assert!(heard.contains("it needs microphone left, for which nothing is granted"), "{heard}");
    assert!(!heard.contains("hunter2"), "{heard}");
    let states: Vec<_> = source.connector().needs().into_iter().map(|n| n.state).collect();
    assert_eq!(states.len(), 7);

    let alone = source.check().await.unwrap_err();
    assert!(matches!(alone, ConnectorError::Needs { .. }));
    assert!(alone.context()[0].1.contains("--allow-net db.example:443"), "{:?}", alone.context());
    assert!(matches!(source.discover().await, Err(ConnectorError::Needs { .. })));
}
