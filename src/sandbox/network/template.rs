//! `${config.path}` in a pattern.
//!
//! The attack: a configuration's value is `*`, `*.x`, `0.0.0.0/0` or `x:1-65535`, and a grant that was
//! meant for one host opens many.

use std::net::IpAddr;

use serde_json::Value;

use super::host::NetworkHost;

/// The host of a pattern with its members filled in. Brackets around a whole template go: whether
/// they are needed is the value's.
pub(super) fn fill_host(host: &str, config: &Value) -> Result<String, &'static str> {
    let whole = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Some(path) = only_template(whole) {
        return match NetworkHost::parse(&member(path, config)?) {
            Ok(host) => Ok(host.to_string()),
            Err(_) => Err("the configuration's value is no single name or address"),
        };
    }
    fill(host, |path| {
        let value = member(path, config)?;
        let part = !value.is_empty()
            && value.parse::<IpAddr>().is_err()
            && value.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if part { Ok(value) } else { Err("the configuration's value is no part of a name") }
    })
}

/// The port of a pattern with its member filled in: one port.
pub(super) fn fill_port(port: &str, config: &Value) -> Result<String, &'static str> {
    fill(port, |path| {
        let value = member(path, config)?;
        match value.parse::<u16>() {
            Ok(1..) if value.bytes().all(|b| b.is_ascii_digit()) => Ok(value),
            _ => Err("the configuration's value is no port"),
        }
    })
}

/// The path of a text that is one template and nothing else.
fn only_template(text: &str) -> Option<&str> {
    let path = text.strip_prefix("${")?.strip_suffix('}')?;
    (!path.contains(['$', '{', '}'])).then_some(path)
}

fn fill(
    mut text: &str,
    value: impl Fn(&str) -> Result<String, &'static str>,
) -> Result<String, &'static str> {
    let mut filled = String::new();
    while let Some((before, rest)) = text.split_once("${") {
        let (path, after) = rest.split_once('}').ok_or("a ${ has no }")?;
        filled.push_str(before);
        filled.push_str(&value(path)?);
        text = after;
    }
    filled.push_str(text);
    Ok(filled)
}

/// A member of the configuration as text. `config.` before a path is the configuration itself.
fn member(path: &str, config: &Value) -> Result<String, &'static str> {
    const MISSING: &str = "the configuration has no such member, or it is no text and no number";
    let path = path.trim();
    let path = path.strip_prefix("config.").unwrap_or(path);
    let mut value = config;
    for step in path.split('.') {
        value = match value {
            Value::Object(members) => members.get(step),
            Value::Array(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
            _ => None,
        }
        .ok_or(MISSING)?;
    }
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(MISSING),
    }
}
