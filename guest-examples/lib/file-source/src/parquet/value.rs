//! Values of Parquet as JSON, from the arrays that they were decoded to. Integers and decimals keep all
//! their digits.

use std::io::Write as _;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray, MapArray, PrimitiveArray,
    StringArray, StructArray,
};
use arrow_schema::{DataType, TimeUnit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_rows::escape::push_string;
use json_rows::time::civil;

use crate::shape::push_number;

/// The values of a column, or of a part of it.
pub(super) struct Values<'a> {
    array: &'a dyn Array,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Null,
    Boolean(&'a BooleanArray),
    I8(&'a PrimitiveArray<Int8Type>),
    I16(&'a PrimitiveArray<Int16Type>),
    I32(&'a PrimitiveArray<Int32Type>),
    I64(&'a PrimitiveArray<Int64Type>),
    U8(&'a PrimitiveArray<UInt8Type>),
    U16(&'a PrimitiveArray<UInt16Type>),
    U32(&'a PrimitiveArray<UInt32Type>),
    U64(&'a PrimitiveArray<UInt64Type>),
    F16(&'a PrimitiveArray<Float16Type>),
    F32(&'a PrimitiveArray<Float32Type>),
    F64(&'a PrimitiveArray<Float64Type>),
    Decimal128(&'a PrimitiveArray<Decimal128Type>, i8),
    Decimal256(&'a PrimitiveArray<Decimal256Type>, i8),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Fixed(&'a FixedSizeBinaryArray),
    Uuid(&'a FixedSizeBinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    TimeMillis(&'a PrimitiveArray<Time32MillisecondType>),
    TimeMicros(&'a PrimitiveArray<Time64MicrosecondType>),
    TimeNanos(&'a PrimitiveArray<Time64NanosecondType>),
    Millis(&'a PrimitiveArray<TimestampMillisecondType>, bool),
    Micros(&'a PrimitiveArray<TimestampMicrosecondType>, bool),
    Nanos(&'a PrimitiveArray<TimestampNanosecondType>, bool),
    List(&'a ListArray, Box<Values<'a>>),
    Struct(Vec<(Vec<u8>, Values<'a>)>),
    Object(&'a MapArray, &'a StringArray, Box<Values<'a>>),
    Pairs(&'a MapArray, Box<Values<'a>>, Box<Values<'a>>),
}

impl<'a> Values<'a> {
    /// The values of an array; none where its type is not read.
    pub(super) fn new(array: &'a dyn Array, uuid: bool) -> Option<Self> {
        let kind = match array.data_type() {
            DataType::Null => Kind::Null,
            DataType::Boolean => Kind::Boolean(array.as_boolean_opt()?),
            DataType::Int8 => Kind::I8(array.as_primitive_opt()?),
            DataType::Int16 => Kind::I16(array.as_primitive_opt()?),
            DataType::Int32 => Kind::I32(array.as_primitive_opt()?),
            DataType::Int64 => Kind::I64(array.as_primitive_opt()?),
            DataType::UInt8 => Kind::U8(array.as_primitive_opt()?),
            DataType::UInt16 => Kind::U16(array.as_primitive_opt()?),
            DataType::UInt32 => Kind::U32(array.as_primitive_opt()?),
            DataType::UInt64 => Kind::U64(array.as_primitive_opt()?),
            DataType::Float16 => Kind::F16(array.as_primitive_opt()?),
            DataType::Float32 => Kind::F32(array.as_primitive_opt()?),
            DataType::Float64 => Kind::F64(array.as_primitive_opt()?),
            DataType::Decimal128(_, scale) => Kind::Decimal128(array.as_primitive_opt()?, *scale),
            DataType::Decimal256(_, scale) => Kind::Decimal256(array.as_primitive_opt()?, *scale),
            DataType::Utf8 => Kind::Text(array.as_string_opt()?),
            DataType::Binary => Kind::Bytes(array.as_binary_opt()?),
            DataType::FixedSizeBinary(_) if uuid => Kind::Uuid(array.as_fixed_size_binary_opt()?),
            DataType::FixedSizeBinary(_) => Kind::Fixed(array.as_fixed_size_binary_opt()?),
            DataType::Date32 => Kind::Date(array.as_primitive_opt()?),
            DataType::Time32(TimeUnit::Millisecond) => Kind::TimeMillis(array.as_primitive_opt()?),
            DataType::Time64(TimeUnit::Microsecond) => Kind::TimeMicros(array.as_primitive_opt()?),
            DataType::Time64(TimeUnit::Nanosecond) => Kind::TimeNanos(array.as_primitive_opt()?),
            DataType::Timestamp(unit, zone) => {
                let zoned = zone.is_some();
                match unit {
                    TimeUnit::Millisecond => Kind::Millis(array.as_primitive_opt()?, zoned),
                    TimeUnit::Microsecond => Kind::Micros(array.as_primitive_opt()?, zoned),
                    TimeUnit::Nanosecond => Kind::Nanos(array.as_primitive_opt()?, zoned),
                    TimeUnit::Second => return None,
                }
            }
            DataType::List(_) => {
                let list: &ListArray = array.as_list_opt()?;
                Kind::List(list, Box::new(Self::new(list.values().as_ref(), false)?))
            }
            DataType::Struct(_) => Kind::Struct(members(array.as_struct_opt()?)?),
            DataType::Map(..) => {
                let map = array.as_map_opt()?;
                let values = Box::new(Self::new(map.values().as_ref(), false)?);
                match map.keys().as_string_opt() {
                    Some(keys) => Kind::Object(map, keys, values),
                    None => {
                        Kind::Pairs(map, Box::new(Self::new(map.keys().as_ref(), false)?), values)
                    }
                }
            }
            _ => return None,
        };
        Some(Self { array, kind })
    }

    /// Has a value others in it?
    pub(super) fn is_nested(&self) -> bool {
        matches!(self.kind, Kind::List(..) | Kind::Struct(_) | Kind::Object(..) | Kind::Pairs(..))
    }

    /// Writes a value. False: JSON has no such value, and it is null now.
    #[inline]
    pub(super) fn push(&self, row: usize, out: &mut Vec<u8>) -> bool {
        if self.array.is_null(row) {
            out.extend_from_slice(b"null");
            return true;
        }
        match &self.kind {
            Kind::Null => out.extend_from_slice(b"null"),
            Kind::Boolean(array) => {
                out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
            }
            Kind::I8(array) => push_number(array.value(row), out),
            Kind::I16(array) => push_number(array.value(row), out),
            Kind::I32(array) => push_number(array.value(row), out),
            Kind::I64(array) => push_number(array.value(row), out),
            Kind::U8(array) => push_number(array.value(row), out),
            Kind::U16(array) => push_number(array.value(row), out),
            Kind::U32(array) => push_number(array.value(row), out),
            Kind::U64(array) => push_number(array.value(row), out),
            Kind::F16(array) => return push_float(f64::from(array.value(row)), out),
            Kind::F32(array) => {
                let value = array.value(row);
                // By itself: as a double it would have more digits.
                push_number(value, out);
                return value.is_finite();
            }
            Kind::F64(array) => return push_float(array.value(row), out),
            Kind::Decimal128(array, scale) => {
                let value = array.value(row);
                push_decimal(value < 0, format_args!("{}", value.unsigned_abs()), *scale, out);
            }
            Kind::Decimal256(array, scale) => {
                let text = array.value(row).to_string();
                let digits = text.strip_prefix('-').unwrap_or(&text);
                push_decimal(text.starts_with('-'), format_args!("{digits}"), *scale, out);
            }
            Kind::Text(array) => {
                // The library has looked at the bytes.
                push_string(array.value(row).as_bytes(), out);
            }
            Kind::Bytes(array) => push_base64(array.value(row), out),
            Kind::Fixed(array) => push_base64(array.value(row), out),
            Kind::Uuid(array) => push_uuid(array.value(row), out),
            Kind::Date(array) => {
                out.push(b'"');
                push_date(i64::from(array.value(row)), "", out);
                out.push(b'"');
            }
            Kind::TimeMillis(array) => push_time(i64::from(array.value(row)), 1_000, 3, out),
            Kind::TimeMicros(array) => push_time(array.value(row), 1_000_000, 6, out),
            Kind::TimeNanos(array) => push_time(array.value(row), 1_000_000_000, 9, out),
            Kind::Millis(array, zoned) => push_moment(array.value(row), 1_000, 3, *zoned, out),
            Kind::Micros(array, zoned) => push_moment(array.value(row), 1_000_000, 6, *zoned, out),
            Kind::Nanos(array, zoned) => {
                push_moment(array.value(row), 1_000_000_000, 9, *zoned, out)
            }
            Kind::List(list, items) => {
                return push_all(range(list.value_offsets(), row), b'[', b']', out, |item, out| {
                    items.push(item, out)
                });
            }
            Kind::Struct(members) => {
                return push_all(0..members.len(), b'{', b'}', out, |member, out| {
                    let Some((name, values)) = members.get(member) else { return true };
                    out.extend_from_slice(name);
                    values.push(row, out)
                });
            }
            Kind::Object(map, keys, values) => {
                return push_all(range(map.value_offsets(), row), b'{', b'}', out, |entry, out| {
                    push_string(keys.value(entry).as_bytes(), out);
                    out.push(b':');
                    values.push(entry, out)
                });
            }
            Kind::Pairs(map, keys, values) => {
                return push_all(range(map.value_offsets(), row), b'[', b']', out, |entry, out| {
                    out.extend_from_slice(b"{\"key\":");
                    let whole = keys.push(entry, out);
                    out.extend_from_slice(b",\"value\":");
                    let whole = values.push(entry, out) && whole;
                    out.push(b'}');
                    whole
                });
            }
        }
        true
    }
}

/// Each member with its name as it stands before a value.
fn members(array: &StructArray) -> Option<Vec<(Vec<u8>, Values<'_>)>> {
    let columns = array.fields().iter().zip(array.columns());
    columns
        .map(|(field, column)| {
            let mut name = Vec::new();
            push_string(field.name().as_bytes(), &mut name);
            name.push(b':');
            Some((name, Values::new(column.as_ref(), false)?))
        })
        .collect()
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let place = |at: usize| offsets.get(at).and_then(|at| usize::try_from(*at).ok()).unwrap_or(0);
    place(row)..place(row + 1)
}

fn push_all(
    places: std::ops::Range<usize>,
    open: u8,
    close: u8,
    out: &mut Vec<u8>,
    mut push: impl FnMut(usize, &mut Vec<u8>) -> bool,
) -> bool {
    let mut whole = true;
    out.push(open);
    let first = places.start;
    for place in places {
        if place > first {
            out.push(b',');
        }
        whole &= push(place, out);
    }
    out.push(close);
    whole
}

fn push_float(value: f64, out: &mut Vec<u8>) -> bool {
    // What is not finite is written as null.
    push_number(value, out);
    value.is_finite()
}

/// The digits of a whole number with a point before the last `scale` of them.
fn push_decimal(negative: bool, digits: std::fmt::Arguments<'_>, scale: i8, out: &mut Vec<u8>) {
    if negative {
        out.push(b'-');
    }
    let start = out.len();
    // Writing to a vector cannot fail.
    let _ = out.write_fmt(digits);
    if scale <= 0 {
        if out.get(start) != Some(&b'0') {
            out.extend(std::iter::repeat_n(b'0', usize::from(scale.unsigned_abs())));
        }
        return;
    }
    let scale = usize::from(scale.unsigned_abs());
    let length = out.len() - start;
    if length <= scale {
        out.splice(start..start, std::iter::repeat_n(b'0', scale + 1 - length));
    }
    out.insert(out.len() - scale, b'.');
}

fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, out.get_mut(start..).unwrap_or_default());
    // It has room for exactly what is written.
    out.truncate(start + written.unwrap_or_default());
    out.push(b'"');
}

fn push_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'"');
}

/// A date, and what stands between it and the mark of a year before the first.
fn push_date(days: i64, rest: &str, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}{rest}{era}");
}

fn push_clock(value: i64, second: i64, digits: usize, out: &mut impl std::io::Write) {
    let (seconds, fraction) = (value / second, value % second);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let _ = write!(out, "{hours:02}:{minutes:02}:{:02}.{fraction:0digits$}", seconds % 60);
}

fn push_time(value: i64, second: i64, digits: usize, out: &mut Vec<u8>) {
    out.push(b'"');
    push_clock(value.rem_euclid(86_400 * second), second, digits, out);
    out.push(b'"');
}

fn push_moment(value: i64, second: i64, digits: usize, zoned: bool, out: &mut Vec<u8>) {
    let day = 86_400 * second;
    let mut buffer = [0; 32];
    let mut rest = &mut buffer[..];
    let _ = rest.write_all(b"T");
    push_clock(value.rem_euclid(day), second, digits, &mut rest);
    if zoned {
        let _ = rest.write_all(b"Z");
    }
    let left = rest.len();
    let length = buffer.len() - left;
    let clock = std::str::from_utf8(buffer.get(..length).unwrap_or_default()).unwrap_or_default();
    out.push(b'"');
    push_date(value.div_euclid(day), clock, out);
    out.push(b'"');
}
