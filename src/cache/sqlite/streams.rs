//! What the cache knows of its streams.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Place, signed, unsigned};
use crate::cache::plan::stream_key;
use crate::cache::{CacheError, CachedColumn};
use crate::protocol::{Json, StreamDescriptor};

/// A stream, as a row of ours.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: i64,
    pub(super) source: String,
    pub(super) descriptor: StreamDescriptor,
    pub(super) table: String,
    pub(super) salt: String,
    pub(super) columns: Vec<CachedColumn>,
    pub(super) primary_key: Vec<Vec<String>>,
    /// By which rows are one now.
    pub(super) merged_by: Option<Vec<Vec<String>>>,
    pub(super) json_schema: Json,
    pub(super) generation: u64,
    pub(super) last_row: u64,
    /// Of rows that are not merged.
    pub(super) row_count: u64,
    pub(super) updated_at: Option<i64>,
    pub(super) removed: bool,
}

const SELECT: &str = "SELECT id, source, stream, table_name, salt, columns, primary_key, merged_by,
    json_schema, generation, last_row, row_count, updated_at, removed FROM _lockgate_cache_streams";

struct Raw {
    kept: Kept,
    stream: String,
    columns: String,
    primary_key: String,
    merged_by: Option<String>,
    json_schema: String,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let kept = Kept {
        id: row.get(0)?,
        source: row.get(1)?,
        descriptor: StreamDescriptor::new(String::new()),
        table: row.get(3)?,
        salt: row.get(4)?,
        columns: Vec::new(),
        primary_key: Vec::new(),
        merged_by: None,
        json_schema: Json::empty_object(),
        generation: unsigned(row.get(9)?),
        last_row: unsigned(row.get(10)?),
        row_count: unsigned(row.get(11)?),
        updated_at: row.get(12)?,
        removed: row.get(13)?,
    };
    Ok(Raw {
        kept,
        stream: row.get(2)?,
        columns: row.get(5)?,
        primary_key: row.get(6)?,
        merged_by: row.get(7)?,
        json_schema: row.get(8)?,
    })
}

fn read(place: &Place, raw: Raw) -> Result<Kept, CacheError> {
    let damaged = |e: serde_json::Error| place.damaged(&raw.stream, e.to_string());
    let descriptor = serde_json::from_str(&raw.stream).map_err(damaged)?;
    let columns = serde_json::from_str(&raw.columns).map_err(damaged)?;
    let primary_key = serde_json::from_str(&raw.primary_key).map_err(damaged)?;
    let merged_by = raw.merged_by.as_deref().map(serde_json::from_str).transpose();
    let merged_by = merged_by.map_err(damaged)?;
    let json_schema = Json::parse(raw.json_schema.as_str());
    let json_schema = json_schema.map_err(|e| place.damaged(&raw.stream, e.to_string()))?;
    Ok(Kept { descriptor, columns, primary_key, merged_by, json_schema, ..raw.kept })
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

/// Our own types always serialise.
fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Kept {
    /// Makes the row; gives it its id.
    pub(super) fn insert(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute(
            "INSERT INTO _lockgate_cache_streams (source, stream, table_name, salt, columns, primary_key,
                json_schema, generation, last_row, row_count)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)",
            params![
                self.source,
                stream_key(&self.descriptor),
                self.table,
                self.salt,
                text(&self.columns),
                text(&self.primary_key),
                self.json_schema.get(),
                signed(self.generation),
                signed(self.last_row),
            ],
        )?;
        self.id = connection.last_insert_rowid();
        Ok(())
    }

    /// Writes what changed.
    pub(super) fn update(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "UPDATE _lockgate_cache_streams SET columns = ?2, primary_key = ?3, merged_by = ?4,
                json_schema = ?5, generation = ?6, last_row = ?7, row_count = ?8, updated_at = ?9,
                removed = ?10 WHERE id = ?1",
        )?;
        statement.execute(params![
            self.id,
            text(&self.columns),
            text(&self.primary_key),
            self.merged_by.as_ref().map(text),
            self.json_schema.get(),
            signed(self.generation),
            signed(self.last_row),
            signed(self.row_count),
            self.updated_at,
            self.removed,
        ])?;
        Ok(())
    }
}
