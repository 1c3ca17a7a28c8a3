//! Directories of components: what a grant to read refuses, what a grant to write counts, and that
//! nothing leads out. The guest makes the calls of `wasi:filesystem` itself.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

mod common;
#[path = "common/ear.rs"]
mod ear;

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lockgate::component::{CompileCache, Component, ComponentError, ComponentRuntime};
use lockgate::fault::{ExitClass, Fault};
use lockgate::protocol::Json;
use lockgate::sandbox::{Limits, Policy};
use serde_json::{Value, json};

use self::common::{Folder, guest, target};
use self::ear::Ear;

fn component() -> Component {
    let cache = CompileCache::at(&target().join("test-cache"));
    let runtime = ComponentRuntime::new(Some(cache));
    runtime.load(&guest("filesystem-source")).expect("a component")
}

/// What a guest came to: a line a step, and the decisions.
#[derive(Debug)]
struct Tried {
    said: Vec<String>,
    decided: Vec<String>,
    logs: Vec<String>,
}

fn try_with(grants: &[String], limits: &Limits, steps: &Value) -> Result<Tried, ComponentError> {
    let mut policy = Policy { limits: limits.clone(), ..Policy::default() };
    for grant in grants {
        policy.allow_dir(grant).expect("a grant");
    }
    let config = Json::parse(json!({ "steps": steps }).to_string()).expect("JSON");
    let ear = Ear::new();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(component().check(&policy, ear.clone(), &config))?;
    let logs = ear.logs();
    let is_step = |line: &&String| line.starts_with(|c: char| c.is_ascii_digit());
    let said = logs.iter().filter(is_step).filter_map(|l| l.split_once(' ')).collect::<Vec<_>>();
    let said = said.into_iter().map(|(_, line)| line.trim_end().to_owned()).collect();
    Ok(Tried { said, decided: ear.decisions(), logs })
}

fn attempt(grants: &[String], steps: &Value) -> Tried {
    try_with(grants, &Limits::default(), steps).expect("the component runs")
}

fn grant(folder: &Folder, host: &str, guest: &str) -> String {
    format!("{}::{guest}", folder.path().join(host).display())
}

/// A folder with `ro` and `rw`, each with a file and a directory, and a secret beside them.
fn scene() -> (Folder, Vec<String>) {
    let folder = Folder::new();
    for side in ["ro", "rw"] {
        folder.write(&format!("{side}/file"), "as it was");
        folder.write(&format!("{side}/full/inner"), "inner");
        std::fs::create_dir(folder.path().join(side).join("empty")).expect("a directory");
    }
    folder.write("secret", "hunter2");
    let grants = vec![grant(&folder, "ro", "/ro:ro"), grant(&folder, "rw", "/rw:rw")];
    (folder, grants)
}

