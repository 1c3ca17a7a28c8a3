//! Why it cannot be said how a connector is run.

use crate::config::ConfigError;
use crate::fault::{ExitClass, Fault};
use crate::registry::RegistryError;

/// Where options are written.
const SPELLING: &str =
    "each is a flag (in sync with --source- or --destination-) and a key in lockgate.toml";

/// Why it cannot be said how a connector is run.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A name or an option that cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Several answers to how it is run.
    #[error("{} exclude each other: each says how the connector is run", listed(.asked))]
    Ways {
        /// The options, and the name where it is one of the answers.
        asked: Vec<String>,
    },
    /// Two options that make no sense together.
    #[error("{option} and {by} exclude each other: {why}")]
    Excluded {
        /// An option.
        option: &'static str,
        /// Another option, the name, or what the name was found to be.
        by: String,
        /// Why.
        why: String,
        /// Whether `by` was looked up, so that an option can say something else.
        found: bool,
    },
    /// There is no such program.
    #[error("{asked}: {what}")]
    Program {
        /// The option or the name.
        asked: String,
        /// What was looked for, and where.
        what: String,
    },
    /// A name that cannot be looked up.
    #[error("the connector {name:?} cannot be looked up: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// Nothing has that name.
    #[error("nothing that can be run is named {name}: {}", .looked.join("; "))]
    Unknown {
        /// The name.
        name: String,
        /// Where was looked, and what each place said.
        looked: Vec<String>,
    },
    /// The registry was needed and did not answer.
    #[error("{name} cannot be looked up: {error}{}", before(.looked))]
    Registry {
        /// The name.
        name: String,
        /// Where was looked before.
        looked: Vec<String>,
        /// Why it did not answer.
        error: RegistryError,
    },
    /// The registry is needed and is turned off.
    #[error("{asked} needs the registry, and {why}")]
    NoRegistry {
        /// The option.
        asked: &'static str,
        /// What turns it off.
        why: String,
    },
    /// A connector without a package.
    #[error("{asked}: the registry has {name} ({language}), which is not published on PyPI")]
    NotPublished {
        /// The option.
        asked: &'static str,
        /// The name.
        name: String,
        /// What it is written in.
        language: String,
    },
    /// The other kind of connector.
    #[error("the registry has {name} as a {is}, not as a {wanted}")]
    Kind {
        /// The name.
        name: String,
        /// `source` or `destination`.
        is: &'static str,
        /// `source` or `destination`.
        wanted: &'static str,
    },
}

/// `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn before(looked: &[String]) -> String {
    if looked.is_empty() {
        return String::new();
    }
    format!(" (before that: {})", looked.join("; "))
}

impl Fault for ResolveError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Ways { .. } | Self::Excluded { .. } => "OPTIONS_CONFLICT",
            Self::Program { .. } => "CONNECTOR_START",
            Self::Name { .. } => "CONNECTOR_REFERENCE",
            Self::Unknown { .. } => "CONNECTOR_UNKNOWN",
            Self::Registry { error, .. } => error.code(),
            Self::NoRegistry { .. } => "REGISTRY_OFF",
            Self::NotPublished { .. } => "PYTHON_NOT_PUBLISHED",
            Self::Kind { .. } => "CONNECTOR_KIND",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Config(error) => return error.hint(),
            Self::Ways { .. } => format!("keep one of them; {SPELLING}"),
            Self::Excluded { found: true, .. } => format!(
                "say how it is run with docker-image, use-python, local-executable or component; {SPELLING}"
            ),
            Self::Excluded { .. } => format!("leave one of them out; {SPELLING}"),
            Self::Program { .. } => {
                "check the path, and that the file is executable (chmod +x)".into()
            }
            Self::Name { .. } => {
                "a connector is path/to/x.wasm, exec:PATH, docker:IMAGE, pip:REQUIREMENT, or a name such as source-faker".into()
            }
            Self::Unknown { .. } => format!(
                "check the name, or say how it is run with component, local-executable, docker-image, pip-url or use-python; {SPELLING}"
            ),
            Self::Registry { error, .. } => {
                let ours = format!(
                    "say how it is run with docker-image, pip-url or local-executable, name another registry with registry, or go on without the network with offline; {SPELLING}"
                );
                match error.hint() {
                    Some(theirs) => format!("{theirs}; {ours}"),
                    None => ours,
                }
            }
            Self::NoRegistry { .. } => {
                format!("name one with registry (a URL or a file); {SPELLING}")
            }
            Self::NotPublished { .. } => format!(
                "run its image with docker-image, or say what is installed with pip-url; {SPELLING}"
            ),
            Self::Kind { .. } => return None,
        })
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Registry { error, .. } => error.exit(),
            _ => ExitClass::Usage,
        }
    }

    fn context(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Registry { error, .. } => error.context(),
            _ => Vec::new(),
        }
    }
}
