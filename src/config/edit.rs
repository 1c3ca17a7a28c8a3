//! Changes members of a configuration within a text, and nothing else of it.

use std::fmt::Write as _;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use toml_edit::{DocumentMut, InlineTable, Item, TableLike};

/// Where in a file a configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigPlace {
    /// It is the whole of a JSON file.
    Json,
    /// A table of a TOML file: `["sources", "faker", "config"]`.
    Toml([String; 3]),
}

/// The configuration in a text.
pub(super) fn config_of(text: &str, place: &ConfigPlace) -> Result<Map<String, Value>, String> {
    match place {
        ConfigPlace::Json => match serde_json::from_str(text) {
            Ok(Value::Object(members)) => Ok(members),
            Ok(_) => Err("it is no JSON object".into()),
            Err(e) => Err(format!("not JSON, at line {} column {}", e.line(), e.column())),
        },
        ConfigPlace::Toml(steps) => {
            let table: toml::Table =
                toml::from_str(text).map_err(|_| "it is no TOML".to_owned())?;
            let mut at = toml::Value::Table(table);
            for step in steps {
                let inner = at.as_table_mut().and_then(|table| table.remove(step));
                at = inner.ok_or_else(|| format!("it has no {}", steps.join(".")))?;
            }
            match super::file::json_of(&at)? {
                Value::Object(members) => Ok(members),
                _ => Err(format!("{} is no table", steps.join("."))),
            }
        }
    }
}

/// The text with some members of its configuration replaced.
pub(super) fn edited(
    text: &str,
    place: &ConfigPlace,
    change: &Map<String, Value>,
) -> Result<String, String> {
    if change.is_empty() {
        return Ok(text.to_owned());
    }
    match place {
        ConfigPlace::Json => {
            let mut edits = Vec::new();
            json_edits(text, text.trim(), change, &mut edits)?;
            edits.sort_by_key(|(at, _, _)| std::cmp::Reverse(*at));
            let mut new = text.to_owned();
            for (start, end, with) in edits {
                new.replace_range(start..end, &with);
            }
            Ok(new)
        }
        ConfigPlace::Toml(steps) => {
            let mut document: DocumentMut = text.parse().map_err(|_| "it is no TOML".to_owned())?;
            let mut item = document.as_item_mut();
            for step in steps {
                let inner = item.as_table_like_mut().and_then(|table| table.get_mut(step));
                item = inner.ok_or_else(|| format!("it has no {}", steps.join(".")))?;
            }
            let table = item.as_table_like_mut();
            let table = table.ok_or_else(|| format!("{} is no table", steps.join(".")))?;
            for (name, value) in change {
                set(table, name, value)?;
            }
            Ok(document.to_string())
        }
    }
}

/// What a member becomes where the operator referred to secrets: a reference stays, whatever it now
/// stands for, and its place is noted. None where nothing of it can be written.
pub(super) fn blend(
    old: Option<&Value>,
    new: &Value,
    at: &str,
    place: &ConfigPlace,
    kept_back: &mut Vec<String>,
) -> Option<Value> {
    if matches!(place, ConfigPlace::Toml(_)) && !has_toml(new) {
        kept_back.push(at.to_owned());
        return None;
    }
    let Some(old) = old else { return Some(new.clone()) };
    if old == new || !refers(old) {
        return Some(new.clone());
    }
    match (old, new) {
        (Value::Object(before), Value::Object(now)) => {
            let mut all = Map::new();
            for (name, value) in now {
                let inner = format!("{at}.{name}");
                let value = blend(before.get(name), value, &inner, place, kept_back);
                all.insert(name.clone(), value.or_else(|| before.get(name).cloned())?);
            }
            Some(Value::Object(all))
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            let items = before.iter().zip(now).enumerate().map(|(i, (before, now))| {
                blend(Some(before), now, &format!("{at}.{i}"), place, kept_back)
            });
            items.collect::<Option<Vec<_>>>().map(Value::Array)
        }
        _ => {
            kept_back.push(at.to_owned());
            Some(old.clone())
        }
    }
}

/// Whether a reference to a secret is anywhere in it.
fn refers(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${secret:"),
        Value::Array(items) => items.iter().any(refers),
        Value::Object(members) => members.values().any(refers),
        _ => false,
    }
}

/// Whether TOML can say it.
fn has_toml(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => number.is_i64() || number.is_f64(),
        Value::Array(items) => items.iter().all(has_toml),
        Value::Object(members) => members.values().all(has_toml),
        Value::Bool(_) | Value::String(_) => true,
    }
}

