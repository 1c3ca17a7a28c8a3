//! What an attacker is granted and what its folder holds, and what must be true afterwards.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use lockgate::ConnectorOptions;
use lockgate::sandbox::Limits;

use crate::harness::Outcome;

/// Nothing, under the limits everybody has.
pub(super) fn none(_: &Path) -> ConnectorOptions {
    ConnectorOptions::default()
}

/// Little time.
pub(super) fn short(_: &Path) -> ConnectorOptions {
    ConnectorOptions { timeout: Some("300ms".into()), ..ConnectorOptions::default() }
}

/// Little memory.
pub(super) fn small(_: &Path) -> ConnectorOptions {
    ConnectorOptions { max_memory: Some("64MiB".into()), ..ConnectorOptions::default() }
}

fn grants(grants: &[(&Path, &str)]) -> ConnectorOptions {
    let allow_dir = grants.iter().map(|(host, guest)| format!("{}::{guest}", host.display()));
    ConnectorOptions { allow_dir: allow_dir.collect(), ..ConnectorOptions::default() }
}

/// A directory with a file, a folder and links that lead out, beside what must not be reached.
fn lay_out(folder: &Path) {
    let inside = folder.join("granted");
    fs::create_dir_all(inside.join("inside")).expect("a folder");
    fs::create_dir_all(folder.join("outside")).expect("a folder");
    fs::write(inside.join("file"), "as it was").expect("a file");
    fs::write(folder.join("secret"), "secret").expect("a file");
    fs::write(folder.join("outside/secret"), "secret").expect("a file");
    symlink("/etc", inside.join("planted")).expect("a link");
    symlink("/proc", inside.join("proc")).expect("a link");
}

/// A directory to read and write.
pub(super) fn directory(folder: &Path) -> ConnectorOptions {
    lay_out(folder);
    grants(&[(&folder.join("granted"), "/data")])
}

/// A directory to read.
pub(super) fn readable(folder: &Path) -> ConnectorOptions {
    lay_out(folder);
    grants(&[(&folder.join("granted"), "/data:ro")])
}

/// A directory to read and one to write.
pub(super) fn two_directories(folder: &Path) -> ConnectorOptions {
    lay_out(folder);
    let mine = folder.join("mine");
    fs::create_dir_all(&mine).expect("a folder");
    fs::write(mine.join("mine"), "mine").expect("a file");
    grants(&[(&folder.join("granted"), "/readable:ro"), (&mine, "/mine")])
}

/// A directory in which somebody swaps a folder for a link out, for as long as it exists.
pub(super) fn raced(folder: &Path) -> ConnectorOptions {
    lay_out(folder);
    let granted = folder.join("granted");
    let (swapped, real, link) =
        (granted.join("swapped"), granted.join("real"), granted.join("out"));
    fs::create_dir_all(&real).expect("a folder");
    fs::write(real.join("secret"), "harmless").expect("a file");
    symlink(folder.join("outside"), &link).expect("a link");
    std::thread::spawn(move || {
        // It ends when the folder is gone.
        while granted.exists() {
            for place in [&real, &link] {
                let _ = fs::rename(place, &swapped);
                std::thread::yield_now();
                let _ = fs::rename(&swapped, place);
            }
        }
    });
    grants(&[(&folder.join("granted"), "/data:ro")])
}

/// A directory with a named pipe in it.
pub(super) fn pipe(folder: &Path) -> ConnectorOptions {
    lay_out(folder);
    let path = folder.join("granted/pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("it runs");
    assert!(made.success());
    grants(&[(&folder.join("granted"), "/data:ro")])
}

/// Nothing more.
pub(super) fn nothing(_: &Outcome, _: &Path) {}

/// What the operator is told has a limit.
pub(super) fn little_was_heard(outcome: &Outcome, _: &Path) {
    let limit = Limits::default().log_bytes + 1000;
    assert!(outcome.heard_bytes <= limit, "{} bytes were heard", outcome.heard_bytes);
}

/// What lies beside a granted directory, and what was granted to be read, is as it was.
pub(super) fn outside_is_untouched(_: &Outcome, folder: &Path) {
    let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap_or_default();
    assert_eq!(read("secret"), "secret");
    assert_eq!(read("outside/secret"), "secret");
    assert_eq!(read("granted/file"), "as it was");
    let names = fs::read_dir(folder.join("outside")).expect("it is there").count();
    assert_eq!(names, 1, "something was made outside");
    let facts = fs::metadata(folder.join("granted/file")).expect("it is there");
    let age = facts.modified().expect("a time").elapsed().unwrap_or_default();
    assert!(age < Duration::from_secs(3600));
}
