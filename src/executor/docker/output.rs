//! A container's output on its way to whoever reads it.
//!
//! The accident: an engine keeps at most a megabyte and a half of output, and two seconds after a
//! container's end it throws away what nobody has taken. A source that ends while its destination is
//! busy loses its last rows, and exits with 0. So the output is taken out of the engine at once, into
//! a bounded buffer here; when that is full and is not soon emptied, the container is paused. One that
//! is paused does not end. An engine that cannot pause is waited for, and an output that may have been
//! cut by that is an error.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::{Notify, watch};

use super::attach::{Attached, Frames, Kind};
use super::engine::{Engine, is_absent};
use super::exit::Exit;

/// Bytes that wait here before the container is paused. 8 MiB: a tenth of a second at full speed.
const FULL: usize = 8 << 20;
/// Bytes that wait when it goes on.
const LOW: usize = 2 << 20;
/// Bytes beyond [`FULL`] that are taken from a container that has ended: more than an engine holds.
const REST: usize = 16 << 20;
/// How long a full buffer is waited for. Well below the engine's two seconds.
const PATIENCE: Duration = Duration::from_millis(500);
/// From when on a wait may have cost something, where the container was not paused.
const RISK: Duration = Duration::from_millis(1500);
/// Bytes that an engine always keeps.
const KEPT: u64 = 900_000;
/// Bytes that an engine keeps at most.
const KEPT_AT_MOST: u64 = 4 << 20;
/// How often an engine is asked to let a container go on, and how long it is waited for in between.
const GO_ON: u32 = 5;
const GO_ON_AGAIN: Duration = Duration::from_millis(500);
/// Bytes of one read.
const CHUNK: usize = 256 << 10;

#[derive(Debug, Default)]
struct State {
    bytes: BytesMut,
    ended: Option<Result<(), String>>,
    /// Nobody waits for more: nothing holds the engine up.
    released: bool,
    reader: Option<Waker>,
}

/// The buffer.
#[derive(Debug, Default)]
pub(super) struct Output {
    state: Mutex<State>,
    room: Notify,
}

impl Output {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds bytes. Gives how many wait.
    fn push(&self, bytes: &[u8]) -> usize {
        let mut state = self.state();
        if state.released && state.bytes.len() > FULL + REST {
            return 0;
        }
        state.bytes.extend_from_slice(bytes);
        if let Some(waker) = state.reader.take() {
            waker.wake();
        }
        if state.released { 0 } else { state.bytes.len() }
    }

    fn end(&self, how: Result<(), String>) {
        let mut state = self.state();
        state.ended.get_or_insert(how);
        if let Some(waker) = state.reader.take() {
            waker.wake();
        }
    }

    /// Never holds the engine up any more: the connector is being ended.
    pub(super) fn release(&self) {
        self.state().released = true;
        self.room.notify_one();
    }

    async fn below(&self, most: usize) {
        loop {
            {
                let state = self.state();
                if state.released || state.bytes.len() <= most {
                    return;
                }
            }
            self.room.notified().await;
        }
    }
}

/// The end that is read from.
pub(super) struct Reader(pub(super) Arc<Output>);

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        if !state.bytes.is_empty() {
            let count = state.bytes.len().min(buffer.remaining());
            buffer.put_slice(&state.bytes[..count]);
            state.bytes.advance(count);
            drop(state);
            self.0.room.notify_one();
            return Poll::Ready(Ok(()));
        }
        match &state.ended {
            Some(Ok(())) => Poll::Ready(Ok(())),
            Some(Err(reason)) => Poll::Ready(Err(io::Error::other(reason.clone()))),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// What is known of an output at its end.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Ended {
    /// The engine closed the connection with input in it that nobody had read.
    pub(super) unread: bool,
    /// The end of the output may be missing.
    pub(super) cut: bool,
}

/// Moves output from a container to its readers.
pub(super) struct Pump {
    pub(super) engine: Engine,
    pub(super) id: String,
    pub(super) connection: Attached,
    /// What had come before.
    pub(super) begun: Vec<u8>,
    pub(super) output: Arc<Output>,
    pub(super) errors: DuplexStream,
    pub(super) exit: watch::Receiver<Option<Exit>>,
    /// Bytes since a wait that may have cost something.
    pub(super) at_risk: Option<u64>,
    /// Whether the engine pauses this container.
    pub(super) pauses: bool,
}

