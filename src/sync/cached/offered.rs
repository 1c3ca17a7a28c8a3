//! What a source offered, kept with the rows in the cache: a sync that does not ask the source plans the
//! same as one that does.
//!
//! It stands in front of the stream's JSON Schema, as a keyword that no reader of schemas knows.

use crate::cache::CachedStream;
use crate::protocol::{DiscoveredStream, Json, SyncMode};

/// What a kept schema begins with.
const KEYWORD: &str = r#"{"x-lockgate-offered":"#;

/// The schema of a stream, with what was offered in front of it.
pub(super) fn with_offer(stream: &DiscoveredStream) -> Json {
    let schema = stream.json_schema.get();
    let Some(rest) = schema.trim_start().strip_prefix('{') else {
        return stream.json_schema.clone();
    };
    let offered = DiscoveredStream { json_schema: Json::empty_object(), ..stream.clone() };
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    let text = format!("{KEYWORD}{}{comma}{rest}", offered.to_airbyte());
    Json::parse(text).unwrap_or_else(|_| stream.json_schema.clone())
}

/// A cached stream as its source offered it.
pub(super) fn offered(stream: CachedStream) -> DiscoveredStream {
    read(&stream).unwrap_or_else(|| DiscoveredStream {
        descriptor: stream.descriptor,
        json_schema: stream.json_schema,
        sync_modes: vec![SyncMode::FullRefresh, SyncMode::Incremental],
        source_defined_cursor: true,
        default_cursor_field: Vec::new(),
        source_defined_primary_key: stream.primary_key,
        resumable: false,
        extra: serde_json::Map::new(),
    })
}

fn read(stream: &CachedStream) -> Option<DiscoveredStream> {
    let rest = stream.json_schema.get().strip_prefix(KEYWORD)?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<serde_json::Value>();
    let offered = values.next()?.ok()?;
    let rest = rest.get(values.byte_offset()..)?;
    let schema = format!("{{{}", rest.strip_prefix(',').unwrap_or(rest));
    let list = serde_json::json!({ "streams": [offered] }).to_string();
    let mut streams = DiscoveredStream::list_from_airbyte(&list).ok()?;
    let read = streams.pop().filter(|read| read.descriptor == stream.descriptor)?;
    Some(DiscoveredStream { json_schema: Json::parse(schema).ok()?, ..read })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::CachePosition;

    #[test]
    fn what_was_offered_comes_back() {
        for schema in ["{}", r#"{"properties":{"a":{"maximum":1e400}}}"#, " { } "] {
            let list = r#"{"streams":[{"name":"a","namespace":"n","json_schema":{},"supported_sync_modes":["incremental"],
                "default_cursor_field":["at"],"source_defined_primary_key":[["id"]],"is_resumable":true,"x":[1]}]}"#;
            let mut stream = DiscoveredStream::list_from_airbyte(list).unwrap().remove(0);
            stream.json_schema = Json::parse(schema).unwrap();
            let kept = CachedStream {
                source: String::new(),
                descriptor: stream.descriptor.clone(),
                table: String::new(),
                columns: Vec::new(),
                rows: 0,
                position: CachePosition::default(),
                merged: false,
                primary_key: Vec::new(),
                json_schema: with_offer(&stream),
                updated_at: None,
            };
            let back = offered(kept);
            assert!(back.json_schema.same(&stream.json_schema) || schema.contains("1e400"));
            assert!(schema.contains("1e400") == back.json_schema.get().contains("1e400"));
            assert_eq!(
                back.to_airbyte()["default_cursor_field"],
                stream.to_airbyte()["default_cursor_field"]
            );
            assert_eq!((back.sync_modes, back.resumable), (stream.sync_modes, stream.resumable));
            assert_eq!(back.extra, stream.extra);
        }
    }
}
