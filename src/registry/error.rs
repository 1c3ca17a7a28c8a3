//! Why the registry did not say.

use std::time::Duration;

use crate::fault::{ExitClass, Fault};

/// Why the registry did not say. A place is a file or a URL without its query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Where it is said to be cannot be a place.
    #[error("the registry {place} cannot be asked: {reason}")]
    Location {
        /// The file or URL.
        place: String,
        /// Why.
        reason: &'static str,
    },
    /// The file cannot be read, or nobody answers there.
    #[error("the registry {place} cannot be read: {reason}")]
    Unreachable {
        /// The file or URL.
        place: String,
        /// Why.
        reason: String,
    },
    /// It did not answer in time.
    #[error("the registry {place} did not answer within {} s", .limit.as_secs_f64())]
    Late {
        /// The URL.
        place: String,
        /// What one question may take.
        limit: Duration,
    },
    /// It answered that it cannot.
    #[error("the registry {place} answered with status {status}")]
    Status {
        /// The URL.
        place: String,
        /// The HTTP status.
        status: u16,
    },
    /// It is not what a registry is.
    #[error("the registry {place} is malformed: {reason}")]
    Malformed {
        /// The file or URL.
        place: String,
        /// The field, and what is wrong with it.
        reason: String,
    },
    /// It has no measure.
    #[error("the registry {place} has more than {limit} bytes")]
    TooLarge {
        /// The file or URL.
        place: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Nothing may be asked for, and nothing is kept.
    #[error("{place} is not in the cache, and nothing is asked for offline")]
    Offline {
        /// The URL.
        place: String,
    },
    /// It has no such connector.
    #[error("the registry has no connector named {name}")]
    NotRegistered {
        /// The name.
        name: String,
        /// Names that are like it, the likest first.
        similar: Vec<String>,
    },
    /// It has no specification of that version.
    #[error("the registry has no specification of {name} {version}")]
    NoSpec {
        /// The connector.
        name: String,
        /// The version.
        version: String,
    },
}

impl RegistryError {
    /// Whether time mends it: it did not answer in time, or was busy.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Late { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

impl Fault for RegistryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Location { .. } => "REGISTRY_LOCATION",
            Self::Unreachable { .. } | Self::Late { .. } => "REGISTRY_UNREACHABLE",
            Self::Status { .. } => "REGISTRY_STATUS",
            Self::Malformed { .. } => "REGISTRY_MALFORMED",
            Self::TooLarge { .. } => "REGISTRY_TOO_LARGE",
            Self::Offline { .. } => "REGISTRY_OFFLINE",
            Self::NotRegistered { .. } => "REGISTRY_UNKNOWN",
            Self::NoSpec { .. } => "REGISTRY_NO_SPEC",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Location { .. } => {
                "a registry is a file, or a URL that begins with https:// and holds no user and password".into()
            }
            Self::Unreachable { .. } | Self::Late { .. } | Self::Status { .. } => {
                "check the address and the network, or name a registry file that is here".into()
            }
            Self::Malformed { .. } | Self::TooLarge { .. } => {
                "check that it is an Airbyte registry: {\"sources\": […], \"destinations\": […]}".into()
            }
            Self::Offline { .. } => {
                "ask once while online, or name a registry file that is here".into()
            }
            Self::NotRegistered { similar, .. } if !similar.is_empty() => {
                format!("did you mean {}?", similar.join(", "))
            }
            Self::NotRegistered { .. } => {
                "check the name, or say how it is run: an image, a package or a program".into()
            }
            Self::NoSpec { .. } => "leave the version out for the latest one".into(),
        })
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Location { .. } | Self::NotRegistered { .. } | Self::NoSpec { .. } => {
                ExitClass::Usage
            }
            _ => ExitClass::Failed,
        }
    }
}