impl Pump {
    /// Runs until the output ends.
    pub(super) async fn run(mut self) -> Ended {
        let mut ended = Ended::default();
        let mut frames = Frames::default();
        let mut buffer = vec![0; CHUNK];
        let begun = std::mem::take(&mut self.begun);
        let mut filled = begun.len().min(CHUNK);
        buffer[..filled].copy_from_slice(&begun[..filled]);
        let mut gone = false;
        let how = loop {
            let mut bytes = &buffer[..filled];
            let result = loop {
                match frames.next(&mut bytes) {
                    Ok(Some((Kind::Stdout, piece))) => {
                        if let Err(reason) = self.stdout(piece).await {
                            break Err(reason);
                        }
                    }
                    // Its reader never stops; one that was ended is not waited for.
                    Ok(Some((Kind::Stderr, piece))) => drop(self.errors.write_all(piece).await),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error.to_string()),
                }
            };
            if result.is_err() {
                break result;
            }
            filled = 0;
            let silence = self.engine.time;
            let read = tokio::select! {
                read = self.connection.read(&mut buffer) => read,
                _ = self.exit.wait_for(Option::is_some), if !gone => {
                    gone = true;
                    continue;
                }
                // Its end is the output's end, and the engine does not say so.
                () = tokio::time::sleep(silence), if gone => {
                    let silence = silence.as_secs_f64();
                    break Err(format!("the engine did not end it within {silence} s"));
                }
            };
            match read {
                Ok(0) if frames.is_between() => break Ok(()),
                Ok(0) => break Err("the engine ended it within a frame".into()),
                Ok(count) => filled = count,
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                    ended.unread = true;
                    break Ok(());
                }
                Err(e) => break Err(e.to_string()),
            }
        };
        ended.cut = self.at_risk.is_some_and(|bytes| (KEPT..KEPT_AT_MOST).contains(&bytes));
        self.output.end(how);
        ended
    }

    async fn stdout(&mut self, piece: &[u8]) -> Result<(), String> {
        if let Some(bytes) = &mut self.at_risk {
            *bytes += piece.len() as u64;
        }
        let waiting = self.output.push(piece);
        let ended = self.exit.borrow().is_some();
        let most = if ended { FULL + REST } else { FULL };
        if waiting > most {
            self.make_room().await?;
        }
        Ok(())
    }

    async fn make_room(&mut self) -> Result<(), String> {
        let since = Instant::now();
        if tokio::time::timeout(PATIENCE, self.output.below(LOW)).await.is_ok() {
            return Ok(());
        }
        if self.pauses {
            let paused = self.engine.ask(self.engine.docker.pause_container(&self.id)).await;
            // One that answers too late may have done it.
            if paused.is_ok() || self.is_paused().await {
                // It had not ended, so nothing of its output is lost; and it does not end now.
                self.output.below(LOW).await;
                return self.go_on().await;
            }
            if self.has_ended().await {
                if since.elapsed() > RISK {
                    self.at_risk = Some(0);
                }
                // All that is left fits.
                return Ok(());
            }
            self.pauses = false;
        }
        self.output.below(FULL).await;
        if since.elapsed() > RISK {
            self.at_risk = Some(0);
        }
        Ok(())
    }

    /// Lets a container that was paused go on. One that cannot would say nothing for ever.
    async fn go_on(&mut self) -> Result<(), String> {
        let mut reason = String::new();
        for _ in 0..GO_ON {
            let asked = self.engine.ask(self.engine.docker.unpause_container(&self.id)).await;
            let Err(said) = asked else { return Ok(()) };
            // Not again: the next time it may stay so.
            self.pauses = false;
            if !self.is_paused().await {
                return Ok(());
            }
            reason = said;
            tokio::time::sleep(GO_ON_AGAIN).await;
        }
        Err(format!("the engine paused the container and does not let it go on: {reason}"))
    }

    /// Whether it is paused, or may be.
    async fn is_paused(&self) -> bool {
        let asked = self.engine.ask(async {
            match self.engine.docker.inspect_container(&self.id, None).await {
                Err(error) if is_absent(&error) => Ok(None),
                other => other.map(Some),
            }
        });
        match asked.await {
            Ok(found) => found.and_then(|c| c.state).and_then(|s| s.paused) == Some(true),
            Err(_) => true,
        }
    }

    async fn has_ended(&self) -> bool {
        if self.exit.borrow().is_some() {
            return true;
        }
        let asked = self.engine.ask(self.engine.docker.inspect_container(&self.id, None)).await;
        let state = asked.ok().and_then(|container| container.state);
        state.is_some_and(|state| state.running == Some(false))
    }
}
