//! Requests by the host, through `wasi:http`.

use std::time::Duration;

use url::Url;

use self::bindings::wasi::http::outgoing_handler::handle;
use self::bindings::wasi::http::types::{
    ErrorCode, Fields, HeaderError, IncomingBody, IncomingResponse, Method as WasiMethod,
    OutgoingBody, OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use self::bindings::wasi::io::streams::{InputStream, StreamError};
use super::response::Answer;
use super::{Method, Reason, Request, Stage, Timeouts};

mod bindings {
    wit_bindgen::generate!({
        world: "lockgate:sdk/http",
        path: "wit",
        generate_all,
    });
}

/// What is still to come of an answer. The order matters: a stream goes before its body.
pub(super) struct Incoming {
    stream: Option<InputStream>,
    _body: IncomingBody,
    place: String,
}

impl Incoming {
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Reason> {
        let Some(stream) = &self.stream else { return Ok(0) };
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match stream.blocking_read(buffer.len() as u64) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    let count = bytes.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&bytes[..count]);
                    return Ok(count);
                }
                Err(StreamError::Closed) => {
                    self.stream = None;
                    return Ok(0);
                }
                Err(StreamError::LastOperationFailed(error)) => {
                    let known = http_error_code(&error);
                    let text = error.to_debug_string();
                    drop(error);
                    self.stream = None;
                    return Err(match known {
                        Some(ErrorCode::ConnectionReadTimeout) => Reason::Timeout(Stage::Whole),
                        Some(code) => reason(code, &self.place),
                        None => Reason::Connection(text),
                    });
                }
            }
        }
    }
}

pub(super) fn send(request: &Request, url: &Url) -> Result<Answer, Reason> {
    let place = place(url);
    let outgoing = prepare(request, url)?;
    let body = outgoing.body().map_err(|()| fault("its body is taken already"))?;
    let future =
        handle(outgoing, options(request.timeouts)).map_err(|code| reason(code, &place))?;
    // What goes wrong on the way is said by the answer.
    let _ = write(body, &request.body);
    let ready = future.subscribe();
    ready.block();
    drop(ready);
    let answer = match future.get() {
        Some(Ok(answer)) => answer.map_err(|code| reason(code, &place))?,
        Some(Err(())) | None => return Err(fault("the host gave no answer")),
    };
    drop(future);
    receive(&answer, place)
}

fn receive(answer: &IncomingResponse, place: String) -> Result<Answer, Reason> {
    let headers = answer.headers().entries();
    let body = answer.consume().map_err(|()| fault("the answer's body is taken already"))?;
    let stream = body.stream().map_err(|()| fault("the answer's body is taken already"))?;
    let status = answer.status();
    Ok(Answer { status, headers, body: Incoming { stream: Some(stream), _body: body, place } })
}

fn prepare(request: &Request, url: &Url) -> Result<OutgoingRequest, Reason> {
    let headers = Fields::new();
    for (name, value) in &request.headers {
        headers.append(name, value.as_bytes()).map_err(|error| match error {
            HeaderError::InvalidSyntax | HeaderError::Forbidden | HeaderError::Immutable => {
                Reason::Header(name.clone())
            }
        })?;
    }
    let bodiless = matches!(request.method, Method::Get | Method::Head | Method::Delete);
    if !(bodiless && request.body.is_empty()) && !headers.has("content-length") {
        // Without it the body goes in chunks, which some servers do not take: a wish, not a need.
        let _ = headers.append("content-length", request.body.len().to_string().as_bytes());
    }
    let outgoing = OutgoingRequest::new(headers);
    let method = match request.method {
        Method::Get => WasiMethod::Get,
        Method::Head => WasiMethod::Head,
        Method::Post => WasiMethod::Post,
        Method::Put => WasiMethod::Put,
        Method::Patch => WasiMethod::Patch,
        Method::Delete => WasiMethod::Delete,
    };
    let scheme = if url.scheme() == "https" { Scheme::Https } else { Scheme::Http };
    let authority = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return Err(Reason::Url("it has no host")),
    };
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let refused = |()| Reason::Url("the host does not take it");
    outgoing.set_method(&method).map_err(refused)?;
    outgoing.set_scheme(Some(&scheme)).map_err(refused)?;
    outgoing.set_authority(Some(&authority)).map_err(refused)?;
    outgoing.set_path_with_query(Some(path)).map_err(refused)?;
    Ok(outgoing)
}

