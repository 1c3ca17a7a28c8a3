//! Floor 5: a sync. The plan (which streams, how), the pipeline (source and destination at once),
//! the ledger (what is committed), the report. With a cache it is two pipelines, one after the other
//! (`cached`).

mod attempts;
mod cached;
mod clear;
mod counters;
mod data;
mod keys;
mod lease;
mod ledger;
mod lock;
mod memory;
mod numbers;
mod pipeline;
mod plan;
mod preview;
mod read;
mod report;
mod sides;
mod worker;
mod write;

pub use attempts::{Again, Attempt, Backoff, OnRetry};
pub use cached::CacheReport;
pub use counters::{Counted, Counters, StreamCounters};
pub use data::SourceData;
pub use keys::{default_connection, default_source_key};
pub use ledger::{Confirmed, Ledger, LedgerFault, StateSink};
pub use numbers::Refresh;
pub use pipeline::{Job, run as run_pipeline};
pub use plan::{NamedBy, Plan, PlanError, StreamReasons, Wanted};
pub use preview::{GenerationPlan, PlanReport, StatePlan, StreamPlan};
pub use read::{QUERY_ROWS, ReadOptions, ReadResult, ReadRows};
pub use report::{ConnectorReport, ErrorReport, Report, StreamReport};
pub use worker::{RemoteError, WorkerError, WorkerProgram, serve as serve_worker};
pub use write::{SyncFailure, Watch, WriteOptions, WriteResult};

use crate::cache::CacheError;
use crate::connector::ConnectorError;
use crate::executor::ExecutorError;
use crate::fault::{ExitClass, Fault};
use crate::state::StateStoreError;

/// Why a sync did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// A connector could not be used at all.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// The plan cannot be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The source failed.
    #[error("the source {name} failed: {error}")]
    Source {
        /// As it was named.
        name: String,
        /// Why.
        error: Box<ExecutorError>,
    },
    /// The destination failed.
    #[error("the destination {name} failed: {error}")]
    Destination {
        /// As it was named.
        name: String,
        /// Why.
        error: Box<ExecutorError>,
    },
    /// The state store cannot be used.
    #[error(transparent)]
    State(#[from] StateStoreError),
    /// A state could not be stored while the sync ran.
    #[error("a confirmed state could not be stored: {0}")]
    Store(String),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// What the destination has did not come out of this cache, so that nobody knows what it lacks.
    #[error(
        "what the destination has of stream {stream} did not come through the cache {cache}: sending all that is there would add rows a second time"
    )]
    CachePosition {
        /// The stream.
        stream: String,
        /// The cache.
        cache: String,
    },
    /// An argument that has nothing to say here.
    #[error("{argument} does not apply: {reason}")]
    Argument {
        /// The field of [`WriteOptions`].
        argument: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Another sync of the same connection runs.
    #[error("connection {connection} is being synced by another process")]
    Busy {
        /// The connection.
        connection: String,
    },
    /// Its worker process failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// It failed in its worker process, with an error of its own.
    #[error(transparent)]
    Remote(RemoteError),
    /// It was told to stop.
    #[error("the sync was stopped; what was confirmed is stored")]
    Cancelled,
}

impl Fault for SyncError {
    fn code(&self) -> &'static str {
        match self {
            Self::Connector(error) => error.code(),
            Self::Plan(error) => error.code(),
            Self::Source { .. } => "SOURCE_FAILED",
            Self::Destination { .. } => "DESTINATION_FAILED",
            Self::State(error) => error.code(),
            Self::Store(_) => "STATE_STORE",
            Self::Cache(error) => error.code(),
            Self::CachePosition { .. } => "CACHE_POSITION_UNKNOWN",
            Self::Argument { .. } => "ARGUMENT_UNUSED",
            Self::Busy { .. } => "CONNECTION_BUSY",
            Self::Worker(error) => error.code(),
            Self::Remote(error) => error.code(),
            Self::Cancelled => "CANCELLED",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Connector(error) => error.hint(),
            Self::Plan(error) => error.hint(),
            Self::Source { error, .. } | Self::Destination { error, .. } => {
                // What a configuration or a wrong connector causes, it causes again.
                let again = !matches!(error.code(), "CONNECTOR_CONFIG" | "CONNECTOR_KIND");
                let hint = "run it again: it goes on from the last committed state";
                match (error.hint(), error.as_ref()) {
                    // The fence may be why, and may be not.
                    (Some(fence), ExecutorError::Fenced { .. }) if again => {
                        Some(format!("{hint}; {fence}"))
                    }
                    (Some(own), _) => Some(own),
                    (None, _) => again.then(|| hint.to_owned()),
                }
            }
            Self::State(error) => error.hint(),
            Self::Store(_) => Some("check that the state store's folder has room".into()),
            Self::Cache(error) => error.hint(),
            Self::CachePosition { .. } => Some(
                "--cache none goes on from the source's own state; --full-refresh reads and sends everything again"
                    .into(),
            ),
            Self::Argument { argument, .. } => Some(format!("leave {argument} out")),
            Self::Busy { .. } => Some("wait for it to end, or stop it".into()),
            Self::Worker(error) => error.hint(),
            Self::Remote(error) => error.hint(),
            Self::Cancelled => Some("run it again: it goes on from there".into()),
        }
    }

    fn exit(&self) -> ExitClass {
        match self {
            Self::Connector(error) => error.exit(),
            Self::Plan(error) => error.exit(),
            Self::Remote(error) => error.exit(),
            Self::Cache(error) => error.exit(),
            Self::Argument { .. } => ExitClass::Usage,
            Self::Cancelled => ExitClass::Interrupted,
            _ => ExitClass::Failed,
        }
    }

    fn context(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Connector(error) => error.context(),
            Self::Worker(error) => error.context(),
            Self::Remote(error) => error.context(),
            Self::Source { error, .. } | Self::Destination { error, .. } => {
                let mut context = vec![("cause", error.code().to_owned())];
                context.extend(error.context());
                context
            }
            _ => Vec::new(),
        }
    }
}
