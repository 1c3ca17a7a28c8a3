//! A stream's name as that of a file or a folder.
//!
//! The usual stream `orders` is `orders` and, in the namespace `shop`, `shop.orders`. Other names are
//! escaped so that no two streams share a file, not even on a filesystem that does not tell `A` from
//! `a`, and so that every name is a plain file name everywhere:
//!
//! | part of a name | becomes |
//! |---|---|
//! | a letter or digit of ASCII, `_`, `-` | itself |
//! | any other byte of its UTF-8 | `%` and two hexadecimal digits |
//! | the empty text | `%` |
//! | a name Windows keeps for itself, such as `con` | its first byte is escaped |
//! | capital letters | themselves, and `~` with their places as a bit set at the end |
//! | more than may be | the start, `~~`, and the SHA-256 of the whole |

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// How much of a name that is too long is kept, for its reader.
const KEPT: usize = 100;

/// The name, of at most `longest` bytes (at least 167), without an ending.
#[must_use]
pub fn stem(namespace: Option<&str>, name: &str, longest: usize) -> String {
    let mut stem = String::new();
    if let Some(namespace) = namespace {
        escape(namespace, &mut stem);
        stem.push('.');
    }
    escape(name, &mut stem);
    mark_capitals(&mut stem);
    if stem.len() > longest {
        shorten(&mut stem, namespace, name);
    }
    stem
}

fn escape(part: &str, stem: &mut String) {
    if part.is_empty() {
        stem.push('%');
    }
    for (place, byte) in part.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if plain && !(place == 0 && is_reserved(part)) {
            stem.push(char::from(byte));
        } else {
            push_hex(stem, "%", byte);
        }
    }
}

fn push_hex(text: &mut String, before: &str, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{before}{byte:02x}");
}

fn is_reserved(part: &str) -> bool {
    let part = part.to_ascii_lowercase();
    let port = |prefix| {
        part.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
    };
    matches!(&*part, "con" | "prn" | "aux" | "nul") || port("com") || port("lpt")
}

fn mark_capitals(stem: &mut String) {
    let mut places = vec![0_u8; stem.len().div_ceil(8)];
    for (place, byte) in stem.bytes().enumerate() {
        if byte.is_ascii_uppercase() {
            places[place / 8] |= 1 << (place % 8);
        }
    }
    if let Some(last) = places.iter().rposition(|byte| *byte != 0) {
        stem.push('~');
        for byte in &places[..=last] {
            push_hex(stem, "", *byte);
        }
    }
}

fn shorten(stem: &mut String, namespace: Option<&str>, name: &str) {
    let mut hash = Sha256::new();
    // What is absent differs from what is empty, and the length keeps the two parts apart.
    hash.update([u8::from(namespace.is_some())]);
    let namespace = namespace.unwrap_or_default();
    hash.update((namespace.len() as u64).to_le_bytes());
    hash.update(namespace);
    hash.update(name);
    stem.truncate(KEPT);
    stem.push_str("~~");
    for byte in hash.finalize() {
        push_hex(stem, "", byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_stay_and_others_are_escaped() {
        assert_eq!(stem(None, "orders", 200), "orders");
        assert_eq!(stem(Some("shop"), "orders", 200), "shop.orders");
        assert_eq!(stem(Some(""), "../a", 200), "%.%2e%2e%2fa");
        assert_eq!(stem(None, "Users", 200), "Users~01");
        assert_eq!(stem(None, &"x".repeat(300), 200).len(), KEPT + 2 + 64);
    }
}
