//! Apache Parquet.

mod chunk;
mod columns;
mod pages;
mod schema;
mod value;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use lockgate_sdk::{Failure, StreamOutput, log};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, RowSelection, RowSelector,
};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::errors::ParquetError;
use serde_json::{Map, Value, json};

use self::chunk::Chunks;
use self::columns::Columns;
use self::pages::Group;
use crate::limits;
use crate::place::Opened;
use crate::progress::{End, Progress};
use crate::shape::Shape;
use crate::state::Position;

/// What a file was found not to be, or cannot be read for.
fn failure(error: &ParquetError, name: &str) -> Failure {
    if let Some(failure) = Failure::carried(error) {
        return failure.clone();
    }
    let text = error.to_string();
    if text.contains("Disabled feature") {
        return Failure::config(format!(
            "the Parquet file {name} is compressed in a way that is not read ({text}): write it with \
             snappy, gzip, zstd, lz4, or no compression"
        ));
    }
    Failure::config(format!("the file {name} is not Parquet, or it is damaged: {text}"))
}

fn metadata(chunks: &Chunks, name: &str) -> Result<ArrowReaderMetadata, Failure> {
    // What a writer said of its own types would make other types of what is stored.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    ArrowReaderMetadata::load(chunks, options).map_err(|error| failure(&error, name))
}

/// Looks at a file's footer.
pub(crate) fn look(file: &Opened) -> Result<(), Failure> {
    metadata(&Chunks::new(file)?, &file.name).map(|_| ())
}

/// Adds the columns of a file to a schema's properties. A column that has another type in another file
/// is any.
pub(crate) fn sample(file: &Opened, properties: &mut Map<String, Value>) -> Result<(), Failure> {
    let metadata = metadata(&Chunks::new(file)?, &file.name)?;
    let uuids = schema::uuids(metadata.parquet_schema());
    for (field, uuid) in metadata.schema().fields().iter().zip(uuids) {
        let Some(schema) = schema::of_field(field, uuid) else {
            log::warn(format_args!(
                "{}: the column {} has the type {}, which is not read: it is left out",
                file.name,
                field.name(),
                field.data_type()
            ));
            continue;
        };
        let known = properties.entry(field.name().clone()).or_insert_with(|| schema.clone());
        if *known != schema {
            *known = json!({});
        }
    }
    Ok(())
}

/// The places of the columns that are read.
fn projected(schema: &SchemaRef, shape: &Shape) -> Vec<usize> {
    let fields = schema.fields().iter().enumerate();
    fields
        .filter(|(_, field)| shape.place(field.name()).is_some())
        .map(|(place, _)| place)
        .collect()
}

/// Reads the rows of a file from a place on.
pub(crate) fn read(
    file: &Opened,
    shape: &Shape,
    start: Position,
    progress: &mut Progress,
    out: &mut StreamOutput<'_>,
) -> Result<End, Failure> {
    let chunks = Arc::new(Chunks::new(file)?);
    let metadata = metadata(&chunks, &file.name)?;
    let roots = projected(metadata.schema(), shape);
    let uuids = schema::uuids(metadata.parquet_schema());
    let uuids: Vec<bool> =
        roots.iter().map(|root| uuids.get(*root).copied().unwrap_or(false)).collect();
    let absent: Vec<&str> = shape
        .columns
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| metadata.schema().field_with_name(name).is_err())
        .collect();
    let mut place = start;
    let mut before: u64 = 0;
    let about = shape.file_members(&file.name);
    for group in metadata.metadata().row_groups() {
        let rows = u64::try_from(group.num_rows()).unwrap_or_default();
        let skipped = place.row.saturating_sub(before).min(rows);
        before += rows;
        if skipped == rows {
            continue;
        }
        let bytes = u64::try_from(group.total_byte_size()).unwrap_or_default();
        let each = (bytes / rows).max(1);
        let batch = (limits::DECODED_BYTES / each).clamp(1, limits::DECODED_ROWS);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
        let levels = parquet_to_arrow_field_levels(metadata.parquet_schema(), mask, None)
            .map_err(|error| failure(&error, &file.name))?;
        let selection = (skipped > 0).then(|| {
            let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
            let skip = RowSelector::skip(count(skipped));
            RowSelection::from(vec![skip, RowSelector::select(count(rows - skipped))])
        });
        let batch = usize::try_from(batch).unwrap_or(1);
        let pages = Group { chunks: chunks.clone(), metadata: metadata.metadata(), group };
        let reader =
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, batch, selection)
                .map_err(|error| failure(&error, &file.name))?;
        for batch in reader {
            let batch = batch.map_err(|error| failure(&ParquetError::from(error), &file.name))?;
            let columns = Columns::new(&batch, &uuids, &absent, &file.name)?;
            for row in 0..batch.num_rows() {
                place.row += 1;
                columns.write(row, place.row, &about, out)?;
            }
            progress.note(each.saturating_mul(batch.num_rows() as u64));
            if progress.is_due() {
                progress.within(file, place, false, out)?;
            }
        }
    }
    Ok(End { place, last: None })
}
