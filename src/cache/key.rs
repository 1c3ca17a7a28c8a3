//! Which records are the same one: a digest of their primary keys.
//!
//! Equal values have equal digests however they are written: `1`, `1.0` and `1e0`; `"é"` and
//! `"\u00e9"`. No value and null are one value of the key, so records without a key are the same
//! record. Two different keys are never one by the way they are put together.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::number::Decimal;
use super::record::{Shape, unquoted};

/// Bytes of a digest: two different keys do not meet in 2^64 of them.
pub(super) const KEY_BYTES: usize = 16;

/// Nesting of arrays and objects in a key up to which their values are compared; deeper, their text is.
const MAX_DEPTH: usize = 16;

/// Where a stream's primary key is in a record.
#[derive(Debug)]
pub(super) struct Key(Vec<Path>);

#[derive(Debug)]
struct Path {
    slot: usize,
    /// From that member on.
    rest: Vec<String>,
}

impl Key {
    /// From the paths of a primary key. None where there is no key.
    pub(super) fn new(primary_key: &[Vec<String>], shape: &Shape) -> Option<Self> {
        let paths: Vec<Path> = primary_key
            .iter()
            .filter_map(|path| {
                let (member, rest) = path.split_first()?;
                Some(Path { slot: shape.slot(member)?, rest: rest.to_vec() })
            })
            .collect();
        (!paths.is_empty()).then_some(Self(paths))
    }

    /// The digest of a record's key.
    pub(super) fn digest(&self, values: &[Option<&str>], scratch: &mut Vec<u8>) -> [u8; KEY_BYTES] {
        scratch.clear();
        for path in &self.0 {
            let mut value = values.get(path.slot).copied().flatten();
            for step in &path.rest {
                value = value.and_then(|text| member(text, step));
            }
            write(scratch, value.unwrap_or("null"), MAX_DEPTH);
        }
        let digest: [u8; 32] = Sha256::digest(scratch.as_slice()).into();
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(digest.get(..KEY_BYTES).unwrap_or(&[0; KEY_BYTES]));
        key
    }
}

/// The members in which a primary key is.
pub(super) fn members(primary_key: &[Vec<String>]) -> impl Iterator<Item = &str> {
    primary_key.iter().filter_map(|path| path.first()).map(String::as_str)
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut members = serde_json::from_str::<Members<'a>>(text).ok()?;
    members.remove(name).map(RawValue::get)
}

/// Each value begins with its kind and, where it has no end of its own, its length.
fn write(out: &mut Vec<u8>, text: &str, depth: usize) {
    let mut sized = |kind: u8, bytes: &[u8]| {
        out.push(kind);
        out.extend_from_slice(&bytes.len().to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match text.as_bytes().first() {
        Some(b'n') => out.push(b'n'),
        Some(b't') => out.push(b't'),
        Some(b'f') => out.push(b'f'),
        Some(b'"') => match unquoted(text) {
            Some(content) => sized(b's', content.as_bytes()),
            None => sized(b'?', text.as_bytes()),
        },
        Some(b'-' | b'0'..=b'9') => {
            // Most are short and whole, and are as they should be.
            let plain = text.len() < 19 && !text.contains(['.', 'e', 'E']) && text != "-0";
            match plain.then(|| text.parse::<i64>().ok()).flatten() {
                Some(value) => {
                    out.push(b'i');
                    out.extend_from_slice(&value.to_le_bytes());
                }
                None => write_number(out, text),
            }
        }
        Some(b'[') if depth > 0 => match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(items) => {
                out.push(b'[');
                out.extend_from_slice(&items.len().to_le_bytes());
                items.iter().for_each(|item| write(out, item.get(), depth - 1));
            }
            Err(_) => sized(b'?', text.as_bytes()),
        },
        Some(b'{') if depth > 0 => match serde_json::from_str::<Members<'_>>(text) {
            Ok(members) => {
                out.push(b'{');
                out.extend_from_slice(&members.len().to_le_bytes());
                for (name, value) in members {
                    out.extend_from_slice(&name.len().to_le_bytes());
                    out.extend_from_slice(name.as_bytes());
                    write(out, value.get(), depth - 1);
                }
            }
            Err(_) => sized(b'?', text.as_bytes()),
        },
        _ => sized(b'?', text.as_bytes()),
    }
}

