//! A stream's rows as Arrow record batches, from any cache.
//!
//! | column | Arrow |
//! |---|---|
//! | text, a time with its zone, JSON | `Utf8` |
//! | boolean, integer | `Boolean`, `Int64` |
//! | number | `Float64` where every value of the stream is one that a double holds; else `Utf8`, all digits |
//! | date, time | `Date32`, `Time64(µs)` |
//! | timestamp, with time zone | `Timestamp(µs)`, `Timestamp(µs, UTC)` |
//!
//! Before them come `_airbyte_extracted_at` and `_airbyte_meta`. Whether a double holds all numbers of a
//! column is found out by reading them, before the first batch is made: nothing is rounded.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::number;
use super::record::{Cell, Misfit, Shape, cell, changes};
use super::text::write_cell;
use super::{CacheError, CachedRows, CachedStream, ColumnType, RecordCache};
use crate::protocol::Rows;

/// Bytes of records in one batch.
const BATCH_BYTES: usize = 4 << 20;

/// Columns before the typed ones.
const OURS: usize = 2;

/// The rows of a stream, batch by batch, in bounded memory.
#[derive(Debug)]
pub struct RecordBatches {
    cache: Arc<dyn RecordCache>,
    stream: CachedStream,
    schema: SchemaRef,
    shape: Shape,
    after: u64,
    up_to: u64,
}

/// The rows of a stream after one number and up to another.
///
/// # Errors
/// [`CacheError`].
pub fn record_batches(
    cache: Arc<dyn RecordCache>,
    stream: CachedStream,
    after: u64,
    up_to: u64,
) -> Result<RecordBatches, CacheError> {
    let mut shape = Shape::new(&stream.columns, []);
    let numbers = stream.columns.iter().any(|column| column.kind == ColumnType::Number);
    let mut doubles = vec![true; stream.columns.len()];
    let mut at = after;
    while numbers && let Some(CachedRows { rows, last }) = next(&*cache, &stream, at, up_to)? {
        at = last;
        let mut values = Vec::new();
        for line in rows.lines() {
            shape.read(line, &mut values).map_err(|e| damaged(&*cache, &stream, e))?;
            for ((value, kind), doubles) in values.iter().zip(shape.kinds()).zip(doubles.iter_mut())
            {
                if let Ok(Cell::Number(text)) = cell(*kind, *value) {
                    *doubles &= number::double(text).is_some();
                }
            }
        }
    }
    let utc = || Some(Arc::from("UTC"));
    let mut fields = vec![
        Field::new(
            "_airbyte_extracted_at",
            DataType::Timestamp(TimeUnit::Microsecond, utc()),
            false,
        ),
        Field::new("_airbyte_meta", DataType::Utf8, false),
    ];
    fields.extend(stream.columns.iter().zip(&doubles).map(|(column, doubles)| {
        let kind = match column.kind {
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Integer => DataType::Int64,
            ColumnType::Number if *doubles => DataType::Float64,
            ColumnType::Date => DataType::Date32,
            ColumnType::Time => DataType::Time64(TimeUnit::Microsecond),
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            ColumnType::TimestampWithTimezone => DataType::Timestamp(TimeUnit::Microsecond, utc()),
            ColumnType::String
            | ColumnType::Number
            | ColumnType::TimeWithTimezone
            | ColumnType::Json => DataType::Utf8,
        };
        Field::new(&column.name, kind, true)
    }));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatches { cache, stream, schema, shape, after, up_to })
}

fn next(
    cache: &dyn RecordCache,
    stream: &CachedStream,
    after: u64,
    up_to: u64,
) -> Result<Option<CachedRows>, CacheError> {
    cache.rows(&stream.source, &stream.descriptor, after, up_to, BATCH_BYTES)
}

fn damaged(
    cache: &dyn RecordCache,
    stream: &CachedStream,
    reason: impl std::fmt::Display,
) -> CacheError {
    CacheError::Damaged {
        cache: cache.describe().to_string(),
        stream: stream.descriptor.to_string(),
        reason: reason.to_string(),
    }
}

