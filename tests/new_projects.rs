//! `lockgate new` as an author uses it: sources and destinations in Rust, Python and JavaScript are made,
//! built by their own tools, held against every rule, and synced with one another.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use assert_cmd::assert::OutputAssertExt as _;
use common::{Folder, fixture, target};
use serde_json::{Value, json};

/// A port that nobody answers: components in Python import sockets whether they use them or not.
const NOWHERE: &str = "192.0.2.1:9";

/// Where an author's tools are: what the pinned ones of the repository's scripts say.
struct Tools {
    path: OsString,
    /// The toolchain that has the target of components.
    toolchain: Option<String>,
    rustc: Option<String>,
    javascript: PathBuf,
}

/// The last line that a script prints.
fn told(script: &str) -> String {
    let output = Command::new(fixture(&format!("../scripts/{script}")))
        .stderr(Stdio::inherit())
        .output()
        .expect("the script runs");
    assert!(output.status.success(), "scripts/{script} failed");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().last().expect("an answer").to_owned()
}

impl Tools {
    fn here() -> Self {
        let python = PathBuf::from(told("setup-python-guests"));
        #[expect(clippy::disallowed_methods, reason = "where programs are")]
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [python.parent().expect("a folder").to_owned()];
        let folders = folders.into_iter().chain(std::env::split_paths(&path));
        let wasm = told("setup-wasm");
        Self {
            path: std::env::join_paths(folders).expect("a PATH"),
            toolchain: wasm.strip_prefix("toolchain=").map(str::to_owned),
            rustc: wasm.strip_prefix("rustc=").map(str::to_owned),
            javascript: PathBuf::from(told("setup-javascript-guests")),
        }
    }

    fn lockgate(&self, folder: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
        command.current_dir(folder).env("PATH", &self.path);
        command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
        // What this test is built with is not the author's.
        for name in ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTUP_TOOLCHAIN"]
        {
            command.env_remove(name);
        }
        if let Some(toolchain) = &self.toolchain {
            command.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc);
        }
        command
    }

    /// Makes a project and builds it.
    fn make(&self, folder: &Path, kind: &str, language: &str) -> PathBuf {
        let name = format!("{kind}-{language}");
        self.lockgate(folder).args(["new", kind, &name, "--lang", language]).assert().success();
        let project = folder.join(&name);
        match language {
            // One project's dependencies are the other's: they are compiled once.
            "rust" => {
                let shared = folder.join("rust-target");
                std::fs::create_dir_all(&shared).expect("a folder");
                std::os::unix::fs::symlink(&shared, project.join("target")).expect("a link");
            }
            // What `npm install` gets, from the pinned place.
            "javascript" => {
                let modules = self.javascript.join("node_modules");
                std::os::unix::fs::symlink(modules, project.join("node_modules")).expect("a link");
            }
            _ => {}
        }
        let built = self.lockgate(&project).args(["build", "--output", "json"]).output();
        let built = built.expect("it runs");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{name}: {said}");
        let built: Value = serde_json::from_slice(&built.stdout).expect("JSON");
        let component = PathBuf::from(built["component"].as_str().expect("a path"));
        assert_eq!(component.file_name().expect("a name").to_str(), Some(&*format!("{name}.wasm")));
        component
    }
}

/// The API that a new source reads, as its project brings it along.
struct Api(Child, u16);

