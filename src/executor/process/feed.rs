//! What a destination is given on stdin.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use super::guard::Guard;
use crate::executor::ExecutorError;
use crate::executor::stdio::{Acks, Encoder};
use crate::protocol::{Catalog, ConfiguredStream, DestinationInput, Event, Outcome};

/// How long the end of a replacing stream may wait for acknowledgements that are due. Many
/// destinations acknowledge only at the end of their input, so it is no more than a moment.
const HEARD_OUT: Duration = Duration::from_secs(2);

/// How the writing of input ended.
pub(super) enum Fed {
    /// All of it was written, and the end was signalled. The file sees what is left in the pipe.
    All(Option<File>),
    /// The destination stopped reading.
    Refused,
    /// The sync is being stopped, or failed here. stdin is kept open: its end would look like a
    /// whole input.
    Stopped(ExecutorError, ChildStdin),
}

/// Writes the input of a destination to its end.
pub(super) struct Feed {
    stdin: ChildStdin,
    /// Holds stdin open should we be killed before its end.
    guard: Option<Guard>,
    encoder: Encoder,
    acks: Arc<Mutex<Acks>>,
    /// Some stream's old rows go when it is complete.
    replaces: bool,
}

impl Feed {
    pub(super) fn new(
        stdin: ChildStdin,
        guard: Option<Guard>,
        catalog: &Catalog,
        acks: Arc<Mutex<Acks>>,
    ) -> Self {
        let replaces = catalog.streams.iter().any(ConfiguredStream::truncates);
        Self { stdin, guard, encoder: Encoder::new(catalog), acks, replaces }
    }

    pub(super) async fn run(mut self, input: Arc<dyn DestinationInput>) -> Fed {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            match input.next().await {
                Ok(Some(Event::Rows(rows))) => {
                    let mut parts = self.encoder.rows(&rows);
                    loop {
                        match parts.part(&mut buffer) {
                            Ok(true) => {}
                            Ok(false) => break,
                            Err(fault) => {
                                let failure = input.source_broke(fault);
                                return Fed::Stopped(failure.into(), self.stdin);
                            }
                        }
                        if let Err(error) = self.stdin.write_all(&buffer).await {
                            return refused(&error, self.stdin);
                        }
                        buffer.clear();
                    }
                }
                Ok(Some(Event::Checkpoint { id, state: Some(state) })) => {
                    self.encoder.state(id, &state, &mut buffer);
                    self.acks.lock().unwrap_or_else(PoisonError::into_inner).sent(id, state);
                }
                // The checkpoint that ends a sync is our own; the end of the input says it.
                Ok(Some(Event::Checkpoint { state: None, .. } | Event::Flush)) => {}
                Ok(Some(Event::StreamEnd { stream, outcome })) => {
                    if outcome == Outcome::Complete && std::mem::take(&mut self.replaces) {
                        self.hear_out().await;
                    }
                    self.encoder.end(stream, outcome, &mut buffer);
                }
                Ok(None) => {
                    let pipe = reading_end(&self.stdin);
                    drop(self.stdin);
                    drop(self.guard);
                    return Fed::All(pipe);
                }
                Err(failure) => return Fed::Stopped(failure.into(), self.stdin),
            }
            if let Err(error) = self.stdin.write_all(&buffer).await {
                return refused(&error, self.stdin);
            }
            // One huge row must not keep its buffer for the rest of the sync.
            if buffer.capacity() > 4 << 20 {
                buffer = Vec::new();
            }
        }
    }

    /// Gives the destination a moment to acknowledge what it was sent: one whose acknowledgements
    /// are wrong should be found before it is told to replace the old rows.
    async fn hear_out(&self) {
        let end = tokio::time::Instant::now() + HEARD_OUT;
        while tokio::time::Instant::now() < end
            && self.acks.lock().unwrap_or_else(PoisonError::into_inner).is_waiting()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Another end to read from. What a destination leaves unread when it exits stays in the pipe as
/// long as there is one, and without it the last writes would look as if they had been read.
fn reading_end(stdin: &ChildStdin) -> Option<File> {
    let path = format!("/proc/self/fd/{}", stdin.as_raw_fd());
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()
}

/// How the writing ends when it cannot go on.
fn refused(error: &std::io::Error, stdin: ChildStdin) -> Fed {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Fed::Refused;
    }
    let what = "writing the destination's input";
    Fed::Stopped(ExecutorError::Io { what, reason: error.to_string() }, stdin)
}
