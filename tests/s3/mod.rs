//! A bucket of a test's own, and the destination that writes to it.

#![allow(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "a module of a test, which ends where something is missing"
)]

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::common::{Folder, guest, target};

const LOCKGATE: &str = env!("CARGO_BIN_EXE_lockgate");

/// A bucket of a test's own. The server of the tests forgets it when it is stopped.
pub struct Scene {
    pub folder: Folder,
    /// `http://HOST:PORT`
    pub endpoint: String,
    pub bucket: String,
    /// Members of the configuration beside those that every one has.
    pub config: Value,
}

/// What came of a run.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub messages: Vec<Value>,
    pub errors: String,
}

#[expect(clippy::disallowed_methods, reason = "where the services of the tests are")]
fn server() -> String {
    std::env::var("LOCKGATE_TEST_S3").expect(
        "LOCKGATE_TEST_S3 is set: run the tests with scripts/with-test-services, or `make test`",
    )
}

/// A stream of a configured catalog, of a generation.
pub fn stream(name: &str, generation: u64, minimum: u64) -> Value {
    json!({
        "stream": {
            "name": name,
            "json_schema": {"type": "object", "properties": {
                "id": {"type": "integer"}, "text": {"type": "string"},
            }},
            "supported_sync_modes": ["full_refresh", "incremental"],
        },
        "sync_mode": "incremental", "destination_sync_mode": "append",
        "generation_id": generation, "minimum_generation_id": minimum, "sync_id": 7,
    })
}

/// A RECORD, as a line.
pub fn record(stream: &str, data: &Value) -> String {
    let record = json!({"stream": stream, "data": data, "emitted_at": 1_700_000_000_000_u64});
    json!({"type": "RECORD", "record": record}).to_string() + "\n"
}

/// The state of a stream, as a line.
pub fn state(stream: &str, at: u64) -> String {
    let state = json!({"stream_descriptor": {"name": stream}, "stream_state": {"at": at}});
    json!({"type": "STATE", "state": {"type": "STREAM", "stream": state}}).to_string() + "\n"
}

/// That a stream is complete, as a line.
pub fn complete(stream: &str) -> String {
    let status = json!({"stream_descriptor": {"name": stream}, "status": "COMPLETE"});
    let trace = json!({"type": "STREAM_STATUS", "emitted_at": 1.0, "stream_status": status});
    json!({"type": "TRACE", "trace": trace}).to_string() + "\n"
}

