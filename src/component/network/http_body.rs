//! The bodies of a request and of its answer: counted, timed, without frames that hold nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::http::{header_bytes, strip};
use super::shared::Shared;

/// Counts what one body holds, against `http-body-bytes` and, for trailers, `http-header-bytes`.
struct Count {
    shared: Arc<Shared>,
    left: u64,
}

/// What is too large.
enum TooLarge {
    Body(u64),
    Trailers,
}

impl Count {
    fn new(shared: Arc<Shared>) -> Self {
        Self { left: shared.limits.http_body_bytes, shared }
    }

    /// The frame to pass on; none: it holds nothing.
    fn take(&mut self, mut frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, TooLarge> {
        if let Some(data) = frame.data_ref() {
            if data.is_empty() {
                return Ok(None);
            }
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                let limit = self.shared.limits.http_body_bytes;
                self.shared.limit("http-body-bytes", &format!("{limit} bytes"));
                return Err(TooLarge::Body(limit));
            };
            self.left = left;
        }
        if let Some(trailers) = frame.trailers_mut() {
            strip(trailers);
            let limit = self.shared.limits.http_header_bytes;
            if header_bytes(trailers) > limit {
                self.shared.limit("http-header-bytes", &format!("{limit} bytes"));
                return Err(TooLarge::Trailers);
            }
        }
        Ok(Some(frame))
    }
}

/// The body of a request.
pub(super) struct Sent {
    body: WasiBody,
    count: Count,
    /// What was seen of it before it was sent.
    first: Option<Seen>,
}

/// The next of a body: a frame, an error or its end.
type Seen = Option<Result<Frame<Bytes>, Error>>;

impl Sent {
    pub(super) fn new(body: WasiBody, shared: Arc<Shared>) -> Self {
        Self { body, count: Count::new(shared), first: None }
    }

    /// Waits a little for what comes first: if that is the end, there is no body.
    pub(super) async fn look(&mut self, wait: Duration) {
        let first = tokio::time::timeout(wait, self.body.frame());
        self.first = first.await.ok();
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Seen> {
        match self.first.take() {
            // An end stays one.
            Some(None) => {
                self.first = Some(None);
                Poll::Ready(None)
            }
            Some(first) => Poll::Ready(first),
            None => Pin::new(&mut self.body).poll_frame(cx),
        }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            let frame = match ready!(self.poll_next(cx)) {
                Some(Ok(frame)) => self.count.take(frame),
                other => return Poll::Ready(other),
            };
            match frame {
                Ok(None) => {}
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Err(TooLarge::Body(limit)) => {
                    return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(limit)))));
                }
                Err(TooLarge::Trailers) => {
                    return Poll::Ready(Some(Err(Error::HttpRequestTrailerSectionSize(None))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.first {
            Some(None) => true,
            Some(_) => false,
            None => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.first {
            Some(None) => SizeHint::with_exact(0),
            // What was taken is not counted in it any more.
            Some(_) => SizeHint::default(),
            None => self.body.size_hint(),
        }
    }
}

/// The body of an answer. After an error it has ended.
pub(super) struct Answered {
    body: Option<hyper::body::Incoming>,
    count: Count,
    between: Duration,
    sleep: Pin<Box<Sleep>>,
    /// Somebody waits, and the clock runs.
    waiting: bool,
}

impl Answered {
    pub(super) fn new(body: hyper::body::Incoming, shared: Arc<Shared>, between: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(between));
        Self { body: Some(body), count: Count::new(shared), between, sleep, waiting: false }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.waiting = false;
                    match self.count.take(frame) {
                        Ok(None) => {}
                        Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                        Err(TooLarge::Body(limit)) => {
                            return Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(
                                limit,
                            )))));
                        }
                        Err(TooLarge::Trailers) => {
                            return Poll::Ready(Some(Err(Error::HttpResponseTrailerSectionSize(
                                None,
                            ))));
                        }
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    return Poll::Ready(Some(Err(Error::HttpResponseIncomplete)));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    if !self.waiting {
                        self.waiting = true;
                        self.sleep.as_mut().reset(Instant::now() + self.between);
                    }
                    ready!(self.sleep.as_mut().poll(cx));
                    self.count.shared.time_limit("network-idle-time", self.between);
                    return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
                }
            }
        }
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.next(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
