//! A stream's rows into a file: Parquet, CSV, JSON lines, Arrow.
//!
//! Rows are read and written a few MiB at a time. The file is made beside its place and renamed once it
//! is whole and on the disk: whoever looks sees all of it or what was there before.

mod csv;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::arrow::{RecordBatches, record_batches};
use super::{CacheError, CachedRows, CachedStream, RecordCache};

/// Bytes of rows that a group of a Parquet file has in memory before it is written.
const GROUP_BYTES: usize = 32 << 20;

/// Bytes of records that are read at once.
const READ_BYTES: usize = 1 << 20;

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// Apache Parquet, compressed with Snappy.
    Parquet,
    /// Comma-separated values (RFC 4180) with a line of names. No value is nothing; empty text is `""`.
    Csv,
    /// The records as the source sent them, one a line.
    JsonLines,
    /// Arrow's file format (IPC).
    Arrow,
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes the rows that a stream has now into a file, instead of what was there. The file is its
/// owner's alone.
///
/// # Errors
/// [`CacheError::Export`] for the file; [`CacheError::Replaced`] where a sync replaced rows meanwhile.
pub fn export(
    cache: &Arc<dyn RecordCache>,
    stream: &CachedStream,
    format: ExportFormat,
    to: &Path,
) -> Result<Exported, CacheError> {
    let fault = |reason: String| CacheError::Export { path: to.to_owned(), reason };
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = tempfile::NamedTempFile::new_in(folder).map_err(|e| fault(e.to_string()))?;
    let mut out = BufWriter::with_capacity(1 << 16, file);
    let export = Export { cache, stream, fault: &fault };
    let rows = match format {
        ExportFormat::JsonLines => export.json_lines(&mut out)?,
        ExportFormat::Csv => csv::write(&export, &mut out)?,
        ExportFormat::Arrow => export.arrow(&mut out)?,
        ExportFormat::Parquet => export.parquet(&mut out)?,
    };
    export.is_still()?;
    let io = |e: std::io::Error| fault(e.to_string());
    out.flush().map_err(io)?;
    let file = out.into_inner().map_err(|e| fault(e.error().to_string()))?;
    file.as_file().sync_all().map_err(io)?;
    let bytes = file.as_file().metadata().map_err(io)?.len();
    file.persist(to).map_err(|e| fault(e.error.to_string()))?;
    Ok(Exported { rows, bytes })
}

struct Export<'e> {
    cache: &'e Arc<dyn RecordCache>,
    stream: &'e CachedStream,
    fault: &'e dyn Fn(String) -> CacheError,
}

impl Export<'_> {
    fn next(&self, after: u64) -> Result<Option<CachedRows>, CacheError> {
        let CachedStream { source, descriptor, position, .. } = self.stream;
        self.cache.rows(source, descriptor, after, position.row, READ_BYTES)
    }

    fn json_lines(&self, out: &mut impl Write) -> Result<u64, CacheError> {
        let (mut count, mut after) = (0, 0);
        while let Some(CachedRows { rows, last }) = self.next(after)? {
            out.write_all(&rows.data).map_err(|e| (self.fault)(e.to_string()))?;
            count += u64::from(rows.count);
            after = last;
        }
        Ok(count)
    }

    fn batches(&self) -> Result<RecordBatches, CacheError> {
        let up_to = self.stream.position.row;
        record_batches(Arc::clone(self.cache), self.stream.clone(), 0, up_to)
    }

    fn arrow(&self, out: &mut impl Write) -> Result<u64, CacheError> {
        let fault = |e: arrow_schema::ArrowError| (self.fault)(e.to_string());
        let batches = self.batches()?;
        let mut writer = FileWriter::try_new(out, &batches.schema()).map_err(fault)?;
        let mut count = 0;
        for batch in batches {
            let batch = batch?;
            writer.write(&batch).map_err(fault)?;
            count += batch.num_rows() as u64;
        }
        writer.finish().map_err(fault)?;
        Ok(count)
    }

    fn parquet(&self, out: &mut (impl Write + Send)) -> Result<u64, CacheError> {
        let fault = |e: parquet::errors::ParquetError| (self.fault)(e.to_string());
        let batches = self.batches()?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer =
            ArrowWriter::try_new(out, batches.schema(), Some(properties)).map_err(fault)?;
        let mut count = 0;
        for batch in batches {
            let batch = batch?;
            writer.write(&batch).map_err(fault)?;
            count += batch.num_rows() as u64;
            if writer.in_progress_size() > GROUP_BYTES {
                writer.flush().map_err(fault)?;
            }
        }
        writer.close().map_err(fault)?;
        Ok(count)
    }

    /// That what was read was one state of the stream: rows that were replaced or merged meanwhile are
    /// missing.
    fn is_still(&self) -> Result<(), CacheError> {
        let CachedStream { source, descriptor, position, merged, .. } = self.stream;
        let now = self.cache.streams(Some(source))?;
        let now = now.into_iter().find(|stream| stream.descriptor == *descriptor);
        let still = now.is_some_and(|now| {
            now.position.generation == position.generation
                && (now.position.row == position.row || !(now.merged || *merged))
        });
        if still { Ok(()) } else { Err(CacheError::Replaced { stream: descriptor.to_string() }) }
    }
}

#[cfg(test)]
mod tests;