impl RecordBatches {
    /// The columns of every batch.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn batch(&mut self, rows: &Rows) -> Result<RecordBatch, CacheError> {
        let count = rows.count as usize;
        let fields = self.schema.fields().iter();
        let mut columns: Vec<Column> =
            fields.map(|field| Column::new(field.data_type(), count)).collect();
        let mut values = Vec::new();
        let mut metas = rows.meta.iter().peekable();
        for (i, line) in rows.lines().enumerate() {
            let read = self.shape.read(line, &mut values);
            read.map_err(|e| damaged(&*self.cache, &self.stream, e))?;
            let mut misfits: Vec<(&str, Misfit)> = Vec::new();
            let typed = columns.iter_mut().skip(OURS).zip(&self.stream.columns).zip(&values);
            for ((column, of), value) in typed {
                match cell(of.kind, *value) {
                    Ok(cell) => column.push(&cell),
                    Err(misfit) => {
                        misfits.push((of.member.as_str(), misfit));
                        column.push(&Cell::Null);
                    }
                }
            }
            let meta = metas.next_if(|meta| meta.row as usize == i).map(|meta| meta.meta.get());
            let changes = changes(meta, &misfits);
            let at = rows.emitted_at.of(i).saturating_mul(1000);
            let meta = changes.unwrap_or_else(|| r#"{"changes":[]}"#.to_owned());
            for (column, cell) in
                columns.iter_mut().zip([Cell::Instant(at), Cell::Text(meta.into())])
            {
                column.push(&cell);
            }
        }
        let arrays = columns.into_iter().map(Column::finish).collect();
        RecordBatch::try_new(self.schema(), arrays)
            .map_err(|e| damaged(&*self.cache, &self.stream, e))
    }
}

impl Iterator for RecordBatches {
    type Item = Result<RecordBatch, CacheError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = next(&*self.cache, &self.stream, self.after, self.up_to);
        let batch = match rows {
            Ok(None) => return None,
            Ok(Some(CachedRows { rows, last })) => {
                self.after = last;
                self.batch(&rows)
            }
            Err(error) => Err(error),
        };
        if batch.is_err() {
            // Nothing follows an error.
            self.after = self.up_to;
        }
        Some(batch)
    }
}

/// A column that is being built.
enum Column {
    Text(StringBuilder, String),
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Double(Float64Builder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Column {
    fn new(kind: &DataType, rows: usize) -> Self {
        match kind {
            DataType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            DataType::Int64 => Self::Integer(Int64Builder::with_capacity(rows)),
            DataType::Float64 => Self::Double(Float64Builder::with_capacity(rows)),
            DataType::Date32 => Self::Date(Date32Builder::with_capacity(rows)),
            DataType::Time64(_) => Self::Time(Time64MicrosecondBuilder::with_capacity(rows)),
            DataType::Timestamp(_, zone) => Self::Timestamp(
                TimestampMicrosecondBuilder::with_capacity(rows).with_timezone_opt(zone.clone()),
            ),
            _ => Self::Text(StringBuilder::new(), String::new()),
        }
    }

    fn push(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Self::Text(column, _), Cell::Null) => column.append_null(),
            (Self::Text(column, scratch), cell) => {
                scratch.clear();
                write_cell(scratch, cell);
                column.append_value(&scratch);
            }
            (Self::Boolean(column), Cell::Boolean(value)) => column.append_value(*value),
            (Self::Boolean(column), _) => column.append_null(),
            (Self::Integer(column), Cell::Integer(value)) => column.append_value(*value),
            (Self::Integer(column), _) => column.append_null(),
            (Self::Double(column), Cell::Number(text)) => {
                column.append_option(number::double(text));
            }
            (Self::Double(column), _) => column.append_null(),
            (Self::Date(column), Cell::Date(days)) => column.append_value(*days),
            (Self::Date(column), _) => column.append_null(),
            (Self::Time(column), Cell::Time(micros)) => column.append_value(*micros),
            (Self::Time(column), _) => column.append_null(),
            (Self::Timestamp(column), Cell::Timestamp(micros) | Cell::Instant(micros)) => {
                column.append_value(*micros);
            }
            (Self::Timestamp(column), _) => column.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut column, _) => Arc::new(column.finish()),
            Self::Boolean(mut column) => Arc::new(column.finish()),
            Self::Integer(mut column) => Arc::new(column.finish()),
            Self::Double(mut column) => Arc::new(column.finish()),
            Self::Date(mut column) => Arc::new(column.finish()),
            Self::Time(mut column) => Arc::new(column.finish()),
            Self::Timestamp(mut column) => Arc::new(column.finish()),
        }
    }
}
