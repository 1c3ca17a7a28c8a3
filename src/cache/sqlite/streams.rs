//! What the cache knows of its streams.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Place, signed, unsigned};
use crate::cache::CacheError;
use crate::cache::kept::{Kept, Raw, text};
use crate::cache::plan::stream_key;
use crate::protocol::StreamDescriptor;

const SELECT: &str = "SELECT id, source, stream, table_name, salt, columns, primary_key, merged_by,
    json_schema, generation, last_row, row_count, updated_at, removed FROM _lockgate_cache_streams";

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
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
    let sql = format!("{SELECT} WHERE source = ?1 AND stream = ?2");
    let mut statement = connection.prepare_cached(&sql).map_err(|e| place.fault(e))?;
    let found = statement.query_row(params![source, stream_key(stream)], raw).optional();
    found.map_err(|e| place.fault(e))?.map(|raw| read(place, raw)).transpose()
}

/// All that are there, or those of one source.
pub(super) fn list(
    place: &Place,
    connection: &Connection,
    source: Option<&str>,
) -> Result<Vec<Kept>, CacheError> {
    let sql =
        format!("{SELECT} WHERE removed = 0 AND (?1 IS NULL OR source = ?1) ORDER BY source, id");
    let rows = || -> rusqlite::Result<Vec<Raw>> {
        connection.prepare_cached(&sql)?.query_map([source], raw)?.collect()
    };
    let rows = rows().map_err(|e| place.fault(e))?;
    rows.into_iter().map(|raw| read(place, raw)).collect()
}

/// Makes the row; gives it its id.
pub(super) fn insert(connection: &Connection, kept: &mut Kept) -> rusqlite::Result<()> {
    connection.execute(
            "INSERT INTO _lockgate_cache_streams (source, stream, table_name, salt, columns, primary_key,
                json_schema, generation, last_row, row_count)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)",
            params![
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
    kept.id = connection.last_insert_rowid();
    Ok(())
}

/// Writes what changed.
pub(super) fn update(connection: &Connection, kept: &Kept) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE _lockgate_cache_streams SET columns = ?2, primary_key = ?3, merged_by = ?4,
                json_schema = ?5, generation = ?6, last_row = ?7, row_count = ?8, updated_at = ?9,
                removed = ?10 WHERE id = ?1",
    )?;
    statement.execute(params![
        kept.id,
        text(&kept.columns),
        text(&kept.primary_key),
        kept.merged_by.as_ref().map(text),
        kept.json_schema.get(),
        signed(kept.generation),
        signed(kept.last_row),
        signed(kept.row_count),
        kept.updated_at,
        kept.removed,
    ])?;
    Ok(())
}
