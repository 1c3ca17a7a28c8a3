//! The rows of a Parquet file as JSON, for comparing: its types become those of JSON, and times texts.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::compare::Row;

/// Levels of nested values.
const DEPTH: usize = 64;

pub(super) fn rows(path: &Path) -> Result<Vec<Row>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let reader = SerializedFileReader::new(file).map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None).map_err(|e| e.to_string())? {
        let row = row.map_err(|e| e.to_string())?;
        let members = row.get_column_iter().map(|(name, field)| {
            let value = match field {
                // Numbers as they are written: JSON's own have 64 bits.
                Field::Decimal(decimal) => decimal_text(decimal.data(), decimal.scale()),
                field => raw(&value(field, 0)),
            };
            (name.clone(), value)
        });
        rows.push(members.collect());
    }
    Ok(rows)
}

/// A value of a row, as JSON.
fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A decimal of up to 128 bits as a JSON number.
fn decimal_text(bytes: &[u8], scale: i32) -> Box<RawValue> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let start: i128 = if negative { -1 } else { 0 };
    let whole = bytes.iter().fold(start, |number, byte| (number << 8) | i128::from(*byte));
    let text = format!("{whole}e{}", -i64::from(scale));
    RawValue::from_string(text).unwrap_or_else(|_| raw(&Value::Null))
}

fn time(micros: i64) -> Value {
    crate::cache::timestamp_text(micros).into()
}

fn value(field: &Field, depth: usize) -> Value {
    if depth > DEPTH {
        return Value::Null;
    }
    let inner = |field: &Field| value(field, depth + 1);
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Byte(value) => json!(value),
        Field::Short(value) => json!(value),
        Field::Int(value) => json!(value),
        Field::Long(value) => json!(value),
        Field::UByte(value) => json!(value),
        Field::UShort(value) => json!(value),
        Field::UInt(value) => json!(value),
        Field::ULong(value) => json!(value),
        Field::Float(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::Str(value) => json!(value),
        Field::Bytes(value) => String::from_utf8_lossy(value.data()).into(),
        // Days since the epoch.
        Field::Date(days) => {
            let text = crate::cache::timestamp_text(i64::from(*days) * 86_400_000_000);
            text.get(..10).unwrap_or(&text).into()
        }
        Field::TimestampMillis(millis) => time(millis.saturating_mul(1000)),
        Field::TimestampMicros(micros) => time(*micros),
        Field::TimeMillis(millis) => day_time(i64::from(*millis) * 1000),
        Field::TimeMicros(micros) => day_time(*micros),
        Field::ListInternal(list) => list.elements().iter().map(inner).collect(),
        Field::Group(row) => {
            let members = row.get_column_iter().map(|(name, field)| (name.clone(), inner(field)));
            Value::Object(members.collect())
        }
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, value)| {
                let key = match inner(key) {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                (key, inner(value))
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        // Half floats, and decimals inside of others.
        other => other.to_string().into(),
    }
}

/// A time of day.
fn day_time(micros: i64) -> Value {
    let text = crate::cache::timestamp_text(micros);
    text.get(11..).map_or(Value::Null, |time| time.trim_end_matches('Z').into())
}
