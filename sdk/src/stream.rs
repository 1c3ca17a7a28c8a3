//! Streams: as a source offers them and as a sync wants them.

use std::fmt;

use serde_json::{Map, Value};

use crate::bindings::types::DiscoveredStream;
pub use crate::bindings::types::{Catalog, ConfiguredStream, StreamDescriptor, SyncMode};

impl StreamDescriptor {
    /// A stream without a namespace.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: None }
    }

    /// A stream in a namespace.
    pub fn in_namespace(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: Some(namespace.into()) }
    }
}

/// `name`, or `namespace.name`: for messages, not a key.
impl fmt::Display for StreamDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}.")?;
        }
        f.write_str(&self.name)
    }
}

/// A stream as a source offers it.
///
/// ```
/// use lockgate_sdk::Stream;
/// use serde_json::json;
///
/// let orders = Stream::new("orders", json!({
///     "type": "object",
///     "properties": { "id": { "type": "integer" }, "updated_at": { "type": "string" } },
/// }))
/// .incremental()
/// .source_defined_cursor(["updated_at"])
/// .primary_key([["id"]]);
/// # let _ = orders;
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    discovered: DiscoveredStream,
    extra: Map<String, Value>,
}

impl Stream {
    /// A stream that can be read in full. `json_schema` is the draft-07 schema of one row.
    pub fn new(name: impl Into<String>, json_schema: Value) -> Self {
        Self {
            discovered: DiscoveredStream {
                descriptor: StreamDescriptor::new(name),
                json_schema: json_schema.to_string(),
                sync_modes: vec![SyncMode::FullRefresh],
                source_defined_cursor: false,
                default_cursor_field: Vec::new(),
                source_defined_primary_key: Vec::new(),
                resumable: false,
                extra: String::new(),
            },
            extra: Map::new(),
        }
    }

    /// Puts the stream in a namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.discovered.descriptor.namespace = Some(namespace.into());
        self
    }

    /// The stream can also be read from a state on.
    #[must_use]
    pub fn incremental(mut self) -> Self {
        self.discovered.sync_modes.push(SyncMode::Incremental);
        self
    }

    /// A full refresh can go on from a state of the same sync.
    #[must_use]
    pub fn resumable(mut self) -> Self {
        self.discovered.resumable = true;
        self
    }

    /// The cursor that is used unless the operator picks another; a path into the row.
    #[must_use]
    pub fn default_cursor<P: Into<String>>(mut self, path: impl IntoIterator<Item = P>) -> Self {
        self.discovered.default_cursor_field = path.into_iter().map(Into::into).collect();
        self
    }

    /// The cursor, which the operator cannot change; a path into the row.
    #[must_use]
    pub fn source_defined_cursor<P: Into<String>>(self, path: impl IntoIterator<Item = P>) -> Self {
        let mut stream = self.default_cursor(path);
        stream.discovered.source_defined_cursor = true;
        stream
    }

    /// The primary key: the path of each key column.
    #[must_use]
    pub fn primary_key<P, K>(mut self, key: impl IntoIterator<Item = P>) -> Self
    where
        P: IntoIterator<Item = K>,
        K: Into<String>,
    {
        self.discovered.source_defined_primary_key =
            key.into_iter().map(|path| path.into_iter().map(Into::into).collect()).collect();
        self
    }

    /// A member of Airbyte's stream that has no method here.
    #[must_use]
    pub fn extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(key.into(), value.into());
        self
    }

    pub(crate) fn into_discovered(self) -> DiscoveredStream {
        DiscoveredStream { extra: Value::Object(self.extra).to_string(), ..self.discovered }
    }
}
