//! `lockgate connectors list|install|remove|info`: what is installed on this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::output::{CliError, Output, sized, table};
use super::store::host_here;
use crate::component::SystemResolver;
use crate::config::{ConfigError, ConnectorOptions, UsePython, requirement_words};
use crate::connector::{Host, Method};
use crate::executor::{
    Context, DockerExecutor, DockerSettings, PythonEnvironment, PythonEnvironments, PythonError,
    PythonExecutor, PythonSettings,
};
use crate::protocol::{Decision, Failure, Json, LogLevel, Observer};
use crate::registry::{IndexEntry, Registry, RegistryEntry, index};
use crate::runs::time;
use crate::sandbox::{one_line, printable, redacted};

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
    /// List the connectors that were installed, the components of this project, and those that come
    /// with Lockgate
    #[command(after_help = "Example:\n  lockgate connectors list --output json")]
    List,
    /// Install a connector: a Python package in an environment of its own, or an image
    #[command(after_help = "\
Examples:
  lockgate connectors install source-faker --version 7.2.1
  lockgate connectors install pip:airbyte-source-faker==7.2.1 --use-python 3.11
  lockgate connectors install docker:airbyte/destination-postgres:2.4.0

What a name means is decided as for any command (docs/connectors.md). What is there already is left as
it is. Variables that configure pip and uv (PIP_INDEX_URL,
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
    /// Print what is known of a connector: what was installed, and what the registry says
    #[command(after_help = "Example:\n  lockgate connectors info source-faker")]
    Info {
        /// A connector's name, pip:REQUIREMENT, or an environment as it is listed
        connector: String,
        /// The registry to ask: a URL or a file
        #[arg(long, value_name = "URL|FILE")]
        registry: Option<String>,
        /// Ask no registry over the network
        #[arg(long)]
        offline: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Install {
    /// A connector's name, pip:REQUIREMENT as pip reads it, or docker:IMAGE
    connector: String,
    /// The version: of its package, or the tag of its image
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// The Python to use: a version or a path; true for whichever there is
    #[arg(long, value_name = "PYTHON")]
    use_python: Option<String>,
    /// What is installed for that name, as pip reads it
    #[arg(long, value_name = "REQUIREMENT")]
    pip_url: Option<String>,
    /// The registry to ask: a URL or a file
    #[arg(long, value_name = "URL|FILE")]
    registry: Option<String>,
    /// Ask no registry over the network
    #[arg(long)]
    offline: bool,
    /// The kernel's fence around the installation: require, best-effort or off [default: require]
    #[arg(long, value_name = "LEVEL")]
    sandbox: Option<String>,
    /// Set a limit: install-time=20m
    #[arg(long, value_name = "NAME=VALUE")]
    limit: Vec<String>,
}

impl Install {
    fn options(&self, root: Option<&Path>) -> Result<ConnectorOptions, ConfigError> {
        Ok(ConnectorOptions {
            version: self.version.clone(),
            use_python: self.use_python.as_deref().map(UsePython::parse).transpose()?,
            pip_url: self.pip_url.clone(),
            registry: self.registry.clone(),
            offline: self.offline,
            install_root: root.map(Path::to_owned),
            sandbox: self.sandbox.clone(),
            limit: self.limit.clone(),
            ..ConnectorOptions::default()
        })
    }
}

pub(super) async fn run(call: &Connectors, output: &Output) -> Result<(), CliError> {
    let root = call.install_root.as_deref();
    let named = match &call.action {
        ConnectorsAction::Install(call) => call.connector.as_str(),
        _ => "",
    };
    let host = host_here(&[named])?;
    let of_root =
        ConnectorOptions { install_root: root.map(Path::to_owned), ..ConnectorOptions::default() };
    let environments = PythonEnvironments::at(host.install_root(&of_root));
    match &call.action {
        ConnectorsAction::List => list(&environments, &host, output),
        ConnectorsAction::Install(call) => install(call, root, &host, output).await,
        ConnectorsAction::Remove { connector, all } => {
            remove(&environments, connector, *all, output)
        }
        ConnectorsAction::Info { connector, registry, offline } => {
            let asked = ConnectorOptions {
                registry: registry.clone(),
                offline: *offline,
                ..ConnectorOptions::default()
            };
            info(&environments, connector, host.registry(&asked), output)
        }
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

fn list(all: &PythonEnvironments, host: &Host, output: &Output) -> Result<(), CliError> {
    let environments = all.list()?;
    let components = components(&host.component_folders());
    if output.is_json() {
        let components = components
            .iter()
            .map(|(name, path, size)| json!({ "name": name, "path": path, "size": size }));
        output.json(&json!({
            "root": all.root(),
            "environments": environments.iter().map(as_json).collect::<Vec<_>>(),
            "components": components.collect::<Vec<_>>(),
            "index": indexed(host),
        }));
        return Ok(());
    }
    if environments.is_empty() && components.is_empty() {
        output.note("no connector is installed here, and there are those that come with Lockgate");
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
    text.push_str("with Lockgate\n");
    text.push_str(&of_index(host));
    output.result(&printable(&text));
    Ok(())
}

/// What comes with Lockgate, for people.
fn of_index(host: &Host) -> String {
    let head = ["name", "status", "modes", "needs", "component", "about"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(index().iter().map(|(name, entry)| {
        let component = host.shipped(name).map(|path| path.display().to_string());
        vec![
            name.clone(),
            entry.status.word().to_owned(),
            entry.modes.join(", "),
            if entry.needs.is_empty() { "nothing".to_owned() } else { entry.needs.join(", ") },
            component.unwrap_or_else(|| format!("scripts/build-guests {name}")),
            entry.about.clone(),
        ]
    }));
    table(&rows, &[])
}

/// What comes with Lockgate, for machines.
fn indexed(host: &Host) -> Vec<Indexed> {
    let all = index().iter();
    all.map(|(name, entry)| Indexed { name, entry, component: host.shipped(name) }).collect()
}

/// An entry of the index, and where it is here.
#[derive(Serialize)]
struct Indexed {
    name: &'static str,
    #[serde(flatten)]
    entry: &'static IndexEntry,
    component: Option<PathBuf>,
}

async fn install(
    call: &Install,
    root: Option<&Path>,
    host: &Host,
    output: &Output,
) -> Result<(), CliError> {
    let options = call.options(root)?;
    let policy = options.policy(host.folder(), &Json::empty_object())?;
    let choice = host.resolve(&call.connector, &options, None)?;
    output.warned(&call.connector, &choice);
    let observer = Arc::new(Progress(*output));
    match choice.method {
        Method::Python(settings) => {
            let settings = PythonSettings { install: true, ..settings };
            let executor = PythonExecutor::new(settings, policy, host.folder().to_owned())?;
            let environment = executor.install(observer).await?;
            if output.is_json() {
                output.json(&as_json(&environment));
            } else {
                let (manifest, folder) = (&environment.manifest, environment.folder.display());
                output.result(&printable(&format!("{}\n  {folder}\n", manifest.reference())));
            }
        }
        Method::Docker(settings) => {
            let settings = DockerSettings { pull: true, ..settings };
            let image = settings.image.clone();
            let executor = DockerExecutor::new(settings, policy, Arc::new(SystemResolver))?;
            let digest = executor.install(&Context::new(observer)).await?;
            if output.is_json() {
                output.json(&json!({ "image": image, "digest": digest }));
            } else {
                output.result(&printable(&format!("{image}\n  {digest}\n")));
            }
        }
        method => {
            let target = method.target();
            if output.is_json() {
                output.json(&json!({ "method": method.word(), "target": target }));
            } else {
                output.note(&format!("there is nothing to install: {target} ({})", choice.why));
            }
        }
    }
    Ok(())
}

fn found(all: &PythonEnvironments, connector: &str) -> Result<Vec<PythonEnvironment>, PythonError> {
    let name = connector.strip_prefix("pip:").unwrap_or(connector);
    // What cannot be read as a requirement may be a name all the same.
    let words = requirement_words("pip:", name).unwrap_or_default();
    all.named(name, &words)
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
        return Err(PythonError::Several { name: redacted(connector), ids }.into());
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

fn info(
    all: &PythonEnvironments,
    connector: &str,
    registry: Option<Registry>,
    output: &Output,
) -> Result<(), CliError> {
    let found = found(all, connector);
    // What is no name of the registry's is not asked for.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let registry = registry.filter(|_| connector.chars().all(plain));
    let entry = registry.map(|registry| registry.entry(connector));
    if let (Err(PythonError::Unknown { .. }), Some(Ok(entry))) = (&found, &entry) {
        match output.is_json() {
            true => output.json(&json!({ "installed": [], "registry": registered(entry) })),
            false => output.result(&printable(&registered_text(entry))),
        }
        return Ok(());
    }
    let found = found?;
    let entry = match entry {
        Some(Err(error)) => {
            output.note(&format!("the registry was not heard: {error}"));
            None
        }
        Some(Ok(entry)) => Some(entry),
        None => None,
    };
    if output.is_json() {
        let installed = found.iter().map(as_json).collect::<Vec<_>>();
        let registry = entry.as_ref().map(registered);
        output.json(&json!({ "installed": installed, "registry": registry }));
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
    if let Some(entry) = &entry {
        text.push_str(&registered_text(entry));
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

fn registered(entry: &RegistryEntry) -> Value {
    json!({
        "name": entry.name,
        "kind": if entry.is_source { "source" } else { "destination" },
        "version": entry.version,
        "image": entry.image,
        "python_package": entry.python_package,
        "language": entry.language,
        "support_level": entry.support_level,
        "documentation_url": entry.documentation_url,
    })
}

fn registered_text(entry: &RegistryEntry) -> String {
    let fact =
        |name: &str, value: Option<&str>| value.map(|value| vec![name.to_owned(), one_line(value)]);
    let facts = [
        fact("version", Some(&entry.version)),
        fact("image", Some(&entry.image)),
        fact("Python package", entry.python_package.as_deref()),
        fact("language", entry.language.as_deref()),
        fact("support level", entry.support_level.as_deref()),
        fact("documentation", entry.documentation_url.as_deref()),
    ];
    let facts: Vec<_> = facts.into_iter().flatten().collect();
    format!("{}, in the registry\n{}", one_line(&entry.name), table(&facts, &[]))
}

/// The components of a project: name, file, bytes.
fn components(folders: &[PathBuf]) -> Vec<(String, PathBuf, u64)> {
    let mut found = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
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
