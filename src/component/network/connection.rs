//! One TCP connection of a guest: counted, timed, and with a bounded buffer.
//!
//! The attack: a peer that sends a byte a minute, a guest that writes nothing a million times, and
//! bytes that nobody counted. The buffer holds one write at most; an empty write is none
//! (GHSA-5m8g-xhq4-4h93).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::net::Shutdown;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use super::shared::Shared;

/// Bytes of one read or write.
const CHUNK: usize = 64 << 10;
/// How long what a guest wrote last is still sent after it closed its stream.
const LINGER: Duration = Duration::from_secs(10);

/// A connection; both of its streams and its socket hold it.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    shared: Arc<Shared>,
    state: Mutex<State>,
    no_more_reads: AtomicBool,
    _place: OwnedSemaphorePermit,
}

#[derive(Default)]
struct State {
    /// What was written and not taken by the system yet: one write at most.
    pending: Bytes,
    /// Nothing more is written, and the peer hears so once nothing is pending.
    no_more_writes: bool,
    /// Since when the guest waits with nothing coming or going.
    waiting: Option<Instant>,
    /// Something was sent, and nothing has come since.
    asked: bool,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        shared: Arc<Shared>,
        place: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        let (state, no_more_reads) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { stream, shared, state, no_more_reads, _place: place })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the system, as long as the limits allow with nothing coming or going.
    async fn wait(&self, ready: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        let limits = &self.shared.limits;
        let (since, name, limit) = {
            let mut state = self.state();
            let since = *state.waiting.get_or_insert_with(Instant::now);
            if state.asked {
                (since, "first-byte-time", limits.first_byte_time)
            } else {
                (since, "network-idle-time", limits.network_idle_time)
            }
        };
        match tokio::time::timeout(limit.saturating_sub(since.elapsed()), ready).await {
            Ok(result) => result,
            Err(_) => {
                self.shared.time_limit(name, limit);
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }

    /// Sends what is pending, as much as the system takes.
    fn send(&self) -> io::Result<()> {
        let mut state = self.state();
        while !state.pending.is_empty() {
            match self.stream.try_write(&state.pending) {
                Ok(sent) => {
                    let _ = state.pending.split_to(sent);
                    (state.waiting, state.asked) = (None, true);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => {
                    state.pending.clear();
                    return Err(e);
                }
            }
        }
        if state.no_more_writes {
            // A peer that is gone needs no farewell.
            let _ = rustix::net::shutdown(&self.stream, Shutdown::Write);
        }
        Ok(())
    }

    /// Sends all that is pending.
    async fn drain(&self) -> io::Result<()> {
        loop {
            self.send()?;
            if self.state().pending.is_empty() {
                return Ok(());
            }
            self.wait(self.stream.writable()).await?;
        }
    }

    /// Ends one direction or both.
    pub(super) fn shutdown(&self, reads: bool, writes: bool) -> io::Result<()> {
        if reads {
            self.no_more_reads.store(true, Ordering::Relaxed);
        }
        if writes {
            self.state().no_more_writes = true;
            self.send()?;
        }
        Ok(())
    }
}

/// The guest's input stream.
pub(super) struct Incoming {
    connection: Arc<Connection>,
    ended: bool,
    failed: Option<io::Error>,
}

impl Incoming {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, ended: false, failed: None }
    }

    fn fail(&mut self, error: io::Error) -> StreamError {
        self.ended = true;
        StreamError::LastOperationFailed(error.into())
    }
}

impl InputStream for Incoming {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if let Some(error) = self.failed.take() {
            return Err(self.fail(error));
        }
        if self.ended || self.connection.no_more_reads.load(Ordering::Relaxed) {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = Vec::with_capacity(size.min(CHUNK));
        match self.connection.stream.try_read_buf(&mut bytes) {
            Ok(0) => {
                self.ended = true;
                Err(StreamError::Closed)
            }
            Ok(count) => {
                if let Err(error) = self.connection.shared.charge(count) {
                    return Err(self.fail(error));
                }
                let mut state = self.connection.state();
                (state.waiting, state.asked) = (None, false);
                Ok(bytes.into())
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Bytes::new()),
            Err(e) => Err(self.fail(e)),
        }
    }
}

#[async_trait]
impl Pollable for Incoming {
    async fn ready(&mut self) {
        let shut = self.connection.no_more_reads.load(Ordering::Relaxed);
        if self.ended || shut || self.failed.is_some() {
            return;
        }
        if let Err(error) = self.connection.wait(self.connection.stream.readable()).await {
            self.failed = Some(error);
        }
    }
}

/// The guest's output stream.
pub(super) struct Outgoing {
    connection: Arc<Connection>,
    ended: bool,
    failed: Option<io::Error>,
}

impl Outgoing {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, ended: false, failed: None }
    }

    fn usable(&mut self) -> StreamResult<()> {
        if let Some(error) = self.failed.take() {
            return Err(self.fail(error));
        }
        if self.ended || self.connection.state().no_more_writes {
            return Err(StreamError::Closed);
        }
        Ok(())
    }

    fn fail(&mut self, error: io::Error) -> StreamError {
        self.ended = true;
        StreamError::LastOperationFailed(error.into())
    }
}

impl OutputStream for Outgoing {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.usable()?;
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() > CHUNK || !self.connection.state().pending.is_empty() {
            return Err(StreamError::trap("more was written than check-write permitted"));
        }
        if let Err(error) = self.connection.shared.charge(bytes.len()) {
            return Err(self.fail(error));
        }
        self.connection.state().pending = bytes;
        self.connection.send().map_err(|e| self.fail(e))
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.usable()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.usable()?;
        if let Err(error) = self.connection.send() {
            return Err(self.fail(error));
        }
        Ok(if self.connection.state().pending.is_empty() { CHUNK } else { 0 })
    }
}

#[async_trait]
impl Pollable for Outgoing {
    async fn ready(&mut self) {
        if self.ended || self.failed.is_some() {
            return;
        }
        if let Err(error) = self.connection.drain().await {
            self.failed = Some(error);
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if self.connection.state().pending.is_empty() {
            return;
        }
        // As a system does after close: what was accepted is sent. The place of the connection is
        // taken meanwhile.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let connection = self.connection.clone();
            runtime.spawn(async move {
                let _ = tokio::time::timeout(LINGER, connection.drain()).await;
            });
        }
    }
}
