//! Which values of a configuration are secret.
//!
//! The attack: a stranger's specification leaves `airbyte_secret` out, and the password is logged as
//! if it were a host's name. So a member's name and the form of its value count as well. Where the
//! specification is too tangled to be followed, every text is secret.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Steps through a schema before it counts as too tangled.
const STEPS: usize = 200_000;

/// Parts of names of members that hold secrets, without case, `-` and `_`.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "apikey",
    "privatekey",
    "credential",
    "accesskey",
    "accountkey",
    "sharedkey",
    "passphrase",
    "connectionstring",
];

/// A configuration that holds a schema itself describes a member `api_key` as one of these.
const SCHEMA_TYPES: [&str; 7] =
    ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Whether a member's name says that it holds a secret.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric().then(|| c.to_lowercase());
    let name: String = name.chars().filter_map(plain).flatten().collect();
    name == "dsn" || name.ends_with("dsn") || NAMES.iter().any(|part| name.contains(part))
}

/// The secret values of a configuration, each with its place (`credentials.client_secret`). Numbers
/// as they are written.
#[must_use]
pub fn secret_members(schema: Option<&Value>, config: &Value) -> Vec<(String, String)> {
    let mut search =
        Search { root: schema, steps: STEPS, found: Vec::new(), public: Vec::new(), all: false };
    if let Some(schema) = schema {
        search.publish(schema);
    }
    search.visit(schema.into_iter().collect(), config, "", None);
    if search.steps == 0 {
        search.found.clear();
        search.all = true;
        search.visit(Vec::new(), config, "", None);
    }
    search.found
}

/// Why everything below a member is secret.
#[derive(Clone, Copy, PartialEq)]
enum Below {
    /// Its schema says so.
    Marked,
    /// A name further up says so.
    Named,
}

struct Search<'a> {
    root: Option<&'a Value>,
    steps: usize,
    found: Vec<(String, String)>,
    /// Texts that stand in the schema as choices: `oauth2.0` within `credentials` is no secret.
    public: Vec<&'a str>,
    all: bool,
}

impl<'a> Search<'a> {
    /// Collects the choices of a schema.
    fn publish(&mut self, schema: &'a Value) {
        let mut waiting = vec![schema];
        while let Some(next) = waiting.pop() {
            if self.steps == 0 {
                return;
            }
            self.steps -= 1;
            match next {
                Value::Object(members) => {
                    self.public.extend(members.get("const").and_then(Value::as_str));
                    let choices = members.get("enum").and_then(Value::as_array);
                    self.public.extend(choices.into_iter().flatten().filter_map(Value::as_str));
                    waiting.extend(members.values());
                }
                Value::Array(items) => waiting.extend(items),
                _ => {}
            }
        }
    }

    /// The schemas that hold where one does.
    fn expand(&mut self, schemas: Vec<&'a Value>) -> Vec<&'a Value> {
        let mut all: Vec<&'a Value> = Vec::new();
        let mut waiting = schemas;
        while let Some(next) = waiting.pop() {
            if self.steps == 0 {
                break;
            }
            // Looking through `all` takes steps too.
            self.steps = self.steps.saturating_sub(1 + all.len() / 8);
            if all.iter().any(|known| std::ptr::eq(*known, next)) {
                continue;
            }
            all.push(next);
            let Value::Object(members) = next else { continue };
            if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                let pointer =
                    target.strip_prefix('#').map(|p| percent_decode_str(p).decode_utf8_lossy());
                waiting.extend(pointer.and_then(|p| self.root?.pointer(&p)));
            }
            for word in ["allOf", "anyOf", "oneOf"] {
                waiting.extend(members.get(word).and_then(Value::as_array).into_iter().flatten());
            }
            waiting.extend(["if", "then", "else", "not"].iter().filter_map(|w| members.get(*w)));
        }
        all
    }

    fn visit(&mut self, schemas: Vec<&'a Value>, value: &Value, place: &str, below: Option<Below>) {
        let schemas = self.expand(schemas);
        let marked = schemas.iter().any(|s| s.get("airbyte_secret") == Some(&Value::Bool(true)));
        let below = if marked { Some(Below::Marked) } else { below };
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let place = join(place, name);
                    let below = match below {
                        None if looks_secret(name) && !scalar(value) => Some(Below::Named),
                        below => below,
                    };
                    let next = of_member(&schemas, name);
                    let own = looks_secret(name) && scalar(value);
                    self.visit(next, value, &place, if own { Some(Below::Marked) } else { below });
                }
            }
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let next = of_item(&schemas, i);
                    self.visit(next, item, &join(place, &i.to_string()), below);
                }
            }
            Value::String(text) => {
                let public =
                    self.public.contains(&text.as_str()) || SCHEMA_TYPES.contains(&text.as_str());
                let named = below == Some(Below::Named) && !public;
                if self.all || below == Some(Below::Marked) || named {
                    self.found.push((place.to_owned(), text.clone()));
                }
                self.parts(text, place);
            }
            Value::Number(number) if self.all || below.is_some() => {
                self.found.push((place.to_owned(), number.to_string()));
            }
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    /// Secrets within a text: the password of a URL, and of `key=value` pairs.
    fn parts(&mut self, text: &str, place: &str) {
        let mut found = Vec::new();
        for (at, _) in text.match_indices("://") {
            let rest = &text[at + 3..];
            let authority = rest.split(['/', '?', '#', ' ', ',']).next().unwrap_or_default();
            // A password with a slash in it, not encoded as it should be.
            let whole = rest.split([' ', '?', '#']).next().unwrap_or_default();
            for part in [authority, whole] {
                let user = part.rsplit_once('@').map(|(user, _)| user);
                found.extend(user.and_then(|u| u.split_once(':')).map(|(_, password)| password));
            }
        }
        for pair in text.split([';', '&', ' ', '?', ',', '\n']) {
            if let Some((name, value)) = pair.split_once('=')
                && looks_secret(name)
            {
                found.push(value.trim().trim_matches(['\'', '"']));
            }
        }
        for (i, part) in found.iter().enumerate() {
            self.found.push((format!("{place}@{i}"), (*part).to_owned()));
            let decoded = percent_decode_str(part).decode_utf8_lossy();
            if decoded != *part {
                self.found.push((format!("{place}@{i}.decoded"), decoded.into_owned()));
            }
        }
    }
}

