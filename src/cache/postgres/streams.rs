//! What the cache knows of its streams.

use ::postgres::{Client, Row};

use super::{signed, unsigned};
use crate::cache::kept::{Kept, Raw, text};
use crate::cache::plan::stream_key;
use crate::postgres::ServerError;
use crate::protocol::StreamDescriptor;

const SELECT: &str = "SELECT id, source, stream, table_name, salt, columns, primary_key, merged_by,
    json_schema, generation, last_row, row_count, updated_at, removed FROM _lockgate_cache_streams";

fn read(row: &Row) -> Result<Kept, ServerError> {
    let raw = Raw {
        id: row.try_get(0)?,
        source: row.try_get(1)?,
        stream: row.try_get(2)?,
        table: row.try_get(3)?,
        salt: row.try_get(4)?,
        columns: row.try_get(5)?,
        primary_key: row.try_get(6)?,
        merged_by: row.try_get(7)?,
        json_schema: row.try_get(8)?,
        generation: unsigned(row.try_get(9)?),
        last_row: unsigned(row.try_get(10)?),
        row_count: unsigned(row.try_get(11)?),
        updated_at: row.try_get(12)?,
        removed: row.try_get(13)?,
    };
    let stream = raw.stream.clone();
    raw.read().map_err(|_| ServerError::new(format!("it holds a damaged row of {stream}")))
}

/// A source's stream, removed or not.
pub(super) fn find(
    client: &mut Client,
    source: &str,
    stream: &StreamDescriptor,
) -> Result<Option<Kept>, ServerError> {
    let sql = format!("{SELECT} WHERE source = $1 AND stream = $2");
    let row = client.query_opt(&sql, &[&source, &stream_key(stream)])?;
    row.as_ref().map(read).transpose()
}

/// All that are there, or those of one source.
pub(super) fn list(client: &mut Client, source: Option<&str>) -> Result<Vec<Kept>, ServerError> {
    let sql = format!(
        "{SELECT} WHERE NOT removed AND ($1::text IS NULL OR source = $1) ORDER BY source, id"
    );
    client.query(&sql, &[&source])?.iter().map(read).collect()
}

/// Makes the row; gives it its id.
pub(super) fn insert(client: &mut Client, kept: &mut Kept) -> Result<(), ServerError> {
    let row = client.query_one(
            "INSERT INTO _lockgate_cache_streams (source, stream, table_name, salt, columns, primary_key,
                json_schema, generation, last_row, row_count)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0) RETURNING id",
            &[
                &kept.source,
                &stream_key(&kept.descriptor),
                &kept.table,
                &kept.salt,
                &text(&kept.columns),
                &text(&kept.primary_key),
                &kept.json_schema.get(),
                &signed(kept.generation),
                &signed(kept.last_row),
            ],
        )?;
    kept.id = row.try_get(0)?;
    Ok(())
}

/// Writes what changed.
pub(super) fn update(client: &mut Client, kept: &Kept) -> Result<(), ServerError> {
    client.execute(
        "UPDATE _lockgate_cache_streams SET columns = $2, primary_key = $3, merged_by = $4,
                json_schema = $5, generation = $6, last_row = $7, row_count = $8, updated_at = $9,
                removed = $10 WHERE id = $1",
        &[
            &kept.id,
            &text(&kept.columns),
            &text(&kept.primary_key),
            &kept.merged_by.as_ref().map(text),
            &kept.json_schema.get(),
            &signed(kept.generation),
            &signed(kept.last_row),
            &signed(kept.row_count),
            &kept.updated_at,
            &kept.removed,
        ],
    )?;
    Ok(())
}
