//! A configuration against its specification: every fault at once, and no value in any of them.

use serde_json::Value;

use super::ConnectorError;
use crate::protocol::{Json, Specification};

/// Faults listed before the rest is only counted.
const LISTED: usize = 20;

/// Checks a configuration against a specification.
///
/// # Errors
/// [`ConnectorError::Invalid`] with every fault, [`ConnectorError::Schema`] when the
/// specification's schema is no schema.
pub fn validate_config(
    name: &str,
    spec: &Specification,
    config: &Json,
) -> Result<(), ConnectorError> {
    let schema_fault = |reason: String| ConnectorError::Schema { name: name.to_owned(), reason };
    let schema = spec.config_schema.to_value().map_err(|e| schema_fault(e.to_string()))?;
    let value = config.to_value().map_err(|e| ConnectorError::Invalid {
        name: name.to_owned(),
        faults: vec![e.to_string()],
    })?;
    let validator = json_schema(&schema).map_err(schema_fault)?;
    let mut faults: Vec<String> = validator.iter_errors(&value).map(|e| describe(&e)).collect();
    if faults.is_empty() {
        return Ok(());
    }
    if faults.len() > LISTED {
        let more = faults.len() - LISTED;
        faults.truncate(LISTED);
        faults.push(format!("and {more} more"));
    }
    Err(ConnectorError::Invalid { name: name.to_owned(), faults })
}

/// What validates against a schema of draft 7, or why it is none; no value is in that.
pub(crate) fn json_schema(schema: &Value) -> Result<jsonschema::Validator, String> {
    // References to other documents are not fetched: the feature is off.
    let built = jsonschema::options().with_draft(jsonschema::Draft::Draft7).build(schema);
    built.map_err(|error| error.masked().to_string())
}

fn describe(error: &jsonschema::ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let member = match path.as_str() {
        "" => "the configuration".to_owned(),
        path => path.trim_start_matches('/').replace('/', "."),
    };
    let instance = error.instance();
    let kind = match instance.as_ref() {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    // "value" stands for whatever was there.
    let what = error.masked_with("the value").to_string();
    format!("{member} ({kind}): {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(schema: &str, config: &str) -> Vec<String> {
        let spec = format!(r#"{{"connectionSpecification":{schema}}}"#);
        let spec = Specification::from_airbyte(&spec).unwrap();
        match validate_config("x", &spec, &Json::parse(config).unwrap()) {
            Ok(()) => Vec::new(),
            Err(ConnectorError::Invalid { faults, .. }) => faults,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_fault_is_named_and_no_value_shown() {
        let schema = r#"{"type":"object","required":["host","port"],"additionalProperties":false,
            "properties":{"host":{"type":"string"},"port":{"type":"integer"},
            "auth":{"type":"object","properties":{"password":{"type":"string","minLength":50,"airbyte_secret":true}}}}}"#;
        let found = faults(schema, r#"{"port":"hunter2","auth":{"password":"hunter2"}}"#);
        let all = found.join("\n");
        assert_eq!(found.len(), 3, "{all}");
        assert!(all.contains("port (a string)"), "{all}");
        assert!(all.contains("auth.password (a string)"), "{all}");
        assert!(all.contains("\"host\" is a required property"), "{all}");
        assert!(!all.contains("hunter2"), "{all}");
        assert!(faults(schema, r#"{"host":"a","port":1}"#).is_empty());
    }
}