impl Api {
    fn of(project: &Path) -> Self {
        let mut child = Command::new("python3")
            .arg(project.join("example-api.py"))
            .args(["--items", "70", "--token", "t0ken-t0ken"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let port = lines.next().expect("a port").expect("text").parse().expect("a port");
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, port)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every rule that can be tried holds.
fn keeps_every_rule(tools: &Tools, folder: &Path, arguments: &[&str]) {
    let output = tools
        .lockgate(folder)
        .args(["validate", "--output", "json", "--quiet"])
        .args(arguments)
        .output()
        .expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    let findings = report["findings"].as_array().expect("findings").iter();
    let broken: Vec<&Value> = findings.filter(|finding| finding["verdict"] == "failed").collect();
    assert!(broken.is_empty(), "{}: {broken:#?}", arguments[0]);
    assert!(output.status.success(), "{}", arguments[0]);
}

#[test]
fn projects_of_every_language_are_made_built_validated_and_synced() {
    let tools = Tools::here();
    let scratch = Folder::new();
    let folder = scratch.path();
    let languages = ["rust", "python", "javascript"];
    let made = |kind| languages.map(|language| tools.make(folder, kind, language));
    let (sources, destinations) = (made("source"), made("destination"));
    let api = Api::of(sources[0].parent().expect("a project"));
    let place = format!("127.0.0.1:{}", api.1);
    let config = json!({"host": "127.0.0.1", "port": api.1, "tls": false, "token": "t0ken-t0ken"})
        .to_string();
    for source in &sources {
        let source = source.to_str().expect("text");
        keeps_every_rule(&tools, folder, &[source, "--config", &config, "--allow-net", &place]);
    }
    for (language, destination) in languages.iter().zip(&destinations) {
        let out = folder.join(format!("tried-{language}"));
        std::fs::create_dir(&out).expect("a folder");
        let (grant, back) =
            (format!("{}::/out", out.display()), format!("files:{}", out.display()));
        let mut arguments = vec![destination.to_str().expect("text"), "--config"];
        arguments.extend([r#"{"path":"/out"}"#, "--allow-dir", &grant, "--read-back", &back]);
        if *language == "python" {
            arguments.extend(["--allow-net", NOWHERE]);
        }
        keeps_every_rule(&tools, folder, &arguments);
    }
    // Each source into a destination of the next language, all the same rows.
    let mut written = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let to = (at + 1) % languages.len();
        let out = folder.join(format!("synced-{at}"));
        std::fs::create_dir(&out).expect("a folder");
        let grant = format!("{}::/out", out.display());
        let mut sync = tools.lockgate(folder);
        sync.args(["sync", "--source"]).arg(source);
        sync.args(["--source-config", &config, "--source-allow-net", &place]);
        sync.arg("--destination").arg(&destinations[to]);
        sync.args([
            "--destination-config",
            r#"{"path":"/out"}"#,
            "--destination-allow-dir",
            &grant,
        ]);
        if languages[to] == "python" {
            sync.args(["--destination-allow-net", NOWHERE]);
        }
        sync.args(["--state", "none"]).assert().success();
        let files = std::fs::read_dir(&out).expect("a folder").map(|file| {
            let path = file.expect("a file").path();
            std::fs::read_to_string(path).expect("text")
        });
        let mut rows: Vec<String> =
            files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        assert_eq!(rows.len(), 70, "{}", source.display());
        rows.sort();
        written.push(rows.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect());
    }
    let [rust, python, javascript]: [Vec<Value>; 3] = written.try_into().expect("three");
    assert_eq!(rust, python);
    assert_eq!(rust, javascript);
}

#[test]
fn what_is_missing_is_named_with_the_line_that_installs_it() {
    let scratch = Folder::new();
    for (language, tool, install) in [
        ("rust", "cargo", "rustup"),
        ("python", "componentize-py", "pip install"),
        ("javascript", "componentize-js", "npm install"),
    ] {
        let name = format!("source-{language}");
        scratch.lockgate().args(["new", "source", &name, "--lang", language]).assert().success();
        let empty = scratch.path().join("empty");
        std::fs::create_dir_all(&empty).expect("a folder");
        let output = Command::new(env!("CARGO_BIN_EXE_lockgate"))
            .current_dir(scratch.path().join(&name))
            .arg("build")
            .env("PATH", &empty)
            .output()
            .expect("it runs");
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("BUILD_TOOL"), "{said}");
        assert!(said.contains(tool) && said.contains(install), "{said}");
    }
}
