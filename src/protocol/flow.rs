//! The two doors a sync's data goes through. A connector, however it is run, calls them; the
//! pipeline stands behind them. Both wait while the other side is busy: that is the back-pressure.

use async_trait::async_trait;

use super::{Decision, Event, Failure, Json, Rows, StateMessage, StreamStatus, StreamTotal};

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For whoever debugs the connector.
    Trace,
    /// For whoever debugs the sync.
    Debug,
    /// Worth keeping.
    Info,
    /// Worth reading.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// From Airbyte's word; `FATAL` is an error, unknown words are information.
    #[must_use]
    pub fn from_airbyte(word: &str) -> Self {
        match word {
            "FATAL" | "ERROR" => Self::Error,
            "WARN" => Self::Warn,
            "DEBUG" => Self::Debug,
            "TRACE" => Self::Trace,
            _ => Self::Info,
        }
    }

    /// Airbyte's word for it.
    #[must_use]
    pub fn airbyte(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// Who listens to what a connector says besides data.
#[async_trait]
pub trait Observer: Send + Sync {
    /// Takes a message. Must not block.
    fn log(&self, level: LogLevel, message: &str);

    /// Merges the top-level members of `config` into the stored configuration. Durable when it
    /// returns.
    async fn update_config(&self, config: Json) -> Result<(), Failure>;

    /// Takes a decision of the sandbox about this connector. Must not block. Whoever passes an
    /// observer's words on passes these on too: a decision that is not heard leaves no trail.
    fn decided(&self, decision: &Decision);
}

/// What a source calls while it reads.
#[async_trait]
pub trait SourceOutput: Send + Sync {
    /// Hands over a batch; returns when there is room for it. A component's batch was not looked at:
    /// whoever takes it asks [`Rows::verify`] first.
    async fn emit(&self, rows: Rows) -> Result<(), Failure>;

    /// Takes a state; returns the checkpoint's id without waiting for the commit.
    async fn checkpoint(&self, state: StateMessage) -> Result<u64, Failure>;

    /// Takes a stream's status; `stream` is its index in the catalog.
    async fn status(&self, stream: u32, status: StreamStatus) -> Result<(), Failure>;

    /// Takes a guess at a stream's size in rows and bytes.
    fn estimate(&self, stream: u32, rows: Option<u64>, bytes: Option<u64>);
}

/// How a destination says what is durable.
#[derive(Debug, Clone)]
pub enum Commit {
    /// Everything before this checkpoint, of every stream (the contract's `committed`).
    Through {
        /// The checkpoint's id.
        checkpoint: u64,
        /// What became of the rows since the write began, a member a stream that received rows.
        totals: Vec<StreamTotal>,
    },
    /// Airbyte's echo of one STATE: its stream up to there, or every stream for GLOBAL and LEGACY.
    Echo {
        /// The checkpoint whose state was echoed.
        checkpoint: u64,
        /// `destinationStats`, where the destination sends them.
        stats: Option<super::Stats>,
        /// Whether the echo has all that was sent, members unknown to the protocol among it.
        whole: bool,
    },
    /// A destination on stdio ended well after its input ended: all it was given is durable.
    Finished,
}

/// What a destination calls while it writes.
#[async_trait]
pub trait DestinationInput: Send + Sync {
    /// The next event; none when everything was given. A failure: stop, commit nothing more.
    async fn next(&self) -> Result<Option<Event>, Failure>;

    /// Takes commits, in their order; returns when the source's states are stored. Several at once
    /// cost one write to the state store.
    async fn committed(&self, commits: Vec<Commit>) -> Result<(), Failure>;

    /// Says that what was given cannot be passed on, and that the source is to blame; gives the
    /// failure to end with.
    fn source_broke(&self, failure: Failure) -> Failure {
        failure
    }
}
