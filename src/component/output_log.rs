//! A guest's stdout and stderr, as log lines.
//!
//! The attack: a flood, a line without an end. A line is cut at the limit of a message, the budget of
//! the operation holds for it as for every message, and nothing here waits or grows.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::protocol::{LogLevel, Observer};
use crate::sandbox::LogBudget;

/// stdout or stderr of a guest.
#[derive(Clone)]
pub(super) struct LogStream {
    budget: Arc<LogBudget>,
    level: LogLevel,
    partial: Arc<Mutex<Vec<u8>>>,
}

impl LogStream {
    pub(super) fn new(budget: Arc<LogBudget>, level: LogLevel) -> Self {
        Self { budget, level, partial: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let (part, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            rest = after;
            let room = self.budget.message_bytes().saturating_sub(partial.len());
            partial.extend_from_slice(&part[..part.len().min(room)]);
            if end.is_some() {
                let text = String::from_utf8_lossy(&partial);
                let line = text.trim_end();
                if !line.is_empty() {
                    self.budget.log(self.level, line);
                }
                partial.clear();
            }
        }
    }

    /// Says what is left of an unfinished line.
    pub(super) fn finish(&self) {
        self.take(b"\n");
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this form, and 0.3 is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}