/// Every file below a folder, with its content and the time it was changed.
fn snapshot(folder: &Folder, name: &str) -> Vec<String> {
    fn walk(path: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(path).expect("a directory") {
            let path = entry.expect("an entry").path();
            let facts = std::fs::symlink_metadata(&path).expect("facts");
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let changed = facts.modified().expect("a time");
            found.push(format!("{} {:?} {changed:?} {text}", path.display(), facts.file_type()));
            if facts.is_dir() {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(&folder.path().join(name), &mut found);
    found.sort();
    found
}

#[test]
fn a_grant_to_read_refuses_every_change() {
    let (folder, grants) = scene();
    let before = snapshot(&folder, "ro");
    let changes = json!([
        { "do": "write", "in": "/ro", "path": "file", "open": ["read"], "bytes": 4 },
        { "do": "write", "in": "/ro", "path": "file", "open": ["write"], "bytes": 4 },
        { "do": "write-stream", "in": "/ro", "path": "file", "open": ["read"], "bytes": 4 },
        { "do": "append-stream", "in": "/ro", "path": "file", "open": ["read"], "bytes": 4 },
        { "do": "open", "in": "/ro", "path": "file", "open": ["truncate"] },
        { "do": "open", "in": "/ro", "path": "file", "open": ["read", "truncate"] },
        { "do": "open", "in": "/ro", "path": "new", "open": ["read", "create"] },
        { "do": "open", "in": "/ro", "path": "file", "open": ["read", "create"] },
        { "do": "open", "in": "/ro", "path": "new", "open": ["create", "exclusive", "write"] },
        { "do": "open", "in": "/ro", "path": "file", "open": ["read", "exclusive"] },
        { "do": "open", "in": "/ro", "path": "full", "open": ["directory", "read", "mutate"] },
        { "do": "set-size", "in": "/ro", "path": "file", "open": ["read"], "bytes": 0 },
        { "do": "set-size", "in": "/ro", "path": "file", "open": ["read"], "bytes": 99 },
        { "do": "set-times", "in": "/ro", "path": "file", "open": ["read"] },
        { "do": "set-times", "in": "/ro", "path": "full", "open": ["read", "directory"] },
        { "do": "set-times-at", "in": "/ro", "path": "file" },
        { "do": "set-times-at", "in": "/ro", "path": "file", "open": ["nofollow"] },
        { "do": "rename", "in": "/ro", "path": "file", "to": "other" },
        { "do": "rename", "in": "/ro", "path": "file", "to": "taken", "to-in": "/rw" },
        { "do": "rename", "in": "/rw", "path": "file", "to": "given", "to-in": "/ro" },
        { "do": "rename", "in": "/rw", "path": "file", "to": "file", "to-in": "/ro" },
        { "do": "rename", "in": "/ro", "path": "empty/", "to": "other/" },
        { "do": "link", "in": "/ro", "path": "file", "to": "other" },
        { "do": "link", "in": "/ro", "path": "file", "to": "taken", "to-in": "/rw" },
        { "do": "link", "in": "/rw", "path": "file", "to": "given", "to-in": "/ro" },
        { "do": "symlink", "in": "/ro", "path": "link", "to": "file" },
        { "do": "unlink", "in": "/ro", "path": "file" },
        { "do": "unlink", "in": "/ro", "path": "full/inner" },
        { "do": "rmdir", "in": "/ro", "path": "empty" },
        { "do": "rmdir", "in": "/ro", "path": "empty/" },
        { "do": "mkdir", "in": "/ro", "path": "new" },
        { "do": "mkdir", "in": "/ro", "path": "new/" },
    ]);
    let tried = attempt(&grants, &changes);
    assert_eq!(tried.said.len(), changes.as_array().map_or(0, Vec::len));
    for (line, step) in tried.said.iter().zip(changes.as_array().expect("steps")) {
        assert!(line.ends_with(": not-permitted"), "{line}: {step}");
    }
    assert_eq!(snapshot(&folder, "ro"), before);
    assert_eq!(folder.read("rw/file"), "as it was");
    assert!(!folder.path().join("rw/taken").exists());
    let denied = |d: &&String| d.starts_with("deny directory-write ") && d.ends_with(" read-only");
    // Each change is in the trail, whichever end it touched.
    assert_eq!(tried.decided.iter().filter(denied).count(), tried.said.len(), "{tried:#?}");
    assert!(tried.decided.iter().any(|d| d == "deny directory-write /ro/file read-only"));
}

#[test]
fn a_grant_to_read_reads() {
    let (folder, grants) = scene();
    let tried = attempt(
        &grants[..1],
        &json!([
            { "do": "read", "in": "/ro", "path": "file", "open": ["read"] },
            { "do": "read-stream", "in": "/ro", "path": "full/inner", "open": ["read"] },
            { "do": "list", "in": "/ro", "path": ".", "open": ["read", "directory"] },
            { "do": "list-granted", "in": "/ro" },
            { "do": "stat", "in": "/ro", "path": "file" },
            { "do": "sync", "in": "/ro", "path": "file", "open": ["read"] },
            { "do": "hash", "in": "/ro", "path": "file" },
        ]),
    );
    let said: Vec<_> = tried.said.iter().map(String::as_str).collect();
    assert_eq!(
        said,
        [
            "read: ok as it was",
            "read-stream: ok inner",
            "list: ok empty,file,full",
            "list-granted: ok empty,file,full",
            "stat: ok 9",
            "sync: ok",
            "hash: ok"
        ]
    );
    let host = folder.path().join("ro");
    let rule = format!("allow directory-read /ro allow-dir {}::/ro:ro", host.display());
    assert_eq!(tried.decided, [rule]);
}

#[test]
fn a_grant_to_write_writes() {
    let (folder, grants) = scene();
    let tried = attempt(
        &grants[1..],
        &json!([
            { "do": "write", "in": "/rw", "path": "new", "open": ["write", "create"], "bytes": 3 },
            { "do": "write-stream", "in": "/rw", "path": "streamed", "open": ["write", "create"], "bytes": 9000 },
            { "do": "append-stream", "in": "/rw", "path": "streamed", "open": ["write"], "bytes": 9000 },
            { "do": "zeroes-stream", "in": "/rw", "path": "zeroes", "open": ["write", "create"], "bytes": 5000 },
            { "do": "nonblocking-stream", "in": "/rw", "path": "loose", "open": ["write", "create"], "bytes": 5000 },
            { "do": "set-size", "in": "/rw", "path": "file", "open": ["write"], "bytes": 2 },
            { "do": "mkdir", "in": "/rw", "path": "made" },
            { "do": "rename", "in": "/rw", "path": "new", "to": "made/new" },
            { "do": "symlink", "in": "/rw", "path": "link", "to": "made/new" },
            { "do": "read", "in": "/rw", "path": "link", "open": ["read"] },
            { "do": "link", "in": "/rw", "path": "made/new", "to": "second" },
            { "do": "unlink", "in": "/rw", "path": "second" },
            { "do": "rmdir", "in": "/rw", "path": "empty" },
        ]),
    );
    assert!(tried.said.iter().all(|line| line.contains(": ok")), "{tried:#?}");
    assert_eq!(folder.read("rw/made/new"), "xxx");
    assert_eq!(folder.read("rw/streamed").len(), 18_000);
    assert_eq!(folder.read("rw/zeroes").len(), 5000);
    assert_eq!(folder.read("rw/loose").len(), 5000);
    assert_eq!(folder.read("rw/file"), "as");
    // Once for reading and once for writing, however often.
    assert_eq!(tried.decided.len(), 2, "{tried:#?}");
}

#[test]
fn nothing_leads_out() {
    let (folder, grants) = scene();
    let root = folder.path();
    symlink("../secret", root.join("rw/out")).expect("a link");
    symlink(root.join("secret"), root.join("rw/absolute")).expect("a link");
    symlink("..", root.join("rw/up")).expect("a link");
    symlink("/proc/self", root.join("rw/proc")).expect("a link");
    let paths = [
        "../secret",
        "/etc/passwd",
        "//etc/passwd",
        "full/../../secret",
        "./../secret",
        "out",
        "out/",
        "absolute",
        "up/secret",
        "up/rw/../secret",
        "proc/environ",
        "proc/root/etc/passwd",
        "..",
        "../",
    ];
    let mut steps = Vec::new();
    for path in paths {
        steps.push(json!({ "do": "read", "in": "/rw", "path": path, "open": ["read"] }));
        steps.push(
            json!({ "do": "open", "in": "/rw", "path": path, "open": ["directory", "read"] }),
        );
        steps.push(
            json!({ "do": "open", "in": "/rw", "path": path, "open": ["write", "truncate"] }),
        );
        steps.push(json!({ "do": "stat", "in": "/rw", "path": path }));
        steps.push(
            json!({ "do": "rename", "in": "/rw", "path": "file", "to": format!("{path}/x") }),
        );
        steps.push(json!({ "do": "link", "in": "/rw", "path": path, "to": "linked" }));
    }
    for to in ["/etc/passwd", "../secret", "..", "full/../../secret", "a/../.."] {
        steps.push(json!({ "do": "symlink", "in": "/rw", "path": "made", "to": to }));
        steps.push(json!({ "do": "read", "in": "/rw", "path": "made", "open": ["read"] }));
    }
    // A link itself may be moved; what it names may not be reached through it.
    steps.push(json!({ "do": "rename", "in": "/rw", "path": "up/", "to": "moved/" }));
    steps.push(json!({ "do": "read", "in": "/rw", "path": "moved/secret", "open": ["read"] }));
    let tried = attempt(&grants[1..], &Value::Array(steps.clone()));
    for (line, step) in tried.said.iter().zip(&steps) {
        // The link as such may be linked to: what it names is not reached.
        let harmless = step["do"] == "link" && !line.contains("ok hunter2");
        assert!(harmless || !line.contains(": ok"), "{line}: {step}");
    }
    assert!(!tried.logs.iter().any(|line| line.contains("hunter2") || line.contains("root:")));
    assert_eq!(folder.read("secret"), "hunter2");
    assert!(tried.decided.iter().any(|d| d == "deny directory-read /rw/../secret outside"));
    assert!(tried.decided.iter().any(|d| d.starts_with("deny directory-read /rw/out ")));
    assert!(
        tried.decided.iter().any(|d| d == "deny directory-write /rw/made -> /etc/passwd outside")
    );
}

#[test]
fn odd_paths_are_refused() {
    let (_folder, grants) = scene();
    let read = |path: String| json!({ "do": "read", "in": "/rw", "path": path, "open": ["read"] });
    let tried = attempt(
        &grants[1..],
        &json!([
            read("file{nul}".into()),
            read("a/".repeat(10_000)),
            read("a/".repeat(300)),
            read("a".repeat(5000)),
            read("a".repeat(300)),
            read(String::new()),
            read("file/".into()),
            read("file/.".into()),
            read("file/../file".into()),
            read("full//inner".into()),
            { "do": "mkdir", "in": "/rw", "path": "x{nul}y" },
            { "do": "rename", "in": "/rw", "path": "file", "to": "a/".repeat(300) },
        ]),
    );
    let said: Vec<_> =
        tried.said.iter().map(|l| l.split_once(": ").map_or("", |(_, l)| l)).collect();
    assert_eq!(
        said[..5],
        ["invalid", "name-too-long", "name-too-long", "name-too-long", "name-too-long"]
    );
    assert!(said[5..9].iter().all(|line| !line.starts_with("ok")), "{said:?}");
    assert_eq!(said[9..], ["ok inner", "invalid", "name-too-long"]);
}

#[test]
fn what_the_host_keeps_is_not_the_guests() {
    let (folder, grants) = scene();
    folder.write("rw/.lockgate/state.db", "state");
    folder.write("rw/lockgate.toml", "policy");
    folder.write("rw/project/.lockgate/state.db", "state");
    symlink(".lockgate", folder.path().join("rw/alias")).expect("a link");
    let before = snapshot(&folder, "rw");
    let tried = attempt(
        &grants[1..],
        &json!([
            { "do": "read", "in": "/rw", "path": ".lockgate/state.db", "open": ["read"] },
            { "do": "open", "in": "/rw", "path": ".lockgate", "open": ["read", "directory"] },
            { "do": "read", "in": "/rw", "path": "alias/state.db", "open": ["read"] },
            { "do": "open", "in": "/rw", "path": "alias", "open": ["read", "directory"] },
            { "do": "write", "in": "/rw", "path": "alias/state.db", "open": ["write"], "bytes": 1 },
            { "do": "unlink", "in": "/rw", "path": "alias/state.db" },
            { "do": "rename", "in": "/rw", "path": "alias/state.db", "to": "mine" },
            { "do": "rename", "in": "/rw", "path": "file", "to": "alias/state.db" },
            { "do": "link", "in": "/rw", "path": "alias/state.db", "to": "mine" },
            { "do": "mkdir", "in": "/rw", "path": "alias/made/" },
            { "do": "write", "in": "/rw", "path": "lockgate.toml", "open": ["write"], "bytes": 1 },
            { "do": "write", "in": "/rw", "path": "LockGate.toml", "open": ["write", "create"], "bytes": 1 },
            { "do": "unlink", "in": "/rw", "path": "project/.lockgate/state.db" },
            { "do": "rename", "in": "/rw", "path": ".lockgate", "to": "mine" },
            { "do": "rename", "in": "/rw", "path": "file", "to": "lockgate.toml" },
            { "do": "symlink", "in": "/rw", "path": "mine", "to": ".lockgate" },
            { "do": "link", "in": "/rw", "path": ".lockgate/state.db", "to": "mine" },
        ]),
    );
    assert!(tried.said.iter().all(|line| line.ends_with(": not-permitted")), "{tried:#?}");
    assert_eq!(snapshot(&folder, "rw"), before);
    let kept = tried.decided.iter().filter(|d| d.ends_with(" host-state")).count();
    assert_eq!(kept, tried.said.len(), "{tried:#?}");
}

#[test]
fn special_files_are_not_opened() {
    let (folder, grants) = scene();
    let pipe = folder.path().join("rw/pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("rw/socket"));
    // To open a pipe for reading would wait for a writer, longer than `check` may take.
    let tried = attempt(
        &grants[1..],
        &json!([
            { "do": "read", "in": "/rw", "path": "pipe", "open": ["read"] },
            { "do": "open", "in": "/rw", "path": "pipe", "open": ["write"] },
            { "do": "open", "in": "/rw", "path": "socket", "open": ["read"] },
        ]),
    );
    assert!(tried.said.iter().all(|line| line.ends_with(": not-permitted")), "{tried:#?}");
    assert!(
        tried.decided.iter().all(|d| d.starts_with("allow") || d.ends_with("special-file")),
        "{tried:#?}"
    );
}

#[test]
fn written_bytes_are_limited_whatever_the_way() {
    for how in [
        "write",
        "write-stream",
        "append-stream",
        "zeroes-stream",
        "nonblocking-stream",
        "set-size",
    ] {
        let (folder, grants) = scene();
        let limits = Limits { written_bytes: 100_000, ..Limits::default() };
        let step = json!({
            "do": how, "in": "/rw", "path": "grows{}", "open": ["write", "create"],
            "bytes": 30_000, "repeat": 100
        });
        let again = json!({ "do": how, "in": "/rw", "path": "last", "open": ["write", "create"], "bytes": 30_000 });
        let tried = try_with(&grants[1..], &limits, &json!([step, again])).expect("it runs");
        assert_eq!(tried.said, [format!("{how} 3: quota"), format!("{how}: quota")]);
        let sum: usize = (0..100).map(|n| folder.read(&format!("rw/grows{n}")).len()).sum();
        assert!((90_000..=100_000).contains(&sum), "{how}: {sum}");
        let denied: Vec<_> = tried.decided.iter().filter(|d| d.starts_with("deny")).collect();
        assert_eq!(denied, ["deny limit written-bytes limit written-bytes"]);
        assert!(tried.logs.iter().any(|l| l.contains("--limit written-bytes=")), "{tried:#?}");
    }
}

#[test]
fn created_files_are_limited_whatever_the_way() {
    for how in ["open", "mkdir", "symlink", "link"] {
        let (folder, grants) = scene();
        let limits = Limits { created_files: 10, ..Limits::default() };
        let (path, to) = if how == "link" { ("file", "new{}") } else { ("new{}", "file") };
        let tried = try_with(
            &grants[1..],
            &limits,
            &json!([
                // What is there already is not created.
                { "do": "open", "in": "/rw", "path": "file", "open": ["write", "create"], "repeat": 50 },
                { "do": "mkdir", "in": "/rw", "path": "full" },
                { "do": how, "in": "/rw", "path": path, "to": to, "open": ["write", "create"], "repeat": 50 },
            ]),
        )
        .expect("it runs");
        assert_eq!(tried.said[0], "open 50:");
        assert_eq!(tried.said[1], "mkdir: exist");
        assert_eq!(tried.said[2], format!("{how} 10: quota"));
        let new = |n: &u32| folder.path().join(format!("rw/new{n}")).symlink_metadata().is_ok();
        assert_eq!((0..50).filter(new).count(), 10);
        assert!(tried.decided.contains(&"deny limit created-files limit created-files".to_owned()));
    }
}

#[test]
fn open_files_are_limited_also_through_streams() {
    let open_now = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    for how in ["open", "read-stream", "append-stream", "preopens"] {
        let (_folder, grants) = scene();
        let limits = Limits { open_files: 20, ..Limits::default() };
        let before = open_now();
        let tried = try_with(
            &grants[1..],
            &limits,
            &json!([
                { "do": "read", "in": "/rw", "path": "file", "open": ["read"], "repeat": 100 },
                { "do": how, "in": "/rw", "path": "file", "open": ["read", "write"], "bytes": 1, "repeat": 100, "keep": true },
            ]),
        );
        match tried {
            // This call has no error of its own: it ends the operation.
            Err(error) if how == "preopens" => {
                assert!(error.to_string().contains("open-files"), "{error}");
            }
            tried => {
                let tried = tried.expect("it runs");
                assert_eq!(tried.said, ["read 100:".to_owned(), format!("{how} 19: quota")]);
                let deny = "deny limit open-files limit open-files".to_owned();
                assert!(tried.decided.contains(&deny));
            }
        }
        // Other tests of this process open files too: only what leaks is asked about.
        assert!(open_now() < before + 50, "{how} leaves files open");
    }
}

#[test]
fn the_disk_keeps_a_reserve() {
    for how in ["write", "write-stream", "set-size"] {
        let (folder, grants) = scene();
        let limits = Limits { disk_reserve_bytes: 1 << 60, ..Limits::default() };
        let step = json!([{ "do": how, "in": "/rw", "path": "new", "open": ["write", "create"], "bytes": 10 }]);
        let tried = try_with(&grants[1..], &limits, &step).expect("it runs");
        assert_eq!(tried.said, [format!("{how}: insufficient-space")]);
        assert_eq!(folder.read("rw/new"), "");
        let deny = "deny limit disk-reserve-bytes limit disk-reserve-bytes".to_owned();
        assert!(tried.decided.contains(&deny));
    }
}

#[test]
fn listings_have_a_measure() {
    let (folder, grants) = scene();
    for n in 0..1000 {
        folder.write(&format!("rw/many/{n:0200}"), "");
    }
    let limits = Limits { host_call_bytes: 200_000, ..Limits::default() };
    let list = json!([
        { "do": "list", "in": "/rw", "path": "many", "open": ["read", "directory"] },
        { "do": "list", "in": "/rw", "path": "full", "open": ["read", "directory"] },
    ]);
    let tried = try_with(&grants[1..], &limits, &list).expect("it runs");
    assert_eq!(tried.said, ["list: insufficient-memory", "list: ok inner"]);
    let tried = try_with(&grants[1..], &Limits::default(), &list).expect("it runs");
    assert_eq!(tried.said, ["list: ok 1000", "list: ok inner"]);
}

#[test]
fn some_directories_are_never_granted() {
    for host in ["/", "/proc", "/proc/self", "/sys", "/dev", "/dev/shm"] {
        let error = try_with(&[format!("{host}::/x:ro")], &Limits::default(), &json!([]));
        let error = error.expect_err("it is refused");
        assert_eq!((error.code(), error.exit()), ("GRANT_DIRECTORY", ExitClass::Refused), "{host}");
    }
    let cache = target().join("test-cache").display().to_string();
    let error = try_with(&[format!("{cache}::/x:rw")], &Limits::default(), &json!([]));
    assert!(error.expect_err("it is refused").to_string().contains("compile cache"));
    // A link is what it names.
    let folder = Folder::new();
    symlink("/proc", folder.path().join("innocent")).expect("a link");
    let error = try_with(&[grant(&folder, "innocent", "/x:ro")], &Limits::default(), &json!([]));
    assert_eq!(error.expect_err("it is refused").code(), "GRANT_DIRECTORY");
    folder.write("real/file", "here");
    symlink("real", folder.path().join("named")).expect("a link");
    let read = json!([{ "do": "read", "in": "/x", "path": "file", "open": ["read"] }]);
    assert_eq!(attempt(&[grant(&folder, "named", "/x:ro")], &read).said, ["read: ok here"]);
}

/// Somebody on the host flips a name between a directory inside and a link out of it.
#[test]
fn a_swapped_link_never_leads_out() {
    let (folder, grants) = scene();
    folder.write("outside/file", "hunter2");
    let root = folder.path().join("rw");
    std::fs::create_dir(root.join("inside")).expect("a directory");
    std::fs::write(root.join("inside/file"), "inside").expect("a file");
    symlink("inside", root.join("flips")).expect("a link");
    let stop = Arc::new(AtomicBool::new(false));
    let flipping = {
        let (stop, root) = (stop.clone(), root.clone());
        std::thread::spawn(move || {
            let mut flips = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let to = if flips.is_multiple_of(2) { "../outside" } else { "inside" };
                symlink(to, root.join("next")).expect("a link");
                std::fs::rename(root.join("next"), root.join("flips")).expect("a flip");
                flips += 1;
            }
            flips
        })
    };
    let mut read = 0;
    let mut steps = Vec::new();
    for _ in 0..500 {
        steps.push(json!({ "do": "read", "in": "/rw", "path": "flips/file", "open": ["read"] }));
        steps.push(json!({ "do": "stat", "in": "/rw", "path": "flips/file" }));
    }
    let limits = Limits { log_bytes: 64 << 20, ..Limits::default() };
    for _ in 0..10 {
        let tried = try_with(&grants[1..], &limits, &json!(steps)).expect("it runs");
        for line in &tried.said {
            let inside = line == "read: ok inside" || line == "stat: ok 6";
            read += u32::from(inside);
            assert!(inside || !line.contains(": ok"), "{line}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let flips = flipping.join().expect("it ends");
    assert!(read > 0 && flips > 100, "{read} reads and {flips} flips: nothing was tried");
}
