//! The name of a stream's file.
//!
//! The usual stream `orders` goes to `orders.jsonl` and, in the namespace `shop`, to
//! `shop.orders.jsonl`. Other names are escaped so that no two streams share a file, not even on a
//! filesystem that does not tell `A` from `a`, and so that every name is a plain file name everywhere:
//!
//! | part of a name | becomes |
//! |---|---|
//! | a letter or digit of ASCII, `_`, `-` | itself |
//! | any other byte of its UTF-8 | `%` and two hexadecimal digits |
//! | the empty text | `%` |
//! | a name Windows keeps for itself, such as `con` | its first byte is escaped |
//! | capital letters | themselves, and `~` with their places as a bit set at the end |
//! | more than [`LONGEST`] bytes | the start, `~~`, and the SHA-256 of the whole |

use std::fmt::Write as _;

use lockgate_sdk::StreamDescriptor;
use sha2::{Digest, Sha256};

/// Filesystems take 255 bytes, and a partial file's name is 30 longer than the file's.
const LONGEST: usize = 255 - 30 - SUFFIX.len();

const SUFFIX: &str = ".jsonl";

/// How much of a name that is too long is kept, for its reader.
const KEPT: usize = 100;

/// The name of a stream's file.
pub(crate) fn file_name(stream: &StreamDescriptor) -> String {
    let mut stem = String::new();
    if let Some(namespace) = &stream.namespace {
        escape(namespace, &mut stem);
        stem.push('.');
    }
    escape(&stream.name, &mut stem);
    mark_capitals(&mut stem);
    if stem.len() > LONGEST {
        shorten(&mut stem, stream);
    }
    stem.push_str(SUFFIX);
    stem
}

/// The name of the file that holds a generation's rows until they are all there.
pub(crate) fn partial_name(file: &str, generation: u64) -> String {
    format!(".{file}.partial-{generation}")
}

/// The file and the generation of a partial file.
pub(crate) fn parse_partial(name: &str) -> Option<(&str, u64)> {
    let (file, generation) = name.strip_prefix('.')?.rsplit_once(".partial-")?;
    Some((file, generation.parse().ok()?))
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

fn shorten(stem: &mut String, stream: &StreamDescriptor) {
    let mut hash = Sha256::new();
    if let Some(namespace) = &stream.namespace {
        // The length keeps the two parts apart.
        hash.update(namespace.len().to_le_bytes());
        hash.update(namespace);
    }
    hash.update(&stream.name);
    stem.truncate(KEPT);
    stem.push_str("~~");
    for byte in hash.finalize() {
        push_hex(stem, "", byte);
    }
}
