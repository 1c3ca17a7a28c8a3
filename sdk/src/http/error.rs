//! Why a request failed.

use std::fmt;
use std::io;
use std::time::Duration;

use url::Url;

use super::Method;
use crate::retry::{self, Retryable, Verdict};
use crate::{Failure, FailureKind};

/// A request that failed: what, where and why. Its text has no query, no header and no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    request: Option<String>,
    reason: Reason,
    retry_after: Option<Duration>,
    excerpt: Option<String>,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The URL is not one that can be asked.
    #[error("the URL is not valid: {0}")]
    Url(&'static str),
    /// A header's name or value is not one, or it is the host's to set.
    #[error("the header `{0}` cannot be sent: its name or value is not valid, or it is the host's")]
    Header(String),
    /// The operator did not grant the place.
    #[error(
        "it is not granted: pass --allow-net {0} (in sync: --source-allow-net or \
         --destination-allow-net)"
    )]
    NotGranted(String),
    /// The place is granted, and its name leads to addresses that are not.
    #[error(
        "its name leads to a private address or to one of this machine, which the grant does not \
         cover: grant that very name or address with --allow-net ({0})"
    )]
    Prohibited(String),
    /// The name has no address.
    #[error("its name cannot be resolved: is it spelt right?")]
    Unresolved,
    /// Nothing answers at that address and port.
    #[error("the connection was refused: is the port right, and the server running?")]
    Refused,
    /// The connection failed or broke.
    #[error("the connection failed: {0}")]
    Connection(String),
    /// It took longer than it may.
    #[error("{0} took too long")]
    Timeout(Stage),
    /// A limit of the host's.
    #[error("a limit of the host was reached: {0}")]
    Limit(&'static str),
    /// TLS: most often a certificate that is not trusted.
    #[error("TLS failed: {0}; an authority of your own is trusted with --tls-root FILE")]
    Tls(&'static str),
    /// The answer broke off.
    #[error("the answer broke off")]
    Incomplete,
    /// The answer's body is larger than what is read whole.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
    /// The answer's status is not 2xx.
    #[error("the answer was {0}{hint}", hint = hint(*.0))]
    Status(u16),
    /// The answer's body is not the JSON that was expected; what is wrong, without its values.
    #[error("the answer is not the JSON that is expected: {0}")]
    Json(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stage {
    /// To connect.
    #[error("connecting")]
    Connect,
    /// To answer.
    #[error("waiting for the answer")]
    Answer,
    /// To send the request.
    #[error("sending the request")]
    Send,
    /// From the request to the end of the answer.
    #[error("reading the answer")]
    Whole,
}

/// What an operator may do about a status.
fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => " (a redirect, which is not followed): configure the URL that it leads to",
        401 => " (unauthorized): is the token or password in the configuration right?",
        403 => " (forbidden): what is configured may not read or write this",
        404 | 410 => " (not found): is the URL in the configuration right?",
        429 => " (too many requests)",
        _ => "",
    }
}

/// Who can mend a request that was answered with this status.
///
/// | status | kind |
/// |---|---|
/// | 408, 425, 429, 5xx | transient |
/// | 401, 402, 403, 404, 407, 410, 451; 3xx | config |
/// | any other | system: the connector asks what the other side does not answer |
#[must_use]
pub fn failure_kind(status: u16) -> FailureKind {
    match status {
        _ if retry::is_retried(status) => FailureKind::Transient,
        300..=399 | 401..=404 | 407 | 410 | 451 => FailureKind::Config,
        _ => FailureKind::System,
    }
}

impl Error {
    pub(super) fn new(method: Option<Method>, url: Option<&Url>, reason: Reason) -> Self {
        let request = match (method, url) {
            (Some(method), Some(url)) => Some(format!("{method} {}", without_query(url))),
            (method, _) => method.map(|method| method.to_string()),
        };
        Self(Box::new(Inner { request, reason, retry_after: None, excerpt: None }))
    }

    pub(super) fn with_answer(mut self, after: Option<Duration>, excerpt: String) -> Self {
        self.0.retry_after = after;
        self.0.excerpt = (!excerpt.is_empty()).then_some(excerpt);
        self
    }

    /// Why it failed.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }

    /// The status of the answer, if that is why.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.0.reason {
            Reason::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Who can mend it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match &self.0.reason {
            Reason::Status(status) => failure_kind(*status),
            Reason::Url(_)
            | Reason::Header(_)
            | Reason::NotGranted(_)
            | Reason::Prohibited(_)
            | Reason::Limit(_)
            | Reason::Tls(_) => FailureKind::Config,
            Reason::Unresolved
            | Reason::Refused
            | Reason::Connection(_)
            | Reason::Timeout(_)
            | Reason::Incomplete => FailureKind::Transient,
            Reason::TooLarge(_) | Reason::Json(_) | Reason::Other(_) => FailureKind::System,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(request) = &self.0.request {
            write!(f, "{request}: ")?;
        }
        self.0.reason.fmt(f)
    }
}

impl std::error::Error for Error {}

impl Retryable for Error {
    fn verdict(&self) -> Verdict {
        match self.kind() {
            FailureKind::Transient => Verdict::Again { after: self.0.retry_after },
            _ => Verdict::Final,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::new(error.kind(), error.to_string());
        failure.detail = error.0.excerpt.map(|text| format!("the answer begins: {text}"));
        match error.0.retry_after {
            Some(wait) => failure.retry_after(wait),
            None => failure,
        }
    }
}

/// What reading a [`Body`](super::Body) failed with.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => Self::new(None, None, Reason::Connection(error.to_string())),
        }
    }
}

/// A query may hold a secret.
fn without_query(url: &Url) -> &str {
    &url[..url::Position::AfterPath]
}
