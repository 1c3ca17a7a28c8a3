//! A guest's stdout and stderr, as log lines.
//!
//! The attack: a flood, a line without an end, escape sequences. A line is cut at a limit, what
//! passes the operation's limit is counted and dropped, and nothing here waits or grows.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::protocol::{LogLevel, Observer};
use crate::sandbox::Limits;

/// What one operation may say, over the contract's `log` and its stdio together.
pub(super) struct LogBudget {
    observer: Arc<dyn Observer>,
    left: Mutex<usize>,
    message_bytes: usize,
}

impl LogBudget {
    pub(super) fn new(observer: Arc<dyn Observer>, limits: &Limits) -> Arc<Self> {
        let left = Mutex::new(limits.log_bytes);
        Arc::new(Self { observer, left, message_bytes: limits.log_message_bytes })
    }

    /// Passes a message on, cut to its limit, as long as the budget lasts.
    pub(super) fn log(&self, level: LogLevel, message: &str) {
        let mut end = message.len().min(self.message_bytes);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let message = &message[..end];
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if *left == 0 {
            return;
        }
        // An empty message costs something too.
        let spent = message.len() + 1;
        if spent >= *left {
            *left = 0;
            drop(left);
            self.observer
                .log(LogLevel::Warn, "the connector reached its log limit; the rest is dropped");
        } else {
            *left -= spent;
            drop(left);
            self.observer.log(level, message);
        }
    }
}

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
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            let room = self.budget.message_bytes.saturating_sub(partial.len());
            partial.extend_from_slice(&part[..part.len().min(room)]);
            if part.last() == Some(&b'\n') {
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
