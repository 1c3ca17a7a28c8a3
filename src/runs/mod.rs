//! Floor 3: what every run leaves behind. A folder a run, in `.lockgate/runs/` beside
//! `lockgate.toml`: `run.json` says what was run, under which policy, and how it ended;
//! `audit.jsonl` has one line a decision of the sandbox.
//!
//! The attack: a connector does what it was not trusted with, and nobody can tell afterwards. It
//! floods the trail, writes false lines into it, or is run where none can be written. So the trail is
//! written by the host alone, in a folder that no grant may open; a decision is written when it is
//! made first, and counted from then on; and where it cannot be written, nothing runs.

mod folder;
mod id;
mod policy;
mod read;
mod record;
mod remedy;
mod suggest;
mod summary;
mod trail;

use std::path::PathBuf;

pub use folder::RunsFolder;
pub use id::RunId;
pub(crate) use id::{millis, time};
pub use policy::{EffectivePolicy, LimitValue, PolicyDirectory};
pub use read::{CountedDecision, Run};
pub use record::{Outcome, RunConnector, RunError, RunFile, RunRecord};
pub(crate) use suggest::times;
pub use suggest::{SuggestedLine, SuggestedSide, Suggestion};
pub use summary::{Denied, Summary, Used};
pub use trail::{Answer, AuditLine, Recorder, Side};

use crate::fault::{ExitClass, Fault};

/// Runs that are kept: those before the newest hundred go when the next begins. A run that is still
/// going stays.
pub const KEPT_RUNS: usize = 100;

/// Why a run's record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// It cannot be written, so nothing is run.
    #[error("the record of this run cannot be written to {path}: {reason}")]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason, or what is wrong with it.
        reason: String,
    },
    /// A connector was granted the folder that its record is in.
    #[error(
        "the directory grant {grant} opens {path}, where the records of runs and the states are: a connector could read and change them"
    )]
    Exposed {
        /// The grant.
        grant: String,
        /// The folder of records.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("the record {path} cannot be read: {reason}")]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no such run.
    #[error("there is no run {name:?}; {known}")]
    Unknown {
        /// As it was asked for.
        name: String,
        /// The last few runs.
        known: String,
    },
}

impl Fault for RunsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unwritable { .. } => "AUDIT_UNWRITABLE",
            Self::Exposed { .. } => "AUDIT_EXPOSED",
            Self::Unreadable { .. } => "RUN_UNREADABLE",
            Self::Unknown { .. } => "RUN_UNKNOWN",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unwritable { .. } => {
                "nothing is run without an audit trail; where you want none, pass --no-record"
                    .into()
            }
            Self::Exposed { .. } => {
                "grant another folder, beside .lockgate; one that holds it takes a kernel that gives a mount namespace"
                    .into()
            }
            Self::Unreadable { .. } => return None,
            Self::Unknown { .. } => "`lockgate runs list` lists all".into(),
        })
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Unwritable { .. } | Self::Exposed { .. } => ExitClass::Refused,
            Self::Unreadable { .. } => ExitClass::Failed,
            Self::Unknown { .. } => ExitClass::Usage,
        }
    }
}
