//! Values of CSV: what they may be taken for, and how they are written as JSON. Numbers keep their
//! digits.

use json_rows::escape::push_string;
use json_rows::{ColumnType, time};

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It was written.
    Whole,
    /// It is not of the type, and nothing was written.
    Other,
    /// It is no UTF-8.
    NoText,
}

/// Writes a value of a column as JSON.
#[inline]
pub(super) fn push(kind: ColumnType, value: &[u8], out: &mut Vec<u8>) -> Fit {
    let written = match kind {
        ColumnType::Integer => push_integer(value, out),
        ColumnType::Number => push_number(value, out),
        ColumnType::Boolean => push_boolean(value, out),
        ColumnType::Date => push_date(value, out),
        ColumnType::Timestamp => push_timestamp(value, false, out),
        ColumnType::TimestampWithTimezone => push_timestamp(value, true, out),
        ColumnType::String | ColumnType::Time | ColumnType::TimeWithTimezone | ColumnType::Json => {
            return if push_string(value, out) { Fit::Whole } else { Fit::NoText };
        }
    };
    if written { Fit::Whole } else { Fit::Other }
}

/// A number as CSV writes it: a sign, digits with a point among them or at either end, an exponent.
struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    /// Behind the point; none where there is no point.
    fraction: Option<&'a [u8]>,
    /// From the `e` on.
    exponent: &'a [u8],
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn number(text: &[u8]) -> Option<Number<'_>> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (whole, rest) = digits(text);
    let (fraction, exponent) = match rest {
        [b'.', rest @ ..] => {
            let (fraction, rest) = digits(rest);
            (Some(fraction), rest)
        }
        rest => (None, rest),
    };
    if whole.is_empty() && fraction.is_none_or(<[u8]>::is_empty) {
        return None;
    }
    let ends = match exponent {
        [] => true,
        [b'e' | b'E', b'+' | b'-', power @ ..] | [b'e' | b'E', power @ ..] => {
            !power.is_empty() && power.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    ends.then_some(Number { negative, whole, fraction, exponent })
}

fn without_zeros(whole: &[u8]) -> &[u8] {
    let zeros = whole.iter().take_while(|digit| **digit == b'0').count();
    match whole.get(zeros..) {
        Some(rest) if !rest.is_empty() => rest,
        _ => b"0",
    }
}

fn push_integer(value: &[u8], out: &mut Vec<u8>) -> bool {
    // Nearly all are plain.
    if let [b'1'..=b'9', rest @ ..] = value
        && rest.iter().all(u8::is_ascii_digit)
    {
        out.extend_from_slice(value);
        return true;
    }
    match number(value) {
        Some(Number { negative, whole, fraction: None, exponent: [] }) => {
            let whole = without_zeros(whole);
            if negative && whole != b"0" {
                out.push(b'-');
            }
            out.extend_from_slice(whole);
            true
        }
        _ => false,
    }
}

fn push_number(value: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(number) = number(value) else { return false };
    if number.negative {
        out.push(b'-');
    }
    out.extend_from_slice(without_zeros(number.whole));
    if let Some(fraction) = number.fraction
        && !fraction.is_empty()
    {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    out.extend_from_slice(number.exponent);
    true
}

fn push_boolean(value: &[u8], out: &mut Vec<u8>) -> bool {
    let text: &[u8] = if value.eq_ignore_ascii_case(b"true") {
        b"true"
    } else if value.eq_ignore_ascii_case(b"false") {
        b"false"
    } else {
        return false;
    };
    out.extend_from_slice(text);
    true
}

fn push_date(value: &[u8], out: &mut Vec<u8>) -> bool {
    if !matches!(time::read(value), Some((_, None))) {
        return false;
    }
    out.push(b'"');
    out.extend_from_slice(value);
    out.push(b'"');
    true
}

/// As RFC 3339 has it: with a `T`, seconds and, in a moment, `Z` or the distance from UTC.
fn push_timestamp(value: &[u8], zoned: bool, out: &mut Vec<u8>) -> bool {
    let Some((_, clock)) = time::read(value) else { return false };
    let (value, era) = match value.strip_suffix(b" BC") {
        Some(rest) => (rest, &b" BC"[..]),
        None => (value, &b""[..]),
    };
    // A year may have a sign.
    let end =
        value.iter().position(|byte| matches!(byte, b'T' | b't' | b' ')).unwrap_or(value.len());
    let (date, rest) = value.split_at(end);
    let zone = match clock {
        None if zoned => return false,
        None => None,
        Some((_, zone)) if zone.is_some() == zoned => zone,
        Some(_) => return false,
    };
    out.push(b'"');
    out.extend_from_slice(date);
    out.push(b'T');
    let clock = rest.get(1..).unwrap_or_default();
    let length = clock
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b':' | b'.' | b','))
        .unwrap_or(clock.len());
    let clock = clock.get(..length).unwrap_or_default();
    match clock {
        [] => out.extend_from_slice(b"00:00:00"),
        [_, _, b':', _, _] => {
            out.extend_from_slice(clock);
            out.extend_from_slice(b":00");
        }
        _ => out.extend(clock.iter().map(|byte| if *byte == b',' { b'.' } else { *byte })),
    }
    if let Some(zone) = zone {
        if zone.is_utc() {
            out.push(b'Z');
        } else {
            let two = |value: u8| [b'0' + value / 10, b'0' + value % 10];
            out.push(if zone.negative { b'-' } else { b'+' });
            out.extend_from_slice(&two(zone.hours));
            out.push(b':');
            out.extend_from_slice(&two(zone.minutes));
        }
    }
    out.extend_from_slice(era);
    out.push(b'"');
    true
}

