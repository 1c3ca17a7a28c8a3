//! What every engine keeps of a stream, as a row of ours.

use super::names::as_written;
use super::{CachePosition, CachedColumn, CachedStream};
use crate::protocol::{Json, StateMessage, StreamDescriptor};

/// A stream.
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

/// The same as it is stored.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) id: i64,
    pub(super) source: String,
    /// The descriptor; as JSON, as the four below.
    pub(super) stream: String,
    pub(super) table: String,
    pub(super) salt: String,
    pub(super) columns: String,
    pub(super) primary_key: String,
    pub(super) merged_by: Option<String>,
    pub(super) json_schema: String,
    pub(super) generation: u64,
    pub(super) last_row: u64,
    pub(super) row_count: u64,
    pub(super) updated_at: Option<i64>,
    pub(super) removed: bool,
}

impl Raw {
    /// The stream; what is wrong, where it cannot be what we wrote.
    pub(super) fn read(self) -> Result<Kept, String> {
        let damaged = |e: serde_json::Error| e.to_string();
        let merged_by = self.merged_by.as_deref().map(serde_json::from_str).transpose();
        Ok(Kept {
            id: self.id,
            source: self.source,
            descriptor: serde_json::from_str(&self.stream).map_err(damaged)?,
            table: self.table,
            salt: self.salt,
            columns: serde_json::from_str(&self.columns).map_err(damaged)?,
            primary_key: serde_json::from_str(&self.primary_key).map_err(damaged)?,
            merged_by: merged_by.map_err(damaged)?,
            json_schema: Json::parse(self.json_schema).map_err(|e| e.to_string())?,
            generation: self.generation,
            last_row: self.last_row,
            row_count: self.row_count,
            updated_at: self.updated_at,
            removed: self.removed,
        })
    }
}

impl Kept {
    /// The stream as users of the cache see it, with so many rows.
    pub(super) fn seen(self, rows: u64) -> CachedStream {
        CachedStream {
            source: self.source,
            descriptor: self.descriptor,
            table: as_written(&self.table),
            columns: self.columns,
            rows,
            position: CachePosition { generation: self.generation, row: self.last_row },
            merged: self.merged_by.is_some(),
            primary_key: self.primary_key,
            json_schema: self.json_schema,
            updated_at: self.updated_at,
        }
    }
}

/// A part of a stream, as it is stored. Our own types always serialise.
pub(super) fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A state by its body; what is wrong, where it cannot be what we wrote.
pub(super) fn state(body: String) -> Result<StateMessage, String> {
    let body = Json::parse(body).map_err(|e| e.to_string())?;
    StateMessage::from_airbyte(body).map_err(|e| e.to_string())
}
