//! What is written to, and why it failed.

use std::io;
use std::sync::{Arc, OnceLock};

use lockgate_sdk::Failure;

/// Keeps the first failure of what is written to: on its way through what writes Parquet, it would become
/// a text. After it nothing is written any more, not by what completes a file as it is dropped either.
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

    fn unless_failed<T>(&mut self, run: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if let Some(failure) = self.failure.get() {
            return Err(failure.clone().into());
        }
        run(&mut self.out).map_err(|error| {
            let failure = self.failure.get_or_init(|| Failure::from(error));
            failure.clone().into()
        })
    }
}

impl<W: io::Write> io::Write for Sticky<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_failed(|out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_failed(io::Write::flush)
    }
}
