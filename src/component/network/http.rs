//! `wasi:http`: a request of the guest's, sent by us.
//!
//! The attack: a request that is checked as one and sent as another: an absolute-form target
//! (GHSA-5qpp-g3j2-8frx), a `Host` header of the guest's own, `allowed@evil`, a redirect, a proxy from
//! the environment. The target is rebuilt from what was checked, the name is resolved here, and the
//! address that was vetted is the one that is dialed. Nothing is followed, and HTTP/1.1 is all that is
//! spoken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::HOST;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use rustls::pki_types::ServerName;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

use super::Network;
use super::http_body::{Answered, Sent};
use super::metered::Metered;
use super::shared::{Refused, Shared};
use crate::protocol::Capability;
use crate::sandbox::NetworkHost;

/// Bytes of a request's body that wait to be sent.
const BODY_CHUNK: usize = 16 << 10;
/// The shortest time a guest can ask for: zero is no time at all (GHSA-w4qr-p94g-mjhv).
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest: clocks end somewhere.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long the end of a body is waited for that most likely has none: a request without one is sent
/// without `Transfer-Encoding`, which some servers refuse in a GET.
const NO_BODY: Duration = Duration::from_millis(20);
/// Lines of headers of one answer; more is said to be too many bytes.
const HEADERS: usize = 256;

type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Exchanged = Result<(Response<WasiBody>, Driver), Error>;

/// What a guest neither sends nor sees: headers of the connection, which is ours.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name)
        || name.as_str().starts_with("proxy-")
        || matches!(name.as_str(), "te" | "trailer" | "expect" | "http2-settings" | "alt-svc")
}

/// Removes what a guest neither sends nor sees.
pub(super) fn strip(headers: &mut HeaderMap) {
    let forbidden: Vec<HeaderName> = headers.keys().filter(|n| is_forbidden(n)).cloned().collect();
    for name in forbidden {
        headers.remove(name);
    }
}

/// Bytes of headers, as they are sent.
pub(super) fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

impl WasiHttpHooks for Network {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        // Asked before anything is stored.
        self.crowded || is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn set_host_header(&mut self) -> bool {
        // It is set from what was checked, when the request is sent.
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Driver,
    ) -> Box<dyn Future<Output = Exchanged> + Send> {
        let shared = self.shared();
        Box::new(async move { exchange(shared, request, options.unwrap_or_default()).await })
    }
}

/// Where a request goes.
struct Target {
    tls: bool,
    host: NetworkHost,
    port: u16,
    path: PathAndQuery,
    rule: String,
}

/// What a request says, checked.
fn target(shared: &Shared, request: &Request<WasiBody>) -> Result<Target, Error> {
    let uri = request.uri();
    let refuse = |rule: &str| {
        let place = uri.authority().map_or("", |authority| authority.as_str());
        shared.forbidden(Capability::Http, place, rule);
        Error::HttpRequestDenied
    };
    let tls = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        _ => return Err(refuse("scheme")),
    };
    // CONNECT and TRACE are between a client and its proxies.
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(refuse("method"));
    }
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    if authority.as_str().contains('@') {
        return Err(refuse("userinfo"));
    }
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => {
            if tls {
                443
            } else {
                80
            }
        }
        Some(_) => authority.port_u16().ok_or(Error::HttpRequestUriInvalid)?,
        None => return Err(Error::HttpRequestUriInvalid),
    };
    let path = match uri.path_and_query() {
        None => PathAndQuery::from_static("/"),
        Some(path) if path.as_str().starts_with('/') => path.clone(),
        Some(_) => return Err(refuse("absolute-form")),
    };
    match shared.run.gate.lookup(authority.host(), Some(port)) {
        Ok((host, rule)) => Ok(Target { tls, host, port, path, rule }),
        Err(denied) => {
            shared.denied(Capability::Http, &denied);
            Err(Error::HttpRequestDenied)
        }
    }
}

/// What a guest asked for, within what the limits allow.
fn clamp(asked: Option<Duration>, limit: Duration) -> Duration {
    let limit = limit.clamp(SHORTEST, LONGEST);
    asked.unwrap_or(limit).clamp(SHORTEST, limit)
}

fn error(refused: Refused) -> Error {
    match refused {
        Refused::Denied => Error::HttpRequestDenied,
        Refused::Limit => Error::ConnectionLimitReached,
        Refused::Timeout => Error::DnsTimeout,
        Refused::Unresolvable => Error::DnsError { rcode: None, info_code: None },
    }
}

