//! Rules of the source that no lint has: where `unsafe` may be, and where programs are started.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where `unsafe` is, and why nothing else does. A folder ends in `/`.
const UNSAFE: &[(&str, &str)] = &[
    ("src/component/compiler.rs", "what happens between fork and exec"),
    ("src/component/runtime.rs", "compiled code, verified by the cache, is loaded"),
    ("src/executor/process/child.rs", "what happens between fork and exec"),
    ("src/executor/python/program.rs", "what happens between fork and exec"),
    ("src/sandbox/fence/", "the kernel's calls that fence in a process"),
    ("src/sync/worker/meter.rs", "the CPU clock of another thread"),
    ("src/sync/worker/serve.rs", "descriptors that a worker was given by number"),
    ("src/sync/worker/spawn.rs", "what happens between fork and exec"),
];

/// Where programs are started. A folder ends in `/`.
const PROGRAMS: &[(&str, &str)] = &[
    ("src/author/build.rs", "the tools of whoever builds a connector, in his own project"),
    ("src/component/compiler.rs", "this program, to compile behind a fence"),
    ("src/executor/docker/credentials.rs", "Docker's own programs that keep credentials"),
    ("src/executor/process/child.rs", "a connector that the operator named with exec:"),
    ("src/executor/process/guard.rs", "the watcher that ends a connector with the host"),
    (
        "src/executor/python/program.rs",
        "uv, and a Python to get it with: what installs a connector",
    ),
    ("src/executor/secrets/command.rs", "a command that the operator gets a secret from"),
    ("src/sandbox/fence/tests.rs", "the tests of the fence"),
    ("src/sync/worker/spawn.rs", "this program, for a sync of two components"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the host, by its name from the root, without comments.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).expect("below the root");
                let text = std::fs::read_to_string(&path).expect("a source file");
                let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
                let code = code.collect::<Vec<_>>().join("\n");
                found.push((name.display().to_string(), code));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    assert!(found.len() > 50, "the sources are not where they were");
    found
}

fn listed<'a>(list: &'a [(&str, &str)], file: &str) -> Option<&'a str> {
    let covers = |entry: &str| entry == file || (entry.ends_with('/') && file.starts_with(entry));
    list.iter().find(|(entry, _)| covers(entry)).map(|(entry, _)| *entry)
}

/// Where a word stands by itself.
fn words(code: &str, word: &str) -> usize {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    let alone = |at: usize| {
        let before = code[..at].chars().next_back().is_none_or(|c| !inside(c));
        before && code[at + word.len()..].chars().next().is_none_or(|c| !inside(c))
    };
    code.match_indices(word).filter(|(at, _)| alone(*at)).count()
}

#[test]
fn unsafe_is_where_it_is_listed_and_says_why() {
    let mut used = BTreeSet::new();
    for (file, code) in sources() {
        let blocks = words(&code, "unsafe");
        if blocks == 0 {
            continue;
        }
        let entry = listed(UNSAFE, &file);
        let entry = entry.unwrap_or_else(|| panic!("{file} has `unsafe` and is not on the list"));
        used.insert(entry);
        // Outside of the lint's own list of what it lets through.
        let expected = words(&code, "unsafe_code");
        assert!(expected > 0, "{file} has `unsafe` without #[expect(unsafe_code, reason = …)]");
        assert!(!code.contains("allow(unsafe_code"), "{file}: expect it, with a reason");
    }
    for (entry, _) in UNSAFE {
        let there = root().join(entry).exists();
        assert!(!there || used.contains(entry), "{entry} has no `unsafe` any more: take it off");
    }
}

#[test]
fn unsafe_is_denied_everywhere_else() {
    for file in ["src/lib.rs", "src/main.rs"] {
        let text = std::fs::read_to_string(root().join(file)).expect("a source file");
        let denied = ["#![deny(unsafe_code)]", "#![forbid(unsafe_code)]"];
        assert!(denied.iter().any(|line| text.contains(line)), "{file} does not deny unsafe code");
    }
}

#[test]
fn programs_are_started_where_it_is_listed() {
    for (file, code) in sources() {
        // What a module's own tests start is not the host.
        if file.ends_with("/tests.rs") {
            continue;
        }
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        if code.contains("Command::new(") {
            let entry = listed(PROGRAMS, &file);
            assert!(entry.is_some(), "{file} starts a program and is not on the list");
        }
    }
}

#[test]
fn no_interface_is_linked_wholesale_and_nothing_is_inherited() {
    for (file, code) in sources() {
        for word in ["inherit_stdio", "inherit_env", "inherit_network", "add_to_linker_async"] {
            assert!(!code.contains(word), "{file} has {word}");
        }
    }
}
