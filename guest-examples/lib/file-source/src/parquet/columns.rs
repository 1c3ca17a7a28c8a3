//! Rows of a batch of columns.

use arrow_array::RecordBatch;
use lockgate_sdk::{Failure, StreamOutput};
use serde_json::json;

use super::value::Values;
use crate::limits;
use crate::shape::FileMembers;

/// The columns of a batch.
pub(super) struct Columns<'a> {
    all: Vec<Column<'a>>,
    /// Columns that the file has not: null, as they stand at a row's end.
    absent: Vec<u8>,
    file: &'a str,
}

/// One column.
pub(super) struct Column<'a> {
    name: &'a str,
    /// What stands before a value: `{"id":` or `,"name":`.
    prefix: Vec<u8>,
    values: Values<'a>,
}

fn prefix(first: bool, name: &str) -> Vec<u8> {
    let mut prefix = vec![if first { b'{' } else { b',' }];
    json_rows::escape::push_string(name.as_bytes(), &mut prefix);
    prefix.push(b':');
    prefix
}

impl<'a> Columns<'a> {
    /// Of a batch; `uuids` says which of its columns are UUIDs, `absent` are columns that are null.
    pub(super) fn new(
        batch: &'a RecordBatch,
        uuids: &[bool],
        absent: &[&str],
        file: &'a str,
    ) -> Result<Self, Failure> {
        let mut all = Vec::with_capacity(batch.num_columns());
        for (place, (field, array)) in
            batch.schema_ref().fields().iter().zip(batch.columns()).enumerate()
        {
            let uuid = uuids.get(place).copied().unwrap_or(false);
            let values = Values::new(array.as_ref(), uuid).ok_or_else(|| {
                Failure::config(format!(
                    "{file}, column {}: the type {} is not read; leave the column out of the stream",
                    field.name(),
                    field.data_type()
                ))
            })?;
            all.push(Column {
                name: field.name(),
                prefix: prefix(place == 0, field.name()),
                values,
            });
        }
        let mut nulls = Vec::new();
        for name in absent {
            nulls.extend(prefix(all.is_empty() && nulls.is_empty(), name));
            nulls.extend_from_slice(b"null");
        }
        if all.is_empty() && nulls.is_empty() {
            nulls.push(b'{');
        }
        Ok(Self { all, absent: nulls, file })
    }

    /// Writes a row of the batch, which has the number `number` in its file.
    pub(super) fn write(
        &self,
        row: usize,
        number: u64,
        about: &FileMembers,
        out: &mut StreamOutput<'_>,
    ) -> Result<(), Failure> {
        let mut changed = Vec::new();
        let mut length = 0;
        out.write_with(|batch| {
            let start = batch.len();
            for column in &self.all {
                batch.extend_from_slice(&column.prefix);
                if !column.values.push(row, batch) {
                    changed.push(column);
                }
            }
            batch.extend_from_slice(&self.absent);
            if !about.is_empty() {
                about.push(number, batch.last() == Some(&b'{') && batch.len() == start + 1, batch);
            }
            batch.push(b'}');
            length = batch.len() - start;
        })?;
        if length > 2 * limits::ROW_BYTES {
            return Err(Failure::config(format!(
                "{}, row {number}: it is longer than {} bytes as JSON: leave its long columns out of the \
                 stream",
                self.file,
                2 * limits::ROW_BYTES
            )));
        }
        if changed.is_empty() { Ok(()) } else { tell(&changed, out) }
    }
}

/// Notes which columns had a number that is infinite or none (NaN), which JSON has not.
#[cold]
fn tell(changed: &[&Column<'_>], out: &mut StreamOutput<'_>) -> Result<(), Failure> {
    let change = |column: &&Column<'_>| {
        let change = if column.values.is_nested() { "TRUNCATED" } else { "NULLED" };
        json!({"field": column.name, "change": change, "reason": "SOURCE_SERIALIZATION_ERROR"})
    };
    let changes: Vec<_> = changed.iter().map(change).collect();
    out.meta(&json!({ "changes": changes }))
}