fn write_number(out: &mut Vec<u8>, text: &str) {
    let decimal = Decimal::parse(text);
    // As short whole numbers are written above.
    if let Some(value) = decimal.as_ref().and_then(Decimal::to_i64) {
        out.push(b'i');
        out.extend_from_slice(&value.to_le_bytes());
        return;
    }
    let canonical = decimal.map_or_else(|| text.to_ascii_lowercase(), |d| d.canonical());
    out.push(b'd');
    out.extend_from_slice(&canonical.len().to_le_bytes());
    out.extend_from_slice(canonical.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(primary_key: &[&[&str]], record: &str) -> [u8; KEY_BYTES] {
        let path = |path: &&[&str]| path.iter().map(|s| (*s).to_owned()).collect();
        let primary_key: Vec<Vec<String>> = primary_key.iter().map(path).collect();
        let mut shape = Shape::new(&[], members(&primary_key));
        let key = Key::new(&primary_key, &shape).unwrap();
        let mut values = Vec::new();
        shape.read(record.as_bytes(), &mut values).unwrap();
        key.digest(&values, &mut Vec::new())
    }

    #[test]
    fn equal_keys_are_equal() {
        let id = |record: &str| digest(&[&["id"]], record);
        let same = |a: &str, b: &str| assert_eq!(id(a), id(b), "{a} {b}");
        let different = |a: &str, b: &str| assert_ne!(id(a), id(b), "{a} {b}");
        same(r#"{"id":1}"#, r#"{"x":2,"id":1.0}"#);
        same(r#"{"id":1}"#, r#"{"id":10e-1}"#);
        same(r#"{"id":-0}"#, r#"{"id":0.0}"#);
        same(r#"{"id":1.50}"#, r#"{"id":15e-1}"#);
        same(r#"{"id":null}"#, "{}");
        same(r#"{"id":"é"}"#, r#"{"id":"\u00e9"}"#);
        same(r#"{"id":{"a":1,"b":[1.0]}}"#, r#"{"id":{"b":[1],"a":1e0}}"#);
        different(r#"{"id":1}"#, r#"{"id":"1"}"#);
        different(r#"{"id":1152921504606846976}"#, r#"{"id":1152921504606846977}"#);
        different(r#"{"id":92233720368547758079}"#, r#"{"id":92233720368547758078}"#);
        different(r#"{"id":0.1}"#, r#"{"id":0.10000000000000001}"#);
        different(r#"{"id":null}"#, r#"{"id":""}"#);
        different(r#"{"id":false}"#, r#"{"id":0}"#);
    }

    #[test]
    fn composite_and_nested_keys_keep_their_parts_apart() {
        let two = |record: &str| digest(&[&["a"], &["b", "c"]], record);
        assert_ne!(two(r#"{"a":"xy","b":{"c":"z"}}"#), two(r#"{"a":"x","b":{"c":"yz"}}"#));
        assert_eq!(two(r#"{"a":1,"b":{"c":2,"d":3}}"#), two(r#"{"b":{"d":4,"c":2},"a":1}"#));
        assert_eq!(two(r#"{"a":1,"b":7}"#), two(r#"{"a":1}"#));
    }

    proptest! {
        #[test]
        fn integers_are_one_however_written(value: i64, zeros in 0_usize..3) {
            let plain = digest(&[&["id"]], &format!(r#"{{"id":{value}}}"#));
            let zeros = "0".repeat(zeros + 1);
            prop_assert_eq!(plain, digest(&[&["id"]], &format!(r#"{{"id":{value}.{zeros}}}"#)));
            prop_assert_eq!(plain, digest(&[&["id"]], &format!(r#"{{"id":{value}{zeros}e-{}}}"#, zeros.len())));
        }

        #[test]
        fn strings_are_one_however_written(text: String, other: String) {
            let record = |t: &str| format!(r#"{{"id":{}}}"#, serde_json::Value::from(t));
            let escaped: String = text.encode_utf16().map(|u| format!("\\u{u:04x}")).collect();
            let plain = digest(&[&["id"]], &record(&text));
            prop_assert_eq!(plain, digest(&[&["id"]], &format!(r#"{{"id":"{escaped}"}}"#)));
            prop_assert_eq!(text == other, plain == digest(&[&["id"]], &record(&other)));
        }
    }
}
