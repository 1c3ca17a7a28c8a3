//! Percent-encoding as signatures want it.

use std::fmt::Write as _;

/// Encodes all bytes but letters, digits and `-_.~`; with `slashes`, `/` stays too.
pub(crate) fn encode(text: &str, slashes: bool, out: &mut String) {
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'~')
            || (slashes && byte == b'/');
        if plain {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// A query in its canonical form: encoded, in the order of the names.
pub(crate) fn query(parameters: &[(&str, &str)]) -> String {
    let mut encoded: Vec<(String, String)> = (parameters.iter())
        .map(|(name, value)| {
            let (mut encoded_name, mut encoded_value) = (String::new(), String::new());
            encode(name, false, &mut encoded_name);
            encode(value, false, &mut encoded_value);
            (encoded_name, encoded_value)
        })
        .collect();
    encoded.sort();
    let mut out = String::new();
    for (place, (name, value)) in encoded.iter().enumerate() {
        let separator = if place == 0 { "" } else { "&" };
        let _ = write!(out, "{separator}{name}={value}");
    }
    out
}

/// What `encoding-type=url` made of a key. None: it is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_is_sorted_and_encoded() {
        let parameters = [("prefix", "a b/ü"), ("uploads", ""), ("list-type", "2")];
        assert_eq!(query(&parameters), "list-type=2&prefix=a%20b%2F%C3%BC&uploads=");
        assert_eq!(query(&[]), "");
        assert_eq!(decode("a+b%2"), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in any::<String>()) {
            let mut out = String::new();
            encode(&text, false, &mut out);
            prop_assert!(out.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte)));
            prop_assert_eq!(decode(&out), Some(text));
        }

        #[test]
        fn no_text_breaks_decoding(text in any::<String>()) {
            let _ = decode(&text);
        }
    }
}