/// A host that does not know one of them has its own.
fn options(times: Timeouts) -> Option<RequestOptions> {
    let nanoseconds =
        |time: Duration| Some(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1));
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(nanoseconds(times.connect.min(times.whole)));
    let _ = options.set_first_byte_timeout(nanoseconds(times.first_byte.min(times.whole)));
    let _ = options.set_between_bytes_timeout(nanoseconds(times.silence.min(times.whole)));
    Some(options)
}

fn write(body: OutgoingBody, mut bytes: &[u8]) -> Result<(), StreamError> {
    if !bytes.is_empty() {
        // An error here means that the body was asked for before, which it was not.
        let Ok(stream) = body.write() else { return Err(StreamError::Closed) };
        let ready = stream.subscribe();
        while !bytes.is_empty() {
            let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
            if room == 0 {
                ready.block();
                continue;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            stream.write(now)?;
            bytes = rest;
        }
        drop(ready);
        stream.blocking_flush()?;
    }
    OutgoingBody::finish(body, None).map_err(|_| StreamError::Closed)
}

fn fault(what: &str) -> Reason {
    Reason::Other(what.to_owned())
}

/// What the host says, in the words of [`Reason`].
fn reason(code: ErrorCode, place: &str) -> Reason {
    use ErrorCode as Code;
    match code {
        Code::HttpRequestDenied => Reason::NotGranted(place.to_owned()),
        Code::DestinationIpProhibited => Reason::Prohibited(place.to_owned()),
        Code::DnsError(_) | Code::DestinationNotFound => Reason::Unresolved,
        Code::DnsTimeout | Code::ConnectionTimeout => Reason::Timeout(Stage::Connect),
        Code::ConnectionReadTimeout | Code::HttpResponseTimeout => Reason::Timeout(Stage::Answer),
        Code::ConnectionWriteTimeout => Reason::Timeout(Stage::Send),
        Code::ConnectionRefused => Reason::Refused,
        Code::ConnectionTerminated => Reason::Connection("the server closed it".to_owned()),
        Code::DestinationUnavailable | Code::DestinationIpUnroutable => {
            Reason::Connection("the server is not reachable".to_owned())
        }
        Code::HttpResponseIncomplete => Reason::Incomplete,
        Code::ConnectionLimitReached => Reason::Limit("--limit connections=…"),
        Code::HttpRequestBodySize(_) | Code::HttpResponseBodySize(_) => {
            Reason::Limit("--limit http-body-bytes=…")
        }
        Code::HttpRequestHeaderSectionSize(_)
        | Code::HttpRequestHeaderSize(_)
        | Code::HttpResponseHeaderSectionSize(_)
        | Code::HttpResponseHeaderSize(_) => Reason::Limit("--limit http-header-bytes=…"),
        Code::TlsCertificateError => Reason::Tls("the server's certificate is not trusted"),
        Code::TlsProtocolError => Reason::Tls("the server speaks none that the host does"),
        Code::TlsAlertReceived(_) => Reason::Tls("the server refused the connection"),
        Code::HttpRequestUriInvalid | Code::HttpRequestUriTooLong => {
            Reason::Url("the host does not take it")
        }
        Code::InternalError(Some(text)) => Reason::Other(text),
        other => Reason::Other(other.to_string()),
    }
}

/// What a grant of a URL's place is written as: HOST:PORT.
fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or_default())
}
