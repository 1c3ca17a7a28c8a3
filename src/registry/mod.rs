//! Floor 2: what Airbyte's registry says of connectors, without running any.

use std::path::PathBuf;
use std::time::Duration;

use crate::fault::Fault;
use crate::protocol::Json;

/// Where the registry is, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// A URL, or the path of a file.
    pub location: String,
    /// Where its documents are kept between two runs; none: nowhere.
    pub cache: Option<PathBuf>,
    /// Whether nothing is asked for over the network.
    pub offline: bool,
    /// The most that one question may take.
    pub deadline: Duration,
}

/// A connector, as the registry has it.
#[derive(Debug, Clone)]
pub struct RegistryEntry {
    /// `source-faker`.
    pub name: String,
    /// Whether it is among the sources.
    pub is_source: bool,
    /// `airbyte/source-faker`.
    pub image: String,
    /// The latest version: the image's tag.
    pub version: String,
    /// Its package on PyPI, where there is one.
    pub python_package: Option<String>,
    /// `python`, `java`, `manifest-only`.
    pub language: Option<String>,
    /// Its pages.
    pub documentation_url: Option<String>,
    /// `certified`, `community`, `archived`.
    pub support_level: Option<String>,
    /// Airbyte's ConnectorSpecification of that version.
    pub spec: Option<Json>,
}

/// Why the registry did not say.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It has no such connector.
    #[error("the registry has no connector named {name}")]
    NotRegistered {
        /// The name.
        name: String,
    },
}

impl Fault for RegistryError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotRegistered { .. } => "REGISTRY_UNKNOWN",
        }
    }
}

/// Airbyte's registry of connectors. Asked only when something is needed of it; blocks meanwhile.
#[derive(Debug, Clone)]
pub struct Registry {
    _settings: RegistrySettings,
}

impl Registry {
    /// Asks for nothing yet.
    #[must_use]
    pub fn new(settings: RegistrySettings) -> Self {
        Self { _settings: settings }
    }

    /// A connector by its name.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn entry(&self, name: &str) -> Result<RegistryEntry, RegistryError> {
        Err(RegistryError::NotRegistered { name: name.to_owned() })
    }

    /// The specification of a connector, of its latest version or of another, as an Airbyte
    /// ConnectorSpecification.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn spec(&self, name: &str, _version: Option<&str>) -> Result<Json, RegistryError> {
        Err(RegistryError::NotRegistered { name: name.to_owned() })
    }
}
