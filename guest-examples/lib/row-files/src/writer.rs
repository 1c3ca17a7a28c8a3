//! One file on its way.

use std::io::Write;

use flate2::write::GzEncoder;
use lockgate_sdk::{Failure, Rows};

use crate::csv;
use crate::format::{Compression, Format};
use crate::parquet::ParquetFile;
use crate::sticky::Sticky;
use crate::table::Table;

/// Writes one file of a stream to whatever takes bytes.
#[derive(Debug)]
pub struct FileWriter<W: Write + Send> {
    kind: Kind<W>,
    rows: u64,
}

#[derive(Debug)]
enum Kind<W: Write + Send> {
    Plain { out: Sticky<W>, lines: Vec<u8> },
    Gzip { out: GzEncoder<Sticky<W>>, lines: Vec<u8> },
    Parquet(Box<ParquetFile<W>>),
}

impl<W: Write + Send> FileWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What `out` returned, as the failure that it was made of.
    pub fn new(table: &Table, out: W) -> Result<Self, Failure> {
        let mut lines = Vec::new();
        if table.options.format == Format::Csv {
            csv::header(table, &mut lines);
        }
        let kind = match (table.options.format, table.options.compression) {
            (Format::Parquet, _) => Kind::Parquet(Box::new(ParquetFile::new(table, out)?)),
            (_, Compression::None) => Kind::Plain { out: Sticky::new(out).0, lines },
            (_, Compression::Gzip) => {
                let out = GzEncoder::new(Sticky::new(out).0, flate2::Compression::default());
                Kind::Gzip { out, lines }
            }
        };
        let mut file = Self { kind, rows: 0 };
        file.write_lines()?;
        Ok(file)
    }

    /// Writes the rows of a batch, which are of the table's stream.
    ///
    /// # Errors
    /// `system` for a row that is no JSON object; what `out` returned.
    pub fn write(&mut self, table: &mut Table, rows: &Rows) -> Result<(), Failure> {
        self.rows += u64::from(rows.count());
        let lines = match &mut self.kind {
            Kind::Parquet(file) => return file.write(table, rows),
            Kind::Plain { out, .. } if table.options.format == Format::Jsonl => {
                return Ok(out.write_all(rows.bytes())?);
            }
            Kind::Gzip { out, .. } if table.options.format == Format::Jsonl => {
                return Ok(out.write_all(rows.bytes())?);
            }
            Kind::Plain { lines, .. } | Kind::Gzip { lines, .. } => lines,
        };
        csv::rows(table, rows, lines)?;
        self.write_lines()
    }

    fn write_lines(&mut self) -> Result<(), Failure> {
        let (out, lines): (&mut dyn Write, _) = match &mut self.kind {
            Kind::Parquet(_) => return Ok(()),
            Kind::Plain { out, lines } => (out, lines),
            Kind::Gzip { out, lines } => (out, lines),
        };
        let written = out.write_all(lines);
        lines.clear();
        Ok(written?)
    }

    /// Rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes it holds in memory because the file is not complete, about.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.kind {
            Kind::Parquet(file) => file.held(),
            Kind::Plain { lines, .. } | Kind::Gzip { lines, .. } => lines.capacity(),
        }
    }

    /// Bytes that the file gets beside those that were written, about: rows that are columns still.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        match &self.kind {
            Kind::Parquet(file) => file.held(),
            Kind::Plain { .. } | Kind::Gzip { .. } => 0,
        }
    }

    /// What it writes to.
    #[must_use]
    pub fn out(&self) -> &W {
        match &self.kind {
            Kind::Parquet(file) => file.out(),
            Kind::Plain { out, .. } => out.out(),
            Kind::Gzip { out, .. } => out.get_ref().out(),
        }
    }

    /// Completes the file and gives back what it was written to.
    ///
    /// # Errors
    /// What `out` returned.
    pub fn finish(mut self) -> Result<W, Failure> {
        self.write_lines()?;
        match self.kind {
            Kind::Parquet(file) => file.finish(),
            Kind::Plain { out, .. } => Ok(out.into_out()),
            Kind::Gzip { out, .. } => Ok(out.finish()?.into_out()),
        }
    }
}
