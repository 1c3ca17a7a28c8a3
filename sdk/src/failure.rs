//! Why an operation did not succeed.

use std::fmt::Display;
use std::time::Duration;

use crate::bindings::types::StreamDescriptor;
pub use crate::bindings::types::{Failure, FailureKind};

/// ```
/// use std::time::Duration;
/// use lockgate_sdk::{Failure, StreamDescriptor};
///
/// let failure = Failure::transient("the API has too many requests")
///     .with_detail("bucket `read` is empty")
///     .in_stream(&StreamDescriptor::new("items"))
///     .retry_after(Duration::from_secs(30));
/// assert_eq!(failure.retry_after_ms, Some(30_000));
/// ```
impl Failure {
    /// A failure of the given kind. `message` is one sentence for the operator without a secret.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, stream: None, retry_after_ms: None }
    }

    /// The operator must change the configuration, the catalog or a grant.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Config, message)
    }

    /// The other system was busy or away: the run is worth repeating.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Transient, message)
    }

    /// A fault of the connector or of the host.
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(FailureKind::System, message)
    }

    /// Adds what a developer needs, such as an inner error. It must not hold a secret either.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// Adds the stream it happened in.
    #[must_use]
    pub fn in_stream(mut self, descriptor: &StreamDescriptor) -> Self {
        self.stream = Some(descriptor.clone());
        self
    }

    /// Adds how long to wait before a retry, when the other system said so.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Did the host stop the sync? Then nothing is to be finished, only returned.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.kind == FailureKind::Cancelled
    }
}
