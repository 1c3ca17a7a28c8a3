//! What can be said of one stream of a connection.

use serde::{Deserialize, Serialize};

use super::Strategy;

/// What the operator says of one stream; what is not said is the connection's, or the source's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamOptions {
    /// How it is written.
    pub strategy: Option<Strategy>,
    /// The path of its cursor into a row: one step for a column, more for a member of an object.
    pub cursor_field: Option<Vec<String>>,
    /// Its key: a path for each column of it.
    pub primary_key: Option<Vec<Vec<String>>>,
}

/// A table of `[connections.NAME.stream-options."STREAM"]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawStreamOptions {
    strategy: Option<Strategy>,
    #[serde(alias = "cursor_field")]
    cursor_field: Option<RawPath>,
    #[serde(alias = "primary_key")]
    primary_key: Option<RawKey>,
}

/// A column, or the steps to a member of an object.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a path is neither a text nor an array of texts")]
enum RawPath {
    One(String),
    Steps(Vec<String>),
}

impl RawPath {
    fn path(self) -> Vec<String> {
        match self {
            Self::One(column) => vec![column],
            Self::Steps(steps) => steps,
        }
    }
}

/// A column, or several, each of which may be a path: `"id"`, `["id", "day"]`, `[["user", "id"]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a key is neither a text nor an array of texts or paths")]
enum RawKey {
    One(String),
    Columns(Vec<RawPath>),
}

impl RawStreamOptions {
    /// The options, or what is wrong with them.
    pub(super) fn options(self) -> Result<StreamOptions, &'static str> {
        let options = StreamOptions {
            strategy: self.strategy,
            cursor_field: self.cursor_field.map(RawPath::path),
            primary_key: self.primary_key.map(|key| match key {
                RawKey::One(column) => vec![vec![column]],
                RawKey::Columns(columns) => columns.into_iter().map(RawPath::path).collect(),
            }),
        };
        if options.cursor_field.as_ref().is_some_and(Vec::is_empty) {
            return Err("cursor-field has no step; leave it out for the source's own");
        }
        if let Some(key) = &options.primary_key
            && (key.is_empty() || key.iter().any(Vec::is_empty))
        {
            return Err("primary-key has an empty path; leave it out for the source's own");
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<Option<Vec<Vec<String>>>, String> {
        let raw: RawStreamOptions =
            toml::from_str(&format!("primary-key = {text}")).map_err(|e| e.to_string())?;
        Ok(raw.options()?.primary_key)
    }

    #[test]
    fn keys_are_columns_or_paths() {
        let path = |steps: &[&str]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(key(r#""id""#), Ok(Some(vec![path(&["id"])])));
        // A composite key, and not a path of two steps.
        assert_eq!(key(r#"["id", "day"]"#), Ok(Some(vec![path(&["id"]), path(&["day"])])));
        let nested = Ok(Some(vec![path(&["user", "id"]), path(&["day"])]));
        assert_eq!(key(r#"[["user", "id"], "day"]"#), nested);
        for bad in ["[]", "[[]]", "5", "[5]"] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cursor_is_one_path() {
        let cursor = |text: &str| {
            let raw: RawStreamOptions = toml::from_str(text).unwrap();
            raw.options().map(|options| options.cursor_field.unwrap())
        };
        assert_eq!(cursor("cursor-field = \"at\"").unwrap(), ["at"]);
        assert_eq!(cursor("cursor-field = [\"meta\", \"at\"]").unwrap(), ["meta", "at"]);
        assert!(cursor("cursor-field = []").is_err());
    }
}
