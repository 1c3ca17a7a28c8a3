//! What is written to, and why it failed.

use std::io;
use std::sync::{Arc, OnceLock};

use lockgate_sdk::Failure;

/// Keeps the first failure of what is written to: on its way through what writes Parquet, it would become
/// a text.
#[derive(Debug)]
pub(crate) struct Sticky<W> {
    out: W,
    failure: Arc<OnceLock<Failure>>,
}

impl<W> Sticky<W> {
    /// And where the failure is kept.
    pub(crate) fn new(out: W) -> (Self, Arc<OnceLock<Failure>>) {
        let failure = Arc::new(OnceLock::new());
        (Self { out, failure: Arc::clone(&failure) }, failure)
    }

    pub(crate) fn out(&self) -> &W {
        &self.out
    }

    pub(crate) fn into_out(self) -> W {
        self.out
    }

    fn keep<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let failure = Failure::from(error);
            // The first one is the one to tell.
            let _ = self.failure.set(failure.clone());
            failure.into()
        })
    }
}

impl<W: io::Write> io::Write for Sticky<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.keep(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.keep(flushed)
    }
}
