//! Failures on their way through `std::io`.

use std::io;
use std::sync::{Arc, OnceLock};

use lockgate_sdk::Failure;

/// A failure as an error.
#[derive(Debug)]
struct Carried(Failure);

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Carried {}

/// The failure as what [`io::Write`] returns: [`FileWriter`](crate::FileWriter) gives it back as it was.
pub fn carry(failure: impl Into<Failure>) -> io::Error {
    io::Error::other(Carried(failure.into()))
}

/// The failure that an error of [`io::Write`] is or carries.
#[must_use]
pub fn failure(error: &io::Error) -> Failure {
    let carried = error.get_ref().and_then(|inner| inner.downcast_ref::<Carried>());
    carried.map_or_else(|| Failure::system(error.to_string()), |carried| carried.0.clone())
}

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
        if let Err(error) = &result {
            // The first one is the one to tell.
            let _ = self.failure.set(failure(error));
        }
        result
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
