//! Catalogs: what a source offers, and what a sync moves (protocol 0.18, 1.2 and 1.3 of Airbyte's
//! documentation: `AirbyteStream`, `ConfiguredAirbyteStream`).

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Json, StreamDescriptor};

/// Why a catalog cannot be read. Names the stream and the member, never a value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CatalogError {
    /// Not JSON.
    #[error("the catalog is {0}")]
    Json(#[from] super::JsonError),
    /// A member is missing or of the wrong kind.
    #[error("{place}: {member} {problem}")]
    Member {
        /// Which stream, as `stream users` or `streams[3]`.
        place: String,
        /// The member's name.
        member: &'static str,
        /// `is missing`, `is not a string`, …
        problem: String,
    },
    /// A stream is there twice.
    #[error("stream {0} is in the catalog twice")]
    Duplicate(StreamDescriptor),
}

/// How a source reads a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// All rows.
    FullRefresh,
    /// What is new since a state.
    Incremental,
}

impl SyncMode {
    /// Airbyte's word.
    #[must_use]
    pub fn airbyte(self) -> &'static str {
        match self {
            Self::FullRefresh => "full_refresh",
            Self::Incremental => "incremental",
        }
    }

    /// From Airbyte's word.
    #[must_use]
    pub fn from_airbyte(word: &str) -> Option<Self> {
        match word {
            "full_refresh" => Some(Self::FullRefresh),
            "incremental" => Some(Self::Incremental),
            _ => None,
        }
    }
}

/// How a destination treats what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationSyncMode {
    /// Keep and add.
    Append,
    /// Replace, once complete.
    Overwrite,
    /// One row a primary key.
    AppendDedup,
    /// Change matching rows.
    Update,
    /// Mark matching rows as deleted.
    SoftDelete,
}

impl DestinationSyncMode {
    /// Airbyte's word.
    #[must_use]
    pub fn airbyte(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Overwrite => "overwrite",
            Self::AppendDedup => "append_dedup",
            Self::Update => "update",
            Self::SoftDelete => "soft_delete",
        }
    }

    /// From Airbyte's word.
    #[must_use]
    pub fn from_airbyte(word: &str) -> Option<Self> {
        [Self::Append, Self::Overwrite, Self::AppendDedup, Self::Update, Self::SoftDelete]
            .into_iter()
            .find(|m| m.airbyte() == word)
    }
}

/// A stream as a source offers it.
#[derive(Debug, Clone)]
pub struct DiscoveredStream {
    /// Its name.
    pub descriptor: StreamDescriptor,
    /// JSON Schema of a row.
    pub json_schema: Json,
    /// Full refresh is always allowed, listed or not.
    pub sync_modes: Vec<SyncMode>,
    /// The source picks the cursor.
    pub source_defined_cursor: bool,
    /// A path into the row; empty when there is none.
    pub default_cursor_field: Vec<String>,
    /// A path each key column.
    pub source_defined_primary_key: Vec<Vec<String>>,
    /// A full refresh can go on from a state.
    pub resumable: bool,
    /// Members without a field here.
    pub extra: Map<String, Value>,
}

/// A stream as a sync wants it.
#[derive(Debug, Clone)]
pub struct ConfiguredStream {
    /// The stream as discovered.
    pub stream: DiscoveredStream,
    /// How to read.
    pub sync_mode: SyncMode,
    /// How to write.
    pub destination_sync_mode: DestinationSyncMode,
    /// A path into the row; empty when there is none.
    pub cursor_field: Vec<String>,
    /// A path each key column.
    pub primary_key: Vec<Vec<String>>,
    /// Grows with each refresh.
    pub generation_id: u64,
    /// 0, or equal to the generation: rows below it disappear when the stream is complete.
    pub minimum_generation_id: u64,
    /// Unique to the sync.
    pub sync_id: u64,
    /// Members without a field here.
    pub extra: Map<String, Value>,
}

