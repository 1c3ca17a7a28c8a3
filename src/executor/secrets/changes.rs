//! Changes of a configuration that a connector made, as they are stored.
//!
//! The attack: a connector sends its password back within a change, and it lies in the state store;
//! or a stored change holds a reference, and a command of the connector's choice runs.

use serde_json::Value;

use crate::config::merge_members;
use crate::protocol::Json;
use crate::sandbox::secrets::{
    Becomes, Piece, Redactor, Role, SecretReference, Secrets, escape, map_texts, pieces,
    secret_members, written,
};

/// Keeps the changes of one configuration.
#[derive(Debug)]
pub(crate) struct Changes {
    operator: Json,
    /// The secrets that the operator wrote in plain words.
    plain: Redactor,
    /// What the operator refers to.
    references: Vec<SecretReference>,
}

impl Changes {
    /// Of the configuration that the operator wrote.
    pub(crate) fn new(operator: &Json, schema: &Json) -> Self {
        let mut secrets = Secrets::default();
        let mut known = Vec::new();
        let (schema, config) = (schema.to_value().ok(), operator.to_value().unwrap_or_default());
        for (place, text) in secret_members(schema.as_ref(), &config) {
            if !text.contains("${secret:") {
                secrets.add(&place, &text);
            }
        }
        references(&config, &mut known);
        Self { operator: operator.clone(), plain: Redactor::new(&secrets), references: known }
    }

    /// A change as it may be stored: what the operator wrote in plain words is a placeholder.
    pub(crate) fn conceal(&self, change: &Json) -> Json {
        self.plain.seal_json(change)
    }

    /// The operator's configuration with stored changes. A reference within them counts only if the
    /// operator wrote the same one.
    pub(crate) fn merged(&self, stored: &Json) -> Json {
        // A placeholder without its secret is of another configuration; then it is text.
        let open = self.plain.unseal_json(stored).unwrap_or_else(|_| stored.clone());
        merge_members(&self.operator, &self.trusted(&open))
    }

    /// A change in which only the operator's references are references.
    pub(crate) fn trusted(&self, change: &Json) -> Json {
        map_texts(change, |role, text| {
            if role != Role::Text || !text.contains("${secret:") {
                return Becomes::Same;
            }
            let Ok(Some(pieces)) = pieces(text) else { return Becomes::Text(escape(text)) };
            let trusted = pieces.into_iter().map(|piece| match piece {
                Piece::Text(text) => escape(&text),
                Piece::Reference(r) if self.references.contains(&r) => written(&r),
                Piece::Reference(r) => escape(&written(&r)),
            });
            Becomes::Text(trusted.collect())
        })
    }
}

fn references(value: &Value, found: &mut Vec<SecretReference>) {
    match value {
        Value::String(text) => {
            let pieces = pieces(text).ok().flatten().into_iter().flatten();
            found.extend(pieces.filter_map(|piece| match piece {
                Piece::Reference(reference) => Some(reference),
                Piece::Text(_) => None,
            }));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        Value::Object(members) => members.values().for_each(|v| references(v, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn only_the_operators_references_count() {
        let operator = json(r#"{"a":"${secret:env:A}","n":1.10}"#);
        let stored = json(
            r#"{"b":"${secret:env:A}","c":"x${secret:exec:id}","d":"$${secret:exec:id}","e":"${secret:exec"}"#,
        );
        let changes = Changes::new(&operator, &Json::empty_object());
        let merged = changes.merged(&stored).to_value().unwrap();
        assert_eq!(merged["b"], "${secret:env:A}");
        assert_eq!(merged["c"], "x$${secret:exec:id}");
        assert_eq!(merged["d"], "$${secret:exec:id}");
        assert_eq!(merged["e"], "$${secret:exec");
    }

    #[test]
    fn a_plain_secret_is_stored_as_a_placeholder() {
        let operator = json(r#"{"auth":{"password":"hunter2x","token":"old-token"}}"#);
        let changes = Changes::new(&operator, &Json::empty_object());
        let change = json(r#"{"auth":{"password":"hunter2x","token":"new-token"}}"#);
        let stored = changes.conceal(&change);
        assert!(!stored.get().contains("hunter2x") && stored.get().contains("new-token"));
        assert!(changes.merged(&stored).same(&change));
    }
}
