//! What the behaviour tests share: the real binary, the built guests, a folder of their own.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "each test binary uses a part of it, and a test ends where something is missing"
)]

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The target folder this test was built in.
pub fn target() -> PathBuf {
    let exe = std::env::current_exe().expect("a test has a path");
    // target/debug/deps/NAME
    exe.ancestors().nth(3).expect("a test is built in a target folder").to_owned()
}

/// A built guest component.
pub fn guest(name: &str) -> PathBuf {
    let path = target().join("guests").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run scripts/build-guests", path.display());
    path
}

/// A file under `tests/`.
pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// The grants of a connector that is a process of these tests: its test's folder, and to read the
/// scripts, the built programs and the installed Python connectors. `side` is `source-`,
/// `destination-` or nothing.
pub fn process_grants(side: &str, folder: &Path) -> Vec<String> {
    let flag = format!("--{side}allow-dir");
    let mut grants = vec![flag.clone(), folder.display().to_string()];
    for read in [fixture("connectors"), fixture("recordings"), target()] {
        grants.extend([flag.clone(), format!("{}:ro", read.display())]);
    }
    let installed = target().join("test-connectors");
    if let Ok(installed) = installed.canonicalize()
        && !installed.starts_with(target())
    {
        grants.extend([flag, format!("{}:ro", installed.display())]);
    }
    grants
}

/// A project folder that goes with the test.
pub struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// With a project file, a folder `out`, and the guests under a name that is the same everywhere.
    pub fn project(text: &str) -> Self {
        // Says which one is missing, and what to do about it.
        guest("source-faker");
        guest("destination-jsonl");
        let folder = Self::new();
        std::os::unix::fs::symlink(target().join("guests"), folder.path().join("guests"))
            .expect("a link");
        std::fs::create_dir(folder.path().join("out")).expect("a folder");
        folder.write("lockgate.toml", text);
        folder
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file; parents are made.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// The rows of a JSONL file, parsed.
    pub fn rows(&self, name: &str) -> Vec<Value> {
        self.read(name).lines().map(|l| serde_json::from_str(l).expect("a row is JSON")).collect()
    }

    /// The real binary, run here. Compiled components are kept in one cache for all tests.
    pub fn lockgate(&self) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::cargo_bin("lockgate").expect("the binary is built");
        command.current_dir(self.path());
        command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
        // Names mean what a test says, whatever was built beside the binary.
        command.env("LOCKGATE_CONNECTORS_DIR", target().join("no-connectors"));
        command
    }
}
