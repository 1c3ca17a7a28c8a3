//! What the cache knows of its streams.

use ::duckdb::{Connection, Row, params};

use super::{Place, signed, unsigned};
use crate::cache::CacheError;
use crate::cache::kept::{Kept, Raw, text};
use crate::cache::plan::stream_key;
use crate::protocol::StreamDescriptor;

const SELECT: &str = "SELECT id, source, stream, table_name, salt, columns, primary_key, merged_by,
    json_schema, generation, last_row, row_count, updated_at, removed FROM _lockgate_cache_streams";

fn raw(row: &Row<'_>) -> ::duckdb::Result<Raw> {
    Ok(Raw {
        id: row.get(0)?,
        source: row.get(1)?,
        stream: row.get(2)?,
        table: row.get(3)?,
        salt: row.get(4)?,
        columns: row.get(5)?,
        primary_key: row.get(6)?,
        merged_by: row.get(7)?,
        json_schema: row.get(8)?,
        generation: unsigned(row.get(9)?),
        last_row: unsigned(row.get(10)?),
        row_count: unsigned(row.get(11)?),
        updated_at: row.get(12)?,
        removed: row.get(13)?,
    })
}

fn read(place: &Place, raw: Raw) -> Result<Kept, CacheError> {
    let stream = raw.stream.clone();
    raw.read().map_err(|reason| place.damaged(&stream, reason))
}

/// A source's stream, removed or not.
pub(super) fn find(
    place: &Place,
    connection: &Connection,
    source: &str,
    stream: &StreamDescriptor,
) -> Result<Option<Kept>, CacheError> {
    let rows = || -> ::duckdb::Result<Vec<Raw>> {
        let mut statement =
            connection.prepare(&format!("{SELECT} WHERE source = ? AND stream = ?"))?;
        statement.query_map(params![source, stream_key(stream)], raw)?.collect()
    };
    let mut rows = rows().map_err(|e| place.fault(e))?;
    rows.pop().map(|raw| read(place, raw)).transpose()
}

/// All that are there, or those of one source.
pub(super) fn list(
    place: &Place,
    connection: &Connection,
    source: Option<&str>,
) -> Result<Vec<Kept>, CacheError> {
    let rows = || -> ::duckdb::Result<Vec<Raw>> {
        let all = source.is_none();
        let sql = format!("{SELECT} WHERE NOT removed AND (? OR source = ?) ORDER BY source, id");
        let mut statement = connection.prepare(&sql)?;
        statement.query_map(params![all, source.unwrap_or_default()], raw)?.collect()
    };
    let rows = rows().map_err(|e| place.fault(e))?;
    rows.into_iter().map(|raw| read(place, raw)).collect()
}

/// Makes the row; gives it its id.
pub(super) fn insert(connection: &Connection, kept: &mut Kept) -> ::duckdb::Result<()> {
    let next = "SELECT nextval('_lockgate_cache_ids')";
    kept.id = connection.query_row(next, [], |row| row.get(0))?;
    connection.execute(
        "INSERT INTO _lockgate_cache_streams
         VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, 0, NULL, false)",
        params![
            kept.id,
            kept.source,
            stream_key(&kept.descriptor),
            kept.table,
            kept.salt,
            text(&kept.columns),
            text(&kept.primary_key),
            kept.json_schema.get(),
            signed(kept.generation),
            signed(kept.last_row),
        ],
    )?;
    Ok(())
}

/// Writes what changed.
pub(super) fn update(connection: &Connection, kept: &Kept) -> ::duckdb::Result<()> {
    connection.execute(
        "UPDATE _lockgate_cache_streams SET columns = ?, primary_key = ?, merged_by = ?,
            json_schema = ?, generation = ?, last_row = ?, row_count = ?, updated_at = ?, removed = ?
         WHERE id = ?",
        params![
            text(&kept.columns),
            text(&kept.primary_key),
            kept.merged_by.as_ref().map(text),
            kept.json_schema.get(),
            signed(kept.generation),
            signed(kept.last_row),
            signed(kept.row_count),
            kept.updated_at,
            kept.removed,
            kept.id,
        ],
    )?;
    Ok(())
}