impl ConfiguredStream {
    /// Whether what was there before disappears when the stream is complete.
    #[must_use]
    pub fn truncates(&self) -> bool {
        self.destination_sync_mode == DestinationSyncMode::Overwrite
            || (self.minimum_generation_id > 0 && self.minimum_generation_id == self.generation_id)
    }
}

/// What a sync moves. Streams are named by their index.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// In the order both connectors see.
    pub streams: Vec<ConfiguredStream>,
}

impl Catalog {
    /// A look-up from descriptor to index.
    #[must_use]
    pub fn index(&self) -> HashMap<StreamDescriptor, u32> {
        let place = |i: usize| u32::try_from(i).unwrap_or(u32::MAX);
        let streams = self.streams.iter().enumerate();
        streams.map(|(i, s)| (s.stream.descriptor.clone(), place(i))).collect()
    }

    /// From an Airbyte configured catalog.
    ///
    /// # Errors
    /// [`CatalogError`], naming the stream and the member.
    pub fn from_airbyte(text: &str) -> Result<Self, CatalogError> {
        let root = Json::object(text)?.to_value()?;
        let mut streams: Vec<ConfiguredStream> = Vec::new();
        for (i, entry) in list(&root, "the catalog", "streams")?.iter().enumerate() {
            let stream = configured(entry, &format!("streams[{i}]"))?;
            if streams.iter().any(|s| s.stream.descriptor == stream.stream.descriptor) {
                return Err(CatalogError::Duplicate(stream.stream.descriptor));
            }
            streams.push(stream);
        }
        Ok(Self { streams })
    }

    /// As an Airbyte configured catalog.
    #[must_use]
    pub fn to_airbyte(&self) -> Value {
        let streams = self.streams.iter().map(|s| {
            let mut entry = s.extra.clone();
            entry.insert("stream".into(), s.stream.to_airbyte());
            entry.insert("sync_mode".into(), s.sync_mode.airbyte().into());
            entry.insert("destination_sync_mode".into(), s.destination_sync_mode.airbyte().into());
            entry.insert("cursor_field".into(), json!(s.cursor_field));
            entry.insert("primary_key".into(), json!(s.primary_key));
            entry.insert("generation_id".into(), s.generation_id.into());
            entry.insert("minimum_generation_id".into(), s.minimum_generation_id.into());
            entry.insert("sync_id".into(), s.sync_id.into());
            Value::Object(entry)
        });
        json!({ "streams": streams.collect::<Vec<_>>() })
    }
}

impl DiscoveredStream {
    /// From the body of an Airbyte CATALOG message.
    ///
    /// # Errors
    /// [`CatalogError`], naming the stream and the member.
    pub fn list_from_airbyte(text: &str) -> Result<Vec<Self>, CatalogError> {
        let root = Json::object(text)?.to_value()?;
        let mut streams: Vec<Self> = Vec::new();
        for (i, entry) in list(&root, "the catalog", "streams")?.iter().enumerate() {
            let stream = discovered(entry, &format!("streams[{i}]"))?;
            if streams.iter().any(|s| s.descriptor == stream.descriptor) {
                return Err(CatalogError::Duplicate(stream.descriptor));
            }
            streams.push(stream);
        }
        Ok(streams)
    }

    /// As an `AirbyteStream`.
    #[must_use]
    pub fn to_airbyte(&self) -> Value {
        let mut entry = self.extra.clone();
        entry.insert("name".into(), self.descriptor.name.clone().into());
        if let Some(namespace) = &self.descriptor.namespace {
            entry.insert("namespace".into(), namespace.clone().into());
        }
        let schema = self.json_schema.to_value().unwrap_or_else(|_| Value::Object(Map::new()));
        entry.insert("json_schema".into(), schema);
        let modes: Vec<&str> = self.sync_modes.iter().map(|m| m.airbyte()).collect();
        entry.insert("supported_sync_modes".into(), json!(modes));
        entry.insert("source_defined_cursor".into(), self.source_defined_cursor.into());
        if !self.default_cursor_field.is_empty() {
            entry.insert("default_cursor_field".into(), json!(self.default_cursor_field));
        }
        if !self.source_defined_primary_key.is_empty() {
            entry.insert(
                "source_defined_primary_key".into(),
                json!(self.source_defined_primary_key),
            );
        }
        entry.insert("is_resumable".into(), self.resumable.into());
        Value::Object(entry)
    }
}

