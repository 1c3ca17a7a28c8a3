//! Requests over HTTP.
//!
//! In a component the host sends them (`wasi:http`): it resolves the name, dials, speaks TLS, and lets
//! through what the operator granted with `--allow-net HOST:PORT`. A connector that does not use this
//! module does not import it, and `lockgate inspect` shows none of it. Natively, for tests, the same
//! functions speak plain HTTP to a server of the test's; HTTPS is the component's alone.
//!
//! ```no_run
//! use lockgate_sdk::{Failure, http};
//! # #[derive(serde::Deserialize)] struct Page { items: Vec<serde_json::Value> }
//!
//! fn first_page(token: &str) -> Result<Page, Failure> {
//!     let page = http::Client::new()
//!         .get("https://api.example/items")
//!         .query("page", "1")
//!         .bearer(token)
//!         .send()?
//!         .success()?
//!         .json()?;
//!     Ok(page)
//! }
//! ```
//!
//! An answer of any status is an answer; [`Response::success`] makes an error of all but 2xx. An
//! [`Error`] names the request without its query and headers, and says whether to try again
//! ([`retry`](crate::retry)); as a [`Failure`](crate::Failure) it has the kind that fits: `config` for
//! 401, 403, 404 and what is not granted, `transient` for 408, 425, 429, 5xx, connections that fail and
//! time that runs out. Redirects are not followed: what an operator granted is one place.
//!
//! A body is streamed, through [`Response::into_body`], which is a [`Read`](std::io::Read), or read
//! whole up to [`MAX_BODY_BYTES`].

mod error;
#[cfg(not(target_family = "wasm"))]
mod native;
mod request;
mod response;
#[cfg(target_family = "wasm")]
mod wasi;

use std::time::Duration;

pub use error::{Error, Reason, Stage, failure_kind};
pub use request::{Method, Request};
pub use response::{Body, Response};
pub use url::Url;

#[cfg(not(target_family = "wasm"))]
use native as imp;
#[cfg(target_family = "wasm")]
use wasi as imp;

/// The most that [`Response::bytes`] and [`Response::json`] read: a page of rows is far smaller, and a
/// component has 256 MiB in all.
pub const MAX_BODY_BYTES: u64 = 32 << 20;
/// How much of the answer to a request that failed is kept for the failure's detail.
pub const EXCERPT_BYTES: usize = 500;
/// To connect, name and TLS included.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);
/// From the request to the first byte of the answer: a server may search long for what it sends.
pub const FIRST_BYTE_TIME: Duration = Duration::from_secs(60);
/// Between two bytes of an answer.
pub const SILENCE_TIME: Duration = Duration::from_secs(30);
/// From the request to the end of its answer: more than a byte now and then is asked for.
pub const WHOLE_TIME: Duration = Duration::from_secs(15 * 60);

/// How long a request may take. The host's own limits hold as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, name and TLS included.
    pub connect: Duration,
    /// From the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two bytes of the answer.
    pub silence: Duration,
    /// From the request to the end of its answer.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIME,
            first_byte: FIRST_BYTE_TIME,
            silence: SILENCE_TIME,
            whole: WHOLE_TIME,
        }
    }
}

/// What requests have in common.
#[derive(Clone, Debug, Default)]
pub struct Client {
    timeouts: Timeouts,
}

impl Client {
    /// With the usual timeouts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With other timeouts.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// A GET of an `http` or `https` URL.
    pub fn get(&self, url: impl AsRef<str>) -> Request {
        self.request(Method::Get, url)
    }

    /// A POST.
    pub fn post(&self, url: impl AsRef<str>) -> Request {
        self.request(Method::Post, url)
    }

    /// A PUT.
    pub fn put(&self, url: impl AsRef<str>) -> Request {
        self.request(Method::Put, url)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> Request {
        Request::new(method, url.as_ref(), self.timeouts)
    }
}

/// Reads a URL of a configuration: `http` or `https`, with a host, without a user or password in it.
///
/// ```
/// use lockgate_sdk::http;
///
/// let base = http::parse_url("https://api.example/v1/")?;
/// assert_eq!(base.join("items?page=2")?.as_str(), "https://api.example/v1/items?page=2");
/// assert!(http::parse_url("ftp://api.example/").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Reason::Url`], without the text: it may hold a secret.
pub fn parse_url(text: &str) -> Result<Url, Error> {
    request::parse(text).map_err(|reason| Error::new(None, None, reason))
}
