//! The bytes of a connection that HTTP is spoken on, counted as they come and go on the wire.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::client::TlsStream;

use super::shared::Shared;

/// When something was sent last.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    pub(super) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A connection, plain or behind TLS.
pub(super) struct Metered {
    stream: Stream,
    activity: Activity,
}

enum Stream {
    Plain { stream: TcpStream, shared: Arc<Shared>, _place: OwnedSemaphorePermit },
    Encrypted(Box<TlsStream<Metered>>),
}

impl Metered {
    pub(super) fn new(stream: TcpStream, shared: Arc<Shared>, place: OwnedSemaphorePermit) -> Self {
        let activity = Activity(Arc::new(Mutex::new(Instant::now())));
        Self { stream: Stream::Plain { stream, shared, _place: place }, activity }
    }

    /// What is below it counts.
    pub(super) fn encrypted(stream: TlsStream<Metered>, activity: Activity) -> Self {
        Self { stream: Stream::Encrypted(Box::new(stream)), activity }
    }

    pub(super) fn activity(&self) -> Activity {
        self.activity.clone()
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Encrypted(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Plain { stream, shared, .. } => {
                let before = buffer.filled().len();
                ready!(Pin::new(stream).poll_read(cx, buffer))?;
                Poll::Ready(shared.charge(buffer.filled().len() - before))
            }
        }
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = match &mut self.stream {
            Stream::Encrypted(stream) => return Pin::new(stream).poll_write(cx, bytes),
            Stream::Plain { stream, shared, .. } => {
                let sent = ready!(Pin::new(stream).poll_write(cx, bytes))?;
                shared.charge(sent)?;
                sent
            }
        };
        self.activity.now();
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Plain { stream, .. } => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Plain { stream, .. } => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
