//! A source's lines, one after the other, into a sync. Serves a process's stdout and, for
//! `lockgate exec`, our own stdin.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncRead;

use super::{Batcher, LineReader, LinesError};
use crate::executor::{Context, ExecutorError};
use crate::protocol::{
    Catalog, Failure, Json, LogLevel, Message, MessageError, SourceOutput, StateMessage,
    StreamDescriptor, Trace,
};
use crate::sandbox::Limits;

/// How long rows may lie in an open batch while nothing else comes.
const IDLE: Duration = Duration::from_millis(200);
/// Lines that are no messages and are still logged; the rest is only counted.
const NOISE_LOGGED: u64 = 100;

/// Reads a source's output to its end.
pub struct SourceDecoder {
    batcher: Batcher,
    output: Arc<dyn SourceOutput>,
    context: Context,
    state_bytes: usize,
    /// The first failure the source told of.
    fault: Option<Failure>,
    noise: u64,
}

impl std::fmt::Debug for SourceDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceDecoder").field("batcher", &self.batcher).finish_non_exhaustive()
    }
}

impl SourceDecoder {
    /// For a sync of `catalog`.
    #[must_use]
    pub fn new(
        catalog: &Catalog,
        limits: &Limits,
        output: Arc<dyn SourceOutput>,
        context: Context,
    ) -> Self {
        Self {
            batcher: Batcher::new(catalog, limits.row_bytes),
            output,
            context,
            state_bytes: limits.state_bytes,
            fault: None,
            noise: 0,
        }
    }

    /// Reads until the stream ends. What the source said of its own failure is the result, and
    /// comes only then: what went before it is kept.
    ///
    /// # Errors
    /// [`ExecutorError`].
    pub async fn run<R: AsyncRead + Unpin>(
        mut self,
        reader: &mut LineReader<R>,
    ) -> Result<Option<Failure>, ExecutorError> {
        loop {
            let more = if self.batcher.is_empty() {
                reader.fill().await
            } else {
                match tokio::time::timeout(IDLE, reader.fill()).await {
                    Ok(more) => more,
                    Err(_) => {
                        self.drain().await?;
                        continue;
                    }
                }
            };
            if !more.map_err(lines_error)? {
                break;
            }
            let mut number = reader.number();
            while let Some(line) = reader.next_line().map_err(lines_error)? {
                number += 1;
                self.line(line, number).await?;
            }
        }
        self.drain().await?;
        if self.noise > NOISE_LOGGED {
            let text = format!("{} lines of the source's output were no messages", self.noise);
            self.context.observer.log(LogLevel::Warn, &text);
        }
        Ok(self.fault)
    }

    async fn line(&mut self, line: &[u8], number: u64) -> Result<(), ExecutorError> {
        let message = match Message::decode(line) {
            Ok(message) => message,
            Err(MessageError::GarbledRecord(reason)) => {
                return Err(ExecutorError::Garbled { line: number, reason });
            }
            Err(MessageError::NotAMessage) => {
                self.noise += u64::from(!line.trim_ascii().is_empty());
                if self.noise <= NOISE_LOGGED {
                    note(&self.context, line);
                }
                return Ok(());
            }
            Err(e @ MessageError::Garbled(..)) => {
                self.context.observer.log(LogLevel::Warn, &format!("line {number}: {e}"));
                return Ok(());
            }
        };
        match message {
            Message::Record(record) => {
                let full = self
                    .batcher
                    .push(&record)
                    .map_err(|e| ExecutorError::Protocol(format!("line {number} is {e}")))?;
                if let Some(rows) = full {
                    self.output.emit(rows).await?;
                } else if self.batcher.is_heavy() {
                    self.drain().await?;
                }
            }
            Message::State(body) => {
                self.drain().await?;
                if body.get().len() > self.state_bytes {
                    let (bytes, limit) = (body.get().len(), self.state_bytes);
                    return Err(ExecutorError::Protocol(format!(
                        "line {number} is a state of {bytes} bytes; {limit} are allowed"
                    )));
                }
                let state = StateMessage::from_airbyte(Json::from(body))
                    .map_err(|e| ExecutorError::Protocol(format!("line {number}: {e}")))?;
                self.output.checkpoint(state).await?;
            }
            Message::Trace(Trace::Status(descriptor, status)) => {
                self.drain().await?;
                match self.batcher.stream(&descriptor) {
                    Some(stream) => self.output.status(stream, status).await?,
                    None => self.unknown(&descriptor, "a status"),
                }
            }
            Message::Trace(Trace::Estimate(estimate)) if estimate.kind == "STREAM" => {
                let descriptor =
                    StreamDescriptor { name: estimate.name, namespace: estimate.namespace };
                if let Some(stream) = self.batcher.stream(&descriptor) {
                    let whole = |n: Option<f64>| n.filter(|n| *n >= 0.0 && *n < 9e15);
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "it is in range, and a guess"
                    )]
                    let whole = |n| whole(n).map(|n| n as u64);
                    let (rows, bytes) =
                        (whole(estimate.row_estimate), whole(estimate.byte_estimate));
                    self.output.estimate(stream, rows, bytes);
                }
            }
            Message::Trace(Trace::Error { message, detail, kind, stream }) => {
                self.context.observer.log(LogLevel::Error, &message);
                let failure = Failure { kind, message, detail, stream, retry_after_ms: None };
                self.fault.get_or_insert(failure);
            }
            Message::Log(log) => {
                self.context.observer.log(log.level(), &log.message);
                if let Some(trace) = log.stack_trace {
                    self.context.observer.log(LogLevel::Debug, &trace);
                }
            }
            Message::Control(control) => {
                self.context.observer.update_config(Json::from(control.config)).await?;
            }
            Message::Trace(Trace::Estimate(_) | Trace::Other)
            | Message::Spec(_)
            | Message::Catalog(_)
            | Message::ConnectionStatus(_)
            | Message::Ignored => {}
        }
        Ok(())
    }

    fn unknown(&self, descriptor: &StreamDescriptor, what: &str) {
        let text = format!("{what} of the stream {descriptor}, which is not in the catalog");
        self.context.observer.log(LogLevel::Warn, &text);
    }

    async fn drain(&mut self) -> Result<(), ExecutorError> {
        while let Some(rows) = self.batcher.drain() {
            self.output.emit(rows).await?;
        }
        Ok(())
    }
}

/// Logs a line that is no message.
pub(in crate::executor) fn note(context: &Context, line: &[u8]) {
    let text = String::from_utf8_lossy(&line[..line.len().min(2000)]);
    let text = text.trim();
    if !text.is_empty() {
        context.observer.log(LogLevel::Info, text);
    }
}

pub(in crate::executor) fn lines_error(error: LinesError) -> ExecutorError {
    match error {
        LinesError::TooLong { line, limit } => ExecutorError::LineTooLong { line, limit },
        LinesError::Io(e) => {
            ExecutorError::Io { what: "reading the connector's output", reason: e.to_string() }
        }
    }
}
