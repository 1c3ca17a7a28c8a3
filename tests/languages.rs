//! One source and one destination, each in Rust, Python and JavaScript: whoever reads and whoever writes,
//! the same rows arrive, the same state is kept, and the same thing is said when something is wrong.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
mod peers;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use common::{Folder, fixture, guest};
use peers::Outcome;
use serde_json::{Value, json};

const SOURCES: [&str; 3] = ["source-pages", "source-pages-python", "source-pages-javascript"];
const DESTINATIONS: [&str; 3] =
    ["destination-append", "destination-append-python", "destination-append-javascript"];
const TOKEN: &str = "t0ps3cret";

/// `examples/example-api.py`, running.
struct Api {
    child: Child,
    stdin: ChildStdin,
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Api {
    fn new(arguments: &[&str]) -> Self {
        let mut child = Command::new("python3")
            .arg(fixture("../examples/example-api.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let stdin = child.stdin.take().expect("a pipe");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let port = lines.next().expect("a port").expect("text").parse().expect("a port");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                seen.lock().expect("no panic").push(line);
            }
        });
        Self { child, stdin, port, requests }
    }

    /// More items, each changed later than those before.
    fn more(&mut self, count: usize) {
        writeln!(self.stdin, "more {count}").expect("the API reads");
        // It reads before it answers the next request, most likely; it is asked until it did.
        std::thread::sleep(std::time::Duration::from_millis(300));
    }

    /// The requests since the last call: the status, the target, and whether the token came with it.
    fn take_requests(&self) -> Vec<String> {
        // An answer is sent after its line was printed, and the line takes its time through the pipe.
        std::thread::sleep(std::time::Duration::from_millis(100));
        std::mem::take(&mut *self.requests.lock().expect("no panic"))
    }

    fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn config(&self, token: &str) -> String {
        json!({"host": "127.0.0.1", "port": self.port, "tls": false, "token": token}).to_string()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sync(folder: &Folder, api: &Api, source: &str, destination: &str, out: &str) -> Value {
    std::fs::create_dir_all(folder.path().join(out)).expect("a folder");
    let config = api.config(TOKEN);
    let (place, grant) = (api.place(), format!("{out}::/out"));
    let (from, to) =
        (guest(source).display().to_string(), guest(destination).display().to_string());
    let mut arguments = vec!["sync", "--source", &from, "--source-config", &config];
    arguments.extend(["--source-allow-net", &place, "--destination", &to]);
    arguments.extend(["--destination-config", r#"{"path":"/out"}"#]);
    arguments.extend(["--destination-allow-dir", &grant]);
    if destination.ends_with("-python") {
        // Python's standard library imports sockets whether they are used or not, and a component that
        // does is not run without a grant of some host. This one leads nowhere (RFC 5737).
        arguments.extend(["--destination-allow-net", "192.0.2.1:9"]);
    }
    Outcome::of(folder, &arguments).good()
}

/// Reads with each source into each destination, twice, with new items in between.
#[test]
fn every_language_moves_the_same_rows() {
    let mut api = Api::new(&["--token", TOKEN, "--items", "25", "--page", "10"]);
    let folder = Folder::new();
    let pairs = || SOURCES.into_iter().flat_map(|s| DESTINATIONS.into_iter().map(move |d| (s, d)));
    for (source, destination) in pairs() {
        let out = format!("{source}-{destination}");
        let report = sync(&folder, &api, source, destination, &out);
        assert_eq!(report["records_committed"], 25, "{out}");
        assert_eq!(report["checkpoints_committed"], report["checkpoints_emitted"], "{out}");
        assert_eq!(report["checkpoints_committed"], 3, "{out}: one a page");
    }
    api.more(10);
    api.take_requests();
    for (source, destination) in pairs() {
        let out = format!("{source}-{destination}");
        let report = sync(&folder, &api, source, destination, &out);
        assert_eq!(report["resumed"], true, "{out}");
        // The ten, and the one that the state ends with.
        assert_eq!(report["records_committed"], 11, "{out}");
        let since = "updated_since=2024-01-01T00%3A24%3A00Z";
        let requests = api.take_requests();
        assert!(requests.contains(&format!("200 /items?page=1&{since} token")), "{requests:?}");
        assert!(requests.contains(&format!("200 /items?page=2&{since} token")), "{requests:?}");
    }
    let name = |(source, destination)| format!("{source}-{destination}/items.jsonl");
    let first = folder.read(&name((SOURCES[0], DESTINATIONS[0])));
    assert_eq!(first.lines().count(), 36);
    for pair in pairs() {
        assert!(folder.read(&name(pair)) == first, "{pair:?} wrote something else");
    }
    let ids: Vec<u64> = first
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].as_u64().expect("id"))
        .collect();
    let expected: Vec<u64> = (0..25).chain(24..35).collect();
    assert_eq!(ids, expected);
}

#[test]
fn every_language_waits_as_a_busy_api_asks() {
    for source in SOURCES {
        let api = Api::new(&["--token", TOKEN, "--busy"]);
        let folder = Folder::new();
        let start = std::time::Instant::now();
        let report = sync(&folder, &api, source, DESTINATIONS[0], "out");
        assert_eq!(report["records_committed"], 25, "{source}");
        assert!(start.elapsed() >= std::time::Duration::from_secs(1), "{source} did not wait");
        let requests = api.take_requests();
        let refused = requests.iter().filter(|line| line.starts_with("429 ")).count();
        assert_eq!(refused, 2, "{source}: {requests:?}");
    }
}

#[test]
fn every_language_counts_pages_where_there_are_no_links() {
    let api = Api::new(&["--token", TOKEN, "--no-links", "--items", "20"]);
    let folder = Folder::new();
    for source in SOURCES {
        let report = sync(&folder, &api, source, DESTINATIONS[0], source);
        assert_eq!(report["records_committed"], 20, "{source}");
        assert!(api.take_requests().contains(&"200 /items?page=3 token".to_owned()), "{source}");
    }
}

/// What `check` says, with the component's own path taken out.
fn check(folder: &Folder, api: &Api, source: &str, token: &str, more: &[&str]) -> (i32, String) {
    let (component, config) = (guest(source).display().to_string(), api.config(token));
    let mut command = folder.lockgate();
    command.args(["check", &component, "--config", &config]).args(more);
    let output = command.output().expect("lockgate runs");
    let text = String::from_utf8_lossy(&output.stderr).replace(&component, source);
    assert!(!text.contains(token), "{text}");
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn every_language_says_whose_fault_it_is() {
    let api = Api::new(&["--token", TOKEN]);
    let place = api.place();
    let folder = Folder::new();
    for source in SOURCES {
        let (code, text) = check(&folder, &api, source, "wr0ngtoken", &["--allow-net", &place]);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("error[CONNECTOR_CONFIG]"), "{text}");
        let answer = format!("GET http://{place}/items: the answer was 401 (unauthorized)");
        assert!(text.contains(&answer), "{text}");

        // It needs what it is not granted: nothing is run.
        let (code, text) = check(&folder, &api, source, TOKEN, &[]);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains(&format!("--allow-net {place}")), "{text}");
        // It is run all the same, and finds out by itself.
        let elsewhere = ["--allow-net", "192.0.2.1:9", "--allow-missing-needs"];
        let (code, text) = check(&folder, &api, source, TOKEN, &elsewhere);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(&format!("it is not granted: pass --allow-net {place}")), "{text}");
    }
}

