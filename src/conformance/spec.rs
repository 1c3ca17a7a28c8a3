//! The rules of specifications, without running anything: what Airbyte's acceptance tests ask of
//! `connectionSpecification`.

use serde_json::Value;

use super::report::Findings;
use super::rule::{SPEC_ENUMS, SPEC_KEYWORDS, SPEC_MODES, SPEC_ONE_OF, SPEC_SCHEMA, SPEC_SECRETS};
use crate::connector::json_schema;
use crate::protocol::Specification;

/// Keywords that platforms do not know (Airbyte's connector acceptance tests, `test_core.py`).
const FORBIDDEN: [&str; 10] = [
    "not",
    "anyOf",
    "patternProperties",
    "prefixItems",
    "allOf",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependentRequired",
];

/// Endings of names of members that hold secrets, in lower case without `-` and `_`.
const SECRET_ENDINGS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
];

/// Whole names of such members (Airbyte's connector acceptance tests, `test_core.py`).
const SECRETS: [&str; 4] = ["key", "jwt", "serviceaccountinfo", "credentialsjson"];

/// Schemas in a schema that are looked at; more is too tangled to be shown as a form.
const NODES: usize = 100_000;

/// A schema inside the schema.
struct Node<'a> {
    /// `properties.auth.oneOf[0]`
    path: String,
    /// The property's name, where it is one.
    name: Option<&'a str>,
    schema: &'a Value,
}

/// All schemas inside a schema, itself first; false where there are too many.
fn nodes(root: &Value) -> (Vec<Node<'_>>, bool) {
    let mut all = Vec::new();
    let mut open = vec![Node { path: String::new(), name: None, schema: root }];
    while let Some(node) = open.pop() {
        if all.len() >= NODES {
            return (all, false);
        }
        let under = |path: &str| match node.path.as_str() {
            "" => path.to_owned(),
            parent => format!("{parent}.{path}"),
        };
        for members in ["properties", "$defs", "definitions"] {
            if let Some(Value::Object(properties)) = node.schema.get(members) {
                let name = |name| (members == "properties").then_some(name);
                open.extend(properties.iter().map(|(key, schema)| Node {
                    path: under(key),
                    name: name(key.as_str()),
                    schema,
                }));
            }
        }
        for list in ["oneOf", "anyOf", "allOf"] {
            if let Some(Value::Array(variants)) = node.schema.get(list) {
                open.extend(variants.iter().enumerate().map(|(place, schema)| Node {
                    path: under(&format!("{list}[{place}]")),
                    name: None,
                    schema,
                }));
            }
        }
        if let Some(schema @ Value::Object(_)) = node.schema.get("items") {
            open.push(Node { path: under("items"), name: None, schema });
        }
        all.push(node);
    }
    (all, true)
}

fn shown(node: &Node<'_>) -> String {
    if node.path.is_empty() { "the schema".to_owned() } else { node.path.clone() }
}

/// Whether a reference leads somewhere inside the schema.
fn leads(root: &Value, reference: &str) -> bool {
    reference.strip_prefix('#').is_some_and(|pointer| root.pointer(pointer).is_some())
}

pub(super) fn schema(findings: &mut Findings, spec: &Specification) -> Option<Value> {
    let root = match spec.config_schema.to_value() {
        Ok(root) => root,
        Err(error) => {
            findings.judge(SPEC_SCHEMA, vec![format!("it cannot be read: {error}")]);
            return None;
        }
    };
    let mut faults = Vec::new();
    faults.extend(json_schema(&root).err());
    if root.get("type").and_then(Value::as_str) != Some("object") {
        faults.push("the type of the schema is not \"object\"".into());
    }
    let properties = root.get("properties").and_then(Value::as_object);
    let required = root.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !properties.is_some_and(|known| known.contains_key(name)) {
            faults.push(format!("{name} is required, and is no property"));
        }
    }
    let (nodes, whole) = nodes(&root);
    if !whole {
        faults.push(format!("it has more than {NODES} schemas in it"));
    }
    for node in &nodes {
        if let Some(reference) = node.schema.get("$ref").and_then(Value::as_str)
            && !leads(&root, reference)
        {
            faults.push(format!("{}: $ref leads nowhere inside the schema", shown(node)));
        }
    }
    if !findings.judge(SPEC_SCHEMA, faults) {
        return None;
    }
    findings.judge(SPEC_KEYWORDS, keywords(&nodes));
    findings.judge(SPEC_ONE_OF, nodes.iter().filter_map(one_of).collect());
    findings.judge(SPEC_ENUMS, nodes.iter().filter_map(repeated).collect());
    findings.judge(SPEC_SECRETS, nodes.iter().filter_map(open_secret).collect());
    Some(root)
}

