//! A request, as it is put together.

use std::fmt;
use std::time::Instant;

use serde::Serialize;
use url::Url;

use super::{Error, Reason, Response, Timeouts, imp};

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are HTTP's")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that is not sent yet. What is wrong with its parts is said by [`Request::send`].
pub struct Request {
    pub(super) method: Method,
    pub(super) url: Option<Url>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) timeouts: Timeouts,
    wrong: Option<Reason>,
}

impl Request {
    pub(super) fn new(method: Method, url: &str, timeouts: Timeouts) -> Self {
        let (url, wrong) = match parse(url) {
            Ok(url) => (Some(url), None),
            Err(reason) => (None, Some(reason)),
        };
        Self { method, url, headers: Vec::new(), body: Vec::new(), timeouts, wrong }
    }

    /// Adds a header. A secret may be in it: errors do not show it.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let field = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        if name.is_empty() || !name.bytes().all(token) || !value.bytes().all(field) {
            self.fault(Reason::Header(name.escape_debug().take(80).collect()));
        } else {
            self.headers.push((name.to_ascii_lowercase(), value));
        }
        self
    }

    /// Adds `authorization: Bearer TOKEN`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds a parameter to the URL's query, escaped.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        if let Some(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to a value as JSON, and its `content-type`.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.header("content-type", "application/json").body(body),
            Err(_) => {
                self.fault(Reason::Other("its body cannot be written as JSON".to_owned()));
                self
            }
        }
    }

    /// Sets how long it may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sends it and waits for the head of the answer, whatever its status.
    ///
    /// # Errors
    /// There is no answer: see [`Reason`].
    pub fn send(mut self) -> Result<Response, Error> {
        let start = Instant::now();
        let wrong = self.wrong.take();
        let (Some(url), None) = (&self.url, &wrong) else {
            let reason = wrong.unwrap_or(Reason::Url("it is missing"));
            return Err(Error::new(Some(self.method), self.url.as_ref(), reason));
        };
        let answer = imp::send(&self, url)
            .map_err(|reason| Error::new(Some(self.method), Some(url), reason))?;
        Ok(Response::new(answer, self, start))
    }

    /// The first fault counts.
    fn fault(&mut self, reason: Reason) {
        self.wrong.get_or_insert(reason);
    }
}

/// Headers, body and query may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

pub(super) fn parse(text: &str) -> Result<Url, Reason> {
    let url = Url::parse(text).map_err(|_| Reason::Url("it is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Reason::Url("it begins with neither http:// nor https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Reason::Url("it has a user or password in it: send them in a header"));
    }
    Ok(url)
}
