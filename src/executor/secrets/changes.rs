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

/// The secrets that the operator wrote in plain words.
fn plain_secrets(operator: &Json, schema: &Json) -> Redactor {
    let mut secrets = Secrets::default();
    let schema = schema.to_value().ok();
    for (place, text) in secret_members(schema.as_ref(), &operator.to_value().unwrap_or_default()) {
        if !text.contains("${secret:") {
            secrets.add(&place, &text);
        }
    }
    Redactor::new(&secrets)
}

/// A change as it may be stored: what the operator wrote in plain words is a placeholder.
pub(crate) fn conceal(operator: &Json, schema: &Json, change: &Json) -> Json {
    plain_secrets(operator, schema).seal_json(change)
}

/// The operator's configuration with stored changes. A reference within them counts only if the
/// operator wrote the same one.
pub(crate) fn merged(operator: &Json, schema: &Json, stored: &Json) -> Json {
    let mut known: Vec<SecretReference> = Vec::new();
    references(&operator.to_value().unwrap_or_default(), &mut known);
    let open = plain_secrets(operator, schema).unseal_json(stored);
    // A placeholder without its secret is of another configuration; then it is text.
    let open = open.unwrap_or_else(|_| stored.clone());
    let open = map_texts(&open, |role, text| {
        if role != Role::Text || !text.contains("${secret:") {
            return Becomes::Same;
        }
        let Ok(Some(pieces)) = pieces(text) else { return Becomes::Text(escape(text)) };
        let trusted = pieces.into_iter().map(|piece| match piece {
            Piece::Text(text) => escape(&text),
            Piece::Reference(reference) if known.contains(&reference) => written(&reference),
            Piece::Reference(reference) => escape(&written(&reference)),
        });
        Becomes::Text(trusted.collect())
    });
    merge_members(operator, &open)
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
        let merged = merged(&operator, &Json::empty_object(), &stored).to_value().unwrap();
        assert_eq!(merged["b"], "${secret:env:A}");
        assert_eq!(merged["c"], "x$${secret:exec:id}");
        assert_eq!(merged["d"], "$${secret:exec:id}");
        assert_eq!(merged["e"], "$${secret:exec");
    }

    #[test]
    fn a_plain_secret_is_stored_as_a_placeholder() {
        let operator = json(r#"{"auth":{"password":"hunter2x","token":"old-token"}}"#);
        let schema = Json::empty_object();
        let change = json(r#"{"auth":{"password":"hunter2x","token":"new-token"}}"#);
        let stored = conceal(&operator, &schema, &change);
        assert!(!stored.get().contains("hunter2x") && stored.get().contains("new-token"));
        assert!(merged(&operator, &schema, &stored).same(&change));
    }
}
