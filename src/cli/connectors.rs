//! `lockgate connectors list|install|remove|info`: what is installed on this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{CliError, Output, sized, table};
use super::store::{here, state_folder};
use crate::config::{ConfigError, set_limit};
use crate::executor::{
    Interpreter, PythonEnvironment, PythonEnvironments, PythonError, PythonExecutor,
    PythonSettings, connector_name,
};
use crate::protocol::{Decision, Failure, Json, LogLevel, Observer};
use crate::runs::time;
use crate::sandbox::{Policy, one_line, printable};

/// Where components are, beside `lockgate.toml`.
const COMPONENTS: [&str; 2] = ["components", ".lockgate/components"];

#[derive(Debug, Args)]
pub(super) struct Connectors {
    #[command(subcommand)]
    pub(super) action: ConnectorsAction,
    /// The folder that Python environments are in [default: .lockgate/python beside lockgate.toml,
    /// or in the current folder]
    #[arg(long, global = true, value_name = "DIR")]
    install_root: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConnectorsAction {
    /// List the connectors that were installed, and the components of this project
    #[command(after_help = "Example:\n  lockgate connectors list --output json")]
    List,
    /// Install a connector that is a Python package, in an environment of its own
    #[command(after_help = "\
Examples:
  lockgate connectors install source-faker --version 7.2.1
  lockgate connectors install pip:airbyte-source-faker==7.2.1 --use-python 3.11

What is there already is left as it is. Variables that configure pip and uv (PIP_INDEX_URL,
UV_DEFAULT_INDEX, HTTPS_PROXY, ...) and pip's own files say which index is asked.")]
    Install(Install),
    /// Remove what was installed
    #[command(after_help = "\
Examples:
  lockgate connectors remove source-faker
  lockgate connectors remove source-faker --all     every version of it")]
    Remove {
        /// A connector's name, pip:REQUIREMENT, or an environment as it is listed
        connector: String,
        /// All of that name
        #[arg(long)]
        all: bool,
    },
    /// Print what was installed for a connector: packages, sizes, places
    #[command(after_help = "Example:\n  lockgate connectors info source-faker")]
    Info {
        /// A connector's name, pip:REQUIREMENT, or an environment as it is listed
        connector: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Install {
    /// A connector's name, for its package airbyte-NAME, or pip:REQUIREMENT as pip reads it
    connector: String,
    /// The version of its package
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// The Python to use: a version or a path
    #[arg(long, value_name = "PYTHON")]
    use_python: Option<String>,
    /// The kernel's fence around the installation: require, best-effort or off [default: require]
    #[arg(long, value_name = "LEVEL")]
    sandbox: Option<String>,
    /// Set a limit: install-time=20m
    #[arg(long, value_name = "NAME=VALUE")]
    limit: Vec<String>,
}

pub(super) async fn run(call: &Connectors, output: &Output) -> Result<(), CliError> {
    let here = here()?;
    let environments = match &call.install_root {
        Some(root) => PythonEnvironments::at(here.join(root)),
        None => PythonEnvironments::of_project(&state_folder(&here)),
    };
    match &call.action {
        ConnectorsAction::List => list(&environments, &here, output),
        ConnectorsAction::Install(call) => install(call, &environments, here, output).await,
        ConnectorsAction::Remove { connector, all } => {
            remove(&environments, connector, *all, output)
        }
        ConnectorsAction::Info { connector } => info(&environments, connector, output),
    }
}

/// Says on stderr what happens while something is installed.
struct Progress(Output);

#[async_trait]
impl Observer for Progress {
    fn log(&self, level: LogLevel, message: &str) {
        if level > LogLevel::Debug || self.0.verbose {
            self.0.note(message);
        }
    }

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, _: &Decision) {}
}

fn list(all: &PythonEnvironments, here: &Path, output: &Output) -> Result<(), CliError> {
    let environments = all.list()?;
    let components = components(&state_folder(here));
    if output.is_json() {
        let components = components
            .iter()
            .map(|(name, path, size)| json!({ "name": name, "path": path, "size": size }));
        output.json(&json!({
            "root": all.root(),
            "environments": environments.iter().map(as_json).collect::<Vec<_>>(),
            "components": components.collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    if environments.is_empty() && components.is_empty() {
        output.note("no connector is installed here");
        return Ok(());
    }
    let mut text = String::new();
    if !environments.is_empty() {
        let head = ["name", "requirement", "version", "python", "size", "last used", "environment"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(environments.iter().map(|environment| {
            let manifest = &environment.manifest;
            vec![
                manifest.name.clone(),
                manifest.requirement.join(" "),
                manifest.version.clone().unwrap_or_else(|| "-".into()),
                manifest.python.clone(),
                sized(manifest.size),
                environment.used_ms.map_or_else(|| "-".to_owned(), when),
                manifest.id.clone(),
            ]
        }));
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
        text.push_str(&table(&rows, &[4]));
    }
    if !components.is_empty() {
        let rows = components.iter().map(|(name, path, size)| {
            vec![one_line(name), sized(*size), one_line(&path.display().to_string())]
        });
        text.push_str("components\n");
        text.push_str(&table(&rows.collect::<Vec<_>>(), &[1]));
    }
    output.result(&printable(&text));
    Ok(())
}

async fn install(
    call: &Install,
    environments: &PythonEnvironments,
    here: PathBuf,
    output: &Output,
) -> Result<(), CliError> {
    let (name, requirement) = asked(&call.connector, call.version.as_deref())?;
    let mut policy = Policy::default();
    if let Some(level) = &call.sandbox {
        policy.fence = level.parse().map_err(ConfigError::from)?;
    }
    for pair in &call.limit {
        let (limit, text) = pair.split_once('=').unwrap_or((pair, ""));
        set_limit(&mut policy.limits, limit.trim(), text.trim())?;
    }
    let settings = PythonSettings {
        name,
        requirement,
        interpreter: call.use_python.as_deref().map_or(Interpreter::Any, interpreter),
        root: environments.root().to_owned(),
        install: true,
    };
    let executor = PythonExecutor::new(settings, policy, here)?;
    let environment = executor.install(Arc::new(Progress(*output))).await?;
    if output.is_json() {
        output.json(&as_json(&environment));
    } else {
        let (manifest, folder) = (&environment.manifest, environment.folder.display());
        output.result(&printable(&format!("{}\n  {folder}\n", manifest.reference())));
    }
    Ok(())
}

/// A connector's name and the words of its requirement.
fn asked(connector: &str, version: Option<&str>) -> Result<(String, Vec<String>), CliError> {
    let usage = |what: String| Err(ConfigError::Usage(what).into());
    if let Some(requirement) = connector.strip_prefix("pip:") {
        if version.is_some() {
            let what =
                "--version and pip:REQUIREMENT name a version each: write pip:PACKAGE==VERSION";
            return usage(what.into());
        }
        let words: Vec<String> = requirement.split_whitespace().map(str::to_owned).collect();
        return Ok((connector_name(&words), words));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if connector.is_empty() || !connector.chars().all(plain) {
        return usage(format!("{connector:?} is neither a connector's name nor pip:REQUIREMENT"));
    }
    let package = format!("airbyte-{connector}");
    Ok((
        connector.to_owned(),
        vec![match version {
            Some(version) if version != "latest" => format!("{package}=={version}"),
            _ => package,
        }],
    ))
}

/// `3.11`, or a path.
fn interpreter(text: &str) -> Interpreter {
    match text {
        "true" => Interpreter::Any,
        path if path.contains('/') => Interpreter::Path(path.into()),
        version => Interpreter::Version(version.to_owned()),
    }
}

fn found(all: &PythonEnvironments, connector: &str) -> Result<Vec<PythonEnvironment>, PythonError> {
    let name = connector.strip_prefix("pip:").unwrap_or(connector);
    all.named(name.split_whitespace().collect::<Vec<_>>().join(" ").as_str())
}

fn remove(
    all: &PythonEnvironments,
    connector: &str,
    every: bool,
    output: &Output,
) -> Result<(), CliError> {
    let found = found(all, connector)?;
    let ids: Vec<String> = found.iter().map(|e| e.manifest.id.clone()).collect();
    if ids.len() > 1 && !every {
        return Err(PythonError::Several { name: connector.to_owned(), ids }.into());
    }
    for environment in &found {
        all.remove(&environment.manifest.id)?;
        let freed = sized(environment.manifest.size);
        output.note(&format!("removed {} ({freed})", environment.manifest.id));
    }
    if output.is_json() {
        output.json(&json!({ "removed": ids }));
    }
    Ok(())
}

fn info(all: &PythonEnvironments, connector: &str, output: &Output) -> Result<(), CliError> {
    let found = found(all, connector)?;
    if output.is_json() {
        output.json(&found.iter().map(as_json).collect::<Vec<_>>());
        return Ok(());
    }
    let mut text = String::new();
    for environment in &found {
        let manifest = &environment.manifest;
        let fact = |name: &str, value: String| vec![name.to_owned(), one_line(&value)];
        let mut facts = vec![
            fact("requirement", manifest.requirement.join(" ")),
            fact("version", manifest.version.clone().unwrap_or_else(|| "-".into())),
            fact("python", format!("{} ({})", manifest.python, manifest.interpreter)),
            fact("folder", environment.folder.display().to_string()),
            fact("size", sized(manifest.size)),
            fact("programs", manifest.programs.join(", ")),
            fact("made", format!("{} by uv {}", when(manifest.created_ms), manifest.uv)),
            fact("last used", environment.used_ms.map_or_else(|| "-".to_owned(), when)),
            fact("digest", manifest.digest.clone()),
        ];
        facts.retain(|fact| !fact[1].is_empty());
        text.push_str(&format!("{}\n{}", one_line(&manifest.id), table(&facts, &[])));
        text.push_str(&format!("  {} packages\n", manifest.packages.len()));
        for package in &manifest.packages {
            text.push_str(&format!("    {}\n", one_line(package)));
        }
    }
    output.result(&printable(&text));
    Ok(())
}

fn as_json(environment: &PythonEnvironment) -> Value {
    let manifest = &environment.manifest;
    json!({
        "name": manifest.name,
        "environment": manifest.id,
        "folder": environment.folder,
        "requirement": manifest.requirement,
        "version": manifest.version,
        "interpreter": manifest.interpreter,
        "python": manifest.python,
        "uv": manifest.uv,
        "programs": manifest.programs.iter().map(|p| environment.folder.join("bin").join(p)).collect::<Vec<_>>(),
        "packages": manifest.packages,
        "digest": manifest.digest,
        "size": manifest.size,
        "created_at": time(manifest.created_ms),
        "last_used_at": environment.used_ms.map(time),
    })
}

/// The components of a project: name, file, bytes.
fn components(project: &Path) -> Vec<(String, PathBuf, u64)> {
    let mut found = Vec::new();
    for folder in COMPONENTS {
        for entry in std::fs::read_dir(project.join(folder)).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_component = path.extension().is_some_and(|e| e == "wasm");
            let (Some(name), Ok(facts)) = (path.file_stem(), std::fs::metadata(&path)) else {
                continue;
            };
            if is_component && facts.is_file() {
                found.push((name.to_string_lossy().into_owned(), path.clone(), facts.len()));
            }
        }
    }
    found.sort();
    found
}

/// To the second, for people.
fn when(ms: u64) -> String {
    time(ms).get(..19).map_or_else(String::new, |text| text.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        let words = |connector, version| {
            asked(connector, version).map(|(name, words)| (name, words.join("|"))).ok()
        };
        let of = |name: &str, words: &str| Some((name.to_owned(), words.to_owned()));
        assert_eq!(words("source-faker", None), of("source-faker", "airbyte-source-faker"));
        assert_eq!(words("source-x", Some("1.2")), of("source-x", "airbyte-source-x==1.2"));
        assert_eq!(words("source-x", Some("latest")), of("source-x", "airbyte-source-x"));
        assert_eq!(words("pip:airbyte-source-x==1", None), of("source-x", "airbyte-source-x==1"));
        assert_eq!(words("pip:--pre source-y", None), of("source-y", "--pre|source-y"));
        assert_eq!(words("pip:x", Some("1")), None);
        for bad in ["", "a b", "x.wasm", "a/b", "exec:x", "x==1"] {
            assert_eq!(words(bad, None), None, "{bad}");
        }
        assert_eq!(interpreter("3.11"), Interpreter::Version("3.11".into()));
        assert_eq!(interpreter("./bin/python"), Interpreter::Path("./bin/python".into()));
    }
}
