//! An answer.

use std::fmt;
use std::io::{self, Read};
use std::time::{Duration, Instant, SystemTime};

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{EXCERPT_BYTES, Error, MAX_BODY_BYTES, Method, Reason, Request, Stage, Url, imp};
use crate::retry;

/// The least of a header that is taken for a secret in it.
const SECRET_BYTES: usize = 4;

/// What came back, before its body is read.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: imp::Incoming,
}

/// An answer: its status and headers, and a body that is still to come.
pub struct Response {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
    /// What the request said in its headers: an answer may repeat it.
    said: Vec<(String, String)>,
}

impl Response {
    pub(super) fn new(answer: Answer, request: Request, start: Instant) -> Self {
        let whole = request.timeouts.whole;
        Self {
            status: answer.status,
            headers: answer.headers,
            body: Body {
                incoming: answer.body,
                method: request.method,
                url: request.url,
                start,
                whole,
            },
            said: request.headers,
        }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name, in any case, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// Its headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Whether its status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }

    /// How long it asks to wait; see [`retry::parse_retry_after`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry::parse_retry_after(self.header("retry-after")?, SystemTime::now())
    }

    /// Itself, if its status is 2xx.
    ///
    /// # Errors
    /// [`Reason::Status`], with the start of the body for the failure's detail and what
    /// `Retry-After` asks for.
    pub fn success(mut self) -> Result<Self, Error> {
        if self.is_success() {
            return Ok(self);
        }
        let after = self.retry_after();
        let excerpt = self.excerpt();
        Err(self.body.error(Reason::Status(self.status)).with_answer(after, excerpt))
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] when it has more than [`MAX_BODY_BYTES`]; what broke it off.
    pub fn bytes(self) -> Result<Vec<u8>, Error> {
        self.bytes_up_to(MAX_BODY_BYTES)
    }

    /// The whole body, of so many bytes at most.
    ///
    /// # Errors
    /// As [`Response::bytes`].
    pub fn bytes_up_to(mut self, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        (&mut self.body).take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(self.body.error(Reason::TooLarge(limit)));
        }
        Ok(bytes)
    }

    /// The whole body, from JSON.
    ///
    /// # Errors
    /// As [`Response::bytes`]; [`Reason::Json`] when it is something else.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let (method, url) = (self.body.method, self.body.url.clone());
        let bytes = self.bytes()?;
        serde_json::from_slice(&bytes).map_err(|error| {
            // What serde says may quote a value.
            let what = match error.classify() {
                Category::Data => "a member has another type, or is missing",
                Category::Syntax | Category::Eof | Category::Io => "it is not JSON",
            };
            let what = format!("{what} (line {}, column {})", error.line(), error.column());
            Error::new(Some(method), url.as_ref(), Reason::Json(what))
        })
    }

    /// The body, to be read as it comes.
    #[must_use]
    pub fn into_body(self) -> Body {
        self.body
    }

    /// The start of the body as one line of text, without what the request's headers held.
    fn excerpt(&mut self) -> String {
        let mut bytes = Vec::new();
        // It helps to understand the status; without it the status is still there.
        let _ = (&mut self.body).take(EXCERPT_BYTES as u64).read_to_end(&mut bytes);
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        for (_, value) in &self.said {
            for secret in std::iter::once(value.as_str()).chain(value.split(' ')) {
                if secret.len() >= SECRET_BYTES {
                    text = text.replace(secret, "[hidden]");
                }
            }
        }
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

/// The body of an answer, read as it comes. What a read fails with is made an [`Error`] by
/// `http::Error::from`.
///
/// ```no_run
/// use std::io::{BufRead as _, BufReader};
/// use lockgate_sdk::{Failure, http};
///
/// fn lines(client: &http::Client) -> Result<usize, Failure> {
///     let body = client.get("https://api.example/export.jsonl").send()?.success()?.into_body();
///     let mut count = 0;
///     for line in BufReader::new(body).lines() {
///         let _line = line.map_err(http::Error::from)?;
///         count += 1;
///     }
///     Ok(count)
/// }
/// ```
pub struct Body {
    incoming: imp::Incoming,
    method: Method,
    url: Option<Url>,
    start: Instant,
    whole: Duration,
}

impl Body {
    fn error(&self, reason: Reason) -> Error {
        Error::new(Some(self.method), self.url.as_ref(), reason)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = if self.start.elapsed() > self.whole {
            Err(Reason::Timeout(Stage::Whole))
        } else {
            self.incoming.read(buffer)
        };
        read.map_err(|reason| io::Error::other(self.error(reason)))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("method", &self.method).finish_non_exhaustive()
    }
}
