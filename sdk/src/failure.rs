//! Why an operation did not succeed.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;
use std::time::Duration;

use crate::bindings::types::StreamDescriptor;
pub use crate::bindings::types::{Failure, FailureKind};
use crate::http;

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

    /// The failure that an error carries, or one of those that it was made of: what became an
    /// [`io::Error`] comes back as it was.
    ///
    /// ```
    /// use lockgate_sdk::Failure;
    ///
    /// let full = Failure::transient("no space is left");
    /// let error = std::io::Error::from(full.clone());
    /// assert_eq!(Failure::carried(&error), Some(&full));
    /// ```
    #[must_use]
    pub fn carried<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(Carried(failure)) = error.downcast_ref() {
                return Some(failure);
            }
            // Its `source` is that of what is in it, and not what is in it.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = match inner {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }

    /// Did the host stop the sync? Then nothing is to be finished, only returned.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.kind == FailureKind::Cancelled
    }
}

/// A failure as an error, on its way through what knows no failures.
#[derive(Debug)]
struct Carried(Failure);

impl Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for Carried {}

/// For [`io::Read`] and [`io::Write`]: [`Failure::carried`] finds it again.
impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        Self::other(Carried(failure))
    }
}

/// As the failure that it carries, or that an answer over HTTP broke off with; else a system failure with
/// its words.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if let Some(failure) = Self::carried(&error) {
            return failure.clone();
        }
        match error.downcast::<http::Error>() {
            Ok(error) => error.into(),
            Err(error) => Self::system(error.to_string()),
        }
    }
}
