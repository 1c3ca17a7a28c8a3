//! `lockgate new` and `lockgate build`: for those who write connectors.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::arguments::KindArgument;
use super::output::{CliError, Output};
use crate::author::{Language, build_project, new_project};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate new source source-orders --lang rust
  lockgate new destination destination-lake --lang python --into connectors

The project is complete: it builds, runs and keeps the rules of `lockgate validate` as it is. Its
README has the commands. A source reads a paged HTTP API, a destination appends to files.")]
pub(super) struct New {
    /// What it does
    #[arg(value_enum)]
    kind: KindArgument,
    /// Its name, which is also its folder's and its component's: small letters, digits and -
    name: String,
    /// What it is written in
    #[arg(long = "lang", value_enum, value_name = "LANGUAGE")]
    language: LanguageArgument,
    /// The folder that its own is made in
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    into: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LanguageArgument {
    Rust,
    Python,
    Javascript,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate build
  lockgate build connectors/source-orders

Builds with the tools of the project's language, which it names with the line that installs them
where they are missing: cargo for the target wasm32-wasip2; componentize-py, in .venv or on PATH; node,
with componentize-js in node_modules. The component is NAME.wasm in the project's folder.")]
pub(super) struct Build {
    /// The project's folder
    #[arg(default_value = ".", hide_default_value = true)]
    folder: PathBuf,
}

pub(super) fn new(call: &New, output: &Output) -> Result<(), CliError> {
    let language = match call.language {
        LanguageArgument::Rust => Language::Rust,
        LanguageArgument::Python => Language::Python,
        LanguageArgument::Javascript => Language::JavaScript,
    };
    let made = new_project(&call.into, call.kind.into(), language, &call.name)?;
    if output.is_json() {
        output.json(&json!({
            "folder": made.folder, "files": made.files, "commands": made.commands,
        }));
        return Ok(());
    }
    let folder = shown(&made.folder);
    let mut text = format!("made {folder}, {} files. Next:\n\n  cd {folder}\n", made.files.len());
    for command in &made.commands {
        text.push_str(&format!("  {command}\n"));
    }
    output.result(&text);
    Ok(())
}

/// A path without the `./` before it.
fn shown(path: &Path) -> String {
    let plain = path.strip_prefix(".").unwrap_or(path);
    plain.display().to_string()
}

pub(super) fn build(call: &Build, output: &Output) -> Result<(), CliError> {
    let built = build_project(&call.folder)?;
    if output.is_json() {
        output.json(&json!({
            "component": built.component,
            "bytes": built.bytes,
            "language": built.language.word(),
        }));
        return Ok(());
    }
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
    let component = built.component.strip_prefix(&here).unwrap_or(&built.component);
    output.result(&format!("{}, {} KiB\n", component.display(), built.bytes / 1024));
    Ok(())
}
