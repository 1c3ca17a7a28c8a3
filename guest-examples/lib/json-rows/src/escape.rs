//! Escapes in strings of JSON.

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

#[cfg(test)]
mod tests {
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
}
