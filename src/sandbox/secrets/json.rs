//! Texts within JSON, changed one by one. Everything else stays the text it is: numbers keep their
//! digits, members their order.
//!
//! The attack: a secret written with escapes (`\u0068…`) is not in the text and is in what any reader
//! makes of it. So every string is looked at as its reader sees it.

use std::borrow::Cow;

use super::forms::json as quoted;
use crate::protocol::Json;

/// What a text is in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A member's name.
    Name,
    /// A string.
    Text,
    /// A number, as it is written.
    Number,
}

/// What becomes of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Becomes {
    /// It stays.
    Same,
    /// A string.
    Text(String),
    /// A number, as it is written.
    Number(String),
}

/// Changes the texts of a document.
#[must_use]
pub fn map_texts(json: &Json, mut change: impl FnMut(Role, &str) -> Becomes) -> Json {
    let text = json.get();
    let mut out = String::new();
    // Up to where the text is in `out`.
    let mut copied = 0;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let (end, role) = match byte {
            b'"' => {
                let end = string_end(bytes, at);
                let next = bytes[end..].iter().find(|b| !b.is_ascii_whitespace());
                (end, if next == Some(&b':') { Role::Name } else { Role::Text })
            }
            b'-' | b'0'..=b'9' => {
                let more = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                (at + bytes[at..].iter().take_while(|b| more(b)).count(), Role::Number)
            }
            _ => {
                at += 1;
                continue;
            }
        };
        let token = &text[at..end];
        let becomes = match role {
            Role::Number => change(role, token),
            Role::Name | Role::Text => change(role, &decoded(token)),
        };
        let new = match becomes {
            Becomes::Same => None,
            Becomes::Number(number) if role != Role::Name => Some(number),
            Becomes::Text(new) | Becomes::Number(new) => Some(format!("\"{}\"", quoted(&new))),
        };
        if let Some(new) = new {
            out.push_str(&text[copied..at]);
            out.push_str(&new);
            copied = end;
        }
        at = end;
    }
    if copied == 0 {
        return json.clone();
    }
    out.push_str(&text[copied..]);
    // Strings and numbers took the place of such, so it parses.
    Json::parse(out).unwrap_or_else(|_| Json::empty_object())
}

/// Behind the quote that ends a string.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// What a string says. A half of a surrogate pair, which no text can hold, becomes U+FFFD.
fn decoded(token: &str) -> Cow<'_, str> {
    let inner = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    if let Ok(text) = serde_json::from_str::<String>(token) {
        return Cow::Owned(text);
    }
    let mut units: Vec<u16> = Vec::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '\\' => match rest.next() {
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
                    continue;
                }
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            c => c,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    Cow::Owned(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_written_anew() {
        let json =
            Json::parse(r#"{ "a" : "x\ny", "b":[1e400, 123456, "\ud800\u0041B"] }"#).unwrap();
        let mut seen = Vec::new();
        let same = map_texts(&json, |role, text| {
            seen.push((role, text.to_owned()));
            Becomes::Same
        });
        assert_eq!(same.get(), json.get());
        let texts: Vec<&str> = seen.iter().map(|s| s.1.as_str()).collect();
        assert_eq!(texts, ["a", "x\ny", "b", "1e400", "123456", "\u{fffd}AB"]);
        assert_eq!(seen[0].0, Role::Name);
        let changed = map_texts(&json, |_, text| match text {
            "x\ny" => Becomes::Text("q\"".into()),
            "123456" => Becomes::Number("7".into()),
            _ => Becomes::Same,
        });
        assert_eq!(changed.get(), r#"{ "a" : "q\"", "b":[1e400, 7, "\ud800\u0041B"] }"#);
    }
}
