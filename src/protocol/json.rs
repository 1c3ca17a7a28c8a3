//! JSON kept as the text it came in, so that what is passed on equals what was received: integers
//! beyond 2^53, decimals of any length, unknown members, escapes.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Why a text is not the JSON that was asked for. Never holds a value, only its kind and place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JsonError {
    /// Not JSON at all.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// JSON, but not an object.
    #[error("expected a JSON object, found {0}")]
    NotAnObject(&'static str),
}

/// A JSON text, checked once and never rewritten.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Checks that `text` is one JSON value.
    ///
    /// # Errors
    /// [`JsonError::Syntax`] with the line and column.
    pub fn parse(text: impl Into<String>) -> Result<Self, JsonError> {
        RawValue::from_string(text.into()).map(Self).map_err(|e| JsonError::Syntax(syntax(&e)))
    }

    /// Checks that `text` is one JSON object.
    ///
    /// # Errors
    /// [`JsonError`], also for JSON of another kind.
    pub fn object(text: impl Into<String>) -> Result<Self, JsonError> {
        let json = Self::parse(text)?;
        if json.is_object() { Ok(json) } else { Err(JsonError::NotAnObject(kind_of(json.get()))) }
    }

    /// The empty object.
    #[must_use]
    pub fn empty_object() -> Self {
        Self::from_value(&serde_json::Value::Object(serde_json::Map::new()))
    }

    /// The text of a value.
    #[must_use]
    pub fn from_value(value: &serde_json::Value) -> Self {
        // A `Value` has string keys only, so it always has a text.
        Self(serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Whether the text is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        kind_of(self.get()) == "an object"
    }

    /// The parsed value. Numbers beyond 64 bits lose digits here: for reading settings, not rows.
    ///
    /// # Errors
    /// When it is nested deeper than 128 levels.
    pub fn to_value(&self) -> Result<serde_json::Value, JsonError> {
        serde_json::from_str(self.get()).map_err(|e| JsonError::Syntax(syntax(&e)))
    }

    /// Whether both texts say the same: equal as text, or equal as values.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        same_text(self.get(), other.get())
    }
}

impl From<&RawValue> for Json {
    fn from(raw: &RawValue) -> Self {
        Self(raw.to_owned())
    }
}

impl fmt::Debug for Json {
    // A configuration or a state may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.get().len())
    }
}

/// Whether two JSON texts say the same.
pub(super) fn same_text(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let parse = serde_json::from_str::<serde_json::Value>;
    match (parse(a), parse(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// What kind of value a JSON text holds, in words for an error: `a string`, `an object`.
#[must_use]
pub fn kind_of(text: &str) -> &'static str {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "nothing",
    }
}

/// serde_json's message without the parts that may quote a value.
pub(super) fn syntax(error: &serde_json::Error) -> String {
    let place = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Eof => format!("it ends too early, at {place}"),
        serde_json::error::Category::Syntax => format!("syntax error at {place}"),
        serde_json::error::Category::Data => format!("wrong kind of value at {place}"),
        serde_json::error::Category::Io => format!("unreadable at {place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_unchanged() {
        let text = r#"{"n":123456789012345678901234567890.000000000000000001,"s":"\ud800"}"#;
        assert_eq!(Json::object(text).unwrap().get(), text);
    }

    #[test]
    fn errors_name_the_kind_not_the_value() {
        let error = Json::object(r#""hunter2""#).unwrap_err();
        assert_eq!(error.to_string(), "expected a JSON object, found a string");
        let error = Json::parse("{\"password\": hunter2}").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn same_ignores_spacing_and_escapes() {
        let a = Json::parse(r#"{"a": 1, "b": "é"}"#).unwrap();
        let b = Json::parse(r#"{"b":"\u00e9","a":1}"#).unwrap();
        assert!(a.same(&b));
        assert!(!a.same(&Json::parse(r#"{"a":1}"#).unwrap()));
    }
}