#[test]
fn every_language_refuses_what_it_cannot_write() {
    let folder = Folder::new();
    for destination in DESTINATIONS {
        let component = guest(destination).display().to_string();
        let config = r#"{"path":"/out"}"#;
        let mut command = folder.lockgate();
        command.args(["check", &component, "--config", config, "--allow-missing-needs"]);
        command.args(["--allow-net", "192.0.2.1:9"]);
        let output = command.output().expect("lockgate runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("error[CONNECTOR_CONFIG]"), "{text}");
        assert!(text.contains("directory /out"), "{text}");
    }
}

/// A file whose last row was cut by a crash: that row was never committed, and comes again.
#[test]
fn every_language_removes_a_row_that_was_cut() {
    let api = Api::new(&["--token", TOKEN, "--items", "3"]);
    let folder = Folder::new();
    let (whole, cut) = ("{\"id\":-1}\n", format!("{{\"id\":0,\"name\":\"{}", "x".repeat(200_000)));
    for destination in DESTINATIONS {
        folder.write(&format!("{destination}/items.jsonl"), &format!("{whole}{cut}"));
        sync(&folder, &api, SOURCES[0], destination, destination);
        let written = folder.rows(&format!("{destination}/items.jsonl"));
        let ids: Vec<i64> = written.iter().map(|row| row["id"].as_i64().expect("id")).collect();
        assert_eq!(ids, [-1, 0, 1, 2], "{destination}");
    }
}

/// The rules that any connector is held to, the protocol's and those that keep data.
#[test]
fn every_language_keeps_the_rules() {
    let api = Api::new(&["--token", TOKEN]);
    let (folder, config) = (Folder::new(), api.config(TOKEN));
    for name in SOURCES.into_iter().chain(DESTINATIONS) {
        let component = guest(name).display().to_string();
        let mut command = folder.lockgate();
        command.args(["validate", &component]);
        if name.starts_with("source") {
            command.args(["--config", &config, "--allow-net", &api.place()]);
        } else {
            folder.write(&format!("{name}/.keep"), "");
            command.args(["--config", r#"{"path":"/out"}"#]);
            command.args(["--allow-dir", &format!("{name}::/out")]);
            command.args(["--read-back", &format!("files:{name}")]);
        }
        if name == "destination-append-python" {
            command.args(["--allow-net", "192.0.2.1:9"]);
        }
        let output = command.output().expect("lockgate runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&said));
    }
}

/// What an operator is shown before anything is granted.
#[test]
fn every_language_asks_for_the_same() {
    let folder = Folder::new();
    let spec = |name: &str| {
        let component = guest(name).display().to_string();
        let mut command = folder.lockgate();
        command.args(["spec", &component]);
        // Whatever could reach the network is not even asked without a grant of some host.
        if name.starts_with("source") || name.ends_with("-python") {
            command.args(["--allow-net", "192.0.2.1:9"]);
        }
        let output = command.output().expect("lockgate runs");
        serde_json::from_slice::<Value>(&output.stdout).expect("a specification")
    };
    for names in [SOURCES, DESTINATIONS] {
        let first = spec(names[0]);
        for name in names {
            let spec = spec(name);
            assert_eq!(spec["lockgate"]["needs"], first["lockgate"]["needs"], "{name}");
            let (ours, theirs) =
                (&spec["connectionSpecification"], &first["connectionSpecification"]);
            assert_eq!(ours["required"], theirs["required"], "{name}");
            let properties = theirs["properties"].as_object().expect("members");
            assert_eq!(ours["properties"].as_object().map(|p| p.len()), Some(properties.len()));
            for (member, property) in properties {
                for word in ["title", "description", "default", "airbyte_secret"] {
                    assert_eq!(
                        ours["properties"][member][word], property[word],
                        "{name}: {member}"
                    );
                }
            }
        }
    }
}
