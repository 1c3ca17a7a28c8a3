//! JSON schemas of Parquet's types.

use arrow_schema::{DataType, Field};
use json_rows::ColumnType;
use parquet::basic::LogicalType;
use parquet::schema::types::SchemaDescriptor;
use serde_json::{Map, Value, json};

use crate::schema::schema_of;

/// Which of the columns are UUIDs: what is read as bytes does not say.
pub(super) fn uuids(schema: &SchemaDescriptor) -> Vec<bool> {
    let uuid = |field: &std::sync::Arc<parquet::schema::types::Type>| {
        matches!(field.get_basic_info().logical_type_ref(), Some(LogicalType::Uuid))
    };
    schema.root_schema().get_fields().iter().map(uuid).collect()
}

/// The schema of a column's values; none where they are not read.
pub(super) fn of_field(field: &Field, uuid: bool) -> Option<Value> {
    if uuid {
        return Some(schema_of(ColumnType::String));
    }
    of_type(field.data_type())
}

fn of_type(kind: &DataType) -> Option<Value> {
    Some(match kind {
        DataType::Null => json!({ "type": ["null", "string"] }),
        DataType::Boolean => schema_of(ColumnType::Boolean),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => schema_of(ColumnType::Integer),
        DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => schema_of(ColumnType::Number),
        DataType::Utf8 => schema_of(ColumnType::String),
        DataType::Binary | DataType::FixedSizeBinary(_) => {
            json!({ "type": ["null", "string"], "contentEncoding": "base64" })
        }
        DataType::Date32 => schema_of(ColumnType::Date),
        DataType::Time32(_) | DataType::Time64(_) => schema_of(ColumnType::Time),
        DataType::Timestamp(_, None) => schema_of(ColumnType::Timestamp),
        DataType::Timestamp(_, Some(_)) => schema_of(ColumnType::TimestampWithTimezone),
        DataType::List(item) => {
            json!({ "type": ["null", "array"], "items": of_type(item.data_type())? })
        }
        DataType::Struct(fields) => {
            let mut properties = Map::new();
            for field in fields {
                properties.insert(field.name().clone(), of_type(field.data_type())?);
            }
            json!({ "type": ["null", "object"], "properties": properties })
        }
        // With names for keys an object, else a list of pairs.
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else { return None };
            let [key, value] = &pair[..] else { return None };
            let (key, value) = (key.data_type(), of_type(value.data_type())?);
            if *key == DataType::Utf8 {
                json!({ "type": ["null", "object"], "additionalProperties": value })
            } else {
                json!({ "type": ["null", "array"], "items": {
                    "type": "object", "properties": { "key": of_type(key)?, "value": value },
                } })
            }
        }
        _ => return None,
    })
}