impl Scene {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let (endpoint, bucket) = (server(), format!("test-{}-{count}", std::process::id()));
        ureq::put(format!("{endpoint}/{bucket}")).send_empty().expect("a bucket");
        Self { folder: Folder::new(), endpoint, bucket, config: json!({}) }
    }

    pub fn config(&self) -> Value {
        let mut config = json!({
            "endpoint": self.endpoint, "region": "us-east-1", "bucket": self.bucket,
            "prefix": "lake", "access_key_id": "id", "secret_access_key": "t0ps3cret",
        });
        for (name, value) in self.config.as_object().expect("members") {
            config[name] = value.clone();
        }
        config
    }

    /// What is granted.
    pub fn grant(&self) -> String {
        self.endpoint.trim_start_matches("http://").to_owned()
    }

    /// The destination as an executable, not started.
    pub fn command(&self, grant: &str, operation: &[&str]) -> Command {
        let mut command = Command::new(LOCKGATE);
        command.current_dir(self.folder.path());
        command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
        self.folder.write("config.json", &self.config().to_string());
        let component = guest("destination-s3").display().to_string();
        command.args(["exec", &component, "--config", "config.json"]);
        if !grant.is_empty() {
            command.args(["--allow-net", grant]);
        }
        command.args(operation);
        command
    }

    /// The status that `check` tells, and its message.
    pub fn check(&self, grant: &str) -> (String, String) {
        let output = self.command(grant, &["check"]).output().expect("lockgate runs");
        let said = Said::of(&output);
        let status = said.messages.iter().find(|message| message["type"] == "CONNECTION_STATUS");
        let status = &status.unwrap_or_else(|| panic!("a status: {said:?}"))["connectionStatus"];
        let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
        assert!(!format!("{said:?}").contains("t0ps3cret"), "{said:?}");
        (text("status"), text("message"))
    }

    /// Starts a write; its input is open.
    pub fn start(&self, streams: &[Value]) -> Child {
        self.folder.write("catalog.json", &json!({"streams": streams}).to_string());
        self.command(&self.grant(), &["write", "--catalog", "catalog.json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("lockgate runs")
    }

    /// Writes messages, each a line.
    #[track_caller]
    pub fn write(&self, streams: &[Value], text: String) -> Said {
        let mut child = self.start(streams);
        let mut input = child.stdin.take().expect("a pipe");
        // A destination that fails early does not read all.
        let feeding = std::thread::spawn(move || drop(input.write_all(text.as_bytes())));
        let output = child.wait_with_output().expect("it ends");
        feeding.join().expect("it was fed");
        let said = Said::of(&output);
        assert_eq!(said.code, Some(0), "{:?}\n{}", said.messages, said.errors);
        said
    }

    /// Syncs users of source-faker; `more` are further arguments.
    #[track_caller]
    pub fn sync(&self, count: u32, more: &[&str]) {
        self.folder.write("config.json", &self.config().to_string());
        let mut command = self.folder.lockgate();
        command.args(["sync", "--quiet", "--connection", "c", "--streams", "users"]);
        command.arg("--source").arg(guest("source-faker"));
        command.args(["--source-config", &json!({ "count": count }).to_string()]);
        command.arg("--destination").arg(guest("destination-s3"));
        command.args(["--destination-config", "config.json"]);
        command.args(["--destination-allow-net", &self.grant()]);
        command.args(more).assert().success();
    }

    /// What the service answers to a request for an object or a list.
    pub fn get(&self, path: &str) -> Vec<u8> {
        let url = format!("{}/{}{path}", self.endpoint, self.bucket);
        // Objects are their writer's; the server of the tests asks who it is and checks no signature.
        let who = "AWS4-HMAC-SHA256 Credential=id/20240101/us-east-1/s3/aws4_request, \
                   SignedHeaders=host, Signature=0";
        let mut answer = ureq::get(url).header("Authorization", who).call().expect("an answer");
        answer.body_mut().with_config().limit(64 << 20).read_to_vec().expect("a body")
    }

    /// Keys of objects with rows, in order.
    pub fn objects(&self) -> Vec<String> {
        let list = String::from_utf8(self.get("?list-type=2")).expect("text");
        assert!(list.contains("<IsTruncated>false<"), "{list}");
        let keys = list.split("<Key>").skip(1);
        let keys = keys.map(|rest| rest.split('<').next().unwrap_or_default().to_owned());
        keys.filter(|key| !key.ends_with("/_manifest.json")).collect()
    }

    /// Keys that a reader of the manifest finds.
    pub fn named(&self, stream: &str) -> Vec<String> {
        let text = self.get(&format!("/lake/{stream}/_manifest.json"));
        let manifest: Value = serde_json::from_slice(&text).expect("a manifest is JSON");
        let entries = manifest["objects"].as_array().expect("objects");
        let key = |entry: &Value| entry["key"].as_str().expect("a key").to_owned();
        entries.iter().map(key).collect()
    }

    /// There is no object with rows but those that the manifest names.
    #[track_caller]
    pub fn assert_all_named(&self, stream: &str) {
        let mut named = self.named(stream);
        named.sort();
        assert_eq!(self.objects(), named);
    }

    /// Rows that a reader of the manifest finds, of JSON lines.
    pub fn lines(&self, stream: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for key in self.named(stream) {
            let text = String::from_utf8(self.get(&format!("/{key}"))).expect("text");
            lines.extend(text.lines().map(ToOwned::to_owned));
        }
        lines
    }

    /// A member of these rows.
    pub fn ids(&self, stream: &str) -> Vec<u64> {
        let id = |line: &String| {
            let row: Value = serde_json::from_str(line).expect("a row is JSON");
            row["id"].as_u64().expect("a number")
        };
        self.lines(stream).iter().map(id).collect()
    }
}

impl Said {
    pub fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let messages = text.lines().map(|line| serde_json::from_str(line).expect("a message"));
        Self {
            code: output.status.code(),
            messages: messages.collect(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
