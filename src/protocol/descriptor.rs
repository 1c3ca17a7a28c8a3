//! How a stream is named.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stream's name and namespace. An absent namespace, which Airbyte also writes as `null`,
/// differs from the empty one (protocol 0.18, `StreamDescriptor`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamDescriptor {
    /// Any text, the empty one included.
    pub name: String,
    /// Any text, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl StreamDescriptor {
    /// A stream without a namespace.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: None }
    }

    /// The same stream in a namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }
}

impl fmt::Display for StreamDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_namespace_is_absent_and_empty_is_not() {
        let read = |t| serde_json::from_str::<StreamDescriptor>(t).unwrap();
        assert_eq!(read(r#"{"name":"a","namespace":null}"#), StreamDescriptor::new("a"));
        assert_eq!(read(r#"{"name":"a","x":1}"#), StreamDescriptor::new("a"));
        assert_ne!(read(r#"{"name":"a","namespace":""}"#), StreamDescriptor::new("a"));
    }
}
