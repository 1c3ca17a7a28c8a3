//! `lockgate.toml`: sources, destinations, and the connections between them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::connector::RawConnector;
use super::streams::{RawStreamOptions, StreamOptions};
use super::{ConfigError, ConfigPlace, ConnectorOptions, component_folders, read_json_object};
use crate::protocol::Json;

/// The project file's name.
const FILE: &str = "lockgate.toml";

/// Which streams to move.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum StreamSelection {
    /// All that the source offers.
    #[default]
    All,
    /// Those named: `name` or `namespace.name`.
    Named(Vec<String>),
}

impl StreamSelection {
    /// `*`, or names with commas between them.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "*" => Self::All,
            names => Self::Named(names.split(',').map(|n| n.trim().to_owned()).collect()),
        }
    }
}

/// Where a sync of two components runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// In a process of its own, without interruption inside: its supervisor kills it.
    Worker,
    /// In the host's process, interrupted by epochs.
    InProcess,
}

/// How a destination should treat what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// What suits each stream and both connectors.
    #[default]
    Auto,
    /// Add.
    Append,
    /// Replace all.
    Replace,
    /// Replace by primary key.
    Merge,
}

/// One connector of a connection.
#[derive(Debug, Clone)]
pub struct ConnectorSettings {
    /// Its name in the file: `faker` of `[sources.faker]`.
    pub key: String,
    /// How it is named.
    pub connector: String,
    /// Its configuration.
    pub config: Json,
    /// Grants and limits.
    pub options: ConnectorOptions,
}

/// One connection.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// Its name: the key of its states.
    pub name: String,
    /// Where rows come from.
    pub source: ConnectorSettings,
    /// Where they go.
    pub destination: ConnectorSettings,
    /// Which streams.
    pub streams: StreamSelection,
    /// How to write.
    pub strategy: Strategy,
    /// Read everything again.
    pub full_refresh: bool,
    /// What is said of single streams, by `name` or `namespace.name`.
    pub stream_options: BTreeMap<String, StreamOptions>,
    /// How often a sync is tried that fails for a reason that may pass; none: the default.
    pub attempts: Option<u32>,
    /// Where it runs; none: in a worker, if both are components.
    pub isolation: Option<Isolation>,
    /// Where its states are kept, as `--state` has it; none: in the default store.
    pub state: Option<String>,
    /// Where records are kept on their way, as `--cache` names it; none: nowhere.
    pub cache: Option<String>,
}

