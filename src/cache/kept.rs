//! What every engine keeps of a stream, as a row of ours.

use super::names::as_written;
use super::{CachePosition, CachedCheckpoint, CachedColumn, CachedStream, random};
use crate::protocol::{ConfiguredStream, Json, StateMessage, StreamDescriptor};

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
    /// The table that a stream would have, if nobody else had it.
    pub(super) fn wished_table(descriptor: &StreamDescriptor) -> String {
        match &descriptor.namespace {
            Some(namespace) => format!("{namespace}_{}", descriptor.name),
            None => descriptor.name.clone(),
        }
    }

    /// A stream that was never here.
    pub(super) fn new(source: &str, table: String, stream: &ConfiguredStream) -> Self {
        Self {
            id: 0,
            source: source.to_owned(),
            descriptor: stream.stream.descriptor.clone(),
            table,
            salt: format!("{:016x}", random()).split_off(4),
            columns: Vec::new(),
            primary_key: stream.primary_key.clone(),
            merged_by: None,
            json_schema: stream.stream.json_schema.clone(),
            generation: 1,
            last_row: 0,
            row_count: 0,
            updated_at: None,
            removed: false,
        }
    }

    /// Without rows; its numbers stay.
    pub(super) fn emptied(self) -> Self {
        Self { removed: true, columns: Vec::new(), row_count: 0, merged_by: None, ..self }
    }

    /// There again after it was removed. Numbers go on: whoever was told of rows that are gone must not
    /// take these for them.
    pub(super) fn come_again(&mut self) {
        self.removed = false;
        self.generation += 1;
        self.columns = Vec::new();
        self.merged_by = None;
        self.row_count = 0;
    }

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

/// A checkpoint; what is wrong, where it cannot be what we wrote.
pub(super) fn checkpoint(
    id: u64,
    of_full_read: bool,
    body: String,
    positions: &str,
) -> Result<CachedCheckpoint, String> {
    let positions = serde_json::from_str(positions).map_err(|e| e.to_string())?;
    Ok(CachedCheckpoint { id, state: state(body)?, of_full_read, positions })
}
