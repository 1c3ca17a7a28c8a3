//! Requests without a host, for tests: plain HTTP, no proxy of the environment, no redirect.

use std::io::{self, Read as _};

use ureq::{Body, BodyReader, Timeout};
use url::Url;

use super::response::Answer;
use super::{Method, Reason, Request, Stage};

/// What is still to come of an answer.
pub(super) struct Incoming(BodyReader<'static>);

impl Incoming {
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Reason> {
        self.0.read(buffer).map_err(|error| io_reason(error, true))
    }
}

pub(super) fn send(request: &Request, url: &Url) -> Result<Answer, Reason> {
    if url.scheme() != "http" {
        return Err(Reason::Other("a native test speaks plain HTTP only".to_owned()));
    }
    let times = request.timeouts;
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(ureq::config::AutoHeaderValue::None)
        .accept_encoding(ureq::config::AutoHeaderValue::None)
        .timeout_connect(Some(times.connect))
        .timeout_recv_response(Some(times.first_byte))
        .timeout_per_read(Some(times.silence.max(times.first_byte)))
        .timeout_global(Some(times.whole))
        .build()
        .new_agent();
    let mut head = ureq::http::Request::builder().method(request.method.as_str()).uri(url.as_str());
    for (name, value) in &request.headers {
        head = head.header(name, value);
    }
    let invalid = |error: ureq::http::Error| Reason::Other(error.to_string());
    let bodiless = matches!(request.method, Method::Get | Method::Head | Method::Delete);
    let answer = if bodiless && request.body.is_empty() {
        agent.run(head.body(()).map_err(invalid)?)
    } else {
        agent.run(head.body(request.body.as_slice()).map_err(invalid)?)
    };
    let (head, body) = answer.map_err(|error| reason(error, false))?.into_parts();
    let headers = (head.headers.iter())
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    Ok(Answer { status: head.status.as_u16(), headers, body: Incoming(Body::into_reader(body)) })
}

fn reason(error: ureq::Error, reading: bool) -> Reason {
    match error {
        ureq::Error::Io(error) => io_reason(error, reading),
        ureq::Error::HostNotFound => Reason::Unresolved,
        ureq::Error::Timeout(stage) => Reason::Timeout(match stage {
            Timeout::Resolve | Timeout::Connect => Stage::Connect,
            Timeout::SendRequest | Timeout::SendBody | Timeout::PerWrite => Stage::Send,
            Timeout::Global | Timeout::PerCall | Timeout::RecvBody => Stage::Whole,
            _ if reading => Stage::Whole,
            _ => Stage::Answer,
        }),
        ureq::Error::ConnectionFailed => Reason::Connection("it could not be made".to_owned()),
        other => Reason::Other(other.to_string()),
    }
}

fn io_reason(error: io::Error, reading: bool) -> Reason {
    use io::ErrorKind as Kind;
    match error.downcast::<ureq::Error>() {
        Ok(error) => reason(error, reading),
        Err(error) => match error.kind() {
            Kind::ConnectionRefused => Reason::Refused,
            Kind::TimedOut | Kind::WouldBlock if reading => Reason::Timeout(Stage::Whole),
            Kind::TimedOut | Kind::WouldBlock => Reason::Timeout(Stage::Answer),
            Kind::UnexpectedEof | Kind::ConnectionReset | Kind::BrokenPipe if reading => {
                Reason::Incomplete
            }
            _ => Reason::Connection(error.to_string()),
        },
    }
}
