//! Streams over files, counted: they go on after the descriptor they came from is gone.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::Opened;
use super::quota::{Slot, Spent};

/// A stream that reads a file, and holds its place among the open ones.
pub(super) struct Held {
    inner: DynInputStream,
    _slot: Arc<Slot>,
}

impl Held {
    pub(super) fn new(inner: DynInputStream, slot: Arc<Slot>) -> Self {
        Self { inner, _slot: slot }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Held {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Held {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.read(size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.blocking_read(size).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// A stream that writes a file under the operation's quota.
pub(super) struct Metered {
    inner: DynOutputStream,
    opened: Opened,
    file: Arc<File>,
}

impl Metered {
    pub(super) fn new(inner: DynOutputStream, opened: Opened, file: Arc<File>) -> Self {
        Self { inner, opened, file }
    }

    fn take(&self, bytes: usize) -> StreamResult<()> {
        let quota = self.opened.slot.quota();
        quota.write(&self.opened.grant.disk, &self.file, bytes as u64).map_err(failed)
    }
}

fn failed(spent: Spent) -> StreamError {
    StreamError::LastOperationFailed(wasmtime::Error::new(spent))
}

#[wasmtime_wasi::async_trait]
impl Pollable for Metered {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Metered {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let quota = self.opened.slot.quota();
        match usize::try_from(quota.left()).unwrap_or(usize::MAX) {
            // Nothing left is an error: a permit of nothing means "wait", and that would never end.
            0 => Err(failed(quota.refuse(Spent::Written))),
            left => Ok(self.inner.check_write()?.min(left)),
        }
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
