//! A file of Parquet: a stream's schema as columns of Arrow.
//!
//! | schema | Arrow | a value that is not one |
//! |---|---|---|
//! | text | `Utf8` | its JSON text |
//! | boolean | `Boolean` | null, noted |
//! | integer | `Int64` | null, noted; a text that is a number is one |
//! | number | `Float64`, or `Utf8` by `numbers` | as integers; rounded ones are noted |
//! | date | `Date32` | null, noted; a time in it is cut |
//! | timestamp | `Timestamp(µs)`, `Timestamp(µs, UTC)` | null, noted; finer fractions are cut |
//! | time | `Time64(µs)` | null, noted |
//! | time with a zone, JSON | `Utf8` | |

use std::io::Write;
use std::sync::{Arc, OnceLock};

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use json_rows::escape::{has_half, unescape};
use json_rows::scan::{Kind, Value};
use json_rows::time::{Clock, Zone, read, read_clock};
use json_rows::{Change, ColumnType, number};
use lockgate_sdk::{Failure, Rows};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::format::Numbers;
use crate::row::write_others;
use crate::sticky::Sticky;
use crate::table::{ADDITIONAL, EXTRACTED_AT, GENERATION_ID, META, Table};

/// Bytes of rows that are columns in memory before they are encoded.
const BATCH_BYTES: usize = 4 << 20;

/// What a value takes in a column even where the row has none: eight bytes and a bit. Rows with few of many
/// columns are larger as columns than as JSON.
const VALUE_BYTES: usize = 9;

/// Encoded bytes of a row group that are held in memory until it is written: what a reader has to
/// decode for a column grows with it, and what is written for each column's start shrinks.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

#[derive(Debug)]
pub(crate) struct ParquetFile<W: Write + Send> {
    writer: ArrowWriter<Sticky<W>>,
    /// What the file is written to returned.
    failure: Arc<OnceLock<Failure>>,
    schema: SchemaRef,
    columns: Vec<Column>,
    ours: Option<Ours>,
    /// Bytes that the columns have, about: of JSON, and of places.
    bytes: usize,
    scratch: Vec<u8>,
}

/// A declared column as it grows.
#[derive(Debug)]
enum Column {
    Text(StringBuilder),
    Json(StringBuilder),
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Double(Float64Builder),
    Digits(StringBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder, bool),
}

/// The columns of the platform.
#[derive(Debug)]
struct Ours {
    additional: StringBuilder,
    extracted_at: TimestampMicrosecondBuilder,
    generation: Int64Builder,
    meta: StringBuilder,
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

impl<W: Write + Send> ParquetFile<W> {
    pub(crate) fn new(table: &Table, out: W) -> Result<Self, Failure> {
        let numbers = table.options.numbers;
        let columns: Vec<Column> =
            table.columns.iter().map(|(_, kind)| Column::new(*kind, numbers)).collect();
        let declared = table.columns.iter().zip(&columns);
        let mut fields: Vec<Field> =
            declared.map(|((name, _), column)| Field::new(name, column.kind(), true)).collect();
        let ours = table.options.metadata.then(Ours::new);
        if ours.is_some() {
            fields.extend([
                Field::new(ADDITIONAL, DataType::Utf8, true),
                Field::new(EXTRACTED_AT, utc(), false),
                Field::new(GENERATION_ID, DataType::Int64, false),
                Field::new(META, DataType::Utf8, false),
            ]);
        }
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("Lockgate ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let (out, failure) = Sticky::new(out);
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))
            .map_err(|error| failed(&failure, &error))?;
        Ok(Self { writer, failure, schema, columns, ours, bytes: 0, scratch: Vec::new() })
    }

    pub(crate) fn write(&mut self, table: &mut Table, rows: &Rows) -> Result<(), Failure> {
        let has_meta = !rows.metas().is_empty();
        for (place, row) in (0..).zip(rows.lines()) {
            table.find(rows, place, row, has_meta)?;
            let Table { columns, fields, changes, .. } = table;
            let values = fields.values().iter();
            for ((column, value), (name, _)) in self.columns.iter_mut().zip(values).zip(columns) {
                let fit = match value.filter(|value| value.kind != Kind::Null) {
                    None => {
                        column.push_null();
                        Fit::Whole
                    }
                    Some(value) => column.push(value, row, &mut self.scratch),
                };
                match fit {
                    Fit::Whole => {}
                    Fit::Cut => changes.add(name, Change::Truncated),
                    Fit::Not => {
                        column.push_null();
                        changes.add(name, Change::Nulled);
                    }
                }
            }
            match &mut self.ours {
                Some(ours) => ours.push(table, row, rows.emitted_at(place), &mut self.scratch)?,
                None => table.count_losses(),
            }
            self.bytes += row.len() + VALUE_BYTES * self.schema.fields().len();
            if self.bytes >= BATCH_BYTES {
                self.encode()?;
            }
        }
        Ok(())
    }

