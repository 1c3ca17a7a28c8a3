//! `lockgate inspect` on files that are no connector, or none for this host: a clear error for each.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

mod common;

use std::path::Path;

use serde_json::Value;

use self::common::{Folder, fixture, guest};

/// Runs `inspect` on a file; asserts the exit code and the error's code, in text and in JSON, and
/// gives the text.
fn refused(folder: &Folder, file: &Path, exit: i32, code: &str) -> String {
    let output = folder.lockgate().arg("inspect").arg(file).output().expect("lockgate runs");
    let text = String::from_utf8(output.stderr).expect("text");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(exit), "{text}");
    assert!(text.starts_with(&format!("error[{code}]: ")), "{text}");
    let mut command = folder.lockgate();
    let output = command.args(["inspect", "--output", "json"]).arg(file).output().expect("it runs");
    assert_eq!(output.status.code(), Some(exit));
    let error: Value = serde_json::from_slice(&output.stderr).expect("an error is JSON");
    assert_eq!(error["code"], code);
    assert!(text.contains(error["message"].as_str().expect("a message")), "{text}");
    format!("exit code {exit}\n{printed}{text}")
}

/// Snapshots without what differs between machines and builds.
macro_rules! assert_text {
    ($folder:expr, $name:expr, $text:expr) => {
        let place = regex_of($folder.path());
        insta::with_settings!({
            filters => vec![
                (place.as_str(), "[folder]"),
                (r"sha256:[0-9a-f]{64}", "[digest]"),
                (r"at byte \d+", "at byte [offset]"),
            ],
        }, { insta::assert_snapshot!($name, $text) });
    };
}

/// A path has no characters with a meaning but the point.
fn regex_of(path: &Path) -> String {
    path.display().to_string().replace('.', r"\.")
}

#[test]
fn components_that_are_not_for_this_host() {
    let folder = Folder::new();
    for (name, exit, code) in [
        ("newer-patch", 2, "COMPONENT_CONTRACT"),
        ("newer-minor", 2, "COMPONENT_CONTRACT"),
        // The network could be granted; then it would be seen that its source is empty.
        ("imports-sockets", 2, "COMPONENT_INVALID"),
        ("imports-unknown", 3, "COMPONENT_IMPORT"),
        ("no-connector", 2, "COMPONENT_NO_CONNECTOR"),
        ("core-module", 2, "COMPONENT_CORE_MODULE"),
    ] {
        let binary = wat::parse_file(fixture(&format!("fixtures/{name}.wat"))).expect("it is WAT");
        let file = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&file, binary).expect("a file");
        let text = refused(&folder, &file, exit, code);
        assert_text!(folder, name, text);
    }
}

/// What it asks for is shown, and its code runs for that with a network that is closed.
#[test]
fn a_component_that_needs_the_network() {
    let folder = Folder::new();
    let output =
        folder.lockgate().arg("inspect").arg(guest("network-source")).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{text}");
    let tcp = text.lines().find(|line| line.contains("wasi:sockets/tcp@")).expect("the import");
    assert!(tcp.ends_with("needs a network grant: --allow-net HOST:PORT"), "{tcp}");
    assert!(text.contains("network  ${host}:${port}"), "{text}");
}

#[test]
fn files_that_are_no_components() {
    let folder = Folder::new();
    let text = folder.write("text.wasm", "This is a text.\n");
    assert_text!(folder, "text", refused(&folder, &text, 2, "COMPONENT_NOT_WASM"));
    let empty = folder.write("empty.wasm", "");
    assert_text!(folder, "empty", refused(&folder, &empty, 2, "COMPONENT_NOT_WASM"));
    let directory = folder.path().join("directory.wasm");
    std::fs::create_dir(&directory).expect("a folder");
    assert_text!(folder, "directory", refused(&folder, &directory, 2, "COMPONENT_UNREADABLE"));
    let missing = folder.path().join("missing.wasm");
    assert_text!(folder, "missing", refused(&folder, &missing, 2, "COMPONENT_UNREADABLE"));
    let program = folder.path().join("program.wasm");
    std::fs::copy(std::env::current_exe().expect("a test has a path"), &program).expect("a copy");
    assert_text!(folder, "program", refused(&folder, &program, 2, "COMPONENT_NOT_WASM"));
    let archive = folder.path().join("archive.wasm");
    std::fs::write(&archive, [0x1f, 0x8b, 8, 0, 0, 0]).expect("a file");
    assert_text!(folder, "archive", refused(&folder, &archive, 2, "COMPONENT_NOT_WASM"));
}

/// Wherever a component is cut off, that is an error, and nearly everywhere it is said to be cut.
#[test]
fn components_that_are_cut_off() {
    let folder = Folder::new();
    let whole = std::fs::read(guest("source-faker")).expect("a guest");
    let mut offsets: Vec<usize> = (1..12).collect();
    // Odd steps, which no section is likely to end on.
    offsets.extend((1..40).map(|step| whole.len() * step / 41));
    offsets.push(whole.len() - 1);
    let mut cut = 0;
    for offset in &offsets {
        let file = folder.path().join("cut.wasm");
        std::fs::write(&file, &whole[..*offset]).expect("a file");
        let output = folder.lockgate().arg("inspect").arg(&file).output().expect("lockgate runs");
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "at {offset}: {text}");
        assert!(text.starts_with("error[COMPONENT_"), "at {offset}: {text}");
        assert!(!text.contains("panicked"), "at {offset}: {text}");
        cut += usize::from(text.starts_with("error[COMPONENT_TRUNCATED]"));
    }
    // The first three bytes are those of a text, and eight are a component without anything.
    assert!(cut >= offsets.len() - 4, "{cut} of {} are said to be cut off", offsets.len());
    let file = folder.path().join("half.wasm");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("a file");
    assert_text!(folder, "truncated", refused(&folder, &file, 2, "COMPONENT_TRUNCATED"));
}
