//! What was changed in a row on its way, as Airbyte's `meta` has it.

use serde::Deserialize;
use serde_json::value::RawValue;

/// It is not Airbyte's `meta` of a row: a JSON object with `changes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMeta;

/// What was done to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A part of it was left out.
    Truncated,
    /// It was left out.
    Nulled,
}

/// The changes of one row, as JSON texts.
#[derive(Debug, Default)]
pub struct Changes {
    all: Vec<String>,
}

impl Changes {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.all.clear();
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Each as a JSON object.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|change| &**change)
    }

    /// Keeps those that the source says it made, where `keep` takes them.
    ///
    /// # Errors
    /// It is not Airbyte's `meta`.
    pub fn take_over(&mut self, meta: &str, keep: impl Fn(&str) -> bool) -> Result<(), NoMeta> {
        #[derive(Deserialize)]
        struct Meta<'a> {
            #[serde(borrow, default)]
            changes: Option<Vec<&'a RawValue>>,
        }
        let meta: Meta<'_> = serde_json::from_str(meta).map_err(|_| NoMeta)?;
        let changes = meta.changes.into_iter().flatten().map(RawValue::get);
        self.all.extend(changes.filter(|change| keep(change)).map(str::to_owned));
        Ok(())
    }

    /// Notes a change of a destination's.
    pub fn add(&mut self, field: &str, change: Change) {
        let field = serde_json::Value::from(field);
        let change = match change {
            Change::Truncated => "TRUNCATED",
            Change::Nulled => "NULLED",
        };
        self.all.push(format!(
            r#"{{"field":{field},"change":"{change}","reason":"DESTINATION_SERIALIZATION_ERROR"}}"#
        ));
    }
}