/// A project file.
#[derive(Debug, Clone)]
pub struct Project {
    path: PathBuf,
    raw: RawProject,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProject {
    #[serde(default)]
    sources: BTreeMap<String, RawConnector>,
    #[serde(default)]
    destinations: BTreeMap<String, RawConnector>,
    #[serde(default)]
    connections: BTreeMap<String, RawConnection>,
    #[serde(default)]
    components: RawComponents,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawComponents {
    directories: Option<Vec<PathBuf>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawConnection {
    source: String,
    destination: String,
    streams: Option<RawStreams>,
    #[serde(default)]
    strategy: Strategy,
    #[serde(default)]
    full_refresh: bool,
    #[serde(default, alias = "stream_options")]
    stream_options: BTreeMap<String, RawStreamOptions>,
    attempts: Option<NonZeroU32>,
    isolation: Option<Isolation>,
    state: Option<String>,
    cache: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "streams is neither a text nor an array of texts")]
enum RawStreams {
    One(String),
    Many(Vec<String>),
}

impl Project {
    /// The project file of a folder, or of the nearest folder above.
    ///
    /// # Errors
    /// [`ConfigError::NoProject`] when there is none, others when it cannot be read.
    pub fn find(from: &Path) -> Result<Self, ConfigError> {
        let file = from.ancestors().map(|folder| folder.join(FILE)).find(|file| file.is_file());
        Self::read(&file.ok_or(ConfigError::NoProject)?)
    }

    /// A project file by its path.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::Unreadable {
            path: path.to_owned(),
            reason: e.to_string(),
        })?;
        Self::parse(path, &text)
    }

    /// A project file's text, as if it stood at this path.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let raw = toml::from_str(text).map_err(|e| ConfigError::Malformed {
            place: place(path, text, e.span()),
            // `message` leaves out the excerpt, which may hold a secret.
            reason: without_values(e.message()),
        })?;
        Ok(Self { path: path.to_owned(), raw })
    }

    /// The folder of the file: relative paths in it begin there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Where components are looked up by name: the `directories` of its `[components]`, or
    /// `components` beside it; then `.lockgate/components`.
    #[must_use]
    pub fn component_folders(&self) -> Vec<PathBuf> {
        component_folders(self.folder(), self.raw.components.directories.as_deref())
    }

    /// The names of the connections.
    #[must_use]
    pub fn connections(&self) -> Vec<&str> {
        self.raw.connections.keys().map(String::as_str).collect()
    }

    /// Where the states of a connection are kept, and where its records are on their way, as far as the
    /// file has it and says so.
    #[must_use]
    pub fn stores_of(&self, connection: &str) -> (Option<&str>, Option<&str>) {
        let raw = self.raw.connections.get(connection);
        raw.map_or((None, None), |raw| (raw.state.as_deref(), raw.cache.as_deref()))
    }

    /// A connection by its name; without a name, the only one.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn connection(&self, name: Option<&str>) -> Result<ConnectionSettings, ConfigError> {
        let known = || self.connections().join(", ");
        let (name, raw) = match name {
            Some(name) => self
                .raw
                .connections
                .get_key_value(name)
                .ok_or_else(|| self.unknown("connection", name, self.raw.connections.keys()))?,
            None => {
                let mut all = self.raw.connections.iter();
                match (all.next(), all.next()) {
                    (Some(only), None) => only,
                    (None, _) => {
                        let what = format!("{} has no connection", self.path.display());
                        return Err(ConfigError::Usage(what));
                    }
                    _ => {
                        let file = self.path.display();
                        let what = format!("{file} has several connections; name one: {}", known());
                        return Err(ConfigError::Usage(what));
                    }
                }
            }
        };
        let side = |what, all: &BTreeMap<String, RawConnector>, key: &str| {
            let raw = all.get(key).ok_or_else(|| self.unknown(what, key, all.keys()))?;
            self.connector(what, key, raw)
        };
        let stream_options = raw.stream_options.iter().map(|(stream, raw)| {
            let options = raw.clone().options().map_err(|reason| ConfigError::Malformed {
                place: format!(
                    "{}: connections.{name}.stream-options.{stream:?}",
                    self.path.display()
                ),
                reason: reason.to_owned(),
            });
            Ok((stream.clone(), options?))
        });
        Ok(ConnectionSettings {
            name: name.clone(),
            source: side("source", &self.raw.sources, &raw.source)?,
            destination: side("destination", &self.raw.destinations, &raw.destination)?,
            streams: match &raw.streams {
                None => StreamSelection::All,
                Some(RawStreams::One(text)) => StreamSelection::parse(text),
                Some(RawStreams::Many(names)) if names.is_empty() => {
                    return Err(ConfigError::Malformed {
                        place: format!("{}: connections.{name}.streams", self.path.display()),
                        reason: "it names no stream; leave it out for all".to_owned(),
                    });
                }
                Some(RawStreams::Many(names)) => StreamSelection::Named(names.clone()),
            },
            strategy: raw.strategy,
            full_refresh: raw.full_refresh,
            stream_options: stream_options.collect::<Result<_, ConfigError>>()?,
            attempts: raw.attempts.map(NonZeroU32::get),
            isolation: raw.isolation,
            state: raw.state.clone(),
            cache: raw.cache.clone(),
        })
    }

    /// A source by its name in the file, if it has one of that name.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn source(&self, key: &str) -> Result<Option<ConnectorSettings>, ConfigError> {
        let raw = self.raw.sources.get(key);
        raw.map(|raw| self.connector("source", key, raw)).transpose()
    }

    fn connector(
        &self,
        what: &str,
        key: &str,
        raw: &RawConnector,
    ) -> Result<ConnectorSettings, ConfigError> {
        let place = || format!("{}: {what}s.{key}", self.path.display());
        let config = match (&raw.config, &raw.config_file) {
            (Some(_), Some(_)) => {
                let reason = "config and config-file are both there; keep one".to_owned();
                return Err(ConfigError::Malformed { place: place(), reason });
            }
            (Some(table), None) => {
                let value = json_of(&toml::Value::Table(table.clone())).map_err(|reason| {
                    ConfigError::Malformed { place: format!("{}.config", place()), reason }
                })?;
                Json::from_value(&value)
            }
            (None, Some(file)) => read_json_object(&self.folder().join(file))?,
            (None, None) => Json::empty_object(),
        };
        Ok(ConnectorSettings {
            key: key.to_owned(),
            connector: raw.connector.clone(),
            config,
            options: raw.options()?,
        })
    }

    /// The file that a connector's configuration is in, and where in it; none where it has none.
    /// `list` is `sources` or `destinations`.
    #[must_use]
    pub fn config_place(&self, list: &str, key: &str) -> Option<(PathBuf, ConfigPlace)> {
        let all = if list == "sources" { &self.raw.sources } else { &self.raw.destinations };
        let raw = all.get(key)?;
        match (&raw.config, &raw.config_file) {
            (_, Some(file)) => Some((self.folder().join(file), ConfigPlace::Json)),
            (Some(_), None) => {
                let steps = [list, key, "config"].map(str::to_owned);
                Some((self.path.clone(), ConfigPlace::Toml(steps)))
            }
            (None, None) => None,
        }
    }

    fn unknown<'a>(
        &self,
        what: &'static str,
        name: &str,
        known: impl Iterator<Item = &'a String>,
    ) -> ConfigError {
        let names: Vec<&str> = known.map(String::as_str).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        ConfigError::Unknown { path: self.path.clone(), what, name: name.to_owned(), known }
    }
}