fn keywords(nodes: &[Node<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    for node in nodes {
        let found = FORBIDDEN.iter().filter(|word| node.schema.get(**word).is_some());
        faults.extend(found.map(|word| format!("{}: {word}", shown(node))));
        if let Some(Value::Array(types)) = node.schema.get("type") {
            let kinds = types.iter().filter(|kind| kind.as_str() != Some("null")).count();
            if kinds != 1 {
                faults.push(format!("{}: has {kinds} types", shown(node)));
            }
        }
    }
    faults
}

/// What is wrong with a choice.
fn one_of(node: &Node<'_>) -> Option<String> {
    let variants = node.schema.get("oneOf")?.as_array()?;
    let place = shown(node);
    // A property that may be null is a choice in form only.
    let objects: Vec<&Value> = variants.iter().filter(|v| v.get("properties").is_some()).collect();
    if objects.is_empty()
        && variants.iter().all(|v| v.get("const").is_some() || v.get("enum").is_some())
    {
        return None;
    }
    if objects.len() != variants.len() {
        return Some(format!("{place}: a variant of oneOf has no properties"));
    }
    let constants = |variant: &Value| -> Vec<String> {
        let properties = variant.get("properties").and_then(Value::as_object);
        let with = properties.into_iter().flatten().filter(|(_, schema)| is_constant(schema));
        with.map(|(name, _)| name.clone()).collect()
    };
    let mut common = constants(objects.first()?);
    for variant in &objects {
        let these = constants(variant);
        common.retain(|name| these.contains(name));
    }
    match common.as_slice() {
        [name] => {
            let values: Vec<&Value> = objects
                .iter()
                .filter_map(|variant| constant(&variant["properties"][name]))
                .collect();
            let twice = values.iter().enumerate().any(|(at, value)| values[..at].contains(value));
            let preset = objects.iter().any(|v| {
                v["properties"][name]
                    .get("default")
                    .is_some_and(|d| Some(d) != constant(&v["properties"][name]))
            });
            if twice {
                Some(format!("{place}: two variants of oneOf have the same {name}"))
            } else {
                preset.then(|| format!("{place}: the default of {name} is not its const"))
            }
        }
        [] => Some(format!("{place}: no property has a const in every variant of oneOf")),
        more => Some(format!(
            "{place}: more than one property tells the variants apart: {}",
            more.join(", ")
        )),
    }
}

/// A const, or the value of an enum of one.
fn constant(schema: &Value) -> Option<&Value> {
    schema.get("const").or_else(|| match schema.get("enum")?.as_array()?.as_slice() {
        [only] => Some(only),
        _ => None,
    })
}

fn is_constant(schema: &Value) -> bool {
    constant(schema).is_some()
}

fn repeated(node: &Node<'_>) -> Option<String> {
    let values = node.schema.get("enum")?.as_array()?;
    let twice = values.iter().enumerate().any(|(place, value)| values[..place].contains(value));
    twice.then(|| format!("{}: its enum has a value twice", shown(node)))
}

fn open_secret(node: &Node<'_>) -> Option<String> {
    let name = node.name?;
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let is = |kind: &str| match node.schema.get("type") {
        Some(Value::String(word)) => word == kind,
        Some(Value::Array(words)) => words.iter().any(|word| word.as_str() == Some(kind)),
        _ => false,
    };
    let marked = node.schema.get("airbyte_secret").and_then(Value::as_bool) == Some(true);
    let named = SECRETS.contains(&plain.as_str())
        || SECRET_ENDINGS.iter().any(|ending| plain.ends_with(ending));
    let held = ["string", "integer", "number"].into_iter().any(is);
    let secret = named && held && !is_constant(node.schema);
    (secret && !marked).then(|| format!("{}: has no airbyte_secret: true", shown(node)))
}

pub(super) fn modes(findings: &mut Findings, spec: &Specification) {
    let faults = match &spec.destination_sync_modes {
        None => vec!["supported_destination_sync_modes is not there".to_owned()],
        Some(modes) if modes.is_empty() => {
            vec!["supported_destination_sync_modes names no mode".to_owned()]
        }
        Some(modes) => {
            let twice =
                modes.iter().enumerate().filter(|(place, mode)| modes[..*place].contains(mode));
            twice.map(|(_, mode)| format!("{} is there twice", mode.airbyte())).collect()
        }
    };
    findings.judge(SPEC_MODES, faults);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::report::Verdict;
    use super::*;

    fn failed(schema: Value) -> Vec<&'static str> {
        let body = json!({ "connectionSpecification": schema }).to_string();
        let spec = Specification::from_airbyte(&body).unwrap();
        let mut findings = Findings::default();
        super::schema(&mut findings, &spec);
        let failed = findings.all.iter().filter(|f| f.verdict == Verdict::Failed);
        failed.map(|f| f.rule.code).collect()
    }

    #[test]
    fn each_fault_breaks_its_own_rule() {
        let of = |properties: Value| json!({ "type": "object", "properties": properties });
        let choice = |a: Value, b: Value| {
            of(json!({ "auth": { "type": "object", "oneOf": [
            { "properties": a }, { "properties": b } ] } }))
        };
        let kind = |word: &str| json!({ "type": { "const": word } });
        let none: [&str; 0] = [];
        assert_eq!(failed(of(json!({ "host": { "type": "string" } }))), none);
        assert_eq!(failed(choice(kind("a"), kind("b"))), none);
        assert_eq!(failed(json!({ "type": "array" })), ["SPEC_SCHEMA"]);
        assert_eq!(failed(json!({ "type": "object", "properties": 5 })), ["SPEC_SCHEMA"]);
        assert_eq!(failed(of(json!({ "a": { "$ref": "#/$defs/b" } }))), ["SPEC_SCHEMA"]);
        assert_eq!(
            failed(of(json!({ "a": { "anyOf": [{ "type": "string" }] } }))),
            ["SPEC_KEYWORDS"]
        );
        assert_eq!(
            failed(of(json!({ "a": { "type": ["string", "integer"] } }))),
            ["SPEC_KEYWORDS"]
        );
        assert_eq!(failed(choice(kind("a"), json!({ "x": {} }))), ["SPEC_ONE_OF"]);
        assert_eq!(failed(of(json!({ "a": { "enum": [1, 2, 1] } }))), ["SPEC_ENUMS"]);
        assert_eq!(failed(choice(kind("a"), kind("a"))), ["SPEC_ONE_OF"]);
        for name in ["api_key", "db_password", "clientToken", "personal_access_token", "jwt"] {
            assert_eq!(
                failed(of(json!({ name: { "type": "string" } }))),
                ["SPEC_SECRETS"],
                "{name}"
            );
        }
        assert_eq!(failed(of(json!({ "token_url": { "type": "string" } }))), none);
        assert_eq!(failed(json!({ "type": "object", "required": ["a"] })), ["SPEC_SCHEMA"]);
        let marked = json!({ "api_key": { "type": "string", "airbyte_secret": true } });
        assert_eq!(failed(of(marked)), none);
    }
}