/// The members of an object in their order, each with its text.
struct Ordered<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Ordered<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Ordered<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Ordered(all))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// What to replace in an object for its members to be these: start, end and text of each.
fn json_edits(
    text: &str,
    object: &str,
    change: &Map<String, Value>,
    edits: &mut Vec<(usize, usize, String)>,
) -> Result<(), String> {
    let broken = |_| "it is no JSON object".to_owned();
    let Ordered(members) = serde_json::from_str(object).map_err(broken)?;
    let first = members.first().map(|(_, raw)| offset(text, raw.get()));
    // How far the members are indented, where each has a line of its own.
    let indent = first.and_then(|at| {
        let line = &text[text[..at].rfind('\n')? + 1..at];
        let space = &line[..line.len() - line.trim_start().len()];
        line.trim_start().starts_with('"').then(|| space.to_owned())
    });
    let mut added = String::new();
    for (name, value) in change {
        // The last of two with the same name is the one that counts.
        let old = members.iter().rev().find(|(known, _)| known == name);
        let Some((_, raw)) = old else {
            let key = Value::from(name.as_str());
            let value = shown(value, indent.as_deref());
            if !(members.is_empty() && added.is_empty()) {
                added.push(',');
            }
            let _ = match &indent {
                Some(indent) => write!(added, "\n{indent}{key}: {value}"),
                None if members.is_empty() => write!(added, "{key}: {value}"),
                None => write!(added, " {key}: {value}"),
            };
            continue;
        };
        let start = offset(text, raw.get());
        let before: Option<Value> = serde_json::from_str(raw.get()).ok();
        if let (Some(Value::Object(before)), Value::Object(now)) = (&before, value)
            && before.keys().all(|name| now.contains_key(name))
        {
            let differs = |(name, value): &(&String, &Value)| before.get(*name) != Some(*value);
            let differing = now.iter().filter(differs);
            let inner = differing.map(|(name, value)| (name.clone(), value.clone())).collect();
            json_edits(text, raw.get(), &inner, edits)?;
        } else if before.as_ref() != Some(value) {
            edits.push((start, start + raw.get().len(), shown(value, indent.as_deref())));
        }
    }
    if !added.is_empty() {
        let at = match members.last() {
            Some((_, raw)) => offset(text, raw.get()) + raw.get().len(),
            None => offset(text, object) + 1,
        };
        edits.push((at, at, added));
    }
    Ok(())
}

/// A value as it is written into a file: on lines of its own where the members around it are.
fn shown(value: &Value, indent: Option<&str>) -> String {
    match indent {
        Some(indent) if value.is_object() || value.is_array() => {
            let text = serde_json::to_string_pretty(value).unwrap_or_default();
            text.replace('\n', &format!("\n{indent}"))
        }
        _ => value.to_string(),
    }
}

/// Sets a member of a table; what stands around it stays.
fn set(table: &mut dyn TableLike, name: &str, value: &Value) -> Result<(), String> {
    let old = table.get_mut(name);
    if let (Some(item), Value::Object(now)) = (old, value)
        && let Some(inner) = item.as_table_like_mut()
    {
        let gone: Vec<String> = inner
            .iter()
            .map(|(name, _)| name.to_owned())
            .filter(|n| !now.contains_key(n))
            .collect();
        for name in gone {
            inner.remove(&name);
        }
        for (name, value) in now {
            set(inner, name, value)?;
        }
        return Ok(());
    }
    let mut new = toml_of(value)?;
    match table.get_mut(name) {
        Some(Item::Value(old)) => {
            if toml_of(value)?.to_string().trim() == old.to_string().trim() {
                return Ok(());
            }
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        _ => {
            table.insert(name, Item::Value(new));
        }
    }
    Ok(())
}

fn toml_of(value: &Value) -> Result<toml_edit::Value, String> {
    Ok(match value {
        Value::Bool(flag) => (*flag).into(),
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(number)) => number.into(),
            (None, None) => return Err("a number that TOML cannot say".into()),
        },
        Value::Array(items) => {
            let items = items.iter().map(toml_of).collect::<Result<Vec<_>, _>>()?;
            toml_edit::Value::Array(items.into_iter().collect())
        }
        Value::Object(members) => {
            let mut table = InlineTable::new();
            for (name, value) in members {
                table.insert(name, toml_of(value)?);
            }
            toml_edit::Value::InlineTable(table)
        }
        Value::Null => return Err("a null, which TOML cannot say".into()),
    })
}
