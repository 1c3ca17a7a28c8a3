//! A connector in `lockgate.toml`, and where components are looked up by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, ConnectorOptions, DockerImage, LocalExecutable, UsePython};

/// A table of `[sources.NAME]` or `[destinations.NAME]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawConnector {
    pub(super) connector: String,
    pub(super) config: Option<toml::Table>,
    pub(super) config_file: Option<PathBuf>,
    version: Option<String>,
    use_python: Option<Switch>,
    pip_url: Option<String>,
    local_executable: Option<Switch>,
    docker_image: Option<Switch>,
    component: Option<PathBuf>,
    #[serde(default)]
    no_executor: bool,
    #[serde(default)]
    use_host_network: bool,
    docker_local: Option<PathBuf>,
    #[serde(default)]
    docker_writable_root: bool,
    install_if_missing: Option<bool>,
    install_root: Option<PathBuf>,
    registry: Option<String>,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    allow_dir: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    #[serde(default)]
    allow_net: Vec<String>,
    #[serde(default)]
    allow_any_network: bool,
    #[serde(default)]
    tls_root: Vec<PathBuf>,
    sandbox: Option<String>,
    #[serde(default)]
    allow_missing_needs: bool,
    #[serde(default)]
    limits: BTreeMap<String, RawLimit>,
    max_memory: Option<String>,
    timeout: Option<String>,
}

/// What may be a text or a truth.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "it is neither true, false nor a text (a version stands in quotes)")]
enum Switch {
    Flag(bool),
    Text(String),
}

impl Switch {
    fn text(&self) -> &str {
        match self {
            Self::Flag(true) => "true",
            Self::Flag(false) => "false",
            Self::Text(text) => text,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a limit is neither a text nor a whole number")]
enum RawLimit {
    Text(String),
    Number(u64),
}

impl std::fmt::Display for RawLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl RawConnector {
    /// Everything but its name and configuration.
    pub(super) fn options(&self) -> Result<ConnectorOptions, ConfigError> {
        let text = |switch: &Option<Switch>| switch.as_ref().map(|s| s.text().to_owned());
        let local = text(&self.local_executable).map(|t| LocalExecutable::parse(&t)).transpose()?;
        let image = text(&self.docker_image).map(|t| DockerImage::parse(&t)).transpose()?;
        Ok(ConnectorOptions {
            version: self.version.clone(),
            use_python: text(&self.use_python).map(|t| UsePython::parse(&t)).transpose()?,
            pip_url: self.pip_url.clone(),
            local_executable: local.flatten(),
            docker_image: image.flatten(),
            component: self.component.clone(),
            no_executor: self.no_executor,
            use_host_network: self.use_host_network,
            docker_local: self.docker_local.clone(),
            docker_writable_root: self.docker_writable_root,
            install_if_missing: self.install_if_missing,
            install_root: self.install_root.clone(),
            registry: self.registry.clone(),
            offline: self.offline,
            allow_dir: self.allow_dir.clone(),
            env: self.env.clone(),
            allow_net: self.allow_net.clone(),
            allow_any_network: self.allow_any_network,
            tls_root: self.tls_root.clone(),
            sandbox: self.sandbox.clone(),
            allow_missing_needs: self.allow_missing_needs,
            limit: self.limits.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            max_memory: self.max_memory.clone(),
            timeout: self.timeout.clone(),
        })
    }
}

/// Where components are looked up by name in a project: `named`, or `components`; and in any case
/// where Lockgate itself keeps them.
#[must_use]
pub fn component_folders(project: &Path, named: Option<&[PathBuf]>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = match named {
        Some(named) => named.iter().map(|folder| project.join(folder)).collect(),
        None => vec![project.join("components")],
    };
    folders.push(project.join(".lockgate/components"));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<ConnectorOptions, String> {
        let raw: RawConnector =
            toml::from_str(&format!("connector = \"x\"\n{text}")).map_err(|e| e.to_string())?;
        raw.options().map_err(|e| e.to_string())
    }

    #[test]
    fn every_option_of_the_command_line() {
        let text = r#"
version = "1.2"
use-python = "3.11"
pip-url = "a b"
local-executable = true
docker-image = "x:1"
component = "x.wasm"
no-executor = true
use-host-network = true
docker-local = "local"
docker-writable-root = true
install-if-missing = false
install-root = "envs"
registry = "r.json"
offline = true
"#;
        let wanted = ConnectorOptions {
            version: Some("1.2".into()),
            use_python: Some(UsePython::Version("3.11".into())),
            pip_url: Some("a b".into()),
            local_executable: Some(LocalExecutable::True),
            docker_image: Some(DockerImage::Named("x:1".into())),
            component: Some("x.wasm".into()),
            no_executor: true,
            use_host_network: true,
            docker_local: Some("local".into()),
            docker_writable_root: true,
            install_if_missing: Some(false),
            install_root: Some("envs".into()),
            registry: Some("r.json".into()),
            offline: true,
            ..ConnectorOptions::default()
        };
        assert_eq!(options(text).unwrap(), wanted);
        assert_eq!(options("").unwrap(), ConnectorOptions::default());
        let nothing = "local-executable = false\ndocker-image = \"false\"";
        assert_eq!(options(nothing).unwrap(), ConnectorOptions::default());
    }

    #[test]
    fn a_version_is_no_number() {
        // As a number, 3.10 would be 3.1.
        let error = options("use-python = 3.10").unwrap_err();
        assert!(error.contains("in quotes"), "{error}");
    }

    #[test]
    fn folders() {
        let folders = |named| component_folders(Path::new("/p"), named);
        let own = PathBuf::from("/p/.lockgate/components");
        assert_eq!(folders(None), [PathBuf::from("/p/components"), own.clone()]);
        let named = ["a".into(), "/b".into()];
        assert_eq!(folders(Some(&named)), ["/p/a".into(), PathBuf::from("/b"), own.clone()]);
        assert_eq!(folders(Some(&[])), [own]);
    }
}
