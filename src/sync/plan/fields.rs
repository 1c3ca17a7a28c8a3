//! The key and the cursor of a stream: which, and whose word it is.

use serde::Serialize;
use serde_json::Value;

use super::{PlanError, listed};
use crate::config::StreamOptions;
use crate::protocol::DiscoveredStream;

/// Who named a key or a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NamedBy {
    /// Nobody: there is none.
    #[default]
    Nobody,
    /// The source, and nobody may name another.
    Source,
    /// The operator.
    Configured,
    /// The source, where the operator named none.
    Default,
}

/// The key and the cursor that a stream has.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    pub(super) cursor: Vec<String>,
    pub(super) cursor_from: NamedBy,
    pub(super) key: Vec<Vec<String>>,
    pub(super) key_from: NamedBy,
}

impl Fields {
    /// In the protocol's order: the source's own cursor, the configured one, the default one.
    pub(super) fn of(
        stream: &DiscoveredStream,
        options: Option<&StreamOptions>,
    ) -> Result<Self, PlanError> {
        let configured = options.and_then(|o| o.cursor_field.as_ref());
        let default = &stream.default_cursor_field;
        if let Some(path) = configured
            && stream.source_defined_cursor
            && path != default
        {
            let stream = stream.descriptor.to_string();
            return Err(PlanError::CursorDefined { stream, path: shown(path) });
        }
        let (cursor, cursor_from) = match configured {
            _ if stream.source_defined_cursor => (default.clone(), NamedBy::Source),
            Some(path) => (path.clone(), NamedBy::Configured),
            None if default.is_empty() => (Vec::new(), NamedBy::Nobody),
            None => (default.clone(), NamedBy::Default),
        };
        let (key, key_from) = match options.and_then(|o| o.primary_key.as_ref()) {
            Some(key) => (key.clone(), NamedBy::Configured),
            None if stream.source_defined_primary_key.is_empty() => (Vec::new(), NamedBy::Nobody),
            None => (stream.source_defined_primary_key.clone(), NamedBy::Source),
        };
        let fields = Self { cursor, cursor_from, key, key_from };
        if cursor_from == NamedBy::Configured {
            must_have(stream, "cursor", &fields.cursor)?;
        }
        if key_from == NamedBy::Configured {
            fields.must_have_key(stream)?;
        }
        Ok(fields)
    }

    /// Refuses a key that no row has.
    pub(super) fn must_have_key(&self, stream: &DiscoveredStream) -> Result<(), PlanError> {
        self.key.iter().try_for_each(|path| must_have(stream, "primary key", path))
    }

    /// Whether an incremental read has something to go by.
    pub(super) fn has_cursor(&self) -> bool {
        self.cursor_from != NamedBy::Nobody
    }
}

/// A path for people.
pub(super) fn shown(path: &[String]) -> String {
    path.join(".")
}

fn must_have(
    stream: &DiscoveredStream,
    what: &'static str,
    path: &[String],
) -> Result<(), PlanError> {
    let schema = stream.json_schema.to_value().unwrap_or_default();
    if has(&schema, path) {
        return Ok(());
    }
    let columns = schema.get("properties").and_then(Value::as_object);
    let columns: Vec<String> = columns.into_iter().flat_map(|c| c.keys().cloned()).collect();
    Err(PlanError::NoSuchField {
        stream: stream.descriptor.to_string(),
        what,
        path: shown(path),
        known: listed(columns.into_iter()),
    })
}

/// Whether a row of this schema can have something at this path. A schema that does not name its
/// members may have any.
fn has(schema: &Value, path: &[String]) -> bool {
    let Some((step, rest)) = path.split_first() else { return true };
    if schema.get("$ref").is_some() {
        return true;
    }
    let mut branches = ["oneOf", "anyOf", "allOf"]
        .into_iter()
        .filter_map(|word| schema.get(word).and_then(Value::as_array))
        .flatten()
        .peekable();
    let is_branched = branches.peek().is_some();
    if branches.any(|branch| has(branch, path)) {
        return true;
    }
    match schema.get("properties").and_then(Value::as_object) {
        Some(members) => members.get(step).is_some_and(|member| has(member, rest)),
        None => !is_branched && may_be_object(schema),
    }
}

fn may_be_object(schema: &Value) -> bool {
    match schema.get("type") {
        None => schema.is_object() || schema.as_bool() == Some(true),
        Some(Value::String(word)) => word == "object",
        Some(Value::Array(words)) => words.iter().any(|word| word == "object"),
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn paths_into_schemas() {
        let schema = json!({"type": "object", "properties": {
            "id": {"type": "integer"},
            "user": {"type": ["null", "object"], "properties": {"id": {"type": "string"}}},
            "any": {"type": "object"},
            "either": {"oneOf": [{"type": "null"}, {"type": "object", "properties": {"a": {}}}]},
        }});
        let has = |steps: &[&str]| {
            let path: Vec<String> = steps.iter().map(ToString::to_string).collect();
            super::has(&schema, &path)
        };
        for there in [&["id"][..], &["user", "id"], &["any", "x", "y"], &["either", "a"]] {
            assert!(has(there), "{there:?}");
        }
        for not in [&["ID"][..], &["user.id"], &["user", "x"], &["id", "x"], &["either", "b"]] {
            assert!(!has(not), "{not:?}");
        }
        assert!(super::has(&json!({}), &["x".to_owned()]));
    }
}
