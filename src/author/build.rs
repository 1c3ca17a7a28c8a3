//! What makes a component of a project: the tools of its language, which are the author's own, started as
//! the author would.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::project::install;
use super::{AuthorError, Language};

/// A component that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The component.
    pub component: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it is written in.
    pub language: Language,
}

/// The target of components.
const TARGET: &str = "wasm32-wasip2";

/// The package that makes components of JavaScript.
const COMPONENTIZE_JS: &str = "node_modules/@bytecodealliance/componentize-js";

fn io(path: &Path, error: &dyn std::fmt::Display) -> AuthorError {
    AuthorError::Io { path: path.to_owned(), reason: error.to_string() }
}

/// Builds the connector in a folder to `NAME.wasm` in it. What the tools say goes to stderr.
///
/// # Errors
/// [`AuthorError`]; a tool that is missing is named, with the line that installs it.
pub fn build_project(folder: &Path) -> Result<Built, AuthorError> {
    let folder = &folder.canonicalize().map_err(|e| io(folder, &e))?;
    let has = |file: &str| folder.join(file).exists();
    let (language, made, name) = if has("Cargo.toml") {
        let (made, name) = rust(folder)?;
        (Language::Rust, made, name)
    } else if has("connector.py") {
        let name = folder_name(folder)?;
        python(folder)?;
        (Language::Python, folder.join("connector.wasm"), name)
    } else if has("package.json") && has("build.js") {
        let name = folder_name(folder)?;
        javascript(folder)?;
        (Language::JavaScript, folder.join("connector.wasm"), name)
    } else {
        let why = "it has no Cargo.toml, no connector.py, and no package.json with a build.js";
        return Err(AuthorError::NoProject { path: folder.clone(), why: why.into() });
    };
    let component = folder.join(format!("{name}.wasm"));
    // A rename, so that nobody reads half a component.
    let partial = folder.join(format!(".{name}.wasm.partial"));
    std::fs::copy(&made, &partial).map_err(|e| io(&made, &e))?;
    std::fs::rename(&partial, &component).map_err(|e| io(&component, &e))?;
    if made.parent() == Some(folder) && made != component {
        std::fs::remove_file(&made).map_err(|e| io(&made, &e))?;
    }
    let bytes = std::fs::metadata(&component).map_err(|e| io(&component, &e))?.len();
    Ok(Built { component, bytes, language })
}

/// The name of a project that has none in a manifest.
fn folder_name(folder: &Path) -> Result<String, AuthorError> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    name.ok_or_else(|| AuthorError::NoProject {
        path: folder.to_owned(),
        why: "it has no name".into(),
    })
}

fn missing(tool: &'static str, language: Language, with: Option<&str>) -> AuthorError {
    let install = with.unwrap_or_else(|| install(language)).to_owned();
    AuthorError::Tool { tool, language: language.word(), install }
}

/// Runs a program in the folder; `absent` is the error where it is not there.
fn run(folder: &Path, mut program: Command, absent: AuthorError) -> Result<(), AuthorError> {
    let tool = program.get_program().to_string_lossy().into_owned();
    // stdout is for the result.
    program.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr()));
    match program.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(AuthorError::Failed { tool, status: status.to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(absent),
        Err(error) => Err(AuthorError::Failed { tool, status: error.to_string() }),
    }
}

/// The package's component and its name.
fn rust(folder: &Path) -> Result<(PathBuf, String), AuthorError> {
    let manifest = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(|e| io(&manifest, &e))?;
    let read: toml::Table = toml::from_str(&text).map_err(|e| io(&manifest, &e.message()))?;
    let name = read.get("package").and_then(|p| p.get("name")).and_then(toml::Value::as_str);
    let Some(name) = name.map(str::to_owned) else {
        let why = "its Cargo.toml names no package".to_owned();
        return Err(AuthorError::NoProject { path: folder.to_owned(), why });
    };
    let rustup = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";
    if !has_target(folder) {
        // No Rust at all, or one without the target.
        let absent = missing("cargo", Language::Rust, Some(rustup));
        run(folder, quiet("cargo", &["--version"]), absent)?;
        return Err(missing("the target wasm32-wasip2", Language::Rust, None));
    }
    let mut cargo = Command::new("cargo");
    // A folder of its own: where another is set, the result would be searched in vain.
    cargo.args(["build", "--release", "--target", TARGET, "--target-dir", "target"]);
    run(folder, cargo, missing("cargo", Language::Rust, Some(rustup)))?;
    let file = format!("{}.wasm", name.replace('-', "_"));
    Ok((folder.join("target").join(TARGET).join("release").join(file), name))
}

fn quiet(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Whether the toolchain has a standard library for components.
fn has_target(folder: &Path) -> bool {
    let mut rustc = quiet("rustc", &["--print", "target-libdir", "--target", TARGET]);
    let output = rustc.current_dir(folder).stdin(Stdio::null()).output();
    let Ok(output) = output else { return false };
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let mut found = std::fs::read_dir(libraries).into_iter().flatten().flatten();
    found.any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

fn python(folder: &Path) -> Result<(), AuthorError> {
    // An environment of the project comes first.
    let own = folder.join(".venv/bin/componentize-py");
    let mut tool = if own.exists() { Command::new(own) } else { Command::new("componentize-py") };
    tool.args(["--wit-path", "wit", "--world", "connector"]);
    tool.args(["componentize", "connector", "--output", "connector.wasm"]);
    run(folder, tool, missing("componentize-py", Language::Python, None))
}

fn javascript(folder: &Path) -> Result<(), AuthorError> {
    let node = "https://nodejs.org, or apt-get install nodejs npm";
    if !folder.join(COMPONENTIZE_JS).exists() {
        return Err(missing("componentize-js", Language::JavaScript, None));
    }
    run(folder, quiet("node", &["build.js"]), missing("node", Language::JavaScript, Some(node)))
}
