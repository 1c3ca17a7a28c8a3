//! Texts and JSON in COPY's text format.
//!
//! The attack: a text with a tab, a line end or a backslash in it, which would be a column, a row or a
//! command of its own. What PostgreSQL has no character for is left out (U+0000) or replaced (half of
//! a surrogate pair, by U+FFFD), and told.

use json_rows::escape::{Escape, escape};
use json_rows::scan::{Kind, plain};

use super::time::Fit;

/// Could every character be kept?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clean {
    Yes,
    No,
}

impl Clean {
    pub(super) fn and(self, other: Self) -> Self {
        if self == Self::Yes { other } else { Self::No }
    }

    pub(super) fn fit(self) -> Fit {
        if self == Self::Yes { Fit::Whole } else { Fit::Cut }
    }
}

/// Bytes of a value for which room is made exactly: a vector that doubles would take too much memory.
const LARGE: usize = 1 << 20;

fn make_room(bytes: usize, out: &mut Vec<u8>) {
    if bytes > LARGE {
        out.reserve_exact(bytes);
    }
}

/// Writes the characters of a string of JSON.
pub(super) fn push_string(mut text: &[u8], kind: Kind, out: &mut Vec<u8>) -> Clean {
    make_room(text.len(), out);
    // Neither a control character nor a backslash: nothing that COPY would take for its own.
    if kind == Kind::Plain {
        out.extend_from_slice(text);
        return Clean::Yes;
    }
    let mut clean = Clean::Yes;
    while let Some(at) = memchr::memchr(b'\\', text) {
        out.extend_from_slice(&text[..at]);
        let (found, length) = escape(&text[at..]);
        match found {
            Escape::Character('\0') => clean = Clean::No,
            Escape::Character('\n') => out.extend_from_slice(b"\\n"),
            Escape::Character('\r') => out.extend_from_slice(b"\\r"),
            Escape::Character('\t') => out.extend_from_slice(b"\\t"),
            Escape::Character('\\') => out.extend_from_slice(b"\\\\"),
            Escape::Character(other) => {
                out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Escape::Half => {
                clean = Clean::No;
                let mark = char::REPLACEMENT_CHARACTER;
                out.extend_from_slice(mark.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        text = text.get(at + length..).unwrap_or_default();
    }
    out.extend_from_slice(text);
    clean
}

/// Writes JSON as it is.
pub(super) fn push_json(mut text: &[u8], out: &mut Vec<u8>) -> Clean {
    make_room(text.len(), out);
    let mut clean = Clean::Yes;
    loop {
        let (before, rest) = text.split_at(plain::<false>(text));
        out.extend_from_slice(before);
        if rest.is_empty() {
            return clean;
        }
        if rest.first() != Some(&b'\\') {
            // Space between values; in a string no such character is JSON.
            out.push(b' ');
            text = rest.get(1..).unwrap_or_default();
            continue;
        }
        let (found, length) = escape(rest);
        match found {
            Escape::Character('\0') => clean = Clean::No,
            Escape::Half => {
                clean = Clean::No;
                out.extend_from_slice(b"\\\\ufffd");
            }
            Escape::Character(_) => {
                // Both halves of a pair, each with its backslash.
                for part in rest.get(..length).unwrap_or_default().chunks(6) {
                    out.extend_from_slice(b"\\\\");
                    // The second character of `\\` is a backslash as well.
                    if part.get(1) == Some(&b'\\') {
                        out.extend_from_slice(b"\\\\");
                    } else {
                        out.extend_from_slice(part.get(1..).unwrap_or_default());
                    }
                }
            }
        }
        text = rest.get(length..).unwrap_or_default();
    }
}
