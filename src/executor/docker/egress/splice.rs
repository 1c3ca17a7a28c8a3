//! Bytes between a container and its server: counted, timed, and no more of them held than two
//! buffers.
//!
//! The attack: a peer that reads nothing while the other sends, one that sends a byte a minute, one
//! that ends one direction and keeps the other open for good. What is not taken is not read; silence
//! has a limit; and what was cut off does not look like an end.

use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::peer::{Peer, reset};
use crate::component::network::shared::Shared;

/// Bytes of one read.
pub(super) const CHUNK: usize = 32 << 10;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the container to its server.
    Out,
    /// From the server.
    Back,
}

/// When something moved last, and which way.
#[derive(Debug)]
pub(super) struct Clock(Mutex<(Instant, Way)>);

impl Clock {
    pub(super) fn new() -> Self {
        Self(Mutex::new((Instant::now(), Way::Back)))
    }

    pub(super) fn moved(&self, way: Way) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), way);
    }

    /// Ends when nothing has moved for longer than it may. After something was sent, that is the time
    /// for the first byte of an answer.
    pub(super) async fn watch(&self, shared: &Shared) -> io::Error {
        loop {
            let (last, way) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (name, limit) = match way {
                Way::Out => ("first-byte-time", shared.limits.first_byte_time),
                Way::Back => ("network-idle-time", shared.limits.network_idle_time),
            };
            // What is longer than clocks go is not waited for.
            let Some(end) = last.checked_add(limit) else { return std::future::pending().await };
            if end <= Instant::now() {
                shared.time_limit(name, limit);
                return io::ErrorKind::TimedOut.into();
            }
            sleep_until(end).await;
        }
    }
}

/// What moves bytes of one connection.
#[derive(Clone, Copy)]
pub(super) struct Mover<'a> {
    pub(super) shared: &'a Shared,
    pub(super) clock: &'a Clock,
}

impl Mover<'_> {
    /// Counts bytes and sends them.
    pub(super) async fn send(
        self,
        to: &mut (impl AsyncWrite + Unpin),
        mut bytes: &[u8],
        way: Way,
    ) -> io::Result<()> {
        self.shared.charge(bytes.len())?;
        while !bytes.is_empty() {
            let sent = to.write(bytes).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.clock.moved(way);
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Moves bytes until there are no more, and passes that on.
    pub(super) async fn pump(
        self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        way: Way,
    ) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                // A peer that is gone needs no farewell.
                let _ = to.shutdown().await;
                return Ok(());
            }
            self.send(to, &buffer[..count], way).await?;
        }
    }
}

/// Moves bytes both ways until both have ended.
pub(super) async fn splice(shared: &Shared, peer: Peer, mut server: TcpStream) {
    let Peer { mut stream, buffer } = peer;
    let clock = Clock::new();
    let mover = Mover { shared, clock: &clock };
    let ended = {
        let (mut from_peer, mut to_peer) = stream.split();
        let (mut from_server, mut to_server) = server.split();
        let out = async {
            mover.send(&mut to_server, &buffer, Way::Out).await?;
            mover.pump(&mut from_peer, &mut to_server, Way::Out).await
        };
        let back = mover.pump(&mut from_server, &mut to_peer, Way::Back);
        tokio::select! {
            both = async { tokio::try_join!(out, back) } => both.map(|_| ()),
            late = clock.watch(shared) => Err(late),
        }
    };
    if ended.is_err() {
        reset(&stream);
        reset(&server);
    }
}
