//! Texts as strings of JSON.

use super::Fit;

/// Bytes that are looked at together: what a vector instruction holds.
const BLOCK: usize = 16;

/// Appends a text as a string of JSON. What is no UTF-8, which only a database without an encoding has,
/// is replaced.
#[inline]
pub(crate) fn push_string(text: &[u8], out: &mut Vec<u8>) -> Fit {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let plain = plain(text);
    let (start, rest) = text.split_at(plain.min(text.len()));
    out.extend_from_slice(start);
    let fit = if rest.is_empty() { Fit::Whole } else { push_rest(rest, out) };
    out.push(b'"');
    fit
}

/// Does a byte stand for itself in a string of JSON, and is it a character by itself?
#[inline]
fn is_plain(byte: u8) -> bool {
    byte.is_ascii() && !needs_escape(byte)
}

/// How many bytes a text has within a string of JSON.
pub(crate) fn escaped_length(text: &[u8]) -> usize {
    let one = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        byte if *byte < b' ' => 6,
        _ => 1,
    };
    text.iter().map(one).sum()
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// How many bytes of the start are plain; within a block it may be fewer than there are.
#[inline]
pub(super) fn plain(text: &[u8]) -> usize {
    let mut blocks = text.chunks_exact(BLOCK);
    let mut count = 0;
    for block in &mut blocks {
        // Without an early end, so that the block is looked at as a whole.
        if !block.iter().fold(true, |all, byte| all & is_plain(*byte)) {
            break;
        }
        count += BLOCK;
    }
    let rest = text.get(count..).unwrap_or_default();
    count + rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len())
}

#[cold]
fn push_rest(rest: &[u8], out: &mut Vec<u8>) -> Fit {
    match std::str::from_utf8(rest) {
        Ok(text) => {
            push_escaped(text.as_bytes(), out);
            Fit::Whole
        }
        Err(_) => {
            push_escaped(String::from_utf8_lossy(rest).as_bytes(), out);
            Fit::Changed
        }
    }
}

fn push_escaped(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(place) = text.iter().position(|byte| needs_escape(*byte)) {
        let (plain, rest) = text.split_at(place);
        out.extend_from_slice(plain);
        let Some((byte, rest)) = rest.split_first() else { return };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digit = |value: u8| DIGITS[usize::from(value & 15)];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
            }
        }
        text = rest;
    }
    out.extend_from_slice(text);
}