fn wrong(place: &str, member: &'static str, problem: impl Into<String>) -> CatalogError {
    CatalogError::Member { place: place.to_owned(), member, problem: problem.into() }
}

fn list<'a>(
    of: &'a Value,
    place: &str,
    member: &'static str,
) -> Result<&'a Vec<Value>, CatalogError> {
    match of.get(member) {
        Some(Value::Array(items)) => Ok(items),
        None => Err(wrong(place, member, "is missing")),
        Some(_) => Err(wrong(place, member, "is not an array")),
    }
}

fn object<'a>(
    value: &'a Value,
    place: &str,
    member: &'static str,
) -> Result<&'a Map<String, Value>, CatalogError> {
    value.as_object().ok_or_else(|| wrong(place, member, "is not an object"))
}

fn discovered(value: &Value, place: &str) -> Result<DiscoveredStream, CatalogError> {
    let mut members = object(value, place, "stream")?.clone();
    let name = match members.remove("name") {
        Some(Value::String(name)) => name,
        None => return Err(wrong(place, "name", "is missing")),
        Some(_) => return Err(wrong(place, "name", "is not a string")),
    };
    let place = &format!("stream {name}");
    let namespace = match members.remove("namespace") {
        None | Some(Value::Null) => None,
        Some(Value::String(namespace)) => Some(namespace),
        Some(_) => return Err(wrong(place, "namespace", "is not a string")),
    };
    let json_schema = match members.remove("json_schema") {
        Some(schema @ Value::Object(_)) => Json::from_value(&schema),
        None => return Err(wrong(place, "json_schema", "is missing")),
        Some(_) => return Err(wrong(place, "json_schema", "is not an object")),
    };
    let modes = members.remove("supported_sync_modes");
    let modes = modes.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let sync_modes =
        modes.iter().filter_map(Value::as_str).filter_map(SyncMode::from_airbyte).collect();
    let flag = |value: Option<Value>| value.and_then(|v| v.as_bool()).unwrap_or(false);
    Ok(DiscoveredStream {
        descriptor: StreamDescriptor { name, namespace },
        json_schema,
        sync_modes,
        source_defined_cursor: flag(members.remove("source_defined_cursor")),
        default_cursor_field: path(
            members.remove("default_cursor_field"),
            place,
            "default_cursor_field",
        )?,
        source_defined_primary_key: paths(
            members.remove("source_defined_primary_key"),
            place,
            "source_defined_primary_key",
        )?,
        resumable: flag(members.remove("is_resumable")),
        extra: members,
    })
}