    /// Encodes the rows that are columns in memory.
    fn encode(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.bytes) == 0 {
            return Ok(());
        }
        let mut arrays: Vec<ArrayRef> = self.columns.iter_mut().map(Column::finish).collect();
        if let Some(ours) = &mut self.ours {
            arrays.push(Arc::new(ours.additional.finish()));
            arrays.push(Arc::new(ours.extracted_at.finish().with_timezone("UTC")));
            arrays.push(Arc::new(ours.generation.finish()));
            arrays.push(Arc::new(ours.meta.finish()));
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| Failure::system("rows cannot be made columns").with_detail(error))?;
        let mut written = self.writer.write(&batch);
        if written.is_ok() && self.writer.in_progress_size() >= ROW_GROUP_BYTES {
            written = self.writer.flush();
        }
        written.map_err(|error| failed(&self.failure, &error))
    }

    pub(crate) fn held(&self) -> usize {
        self.bytes + self.writer.memory_size()
    }

    pub(crate) fn out(&self) -> &W {
        self.writer.inner().out()
    }

    pub(crate) fn finish(mut self) -> Result<W, Failure> {
        self.encode()?;
        let out = self.writer.into_inner().map_err(|error| failed(&self.failure, &error))?;
        Ok(out.into_out())
    }
}

fn failed(failure: &OnceLock<Failure>, error: &ParquetError) -> Failure {
    failure
        .get()
        .cloned()
        .unwrap_or_else(|| Failure::system("a Parquet file cannot be written").with_detail(error))
}

impl Ours {
    fn new() -> Self {
        Self {
            additional: StringBuilder::new(),
            extracted_at: TimestampMicrosecondBuilder::new(),
            generation: Int64Builder::new(),
            meta: StringBuilder::new(),
        }
    }

    fn push(
        &mut self,
        table: &Table,
        row: &[u8],
        emitted_at: i64,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        scratch.clear();
        write_others(table.fields.others(), row, scratch);
        if scratch.is_empty() {
            self.additional.append_null();
        } else {
            self.additional.append_value(text(scratch)?);
        }
        self.extracted_at.append_value(emitted_at.saturating_mul(1000));
        self.generation.append_value(i64::try_from(table.generation).unwrap_or(i64::MAX));
        self.meta.append_value(text(table.meta(scratch))?);
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| Failure::system("a row is not UTF-8"))
}

/// How a value went into its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// Whole.
    Whole,
    /// Without a part that the column has no place for.
    Cut,
    /// Not at all; nothing was pushed.
    Not,
}

fn fit(cut: bool) -> Fit {
    if cut { Fit::Cut } else { Fit::Whole }
}

