//! What went wrong in a connector, in the contract's terms.

use std::fmt;
use std::time::Duration;

use super::StreamDescriptor;

/// Who can mend a failure. Airbyte's `failure_type` of the same meaning is in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The operator: configuration, catalog or grant (`config_error`).
    Config,
    /// Time: the other system was busy or away (`transient_error`).
    Transient,
    /// A developer: the connector or the host is at fault (`system_error`).
    System,
    /// Nobody: the sync is being stopped. Made by the host only.
    Cancelled,
}

impl FailureKind {
    /// Airbyte's word for it.
    #[must_use]
    pub fn airbyte(self) -> &'static str {
        match self {
            Self::Config => "config_error",
            Self::Transient => "transient_error",
            Self::System | Self::Cancelled => "system_error",
        }
    }

    /// From Airbyte's word; unknown ones are the connector's fault.
    #[must_use]
    pub fn from_airbyte(word: Option<&str>) -> Self {
        match word {
            Some("config_error") => Self::Config,
            Some("transient_error") => Self::Transient,
            _ => Self::System,
        }
    }
}

/// Why a connector's operation did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Who can mend it.
    pub kind: FailureKind,
    /// One sentence for the operator.
    pub message: String,
    /// More for a developer: an inner message, a stack trace.
    pub detail: Option<String>,
    /// The stream it happened in.
    pub stream: Option<StreamDescriptor>,
    /// Milliseconds to wait before a retry.
    pub retry_after_ms: Option<u64>,
}

/// What failed may pass: it is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retry {
    /// How long whoever failed wants to be left alone; none: it did not say.
    pub after: Option<Duration>,
}

impl Failure {
    /// Whether it is worth another try.
    #[must_use]
    pub fn retry(&self) -> Option<Retry> {
        let after = self.retry_after_ms.map(Duration::from_millis);
        (self.kind == FailureKind::Transient).then_some(Retry { after })
    }

    /// A failure of the given kind.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, stream: None, retry_after_ms: None }
    }

    /// A fault of the connector or the host.
    #[must_use]
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(FailureKind::System, message)
    }

    /// Something the operator must change.
    #[must_use]
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Config, message)
    }

    /// The sync is being stopped.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(FailureKind::Cancelled, "the sync is being stopped")
    }

    /// Adds what a developer needs.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names the stream.
    #[must_use]
    pub fn in_stream(mut self, stream: StreamDescriptor) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Whether this is the echo of a stop that began elsewhere.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.kind == FailureKind::Cancelled
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stream {
            Some(stream) => write!(f, "stream {stream}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Failure {}
