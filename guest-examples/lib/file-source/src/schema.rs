//! From columns to a stream's JSON Schema: [`json_rows::of_schema`] reads it.

use json_rows::ColumnType;
use serde_json::{Value, json};

/// The schema of a column.
pub(crate) fn schema_of(kind: ColumnType) -> Value {
    let text = |format: &str, airbyte: &str| json!({ "type": ["null", "string"], "format": format, "airbyte_type": airbyte });
    match kind {
        ColumnType::String => json!({ "type": ["null", "string"] }),
        ColumnType::Boolean => json!({ "type": ["null", "boolean"] }),
        ColumnType::Integer => json!({ "type": ["null", "integer"] }),
        ColumnType::Number => json!({ "type": ["null", "number"] }),
        ColumnType::Date => json!({ "type": ["null", "string"], "format": "date" }),
        ColumnType::Timestamp => text("date-time", "timestamp_without_timezone"),
        ColumnType::TimestampWithTimezone => text("date-time", "timestamp_with_timezone"),
        ColumnType::Time => text("time", "time_without_timezone"),
        ColumnType::TimeWithTimezone => text("time", "time_with_timezone"),
        ColumnType::Json => json!({}),
    }
}
