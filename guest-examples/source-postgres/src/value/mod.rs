//! Values: from the server's text to JSON, into the buffer that is sent.
//!
//! The attack: a server whose values end the string, the line or the row that they stand in. Numbers
//! and truths are checked letter by letter, texts are escaped, and what is JSON already loses its line
//! feeds; what does not look as the server writes it fails the read.

mod array;
mod text;
mod time;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(crate) use self::text::push_string;

/// What becomes of a type's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number without a fraction, as its digits.
    Integer,
    /// A number, as its digits.
    Numeric,
    /// The shortest number that is read back as the same.
    Float,
    /// `true` or `false`.
    Bool,
    /// The server's text.
    Text,
    /// Bytes, in base64. They are received in binary.
    Bytes,
    /// `2024-01-02`.
    Date,
    /// `03:04:05.000006`.
    Time,
    /// `03:04:05.000006+02:00`.
    TimeTz,
    /// `2024-01-02T03:04:05.000006`.
    Timestamp,
    /// `2024-01-02T03:04:05.000006Z`.
    TimestampTz,
    /// JSON as it is.
    Json,
    /// An array of such values, and what is between them.
    Array(Box<Kind>, u8),
}

impl Kind {
    /// The format that values are asked for in: text, or binary.
    pub(crate) fn format(&self) -> i16 {
        i16::from(*self == Self::Bytes)
    }

    /// Is a text of this type beyond all others, so that nothing ever comes after it?
    pub(crate) fn is_last(&self, text: &[u8]) -> bool {
        match self {
            Self::Float | Self::Numeric => matches!(text, b"NaN" | b"Infinity"),
            Self::Date | Self::Timestamp | Self::TimestampTz => text == b"infinity",
            _ => false,
        }
    }
}

/// How a value became JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// Whole.
    Whole,
    /// A part of it is not there or another.
    Changed,
    /// As null: JSON has no such value.
    Nulled,
}

/// A value that is not as the server writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Room for elements of arrays, used again for each.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Vec<u8>);

/// Appends a value as JSON. What is appended before a failure is of no use.
#[inline]
pub(crate) fn push(
    kind: &Kind,
    value: &[u8],
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
) -> Result<Fit, Malformed> {
    match kind {
        Kind::Integer => push_integer(value, out),
        Kind::Text | Kind::Date => Ok(push_string(value, out)),
        Kind::Timestamp | Kind::TimestampTz => Ok(time::push_timestamp(value, out)),
        Kind::Numeric | Kind::Float => push_number(value, out),
        Kind::Bool => push_bool(value, out),
        Kind::Time | Kind::TimeTz => Ok(time::push_time(value, out)),
        Kind::Json => push_json(value, out),
        Kind::Bytes => {
            push_base64(value, out);
            Ok(Fit::Whole)
        }
        Kind::Array(element, delimiter) => array::push(element, *delimiter, value, out, scratch),
    }
}

/// As [`push`], of a value that was received as text whatever its type.
#[inline]
pub(crate) fn push_text(
    kind: &Kind,
    value: &[u8],
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
) -> Result<Fit, Malformed> {
    match kind {
        Kind::Bytes => push_hex_as_base64(value, out),
        kind => push(kind, value, out, scratch),
    }
}

fn push_integer(value: &[u8], out: &mut Vec<u8>) -> Result<Fit, Malformed> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    out.extend_from_slice(value);
    Ok(Fit::Whole)
}

/// A number as JSON has it: `-`, digits, a fraction, an exponent.
fn push_number(value: &[u8], out: &mut Vec<u8>) -> Result<Fit, Malformed> {
    if matches!(value, b"NaN" | b"Infinity" | b"-Infinity") {
        out.extend_from_slice(b"null");
        return Ok(Fit::Nulled);
    }
    let mut rest = value.strip_prefix(b"-").unwrap_or(value);
    let mut is_number = skip_digits(&mut rest);
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = fraction;
        is_number &= skip_digits(&mut rest);
    }
    if let Some(exponent) = rest.strip_prefix(b"e") {
        rest = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        is_number &= skip_digits(&mut rest);
    }
    if !is_number || !rest.is_empty() {
        return Err(Malformed);
    }
    out.extend_from_slice(value);
    Ok(Fit::Whole)
}

/// Is there a digit at least?
fn skip_digits(rest: &mut &[u8]) -> bool {
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    *rest = rest.get(end..).unwrap_or_default();
    end > 0
}

fn push_bool(value: &[u8], out: &mut Vec<u8>) -> Result<Fit, Malformed> {
    out.extend_from_slice(match value {
        b"t" => b"true",
        b"f" => b"false",
        _ => return Err(Malformed),
    });
    Ok(Fit::Whole)
}

/// JSON on one line. What is a control character in it stands between its parts: within a string it
/// is escaped.
fn push_json(value: &[u8], out: &mut Vec<u8>) -> Result<Fit, Malformed> {
    if value.is_empty() {
        return Err(Malformed);
    }
    let start = out.len();
    let fit = match std::str::from_utf8(value) {
        Ok(text) => {
            out.extend_from_slice(text.as_bytes());
            Fit::Whole
        }
        Err(_) => {
            out.extend_from_slice(String::from_utf8_lossy(value).as_bytes());
            Fit::Changed
        }
    };
    for byte in out.iter_mut().skip(start) {
        if *byte < b' ' {
            *byte = b' ';
        }
    }
    Ok(fit)
}

fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    // Four letters for three bytes, and the last ones filled up.
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    let room = out.get_mut(start..).unwrap_or_default();
    let written = STANDARD.encode_slice(bytes, room).unwrap_or_default();
    out.truncate(start + written);
    out.push(b'"');
}

/// Bytes as an array has them: `\x` and hexadecimal digits.
fn push_hex_as_base64(text: &[u8], out: &mut Vec<u8>) -> Result<Fit, Malformed> {
    let digits = text.strip_prefix(b"\\x").ok_or(Malformed)?;
    if !digits.len().is_multiple_of(2) {
        return Err(Malformed);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(Malformed);
    let bytes = digits
        .chunks_exact(2)
        .map(|pair| Ok(u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).unwrap_or_default()))
        .collect::<Result<Vec<u8>, Malformed>>()?;
    push_base64(&bytes, out);
    Ok(Fit::Whole)
}

#[cfg(test)]
mod tests;