fn scalar(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn of_member<'a>(schemas: &[&'a Value], name: &str) -> Vec<&'a Value> {
    let mut next = Vec::new();
    for schema in schemas.iter().filter_map(|s| s.as_object()) {
        next.extend(schema.get("properties").and_then(|p| p.get(name)));
        // Which of them fit does not matter: one that marks a secret is believed.
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        next.extend(patterns.into_iter().flat_map(Map::values));
        next.extend(schema.get("additionalProperties").filter(|s| s.is_object()));
    }
    next
}

fn of_item<'a>(schemas: &[&'a Value], place: usize) -> Vec<&'a Value> {
    let mut next = Vec::new();
    for schema in schemas.iter().filter_map(|s| s.as_object()) {
        for word in ["items", "prefixItems", "additionalItems", "contains"] {
            match schema.get(word) {
                Some(Value::Array(each)) => next.extend(each.get(place)),
                Some(schema @ Value::Object(_)) => next.push(schema),
                _ => {}
            }
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(schema: &Value, config: &Value) -> Vec<String> {
        secret_members(Some(schema), config).into_iter().map(|f| f.0).collect()
    }

    #[test]
    fn names_that_look_secret() {
        for name in
            ["password", "API_KEY", "client-secret", "accessToken", "dsn", "aws_access_key_id"]
        {
            assert!(looks_secret(name), "{name}");
        }
        for name in ["host", "user", "database", "keyword", "windspeed"] {
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn marks_are_found_wherever_they_stand() {
        let schema = json!({
            "properties": {
                "a": { "$ref": "#/$defs/s" },
                "b": { "oneOf": [{ "properties": { "x": { "allOf": [{ "airbyte_secret": true }] } } }] },
                "c": { "items": { "airbyte_secret": true } },
                "d": { "additionalProperties": { "airbyte_secret": true } },
                "loop": { "$ref": "#/properties/loop" },
            },
            "$defs": { "s": { "anyOf": [{ "airbyte_secret": true }, { "$ref": "#/$defs/s" }] } },
        });
        let config = json!({
            "a": "1", "b": { "x": "2", "y": "no" }, "c": ["3"], "d": { "k": 4 }, "loop": "no", "e": "no",
        });
        assert_eq!(places(&schema, &config), ["a", "b.x", "c.0", "d.k"]);
    }

    #[test]
    fn unmarked_secrets_are_found_by_name_and_form() {
        let schema = json!({ "properties": { "credentials": { "oneOf": [
            { "properties": { "kind": { "const": "oauth2.0" } } } ] } } });
        let config = json!({
            "credentials": { "kind": "oauth2.0", "value": "abc", "password": "oauth2.0" },
            "schema": { "api_key": { "type": "string", "default": "def" } },
            "url": "postgres://user:p%40ss@host/db", "text": "Server=x;Password='pw';",
        });
        let found = secret_members(Some(&schema), &config);
        let found: Vec<(&str, &str)> = found.iter().map(|f| (f.0.as_str(), f.1.as_str())).collect();
        for expected in [
            ("credentials.password", "oauth2.0"),
            ("credentials.value", "abc"),
            ("schema.api_key.default", "def"),
            ("text@0", "pw"),
            ("url@0", "p%40ss"),
            ("url@0.decoded", "p@ss"),
        ] {
            assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
        }
        let public = ["credentials.kind", "schema.api_key.type"];
        assert!(!found.iter().any(|f| public.contains(&f.0)));
    }

    #[test]
    fn a_tangled_schema_makes_everything_secret() {
        let many: Vec<Value> =
            (0..2000).map(|i| json!({ "title": i.to_string(), "allOf": [{}] })).collect();
        let mut schema = json!({ "allOf": many });
        for name in ["a", "b", "c", "d", "e", "f"] {
            schema = json!({ "properties": { name: schema.clone() }, "allOf": [schema] });
        }
        let config = json!({ "f": { "e": { "d": { "c": "text" } } }, "other": "open" });
        assert!(places(&schema, &config).contains(&"other".to_owned()));
    }
}