/// Sends a request and waits for the head of its answer. Gives the answer and what moves its body.
async fn exchange(
    shared: Arc<Shared>,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Exchanged {
    let target = target(&shared, &request)?;
    let limits = &shared.limits;
    if header_bytes(request.headers()) > limits.http_header_bytes {
        shared.limit("http-header-bytes", &format!("{} bytes", limits.http_header_bytes));
        return Err(Error::HttpRequestHeaderSectionSize(None));
    }
    let first_byte = clamp(options.first_byte_timeout, limits.first_byte_time);
    let between = clamp(options.between_bytes_timeout, limits.network_idle_time);
    let within = clamp(options.connect_timeout, limits.connect_time);
    let place = shared.place().map_err(error)?;
    let io = connect(&shared, &target, place, within).await?;
    shared.allowed(Capability::Http, &target.host.with_port(target.port), &target.rule);

    let activity = io.activity();
    let mut request = rebuild(request, &target, &shared)?;
    let bodiless = matches!(*request.method(), Method::GET | Method::HEAD);
    request.body_mut().look(if bodiless { NO_BODY } else { Duration::ZERO }).await;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(limits.http_header_bytes.max(8 << 10))
        .max_headers(HEADERS)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|e| sent_error(&shared, e))?;
    let mut connection = Box::pin(connection);
    let mut driving = true;
    let mut broken = None;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = loop {
        // From when something was sent last: a body may take its time.
        let deadline = activity.last() + first_byte;
        tokio::select! {
            biased;
            answer = &mut answer => {
                break answer.map_err(|e| sent_error(&shared, broken.unwrap_or(e)))?;
            }
            // An answer that came before the end is an answer; without one, this is why.
            ended = &mut connection, if driving => {
                driving = false;
                broken = ended.err();
            }
            () = tokio::time::sleep_until(deadline.into()) => {
                if activity.last() + first_byte <= Instant::now() {
                    shared.time_limit("first-byte-time", first_byte);
                    return Err(Error::ConnectionReadTimeout);
                }
            }
        }
    };
    if header_bytes(answer.headers()) > limits.http_header_bytes {
        shared.limit("http-header-bytes", &format!("{} bytes", limits.http_header_bytes));
        return Err(Error::HttpResponseHeaderSectionSize(None));
    }
    let driver: Driver = Box::new(async move {
        // Its end is the end of the answer's body, which says what went wrong.
        if driving { connection.await.map_err(Error::from) } else { Ok(()) }
    });
    Ok((answer.map(|body| Answered::new(body, shared, between).boxed_unsync()), driver))
}

/// The request as it is sent: origin form, our `Host`, no header of the connection.
fn rebuild(
    request: Request<WasiBody>,
    target: &Target,
    shared: &Arc<Shared>,
) -> Result<Request<Sent>, Error> {
    let (mut parts, body) = request.into_parts();
    strip(&mut parts.headers);
    let usual = if target.tls { 443 } else { 80 };
    let host = match &target.host {
        host if target.port != usual => host.with_port(target.port),
        NetworkHost::Address(std::net::IpAddr::V6(v6)) => format!("[{v6}]"),
        host => host.to_string(),
    };
    let host = HeaderValue::try_from(host).map_err(|_| Error::HttpRequestUriInvalid)?;
    parts.headers.insert(HOST, host);
    parts.uri = Uri::from(target.path.clone());
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    Ok(Request::from_parts(parts, Sent::new(body, shared.clone())))
}

/// A connection to where a request goes: resolved, vetted, dialed, and behind TLS where it is asked
/// for, within one time for all of it.
async fn connect(
    shared: &Arc<Shared>,
    target: &Target,
    place: OwnedSemaphorePermit,
    within: Duration,
) -> Result<Metered, Error> {
    let end = tokio::time::Instant::now() + within;
    let addresses = match &target.host {
        NetworkHost::Address(address) => vec![*address],
        NetworkHost::Name(name) => {
            shared.count_lookup().map_err(error)?;
            let answer = timeout_at(end, shared.resolve(name)).await;
            let addresses = answer.map_err(|_| Error::DnsTimeout)?.map_err(error)?;
            let open = shared.run.gate.vet(name, Some(target.port), addresses);
            open.map_err(|denied| {
                shared.denied(Capability::Http, &denied);
                Error::DestinationIpProhibited
            })?
        }
    };
    let stream = match shared.dial_any(&addresses, target.port, end).await {
        Ok(stream) => stream,
        Err(e) => {
            return Err(match e.kind() {
                std::io::ErrorKind::TimedOut => {
                    shared.time_limit("connect-time", within);
                    Error::ConnectionTimeout
                }
                std::io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                _ => Error::DestinationUnavailable,
            });
        }
    };
    let plain = Metered::new(stream, shared.clone(), place);
    if !target.tls {
        return Ok(plain);
    }
    timeout_at(end, encrypt(shared, target, plain)).await.unwrap_or_else(|_| {
        shared.time_limit("connect-time", within);
        Err(Error::ConnectionTimeout)
    })
}

/// TLS with the name that was checked.
async fn encrypt(shared: &Arc<Shared>, target: &Target, plain: Metered) -> Result<Metered, Error> {
    let name = match &target.host {
        NetworkHost::Address(address) => ServerName::from(*address),
        NetworkHost::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?
        }
    };
    let run = shared.run.clone();
    let client = tokio::task::spawn_blocking(move || run.tls.client()).await;
    let client = match client {
        Ok(Ok(client)) => client,
        Ok(Err(reason)) => return Err(Error::InternalError(Some(reason))),
        Err(_) => return Err(Error::ConfigurationError),
    };
    let activity = plain.activity();
    let connector = tokio_rustls::TlsConnector::from(client);
    match connector.connect(name, plain).await {
        Ok(stream) => Ok(Metered::encrypted(stream, activity)),
        Err(e) => {
            let place = target.host.with_port(target.port);
            shared.tell(format!(
                "network: TLS with {place} failed: {e}; a private certificate authority is trusted with --tls-root FILE"
            ));
            let untrusted = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            Err(match untrusted {
                Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
                _ => Error::TlsProtocolError,
            })
        }
    }
}

/// What became of a request, for a guest; limits are named to the operator.
fn sent_error(shared: &Shared, e: hyper::Error) -> Error {
    if e.is_parse_too_large() {
        shared.limit("http-header-bytes", &format!("{} bytes", shared.limits.http_header_bytes));
        return Error::HttpResponseHeaderSectionSize(None);
    }
    let mut source = std::error::Error::source(&e);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                std::io::ErrorKind::QuotaExceeded => Error::ConnectionLimitReached,
                _ => Error::ConnectionTerminated,
            };
        }
        if let Some(Error::HttpRequestBodySize(size)) = inner.downcast_ref::<Error>() {
            return Error::HttpRequestBodySize(*size);
        }
        source = inner.source();
    }
    if e.is_incomplete_message() { Error::HttpResponseIncomplete } else { Error::HttpProtocolError }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
