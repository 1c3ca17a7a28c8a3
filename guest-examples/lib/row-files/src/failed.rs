//! Failures on their way through `std::io`.

use std::io;

use lockgate_sdk::Failure;
use parquet::errors::ParquetError;

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

/// The same, of what writes Parquet.
pub(crate) fn of_parquet(error: &ParquetError) -> Failure {
    if let ParquetError::External(inner) = error
        && let Some(error) = inner.downcast_ref::<io::Error>()
    {
        return failure(error);
    }
    Failure::system("a Parquet file cannot be written").with_detail(error)
}