fn configured(value: &Value, place: &str) -> Result<ConfiguredStream, CatalogError> {
    let mut members = object(value, place, "the entry")?.clone();
    let stream = match members.remove("stream") {
        Some(stream) => discovered(&stream, place)?,
        None => return Err(wrong(place, "stream", "is missing")),
    };
    let place = &format!("stream {}", stream.descriptor);
    let sync_mode = match members.remove("sync_mode") {
        Some(Value::String(word)) => SyncMode::from_airbyte(&word)
            .ok_or_else(|| wrong(place, "sync_mode", "is neither full_refresh nor incremental"))?,
        None => return Err(wrong(place, "sync_mode", "is missing")),
        Some(_) => return Err(wrong(place, "sync_mode", "is not a string")),
    };
    let destination_sync_mode = match members.remove("destination_sync_mode") {
        Some(Value::String(word)) => DestinationSyncMode::from_airbyte(&word).ok_or_else(|| {
            wrong(
                place,
                "destination_sync_mode",
                "is none of append, overwrite, append_dedup, update, soft_delete",
            )
        })?,
        None => return Err(wrong(place, "destination_sync_mode", "is missing")),
        Some(_) => return Err(wrong(place, "destination_sync_mode", "is not a string")),
    };
    let generation_id = number(members.remove("generation_id"), place, "generation_id")?;
    let minimum = number(members.remove("minimum_generation_id"), place, "minimum_generation_id")?;
    if minimum != 0 && minimum != generation_id {
        return Err(wrong(
            place,
            "minimum_generation_id",
            "is neither 0 nor equal to generation_id",
        ));
    }
    let sync_id = number(members.remove("sync_id"), place, "sync_id")?;
    let cursor_field = path(members.remove("cursor_field"), place, "cursor_field")?;
    let primary_key = paths(members.remove("primary_key"), place, "primary_key")?;
    Ok(ConfiguredStream {
        stream,
        sync_mode,
        destination_sync_mode,
        cursor_field,
        primary_key,
        generation_id,
        minimum_generation_id: minimum,
        sync_id,
        extra: members,
    })
}

fn number(value: Option<Value>, place: &str, member: &'static str) -> Result<u64, CatalogError> {
    match value {
        None | Some(Value::Null) => Ok(0),
        Some(value) => {
            value.as_u64().ok_or_else(|| wrong(place, member, "is not a whole number from 0"))
        }
    }
}

fn path(
    value: Option<Value>,
    place: &str,
    member: &'static str,
) -> Result<Vec<String>, CatalogError> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::String(step) => Ok(step),
                _ => Err(wrong(place, member, "holds something that is not a string")),
            })
            .collect(),
        Some(_) => Err(wrong(place, member, "is not an array of strings")),
    }
}

fn paths(
    value: Option<Value>,
    place: &str,
    member: &'static str,
) -> Result<Vec<Vec<String>>, CatalogError> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.into_iter().map(|item| path(Some(item), place, member)).collect()
        }
        Some(_) => Err(wrong(place, member, "is not an array of paths")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_catalog_survives_a_round_trip_with_unknown_members() {
        let text = r#"{"streams":[{"stream":{"name":"a","namespace":null,"json_schema":{},
            "supported_sync_modes":["incremental"],"is_file_based":false},
            "sync_mode":"incremental","destination_sync_mode":"append","primary_key":[["id"]],
            "generation_id":3,"include_files":false}]}"#;
        let catalog = Catalog::from_airbyte(text).unwrap();
        let again = catalog.to_airbyte();
        let stream = &again["streams"][0];
        assert_eq!(stream["include_files"], false);
        assert_eq!(stream["stream"]["is_file_based"], false);
        assert_eq!(stream["generation_id"], 3);
        assert_eq!(stream["primary_key"], json!([["id"]]));
        assert!(stream["stream"].get("namespace").is_none());
    }

    #[test]
    fn faults_name_stream_and_member() {
        let read = |mode: &str, min: u64| {
            Catalog::from_airbyte(&format!(
                r#"{{"streams":[{{"stream":{{"name":"a","json_schema":{{}}}},"sync_mode":"full_refresh",
                "destination_sync_mode":"{mode}","generation_id":5,"minimum_generation_id":{min}}}]}}"#
            ))
        };
        assert!(read("append", 5).is_ok());
        let error = read("overwrite_dedup", 0).unwrap_err().to_string();
        assert!(error.starts_with("stream a: destination_sync_mode is none of"), "{error}");
        let error = read("append", 4).unwrap_err().to_string();
        assert!(error.contains("minimum_generation_id is neither 0 nor"), "{error}");
    }
}