/// What a value may be taken for; none where it says nothing.
pub(super) fn guess(value: &[u8]) -> ColumnType {
    if let Some(parts) = number(value) {
        // 007 is a name and no number; so may 12e5 be, which no program writes without a sign or point.
        let named = matches!(parts.whole, [b'0', _, ..])
            || value.first() == Some(&b'+')
            || parts.whole.is_empty()
            || (parts.fraction.is_none() && matches!(parts.exponent, [_, b'0'..=b'9', ..]));
        return match (named, parts.fraction, parts.exponent) {
            (true, ..) => ColumnType::String,
            (false, None, []) if fits(value) => ColumnType::Integer,
            _ => ColumnType::Number,
        };
    }
    if value.eq_ignore_ascii_case(b"true") || value.eq_ignore_ascii_case(b"false") {
        return ColumnType::Boolean;
    }
    match time::read(value) {
        Some((_, None)) => ColumnType::Date,
        Some((_, Some((_, None)))) => ColumnType::Timestamp,
        Some((_, Some((_, Some(_))))) => ColumnType::TimestampWithTimezone,
        None => ColumnType::String,
    }
}

/// Is it a whole number of 64 bits?
fn fits(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|text| text.parse::<i64>().is_ok())
}

/// What the values of two kinds have in common.
pub(crate) fn common(a: ColumnType, b: ColumnType) -> ColumnType {
    use ColumnType::{Date, Integer, Number, String, Timestamp};
    match (a, b) {
        (a, b) if a == b => a,
        (Integer, Number) | (Number, Integer) => Number,
        (Date, Timestamp) | (Timestamp, Date) => Timestamp,
        _ => String,
    }
}

