//! Floor 4: a connector as the library's user holds it. From a name and options to something that
//! answers `spec`, `check` and `discover`; what it takes to read and write is in `sync`.

mod changes;
mod handle;
mod host;
mod needs;
pub mod resolve;
mod validate;

use crate::config::ConfigError;
use crate::executor::ExecutorError;
use crate::fault::{ExitClass, Fault};

pub use changes::ConfigCallback;
pub(crate) use changes::{CHANGE_BYTES, ChangeStore, ConfigKeeper};
pub use handle::{Connector, Destination, Source};
pub use host::{Host, Silent};
pub use needs::MissingNeed;
pub(crate) use needs::require;
pub use resolve::{Choice, Chosen, Method, ResolveError};
pub(crate) use validate::json_schema;
pub use validate::validate_config;

/// Why a connector cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// Its name or options.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It cannot be said how it is run.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// It could not be run, or said no.
    #[error("{name}: {error}")]
    Run {
        /// The connector, as it was named.
        name: String,
        /// Why.
        error: Box<ExecutorError>,
    },
    /// Its configuration does not fit its specification.
    #[error("the configuration of {name} does not fit its specification: {}", .faults.join("; "))]
    Invalid {
        /// The connector, as it was named.
        name: String,
        /// Every fault: the member and what is wrong, never the value.
        faults: Vec<String>,
    },
    /// It says that it needs what it is not granted.
    #[error("{}", needs::message(.missing))]
    Needs {
        /// All of it, of both sides in a sync.
        missing: Vec<MissingNeed>,
    },
    /// Its own schema cannot be used.
    #[error("the configuration schema of {name} is not a JSON Schema: {reason}")]
    Schema {
        /// The connector, as it was named.
        name: String,
        /// Why.
        reason: String,
    },
}

impl Fault for ConnectorError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Resolve(error) => error.code(),
            Self::Run { error, .. } => error.code(),
            Self::Invalid { .. } => "CONFIG_INVALID",
            Self::Needs { .. } => "POLICY_NEEDS",
            Self::Schema { .. } => "CONNECTOR_SCHEMA",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Resolve(error) => error.hint(),
            Self::Run { error, .. } => error.hint(),
            Self::Invalid { name, .. } => {
                Some(format!("`lockgate spec {name}` shows what it accepts"))
            }
            Self::Needs { missing } => Some(needs::hint(missing)),
            Self::Schema { .. } => None,
        }
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Config(error) => error.exit(),
            Self::Resolve(error) => error.exit(),
            Self::Run { error, .. } => error.exit(),
            Self::Invalid { .. } => ExitClass::Usage,
            Self::Needs { .. } => ExitClass::Refused,
            Self::Schema { .. } => ExitClass::Failed,
        }
    }

    fn context(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Resolve(error) => error.context(),
            Self::Run { error, .. } => error.context(),
            Self::Needs { missing } => needs::context(missing),
            _ => Vec::new(),
        }
    }
}