impl Column {
    fn new(kind: ColumnType, numbers: Numbers) -> Self {
        match kind {
            ColumnType::String | ColumnType::TimeWithTimezone => Self::Text(StringBuilder::new()),
            ColumnType::Json => Self::Json(StringBuilder::new()),
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Integer => Self::Integer(Int64Builder::new()),
            ColumnType::Number => match numbers {
                Numbers::Double => Self::Double(Float64Builder::new()),
                Numbers::Text => Self::Digits(StringBuilder::new()),
            },
            ColumnType::Date => Self::Date(Date32Builder::new()),
            ColumnType::Time => Self::Time(Time64MicrosecondBuilder::new()),
            ColumnType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new(), false),
            ColumnType::TimestampWithTimezone => {
                Self::Timestamp(TimestampMicrosecondBuilder::new(), true)
            }
        }
    }

    fn kind(&self) -> DataType {
        match self {
            Self::Text(_) | Self::Json(_) | Self::Digits(_) => DataType::Utf8,
            Self::Boolean(_) => DataType::Boolean,
            Self::Integer(_) => DataType::Int64,
            Self::Double(_) => DataType::Float64,
            Self::Date(_) => DataType::Date32,
            Self::Time(_) => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp(_, false) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamp(_, true) => utc(),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Text(column) | Self::Json(column) | Self::Digits(column) => column.append_null(),
            Self::Boolean(column) => column.append_null(),
            Self::Integer(column) => column.append_null(),
            Self::Double(column) => column.append_null(),
            Self::Date(column) => column.append_null(),
            Self::Time(column) => column.append_null(),
            Self::Timestamp(column, _) => column.append_null(),
        }
    }

    /// Adds a value that is not null.
    fn push(&mut self, value: Value, row: &[u8], scratch: &mut Vec<u8>) -> Fit {
        let raw = value.raw(row);
        // A string's characters, where only those without escapes can be meant.
        let plain = if value.kind == Kind::Plain { value.inside(row) } else { b"" };
        let digits = || match value.kind {
            Kind::Number => Some(raw),
            Kind::Plain if number::is_number(plain) => Some(plain),
            _ => None,
        };
        let pushed = match self {
            Self::Text(column) => match value.kind {
                Kind::Plain => push_text(column, plain),
                Kind::Escaped => {
                    scratch.clear();
                    unescape(value.inside(row), scratch);
                    let half = has_half(value.inside(row));
                    push_text(column, scratch).map(|whole| if half { Fit::Cut } else { whole })
                }
                _ => push_text(column, raw),
            },
            Self::Json(column) => push_text(column, raw),
            Self::Digits(column) => digits().and_then(|digits| push_text(column, digits)),
            Self::Boolean(column) => match value.kind {
                Kind::True | Kind::False => {
                    column.append_value(value.kind == Kind::True);
                    Some(Fit::Whole)
                }
                _ => None,
            },
            Self::Integer(column) => digits().and_then(number::integer).map(|whole| {
                column.append_value(whole);
                Fit::Whole
            }),
            Self::Double(column) => digits().and_then(number::double).map(|(double, exact)| {
                column.append_value(double);
                fit(!exact)
            }),
            Self::Date(column) => day(plain).map(|(day, cut)| {
                column.append_value(day);
                fit(cut)
            }),
            Self::Time(column) => time(plain).map(|(micros, cut)| {
                column.append_value(micros);
                fit(cut)
            }),
            Self::Timestamp(column, zoned) => moment(plain, *zoned).map(|(micros, cut)| {
                column.append_value(micros);
                fit(cut)
            }),
        };
        pushed.unwrap_or(Fit::Not)
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(column) | Self::Json(column) | Self::Digits(column) => {
                Arc::new(column.finish())
            }
            Self::Boolean(column) => Arc::new(column.finish()),
            Self::Integer(column) => Arc::new(column.finish()),
            Self::Double(column) => Arc::new(column.finish()),
            Self::Date(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
            Self::Timestamp(column, false) => Arc::new(column.finish()),
            Self::Timestamp(column, true) => Arc::new(column.finish().with_timezone("UTC")),
        }
    }
}

fn push_text(column: &mut StringBuilder, bytes: &[u8]) -> Option<Fit> {
    column.append_value(std::str::from_utf8(bytes).ok()?);
    Some(Fit::Whole)
}

/// Days since 1970, and whether a time was cut off.
fn day(text: &[u8]) -> Option<(i32, bool)> {
    let (date, time) = read(text)?;
    let days = i32::try_from(date.days()).ok()?;
    Some((days, time.is_some_and(|(clock, _)| !clock.is_midnight())))
}

/// Microseconds since midnight, and whether something was cut off.
fn time(text: &[u8]) -> Option<(i64, bool)> {
    let (clock, zone) = read_clock(text)?;
    // The end of a day and leap seconds are no times of day in Arrow.
    let micros = Some(clock.micros()).filter(|micros| *micros < DAY)?;
    Some((micros, clock.is_finer_than_micros() || zone.is_some_and(|zone| !zone.is_utc())))
}

/// Microseconds since 1970, and whether something was cut off.
fn moment(text: &[u8], zoned: bool) -> Option<(i64, bool)> {
    let (date, time) = read(text)?;
    let (clock, zone): (Clock<'_>, Option<Zone>) = time.unwrap_or_default();
    let local = date.days().checked_mul(DAY)?.checked_add(clock.micros())?;
    let fine = clock.is_finer_than_micros();
    if zoned {
        let zone = zone.map_or(0, Zone::seconds) * 1_000_000;
        Some((local.checked_sub(zone)?, fine))
    } else {
        Some((local, fine || zone.is_some_and(|zone| !zone.is_utc())))
    }
}