/// What a value is, for messages that do not show it.
pub(super) fn describe(value: &[u8]) -> String {
    let what = match guess(value) {
        ColumnType::Integer => "a whole number",
        ColumnType::Number => "a number",
        ColumnType::Boolean => "a boolean",
        ColumnType::Date => "a date",
        ColumnType::Timestamp => "a timestamp without a time zone",
        ColumnType::TimestampWithTimezone => "a timestamp with a time zone",
        _ => return format!("a text of {} bytes", value.len()),
    };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(kind: ColumnType, value: &str) -> Option<String> {
        let mut out = Vec::new();
        match push(kind, value.as_bytes(), &mut out) {
            Fit::Whole => Some(String::from_utf8(out).expect("a text")),
            _ => {
                assert_eq!(out, b"");
                None
            }
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        use ColumnType::{Integer, Number};
        for (kind, value, json) in [
            (Integer, "9007199254740993", Some("9007199254740993")),
            (Integer, "123456789012345678901234567890", Some("123456789012345678901234567890")),
            (Integer, "-007", Some("-7")),
            (Integer, "-0", Some("0")),
            (Integer, "+5", Some("5")),
            (Integer, "0", Some("0")),
            (Integer, "1.0", None),
            (Integer, "1e3", None),
            (Integer, " 1", None),
            (Integer, "", None),
            (Integer, "-", None),
            (Number, "0.10000000000000000000000001", Some("0.10000000000000000000000001")),
            (Number, ".5", Some("0.5")),
            (Number, "-.5", Some("-0.5")),
            (Number, "5.", Some("5")),
            (Number, "1.50", Some("1.50")),
            (Number, "1E+400", Some("1E+400")),
            (Number, "007.5", Some("7.5")),
            (Number, ".", None),
            (Number, "1e", None),
            (Number, "NaN", None),
            (Number, "1,5", None),
            (Number, "0x1", None),
        ] {
            assert_eq!(written(kind, value).as_deref(), json, "{value}");
        }
    }

    #[test]
    fn times_are_written_as_json_has_them() {
        use ColumnType::{Boolean, Date, Timestamp, TimestampWithTimezone};
        for (kind, value, json) in [
            (Boolean, "TRUE", Some("true")),
            (Boolean, "false", Some("false")),
            (Boolean, "yes", None),
            (Date, "2024-02-29", Some(r#""2024-02-29""#)),
            (Date, "2023-02-29", None),
            (Date, "2024-01-02T00:00:00", None),
            (Timestamp, "2024-01-02 03:04", Some(r#""2024-01-02T03:04:00""#)),
            (Timestamp, "2024-01-02t03:04:05,678", Some(r#""2024-01-02T03:04:05.678""#)),
            (Timestamp, "2024-01-02", Some(r#""2024-01-02T00:00:00""#)),
            (Timestamp, "0044-03-15 01:02:03 BC", Some(r#""0044-03-15T01:02:03 BC""#)),
            (Timestamp, "2024-01-02T03:04:05Z", None),
            (
                TimestampWithTimezone,
                "2024-01-02 03:04:05+02",
                Some(r#""2024-01-02T03:04:05+02:00""#),
            ),
            (TimestampWithTimezone, "2024-01-02 03:04:05 UTC", Some(r#""2024-01-02T03:04:05Z""#)),
            (
                TimestampWithTimezone,
                "2024-01-02T03:04:05-0530",
                Some(r#""2024-01-02T03:04:05-05:30""#),
            ),
            (TimestampWithTimezone, "2024-01-02T03:04:05", None),
        ] {
            assert_eq!(written(kind, value).as_deref(), json, "{value}");
        }
    }

    #[test]
    fn values_are_taken_for_what_they_are() {
        use ColumnType::*;
        for (value, kind) in [
            ("0", Integer),
            ("-12", Integer),
            ("9223372036854775807", Integer),
            ("9223372036854775808", Number),
            ("1.5", Number),
            ("1e-05", Number),
            ("12e5", String),
            ("007", String),
            ("+49301234", String),
            (".5", String),
            ("True", Boolean),
            ("2024-01-02", Date),
            ("2024-01-02 03:04:05", Timestamp),
            ("2024-01-02T03:04:05Z", TimestampWithTimezone),
            ("2024-13-02", String),
            ("N/A", String),
        ] {
            assert_eq!(guess(value.as_bytes()), kind, "{value}");
        }
    }

    proptest! {
        /// A value can be written as what it is taken for, and is JSON then.
        #[test]
        fn what_is_guessed_can_be_written(
            value in "[-+]?[0-9]{0,3}[.]?[0-9]{0,2}(e[-+]?[0-9]{0,2})?|[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9](:[0-5][0-9])?(Z|[+]0[0-9])?)?|.{0,6}"
        ) {
            let json = written(guess(value.as_bytes()), &value);
            prop_assert!(json.is_some());
            let json = json.expect("it was written");
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
        }

        #[test]
        fn no_type_makes_what_is_not_json(value in "[-+0-9.eET:Z ]{0,12}|.{0,8}") {
            for kind in [
                ColumnType::Integer, ColumnType::Number, ColumnType::Boolean, ColumnType::Date,
                ColumnType::Timestamp, ColumnType::TimestampWithTimezone, ColumnType::String,
            ] {
                if let Some(json) = written(kind, &value) {
                    let read: Result<Box<serde_json::value::RawValue>, _> = serde_json::from_str(&json);
                    prop_assert!(read.is_ok(), "{} as {:?}: {}", value, kind, json);
                }
            }
        }
    }
}
