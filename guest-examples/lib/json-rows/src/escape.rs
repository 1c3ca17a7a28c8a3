//! Strings of JSON, read and written.

/// Bytes that are looked at together: what a vector instruction holds.
const BLOCK: usize = 16;

/// What an escape of JSON stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// A character.
    Character(char),
    /// A surrogate without its other half.
    Half,
}

/// Reads the escape at the start of `text`, which begins with a backslash; and how long it is. The
/// text was found to be JSON before.
#[must_use]
pub fn escape(text: &[u8]) -> (Escape, usize) {
    let simple = |character| (Escape::Character(character), 2);
    match text.get(1) {
        Some(b'n') => simple('\n'),
        Some(b't') => simple('\t'),
        Some(b'r') => simple('\r'),
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{c}'),
        Some(b'u') => {
            let Some(first) = unit(text) else { return (Escape::Half, 6) };
            if let Some(character) = char::from_u32(first) {
                return (Escape::Character(character), 6);
            }
            let second = text.get(6..).filter(|rest| rest.starts_with(b"\\u")).and_then(unit);
            let pair = second.filter(|second| {
                (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(second)
            });
            let whole = pair.map(|second| 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            match whole.and_then(char::from_u32) {
                Some(character) => (Escape::Character(character), 12),
                None => (Escape::Half, 6),
            }
        }
        Some(other) => simple(char::from(*other)),
        None => (Escape::Half, 1),
    }
}

fn unit(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text.get(2..6)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// Writes the characters of a string of JSON, given without its quotes; half of a surrogate pair as
/// U+FFFD.
pub fn unescape(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', text) {
        out.extend_from_slice(&text[..at]);
        let (found, length) = escape(&text[at..]);
        let character = match found {
            Escape::Character(character) => character,
            Escape::Half => char::REPLACEMENT_CHARACTER,
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        text = text.get(at + length..).unwrap_or_default();
    }
    out.extend_from_slice(text);
}

/// Has a string of JSON, given without its quotes, half of a surrogate pair?
#[must_use]
pub fn has_half(mut text: &[u8]) -> bool {
    while let Some(at) = memchr::memchr(b'\\', text) {
        let (found, length) = escape(&text[at..]);
        if found == Escape::Half {
            return true;
        }
        text = text.get(at + length..).unwrap_or_default();
    }
    false
}

/// Appends a text as a string of JSON. False: it is no UTF-8; what is none was replaced by U+FFFD.
#[inline]
pub fn push_string(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let (start, rest) = text.split_at(plain(text).min(text.len()));
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

/// How many bytes a text has within a string of JSON.
#[must_use]
pub fn escaped_length(text: &[u8]) -> usize {
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
#[must_use]
pub fn plain(text: &[u8]) -> usize {
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
fn push_rest(rest: &[u8], out: &mut Vec<u8>) -> bool {
    let text = String::from_utf8_lossy(rest);
    push_escaped(text.as_bytes(), out);
    matches!(text, std::borrow::Cow::Borrowed(_))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_characters() {
        let mut out = Vec::new();
        unescape(br#"a\n\"\\\u00e9\ud83d\ude00\ud800x\u0000"#, &mut out);
        assert_eq!(String::from_utf8(out).expect("text"), "a\n\"\\é😀\u{fffd}x\0");
        assert!(has_half(br"\ud800x"));
        assert!(has_half(br"\udc00"));
        assert!(!has_half(br"\ud83d\ude00\\ud800"));
    }

    proptest! {
        #[test]
        fn a_text_is_read_back_as_it_was(text in any::<String>()) {
            let mut out = Vec::new();
            prop_assert!(push_string(text.as_bytes(), &mut out));
            prop_assert_eq!(out.len(), escaped_length(text.as_bytes()) + 2);
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
