//! Asks a server for a document.
//!
//! The attack: whoever answers for the registry says which packages and images are installed. So a
//! server proves who it is, an answer in the clear leads nowhere that one under TLS would not, and an
//! answer has a size and a time.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::{StatusCode, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use url::Url;

use super::RegistryError;

/// Bytes of a document: the real one has about ten million. Whoever serves it fills memory and disk.
pub(super) const MOST_BYTES: u64 = 64 << 20;
/// Redirects that are followed: a moved file needs one.
const REDIRECTS: usize = 5;
/// Bytes of an answer's head: names, dates, tags.
const HEAD_BYTES: usize = 64 << 10;

/// When one question must be answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    end: Instant,
    limit: Duration,
}

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        let now = Instant::now();
        // One that no clock has an end for is as good as a day.
        let end = now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(86_400));
        Self { end, limit }
    }
}

/// What a server said of its answer, to ask later whether it still holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Validators {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The document.
    New(Vec<u8>, Validators),
    /// What is known still holds.
    Same,
}

/// A URL as it is shown: its query may hold a token.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // What cannot have a user has none to show.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// Asks for a document.
pub(super) fn fetch(
    url: &Url,
    known: Option<&Validators>,
    deadline: Deadline,
) -> Result<Fetched, RegistryError> {
    let mut url = url.clone();
    for _ in 0..=REDIRECTS {
        match ask(&url, known, deadline)? {
            Answer::Document(fetched) => return Ok(fetched),
            Answer::Elsewhere(next) => url = next,
        }
    }
    let reason = format!("it redirects more than {REDIRECTS} times");
    Err(RegistryError::Unreachable { place: shown(&url), reason })
}

enum Answer {
    Document(Fetched),
    Elsewhere(Url),
}

fn ask(url: &Url, known: Option<&Validators>, deadline: Deadline) -> Result<Answer, RegistryError> {
    let place = shown(url);
    let late = || RegistryError::Late { place: place.clone(), limit: deadline.limit };
    let failed = |error: ureq::Error| match error {
        ureq::Error::Timeout(_) => late(),
        ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::TimedOut => late(),
        error => RegistryError::Unreachable { place: place.clone(), reason: error.to_string() },
    };
    let left = deadline.end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(late());
    }
    let agent = ureq::Agent::config_builder()
        .tls_config(tls(url))
        // Each is looked at here.
        .max_redirects(0)
        .http_status_as_error(false)
        .max_response_header_size(HEAD_BYTES)
        .timeout_global(Some(left))
        .user_agent(concat!("lockgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let mut request = agent.get(url.as_str()).header(header::ACCEPT, "application/json");
    if let Some(known) = known {
        if let Some(etag) = &known.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        } else if let Some(date) = &known.last_modified {
            request = request.header(header::IF_MODIFIED_SINCE, date);
        }
    }
    let mut answer = request.call().map_err(failed)?;
    let status = answer.status();
    let said = |name: header::HeaderName| {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    if status == StatusCode::NOT_MODIFIED && known.is_some() {
        return Ok(Answer::Document(Fetched::Same));
    }
    if let (true, Some(next)) = (status.is_redirection(), said(header::LOCATION)) {
        return redirected(url, &next, place).map(Answer::Elsewhere);
    }
    if status != StatusCode::OK {
        return Err(RegistryError::Status { place, status: status.as_u16() });
    }
    let validators =
        Validators { etag: said(header::ETAG), last_modified: said(header::LAST_MODIFIED) };
    let mut bytes = Vec::new();
    // Of what it comes to, not of what was sent: it may be compressed.
    let read = answer.body_mut().as_reader().take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| failed(ureq::Error::from(e)))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(RegistryError::TooLarge { place, limit: MOST_BYTES });
    }
    Ok(Answer::Document(Fetched::New(bytes, validators)))
}

/// Where a redirect leads, if it may lead there.
fn redirected(from: &Url, to: &str, place: String) -> Result<Url, RegistryError> {
    let refused = |reason: &str| RegistryError::Unreachable {
        place: place.clone(),
        reason: format!("it redirects {reason}"),
    };
    let next = from.join(to).map_err(|_| refused("to what is no URL"))?;
    let allowed = match from.scheme() {
        "https" => next.scheme() == "https",
        _ => matches!(next.scheme(), "http" | "https"),
    };
    if !allowed {
        return Err(refused("out of TLS, or to what is no server"));
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(refused("with a user and a password"));
    }
    Ok(next)
}

/// Who is trusted: the platform's authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn tls(url: &Url) -> TlsConfig {
    let roots: Vec<Certificate<'static>> = match url.scheme() {
        // Reads some hundred files, which the clear does not need.
        "https" => {
            let found = rustls_native_certs::load_native_certs().certs;
            found.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
        }
        _ => Vec::new(),
    };
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_does_not_leave_tls() {
        let from = |from: &str, to: &str| {
            redirected(&Url::parse(from).unwrap(), to, String::new()).map(|url| url.to_string())
        };
        assert_eq!(from("https://a/x", "/y").unwrap(), "https://a/y");
        assert_eq!(from("http://a/x", "https://b/").unwrap(), "https://b/");
        for bad in ["http://a/", "file:///etc/passwd", "https://u:p@a/"] {
            assert!(from("https://a/x", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_query_is_not_shown() {
        let url = Url::parse("https://user:word@a/x?token=hunter2#f").unwrap();
        assert_eq!(shown(&url), "https://a/x");
    }
}
