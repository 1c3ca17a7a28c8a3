//! What the program brings along: the examples that `lockgate new` copies, and the SDK that those in Rust
//! are built with.
//!
//! And with the feature `duckdb`, the program finds the library where it was linked from: it starts
//! itself again behind a fence, with an empty environment, so that `LD_LIBRARY_PATH` would not do.

#![expect(
    clippy::disallowed_methods,
    reason = "what cargo tells a build script is in the environment"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What new projects are made of.
const BROUGHT: [&str; 11] = [
    "Cargo.lock",
    "Cargo.toml",
    "guest-examples/destination-append",
    "guest-examples/destination-append-javascript",
    "guest-examples/destination-append-python",
    "guest-examples/source-pages",
    "guest-examples/source-pages-javascript",
    "guest-examples/source-pages-python",
    "sdk/Cargo.toml",
    "sdk/src",
    "sdk/wit",
];

/// What tools leave in the folders of examples.
const LEFT: [&str; 5] = ["node_modules", "target", ".venv", "__pycache__", "connector.wasm"];

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    println!("cargo::rerun-if-changed=build.rs");
    let wanted = std::env::var_os("CARGO_FEATURE_DUCKDB").is_some();
    if let Some(folder) = std::env::var_os("DUCKDB_LIB_DIR").filter(|_| wanted) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    for name in BROUGHT {
        println!("cargo::rerun-if-changed={name}");
        collect(&root, name.to_owned(), &mut files)?;
    }
    files.sort();
    let mut text = String::from("&[\n");
    for (name, path) in files {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    ({name:?}, include_str!({path:?})),");
    }
    text.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    std::fs::write(out.join("brought.rs"), text)
}

/// The files below a name, links followed.
fn collect(root: &Path, name: String, files: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
    let path = root.join(&name).canonicalize()?;
    if !path.is_dir() {
        // What is edited may be elsewhere, behind a link.
        println!("cargo::rerun-if-changed={}", path.display());
        files.push((name, path));
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let inner = entry?.file_name().to_string_lossy().into_owned();
        if !LEFT.contains(&inner.as_str()) {
            collect(root, format!("{name}/{inner}"), files)?;
        }
    }
    Ok(())
}
