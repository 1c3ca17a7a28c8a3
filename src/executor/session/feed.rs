//! What a destination is given on stdin.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::{Stdin, Unread};
use crate::executor::ExecutorError;
use crate::executor::stdio::{Acks, Encoder};
use crate::protocol::{Catalog, ConfiguredStream, DestinationInput, Event, Outcome};

/// How long the end of a replacing stream may wait for acknowledgements that are due. Many
/// destinations acknowledge only at the end of their input, so it is no more than a moment.
const HEARD_OUT: Duration = Duration::from_secs(2);

/// How the writing of input ended.
pub(super) enum Fed {
    /// All of it was written, and the end was signalled.
    All(Unread),
    /// The destination stopped reading.
    Refused,
    /// The sync is being stopped, or failed here. stdin is kept open: its end would look like a
    /// whole input.
    Stopped(ExecutorError, Box<dyn Stdin>),
}

/// Writes the input of a destination to its end.
pub(super) struct Feed {
    stdin: Box<dyn Stdin>,
    encoder: Encoder,
    acks: Arc<Mutex<Acks>>,
    /// Some stream's old rows go when it is complete.
    replaces: bool,
}

impl Feed {
    pub(super) fn new(stdin: Box<dyn Stdin>, catalog: &Catalog, acks: Arc<Mutex<Acks>>) -> Self {
        let replaces = catalog.streams.iter().any(ConfiguredStream::truncates);
        Self { stdin, encoder: Encoder::new(catalog), acks, replaces }
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
                        hear_out(&self.acks).await;
                    }
                    self.encoder.end(stream, outcome, &mut buffer);
                }
                Ok(None) => {
                    return match self.stdin.finish().await {
                        Ok(unread) => Fed::All(unread),
                        // It is gone, and what it left unread is not known.
                        Err(_) => Fed::Refused,
                    };
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
}

/// Gives the destination a moment to acknowledge what it was sent: one whose acknowledgements
/// are wrong should be found before it is told to replace the old rows.
async fn hear_out(acks: &Mutex<Acks>) {
    let end = tokio::time::Instant::now() + HEARD_OUT;
    while tokio::time::Instant::now() < end
        && acks.lock().unwrap_or_else(PoisonError::into_inner).is_waiting()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How the writing ends when it cannot go on.
fn refused(error: &std::io::Error, stdin: Box<dyn Stdin>) -> Fed {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Fed::Refused;
    }
    let what = "writing the destination's input";
    Fed::Stopped(ExecutorError::Io { what, reason: error.to_string() }, stdin)
}
