//! Texts as strings of JSON.

/// Bytes that are looked at together: what a vector instruction holds.
const BLOCK: usize = 16;

/// Appends a text as a string of JSON. False: it is no UTF-8, and what was appended is no JSON.
#[inline]
pub(crate) fn push_string(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let plain = plain(text);
    let (start, rest) = text.split_at(plain.min(text.len()));
    out.extend_from_slice(start);
    let whole = rest.is_empty() || push_rest(rest, out);
    out.push(b'"');
    whole
}

/// Does a byte stand for itself in a string of JSON, and is it a character by itself?
#[inline]
fn is_plain(byte: u8) -> bool {
    byte.is_ascii() && !needs_escape(byte)
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// How many bytes of the start are plain.
#[inline]
fn plain(text: &[u8]) -> usize {
    let mut count = 0;
    for block in text.chunks_exact(BLOCK) {
        // Without an early end, so that the block is looked at as a whole.
        if !block.iter().fold(true, |all, byte| all & is_plain(*byte)) {
            break;
        }
        count += BLOCK;
    }
    let rest = text.get(count..).unwrap_or_default();
    count + rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len())
}

fn push_rest(rest: &[u8], out: &mut Vec<u8>) -> bool {
    if std::str::from_utf8(rest).is_err() {
        return false;
    }
    let mut text = rest;
    while let Some(place) = text.iter().position(|byte| needs_escape(*byte)) {
        let (plain, rest) = text.split_at(place);
        out.extend_from_slice(plain);
        let Some((byte, rest)) = rest.split_first() else { break };
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
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_read_back_as_it_was(text in any::<String>()) {
            let mut out = Vec::new();
            prop_assert!(push_string(text.as_bytes(), &mut out));
            let back: String = serde_json::from_slice(&out).expect("a string");
            prop_assert_eq!(back, text);
        }

        #[test]
        fn bytes_that_are_no_text_are_told(bytes in any::<Vec<u8>>()) {
            let told = push_string(&bytes, &mut Vec::new());
            prop_assert_eq!(told, std::str::from_utf8(&bytes).is_ok());
        }
    }
}
