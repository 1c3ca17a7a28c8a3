//! The configuration: its schema, and reading it without telling its values.

mod error;
mod value;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Failure;

/// The draft-07 schema of a configuration, without references between its parts: Airbyte's forms do
/// not follow them.
pub(crate) fn schema<T: JsonSchema>() -> String {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    Value::from(schema).to_string()
}

/// Reads a configuration.
///
/// The failure names the field and the kind of its value, never the value: it may be a secret.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    parse_as(text, "the configuration")
}

/// Reads a JSON text; `what` is its name in a failure.
pub(crate) fn parse_as<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, Failure> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::config(format!("{what} is not JSON: line {line}, column {column}"))
    })?;
    T::deserialize(value::Read(value)).map_err(|error| {
        let place = error.path();
        Failure::config(match place.as_str() {
            "" => format!("{what} {}", error.reason),
            place => format!("{what}: `{place}` {}", error.reason),
        })
    })
}

/// Replaces top-level members of the stored configuration by those of `members`, which serializes to
/// a JSON object: for refresh tokens that work once. It is durable when this returns.
///
/// ```
/// use lockgate_sdk::{Failure, update_config};
///
/// fn keep(token: &str) -> Result<(), Failure> {
///     update_config(&serde_json::json!({ "refresh_token": token }))
/// }
/// # let _ = keep;
/// ```
///
/// # Errors
/// The old configuration is still the stored one.
pub fn update_config<T: Serialize + ?Sized>(members: &T) -> Result<(), Failure> {
    let text = serde_json::to_string(members)
        .map_err(|error| Failure::system("the new configuration is not JSON").with_detail(error))?;
    if !text.starts_with('{') {
        return Err(Failure::system("the new configuration is not a JSON object"));
    }
    crate::local::update_config(&text)
}
