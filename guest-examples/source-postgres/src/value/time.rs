//! Times as Airbyte writes them: ISO 8601 with six digits of a second's fraction.
//!
//! The session has `DateStyle` ISO and the zone UTC, so the server's text is nearly there. Words
//! (`infinity`) and whatever else is no time stay as they are, as a string.

use json_rows::escape::plain;

use super::Fit;
use super::text::push_string;

/// Digits of a fraction of a second.
const FRACTION: usize = 6;

/// `2024-01-02 03:04:05.6+00 BC` as `2024-01-02T03:04:05.600000Z BC`.
pub(super) fn push_timestamp(text: &[u8], out: &mut Vec<u8>) -> Fit {
    let Some(place) = text.iter().position(|byte| *byte == b' ') else {
        return push_string(text, out);
    };
    if plain(text) < text.len() {
        return push_string(text, out);
    }
    let (date, rest) = text.split_at(place);
    out.push(b'"');
    out.extend_from_slice(date);
    out.push(b'T');
    push_clock(rest.get(1..).unwrap_or_default(), out);
    out.push(b'"');
    Fit::Whole
}

/// `03:04:05.6+02` as `03:04:05.600000+02:00`.
pub(super) fn push_time(text: &[u8], out: &mut Vec<u8>) -> Fit {
    if plain(text) < text.len() {
        return push_string(text, out);
    }
    out.push(b'"');
    push_clock(text, out);
    out.push(b'"');
    Fit::Whole
}

/// A time of day, then a zone, then an era, as far as they are there.
fn push_clock(text: &[u8], out: &mut Vec<u8>) {
    let is_clock = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.');
    let end = text.iter().position(|byte| !is_clock(byte)).unwrap_or(text.len());
    let (clock, rest) = text.split_at(end);
    out.extend_from_slice(clock);
    let digits = match clock.iter().rposition(|byte| *byte == b'.') {
        Some(point) => clock.len() - point - 1,
        None => {
            out.push(b'.');
            0
        }
    };
    out.extend_from_slice(b"000000".get(digits.min(FRACTION)..).unwrap_or_default());
    let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let (zone, era) = rest.split_at(end);
    push_zone(zone, out);
    out.extend_from_slice(era);
}

/// `+02` as `+02:00`, `+00` as `Z`.
fn push_zone(zone: &[u8], out: &mut Vec<u8>) {
    match zone {
        b"+00" => out.push(b'Z'),
        [_, _, _] => {
            out.extend_from_slice(zone);
            out.extend_from_slice(b":00");
        }
        zone => out.extend_from_slice(zone),
    }
}
