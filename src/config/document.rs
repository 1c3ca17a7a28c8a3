//! Configurations and other JSON given by file name or inline.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ConfigError;
use crate::protocol::Json;

/// A file name, or inline JSON when it begins with a brace.
///
/// # Errors
/// [`ConfigError`]; it never quotes the text.
pub fn read_config(given: &str) -> Result<Json, ConfigError> {
    if given.trim_start().starts_with('{') {
        return object("the inline configuration", given.to_owned());
    }
    read_json_object(Path::new(given))
}

/// A file that holds one JSON object.
///
/// # Errors
/// [`ConfigError`]; it never quotes the text.
pub fn read_json_object(path: &Path) -> Result<Json, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| ConfigError::Unreadable { path: path.to_owned(), reason: e.to_string() })?;
    object(&path.display().to_string(), text)
}

fn object(place: &str, text: String) -> Result<Json, ConfigError> {
    let malformed = |reason: String| ConfigError::Malformed { place: place.to_owned(), reason };
    Json::object(text.trim()).map_err(|e| malformed(e.to_string()))
}

/// The digest of a configuration, to tell whether it is still the same.
#[must_use]
pub fn config_digest(config: &Json) -> String {
    // Member order and spacing do not matter: `Value` sorts its members.
    let text = config.to_value().map_or_else(|_| config.get().to_owned(), |v| v.to_string());
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The configuration with some top-level members replaced.
#[must_use]
pub fn merge_members(config: &Json, members: &Json) -> Json {
    match (config.to_value(), members.to_value()) {
        (Ok(Value::Object(mut all)), Ok(Value::Object(changed))) => {
            all.extend(changed);
            Json::from_value(&Value::Object(all))
        }
        _ => config.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.json");
        std::fs::write(&file, "{\"a\": 1}\n").unwrap();
        let read = read_config(file.to_str().unwrap()).unwrap();
        assert!(read.same(&read_config("  {\"a\":1}").unwrap()));
        assert_eq!(config_digest(&read), config_digest(&read_config("{\"a\":1}").unwrap()));
        std::fs::write(&file, "{\"password\": hunter2}").unwrap();
        let error = read_config(file.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("line 1 column") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn members_are_replaced_at_the_top() {
        let base = Json::parse(r#"{"a":{"x":1},"b":1}"#).unwrap();
        let merged = merge_members(&base, &Json::parse(r#"{"a":{"y":2}}"#).unwrap());
        assert!(merged.same(&Json::parse(r#"{"a":{"y":2},"b":1}"#).unwrap()));
    }
}
