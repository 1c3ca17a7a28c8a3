//! What the cache knows of its streams.

use ::postgres::{Client, Row};

use super::{signed, unsigned};
use crate::cache::CachedColumn;
use crate::cache::plan::stream_key;
use crate::postgres::ServerError;
use crate::protocol::{Json, StreamDescriptor};

/// A stream, as a row of ours: as in SQLite.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: i64,
    pub(super) source: String,
    pub(super) descriptor: StreamDescriptor,
    pub(super) table: String,
    pub(super) salt: String,
    pub(super) columns: Vec<CachedColumn>,
    pub(super) primary_key: Vec<Vec<String>>,
    pub(super) merged_by: Option<Vec<Vec<String>>>,
    pub(super) json_schema: Json,
    pub(super) generation: u64,
    pub(super) last_row: u64,
    pub(super) row_count: u64,
    pub(super) updated_at: Option<i64>,
    pub(super) removed: bool,
}

const SELECT: &str = "SELECT id, source, stream, table_name, salt, columns, primary_key, merged_by,
    json_schema, generation, last_row, row_count, updated_at, removed FROM _lockgate_cache_streams";

fn read(row: &Row) -> Result<Kept, ServerError> {
    let text = |i: usize| row.try_get::<_, String>(i);
    let stream = text(2)?;
    let damaged = |_| ServerError::new(format!("it holds a damaged row of {stream}"));
    let merged_by: Option<String> = row.try_get(7)?;
    Ok(Kept {
        id: row.try_get(0)?,
        source: text(1)?,
        descriptor: serde_json::from_str(&stream).map_err(damaged)?,
        table: text(3)?,
        salt: text(4)?,
        columns: serde_json::from_str(&text(5)?).map_err(damaged)?,
        primary_key: serde_json::from_str(&text(6)?).map_err(damaged)?,
        merged_by: merged_by.as_deref().map(serde_json::from_str).transpose().map_err(damaged)?,
        json_schema: Json::parse(text(8)?)
            .map_err(|_| ServerError::new(format!("it holds a damaged row of {stream}")))?,
        generation: unsigned(row.try_get(9)?),
        last_row: unsigned(row.try_get(10)?),
        row_count: unsigned(row.try_get(11)?),
        updated_at: row.try_get(12)?,
        removed: row.try_get(13)?,
    })
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

/// Our own types always serialise.
fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Kept {
    /// Makes the row; gives it its id.
    pub(super) fn insert(&mut self, client: &mut Client) -> Result<(), ServerError> {
        let row = client.query_one(
            "INSERT INTO _lockgate_cache_streams (source, stream, table_name, salt, columns, primary_key,
                json_schema, generation, last_row, row_count)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0) RETURNING id",
            &[
                &self.source,
                &stream_key(&self.descriptor),
                &self.table,
                &self.salt,
                &text(&self.columns),
                &text(&self.primary_key),
                &self.json_schema.get(),
                &signed(self.generation),
                &signed(self.last_row),
            ],
        )?;
        self.id = row.try_get(0)?;
        Ok(())
    }

    /// Writes what changed.
    pub(super) fn update(&self, client: &mut Client) -> Result<(), ServerError> {
        client.execute(
            "UPDATE _lockgate_cache_streams SET columns = $2, primary_key = $3, merged_by = $4,
                json_schema = $5, generation = $6, last_row = $7, row_count = $8, updated_at = $9,
                removed = $10 WHERE id = $1",
            &[
                &self.id,
                &text(&self.columns),
                &text(&self.primary_key),
                &self.merged_by.as_ref().map(text),
                &self.json_schema.get(),
                &signed(self.generation),
                &signed(self.last_row),
                &signed(self.row_count),
                &self.updated_at,
                &self.removed,
            ],
        )?;
        Ok(())
    }
}