/// A message of the parser, without the value that it quotes where one of another kind was expected.
fn without_values(message: &str) -> String {
    for kind in ["invalid type: ", "invalid value: "] {
        let Some((before, rest)) = message.split_once(kind) else { continue };
        let what = rest.split([' ', ',']).next().unwrap_or_default();
        let expected = rest.rfind("expected ").map_or("", |at| &rest[at..]);
        return format!("{before}{kind}{what}, {expected}");
    }
    message.to_owned()
}

/// The file and line of a fault.
fn place(path: &Path, text: &str, span: Option<std::ops::Range<usize>>) -> String {
    match span {
        Some(span) => {
            let before = text.get(..span.start).unwrap_or_default();
            format!("{} line {}", path.display(), before.matches('\n').count() + 1)
        }
        None => path.display().to_string(),
    }
}

/// TOML as JSON: dates become strings; numbers JSON has no form for are refused.
pub(super) fn json_of(value: &toml::Value) -> Result<serde_json::Value, String> {
    use serde_json::Value as J;
    Ok(match value {
        toml::Value::String(text) => J::String(text.clone()),
        toml::Value::Integer(number) => J::from(*number),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)
            .map(J::Number)
            .ok_or("it holds a number that JSON cannot say")?,
        toml::Value::Boolean(flag) => J::Bool(*flag),
        toml::Value::Datetime(at) => J::String(at.to_string()),
        toml::Value::Array(items) => J::Array(items.iter().map(json_of).collect::<Result<_, _>>()?),
        toml::Value::Table(members) => {
            let members = members.iter().map(|(k, v)| Ok((k.clone(), json_of(v)?)));
            J::Object(members.collect::<Result<_, String>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> Result<Project, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        std::fs::write(&file, text).unwrap();
        Project::find(&folder.path().join("below")).or_else(|_| Project::read(&file))
    }

    const WHOLE: &str = r#"
[sources.faker]
connector = "source-faker.wasm"
config = { count = 5, at = 2020-01-01T00:00:00Z }

[destinations.files]
connector = "destination-jsonl.wasm"
config = { path = "/out" }
allow-dir = ["out::/out"]
max-memory = "64MiB"

[connections.nightly]
source = "faker"
destination = "files"
streams = ["users"]
strategy = "append"
"#;

    #[test]
    fn a_whole_file() {
        let connection = project(WHOLE).unwrap().connection(None).unwrap();
        assert_eq!(connection.name, "nightly");
        assert_eq!(connection.strategy, Strategy::Append);
        assert_eq!(connection.streams, StreamSelection::Named(vec!["users".into()]));
        let config = connection.source.config.to_value().unwrap();
        assert_eq!(config["at"], "2020-01-01T00:00:00Z");
        assert_eq!(connection.destination.options.allow_dir, ["out::/out"]);
    }

    #[test]
    fn faults_name_place_and_field() {
        let error = project(&WHOLE.replace("strategy", "stratagem")).unwrap_err().to_string();
        assert!(error.contains("line 16") && error.contains("stratagem"), "{error}");
        let error = project(&WHOLE.replace("\"faker\"\n", "\"fakir\"\n")).unwrap();
        let error = error.connection(None).unwrap_err().to_string();
        assert!(error.contains("no source named \"fakir\"; it has faker"), "{error}");
    }

    #[test]
    fn streams_are_names() {
        let with = |streams: &str| project(&WHOLE.replace("[\"users\"]", streams));
        let error = with("[]").unwrap().connection(None).unwrap_err().to_string();
        assert!(error.contains("nightly.streams: it names no stream"), "{error}");
        let error = with("5").unwrap_err().to_string();
        assert!(error.contains("neither a text nor an array"), "{error}");
        let all = with("\"*\"").unwrap().connection(None).unwrap();
        assert_eq!(all.streams, StreamSelection::All);
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_not_quoted() {
        for line in ["env = \"TOKEN=hunter2\"", "config = \"hunter2\"", "limits = \"hunter2\""] {
            let text = format!("[sources.x]\nconnector = \"x.wasm\"\n{line}\n");
            let error = project(&text).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.contains("expected"), "{error}");
        }
    }

    #[test]
    fn a_syntax_fault_does_not_quote_the_line() {
        let error = project("[sources.x]\nconfig = { password = hunter2 }\n").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
