//! The forms in which a secret may be written.
//!
//! The attack: a connector logs a password in base64, or in the middle of something that it encodes
//! as a whole, so that a search for the password finds nothing.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE32_LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What RFC 3986 leaves as it is.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same with `/`, as Python's `quote`.
const PATH: AsciiSet = UNRESERVED.remove(b'/');
/// What JavaScript's `encodeURIComponent` leaves as it is.
const COMPONENT: AsciiSet =
    UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
/// What a browser's form leaves as it is.
const FORM: AsciiSet = UNRESERVED.remove(b'*').add(b'~');

/// A secret longer than this has only its usual forms: each is searched for byte by byte.
const LONG: usize = 2048;

/// A form's name and text. The names are stable: a sealed state holds them.
pub(super) type Form = (String, String);

/// All forms of a value. Some may be equal.
pub(super) fn forms(value: &str) -> Vec<Form> {
    let mut all: Vec<Form> = Vec::new();
    let mut add = |name: &str, text: String| all.push((name.to_owned(), text));
    add("plain", value.to_owned());
    let escaped = json(value);
    add("json-json", json(&escaped));
    add("json-slash", escaped.replace('/', "\\/"));
    add("json", escaped);
    add("json-ascii", ascii(value, false));
    add("percent", utf8_percent_encode(value, &UNRESERVED).to_string());
    add("percent-lower", lower(&utf8_percent_encode(value, &UNRESERVED).to_string()));
    let plus = |set| utf8_percent_encode(value, set).to_string().replace("%20", "+");
    add("form", plus(&FORM));
    add("form-lower", lower(&plus(&FORM)));
    let hex = hex::encode(value);
    add("hex-upper", hex.to_uppercase());
    add("hex", hex);
    for (name, alphabet) in [("base64", BASE64), ("base64url", BASE64_URL)] {
        for shift in 0..3 {
            let pad = ["", "==", "="][(shift + value.len()) % 3];
            aligned(&mut all, &format!("{name}-{shift}"), value, shift, 6, alphabet, pad);
        }
    }
    if value.len() > LONG {
        return all;
    }
    let wrapped: Vec<Form> =
        all.iter().filter(|(n, _)| n.starts_with("base64-")).cloned().collect();
    for (name, text) in wrapped {
        all.push((format!("{name}-json"), text.replace('/', "\\/")));
        let percent = utf8_percent_encode(&text, &UNRESERVED).to_string();
        all.push((format!("{name}-percent-lower"), lower(&percent)));
        all.push((format!("{name}-percent"), percent));
    }
    let mut add = |name: &str, text: String| all.push((name.to_owned(), text));
    add("json-ascii-upper", ascii(value, true));
    add("unicode", unicode(value, false));
    add("unicode-upper", unicode(value, true));
    for (name, set) in [("path", &PATH), ("component", &COMPONENT)] {
        add(name, utf8_percent_encode(value, set).to_string());
        add(&format!("{name}-lower"), lower(&utf8_percent_encode(value, set).to_string()));
    }
    let whole: String = value.bytes().fold(String::new(), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "%{byte:02X}");
        out
    });
    add("percent-whole-lower", whole.to_lowercase());
    add("percent-whole", whole);
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let html = html.replace('"', "&quot;");
    add("html", html.replace('\'', "&#39;"));
    add("html-hex", html.replace('\'', "&#x27;"));
    let bytes: String = value.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "\\x{byte:02x}");
        out
    });
    add("bytes", bytes);
    for (name, alphabet) in [("base32", BASE32), ("base32-lower", BASE32_LOWER)] {
        for shift in 0..5 {
            let pad = ["", "======", "====", "===", "="][(shift + value.len()) % 5];
            aligned(&mut all, &format!("{name}-{shift}"), value, shift, 5, alphabet, pad);
        }
    }
    all
}

/// A JSON string without its quotes.
pub(super) fn json(text: &str) -> String {
    // A string always has a JSON text.
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// The same with everything beyond ASCII escaped, as Python writes it.
fn ascii(text: &str, upper: bool) -> String {
    let mut out = String::new();
    for c in json(text).chars() {
        if c.is_ascii() { out.push(c) } else { escape(&mut out, c, upper) }
    }
    out
}

/// Every character escaped.
fn unicode(text: &str, upper: bool) -> String {
    let mut out = String::new();
    text.chars().for_each(|c| escape(&mut out, c, upper));
    out
}

fn escape(out: &mut String, c: char, upper: bool) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = if upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
    }
}

/// Percent-encoding with small letters.
fn lower(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut digits = 0;
    for c in text.chars() {
        if digits > 0 {
            digits -= 1;
            out.push(c.to_ascii_lowercase());
        } else {
            digits = if c == '%' { 2 } else { 0 };
            out.push(c);
        }
    }
    out
}

/// A value within something that is encoded as a whole: only the digits that depend on no byte
/// beside it; then with what follows where the value is the end.
fn aligned(
    all: &mut Vec<Form>,
    name: &str,
    value: &str,
    shift: usize,
    bits: usize,
    alphabet: &[u8],
    pad: &str,
) {
    let bytes: Vec<u8> = std::iter::repeat_n(0, shift).chain(value.bytes()).collect();
    let digit = |at: usize| {
        let value = (at * bits..(at + 1) * bits).fold(0_usize, |value, bit| {
            let byte = bytes.get(bit / 8).copied().unwrap_or(0);
            value << 1 | usize::from(byte >> (7 - bit % 8) & 1)
        });
        char::from(alphabet[value])
    };
    let total = bytes.len() * 8;
    let mut text: String = ((shift * 8).div_ceil(bits)..total / bits).map(digit).collect();
    all.push((name.to_owned(), text.clone()));
    if !total.is_multiple_of(bits) {
        text.push(digit(total / bits));
        all.push((format!("{name}-end"), text.clone()));
        all.push((format!("{name}-pad"), text + pad));
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn base64_is_found_at_every_alignment(value in "\\PC{6,30}", before in ".{0,5}", after in ".{0,5}") {
            let whole = format!("{before}{value}{after}");
            for text in [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                let found = forms(&value).iter().any(|(_, form)| text.contains(form.as_str()));
                prop_assert!(found, "{text}");
            }
        }
    }

    #[test]
    fn the_usual_encoders_are_covered() {
        let texts: Vec<String> = forms("pä \"s/ü~").into_iter().map(|f| f.1).collect();
        for text in [
            r#"pä \"s/ü~"#,
            r#"p\u00e4 \"s/\u00fc~"#,
            "p%C3%A4%20%22s%2F%C3%BC~",
            "p%c3%a4+%22s%2f%c3%bc%7e",
            "p%C3%A4%20%22s/%C3%BC~",
            "70c3a420227",
            "pä &quot;s/ü~",
        ] {
            assert!(texts.iter().any(|t| t.starts_with(text)), "{text} is not in {texts:#?}");
        }
    }
}
