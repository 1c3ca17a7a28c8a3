//! Writes the rows of a stream as a file of JSON lines, CSV or Parquet: what the destinations that write
//! files and objects share. It is a library and no connector.
//!
//! A [`Table`] says what a stream's files look like and a [`FileWriter`] writes one of them, to whatever
//! takes bytes. No row fails for a value: what a column cannot hold is left out or cut, and noted in the
//! row's `_airbyte_meta`.

mod csv;
mod format;
mod parquet;
mod row;
mod sticky;
mod table;
#[cfg(test)]
mod tests;
mod writer;

pub use format::{Compression, Format, Numbers, Options};
pub use table::{Table, replaces};
pub use writer::FileWriter;
